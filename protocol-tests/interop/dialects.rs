//! Four registries that leave different things out: the library's calls come to the same there, or say what is not to be
//! had.

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use serde_json::json;
use spinreg::content::{Blob, Pushed, Source as _, Target as _};
use spinreg::model::{ErrorCode, Identifier, Manifest, MediaType, Tag};
use spinreg::registry::{Client, Listing, Mounts, Repository, Uploads};
use spinreg::{Error, Reference};

use crate::support::front::{Front, Fronted};
use crate::support::peers::{Door, Foreign, Speech};
use crate::support::repository::plain;

/// A registry, somebody before it who notes what is asked, and who asks.
struct Site {
    name: &'static str,
    front: Fronted,
    client: Client,
    _registry: Foreign,
}

impl Site {
    async fn all() -> Vec<Self> {
        let mut sites = Vec::new();
        for (name, registry) in [
            ("docker-registry", Foreign::distribution("docker-registry", Door::Open, &Speech::Plain).await),
            ("distribution", Foreign::distribution("distribution", Door::Open, &Speech::Plain).await),
            ("olareg", Foreign::olareg(&Speech::Plain).await),
            ("crane", Foreign::crane().await),
        ] {
            let front = Front::before(registry.address()).start().await;
            sites.push(Self { name, front, client: plain().build().expect("options that fit"), _registry: registry });
        }
        sites
    }

    fn repository(&self, name: &str) -> Repository {
        let reference: Reference = format!("{}/{name}", self.front.registry()).parse().expect("a reference");
        self.client.repository(&reference).for_push()
    }
}

fn blob(bytes: impl Into<Bytes>) -> Blob {
    Blob::from_bytes(MediaType::OCTET_STREAM, bytes)
}

/// Makes `n` bytes that differ from those of another `salt`: crane's registry keeps the blobs of all repositories in one
/// place.
fn bytes(n: usize, salt: usize) -> Bytes {
    (0..n).map(|n| (n / 3 + n / 256 + salt) as u8).collect()
}

#[tokio::test]
async fn blobs_of_all_sizes_go_up_whole_and_in_chunks_and_come_back_from_anywhere() {
    const SIZE: usize = 200_000;
    let chunk = NonZeroU64::new(64 << 10).expect("not zero");
    let in_chunks = Uploads::default().in_chunks_of(chunk);
    for site in Site::all().await {
        let name = site.name;
        for (way, uploads, sizes) in
            [("whole", Uploads::default(), &[0, 1, SIZE][..]), ("in chunks", in_chunks, &[1, SIZE])]
        {
            let repository = site.repository("app").uploading(uploads);
            for &size in sizes {
                let (bytes, context) = (bytes(size, way.len()), format!("{name}, {size} bytes {way}"));
                let blob = blob(bytes.clone());
                assert_eq!(repository.push_blob(&blob).await.expect(&context), Pushed::Uploaded, "{context}");
                // crane's registry opens an upload whatever it has, and takes the blob again.
                let again = if name == "crane" { Pushed::Uploaded } else { Pushed::Existed };
                assert_eq!(repository.push_blob(&blob).await.expect(&context), again, "{context}");
                for offset in BTreeSet::from([0, size / 2, size.saturating_sub(1), size]) {
                    let mut body = repository.blob(blob.descriptor()).open(offset as u64).await.expect(&context);
                    let mut read = BytesMut::new();
                    while let Some(chunk) = body.chunk().await {
                        read.extend_from_slice(&chunk.expect(&context));
                    }
                    assert_eq!(read, bytes[offset..], "{context}, from {offset}");
                }
            }
        }
        assert!(site.front.wire().count("PATCH ") >= 3, "{name}: {:#?}", site.front.wire().lines());
    }
}

#[tokio::test]
async fn a_mount_is_worth_one_request() {
    for site in Site::all().await {
        let (name, here, there) = (site.name, site.repository("team/here"), site.repository("team/there"));
        let blob = blob("to be mounted");
        here.push_blob(&blob).await.expect(name);
        let known = blob.clone().from_repository(here.registry().clone(), here.name().clone());
        // crane's registry keeps the blobs of all repositories in one place, and says so to a `HEAD` alone.
        let (how, otherwise, posts) = match name {
            "crane" => (Pushed::Uploaded, Pushed::Existed, 1),
            _ => (Pushed::Mounted, Pushed::Uploaded, 2),
        };
        site.front.wire().take();
        assert_eq!(there.push_blob(&known).await.expect(name), how, "{name}");
        // Where it is not said: none of them looks, and the session that they open instead is the one that is used.
        let anywhere = site.repository("elsewhere").uploading(Uploads::default().mounting(Mounts::Anywhere));
        assert_eq!(anywhere.push_blob(&blob).await.expect(name), otherwise, "{name}");
        assert_eq!(site.front.wire().count("POST "), posts, "{name}: {:#?}", site.front.wire().lines());
        for repository in [there, anywhere] {
            assert_eq!(repository.blob(blob.descriptor()).read(99).await.expect(name), "to be mounted", "{name}");
        }
    }
}

#[tokio::test]
async fn tags_are_listed_in_full_and_deleted_or_not() {
    for site in Site::all().await {
        let (name, repository) = (site.name, site.repository("app"));
        let config = blob("{}");
        repository.push_blob(&config).await.expect(name);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::IMAGE_MANIFEST,
            "config": config.descriptor(),
            "layers": [],
        });
        let manifest = Manifest::parse(manifest.to_string(), None).expect("a manifest");
        let tag = |text: &str| text.parse::<Tag>().expect("a tag");
        for text in ["v2", "v10", "v1"] {
            repository.push_manifest(&manifest, Some(&tag(text))).await.expect(name);
        }
        let all = BTreeSet::from(["v1", "v10", "v2"].map(tag));
        for listing in [Listing::default(), Listing::default().in_pages_of(NonZeroU32::MIN)] {
            let tags: Vec<Tag> = repository.tags(listing).try_collect().await.expect(name);
            assert_eq!(tags.iter().cloned().collect::<BTreeSet<_>>(), all, "{name}: {tags:?}");
            assert_eq!(tags.len(), all.len(), "{name}, each once: {tags:?}");
        }
        match (name, repository.delete_tag(&tag("v10")).await) {
            ("docker-registry", outcome) => {
                let error = outcome.expect_err("it deletes no tags");
                assert_eq!(error.code(), Some(&ErrorCode::Unsupported), "{error}");
                assert!(error.to_string().contains("does not let tags be deleted"), "{error}");
            }
            (name, outcome) => {
                outcome.expect(name);
                let gone = repository.resolve(&Identifier::Tag(tag("v10"))).await;
                assert!(gone.is_err_and(|error| error.is_not_found()), "{name}");
            }
        }
        repository.resolve(&Identifier::Tag(tag("v1"))).await.expect("another tag");
        repository.delete_manifest(&manifest.digest()).await.expect(name);
        let gone = repository.resolve(&Identifier::Digest(manifest.digest())).await;
        assert!(gone.is_err_and(|error| error.is_not_found()), "{name}");
        repository.delete_blob(&config.descriptor().digest).await.expect(name);
        assert!(!repository.exists(config.descriptor()).await.expect(name), "{name}");
        // A repository that has nothing, or is nothing.
        let tags: Result<Vec<Tag>, Error> = site.repository("never/seen").tags(Listing::default()).try_collect().await;
        match tags {
            Ok(tags) => assert!(tags.is_empty(), "{name}: {tags:?}"),
            Err(error) => assert!(error.is_not_found(), "{name}: {error}"),
        }
    }
}
