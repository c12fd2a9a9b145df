//! Registries that are to be treated specially, as data.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use http::uri::Authority;

use super::{Protection, Uploads};
use crate::model::{Name, ParseError, Registry};
use crate::transport::{HostOptions, Identity, Protocol, TlsOptions, Verification};

/// How one host is treated, where that differs from all others. The default changes nothing.
///
/// The host is mostly a registry; a token service or a storage host that a registry sends us to has what concerns
/// connections from here, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostConfig {
    /// How connections are protected; `None` is as for all others.
    pub protection: Option<Protection>,
    /// PEM files with authorities, or directories of them, that are trusted there besides those that are everywhere.
    pub ca_files: Vec<PathBuf>,
    /// PEM texts with authorities that are trusted there as well.
    pub ca_texts: Vec<String>,
    /// The certificate that is shown there and nowhere else.
    pub identity: Option<Identity>,
    /// Which versions of HTTP are offered; `None` is as for all others.
    pub protocol: Option<Protocol>,
    /// Sends blobs in chunks of so many bytes; see [`Uploads::chunk`].
    pub chunk: Option<NonZeroU64>,
    /// How many blobs go up, and how many come down, at a time; `None` is as for all others.
    pub concurrency: Option<NonZeroUsize>,
    /// Where to pull from instead.
    pub mirror: Option<Mirror>,
    /// The address to connect to, as curl's `--connect-to`; see [`HostOptions::connect`].
    pub connect: Option<SocketAddr>,
}

/// Another registry that has what a registry has.
///
/// It serves pulls and lists alone; whatever changes something goes to the registry itself, and what is read for that, too. It gets its own credentials and never those of the registry
/// it stands for. What it answers for a digest has to have that digest; for what a tag means its word is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Its name.
    pub registry: Registry,
    /// What stands before the names of repositories there: with `hub`, `library/app` is `hub/library/app`.
    pub prefix: Option<Name>,
    /// What it is to the registry.
    pub mode: MirrorMode,
}

impl Mirror {
    /// Returns the name that a repository has there.
    ///
    /// # Errors
    ///
    /// Together with the prefix it is longer than [`Name::MAX`].
    pub fn name(&self, name: &Name) -> Result<Name, ParseError> {
        self.prefix.as_ref().map_or_else(|| Ok(name.clone()), |prefix| format!("{prefix}/{name}").parse())
    }
}

/// What a mirror is to its registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MirrorMode {
    /// It is asked first. What it does not have, or fails to deliver, the registry itself is asked for.
    #[default]
    Fallback,
    /// It is asked alone: the registry itself never sees a pull.
    Replace,
}

/// The hosts that are treated specially.
///
/// A host by itself is meant at the usual port of either scheme, a host and a port there alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(BTreeMap<Registry, HostConfig>);

impl Hosts {
    /// Treats no host specially.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how a host is treated; `None` is like all others.
    pub fn get(&self, host: &Registry) -> Option<&HostConfig> {
        self.0.get(host)
    }

    /// Returns how a host is treated, to be changed.
    pub fn entry(&mut self, host: &Registry) -> &mut HostConfig {
        self.0.entry(host.clone()).or_default()
    }

    /// Returns the hosts that are treated specially, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&Registry, &HostConfig)> {
        self.0.iter()
    }

    /// Returns how blobs go up to a registry.
    pub(super) fn uploads(&self, registry: &Registry) -> Uploads {
        let chunk = self.get(registry).and_then(|host| host.chunk);
        chunk.map_or_else(Uploads::default, |bytes| Uploads::default().in_chunks_of(bytes))
    }

    /// Returns what concerns connections, beside what holds for all hosts.
    pub(crate) fn connections(&self, tls: &TlsOptions) -> HashMap<Authority, HostOptions> {
        let options = |(host, config): (&Registry, &HostConfig)| {
            let authority = Authority::try_from(host.api_host()).expect("Registry was parsed as host and port");
            (authority, config.connection(tls))
        };
        self.iter().map(options).collect()
    }
}

impl FromIterator<(Registry, HostConfig)> for Hosts {
    fn from_iter<I: IntoIterator<Item = (Registry, HostConfig)>>(hosts: I) -> Self {
        Self(hosts.into_iter().collect())
    }
}

impl HostConfig {
    fn connection(&self, all: &TlsOptions) -> HostOptions {
        let is_unverified = self.protection == Some(Protection::Unverified);
        let has_authorities = !self.ca_files.is_empty() || !self.ca_texts.is_empty();
        let is_special = is_unverified || self.identity.is_some() || has_authorities;
        let tls = is_special.then(|| {
            let mut tls = all.clone();
            tls.ca_files.extend(self.ca_files.iter().cloned());
            tls.ca_texts.extend(self.ca_texts.iter().cloned());
            tls.identity = self.identity.clone().or(tls.identity);
            if is_unverified {
                tls.verification = Verification::None;
            }
            tls
        });
        HostOptions { connect: self.connect, tls, protocol: self.protocol, concurrency: self.concurrency }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_stand_before_names() {
        let name: Name = "library/app".parse().expect("a name");
        let long: Name = "x".repeat(Name::MAX).parse().expect("a name");
        let mirror = |prefix: Option<&str>| Mirror {
            registry: "mirror.example".parse().expect("a registry"),
            prefix: prefix.map(|prefix| prefix.parse().expect(prefix)),
            mode: MirrorMode::default(),
        };
        for (prefix, name, expected) in [
            (None, &name, Some("library/app")),
            (Some("hub"), &name, Some("hub/library/app")),
            (Some("a/b"), &name, Some("a/b/library/app")),
            (Some("hub"), &long, None),
        ] {
            let there = mirror(prefix).name(name).ok();
            assert_eq!(there.as_ref().map(Name::as_str), expected);
        }
    }

    #[test]
    fn what_is_special_adds_to_what_holds_for_all() {
        let all = TlsOptions { ca_files: vec!["all.pem".into()], ..TlsOptions::default() };
        let mut hosts = Hosts::new();
        let hub: Registry = "docker.io".parse().expect("a registry");
        hosts.entry(&hub).ca_files.push("hub.pem".into());
        let plain: Registry = "r.example:5000".parse().expect("a registry");
        hosts.entry(&plain).concurrency = NonZeroUsize::new(2);
        let connections = hosts.connections(&all);
        let own = connections[&Authority::from_static("registry-1.docker.io")].tls.as_ref().expect("its own");
        assert_eq!(own.ca_files, ["all.pem", "hub.pem"].map(PathBuf::from));
        let other = &connections[&Authority::from_static("r.example:5000")];
        assert!(other.tls.is_none() && other.concurrency == NonZeroUsize::new(2));
    }
}
