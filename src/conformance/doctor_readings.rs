//! What answers mean, for `doctor`: pure.

use std::fmt::Write as _;

use http::header::WWW_AUTHENTICATE;
use http::{Response, StatusCode, Uri};

use super::answer::Answer;
use super::doctor::{Point, Reply, Topic};
use crate::error::Error;
use crate::model::printable::line;
use crate::model::{ErrorBody, ErrorCode, Identifier, Registry, excerpt};
use crate::transport::headers;

type Reading = (Reply, String);

pub(super) fn ping(ping: &Response<()>, base: &Uri) -> Reading {
    let status = ping.status().as_u16();
    let is_registry = ping.headers().contains_key("docker-distribution-api-version");
    match status {
        200 | 401 => (Reply::Yes, format!("`{base}` answers {status}")),
        _ if is_registry => (Reply::Yes, format!("`{base}` answers {status}, and says that it is a registry")),
        _ => (Reply::Unknown, format!("`{base}` answers {status}, which is not how a registry does")),
    }
}

/// Reads what a ping says to somebody without credentials.
pub(super) fn nobody(ping: &Response<()>) -> Reading {
    let challenges = ping.headers().get_all(WWW_AUTHENTICATE).iter();
    let kinds = challenges.filter_map(|value| value.to_str().ok()?.split_whitespace().next());
    let asks: Vec<String> = kinds.map(|kind| format!("`{}`", line(&excerpt(kind)))).collect();
    let known = "no credentials are known here";
    match ping.status() {
        StatusCode::UNAUTHORIZED if asks.is_empty() => {
            (Reply::No, format!("{known}, and the registry refuses without saying which it wants"))
        }
        StatusCode::UNAUTHORIZED => (Reply::No, format!("{known}; the registry asks for {}", asks.join(" or "))),
        _ => (Reply::No, format!("{known}, and none are asked for at `/v2/`")),
    }
}

pub(super) fn pull(head: &Answer, identifier: &Identifier) -> Reading {
    match status(head) {
        200 if is_page(head) => (Reply::Unknown, "it answers 200, and not with a manifest".to_owned()),
        200 => {
            let digest = head.digest().map(|digest| format!(": {}", line(&excerpt(digest)))).unwrap_or_default();
            (Reply::Yes, format!("`{identifier}` is there{digest}"))
        }
        401 | 403 => (Reply::No, said(head)),
        404 => (Reply::Unknown, format!("`{identifier}` is not there, or hidden from us")),
        _ => (Reply::Unknown, said(head)),
    }
}

/// Says whether an answer is a page about something else, as a server has that is no registry.
fn is_page(answer: &Answer) -> bool {
    answer.digest().is_none() && answer.media_type() == Some("text/html")
}

/// Reads a list of tags, where the manifest did not tell.
pub(super) fn list(tags: &Answer, (reply, text): Reading) -> Reading {
    match status(tags) {
        200 if !is_page(tags) => (Reply::Yes, format!("{text}; the tags can be listed")),
        401 | 403 => (Reply::No, format!("{text}; the list of tags: {}", said(tags))),
        _ => (reply, text),
    }
}

pub(super) fn resume(ranged: &Answer) -> Reading {
    match status(ranged) {
        206 => (Reply::Yes, "a blob is given from the middle on".to_owned()),
        200 => (Reply::No, "asked for the middle of a blob, it sends the whole".to_owned()),
        _ => (Reply::Unknown, said(ranged)),
    }
}

pub(super) fn push(opened: &Answer) -> Reading {
    match status(opened) {
        202 => match opened.place() {
            Ok(_) => (Reply::Yes, "an upload may be begun".to_owned()),
            Err(why) => (Reply::Unknown, format!("an upload is begun and leads nowhere: {}", line(&why))),
        },
        401 | 403 => (Reply::No, said(opened)),
        404 => (Reply::No, format!("the repository has to be made first, or is hidden from us: {}", said(opened))),
        405 => (Reply::No, format!("it takes no uploads; it may be read-only: {}", said(opened))),
        // The request may have arrived.
        _ if opened.status.is_none() => {
            (Reply::Unknown, format!("{}; an upload that was begun stays until it expires", said(opened)))
        }
        _ => (Reply::Unknown, said(opened)),
    }
}

/// Returns the least length of a chunk that the answer asks for.
pub(super) fn chunk_min(opened: &Answer) -> Option<u64> {
    opened.header("oci-chunk-min-length")?.parse().ok()
}

pub(super) fn chunks_announced(opened: &Answer) -> Reading {
    (Reply::Yes, format!("not tried: it asks for {}", lengths(opened)))
}

pub(super) fn chunks(opened: &Answer, patched: &Answer) -> Reading {
    let lengths = match lengths(opened).as_str() {
        "" => "no least length is stated".to_owned(),
        stated => format!("it asks for {stated}"),
    };
    match status(patched) {
        201 | 202 | 204 => (Reply::Yes, format!("a piece of one byte is taken; {lengths}")),
        405 | 501 => (Reply::No, said(patched)),
        // Often a limit of its own, which is said nowhere.
        413 | 416 => (Reply::Unknown, format!("a piece of one byte is refused: {}", said(patched))),
        _ => (Reply::Unknown, said(patched)),
    }
}

fn lengths(opened: &Answer) -> String {
    let stated = |name| opened.header(name).map(|text| line(&excerpt(text)).into_owned());
    let least = stated("oci-chunk-min-length").map(|bytes| format!("pieces of at least {bytes} bytes"));
    let most = stated("oci-chunk-max-length").map(|bytes| format!("pieces of at most {bytes} bytes"));
    least.into_iter().chain(most).collect::<Vec<_>>().join(" and ")
}

pub(super) fn cancel(cancelled: &Answer) -> Reading {
    match status(cancelled) {
        200 | 202 | 204 => (Reply::Yes, "the upload that was begun is cancelled".to_owned()),
        _ => (Reply::No, format!("the upload that was begun stays until it expires: {}", said(cancelled))),
    }
}

pub(super) fn mount(mounted: &Answer) -> Reading {
    match status(mounted) {
        201 => (Reply::Yes, "within this repository; from others it depends on what one may read there".to_owned()),
        202 => (Reply::No, "it begins an upload instead".to_owned()),
        _ => (Reply::Unknown, said(mounted)),
    }
}

pub(super) fn referrers(listed: &Answer) -> Reading {
    let is_index = listed.media_type() == Some("application/vnd.oci.image.index.v1+json");
    match status(listed) {
        200 if is_index && listed.header("oci-filters-applied").is_some() => {
            (Reply::Yes, "it lists them, and filters by type".to_owned())
        }
        200 if is_index => (Reply::Yes, "it lists them, and leaves the filtering to clients".to_owned()),
        200 => (Reply::Unknown, "it answers 200, and not with a list".to_owned()),
        404 | 405 => (Reply::No, said(listed)),
        _ => (Reply::Unknown, said(listed)),
    }
}

pub(super) fn sha512(head: &Answer) -> Reading {
    match status(head) {
        400 | 405 | 501 => (Reply::No, format!("a digest of SHA-512 is refused: {}", said(head))),
        404 => (
            Reply::Unknown,
            "such digests are understood; whether such content is kept is only known by a push".to_owned(),
        ),
        _ => (Reply::Unknown, said(head)),
    }
}

pub(super) fn tag_deletion(options: &Answer) -> Reading {
    // A 405 names the methods that the place knows, too.
    let allowed = options.header("allow").filter(|_| matches!(status(options), 200..=299 | 405));
    let takes = |text: &str| text.split(',').any(|word| word.trim().eq_ignore_ascii_case("delete"));
    match allowed {
        Some(text) if takes(text) => {
            (Reply::Unknown, "`DELETE` is taken for manifests; for tags it is only known by deleting one".to_owned())
        }
        Some(_) => (Reply::No, "`Allow` for a manifest does not have `DELETE`".to_owned()),
        None => (Reply::Unknown, "only known by deleting one".to_owned()),
    }
}

pub(super) fn rate_limit(answer: &Answer) -> Reading {
    match headers::allowance(&answer.headers) {
        Some(allowance) => (Reply::Yes, allowance.to_string()),
        None => (Reply::Unknown, "none is stated".to_owned()),
    }
}

/// Says how this tool will talk to such a registry.
pub(super) fn habits(points: &[Point], registry: &Registry) -> Vec<String> {
    let point = |topic| points.iter().find(|point| point.topic == topic);
    let reply = |topic| point(topic).map_or(Reply::Unknown, |point| point.reply);
    let asks = |what: &str| point(Topic::Chunks).is_some_and(|point| point.text.contains(what));
    let mut habits = Vec::new();
    if reply(Topic::Push) == Reply::Yes {
        habits.push(if asks("pieces of at") {
            "pushes send blobs in pieces of the length asked for".to_owned()
        } else {
            "pushes send each blob in one `PUT`, and in pieces only after a 413 or 416".to_owned()
        });
        habits.push(match reply(Topic::Mount) {
            Reply::No => "pushes send blobs that another repository has, too".to_owned(),
            _ => {
                "pushes mount blobs that another repository is known to have, and send them where that fails".to_owned()
            }
        });
    }
    habits.push(match reply(Topic::Resume) {
        Reply::No => "a pull that breaks fetches the blob from its beginning, and skips what it has".to_owned(),
        _ => "a pull that breaks goes on where it stopped".to_owned(),
    });
    match reply(Topic::Referrers) {
        Reply::Yes => habits.push("what refers to a manifest is asked of the registry".to_owned()),
        Reply::No => habits.push("what refers to a manifest is kept in a list under a tag beside it".to_owned()),
        Reply::Unknown => {}
    }
    if registry.is_docker_hub() {
        habits.push("tags are looked up with `HEAD`, which is not counted as a pull".to_owned());
    }
    habits
}

/// Says what an answer was, in the registry's own words where it has some.
fn said(answer: &Answer) -> String {
    let mut text = match answer.status {
        Some(status) => status.as_u16().to_string(),
        None => "no answer".to_owned(),
    };
    let errors = ErrorBody::parse(&answer.body).errors;
    if let Some(entry) = errors.first() {
        let code = line(&excerpt(entry.code.as_str())).into_owned();
        let _ = match entry.message.as_str() {
            "" => write!(text, " {code}"),
            message => write!(text, " {code}: {}", line(&excerpt(message))),
        };
    } else if let Some(failure) = answer.failure() {
        let _ = write!(text, ": {}", line(failure));
    }
    text
}

/// Writes an error with its causes.
pub(super) fn sentence(error: &Error) -> String {
    let code = error.code().map(ErrorCode::as_str);
    let mut text = error.to_string();
    if let Some(code) = code.filter(|code| !text.contains(code)) {
        let _ = write!(text, " ({code})");
    }
    line(&text).into_owned()
}

/// Encodes a value of a query.
pub(super) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn status(answer: &Answer) -> u16 {
    answer.status.map_or(0, |status| status.as_u16())
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Answer {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Answer {
            uri: Uri::from_static("http://r.example/v2/"),
            status: StatusCode::from_u16(status).ok(),
            headers: headers.collect(),
            body: bytes::Bytes::from_static(body.as_bytes()),
            ..Answer::default()
        }
    }

    const DENIED: &str = r#"{"errors":[{"code":"DENIED","message":"not \u001b[31myou"}]}"#;

    #[test]
    fn a_ping_tells_whether_this_is_a_registry_and_what_it_asks_for() {
        let base = Uri::from_static("https://r.example/v2/");
        let answered = |status: u16, name: &'static str, value: &'static str| {
            Response::builder().status(status).header(name, value).body(()).expect("a valid response")
        };
        for (response, reply, said, account) in [
            (answered(200, "x", "y"), Reply::Yes, "answers 200", "none are asked for"),
            (answered(401, "www-authenticate", "Bearer realm=\"x\""), Reply::Yes, "answers 401", "asks for `Bearer`"),
            (answered(401, "x", "y"), Reply::Yes, "answers 401", "without saying which"),
            (
                answered(503, "docker-distribution-api-version", "registry/2.0"),
                Reply::Yes,
                "says that it is",
                "none are",
            ),
            (answered(404, "x", "y"), Reply::Unknown, "not how a registry does", "none are asked for"),
        ] {
            let (found, text) = ping(&response, &base);
            assert!(found == reply && text.contains(said), "{text}");
            let (found, text) = nobody(&response);
            assert!(found == Reply::No && text.contains(account), "{text}");
        }
    }

    #[test]
    fn refusals_are_told_from_what_is_not_known() {
        use Reply::{No, Unknown, Yes};
        let v1 = Identifier::Tag("v1".parse().expect("a tag"));
        let pull = |answer: &Answer| pull(answer, &v1);
        let plain = |status| answer(status, &[], "");
        let index = ("content-type", "application/vnd.oci.image.index.v1+json");
        let rows: Vec<(Reading, Reply, &str)> = vec![
            (pull(&answer(200, &[("docker-content-digest", "sha256:00")], "")), Yes, "`v1` is there: sha256:00"),
            (pull(&answer(403, &[], DENIED)), No, "403 DENIED: not \u{fffd}[31myou"),
            (pull(&plain(404)), Unknown, "`v1` is not there, or hidden from us"),
            (pull(&Answer::default()), Unknown, "no answer"),
            (list(&plain(200), (Unknown, "x".to_owned())), Yes, "x; the tags can be listed"),
            (list(&plain(401), (Unknown, "x".to_owned())), No, "x; the list of tags: 401"),
            (list(&plain(404), (Unknown, "x".to_owned())), Unknown, "x"),
            (resume(&plain(206)), Yes, "a blob is given from the middle on"),
            (resume(&plain(200)), No, "asked for the middle of a blob, it sends the whole"),
            (push(&answer(202, &[("location", "http://r.example/u/1")], "")), Yes, "an upload may be begun"),
            (push(&plain(202)), Unknown, "an upload is begun and leads nowhere: the answer has no `Location`"),
            (push(&plain(405)), No, "it takes no uploads; it may be read-only: 405"),
            (push(&plain(500)), Unknown, "500"),
            (cancel(&plain(204)), Yes, "the upload that was begun is cancelled"),
            (cancel(&plain(405)), No, "the upload that was begun stays until it expires: 405"),
            (mount(&plain(201)), Yes, "within this repository; from others it depends on what one may read there"),
            (mount(&plain(202)), No, "it begins an upload instead"),
            (referrers(&answer(200, &[index], "")), Yes, "it lists them, and leaves the filtering to clients"),
            (
                referrers(&answer(200, &[index, ("oci-filters-applied", "artifactType")], "")),
                Yes,
                "it lists them, and filters by type",
            ),
            (
                referrers(&answer(200, &[("content-type", "text/html")], "")),
                Unknown,
                "it answers 200, and not with a list",
            ),
            (referrers(&plain(404)), No, "404"),
            (sha512(&plain(400)), No, "a digest of SHA-512 is refused: 400"),
            (tag_deletion(&plain(404)), Unknown, "only known by deleting one"),
            (
                tag_deletion(&answer(200, &[("allow", "GET, HEAD")], "")),
                No,
                "`Allow` for a manifest does not have `DELETE`",
            ),
            (
                tag_deletion(&answer(200, &[("allow", "GET,DELETE")], "")),
                Unknown,
                "`DELETE` is taken for manifests; for tags it is only known by deleting one",
            ),
            (rate_limit(&plain(200)), Unknown, "none is stated"),
        ];
        for ((reply, text), expected, said) in rows {
            assert_eq!((reply, text.as_str()), (expected, said));
        }
    }

    #[test]
    fn lengths_of_pieces_are_said_as_they_are_stated() {
        let least = answer(202, &[("oci-chunk-min-length", "5242880")], "");
        let both = answer(202, &[("oci-chunk-min-length", "1"), ("oci-chunk-max-length", "9")], "");
        let none = answer(202, &[], "");
        assert_eq!(chunk_min(&least), Some(5_242_880));
        assert_eq!(chunks_announced(&least).1, "not tried: it asks for pieces of at least 5242880 bytes");
        for (opened, patched, reply, text) in [
            (&none, 202, Reply::Yes, "a piece of one byte is taken; no least length is stated"),
            (
                &both,
                202,
                Reply::Yes,
                "a piece of one byte is taken; it asks for pieces of at least 1 bytes and pieces of at most 9 bytes",
            ),
            (&none, 405, Reply::No, "405"),
            (&none, 416, Reply::Unknown, "a piece of one byte is refused: 416"),
        ] {
            assert_eq!(chunks(opened, &answer(patched, &[], "")), (reply, text.to_owned()));
        }
    }

    #[test]
    fn habits_follow_from_what_was_found() {
        let point = |topic, reply, text: &str| Point { topic, reply, text: text.to_owned() };
        let registry: Registry = "r.example".parse().expect("a registry");
        let points = [
            point(Topic::Push, Reply::Yes, ""),
            point(Topic::Chunks, Reply::Yes, "it asks for pieces of at least 5 bytes"),
            point(Topic::Mount, Reply::No, ""),
            point(Topic::Resume, Reply::No, ""),
            point(Topic::Referrers, Reply::No, ""),
        ];
        let expected = [
            "pushes send blobs in pieces of the length asked for",
            "pushes send blobs that another repository has, too",
            "a pull that breaks fetches the blob from its beginning, and skips what it has",
            "what refers to a manifest is kept in a list under a tag beside it",
        ];
        assert_eq!(habits(&points, &registry), expected);
        let hub: Registry = "docker.io".parse().expect("a registry");
        let expected = [
            "a pull that breaks goes on where it stopped",
            "tags are looked up with `HEAD`, which is not counted as a pull",
        ];
        assert_eq!(habits(&[], &hub), expected);
    }
}
