//! Uploads that come to nothing: what they leave of a repository that has nothing else, and what they count for.

use std::fs;
use std::path::Path;
use std::time::Duration;

use spinreg::content::Body;
use spinreg::model::Algorithm;
use spinreg::serve::{Quota, Quotas, References, Registry, ServerOptions};

use super::{Served, bytes, digest, temporary};

/// Opens an upload session and returns where.
async fn begin(served: &Served, name: &str) -> String {
    let answer = served.ask("POST", &format!("/v2/{name}/blobs/uploads/")).await;
    assert_eq!(answer.status, 202);
    answer.header("location").to_owned()
}

/// Asks for the tags of a repository: the status, and what is said.
async fn tags(served: &Served, name: &str) -> (u16, String) {
    let answer = served.ask("GET", &format!("/v2/{name}/tags/list")).await;
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

fn is_empty(root: &Path) -> bool {
    fs::read_dir(root).expect("the directory of the registry").next().is_none()
}

#[tokio::test]
async fn an_upload_that_comes_to_nothing_leaves_nothing() {
    let root = temporary();
    let served = Served::with(root.path(), References::Checked).await;
    let content = bytes(1000);
    let (right, wrong) = (digest(Algorithm::Sha256, &content), digest(Algorithm::Sha256, b"other"));
    for way in ["cancel", "refused put", "refused post", "refused mount", "refused manifest"] {
        let name = format!("team/{}", way.replace(' ', "-"));
        let uploads = format!("/v2/{name}/blobs/uploads/");
        let body = || Body::from_bytes(content.clone());
        match way {
            "cancel" => {
                let at = begin(&served, &name).await;
                assert_eq!(served.send("PATCH", &at, &[], body()).await.status, 202);
                assert_eq!(tags(&served, &name).await.0, 404, "an upload is no repository yet");
                assert_eq!(served.ask("GET", &at).await.status, 204);
                assert_eq!(served.ask("DELETE", &at).await.status, 204);
            }
            "refused put" => {
                let at = begin(&served, &name).await;
                let put = served.send("PUT", &format!("{at}?digest={wrong}"), &[], body()).await;
                assert_eq!(put.status, 400);
            }
            "refused post" => {
                let post = served.send("POST", &format!("{uploads}?digest={wrong}"), &[], body()).await;
                assert_eq!(post.status, 400);
            }
            "refused mount" => {
                let mount = served.ask("POST", &format!("{uploads}?mount={right}&from=nobody/nothing")).await;
                assert_eq!(mount.status, 202);
                assert_eq!(served.ask("DELETE", mount.header("location")).await.status, 204);
            }
            _ => {
                let image = format!(
                    r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"{right}","size":1000}},"layers":[]}}"#
                );
                let kind = [("content-type", "application/vnd.oci.image.manifest.v1+json")];
                let put = served.send("PUT", &format!("/v2/{name}/manifests/v1"), &kind, Body::from_bytes(image)).await;
                assert_eq!(put.status, 400);
            }
        }
        let (status, said) = tags(&served, &name).await;
        assert!(status == 404 && said.contains("NAME_UNKNOWN"), "{way}: {status} {said}");
        assert!(is_empty(root.path()), "{way}");
    }
}

#[tokio::test]
async fn an_expired_upload_leaves_nothing() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let at = begin(&served, "team/app").await;
    served.stop().await;
    let registry = Registry::open(root.path()).await.expect("a directory").with_upload_expiry(Duration::ZERO);
    // Files know when they were written to the millisecond at best.
    while registry.sweep().await.expect("a sweep").files == 0 {}
    assert!(is_empty(root.path()));
    let served = Served::serving(registry).await;
    assert_eq!(served.ask("GET", &at).await.status, 404);
}

#[tokio::test]
async fn what_was_pushed_stays_whatever_is_given_up_beside_it() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let content = bytes(1000);
    let blob = digest(Algorithm::Sha256, &content);
    let target = format!("/v2/a/b/blobs/uploads/?digest={blob}");
    assert_eq!(served.send("POST", &target, &[], Body::from_bytes(content)).await.status, 201);
    for name in ["a", "a/b", "a/b/c"] {
        let at = begin(&served, name).await;
        assert_eq!(served.ask("DELETE", &at).await.status, 204);
    }
    assert_eq!(tags(&served, "a/b").await.0, 200);
    assert_eq!(served.ask("GET", &format!("/v2/a/b/blobs/{blob}")).await.status, 200);
    assert_eq!((tags(&served, "a").await.0, tags(&served, "a/b/c").await.0), (404, 404));
}

/// One client gives up what it begins while others finish: nothing that is tidied away is anybody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn giving_up_does_no_harm_to_those_who_go_on() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    for round in 0..20_u32 {
        let name = format!("team/app{round}");
        let one = async |n: u32| {
            let content = [round.to_be_bytes(), n.to_be_bytes()].concat();
            let blob = digest(Algorithm::Sha256, &content);
            let at = begin(&served, &name).await;
            if n.is_multiple_of(2) {
                assert_eq!(served.ask("DELETE", &at).await.status, 204);
                return None;
            }
            let put = served.send("PUT", &format!("{at}?digest={blob}"), &[], Body::from_bytes(content)).await;
            assert_eq!(put.status, 201);
            Some(blob)
        };
        let blobs = futures_util::future::join_all((0..8).map(one)).await;
        for blob in blobs.into_iter().flatten() {
            assert_eq!(served.ask("GET", &format!("/v2/{name}/blobs/{blob}")).await.status, 200);
        }
    }
}

#[tokio::test]
async fn sessions_of_an_earlier_process_count() {
    let root = temporary();
    let mut quotas = Quotas::default();
    (quotas.sessions, quotas.blob) = (2, Some(1000));
    let limited = async || {
        let registry = Registry::open(root.path()).await.expect("a directory");
        let open = registry.open_uploads().await.expect("the sessions that are open");
        let count = open.len();
        let quota = Quota::new(registry, quotas).with_open(open);
        (Served::at(quota, ServerOptions::default()).await, count)
    };
    let (served, count) = limited().await;
    assert_eq!(count, 0);
    let (one, _two) = (begin(&served, "app").await, begin(&served, "other").await);
    assert_eq!(served.send("PATCH", &one, &[], Body::from_bytes(bytes(900))).await.status, 202);
    served.stop().await;

    let (served, count) = limited().await;
    assert_eq!(count, 2);
    let refused = served.ask("POST", "/v2/third/blobs/uploads/").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "10"));
    // How long they are is known, too.
    assert_eq!(served.send("PATCH", &one, &[], Body::from_bytes(bytes(200))).await.status, 413);
    begin(&served, "third").await;
}
