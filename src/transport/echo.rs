//! What was told in confidence is not repeated: a peer that complains may quote what it was shown, and complaints are
//! printed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Response};
use zeroize::Zeroizing;

use crate::content::Body;

/// What a request tells in confidence besides its `Authorization`, as an extension of it.
#[derive(Clone)]
pub(crate) struct Confidence(pub(crate) Zeroizing<String>);

/// The texts of one request that no complaint may repeat.
///
/// Wiped from memory with the request; they have no `Debug`.
#[derive(Default)]
pub(super) struct Confided(Vec<Zeroizing<Vec<u8>>>);

impl Confided {
    /// Collects what a request tells: the token or the pair of its `Authorization`, the password in that pair, and its
    /// [`Confidence`].
    pub(super) fn of(headers: &HeaderMap, extra: Option<&Confidence>) -> Self {
        let mut confided = Self::default();
        if let Some(value) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) {
            let (scheme, text) = value.split_once(' ').unwrap_or(("", value));
            confided.add(text.trim());
            if scheme.eq_ignore_ascii_case("basic")
                && let Ok(pair) = STANDARD.decode(text.trim()).map(Zeroizing::new)
                && let Ok(pair) = str::from_utf8(&pair)
                && let Some((_, password)) = pair.split_once(':')
            {
                confided.add(password);
            }
        }
        if let Some(Confidence(text)) = extra {
            confided.add(text);
        }
        confided
    }

    fn add(&mut self, text: &str) {
        // Words that are as short stand in any complaint by accident.
        if text.len() < SHORTEST {
            return;
        }
        let quoted = Zeroizing::new(serde_json::to_string(text).expect("a text is JSON"));
        let escaped = &quoted[1..quoted.len() - 1];
        if escaped != text {
            self.0.push(Zeroizing::new(escaped.into()));
        }
        self.0.push(Zeroizing::new(text.into()));
    }

    /// Puts stars where an answer that complains repeats what it was told. Reads up to 64 KiB of its body, and drops the
    /// rest: nobody reads more of a complaint. Other answers pass as they are.
    pub(super) async fn unsaid(&self, response: Response<Body>) -> Response<Body> {
        let status = response.status();
        if self.0.is_empty() || !(status.is_client_error() || status.is_server_error()) {
            return response;
        }
        let (mut head, body) = response.into_parts();
        self.cover_headers(&mut head.headers);
        let mut body = body.take(READ);
        let mut bytes = BytesMut::new();
        let mut broken = None;
        while let Some(chunk) = body.chunk().await {
            match chunk {
                Ok(chunk) => bytes.extend_from_slice(&chunk),
                Err(error) => {
                    broken = Some(Err(error));
                    break;
                }
            }
        }
        let covered = self.cover(&bytes).unwrap_or_else(|| bytes.into());
        let chunks = std::iter::once(Ok(covered.into())).chain(broken);
        Response::from_parts(head, Body::from_stream(futures_util::stream::iter(chunks), None))
    }

    fn cover_headers(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            if let Some(covered) = self.cover(value.as_bytes()) {
                *value = HeaderValue::from_bytes(&covered).unwrap_or(HeaderValue::from_static("***"));
            }
        }
    }

    /// Returns the text with stars; `None` where there is nothing to cover.
    fn cover(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut covered: Option<Vec<u8>> = None;
        for secret in &self.0 {
            let text = covered.as_deref().unwrap_or(text);
            if let Some(without) = without(text, secret) {
                covered = Some(without);
            }
        }
        covered
    }
}

fn without(text: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let find = |from: usize| {
        let at = text.get(from..)?.windows(secret.len()).position(|window| window == secret)?;
        Some(from + at)
    };
    let mut next = find(0)?;
    let (mut covered, mut from) = (Vec::with_capacity(text.len()), 0);
    loop {
        covered.extend_from_slice(&text[from..next]);
        covered.extend_from_slice(b"***");
        from = next + secret.len();
        match find(from) {
            Some(at) => next = at,
            None => break,
        }
    }
    covered.extend_from_slice(&text[from..]);
    Some(covered)
}

/// Bytes of a complaint.
const READ: u64 = 64 << 10;

/// The shortest text that is looked for, in bytes.
const SHORTEST: usize = 6;

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http::header::{LOCATION, WWW_AUTHENTICATE};

    use super::*;

    fn confided(authorization: &str, extra: Option<&str>) -> Confided {
        let value = HeaderValue::from_str(authorization).expect(authorization);
        let extra = extra.map(|text| Confidence(Zeroizing::new(text.to_owned())));
        Confided::of(&HeaderMap::from_iter([(AUTHORIZATION, value)]), extra.as_ref())
    }

    async fn answer(confided: &Confided, status: StatusCode, body: &str) -> (HeaderMap, String) {
        let response = Response::builder().status(status).header(WWW_AUTHENTICATE, format!("Basic realm=\"{body}\""));
        let response = response.body(Body::from_bytes(body.to_owned())).expect("an answer");
        let (head, mut body) = confided.unsaid(response).await.into_parts();
        let mut text = Vec::new();
        while let Some(chunk) = body.chunk().await {
            text.extend_from_slice(&chunk.expect("a whole body"));
        }
        (head.headers, String::from_utf8(text).expect("text"))
    }

    #[tokio::test]
    async fn complaints_repeat_no_secrets() {
        // The pairs are `ada:s3cret-word` and `ada:say "please"`.
        for (authorization, extra, said, covered) in [
            ("Bearer abcdef.ghi", None, "no such token: abcdef.ghi, abcdef.ghi", "no such token: ***, ***"),
            ("Basic YWRhOnMzY3JldC13b3Jk", None, "s3cret-word is YWRhOnMzY3JldC13b3Jk", "*** is ***"),
            ("basic YWRhOnMzY3JldC13b3Jk", None, "ada may not", "ada may not"),
            ("Basic YWRhOnNheSAicGxlYXNlIg==", None, r"say \'please\'", r"say \'please\'"),
            ("Basic YWRhOnNheSAicGxlYXNlIg==", None, r#"say \"please\""#, "***"),
            ("Basic !!!", None, "!!!", "!!!"),
            ("Bearer abc", None, "abc", "abc"),
            ("Bearer abcdef", Some("refresh-me"), "abcdef or refresh-me", "*** or ***"),
        ] {
            let (_, text) = answer(&confided(authorization, extra), StatusCode::FORBIDDEN, said).await;
            assert_eq!(text, covered, "{authorization}");
        }
    }

    #[tokio::test]
    async fn headers_of_complaints_repeat_none_either() {
        let (headers, _) = answer(&confided("Bearer abcdef", None), StatusCode::UNAUTHORIZED, "not abcdef").await;
        assert_eq!(headers[WWW_AUTHENTICATE], "Basic realm=\"not ***\"");
        assert!(!headers.contains_key(LOCATION));
    }

    #[tokio::test]
    async fn content_passes_as_it_is() {
        let long = "abcdef".repeat(20_000);
        let (_, text) = answer(&confided("Bearer abcdef", None), StatusCode::OK, &long).await;
        assert_eq!(text, long);
    }

    #[tokio::test]
    async fn a_complaint_has_an_end() {
        let long = "x".repeat(1 << 20);
        let (_, text) = answer(&confided("Bearer abcdef", None), StatusCode::BAD_GATEWAY, &long).await;
        assert_eq!(text.len() as u64, READ);
    }
}
