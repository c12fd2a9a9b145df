//! Every setting: its key in the file, its variable, how it is set and shown.

use super::settings::{Settings, Tls, Version};
use crate::auth::Secret;
use crate::model::{Digest, Tag};

/// One setting.
pub(super) struct Key {
    /// Its place in the file: `apis.blobs.atomic`.
    pub(super) path: &'static str,
    /// Its variable.
    pub(super) variable: &'static str,
    /// Sets it from text, or says what the text should be.
    pub(super) set: Set,
    /// Shows it; what is secret as stars.
    pub(super) show: fn(&Settings) -> String,
}

/// A variable of the suite before this one.
pub(super) struct Legacy {
    pub(super) variable: &'static str,
    pub(super) instead: &'static str,
    pub(super) set: Set,
}

type Set = fn(&mut Settings, &str) -> Result<(), &'static str>;

/// A setting that is on or off.
macro_rules! switch {
    ($path:literal, $variable:literal, $($field:ident).+) => {
        Key {
            path: $path,
            variable: $variable,
            set: |settings, text| {
                settings.$($field).+ = truth(text)?;
                Ok(())
            },
            show: |settings| settings.$($field).+.to_string(),
        }
    };
}

/// A setting that is parsed by its type.
macro_rules! parsed {
    ($path:literal, $variable:literal, $($field:ident).+, $expected:literal) => {
        Key {
            path: $path,
            variable: $variable,
            set: |settings, text| {
                settings.$($field).+ = text.parse().map_err(|_| $expected)?;
                Ok(())
            },
            show: |settings| settings.$($field).+.to_string(),
        }
    };
}

/// A setting with several values.
macro_rules! listed {
    ($path:literal, $variable:literal, $field:ident, $type:ty, $expected:literal) => {
        Key {
            path: $path,
            variable: $variable,
            set: |settings, text| {
                settings.read_only.$field = list::<$type>(text).ok_or($expected)?;
                Ok(())
            },
            show: |settings| settings.read_only.$field.iter().map(<$type>::to_string).collect::<Vec<_>>().join(" "),
        }
    };
}

/// All settings, in the order of the official configuration.
pub(super) const KEYS: &[Key] = &[
    parsed!("registry", "OCI_REGISTRY", registry, "a host, perhaps with a port"),
    Key { path: "tls", variable: "OCI_TLS", set: set_tls, show: |settings| settings.tls.as_str().to_owned() },
    parsed!("repo1", "OCI_REPO1", repo1, "the name of a repository"),
    parsed!("repo2", "OCI_REPO2", repo2, "the name of a repository"),
    Key {
        path: "username",
        variable: "OCI_USERNAME",
        set: |settings, text| {
            settings.username = text.to_owned();
            Ok(())
        },
        show: |settings| stars(&settings.username),
    },
    Key {
        path: "password",
        variable: "OCI_PASSWORD",
        set: |settings, text| {
            settings.password = Secret::new(text);
            Ok(())
        },
        show: |settings| stars(settings.password.reveal()),
    },
    switch!("cacheAuth", "OCI_CACHE_AUTH", cache_auth),
    Key { path: "logging", variable: "OCI_LOG", set: set_logging, show: |settings| settings.logging.clone() },
    parsed!("filterTest", "OCI_FILTER_TEST", filter, "the path of a step"),
    switch!("apis.ping", "OCI_API_PING", apis.ping),
    switch!("apis.pull", "OCI_API_PULL", apis.pull),
    switch!("apis.push", "OCI_API_PUSH", apis.push),
    switch!("apis.blobs.atomic", "OCI_API_BLOBS_ATOMIC", apis.blobs.atomic),
    switch!("apis.blobs.delete", "OCI_API_BLOBS_DELETE", apis.blobs.delete),
    switch!("apis.blobs.digestHeader", "OCI_API_BLOBS_DIGEST_HEADER", apis.blobs.digest_header),
    switch!("apis.blobs.mountAnonymous", "OCI_API_BLOBS_MOUNT_ANONYMOUS", apis.blobs.mount_anonymous),
    switch!("apis.blobs.uploadCancel", "OCI_API_BLOBS_UPLOAD_CANCEL", apis.blobs.upload_cancel),
    switch!("apis.manifests.atomic", "OCI_API_MANIFESTS_ATOMIC", apis.manifests.atomic),
    switch!("apis.manifests.delete", "OCI_API_MANIFESTS_DELETE", apis.manifests.delete),
    switch!("apis.manifests.digestHeader", "OCI_API_MANIFESTS_DIGEST_HEADER", apis.manifests.digest_header),
    switch!("apis.manifests.tagParam", "OCI_API_MANIFESTS_TAG_PARAM", apis.manifests.tag_param),
    switch!("apis.tags.atomic", "OCI_API_TAGS_ATOMIC", apis.tags.atomic),
    switch!("apis.tags.delete", "OCI_API_TAGS_DELETE", apis.tags.delete),
    switch!("apis.tags.list", "OCI_API_TAGS_LIST", apis.tags.list),
    switch!("apis.referrer", "OCI_API_REFERRER", apis.referrer),
    switch!("data.image", "OCI_DATA_IMAGE", data.image),
    switch!("data.index", "OCI_DATA_INDEX", data.index),
    switch!("data.indexList", "OCI_DATA_INDEX_LIST", data.index_list),
    switch!("data.sparse", "OCI_DATA_SPARSE", data.sparse),
    switch!("data.artifact", "OCI_DATA_ARTIFACT", data.artifact),
    switch!("data.subject", "OCI_DATA_SUBJECT", data.subject),
    switch!("data.subjectMissing", "OCI_DATA_SUBJECT_MISSING", data.subject_missing),
    switch!("data.artifactList", "OCI_DATA_ARTIFACT_LIST", data.artifact_list),
    switch!("data.subjectList", "OCI_DATA_SUBJECT_LIST", data.subject_list),
    switch!("data.dataField", "OCI_DATA_DATA_FIELD", data.data_field),
    switch!("data.nondistributable", "OCI_DATA_NONDISTRIBUTABLE", data.nondistributable),
    switch!("data.customFields", "OCI_DATA_CUSTOM_FIELDS", data.custom_fields),
    switch!("data.noLayers", "OCI_DATA_NO_LAYERS", data.no_layers),
    switch!("data.emptyBlob", "OCI_DATA_EMPTY_BLOB", data.empty_blob),
    switch!("data.sha512", "OCI_DATA_SHA512", data.sha512),
    listed!("roData.tags", "OCI_RO_DATA_TAGS", tags, Tag, "tags"),
    listed!("roData.manifests", "OCI_RO_DATA_MANIFESTS", manifests, Digest, "digests"),
    listed!("roData.blobs", "OCI_RO_DATA_BLOBS", blobs, Digest, "digests"),
    listed!("roData.referrers", "OCI_RO_DATA_REFERRERS", referrers, Digest, "digests"),
    Key {
        path: "resultsDir",
        variable: "OCI_RESULTS_DIR",
        set: |settings, text| {
            settings.results = text.into();
            Ok(())
        },
        show: |settings| settings.results.display().to_string(),
    },
    // The defaults that go with it were set before all else.
    Key {
        path: "version",
        variable: "OCI_VERSION",
        set: |settings, text| {
            settings.version = Version::parse(text)?;
            text.clone_into(&mut settings.version_text);
            Ok(())
        },
        show: |settings| settings.version_text.clone(),
    },
];

/// The variables of the suite before this one that mean something here.
pub(super) const LEGACY: &[Legacy] = &[
    Legacy { variable: "OCI_ROOT_URL", instead: "`OCI_REGISTRY` and `OCI_TLS`", set: set_root },
    Legacy {
        variable: "OCI_NAMESPACE",
        instead: "`OCI_REPO1`",
        set: |settings, text| {
            settings.repo1 = old_name(text).parse().map_err(|_| "the name of a repository")?;
            Ok(())
        },
    },
    Legacy {
        variable: "OCI_CROSSMOUNT_NAMESPACE",
        instead: "`OCI_REPO2`",
        set: |settings, text| {
            settings.repo2 = old_name(text).parse().map_err(|_| "the name of a repository")?;
            Ok(())
        },
    },
    Legacy {
        variable: "OCI_TEST_PULL",
        instead: "`OCI_API_PULL`",
        set: |settings, text| {
            settings.apis.pull = truth(text)?;
            Ok(())
        },
    },
    Legacy {
        variable: "OCI_TEST_PUSH",
        instead: "`OCI_API_PUSH`",
        set: |settings, text| {
            settings.apis.push = truth(text)?;
            Ok(())
        },
    },
    Legacy {
        variable: "OCI_TEST_CONTENT_DISCOVERY",
        instead: "`OCI_API_TAGS_LIST` and `OCI_API_REFERRER`",
        set: |settings, text| {
            let wanted = truth(text)?;
            (settings.apis.tags.list, settings.apis.referrer) = (wanted, wanted);
            Ok(())
        },
    },
    Legacy {
        variable: "OCI_TEST_CONTENT_MANAGEMENT",
        instead: "`OCI_API_TAGS_DELETE`, `OCI_API_MANIFESTS_DELETE` and `OCI_API_BLOBS_DELETE`",
        set: |settings, text| {
            let wanted = truth(text)?;
            let apis = &mut settings.apis;
            (apis.tags.delete, apis.manifests.delete, apis.blobs.delete) = (wanted, wanted, wanted);
            Ok(())
        },
    },
    Legacy {
        variable: "OCI_DEBUG",
        instead: "`OCI_LOG=debug`",
        set: |settings, text| {
            if truth(text)? {
                "debug".clone_into(&mut settings.logging);
            }
            Ok(())
        },
    },
    Legacy {
        variable: "OCI_TAG_NAME",
        instead: "`OCI_RO_DATA_TAGS`",
        set: |settings, text| {
            settings.read_only.tags.extend(list::<Tag>(text).ok_or("tags")?);
            Ok(())
        },
    },
    Legacy {
        variable: "OCI_MANIFEST_DIGEST",
        instead: "`OCI_RO_DATA_MANIFESTS`",
        set: |settings, text| {
            settings.read_only.manifests.extend(list::<Digest>(text).ok_or("digests")?);
            Ok(())
        },
    },
    Legacy {
        variable: "OCI_BLOB_DIGEST",
        instead: "`OCI_RO_DATA_BLOBS`",
        set: |settings, text| {
            settings.read_only.blobs.extend(list::<Digest>(text).ok_or("digests")?);
            Ok(())
        },
    },
];

impl Tls {
    /// Returns the word of the official configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Insecure => "insecure",
            Self::Disabled => "disabled",
        }
    }
}

/// Reads a switch as Go does, which is what files of the official suite are written for.
fn truth(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("`true` or `false`"),
    }
}

fn list<T: std::str::FromStr>(text: &str) -> Option<Vec<T>> {
    text.split_ascii_whitespace().map(|item| item.parse().ok()).collect()
}

fn stars(text: &str) -> String {
    if text.is_empty() { String::new() } else { "***".to_owned() }
}

fn old_name(text: &str) -> String {
    text.trim().to_lowercase().trim_end_matches('/').to_owned()
}

fn set_tls(settings: &mut Settings, text: &str) -> Result<(), &'static str> {
    settings.tls = match text.to_ascii_lowercase().as_str() {
        "enabled" => Tls::Enabled,
        "insecure" => Tls::Insecure,
        "disabled" => Tls::Disabled,
        _ => return Err("`enabled`, `insecure` or `disabled`"),
    };
    Ok(())
}

fn set_logging(settings: &mut Settings, text: &str) -> Result<(), &'static str> {
    let level = text.to_ascii_lowercase();
    if !["debug", "info", "warn", "error"].contains(&level.as_str()) {
        return Err("`debug`, `info`, `warn` or `error`");
    }
    settings.logging = level;
    Ok(())
}

fn set_root(settings: &mut Settings, text: &str) -> Result<(), &'static str> {
    let text = text.trim().to_lowercase();
    let text = text.trim_end_matches('/');
    let (scheme, host) = text.split_once("://").unwrap_or(("https", text));
    settings.tls = if scheme == "http" { Tls::Disabled } else { Tls::Enabled };
    settings.registry = host.parse().map_err(|_| "the URL of a registry")?;
    Ok(())
}
