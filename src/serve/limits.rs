//! What a request may measure before anything looks at what it asks for.

use http::header::{HOST, HeaderMap, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{Request, StatusCode, Version};

use super::respond::Refusal;
use crate::model::ErrorCode;

/// How long path and query of a request may be, in bytes; longer ones are 414. The longest that a client needs (a mount
/// between two longest names, ten longest tags) have less than 2 KiB.
pub const MAX_TARGET: usize = 16 << 10;

/// How many header fields a request may have; more are 431. Clients send ten, proxies add ten.
pub const MAX_FIELDS: usize = 64;

/// How long the header fields of a request may be together, in bytes; longer ones are 431. Half of it is a token.
pub const MAX_HEADERS: usize = 64 << 10;

/// Looks whether a request is one that we want to read any further.
///
/// What exceeds twice these limits never gets here: the connection refuses it with the bare status.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Refusal> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > MAX_TARGET {
        let said = format!("path and query have {target} bytes, at most {MAX_TARGET} are read");
        return Err(Refusal::new(StatusCode::URI_TOO_LONG, ErrorCode::Unsupported, said));
    }
    let headers = request.headers();
    let length: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum();
    if headers.len() > MAX_FIELDS || length > MAX_HEADERS {
        let said = format!("a request has at most {MAX_FIELDS} header fields of {MAX_HEADERS} bytes together");
        return Err(Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, ErrorCode::Unsupported, said));
    }
    if !is_addressed(request.version(), headers) {
        let said = "a request of HTTP/1.1 has one `Host`, which is a host and perhaps a port (RFC 9112, section 3.2)";
        return Err(Refusal::bad(ErrorCode::Unsupported, said));
    }
    if !is_framed(headers) {
        let said = "a body comes as it is, or with `Transfer-Encoding: chunked` and in no other coding";
        return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, ErrorCode::Unsupported, said));
    }
    Ok(())
}

/// Codings that nobody undoes would be a part of the content, and two of them might end it in two places.
fn is_framed(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// Two hosts would mean one thing to us and another to a proxy before us.
fn is_addressed(version: Version, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    match (version, hosts.next(), hosts.next()) {
        (_, _, Some(_)) | (Version::HTTP_11, None, _) => false,
        (_, Some(host), None) => host.is_empty() || Authority::try_from(host.as_bytes()).is_ok(),
        (_, None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(version: Version, target: &str, fields: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().version(version).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        check(&request.body(()).expect("a request")).map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    #[test]
    fn what_is_too_much_is_refused_by_its_kind() {
        let (long, longest) = ("/".repeat(MAX_TARGET), "x".repeat(MAX_HEADERS));
        let many: Vec<_> = (0..MAX_FIELDS).map(|_| ("x", "y")).collect();
        let (v10, v11, v2) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
        for (version, target, fields, expected) in [
            (v11, "/v2/", &[("host", "r.example:5000")][..], 200),
            (v11, "/v2/", &[("host", "")], 200),
            (v11, "http://other.example/v2/", &[("host", "r.example")], 200),
            (v2, "https://r.example/v2/", &[], 200),
            (v10, "/v2/", &[], 200),
            (v11, "/v2/", &[], 400),
            (v11, "/v2/", &[("host", "a"), ("host", "a")], 400),
            (v11, "/v2/", &[("host", "a/b")], 400),
            (v11, "/v2/", &[("host", "a b")], 400),
            (v11, "/v2/", &[("host", "a"), ("transfer-encoding", "Chunked")], 200),
            (v11, "/v2/", &[("host", "a"), ("transfer-encoding", "gzip, chunked")], 501),
            (v11, "/v2/", &[("host", "a"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], 501),
            (v10, &long, &[], 200),
            (v10, &format!("{long}/"), &[], 414),
            (v10, &format!("{long}?x"), &[], 414),
            (v10, "/v2/", &many, 200),
            (v10, "/v2/", &[&many[..], &[("x", "y")]].concat(), 431),
            (v10, "/v2/", &[("x", &*longest)], 431),
        ] {
            assert_eq!(status(version, target, fields), expected, "{target:.40} {:?}", fields.first());
        }
    }
}
