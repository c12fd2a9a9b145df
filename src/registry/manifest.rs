//! Manifests over the wire (distribution-spec 1.1, end-3 and end-7).

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, IF_NONE_MATCH};
use http::{Method, Response, StatusCode};

use super::Repository;
use super::response::{Page, content_digest, digest_named, is_html, looks_like_html, read, refused, title, violation};
use crate::content::{Body, Verifier};
use crate::error::{Actual, Error, Place, RequestLine};
use crate::model::{Descriptor, Digest, ErrorCode, ErrorEntry, Identifier, Manifest, MediaType, ParseError, Tag};
use crate::transport::{FinalUri, Payload, Traffic};

/// Says what `id` names: one `HEAD`, and a `GET` where that does not tell.
pub(super) async fn resolve(repository: &Repository, id: &Identifier) -> Result<Descriptor, Error> {
    let response = ask(repository, Method::HEAD, id).await?;
    match response.status() {
        StatusCode::OK => match described(&response, id) {
            Some(descriptor) => Ok(descriptor),
            // Old registries name no digest, and some answer a HEAD without a type: the bytes tell.
            None => fetch(repository, id).await.map(|manifest| manifest.descriptor().clone()),
        },
        StatusCode::NOT_FOUND => Err(not_found(response, id).await),
        // A HEAD has no body to say why; the GET will be refused as well, and explain itself.
        _ => fetch(repository, id).await.map(|manifest| manifest.descriptor().clone()),
    }
}

/// Says whether the manifest is there: one `HEAD`.
pub(super) async fn exists(repository: &Repository, digest: &Digest) -> Result<bool, Error> {
    match resolve(repository, &Identifier::Digest(*digest)).await {
        Ok(_) => Ok(true),
        Err(error) if is_untold(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Says whether a push goes on as if the manifest were not there: it is not, or it is forbidden to know. Virtual
/// repositories forbid what they have not (<https://github.com/google/go-containerregistry/issues/1691>), and whoever may
/// really not push is told so in the end.
pub(super) fn is_untold(error: &Error) -> bool {
    error.is_not_found() || matches!(error, Error::Refused(refused) if refused.status == StatusCode::FORBIDDEN)
}

/// Reads the manifest that `id` names: one `GET`, at most [`Manifest::MAX_READ`] bytes.
pub(super) async fn fetch(repository: &Repository, id: &Identifier) -> Result<Manifest, Error> {
    let response = ask(repository, Method::GET, id).await?;
    let Read { request, media_type, claimed, bytes } = read_answer(repository, id, response).await?;
    let algorithm = id.digest().map_or(crate::model::Algorithm::Sha256, Digest::algorithm);
    let actual = Digest::of_with(algorithm, &bytes);
    match (id, claimed) {
        (Identifier::Digest(asked), _) if *asked != actual => {
            let expected = Descriptor::new(media_type.unwrap_or(MediaType::OCTET_STREAM), *asked, bytes.len() as u64);
            return Err(Verifier::blame(&expected, Actual::Digest(actual), Place::Request(request)));
        }
        // Some registries are known to name another digest for a tag than that of the bytes they send.
        (Identifier::Tag(_), Some(claimed)) if claimed.algorithm() == algorithm && claimed != actual => {
            tracing::warn!(%request, %claimed, %actual, "the registry names another digest than the manifest has");
        }
        _ => {}
    }
    Manifest::parse_named(bytes, media_type, actual)
        .map_err(|error| violation(request, "the answer is no manifest", error))
}

/// The bytes that answered a `GET` of a manifest, and what was said of them.
pub(super) struct Read {
    pub(super) request: RequestLine,
    pub(super) media_type: Option<MediaType>,
    pub(super) claimed: Option<Digest>,
    pub(super) bytes: Bytes,
}

/// Reads what answered a `GET` of a manifest, at most [`Manifest::MAX_READ`] bytes. They are not verified.
pub(super) async fn read_answer(
    repository: &Repository,
    id: &Identifier,
    response: Response<Body>,
) -> Result<Read, Error> {
    let request = line(repository, &Method::GET, id, &response);
    if response.status() != StatusCode::OK {
        return Err(refused(response, request, || what(id)).await);
    }
    let html = is_html(response.headers().get(CONTENT_TYPE));
    let media_type = content_type(&response);
    let claimed = content_digest(&response);
    let Some(bytes) = read(response.into_body(), Manifest::MAX_READ).await? else {
        return Err(Error::protocol(request, "the manifest is larger than 8 MiB"));
    };
    // Login pages and those of proxies come with a success, and sometimes with another type.
    if looks_like_html(&bytes) || html && !bytes.trim_ascii_start().starts_with(b"{") {
        let page = Page { status: StatusCode::OK, title: title(&bytes) };
        return Err(violation(request, "the answer is HTML, not a manifest", page));
    }
    Ok(Read { request, media_type, claimed, bytes })
}

/// Sends the manifest's exact bytes to `tag`, or to its digest where there is none: one `PUT`.
///
/// Returns the subject in whose list of referrers the registry has put it, where it says so.
pub(super) async fn push(
    repository: &Repository,
    manifest: &Manifest,
    tag: Option<&Tag>,
) -> Result<Option<Digest>, Error> {
    let size = manifest.descriptor().size;
    if size > Manifest::MAX_PUSH {
        let error =
            ParseError::new("manifest", &manifest.digest().to_string(), "at most 4 MiB, which is what registries take");
        return Err(error.because(&format_args!("it has {size} bytes")).into());
    }
    let id = tag.map_or_else(|| Identifier::Digest(manifest.digest()), |tag| Identifier::Tag(tag.clone()));
    let mut request = repository.request(Method::PUT, format_args!("manifests/{id}"));
    let content_type = HeaderValue::from_str(manifest.descriptor().media_type.as_str());
    request.headers_mut().insert(CONTENT_TYPE, content_type.expect("media types are visible ASCII"));
    *request.body_mut() = Payload::Bytes(manifest.bytes().clone());
    request.extensions_mut().insert(Traffic::Small);
    let client = repository.client();
    let response = client.send(repository.registry(), request, &repository.scopes(), &mut client.budget()).await?;
    let request = line(repository, &Method::PUT, &id, &response);
    if !response.status().is_success() {
        let error = refused(response, request, || format!("repository `{}`", repository.name())).await;
        return Err(sized(error, size));
    }
    match content_digest(&response) {
        Some(stored) if stored.algorithm() == manifest.digest().algorithm() && stored != manifest.digest() => {
            Err(Error::protocol(request, "the registry stored the manifest under another digest"))
        }
        _ => Ok(digest_named(response.headers(), &OCI_SUBJECT)),
    }
}

/// Says how large the manifest is that is too large.
fn sized(mut error: Error, size: u64) -> Error {
    if let Error::Refused(refused) = &mut error
        && refused.status == StatusCode::PAYLOAD_TOO_LARGE
    {
        refused.errors.insert(0, ErrorEntry::new(ErrorCode::SizeInvalid, format!("the manifest has {size} bytes")));
    }
    error
}

async fn ask(repository: &Repository, method: Method, id: &Identifier) -> Result<Response<Body>, Error> {
    ask_unless(repository, method, id, None).await
}

/// Asks for a manifest; a registry may leave it out where it is `known` (RFC 9110, section 13.1.2): those that do have its
/// digest for an entity tag.
pub(super) async fn ask_unless(
    repository: &Repository,
    method: Method,
    id: &Identifier,
    known: Option<&Digest>,
) -> Result<Response<Body>, Error> {
    let mut request = repository.request(method, format_args!("manifests/{id}"));
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
    if let Some(known) = known {
        let value = HeaderValue::from_str(&format!("\"{known}\""));
        request.headers_mut().insert(IF_NONE_MATCH, value.expect("digests are visible ASCII"));
    }
    request.extensions_mut().insert(Traffic::Small);
    let client = repository.client();
    client.send(repository.registry(), request, &repository.scopes(), &mut client.budget()).await
}

/// Describes a manifest from the headers of the answer to a `HEAD`, where they suffice.
fn described(response: &Response<Body>, id: &Identifier) -> Option<Descriptor> {
    let media_type = content_type(response)?;
    let size = response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    let digest = id.digest().copied().or_else(|| content_digest(response))?;
    Some(Descriptor::new(media_type, digest, size))
}

/// Returns the type that the answer has, where it is one of a manifest.
fn content_type(response: &Response<Body>) -> Option<MediaType> {
    let value = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    MediaType::from_header(value).ok().filter(MediaType::is_manifest)
}

async fn not_found(response: Response<Body>, id: &Identifier) -> Error {
    let uri = response.extensions().get().map_or_else(Default::default, |FinalUri(uri)| uri.clone());
    let request = RequestLine::new(&Method::HEAD, &uri);
    refused(response, request, || what(id)).await
}

fn line(repository: &Repository, method: &Method, id: &Identifier, response: &Response<Body>) -> RequestLine {
    match response.extensions().get() {
        Some(FinalUri(uri)) => RequestLine::new(method, uri),
        None => RequestLine::new(method, repository.request(method.clone(), format_args!("manifests/{id}")).uri()),
    }
}

fn what(id: &Identifier) -> String {
    format!("manifest `{id}`")
}

/// Everything we can read, most wanted first (end-3: "the client SHOULD include an Accept header").
const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// The subject in whose list of referrers the registry has put the manifest.
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn answer(headers: &[(&'static str, &str)]) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        for (name, value) in headers {
            response.headers_mut().insert(*name, value.parse().expect("a header value"));
        }
        response
    }

    #[test]
    fn a_head_suffices_when_it_says_type_size_and_digest() {
        let tag: Identifier = "v1".parse().expect("a tag");
        let digest: Identifier = D.parse().expect("a digest");
        let image = ("content-type", "application/vnd.oci.image.manifest.v1+json; charset=utf-8");
        let size = ("content-length", "7");
        let named = ("docker-content-digest", D);
        for (headers, id, enough) in [
            (vec![image, size, named], &tag, true),
            (vec![image, size], &tag, false),
            (vec![image, size], &digest, true),
            (vec![image, named], &tag, false),
            (vec![("content-type", "text/html"), size, named], &tag, false),
            (vec![image, size, ("docker-content-digest", "sha256:xyz")], &tag, false),
        ] {
            assert_eq!(described(&answer(&headers), id).is_some(), enough, "{headers:?}");
        }
    }
}
