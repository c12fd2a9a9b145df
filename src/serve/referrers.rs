//! The answer to who refers to a manifest.

use std::collections::BTreeSet;

use http::header::{CONTENT_TYPE, HeaderName, LINK};
use http::{HeaderValue, Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::repositories::Repository;
use super::respond::{Refusal, json, value};
use crate::content::{Body, Source as _};
use crate::error::Error;
use crate::model::{Annotations, Descriptor, Digest, Identifier, ImageIndex, Manifest, MediaType, Name, Tag};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) name: &'a Name,
    pub(super) subject: Digest,
    /// Only those of this type.
    pub(super) artifact_type: Option<&'a str>,
    /// Only those after this one: an earlier answer was too long and has named it.
    pub(super) last: Option<Digest>,
}

/// Answers end-12: an index of the manifests whose subject is meant, whether that is there or not, and whether the
/// repository is (distribution-spec 1.1, "Listing Referrers").
///
/// Costs reading the manifests that refer to it; and, once after the start, those that are listed. Manifests that a
/// client without this API has put into an index under the subject's referrers tag are looked at as well ("Upgrade
/// Procedures"). What would make the answer longer than a manifest may be is on its next page.
pub(super) async fn list(repository: Option<&Repository>, question: Question<'_>) -> Result<Response<Body>, Refusal> {
    let (mut found, mut length, mut next) = (Vec::new(), 0, None);
    if let Some(repository) = repository {
        for digest in candidates(repository, &question.subject).await? {
            if question.last.is_some_and(|last| digest <= last) {
                continue;
            }
            let Some(descriptor) = described(repository, digest, question).await? else { continue };
            length += serde_json::to_vec(&descriptor).map_or(0, |json| json.len() as u64);
            if length > PAGE && !found.is_empty() {
                next = found.last().map(|last: &Descriptor| last.digest);
                break;
            }
            found.push(descriptor);
        }
    }
    let index = ImageIndex {
        annotations: Annotations::new(),
        artifact_type: None,
        manifests: found,
        media_type: Some(MediaType::IMAGE_INDEX),
        schema_version: 2,
        subject: None,
    };
    let mut response = json(StatusCode::OK, &index);
    response.headers_mut().insert(CONTENT_TYPE, value(MediaType::IMAGE_INDEX));
    if question.artifact_type.is_some() {
        response.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    if let Some(last) = next {
        let filter = question.artifact_type.map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC));
        let filter = filter.map(|text| format!("&artifactType={text}")).unwrap_or_default();
        let (name, subject) = (question.name, question.subject);
        let link = value(format_args!("</v2/{name}/referrers/{subject}?last={last}{filter}>; rel=\"next\""));
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

/// Returns the manifests that may refer to `subject`: those that do, and those that an index under its referrers tag
/// names and that are not listed themselves.
async fn candidates(repository: &Repository, subject: &Digest) -> Result<BTreeSet<Digest>, Error> {
    let mut found = repository.referrals().of(repository, subject).await?;
    let catalog = repository.catalog().await?;
    let tagged = referrers_tag(subject).and_then(|tag| catalog.tag(&tag).map(|entry| entry.digest));
    let Some(tagged) = tagged else { return Ok(found) };
    match repository.manifest(&Identifier::Digest(tagged)).await {
        Ok(index) => {
            found.extend(index.manifests().map(|entry| entry.digest).filter(|d| catalog.manifest(d).is_none()))
        }
        Err(Error::NotFound(_) | Error::Mismatch(_) | Error::Parse(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// Reads a manifest and describes it, if it refers to the subject and is of the type.
async fn described(
    repository: &Repository,
    digest: Digest,
    question: Question<'_>,
) -> Result<Option<Descriptor>, Error> {
    match repository.manifest(&Identifier::Digest(digest)).await {
        Ok(manifest) => Ok(referrer(&manifest, &question.subject).filter(|found| {
            question.artifact_type.is_none_or(|wanted| found.artifact_type.as_deref() == Some(wanted))
        })),
        // Deleted since we were told of it, never complete, or never there: it refers to nothing.
        Err(Error::NotFound(_) | Error::Mismatch(_) | Error::Parse(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Describes a manifest as the referrers of `subject` are: with its artifact type and annotations.
fn referrer(manifest: &Manifest, subject: &Digest) -> Option<Descriptor> {
    if manifest.subject()?.digest != *subject {
        return None;
    }
    let mut descriptor = manifest.descriptor().clone();
    descriptor.annotations = manifest.annotations().clone();
    descriptor.artifact_type = match (manifest.image(), manifest.index()) {
        // An image without an artifact type is of its config's type; an index has nothing to fall back to.
        (Some(image), _) => image.artifact_type.clone().or_else(|| Some(image.config.media_type.as_str().to_owned())),
        (None, index) => index.and_then(|index| index.artifact_type.clone()),
    };
    Some(descriptor)
}

/// Returns the tag under which clients list what refers to `subject` where a registry does not (distribution-spec 1.1,
/// "Referrers Tag Schema"): at most 64 digits of its digest.
fn referrers_tag(subject: &Digest) -> Option<Tag> {
    let hex = subject.hex();
    format!("{}-{}", subject.algorithm(), &hex[..hex.len().min(64)]).parse().ok()
}

/// Says which filters the registry has applied.
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// How long an answer may be, but for its first entry: as long as the manifests that every client reads.
const PAGE: u64 = Manifest::MAX_PUSH - (1 << 10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Algorithm;

    #[test]
    fn artifact_types_fall_back_for_images_alone() {
        let subject = Descriptor::of(MediaType::IMAGE_MANIFEST, b"subject");
        let subject_json = serde_json::to_string(&subject).expect("plain data");
        let config = serde_json::to_string(&Descriptor::of(MediaType::IMAGE_CONFIG, b"{}")).expect("plain data");
        let config_type = "application/vnd.oci.image.config.v1+json";
        for (json, expected) in [
            (format!(r#""artifactType":"a/b","config":{config},"layers":[]"#), Some("a/b")),
            (format!(r#""config":{config},"layers":[]"#), Some(config_type)),
            (r#""artifactType":"a/b","manifests":[]"#.to_owned(), Some("a/b")),
            (r#""manifests":[]"#.to_owned(), None),
        ] {
            let json = format!(r#"{{"schemaVersion":2,"annotations":{{"k":"v"}},"subject":{subject_json},{json}}}"#);
            let manifest = Manifest::parse(json, None).expect("a manifest");
            let described = referrer(&manifest, &subject.digest).expect("it refers to the subject");
            assert_eq!(described.artifact_type.as_deref(), expected);
            assert_eq!(described.annotations["k"], "v");
            assert!(described.same_content(manifest.descriptor()));
            assert_eq!(referrer(&manifest, &Digest::of(b"another")), None);
        }
    }

    #[test]
    fn the_referrers_tag_is_cut_to_64_digits() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let tag = referrers_tag(&Digest::of_with(algorithm, b"subject")).expect("a tag");
            assert_eq!(tag.as_str().len(), algorithm.name().len() + 1 + 64);
        }
    }
}
