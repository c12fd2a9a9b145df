//! Faults that come before the registry looks at a request.

use http::header::{HeaderName, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};

use super::answers::{broken, silent};
use super::faulty::Work;
use super::kind::Kind;
use super::state::{asks, json, peek, redirect_to, refuse, whole};
use crate::content::Body;
use crate::model::{ErrorCode, MediaType};
use crate::serve::route::Route;
use crate::serve::server::Handler;

/// Changes the request, or answers it.
pub(super) async fn before<H: Handler>(
    work: &Work<'_, H>,
    parts: &mut Parts,
    body: &mut Body,
) -> Option<Response<Body>> {
    // What depends on the answer's status has to wait for it.
    if work.fault.place.when.is_some() {
        return None;
    }
    match &work.fault.kind {
        Kind::Close => Some(broken(Response::new(Body::empty()), 0, None)),
        Kind::Reset(None) => Some(broken(Response::new(Body::empty()), 0, parts.extensions.get().cloned())),
        Kind::Stall(None) => Some(silent().await),
        Kind::Status { code, retry_after } => {
            // Who has not sent everything yet may not read the answer.
            whole(body).await;
            let mut response = refused(*code);
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
            }
            Some(response)
        }
        Kind::Ignore(name) => {
            if let Ok(name) = name.parse::<HeaderName>() {
                parts.headers.remove(name);
            }
            without(parts, name);
            None
        }
        Kind::Limit(most) => {
            let announced = body.remaining();
            let long = match announced {
                Some(length) => length > *most,
                None => peek(body).await.len() as u64 > *most,
            };
            if !long {
                return None;
            }
            whole(body).await;
            Some(refuse(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::SizeInvalid, "the request's body is too long"))
        }
        Kind::SubjectRequired => subject(work, parts, body).await,
        Kind::OnlyImages => image(parts, body).await,
        _ => None,
    }
}

/// Makes the answer of a registry that is not well.
fn refused(code: StatusCode) -> Response<Body> {
    let error = match code {
        StatusCode::TOO_MANY_REQUESTS => ErrorCode::TooManyRequests,
        StatusCode::UNAUTHORIZED => ErrorCode::Unauthorized,
        StatusCode::FORBIDDEN => ErrorCode::Denied,
        StatusCode::NOT_FOUND => ErrorCode::NameUnknown,
        _ => ErrorCode::Unsupported,
    };
    match code {
        code if code.is_client_error() => refuse(code, error, "so the fault wants it"),
        // What stands before a registry knows no JSON.
        code => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = code;
            response
        }
    }
}

/// Takes a parameter out of the query.
fn without(parts: &mut Parts, name: &str) {
    let Some(query) = parts.uri.query() else { return };
    let kept: Vec<&str> =
        query.split('&').filter(|pair| pair.split_once('=').map_or(*pair, |(key, _)| key) != name).collect();
    let mark = if kept.is_empty() { "" } else { "?" };
    let target = format!("{}{mark}{}", parts.uri.path(), kept.join("&"));
    redirect_to(parts, &target);
}

/// Knows one type of configuration.
async fn image(parts: &Parts, body: &mut Body) -> Option<Response<Body>> {
    let Some(Route::PutManifest { .. }) = asks(parts) else { return None };
    let manifest: serde_json::Value = serde_json::from_slice(&peek(body).await).ok()?;
    let media_type = manifest["config"]["mediaType"].as_str()?;
    let said = format!("unknown media type `{media_type}` of the configuration");
    (media_type != MediaType::IMAGE_CONFIG.as_str())
        .then(|| refuse(StatusCode::BAD_REQUEST, ErrorCode::ManifestInvalid, &said))
}

async fn subject<H: Handler>(work: &Work<'_, H>, parts: &Parts, body: &mut Body) -> Option<Response<Body>> {
    let Some(Route::PutManifest { name, .. }) = asks(parts) else { return None };
    let manifest: serde_json::Value = serde_json::from_slice(&peek(body).await).ok()?;
    let digest = manifest["subject"]["digest"].as_str()?;
    let there = json(work.inner, &format!("/v2/{name}/manifests/{digest}")).await.is_some();
    (!there).then(|| refuse(StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown, "the subject is not there"))
}
