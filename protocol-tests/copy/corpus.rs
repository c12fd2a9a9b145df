//! Something to copy.
#![allow(dead_code, reason = "each test target uses its own part")]

use std::path::Path;

use serde_json::{Value, json};
use spinreg::content::{Blob, Source, Target as _};
use spinreg::model::{Algorithm, Descriptor, Digest, Identifier, Manifest, MediaType, Platform, Tag};
use spinreg::store::Layout;

/// An index for two platforms, with an SBOM that is signed, a signature of one platform's manifest that is in a list only,
/// as clients keep it, and one under a tag of cosign's make. Spelt in a way that nobody would print again.
pub(crate) struct Corpus {
    pub(crate) index: Digest,
    pub(crate) arm64: Digest,
    pub(crate) sbom: Digest,
    pub(crate) signature_of_arm64: Digest,
    manifests: Vec<Manifest>,
    blobs: Vec<(Descriptor, Vec<u8>)>,
    /// How many of the manifests are the index and what is below it.
    core: usize,
}

struct Maker {
    layout: Layout,
    manifests: Vec<Manifest>,
    blobs: Vec<(Descriptor, Vec<u8>)>,
    /// How the layers are named that images do not share.
    algorithm: Algorithm,
}

impl Maker {
    async fn blob(&mut self, algorithm: Algorithm, content: &[u8]) -> Descriptor {
        let digest = Digest::of_with(algorithm, content);
        let descriptor = Descriptor::new(MediaType::OCTET_STREAM, digest, content.len() as u64);
        let blob = Blob::memory(descriptor.clone(), content.to_vec());
        self.layout.push_blob(&blob).await.expect("good content");
        self.blobs.push((descriptor.clone(), content.to_vec()));
        descriptor
    }

    async fn push(&mut self, document: &Value, tag: Option<&str>) -> Descriptor {
        let text = serde_json::to_string_pretty(document).expect("JSON").replace("  ", "\t");
        let manifest = Manifest::parse(text, None).expect("a manifest");
        let tag: Option<Tag> = tag.map(|tag| tag.parse().expect("a tag"));
        self.layout.push_manifest(&manifest, tag.as_ref()).await.expect("its content is there");
        self.manifests.push(manifest.clone());
        manifest.descriptor().clone()
    }

    async fn image(&mut self, name: &str) -> Descriptor {
        let config = self.blob(Algorithm::Sha256, format!("config of {name}").as_bytes()).await;
        let shared = self.blob(Algorithm::Sha256, &vec![7; 200_000]).await;
        let own = self.blob(self.algorithm, name.repeat(1000).as_bytes()).await;
        let empty = self.blob(Algorithm::Sha256, b"").await;
        let image = json!({
            "schemaVersion": 2, "mediaType": MediaType::IMAGE_MANIFEST, "config": config, "layers": [shared, own, empty],
        });
        self.push(&image, None).await
    }

    async fn referrer(&mut self, kind: &str, subject: Option<&Descriptor>, tag: Option<&str>) -> Descriptor {
        let empty = self.blob(Algorithm::Sha256, b"{}").await;
        let layer = self.blob(Algorithm::Sha256, kind.as_bytes()).await;
        let mut artifact = json!({
            "schemaVersion": 2, "mediaType": MediaType::IMAGE_MANIFEST, "artifactType": kind,
            "config": empty, "layers": [layer],
        });
        if let Some(subject) = subject {
            artifact["subject"] = json!({
                "mediaType": subject.media_type, "digest": subject.digest, "size": subject.size,
            });
        }
        self.push(&artifact, tag).await
    }
}

impl Corpus {
    /// Makes it in a layout, as `v1`.
    pub(crate) async fn at(path: &Path) -> Self {
        Self::with(path, Algorithm::Sha512).await
    }

    /// Makes it in a layout, as `v1`, with layers whose names are of this algorithm.
    pub(crate) async fn with(path: &Path, algorithm: Algorithm) -> Self {
        let layout = Layout::create(path).await.expect("a writable directory");
        let mut maker = Maker { layout, manifests: Vec::new(), blobs: Vec::new(), algorithm };
        let mut amd64 = maker.image("amd64").await;
        let mut arm64 = maker.image("arm64").await;
        amd64.platform = Some(Platform::new("linux", "amd64"));
        arm64.platform = Some(Platform::new("linux", "arm64"));
        let index = json!({ "schemaVersion": 2, "mediaType": MediaType::IMAGE_INDEX, "manifests": [amd64, arm64] });
        let index = maker.push(&index, Some("v1")).await;
        let core = maker.manifests.len();

        let sbom = maker.referrer("application/x.sbom", Some(&index), None).await;
        maker.referrer("application/x.signature-of-sbom", Some(&sbom), None).await;
        let signature = maker.referrer("application/x.signature", Some(&arm64), None).await;
        let cosign = Self::tag_of(&index.digest, ".sig");
        let cosign = maker.referrer("application/x.cosign", None, Some(&cosign)).await;
        maker.referrer("application/x.signature-of-cosign", Some(&cosign), None).await;
        // A list that a client has kept; what it lists is listed elsewhere, too.
        let list = json!({ "schemaVersion": 2, "mediaType": MediaType::IMAGE_INDEX, "manifests": [signature] });
        maker.push(&list, Some(&Self::tag_of(&arm64.digest, ""))).await;
        maker.manifests.pop();

        let Maker { manifests, blobs, .. } = maker;
        let (index, arm64, sbom) = (index.digest, arm64.digest, sbom.digest);
        Self { index, arm64, sbom, signature_of_arm64: signature.digest, manifests, blobs, core }
    }

    /// Returns the tag under which the index is signed.
    pub(crate) fn cosign_tag(&self) -> String {
        Self::tag_of(&self.index, ".sig")
    }

    /// Holds a source to it, byte for byte, referrers and tags included.
    pub(crate) async fn is_at(&self, source: &impl Source) {
        for manifest in &self.manifests {
            let id = Identifier::Digest(manifest.digest());
            let found = source.manifest(&id).await.unwrap_or_else(|error| panic!("{id}: {error}"));
            assert_eq!(found.bytes(), manifest.bytes(), "other bytes");
            if let Some(subject) = manifest.subject() {
                let referrers = source.all_referrers(&subject.digest).await.expect("a list");
                let listed = referrers.iter().any(|referrer| referrer.digest == manifest.digest());
                assert!(listed, "{id} does not refer to {}: {referrers:?}", subject.digest);
            }
        }
        for (descriptor, content) in &self.blobs {
            let found = source.blob(descriptor).read(1 << 20).await.expect("it was copied");
            assert!(found == content[..], "other content of {}", descriptor.digest);
        }
        for tag in ["v1".to_owned(), self.cosign_tag()] {
            let id = Identifier::Tag(tag.parse().expect("a tag"));
            let found = source.resolve(&id).await.expect("the tag is there");
            assert!(self.manifests.iter().any(|manifest| manifest.digest() == found.digest), "{tag}: {found:?}");
        }
    }

    /// Holds a source to the index and what is below it, whatever else it has.
    pub(crate) async fn is_there(&self, source: &impl Source) {
        for manifest in &self.manifests[..self.core] {
            let found = source.manifest(&Identifier::Digest(manifest.digest())).await.expect("it was copied");
            assert_eq!(found.bytes(), manifest.bytes(), "other bytes");
        }
    }

    /// Holds a source to the index and what is below it, and to nothing else.
    pub(crate) async fn is_there_alone(&self, source: &impl Source) {
        for (n, manifest) in self.manifests.iter().enumerate() {
            let found = source.manifest(&Identifier::Digest(manifest.digest())).await;
            assert_eq!(found.is_ok(), n < self.core, "{}", manifest.digest());
        }
    }

    fn tag_of(digest: &Digest, suffix: &str) -> String {
        format!("{}{suffix}", digest.to_string().replace(':', "-"))
    }
}
