//! Requests that no client of good will sends.

use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Served, temporary};

/// Sends bytes as they are and returns what comes back until the server closes.
pub(super) async fn raw(served: &Served, bytes: &[u8]) -> String {
    let mut connection = TcpStream::connect(served.address).await.expect("the server listens");
    // A server that has had enough may close while we write.
    let _ = connection.write_all(bytes).await;
    let _ = connection.shutdown().await;
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

pub(super) fn statuses(answers: &str) -> Vec<&str> {
    answers.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 ")).map(|line| &line[..3]).collect()
}

pub(super) fn tree(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            found.push(path.strip_prefix(root).expect("below the root").display().to_string());
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    found
}

#[tokio::test]
async fn paths_stay_inside() {
    let outside = temporary();
    std::fs::write(outside.path().join("secret"), "secret").expect("a file");
    let root = outside.path().join("registry");
    std::fs::create_dir(&root).expect("a directory");
    let served = Served::over(&root).await;
    let zeros = "0".repeat(64);
    for (method, path) in [
        ("GET", "/v2/../secret"),
        ("GET", "/v2/a/blobs/../../../secret"),
        ("GET", "/v2/a/blobs/sha256:../../../../secret"),
        ("GET", "/v2/a/blobs/sha256%3A..%2F..%2F..%2Fsecret"),
        ("GET", "/v2/a/manifests/..%2f..%2fsecret"),
        ("PUT", "/v2/../manifests/v1"),
        ("PUT", "/v2/%2e%2e/manifests/v1"),
        ("PUT", "/v2/..%2f..%2fx/manifests/v1"),
        ("PUT", "/v2/a%5c..%5cx/manifests/v1"),
        ("PUT", "/v2/a%00b/manifests/v1"),
        ("PUT", "/v2/%2fetc/manifests/v1"),
        ("PUT", "/v2/a/manifests/..%2fv1"),
        ("POST", "/v2/../blobs/uploads/"),
        ("POST", "/v2/.spinreg/blobs/uploads/"),
        ("POST", "/v2/_blobs/blobs/uploads/"),
        ("POST", "/v2//blobs/uploads/"),
        ("POST", &*format!("/v2/a/blobs/uploads/?mount=sha256:{zeros}&from=../..")),
        ("PATCH", "/v2/a/blobs/uploads/../../x"),
        ("PATCH", "/v2/a/blobs/uploads/..%2f..%2fx"),
        ("DELETE", "/v2/a/manifests/%2e%2e"),
        ("PUT", "/v2/a/%2e%2e/b/manifests/v1"),
        ("PUT", "/v2/a/./manifests/v1"),
        ("PUT", "/v2/a//b/manifests/v1"),
        ("PUT", "//v2/a/manifests/v1"),
        ("PUT", "/v2//manifests/v1"),
        ("PUT", "/v2/a/manifests/v1%00"),
        ("PUT", "/v2/a/manifests/v1%0a"),
        ("PUT", "/v2/a/manifests/%ff"),
        ("PUT", "/v2/a%252f..%252fb/manifests/v1"),
        ("PUT", &*format!("/v2/{}/manifests/v1", "a".repeat(256))),
        ("PUT", &*format!("/v2/a/manifests/{}", "a".repeat(129))),
        ("GET", &*format!("/v2/a/blobs/sha256:{}", "0".repeat(65))),
        ("GET", &*format!("/v2/a/blobs/sha256:{}%2e%2e", "0".repeat(62))),
        ("GET", &*format!("/v2/a/referrers/sha256:{}/../../../secret", "0".repeat(64))),
        ("GET", "http://elsewhere.example/v2/../secret"),
        ("PUT", "http://elsewhere.example/v2/../../x/manifests/v1"),
        ("OPTIONS", "*"),
    ] {
        let answer = raw(&served, format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await;
        assert!(matches!(statuses(&answer)[..], ["400" | "404"]), "{method} {path}: {answer}");
        assert!(!answer.contains("secret\n") && !answer.ends_with("secret"), "{answer}");
    }
    assert_eq!(tree(outside.path()).len(), 2, "{:?}", tree(outside.path()));
}

#[tokio::test]
async fn ambiguous_and_endless_requests_are_refused() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let long_header = format!("GET /v2/ HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    let many_headers = format!("GET /v2/ HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(1_000));
    let long_path = format!("GET /v2/{} HTTP/1.1\r\nhost: x\r\n\r\n", "a/".repeat(100_000));
    let smuggled = "GET /v2/smuggled/tags/list HTTP/1.1\r\nhost: x\r\n\r\n";
    let put = "PUT /v2/a/manifests/v1 HTTP/1.1\r\nhost: x\r\n";
    for request in [
        long_header,
        many_headers,
        long_path,
        format!("{put}content-length: 0\r\ncontent-length: {}\r\n\r\n{smuggled}", smuggled.len()),
        format!("{put}content-length: +5\r\n\r\n{smuggled}"),
        format!("{put}content-length: -1\r\n\r\n{smuggled}"),
        format!("{put}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{put}transfer-encoding: identity\r\n\r\n{smuggled}"),
        format!("{put}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{put}transfer-encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{put}content-length: 0, 5\r\n\r\n{smuggled}"),
        format!("{put}content-length: 0x5\r\n\r\n{smuggled}"),
        format!("{put}x: y\r\n content-length: 5\r\n\r\n{smuggled}"),
        format!("{put}x: y\r\n\tz\r\n\r\n{smuggled}"),
        format!("{put}x: y\u{0}z\r\n\r\n{smuggled}"),
        format!("{put}: y\r\n\r\n{smuggled}"),
        format!("{put}transfer-encoding: chunked\r\n\r\nz\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{put}transfer-encoding: chunked\r\n\r\n-1\r\n\r\n{smuggled}"),
        format!("{put}transfer-encoding: chunked\r\n\r\n1 \r\nx\r0\r\n\r\n{smuggled}"),
        format!("{put}transfer-encoding: chunked\r\n\r\nffffffffffffffff1\r\nx\r\n0\r\n\r\n{smuggled}"),
        format!("{put}transfer-encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n{smuggled}"),
        format!("{put}transfer-encoding: chunked\r\n\r\n0;{}\r\n\r\n{smuggled}", "x".repeat(100_000)),
        "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(),
    ] {
        let answer = raw(&served, request.as_bytes()).await;
        let statuses = statuses(&answer);
        let start: String = request.chars().take(120).collect();
        assert!(matches!(statuses[..], [] | ["400" | "413" | "414" | "431"]), "{start}: {answer}");
    }
    for coding in ["gzip, chunked", "chunked, chunked", "chunked\r\ntransfer-encoding: chunked"] {
        let request = format!("{put}transfer-encoding: {coding}\r\nconnection: close\r\n\r\n0\r\n\r\n{smuggled}");
        let answer = raw(&served, request.as_bytes()).await;
        assert!(matches!(statuses(&answer)[..], ["400" | "501"]), "{coding}: {answer}");
    }
    // With both lengths the encoding counts, and the connection ends after the answer (RFC 9112, section 6.1).
    let both = format!("{put}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}");
    let answer = raw(&served, both.as_bytes()).await;
    assert!(statuses(&answer).len() <= 1, "{answer}");
    assert!(!served.lines().iter().any(|line| line.contains("smuggled")), "{:?}", served.lines());
    assert_eq!(served.ask("GET", "/v2/").await.status, 200);
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_sends_first_and_reads_then() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let length = 20 << 20;
    let mut request =
        format!("PUT /v2/a/manifests/v1 HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    request.resize(request.len() + length, b' ');
    let answer = raw(&served, &request).await;
    assert_eq!(statuses(&answer), ["413"]);
}
