//! The kit is held to its own promises, over bare sockets.
#![allow(unused_imports, reason = "a target without a harness has no tests")]

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::front::{Front, Meddle};
use super::guard::Guard;
use super::reply::{End, Reply};
use super::script::{Script, Scripted};

/// Sends a request, its head without the last lines, on a connection of its own; returns every byte of the answer.
pub(crate) async fn exchange(address: std::net::SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("{request}\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn complaint(script: Scripted) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| script.finish())).expect_err("a complaint");
    panic.downcast_ref::<String>().expect("a formatted message").clone()
}

#[tokio::test]
async fn a_script_is_played_and_recorded() {
    let script = Script::new()
        .on_each("GET /a", [Reply::status(503), Reply::ok("fine").header("location", "{origin}/b")])
        .with("accept", "*/*")
        .always("GET /often*", Reply::status(204))
        .start()
        .await;
    let first = exchange(script.address(), "GET /a HTTP/1.1\r\naccept: */*").await.expect("an answer");
    assert!(first.starts_with("HTTP/1.1 503 "), "{first}");
    let second = exchange(script.address(), "GET /a HTTP/1.1\r\naccept: */*").await.expect("an answer");
    assert!(second.contains(&format!("location: {}/b", script.origin())) && second.ends_with("fine"), "{second}");
    assert_eq!(script.requests(), ["GET /a", "GET /a"]);
    assert_eq!(script.connections(), 2);
    script.finish();
}

#[tokio::test]
async fn a_script_complains() {
    let script = Script::new().on("GET /a", Reply::ok("")).start().await;
    assert!(complaint(script).contains("`GET /a` was asked 0 of 1 times"));
    let script = Script::new().on("GET /a", Reply::ok("")).with("range", "bytes=5-").start().await;
    exchange(script.address(), "GET /a HTTP/1.1").await.expect("an answer");
    assert!(complaint(script).contains("`GET /a` came with `range: `, not `bytes=5-`"));
    let script = Script::new().on("PUT /a", Reply::ok("")).with_body("right").start().await;
    exchange(script.address(), "PUT /a HTTP/1.1\r\ncontent-length: 0").await.expect("an answer");
    assert!(complaint(script).contains("came with the body ``, not `right`"));
    let script = Script::new().start().await;
    exchange(script.address(), "GET /b?c HTTP/1.1").await.expect("an answer");
    assert!(complaint(script).contains("`GET /b?c` was not expected"));
}

#[tokio::test]
async fn connections_misbehave_as_told() {
    let script = Script::new()
        .on("GET /cut", Reply::ok("0123456789").cut_after(4, End::Close))
        .on("GET /lie", Reply::ok("0123456789").claiming(5))
        .on("GET /raw", Reply::raw("what?"))
        .on("GET /close", Reply::close())
        .on("GET /reset", Reply::reset())
        .start()
        .await;
    for (path, end) in [
        ("cut", "content-length: 10\r\n\r\n0123"),
        ("lie", "content-length: 5\r\n\r\n0123456789"),
        ("raw", "what?"),
        ("close", ""),
    ] {
        let answer = exchange(script.address(), &format!("GET /{path} HTTP/1.1")).await.expect("an answer");
        assert!(answer.ends_with(end) && answer.is_empty() == end.is_empty(), "{path}: {answer}");
    }
    let error = exchange(script.address(), "GET /reset HTTP/1.1").await.expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    script.finish();
}

#[tokio::test]
async fn a_front_guards_spoils_and_notes() {
    let script = Script::new().always("GET /v2/app/blobs/x", Reply::ok("0123456789")).start().await;
    let guard = Guard::basic("ada", "lovelace");
    let front = Front::before(script.address())
        .guarded(&guard)
        .meddle("GET /v2/app/blobs/*", [Meddle::Spoil, Meddle::Cut(3, End::Close), Meddle::Instead(Reply::status(503))])
        .start()
        .await;
    let address = front.registry().parse().expect("an address");
    let answer = exchange(address, "GET /v2/app/blobs/x HTTP/1.1").await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("www-authenticate: Basic realm="), "{answer}");
    // `ada:lovelace`.
    let request = "GET /v2/app/blobs/x HTTP/1.1\r\nauthorization: Basic YWRhOmxvdmVsYWNl";
    for end in ["\r\n\r\n1123456789", "\r\n\r\n012", "\r\n\r\n", "\r\n\r\n0123456789"] {
        let answer = exchange(address, request).await.expect("an answer");
        assert!(answer.ends_with(end), "{answer}");
    }
    let wire = ["401", "200", "200", "503", "200"].map(|status| format!("GET /v2/app/blobs/x {status}"));
    assert_eq!(front.wire().lines(), wire);
    assert_eq!(guard.challenged(), 1);
    script.finish();
}
