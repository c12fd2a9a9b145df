//! Trouble on the wire: what is tried again, how often, and what it is called when it stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use spinreg::Error;
use spinreg::content::Body;
use spinreg::error::UnreachableKind;
use spinreg::transport::{Attempts, FinalUri, Payload};

use crate::support::client::{PATIENCE, get, read, request, send, transport, unreachable, whole};
use crate::support::listen::{Connection, Handler, Hangup, Listener, RawPeer, closed_port};
use crate::support::reply::{End, Reply};
use crate::support::script::Script;

fn unavailable(times: usize) -> impl Iterator<Item = Reply> {
    std::iter::repeat_n(Reply::status(503), times)
}

fn put(uri: &http::Uri, payload: Payload) -> Request<Payload> {
    request(Method::PUT, uri).map(|_| payload)
}

#[tokio::test]
async fn hiccups_are_tried_again_on_one_budget() {
    let script = Script::new()
        .on_each("GET /a", unavailable(2).chain([Reply::ok("a")]))
        .on_each("GET /b", [Reply::status(429).header("retry-after", "0"), Reply::ok("b")])
        .on_each("GET /c", unavailable(2))
        .start()
        .await;
    let transport = transport(|_| {});
    let mut budget = transport.budget();
    assert_eq!(budget.left(), 4);
    for (path, status, attempts, left) in [("/a", 200, 3, 2), ("/b", 200, 2, 1), ("/c", 503, 2, 0)] {
        let response = transport.send(get(&script.uri(path)), &mut budget).await.expect("an answer");
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.extensions().get(), Some(&Attempts(attempts)), "{path}");
        assert_eq!(response.extensions().get(), Some(&FinalUri(script.uri(path))));
        assert_eq!(budget.left(), left, "{path}");
    }
    script.finish();
}

#[tokio::test]
async fn each_transient_status_is_tried_again_and_no_other() {
    let mut script = Script::new();
    for status in [408, 429, 500, 502, 503, 504] {
        script = script.on_each("GET /again", [Reply::status(status), Reply::ok("")]);
    }
    for status in [400, 401, 403, 404, 405, 416, 501] {
        script = script.on("GET /once", Reply::status(status));
    }
    let script = script.start().await;
    let transport = transport(|_| {});
    for _ in 0..6 {
        let response = send(&transport, get(&script.uri("/again"))).await.expect("an answer");
        assert_eq!((response.status(), response.extensions().get()), (StatusCode::OK, Some(&Attempts(2))));
    }
    for status in [400, 401, 403, 404, 405, 416, 501] {
        let response = send(&transport, get(&script.uri("/once"))).await.expect("an answer");
        assert_eq!((response.status().as_u16(), response.extensions().get()), (status, Some(&Attempts(1))));
    }
    script.finish();
}

#[tokio::test]
async fn a_server_that_wants_us_to_wait_for_long_is_believed() {
    let reply = Reply::refusal(429, "TOOMANYREQUESTS", "come back tomorrow").header("retry-after", "86400");
    let script = Script::new().on("GET /", reply).start().await;
    let response = send(&transport(|_| {}), get(&script.uri("/"))).await.expect("an answer");
    assert_eq!(response.status(), 429);
    assert!(whole(response).await.ends_with(br#""message":"come back tomorrow"}]}"#));
    script.finish();
}

#[tokio::test]
async fn bytes_are_sent_again_and_streams_are_not() {
    let script = Script::new()
        .on_each("PUT /bytes", [Reply::status(500), Reply::close(), Reply::reset(), Reply::status(201)])
        .with_body("manifest")
        .with("content-length", "8")
        .on("PUT /stream", Reply::status(500))
        .with_body("blob")
        .with("content-length", "4")
        .without("transfer-encoding")
        .on("PUT /broken", Reply::close())
        .start()
        .await;
    let transport = transport(|_| {});
    let payload = Payload::Bytes(Bytes::from_static(b"manifest"));
    let response = send(&transport, put(&script.uri("/bytes"), payload)).await.expect("an answer");
    assert_eq!((response.status(), response.extensions().get()), (StatusCode::CREATED, Some(&Attempts(4))));
    let opened = Arc::new(AtomicUsize::new(0));
    let payload = Payload::reopen(Some(4), {
        let opened = opened.clone();
        move || {
            opened.fetch_add(1, Ordering::SeqCst);
            async { Ok(Body::from_bytes("blob")) }
        }
    });
    let response = send(&transport, put(&script.uri("/stream"), payload.clone())).await.expect("an answer");
    assert_eq!(
        (response.status(), response.extensions().get()),
        (StatusCode::INTERNAL_SERVER_ERROR, Some(&Attempts(1)))
    );
    let failure = unreachable(send(&transport, put(&script.uri("/broken"), payload)).await, UnreachableKind::Broken);
    assert_eq!(failure.attempts, 1);
    assert_eq!(opened.load(Ordering::SeqCst), 2);
    script.finish();
}

#[tokio::test]
async fn a_payload_that_cannot_be_read_is_our_failure() {
    let script = Script::new().always("PUT /a", Reply::status(201)).start().await;
    let broken = || async {
        let gone = Error::io("read", "the/file", std::io::Error::other("gone"));
        Ok(Body::from_stream(futures_util::stream::iter([Err(gone)]), Some(4)))
    };
    let outcome = send(&transport(|_| {}), put(&script.uri("/a"), Payload::reopen(Some(4), broken))).await;
    assert!(matches!(&outcome, Err(Error::Io(failure)) if failure.path.ends_with("the/file")), "{outcome:?}");
    script.finish();
}

#[tokio::test]
async fn connections_that_break_are_made_again() {
    let replies = [Reply::close(), Reply::reset(), Reply::raw("what?\r\n\r\n"), Reply::ok("at last")];
    let script = Script::new().on_each("GET /", replies).start().await;
    let response = send(&transport(|_| {}), get(&script.uri("/"))).await.expect("an answer");
    assert_eq!(response.extensions().get(), Some(&Attempts(4)));
    assert_eq!(whole(response).await, "at last");
    assert_eq!(script.connections(), 4);
    script.finish();
}

#[tokio::test]
async fn nobody_listens() {
    let uri = format!("http://{}/v2/?sig=hidden", closed_port().await).parse().expect("a URI");
    let transport = transport(|options| options.policy.attempts = 3);
    let failure = unreachable(send(&transport, get(&uri)).await, UnreachableKind::Connect);
    assert_eq!(failure.attempts, 3);
    assert!(failure.request.to_string().starts_with("GET http://127.0.0.1:"), "{failure}");
    assert!(!failure.to_string().contains("hidden"), "{failure}");
    assert!(Error::from(Box::new(failure)).is_transient());
}

#[tokio::test]
async fn a_server_that_never_answers_times_out() {
    let script = Script::new().on_each("GET /", [Reply::stall(), Reply::stall()]).start().await;
    let transport = transport(|options| {
        options.policy.attempts = 2;
        options.policy.headers = PATIENCE;
    });
    let failure = unreachable(send(&transport, get(&script.uri("/"))).await, UnreachableKind::TimedOut);
    assert_eq!(failure.attempts, 2);
    script.finish();
}

#[tokio::test]
async fn bodies_that_end_early_say_how() {
    let body = Reply::ok("0123456789");
    let script = Script::new()
        .on("GET /cut", body.clone().cut_after(4, End::Close))
        .on("GET /reset", body.clone().cut_after(4, End::Reset))
        .on("GET /stall", body.clone().cut_after(4, End::Stall))
        .on("GET /nothing", body.clone().cut_after(0, End::Stall))
        .on("GET /chunked", Reply::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n0123\r\n"))
        .start()
        .await;
    let transport = transport(|options| options.policy.stall = PATIENCE);
    for (path, bytes, kind) in [
        ("/cut", Some("0123"), UnreachableKind::Broken),
        // A reset may overtake the bytes before it.
        ("/reset", None, UnreachableKind::Broken),
        ("/stall", Some("0123"), UnreachableKind::TimedOut),
        ("/nothing", Some(""), UnreachableKind::TimedOut),
        ("/chunked", Some("0123"), UnreachableKind::Broken),
    ] {
        let response = match send(&transport, get(&script.uri(path))).await {
            Ok(response) => response,
            Err(error) => panic!("{path}: {error:?}"),
        };
        let (came, end) = read(response.into_body()).await;
        assert!(bytes.is_none_or(|bytes| came == bytes), "{path}: {came:?}");
        let failure = unreachable(end, kind);
        assert!(failure.request.to_string().ends_with(path), "{failure}");
    }
    script.finish();
}

#[tokio::test]
async fn more_bytes_than_announced_are_never_taken_for_an_answer() {
    let smuggled = "01234HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    let script =
        Script::new().on("GET /a", Reply::ok(smuggled).claiming(5)).on("GET /b", Reply::ok("good")).start().await;
    let transport = transport(|_| {});
    for (path, expected) in [("/a", "01234"), ("/b", "good")] {
        assert_eq!(whole(send(&transport, get(&script.uri(path))).await.expect("an answer")).await, expected);
    }
    script.finish();
}

#[tokio::test]
async fn what_is_no_http_is_a_broken_connection() {
    for greeting in ["SSH-2.0-OpenSSH_9.9\r\n", "HTTP/1.1 abc\r\n\r\n", "\0\0\0\0\0\0\0\0"] {
        let peer = RawPeer::start(move |stream| async move {
            stream.writable().await.expect("a fresh connection");
            let _written = stream.try_write(greeting.as_bytes());
            // Closing with the request unread would be a reset, which may overtake the greeting.
            std::future::pending().await
        })
        .await;
        let transport = transport(|options| options.policy.attempts = 1);
        let uri = format!("http://{}/", peer.address()).parse().expect("a URI");
        unreachable(send(&transport, get(&uri)).await, UnreachableKind::Broken);
    }
}

#[tokio::test]
async fn every_request_says_who_asks_and_wants_the_bytes_themselves() {
    let script = Script::new()
        .on("GET /a", Reply::ok(""))
        .with("user-agent", concat!("spinreg/", env!("CARGO_PKG_VERSION")))
        .with("accept-encoding", "identity")
        .without("content-length")
        .without("authorization")
        .on("POST /uploads/", Reply::status(202))
        .with("content-length", "0")
        .start()
        .await;
    let transport = transport(|_| {});
    send(&transport, get(&script.uri("/a"))).await.expect("an answer");
    send(&transport, request(Method::POST, &script.uri("/uploads/"))).await.expect("an answer");
    script.finish();
}

#[tokio::test]
async fn no_more_is_asked_at_once_than_is_polite() {
    let crowd = Crowd::default();
    let server = Listener::plain(crowd.clone()).await;
    let transport = transport(|options| (options.policy.down, options.policy.small) = (2, 1));
    let requests = (0..12).map(async |n| {
        let method = if n % 3 == 0 { Method::HEAD } else { Method::GET };
        whole(send(&transport, request(method, &server.uri("/"))).await.expect("an answer")).await
    });
    futures_util::future::join_all(requests).await;
    assert_eq!(crowd.served.load(Ordering::SeqCst), 12);
    assert!(crowd.most.load(Ordering::SeqCst) <= 3, "{} at once", crowd.most.load(Ordering::SeqCst));
    assert!(server.connections() <= 12);
}

/// Counts how many requests it has in hand at once.
#[derive(Clone, Default)]
struct Crowd {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    served: Arc<AtomicUsize>,
}

impl Handler for Crowd {
    async fn handle(&self, _: Request<Incoming>, _: &Connection) -> Result<Response<Body>, Hangup> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
        self.served.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(Body::empty()))
    }
}
