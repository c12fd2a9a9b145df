//! The configuration file that all tools for WebAssembly packages share: which registry has which packages.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::super::dependency_name::PackageName;
use super::super::document::{Dates, Flaw, Item, Table, Text, parse};
use super::super::error::{Error, Problem};
use super::super::source;
use super::Metadata;
use crate::disk;
use crate::model::Registry;

/// What `wasm-pkg/config.toml` says: which registry has the packages of which namespace, and how each is reached. By
/// default, what holds without a file.
///
/// Keys that are not known are left alone: the file is for many tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageConfig {
    /// Where it was read from, for errors that are about it.
    pub(super) file: Option<PathBuf>,
    pub(super) default_registry: Option<Registry>,
    pub(super) namespaces: BTreeMap<String, Mapping>,
    pub(super) packages: BTreeMap<PackageName, Mapping>,
    pub(super) registries: BTreeMap<Registry, Settings>,
}

/// Where packages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mapping {
    /// At a registry, which says more about itself.
    Registry(Registry),
    /// Where the file says; the registry is but a name.
    Custom(Registry, Metadata),
}

/// How a registry is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// The protocol, where the file says it, or has something to say about only one.
    pub(super) protocol: Option<String>,
    pub(super) access: Access,
    /// The directory of a registry that is one.
    pub(super) root: Option<PathBuf>,
}

/// How an OCI registry is reached, as far as the file says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// Who we are there.
    pub login: Option<Login>,
    /// Whether plain HTTP is spoken.
    pub plain_http: bool,
    /// Whether its certificate is not verified.
    pub unverified: bool,
    /// Certificates of authorities, as PEM, that are trusted there besides all others.
    pub authorities: Vec<String>,
}

/// A user and a password. The password does not print.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Login {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({:?}, ***)", self.username)
    }
}

impl PackageConfig {
    /// Returns where the file is, by what the environment says: `None` where that says too little.
    ///
    /// `$XDG_CONFIG_HOME/wasm-pkg/config.toml` (if absolute), else `$HOME/.config/wasm-pkg/config.toml`, also on macOS;
    /// on Windows `%APPDATA%\wasm-pkg\config.toml`.
    pub fn default_path(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let directory = if cfg!(windows) {
            path("APPDATA")?
        } else {
            let stated = path("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
            stated.or_else(|| Some(path("HOME")?.join(".config")))?
        };
        Some(directory.join("wasm-pkg").join("config.toml"))
    }

    /// Reads the file; one that is not there says nothing. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Manifest`] with the place of what makes no sense; [`Error::Transfer`] where it cannot be read.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let Some(bytes) = disk::read_bounded(file, MAX_CONFIG)? else { return Ok(Self::default()) };
        let text = Text { file: file.to_owned(), text: String::from_utf8_lossy(&bytes).into_owned() };
        let config = Self::parse(&text.text).map_err(|flaw| match text.blame(flaw) {
            // The line itself is not shown: it may have a password.
            Error::Manifest(mut fault) => {
                fault.line = None;
                Error::Manifest(fault)
            }
            other => other,
        })?;
        Ok(Self { file: Some(text.file), ..config })
    }

    pub(in crate::spin) fn parse(text: &str) -> Result<Self, Flaw> {
        let mut top = parse(text)?;
        let default_registry = top.take("default_registry").map(registry).transpose()?;
        let mut config = Self { default_registry, ..Self::default() };
        for (name, item) in top.table("namespace_registries")? {
            config.namespaces.insert(name.into_inner(), mapping(item)?);
        }
        for (name, item) in top.table("package_registry_overrides")? {
            config.packages.insert(source::package(name)?, mapping(item)?);
        }
        for (name, item) in top.table("registry")? {
            config.registries.insert(source::registry(name)?, settings(item.table()?)?);
        }
        Ok(config)
    }
}

fn registry(item: Item<'_>) -> Result<Registry, Flaw> {
    source::registry(item.text()?)
}

fn mapping(item: Item<'_>) -> Result<Mapping, Flaw> {
    if item.is_text() {
        return registry(item).map(Mapping::Registry);
    }
    if !item.is_table() {
        return Err(item.wrong("a registry, or `{ registry, metadata }`"));
    }
    let mut table = item.table()?;
    let registry = registry(table.need("registry")?)?;
    let metadata = table.need("metadata")?;
    let span = metadata.span();
    let document = metadata.table()?.into_json(Dates::Text)?;
    let metadata = Metadata::read(&document).map_err(|expected| {
        let value = serde_json::to_string(&document).expect("it came from a document");
        Flaw::at(span, Problem::Invalid { what: "metadata", value, expected })
    })?;
    Ok(Mapping::Custom(registry, metadata))
}

fn settings(mut table: Table<'_>) -> Result<Settings, Flaw> {
    let mut settings = Settings::default();
    let said = table.take("default").or_else(|| table.take("type"));
    settings.protocol = said.map(|item| item.text().map(|text| text.into_inner())).transpose()?;
    let mut protocols = Vec::new();
    for (name, item) in table.into_entries().into_iter().filter(|(_, item)| item.is_table()) {
        let (name, mut of_protocol) = (name.into_inner(), item.table()?);
        match name.as_str() {
            "oci" => settings.access = access(&mut of_protocol)?,
            "local" => settings.root = Some(of_protocol.need("root")?.text()?.into_inner().into()),
            _ => {}
        }
        protocols.push(name);
    }
    if let (None, [only]) = (&settings.protocol, protocols.as_slice()) {
        settings.protocol = Some(only.clone());
    }
    Ok(settings)
}

fn access(table: &mut Table<'_>) -> Result<Access, Flaw> {
    let login = table.take("auth").map(login).transpose()?;
    let plain_http = match table.take("protocol").map(Item::text).transpose()? {
        None => false,
        Some(text) if text.get_ref() == "https" => false,
        Some(text) if text.get_ref() == "http" => true,
        Some(text) => {
            let (value, expected) = (text.get_ref().clone(), "`http` or `https`");
            return Err(Flaw::at(text.span(), Problem::Invalid { what: "protocol", value, expected }));
        }
    };
    let unverified = table.take("accept_invalid_certificates").map_or(Ok(false), Item::boolean)?;
    let authorities = table.take("extra_root_certificates").map_or_else(|| Ok(Vec::new()), Item::array)?;
    let authorities = authorities.into_iter().map(authority).collect::<Result<_, _>>()?;
    Ok(Access { login, plain_http, unverified, authorities })
}

/// Reads the certificate of an authority: `{ encoding, data }`, as other tools write it.
fn authority(item: Item<'_>) -> Result<String, Flaw> {
    if !item.is_table() {
        return Err(item.wrong("`{ encoding = \"pem\", data }`"));
    }
    let mut table = item.table()?;
    let encoding = table.need("encoding")?.text()?;
    if encoding.get_ref() != "pem" {
        // Bytes that are no text cannot stand in a text, so `der` has never worked anywhere.
        let (value, expected) = (encoding.get_ref().clone(), "`pem`, which is text");
        return Err(Flaw::at(encoding.span(), Problem::Invalid { what: "encoding", value, expected }));
    }
    let data = table.need("data")?.text()?;
    if !data.get_ref().contains("-----BEGIN CERTIFICATE-----") {
        let (value, expected) =
            (data.get_ref().clone(), "a certificate as PEM, from its `-----BEGIN CERTIFICATE-----` on");
        return Err(Flaw::at(data.span(), Problem::Invalid { what: "`data`", value, expected }));
    }
    Ok(data.into_inner())
}

/// Reads who we are: two keys, or `user:password` in Base64. What is wrong with it is not repeated.
fn login(item: Item<'_>) -> Result<Login, Flaw> {
    let span = item.span();
    if item.is_text() {
        let text = item.text()?.into_inner();
        let plain = BASE64.decode(text.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = plain.as_ref().and_then(|plain| plain.split_once(':'));
        let expected = "a user, a `:` and a password in Base64";
        let flaw = Flaw::at(span, Problem::Invalid { what: "`auth`", value: "***".to_owned(), expected });
        let (username, password) = pair.ok_or(flaw)?;
        return Ok(Login { username: username.to_owned(), password: password.to_owned() });
    }
    let mut table = item.table()?;
    let username = table.need("username")?.text()?.into_inner();
    Ok(Login { username, password: table.need("password")?.text()?.into_inner() })
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How long the file may be, in bytes: people write it.
const MAX_CONFIG: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PackageConfig, String> {
        let blame = |flaw| Text { file: "config.toml".into(), text: text.to_owned() }.blame(flaw).to_string();
        PackageConfig::parse(text).map_err(blame)
    }

    #[test]
    fn every_key_is_understood() {
        let config = read(
            r#"
            default_registry = "acme.registry.com"
            [namespace_registries]
            wasi = "wasi.dev"
            here = { registry = "here", metadata = { preferredProtocol = "oci", oci = { registry = "ghcr.io", namespacePrefix = "wasm/" } } }
            [package_registry_overrides]
            "example:foo" = "example.com:5000"
            [registry."acme.registry.com"]
            default = "oci"
            [registry."acme.registry.com".warg]
            config_file = "/a/path"
            [registry."acme.registry.com".oci]
            auth = { username = "open", password = "sesame" }
            protocol = "http"
            extra_root_certificates = []
            [registry."wasi.dev".oci]
            auth = "cGluZzpwb25n"
            accept_invalid_certificates = true
            extra_root_certificates = [{ encoding = "pem", data = "-----BEGIN CERTIFICATE-----\n" }]
            [registry."disk.lan".local]
            root = "/srv/packages"
            [unknown]
            key = 1
            "#,
        );
        let config = config.expect("a configuration");
        let registry = |text: &str| text.parse::<Registry>().expect(text);
        assert_eq!(config.default_registry, Some(registry("acme.registry.com")));
        assert_eq!(config.namespaces["wasi"], Mapping::Registry(registry("wasi.dev")));
        let Mapping::Custom(name, metadata) = &config.namespaces["here"] else { panic!("{config:?}") };
        assert_eq!((name.as_str(), metadata.protocol()), ("here", Some("oci")));
        assert_eq!(
            (metadata.registry.as_ref(), metadata.prefix.as_deref()),
            (Some(&registry("ghcr.io")), Some("wasm/"))
        );
        let foo: PackageName = "example:foo".parse().expect("a name");
        assert_eq!(config.packages[&foo], Mapping::Registry(registry("example.com:5000")));

        let acme = &config.registries[&registry("acme.registry.com")];
        assert_eq!(acme.protocol.as_deref(), Some("oci"));
        let login = |username: &str, password: &str| {
            Some(Login { username: username.to_owned(), password: password.to_owned() })
        };
        let open = Access { login: login("open", "sesame"), plain_http: true, ..Access::default() };
        assert_eq!(acme.access, open);
        let wasi = &config.registries[&registry("wasi.dev")];
        let authorities = vec!["-----BEGIN CERTIFICATE-----\n".to_owned()];
        let ping = Access { login: login("ping", "pong"), plain_http: false, unverified: true, authorities };
        assert_eq!(wasi.access, ping);
        assert_eq!(wasi.protocol.as_deref(), Some("oci"), "the only one that it speaks of");
        let disk = &config.registries[&registry("disk.lan")];
        assert_eq!((disk.protocol.as_deref(), disk.root.as_deref()), (Some("local"), Some(Path::new("/srv/packages"))));
        assert!(!format!("{config:?}").contains("sesame"), "passwords do not print");
        assert_eq!(read(""), Ok(PackageConfig::default()));
    }

    #[test]
    fn mistakes_have_a_place_and_tell_no_secret() {
        for (text, expected) in [
            ("default_registry = 1", "config.toml:1:20: `default_registry` has to be a string"),
            ("default_registry = \"https://x\"", "the registry `https://x` has to be a host, perhaps with a port"),
            ("[namespace_registries]\nwasi = 1", ":2:8: `namespace_registries.wasi` has to be a registry, or"),
            ("[namespace_registries]\nw = { registry = \"r\" }", "the key `metadata` is missing"),
            (
                "[namespace_registries]\nw = { registry = \"r\", metadata = { oci = 1 } }",
                "has to be `oci` as an object",
            ),
            ("[package_registry_overrides]\n\"no\" = \"r\"", "the package `no` has to be `namespace:name`"),
            ("[registry.\"r\".oci]\nprotocol = \"ftp\"", "the protocol `ftp` has to be `http` or `https`"),
            ("[registry.\"r\".oci]\nauth = \"c2VjcmV0\"", "the `auth` `***` has to be a user, a `:` and a password"),
            ("[registry.\"r\".oci]\nauth = { username = \"a\" }", "the key `password` is missing"),
            ("[registry.\"r\".local]\n", "the key `root` is missing"),
            (
                "[registry.\"r\".oci]\nextra_root_certificates = [\"ca.pem\"]",
                "has to be `{ encoding = \"pem\", data }`",
            ),
            (
                "[registry.\"r\".oci]\nextra_root_certificates = [{ encoding = \"der\", data = \"\" }]",
                ":2:41: the encoding `der` has to be `pem`",
            ),
            (
                "[registry.\"r\".oci]\nextra_root_certificates = [{ encoding = \"pem\", data = \"x\" }]",
                "the `data` `x` has to be a certificate as PEM",
            ),
            ("default_registry = ", ":1:"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(expected) && !error.contains("c2VjcmV0"), "{text}: {error}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn the_file_is_where_other_tools_look_for_it() {
        for (variables, expected) in [
            (vec![("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")], Some("/x/wasm-pkg/config.toml")),
            (vec![("XDG_CONFIG_HOME", "x"), ("HOME", "/h")], Some("/h/.config/wasm-pkg/config.toml")),
            (vec![("HOME", "/h")], Some("/h/.config/wasm-pkg/config.toml")),
            (vec![("HOME", "")], None),
        ] {
            let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            assert_eq!(PackageConfig::default_path(find), expected.map(PathBuf::from));
        }
    }
}
