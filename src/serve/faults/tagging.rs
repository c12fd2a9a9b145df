//! Faults of tags: those that do not move, and those that were never made.

use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderValue, Method, Response};

use super::faulty::Work;
use super::kind::Kind;
use super::state::{ask, asks, peek, redirect_to};
use crate::content::Body;
use crate::model::{Digest, Identifier};
use crate::serve::route::Route;
use crate::serve::server::Handler;

/// Changes what is pushed under which tag.
pub(super) async fn before<H: Handler>(
    work: &Work<'_, H>,
    parts: &mut Parts,
    body: &mut Body,
) -> Option<Response<Body>> {
    let kind = &work.fault.kind;
    if !matches!(kind, Kind::TagsStick | Kind::TagParameters(_) | Kind::TagParametersLie) {
        return None;
    }
    match (kind, asks(parts)?) {
        (Kind::TagsStick, Route::PutManifest { name, identifier: Identifier::Tag(_), .. }) => {
            let (status, ..) = ask(work.inner, Method::HEAD, parts.uri.path()).await;
            if status.is_success() {
                let digest = Digest::of(&peek(body).await);
                redirect_to(parts, &format!("/v2/{name}/manifests/{digest}"));
            }
        }
        (Kind::TagParameters(_) | Kind::TagParametersLie, Route::PutManifest { .. }) => {
            let most = if let Kind::TagParameters(most) = kind { *most } else { 0 };
            let query = parts.uri.query().unwrap_or_default();
            let mut tags = 0;
            let kept = query.split('&').filter(|pair| {
                tags += usize::from(pair.starts_with("tag="));
                !pair.starts_with("tag=") || tags <= most
            });
            let target = format!("{}?{}", parts.uri.path(), kept.collect::<Vec<_>>().join("&"));
            redirect_to(parts, &target);
        }
        _ => {}
    }
    None
}

/// Confirms what was not done.
pub(super) fn after<H: Handler>(work: &Work<'_, H>, asked: &Parts, mut response: Response<Body>) -> Response<Body> {
    if work.fault.kind == Kind::TagParametersLie
        && response.status().is_success()
        && let Some(Route::PutManifest { tags, .. }) = asks(asked)
    {
        for tag in tags {
            if let Ok(value) = HeaderValue::from_str(tag.as_str()) {
                response.headers_mut().append(HeaderName::from_static("oci-tag"), value);
            }
        }
    }
    response
}
