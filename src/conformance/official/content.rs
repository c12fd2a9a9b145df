//! What is pushed: blobs, manifests and tags, made from a seed.

use std::collections::HashMap;
use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use serde::Serialize;
use serde_json::{Value, json};

use crate::model::{Algorithm, Annotations, Descriptor, Digest, ImageIndex, ImageManifest, MediaType, Platform};

/// What belongs to one data set, in the order it is pushed.
#[derive(Debug)]
pub(super) struct Content {
    /// The algorithm that names all of it.
    pub(super) algorithm: Algorithm,
    /// The blobs, each once.
    pub(super) blobs: Vec<Blob>,
    /// The manifests; what one names stands before it.
    pub(super) manifests: Vec<Packed>,
    /// The tags.
    pub(super) tags: Vec<Tagged>,
    /// What a list of referrers must have, by subject.
    pub(super) referrers: Vec<(Digest, Vec<Descriptor>)>,
    /// How the manifests are pushed.
    pub(super) manner: Manner,
    /// What is said of everything above.
    descriptors: HashMap<Digest, Descriptor>,
    /// What the files of the layers have in common.
    number: u64,
}

/// A blob.
#[derive(Clone, Debug)]
pub(super) struct Blob {
    pub(super) digest: Digest,
    /// Not known where a read-only run names it.
    pub(super) bytes: Option<Bytes>,
}

/// A manifest.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    /// The digest under which it is pushed.
    pub(super) digest: Digest,
    /// Not known where a read-only run names it.
    pub(super) bytes: Option<Bytes>,
    pub(super) media_type: MediaType,
    pub(super) subject: Option<Digest>,
    /// What it names and the registry should have.
    pub(super) needs: Vec<Digest>,
}

/// A tag.
#[derive(Clone, Debug)]
pub(super) struct Tagged {
    pub(super) tag: String,
    /// What it points to, where that is known.
    pub(super) digest: Option<Digest>,
    /// Whether the registry has it by now.
    pub(super) pushed: bool,
}

/// How the manifests of a data set are pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// By digest, then by tag.
    Plainly,
    /// By digest, with the tags as parameters.
    WithTags,
    /// With bytes that the digest is not of, which has to fail.
    Wrongly,
}

impl Content {
    /// Begins a data set.
    pub(super) fn new(algorithm: Algorithm, number: u64) -> Self {
        Self {
            algorithm,
            blobs: Vec::new(),
            manifests: Vec::new(),
            tags: Vec::new(),
            referrers: Vec::new(),
            manner: Manner::Plainly,
            descriptors: HashMap::new(),
            number,
        }
    }

    /// Returns the bytes of a blob of this set.
    pub(super) fn blob(&self, digest: &Digest) -> Option<&Bytes> {
        self.blobs.iter().find(|blob| blob.digest == *digest)?.bytes.as_ref()
    }

    /// Returns what is said of something in this set.
    pub(super) fn descriptor(&self, digest: &Digest) -> Descriptor {
        self.descriptors.get(digest).cloned().expect("it was made for this set")
    }

    /// Takes something to be described that is never pushed.
    pub(super) fn describe(&mut self, descriptor: Descriptor) {
        self.descriptors.insert(descriptor.digest, descriptor);
    }

    /// Adds a blob.
    pub(super) fn add(&mut self, media_type: MediaType, bytes: Bytes, embedding: Embedding) -> Descriptor {
        let digest = Digest::of_with(self.algorithm, &bytes);
        let mut descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
        if embedding == Embedding::Inside {
            descriptor.data = Some(bytes.clone());
        }
        if self.blob(&digest).is_none() {
            self.blobs.push(Blob { digest, bytes: Some(bytes) });
        }
        self.describe(descriptor.clone());
        descriptor
    }

    /// Forgets a blob, so that it is named and never pushed.
    pub(super) fn withhold(&mut self, digest: &Digest) {
        self.blobs.retain(|blob| blob.digest != *digest);
    }

    fn pack(&mut self, document: &impl Serialize, extra: Option<(String, String)>, media_type: MediaType) -> Digest {
        let mut value = serde_json::to_value(document).expect("plain data");
        let mut needs: Vec<Digest> = Vec::new();
        for list in [&value["layers"], &value["manifests"]] {
            needs.extend(list.as_array().into_iter().flatten().filter_map(named));
        }
        needs.extend(named(&value["config"]));
        let subject = named(&value["subject"]);
        if let (Some((key, text)), Value::Object(members)) = (extra, &mut value) {
            members.insert(key, text.into());
        }
        let bytes = Bytes::from(value.to_string());
        let digest = Digest::of_with(self.algorithm, &bytes);
        self.describe(Descriptor::new(media_type.clone(), digest, bytes.len() as u64));
        self.manifests.push(Packed { digest, bytes: Some(bytes), media_type, subject, needs });
        digest
    }

    /// Points a tag at a manifest; an earlier one of the same name moves.
    pub(super) fn tag(&mut self, tag: &str, digest: Digest) {
        self.tags.retain(|known| known.tag != tag);
        self.tags.push(Tagged { tag: tag.to_owned(), digest: Some(digest), pushed: false });
    }

    fn refer(
        &mut self,
        subject: Option<&Descriptor>,
        digest: Digest,
        artifact_type: Option<String>,
        notes: &Annotations,
    ) {
        let Some(subject) = subject else { return };
        let referrer = Descriptor { artifact_type, annotations: notes.clone(), ..self.descriptor(&digest) };
        match self.referrers.iter_mut().find(|(known, _)| *known == subject.digest) {
            Some((_, list)) => list.push(referrer),
            None => self.referrers.push((subject.digest, vec![referrer])),
        }
    }
}

/// Returns the digest in a descriptor.
fn named(descriptor: &Value) -> Option<Digest> {
    descriptor["digest"].as_str()?.parse().ok()
}

/// Whether a descriptor has its content inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Embedding {
    #[default]
    Outside,
    Inside,
}

/// How an image or an artifact is made.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) layers: Layers,
    /// The platform of an image; an artifact has none, and an empty config.
    pub(super) platform: Option<Platform>,
    pub(super) artifact_type: Option<MediaType>,
    pub(super) subject: Option<Descriptor>,
    pub(super) annotations: Annotations,
    /// Whether one more annotation makes it unlike any other.
    pub(super) unique: bool,
    /// Whether members are added that the specification does not know.
    pub(super) extra: bool,
    pub(super) embedding: Embedding,
}

/// The layers of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layers {
    /// This many compressed archives.
    Compressed(u32),
    /// This many archives as they are.
    Uncompressed(u32),
    /// One blob of this type, 2048 random bytes.
    Random(MediaType),
    /// The empty JSON object.
    Empty,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            layers: Layers::Compressed(2),
            platform: Some(platform("linux/amd64")),
            artifact_type: None,
            subject: None,
            annotations: Annotations::new(),
            unique: false,
            extra: false,
            embedding: Embedding::Outside,
        }
    }
}

impl Recipe {
    /// Makes an artifact with one layer.
    pub(super) fn artifact(artifact_type: MediaType, layers: Layers) -> Self {
        Self { layers, platform: None, artifact_type: Some(artifact_type), ..Self::default() }
    }

    /// Makes it refer to a subject, with annotations that a list of referrers has to repeat.
    pub(super) fn about(mut self, subject: &Descriptor) -> Self {
        self.subject = Some(subject.clone());
        if self.artifact_type.is_some() {
            self.annotations.insert("org.opencontainers.conformance".into(), "a note on its subject".into());
            self.unique = true;
        }
        self
    }
}

/// Makes content; the same seed makes the same.
#[derive(Debug)]
pub(super) struct Maker {
    random: fastrand::Rng,
    /// Stands in the header of each compressed layer: same files, other bytes.
    stamp: u32,
}

impl Maker {
    /// Begins with a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), stamp: 0 }
    }

    /// Begins a data set.
    pub(super) fn content(&mut self, algorithm: Algorithm) -> Content {
        Content::new(algorithm, self.random.u64(..))
    }

    /// Makes random bytes.
    pub(super) fn bytes(&mut self, length: usize) -> Bytes {
        let mut bytes = vec![0; length];
        self.random.fill(&mut bytes);
        bytes.into()
    }

    /// Makes the digest of something that nobody has.
    pub(super) fn digest(&mut self, algorithm: Algorithm) -> Digest {
        Digest::of_with(algorithm, &self.bytes(64))
    }

    /// Makes a word of lower-case letters and digits.
    pub(super) fn word(&mut self) -> String {
        (0..20).map(|_| char::from(WORD[self.random.usize(..WORD.len())])).collect()
    }

    /// Makes an image or an artifact, with all that it names.
    pub(super) fn image(&mut self, content: &mut Content, recipe: &Recipe) -> Digest {
        let (layers, diffs) = self.layers(content, recipe);
        let config = match &recipe.platform {
            Some(platform) => self.config(content, recipe, platform, &diffs),
            None => content.add(MediaType::EMPTY_JSON, Bytes::from_static(b"{}"), recipe.embedding),
        };
        self.manifest(content, recipe, config, layers)
    }

    /// Makes the config of an image; `inside` are the digests of its layers as they are unpacked.
    pub(super) fn config(
        &mut self,
        content: &mut Content,
        recipe: &Recipe,
        platform: &Platform,
        inside: &[Digest],
    ) -> Descriptor {
        let mut config = json!({
            "architecture": platform.architecture,
            "author": "spinreg",
            "config": {},
            "os": platform.os,
            "rootfs": { "type": "layers", "diff_ids": inside },
        });
        if let Some((key, text)) = self.extra(recipe) {
            config[key] = text.into();
        }
        content.add(MediaType::IMAGE_CONFIG, config.to_string().into(), recipe.embedding)
    }

    /// Makes a manifest of what is there.
    pub(super) fn manifest(
        &mut self,
        content: &mut Content,
        recipe: &Recipe,
        config: Descriptor,
        layers: Vec<Descriptor>,
    ) -> Digest {
        let artifact_type = recipe.artifact_type.as_ref().map(MediaType::to_string);
        let stands_for = artifact_type.clone().or_else(|| Some(config.media_type.to_string()));
        let manifest = ImageManifest {
            annotations: self.annotations(recipe),
            artifact_type,
            config,
            layers,
            media_type: Some(MediaType::IMAGE_MANIFEST),
            schema_version: 2,
            subject: recipe.subject.clone(),
        };
        let extra = self.extra(recipe);
        let digest = content.pack(&manifest, extra, MediaType::IMAGE_MANIFEST);
        content.refer(recipe.subject.as_ref(), digest, stands_for, &manifest.annotations);
        digest
    }

    /// Makes an index of what is there.
    pub(super) fn index(&mut self, content: &mut Content, recipe: &Recipe, manifests: Vec<Descriptor>) -> Digest {
        let index = ImageIndex {
            annotations: self.annotations(recipe),
            artifact_type: recipe.artifact_type.as_ref().map(MediaType::to_string),
            manifests,
            media_type: Some(MediaType::IMAGE_INDEX),
            schema_version: 2,
            subject: recipe.subject.clone(),
        };
        let extra = self.extra(recipe);
        let digest = content.pack(&index, extra, MediaType::IMAGE_INDEX);
        content.refer(recipe.subject.as_ref(), digest, index.artifact_type.clone(), &index.annotations);
        digest
    }

    /// Makes an index of one image or artifact for each of two platforms.
    pub(super) fn platforms(&mut self, content: &mut Content, recipe: &Recipe) -> Digest {
        let mut children = Vec::new();
        for name in ["linux/amd64", "linux/arm64"] {
            let own = Recipe { platform: recipe.platform.as_ref().map(|_| platform(name)), ..recipe.clone() };
            let child = self.image(content, &own);
            children.push(Descriptor { platform: Some(platform(name)), ..content.descriptor(&child) });
        }
        self.index(content, recipe, children)
    }

    /// Makes the layers; returns them, and the digests of what is in them.
    pub(super) fn layers(&mut self, content: &mut Content, recipe: &Recipe) -> (Vec<Descriptor>, Vec<Digest>) {
        let embedding = recipe.embedding;
        match &recipe.layers {
            Layers::Compressed(count) => (0..*count)
                .map(|file| {
                    let archive = archive(content.number, file);
                    let inside = Digest::of_with(content.algorithm, &archive);
                    self.stamp += 1;
                    let packed = compressed(&archive, self.stamp);
                    (content.add(LAYER_GZIP, packed, embedding), inside)
                })
                .unzip(),
            Layers::Uncompressed(count) => (0..*count)
                .map(|file| {
                    let layer = content.add(LAYER, archive(content.number, file), embedding);
                    let inside = layer.digest;
                    (layer, inside)
                })
                .unzip(),
            Layers::Random(media_type) => {
                let bytes = self.bytes(2048);
                (vec![content.add(media_type.clone(), bytes, embedding)], Vec::new())
            }
            Layers::Empty => {
                (vec![content.add(MediaType::EMPTY_JSON, Bytes::from_static(b"{}"), embedding)], Vec::new())
            }
        }
    }

    fn annotations(&mut self, recipe: &Recipe) -> Annotations {
        let mut annotations = recipe.annotations.clone();
        if recipe.unique {
            annotations.insert(format!("org.example.{}", self.word()), self.word());
        }
        annotations
    }

    fn extra(&mut self, recipe: &Recipe) -> Option<(String, String)> {
        recipe.extra.then(|| (format!("org.example.{}", self.word()), self.word()))
    }
}

/// Returns a platform that is written in this program.
pub(super) fn platform(text: &str) -> Platform {
    text.parse().expect("a platform")
}

/// Makes an archive with one file. The files of a data set differ by their number alone, so that images of one set share
/// their config, and their layers differ by how they are compressed.
fn archive(number: u64, file: u32) -> Bytes {
    let text = format!("file {file} of a conformance test\nnumber {number}\n");
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::new());
    let written = archive.append_data(&mut header, format!("conformance-{file}.txt"), text.as_bytes());
    written.and_then(|()| archive.into_inner()).expect("memory takes it all").into()
}

fn compressed(archive: &[u8], stamp: u32) -> Bytes {
    let mut writer = GzBuilder::new().mtime(stamp).write(Vec::new(), Compression::default());
    writer.write_all(archive).and_then(|()| writer.finish()).expect("memory takes it all").into()
}

const LAYER: MediaType = MediaType::constant("application/vnd.oci.image.layer.v1.tar");
const LAYER_GZIP: MediaType = MediaType::constant("application/vnd.oci.image.layer.v1.tar+gzip");
const WORD: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
