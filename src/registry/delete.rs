//! Deleting (distribution-spec 1.1, end-9 and end-10).

use http::{Method, StatusCode};

use super::Repository;
use super::response::refused;
use crate::auth::{Actions, Scope};
use crate::error::{Error, RequestLine};
use crate::model::{ErrorCode, ErrorEntry};
use crate::transport::FinalUri;

/// Deletes what is at `rest` below the repository: one `DELETE`. `what` names it, `kind` its kind.
pub(super) async fn delete(
    repository: &Repository,
    rest: impl std::fmt::Display,
    what: impl FnOnce() -> String,
    kind: &'static str,
) -> Result<(), Error> {
    let request = repository.request(Method::DELETE, rest);
    let line = RequestLine::new(request.method(), request.uri());
    let client = repository.client();
    let name = repository.name().clone();
    let scopes = repository.scopes().with(Scope::Repository { name, actions: Actions::DELETE });
    let response = client.send(repository.registry(), request, &scopes, &mut client.budget()).await?;
    if response.status().is_success() {
        return Ok(());
    }
    let line = response.extensions().get().map_or(line, |FinalUri(uri)| RequestLine::new(&Method::DELETE, uri));
    Err(explained(refused(response, line, what).await, kind))
}

/// Adds what a 400 or 405 to a `DELETE` means, since registries that do not delete rarely say so.
fn explained(mut error: Error, kind: &'static str) -> Error {
    if let Error::Refused(refused) = &mut error
        && matches!(refused.status, StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED)
    {
        let message = format!("this registry does not let {kind} be deleted, or not like this");
        refused.errors.insert(0, ErrorEntry::new(ErrorCode::Unsupported, message));
    }
    error
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::*;
    use crate::error::{Details, Refused};

    #[test]
    fn what_registries_mean_by_400_and_405_is_said() {
        for (status, code, first) in [
            (405, None, Some("UNSUPPORTED")),
            (400, Some(ErrorCode::DigestInvalid), Some("UNSUPPORTED")),
            (403, Some(ErrorCode::Denied), Some("DENIED")),
            (500, None, None),
        ] {
            let request = RequestLine::new(&Method::DELETE, &Uri::from_static("https://r/v2/a/manifests/v1"));
            let status = StatusCode::from_u16(status).expect("a status");
            let errors = code.into_iter().map(|code| ErrorEntry::new(code, "")).collect();
            let refused = Refused { request, status, errors, attempts: 1, details: Details::default() };
            let error = explained(Error::from(Box::new(refused)), "tags");
            assert_eq!(error.code().map(ErrorCode::as_str), first, "{status}");
        }
    }
}
