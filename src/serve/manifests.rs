//! Manifests and the tags that name them.

use std::io;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH, LOCATION};
use http::request::Parts;
use http::{Method, Response, StatusCode};

use super::repositories::Repository;
use super::respond::{DOCKER_CONTENT_DIGEST, Refusal, empty, value};
use crate::content::{Body, Source as _};
use crate::error::Error;
use crate::model::{Descriptor, Digest, ErrorCode, Identifier, Manifest, MediaType, Name, ParseError, Tag};

/// Whether a manifest may name blobs and manifests that its repository does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum References {
    /// It may: sparse copies of images and indexes can be kept (distribution-spec 1.1, "Pushing Manifests").
    #[default]
    Unchecked,
    /// It may not, but for a subject and for layers that are kept elsewhere: the answer is `MANIFEST_BLOB_UNKNOWN`.
    Checked,
}

/// Answers end-3: the exact bytes that were pushed, under the media type that they were pushed with, whatever `Accept`
/// says; there are no others to choose from. Who knows them already gets a 304 (RFC 9110, section 13.1.2).
pub(super) async fn read(
    repository: &Repository,
    identifier: &Identifier,
    parts: &Parts,
) -> Result<Response<Body>, Refusal> {
    let descriptor = resolve(repository, identifier).await?;
    let is_known = knows(&parts.headers, &descriptor.digest);
    if parts.method == Method::HEAD || is_known {
        // Whoever asks whether it is there may be about to build on it.
        return match repository.keep(&descriptor).await? {
            true if is_known => Ok(unmodified(&descriptor)),
            true => Ok(found(&descriptor, Body::empty())),
            false => Err(unknown(identifier)),
        };
    }
    let manifest = repository.shelf().blob(&descriptor).read(Manifest::MAX_READ).await;
    Ok(found(&descriptor, Body::from_bytes(manifest.map_err(|error| absent(error, identifier))?)))
}

/// Reads the manifest that a request brings: bounded, with the digest that the path asks for.
pub(super) async fn receive(identifier: &Identifier, parts: &Parts, body: &mut Body) -> Result<Manifest, Refusal> {
    let invalid = |error: ParseError| Refusal::bad(ErrorCode::ManifestInvalid, error.to_string());
    let media_type = match parts.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default()) {
        Some(text) => Some(MediaType::from_header(text).map_err(invalid)?),
        None => None,
    };
    let bytes = bounded(body).await?;
    let digest = match identifier {
        Identifier::Tag(_) => Digest::of(&bytes),
        Identifier::Digest(expected) => match Digest::of_with(expected.algorithm(), &bytes) {
            actual if actual == *expected => actual,
            actual => {
                let said = format!("the manifest has the digest `{actual}`, not `{expected}`");
                return Err(Refusal::bad(ErrorCode::DigestInvalid, said));
            }
        },
    };
    Manifest::parse_named(bytes, media_type, digest).map_err(invalid)
}

/// Answers end-7: takes the manifest and points tags to it.
pub(super) async fn put(
    name: &Name,
    repository: &Repository,
    manifest: &Manifest,
    identifier: Identifier,
    tags: &[Tag],
    references: References,
) -> Result<Response<Body>, Refusal> {
    let adding = repository.adding().await?;
    if references == References::Checked {
        check(repository, manifest).await?;
    }
    let named = match identifier {
        Identifier::Tag(tag) => vec![tag],
        Identifier::Digest(_) => tags.to_vec(),
    };
    // Blobs were flushed when they were acknowledged.
    repository.put_manifest(&adding, manifest, named, Vec::new()).await.map_err(full)?;
    repository.referrals().note(manifest);
    let digest = manifest.digest();
    let location = (LOCATION, value(format_args!("/v2/{name}/manifests/{digest}")));
    let mut response = empty(StatusCode::CREATED, [location, (DOCKER_CONTENT_DIGEST, value(digest))]);
    for tag in tags {
        response.headers_mut().append(OCI_TAG, value(tag));
    }
    if let Some(subject) = manifest.subject() {
        response.headers_mut().insert(OCI_SUBJECT, value(subject.digest));
    }
    Ok(response)
}

/// Answers end-9: a tag goes alone, a manifest takes its tags with it.
pub(super) async fn delete(repository: &Repository, identifier: &Identifier) -> Result<Response<Body>, Refusal> {
    let gone = match identifier {
        Identifier::Tag(tag) => repository.delete_tag(tag).await,
        // What is a blob and no manifest is not deleted by this name.
        Identifier::Digest(digest) => match repository.resolve(identifier).await {
            Ok(_) => repository.delete_manifest(digest).await,
            Err(error) => Err(error),
        },
    };
    gone.map_err(|error| absent(error, identifier))?;
    Ok(empty(StatusCode::ACCEPTED, []))
}

/// Looks a manifest up. A layout guesses what `latest` may mean and finds full names by their tags; a registry has the
/// tags that it lists. A digest may also be that of an index's child, which other tools do not list.
async fn resolve(repository: &Repository, identifier: &Identifier) -> Result<Descriptor, Refusal> {
    match (repository.listed(identifier).await?, identifier) {
        (Some(listed), _) => Ok(listed),
        (None, Identifier::Tag(_)) => Err(unknown(identifier)),
        (None, Identifier::Digest(_)) => {
            repository.resolve(identifier).await.map_err(|error| absent(error, identifier))
        }
    }
}

/// Says that an index has no room left, which the client can do nothing about and people can.
fn full(error: Error) -> Refusal {
    match error {
        Error::Io(failure) if failure.source.kind() == io::ErrorKind::FileTooLarge => {
            let said = "the repository lists as many manifests as its index can hold";
            Refusal::new(StatusCode::INSUFFICIENT_STORAGE, ErrorCode::Denied, said)
        }
        other => other.into(),
    }
}

/// Says which content that the manifest names is not there.
pub(super) async fn check(repository: &Repository, manifest: &Manifest) -> Result<(), Refusal> {
    for needed in manifest.blobs().filter(|blob| blob.urls.is_empty()).chain(manifest.manifests()) {
        if !repository.shelf().has(needed).await? {
            let said = format!("the repository does not have `{}`, which the manifest names", needed.digest);
            return Err(Refusal::bad(ErrorCode::ManifestBlobUnknown, said));
        }
    }
    Ok(())
}

fn found(descriptor: &Descriptor, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().extend([
        (CONTENT_LENGTH, value(descriptor.size)),
        (CONTENT_TYPE, value(&descriptor.media_type)),
        (DOCKER_CONTENT_DIGEST, value(descriptor.digest)),
        (ETAG, value(format_args!("\"{}\"", descriptor.digest))),
    ]);
    response
}

fn unmodified(descriptor: &Descriptor) -> Response<Body> {
    let mut response = found(descriptor, Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response.headers_mut().remove(CONTENT_LENGTH);
    response
}

/// Says whether a digest is among the entity tags that a request knows.
fn knows(headers: &HeaderMap, digest: &Digest) -> bool {
    let texts = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let known = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').parse().as_ref() == Ok(digest);
    texts.flat_map(|text| text.split(',')).any(known)
}

fn absent(error: Error, identifier: &Identifier) -> Refusal {
    match error {
        Error::NotFound(_) => unknown(identifier),
        other => other.into(),
    }
}

fn unknown(identifier: &Identifier) -> Refusal {
    Refusal::missing(ErrorCode::ManifestUnknown, format!("there is no manifest `{identifier}`"))
}

async fn bounded(body: &mut Body) -> Result<Bytes, Refusal> {
    let too_long = || {
        let said = format!("a manifest has at most {} bytes", Manifest::MAX_READ);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::SizeInvalid, said)
    };
    if body.remaining().is_some_and(|length| length > Manifest::MAX_READ) {
        return Err(too_long());
    }
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.chunk().await {
        let chunk = chunk?;
        if (bytes.len() + chunk.len()) as u64 > Manifest::MAX_READ {
            return Err(too_long());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Says which tags were made besides the one in the path; one header each.
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
/// Says that the registry knows what a subject is.
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
