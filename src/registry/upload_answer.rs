//! What an answer says about an upload. Pure.

use std::net::IpAddr;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderName, LOCATION, RANGE};
use http::{StatusCode, Uri};

use super::response::{DOCKER_CONTENT_DIGEST, digest_named};
use crate::model::{Digest, ParseError};
use crate::transport::{Astray, Origin, judge, resolve};

/// An answer to one of the requests of an upload, as far as it matters. Nothing in it is trusted yet.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Where the session goes on, resolved; absent where the answer does not say.
    pub(super) location: Option<Result<Uri, Unusable>>,
    /// Which bytes the registry says that it has.
    pub(super) range: Option<Span>,
    /// The smallest chunk that the registry takes, the last one apart.
    pub(super) least: Option<u64>,
    /// The largest chunk that the registry takes.
    pub(super) most: Option<u64>,
    /// The digest of what the registry has stored.
    pub(super) digest: Option<Digest>,
    /// How many bytes the blob has, in the answer to a `HEAD`.
    pub(super) length: Option<u64>,
}

/// Why a `Location` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error(transparent)]
    NoAddress(#[from] ParseError),
    #[error(transparent)]
    Astray(#[from] Astray),
}

/// A range of bytes: the first, and the one after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) end: u64,
}

impl Answer {
    /// Reads an answer that came from `base`, and from the address `peer` where that is known.
    pub(super) fn read(base: &Uri, peer: Option<IpAddr>, status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name: &HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
        let number = |name: &HeaderName| text(name)?.parse().ok();
        // Bytes that are no text are as good as no location: then the address that was known is kept.
        let location = text(&LOCATION).map(|text| location(base, peer, text));
        let plain = text(&CONTENT_ENCODING).is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"));
        Self {
            status,
            location,
            range: text(&RANGE).and_then(Span::read),
            least: number(&CHUNK_MIN_LENGTH).filter(|least| *least > 0),
            most: number(&CHUNK_MAX_LENGTH),
            digest: digest_named(headers, &DOCKER_CONTENT_DIGEST),
            length: number(&CONTENT_LENGTH).filter(|_| plain),
        }
    }
}

impl Answer {
    /// Says whether the answer names the blob's own place, `…/blobs/<digest>`: the specification wants that of a mount, and
    /// a session has another one.
    pub(super) fn names_blob(&self, digest: &Digest) -> bool {
        let Some(Ok(uri)) = &self.location else { return false };
        let last = uri.path().rsplit_once("/blobs/").map(|(_, last)| last.replace("%3A", ":").replace("%3a", ":"));
        last.is_some_and(|last| last.parse().as_ref() == Ok(digest))
    }
}

impl Span {
    /// Reads the `Range` of an upload: `0-99`, or what registries make of it.
    ///
    /// There is no right way to write the range of nothing: `0-0` is also that of one byte, and olareg writes `0--1`.
    fn read(text: &str) -> Option<Self> {
        let text = text.strip_prefix("bytes").map_or(text, |rest| rest.trim_start_matches(['=', ' ']));
        let (first, last) = text.split_once('-')?;
        let first = first.trim().parse().ok()?;
        let end = match last.trim() {
            "-1" => 0,
            last => last.parse::<u64>().ok()?.checked_add(1)?,
        };
        (first < end || (first, end) == (0, 0)).then_some(Self { first, end })
    }
}

/// Resolves the `Location` of a session against the address that answered, and judges it as a redirect: another host may
/// well take the bytes, but not for everyone on the way to read, and not in our own network when it is outside of that.
fn location(base: &Uri, peer: Option<IpAddr>, text: &str) -> Result<Uri, Unusable> {
    if text.len() > MAX_LOCATION {
        return Err(ParseError::new("location", "…", "at most 16384 characters").into());
    }
    let uri = protected(base, resolve(base, text)?);
    if let (Some(from), Some(to)) = (Origin::of(base), Origin::of(&uri)) {
        judge(&from, &to, peer)?;
    }
    Ok(uri)
}

/// Keeps the protection on the same host: behind a proxy that ends TLS, registries call themselves `http`, and may
/// have lost their port besides (<https://github.com/distribution/distribution/issues/1346>).
fn protected(base: &Uri, uri: Uri) -> Uri {
    if base.scheme_str() != Some("https") || uri.scheme_str() != Some("http") || uri.host() != base.host() {
        return uri;
    }
    let mut parts = uri.into_parts();
    parts.scheme = base.scheme().cloned();
    parts.authority = base.authority().cloned();
    Uri::from_parts(parts).expect("scheme, authority and path make a URI")
}

/// Appends the digest to a session's address, whose own query is kept as it is: registries keep state in it.
pub(super) fn closing(session: &Uri, digest: &Digest) -> Uri {
    let mut parts = session.clone().into_parts();
    let path = session.path();
    let text = match session.query() {
        Some(query) if !query.is_empty() => format!("{path}?{query}&digest={digest}"),
        _ => format!("{path}?digest={digest}"),
    };
    parts.path_and_query = Some(text.try_into().expect("a digest adds URI characters only"));
    Uri::from_parts(parts).expect("scheme, authority and path make a URI")
}

/// How long the address of a session may be: a URI has at most 65534 characters, and a digest has to fit behind it.
const MAX_LOCATION: usize = 16 << 10;
/// The smallest chunk (distribution-spec 1.1, "Pushing a blob in chunks").
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
/// The largest chunk: what Cloudflare's registry says, in the words of the spec's other header.
const CHUNK_MAX_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-max-length");

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(base: &str, name: &'static str, value: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("a header value"));
        Answer::read(&base.parse().expect("a URI"), None, StatusCode::ACCEPTED, &headers)
    }

    #[test]
    fn the_digest_is_appended_and_nothing_else_changes() {
        let digest = Digest::of(b"");
        for (session, before) in [
            ("https://r/v2/a/blobs/uploads/1", "https://r/v2/a/blobs/uploads/1?digest="),
            ("https://r/up/1?", "https://r/up/1?digest="),
            ("https://r/up/1?_state=a%2Fb&x", "https://r/up/1?_state=a%2Fb&x&digest="),
        ] {
            let closed = closing(&session.parse().expect(session), &digest);
            assert_eq!(closed.to_string(), format!("{before}{digest}"));
        }
    }

    #[test]
    fn locations_are_resolved_and_stay_protected() {
        for (base, location, resolved) in [
            (
                "https://r/v2/a/blobs/uploads/",
                "/v2/a/blobs/uploads/1?_state=x%2F",
                "https://r/v2/a/blobs/uploads/1?_state=x%2F",
            ),
            ("https://r/v2/a/blobs/uploads/", "1?s", "https://r/v2/a/blobs/uploads/1?s"),
            ("https://r/v2/", "https://storage.example/up?sig=a%2Fb", "https://storage.example/up?sig=a%2Fb"),
            ("https://r:444/v2/", "http://r/up/1?s=1", "https://r:444/up/1?s=1"),
            ("https://r:444/v2/", "http://r:444/up/1", "https://r:444/up/1"),
            ("https://r/v2/", "https://r:9/up", "https://r:9/up"),
            ("http://r/v2/", "http://other/up", "http://other/up"),
        ] {
            let answer = answer(base, "location", location);
            assert_eq!(answer.location, Some(Ok(resolved.parse().expect("a URI"))), "{base} {location}");
        }
        for location in ["http://other/up", "ftp://r/up", "http://[::1"] {
            let answer = answer("https://r/v2/", "location", location);
            assert!(matches!(answer.location, Some(Err(_))), "{location}: {:?}", answer.location);
        }
    }

    #[test]
    fn sessions_outside_do_not_lead_inside() {
        let inside: Option<IpAddr> = Some(IpAddr::from([10, 0, 0, 1]));
        for (base, peer, location, taken) in [
            ("https://r.example/v2/", None, "https://127.0.0.1/up", false),
            ("https://r.example/v2/", None, "https://localhost:5000/up", false),
            ("https://r.example/v2/", None, "https://[::1]/up", false),
            ("https://r.example/v2/", None, "https://169.254.169.254/latest", false),
            ("https://r.example/v2/", None, "https://10.0.0.1/up", false),
            ("https://r.example/v2/", None, "https://0x7f.1/up", false),
            ("http://r.example/v2/", None, "http://192.168.0.1/up", false),
            ("https://r.example/v2/", None, "https://storage.example/up", true),
            // Who is inside may.
            ("http://10.0.0.2:5000/v2/", None, "http://10.0.0.1:9000/up", true),
            ("http://r.corp.example/v2/", inside, "http://10.0.0.1:9000/up", true),
            ("http://r.corp.example/v2/", inside, "http://127.0.0.1/up", false),
            ("http://127.0.0.1:5000/v2/", None, "http://127.0.0.1:5001/up", true),
            ("http://localhost:5000/v2/", None, "http://127.0.0.1:5000/up", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, location.parse().expect("a header value"));
            let answer = Answer::read(&base.parse().expect(base), peer, StatusCode::ACCEPTED, &headers);
            assert_eq!(matches!(answer.location, Some(Ok(_))), taken, "{base} by {peer:?}: {location}");
        }
    }

    #[test]
    fn ranges_of_all_dialects_are_read() {
        for (text, span) in [
            ("0-99", Some((0, 100))),
            ("0-0", Some((0, 1))),
            ("0--1", Some((0, 0))),
            ("bytes=0-99", Some((0, 100))),
            ("bytes 0-99", Some((0, 100))),
            ("100-199", Some((100, 200))),
            (" 0 - 9 ", Some((0, 10))),
            ("", None),
            ("0", None),
            ("-", None),
            ("0-", None),
            ("9-0", None),
            ("1--1", None),
            ("0-18446744073709551615", None),
            ("0-99999999999999999999", None),
            ("0-9/10", None),
            ("+-1", None),
        ] {
            let read = answer("https://r/", "range", text).range.map(|span| (span.first, span.end));
            assert_eq!(read, span, "{text}");
        }
    }

    #[test]
    fn limits_and_lengths_are_numbers_or_nothing() {
        for (text, number) in [("5242880", Some(5_242_880)), ("0", None), ("-1", None), ("5 MB", None), ("", None)] {
            assert_eq!(answer("https://r/", "oci-chunk-min-length", text).least, number, "{text}");
        }
        assert_eq!(answer("https://r/", "oci-chunk-max-length", "7").most, Some(7));
        assert_eq!(answer("https://r/", "content-length", "7").length, Some(7));
        let mut headers = HeaderMap::new();
        headers.insert("content-length", "7".parse().expect("a header value"));
        headers.insert("content-encoding", "gzip".parse().expect("a header value"));
        let answer = Answer::read(&"https://r/".parse().expect("a URI"), None, StatusCode::OK, &headers);
        assert_eq!(answer.length, None, "the length of something else");
    }

    #[test]
    fn r2_addresses_that_are_almost_too_long_are_refused() {
        let digest = Digest::of_with(crate::model::Algorithm::Sha512, b"");
        for length in [1_000, 60_000, 65_300, 65_400, 65_500, 65_520, 70_000] {
            let long = format!("/up/{}", "x".repeat(length));
            let relative = format!("{}?s", "x/".repeat(length / 2));
            if let Some(Ok(session)) = answer("https://r.example/v2/", "location", &relative).location {
                assert!(closing(&session, &digest).to_string().ends_with(&digest.to_string()), "{length}");
            }
            if let Some(Ok(session)) = answer("https://r.example/v2/", "location", &long).location {
                assert!(closing(&session, &digest).to_string().ends_with(&digest.to_string()), "{length}");
            }
        }
    }
}
