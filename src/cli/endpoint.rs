//! From a reference on the command line to the end of a copy.

use std::path::Path;
use std::sync::Arc;

use super::context::Context;
use super::credentials;
use super::failure::Problem;
use super::misuse::Misuse;
use super::options::Connection;
use super::server::Scheme;
use super::status::Status;
use crate::auth::Given;
use crate::copy::{Endpoint, Vacant};
use crate::model::{Digest, Identifier, Location, Name, Reference, Registry, Tag};
use crate::registry::Repository;
use crate::store::{Archive, Layout};

/// What is to be done there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A layout has to be there.
    Pull,
    /// A layout is made where nothing is.
    Push,
    /// Nothing is made, and what is not there is taken for empty.
    Look,
}

/// Opens what is named. A registry is not asked yet.
pub(super) async fn open(
    location: &Location,
    purpose: Purpose,
    given: Option<Given>,
    connection: &Connection,
    status: &Arc<Status>,
) -> Result<Endpoint, Problem> {
    Ok(match (location, purpose) {
        (Location::Layout { path, .. }, Purpose::Pull) => Endpoint::Layout(Layout::open(path).await?),
        (Location::Layout { path, .. }, Purpose::Push | Purpose::Look) if is_something_else(path) => {
            return Err(Misuse::NoLayout(path.clone()).into());
        }
        (Location::Layout { path, .. }, Purpose::Push) => Endpoint::Layout(Layout::create(path).await?),
        (Location::Layout { path, .. }, Purpose::Look) => match Layout::open(path).await {
            Err(error) if error.is_not_found() => Endpoint::Vacant(Vacant),
            opened => Endpoint::Layout(opened?),
        },
        (Location::Archive { path, .. }, Purpose::Pull) => Endpoint::Archive(Archive::open(path).await?),
        (Location::Archive { path, .. }, Purpose::Push | Purpose::Look) => {
            Endpoint::Archive(Archive::create(path).await?)
        }
        (Location::Registry(reference), _) => {
            let repository = repository(reference, given, connection, status)?;
            Endpoint::Repository(if purpose == Purpose::Pull { repository } else { repository.for_push() })
        }
    })
}

/// Says whether a directory has other things in it than a layout, or the beginning of one: those who put them there did
/// not mean a layout. Hidden files, such as a `.gitignore`, are nothing.
fn is_something_else(path: &Path) -> bool {
    let Ok(entries) = path.read_dir() else { return false };
    let names: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    let begun = names.iter().any(|name| LAYOUT.iter().any(|part| name == part));
    !begun && names.iter().any(|name| !name.as_encoded_bytes().starts_with(b"."))
}

fn repository(
    reference: &Reference,
    given: Option<Given>,
    connection: &Connection,
    status: &Arc<Status>,
) -> Result<Repository, Problem> {
    let keychain = credentials::sources()?.chain(given);
    // Weak: the client may outlive the command that tells how it goes.
    let told = Arc::downgrade(status);
    let warn = move |text: &str| {
        if let Some(status) = told.upgrade() {
            status.warn(text);
        }
    };
    let client = Context::client(reference.registry(), connection, Scheme::Unsaid, Arc::new(keychain), warn)?;
    Ok(client.repository(reference))
}

/// Returns the tag to push to.
///
/// # Errors
///
/// [`Misuse::DigestTarget`]: a push makes its own digest.
pub(super) fn tag(location: &Location) -> Result<Tag, Misuse> {
    let tag = match location {
        Location::Layout { identifier: Identifier::Tag(tag), .. }
        | Location::Archive { identifier: Identifier::Tag(tag), .. } => Some(tag),
        Location::Registry(reference) if reference.digest().is_none() => reference.tag(),
        _ => None,
    };
    tag.cloned().ok_or_else(|| Misuse::DigestTarget(Box::new(location.clone())))
}

/// Prints where exactly this digest is.
pub(super) fn pinned(location: &Location, digest: Digest) -> String {
    location.with(Identifier::Digest(digest)).to_string()
}

/// Returns the name under which Spin's cache keeps what is pulled.
///
/// The cache has its own grammar, `REGISTRY/NAME:TAG`. A layout is filed under a registry that cannot exist, by its
/// own name.
pub(super) fn cached_as(location: &Location) -> Reference {
    match location {
        Location::Registry(reference) => reference.clone(),
        Location::Layout { path, identifier } | Location::Archive { path, identifier } => {
            let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let own = whole.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            let words = own.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
            let name = words.collect::<Vec<_>>().join("-");
            let registry: Registry = LAYOUTS.parse().expect("a host name");
            let name: Name = name.parse().unwrap_or_else(|_| "layout".parse().expect("a name"));
            let (tag, digest) = match identifier {
                Identifier::Tag(tag) => (Some(tag.clone()), None),
                Identifier::Digest(digest) => (None, Some(*digest)),
            };
            Reference::new(registry, name, tag, digest)
        }
    }
}

/// Says whether the cache keeps under this name what was pulled from a layout or an archive.
pub(super) fn is_of_layout(reference: &Reference) -> bool {
    reference.registry().as_str() == LAYOUTS
}

/// What a layout has at its top.
const LAYOUT: [&str; 3] = ["oci-layout", "index.json", "blobs"];

/// Below `localhost`, a domain that is never given away (RFC 6761).
const LAYOUTS: &str = "layout.localhost";

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn only_tags_can_be_pushed_to() {
        for (text, expected) in
            [("r.example/a:v1", "v1"), ("r.example/a", "latest"), ("oci:out", "latest"), ("oci:out:x", "x")]
        {
            assert_eq!(tag(&text.parse().expect(text)).expect(text).as_str(), expected);
        }
        for text in [format!("r.example/a@{D}"), format!("r.example/a:v1@{D}"), format!("oci:out@{D}")] {
            assert!(matches!(tag(&text.parse().expect("a digest")), Err(Misuse::DigestTarget(_))), "{text}");
        }
    }

    #[test]
    fn results_are_pinned() {
        let digest: Digest = D.parse().expect("a digest");
        for (text, expected) in
            [("r.example/a:v1", format!("r.example/a@{D}")), ("oci:x/out:v1", format!("oci:x/out@{D}"))]
        {
            assert_eq!(pinned(&text.parse().expect(text), digest), expected);
        }
    }

    #[test]
    fn layouts_are_filed_by_their_own_name() {
        for (text, expected) in [
            ("r.example/a:v1", "r.example/a:v1".to_owned()),
            ("oci:/x/My App_2:v1", "layout.localhost/my-app-2:v1".to_owned()),
            ("oci-archive:/x/app.tar:v1", "layout.localhost/app-tar:v1".to_owned()),
            ("oci:/", "layout.localhost/layout:latest".to_owned()),
            (&format!("oci:/x/out@{D}"), format!("layout.localhost/out@{D}")),
        ] {
            assert_eq!(cached_as(&text.parse().expect(text)).to_string(), expected);
        }
    }
}
