//! The data sets, in the order of the official suite.

use super::content::{Blob, Content, Embedding, Layers, Maker, Manner, Packed, Recipe, Tagged, platform};
use crate::conformance::settings::Settings;
use crate::conformance::verdict::DataSet;
use crate::model::{Algorithm, Descriptor, MediaType, Tag};

/// One data set.
#[derive(Clone, Copy)]
pub(super) struct Set {
    pub(super) label: DataSet,
    /// Its name in the paths of steps.
    pub(super) name: &'static str,
    /// Whether the settings want it.
    pub(super) wanted: fn(&Settings) -> bool,
    /// Makes it.
    pub(super) make: fn(&mut Maker, &mut Content),
    pub(super) algorithm: Algorithm,
    pub(super) manner: Manner,
}

impl Set {
    const fn new(label: DataSet, name: &'static str, wanted: fn(&Settings) -> bool, make: Make) -> Self {
        Self { label, name, wanted, make, algorithm: Algorithm::Sha256, manner: Manner::Plainly }
    }

    const fn by_sha512(self) -> Self {
        Self { algorithm: Algorithm::Sha512, ..self }
    }

    const fn pushed(self, manner: Manner) -> Self {
        Self { manner, ..self }
    }

    /// Makes the content.
    pub(super) fn content(&self, maker: &mut Maker) -> Content {
        let mut content = maker.content(self.algorithm);
        content.manner = self.manner;
        (self.make)(maker, &mut content);
        content
    }
}

type Make = fn(&mut Maker, &mut Content);

/// All of them.
pub(super) const SETS: &[Set] = &[
    Set::new(
        DataSet::Image,
        "image",
        |_| true,
        |maker, content| {
            let image = maker.image(content, &Recipe::default());
            content.tag("image", image);
        },
    ),
    Set::new(
        DataSet::ImageUncompressed,
        "image-uncompressed",
        |_| true,
        |maker, content| {
            let image = maker.image(content, &Recipe { layers: Layers::Uncompressed(2), ..Recipe::default() });
            content.tag("image-uncompressed", image);
        },
    ),
    Set::new(
        DataSet::LargeManifest,
        "large-manifest",
        |_| true,
        |maker, content| {
            let annotations = (0..390).map(|n| (format!("large-annotation-{n}"), "A".repeat(10_000)));
            let image = maker.image(content, &Recipe { annotations: annotations.collect(), ..Recipe::default() });
            content.tag("large-manifest", image);
        },
    ),
    Set::new(
        DataSet::Index,
        "index",
        |settings| settings.data.index,
        |maker, content| {
            let index = maker.platforms(content, &Recipe::default());
            content.tag("index", index);
        },
    ),
    Set::new(
        DataSet::NestedIndex,
        "nested-index",
        |settings| settings.data.index && settings.data.index_list,
        |maker, content| {
            let inner = [(); 2].map(|()| maker.platforms(content, &Recipe::default()));
            let inner = inner.iter().map(|digest| content.descriptor(digest)).collect();
            let index = maker.index(content, &Recipe::default(), inner);
            content.tag("index-of-index", index);
        },
    ),
    Set::new(
        DataSet::EmptyIndex,
        "empty-index",
        |settings| settings.data.index,
        |maker, content| {
            let index = maker.index(content, &Recipe::default(), Vec::new());
            content.tag("index", index);
        },
    ),
    Set::new(
        DataSet::Artifact,
        "artifact",
        |settings| settings.data.artifact,
        |maker, content| {
            let artifact = maker.image(content, &Recipe::artifact(V1, Layers::Random(V1)));
            content.tag("artifact", artifact);
        },
    ),
    Set::new(
        DataSet::ArtifactIndex,
        "artifact-index",
        |settings| settings.data.artifact_list,
        |maker, content| {
            let index = maker.platforms(content, &Recipe::artifact(V1, Layers::Random(V1)));
            content.tag("artifact-index", index);
        },
    ),
    Set::new(
        DataSet::ArtifactWithoutLayers,
        "artifact-without-layers",
        |settings| settings.data.artifact,
        |maker, content| {
            let artifact = maker.image(content, &Recipe::artifact(V1, Layers::Empty));
            content.tag("artifact-without-layers", artifact);
        },
    ),
    Set::new(
        DataSet::ArtifactsWithSubject,
        "artifacts-with-subject",
        |settings| settings.data.subject,
        |maker, content| {
            let image = maker.image(content, &Recipe::default());
            content.tag("image", image);
            let subject = content.descriptor(&image);
            maker.image(content, &Recipe::default().about(&subject));
            let first = maker.image(content, &Recipe::artifact(V1, Layers::Random(V1)).about(&subject));
            content.tag("tagged-artifact1", first);
            let octets = Layers::Random(MediaType::OCTET_STREAM);
            let second = maker.image(content, &Recipe::artifact(V2, octets).about(&subject));
            content.tag("tagged-artifact2", second);
        },
    ),
    Set::new(
        DataSet::IndexWithSubject,
        "index-with-subject",
        |settings| settings.data.subject_list,
        |maker, content| {
            let index = maker.platforms(content, &Recipe::default());
            content.tag("index", index);
            let subject = content.descriptor(&index);
            let artifacts = maker.platforms(content, &Recipe::artifact(V1, Layers::Random(V1)).about(&subject));
            content.tag("tagged-artifact", artifacts);
        },
    ),
    Set::new(
        DataSet::MissingSubject,
        "missing-subject",
        |settings| settings.data.subject_missing,
        |maker, content| {
            let subject = Descriptor::new(MediaType::IMAGE_MANIFEST, maker.digest(Algorithm::Sha256), 123);
            let artifact = maker.image(content, &Recipe::artifact(V1, Layers::Random(V1)).about(&subject));
            content.tag("tagged-artifact", artifact);
        },
    ),
    Set::new(
        DataSet::DataField,
        "data-field",
        |settings| settings.data.data_field,
        |maker, content| {
            let image = maker.image(content, &Recipe { embedding: Embedding::Inside, ..Recipe::default() });
            content.tag("data-field", image);
        },
    ),
    Set::new(
        DataSet::Nondistributable,
        "non-distributable-layers",
        |settings| settings.data.nondistributable,
        elsewhere,
    ),
    Set::new(
        DataSet::CustomFields,
        "custom-fields",
        |settings| settings.data.custom_fields,
        |maker, content| {
            let index = maker.platforms(content, &Recipe { extra: true, ..Recipe::default() });
            content.tag("custom-fields", index);
        },
    ),
    Set::new(
        DataSet::NoLayers,
        "no-layers",
        |settings| settings.data.no_layers,
        |maker, content| {
            let image = maker.image(content, &Recipe { layers: Layers::Compressed(0), ..Recipe::default() });
            content.tag("no-layers", image);
        },
    ),
    Set::new(DataSet::Sparse, "sparse", |settings| settings.data.sparse, sparse),
    // Without tags: only a parameter can give one to what is not named by sha256.
    Set::new(
        DataSet::Sha512,
        "sha512",
        |settings| settings.data.sha512,
        |maker, content| {
            maker.platforms(content, &Recipe::default());
        },
    )
    .by_sha512(),
    Set::new(
        DataSet::TagParam,
        "tag-param-sha256",
        |settings| settings.apis.manifests.tag_param,
        |maker, content| tagged(maker, content, "tag-param-sha256"),
    )
    .pushed(Manner::WithTags),
    Set::new(
        DataSet::TagParamSha512,
        "tag-param-sha512",
        |settings| settings.apis.manifests.tag_param && settings.data.sha512,
        |maker, content| tagged(maker, content, "tag-param-sha512"),
    )
    .by_sha512()
    .pushed(Manner::WithTags),
    Set::new(
        DataSet::BadDigestImage,
        "bad-digest-image",
        |_| true,
        |maker, content| {
            maker.image(content, &Recipe::default());
            for manifest in &mut content.manifests {
                manifest.bytes = manifest.bytes.take().map(|bytes| [&bytes[..], b"  "].concat().into());
            }
        },
    )
    .pushed(Manner::Wrongly),
];

/// Makes the image whose bytes are pushed under something that is no digest.
pub(super) fn invalid_digest(maker: &mut Maker) -> Content {
    let mut content = maker.content(Algorithm::Sha256);
    maker.image(&mut content, &Recipe { layers: Layers::Compressed(1), ..Recipe::default() });
    content
}

/// Lists what a read-only run was told to read; nothing is known of it but its name.
pub(super) fn read_only(settings: &Settings, maker: &mut Maker) -> Content {
    let given = &settings.read_only;
    let mut content = maker.content(Algorithm::Sha256);
    content.blobs = given.blobs.iter().map(|digest| Blob { digest: *digest, bytes: None }).collect();
    let manifest = |digest: &_| Packed {
        digest: *digest,
        bytes: None,
        media_type: MediaType::IMAGE_MANIFEST,
        subject: None,
        needs: Vec::new(),
    };
    content.manifests = given.manifests.iter().map(manifest).collect();
    let tagged = |tag: &Tag| Tagged { tag: tag.to_string(), digest: None, pushed: false };
    content.tags = given.tags.iter().map(tagged).collect();
    content.referrers = given.referrers.iter().map(|subject| (*subject, Vec::new())).collect();
    content
}

/// Makes an image of which two layers are said to be somewhere else.
fn elsewhere(maker: &mut Maker, content: &mut Content) {
    let recipe = Recipe { layers: Layers::Compressed(1), ..Recipe::default() };
    let mut diffs = Vec::new();
    let mut layers = Vec::new();
    for (media_type, size) in [(FOREIGN_GZIP, 123_456), (FOREIGN, 12_345)] {
        let digest = maker.digest(Algorithm::Sha256);
        diffs.push(if media_type == FOREIGN { digest } else { maker.digest(Algorithm::Sha256) });
        let urls = vec![format!("https://store.example.com/blobs/sha256/{}", digest.hex())];
        layers.push(Descriptor { urls, ..Descriptor::new(media_type, digest, size) });
    }
    let (own, inside) = maker.layers(content, &recipe);
    diffs.extend(inside);
    layers.extend(own);
    let config = maker.config(content, &recipe, &platform("linux/amd64"), &diffs);
    let image = maker.manifest(content, &recipe, config, layers);
    content.tag("non-distributable-image", image);
}

/// Makes an image without one of its layers, and an index without one of its images.
fn sparse(maker: &mut Maker, content: &mut Content) {
    let image = maker.image(content, &Recipe::default());
    content.tag("sparse-image", image);
    let first = content.blobs[0].digest;
    content.withhold(&first);
    let image = maker.image(content, &Recipe::default());
    let missing = Descriptor::new(MediaType::IMAGE_MANIFEST, maker.digest(Algorithm::Sha256), 1024);
    let children = [(content.descriptor(&image), "linux/amd64"), (missing, "linux/arm64")];
    let children = children.map(|(child, name)| Descriptor { platform: Some(platform(name)), ..child });
    let index = maker.index(content, &Recipe::default(), children.into());
    content.tag("sparse-index", index);
}

/// Makes an index with two tags, whose children have one each.
fn tagged(maker: &mut Maker, content: &mut Content, tag: &str) {
    let index = maker.platforms(content, &Recipe::default());
    content.tag(tag, index);
    for n in 0..content.manifests.len() {
        let digest = content.manifests[n].digest;
        content.tag(&format!("{tag}-{n}"), digest);
    }
}

const V1: MediaType = MediaType::constant("application/vnd.example.oci.conformance.v1");
const V2: MediaType = MediaType::constant("application/vnd.example.oci.conformance.v2");
const FOREIGN: MediaType = MediaType::constant("application/vnd.oci.image.layer.nondistributable.v1.tar");
const FOREIGN_GZIP: MediaType = MediaType::constant("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::Read as _;

    use bytes::Bytes;
    use flate2::read::GzDecoder;
    use serde_json::Value;

    use super::*;
    use crate::model::{Digest, Manifest};

    fn all(seed: u64) -> Vec<(&'static Set, Content)> {
        let mut maker = Maker::new(seed);
        SETS.iter().map(|set| (set, set.content(&mut maker))).collect()
    }

    #[test]
    fn sets_are_as_large_as_the_official_ones() {
        for ((set, content), (name, blobs, manifests, tags, referrers)) in all(1).iter().zip([
            ("image", 3, 1, 1, 0),
            ("image-uncompressed", 3, 1, 1, 0),
            ("large-manifest", 3, 1, 1, 0),
            ("index", 6, 3, 1, 0),
            ("nested-index", 10, 7, 1, 0),
            ("empty-index", 0, 1, 1, 0),
            ("artifact", 2, 1, 1, 0),
            ("artifact-index", 3, 3, 1, 0),
            ("artifact-without-layers", 1, 1, 1, 0),
            ("artifacts-with-subject", 8, 4, 3, 3),
            ("index-with-subject", 9, 6, 2, 3),
            ("missing-subject", 2, 1, 1, 1),
            ("data-field", 3, 1, 1, 0),
            ("non-distributable-layers", 2, 1, 1, 0),
            ("custom-fields", 6, 3, 1, 0),
            ("no-layers", 1, 1, 1, 0),
            ("sparse", 4, 3, 2, 0),
            ("sha512", 6, 3, 0, 0),
            ("tag-param-sha256", 6, 3, 4, 0),
            ("tag-param-sha512", 6, 3, 4, 0),
            ("bad-digest-image", 3, 1, 0, 0),
        ]) {
            let listed: usize = content.referrers.iter().map(|(_, list)| list.len()).sum();
            let sizes = (set.name, content.blobs.len(), content.manifests.len(), content.tags.len(), listed);
            assert_eq!(sizes, (name, blobs, manifests, tags, referrers));
        }
    }

    #[test]
    fn a_seed_says_all() {
        let print = |seed| {
            let digests =
                |content: &Content| content.manifests.iter().map(|m| m.digest.to_string()).collect::<Vec<_>>();
            all(seed).iter().map(|(_, content)| digests(content)).collect::<Vec<_>>()
        };
        assert_eq!(print(7), print(7));
        assert_ne!(print(7), print(8));
    }

    #[test]
    fn content_is_what_its_digests_say() {
        for (set, content) in all(3) {
            let named = |digest: &Digest, bytes: &Bytes| Digest::of_with(digest.algorithm(), bytes) == *digest;
            for blob in &content.blobs {
                assert!(named(&blob.digest, blob.bytes.as_ref().expect("made here")), "{}", set.name);
            }
            let mut before = HashSet::new();
            for manifest in &content.manifests {
                let bytes = manifest.bytes.as_ref().expect("made here");
                assert_eq!(named(&manifest.digest, bytes), set.manner != Manner::Wrongly, "{}", set.name);
                Manifest::parse(bytes.clone(), Some(manifest.media_type.clone())).expect("a manifest");
                assert_eq!(manifest.digest.algorithm(), set.algorithm);
                before.insert(manifest.digest);
            }
            assert_eq!(before.len(), content.manifests.len(), "{}", set.name);
        }
    }

    #[test]
    fn configs_tell_what_is_in_the_layers() {
        let mut seen = 0;
        for (set, content) in all(5) {
            for manifest in &content.manifests {
                let json: Value = serde_json::from_slice(manifest.bytes.as_ref().expect("made here")).expect("JSON");
                if json["config"]["mediaType"] != "application/vnd.oci.image.config.v1+json" {
                    continue;
                }
                let bytes = |descriptor: &Value| {
                    content.blob(&descriptor["digest"].as_str().expect("text").parse().expect("a digest")).cloned()
                };
                let config: Value = serde_json::from_slice(&bytes(&json["config"]).expect("a config")).expect("JSON");
                let diffs = config["rootfs"]["diff_ids"].as_array().expect("a list");
                let layers = json["layers"].as_array().expect("a list");
                assert_eq!(diffs.len(), layers.len(), "{}", set.name);
                for (layer, diff) in layers.iter().zip(diffs) {
                    // What is elsewhere, or withheld, cannot be looked into.
                    let Some(packed) = bytes(layer) else { continue };
                    let mut archive = packed.to_vec();
                    if layer["mediaType"].as_str().expect("text").ends_with("+gzip") {
                        archive.clear();
                        GzDecoder::new(&packed[..]).read_to_end(&mut archive).expect("gzip");
                    }
                    let inside = Digest::of_with(set.algorithm, &archive);
                    assert_eq!(diff.as_str(), Some(inside.to_string().as_str()), "{}", set.name);
                    assert_eq!(tar::Archive::new(&archive[..]).entries().expect("an archive").count(), 1);
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, 50);
    }

    #[test]
    fn the_large_manifest_is_just_below_the_limit() {
        let (_, content) = all(1).into_iter().nth(2).expect("the third set");
        let length = content.manifests[0].bytes.as_ref().expect("made here").len();
        assert!((3_900_000..4 << 20).contains(&length), "{length}");
    }

    #[test]
    fn referrers_without_a_type_are_of_their_config() {
        let types = |name: &str| -> Vec<Option<String>> {
            let (_, content) = all(1).into_iter().find(|(set, _)| set.name == name).expect(name);
            content.referrers[0].1.iter().map(|referrer| referrer.artifact_type.clone()).collect()
        };
        let (v1, v2) = (Some(V1.to_string()), Some(V2.to_string()));
        assert_eq!(types("artifacts-with-subject"), [Some(MediaType::IMAGE_CONFIG.to_string()), v1.clone(), v2]);
        assert_eq!(types("index-with-subject"), [v1.clone(), v1.clone(), v1]);
    }
}
