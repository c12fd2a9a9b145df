//! How a peer answers, well or badly.

use std::future::pending;

use bytes::Bytes;
use http::{HeaderName, Response, StatusCode};
use spinreg::content::Body;

use super::listen::{Connection, Hangup};

/// What stands for what in header values: `{origin}` for the origin of the server that answers, and further names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(pub(crate) Vec<(String, String)>);

impl Names {
    /// Knows the origin.
    pub(crate) fn of(origin: &str) -> Self {
        Self(vec![("{origin}".to_owned(), origin.to_owned())])
    }

    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
    length: Option<u64>,
    fault: Option<Fault>,
    pub(crate) unread: bool,
}

/// What goes wrong after which part of the answer.
#[derive(Clone, Debug)]
enum Fault {
    /// These bytes instead of an answer, then the end.
    Raw(Bytes),
    /// The answer up to these many bytes of its body (`None`: not even the head), then the end.
    Cut(Option<usize>, End),
    /// The whole body, under a false length.
    Lie,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// In good order, or so it seems to the peer's system.
    Close,
    /// By a reset.
    Reset,
    /// Not at all: nothing more ever comes.
    Stall,
}

impl Reply {
    /// Answers with a status and, for a start, no body.
    pub(crate) fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        Self { status, headers: Vec::new(), body: Bytes::new(), length: None, fault: None, unread: false }
    }

    /// Answers 200 with a body.
    pub(crate) fn ok(body: impl Into<Bytes>) -> Self {
        Self::status(200).body(body)
    }

    /// Answers with one entry of the registries' error body.
    pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
        Self::status(status).header("content-type", "application/json").body(body.to_string())
    }

    /// Sends the client elsewhere.
    pub(crate) fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::status(status).header("location", location)
    }

    /// Closes the connection without an answer.
    pub(crate) fn close() -> Self {
        Self { fault: Some(Fault::Cut(None, End::Close)), ..Self::status(200) }
    }

    /// Resets the connection without an answer.
    pub(crate) fn reset() -> Self {
        Self { fault: Some(Fault::Cut(None, End::Reset)), ..Self::status(200) }
    }

    /// Never answers.
    pub(crate) fn stall() -> Self {
        Self { fault: Some(Fault::Cut(None, End::Stall)), ..Self::status(200) }
    }

    /// Sends these bytes instead of a response, then closes.
    pub(crate) fn raw(bytes: impl Into<Bytes>) -> Self {
        Self { fault: Some(Fault::Raw(bytes.into())), ..Self::status(200) }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((HeaderName::from_static(name), value.into()));
        self
    }

    pub(crate) fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Announces a length that the body does not have.
    pub(crate) fn claiming(self, length: u64) -> Self {
        Self { length: Some(length), fault: Some(Fault::Lie), ..self }
    }

    /// Ends the connection after `n` bytes of the body.
    pub(crate) fn cut_after(self, n: usize, end: End) -> Self {
        assert!(n <= self.body.len(), "the body has {} bytes", self.body.len());
        Self { fault: Some(Fault::Cut(Some(n), end)), ..self }
    }

    /// Answers before (and without) reading the request's body.
    pub(crate) fn unread(self) -> Self {
        Self { unread: true, ..self }
    }

    /// Gives the answer to a request of `method`, through hyper or past it.
    pub(crate) async fn play(
        &self,
        method: &http::Method,
        names: &Names,
        connection: &Connection,
    ) -> Result<Response<Body>, Hangup> {
        let end = match &self.fault {
            None => return Ok(self.response(method, names)),
            Some(Fault::Raw(bytes)) => {
                connection.write(bytes).await;
                End::Close
            }
            Some(Fault::Cut(None, end)) => *end,
            Some(Fault::Cut(Some(n), end)) => {
                connection.write(&self.head(names)).await;
                connection.write(&self.body[..*n]).await;
                *end
            }
            Some(Fault::Lie) => {
                connection.write(&self.head(names)).await;
                connection.write(&self.body).await;
                End::Close
            }
        };
        match end {
            End::Close => {}
            End::Reset => connection.reset_at_the_end(),
            End::Stall => pending().await,
        }
        Err(Hangup)
    }

    fn response(&self, method: &http::Method, names: &Names) -> Response<Body> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name, names.fill(value));
        }
        let body = if method == http::Method::HEAD {
            if !self.body.is_empty() {
                response = response.header("content-length", self.body.len());
            }
            Body::empty()
        } else {
            Body::from_bytes(self.body.clone())
        };
        response.body(body).expect("a response")
    }

    /// Writes the head for the faults that go past hyper: HTTP/1.1 alone.
    fn head(&self, names: &Names) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {}\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {}\r\n", names.fill(value)));
        }
        let length = self.length.unwrap_or(self.body.len() as u64);
        head.push_str(&format!("content-length: {length}\r\n\r\n"));
        head.into_bytes()
    }
}
