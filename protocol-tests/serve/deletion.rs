//! Deletions beside pushes, in this process and from another one: what was acknowledged is there, and whole.

use spinreg::content::{Body, Source as _, Target as _};
use spinreg::model::{Algorithm, Digest, Identifier, Manifest};
use spinreg::store::Layout;

use super::http::Answer;
use super::{Served, digest, temporary};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// How often both meet.
const ROUNDS: usize = 60;

fn manifest() -> String {
    let empty =
        format!(r#"{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{}","size":2}}"#, Digest::of(b"{}"));
    format!(r#"{{"schemaVersion":2,"mediaType":"{IMAGE}","config":{empty},"layers":[]}}"#)
}

async fn put(served: &Served, path: &str) -> Answer {
    served.send("PUT", path, &[("content-type", IMAGE)], Body::from_bytes(manifest())).await
}

/// The manifest is there with its tag, or neither is.
async fn assert_consistent(served: &Served) -> bool {
    let path = format!("/v2/app/manifests/{}", Digest::of(manifest().as_bytes()));
    let tags = served.ask("GET", "/v2/app/tags/list").await.json()["tags"].clone();
    let (by_digest, by_tag) = (served.ask("GET", &path).await, served.ask("GET", "/v2/app/manifests/v1").await);
    let there = tags == serde_json::json!(["v1"]);
    assert!(there || tags == serde_json::json!([]), "{tags}");
    let expected = if there { 200 } else { 404 };
    assert_eq!((by_digest.status, by_tag.status), (expected, expected), "{tags}");
    assert!(!there || (by_digest.body == manifest() && by_tag.body == manifest()));
    there
}

#[tokio::test]
async fn a_manifest_pushed_beside_its_deletion_is_whole_or_gone() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let path = format!("/v2/app/manifests/{}", Digest::of(manifest().as_bytes()));
    for _ in 0..ROUNDS {
        let (pushed, deleted, again) = tokio::join!(
            put(&served, "/v2/app/manifests/v1"),
            served.ask("DELETE", &path),
            put(&served, "/v2/app/manifests/v1")
        );
        assert_eq!((pushed.status, again.status), (201, 201));
        assert!(matches!(deleted.status, 202 | 404), "{deleted:?}");
        assert_consistent(&served).await;
    }
    // One after the other there is no doubt.
    assert_eq!(put(&served, "/v2/app/manifests/v1").await.status, 201);
    assert!(assert_consistent(&served).await);
    assert_eq!(served.ask("DELETE", &path).await.status, 202);
    assert!(!assert_consistent(&served).await);
}

#[tokio::test]
async fn so_is_one_that_another_process_pushes() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    assert_eq!(put(&served, "/v2/app/manifests/v1").await.status, 201);
    let upload = format!("/v2/app/blobs/uploads/?digest={}", Digest::of(b"{}"));
    assert_eq!(served.send("POST", &upload, &[], Body::from_bytes("{}")).await.status, 201);
    let path = format!("/v2/app/manifests/{}", Digest::of(manifest().as_bytes()));
    // Locks on files do not care whose process it is: a layout that was opened apart has its own.
    let layout = Layout::open(root.path().join("app")).await.expect("a layout");
    let manifest = Manifest::parse(manifest(), None).expect("a manifest");
    let tag = "v1".parse().expect("a tag");
    for _ in 0..ROUNDS {
        let (pushed, deleted) = tokio::join!(layout.push_manifest(&manifest, Some(&tag)), served.ask("DELETE", &path));
        pushed.expect("the blob is there");
        assert!(matches!(deleted.status, 202 | 404), "{deleted:?}");
        let there = assert_consistent(&served).await;
        assert_eq!(layout.manifest(&Identifier::Tag(tag.clone())).await.is_ok(), there);
    }
}

#[tokio::test]
async fn a_blob_pushed_beside_its_deletion_is_whole_or_gone() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = digest(algorithm, b"content");
        let (upload, path) = (format!("/v2/app/blobs/uploads/?digest={digest}"), format!("/v2/app/blobs/{digest}"));
        let push = async || served.send("POST", &upload, &[], Body::from_bytes("content")).await.status;
        for _ in 0..ROUNDS {
            let (first, deleted, second) = tokio::join!(push(), served.ask("DELETE", &path), push());
            assert_eq!((first, second), (201, 201));
            assert!(matches!(deleted.status, 202 | 404), "{deleted:?}");
            let found = served.ask("GET", &path).await;
            assert!(found.status == 404 || found.body == "content", "{found:?}");
        }
        assert_eq!(push().await, 201);
        assert_eq!(served.ask("GET", &path).await.body, "content");
    }
}
