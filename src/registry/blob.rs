//! Blobs over the wire, downwards (distribution-spec 1.1, end-2).

use std::pin::Pin;

use futures_util::stream;
use http::header::{HeaderValue, RANGE};
use http::{Method, StatusCode};

use super::Repository;
use super::response::refused;
use crate::content::{Blob, Body, Open};
use crate::error::{Error, RequestLine};
use crate::model::{Descriptor, Digest};
use crate::transport::{FinalUri, headers};

/// Says whether the blob is there: one `HEAD`.
pub(super) async fn exists(repository: &Repository, digest: &Digest) -> Result<bool, Error> {
    let request = repository.request(Method::HEAD, format_args!("blobs/{digest}"));
    let line = RequestLine::new(request.method(), request.uri());
    let client = repository.client();
    let response = client.send(repository.registry(), request, &repository.scopes(), &mut client.budget()).await?;
    match response.status() {
        StatusCode::OK => Ok(true),
        StatusCode::NOT_FOUND => Ok(false),
        // Registries with repositories that do not exist yet, or behind several, refuse to say: then it is to be sent.
        StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => Ok(false),
        _ => Err(refused(response, line, || format!("blob `{digest}`")).await),
    }
}

/// Makes a handle for a blob of a repository. It sends nothing until it is opened.
pub(super) fn remote(repository: &Repository, descriptor: &Descriptor) -> Blob {
    let (registry, name) = (repository.registry().clone(), repository.name().clone());
    let remote = Remote { repository: repository.clone(), descriptor: descriptor.clone() };
    Blob::new(descriptor.clone(), remote).from_repository(registry, name)
}

#[derive(Clone)]
struct Remote {
    repository: Repository,
    descriptor: Descriptor,
}

impl Open for Remote {
    /// Opens at `offset` with one `GET`; a connection that breaks later is replaced where it broke, until there are
    /// [`MAX_FRUITLESS`] failures in a row without a byte between them.
    fn open(&self, offset: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        Box::pin(async move {
            let body = self.get(offset).await?;
            let left = body.remaining();
            let resuming = Resuming { remote: self.clone(), body, offset, fruitless: 0 };
            Ok(Body::from_stream(stream::unfold(Some(resuming), Resuming::step), left))
        })
    }
}

impl Remote {
    async fn get(&self, offset: u64) -> Result<Body, Error> {
        let Descriptor { digest, size, .. } = &self.descriptor;
        if offset > 0 && offset >= *size {
            return Ok(Body::empty());
        }
        let mut request = self.repository.request(Method::GET, format_args!("blobs/{digest}"));
        if offset > 0 {
            let range = HeaderValue::from_str(&format!("bytes={offset}-")).expect("digits are visible ASCII");
            request.headers_mut().insert(RANGE, range);
        }
        let line = RequestLine::new(request.method(), request.uri());
        let client = self.repository.client();
        let scopes = self.repository.scopes();
        let response = client.send(self.repository.registry(), request, &scopes, &mut client.budget()).await?;
        let line = response.extensions().get().map_or(line, |FinalUri(uri)| RequestLine::new(&Method::GET, uri));
        match response.status() {
            // Ranges are a courtesy: where they are ignored, the front is dropped here.
            StatusCode::OK => Ok(response.into_body().skip(offset)),
            StatusCode::PARTIAL_CONTENT if offset > 0 => match headers::content_range(response.headers()) {
                Some(range) if range.first == offset => Ok(response.into_body()),
                _ => Err(Error::protocol(line, "the partial answer does not begin where it was asked to")),
            },
            StatusCode::PARTIAL_CONTENT => Err(Error::protocol(line, "a partial answer to a request for the whole")),
            _ => Err(refused(response, line, || format!("blob `{digest}`")).await),
        }
    }
}

/// A body that replaces itself.
struct Resuming {
    remote: Remote,
    body: Body,
    offset: u64,
    fruitless: u32,
}

impl Resuming {
    async fn step(state: Option<Self>) -> Option<(Result<bytes::Bytes, Error>, Option<Self>)> {
        let mut state = state?;
        loop {
            let error = match state.body.chunk().await? {
                Ok(chunk) => {
                    state.offset += chunk.len() as u64;
                    state.fruitless = 0;
                    return Some((Ok(chunk), Some(state)));
                }
                Err(error) => error,
            };
            state.fruitless += 1;
            if !error.is_transient() || state.fruitless > MAX_FRUITLESS {
                return Some((Err(error), None));
            }
            tracing::debug!(digest = %state.remote.descriptor.digest, offset = state.offset, "resuming a broken download");
            match state.remote.get(state.offset).await {
                Ok(body) => state.body = body,
                Err(error) => return Some((Err(error), None)),
            }
        }
    }
}

/// How many breaks in a row, without a byte between them, end a download.
const MAX_FRUITLESS: u32 = 5;
