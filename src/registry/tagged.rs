//! What a tag points to before something is pushed to it (distribution-spec 1.1, end-3).

use bytes::Bytes;
use http::{Method, Response, StatusCode};

use super::manifest::{Read, ask_unless, fetch, is_untold, read_answer, resolve};
use super::response::content_digest;
use super::{Repository, profile};
use crate::content::{Body, Tagged};
use crate::error::Error;
use crate::model::{Descriptor, Digest, Identifier, Manifest, MediaType, Tag};

/// Says what `tag` points to: one conditional `GET`, or a `HEAD` first where a `GET` is counted.
pub(super) async fn tagged(repository: &Repository, tag: &Tag, wanted: &Descriptor) -> Result<Tagged, Error> {
    let outcome = if profile::counts_pulls(repository.registry()) {
        after_head(repository, tag, wanted).await
    } else {
        by_get(repository, tag, wanted).await
    };
    match outcome {
        Err(error) if is_untold(&error) => Ok(Tagged::Unknown),
        outcome => outcome,
    }
}

async fn by_get(repository: &Repository, tag: &Tag, wanted: &Descriptor) -> Result<Tagged, Error> {
    let id = Identifier::Tag(tag.clone());
    let response = ask_unless(repository, Method::GET, &id, Some(&wanted.digest)).await?;
    if response.status() == StatusCode::NOT_MODIFIED {
        return Ok(unmodified(&response, wanted));
    }
    let Read { media_type, bytes, .. } = read_answer(repository, &id, response).await?;
    Ok(judge(bytes, media_type, wanted))
}

async fn after_head(repository: &Repository, tag: &Tag, wanted: &Descriptor) -> Result<Tagged, Error> {
    let there = resolve(repository, &Identifier::Tag(tag.clone())).await?;
    if there.digest == wanted.digest {
        return Ok(Tagged::Wanted);
    }
    Ok(match fetch(repository, &Identifier::Digest(there.digest)).await {
        Ok(manifest) => Tagged::Other(Box::new(manifest)),
        // Old manifests cannot be read, and need not be to put another in their place.
        Err(Error::Protocol(violation)) => {
            tracing::debug!(%violation, "what the tag points to now is of no use");
            Tagged::Unknown
        }
        Err(error) => return Err(error),
    })
}

/// Says what an answer without a body means: whoever names another digest does not know what it was asked.
fn unmodified(response: &Response<Body>, wanted: &Descriptor) -> Tagged {
    match content_digest(response) {
        Some(named) if named.algorithm() == wanted.digest.algorithm() && named != wanted.digest => Tagged::Unknown,
        _ => Tagged::Wanted,
    }
}

/// Says what bytes mean that a tag stands for: their digest is what counts, not the one that the registry names.
fn judge(bytes: Bytes, media_type: Option<MediaType>, wanted: &Descriptor) -> Tagged {
    let digest = Digest::of_with(wanted.digest.algorithm(), &bytes);
    if digest == wanted.digest {
        return Tagged::Wanted;
    }
    if bytes.len() as u64 > Manifest::MAX_PUSH {
        return Tagged::Unknown;
    }
    match Manifest::parse_named(bytes, media_type, digest) {
        Ok(manifest) => Tagged::Other(Box::new(manifest)),
        Err(error) => {
            // Old manifests cannot be read, and need not be to put another in their place.
            tracing::debug!(%error, "what the tag points to now is of no use");
            Tagged::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = r#"{"schemaVersion":2,"config":{"mediaType":"x/y","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;

    #[test]
    fn bytes_speak_for_themselves() {
        let of = |text: &str| Descriptor::of(MediaType::IMAGE_MANIFEST, text.as_bytes());
        let large = format!("{IMAGE}{}", " ".repeat(4 << 20));
        for (text, wanted, expected) in [
            (IMAGE, of(IMAGE), "wanted"),
            (IMAGE, of("{}"), "other"),
            // One that was made for another purpose, and is what is wanted all the same.
            ("not JSON", of("not JSON"), "wanted"),
            ("not JSON", of("{}"), "unknown"),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#, of("{}"), "unknown"),
            (&large, of("{}"), "unknown"),
        ] {
            let found = match judge(Bytes::copy_from_slice(text.as_bytes()), None, &wanted) {
                Tagged::Wanted => "wanted",
                Tagged::Other(manifest) => {
                    assert_eq!(manifest.digest(), of(text).digest);
                    "other"
                }
                Tagged::Unknown => "unknown",
            };
            assert_eq!(found, expected, "{}", &text[..text.len().min(40)]);
        }
    }

    #[test]
    fn whoever_names_another_digest_is_not_believed() {
        let wanted = Descriptor::of(MediaType::IMAGE_MANIFEST, b"{}");
        for (named, expected) in [
            (None, true),
            (Some(wanted.digest), true),
            (Some(Digest::of(b"other")), false),
            (Some(Digest::of_with(crate::model::Algorithm::Sha512, b"{}")), true),
        ] {
            let mut response = Response::new(Body::empty());
            if let Some(named) = named {
                let value = named.to_string().parse().expect("a header value");
                response.headers_mut().insert("docker-content-digest", value);
            }
            assert_eq!(matches!(unmodified(&response, &wanted), Tagged::Wanted), expected, "{named:?}");
        }
    }
}
