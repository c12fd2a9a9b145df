//! The client: what all repositories share.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};

use super::asking::SelfMounts;
use super::upload::Orphan;
use super::{Hosts, Repository, profile};
use crate::auth::{Authorizer, Exposure, Found, Keychain, Proof, Remark, Scopes};
use crate::content::Body;
use crate::error::{Error, Unreachable, UnreachableKind};
use crate::model::{Name, Reference, Registry, excerpt};
use crate::transport::{Budget, Options, Payload, Policy, Transport, Verification, headers};

/// A client for any number of registries; cheap to clone, shares connections, tokens and limits.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    transport: Transport,
    authorizer: Authorizer,
    protection: Protection,
    hosts: Hosts,
    /// How a registry turned out to speak, where that is not the first thing to try.
    schemes: Mutex<HashMap<Registry, Scheme>>,
    /// How registries turned out to answer mounts from a repository into itself.
    self_mounts: Mutex<HashMap<Registry, SelfMounts>>,
    notify: Arc<dyn Fn(Notice<'_>) + Send + Sync>,
    warned: Mutex<HashSet<String>>,
    /// Upload sessions that were left open.
    orphans: Mutex<Vec<Orphan>>,
}

/// How connections to registries are protected. Loopback may always turn out to speak plain HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// TLS with a certificate that is verified.
    #[default]
    Verified,
    /// TLS with any certificate; plain HTTP where the bytes that answer the handshake are plain HTTP.
    Unverified,
    /// Plain HTTP.
    Plain,
}

/// Something that people should be told, once.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// A registry speaks plain HTTP and is talked to like that, because verification was switched off.
    FellBackToPlainHttp(&'a Registry),
    /// A registry sent a `Warning` header (distribution-spec 1.1, "Warnings").
    Warning(&'a Registry, &'a str),
    /// Credentials were missing or refused, and something is read without them.
    Credentials(Remark<'a>),
    /// A mirror failed, and the registry that it stands for was asked instead.
    MirrorFailed(&'a Registry, &'a Error),
}

/// What a [`Client`] is made of. The defaults are anonymous, verified, and quiet.
pub struct ClientBuilder {
    options: Options,
    keychain: Arc<dyn Keychain>,
    exposure: Exposure,
    protection: Protection,
    hosts: Hosts,
    notify: Arc<dyn Fn(Notice<'_>) + Send + Sync>,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            options: Options::default(),
            keychain: Arc::new(()),
            exposure: Exposure::Guarded,
            protection: Protection::Verified,
            hosts: Hosts::new(),
            notify: Arc::new(|_| ()),
        }
    }
}

impl ClientBuilder {
    /// Sets timeouts, limits, proxies and trust.
    #[must_use]
    pub fn transport(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// Sets where credentials come from. It is asked only when a registry wants some.
    #[must_use]
    pub fn keychain(self, keychain: Arc<dyn Keychain>) -> Self {
        Self { keychain, ..self }
    }

    /// Sets whether credentials may go over plain HTTP to other hosts than loopback.
    #[must_use]
    pub fn exposure(self, exposure: Exposure) -> Self {
        Self { exposure, ..self }
    }

    /// Sets how connections are protected.
    #[must_use]
    pub fn protection(self, protection: Protection) -> Self {
        Self { protection, ..self }
    }

    /// Sets which hosts are treated specially. What is said of a host goes before what is said of all.
    #[must_use]
    pub fn hosts(self, hosts: Hosts) -> Self {
        Self { hosts, ..self }
    }

    /// Connects to `address` for whatever is at the host `name`, as curl's `--connect-to`: the name in the request, the
    /// name in the certificate and whose credentials go there stay those of `name`. May be used for several hosts, after
    /// [`hosts`](Self::hosts).
    #[must_use]
    pub fn connect_to(mut self, name: &Registry, address: SocketAddr) -> Self {
        self.hosts.entry(name).connect = Some(address);
        self
    }

    /// Sets who is told what people should know. Called from inside requests: it must not block.
    #[must_use]
    pub fn notify(self, notify: impl Fn(Notice<'_>) + Send + Sync + 'static) -> Self {
        Self { notify: Arc::new(notify), ..self }
    }

    /// Makes the client. Nothing is sent, and no trust store read, before the first request.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the options, such as an unreadable CA file. There is no silent fallback.
    pub fn build(mut self) -> Result<Client, Error> {
        if self.protection == Protection::Unverified {
            self.options.tls.verification = Verification::None;
        }
        let connections = self.hosts.connections(&self.options.tls);
        self.options.hosts.extend(connections);
        let transport = Transport::new(self.options)?;
        let notify = self.notify.clone();
        let tell = move |remark: Remark<'_>| notify(Notice::Credentials(remark));
        Ok(Client(Arc::new(Shared {
            authorizer: Authorizer::telling(transport.clone(), self.keychain, self.exposure, tell),
            transport,
            protection: self.protection,
            hosts: self.hosts,
            schemes: Mutex::default(),
            self_mounts: Mutex::default(),
            notify: self.notify,
            warned: Mutex::default(),
            orphans: Mutex::default(),
        })))
    }
}

impl Client {
    /// Starts with the defaults.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Returns a handle to the repository of `reference`. **Requests**: none.
    pub fn repository(&self, reference: &Reference) -> Repository {
        self.open(reference.registry(), reference.name())
    }

    /// Returns a handle to a repository. **Requests**: none.
    pub fn open(&self, registry: &Registry, name: &Name) -> Repository {
        Repository::new(self.clone(), registry.clone(), name.clone())
    }

    /// Returns the URI at which a registry's API begins, `…/v2/`, as far as is known how it speaks.
    pub fn base(&self, registry: &Registry) -> Uri {
        absolute(self.scheme(registry), registry, PathAndQuery::from_static("/v2/"))
    }

    /// Asks the host of a registry for something beside its API, such as a document below `/.well-known/`, and returns
    /// whatever it answers. Nobody's credentials are shown.
    ///
    /// **Requests**: one `GET`, repeated and redirected as all are; on first contact with loopback a second one, where that
    /// speaks plain HTTP.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`], and [`Error::Protocol`] for a redirect that leads astray.
    pub async fn beside(&self, registry: &Registry, path: &'static str) -> Result<Response<Body>, Error> {
        let ask = async || {
            let mut request = Request::new(Payload::Empty);
            *request.uri_mut() = absolute(self.scheme(registry), registry, PathAndQuery::from_static(path));
            self.0.transport.send(request, &mut self.budget()).await
        };
        match ask().await {
            Err(error) if self.falls_back(registry, &error) => ask().await,
            other => other,
        }
    }

    /// Returns what the client sends its requests with, for those that no registry is asked.
    pub fn transport(&self) -> &Transport {
        &self.0.transport
    }

    /// Verifies credentials for `login`, by real requests.
    ///
    /// **Requests**: one `GET /v2/`, then what the challenge asks for.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthorized`] where the registry does not accept them.
    pub async fn prove(&self, registry: &Registry, found: &Found) -> Result<Proof, Error> {
        let first = self.0.authorizer.prove(registry, &self.base(registry), found).await;
        match first {
            Err(error) if self.falls_back(registry, &error) => {
                self.0.authorizer.prove(registry, &self.base(registry), found).await
            }
            other => other,
        }
    }

    /// Cancels the upload sessions that uploads have left open because they were dropped on their way, as happens to all
    /// others when one of several fails.
    ///
    /// **Requests**: one `DELETE` for each session; none for those that failed by themselves, which do so at once.
    /// Whether they work does not matter, and none waits longer than [`Policy::connect`](crate::transport::Policy).
    pub async fn tidy(&self) {
        let orphans = std::mem::take(&mut *self.0.orphans.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(orphans.iter().map(|orphan| orphan.cancel(self))).await;
    }

    /// Remembers an upload session for [`Client::tidy`].
    pub(super) fn leave(&self, orphan: Orphan) {
        let mut orphans = self.0.orphans.lock().unwrap_or_else(PoisonError::into_inner);
        if orphans.len() < MAX_ORPHANS {
            orphans.push(orphan);
        }
    }

    /// Returns what is known of a registry's answers to mounts from a repository into itself.
    pub(super) fn self_mounts(&self, registry: &Registry) -> SelfMounts {
        let known = self.0.self_mounts.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(registry).copied().unwrap_or_else(|| profile::self_mounts(registry))
    }

    /// Remembers what a registry has shown of that.
    pub(super) fn learn(&self, registry: &Registry, shown: SelfMounts) {
        let mut known = self.0.self_mounts.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever was caught once is not believed again.
        if known.get(registry) != Some(&SelfMounts::Ignored) {
            known.insert(registry.clone(), shown);
        }
    }

    /// Returns the hosts that are treated specially.
    pub(super) fn hosts(&self) -> &Hosts {
        &self.0.hosts
    }

    /// Tells of a mirror's failure, once for each mirror.
    pub(super) fn tell_of_mirror(&self, mirror: &Registry, error: &Error) {
        tracing::debug!(%mirror, %error, "a mirror failed");
        if self.is_news(format!("mirror {mirror}")) {
            (self.0.notify)(Notice::MirrorFailed(mirror, error));
        }
    }

    /// Returns the limits that requests keep to.
    pub(super) fn policy(&self) -> &Policy {
        self.0.transport.policy()
    }

    /// Makes a budget for one operation and everything it nests.
    pub(super) fn budget(&self) -> Budget {
        self.0.transport.budget()
    }

    /// Sends a request to `path` of a registry and returns whatever status it ends with.
    pub(super) async fn send(
        &self,
        registry: &Registry,
        mut request: Request<Payload>,
        scopes: &Scopes,
        budget: &mut Budget,
    ) -> Result<Response<Body>, Error> {
        let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        *request.uri_mut() = absolute(self.scheme(registry), registry, path.clone());
        let outcome = self.send_to(registry, request.clone(), scopes, budget).await;
        match outcome {
            Err(error) if self.falls_back(registry, &error) => {
                *request.uri_mut() = absolute(self.scheme(registry), registry, path);
                self.send_to(registry, request, scopes, budget).await
            }
            other => other,
        }
    }

    /// Sends a request to an absolute URI that the registry named.
    pub(super) async fn send_to(
        &self,
        registry: &Registry,
        request: Request<Payload>,
        scopes: &Scopes,
        budget: &mut Budget,
    ) -> Result<Response<Body>, Error> {
        let response = self.0.authorizer.send(registry, request, scopes, budget).await?;
        for text in headers::warnings(response.headers()) {
            self.warn(registry, &text);
        }
        Ok(response)
    }

    fn protection(&self, registry: &Registry) -> Protection {
        self.0.hosts.get(registry).and_then(|host| host.protection).unwrap_or(self.0.protection)
    }

    fn scheme(&self, registry: &Registry) -> Scheme {
        if self.protection(registry) == Protection::Plain {
            return Scheme::HTTP;
        }
        let schemes = self.0.schemes.lock().unwrap_or_else(PoisonError::into_inner);
        schemes.get(registry).cloned().unwrap_or(Scheme::HTTPS)
    }

    /// Decides, after a failed first contact, whether plain HTTP may be spoken, and remembers it.
    fn falls_back(&self, registry: &Registry, error: &Error) -> bool {
        let protection = self.protection(registry);
        if !speaks_plain_http(error) || !may_fall_back(protection, registry) {
            return false;
        }
        let mut schemes = self.0.schemes.lock().unwrap_or_else(PoisonError::into_inner);
        let first = schemes.insert(registry.clone(), Scheme::HTTP).is_none();
        drop(schemes);
        if first && protection == Protection::Unverified {
            (self.0.notify)(Notice::FellBackToPlainHttp(registry));
        }
        true
    }

    /// Passes a warning on, once for each registry and text.
    fn warn(&self, registry: &Registry, text: &str) {
        let text = excerpt(text);
        if self.is_news(format!("{registry} {text}")) {
            (self.0.notify)(Notice::Warning(registry, &text));
        }
    }

    /// Says whether something has not been told yet, and remembers that it is now.
    fn is_news(&self, text: String) -> bool {
        let mut warned = self.0.warned.lock().unwrap_or_else(PoisonError::into_inner);
        warned.len() < MAX_WARNINGS && warned.insert(text)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({:?})", self.0.protection)
    }
}

fn absolute(scheme: Scheme, registry: &Registry, path: PathAndQuery) -> Uri {
    let authority = Authority::try_from(registry.api_host()).expect("Registry was parsed as host and port");
    let builder = Uri::builder().scheme(scheme).authority(authority).path_and_query(path);
    builder.build().expect("scheme, authority and path make a URI")
}

/// Says whether the bytes that answered the TLS handshake were plain HTTP: a reset, a timeout or an alert are not.
fn speaks_plain_http(error: &Error) -> bool {
    matches!(error, Error::Unreachable(failure) if matches!(**failure, Unreachable { kind: UnreachableKind::PlainHttp, .. }))
}

fn may_fall_back(protection: Protection, registry: &Registry) -> bool {
    match protection {
        Protection::Verified => registry.is_loopback(),
        Protection::Unverified => true,
        Protection::Plain => false,
    }
}

/// How many sessions are remembered: registries forget the others by themselves, sooner or later.
const MAX_ORPHANS: usize = 256;
/// How many different warnings are shown; a registry that sends more is not worth listening to.
const MAX_WARNINGS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_falls_back_unasked() {
        let public: Registry = "ghcr.io".parse().expect("a registry");
        let local: Registry = "127.0.0.1:5000".parse().expect("a registry");
        for (protection, registry, allowed) in [
            (Protection::Verified, &public, false),
            (Protection::Verified, &local, true),
            (Protection::Unverified, &public, true),
            (Protection::Unverified, &local, true),
            (Protection::Plain, &local, false),
        ] {
            assert_eq!(may_fall_back(protection, registry), allowed, "{protection:?} {registry}");
        }
    }

    #[test]
    fn addresses_are_put_together_from_the_api_host() {
        for (registry, uri) in [
            ("docker.io", "https://registry-1.docker.io/v2/"),
            ("localhost:5000", "https://localhost:5000/v2/"),
            ("[::1]:5000", "https://[::1]:5000/v2/"),
        ] {
            let registry = registry.parse().expect("a registry");
            assert_eq!(absolute(Scheme::HTTPS, &registry, PathAndQuery::from_static("/v2/")), uri);
        }
    }
}
