//! The official configuration: built-in defaults, then legacy variables, then a YAML file, then `OCI_*` variables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::keys::{KEYS, LEGACY};
use super::verdict::Api;
use super::yaml;
use crate::auth::Secret;
use crate::model::{Digest, Name, Registry, Tag, excerpt};

/// Everything that a run may be told, with the names and defaults of the official suite.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which version of the specification sets the defaults.
    pub version: Version,
    /// The same as it was written, which is what the reports show: `stable`, `dev`.
    pub version_text: String,
    /// The registry: a host, and perhaps a port.
    pub registry: Registry,
    /// How it is spoken to.
    pub tls: Tls,
    /// The repository that everything is pushed to.
    pub repo1: Name,
    /// The repository that blobs are mounted from.
    pub repo2: Name,
    /// The user; empty for none.
    pub username: String,
    /// The password; empty for none.
    pub password: Secret,
    /// Whether tokens are used again. Read for the sake of shared files: ours always are, until they expire.
    pub cache_auth: bool,
    /// How much is logged: `debug`, `info`, `warn` or `error`.
    pub logging: String,
    /// Only steps whose path begins with this are taken, with the steps they need.
    pub filter: String,
    /// Where the reports go.
    pub results: PathBuf,
    /// Which APIs are judged.
    pub apis: Apis,
    /// Which data sets are.
    pub data: Data,
    /// What is there already, to be read where nothing may be pushed.
    pub read_only: ReadOnly,
    /// What the content is made from; none for a seed of its own for each run. No official setting.
    pub seed: Option<u64>,
    /// What people should know: legacy variables that were read.
    pub remarks: Vec<String>,
}

/// A version of the distribution specification, as the official suite names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// 1.0: without referrers and anonymous mounts.
    V1_0,
    /// 1.1, also called stable.
    #[default]
    V1_1,
    /// What comes after 1.1.
    Dev,
}

/// Whether TLS protects the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// It does.
    #[default]
    Enabled,
    /// It does, with any certificate.
    Insecure,
    /// Plain HTTP.
    Disabled,
}

/// Which APIs are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is named as its key")]
pub struct Apis {
    pub ping: bool,
    pub pull: bool,
    pub push: bool,
    pub referrer: bool,
    pub blobs: Blobs,
    pub manifests: Manifests,
    pub tags: Tags,
}

/// What is wanted of blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is named as its key")]
pub struct Blobs {
    pub atomic: bool,
    pub delete: bool,
    pub digest_header: bool,
    pub mount_anonymous: bool,
    pub upload_cancel: bool,
}

/// What is wanted of manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is named as its key")]
pub struct Manifests {
    pub atomic: bool,
    pub delete: bool,
    pub digest_header: bool,
    pub tag_param: bool,
}

/// What is wanted of tags.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is named as its key")]
pub struct Tags {
    pub atomic: bool,
    pub delete: bool,
    pub list: bool,
}

/// Which data sets are pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is named as its key")]
pub struct Data {
    pub image: bool,
    pub index: bool,
    pub index_list: bool,
    pub sparse: bool,
    pub artifact: bool,
    pub subject: bool,
    pub subject_missing: bool,
    pub artifact_list: bool,
    pub subject_list: bool,
    pub data_field: bool,
    pub nondistributable: bool,
    pub custom_fields: bool,
    pub no_layers: bool,
    pub empty_blob: bool,
    pub sha512: bool,
}

/// What a read-only run reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOnly {
    /// Tags.
    pub tags: Vec<Tag>,
    /// Digests of manifests.
    pub manifests: Vec<Digest>,
    /// Digests of blobs.
    pub blobs: Vec<Digest>,
    /// Digests whose referrers are listed.
    pub referrers: Vec<Digest>,
}

impl ReadOnly {
    /// Says whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.manifests.is_empty() && self.blobs.is_empty() && self.referrers.is_empty()
    }
}

/// What cannot be used, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The value of a variable.
    #[error("`{variable}` is `{}`; expected {expected}", excerpt(value))]
    Variable {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A value in the file.
    #[error("{file}:{line}:{column}: `{key}` is `{}`; expected {expected}", excerpt(value))]
    Value {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// The key, with those above it: `apis.blobs.atomic`.
        key: String,
        /// The value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A key that means nothing.
    #[error("{file}:{line}:{column}: there is no setting `{}`", excerpt(key))]
    Key {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// The key, with those above it.
        key: String,
    },
    /// The file is no YAML of this kind.
    #[error("{file}:{line}:{column}: {because}")]
    Yaml {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What the parser says.
        because: String,
    },
}

impl Settings {
    /// The file that is read where `OCI_CONFIGURATION` names none, if it is there.
    pub const FILE: &'static str = "oci-conformance.yaml";

    /// Puts the settings together: the defaults of the version, legacy variables, the file, the variables.
    ///
    /// `variable` looks one up in the environment; an empty value counts as none. `file` is the name and the text of the
    /// file. Reads nothing itself.
    ///
    /// # Errors
    ///
    /// A value that cannot be used or a key that means nothing, with its variable or with its file, line and column. The
    /// official tool takes an unknown key or kind of TLS for none; here a slip of the pen does not change what is judged.
    pub fn load(variable: impl Fn(&str) -> Option<String>, file: Option<(&str, &str)>) -> Result<Self, SettingsError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let entries = file.map(|(name, text)| yaml::read(name, text)).transpose()?.unwrap_or_default();
        let mut settings = Self::default_of(Version::default());
        for entry in entries.iter().filter(|entry| entry.key == VERSION_KEY) {
            settings = Self::default_of(Version::parse(&entry.value).map_err(|expected| entry.wrong(expected))?);
        }
        if let Some(value) = variable(VERSION) {
            let version = Version::parse(&value);
            settings = Self::default_of(version.map_err(|expected| wrong(VERSION, &value, expected))?);
        }
        for legacy in LEGACY {
            let Some(value) = variable(legacy.variable) else { continue };
            (legacy.set)(&mut settings, &value).map_err(|expected| wrong(legacy.variable, &value, expected))?;
            settings.remarks.push(format!("`{}` is deprecated; use {}", legacy.variable, legacy.instead));
        }
        for entry in &entries {
            let key = KEYS.iter().find(|key| key.path == entry.key).ok_or_else(|| entry.unknown())?;
            (key.set)(&mut settings, &entry.value).map_err(|expected| entry.wrong(expected))?;
        }
        for key in KEYS {
            let Some(value) = variable(key.variable) else { continue };
            (key.set)(&mut settings, &value).map_err(|expected| wrong(key.variable, &value, expected))?;
        }
        Ok(settings)
    }

    /// Returns the defaults of a version.
    pub fn default_of(version: Version) -> Self {
        let (old, dev) = (version == Version::V1_0, version == Version::Dev);
        Self {
            version,
            version_text: version.as_str().to_owned(),
            registry: "localhost:5000".parse().expect("a registry"),
            tls: Tls::Enabled,
            repo1: "conformance/repo1".parse().expect("a name"),
            repo2: "conformance/repo2".parse().expect("a name"),
            username: String::new(),
            password: Secret::new(""),
            cache_auth: true,
            logging: "warn".to_owned(),
            filter: String::new(),
            results: "./results".into(),
            apis: Apis {
                ping: true,
                pull: true,
                push: true,
                referrer: !old,
                blobs: Blobs {
                    atomic: true,
                    delete: true,
                    digest_header: dev,
                    mount_anonymous: !old,
                    upload_cancel: dev,
                },
                manifests: Manifests { atomic: true, delete: true, digest_header: dev, tag_param: dev },
                tags: Tags { atomic: true, delete: true, list: true },
            },
            data: Data {
                image: true,
                index: true,
                index_list: true,
                sparse: false,
                artifact: true,
                subject: true,
                subject_missing: true,
                artifact_list: true,
                subject_list: true,
                data_field: true,
                nondistributable: true,
                custom_fields: true,
                no_layers: true,
                empty_blob: true,
                sha512: true,
            },
            read_only: ReadOnly::default(),
            seed: None,
            remarks: Vec::new(),
        }
    }

    /// Says whether an API is judged.
    pub fn wants(&self, api: Api) -> bool {
        let Apis { ping, pull, push, referrer, blobs, manifests, tags } = &self.apis;
        match api {
            Api::Ping => *ping,
            Api::TagListing => tags.list,
            Api::TagDelete => tags.delete,
            Api::TagDeleteAtomic => tags.delete && tags.atomic,
            Api::ManifestHeadByTag
            | Api::ManifestHeadByDigest
            | Api::ManifestGetByTag
            | Api::ManifestGetByDigest
            | Api::BlobHead
            | Api::BlobGet
            | Api::BlobGetRange => *pull,
            Api::ManifestPutByTag
            | Api::ManifestPutByDigest
            | Api::ManifestPutWithSubject
            | Api::BlobPush
            | Api::BlobPostOnly
            | Api::BlobPostPut
            | Api::BlobChunked
            | Api::BlobStreaming
            | Api::BlobMount => *push,
            Api::ManifestPutWithTagParams => *push && manifests.tag_param,
            Api::BlobAnonymousMount => *push && blobs.mount_anonymous,
            Api::BlobUploadCancel => blobs.upload_cancel,
            Api::ManifestDelete => manifests.delete,
            Api::ManifestDeleteAtomic => manifests.atomic,
            Api::BlobDelete => blobs.delete,
            Api::BlobDeleteAtomic => blobs.atomic,
            Api::Referrers => *referrer,
        }
    }

    /// Returns every setting as the file would have it, by its key (`apis.blobs.atomic`); credentials are stars.
    pub fn entries(&self) -> BTreeMap<String, String> {
        KEYS.iter().map(|key| (key.path.to_owned(), (key.show)(self))).collect()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::default_of(Version::default())
    }
}

impl Version {
    /// Reads a version as the official suite does.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "1.0" => Ok(Self::V1_0),
            "" | "stable" | "1.1" => Ok(Self::V1_1),
            "dev" | "1.1+dev" => Ok(Self::Dev),
            _ => Err("`1.0`, `1.1`, `stable` or `dev`"),
        }
    }

    /// Returns the version as reports have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::Dev => "1.1+dev",
        }
    }
}

fn wrong(variable: &'static str, value: &str, expected: &'static str) -> SettingsError {
    SettingsError::Variable { variable, value: value.to_owned(), expected }
}

const VERSION: &str = "OCI_VERSION";
const VERSION_KEY: &str = "version";

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)], file: &str) -> Result<Settings, SettingsError> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Settings::load(find, Some(("conf.yaml", file)))
    }

    #[test]
    fn versions_differ_in_what_they_want() {
        for (version, referrer, anonymous, dev) in [
            ("1.0", false, false, false),
            ("1.1", true, true, false),
            ("stable", true, true, false),
            ("dev", true, true, true),
            ("1.1+dev", true, true, true),
        ] {
            for settings in [
                load(&[("OCI_VERSION", version)], "").expect(version),
                load(&[], &format!("version: {version}")).expect(version),
            ] {
                let Apis { referrer: r, blobs, manifests, .. } = &settings.apis;
                assert_eq!((*r, blobs.mount_anonymous), (referrer, anonymous), "{version}");
                let switched = [blobs.digest_header, blobs.upload_cancel, manifests.digest_header, manifests.tag_param];
                assert_eq!(switched, [dev; 4], "{version}");
                assert!(!settings.data.sparse);
            }
        }
    }

    #[test]
    fn later_sources_overrule_earlier_ones() {
        let variables = [
            ("OCI_VERSION", "dev"),
            ("OCI_ROOT_URL", "http://Old.example:81/"),
            ("OCI_NAMESPACE", "old/one"),
            ("OCI_TEST_CONTENT_MANAGEMENT", "0"),
            ("OCI_TAG_NAME", "a b"),
            ("OCI_API_BLOBS_DELETE", "true"),
            ("OCI_USERNAME", ""),
            ("OCI_DATA_SPARSE", "T"),
            ("OCI_RO_DATA_TAGS", "c d"),
        ];
        let file = "version: 1.0\nregistry: new.example\nusername: ada\npassword: 0123456789012345678901234567890\n\
            apis:\n  referrer: false\n  blobs: {atomic: false}\nroData:\n  tags: [x]\n";
        let settings = load(&variables, file).expect("settings");
        assert_eq!((settings.version, settings.apis.blobs.upload_cancel), (Version::Dev, true));
        assert_eq!((settings.registry.as_str(), settings.tls), ("new.example", Tls::Disabled));
        assert_eq!(settings.repo1.as_str(), "old/one");
        assert_eq!((settings.apis.tags.delete, settings.apis.blobs.delete), (false, true));
        assert_eq!((settings.apis.referrer, settings.apis.blobs.atomic, settings.data.sparse), (false, false, true));
        assert_eq!(settings.username, "ada");
        assert_eq!(settings.password.reveal(), "0123456789012345678901234567890");
        let tags: Vec<&str> = settings.read_only.tags.iter().map(Tag::as_str).collect();
        assert_eq!(tags, ["c", "d"]);
        assert_eq!(settings.remarks.len(), 4, "{:?}", settings.remarks);
        let entries = settings.entries();
        let shown = ["username", "password", "apis.blobs.atomic", "tls"].map(|key| entries[key].as_str());
        assert_eq!(shown, ["***", "***", "false", "disabled"]);
    }

    #[test]
    fn what_cannot_be_used_says_where_it_stands() {
        for (variables, file, said) in [
            (&[("OCI_API_PUSH", "maybe")][..], "", "`OCI_API_PUSH` is `maybe`; expected `true` or `false`"),
            (&[("OCI_VERSION", "2")], "", "`OCI_VERSION` is `2`; expected `1.0`, `1.1`, `stable` or `dev`"),
            (&[("OCI_TEST_PULL", "no")], "", "`OCI_TEST_PULL` is `no`; expected `true` or `false`"),
            (&[], "version: 3", "conf.yaml:1:10: `version` is `3`; expected `1.0`, `1.1`, `stable` or `dev`"),
            (
                &[],
                "apis:\n  blobs:\n    atomic: 7\n",
                "conf.yaml:3:13: `apis.blobs.atomic` is `7`; expected `true` or `false`",
            ),
            (&[], "apis:\n  blobs:\n    atomc: true\n", "conf.yaml:3:5: there is no setting `apis.blobs.atomc`"),
            (&[], "tls: of\n", "conf.yaml:1:6: `tls` is `of`; expected `enabled`, `insecure` or `disabled`"),
            (&[], "repo1: UPPER\n", "conf.yaml:1:8: `repo1` is `UPPER`; expected the name of a repository"),
            (
                &[],
                "roData:\n  blobs:\n    - sha256:12\n",
                "conf.yaml:3:7: `roData.blobs` is `sha256:12`; expected digests",
            ),
        ] {
            let error = load(variables, file).expect_err(said);
            assert_eq!(error.to_string(), said);
        }
        for file in ["apis: [", "nothing: here", "- a", "registry: {}", "registry: a\nregistry: b"] {
            let error = load(&[], file).expect_err(file);
            assert!(error.to_string().starts_with("conf.yaml:"), "{error}");
        }
    }

    #[test]
    fn an_empty_file_says_nothing() {
        for file in ["", "\n# only words\n", "registry:\napis:\n  ping:\n  blobs:\n"] {
            let settings = load(&[], file).expect(file);
            assert_eq!(settings.entries(), Settings::default().entries());
        }
    }

    #[test]
    fn every_api_hangs_on_a_switch() {
        let mut settings = Settings::default_of(Version::Dev);
        assert!(Api::ALL.iter().all(|api| settings.wants(*api)));
        for (path, _) in settings.clone().entries().iter().filter(|(path, _)| path.starts_with("apis.")) {
            let key = KEYS.iter().find(|key| key.path == path).expect("a key");
            (key.set)(&mut settings, "false").expect("a switch");
        }
        assert!(!Api::ALL.iter().any(|api| settings.wants(*api)));
    }
}
