//! What refers to what: by the registry's own list, and by the one that clients keep where it has none.

use serde_json::json;
use spinreg::Error;
use spinreg::content::Target as _;
use spinreg::model::{Descriptor, Digest, Manifest, MediaType};

use crate::support::reply::Reply;
use crate::support::repository::anonymous;
use crate::support::script::{Script, Seen};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SBOM: &str = "application/x.sbom+json";

fn subject() -> Descriptor {
    Descriptor::of(MediaType::IMAGE_MANIFEST, b"subject")
}

/// Makes an artifact that refers to the subject.
fn artifact(n: u32) -> Manifest {
    let config = json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of(b"{}"), "size": 2 });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::IMAGE_MANIFEST,
        "artifactType": SBOM,
        "config": config,
        "layers": [config],
        "subject": subject(),
        "annotations": { "n": n.to_string() },
    });
    Manifest::parse(manifest.to_string(), None).expect("a manifest")
}

fn entry(digest: &Digest, artifact_type: &str) -> serde_json::Value {
    json!({ "mediaType": MediaType::IMAGE_MANIFEST, "digest": digest, "size": 7, "artifactType": artifact_type })
}

fn index(entries: &[serde_json::Value]) -> Reply {
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
    Reply::ok(index.to_string()).header("content-type", INDEX)
}

fn api() -> String {
    format!("GET /v2/app/referrers/{}", subject().digest)
}

fn tag(method: &str) -> String {
    format!("{method} /v2/app/manifests/{}", subject().digest.to_string().replace(':', "-"))
}

fn manifest(digest: &Digest) -> String {
    format!("/v2/app/manifests/{digest}")
}

/// Reads the list that was written.
fn written(seen: &Seen) -> Vec<Descriptor> {
    let manifest = Manifest::parse(seen.body.clone(), None).expect("a manifest");
    manifest.index().expect("an index").manifests.clone()
}

#[tokio::test]
async fn the_registry_lists_page_by_page() {
    let (a, b, c) = (Digest::of(b"a"), Digest::of(b"b"), Digest::of(b"c"));
    let script = Script::new()
        .on(&api(), index(&[entry(&a, SBOM), entry(&b, "x/y")]).header("link", "</more>; rel=\"next\""))
        .with("accept", INDEX)
        .on("GET /more", index(&[entry(&b, "x/y"), entry(&c, SBOM)]))
        .on(&format!("{}?artifactType=application/x.sbom%2Bjson", api()), index(&[entry(&a, SBOM), entry(&b, "x/y")]))
        .on(
            &format!("{}?artifactType=application/x.sbom%2Bjson", api()),
            index(&[json!({ "mediaType": "a/b", "digest": a, "size": 1 })])
                .header("oci-filters-applied", "artifactType"),
        )
        .start()
        .await;
    let repository = anonymous(script.address());
    let digests = async |artifact_type| {
        let list = repository.referrers(&subject().digest, artifact_type).await.expect("a list");
        list.into_iter().map(|entry| entry.digest).collect::<Vec<_>>()
    };
    assert_eq!(digests(None).await, [a, b, c], "all of them, each once");
    assert_eq!(digests(Some(SBOM)).await, [a], "filtered here");
    assert_eq!(digests(Some(SBOM)).await, [a], "filtered there");
    script.finish();
}

#[tokio::test]
async fn without_an_api_the_tag_is_read() {
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    let html = || Reply::ok("<html>").header("content-type", "text/html");
    let image = Reply::ok(artifact(1).bytes().clone()).header("content-type", MediaType::IMAGE_MANIFEST.to_string());
    let listed = || index(&[entry(&a, "x/y"), entry(&b, SBOM), entry(&b, SBOM)]);
    for (no_api, fallback, expected) in [
        (Reply::status(404), listed(), vec![b]),
        (Reply::status(405), listed(), vec![b]),
        (html(), listed(), vec![b]),
        (Reply::status(404), Reply::status(404), vec![]),
        (Reply::status(404), image, vec![]),
    ] {
        let script = Script::new().on(&format!("{}*", api()), no_api).on(&tag("GET"), fallback).start().await;
        let repository = anonymous(script.address());
        let list = repository.referrers(&subject().digest, Some(SBOM)).await.expect("a list");
        assert_eq!(list.iter().map(|entry| entry.digest).collect::<Vec<_>>(), expected);
        script.finish();
    }
    for refusal in [400, 403, 500] {
        let script = Script::new().always(&api(), Reply::status(refusal)).start().await;
        let error = anonymous(script.address()).referrers(&subject().digest, None).await.expect_err("a refusal");
        assert!(matches!(error, Error::Refused(_)), "{error}");
        script.finish();
    }
}

#[tokio::test]
async fn a_registry_that_lists_is_left_to_it() {
    let artifact = artifact(1);
    let put = format!("PUT {}", manifest(&artifact.digest()));
    let listed = Reply::status(201).header("oci-subject", subject().digest.to_string());
    let script = Script::new().on(&put, listed).start().await;
    anonymous(script.address()).push_manifest(&artifact, None).await.expect("a push");
    script.finish();
}

#[tokio::test]
async fn where_nobody_lists_the_tag_is_written() {
    let (artifact, other) = (artifact(1), Digest::of(b"other"));
    let known = entry(&other, "x/y");
    let ours = json!({ "mediaType": MediaType::IMAGE_MANIFEST, "digest": artifact.digest(), "size": 1 });
    for (before, after, expected) in [
        (Reply::status(404), index(std::slice::from_ref(&ours)), vec![artifact.digest()]),
        (index(std::slice::from_ref(&known)), index(&[known.clone(), ours.clone()]), vec![other, artifact.digest()]),
        (index(&[known.clone(), known.clone()]), index(&[known.clone(), ours.clone()]), vec![other, artifact.digest()]),
    ] {
        let script = Script::new()
            .on(&format!("PUT {}", manifest(&artifact.digest())), Reply::status(201))
            .on_each(&tag("GET"), [before, after])
            .on(&tag("PUT"), Reply::status(201))
            .with("content-type", INDEX)
            .start()
            .await;
        anonymous(script.address()).push_manifest(&artifact, None).await.expect("a push");
        let entries = written(&script.seen()[2]);
        assert_eq!(entries.iter().map(|entry| entry.digest).collect::<Vec<_>>(), expected);
        let entry = entries.last().expect("an entry");
        assert_eq!((entry.artifact_type.as_deref(), entry.annotations["n"].as_str()), (Some(SBOM), "1"));
        assert!(entry.same_content(artifact.descriptor()));
        script.finish();
    }
}

#[tokio::test]
async fn pushing_again_writes_no_list() {
    let artifact = artifact(1);
    let script = Script::new()
        .on(&format!("PUT {}", manifest(&artifact.digest())), Reply::status(201))
        .on(&tag("GET"), index(&[entry(&artifact.digest(), SBOM)]))
        .start()
        .await;
    anonymous(script.address()).push_manifest(&artifact, None).await.expect("a push");
    script.finish();
}

#[tokio::test]
async fn a_lost_update_is_made_again_and_not_for_ever() {
    let (ours, theirs) = (artifact(1), Digest::of(b"theirs"));
    let put = format!("PUT {}", manifest(&ours.digest()));
    let lost = || index(&[entry(&theirs, "x/y")]);
    let script = Script::new()
        .on(&put, Reply::status(201))
        // Absent; then somebody else wrote after us; then all is well.
        .on_each(
            &tag("GET"),
            [Reply::status(404), lost(), index(&[entry(&theirs, "x/y"), entry(&ours.digest(), SBOM)])],
        )
        .on_each(&tag("PUT"), [Reply::status(201), Reply::status(201)])
        .start()
        .await;
    anonymous(script.address()).push_manifest(&ours, None).await.expect("a push");
    assert_eq!(written(&script.seen()[4]).len(), 2, "theirs is kept");
    script.finish();

    let script = Script::new()
        .on(&put, Reply::status(201))
        .always(&tag("GET"), lost())
        .on_each(&tag("PUT"), (0..5).map(|_| Reply::status(201)))
        .start()
        .await;
    let error = anonymous(script.address()).push_manifest(&ours, None).await.expect_err("it is never kept");
    assert!(error.to_string().contains("does not keep what is written"), "{error}");
    script.finish();
}

#[tokio::test]
async fn a_tag_that_means_something_else_is_not_overwritten() {
    let (ours, other) = (artifact(1), artifact(2));
    let image = Reply::ok(other.bytes().clone()).header("content-type", MediaType::IMAGE_MANIFEST.to_string());
    let script = Script::new()
        .on(&format!("PUT {}", manifest(&ours.digest())), Reply::status(201))
        .on(&tag("GET"), image)
        .start()
        .await;
    let error = anonymous(script.address()).push_manifest(&ours, None).await.expect_err("it is in the way");
    assert!(matches!(error, Error::Parse(_)) && error.to_string().contains("an index"), "{error}");
    script.finish();
}

#[tokio::test]
async fn a_deleted_referrer_is_struck_off() {
    let (ours, other) = (artifact(1), Digest::of(b"other"));
    let served = || Reply::ok(ours.bytes().clone()).header("content-type", MediaType::IMAGE_MANIFEST.to_string());
    let (mine, theirs) = (entry(&ours.digest(), SBOM), entry(&other, "x/y"));
    let script = Script::new()
        .on(&format!("GET {}", manifest(&ours.digest())), served())
        .on(&format!("DELETE {}", manifest(&ours.digest())), Reply::status(202))
        .on(&api(), Reply::status(404))
        .on_each(&tag("GET"), [index(&[mine, theirs.clone()]), index(&[theirs])])
        .on(&tag("PUT"), Reply::status(201))
        .start()
        .await;
    anonymous(script.address()).delete_manifest(&ours.digest()).await.expect("it was there");
    let seen = script.seen();
    let put = seen.iter().find(|seen| seen.method == http::Method::PUT).expect("a list was written");
    assert_eq!(written(put).iter().map(|entry| entry.digest).collect::<Vec<_>>(), [other]);
    script.finish();

    let script = Script::new()
        .on(&format!("GET {}", manifest(&ours.digest())), served())
        .on(&format!("DELETE {}", manifest(&ours.digest())), Reply::status(202))
        .on(&api(), index(&[]))
        .start()
        .await;
    anonymous(script.address()).delete_manifest(&ours.digest()).await.expect("it was there");
    script.finish();
}

#[tokio::test]
async fn manifests_that_are_too_large_say_how_large_they_are() {
    let config = json!({ "mediaType": "a/b", "digest": Digest::of(b""), "size": 0 });
    let sized = |n: usize| {
        let text = json!({ "schemaVersion": 2, "config": config, "layers": [], "annotations": { "a": "x".repeat(n) } });
        Manifest::parse(text.to_string(), None).expect("a manifest")
    };
    let script = Script::new().on("PUT /v2/app/manifests/*", Reply::refusal(413, "TOO_LARGE", "no")).start().await;
    let repository = anonymous(script.address());
    let manifest = sized(1_000);
    let error = repository.push_manifest(&manifest, None).await.expect_err("a refusal").to_string();
    assert!(error.contains(&format!("the manifest has {} bytes", manifest.descriptor().size)), "{error}");
    let manifest = sized(4 << 20);
    let error = repository.push_manifest(&manifest, None).await.expect_err("too large").to_string();
    assert!(error.contains(&format!("it has {} bytes", manifest.descriptor().size)), "{error}");
    script.finish();
}
