//! Blobs: reading them whole or in part, mounting them, deleting them.

use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};

use super::range::{Wanted, wanted};
use super::repositories::{Repositories, Repository, described};
use super::respond::{DOCKER_CONTENT_DIGEST, Refusal, empty, value};
use super::uploads::created;
use crate::content::Body;
use crate::error::Error;
use crate::model::{Digest, ErrorCode, MediaType, Name};

/// Answers end-2: a blob, or the part of it that `Range` asks for, streamed from its file.
pub(super) async fn read(repository: &Repository, digest: Digest, parts: &Parts) -> Result<Response<Body>, Refusal> {
    let Some(size) = repository.shelf().size(&digest).await? else { return Err(unknown(digest)) };
    // Ranges of a `HEAD` mean nothing (RFC 9110, section 14.2).
    let header = if parts.method == Method::GET { parts.headers.get(RANGE) } else { None };
    // Text that is no text asks for no range that we know.
    let range = wanted(header.and_then(|value| value.to_str().ok()), size);
    let (status, first, length) = match range {
        Wanted::Whole => (StatusCode::OK, 0, size),
        Wanted::Part(first, last) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Wanted::Nothing => {
            let said = format!("the blob has {size} bytes, none of them where asked");
            let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::SizeInvalid, said);
            return Err(refusal.with(CONTENT_RANGE, value(format_args!("bytes */{size}"))));
        }
    };
    let body = match parts.method {
        // Whoever asks whether it is there may be about to build on it.
        Method::HEAD if repository.keep(&described(digest, size)).await? => Body::empty(),
        Method::HEAD => return Err(unknown(digest)),
        _ => {
            let opened = repository.shelf().blob(&described(digest, size)).open(first).await;
            opened.map_err(|error| absent(error, digest))?.take(length)
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().extend([
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (CONTENT_LENGTH, value(length)),
        (CONTENT_TYPE, value(MediaType::OCTET_STREAM)),
        (DOCKER_CONTENT_DIGEST, value(digest)),
    ]);
    if let Wanted::Part(first, last) = range {
        response.headers_mut().insert(CONTENT_RANGE, value(format_args!("bytes {first}-{last}/{size}")));
    }
    Ok(response)
}

/// Answers end-11, if `source` has the blob: it is linked into the repository and no byte is copied.
pub(super) async fn mount(
    name: &Name,
    repositories: &Repositories,
    digest: Digest,
    source: Option<&Repository>,
) -> Result<Option<Response<Body>>, Refusal> {
    let repository = repositories.at(name).await?;
    if let Some(size) = repository.shelf().size(&digest).await?
        && repository.keep(&described(digest, size)).await?
    {
        return Ok(Some(created(name, digest)));
    }
    let Some(source) = source else { return Ok(None) };
    if source.shelf().size(&digest).await?.is_none() {
        return Ok(None);
    }
    match repositories.create(name).await?.adopt(source, &digest).await {
        Ok(_) => Ok(Some(created(name, digest))),
        // Deleted since, or never there: the client uploads it.
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Answers end-10: the blob goes, from this repository alone.
///
/// A manifest is kept among the blobs of a layout; as a blob it is not deleted, because its tags would lead nowhere.
pub(super) async fn delete(repository: &Repository, digest: Digest) -> Result<Response<Body>, Refusal> {
    let alone = repository.removing().await?;
    if repository.catalog().await?.manifest(&digest).is_some() {
        let said = format!("`{digest}` is a manifest: delete it as one");
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported, said));
    }
    repository.remove_blob(&alone, &digest).await.map_err(|error| absent(error, digest))?;
    Ok(empty(StatusCode::ACCEPTED, []))
}

fn absent(error: Error, digest: Digest) -> Refusal {
    match error {
        Error::NotFound(_) => unknown(digest),
        other => other.into(),
    }
}

fn unknown(digest: Digest) -> Refusal {
    Refusal::missing(ErrorCode::BlobUnknown, format!("there is no blob `{digest}`"))
}
