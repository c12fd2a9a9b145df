//! Faults of uploads: what is kept, what is lost, and what was never proved.

use http::header::{HeaderName, LOCATION, RANGE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};

use super::faulty::Work;
use super::kind::Kind;
use super::state::{ask, asks, put_back, redirect_to, refuse, whole};
use crate::content::Body;
use crate::model::{Algorithm, Digest, ErrorCode};
use crate::serve::route::Route;
use crate::serve::server::Handler;

/// Changes an upload, or answers it.
pub(super) async fn before<H: Handler>(
    work: &Work<'_, H>,
    parts: &mut Parts,
    body: &mut Body,
) -> Option<Response<Body>> {
    let session = parts.uri.path().to_owned();
    match (&work.fault.kind, asks(parts)?) {
        (Kind::Unproved | Kind::Sha256Only, Route::Append { .. }) => {
            work.state.seen().sessions.insert(session, Default::default());
            None
        }
        (Kind::Unproved | Kind::Sha256Only, Route::PushBlob { digest, .. } | Route::Finish { digest, .. }) => {
            // Bytes that came before are somewhere else, and with them the content's digest.
            if work.state.seen().sessions.remove(&session).is_none() {
                rename(&work.fault.kind, parts, body, digest).await;
            }
            None
        }
        (Kind::ChunkMinimum(least), Route::Append { .. }) => {
            let bytes = whole(body).await;
            let length = bytes.len() as u64;
            put_back(parts, body, bytes);
            // Which chunk is the last one is seen when another one follows.
            let mut seen = work.state.seen();
            let was_short = seen.sessions.contains_key(&session);
            if length < *least {
                seen.sessions.insert(session, Default::default());
            }
            was_short.then(short)
        }
        (Kind::ChunkMinimum(_), Route::Finish { .. }) => {
            let has_more = body.remaining() != Some(0);
            let was_short = work.state.seen().sessions.remove(&session).is_some();
            (was_short && has_more).then(short)
        }
        (Kind::MountLies, Route::Mount { name, digest, .. }) => {
            let location = HeaderValue::try_from(format!("/v2/{name}/blobs/{digest}")).ok()?;
            Some(crate::serve::respond::empty(StatusCode::CREATED, [(LOCATION, location)]))
        }
        (Kind::UploadRace, Route::Finish { name, digest, .. }) => {
            let what = (name, digest);
            let lost = {
                let mut seen = work.state.seen();
                let lost = seen.sessions.remove(&session).is_some_and(|finished| finished.contains(&what));
                for finished in seen.sessions.values_mut() {
                    finished.insert(what.clone());
                }
                lost
            };
            if !lost {
                return None;
            }
            whole(body).await;
            ask(work.inner, Method::DELETE, &session).await;
            Some(refuse(StatusCode::CONFLICT, ErrorCode::BlobUploadInvalid, "another upload has finished this blob"))
        }
        (Kind::ReversedRanges, Route::Blob { .. }) => {
            let range = parts.headers.get(RANGE)?.to_str().ok()?;
            let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
            let (from, to) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
            if from > to {
                parts.headers.insert(RANGE, HeaderValue::try_from(format!("bytes={to}-{from}")).ok()?);
            }
            None
        }
        _ => None,
    }
}

/// Takes note of sessions, or ends them.
pub(super) async fn after<H: Handler>(
    work: &Work<'_, H>,
    asked: &Parts,
    mut response: Response<Body>,
) -> Response<Body> {
    match (&work.fault.kind, asks(asked)) {
        (Kind::ChunkMinimum(least), Some(Route::StartUpload { .. })) if response.status() == StatusCode::ACCEPTED => {
            response.headers_mut().insert(CHUNK_MINIMUM, HeaderValue::from(*least));
        }
        (Kind::FragileSessions, Some(Route::Append { .. } | Route::Finish { .. }))
            if response.status() == StatusCode::RANGE_NOT_SATISFIABLE =>
        {
            ask(work.inner, Method::DELETE, asked.uri.path()).await;
        }
        (Kind::UploadRace, Some(Route::StartUpload { .. })) => {
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            if let Some(location) = location {
                work.state.seen().sessions.insert(location.to_owned(), Default::default());
            }
        }
        _ => {}
    }
    response
}

/// Calls content what it is, or what the registry understands, and not what the client says.
async fn rename(kind: &Kind, parts: &mut Parts, body: &mut Body, digest: Digest) {
    let bytes = whole(body).await;
    let algorithm = if *kind == Kind::Sha256Only { Algorithm::Sha256 } else { digest.algorithm() };
    if digest.algorithm() == algorithm && *kind == Kind::Sha256Only {
        return put_back(parts, body, bytes);
    }
    let proved = Digest::of_with(digest.algorithm(), &bytes) == digest;
    if proved == (*kind == Kind::Sha256Only) {
        let target = format!("{}?digest={}", parts.uri.path(), Digest::of_with(algorithm, &bytes));
        redirect_to(parts, &target);
    }
    put_back(parts, body, bytes);
}

fn short() -> Response<Body> {
    refuse(StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::SizeInvalid, "a chunk that is not the last one is too short")
}

const CHUNK_MINIMUM: HeaderName = HeaderName::from_static("oci-chunk-min-length");
