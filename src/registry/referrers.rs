//! Referrers: manifests that refer to another one (distribution-spec 1.1, "Listing Referrers" and "Pushing Manifests
//! with Subject").
//!
//! Registries with the referrers API keep the list themselves. For the others clients keep it: an index under a tag that
//! is made of the subject's digest, which is written anew for every referrer.

use std::collections::HashSet;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::pages::{Page, Pages};
use super::response::violation;
use super::{Repository, manifest};
use crate::error::{Error, RequestLine};
use crate::model::{Descriptor, Digest, Identifier, Manifest, MediaType, ParseError, Tag, View};

/// Lists what refers to `subject`, each once.
pub(super) async fn list(
    repository: &Repository,
    subject: &Digest,
    artifact_type: Option<&str>,
) -> Result<Vec<Descriptor>, Error> {
    let mut referrers = match from_api(repository, subject, artifact_type).await? {
        Some(referrers) => referrers,
        None => match read_tag(repository, subject).await? {
            Some(manifest) => filtered(manifest.index().map(|index| index.manifests.clone()), artifact_type),
            None => Vec::new(),
        },
    };
    let mut seen = HashSet::new();
    referrers.retain(|referrer| seen.insert(referrer.digest));
    Ok(referrers)
}

/// Adds `manifest` to the list of its subject, which the registry does not keep.
///
/// Another client may do the same at the same time, and the one that writes last wins: so the list is read again, and
/// written again where we are no longer in it.
pub(super) async fn record(repository: &Repository, subject: &Digest, manifest: &Manifest) -> Result<(), Error> {
    let entry = describe(manifest);
    change(repository, subject, |entries| {
        let new = !entries.iter().any(|known| names(known, &entry.digest));
        if new {
            entries.push(serde_json::to_value(&entry).expect("a descriptor is plain data"));
        }
        new
    })
    .await
}

/// Takes a manifest that was deleted out of the list of its subject, where the registry does not keep it.
pub(super) async fn strike(repository: &Repository, subject: &Digest, gone: &Digest) -> Result<(), Error> {
    if from_api(repository, subject, None).await?.is_some() {
        return Ok(());
    }
    change(repository, subject, |entries| {
        let before = entries.len();
        entries.retain(|known| !names(known, gone));
        entries.len() < before
    })
    .await
}

/// Asks the referrers API; `None` where there is none.
async fn from_api(
    repository: &Repository,
    subject: &Digest,
    artifact_type: Option<&str>,
) -> Result<Option<Vec<Descriptor>>, Error> {
    let filter = artifact_type.map(|text| format!("?artifactType={}", utf8_percent_encode(text, QUERY)));
    let path = format!("referrers/{subject}{}", filter.unwrap_or_default());
    let mut pages = Pages::new(repository, path, INDEX);
    let mut referrers: Option<Vec<Descriptor>> = None;
    loop {
        let page = match pages.next().await {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(referrers),
            Err(error) if referrers.is_none() && is_absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(listed) = parse(&page)? else {
            return match referrers {
                // A page for people, where there is no API.
                None => Ok(None),
                Some(_) => Err(Error::protocol(page.line, "the next page of referrers is no index")),
            };
        };
        let unfiltered = artifact_type.filter(|_| !is_filtered(&page.headers));
        let all = referrers.get_or_insert_default();
        all.extend(filtered(Some(listed), unfiltered));
        if all.len() > MAX_REFERRERS {
            return Err(Error::protocol(page.line, "the subject has more than 10000 referrers"));
        }
    }
}

/// Reads a page of the API; `None` where it is something else.
pub(super) fn parse(page: &Page) -> Result<Option<Vec<Descriptor>>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct List {
        media_type: Option<MediaType>,
        /// `null` where there are none, on some registries.
        #[serde(deserialize_with = "Option::deserialize")]
        manifests: Option<Vec<Descriptor>>,
    }
    let value = page.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let announced = MediaType::from_header(value) == Ok(MediaType::IMAGE_INDEX);
    match serde_json::from_slice::<List>(&page.body) {
        Ok(list) if announced || list.media_type == Some(MediaType::IMAGE_INDEX) => {
            Ok(Some(list.manifests.unwrap_or_default()))
        }
        Err(error) if announced => Err(violation(page.line.clone(), "the answer is no list of referrers", error)),
        _ => Ok(None),
    }
}

/// Says whether there is no referrers API: 404 is the rule, the others are what some say to requests they do not know.
fn is_absent(error: &Error) -> bool {
    let unknown = [StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_ACCEPTABLE, StatusCode::NOT_IMPLEMENTED];
    error.is_not_found() || matches!(error, Error::Refused(refused) if unknown.contains(&refused.status))
}

fn is_filtered(headers: &HeaderMap) -> bool {
    let values = headers.get_all(&FILTERS_APPLIED).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|name| name.trim() == "artifactType")
}

fn filtered(referrers: Option<Vec<Descriptor>>, artifact_type: Option<&str>) -> Vec<Descriptor> {
    let mut referrers = referrers.unwrap_or_default();
    if let Some(wanted) = artifact_type {
        referrers.retain(|referrer| referrer.artifact_type.as_deref() == Some(wanted));
    }
    referrers
}

/// Reads what is under the referrers tag, if there is something.
async fn read_tag(repository: &Repository, subject: &Digest) -> Result<Option<Manifest>, Error> {
    match manifest::fetch(repository, &Identifier::Tag(tag(subject))).await {
        // GitLab takes the tag for another way to write the digest (<https://github.com/oras-project/oras-go/issues/1396>).
        Ok(manifest) if manifest.digest() == *subject => Ok(None),
        Ok(manifest) => Ok(Some(manifest)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the list under the referrers tag until it reads as `edit` wants it: `edit` changes the entries, and says
/// whether there was something to change.
async fn change(
    repository: &Repository,
    subject: &Digest,
    mut edit: impl FnMut(&mut Vec<Value>) -> bool,
) -> Result<(), Error> {
    let tag = tag(subject);
    let client = repository.client();
    let mut budget = client.budget();
    let mut written = false;
    loop {
        let old = read_tag(repository, subject).await?;
        let Some(new) = edited(old.as_ref(), &mut edit)? else { return Ok(()) };
        if written {
            let Some(pause) = budget.retry(client.policy()) else {
                let request = repository.request(Method::PUT, format_args!("manifests/{tag}"));
                let line = RequestLine::new(request.method(), request.uri());
                return Err(Error::protocol(line, "the list of referrers does not keep what is written to it"));
            };
            // Those who write at the same time must not do so again.
            sleep(pause).await;
        }
        manifest::push(repository, &new, Some(&tag)).await?;
        written = true;
    }
}

/// Makes the next version of the list; `None` where there is nothing to change.
///
/// What we do not know about its entries is kept: other clients wrote them.
fn edited(old: Option<&Manifest>, edit: impl FnOnce(&mut Vec<Value>) -> bool) -> Result<Option<Manifest>, ParseError> {
    if let Some(other) = old.filter(|old| old.index().is_none()) {
        let text = other.descriptor().media_type.as_str();
        return Err(ParseError::new("referrers tag", text, "an index, and nothing else that has its name"));
    }
    let empty = || json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] });
    let mut index = match old {
        // What a manifest may say besides is passed over where it is read, and can still be more than a document holds.
        Some(old) => serde_json::from_slice(old.bytes()).map_err(|error| {
            let text = old.digest().to_string();
            ParseError::new("referrers tag", &text, "an index that can be written again").because(&error)
        })?,
        None => empty(),
    };
    let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) else { return Ok(None) };
    let mut seen = HashSet::new();
    let before = entries.len();
    entries.retain(|entry| entry["digest"].as_str().is_none_or(|digest| seen.insert(digest.to_owned())));
    let doubles = entries.len() < before;
    if !edit(entries) && !doubles {
        return Ok(None);
    }
    let bytes = serde_json::to_vec(&index).expect("JSON values are plain data");
    Manifest::parse(bytes, None).map(Some)
}

/// Describes a referrer as lists do: with what makes it worth a look (distribution-spec 1.1, "Listing Referrers").
fn describe(manifest: &Manifest) -> Descriptor {
    let mut descriptor = manifest.descriptor().clone();
    descriptor.annotations = manifest.annotations().clone();
    let named = |artifact_type: &Option<String>| artifact_type.clone().filter(|text| !text.is_empty());
    descriptor.artifact_type = match manifest.view() {
        View::Image(image) => named(&image.artifact_type).or_else(|| Some(image.config.media_type.as_str().to_owned())),
        View::Index(index) => named(&index.artifact_type),
    };
    descriptor
}

fn names(entry: &Value, digest: &Digest) -> bool {
    entry["digest"].as_str().is_some_and(|text| text.parse() == Ok(*digest))
}

/// Returns the tag under which the referrers of `subject` are listed (distribution-spec 1.1, "Referrers Tag Schema").
fn tag(subject: &Digest) -> Tag {
    tag_text(subject.algorithm().name(), &subject.hex()).parse().expect("what is no part of a tag was replaced")
}

fn tag_text(algorithm: &str, encoded: &str) -> String {
    let cut = |text: &str, length| text.chars().take(length).collect::<String>();
    let text = format!("{}-{}", cut(algorithm, 32), cut(encoded, 64));
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

/// All that a value in a query may not have; a `+` above all, which means a space there.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Which filters the registry has applied.
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// How many referrers a subject may have. Nobody looks at more, and each may have annotations.
const MAX_REFERRERS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn image(extra: &str) -> Manifest {
        let config = format!(r#"{{"mediaType":"application/x.config","digest":"{D}","size":0}}"#);
        let text = format!(r#"{{"schemaVersion":2,{extra}"config":{config},"layers":[]}}"#);
        Manifest::parse(text, None).expect("an image manifest")
    }

    fn index(entries: &str) -> Manifest {
        let text = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","x":1,"manifests":[{entries}]}}"#);
        Manifest::parse(text, None).expect("an index")
    }

    #[test]
    fn tags_are_cut_and_cleaned() {
        let hex = "ab".repeat(64);
        for (algorithm, encoded, tag) in [
            ("sha256", &hex[..64], format!("sha256-{}", &hex[..64])),
            ("sha512", &hex, format!("sha512-{}", &hex[..64])),
            (
                "test+algorithm+using+algorithm+separators+and+lots+of+characters",
                "abc=_-",
                "test-algorithm-using-algorithm-s-abc-_-".to_owned(),
            ),
            ("a/b", "x@y", "a-b-x-y".to_owned()),
        ] {
            assert_eq!(tag_text(algorithm, encoded), tag);
        }
        let digest: Digest = D.parse().expect("a digest");
        assert_eq!(tag(&digest).as_str(), D.replace(':', "-"));
    }

    #[test]
    fn referrers_are_described_by_type_and_annotations() {
        for (extra, artifact_type) in [
            ("", "application/x.config"),
            (r#""artifactType":"","#, "application/x.config"),
            (r#""artifactType":"application/x.sbom","#, "application/x.sbom"),
        ] {
            let manifest = image(&format!(r#"{extra}"annotations":{{"a":"b"}},"#));
            let described = describe(&manifest);
            assert_eq!(described.artifact_type.as_deref(), Some(artifact_type), "{extra}");
            assert_eq!(described.annotations["a"], "b");
            assert!(described.same_content(manifest.descriptor()));
        }
        assert_eq!(describe(&index("")).artifact_type, None);
    }

    #[test]
    fn lists_are_changed_only_where_they_must() {
        let entry = |digest: &str, extra: &str| format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":1{extra}}}"#);
        let other = Digest::of(b"other").to_string();
        let add = |entries: &mut Vec<Value>| {
            let new = !entries.iter().any(|known| known["digest"] == D);
            if new {
                entries.push(json!({ "mediaType": "a/b", "digest": D, "size": 1 }));
            }
            new
        };
        let known = entry(&other, r#","future":true"#);
        for (old, expected) in [
            (None, Some(vec![D])),
            (Some(index("")), Some(vec![D])),
            (Some(index(&known)), Some(vec![&other, D])),
            (Some(index(&format!("{known},{known}"))), Some(vec![&other, D])),
            (Some(index(&entry(D, ""))), None),
            (Some(index(&format!("{0},{0}", entry(D, "")))), Some(vec![D])),
        ] {
            let new = edited(old.as_ref(), add).expect("an index");
            let digests =
                new.as_ref().map(|new| new.manifests().map(|entry| entry.digest.to_string()).collect::<Vec<_>>());
            let expected = expected.map(|digests| digests.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(digests, expected);
        }
        let new = edited(Some(&index(&known)), add).expect("an index").expect("a change");
        let text = std::str::from_utf8(new.bytes()).expect("JSON");
        assert!(text.contains(r#""future":true"#) && text.contains(r#""x":1"#), "{text}");
        let error = edited(Some(&image("")), add).expect_err("no index");
        assert!(error.to_string().contains("expects an index"), "{error}");
    }

    #[test]
    fn r3_lists_without_an_entry_are_read_in_every_spelling() {
        for (body, entries) in [
            (r#"{"schemaVersion":2,"mediaType":"INDEX","manifests":[]}"#, Some(0)),
            // olareg 0.1.2
            (r#"{"schemaVersion":2,"mediaType":"INDEX","manifests":null}"#, Some(0)),
            (r#"{"schemaVersion":2,"mediaType":"INDEX"}"#, None),
            (r#"{"schemaVersion":2,"mediaType":"INDEX","manifests":{}}"#, None),
        ] {
            let line = RequestLine::new(&Method::GET, &http::Uri::from_static("https://r/v2/a/referrers/sha256:0"));
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, INDEX.parse().expect("a header value"));
            let page = Page { line, headers, body: body.replace("INDEX", INDEX).into() };
            let read = parse(&page).ok().map(|list| list.expect("it is announced").len());
            assert_eq!(read, entries, "{body}");
        }
    }

    #[test]
    fn filters_that_were_applied_are_named() {
        for (value, applied) in
            [("artifactType", true), ("a, artifactType", true), ("artifacttype", false), ("", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(FILTERS_APPLIED, value.parse().expect("a header value"));
            assert_eq!(is_filtered(&headers), applied, "{value}");
        }
        assert!(!is_filtered(&HeaderMap::new()));
        assert_eq!(
            utf8_percent_encode("application/x.y+json; a=b", QUERY).to_string(),
            "application/x.y%2Bjson%3B%20a%3Db"
        );
    }

    #[test]
    fn r2_what_an_index_says_besides_is_no_reason_to_panic() {
        // Numbers and depths that a parser passes over and a document cannot hold.
        for odd in ["1e999".to_owned(), format!("{}{}", "[".repeat(200), "]".repeat(200))] {
            let text = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","x":{odd},"manifests":[]}}"#);
            if let Ok(old) = Manifest::parse(text, None) {
                let edited = edited(Some(&old), |_| true);
                assert!(edited.is_err(), "{odd}");
            }
        }
    }
}
