//! The upload of a blob as a pure plan: answers in, the next request out (distribution-spec 1.1, "Push").
//!
//! ```text
//! Mount ──201──────────────────────────────┐
//!   │202 (the session), or no              │
//! Begin ──202──► Put ──201──► (Confirm) ──►Done
//!   ▲             │413, 416                ▲
//!   │restart      ▼                        │
//! Cancel ◄──── Patch … ──► Close ──────────┘
//!                 ▲│416, lost, in doubt
//!                 └┴─ Ask
//! ```
//!
//! A blob whose digest nobody knows yet begins without looking for it, and goes up by `PATCH`; it is named before the
//! session is closed. It has one session: what comes to nothing is left to the plan of a blob with a digest.
//!
//! Nothing that a registry says about its progress is believed blindly: `Range` is compared with what was sent, the
//! session is asked where they disagree, and what is stored in the end is proved by its digest or its size. All loops
//! are bounded: by [`MAX_RESTARTS`], by [`MAX_CORRECTIONS`], and by the runner's budget where a wait is asked for.

mod exchange;

use http::{StatusCode, Uri};

pub(super) use self::exchange::{Mount, Next, Verdict};
use super::asking::SelfMounts;
use super::upload_answer::{Answer, closing};
use crate::content::Pushed;
use crate::model::{self, Algorithm, Digest};

/// The state of one upload.
#[derive(Debug)]
pub(super) struct Plan {
    /// Without a meaning while the name is pending.
    digest: Digest,
    name: Name,
    size: u64,
    /// How many bytes go into one `PATCH`; absent as long as the blob goes in one piece.
    chunk: Option<u64>,
    /// The smallest chunk that the registry takes.
    least: u64,
    /// Whether chunks are nobody's wish but the caller's.
    wished: bool,
    /// Whether the registry takes blobs in the closing `PUT`.
    whole: bool,
    state: State,
    session: Option<Session>,
    restarts: u32,
    corrections: u32,
    /// What the registry has shown of its ways.
    learnt: Option<SelfMounts>,
}

/// Where the digest of the blob comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    /// It was there before the first request.
    Given,
    /// It is to be found out.
    Pending,
    /// It was found out.
    Found,
}

/// An upload session that is open.
#[derive(Debug)]
struct Session {
    uri: Uri,
    /// How many bytes the registry has, as far as we know.
    offset: u64,
    /// How many requests with bytes were sent into it.
    parts: u32,
    /// Whether one answer has acknowledged all bytes of one request.
    at_once: bool,
    /// Whether the `Range` after a chunk has not yet turned out to be nonsense.
    patch_range: bool,
    /// Whether the `Range` of its status has not.
    status_range: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Mount(Mount),
    Begin,
    /// The whole blob closes the session.
    Put,
    /// The next chunk.
    Patch,
    /// Nothing but the digest closes the session.
    Close,
    /// The session is asked what it has, after bytes up to `sent` were sent.
    Ask {
        why: Why,
        sent: u64,
    },
    /// The repository is asked whether it has the blob.
    Confirm(Otherwise, Pushed),
    Cancel(Uri),
    Done(Pushed),
}

/// Why a session is asked what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// The answer was lost, or says that the registry is not well.
    Lost,
    /// The registry wants other bytes than it got.
    Conflict,
    /// It has taken the bytes and says that it has not.
    Doubt,
}

/// What to do where the blob turns out not to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Otherwise {
    /// The registry said that it is.
    Accuse,
    Begin,
    Close,
    Restart,
}

impl Plan {
    /// Plans to send a blob; with `chunk`, in pieces of so many bytes.
    pub(super) fn new(digest: Digest, size: u64, mount: Mount, chunk: Option<u64>) -> Self {
        let state = if mount == Mount::No { State::Begin } else { State::Mount(mount) };
        let chunk = chunk.map(|chunk| chunk.max(MIN_CHUNK));
        let wished = chunk.is_some();
        Self {
            digest,
            name: Name::Given,
            size,
            chunk,
            least: 0,
            wished,
            whole: true,
            state,
            session: None,
            restarts: 0,
            corrections: 0,
            learnt: None,
        }
    }

    /// Plans to send a blob whose SHA-256 is found out on the way; with `chunk`, in pieces of so many bytes.
    pub(super) fn unnamed(size: u64, chunk: Option<u64>) -> Self {
        let plan = Self::new(Digest::of(b""), size, Mount::No, chunk);
        Self { name: Name::Pending, whole: false, restarts: MAX_RESTARTS, ..plan }
    }

    /// Says whether [`Plan::next`] has to wait for [`Plan::name`]: all bytes were sent, and there is no digest.
    pub(super) fn wants_name(&self) -> bool {
        self.name == Name::Pending && matches!(self.state, State::Close | State::Confirm(..))
    }

    /// Says whether a session was ever opened.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.state, State::Mount(_) | State::Begin)
    }

    /// Takes the digest that the bytes turned out to have.
    pub(super) fn name(&mut self, digest: Digest) {
        (self.digest, self.name) = (digest, Name::Found);
    }

    /// Returns the digest, as far as it is known.
    pub(super) fn digest(&self) -> Option<Digest> {
        Some(self.digest).filter(|_| self.name != Name::Pending)
    }

    /// Returns the next request.
    pub(super) fn next(&self) -> Next {
        let session = || self.session.as_ref().expect("a session is open in every state that needs one");
        match &self.state {
            State::Patch if self.name == Name::Pending && self.chunk.is_none() && self.offset() == 0 => {
                Next::Stream { uri: session().uri.clone(), bytes: 0..self.size }
            }
            State::Mount(Mount::From(name)) => Next::Post { query: self.mounting(name), from: Some(name.clone()) },
            // No right is needed beside that to push.
            State::Mount(Mount::Here(name)) => Next::Post { query: self.mounting(name), from: None },
            State::Mount(_) => {
                Next::Post { query: format!("?mount={}{}", self.digest, self.algorithm('&')), from: None }
            }
            State::Begin => Next::Post { query: self.algorithm('?'), from: None },
            State::Put => Next::Put { uri: closing(&session().uri, &self.digest), bytes: 0..self.size },
            State::Patch => Next::Patch { uri: session().uri.clone(), bytes: session().offset..self.patch_end() },
            State::Close => Next::Put { uri: closing(&session().uri, &self.digest), bytes: self.size..self.size },
            State::Ask { .. } => Next::Status { uri: session().uri.clone() },
            State::Confirm(..) => Next::Head,
            State::Cancel(uri) => Next::Cancel { uri: uri.clone() },
            State::Done(how) => Next::Done(*how),
        }
    }

    /// Returns the session that would be left behind if the plan ended now.
    pub(super) fn session(&self) -> Option<&Uri> {
        match &self.state {
            State::Cancel(uri) => Some(uri),
            _ => self.session.as_ref().map(|session| &session.uri),
        }
    }

    /// Takes note that the session was given up.
    pub(super) fn forget(&mut self) {
        self.session = None;
        self.state = State::Begin;
    }

    /// Takes what the registry has shown of its ways since this was asked last.
    pub(super) fn learnt(&mut self) -> Option<SelfMounts> {
        self.learnt.take()
    }

    /// Returns how many bytes the registry has, as far as we know.
    pub(super) fn offset(&self) -> u64 {
        self.session.as_ref().map_or(0, |session| session.offset)
    }

    /// Takes the answer to [`Plan::next`].
    pub(super) fn answered(&mut self, answer: &Answer) -> Verdict {
        match self.state.clone() {
            State::Mount(mount) => self.mounted(answer, &mount),
            State::Begin => self.begun(answer),
            State::Put => self.put(answer),
            State::Patch => self.patched(answer),
            State::Close => self.closed(answer),
            State::Ask { why, sent } => self.told(answer, why, sent),
            State::Confirm(otherwise, how) => self.confirmed(answer, otherwise, how),
            State::Cancel(_) => self.go(State::Begin),
            State::Done(_) => Verdict::Go,
        }
    }

    /// Takes note that the answer to [`Plan::next`] was lost, for a reason that may pass. [`Verdict::Refused`]: the
    /// plan knows no way on.
    pub(super) fn lost(&mut self) -> Verdict {
        match self.state {
            State::Put | State::Patch => self.ask_after_loss(),
            State::Cancel(_) => self.go(State::Begin),
            _ => Verdict::Refused,
        }
    }

    /// Takes note that we have no right to [`Plan::next`]. [`Verdict::Refused`]: the plan needs it.
    pub(super) fn denied(&mut self) -> Verdict {
        match self.state {
            // A mount needs rights to another repository; sending the blob does not.
            State::Mount(Mount::From(_) | Mount::Anywhere) | State::Cancel(_) => self.go(State::Begin),
            _ => Verdict::Refused,
        }
    }

    fn mounted(&mut self, answer: &Answer, mount: &Mount) -> Verdict {
        let is_here = matches!(mount, Mount::Here(_));
        if is_here {
            self.learnt = SelfMounts::shown_by(answer.status, answer.names_blob(&self.digest));
        }
        let how = if is_here { Pushed::Existed } else { Pushed::Mounted };
        match answer.status {
            // The place of the blob is what the specification wants there; olareg names no digest.
            StatusCode::CREATED if answer.digest.is_none() && answer.names_blob(&self.digest) => {
                self.go(State::Done(how))
            }
            StatusCode::CREATED => self.stored(answer, Otherwise::Begin, how),
            StatusCode::ACCEPTED if matches!(answer.location, Some(Ok(_))) => self.open(answer),
            // Whatever it is that the registry does not like: the blob can be sent.
            _ => self.go(State::Begin),
        }
    }

    fn begun(&mut self, answer: &Answer) -> Verdict {
        // 202 is the rule; the others are what some say instead.
        if is_taken(answer.status) { self.open(answer) } else { Verdict::Refused }
    }

    fn open(&mut self, answer: &Answer) -> Verdict {
        let uri = match &answer.location {
            Some(Ok(uri)) => uri.clone(),
            Some(Err(unusable)) => return Verdict::Misplaced(unusable.clone()),
            None => return Verdict::Broken("the upload session has no `Location`"),
        };
        self.session =
            Some(Session { uri, offset: 0, parts: 0, at_once: false, patch_range: true, status_range: true });
        self.least = answer.least.unwrap_or(0);
        if answer.least.is_some_and(|least| least < self.size) {
            // Who names a smallest chunk wants chunks.
            self.chunk.get_or_insert(DEFAULT_CHUNK);
        }
        let most = answer.most.map_or(u64::MAX, |most| most.max(MIN_CHUNK));
        if most < self.size {
            self.chunk.get_or_insert(most);
        }
        self.wished &= self.least == 0 && most >= self.size;
        self.chunk = self.chunk.map(|chunk| chunk.min(most).max(self.least));
        self.send()
    }

    fn put(&mut self, answer: &Answer) -> Verdict {
        match answer.status {
            status if is_taken(status) => self.stored(answer, Otherwise::Accuse, Pushed::Uploaded),
            // Too large for one request: what else a 416 could mean here, nobody knows.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::RANGE_NOT_SATISFIABLE if self.shrink() => self.restart(),
            // Artifactory is said to have wanted chunks (<https://github.com/containerd/containerd/issues/3533>).
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED if self.size > 0 => {
                self.whole = false;
                self.restart()
            }
            status if is_passing(status) => self.ask_after_loss(),
            _ => self.end_or_restart(answer.status),
        }
    }

    fn patched(&mut self, answer: &Answer) -> Verdict {
        let end = self.patch_end();
        match answer.status {
            status if is_taken(status) => self.took_until(end, answer),
            StatusCode::RANGE_NOT_SATISFIABLE => {
                self.keep_location(answer);
                self.go(State::Ask { why: Why::Conflict, sent: end })
            }
            StatusCode::PAYLOAD_TOO_LARGE if self.shrink() => self.go(State::Patch),
            StatusCode::PAYLOAD_TOO_LARGE => Verdict::Refused,
            status if is_passing(status) => self.ask_after_loss(),
            // This was the rest of a blob that was to go whole: begin again without `PATCH`.
            _ if self.chunk.is_none() && self.whole => self.restart(),
            // Google's registries have no chunks (<https://github.com/dotnet/sdk-container-builds/pull/287>).
            status if is_unsupported(status) && self.wished && self.whole && self.is_fresh() => {
                (self.wished, self.chunk) = (false, None);
                self.restart()
            }
            _ => self.end_or_restart(answer.status),
        }
    }

    /// The chunk up to `end` was taken; what does the registry say that it has now?
    fn took_until(&mut self, end: u64, answer: &Answer) -> Verdict {
        self.keep_location(answer);
        let Some(session) = &mut self.session else { return Verdict::Refused };
        session.parts += 1;
        session.at_once = session.offset == 0 && end == self.size;
        let agrees = match answer.range {
            None => true,
            // Zot and Aliyun have told the range of the chunk (<https://github.com/regclient/regclient/pull/961>).
            Some(span) => span.end == end && (span.first == 0 || span.first == session.offset),
        };
        if end == self.size && answer.status == StatusCode::CREATED {
            // ECR says 201 to every chunk, and on some registries the last one closes the session.
            session.offset = end;
            return self.go(State::Confirm(Otherwise::Close, Pushed::Uploaded));
        }
        if !agrees && session.patch_range {
            return self.go(State::Ask { why: Why::Doubt, sent: end });
        }
        session.offset = end;
        self.send()
    }

    fn closed(&mut self, answer: &Answer) -> Verdict {
        match answer.status {
            status if is_taken(status) => self.stored(answer, Otherwise::Accuse, Pushed::Uploaded),
            StatusCode::RANGE_NOT_SATISFIABLE => {
                self.keep_location(answer);
                self.go(State::Ask { why: Why::Conflict, sent: self.size })
            }
            // The session has ended: perhaps because an answer was lost, and this is the second closing.
            StatusCode::NOT_FOUND | StatusCode::GONE => self.confirm_or_restart(),
            status => self.end_or_restart(status),
        }
    }

    fn told(&mut self, answer: &Answer, why: Why, sent: u64) -> Verdict {
        if !answer.status.is_success() {
            return match answer.status {
                // Perhaps because it was closed, and the answer to that was lost.
                StatusCode::NOT_FOUND | StatusCode::GONE if sent == self.size => self.confirm_or_restart(),
                status if is_passing(status) => Verdict::Refused,
                StatusCode::NOT_FOUND | StatusCode::GONE => self.end_or_restart(answer.status),
                _ => self.restart(),
            };
        }
        self.keep_location(answer);
        let Some(session) = &mut self.session else { return Verdict::Refused };
        let offset = session.offset;
        let has = match answer.range {
            // Nothing, or one byte: nothing is the safe guess.
            Some(span) if (span.first, span.end) == (0, 1) && offset != 1 => Some(0),
            Some(span) if span.first == 0 || span.first == offset => Some(span.end),
            _ => None,
        };
        match (why, has) {
            (Why::Doubt, Some(has)) if has == sent => {
                session.patch_range = false;
                session.offset = sent;
            }
            // It may be the truth: unless it is the length of the chunk, or what it said before that.
            (Why::Doubt, Some(has)) if has > offset && has < sent && has != sent - offset => {
                session.offset = has;
                self.corrections += 1;
            }
            (Why::Doubt, _) => {
                // ECR's range stays that of the first chunk (<https://github.com/aws/containers-roadmap/issues/2831>).
                (session.patch_range, session.status_range) = (false, false);
                session.offset = sent;
            }
            (Why::Lost | Why::Conflict, Some(has)) if has <= sent && session.status_range => {
                session.offset = has;
                self.corrections += u32::from(why == Why::Conflict || has < offset);
                // It has what we thought, and does not want more: then more is too much. GHCR says 416 for that
                // (<https://github.com/oras-project/rust-oci-client/issues/35>).
                if why == Why::Conflict && has == offset && sent > offset && !self.shrink() {
                    return Verdict::Refused;
                }
            }
            _ => return self.restart(),
        }
        if self.corrections > MAX_CORRECTIONS { self.restart() } else { self.send() }
    }

    /// The registry says that it has stored the blob: is that proved?
    fn stored(&mut self, answer: &Answer, otherwise: Otherwise, how: Pushed) -> Verdict {
        let in_parts = self.session.take().is_some_and(|session| session.parts > 0 && !session.at_once);
        match answer.digest {
            Some(stored) if stored != self.digest => Verdict::Broken(OTHER_DIGEST),
            // Artifactory has kept the last chunk only and said that all was well
            // (<https://github.com/wasmCloud/wasmCloud/issues/3405>).
            Some(_) if !in_parts && answer.status != StatusCode::ACCEPTED => self.go(State::Done(how)),
            _ => self.go(State::Confirm(otherwise, how)),
        }
    }

    fn confirmed(&mut self, answer: &Answer, otherwise: Otherwise, how: Pushed) -> Verdict {
        match answer.status {
            status if status.is_success() => {
                self.session = None;
                if answer.digest.is_some_and(|stored| stored != self.digest) {
                    return Verdict::Broken(OTHER_DIGEST);
                }
                match answer.length {
                    Some(length) if length != self.size => Verdict::Broken(OTHER_SIZE),
                    _ => self.go(State::Done(how)),
                }
            }
            StatusCode::NOT_FOUND => match otherwise {
                Otherwise::Accuse => Verdict::Broken("the registry has taken the blob and does not have it"),
                Otherwise::Begin => {
                    // Some say 201 to whatever opens a session.
                    self.learnt = Some(SelfMounts::Ignored);
                    self.go(State::Begin)
                }
                Otherwise::Close => self.go(State::Close),
                Otherwise::Restart => self.restart(),
            },
            // Who may only push is not told.
            StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => match otherwise {
                Otherwise::Accuse | Otherwise::Begin => self.go(State::Done(how)),
                Otherwise::Close => self.go(State::Close),
                Otherwise::Restart => self.restart(),
            },
            _ => Verdict::Refused,
        }
    }

    fn ask_after_loss(&mut self) -> Verdict {
        let sent = if self.state == State::Put { self.size } else { self.patch_end() };
        let Some(session) = &mut self.session else { return Verdict::Refused };
        session.parts += 1;
        self.state = State::Ask { why: Why::Lost, sent };
        Verdict::Wait
    }

    /// Ends with a refusal, unless it is likely to be about what went before in this session.
    fn end_or_restart(&mut self, status: StatusCode) -> Verdict {
        let parts = self.session.as_ref().map_or(0, |session| session.parts);
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                // There is no such session (any more), and nothing to cancel.
                self.session = None;
                self.restart()
            }
            // distribution says 400 where others say 416, and to bytes that it has appended in the wrong place.
            StatusCode::BAD_REQUEST if parts > 0 => self.restart(),
            _ => Verdict::Refused,
        }
    }

    fn confirm_or_restart(&mut self) -> Verdict {
        self.session = None;
        self.go(State::Confirm(Otherwise::Restart, Pushed::Uploaded))
    }

    /// Begins again with a new session.
    fn restart(&mut self) -> Verdict {
        if self.restarts >= MAX_RESTARTS {
            return Verdict::Refused;
        }
        self.restarts += 1;
        let old = self.session.take();
        self.go(old.map_or(State::Begin, |session| State::Cancel(session.uri)))
    }

    /// Makes the chunks smaller, or says that they cannot be. Who has to know the digest first gets the blob in one piece, and
    /// others would get many.
    fn shrink(&mut self) -> bool {
        if self.name != Name::Given {
            return false;
        }
        let now = self.chunk.unwrap_or(self.size).min(self.size);
        let smaller = if now > DEFAULT_CHUNK { DEFAULT_CHUNK } else { now / 4 };
        let enough = smaller >= MIN_CHUNK && smaller >= self.least;
        if enough {
            (self.wished, self.chunk) = (false, Some(smaller));
        }
        enough
    }

    /// Says whether nothing was sent into the session yet.
    fn is_fresh(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.parts == 0)
    }

    /// Goes on to send what is not there yet.
    fn send(&mut self) -> Verdict {
        let offset = self.offset();
        let whole = self.whole && offset == 0 && self.chunk.is_none_or(|chunk| self.size <= chunk);
        self.go(match offset {
            _ if whole => State::Put,
            offset if offset < self.size => State::Patch,
            _ => State::Close,
        })
    }

    fn go(&mut self, state: State) -> Verdict {
        self.state = state;
        Verdict::Go
    }

    /// Takes over where the session goes on; where the answer does not say, it goes on where it was.
    fn keep_location(&mut self, answer: &Answer) {
        if let (Some(session), Some(Ok(uri))) = (&mut self.session, &answer.location) {
            session.uri = uri.clone();
        }
    }

    fn patch_end(&self) -> u64 {
        let offset = self.offset();
        self.chunk.map_or(self.size, |chunk| offset.saturating_add(chunk).min(self.size))
    }

    /// Asks for the blob to be taken over from a repository.
    fn mounting(&self, from: &model::Name) -> String {
        format!("?mount={}&from={from}{}", self.digest, self.algorithm('&'))
    }

    /// Names the algorithm where it is not the usual one: the registry may hash on the way (end-4c).
    fn algorithm(&self, separator: char) -> String {
        match self.digest.algorithm() {
            Algorithm::Sha256 => String::new(),
            other => format!("{separator}digest-algorithm={other}"),
        }
    }
}

/// Says whether bytes were taken: 201 or 202 is the rule, 204 is GCR's word for it.
fn is_taken(status: StatusCode) -> bool {
    matches!(status, StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED | StatusCode::NO_CONTENT)
}

/// Says whether the same request may go through later.
fn is_passing(status: StatusCode) -> bool {
    let asked = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    asked || status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
}

/// Says whether a registry means by it that it does not know what is asked for.
fn is_unsupported(status: StatusCode) -> bool {
    let unknown = [StatusCode::BAD_REQUEST, StatusCode::METHOD_NOT_ALLOWED, StatusCode::UNSUPPORTED_MEDIA_TYPE];
    unknown.contains(&status) || status == StatusCode::NOT_IMPLEMENTED
}

const OTHER_DIGEST: &str = "the registry stored the blob under another digest than it has";
const OTHER_SIZE: &str = "the registry stored another number of bytes than the blob has";

/// How many bytes a chunk has where nobody wants another size: large, because every chunk costs a round trip, and well
/// below the 100 MB that Cloudflare lets pass.
const DEFAULT_CHUNK: u64 = 16 << 20;
/// The smallest chunk that is worth a request, in bytes. Who takes less takes no blobs.
const MIN_CHUNK: u64 = 64 << 10;
/// How often a session is given up for a new one: as often as a request is tried again.
const MAX_RESTARTS: u32 = 4;
/// How often a registry may want other bytes than the next ones before its session is given up.
const MAX_CORRECTIONS: u32 = 8;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
