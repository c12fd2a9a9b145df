//! What a request asks for: method, path and query in, a [`Route`] or a refusal out. Pure.
//!
//! A repository's name may have any number of components, and some may be called `blobs` or `manifests`; a path is
//! therefore read from its end, where the words of the API stand.

use http::{Method, Uri};
use percent_encoding::percent_decode_str;

use super::respond::Refusal;
use super::upload_id::UploadId;
use crate::model::{Algorithm, Digest, ErrorCode, Identifier, Name, ParseError, Tag, excerpt};

/// What a request asks for. `HEAD` asks for the same as `GET`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// end-1: is this a registry?
    Ping,
    /// end-2: a blob.
    Blob { name: Name, digest: Digest },
    /// end-10: a blob, away.
    DeleteBlob { name: Name, digest: Digest },
    /// end-4a, end-4c: an upload session for a blob whose digest will be of this algorithm.
    StartUpload { name: Name, algorithm: Option<Algorithm> },
    /// end-4b: a whole blob in one request.
    PushBlob { name: Name, digest: Digest },
    /// end-11: a blob from another repository, or from whichever has it.
    Mount { name: Name, digest: Digest, from: Option<Name> },
    /// end-13: how far is an upload?
    UploadStatus { name: Name, id: UploadId },
    /// end-5: more bytes for an upload.
    Append { name: Name, id: UploadId, algorithm: Option<Algorithm> },
    /// end-6: the end of an upload.
    Finish { name: Name, id: UploadId, digest: Digest },
    /// end-14: an upload, away.
    Cancel { name: Name, id: UploadId },
    /// end-3: a manifest.
    Manifest { name: Name, identifier: Identifier },
    /// end-7a, end-7b: a new manifest, with further tags for it.
    PutManifest { name: Name, identifier: Identifier, tags: Vec<Tag> },
    /// end-9: a manifest or a tag, away.
    DeleteManifest { name: Name, identifier: Identifier },
    /// end-8a, end-8b: at most `n` tags that sort after `last`.
    Tags { name: Name, n: Option<usize>, last: Option<String> },
    /// end-12a, end-12b: what refers to a manifest; `last` is ours, for lists of several pages.
    Referrers { name: Name, subject: Digest, artifact_type: Option<String>, last: Option<Digest> },
}

/// Reads a request line.
///
/// # Errors
///
/// The refusal to answer with: what is malformed is 400, what the API does not have 404, the wrong method 405.
pub(super) fn route(method: &Method, uri: &Uri) -> Result<Route, Refusal> {
    let query = Query::parse(uri.query().unwrap_or_default())?;
    let path = uri.path();
    let Some(rest) = path.strip_prefix("/v2") else { return Err(unknown(path)) };
    if rest.is_empty() || rest == "/" {
        return match *method {
            Method::GET | Method::HEAD => Ok(Route::Ping),
            _ => Err(Refusal::method("GET, HEAD")),
        };
    }
    let Some(rest) = rest.strip_prefix('/') else { return Err(unknown(path)) };
    let segments: Vec<&str> = rest.split('/').collect();
    match &*segments {
        [name @ .., "blobs", "uploads", ""] | [name @ .., "blobs", "uploads"] => {
            uploads(method, parse_name(name)?, &query)
        }
        [name @ .., "blobs", "uploads", id] => upload(method, parse_name(name)?, id, &query),
        [name @ .., "blobs", digest] => blob(method, parse_name(name)?, parse_digest(&decode(digest)?)?),
        [name @ .., "manifests", reference] => manifest(method, parse_name(name)?, reference, &query),
        [name @ .., "tags", "list"] => tags(method, parse_name(name)?, &query),
        [name @ .., "referrers", subject] => referrers(method, parse_name(name)?, &decode(subject)?, &query),
        _ => Err(unknown(path)),
    }
}

fn blob(method: &Method, name: Name, digest: Digest) -> Result<Route, Refusal> {
    match *method {
        Method::GET | Method::HEAD => Ok(Route::Blob { name, digest }),
        Method::DELETE => Ok(Route::DeleteBlob { name, digest }),
        _ => Err(Refusal::method("GET, HEAD, DELETE")),
    }
}

fn uploads(method: &Method, name: Name, query: &Query) -> Result<Route, Refusal> {
    if *method != Method::POST {
        return Err(Refusal::method("POST"));
    }
    if let Some(digest) = query.one("mount")? {
        let from = query.one("from")?.map(|text| text.parse().map_err(bad_name)).transpose()?;
        return Ok(Route::Mount { name, digest: parse_digest(digest)?, from });
    }
    match query.one("digest")? {
        Some(digest) => Ok(Route::PushBlob { name, digest: parse_digest(digest)? }),
        None => Ok(Route::StartUpload { name, algorithm: algorithm(query)? }),
    }
}

fn upload(method: &Method, name: Name, id: &str, query: &Query) -> Result<Route, Refusal> {
    let id = id.parse().map_err(|_| unknown_upload())?;
    match *method {
        Method::GET | Method::HEAD => Ok(Route::UploadStatus { name, id }),
        Method::PATCH => Ok(Route::Append { name, id, algorithm: algorithm(query)? }),
        Method::PUT => match query.one("digest")? {
            Some(digest) => Ok(Route::Finish { name, id, digest: parse_digest(digest)? }),
            None => Err(Refusal::bad(ErrorCode::DigestInvalid, "the query has no `digest`")),
        },
        Method::DELETE => Ok(Route::Cancel { name, id }),
        _ => Err(Refusal::method("GET, HEAD, PATCH, PUT, DELETE")),
    }
}

fn manifest(method: &Method, name: Name, reference: &str, query: &Query) -> Result<Route, Refusal> {
    let reference = decode(reference)?;
    let identifier = reference.parse::<Identifier>().map_err(|error| match (error.what(), method) {
        ("digest", _) => Refusal::bad(ErrorCode::DigestInvalid, error.to_string()),
        // Nothing can have been pushed under such a tag.
        (_, &Method::PUT) => Refusal::bad(ErrorCode::ManifestInvalid, error.to_string()),
        _ => Refusal::missing(ErrorCode::ManifestUnknown, error.to_string()),
    });
    match *method {
        Method::GET | Method::HEAD => Ok(Route::Manifest { name, identifier: identifier? }),
        Method::DELETE => Ok(Route::DeleteManifest { name, identifier: identifier? }),
        Method::PUT => {
            let identifier = identifier?;
            let tags = match &identifier {
                Identifier::Digest(_) => query.all("tag").map(str::parse).collect::<Result<_, _>>(),
                Identifier::Tag(_) => Ok(Vec::new()),
            };
            let bad = |error: ParseError| Refusal::bad(ErrorCode::ManifestInvalid, error.to_string());
            Ok(Route::PutManifest { name, identifier, tags: tags.map_err(bad)? })
        }
        _ => Err(Refusal::method("GET, HEAD, PUT, DELETE")),
    }
}

fn tags(method: &Method, name: Name, query: &Query) -> Result<Route, Refusal> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Refusal::method("GET, HEAD"));
    }
    let n = query.one("n")?.map(|text| match !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        true => Ok(text.parse().unwrap_or(usize::MAX)),
        false => Err(Refusal::bad(ErrorCode::Unsupported, format!("`n` is no number: `{}`", excerpt(text)))),
    });
    Ok(Route::Tags { name, n: n.transpose()?, last: query.one("last")?.map(str::to_owned) })
}

fn referrers(method: &Method, name: Name, subject: &str, query: &Query) -> Result<Route, Refusal> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Refusal::method("GET, HEAD"));
    }
    let artifact_type = query.one("artifactType")?.map(str::to_owned);
    let last = query.one("last")?.map(parse_digest).transpose()?;
    Ok(Route::Referrers { name, subject: parse_digest(subject)?, artifact_type, last })
}

/// Reads which algorithm an upload's digest will be of.
fn algorithm(query: &Query) -> Result<Option<Algorithm>, Refusal> {
    let Some(text) = query.one("digest-algorithm")? else { return Ok(None) };
    let known = [Algorithm::Sha256, Algorithm::Sha512].into_iter().find(|algorithm| algorithm.name() == text);
    let unknown = || Refusal::bad(ErrorCode::DigestInvalid, format!("no digest algorithm here: `{}`", excerpt(text)));
    known.map(Some).ok_or_else(unknown)
}

/// The refusal that names no session: there is none, there was none, or it is over.
pub(super) fn unknown_upload() -> Refusal {
    Refusal::missing(ErrorCode::BlobUploadUnknown, "there is no such upload session, or it is over")
}

fn unknown(path: &str) -> Refusal {
    Refusal::missing(ErrorCode::Unsupported, format!("the API has no `{}`", excerpt(path)))
}

fn parse_name(segments: &[&str]) -> Result<Name, Refusal> {
    // A decoded slash would make two components out of one: each is decoded, and must be whole, by itself.
    let decoded = segments.iter().map(|segment| match decode(segment)? {
        text if text.contains('/') => Err(Refusal::bad(ErrorCode::NameInvalid, "a component of the name has a slash")),
        text => Ok(text),
    });
    decoded.collect::<Result<Vec<_>, _>>()?.join("/").parse().map_err(bad_name)
}

fn bad_name(error: ParseError) -> Refusal {
    Refusal::bad(ErrorCode::NameInvalid, error.to_string())
}

fn parse_digest(text: &str) -> Result<Digest, Refusal> {
    text.parse().map_err(|error: ParseError| Refusal::bad(ErrorCode::DigestInvalid, error.to_string()))
}

fn decode(segment: &str) -> Result<String, Refusal> {
    let decoded = percent_decode_str(segment).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Refusal::bad(ErrorCode::NameInvalid, format!("`{}` is no UTF-8", excerpt(segment))))
}

/// The query, decoded. A `+` stays a plus: nothing here has spaces, and media types are often sent as they are.
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(key)?, decode(value)?))
        });
        decoded.collect::<Result<_, _>>().map(Self)
    }

    fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(other, _)| other == key).map(|(_, value)| value.as_str())
    }

    /// Two different values would mean one thing to us and another to a proxy before us.
    fn one(&self, key: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.all(key);
        let first = values.next();
        if values.any(|other| Some(other) != first) {
            let code =
                if matches!(key, "digest" | "mount") { ErrorCode::DigestInvalid } else { ErrorCode::Unsupported };
            return Err(Refusal::bad(code, format!("the query has two different values for `{key}`")));
        }
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const I: &str = "0123456789abcdef0123456789abcdef";

    fn ask(method: &str, path: &str) -> Result<Route, Refusal> {
        let uri = path.replace("{D}", D).replace("{I}", I).parse().expect(path);
        route(&method.parse().expect("a method"), &uri)
    }

    #[test]
    fn every_endpoint_is_reached() {
        let name = |text: &str| text.parse::<Name>().expect("a name");
        let tag = |text: &str| text.parse::<Tag>().expect("a tag");
        let digest = D.parse::<Digest>().expect("a digest");
        let id: UploadId = I.parse().expect("an id");
        let (a, ab, id2) = (name("a"), name("a/b"), id.clone());
        let start = |text, algorithm| Route::StartUpload { name: name(text), algorithm };
        let mount = |from: Option<&str>| Route::Mount { name: name("a"), digest, from: from.map(name) };
        let listed = |n, last: Option<&str>| Route::Tags { name: name("a"), n, last: last.map(str::to_owned) };
        let put = |identifier, tags: &[&str]| {
            let tags = tags.iter().map(|text| tag(text)).collect();
            Route::PutManifest { name: name("a"), identifier, tags }
        };
        for (method, path, expected) in [
            ("GET", "/v2/", Route::Ping),
            ("HEAD", "/v2", Route::Ping),
            ("GET", "/v2/a/blobs/{D}", Route::Blob { name: a.clone(), digest }),
            ("HEAD", "/v2/a/b/blobs/sha256%3A{D}", Route::Blob { name: ab.clone(), digest }),
            ("DELETE", "/v2/a/blobs/{D}", Route::DeleteBlob { name: a.clone(), digest }),
            ("POST", "/v2/a/b/blobs/uploads/", start("a/b", None)),
            ("POST", "/v2/a/b/blobs/uploads", start("a/b", None)),
            ("POST", "/v2/a/blobs/uploads/?digest-algorithm=sha512", start("a", Some(Algorithm::Sha512))),
            ("POST", "/v2/a/blobs/uploads/?digest={D}", Route::PushBlob { name: a.clone(), digest }),
            ("POST", "/v2/a/blobs/uploads/?mount={D}&from=x%2Fy", mount(Some("x/y"))),
            ("POST", "/v2/a/blobs/uploads/?mount={D}", mount(None)),
            ("GET", "/v2/a/blobs/uploads/{I}?digest=x", Route::UploadStatus { name: a.clone(), id: id2.clone() }),
            ("PATCH", "/v2/a/blobs/uploads/{I}", Route::Append { name: a.clone(), id: id2.clone(), algorithm: None }),
            ("PUT", "/v2/a/blobs/uploads/{I}?digest={D}", Route::Finish { name: a.clone(), id: id2.clone(), digest }),
            ("DELETE", "/v2/a/blobs/uploads/{I}", Route::Cancel { name: a.clone(), id: id2 }),
            ("GET", "/v2/a/manifests/v1", Route::Manifest { name: a.clone(), identifier: Identifier::Tag(tag("v1")) }),
            ("GET", "/v2/a/manifests/{D}", Route::Manifest { name: a.clone(), identifier: Identifier::Digest(digest) }),
            (
                "DELETE",
                "/v2/a/manifests/v1",
                Route::DeleteManifest { name: a.clone(), identifier: Identifier::Tag(tag("v1")) },
            ),
            ("PUT", "/v2/a/manifests/v1?tag=x", put(Identifier::Tag(tag("v1")), &[])),
            ("PUT", "/v2/a/manifests/{D}?tag=x&tag=y", put(Identifier::Digest(digest), &["x", "y"])),
            ("GET", "/v2/a/tags/list", listed(None, None)),
            ("GET", "/v2/a/tags/list?n=0&last=v%31", listed(Some(0), Some("v1"))),
            ("GET", "/v2/a/tags/list?n=99999999999999999999999", listed(Some(usize::MAX), None)),
            (
                "GET",
                "/v2/a/referrers/{D}?artifactType=a/b+c",
                Route::Referrers { name: a, subject: digest, artifact_type: Some("a/b+c".to_owned()), last: None },
            ),
        ] {
            let path = path.replace("sha256%3A{D}", &D.replace(':', "%3A"));
            assert_eq!(ask(method, &path).expect(&path), expected, "{method} {path}");
        }
    }

    #[test]
    fn names_may_contain_the_words_of_the_api() {
        for (path, name) in [
            ("/v2/blobs/manifests/v1", "blobs"),
            ("/v2/a/manifests/b/manifests/v1", "a/manifests/b"),
            ("/v2/a/blobs/uploads/manifests/v1", "a/blobs/uploads"),
            ("/v2/manifests/manifests/manifests/manifests", "manifests/manifests"),
            ("/v2/a/tags/list/manifests/tags", "a/tags/list"),
            ("/v2/v2/manifests/list", "v2"),
        ] {
            match ask("GET", path).expect(path) {
                Route::Manifest { name: found, .. } => assert_eq!(found.as_str(), name, "{path}"),
                other => panic!("{path}: {other:?}"),
            }
        }
        assert!(matches!(ask("GET", "/v2/uploads/tags/list"), Ok(Route::Tags { .. })));
        assert!(matches!(ask("POST", "/v2/blobs/uploads/blobs/uploads/"), Ok(Route::StartUpload { .. })));
    }

    #[test]
    fn refusals_have_the_status_and_the_code() {
        let long = format!("/v2/{}/tags/list", "a".repeat(256));
        for (method, path, status, code) in [
            ("GET", "/", 404, "UNSUPPORTED"),
            ("GET", "/v1/a/tags/list", 404, "UNSUPPORTED"),
            ("GET", "/v2x/a/tags/list", 404, "UNSUPPORTED"),
            ("GET", "/v2/_catalog", 404, "UNSUPPORTED"),
            ("GET", "/v2/a/tags/list/", 404, "UNSUPPORTED"),
            ("GET", "/v2/a/blobs/uploads/uploads/{I}", 404, "UNSUPPORTED"),
            ("GET", "/v2/tags/list", 400, "NAME_INVALID"),
            ("GET", "/v2//tags/list", 400, "NAME_INVALID"),
            ("GET", "/v2/A/tags/list", 400, "NAME_INVALID"),
            ("GET", "/v2/a/../b/tags/list", 400, "NAME_INVALID"),
            ("GET", "/v2/%2e%2e/tags/list", 400, "NAME_INVALID"),
            ("GET", "/v2/a%2Fb/tags/list", 400, "NAME_INVALID"),
            ("GET", "/v2/a%00/tags/list", 400, "NAME_INVALID"),
            ("GET", "/v2/a%ff/tags/list", 400, "NAME_INVALID"),
            ("GET", "/v2/_blobs/tags/list", 400, "NAME_INVALID"),
            ("GET", "/v2/.spinreg/tags/list", 400, "NAME_INVALID"),
            ("GET", &long, 400, "NAME_INVALID"),
            ("GET", "/v2/a/blobs/sha256:00", 400, "DIGEST_INVALID"),
            ("GET", "/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", 400, "DIGEST_INVALID"),
            ("GET", "/v2/a/blobs/sha256:..%2f..%2fetc", 400, "DIGEST_INVALID"),
            ("PUT", "/v2/a/manifests/sha256:baddigeststring", 400, "DIGEST_INVALID"),
            ("GET", "/v2/a/manifests/sha256:baddigeststring", 400, "DIGEST_INVALID"),
            ("GET", "/v2/a/referrers/v1", 400, "DIGEST_INVALID"),
            ("GET", "/v2/a/manifests/..", 404, "MANIFEST_UNKNOWN"),
            ("PUT", "/v2/a/manifests/..", 400, "MANIFEST_INVALID"),
            ("PUT", "/v2/a/manifests/{D}?tag=-x", 400, "MANIFEST_INVALID"),
            ("GET", "/v2/a/tags/list?n=-1", 400, "UNSUPPORTED"),
            ("GET", "/v2/a/tags/list?n=", 400, "UNSUPPORTED"),
            ("POST", "/v2/a/blobs/uploads/?digest=sha256:0", 400, "DIGEST_INVALID"),
            ("POST", "/v2/a/blobs/uploads/?digest-algorithm=md5", 400, "DIGEST_INVALID"),
            ("GET", "/v2/a/referrers/{D}?last=x", 400, "DIGEST_INVALID"),
            ("POST", "/v2/a/blobs/uploads/?mount=x&from=b", 400, "DIGEST_INVALID"),
            ("POST", "/v2/a/blobs/uploads/?mount={D}&from=..", 400, "NAME_INVALID"),
            ("PUT", "/v2/a/blobs/uploads/{I}", 400, "DIGEST_INVALID"),
            ("PUT", "/v2/a/blobs/uploads/{I}?digest={D}&digest=x", 400, "DIGEST_INVALID"),
            ("GET", "/v2/a/blobs/uploads/..", 404, "BLOB_UPLOAD_UNKNOWN"),
            ("PATCH", "/v2/a/blobs/uploads/0", 404, "BLOB_UPLOAD_UNKNOWN"),
            ("POST", "/v2/", 405, "UNSUPPORTED"),
            ("GET", "/v2/a/blobs/uploads/", 405, "UNSUPPORTED"),
            ("POST", "/v2/a/blobs/{D}", 405, "UNSUPPORTED"),
            ("POST", "/v2/a/manifests/v1", 405, "UNSUPPORTED"),
            ("DELETE", "/v2/a/tags/list", 405, "UNSUPPORTED"),
            ("PUT", "/v2/a/referrers/{D}", 405, "UNSUPPORTED"),
            ("POST", "/v2/a/blobs/uploads/{I}", 405, "UNSUPPORTED"),
        ] {
            let refusal = ask(method, path).expect_err(path);
            assert_eq!((refusal.status.as_u16(), refusal.entry.code.as_str()), (status, code), "{method} {path}");
            assert_eq!(refusal.headers.len(), usize::from(status == 405), "only 405 names methods");
        }
    }
}
