//! The access log: a line for each request, and no secret in any.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use spinreg::content::Body;
use spinreg::model::Digest;
use spinreg::serve::{Access, AccessLog, LogTarget, Registry, ServerOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::access::{basic, files, header};
use super::{Served, bytes, temporary};

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("a log");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[tokio::test]
async fn every_request_has_a_line_and_no_secret_has() {
    let room = temporary();
    let path = room.path().join("access.log");
    let log = Arc::new(AccessLog::start(LogTarget::File(path.clone())).expect("a log"));
    let registry = Registry::open(room.path().join("data")).await.expect("a directory");
    let door = Access::new(registry, files(&room, &["adaadaada"], None)).expect("files that make sense");
    let mut options = ServerOptions::default();
    options.observer = Some(log.clone());
    let served = Served::at(door, options).await;

    let blob = bytes(1000);
    let (pushed, digest) = served.push_as("adaadaada", "app", &blob).await;
    assert_eq!(pushed.status, 201);
    let named = [("authorization", &*basic("adaadaada")), ("x-request-id", "proxy-17")];
    let pulled = served.send("GET", &format!("/v2/app/blobs/{digest}?sig=hunter22"), &named, Body::empty()).await;
    assert_eq!((pulled.body.len(), pulled.header("x-request-id")), (1000, "proxy-17"));
    let wrong = [("authorization", &*header("adaadaada", "hunter22"))];
    let refused = served.send("GET", "/v2/", &wrong, Body::empty()).await;
    let token = served.token_as("adaadaada", "repository:app:pull").await;
    let head = served.ask_with(&token, "HEAD", &format!("/v2/app/blobs/{digest}")).await;
    assert_eq!(head.status, 200);
    served.stop().await;
    log.flush();

    let lines = lines(&path);
    let facts: Vec<_> = lines
        .iter()
        .map(|line| {
            let (method, path) = (line["method"].as_str().expect("text"), line["path"].as_str().expect("text"));
            format!("{method} {path} {} {} {} {}", line["status"], line["user"], line["received"], line["sent"])
        })
        .collect();
    assert_eq!(
        facts,
        [
            format!("POST /v2/app/blobs/uploads/?digest={digest} 201 \"adaadaada\" 1000 0"),
            format!("GET /v2/app/blobs/{digest}?sig=… 200 \"adaadaada\" 0 1000"),
            format!("GET /v2/ 401 null 0 {}", refused.body.len()),
            format!(
                "GET /token?service=x&scope=repository:app:pull&account=… 200 \"adaadaada\" 0 {}",
                lines[3]["sent"]
            ),
            format!("HEAD /v2/app/blobs/{digest} 200 \"adaadaada\" 0 0"),
        ]
    );
    for line in &lines {
        assert!(line["peer"].as_str().expect("text").starts_with("127.0.0.1:"));
        assert!(line["time"].as_str().expect("text").ends_with('Z') && line["milliseconds"].is_u64());
        assert!(line.get("broken").is_none(), "{line}");
    }
    assert_eq!(lines[1]["id"], "proxy-17");
    assert_eq!(lines[0]["id"], pushed.header("x-request-id"));
    assert_ne!(lines[0]["id"], lines[2]["id"]);
    let text = std::fs::read_to_string(&path).expect("a log");
    for secret in ["hunter22", &*token, basic("adaadaada").trim_start_matches("Basic ")] {
        assert!(!text.contains(secret), "{secret} shows: {text}");
    }
}

#[tokio::test]
async fn what_breaks_off_is_logged_as_such() {
    let room = temporary();
    let path = room.path().join("access.log");
    let log = Arc::new(AccessLog::start(LogTarget::File(path.clone())).expect("a log"));
    let registry = Registry::open(room.path().join("data")).await.expect("a directory");
    let mut options = ServerOptions::default();
    options.observer = Some(log.clone());
    let served = Served::at(registry, options).await;
    let blob = vec![7; 32 << 20];
    let digest = Digest::of(&blob);
    let upload = format!("/v2/a/blobs/uploads/?digest={digest}");
    assert_eq!(served.send("POST", &upload, &[], Body::from_bytes(blob)).await.status, 201);
    for (head, answered) in [
        // The peer goes in the middle of what it sends, and in the middle of what it gets.
        (format!("POST {upload} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n"), "100"),
        (format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nhost: x\r\n\r\n"), "200"),
    ] {
        let mut connection = TcpStream::connect(served.address).await.expect("the server listens");
        connection.write_all(head.as_bytes()).await.expect("the server listens");
        let mut status = [0; 12];
        connection.read_exact(&mut status).await.expect("an answer");
        assert!(status.ends_with(answered.as_bytes()), "{status:?}");
    }
    served.stop().await;
    log.flush();
    let lines = lines(&path);
    assert_eq!(lines.len(), 3, "{lines:?}");
    let upload = lines.iter().rfind(|line| line["method"] == "POST").expect("the second upload");
    assert!(upload["status"] == 400 || upload["status"] == 499, "{upload}");
    let download = lines.iter().find(|line| line["method"] == "GET").expect("the download");
    assert_eq!((&download["status"], &download["broken"]), (&200.into(), &true.into()), "{download}");
    assert!(download["sent"].as_u64().expect("a number") < 32 << 20, "{download}");
}

#[tokio::test]
async fn a_log_that_was_moved_away_begins_anew() {
    let room = temporary();
    let (path, old) = (room.path().join("access.log"), room.path().join("access.log.1"));
    let log = Arc::new(AccessLog::start(LogTarget::File(path.clone())).expect("a log"));
    let registry = Registry::open(room.path().join("data")).await.expect("a directory");
    let mut options = ServerOptions::default();
    options.observer = Some(log.clone());
    let served = Served::at(registry, options).await;
    served.ask("GET", "/v2/").await;
    log.flush();
    std::fs::rename(&path, &old).expect("a file");
    served.ask("GET", "/v2/a/tags/list").await;
    log.reopen().expect("a file");
    served.ask("GET", "/v2/b/tags/list").await;
    log.flush();
    let paths = |path: &Path| lines(path).iter().map(|line| line["path"].clone()).collect::<Vec<_>>();
    assert_eq!(paths(&old), ["/v2/", "/v2/a/tags/list"]);
    assert_eq!(paths(&path), ["/v2/b/tags/list"]);
    // Where it cannot be opened, the old one goes on.
    std::fs::remove_file(&path).expect("a file");
    std::fs::create_dir(&path).expect("a directory in its place");
    log.reopen().expect_err("a directory is no log");
    assert!(AccessLog::start(LogTarget::File(path)).is_err());
}
