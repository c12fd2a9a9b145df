//! Requests that we read, and answers that we act upon.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use spinreg::Digest;
use spinreg::auth::fuzzing::realm;
use spinreg::registry::fuzzing::Upload;
use spinreg::serve::fuzzing::route;
use spinreg::transport::resolve;

use crate::line;

/// A method and a URI, as our registry reads them.
pub fn router(data: &[u8]) {
    let (method, uri) = line(data);
    let Ok(method) = Method::from_bytes(method) else { return };
    let Ok(uri) = Uri::try_from(uri) else { return };
    match route(&method, &uri) {
        Ok(_route) => assert!(uri.path().starts_with("/v2"), "{uri}"),
        Err(status) => assert!((400..500).contains(&status), "{status}"),
    }
}

/// Where an answer leads: the URI of the request, and a `Location` or a `realm`.
pub fn redirect(data: &[u8]) {
    let (base, location) = line(data);
    let Ok(base) = Uri::try_from(base) else { return };
    let Ok(location) = std::str::from_utf8(location) else { return };
    // Ours have a scheme and a host, and no user.
    let plain =
        base.authority().is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
    if !matches!(base.scheme_str(), Some("http" | "https")) || !plain {
        return;
    }
    if let Ok(uri) = resolve(&base, location) {
        assert!(matches!(uri.scheme_str(), Some("http" | "https")), "{uri}");
        let authority = uri.authority().expect("an absolute URI");
        assert!(!authority.host().is_empty() && !authority.as_str().contains('@'), "{uri}");
    }
    if let Some(uri) = realm(&base, location) {
        assert!(base.scheme_str() == Some("http") || uri.scheme_str() == Some("https"), "{uri}");
    }
}

/// The plan of an upload against a registry that answers anything: it ends, and stays within the blob.
///
/// The first two bytes are size and chunk; then an answer a line: a status, `|`, and fields as `name=value` after
/// further `|`. A line `lost` is no answer. When the lines end, they begin again.
pub fn upload(data: &[u8]) {
    let [size, chunk, script @ ..] = data else { return };
    let size = u64::from(*size) * 9_973;
    let chunk = (*chunk > 0).then(|| u64::from(*chunk) * 4_001);
    let base = Uri::from_static("https://r.example/v2/a/blobs/uploads/");
    let answers: Vec<&[u8]> = script.split(|byte| *byte == b'\n').take(64).collect();
    let mut plan = Upload::new(Digest::of(b"any"), size, chunk);
    let mut waits = 0;
    for (turn, answer) in answers.iter().cycle().enumerate() {
        let Some(bytes) = plan.next() else { return };
        assert!(bytes.start <= bytes.end && bytes.end <= size, "{bytes:?} of {size}");
        let (goes_on, waited) = if *answer == b"lost" {
            plan.lost()
        } else {
            let mut parts = answer.split(|byte| *byte == b'|');
            let Some(status) = parts.next().and_then(|status| StatusCode::from_bytes(status).ok()) else { return };
            let mut headers = HeaderMap::new();
            for part in parts {
                let mut pair = part.splitn(2, |byte| *byte == b'=');
                let name = pair.next().and_then(|name| HeaderName::from_bytes(name).ok());
                let value = pair.next().and_then(|value| HeaderValue::from_bytes(value).ok());
                if let (Some(name), Some(value)) = (name, value) {
                    headers.insert(name, value);
                }
            }
            plan.answered(&base, status, &headers)
        };
        if !goes_on {
            return;
        }
        // Whoever carries the plan out has a budget for waits.
        waits += u32::from(waited);
        if waits > 8 {
            return;
        }
        assert!(turn < MAX_TURNS, "the upload goes on for ever");
    }
}

/// Chunks of at least 64 KiB, some restarts, corrections and questions in between: far less than this.
const MAX_TURNS: usize = 5_000;
