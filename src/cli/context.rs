//! What the flags and the environment come to, worked out once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::certificates;
use super::config::Config;
use super::failure::Problem;
use super::log;
use super::misuse::Misuse;
use super::options::{Connection, Global};
use super::output;
use super::server::Scheme;
use super::status::Voice;
use crate::auth::{Exposure, Keychain, Remark};
use crate::model::Registry;
use crate::registry::{Client, Hosts, Notice, Protection};
use crate::transport::{Identity, Options, Protocol};

/// What all commands share.
pub(super) struct Context {
    /// Whether only the result is wanted.
    pub(super) quiet: bool,
    /// Whether no connection may be made.
    pub(super) offline: bool,
    /// How much is said while it runs.
    pub(super) voice: Voice,
}

impl Context {
    /// Makes sense of the flags, and begins to log where that is wanted.
    pub(super) fn new(global: &Global) -> Result<Self, Problem> {
        let level = global.log.as_deref().filter(|level| !level.is_empty());
        if let Some(level) = level {
            log::start(level)?;
        }
        if global.offline {
            OFFLINE.store(true, Ordering::Relaxed);
        }
        Ok(Self { quiet: global.quiet, offline: global.offline, voice: Voice::choose(global.quiet, level.is_some()) })
    }

    /// Says something that must be known where no progress is told.
    pub(super) fn warn(&self, text: &str) {
        output::remark(&format!("warning: {text}"));
    }

    /// Makes the client for a command that is about `registry`. `warn` is told what people should know; it must not
    /// block.
    ///
    /// # Errors
    ///
    /// Where the configuration file or a certificate file cannot be used.
    pub(super) fn client(
        registry: &Registry,
        connection: &Connection,
        scheme: Scheme,
        keychain: Arc<dyn Keychain>,
        warn: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Client, Problem> {
        let Ways { options, hosts, protection, exposure } = Ways::towards(registry, connection, scheme, &warn)?;
        let notify = move |notice: Notice<'_>| match notice {
            Notice::FellBackToPlainHttp(registry) => {
                warn(&format!(
                    "`{registry}` speaks plain HTTP, and so do we, since certificates are not verified there: nothing is encrypted"
                ));
            }
            Notice::MirrorFailed(mirror, error) => {
                warn(&format!("the mirror `{mirror}` failed, so the registry itself is asked: {error}"));
            }
            Notice::Warning(registry, text) => warn(&format!("`{registry}` says: {text}")),
            Notice::Credentials(Remark::HelperFailed { registry, failure }) => {
                warn(&format!("{failure}; going on without credentials for `{registry}`"));
            }
            Notice::Credentials(Remark::CredentialsRefused { registry, tried }) => {
                warn(&format!("`{registry}` {tried}, and gives this to anybody: going on without credentials"));
            }
        };
        let builder = Client::builder().transport(options).keychain(keychain).exposure(exposure);
        Ok(builder.protection(protection).hosts(hosts).notify(notify).build()?)
    }
}

/// How registries are reached.
pub(super) struct Ways {
    /// What holds for all hosts.
    pub(super) options: Options,
    /// What holds for some.
    pub(super) hosts: Hosts,
    /// How connections are protected where nothing else is said of a host.
    pub(super) protection: Protection,
    /// Whether credentials may be read on the way.
    pub(super) exposure: Exposure,
}

impl Ways {
    /// Puts together how `registry` is reached: what the flags say goes before what the configuration file says, and that
    /// before docker's `certs.d`.
    ///
    /// # Errors
    ///
    /// [`Misuse::Offline`]; where the configuration file or a certificate file cannot be used.
    pub(super) fn towards(
        registry: &Registry,
        connection: &Connection,
        scheme: Scheme,
        warn: &dyn Fn(&str),
    ) -> Result<Self, Problem> {
        if OFFLINE.load(Ordering::Relaxed) {
            return Err(Misuse::Offline(Box::new(registry.clone())).into());
        }
        let protection = match (scheme, connection.plain_http, connection.insecure) {
            (Scheme::Http, ..) | (_, true, _) => Protection::Plain,
            (_, false, true) => Protection::Unverified,
            (_, false, false) => Protection::Verified,
        };
        let exposure = if connection.insecure_credentials { Exposure::Allowed } else { Exposure::Guarded };
        let Config { ca_files, policy, mut hosts, .. } = Config::read()?;
        certificates::complete(&mut hosts, registry, warn);
        if protection == Protection::Plain && hosts.get(registry).is_some() {
            hosts.entry(registry).protection = Some(protection);
        }
        if !connection.authorities.is_empty() {
            hosts.entry(registry).ca_texts.extend_from_slice(&connection.authorities);
        }
        if let (Some(certificate), Some(key)) = (connection.cert.clone(), connection.key.clone()) {
            hosts.entry(registry).identity = Some(Identity { certificate, key });
        }
        let mut options = Options { policy, ..Options::default() };
        if let Some(fault) = options.proxies.fault() {
            return Err(Misuse::Proxy(Box::new(fault.clone())).into());
        }
        options.tls.ca_files = [&ca_files[..], &connection.ca_file].concat();
        if connection.http1 {
            options.protocol = Protocol::Http1Only;
        }
        Ok(Self { options, hosts, protection, exposure })
    }
}

/// Whether this process may not connect. It is a promise of the whole process, kept where all ways to registries begin, so
/// that no command can forget it.
static OFFLINE: AtomicBool = AtomicBool::new(false);
