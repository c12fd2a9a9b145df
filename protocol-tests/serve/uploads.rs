//! Every way in which a blob gets into the registry, or does not.

use bytes::Bytes;
use spinreg::content::{Body, Source as _};
use spinreg::model::{Algorithm, Descriptor, MediaType};
use spinreg::store::Layout;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::http::{Answer, stream};
use super::{BOTH, Served, bytes, digest, temporary};

/// How a blob is uploaded.
#[derive(Clone, Copy, Debug)]
enum Form {
    Post,
    PostPut,
    Chunks,
    ChunksAndPut,
    Stream,
}

const FORMS: [Form; 5] = [Form::Post, Form::PostPut, Form::Chunks, Form::ChunksAndPut, Form::Stream];

/// Uploads `content` to `app` as `digest`, and returns the answer to the closing request.
async fn upload(served: &Served, form: Form, content: &[u8], digest: &str) -> Answer {
    let whole = || Body::from_bytes(content.to_vec());
    if let Form::Post = form {
        return served.send("POST", &format!("/v2/app/blobs/uploads/?digest={digest}"), &[], whole()).await;
    }
    let mut at = begin(served, "app").await;
    let half = content.len() / 2;
    let (first, last) = content.split_at(half);
    let closing = match form {
        Form::Post | Form::PostPut => return served.send("PUT", &format!("{at}?digest={digest}"), &[], whole()).await,
        Form::Stream => {
            let answer = served.send("PATCH", &at, &[], stream(&[first, b"", last])).await;
            assert_eq!((answer.status, answer.header("range")), (202, &*format!("0-{}", content.len() - 1)));
            at = answer.header("location").to_owned();
            Vec::new()
        }
        Form::Chunks => {
            at = patch(served, &at, 0, first).await;
            at = patch(served, &at, half, last).await;
            Vec::new()
        }
        Form::ChunksAndPut => {
            at = patch(served, &at, 0, first).await;
            last.to_vec()
        }
    };
    let range = format!("{half}-{}", content.len() - 1);
    let headers = [("content-range", range.as_str())];
    let headers = if closing.is_empty() { &[] } else { &headers[..] };
    served.send("PUT", &format!("{at}?digest={digest}"), headers, Body::from_bytes(closing)).await
}

/// Opens a session and returns where it is.
async fn begin(served: &Served, name: &str) -> String {
    let answer = served.ask("POST", &format!("/v2/{name}/blobs/uploads/")).await;
    assert_eq!((answer.status, answer.header("range")), (202, "0-0"));
    let location = answer.header("location").to_owned();
    assert!(location.starts_with(&format!("/v2/{name}/blobs/uploads/")), "{location}");
    location
}

/// Sends a chunk for `offset` and returns where to go on.
async fn patch(served: &Served, at: &str, offset: usize, chunk: &[u8]) -> String {
    let last = offset + chunk.len() - 1;
    let range = format!("{offset}-{last}");
    let answer = served.send("PATCH", at, &[("content-range", &range)], Body::from_bytes(chunk.to_vec())).await;
    assert_eq!((answer.status, answer.header("range")), (202, &*format!("0-{last}")));
    answer.header("location").to_owned()
}

#[tokio::test]
async fn every_form_of_upload_ends_in_the_same_blob() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    for algorithm in BOTH {
        for (n, form) in FORMS.into_iter().enumerate() {
            let content = bytes(300_000 + n);
            let digest = digest(algorithm, &content);
            let answer = upload(&served, form, &content, &digest.to_string()).await;
            assert_eq!(answer.status, 201, "{form:?}: {answer:?}");
            assert_eq!(answer.header("docker-content-digest"), digest.to_string());
            let found = served.ask("GET", answer.header("location")).await;
            assert_eq!((found.status, found.body), (200, Bytes::from(content.clone())), "{form:?}");

            // The repository is a layout, and the blob is in it.
            let layout = Layout::open(root.path().join("app")).await.expect("a layout");
            let descriptor = Descriptor::new(MediaType::OCTET_STREAM, digest, content.len() as u64);
            assert_eq!(layout.blob(&descriptor).read(1 << 20).await.expect("the blob"), content);
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn the_empty_blob_is_a_blob() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    for (algorithm, form) in [(Algorithm::Sha256, Form::Post), (Algorithm::Sha512, Form::PostPut)] {
        let digest = digest(algorithm, b"").to_string();
        assert_eq!(upload(&served, form, b"", &digest).await.status, 201);
        let found = served.ask("GET", &format!("/v2/app/blobs/{digest}")).await;
        assert_eq!((found.status, found.header("content-length"), found.body.len()), (200, "0", 0));
    }
}

#[tokio::test]
async fn a_wrong_digest_is_refused_and_leaves_nothing() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let content = bytes(2_000);
    for algorithm in BOTH {
        let other = digest(algorithm, b"another").to_string();
        for form in FORMS {
            let answer = upload(&served, form, &content, &other).await;
            assert_eq!(answer.refusal(), "400 DIGEST_INVALID", "{form:?}");
            assert_eq!(served.ask("HEAD", &format!("/v2/app/blobs/{other}")).await.status, 404);
        }
    }
    assert!(!root.path().join("app").exists(), "nothing is left of it");
}

#[tokio::test]
async fn a_chunk_for_another_place_changes_nothing() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let content = bytes(90);
    let at = begin(&served, "app").await;
    let send = async |range: &str, bytes: &[u8]| {
        let body = Body::from_bytes(bytes.to_vec());
        served.send("PATCH", &at, &[("content-range", range)], body).await
    };
    let ahead = send("30-59", &content[30..60]).await;
    assert_eq!(ahead.refusal(), "416 BLOB_UPLOAD_INVALID");
    patch(&served, &at, 0, &content[..30]).await;
    for (range, piece, refusal) in [
        ("60-89", 60..90, "416 BLOB_UPLOAD_INVALID"),
        ("0-29", 0..30, "416 BLOB_UPLOAD_INVALID"),
        ("29-58", 29..59, "416 BLOB_UPLOAD_INVALID"),
        ("30-58", 30..60, "400 SIZE_INVALID"),
        ("30-60", 30..60, "400 SIZE_INVALID"),
        ("59-30", 30..60, "400 BLOB_UPLOAD_INVALID"),
        ("bytes 30-59/90", 30..60, "400 BLOB_UPLOAD_INVALID"),
    ] {
        let answer = send(range, &content[piece]).await;
        assert_eq!(answer.refusal(), refusal, "{range}");
        if answer.status == 416 {
            assert_eq!((answer.header("range"), answer.header("location")), ("0-29", at.as_str()));
        }
    }
    let digest = digest(Algorithm::Sha512, &content).to_string();
    let closing = format!("{at}?digest={digest}");
    let early = Body::from_bytes(content[60..].to_vec());
    let early = served.send("PUT", &closing, &[("content-range", "60-89")], early).await;
    assert_eq!(early.refusal(), "416 BLOB_UPLOAD_INVALID");
    // The status is asked at the address that still has the digest.
    let status = served.ask("GET", &closing).await;
    assert_eq!((status.status, status.header("range"), status.header("location")), (204, "0-29", at.as_str()));
    patch(&served, &at, 30, &content[30..]).await;
    assert_eq!(served.ask("PUT", &closing).await.status, 201);
    let over = served.ask("PUT", &closing).await;
    assert_eq!(over.refusal(), "404 BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn a_cancelled_session_is_gone() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let at = begin(&served, "app").await;
    patch(&served, &at, 0, b"abc").await;
    assert_eq!(served.ask("DELETE", &at).await.status, 204);
    for method in ["GET", "PATCH", "DELETE"] {
        assert_eq!(served.ask(method, &at).await.refusal(), "404 BLOB_UPLOAD_UNKNOWN", "{method}");
    }
    assert!(!root.path().join("app").exists(), "nothing is left of it");
}

#[tokio::test]
async fn a_session_belongs_to_its_repository() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let at = begin(&served, "app").await;
    begin(&served, "other").await;
    patch(&served, &at, 0, b"abc").await;
    let elsewhere = at.replace("/v2/app/", "/v2/other/");
    for method in ["GET", "PATCH", "DELETE"] {
        assert_eq!(served.ask(method, &elsewhere).await.refusal(), "404 BLOB_UPLOAD_UNKNOWN", "{method}");
    }
    assert_eq!(served.ask("GET", &at).await.status, 204);
}

#[tokio::test]
async fn a_session_survives_a_restart() {
    let root = temporary();
    let content = bytes(200_000);
    let served = Served::over(root.path()).await;
    let at = begin(&served, "team/app").await;
    patch(&served, &at, 0, &content[..150_000]).await;
    served.stop().await;

    let served = Served::over(root.path()).await;
    let status = served.ask("GET", &at).await;
    assert_eq!((status.status, status.header("range")), (204, "0-149999"));
    patch(&served, &at, 150_000, &content[150_000..]).await;
    let digest = digest(Algorithm::Sha256, &content);
    assert_eq!(served.ask("PUT", &format!("{at}?digest={digest}")).await.status, 201);
    let found = served.ask("GET", &format!("/v2/team/app/blobs/{digest}")).await;
    assert_eq!(found.body, content);
}

#[tokio::test]
async fn more_sessions_than_writers_are_kept_go_on() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let mut sessions = Vec::new();
    for n in 0..300u32 {
        let at = begin(&served, "app").await;
        patch(&served, &at, 0, &n.to_be_bytes()).await;
        sessions.push((n, at));
    }
    for (n, at) in sessions {
        patch(&served, &at, 4, b"end").await;
        let content = [&n.to_be_bytes()[..], b"end"].concat();
        let digest = digest(Algorithm::Sha256, &content);
        assert_eq!(served.ask("PUT", &format!("{at}?digest={digest}")).await.status, 201, "{n}");
    }
}

#[tokio::test]
async fn what_arrived_before_a_cut_stays() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let content = bytes(200_000);
    let at = begin(&served, "app").await;
    let mut connection = TcpStream::connect(served.address).await.expect("the server listens");
    let head = format!("PATCH {at} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", content.len());
    connection.write_all(head.as_bytes()).await.expect("it reads");
    connection.write_all(&content[..120_000]).await.expect("it reads");
    drop(connection);
    // The bytes are on their way before the end of the connection is; the session has them once the server has seen it.
    while served.ask("GET", &at).await.header("range") != "0-119999" {}
    let digest = digest(Algorithm::Sha256, &content);
    let rest = Body::from_bytes(content[120_000..].to_vec());
    let range = [("content-range", "120000-199999")];
    assert_eq!(served.send("PUT", &format!("{at}?digest={digest}"), &range, rest).await.status, 201);
    assert_eq!(served.ask("GET", &format!("/v2/app/blobs/{digest}")).await.body, content);
}

#[tokio::test]
async fn one_blob_may_be_uploaded_by_many_at_once() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let content = bytes(500_000);
    let digest = digest(Algorithm::Sha256, &content).to_string();
    let uploads = (0..12).map(|n| upload(&served, FORMS[n % FORMS.len()], &content, &digest));
    for answer in futures_util::future::join_all(uploads).await {
        assert_eq!(answer.status, 201);
    }
    assert_eq!(served.ask("GET", &format!("/v2/app/blobs/{digest}")).await.body, content);
}

#[tokio::test]
async fn http2_by_prior_knowledge() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let content = bytes(3 << 20);
    let digest = digest(Algorithm::Sha256, &content);
    let path = format!("/v2/app/blobs/uploads/?digest={digest}");
    assert_eq!(served.send_http2("POST", &path, Body::from_bytes(content.clone())).await.status, 201);
    let blob = format!("/v2/app/blobs/{digest}");
    assert_eq!(served.send_http2("GET", &blob, Body::empty()).await.body, content);
    let head = served.send_http2("HEAD", &blob, Body::empty()).await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "3145728", 0));
    let lines = [format!("POST {path} 201"), format!("GET {blob} 200"), format!("HEAD {blob} 200")];
    assert_eq!(served.lines(), lines);
}

#[tokio::test]
async fn a_stop_lets_open_requests_end() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let at = begin(&served, "app").await;
    let (pieces, received) = mpsc::unbounded_channel();
    let body = Body::from_stream(
        futures_util::stream::unfold(received, async |mut received: mpsc::UnboundedReceiver<Bytes>| {
            received.recv().await.map(|piece| (Ok(piece), received))
        }),
        None,
    );
    let Served { address, lines, stop, task } = served;
    let asking = Served { address, lines, stop: tokio::sync::oneshot::channel().0, task: tokio::spawn(async {}) };
    let status = async || asking.ask("GET", &at).await.header("range").to_owned();
    let open = asking.send("PATCH", &at, &[], body);
    let meanwhile = async {
        pieces.send(Bytes::from_static(b"abc")).expect("the request runs");
        while status().await != "0-2" {}
        stop.send(()).expect("the server runs");
        // It does not listen any more once it has begun to stop.
        while TcpStream::connect(address).await.is_ok() {}
        pieces.send(Bytes::from_static(b"def")).expect("the request runs");
        drop(pieces);
    };
    let (answer, ()) = tokio::join!(open, meanwhile);
    assert_eq!((answer.status, answer.header("range")), (202, "0-5"));
    task.await.expect("it stops");
}

#[tokio::test]
async fn expect_100_continue_is_answered_before_the_body() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let gone = "/v2/app/blobs/uploads/0123456789abcdef0123456789abcdef";
    for (path, line) in [(gone.to_owned(), "HTTP/1.1 404"), (begin(&served, "app").await, "HTTP/1.1 100")] {
        let mut connection = TcpStream::connect(served.address).await.expect("the server listens");
        let head = format!("PATCH {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n");
        connection.write_all(head.as_bytes()).await.expect("it reads");
        let mut start = [0; 12];
        connection.read_exact(&mut start).await.expect("an answer");
        assert_eq!(String::from_utf8_lossy(&start), line);
    }
}
