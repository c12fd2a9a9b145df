//! What refers to a manifest.

use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};

use super::respond::{Refusal, json, value};
use crate::content::{Body, Source as _};
use crate::error::Error;
use crate::model::{Annotations, Descriptor, Digest, Identifier, ImageIndex, Manifest, MediaType};
use crate::store::Layout;

/// Answers end-12: an index of the manifests whose subject is `subject`, whether that is there or not, and whether
/// the repository is (distribution-spec 1.1, "Listing Referrers").
///
/// Costs reading every manifest of the repository.
pub(super) async fn list(
    layout: Option<&Layout>,
    subject: Digest,
    artifact_type: Option<&str>,
) -> Result<Response<Body>, Refusal> {
    let mut found = Vec::new();
    if let Some(layout) = layout {
        for descriptor in layout.manifests().await? {
            match layout.manifest(&Identifier::Digest(descriptor.digest)).await {
                Ok(manifest) => found.extend(referrer(&manifest, &subject)),
                // Deleted since we were told of it, or never complete: it refers to nothing.
                Err(Error::NotFound(_) | Error::Mismatch(_) | Error::Parse(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    found.retain(|descriptor| artifact_type.is_none_or(|wanted| descriptor.artifact_type.as_deref() == Some(wanted)));
    found.sort_unstable_by_key(|descriptor| descriptor.digest);
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
    if artifact_type.is_some() {
        response.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    Ok(response)
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

/// Says which filters the registry has applied.
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

#[cfg(test)]
mod tests {
    use super::*;

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
}
