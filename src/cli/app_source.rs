//! What `--from` means: a registry, a layout, a manifest, a file of WebAssembly.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::Problem;
use super::misuse::Misuse;
use super::push;
use crate::model::{Location, ParseError, Reference};

/// Where the application is.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct From {
    /// The application: `REGISTRY/NAME[:TAG][@DIGEST]`, `oci:DIRECTORY[:TAG]`, `oci-archive:FILE[:TAG]`, a `spin.toml`, a
    /// directory with one, or a `.wasm` file [default: `spin.toml` here or in a directory above].
    #[arg(short = 'f', long = "from", value_name = "SOURCE")]
    from: Option<PathBuf>,

    /// The same, and never a reference: a file or a directory.
    #[arg(long, alias = "file", value_name = "FILE_OR_DIR")]
    from_file: Option<PathBuf>,

    /// The same, and always a reference, `oci:DIRECTORY[:TAG]`, or `oci-archive:FILE[:TAG]`.
    #[arg(long, value_name = "REFERENCE")]
    from_registry: Option<Location>,
}

/// An application, by the way it has to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AppSource {
    /// It is pulled into the cache first.
    Pulled(Location),
    /// A manifest.
    Manifest(PathBuf),
    /// One component, without a manifest.
    Component(PathBuf),
}

impl From {
    /// Says what is meant. Looks at the disk, and at nothing else.
    pub(super) fn resolve(&self) -> Result<AppSource, Problem> {
        match self {
            Self { from: Some(source), .. } => AppSource::infer(source),
            Self { from_file: Some(path), .. } => Ok(of_path(path)),
            Self { from_registry: Some(location), .. } => Ok(AppSource::Pulled(location.clone())),
            Self { .. } => Ok(AppSource::Manifest(push::manifest(None)?)),
        }
    }
}

impl AppSource {
    /// Infers what a word means, as Spin does: what is on the disk goes before what looks like a reference.
    pub(super) fn infer(word: &Path) -> Result<Self, Problem> {
        if let Some(text) = word.to_str().filter(|text| text.starts_with("oci:") || text.starts_with("oci-archive:")) {
            return Ok(Self::Pulled(text.parse().map_err(|error| Misuse::BadSource(Box::new(error)))?));
        }
        if word.try_exists().unwrap_or_default() {
            return Ok(of_path(word));
        }
        let unknown = || Misuse::NoSource(word.to_owned()).into();
        let text = word.to_str().ok_or_else(unknown)?;
        match looked_up(text) {
            Ok(Some(reference)) => Ok(Self::Pulled(Location::Registry(reference))),
            Err(error) if has_registry(text) => Err(Misuse::BadSource(Box::new(error)).into()),
            Ok(None) | Err(_) => Err(unknown()),
        }
    }

    /// Returns the reference, where it is pulled.
    pub(super) fn location(&self) -> Option<&Location> {
        match self {
            Self::Pulled(location) => Some(location),
            Self::Manifest(_) | Self::Component(_) => None,
        }
    }
}

fn of_path(path: &Path) -> AppSource {
    if is_wasm(path) { AppSource::Component(path.to_owned()) } else { AppSource::Manifest(path.to_owned()) }
}

/// Says whether a path means WebAssembly, and no manifest.
pub(super) fn is_wasm(path: &Path) -> bool {
    let is_named = ["wasm", "wat"].iter().any(|extension| path.extension() == Some(OsStr::new(extension)));
    is_named && !path.is_dir()
}

/// Parses a reference that people are likely to mean as one: `a/b` alone may as well be a path with a typing mistake.
fn looked_up(text: &str) -> Result<Option<Reference>, ParseError> {
    let reference: Reference = text.parse()?;
    let tag = reference.tag().map_or("", |tag| tag.as_str());
    let is_explicit = tag != "latest" || text.ends_with(":latest");
    let is_assumed = reference.registry().as_str().contains("docker") && !text.contains("docker");
    Ok((is_explicit || !is_assumed).then_some(reference))
}

/// Says whether a text begins as a reference with a registry does, and as paths rarely do: with a host and a port, or a
/// name with dots that are not the path's own; perhaps with a scheme before it.
fn has_registry(text: &str) -> bool {
    let text = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
    text.split_once('/').is_some_and(|(first, _)| {
        first == "localhost" || (first.contains(['.', ':']) && !first.starts_with('.') && !first.ends_with(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_references_are_told_from_paths() {
        for (text, expected) in [
            ("ghcr.io/Me/app:v1", true),
            ("localhost:5000/app:v 1", true),
            ("localhost/App", true),
            ("https://ghcr.io/me/app", true),
            ("../app", false),
            ("./App", false),
            ("/etc/no.thing", false),
            ("no/such.toml", false),
            ("app.toml", false),
        ] {
            assert_eq!(has_registry(text), expected, "{text}");
        }
    }

    #[test]
    fn references_are_told_from_mistakes() {
        let digest = crate::model::Digest::of(b"");
        for (text, expected) in [
            ("ghcr.io/a/b", Some("ghcr.io/a/b:latest")),
            ("a/b", None),
            ("a/b:v1", Some("docker.io/a/b:v1")),
            ("a/b:latest", Some("docker.io/a/b:latest")),
            ("docker.io/a/b", Some("docker.io/a/b:latest")),
            ("missing.toml", None),
            ("my.app/spin.toml", Some("my.app/spin.toml:latest")),
            ("localhost:5000/app", Some("localhost:5000/app:latest")),
            ("no such thing", None),
            (&format!("a/b@{digest}"), Some(format!("docker.io/a/b@{digest}").as_str())),
        ] {
            let found = looked_up(text).ok().flatten().map(|reference| reference.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn files_are_told_by_their_names() {
        for (path, expected) in [
            ("a.wasm", AppSource::Component("a.wasm".into())),
            ("a.wat", AppSource::Component("a.wat".into())),
            ("other.toml", AppSource::Manifest("other.toml".into())),
            ("wasm", AppSource::Manifest("wasm".into())),
        ] {
            assert_eq!(of_path(Path::new(path)), expected);
        }
    }
}
