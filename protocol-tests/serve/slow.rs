//! Peers that take their time, and the end of the server, which does not wait for all of them.

use std::time::Duration;

use spinreg::model::Digest;
use spinreg::serve::{Registry, ServerOptions, Tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Served, temporary};
use crate::support::tls::Authority;

/// The last things a client hears after it has said this and nothing more.
async fn hear(served: &Served, said: &str) -> String {
    let mut connection = TcpStream::connect(served.address).await.expect("the server listens");
    connection.write_all(said.as_bytes()).await.expect("the server listens");
    let mut answer = String::new();
    let _ = connection.read_to_string(&mut answer).await;
    answer
}

async fn impatient(room: &tempfile::TempDir, tls: Option<Tls>) -> Served {
    let registry = Registry::open(room.path().join("data")).await.expect("a directory");
    let mut options = ServerOptions::default();
    (options.headers, options.idle, options.tls) = (Duration::from_millis(50), Duration::from_millis(50), tls);
    Served::at(registry, options).await
}

#[tokio::test]
async fn who_stops_half_way_is_not_waited_for() {
    let room = temporary();
    let served = impatient(&room, None).await;
    let put = format!("POST /v2/a/blobs/uploads/?digest={} HTTP/1.1\r\nhost: x\r\n", Digest::of(b"x"));
    for (said, heard) in [
        (String::new(), ""),
        ("PRI * HTTP/2.0\r\n\r\n".to_owned(), ""),
        ("GET /v2/ HTTP/1.1\r\nhost: x\r\n".to_owned(), ""),
        ("GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "HTTP/1.1 200 "),
        ("GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\nGET /v2/".to_owned(), "HTTP/1.1 200 "),
        (format!("{put}content-length: 9\r\n\r\nabc"), "HTTP/1.1 400 "),
        (format!("{put}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"), "HTTP/1.1 400 "),
        (format!("{put}transfer-encoding: chunked\r\n\r\n3\r\nab"), "HTTP/1.1 400 "),
    ] {
        let answer = hear(&served, &said).await;
        assert!(answer.starts_with(heard) && answer.is_empty() == heard.is_empty(), "{said}: {answer}");
        if heard.contains("400") {
            assert!(answer.contains("BLOB_UPLOAD_INVALID"), "{answer}");
        }
    }
    // The server is none the worse for it.
    assert!(
        hear(&served, "GET /v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.starts_with("HTTP/1.1 200 ")
    );
    assert!(!room.path().join("data/a/blobs/sha256").join(Digest::of(b"x").hex()).exists());
}

#[tokio::test]
async fn who_never_gets_to_a_handshake_is_not_waited_for() {
    let (authority, room) = (Authority::new(), temporary());
    let (certificate, key) = authority.server_files();
    let served = impatient(&room, Some(Tls::load(certificate, key).expect("a certificate"))).await;
    for said in ["", "\u{16}\u{3}\u{1}", "\u{0}\u{0}"] {
        let answer = hear(&served, said).await;
        assert!(!answer.starts_with("HTTP/"), "{said:?}: {answer}");
    }
    served.stop().await;
}

#[tokio::test]
async fn what_is_running_ends_well_and_nothing_else_is_begun() {
    let room = temporary();
    let registry = Registry::open(room.path()).await.expect("a directory");
    let served = Served::at(registry, ServerOptions::default()).await;
    let address = served.address;
    // One that waits for a request, one in the middle of one.
    let mut waiting = TcpStream::connect(address).await.expect("the server listens");
    waiting.write_all(b"GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("the server listens");
    let mut first = [0; 12];
    waiting.read_exact(&mut first).await.expect("an answer");
    let mut running = TcpStream::connect(address).await.expect("the server listens");
    let post = format!(
        "POST /v2/a/blobs/uploads/?digest={} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 6\r\n\r\n",
        Digest::of(b"abcdef")
    );
    running.write_all(post.as_bytes()).await.expect("the server listens");
    let mut go_on = [0; 25];
    running.read_exact(&mut go_on).await.expect("the handler asks for the body");
    assert!(go_on.starts_with(b"HTTP/1.1 100 "));

    let stopping = tokio::spawn(served.stop());
    let mut rest = String::new();
    waiting.read_to_string(&mut rest).await.expect("the end of a connection that waits");
    running.write_all(b"abcdef").await.expect("the request goes on");
    let mut answer = String::new();
    running.read_to_string(&mut answer).await.expect("an answer, and the end");
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    stopping.await.expect("the server ends");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn what_outlasts_the_grace_is_cut_off() {
    let room = temporary();
    let registry = Registry::open(room.path()).await.expect("a directory");
    let mut options = ServerOptions::default();
    options.grace = Duration::from_millis(50);
    let served = Served::at(registry, options).await;
    let mut running = TcpStream::connect(served.address).await.expect("the server listens");
    let post = "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: x\r\n\r\n";
    running.write_all(post.as_bytes()).await.expect("the server listens");
    let mut first = [0; 12];
    running.read_exact(&mut first).await.expect("an answer");
    let post = format!("POST /v2/a/blobs/uploads/?digest={} HTTP/1.1\r\nhost: x\r\n", Digest::of(b"x"));
    let post = format!("{post}expect: 100-continue\r\ncontent-length: 6\r\n\r\n");
    running.write_all(post.as_bytes()).await.expect("the server listens");
    served.stop().await;
    let mut rest = String::new();
    // A reset is an end as well.
    let _ = running.read_to_string(&mut rest).await;
    assert!(!rest.contains("HTTP/1.1 201"), "{rest}");
}
