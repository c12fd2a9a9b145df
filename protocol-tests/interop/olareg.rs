//! olareg: the library's calls against a registry of another make that has all of distribution-spec 1.1.

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};

use futures_util::TryStreamExt as _;
use serde_json::json;
use spinreg::content::{Blob, Pushed, Source as _, Target as _};
use spinreg::model::{Algorithm, Descriptor, Digest, ErrorCode, Identifier, Manifest, MediaType, Tag};
use spinreg::registry::{Client, Listing, Mounts, Repository, Uploads};
use spinreg::{Error, Reference};

use crate::support::front::{Front, Fronted};
use crate::support::peers::{Door, Foreign, Speech};
use crate::support::repository::plain;

const SBOM: &str = "application/x.sbom+json";
/// Every right that there is to delete something.
const DELETING: &[&str] = &["--api-delete", "--api-blob-delete"];

/// olareg, and before it somebody who notes what is asked.
async fn registry(flags: &[&str]) -> (Foreign, Fronted, Client) {
    let registry = Foreign::olareg_with(&Speech::Plain, flags).await;
    let front = Front::before(registry.address()).start().await;
    (registry, front, plain().build().expect("options that fit"))
}

fn repository(client: &Client, front: &Fronted, name: &str) -> Repository {
    let reference: Reference = format!("{}/{name}", front.registry()).parse().expect("a reference");
    client.repository(&reference).for_push()
}

fn octets() -> MediaType {
    MediaType::from_header("application/octet-stream").expect("a media type")
}

/// Pushes a manifest whose only content is `{}`.
async fn push(repository: &Repository, change: impl FnOnce(&mut serde_json::Value), tag: Option<&str>) -> Manifest {
    let empty = MediaType::from_header("application/vnd.oci.empty.v1+json").expect("a media type");
    let blob = Blob::from_bytes(empty, "{}");
    repository.push_blob(&blob).await.expect("a blob");
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::IMAGE_MANIFEST,
        "config": blob.descriptor(),
        "layers": [blob.descriptor()],
    });
    change(&mut manifest);
    let manifest = Manifest::parse(manifest.to_string(), None).expect("a manifest");
    let tag = tag.map(|tag| tag.parse().expect("a tag"));
    repository.push_manifest(&manifest, tag.as_ref()).await.expect("a manifest");
    manifest
}

async fn referrers(repository: &Repository, subject: &Manifest, kind: Option<&str>) -> Vec<Digest> {
    let listed = repository.referrers(&subject.digest(), kind).await.expect("a list");
    listed.into_iter().map(|referrer| referrer.digest).collect()
}

/// More referrers than go on a page: each has an annotation of 900 KiB, and a page has 4 MiB.
#[tokio::test]
async fn referrers_come_in_pages_and_by_type() {
    let (_registry, front, client) = registry(DELETING).await;
    let repository = repository(&client, &front, "app");
    let subject = push(&repository, |_| {}, Some("v1")).await;
    assert!(referrers(&repository, &subject, None).await.is_empty());
    let mut all = Vec::new();
    for n in 0..7 {
        let kind = if n == 3 { "application/x.signature" } else { SBOM };
        let artifact = push(
            &repository,
            |manifest| {
                manifest["artifactType"] = json!(kind);
                manifest["subject"] = json!(subject.descriptor());
                manifest["annotations"] = json!({ "n": n.to_string(), "large": "x".repeat(900 << 10) });
            },
            None,
        );
        all.push((kind, artifact.await.digest()));
    }
    front.wire().take();
    let of = |wanted: Option<&str>| {
        let kept = all.iter().filter(|(kind, _)| wanted.is_none_or(|wanted| wanted == *kind));
        kept.map(|(_, digest)| *digest).collect::<Vec<_>>()
    };
    let asked = format!("GET /v2/app/referrers/{}", subject.digest());
    // It keeps the pages, and answers from them without saying that it has filtered.
    for kind in [None, None, Some(SBOM), Some(SBOM), Some("application/x.signature"), Some("application/x.none")] {
        assert_eq!(referrers(&repository, &subject, kind).await, of(kind), "{kind:?}");
        let pages = if kind.is_none_or(|kind| kind == SBOM) { 2 } else { 1 };
        let lines = front.wire().take();
        assert_eq!(lines.iter().filter(|line| line.starts_with(&asked)).count(), pages, "{lines:#?}");
        assert_eq!(lines.len(), pages, "nothing else is asked: {lines:#?}");
    }
    // What it deletes it takes off the list, and nobody writes one besides.
    repository.delete_manifest(&all[1].1).await.expect("a deletion");
    let left: BTreeSet<_> = of(None).into_iter().filter(|digest| *digest != all[1].1).collect();
    assert_eq!(referrers(&repository, &subject, None).await.into_iter().collect::<BTreeSet<_>>(), left);
    let written = front.wire().lines().into_iter().filter(|line| line.starts_with("PUT ")).count();
    assert_eq!(written, 0, "{:#?}", front.wire().lines());
}

#[tokio::test]
async fn a_referrer_may_be_there_before_its_subject() {
    let (_registry, front, client) = registry(DELETING).await;
    let repository = repository(&client, &front, "app");
    let subject = Descriptor::of(MediaType::IMAGE_MANIFEST, b"a manifest that comes later");
    let artifact = push(
        &repository,
        |manifest| {
            manifest["artifactType"] = json!(SBOM);
            manifest["subject"] = json!(subject);
            manifest["annotations"] = json!({ "by": "ada" });
        },
        None,
    );
    let artifact = artifact.await;
    let listed = repository.referrers(&subject.digest, Some(SBOM)).await.expect("a list");
    assert_eq!(listed.len(), 1);
    assert!(listed[0].same_content(artifact.descriptor()));
    assert_eq!((listed[0].artifact_type.as_deref(), listed[0].annotations["by"].as_str()), (Some(SBOM), "ada"));
    assert_eq!(front.wire().count("PUT /v2/app/manifests/sha256-"), 0, "`OCI-Subject` says that it keeps the list");
}

#[tokio::test]
async fn tags_are_listed_and_deleted() {
    let (_registry, front, client) = registry(DELETING).await;
    let repository = repository(&client, &front, "app");
    let one = push(&repository, |manifest| manifest["annotations"] = json!({ "n": "1" }), Some("v1")).await;
    push(&repository, |manifest| manifest["annotations"] = json!({ "n": "1" }), Some("v2")).await;
    let two = push(&repository, |manifest| manifest["annotations"] = json!({ "n": "2" }), Some("v3")).await;
    let list = async |listing: Listing| {
        let tags: Vec<Tag> = repository.tags(listing).try_collect().await.expect("a list");
        tags.iter().map(Tag::to_string).collect::<Vec<_>>()
    };
    let tag = |text: &str| text.parse::<Tag>().expect("a tag");
    assert_eq!(list(Listing::default()).await, ["v1", "v2", "v3"]);
    front.wire().take();
    let by_one = || Listing::default().in_pages_of(NonZeroU32::MIN);
    assert_eq!(list(by_one()).await, ["v1", "v2", "v3"]);
    assert_eq!(front.wire().count("GET /v2/app/tags/list"), 3, "{:#?}", front.wire().lines());
    assert_eq!(list(by_one().after(tag("v1"))).await, ["v2", "v3"]);

    repository.delete_tag(&tag("v2")).await.expect("a deletion");
    assert_eq!(list(Listing::default()).await, ["v1", "v3"]);
    repository.manifest(&Identifier::Tag(tag("v1"))).await.expect("the manifest has another tag");
    assert!(repository.delete_tag(&tag("v2")).await.expect_err("it is gone").is_not_found());

    repository.delete_manifest(&two.digest()).await.expect("a deletion");
    assert_eq!(list(Listing::default()).await, ["v1"], "tags go with what they point to");
    assert!(repository.delete_manifest(&two.digest()).await.expect_err("it is gone").is_not_found());
    repository.resolve(&Identifier::Digest(one.digest())).await.expect("nobody has deleted this one");

    let blob = Blob::from_bytes(octets(), "nobody needs this");
    assert_eq!(repository.push_blob(&blob).await.expect("a blob"), Pushed::Uploaded);
    repository.delete_blob(&blob.descriptor().digest).await.expect("a deletion");
    assert!(!repository.exists(blob.descriptor()).await.expect("an answer"));
    assert!(repository.blob(blob.descriptor()).read(99).await.expect_err("it is gone").is_not_found());
}

#[tokio::test]
async fn a_registry_that_does_not_delete_says_so() {
    let (_registry, front, client) = registry(&[]).await;
    let repository = repository(&client, &front, "app");
    let manifest = push(&repository, |_| {}, Some("v1")).await;
    let tag = "v1".parse().expect("a tag");
    for (outcome, kind) in [
        (repository.delete_tag(&tag).await, "tags"),
        (repository.delete_manifest(&manifest.digest()).await, "manifests"),
        (repository.delete_blob(&Digest::of(b"{}")).await, "blobs"),
    ] {
        let error = outcome.expect_err("a refusal");
        assert_eq!(error.code(), Some(&ErrorCode::Unsupported), "{error}");
        assert!(error.to_string().contains(&format!("does not let {kind} be deleted")), "{error}");
    }
    repository.resolve(&Identifier::Tag(tag)).await.expect("all is as it was");
}

/// Content that is known by its SHA-512, from blobs to what refers to a manifest.
#[tokio::test]
async fn content_may_be_known_by_its_sha512() {
    let (_registry, front, client) = registry(DELETING).await;
    let repository = repository(&client, &front, "app").uploading(Uploads::default());
    let room = tempfile::tempdir().expect("a temporary directory");
    let (file, bytes) = (room.path().join("blob"), b"0123456789".repeat(50_000));
    std::fs::write(&file, &bytes).expect("a file in a temporary directory");
    let digest = Digest::of_with(Algorithm::Sha512, &bytes);
    let blob = Blob::file(Descriptor::new(octets(), digest, bytes.len() as u64), &file);
    let in_chunks =
        repository.clone().uploading(Uploads::default().in_chunks_of(NonZeroU64::new(1 << 17).expect("not zero")));
    for repository in [&repository, &in_chunks] {
        assert_eq!(repository.push_blob(&blob).await.expect("a blob"), Pushed::Uploaded);
        assert_eq!(repository.push_blob(&blob).await.expect("a blob"), Pushed::Existed);
        assert_eq!(repository.blob(blob.descriptor()).read(1 << 20).await.expect("a blob"), bytes);
        repository.delete_blob(&digest).await.expect("a deletion");
    }
    assert!(front.wire().count("PATCH ") > 1, "{:#?}", front.wire().lines());
    repository.push_blob(&blob).await.expect("a blob");

    let manifest = push(&repository, |manifest| manifest["layers"] = json!([blob.descriptor()]), Some("v1")).await;
    let named = Digest::of_with(Algorithm::Sha512, manifest.bytes());
    let manifest = Manifest::parse_named(manifest.bytes().clone(), None, named).expect("a manifest");
    repository.push_manifest(&manifest, None).await.expect("a manifest");
    let read = repository.manifest(&Identifier::Digest(named)).await.expect("a manifest");
    assert_eq!((read.digest(), read.bytes()), (named, manifest.bytes()));
    let artifact = push(
        &repository,
        |artifact| {
            artifact["artifactType"] = json!(SBOM);
            artifact["subject"] = json!(manifest.descriptor());
        },
        None,
    );
    assert_eq!([artifact.await.digest()][..], referrers(&repository, &manifest, Some(SBOM)).await);
}

/// Registries of old store such content under its SHA-256 and say that all is well.
#[tokio::test]
async fn another_algorithm_than_was_asked_for_is_no_success() {
    for name in ["distribution", "docker-registry"] {
        let registry = Foreign::distribution(name, Door::Open, &Speech::Plain).await;
        let front = Front::before(registry.address()).start().await;
        let repository = repository(&plain().build().expect("options that fit"), &front, "app");
        let room = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(room.path().join("blob"), "content").expect("a file in a temporary directory");
        let digest = Digest::of_with(Algorithm::Sha512, b"content");
        let blob = Blob::file(Descriptor::new(octets(), digest, 7), room.path().join("blob"));
        let error = repository.push_blob(&blob).await.expect_err("it was stored under another name");
        assert!(matches!(error, Error::Protocol(_)), "{name}: {error}");
        assert!(error.to_string().contains("another digest"), "{name}: {error}");
    }
}

#[tokio::test]
async fn blobs_are_mounted_from_where_they_are() {
    let (_registry, front, client) = registry(DELETING).await;
    let (here, there) = (repository(&client, &front, "team/here"), repository(&client, &front, "team/there"));
    let blob = Blob::from_bytes(octets(), "to be mounted");
    assert_eq!(here.push_blob(&blob).await.expect("a blob"), Pushed::Uploaded);
    let known = blob.clone().from_repository(here.registry().clone(), here.name().clone());
    assert_eq!(there.push_blob(&known).await.expect("a blob"), Pushed::Mounted);
    assert_eq!(there.blob(blob.descriptor()).read(99).await.expect("a blob"), "to be mounted");

    // Without a word of where it is, olareg looks nowhere, and opens a session: that one is used.
    let elsewhere = repository(&client, &front, "elsewhere");
    front.wire().take();
    let anywhere = elsewhere.clone().uploading(Uploads::default().mounting(Mounts::Anywhere));
    assert_eq!(anywhere.push_blob(&blob).await.expect("a blob"), Pushed::Uploaded);
    assert_eq!(front.wire().count("POST "), 1, "{:#?}", front.wire().lines());
    assert_eq!(elsewhere.blob(blob.descriptor()).read(99).await.expect("a blob"), "to be mounted");
    // A repository that has not got it is no reason to fail.
    let wrong = Blob::from_bytes(octets(), "something else");
    let wrong = wrong.from_repository(here.registry().clone(), here.name().clone());
    assert_eq!(there.push_blob(&wrong).await.expect("a blob"), Pushed::Uploaded);
}
