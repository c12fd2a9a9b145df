//! oras: a client for artifacts of any kind reads what we push, we read what it pushes, and each sees what the other has
//! attached, whether the registry keeps the list or nobody but clients does.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use spinreg::content::{Blob, Source as _, Target as _};
use spinreg::model::{Digest, Identifier, Manifest, MediaType, Reference, Tag};
use spinreg::registry::{Listing, Repository};

use crate::support::cli::Cli;
use crate::support::peers::{self, Door, Foreign, Speech};
use crate::support::registry::Embedded;
use crate::support::repository::plain;
use crate::support::scenario::{app, push};

const SBOM: &str = "application/x.sbom+json";
const TITLE: &str = "org.opencontainers.image.title";

/// A registry of any make, as far as it is known by its address.
enum Home {
    Foreign(Foreign),
    Ours(Embedded),
}

impl Home {
    /// Two that keep lists of referrers, and one that does not.
    async fn all() -> [Self; 3] {
        [
            Self::Foreign(Foreign::olareg(&Speech::Plain).await),
            Self::Ours(Embedded::start().await),
            Self::Foreign(Foreign::distribution("distribution", Door::Open, &Speech::Plain).await),
        ]
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Foreign(registry) => registry.address(),
            Self::Ours(registry) => registry.address(),
        }
    }
}

/// Runs oras in a home of its own. Flags come last: what they say of a registry holds for the ones before them.
async fn oras(home: &Path, arguments: &[&str]) -> String {
    peers::run("oras", arguments, &[("HOME", home), ("DOCKER_CONFIG", home)]).await
}

fn repository(reference: &str) -> Repository {
    let reference: Reference = reference.parse().expect("a reference");
    plain().build().expect("options that fit").repository(&reference).for_push()
}

fn media_type(text: &str) -> MediaType {
    MediaType::from_header(text).expect("a media type")
}

fn tagged(text: &str) -> Identifier {
    Identifier::Tag(text.parse().expect("a tag"))
}

/// Its answer in JSON to what refers to something, as digests.
async fn discovered(home: &Path, reference: &str, flags: &[&str]) -> BTreeSet<Digest> {
    let listed = oras(home, &[&["discover", "--plain-http", "--format", "json", reference], flags].concat()).await;
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let referrers = listed["referrers"].as_array().expect("a list").iter();
    referrers.map(|entry| entry["digest"].as_str().expect("a digest").parse().expect("a digest")).collect()
}

#[tokio::test]
async fn oras_copies_what_we_push_and_we_pull_its_copy() {
    for home in Home::all().await {
        let room = tempfile::tempdir().expect("a temporary directory");
        let cli = Cli::new();
        for name in ["static-site", "inline-trigger", "big-assets"] {
            let reference = format!("{}/apps/{name}:v1", home.address());
            let digest = push(&cli, &app(name), &reference, &[]).await;
            let manifest = oras(room.path(), &["manifest", "fetch", "--plain-http", &reference]).await;
            assert_eq!(Digest::of(manifest.as_bytes()), digest, "oras reads other bytes");
            // It holds every blob to its digest on the way into a layout, and out of it.
            let layout = format!("{}:v1", room.path().join(name).display());
            oras(room.path(), &["copy", "--from-plain-http", "--to-oci-layout", &reference, &layout]).await;
            let back = format!("{}/by/oras:{name}", home.address());
            oras(room.path(), &["copy", "--from-oci-layout", "--to-plain-http", &layout, &back]).await;
            for (source, cache) in [(format!("oci:{layout}"), "layout"), (back, "registry")] {
                let quiet = cli.run(["pull", "--quiet", &source, "--cache-dir", &format!("{name}-{cache}")]).await;
                let quiet = quiet.success();
                assert!(quiet.trim_end().ends_with(&format!("@{digest}")), "{quiet}");
            }
        }
        let tags = oras(room.path(), &["repo", "tags", "--plain-http", &format!("{}/by/oras", home.address())]).await;
        let theirs: BTreeSet<_> = tags.lines().collect();
        assert_eq!(theirs, BTreeSet::from(["big-assets", "inline-trigger", "static-site"]));
    }
}

/// What the library pushes is a file to `oras pull`; what `oras push` makes of files the library reads.
#[tokio::test]
async fn artifacts_go_both_ways() {
    for home in Home::all().await {
        let room = tempfile::tempdir().expect("a temporary directory");
        let (ours, theirs) = (format!("{}/ours:v1", home.address()), format!("{}/theirs:v1", home.address()));
        let repository = repository(&ours);
        let (config, file) =
            (Blob::from_bytes(media_type("application/x.config"), "{}"), Blob::from_bytes(media_type(SBOM), "[1,2]"));
        for blob in [&config, &file] {
            repository.push_blob(blob).await.expect("a blob");
        }
        let mut layer = file.descriptor().clone();
        layer.annotations.insert(TITLE.to_owned(), "sbom.json".to_owned());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::IMAGE_MANIFEST,
            "artifactType": SBOM,
            "config": config.descriptor(),
            "layers": [layer],
        });
        let manifest = Manifest::parse(manifest.to_string(), None).expect("a manifest");
        repository.push_manifest(&manifest, Some(&"v1".parse().expect("a tag"))).await.expect("a manifest");
        let out = room.path().join("out");
        oras(room.path(), &["pull", "--plain-http", &ours, "--output", out.to_str().expect("a path")]).await;
        assert_eq!(std::fs::read(out.join("sbom.json")).expect("what oras has pulled"), b"[1,2]");

        let large = vec![7; 3 << 20];
        std::fs::write(room.path().join("large"), &large).expect("a file in a temporary directory");
        std::fs::write(room.path().join("empty"), "").expect("a file in a temporary directory");
        let [large_file, empty_file] = ["large", "empty"]
            .map(|name| format!("{}:application/x.{name}", room.path().join(name).to_str().expect("a path")));
        let push = ["push", "--plain-http", "--disable-path-validation", "--artifact-type", SBOM];
        oras(room.path(), &[&push[..], &["--annotation", "by=oras", &theirs, &large_file, &empty_file]].concat()).await;
        let repository = self::repository(&theirs);
        let read = repository.manifest(&tagged("v1")).await.expect("a manifest");
        assert_eq!(repository.resolve(&tagged("v1")).await.expect("a manifest").digest, read.digest());
        let image = read.image().expect("an image manifest");
        assert_eq!((image.artifact_type.as_deref(), read.annotations()["by"].as_str()), (Some(SBOM), "oras"));
        let mut contents = Vec::new();
        for layer in &image.layers {
            contents.push(repository.blob(layer).read(4 << 20).await.expect("a blob"));
        }
        assert_eq!(contents, [&large[..], b""]);
        let tags: Vec<Tag> = repository.tags(Listing::default()).try_collect().await.expect("a list");
        assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["v1"]);
    }
}

/// Each sees what the other has attached, and what it has taken away again.
#[tokio::test]
async fn we_and_oras_keep_one_list_of_referrers() {
    for home in Home::all().await {
        let room = tempfile::tempdir().expect("a temporary directory");
        let reference = format!("{}/apps/inline-trigger:v1", home.address());
        let subject = push(&Cli::new(), &app("inline-trigger"), &reference, &[]).await;
        let file = room.path().join("sbom.json");
        std::fs::write(&file, "{\"theirs\":1}").expect("a file in a temporary directory");
        let file = format!("{}:{SBOM}", file.to_str().expect("a path"));
        let attach = ["attach", "--plain-http", "--disable-path-validation", "--annotation", "by=oras"];
        for kind in [SBOM, "application/x.signature"] {
            oras(room.path(), &[&attach[..], &["--artifact-type", kind, &reference, &file]].concat()).await;
        }
        let repository = repository(&reference);
        let theirs = repository.referrers(&subject, Some(SBOM)).await.expect("a list");
        assert_eq!(theirs.len(), 1, "{theirs:?}");
        assert_eq!((theirs[0].artifact_type.as_deref(), theirs[0].annotations["by"].as_str()), (Some(SBOM), "oras"));
        let described = repository.resolve(&Identifier::Digest(subject)).await.expect("what was pushed");
        let empty = Blob::from_bytes(media_type("application/vnd.oci.empty.v1+json"), "{}");
        repository.push_blob(&empty).await.expect("a blob");
        let ours = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::IMAGE_MANIFEST,
            "artifactType": SBOM,
            "config": empty.descriptor(),
            "layers": [empty.descriptor()],
            "subject": described,
        });
        let ours = Manifest::parse(ours.to_string(), None).expect("a manifest");
        repository.push_manifest(&ours, None).await.expect("a manifest with a subject");

        let listed = async |kind| {
            let listed = repository.referrers(&subject, kind).await.expect("a list");
            listed.into_iter().map(|referrer| referrer.digest).collect::<BTreeSet<_>>()
        };
        let all = listed(None).await;
        assert_eq!(all.len(), 3, "nothing of theirs is lost");
        assert_eq!(discovered(room.path(), &reference, &[]).await, all);
        let sboms = BTreeSet::from([theirs[0].digest, ours.digest()]);
        assert_eq!(listed(Some(SBOM)).await, sboms);
        assert_eq!(discovered(room.path(), &reference, &["--artifact-type", SBOM]).await, sboms);

        let delete = format!("{}@{}", reference.trim_end_matches(":v1"), ours.digest());
        oras(room.path(), &["manifest", "delete", "--plain-http", "--force", &delete]).await;
        assert_eq!(listed(Some(SBOM)).await, BTreeSet::from([theirs[0].digest]), "oras has taken ours off the list");
        repository.delete_manifest(&theirs[0].digest).await.expect("a deletion");
        assert_eq!(listed(Some(SBOM)).await, BTreeSet::new());
        assert_eq!(discovered(room.path(), &reference, &[]).await, listed(None).await, "we have taken theirs off it");
        assert_eq!(listed(None).await.len(), 1);
    }
}
