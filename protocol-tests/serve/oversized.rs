//! Too much of everything: refused with its own status and a word, and the server goes on.

use spinreg::content::Body;
use spinreg::serve::{MAX_FIELDS, MAX_HEADERS, MAX_TARGET};

use super::hostile::{raw, statuses, tree};
use super::http::stream;
use super::{Served, temporary};

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
