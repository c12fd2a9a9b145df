//! Uploads: sessions that take bytes until a digest closes them.

use bytes::Bytes;
use http::header::{CONTENT_RANGE, HeaderName, LOCATION, RANGE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};

use super::range;
use super::repositories::{Repositories, Repository};
use super::respond::{DOCKER_CONTENT_DIGEST, Refusal, empty, value};
use super::route::unknown_upload;
use super::sessions::Sessions;
use super::upload_id::UploadId;
use crate::content::Body;
use crate::model::{Algorithm, Digest, ErrorCode, Name};
use crate::store::Ingest;

/// Answers end-4a and end-4c: opens a session. Which algorithm its digest has is seen when it is closed; whoever says it
/// now is given an address that says so too, and spares us a second look at the bytes.
pub(super) async fn start(
    name: &Name,
    repositories: &Repositories,
    algorithm: Option<Algorithm>,
) -> Result<Response<Body>, Refusal> {
    let id = &UploadId::random()?;
    let begin = |repository: Repository| async move { Ingest::session(repository.shelf(), id.session()).await };
    // Dropping the writer keeps the file, which is the session.
    drop(repositories.prepared(name, begin).await?);
    Ok(empty(StatusCode::ACCEPTED, progress(name, id, 0, algorithm)))
}

/// Answers end-4b: a whole blob in one request.
pub(super) async fn whole(
    name: &Name,
    repositories: &Repositories,
    digest: Digest,
    body: &mut Body,
) -> Result<Response<Body>, Refusal> {
    // Nobody knows the session's name: whatever ends this request early ends the session.
    let id = &UploadId::random()?;
    let begin = |repository: Repository| async move {
        Ingest::transient(repository.shelf(), id.session(), digest.algorithm()).await
    };
    let mut ingest = repositories.prepared(name, begin).await?;
    pour(&mut ingest, body, None).await?;
    commit(name, repositories, ingest, digest).await
}

/// Answers end-13: how far the session is.
pub(super) async fn status(name: &Name, repository: &Repository, id: &UploadId) -> Result<Response<Body>, Refusal> {
    match repository.shelf().session_size(id.session()).await? {
        Some(size) => Ok(empty(StatusCode::NO_CONTENT, progress(name, id, size, None))),
        None => Err(unknown_upload()),
    }
}

/// Answers end-5: more bytes, at the place that `Content-Range` says or, without one, at the end.
///
/// Bytes that arrived stay when the request breaks off, and a chunk for another place changes nothing.
pub(super) async fn append(
    sessions: &Sessions,
    name: &Name,
    repository: &Repository,
    id: &UploadId,
    algorithm: Option<Algorithm>,
    parts: &Parts,
    body: &mut Body,
) -> Result<Response<Body>, Refusal> {
    let mut session = sessions.enter(name, repository, id, algorithm).await?;
    let length = expected_length(name, id, session.writer()?.offset(), parts, body)?;
    let poured = pour(session.writer()?, body, length).await;
    if poured.as_ref().is_err_and(|refusal| refusal.status.is_server_error()) {
        // What is on the disk is what counts: it is looked at before the next byte.
        drop(session.take()?);
    }
    Ok(empty(StatusCode::ACCEPTED, progress(name, id, poured?, algorithm)))
}

/// Answers end-6: the last bytes, if any, and the digest.
///
/// A chunk for another place leaves the session open; a digest that does not match ends it.
pub(super) async fn finish(
    sessions: &Sessions,
    name: &Name,
    repositories: &Repositories,
    id: &UploadId,
    digest: Digest,
    parts: &Parts,
    body: &mut Body,
) -> Result<Response<Body>, Refusal> {
    let mut session = sessions.enter(name, &repositories.at(name).await?, id, Some(digest.algorithm())).await?;
    let length = expected_length(name, id, session.writer()?.offset(), parts, body)?;
    if let Err(refusal) = pour(session.writer()?, body, length).await {
        if refusal.status.is_server_error() {
            drop(session.take()?);
        }
        return Err(refusal);
    }
    let answer = commit(name, repositories, session.take()?, digest).await;
    sessions.leave(name, id);
    answer
}

/// Answers end-14: throws the session and its bytes away.
pub(super) async fn cancel(
    sessions: &Sessions,
    name: &Name,
    repository: &Repository,
    id: &UploadId,
) -> Result<Response<Body>, Refusal> {
    let mut session = sessions.enter(name, repository, id, None).await?;
    session.take()?.abort().await?;
    sessions.leave(name, id);
    Ok(empty(StatusCode::NO_CONTENT, []))
}

/// The answer to whatever ends with the blob in the repository.
pub(super) fn created(name: &Name, digest: Digest) -> Response<Body> {
    let location = value(format_args!("/v2/{name}/blobs/{digest}"));
    empty(StatusCode::CREATED, [(LOCATION, location), (DOCKER_CONTENT_DIGEST, value(digest))])
}

/// Verifies, publishes and flushes: what is acknowledged survives a power cut.
async fn commit(
    name: &Name,
    repositories: &Repositories,
    mut ingest: Ingest,
    digest: Digest,
) -> Result<Response<Body>, Refusal> {
    ingest.expect(digest).await?;
    match repositories.existing(name).await? {
        Some(repository) => repository.publish(ingest).await?,
        None => {
            // Nobody removes anything from what is not there: no lock is needed, and a blob that is refused leaves none.
            let blob = ingest.commit_durably().await?;
            repositories.create(name).await?;
            blob
        }
    };
    Ok(created(name, digest))
}

/// Compares a chunk's `Content-Range`, if it has one, with where the session is, and returns the chunk's length.
fn expected_length(
    name: &Name,
    id: &UploadId,
    offset: u64,
    parts: &Parts,
    body: &Body,
) -> Result<Option<u64>, Refusal> {
    let Some(header) = parts.headers.get(CONTENT_RANGE) else { return Ok(None) };
    let Some((first, length)) = header.to_str().ok().and_then(range::chunk) else {
        let said = "`Content-Range` is not `<first>-<last>`";
        return Err(Refusal::bad(ErrorCode::BlobUploadInvalid, said));
    };
    if first != offset {
        let said = format!("the session is at byte {offset}, not at {first}");
        let mut refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::BlobUploadInvalid, said);
        refusal.headers.extend(progress(name, id, offset, None));
        return Err(refusal);
    }
    match body.remaining() {
        Some(announced) if announced != length => Err(wrong_length(length)),
        _ => Ok(Some(length)),
    }
}

/// Writes what the body brings, `length` bytes if that is given, and returns where the session then is.
async fn pour(ingest: &mut Ingest, body: &mut Body, length: Option<u64>) -> Result<u64, Refusal> {
    let mut left = length;
    let outcome = async {
        while let Some(chunk) = ingest.next_of(body).await? {
            let chunk: Bytes = chunk?;
            if let Some(left) = &mut left {
                *left = left.checked_sub(chunk.len() as u64).ok_or_else(|| wrong_length(length.unwrap_or_default()))?;
            }
            ingest.write(chunk).await?;
        }
        Ok::<_, Refusal>(())
    };
    let outcome = outcome.await;
    // What was accepted before something failed counts: it has to be on file before we say how much that is.
    let offset = ingest.settle().await?;
    outcome?;
    match left {
        Some(1..) => Err(wrong_length(length.unwrap_or_default())),
        _ => Ok(offset),
    }
}

fn wrong_length(length: u64) -> Refusal {
    Refusal::bad(ErrorCode::SizeInvalid, format!("`Content-Range` announces {length} bytes, the body has others"))
}

/// Where to go on, and from which byte. With nothing there yet the range is what registries have always said.
fn progress(name: &Name, id: &UploadId, size: u64, algorithm: Option<Algorithm>) -> [(HeaderName, HeaderValue); 2] {
    let location = match algorithm.filter(|algorithm| *algorithm != Algorithm::Sha256) {
        Some(algorithm) => value(format_args!("/v2/{name}/blobs/uploads/{id}?digest-algorithm={algorithm}")),
        None => value(format_args!("/v2/{name}/blobs/uploads/{id}")),
    };
    [(LOCATION, location), (RANGE, value(format_args!("0-{}", size.saturating_sub(1))))]
}
