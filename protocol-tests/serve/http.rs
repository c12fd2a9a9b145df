//! A minimal client: one request, one connection.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use spinreg::Error;
use spinreg::content::Body;
use spinreg::model::ErrorBody;
use tokio::net::TcpStream;

use super::Served;

/// An answer, whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("visible ASCII"))
    }

    /// Returns the status and the code of the error body, as in `404 BLOB_UNKNOWN`.
    pub(super) fn refusal(&self) -> String {
        assert_eq!(self.header("content-type"), "application/json");
        let body = ErrorBody::parse(&self.body);
        let codes: Vec<_> = body.errors.iter().map(|entry| entry.code.as_str()).collect();
        format!("{} {}", self.status, codes.join(" "))
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

impl Served {
    pub(super) async fn ask(&self, method: &str, path: &str) -> Answer {
        self.send(method, path, &[], Body::empty()).await
    }

    pub(super) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        send(self.address, method, path, headers, body).await.expect("an answer")
    }

    pub(super) async fn send_http2(&self, method: &str, path: &str, body: Body) -> Answer {
        let stream = TcpStream::connect(self.address).await.expect("the server listens");
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.expect("a connection");
        tokio::spawn(connection);
        let uri = format!("http://{}{path}", self.address);
        let method: Method = method.parse().expect("a method");
        let request = Request::builder().method(method).uri(uri).body(body).expect("a request");
        collect(sender.send_request(request).await.expect("an answer")).await.expect("a whole answer")
    }
}

/// Asks a server that may be gone before it has answered.
pub(super) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Body,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = collect(sender.send_request(request.body(body)?).await?).await?;
    drop(sender);
    // A refused request may leave a part of its body unsent, which is no fault.
    let _ = connection.await;
    Ok(answer)
}

/// A body of unknown length: it goes out with `Transfer-Encoding: chunked`.
pub(super) fn stream(pieces: &[&[u8]]) -> Body {
    let pieces: Vec<_> = pieces.iter().map(|piece| Ok::<_, Error>(Bytes::copy_from_slice(piece))).collect();
    Body::from_stream(futures_util::stream::iter(pieces), None)
}

async fn collect(response: http::Response<hyper::body::Incoming>) -> Result<Answer, Error> {
    let (parts, body) = response.into_parts();
    let mut body = Body::wrap(body, |error| Error::io("read", "the answer", std::io::Error::other(error)));
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.chunk().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: bytes.freeze() })
}
