//! What the spec's development version adds, and what others have put into the directory.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use spinreg::content::{Blob, Body, Target as _};
use spinreg::model::{Algorithm, Digest, Manifest, MediaType};
use spinreg::serve::{Registry, ServerOptions, Warned};
use spinreg::store::{Layout, REF_NAME};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::http::Answer;
use super::{Served, bytes, digest, temporary};
use crate::support::cli::Cli;
use crate::support::files_below;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn empty() -> String {
    format!(r#"{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{}","size":2}}"#, Digest::of(b"{}"))
}

fn image(note: &str, more: &str) -> String {
    let empty = empty();
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{IMAGE}",{more}"config":{empty},"layers":[],"annotations":{{"note":"{note}"}}}}"#
    )
}

fn referring(note: &str, subject: &Digest) -> String {
    image(note, &format!(r#""subject":{{"mediaType":"{IMAGE}","digest":"{subject}","size":7}},"artifactType":"a/b","#))
}

async fn put(served: &Served, path: &str, media_type: &str, manifest: &str) -> Answer {
    served.send("PUT", path, &[("content-type", media_type)], Body::from_bytes(manifest.to_owned())).await
}

async fn referrers(served: &Served, subject: &Digest) -> Vec<String> {
    let answer = served.ask("GET", &format!("/v2/app/referrers/{subject}")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, INDEX));
    let json = answer.json();
    let notes = json["manifests"].as_array().expect("a list").iter();
    let mut notes: Vec<_> =
        notes.map(|entry| entry["annotations"]["note"].as_str().expect("a note").to_owned()).collect();
    notes.sort();
    notes
}

#[tokio::test]
async fn who_knows_a_manifest_is_told_that_it_is_the_same() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let text = image("first", "");
    put(&served, "/v2/app/manifests/v1", IMAGE, &text).await;
    let digest = Digest::of(text.as_bytes());
    let other = Digest::of(b"other");
    for (known, status) in [
        (format!("\"{digest}\""), 304),
        (digest.to_string(), 304),
        (format!("W/\"x\", W/\"{digest}\""), 304),
        (format!("\"{other}\""), 200),
        ("*".to_owned(), 200),
        (String::new(), 200),
    ] {
        for method in ["GET", "HEAD"] {
            let headers = [("if-none-match", known.as_str())];
            let answer = served.send(method, "/v2/app/manifests/v1", &headers, Body::empty()).await;
            assert_eq!(answer.status, status, "{method} {known}");
            assert_eq!(answer.header("etag"), format!("\"{digest}\""));
            assert_eq!(answer.header("docker-content-digest"), digest.to_string());
            let has_body = status == 200 && method == "GET";
            assert_eq!(answer.body, if has_body { text.as_bytes() } else { b"" }, "{method} {known}");
        }
    }
    let answer = served.send("GET", "/v2/app/manifests/v2", &[("if-none-match", "\"x\"")], Body::empty()).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn the_algorithm_may_be_said_at_the_start() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let content = bytes(200_000);
    let digest = digest(Algorithm::Sha512, &content);
    let opened = served.ask("POST", "/v2/app/blobs/uploads/?digest-algorithm=sha512").await;
    assert_eq!(opened.status, 202);
    let at = opened.header("location").to_owned();
    assert!(at.ends_with("?digest-algorithm=sha512"), "{at}");
    let first = Body::from_bytes(content[..100_000].to_vec());
    let answer = served.send("PATCH", &at, &[("content-range", "0-99999")], first).await;
    assert_eq!((answer.status, answer.header("location")), (202, at.as_str()));
    let rest = Body::from_bytes(content[100_000..].to_vec());
    let closed = served.send("PUT", &format!("{at}&digest={digest}"), &[], rest).await;
    assert_eq!((closed.status, closed.header("docker-content-digest")), (201, &*digest.to_string()));
    assert_eq!(served.ask("GET", closed.header("location")).await.body, content);
    // Who changes their mind is not held to it.
    let at = served.ask("POST", "/v2/app/blobs/uploads/?digest-algorithm=sha512").await.header("location").to_owned();
    assert_eq!(served.send("PATCH", &at, &[], Body::from_bytes("abc")).await.status, 202);
    assert_eq!(served.ask("PUT", &format!("{at}&digest={}", Digest::of(b"abc"))).await.status, 201);
    for algorithm in ["md5", "sha384", "SHA512", ""] {
        let refused = served.ask("POST", &format!("/v2/app/blobs/uploads/?digest-algorithm={algorithm}")).await;
        assert_eq!(refused.refusal(), "400 DIGEST_INVALID", "{algorithm}");
    }
}

#[tokio::test]
async fn a_dozen_tags_are_made_at_once() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let manifest = image("tagged", "");
    let digest = digest(Algorithm::Sha512, manifest.as_bytes());
    let tags: Vec<String> = (0..12).map(|n| format!("t{n:02}")).collect();
    let query = tags.iter().map(|tag| format!("tag={tag}")).collect::<Vec<_>>().join("&");
    let answer = put(&served, &format!("/v2/app/manifests/{digest}?{query}"), IMAGE, &manifest).await;
    let told: Vec<_> = answer.headers.get_all("oci-tag").iter().map(|tag| tag.to_str().expect("ASCII")).collect();
    assert_eq!((answer.status, told), (201, tags.iter().map(String::as_str).collect()));
    assert_eq!(served.ask("GET", "/v2/app/tags/list").await.json()["tags"], serde_json::json!(tags));
    for tag in &tags {
        let found = served.ask("GET", &format!("/v2/app/manifests/{tag}")).await;
        assert_eq!((found.header("docker-content-digest"), &*found.body), (&*digest.to_string(), manifest.as_bytes()));
    }
}

#[tokio::test]
async fn referrers_are_found_whoever_has_listed_them() {
    let root = temporary();
    let subject = Digest::of(b"subject");
    let served = Served::over(root.path()).await;
    let api = referring("by the api", &subject);
    assert_eq!(put(&served, "/v2/app/manifests/one", IMAGE, &api).await.header("oci-subject"), subject.to_string());
    assert_eq!(referrers(&served, &subject).await, ["by the api"]);

    // Another process pushes into the same directory.
    let layout = Layout::open(root.path().join("app")).await.expect("a layout");
    layout.push_blob(&Blob::from_bytes(MediaType::OCTET_STREAM, "{}")).await.expect("a writable layout");
    let manifest = Manifest::parse(referring("by a layout", &subject), None).expect("a manifest");
    layout.push_manifest(&manifest, None).await.expect("a writable layout");
    assert_eq!(referrers(&served, &subject).await, ["by a layout", "by the api"]);

    // A tool has left an index under the referrers tag whose entries nobody has listed ("Upgrade Procedures").
    let (unlisted, stranger) = (referring("by a tag", &subject), image("refers to nothing", ""));
    for text in [&unlisted, &stranger] {
        layout.push_blob(&Blob::from_bytes(MediaType::IMAGE_MANIFEST, text.clone())).await.expect("a writable layout");
    }
    let entry = |text: &str| {
        format!(r#"{{"mediaType":"{IMAGE}","digest":"{}","size":{}}}"#, Digest::of(text.as_bytes()), text.len())
    };
    let entries = [entry(&unlisted), entry(&stranger), entry(&api), entry("absent")].join(",");
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{entries}]}}"#);
    let tag = subject.to_string().replace(':', "-");
    assert_eq!(put(&served, &format!("/v2/app/manifests/{tag}"), INDEX, &index).await.status, 201);
    let everybody = ["by a layout", "by a tag", "by the api"];
    assert_eq!(referrers(&served, &subject).await, everybody);
    served.stop().await;

    let served = Served::over(root.path()).await;
    assert_eq!(referrers(&served, &subject).await, everybody);
    assert_eq!(served.ask("DELETE", &format!("/v2/app/manifests/{}", Digest::of(api.as_bytes()))).await.status, 202);
    layout.delete_manifest(&manifest.digest()).await.expect("it is there");
    assert_eq!(referrers(&served, &subject).await, ["by a tag"]);
}

#[tokio::test]
async fn a_long_list_of_referrers_has_pages() {
    let root = temporary();
    let subject = Digest::of(b"subject");
    let served = Served::over(root.path()).await;
    for n in 0..5 {
        let long = format!("{n}{}", "x".repeat(1 << 20));
        assert_eq!(
            put(&served, &format!("/v2/app/manifests/t{n}"), IMAGE, &referring(&long, &subject)).await.status,
            201
        );
    }
    let (mut next, mut found, mut pages) = (format!("/v2/app/referrers/{subject}?artifactType=a%2Fb"), Vec::new(), 0);
    while !next.is_empty() {
        let answer = served.ask("GET", &next).await;
        assert!(answer.status == 200 && answer.body.len() <= 4 << 20, "{} bytes", answer.body.len());
        assert_eq!(answer.header("oci-filters-applied"), "artifactType");
        found.extend(
            answer.json()["manifests"].as_array().expect("a list").iter().map(|entry| entry["digest"].to_string()),
        );
        let link = answer.header("link");
        next = link.strip_prefix('<').and_then(|link| link.split_once('>')).map_or("", |(target, _)| target).to_owned();
        pages += 1;
    }
    let count = found.len();
    found.sort();
    found.dedup();
    assert_eq!((count, found.len(), pages), (5, 5, 2));
}

#[tokio::test]
async fn only_exact_names_are_tags() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    assert_eq!(put(&served, "/v2/app/manifests/v1", IMAGE, &image("exact", "")).await.status, 201);
    let path = root.path().join("app/index.json");
    let index = std::fs::read_to_string(&path).expect("the index");
    for (name, tag, status) in [
        ("docker.io/library/app:v2", "v2", 404),
        ("docker.io/library/app:v2", "latest", 404),
        ("app:v2", "v2", 404),
        ("sha256-0123456789abcdef", "sha256-0123456789abcdef", 200),
        ("v2", "v2", 200),
    ] {
        // Other tools write into the file; it is not replaced.
        let text = index.replace(&format!(r#""{REF_NAME}":"v1""#), &format!(r#""{REF_NAME}":"{name}""#));
        std::fs::write(&path, &text).expect("a file of the test");
        assert_eq!(served.ask("HEAD", &format!("/v2/app/manifests/{tag}")).await.status, status, "{tag} in {name}");
        let tags = served.ask("GET", "/v2/app/tags/list").await.json()["tags"].clone();
        assert_eq!(tags, if status == 200 { serde_json::json!([tag]) } else { serde_json::json!([]) }, "{name}");
    }
}

#[tokio::test]
async fn a_blob_is_mounted_from_whoever_has_it() {
    let root = temporary();
    let blob = Blob::from_bytes(MediaType::OCTET_STREAM, "shared");
    let digest = blob.descriptor().digest;
    let other = Layout::create(root.path().join("another/_blobs")).await.expect("a writable directory");
    other.push_blob(&blob).await.expect("a writable directory");
    let served = Served::over(root.path()).await;
    let mount = format!("/v2/app/blobs/uploads/?mount={digest}");
    assert_eq!(served.ask("POST", &mount).await.status, 201);
    assert_eq!(served.ask("GET", &format!("/v2/app/blobs/{digest}")).await.body, "shared");
    // Its directory is taken away, and comes again.
    std::fs::remove_dir_all(root.path().join("app")).expect("a directory");
    assert_eq!(served.ask("GET", "/v2/app/tags/list").await.refusal(), "404 NAME_UNKNOWN");
    assert_eq!(served.ask("POST", &mount.replace("/app/", "/other/")).await.status, 201);
    assert_eq!(served.ask("POST", &mount).await.status, 201);
    other.delete_blob(&digest).await.expect("it is there");
    assert_eq!(served.ask("GET", &format!("/v2/app/blobs/{digest}")).await.body, "shared");
}

#[tokio::test]
async fn an_upload_in_one_request_that_breaks_off_leaves_nothing() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let digest = Digest::of(b"never");
    let path = format!("/v2/app/blobs/uploads/?digest={digest}");
    let partials = root.path().join("app/.spinreg/partial");

    let mut connection = TcpStream::connect(served.address).await.expect("the server listens");
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n");
    connection.write_all(head.as_bytes()).await.expect("it reads");
    connection.write_all(&bytes(200_000)).await.expect("it reads");
    while files_below(&partials).is_empty() {
        tokio::task::yield_now().await;
    }
    drop(connection);
    while !files_below(&partials).is_empty() {
        tokio::task::yield_now().await;
    }

    // HTTP/2 resets the stream: the request is dropped wherever it is.
    let stream = TcpStream::connect(served.address).await.expect("the server listens");
    let handshake = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    );
    let (mut sender, connection) = handshake.await.expect("a connection");
    let connection = tokio::spawn(connection);
    let uri = format!("http://{}{path}", served.address);
    let body = Body::from_stream(Endless, None);
    let request = http::Request::builder().method("POST").uri(uri).body(body).expect("a request");
    let sending = tokio::spawn(async move { sender.send_request(request).await.map(drop) });
    while files_below(&partials).is_empty() {
        tokio::task::yield_now().await;
    }
    sending.abort();
    connection.abort();
    while !files_below(&partials).is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(served.ask("HEAD", &format!("/v2/app/blobs/{digest}")).await.status, 404);
}

/// A piece, and nothing after it.
struct Endless;

impl futures_util::Stream for Endless {
    type Item = Result<Bytes, spinreg::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The flow control of the connection ends it.
        context.waker().wake_by_ref();
        Poll::Ready(Some(Ok(Bytes::from_static(&[0; 1024]))))
    }
}

/// What an operator has to say comes with every answer, and clients show it.
#[tokio::test]
async fn warnings_come_with_every_answer() {
    let root = temporary();
    let registry = Registry::open(root.path()).await.expect("a directory");
    let texts = ["moving on \"Friday\"", "read only from then on"];
    let warnings = texts.iter().map(|text| text.parse().expect(text)).collect();
    let served = Served::at(Warned::new(registry, warnings).expect("short"), ServerOptions::default()).await;
    for (method, path, status) in [("GET", "/v2/", 200), ("HEAD", "/v2/app/manifests/v1", 404), ("PUT", "/v2/", 405)] {
        let answer = served.ask(method, path).await;
        let said: Vec<_> =
            answer.headers.get_all("warning").iter().map(|value| value.to_str().expect("ASCII")).collect();
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(said, [r#"299 - "moving on \"Friday\"""#, r#"299 - "read only from then on""#]);
    }
    let cli = Cli::new();
    let page = cli.run(["doctor", &format!("{}/app", served.address)]).await.success();
    assert!(texts.iter().all(|text| page.contains(&format!("\nthe registry says: {text}\n"))), "{page}");
    let long = "x".repeat(2500);
    for warnings in [&["--warning", "two\nlines"][..], &["--warning", &long, "--warning", &long]] {
        cli.run([&["serve", "--dir", "never"], warnings].concat()).await.failure(2);
    }
}
