//! What is known of something that is published: a document for programs, whose form `docs/look.md` promises.

use std::collections::HashMap;

use serde::Serialize;

use super::endpoint;
use super::sight::SCHEMA;
use crate::model::{Annotations, Descriptor, Digest, ImageManifest, Location, Manifest, View};
use crate::spin::{Outline, PackageOutline, media};

/// What is known.
#[derive(Debug, Serialize)]
pub(super) struct Inspection {
    schema: u32,
    pub(super) reference: String,
    pub(super) digest: Digest,
    pinned: String,
    kind: Kind,
    pub(super) media_type: String,
    pub(super) size: u64,
    pub(super) artifact_type: Option<String>,
    /// What it refers to.
    pub(super) subject: Option<Digest>,
    pub(super) annotations: Annotations,
    pub(super) config: Option<Part>,
    pub(super) layers: Vec<Part>,
    /// Of an index.
    pub(super) manifests: Vec<Child>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) application: Option<Outline>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) component: Option<PackageOutline>,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Application,
    /// A component by itself.
    Component,
    Index,
    /// Anything else, images among it.
    Artifact,
}

/// A blob.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    pub(super) digest: Digest,
    pub(super) media_type: String,
    pub(super) size: u64,
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    pub(super) annotations: Annotations,
    /// What it is for, where that is known.
    pub(super) role: Option<String>,
    /// Whether it is in the cache, where that was looked up.
    pub(super) cached: Option<bool>,
}

/// A manifest in an index.
#[derive(Debug, Serialize)]
pub(super) struct Child {
    pub(super) digest: Digest,
    pub(super) media_type: String,
    pub(super) size: u64,
    pub(super) platform: Option<String>,
    pub(super) artifact_type: Option<String>,
}

impl Inspection {
    /// Takes what the manifest says.
    pub(super) fn of(reference: &Location, manifest: &Manifest) -> Self {
        let Descriptor { digest, media_type, size, .. } = manifest.descriptor();
        let (kind, artifact_type) = match manifest.view() {
            View::Index(index) => (Kind::Index, index.artifact_type.clone()),
            View::Image(image) => (kind(image), image.artifact_type.clone()),
        };
        Self {
            schema: SCHEMA,
            reference: reference.to_string(),
            digest: *digest,
            pinned: endpoint::pinned(reference, *digest),
            kind,
            media_type: media_type.to_string(),
            size: *size,
            artifact_type,
            subject: manifest.subject().map(|subject| subject.digest),
            annotations: manifest.annotations().clone(),
            config: manifest.image().map(|image| Part::of(&image.config)),
            layers: manifest.image().into_iter().flat_map(|image| &image.layers).map(Part::of).collect(),
            manifests: manifest.manifests().map(Child::of).collect(),
            application: None,
            component: None,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Adds what the lock file says, and says of each layer what it is for.
    pub(super) fn add_application(&mut self, outline: Outline) {
        let roles = roles(&outline);
        for layer in &mut self.layers {
            let found = roles.get(&layer.digest).cloned();
            layer.role = found.or_else(|| is_lock_file(layer).then(|| "lock file".to_owned()));
        }
        self.application = Some(outline);
    }

    /// Adds what the config of a component says.
    pub(super) fn add_component(&mut self, outline: PackageOutline) {
        self.component = Some(outline);
    }

    /// Notes whether the `n`th layer is in the cache.
    pub(super) fn note_cached(&mut self, n: usize, is_there: bool) {
        if let Some(layer) = self.layers.get_mut(n) {
            layer.cached = Some(is_there);
        }
    }
}

impl Part {
    fn of(descriptor: &Descriptor) -> Self {
        Self {
            digest: descriptor.digest,
            media_type: descriptor.media_type.to_string(),
            size: descriptor.size,
            annotations: descriptor.annotations.clone(),
            role: None,
            cached: None,
        }
    }
}

impl Child {
    fn of(descriptor: &Descriptor) -> Self {
        Self {
            digest: descriptor.digest,
            media_type: descriptor.media_type.to_string(),
            size: descriptor.size,
            platform: descriptor.platform.as_ref().map(ToString::to_string),
            artifact_type: descriptor.artifact_type.clone(),
        }
    }
}

fn kind(image: &ImageManifest) -> Kind {
    let is_lock = |descriptor: &Descriptor| descriptor.media_type == media::APPLICATION;
    if is_lock(&image.config) || image.layers.iter().any(is_lock) {
        Kind::Application
    } else if image.config.media_type == media::PACKAGE_CONFIG {
        Kind::Component
    } else {
        Kind::Artifact
    }
}

fn is_lock_file(part: &Part) -> bool {
    part.media_type == media::APPLICATION.as_str()
}

/// Says of content what an application needs it for; the first need counts.
fn roles(outline: &Outline) -> HashMap<Digest, String> {
    let mut roles = HashMap::new();
    let mut note = |digest: Option<Digest>, role: &dyn Fn() -> String| {
        if let Some(digest) = digest {
            roles.entry(digest).or_insert_with(role);
        }
    };
    for component in &outline.components {
        let id = &component.id;
        note(component.source.digest, &|| format!("component {id}"));
        for (name, dependency) in &component.dependencies {
            note(dependency.source.digest, &|| format!("dependency {name}"));
        }
        for (role, chain) in &component.before {
            chain.iter().for_each(|dependency| note(dependency.source.digest, &|| format!("{role} of {id}")));
        }
    }
    for component in &outline.components {
        for (path, file) in &component.files {
            note(file.digest, &|| format!("file {path}"));
        }
    }
    roles
}
