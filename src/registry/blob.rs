//! Blobs over the wire, downwards (distribution-spec 1.1, end-2).

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, HeaderValue, RANGE};
use http::{Method, StatusCode};
use tokio::time::sleep;

use super::Repository;
use super::download::{Asked, How, Verdict, judge};
use super::response::{content_digest, page, refused};
use crate::content::{Blob, Body, Open, Seams, Verifier};
use crate::error::{Error, Place, RequestLine, Unreachable, UnreachableKind};
use crate::model::{Descriptor, Digest, MediaType};
use crate::transport::{Budget, FinalUri, Traffic};

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

/// Says how long the blob is: one `HEAD`.
pub(super) async fn describe(repository: &Repository, digest: &Digest) -> Result<Descriptor, Error> {
    let request = repository.request(Method::HEAD, format_args!("blobs/{digest}"));
    let line = RequestLine::new(request.method(), request.uri());
    let client = repository.client();
    let response = client.send(repository.registry(), request, &repository.scopes(), &mut client.budget()).await?;
    let line = response.extensions().get().map_or(line, |FinalUri(uri)| RequestLine::new(&Method::HEAD, uri));
    if response.status() != StatusCode::OK {
        return Err(refused(response, line, || format!("blob `{digest}`")).await);
    }
    let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let size = length.ok_or_else(|| Error::protocol(line, "the answer to a `HEAD` of a blob says no length"))?;
    Ok(Descriptor::new(MediaType::OCTET_STREAM, *digest, size))
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
    /// Opens at `offset` with one `GET`. A body that breaks later, or ends early, is gone on with where that happened,
    /// until there is no budget left; what counts are failures without progress between them.
    fn open(&self, offset: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        Box::pin(async move {
            if offset > 0 && offset >= self.descriptor.size {
                return Ok(Body::empty());
            }
            let mut budget = self.repository.client().budget();
            let (line, body) = self.get(offset, &mut budget).await?;
            let (left, seams) = (body.remaining(), Seams::default());
            let resuming =
                Resuming { remote: self.clone(), line, body, offset, reached: offset, budget, seams: seams.clone() };
            Ok(Body::from_stream(stream::unfold(Some(resuming), Resuming::step), left).with_seams(seams))
        })
    }
}

impl Remote {
    /// Asks for the bytes from `offset` on; where ranges do not work, for all of them.
    async fn get(&self, offset: u64, budget: &mut Budget) -> Result<(RequestLine, Body), Error> {
        if offset > 0
            && let Some(part) = self.ask(offset, How::Part, budget).await?
        {
            return Ok(part);
        }
        let whole = self.ask(offset, How::Whole, budget).await?;
        Ok(whole.expect("who asked for the whole is not told to do so"))
    }

    /// Makes one request; `None` where it has to be repeated without a range.
    async fn ask(&self, offset: u64, how: How, budget: &mut Budget) -> Result<Option<(RequestLine, Body)>, Error> {
        let blob = &self.descriptor;
        let mut request = self.repository.request(Method::GET, format_args!("blobs/{}", blob.digest));
        request.extensions_mut().insert(Traffic::Down);
        if how == How::Part {
            let range = HeaderValue::from_str(&format!("bytes={offset}-")).expect("digits are visible ASCII");
            request.headers_mut().insert(RANGE, range);
        }
        let line = RequestLine::new(request.method(), request.uri());
        let (client, scopes) = (self.repository.client(), self.repository.scopes());
        let response = client.send(self.repository.registry(), request, &scopes, budget).await?;
        let line = response.extensions().get().map_or(line, |FinalUri(uri)| RequestLine::new(&Method::GET, uri));
        match judge(&Asked { blob, offset, how }, response.status(), response.headers()) {
            Verdict::Take(skip) => {
                if content_digest(&response).is_some_and(|claimed| contradicts(&claimed, &blob.digest)) {
                    tracing::warn!(request = %line, "the registry names another digest than that of the blob");
                }
                Ok(Some((line, response.into_body().skip(skip))))
            }
            Verdict::AskWhole => Ok(None),
            Verdict::Differs(actual) => Err(Verifier::blame(blob, actual, Place::Request(line))),
            Verdict::Page => Err(page(response, line, "the answer is HTML, not a blob").await),
            Verdict::Broken(rule) => Err(Error::protocol(line, rule)),
            Verdict::Refused => Err(refused(response, line, || format!("blob `{}`", blob.digest)).await),
        }
    }
}

/// Digests of different algorithms may be of the same bytes.
fn contradicts(claimed: &Digest, digest: &Digest) -> bool {
    claimed.algorithm() == digest.algorithm() && claimed != digest
}

/// A body that goes on with itself.
struct Resuming {
    remote: Remote,
    /// The request whose answer is being read.
    line: RequestLine,
    body: Body,
    offset: u64,
    /// How far it had come when the budget was last filled, in bytes.
    reached: u64,
    budget: Budget,
    seams: Seams,
}

impl Resuming {
    async fn step(state: Option<Self>) -> Option<(Result<Bytes, Error>, Option<Self>)> {
        let mut state = state?;
        loop {
            let error = match state.body.chunk().await {
                Some(Ok(chunk)) => {
                    state.offset += chunk.len() as u64;
                    return Some((Ok(chunk), Some(state)));
                }
                Some(Err(error)) if error.is_transient() => error,
                Some(Err(error)) => return Some((Err(error), None)),
                None if state.offset >= state.remote.descriptor.size => return None,
                None => state.early(),
            };
            if let Err(error) = state.resume(error).await {
                return Some((Err(error), None));
            }
        }
    }

    /// Replaces the body by one that begins where it ended.
    async fn resume(&mut self, error: Error) -> Result<(), Error> {
        let client = self.remote.repository.client();
        if self.offset >= self.reached.saturating_add(PROGRESS) {
            self.reached = self.offset;
            self.budget.refill();
        }
        let Some(pause) = self.budget.retry(client.policy()) else { return Err(error) };
        tracing::debug!(digest = %self.remote.descriptor.digest, offset = self.offset, %error, "resuming a download");
        sleep(pause).await;
        if self.offset > 0 {
            self.seams.mark();
        }
        (self.line, self.body) = self.remote.get(self.offset, &mut self.budget).await?;
        Ok(())
    }

    /// Names a body that ended in good order and too early: servers end those so whose own source broke.
    fn early(&self) -> Error {
        let cause = Early { offset: self.offset, size: self.remote.descriptor.size };
        Error::Unreachable(Box::new(Unreachable {
            request: self.line.clone(),
            kind: UnreachableKind::Broken,
            attempts: 1,
            elapsed: Duration::ZERO,
            cause: Some(cause.into()),
        }))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the answer ended after {offset} of {size} bytes")]
struct Early {
    offset: u64,
    size: u64,
}

/// How many bytes are progress: a peer that gives a byte at a time does not get a new budget for each.
const PROGRESS: u64 = 64 << 10;
