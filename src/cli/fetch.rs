//! What the manifest of an application wants from elsewhere, by way of our own client.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use http::{StatusCode, Uri};

use super::context::Context;
use super::download;
use super::failure::Problem;
use super::misuse::Misuse;
use super::options::{CacheDir, Connection};
use super::output;
use super::server::Scheme;
use super::status::Voice;
use crate::auth::{self, Chain, Credential, Environment, Found, Given, Keychain, Secret};
use crate::content::{Blob, Body, Source as _};
use crate::error::{Error, ParseError, RequestLine};
use crate::model::{Descriptor, Identifier, Manifest, Registry, SafeUri, Tag};
use crate::registry::{Client, Listing, Repository};
use crate::spin::{
    self, Access, Application, Ask, Fetch, Fetching, LoadOptions, Login, MAX_REGISTRY_METADATA, PackageConfig,
    REGISTRY_METADATA, Sources, Storage,
};
use crate::transport::FinalUri;

/// The ways to sources, as the command line and the configuration say: a client for each host.
pub(super) struct Remote {
    connection: Connection,
    voice: Voice,
    /// The registry that the command is about, where it is about one.
    about: Option<Registry>,
    /// Credentials for that one.
    given: Option<Given>,
    clients: Mutex<HashMap<(Registry, Access), Client>>,
    /// Why there is no client, where that is nobody's fault but the user's.
    misuse: Mutex<Option<Misuse>>,
}

impl Remote {
    /// Connects like this, everywhere.
    pub(super) fn new(connection: &Connection, voice: Voice) -> Self {
        let connection = connection.clone();
        Self { connection, voice, about: None, given: None, clients: Mutex::default(), misuse: Mutex::default() }
    }

    /// The command is about `registry`, so what it says about credentials and safety is meant for that one alone.
    pub(super) fn about(self, registry: Option<Registry>, given: Option<Given>) -> Self {
        Self { about: registry, given, ..self }
    }

    /// Makes sources of these ways. Where nobody has a home there is no cache, and who has no remote sources needs none.
    ///
    /// # Errors
    ///
    /// Where the cache cannot be used because somebody clears it.
    pub(super) async fn sources(self, cache: &CacheDir, ask: Ask) -> Result<Remotes, Error> {
        let remote = Arc::new(self);
        let sources = match cache.open() {
            Ok(cache) => Sources::new(cache.in_use().await?, remote.clone()).asking(ask),
            Err(_) => Sources::none(),
        };
        let sources = match PackageConfig::default_path(|name| std::env::var_os(name)) {
            Some(file) => sources.configured_by(file),
            None => sources,
        };
        Ok(Remotes { remote, sources })
    }

    /// Returns the client for a host.
    fn client(&self, registry: &Registry, access: &Access) -> Result<Client, Error> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&(registry.clone(), access.clone())) {
            return Ok(client.clone());
        }
        let warn = |text: &str| output::remark(&format!("warning: {text}"));
        let connection = connection(&self.connection, self.about.as_ref(), registry, access);
        let keychain = Arc::new(self.keychain(registry, access));
        let client = match Context::client(registry, &connection, Scheme::Unsaid, keychain, warn) {
            Ok(client) => client,
            Err(Problem::Transfer(error)) => return Err(error),
            Err(other) => {
                let error = ParseError::new("configuration", &other.to_string(), "one that can be used");
                if let Problem::Misuse(misuse) = other {
                    *self.misuse.lock().unwrap_or_else(PoisonError::into_inner) = Some(misuse);
                }
                return Err(error.into());
            }
        };
        clients.insert((registry.clone(), access.clone()), client.clone());
        Ok(client)
    }

    /// Chains what is given outright, what the configuration of packages says, and everything else.
    fn keychain(&self, registry: &Registry, access: &Access) -> Chain {
        let configured = access.login.as_ref().map(|Login { username, password }| {
            let credential =
                Credential::Password { username: username.clone(), secret: Secret::new(password.as_str()) };
            Given::new(registry.clone(), Found { credential, source: "`wasm-pkg/config.toml`".to_owned() })
        });
        let given = self.given.iter().cloned().chain(configured);
        let mut chain: Vec<_> = given.map(|given| Arc::new(given) as Arc<dyn Keychain>).collect();
        chain.push(Arc::new(auth::Sources::new(&Environment::capture()).chain(None)));
        Chain::new(chain)
    }

    fn repository(&self, storage: &Storage) -> Result<Repository, Error> {
        Ok(self.client(&storage.registry, &storage.access)?.open(&storage.registry, &storage.name))
    }

    fn tell(&self, what: &dyn std::fmt::Display) {
        if self.voice != Voice::Silent {
            output::remark(&format!("fetching {what}"));
        }
    }
}

/// The sources of an application, by way of our own client.
pub(super) struct Remotes {
    remote: Arc<Remote>,
    sources: Sources,
}

impl Remotes {
    /// Loads an application.
    ///
    /// # Errors
    ///
    /// As [`spin::load_with`]; and where our own configuration file makes no sense, once something is asked for.
    pub(super) async fn load(&self, manifest: &Path, options: &LoadOptions) -> Result<Application, Problem> {
        spin::load_with(manifest, options, &self.sources).await.map_err(|error| self.blame(error))
    }

    /// Holds an application to the environments that it is meant for.
    ///
    /// # Errors
    ///
    /// As [`Application::check_targets`]; and as [`load`](Self::load).
    pub(super) async fn check_targets(&self, app: &Application) -> Result<(), Problem> {
        app.check_targets(&self.sources).await.map_err(|error| self.blame(error))
    }

    fn blame(&self, error: spin::Error) -> Problem {
        let misuse = self.remote.misuse.lock().unwrap_or_else(PoisonError::into_inner).take();
        misuse.map_or_else(|| error.into(), Problem::from)
    }
}

impl Fetch for Remote {
    fn download<'a>(&'a self, url: &'a Uri, offset: u64) -> Fetching<'a, Body> {
        Box::pin(async move {
            let host = url.authority().map_or("", |authority| authority.as_str());
            let client = self.client(&host.parse()?, &Access::default())?;
            self.tell(&format_args!("`{}`", SafeUri::from(url)));
            download::open(client.transport(), url, offset).await
        })
    }

    /// Takes a refusal, and a page for people, for silence: many registries know nothing beside their API.
    fn metadata<'a>(&'a self, registry: &'a Registry, access: &'a Access) -> Fetching<'a, Option<Bytes>> {
        Box::pin(async move {
            let response = self.client(registry, access)?.beside(registry, REGISTRY_METADATA).await?;
            let status = response.status();
            if status.is_server_error() {
                let text = format!("warning: `{registry}` answers {status} when asked where its packages are");
                output::remark(&format!("{text}; taking itself for the place"));
            }
            if status != StatusCode::OK {
                return Ok(None);
            }
            let uri = response.extensions().get().map(|FinalUri(uri)| uri.clone()).unwrap_or_default();
            let Some(bytes) = bounded(response.into_body(), MAX_REGISTRY_METADATA).await? else {
                let line = RequestLine::new(&http::Method::GET, &uri);
                return Err(Error::protocol(line, "a registry describes itself in at most 64 KiB"));
            };
            Ok(Some(bytes).filter(|bytes| !bytes.trim_ascii_start().starts_with(b"<")))
        })
    }

    fn tags<'a>(&'a self, storage: &'a Storage) -> Fetching<'a, Vec<Tag>> {
        Box::pin(async move { self.repository(storage)?.tags(Listing::default()).try_collect().await })
    }

    fn manifest<'a>(&'a self, storage: &'a Storage, id: &'a Identifier) -> Fetching<'a, Manifest> {
        Box::pin(async move {
            let between = if matches!(id, Identifier::Tag(_)) { ':' } else { '@' };
            self.tell(&format_args!("`{storage}{between}{id}`"));
            self.repository(storage)?.manifest(id).await
        })
    }

    fn blob<'a>(&'a self, storage: &'a Storage, descriptor: &'a Descriptor) -> Fetching<'a, Blob> {
        Box::pin(async move { Ok(self.repository(storage)?.blob(descriptor)) })
    }
}

/// Says how `registry` is reached. What lowers the guard is said about one registry where the command is about one, and
/// about the others only in configuration files.
fn connection(said: &Connection, about: Option<&Registry>, registry: &Registry, access: &Access) -> Connection {
    let mut connection = said.clone();
    if about.is_some_and(|about| about != registry) {
        (connection.insecure, connection.plain_http, connection.insecure_credentials) = (false, false, false);
        (connection.cert, connection.key) = (None, None);
    }
    connection.plain_http |= access.plain_http;
    connection.insecure |= access.unverified;
    connection.authorities.clone_from(&access.authorities);
    connection
}

/// Reads a body of at most `limit` bytes; `None` where it is longer.
async fn bounded(mut body: Body, limit: u64) -> Result<Option<Bytes>, Error> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.chunk().await {
        bytes.extend_from_slice(&chunk?);
        if bytes.len() as u64 > limit {
            return Ok(None);
        }
    }
    Ok(Some(bytes.freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lowers_the_guard_is_for_one_registry() {
        let registry = |text: &str| text.parse::<Registry>().expect(text);
        let (mine, other) = (registry("mine.example"), registry("other.example"));
        let said = Connection {
            insecure: true,
            plain_http: false,
            insecure_credentials: true,
            ca_file: vec!["ca.pem".into()],
            authorities: Vec::new(),
            cert: Some("c.pem".into()),
            key: Some("k.pem".into()),
            http1: true,
        };
        let plain = Access { plain_http: true, ..Access::default() };
        let unverified = Access { unverified: true, ..Access::default() };
        let none = Access::default();
        for (about, to, access, expected) in [
            (None, &other, &none, (true, false, true, true)),
            (Some(&mine), &mine, &none, (true, false, true, true)),
            (Some(&mine), &other, &none, (false, false, false, false)),
            (Some(&mine), &other, &plain, (false, true, false, false)),
            (Some(&mine), &other, &unverified, (true, false, false, false)),
        ] {
            let found = connection(&said, about, to, access);
            let Connection { insecure, plain_http, insecure_credentials, cert, .. } = &found;
            assert_eq!((*insecure, *plain_http, *insecure_credentials, cert.is_some()), expected, "{about:?} {to}");
            assert!(found.http1 && found.ca_file == said.ca_file, "whom to trust, and how to speak, is for all");
        }
    }
}
