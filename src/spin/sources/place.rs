//! From the name of a package to where it is kept: pure, so that a table can test it.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::super::dependency_name::PackageName;
use super::config::{Access, Mapping, PackageConfig, Settings};
use super::metadata::{Metadata, OCI};
use crate::model::{Name, Registry, excerpt};

/// The repository of a package.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Storage {
    /// The OCI registry.
    pub registry: Registry,
    /// The repository; its tags are versions.
    pub name: Name,
    /// How the configuration file says it is reached.
    pub access: Access,
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.name.as_str())
    }
}

/// Why nobody can say where a package is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misplaced {
    /// Neither the manifest nor the configuration names a registry.
    #[error("no registry is known for the namespace `{0}`")]
    NoRegistry(String),
    /// The registry is one of another kind.
    #[error("{}: this tool asks registries by `oci`{}", said(registry, protocol, file.as_deref()), retired(protocol))]
    Protocol {
        /// The registry.
        registry: Registry,
        /// The protocol.
        protocol: String,
        /// The configuration that says so; without one, the registry says it of itself.
        file: Option<PathBuf>,
    },
    /// The configuration says that packages are in a directory, and not in which.
    #[error("the configuration says that `{0}` is a directory, and not which: `root` is missing")]
    NoRoot(Registry),
    /// The prefix and the package make no name of a repository.
    #[error("`{text}` is no name of a repository, and that is what `{registry}` makes of the package")]
    Name {
        /// The registry.
        registry: Registry,
        /// What should have been a name.
        text: String,
    },
    /// A registry that sends us into the network around us.
    #[error("`{from}` says that its packages are at `{to}`, which is an address inside")]
    Inside {
        /// Who says so.
        from: Registry,
        /// Where it would send us.
        to: Registry,
    },
}

/// Says who says that a registry is asked by a protocol.
fn said(registry: &Registry, protocol: &str, file: Option<&Path>) -> String {
    let protocol = excerpt(protocol);
    match file {
        Some(file) => {
            format!("`[registry.\"{registry}\"]` in `{}` names the protocol `{protocol}`", file.display())
        }
        None => format!("the registry `{registry}` says that it is asked by the protocol `{protocol}`"),
    }
}

fn retired(protocol: &str) -> &'static str {
    if protocol == "warg" { ", and nobody runs registries of the protocol `warg` any more" } else { "" }
}

/// The registry of a package, by the configuration alone.
#[derive(Clone, Debug)]
pub(in crate::spin) struct Home<'c> {
    /// What it is called.
    pub(super) registry: Registry,
    /// What the user says about it.
    custom: Option<&'c Metadata>,
    settings: Option<&'c Settings>,
}

impl PackageConfig {
    /// Finds the registry of a package: the one that the manifest names; else that of the package, of its namespace, of
    /// everything, and at last what is known without any configuration.
    pub(in crate::spin) fn home(
        &self,
        registry: Option<&Registry>,
        package: &PackageName,
    ) -> Result<Home<'_>, Misplaced> {
        let mapping = || self.packages.get(package).or_else(|| self.namespaces.get(package.namespace()));
        let (registry, custom) = match (registry, registry.map_or_else(mapping, |_| None)) {
            (Some(registry), _) | (None, Some(Mapping::Registry(registry))) => (registry.clone(), None),
            (None, Some(Mapping::Custom(registry, metadata))) => (registry.clone(), Some(metadata)),
            (None, None) => {
                let known = || KNOWN.iter().find(|(namespace, _)| *namespace == package.namespace());
                let known = || known().map(|(_, registry)| registry.parse().expect("a host name"));
                let found = self.default_registry.clone().or_else(known);
                (found.ok_or_else(|| Misplaced::NoRegistry(package.namespace().to_owned()))?, None)
            }
        };
        let settings = self.registries.get(&registry);
        let stated = settings.and_then(|settings| settings.protocol.clone());
        match stated.filter(|protocol| ![OCI, LOCAL].contains(&protocol.as_str())) {
            Some(protocol) => Err(Misplaced::Protocol { registry, protocol, file: self.file.clone() }),
            None => Ok(Home { registry, custom, settings }),
        }
    }
}

impl Home<'_> {
    /// Returns the directory, where the user has said that the registry is one.
    pub(super) fn directory(&self) -> Option<Result<PathBuf, Misplaced>> {
        let settings = self.settings.filter(|settings| settings.protocol.as_deref() == Some(LOCAL))?;
        Some(settings.root.clone().ok_or_else(|| Misplaced::NoRoot(self.registry.clone())))
    }

    /// Says how the registry is reached, as far as the configuration says so.
    pub(super) fn access(&self) -> Access {
        self.settings.map(|settings| settings.access.clone()).unwrap_or_default()
    }

    /// Says whether the registry has to be asked about itself.
    pub(super) fn speaks_for_itself(&self) -> bool {
        self.custom.is_none()
    }

    /// Finds the repository of a package, by what the registry says about itself.
    ///
    /// What the configuration says of a registry, its password above all, holds where the user has named the host of the
    /// repository: not where only the registry does.
    pub(in crate::spin) fn storage(&self, package: &PackageName, said: &Metadata) -> Result<Storage, Misplaced> {
        let said = self.custom.unwrap_or(said);
        let stated = self.settings.and_then(|settings| settings.protocol.as_deref());
        match stated.or(said.protocol()).unwrap_or(OCI) {
            OCI => {}
            protocol => {
                let (registry, protocol) = (self.registry.clone(), protocol.to_owned());
                return Err(Misplaced::Protocol { registry, protocol, file: None });
            }
        }
        let registry = said.registry.as_ref().unwrap_or(&self.registry);
        let by_user = self.custom.is_some() || *registry == self.registry;
        if !by_user && is_inside(registry) && !is_inside(&self.registry) {
            return Err(Misplaced::Inside { from: self.registry.clone(), to: registry.clone() });
        }
        let prefix = said.prefix.as_deref().unwrap_or_default();
        let text = format!("{prefix}{}/{}", package.namespace(), package.name());
        let name = text.parse().map_err(|_| Misplaced::Name {
            registry: self.registry.clone(),
            text: text.chars().take(Name::MAX).collect(),
        })?;
        let access = if by_user { self.access() } else { Access::default() };
        Ok(Storage { registry: registry.clone(), name, access })
    }
}

/// Says whether a name is that of this computer, or an address that means something only inside a network.
fn is_inside(registry: &Registry) -> bool {
    registry.is_loopback()
        || match registry.host().parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(IpAddr::V4(v4)) => v4.is_private() || v4.is_link_local() || v4.is_unspecified(),
            Ok(IpAddr::V6(v6)) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified(),
            Err(_) => false,
        }
}

/// The protocol of registries that are directories.
const LOCAL: &str = "local";
/// What is known without any configuration.
const KNOWN: [(&str, &str); 2] = [("wasi", "wasi.dev"), ("ba", "bytecodealliance.org")];

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> PackageConfig {
        let text = r#"
            default_registry = "default.example"
            [namespace_registries]
            spaced = "spaces.example"
            mine = { registry = "mine", metadata = { oci = { registry = "10.0.0.1:5000", namespacePrefix = "p/q/" } } }
            [package_registry_overrides]
            "spaced:special" = "special.example"
            [registry."mine".oci]
            auth = { username = "mine", password = "***" }
            [registry."moved.example".oci]
            auth = { username = "moved", password = "***" }
            [registry."stays.example".oci]
            auth = { username = "stays", password = "***" }
            [registry."disk.example".local]
            root = "/srv"
            [registry."nowhere.example"]
            type = "local"
            [registry."warg.example".warg]
            config_file = "x"
        "#;
        let config = PackageConfig::parse(text).expect("a configuration");
        PackageConfig { file: Some("/c/config.toml".into()), ..config }
    }

    fn package(text: &str) -> PackageName {
        text.parse().expect(text)
    }

    #[test]
    fn the_nearest_word_about_a_package_counts() {
        let (config, nothing) = (config(), PackageConfig::default());
        for (config, registry, name, expected) in [
            (&config, Some("said.example"), "spaced:special", Ok("said.example")),
            (&config, None, "spaced:special", Ok("special.example")),
            (&config, None, "spaced:other", Ok("spaces.example")),
            (&config, None, "mine:x", Ok("mine")),
            (&config, None, "wasi:http", Ok("default.example")),
            (&nothing, None, "wasi:http", Ok("wasi.dev")),
            (&nothing, None, "ba:x", Ok("bytecodealliance.org")),
            (&nothing, None, "other:x", Err(Misplaced::NoRegistry("other".to_owned()))),
            (&nothing, Some("said.example"), "other:x", Ok("said.example")),
        ] {
            let registry = registry.map(|text| text.parse().expect(text));
            let home = config.home(registry.as_ref(), &package(name));
            let found = home.as_ref().map(|home| home.registry.as_str()).map_err(Clone::clone);
            assert_eq!(found, expected, "{name} of {registry:?}");
        }
    }

    #[test]
    fn repositories_follow_from_what_a_registry_says() {
        let config = config();
        for (registry, name, said, expected) in [
            ("r.example", "a:b", "{}", Ok(("r.example/a/b", None))),
            ("r.example:5000", "a-a:b-b", "{}", Ok(("r.example:5000/a-a/b-b", None))),
            (
                "r.example",
                "a:b",
                r#"{"oci":{"registry":"ghcr.io","namespacePrefix":"wasm/"}}"#,
                Ok(("ghcr.io/wasm/a/b", None)),
            ),
            ("r.example", "a:b", r#"{"oci":{"namespacePrefix":"wasm-"}}"#, Ok(("r.example/wasm-a/b", None))),
            ("stays.example", "a:b", r#"{"oci":{"namespacePrefix":"x/"}}"#, Ok(("stays.example/x/a/b", Some("stays")))),
            (
                "stays.example",
                "a:b",
                r#"{"oci":{"registry":"stays.example"}}"#,
                Ok(("stays.example/a/b", Some("stays"))),
            ),
            // Nobody but the user says where a password goes.
            ("moved.example", "a:b", r#"{"oci":{"registry":"evil.example"}}"#, Ok(("evil.example/a/b", None))),
            ("mine", "mine:b", "{}", Ok(("10.0.0.1:5000/p/q/mine/b", Some("mine")))),
            ("r.example", "a:b", r#"{"preferredProtocol":"warg"}"#, Err("by the protocol `warg`")),
            (
                "r.example",
                "a:b",
                r#"{"preferredProtocol":"local"}"#,
                Err(
                    "the registry `r.example` says that it is asked by the protocol `local`: this tool asks registries by `oci`",
                ),
            ),
            (
                "warg.example",
                "a:b",
                "{}",
                Err("`[registry.\"warg.example\"]` in `/c/config.toml` names the protocol `warg`: this tool asks"),
            ),
            // What the user says goes before.
            ("stays.example", "a:b", r#"{"preferredProtocol":"warg"}"#, Ok(("stays.example/a/b", Some("stays")))),
            ("r.example", "a:b", r#"{"oci":{"namespacePrefix":"../"}}"#, Err("`../a/b` is no name of a repository")),
            ("r.example", "a:b", r#"{"oci":{"namespacePrefix":"UP/"}}"#, Err("`UP/a/b` is no name of a repository")),
            ("r.example", "a:b", r#"{"oci":{"registry":"127.0.0.1:5000"}}"#, Err("which is an address inside")),
            ("r.example", "a:b", r#"{"oci":{"registry":"localhost"}}"#, Err("which is an address inside")),
            ("r.example", "a:b", r#"{"oci":{"registry":"169.254.169.254"}}"#, Err("which is an address inside")),
            ("r.example", "a:b", r#"{"oci":{"registry":"[fd00::1]"}}"#, Err("which is an address inside")),
            ("r.example", "a:b", r#"{"oci":{"registry":"[::ffff:10.0.0.1]"}}"#, Err("which is an address inside")),
            ("127.0.0.1:1", "a:b", r#"{"oci":{"registry":"127.0.0.1:2"}}"#, Ok(("127.0.0.1:2/a/b", None))),
        ] {
            let registry: Registry = registry.parse().expect(registry);
            let name = package(name);
            let mapped = config.namespaces.contains_key(name.namespace());
            let metadata = Metadata::parse(said.as_bytes()).expect(said);
            let home = config.home(Some(&registry).filter(|_| !mapped), &name);
            let found = home.and_then(|home| home.storage(&name, &metadata));
            match (&found, expected) {
                (Ok(storage), Ok((reference, user))) => {
                    assert_eq!(storage.to_string(), reference, "{said}");
                    let login = storage.access.login.as_ref();
                    assert_eq!(login.map(|login| login.username.as_str()), user, "{said}");
                }
                (Err(error), Err(said)) => assert!(error.to_string().contains(said), "{error}"),
                _ => panic!("{registry} {said}: {found:?}"),
            }
        }
    }

    #[test]
    fn directories_are_what_the_user_says() {
        let config = config();
        for (registry, expected) in [
            ("disk.example", Some(Ok(PathBuf::from("/srv")))),
            ("nowhere.example", Some(Err(Misplaced::NoRoot("nowhere.example".parse().expect("a registry"))))),
            ("r.example", None),
        ] {
            let registry: Registry = registry.parse().expect(registry);
            let name = package("a:b");
            let home = config.home(Some(&registry), &name).expect("a registry");
            assert_eq!(home.directory(), expected);
            assert!(home.speaks_for_itself());
        }
        assert!(!config.home(None, &package("mine:x")).expect("a registry").speaks_for_itself());
    }
}
