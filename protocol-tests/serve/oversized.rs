//! Too much of everything: refused with its own status and a word, and the server goes on.

use spinreg::content::Body;
use spinreg::model::{Algorithm, Digest};
use spinreg::serve::{MAX_FIELDS, MAX_HEADERS, MAX_TARGET, Quota, Quotas, Registry, ServerOptions};

use super::hostile::{raw, statuses, tree};
use super::http::stream;
use super::{Served, bytes, temporary};

async fn limited(root: &std::path::Path, quotas: Quotas) -> Served {
    let registry = Registry::open(root).await.expect("a directory");
    Served::at(Quota::new(registry, quotas), ServerOptions::default()).await
}

fn blobs_of(n: u64) -> Quotas {
    let mut quotas = Quotas::default();
    quotas.blob = Some(n);
    quotas
}

#[tokio::test]
async fn long_targets_and_headers_are_refused_by_their_kind() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let long = "x".repeat(MAX_TARGET);
    for target in [format!("/v2/{long}/tags/list"), format!("/v2/a/tags/list?last={long}")] {
        assert_eq!(served.ask("GET", &target).await.refusal(), "414 UNSUPPORTED");
        assert_eq!(served.send_http2("GET", &target, Body::empty()).await.refusal(), "414 UNSUPPORTED");
    }
    let (name, value) = ("x".repeat(100), "y".repeat(MAX_HEADERS / 2));
    let many: Vec<_> = (0..MAX_FIELDS).map(|_| (&*name, "y")).collect();
    let large = vec![("a", &*value), ("b", &*value)];
    for headers in [many, large] {
        assert_eq!(served.send("GET", "/v2/", &headers, Body::empty()).await.refusal(), "431 UNSUPPORTED");
    }
    // What is far too long is not even looked at.
    for (request, expected) in [
        (format!("GET /v2/ HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(1 << 20)), "431"),
        (format!("GET /v2/ HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(1_000)), "431"),
        (format!("GET /v2/{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100_000)), "414"),
    ] {
        let answer = raw(&served, request.as_bytes()).await;
        assert_eq!(statuses(&answer), [expected], "{request:.40}: {answer:.200}");
    }
    assert_eq!(served.ask("GET", "/v2/").await.status, 200);
}

#[tokio::test]
async fn requests_without_one_host_are_refused() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    for request in [
        "GET /v2/ HTTP/1.1\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nhost: a, b\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nhost: a/b\r\n\r\n",
    ] {
        let answer = raw(&served, request.as_bytes()).await;
        assert!(statuses(&answer) == ["400"] && answer.contains("UNSUPPORTED"), "{request}: {answer}");
    }
    assert_eq!(
        statuses(&raw(&served, b"GET /v2/ HTTP/1.0\r\n\r\n").await),
        Vec::<&str>::new(),
        "1.0 is answered as 1.0"
    );
}

#[tokio::test]
async fn a_blob_has_the_length_that_is_allowed_in_every_form_of_upload() {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let root = temporary();
        let served = limited(root.path(), blobs_of(1000)).await;
        let (fits, long) = (bytes(1000), bytes(1001));
        for (blob, status) in [(&fits, 201), (&long, 413)] {
            let digest = Digest::of_with(algorithm, blob);
            let close = async |location: &str, body: Body| {
                served.send("PUT", &format!("{location}?digest={digest}"), &[], body).await
            };
            let open = async || served.ask("POST", "/v2/a/blobs/uploads/").await.header("location").to_owned();

            let path = format!("/v2/a/blobs/uploads/?digest={digest}");
            for body in [Body::from_bytes(blob.clone()), stream(&[&blob[..600], &blob[600..]])] {
                let answer = served.send("POST", &path, &[], body).await;
                assert_eq!(answer.status, status, "in one request");
                if status == 413 {
                    assert_eq!(answer.refusal(), "413 SIZE_INVALID");
                }
            }
            assert_eq!(close(&open().await, Body::from_bytes(blob.clone())).await.status, status, "in two requests");

            let location = open().await;
            let first = Body::from_bytes(blob[..600].to_vec());
            let first = served.send("PATCH", &location, &[("content-range", "0-599")], first).await;
            assert_eq!(first.status, 202);
            let range = format!("600-{}", blob.len() - 1);
            let second = Body::from_bytes(blob[600..].to_vec());
            let second = served.send("PATCH", &location, &[("content-range", &range)], second).await;
            assert_eq!(second.status, if status == 201 { 202 } else { 413 }, "in chunks");
            // What is too long is thrown away, and its session is over.
            assert_eq!(close(&location, Body::empty()).await.status, if status == 201 { 201 } else { 404 });

            let location = open().await;
            let streamed = served.send("PATCH", &location, &[], stream(&[&blob[..600], &blob[600..]])).await;
            assert_eq!(streamed.status, if status == 201 { 202 } else { 413 }, "as a stream");
            assert_eq!(close(&location, Body::empty()).await.status, if status == 201 { 201 } else { 404 });
            let path = format!("/v2/a/blobs/{digest}");
            assert_eq!(served.ask("HEAD", &path).await.status, if status == 201 { 200 } else { 404 });
        }
    }
}

#[tokio::test]
async fn a_session_is_as_long_after_a_restart() {
    let root = temporary();
    let served = limited(root.path(), blobs_of(1000)).await;
    let location = served.ask("POST", "/v2/a/blobs/uploads/").await.header("location").to_owned();
    let half = || Body::from_bytes(bytes(600));
    assert_eq!(served.send("PATCH", &location, &[], half()).await.status, 202);
    served.stop().await;
    let served = limited(root.path(), blobs_of(1000)).await;
    assert_eq!(served.send("PATCH", &location, &[], half()).await.refusal(), "413 SIZE_INVALID");
    assert_eq!(served.ask("GET", &location).await.status, 404);
}

#[tokio::test]
async fn so_many_sessions_are_open_and_no_more() {
    let root = temporary();
    let mut quotas = Quotas::default();
    quotas.sessions = 3;
    let served = limited(root.path(), quotas).await;
    let digest = Digest::of(b"x");
    let open = async || served.ask("POST", "/v2/a/blobs/uploads/").await;
    let mut locations = Vec::new();
    for _ in 0..3 {
        locations.push(open().await.header("location").to_owned());
    }
    let crowded = open().await;
    assert_eq!(crowded.refusal(), "429 TOOMANYREQUESTS");
    assert_eq!(crowded.header("retry-after"), "10");
    let mount = format!("/v2/a/blobs/uploads/?mount={digest}&from=b");
    assert_eq!(served.ask("POST", &mount).await.status, 429);
    // A whole blob in one request needs none.
    let whole = format!("/v2/a/blobs/uploads/?digest={digest}");
    assert_eq!(served.send("POST", &whole, &[], Body::from_bytes("x")).await.status, 201);
    // Each end makes room for one.
    let [first, second, third] = locations.try_into().expect("three");
    assert_eq!(served.ask("DELETE", &first).await.status, 204);
    let fourth = open().await.header("location").to_owned();
    assert_eq!(open().await.status, 429);
    let close = format!("{second}?digest={digest}");
    assert_eq!(served.send("PUT", &close, &[], Body::from_bytes("x")).await.status, 201);
    assert_eq!(open().await.status, 202);
    assert_eq!(open().await.status, 429);
    // A wrong digest is an end, and a wrong range is none.
    let wrong = served.send("PUT", &format!("{third}?digest={digest}"), &[], Body::from_bytes("y")).await;
    assert_eq!(wrong.refusal(), "400 DIGEST_INVALID");
    assert_eq!(open().await.status, 202);
    let misplaced = served.send("PATCH", &fourth, &[("content-range", "5-5")], Body::from_bytes("x")).await;
    assert_eq!(misplaced.status, 416);
    assert_eq!(open().await.status, 429);
}

#[tokio::test]
async fn a_long_manifest_is_refused_and_leaves_nothing() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    for body in [Body::from_bytes(vec![b' '; (8 << 20) + 1]), stream(&[&vec![b' '; 5 << 20], &vec![b' '; 5 << 20]])] {
        let headers = [("content-type", "application/vnd.oci.image.manifest.v1+json")];
        let answer = served.send("PUT", "/v2/a/manifests/v1", &headers, body).await;
        assert_eq!(answer.refusal(), "413 SIZE_INVALID");
    }
    assert_eq!(tree(root.path()), Vec::<String>::new());
}
