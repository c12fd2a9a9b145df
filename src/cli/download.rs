//! Downloads of which only the URL is known: they go on where they broke.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, RANGE};
use http::{Method, Request, StatusCode, Uri};
use tokio::time::sleep;

use crate::content::{Body, Seams};
use crate::error::{Details, Error, Missing, Place, Refused, RequestLine, Unreachable, UnreachableKind};
use crate::transport::{Attempts, Budget, FinalUri, Payload, Traffic, Transport, headers};

/// Opens what is at `url`, from byte `offset` on.
///
/// **Requests**: one `GET`, with a `Range` where `offset` is not 0; a second one, for all of it, where that is not served. A
/// body that breaks, or ends before the length that was announced, is gone on with by a further one, until there is no
/// budget left; what counts are failures without progress between them.
///
/// # Errors
///
/// [`Error::NotFound`] for 404 and 410, [`Error::Refused`] for any other status that is no success;
/// [`Error::Unreachable`].
pub(super) async fn open(transport: &Transport, url: &Uri, offset: u64) -> Result<Body, Error> {
    let source = Source { transport: transport.clone(), url: url.clone() };
    let mut budget = transport.budget();
    let part = source.get(offset, &mut budget).await?;
    let (left, seams) = (part.body.remaining(), Seams::default());
    let resuming = Resuming { source, part, offset, reached: offset, budget, seams: seams.clone() };
    Ok(Body::from_stream(stream::unfold(Some(resuming), Resuming::step), left).with_seams(seams))
}

struct Source {
    transport: Transport,
    url: Uri,
}

/// The answer that is being read.
struct Part {
    line: RequestLine,
    body: Body,
    /// How much there is in all, where the answer says so.
    size: Option<u64>,
}

impl Source {
    async fn get(&self, offset: u64, budget: &mut Budget) -> Result<Part, Error> {
        if offset > 0
            && let Some(part) = self.ask(offset, How::Part, budget).await?
        {
            return Ok(part);
        }
        let whole = self.ask(offset, How::Whole, budget).await?;
        Ok(whole.expect("who asked for the whole is not told to do so"))
    }

    /// Makes one request; `None` where it has to be repeated without a range.
    async fn ask(&self, offset: u64, how: How, budget: &mut Budget) -> Result<Option<Part>, Error> {
        let mut request = Request::new(Payload::Empty);
        *request.uri_mut() = self.url.clone();
        request.extensions_mut().insert(Traffic::Down);
        if how == How::Part {
            let range = HeaderValue::from_str(&format!("bytes={offset}-")).expect("digits are visible ASCII");
            request.headers_mut().insert(RANGE, range);
        }
        let line = RequestLine::new(request.method(), request.uri());
        let response = self.transport.send(request, budget).await?;
        let line = response.extensions().get().map_or(line, |FinalUri(uri)| RequestLine::new(&Method::GET, uri));
        let status = response.status();
        Ok(Some(match judge(offset, how, status, response.headers()) {
            Verdict::Take { skip, size } => Part { line, body: response.into_body().skip(skip), size },
            Verdict::Nothing => Part { line, body: Body::empty(), size: Some(offset) },
            Verdict::AskWhole => return Ok(None),
            Verdict::Broken(rule) => return Err(Error::protocol(line, rule)),
            Verdict::Refused => {
                let request_id = headers::request_id(response.headers());
                let details = Details { request_id, ..Details::default() };
                return Err(match status {
                    StatusCode::NOT_FOUND | StatusCode::GONE => {
                        let (what, place) = ("the file".to_owned(), Place::Request(line));
                        Error::NotFound(Box::new(Missing { what, place, errors: Vec::new(), details }))
                    }
                    _ => {
                        let attempts = response.extensions().get().map_or(1, |Attempts(n)| *n);
                        let refused = Refused { request: line, status, errors: Vec::new(), attempts, details };
                        Error::Refused(Box::new(refused))
                    }
                });
            }
        }))
    }
}

/// How something is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// With `Range`.
    Part,
    /// Without: what comes before is dropped here.
    Whole,
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Take the body, without so many bytes at its front.
    Take { skip: u64, size: Option<u64> },
    /// Nothing is left: all of it is here.
    Nothing,
    /// Ask again, without `Range`.
    AskWhole,
    /// Refuse the answer: it breaks this rule.
    Broken(&'static str),
    /// Report the status.
    Refused,
}

fn judge(offset: u64, how: How, status: StatusCode, headers: &HeaderMap) -> Verdict {
    match (status, how) {
        // Ranges are a courtesy: where they are ignored, the front is dropped here.
        (StatusCode::OK, _) => {
            let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            Verdict::Take { skip: offset, size: length }
        }
        (StatusCode::PARTIAL_CONTENT, How::Whole) => Verdict::Broken("a partial answer to a request for the whole"),
        (StatusCode::PARTIAL_CONTENT, How::Part) => match headers::content_range(headers) {
            Some(range) if range.first <= offset && range.last >= offset => {
                Verdict::Take { skip: offset - range.first, size: range.size }
            }
            _ => Verdict::AskWhole,
        },
        (StatusCode::RANGE_NOT_SATISFIABLE, How::Part) => match headers::unsatisfied_range(headers) {
            Some(size) if size == offset => Verdict::Nothing,
            _ => Verdict::AskWhole,
        },
        _ => Verdict::Refused,
    }
}

/// A body that goes on with itself.
struct Resuming {
    source: Source,
    part: Part,
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
            let error = match state.part.body.chunk().await {
                Some(Ok(chunk)) => {
                    state.offset += chunk.len() as u64;
                    return Some((Ok(chunk), Some(state)));
                }
                Some(Err(error)) if error.is_transient() => error,
                Some(Err(error)) => return Some((Err(error), None)),
                None if state.part.size.is_none_or(|size| state.offset >= size) => return None,
                None => state.early(),
            };
            if let Err(error) = state.resume(error).await {
                return Some((Err(error), None));
            }
        }
    }

    /// Replaces the answer by one that begins where it ended.
    async fn resume(&mut self, error: Error) -> Result<(), Error> {
        if self.offset >= self.reached.saturating_add(PROGRESS) {
            self.reached = self.offset;
            self.budget.refill();
        }
        let Some(pause) = self.budget.retry(self.source.transport.policy()) else { return Err(error) };
        tracing::debug!(request = %self.part.line, offset = self.offset, %error, "resuming a download");
        sleep(pause).await;
        if self.offset > 0 {
            self.seams.mark();
        }
        self.part = self.source.get(self.offset, &mut self.budget).await?;
        Ok(())
    }

    /// Names a body that ended in good order and too early.
    fn early(&self) -> Error {
        Error::Unreachable(Box::new(Unreachable {
            request: self.part.line.clone(),
            kind: UnreachableKind::Broken,
            attempts: 1,
            elapsed: Duration::ZERO,
            cause: None,
        }))
    }
}

/// How many bytes are progress: a peer that gives a byte at a time does not get a new budget for each.
const PROGRESS: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_RANGE, HeaderName};

    use super::*;

    #[test]
    fn answers_are_judged_before_the_first_byte() {
        use How::{Part, Whole};
        use Verdict::{AskWhole, Nothing, Refused};
        let take = |skip, size| Verdict::Take { skip, size };
        let broken = Verdict::Broken("a partial answer to a request for the whole");
        let none: Option<(HeaderName, &str)> = None;
        let (length, range) = (|value| Some((CONTENT_LENGTH, value)), |value| Some((CONTENT_RANGE, value)));
        for (status, offset, how, field, expected) in [
            (200, 0, Whole, length("10"), take(0, Some(10))),
            (200, 0, Whole, none.clone(), take(0, None)),
            (200, 0, Whole, length("ten"), take(0, None)),
            (200, 4, Part, length("10"), take(4, Some(10))),
            (200, 4, Whole, none.clone(), take(4, None)),
            (206, 4, Part, range("bytes 4-9/10"), take(0, Some(10))),
            (206, 4, Part, range("bytes 4-6/10"), take(0, Some(10))),
            (206, 4, Part, range("bytes 0-9/10"), take(4, Some(10))),
            (206, 4, Part, range("bytes 4-9/*"), take(0, None)),
            (206, 4, Part, range("bytes 5-9/10"), AskWhole),
            (206, 4, Part, range("bytes 0-3/10"), AskWhole),
            (206, 4, Part, range("items 4-9/10"), AskWhole),
            (206, 4, Part, none.clone(), AskWhole),
            (206, 0, Whole, range("bytes 0-9/10"), broken),
            (416, 4, Part, range("bytes */4"), Nothing),
            (416, 4, Part, range("bytes */10"), AskWhole),
            (416, 4, Part, none.clone(), AskWhole),
            (416, 4, Whole, none.clone(), Refused),
            (204, 0, Whole, none.clone(), Refused),
            (304, 4, Part, none.clone(), Refused),
            (404, 0, Whole, none.clone(), Refused),
            (503, 4, Part, none, Refused),
        ] {
            let headers = field.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect();
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(judge(offset, how, status, &headers), expected, "{status} to {how:?} from {offset}: {field:?}");
        }
    }
}
