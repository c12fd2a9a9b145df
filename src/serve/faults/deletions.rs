//! Faults of deletions: what is acknowledged and not done, or done and not asked for.

use http::request::Parts;
use http::{Method, Response, StatusCode};

use super::faulty::Work;
use super::kind::Kind;
use super::state::{ask, asks, redirect_to, refuse, yes};
use crate::content::Body;
use crate::model::{Digest, ErrorCode, Identifier};
use crate::serve::route::Route;
use crate::serve::server::Handler;

/// Changes a deletion, or answers it.
pub(super) async fn before<H: Handler>(work: &Work<'_, H>, parts: &mut Parts) -> Option<Response<Body>> {
    let target = parts.uri.path().to_owned();
    match (&work.fault.kind, asks(parts)?) {
        (Kind::DeleteNothing, Route::Cancel { .. }) => Some(yes(StatusCode::NO_CONTENT)),
        (Kind::DeleteNothing, Route::DeleteManifest { .. } | Route::DeleteBlob { .. }) => {
            let (status, ..) = ask(work.inner, Method::HEAD, &target).await;
            status.is_success().then(|| yes(StatusCode::ACCEPTED))
        }
        (Kind::DeleteTagDeep, Route::DeleteManifest { name, identifier: Identifier::Tag(_) }) => {
            let (_, headers, _) = ask(work.inner, Method::HEAD, &target).await;
            let digest = headers.get("docker-content-digest")?.to_str().ok()?;
            redirect_to(parts, &format!("/v2/{name}/manifests/{digest}"));
            None
        }
        (Kind::DeleteLeavesTags, Route::DeleteManifest { name, identifier: Identifier::Digest(digest) }) => {
            let (status, ..) = ask(work.inner, Method::HEAD, &target).await;
            let fresh = status.is_success() && work.state.seen().hidden.insert((name, digest));
            Some(if fresh { yes(StatusCode::ACCEPTED) } else { gone() })
        }
        (Kind::DeleteLeavesTags, Route::Manifest { name, identifier: Identifier::Digest(digest) }) => {
            work.state.seen().hidden.contains(&(name, digest)).then(gone)
        }
        (Kind::DeleteEverywhere, Route::DeleteBlob { digest, .. }) => {
            let names = work.state.seen().names.clone();
            for name in names {
                let other = format!("/v2/{name}/blobs/{digest}");
                if other != target {
                    ask(work.inner, Method::DELETE, &other).await;
                }
            }
            None
        }
        _ => None,
    }
}

/// Takes note of what is there.
pub(super) async fn after<H: Handler>(work: &Work<'_, H>, asked: &Parts, response: Response<Body>) -> Response<Body> {
    if !response.status().is_success() {
        return response;
    }
    match (&work.fault.kind, asks(asked)) {
        (Kind::DeleteEverywhere, Some(Route::StartUpload { name, .. } | Route::PushBlob { name, .. })) => {
            work.state.seen().names.insert(name);
        }
        (Kind::DeleteLeavesTags, Some(Route::PutManifest { name, .. })) => {
            let digest = response.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
            if let Some(digest) = digest.and_then(|text| text.parse::<Digest>().ok()) {
                work.state.seen().hidden.remove(&(name, digest));
            }
        }
        _ => {}
    }
    response
}

fn gone() -> Response<Body> {
    refuse(StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown, "there is no such manifest")
}
