//! regctl: a client on a library of its own reads what we push, we pull what it pushes, and each sees the other's
//! referrers.

use std::path::Path;

use serde_json::json;
use spinreg::Digest;
use spinreg::content::{Blob, Source as _, Target as _};
use spinreg::copy::{CopyOptions, copy};
use spinreg::model::{Descriptor, Identifier, Manifest, MediaType, Reference, Tag};
use spinreg::registry::Repository;
use spinreg::store::Layout;

use crate::support::cli::Cli;
use crate::support::peers::{self, Door, Foreign, Speech};
use crate::support::repository::plain;
use crate::support::scenario::{app, push};
use crate::{PASSWORD, USER, login};

/// Runs regctl in a home of its own, knowing the registry and how to enter it.
async fn regctl(home: &Path, registry: &Foreign, door: Door, arguments: &[&str]) -> String {
    let address = registry.address();
    let host = match door {
        Door::Open => format!("reg={address},tls=disabled"),
        Door::Basic => format!("reg={address},tls=disabled,user={USER},pass={PASSWORD}"),
    };
    let arguments = [&["--host", &host], arguments].concat();
    peers::run("regctl", &arguments, &[("HOME", home), ("DOCKER_CONFIG", home)]).await
}

#[tokio::test]
async fn regctl_accepts_what_we_push_and_pull() {
    for (name, door) in [("distribution", Door::Basic), ("docker-registry", Door::Open)] {
        let registry = Foreign::distribution(name, door, &Speech::Plain).await;
        let room = tempfile::tempdir().expect("a temporary directory");
        let cli = Cli::new().secret(PASSWORD).secret("incorrect horse");
        if door == Door::Basic {
            login(&cli, &registry.address().to_string(), &[]).await;
        }
        for application in ["static-site", "inline-trigger", "big-assets"] {
            let reference = format!("{}/apps/{application}:v1", registry.address());
            let digest = push(&cli, &app(application), &reference, &[]).await;
            let get = ["manifest", "get", "--format", "raw-body", &reference];
            let manifest = regctl(room.path(), &registry, door, &get).await;
            assert_eq!(Digest::of(manifest.as_bytes()), digest, "regctl reads other bytes");
            // It holds every blob to its digest on the way into a layout, and out of it.
            let layout = format!("{}:v1", room.path().join(application).display());
            let directory = format!("ocidir://{layout}");
            regctl(room.path(), &registry, door, &["image", "copy", &reference, &directory]).await;
            let quiet = cli.run(["pull", "--quiet", &format!("oci:{layout}"), "--cache-dir", application]).await;
            let quiet = quiet.success();
            assert!(quiet.trim_end().ends_with(&format!("@{digest}")), "{quiet}");
            let back = format!("{}/by/regctl:{application}", registry.address());
            regctl(room.path(), &registry, door, &["image", "copy", &directory, &back]).await;
            let quiet = cli.run(["pull", "--quiet", &back]).await.success();
            assert!(quiet.trim_end().ends_with(&format!("@{digest}")), "{quiet}");
        }
    }
}

/// What our copy writes into a layout is as good to others as what their own tools write.
#[tokio::test]
async fn regctl_pushes_the_layout_that_we_pull() {
    let registry = Foreign::distribution("distribution", Door::Open, &Speech::Plain).await;
    let cli = Cli::new();
    let reference = format!("{}/apps/static-site:v1", registry.address());
    let digest = push(&cli, &app("static-site"), &reference, &[]).await;
    let client = plain().build().expect("options that fit");
    let parsed: Reference = reference.parse().expect("a reference");
    let room = tempfile::tempdir().expect("a temporary directory");
    let layout = Layout::create(room.path().join("layout")).await.expect("a new layout");
    let tag: Tag = "v1".parse().expect("a tag");
    let id = Identifier::Tag(tag.clone());
    copy(&client.repository(&parsed), &id, &layout, Some(&tag), &CopyOptions::default()).await.expect("a copy");
    let (from, to) = (format!("ocidir://{}:v1", layout.root().display()), reference.replace("apps", "again"));
    regctl(room.path(), &registry, Door::Open, &["image", "copy", &from, &to]).await;
    let quiet = cli.run(["pull", "--quiet", &to]).await.success();
    assert!(quiet.trim_end().ends_with(&format!("@{digest}")), "{quiet}");
}

/// Neither registry has the referrers API: each client keeps the list under the tag, and reads the other's entries.
#[tokio::test]
async fn regctl_and_we_keep_one_list_of_referrers() {
    const SBOM: &str = "application/x.sbom+json";
    for name in ["distribution", "docker-registry"] {
        let registry = Foreign::distribution(name, Door::Open, &Speech::Plain).await;
        let reference = format!("{}/apps/inline-trigger:v1", registry.address());
        let digest = push(&Cli::new(), &app("inline-trigger"), &reference, &[]).await;
        let room = tempfile::tempdir().expect("a temporary directory");
        let file = room.path().join("sbom.json");
        std::fs::write(&file, "{\"theirs\":1}").expect("a file in a temporary directory");
        let file = file.to_str().expect("a path");
        let put = ["artifact", "put", "--artifact-type", SBOM, "--subject", &reference, "-f", file, "-m", SBOM];
        regctl(room.path(), &registry, Door::Open, &put).await;

        let client = plain().build().expect("options that fit");
        let parsed: Reference = reference.parse().expect("a reference");
        let repository = client.repository(&parsed).for_push();
        let theirs = repository.referrers(&digest, Some(SBOM)).await.expect("a list");
        assert_eq!(theirs.len(), 1, "{theirs:?}");

        let subject = Identifier::Digest(digest);
        let subject = repository.resolve(&subject).await.expect("what was pushed");
        let ours = artifact(&repository, SBOM, &subject).await;
        let listed = repository.referrers(&digest, Some(SBOM)).await.expect("a list");
        let listed: Vec<Digest> = listed.into_iter().map(|referrer| referrer.digest).collect();
        assert_eq!(listed, [theirs[0].digest, ours], "nothing of theirs is lost");
        let list = ["artifact", "list", "--format", "{{range .Descriptors}}{{println .Digest}}{{end}}", &reference];
        let printed = regctl(room.path(), &registry, Door::Open, &list).await;
        let printed: Vec<Digest> = printed.split_whitespace().map(|line| line.parse().expect("a digest")).collect();
        assert_eq!(printed, listed, "regctl reads our list");
    }
}

/// Pushes something that refers to `subject`.
async fn artifact(repository: &Repository, kind: &str, subject: &Descriptor) -> Digest {
    let empty = MediaType::from_header("application/vnd.oci.empty.v1+json").expect("a media type");
    let blob = Blob::from_bytes(empty, "{}");
    repository.push_blob(&blob).await.expect("a blob");
    let empty = blob.descriptor();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::IMAGE_MANIFEST,
        "artifactType": kind,
        "config": empty,
        "layers": [empty],
        "subject": subject,
    });
    let manifest = Manifest::parse(manifest.to_string(), None).expect("a manifest");
    repository.push_manifest(&manifest, None).await.expect("a manifest with a subject");
    manifest.digest()
}
