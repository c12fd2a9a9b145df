//! What people are told where something that a component is made of cannot be had.

use super::{Exit, Invocation, explain_transfer};
use crate::error::{Error, UnreachableKind};
use crate::model::{Location, Reference};
use crate::spin::{Misplaced, Unobtained, Wanted, Why};

/// Says what to do about it, and how the process ends.
pub(super) fn explain(unobtained: &Unobtained) -> (Option<String>, Exit) {
    let (hint, exit) = match &unobtained.why {
        Why::NoWay => ("say where to keep it with `--cache-dir DIR`", Exit::Failed),
        Why::Offline { .. } => ("run it once where there is a network, without `--offline`", Exit::NotFound),
        Why::Digest(_) => (
            "compare with those who publish it; if it was changed on purpose, write the new digest into the manifest",
            Exit::Integrity,
        ),
        Why::TooLarge => ("correct the source in the manifest", Exit::Failed),
        Why::TooLong | Why::NoDefinition => ("correct the `url` among `targets` in the manifest", Exit::Failed),
        Why::Misplaced(Misplaced::NoRegistry(_)) => (
            "say `registry` beside `package`, or `default_registry` in `wasm-pkg/config.toml` of the configuration directory",
            Exit::Failed,
        ),
        Why::Misplaced(Misplaced::Protocol { file: Some(_), .. }) => (
            "say `type = \"oci\"` there, if the registry can be asked like that, or name another registry",
            Exit::Failed,
        ),
        Why::Misplaced(_) | Why::Metadata(_) => (
            "correct `registry` in the manifest, or say under `namespace_registries` in `wasm-pkg/config.toml` where the \
             packages are",
            Exit::Failed,
        ),
        Why::NoVersion { .. } => ("correct the version in the manifest", Exit::NotFound),
        Why::NoPackage { .. } => ("name a version that was published as a package of WebAssembly", Exit::Failed),
        Why::Transfer(error) => return explain_moving(unobtained, error),
    };
    (Some(hint.to_owned()), exit)
}

fn explain_moving(unobtained: &Unobtained, error: &Error) -> (Option<String>, Exit) {
    if let Some(storage) = &unobtained.storage {
        let reference = Reference::new(storage.registry.clone(), storage.name.clone(), None, None);
        return explain_transfer(error, &Invocation::Pull(Location::Registry(reference)));
    }
    match error {
        Error::NotFound(_) if matches!(unobtained.wanted, Wanted::Environment { .. }) => {
            let hint = "the names of environments are listed at https://github.com/spinframework/spin-environments; \
                        `{ url }` and `{ path }` name definitions elsewhere";
            (Some(hint.to_owned()), Exit::NotFound)
        }
        Error::NotFound(_) => (Some("check the `url`".to_owned()), Exit::NotFound),
        Error::Refused(refused) if matches!(refused.status.as_u16(), 401 | 403) => {
            let hint = "downloads are made without credentials; download it by yourself, and give its path";
            (Some(hint.to_owned()), Exit::NotPermitted)
        }
        Error::Refused(refused) if refused.status.is_server_error() => {
            (Some("the server is in trouble; try again later".to_owned()), Exit::Failed)
        }
        Error::Unreachable(failure) if failure.kind == UnreachableKind::Broken => {
            (Some("try again: what has arrived is kept".to_owned()), Exit::Unreachable)
        }
        Error::Unreachable(failure) if failure.kind == UnreachableKind::Connect => {
            let what = match unobtained.wanted {
                Wanted::Url { .. } | Wanted::Document { .. } => "the `url`",
                Wanted::Environment { .. } => "the name",
                _ => "the `registry`",
            };
            (Some(format!("check {what}, the network, and the proxy settings if there are any")), Exit::Unreachable)
        }
        Error::Refused(_) | Error::Protocol(_) => (None, Exit::Failed),
        other => explain_transfer(other, &Invocation::Local),
    }
}
