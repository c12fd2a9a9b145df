//! Uploads, request by request, as the official suite makes them.

use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE};
use http::{Method, StatusCode};

use super::judge::{Fault, Presence, Verdict};
use super::wire::{Wire, blob_path, encoded};
use crate::conformance::answer::Answer;
use crate::conformance::probe::{Asking, with_digest};
use crate::conformance::record::Exchange;
use crate::model::{Digest, Name, excerpt};

/// One blob to be uploaded.
#[derive(Clone, Copy)]
pub(super) struct Upload<'a> {
    pub(super) name: &'a Name,
    pub(super) digest: &'a Digest,
    pub(super) bytes: &'a Bytes,
    /// Whether the bytes are those of the digest.
    pub(super) truth: Truth,
    /// Whether the closing answer has to name the digest.
    pub(super) presence: Presence,
}

/// Whether bytes are those of the digest they are pushed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// They are: the registry has to take them.
    Honest,
    /// They are not: it has to refuse.
    Lie,
}

/// How chunks are sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chunks {
    /// Whether one in the wrong place goes before each.
    pub(super) order: Order,
    /// Which request carries the last.
    pub(super) last: Last,
}

/// Whether a chunk in the wrong place goes before each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Right,
    WrongFirst,
}

/// Which request carries the last chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Last {
    #[default]
    Patch,
    Put,
}

type Tape = Vec<Exchange>;

/// Where a session is, as the newest `Location` said.
#[derive(Default)]
struct Session {
    place: Option<Result<String, String>>,
}

impl Session {
    /// Reads the `Location` of an answer; one without leaves the session where it was.
    fn note(&mut self, answer: &Answer) {
        if answer.location().is_some() {
            self.place = Some(answer.place());
        }
    }

    fn place(&self) -> Result<String, Fault> {
        match &self.place {
            None => Err(Fault::fail("no answer said with `location` where to go on")),
            Some(place) => place.clone().map_err(Fault::fail),
        }
    }
}

impl Upload<'_> {
    /// `POST` with the digest and all bytes. A session instead is closed with a `PUT`, and the way counts as not
    /// supported.
    pub(super) async fn post_only(self, wire: &mut Wire, tape: &mut Tape) -> Result<(), Fault> {
        let mut session = Session::default();
        let start = format!("{}?digest={}", self.start(), encoded(&self.digest.to_string()));
        let asking = self.carrying(wire.ask(Method::POST, &start));
        let answer = self.publish(wire, tape, asking).await?;
        match self.truth {
            Truth::Honest => Verdict::on(&answer).status(&[201, 202]).present("location").end()?,
            Truth::Lie => Verdict::on(&answer).status(&[400, 202]).end()?,
        }
        session.note(&answer);
        if answer.is(StatusCode::ACCEPTED) {
            let place = if session.place.is_some() { session.place()? } else { start };
            self.put_all(wire, tape, &place).await?;
            return Err(Fault::unsupported("the content of a `POST` is not taken; a `PUT` had to follow"));
        }
        self.finish(wire, tape, &answer, &session).await
    }

    /// `POST`, then `PUT` with all bytes.
    pub(super) async fn post_put(self, wire: &mut Wire, tape: &mut Tape) -> Result<(), Fault> {
        let (mut session, _) = self.open(wire, tape).await?;
        let answer = self.put_all(wire, tape, &session.place()?).await?;
        session.note(&answer);
        self.finish(wire, tape, &answer, &session).await
    }

    /// `POST`, then one `PATCH` that does not say how long it is, then `PUT`.
    pub(super) async fn stream(self, wire: &mut Wire, tape: &mut Tape) -> Result<(), Fault> {
        let (mut session, _) = self.open(wire, tape).await?;
        let asking = self.octets(wire.ask(Method::PATCH, &session.place()?)).body(self.bytes.clone()).chunked();
        let answer = wire.send(tape, asking).await?;
        Verdict::on(&answer).status(&[202]).end()?;
        session.note(&answer);
        let answer = self.put_nothing(wire, tape, &session.place()?).await?;
        if self.truth == Truth::Honest {
            Verdict::on(&answer).present("location").end()?;
        }
        session.note(&answer);
        self.finish(wire, tape, &answer, &session).await
    }

    /// `POST`, then chunks of at least 1024 bytes with their `Content-Range`, three where there are enough bytes, then
    /// `PUT`. `asked` is how long the registry wants a chunk to be at least, where it says so.
    pub(super) async fn chunked(
        self,
        wire: &mut Wire,
        tape: &mut Tape,
        chunks: Chunks,
        asked: &mut Option<usize>,
    ) -> Result<(), Fault> {
        let (mut session, opened) = self.open(wire, tape).await?;
        if let Some(text) = opened.header("oci-chunk-min-length") {
            let length: usize = text.parse().map_err(|_| Fault::fail("`oci-chunk-min-length` is no number"))?;
            *asked = Some(length.min(MOST));
        }
        let total = self.bytes.len();
        let size = (total / 3 + 1).max(asked.unwrap_or_default()).max(LEAST).min(total);
        let (mut sent, mut closing) = (0, None);
        while sent < total {
            if chunks.order == Order::WrongFirst {
                self.misplace(wire, tape, &mut session, (sent, size), chunks.last).await?;
            }
            let end = (sent + size).min(total);
            let place = session.place()?;
            let last = chunks.last == Last::Put && end == total;
            let answer = if last {
                let asking = self.chunk(wire.ask(Method::PUT, &self.closing(&place)), sent, end);
                let answer = self.publish(wire, tape, asking).await?;
                Verdict::on(&answer).status(self.closes_with()).end()?;
                answer
            } else {
                let answer = wire.send(tape, self.chunk(wire.ask(Method::PATCH, &place), sent, end)).await?;
                Verdict::on(&answer).status(&[202]).end()?;
                answer
            };
            session.note(&answer);
            closing = last.then_some(answer);
            sent = end;
        }
        let closing = match closing {
            Some(answer) => answer,
            None => self.put_nothing(wire, tape, &session.place()?).await?,
        };
        session.note(&closing);
        self.finish(wire, tape, &closing, &session).await
    }

    /// `POST` that asks for a blob of another repository, or of any. A session instead is used for an upload, and the
    /// mount counts as not supported.
    pub(super) async fn mount(self, wire: &mut Wire, tape: &mut Tape, from: Option<&Name>) -> Result<(), Fault> {
        let from = from.map(|name| format!("from={}&", encoded(name.as_str()))).unwrap_or_default();
        let start = format!("{}?{from}mount={}", self.start(), encoded(&self.digest.to_string()));
        let asking = wire.ask(Method::POST, &start);
        let answer = self.publish(wire, tape, asking).await?;
        Verdict::on(&answer).status(&[201, 202]).end()?;
        let mut session = Session::default();
        session.note(&answer);
        let place = session.place()?;
        // What a mount says of the digest has to be right, and need not be said.
        let mounted = Self { presence: Presence::Optional, ..self };
        if answer.is(StatusCode::CREATED) {
            return mounted.finish(wire, tape, &answer, &session).await;
        }
        let answer = self.put_all(wire, tape, &place).await?;
        session.note(&answer);
        mounted.finish(wire, tape, &answer, &session).await?;
        Err(Fault::unsupported("the mount opened a session; the blob had to be uploaded"))
    }

    /// `POST`, then `DELETE` of the session.
    pub(super) async fn cancel(self, wire: &mut Wire, tape: &mut Tape) -> Result<(), Fault> {
        let (session, _) = self.open(wire, tape).await?;
        let answer = wire.send(tape, wire.ask(Method::DELETE, &session.place()?).within(self.name)).await?;
        Verdict::on(&answer).status(&[204]).end()
    }

    /// Opens a session.
    async fn open(self, wire: &mut Wire, tape: &mut Tape) -> Result<(Session, Answer), Fault> {
        let answer = wire.send(tape, wire.ask(Method::POST, &self.start())).await?;
        Verdict::on(&answer).status(&[202]).end()?;
        let mut session = Session::default();
        session.note(&answer);
        session.place()?;
        Ok((session, answer))
    }

    /// Sends a chunk in a wrong place, which has to be refused, and asks the session where it is.
    async fn misplace(
        self,
        wire: &mut Wire,
        tape: &mut Tape,
        session: &mut Session,
        (sent, size): (usize, usize),
        last: Last,
    ) -> Result<(), Fault> {
        let total = self.bytes.len();
        let start = if sent + size >= total { 0 } else { sent + size };
        let end = (start + size).min(total);
        let mut place = session.place()?;
        let mut method = Method::PATCH;
        if last == Last::Put && end == total {
            (method, place) = (Method::PUT, self.closing(&place));
        }
        let asking = self.chunk(wire.ask(method, &place), start, end);
        let answer = self.publish(wire, tape, asking).await?;
        Verdict::on(&answer).status(&[416]).end()?;
        session.note(&answer);
        // At the place just used, even where that has the digest in it.
        let answer = wire.send(tape, wire.ask(Method::GET, &place).within(self.name)).await?;
        Verdict::on(&answer).status(&[204]).end()?;
        session.note(&answer);
        let range = answer.header("range").unwrap_or_default();
        match range.strip_prefix("0-").and_then(|last| last.parse::<i64>().ok()) {
            None => {
                let range = excerpt(range);
                Err(Fault::fail(format!("`range` of the session should begin with `0-` and is `{range}`")))
            }
            // An empty session has no last byte; `0-0` and `0--1` are both in use.
            Some(last) if sent > 0 && last != sent as i64 - 1 => {
                let range = excerpt(range);
                Err(Fault::fail(format!("`range` of the session should be `0-{}` and is `{range}`", sent - 1)))
            }
            Some(_) => Ok(()),
        }
    }

    /// Closes a session with all bytes.
    async fn put_all(self, wire: &mut Wire, tape: &mut Tape, place: &str) -> Result<Answer, Fault> {
        let asking = self.carrying(wire.ask(Method::PUT, &self.closing(place)));
        let answer = self.publish(wire, tape, asking).await?;
        Verdict::on(&answer).status(self.closes_with()).end()?;
        Ok(answer)
    }

    /// Closes a session that has all bytes.
    async fn put_nothing(self, wire: &mut Wire, tape: &mut Tape, place: &str) -> Result<Answer, Fault> {
        let asking = self.octets(wire.ask(Method::PUT, &self.closing(place)));
        let answer = self.publish(wire, tape, asking).await?;
        Verdict::on(&answer).status(self.closes_with()).end()?;
        Ok(answer)
    }

    /// Judges the closing answer, and fetches what its `Location` names.
    async fn finish(self, wire: &mut Wire, tape: &mut Tape, closing: &Answer, session: &Session) -> Result<(), Fault> {
        if self.truth == Truth::Lie {
            return Ok(());
        }
        Verdict::on(closing).digest(&self.digest.to_string(), self.presence).end()?;
        let asking = wire.ask(Method::GET, &session.place()?).within(self.name).at_most(room(self.bytes));
        let answer = wire.send(tape, asking).await?;
        let verdict = Verdict::on(&answer).status(&[200]).body(self.bytes).end();
        verdict.map_err(|fault| {
            // Without one of its own, it was the session that was asked, and what that says explains nothing.
            if let Err(missing) = Verdict::on(closing).present("location").end() {
                return missing;
            }
            let reasons = fault.reasons.iter().map(|reason| format!("at the `location` of the blob: {reason}"));
            Fault { reasons: reasons.collect(), ..fault }
        })
    }

    /// Sends a request after which the blob may be there.
    async fn publish(self, wire: &mut Wire, tape: &mut Tape, asking: Asking) -> Result<Answer, Fault> {
        wire.push(tape, vec![blob_path(self.name, self.digest)], asking).await
    }

    fn start(self) -> String {
        format!("/v2/{}/blobs/uploads/", self.name)
    }

    fn closing(self, place: &str) -> String {
        with_digest(place, &self.digest.to_string())
    }

    fn closes_with(self) -> &'static [u16] {
        match self.truth {
            Truth::Honest => &[201],
            Truth::Lie => &[400],
        }
    }

    fn octets(self, asking: Asking) -> Asking {
        asking.within(self.name).header(CONTENT_TYPE, "application/octet-stream")
    }

    /// Adds all bytes. An empty body goes out as the official tool sends it: in chunks, of which there are none.
    fn carrying(self, asking: Asking) -> Asking {
        let asking = self.octets(asking).body(self.bytes.clone());
        if self.bytes.is_empty() { asking.chunked() } else { asking }
    }

    fn chunk(self, asking: Asking, start: usize, end: usize) -> Asking {
        let range = format!("{start}-{}", end - 1);
        self.octets(asking).header(CONTENT_RANGE, &range).body(self.bytes.slice(start..end))
    }
}

/// Returns how much of an answer is read that should have these bytes: enough to find more, and for what an error says.
pub(super) fn room(bytes: &Bytes) -> usize {
    (bytes.len() + 1).max(64 << 10)
}

/// Bytes of a chunk at least, whatever the registry would take.
pub(super) const LEAST: usize = 1024;

/// Bytes of a chunk at most, whatever the registry asks for: blobs of three of them are held in memory.
const MOST: usize = 16 << 20;
