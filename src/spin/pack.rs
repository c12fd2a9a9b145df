//! From an application on disk to an artifact: layers, lock file, config, manifest.

use std::collections::{HashMap, HashSet};
use std::num::NonZero;
use std::path::Path;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};
use serde::Serialize;
use serde_json::Value;

use super::ahead::{Ahead, File, Found, Nobody};
use super::archive;
use super::compose::{ComposeError, Discord};
use super::composed::composed;
use super::created::Created;
use super::error::Error;
use super::known::{KnownDigests, Origin};
use super::load::{Application, LocalComponent};
use super::lock_file::{ContentRef, LockedApp};
use super::media;
use super::package::Package;
use crate::content::{Blob, Target};
use crate::model::{Annotations, Descriptor, Digest, ImageManifest, Manifest, MediaType};
use crate::store::blocking;

/// How an application is packed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackOptions {
    /// Annotations of the manifest; they win over inferred ones.
    pub annotations: Annotations,
    /// Whether the manifest says what `spin.toml` says about the application.
    pub inference: Infer,
    /// When the artifact was made. Absent by default, so that the same input gives the same digest.
    pub created: Option<Created>,
    /// Whether files travel in archives.
    pub archives: Archives,
    /// Whether components are composed with what they depend on.
    pub composition: Composition,
}

/// What becomes of the dependencies of a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Composition {
    /// They become one component with it, which every host can run. Needs the feature `compose`.
    #[default]
    Composed,
    /// They travel as layers of their own, and the host composes: Spin since 3.0, and not SpinKube.
    Layers,
}

/// Whether annotations are inferred from `spin.toml`: title, description, version and authors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Infer {
    /// They are, as Spin does.
    #[default]
    Yes,
    /// They are not.
    No,
}

/// Whether the files of a component travel in one archive, or each as a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Archives {
    /// In archives where there would be more than [`media::MAX_CONTENT_LAYERS`] layers otherwise.
    #[default]
    WhenNeeded,
    /// In archives, however few they are.
    Always,
}

/// Packs an application.
///
/// Each file is read once to hash it, several at a time, in pieces; archive layers are written to temporary files.
/// Components that are composed are read into memory, and what becomes of them stays there.
/// The result is the same on every machine for the same content and options.
///
/// # Errors
///
/// [`Error::Compose`] where a component and its dependencies do not fit together, or where middleware is not to be
/// composed; [`Error::TooManyLayers`] where even archives do not help, [`Error::Transfer`] for files that cannot be read or
/// change meanwhile.
pub async fn pack(app: &Application, options: &PackOptions) -> Result<Package, Error> {
    pack_with(app, options, &KnownDigests::none()).await
}

/// Packs an application as [`pack`] does, and does not read files again that `known` recalls: they are compared when they
/// are sent.
///
/// # Errors
///
/// As [`pack`].
pub async fn pack_with(app: &Application, options: &PackOptions, known: &KnownDigests) -> Result<Package, Error> {
    put_together(app, options, known, None::<&Ahead<'_, Nobody>>).await
}

/// Packs an application as [`pack_with`] does, for a target: large files that it is likely to lack are sent while they are
/// hashed, and read once.
///
/// **Requests** to a repository: those of [`push_unhashed`](Target::push_unhashed), for each file of 32 MiB or more that is not
/// remembered, and travels as a layer of its own whose size no other has.
///
/// # Errors
///
/// As [`pack`], and those of the target, which is [tidied](Target::tidy) then. What was sent stays there without a manifest, as
/// after every push that fails.
pub async fn pack_ahead(
    app: &Application,
    options: &PackOptions,
    known: &KnownDigests,
    ahead: &Ahead<'_, impl Target>,
) -> Result<Package, Error> {
    let packed = put_together(app, options, known, Some(ahead)).await;
    if packed.is_err() {
        // The first failure has stopped the others on their way.
        ahead.target.tidy().await;
    }
    packed
}

async fn put_together(
    app: &Application,
    options: &PackOptions,
    known: &KnownDigests,
    ahead: Option<&Ahead<'_, impl Target>>,
) -> Result<Package, Error> {
    let app = &match options.composition {
        Composition::Composed => composed(app).await?,
        Composition::Layers => separable(app)?.clone(),
    };
    let content = Content::read(app, options.archives, known, ahead).await?;
    let mut lock = app.lock.clone();
    for (component, locked) in app.components.iter().zip(&mut lock.components) {
        locked.source.content = content.wasm_reference(&component.wasm, component.made.as_ref());
        for (dependency, locked) in component.dependencies.iter().zip(locked.dependencies.values_mut()) {
            locked.source.content = content.wasm_reference(&dependency.wasm, dependency.made.as_ref());
        }
        for (file, path) in component.files.iter().zip(&mut locked.files) {
            path.content = content.reference(media::DATA, &file.source);
        }
    }
    let mut layers = separate(app, &content);
    if options.archives == Archives::Always || layers.len() > media::MAX_CONTENT_LAYERS {
        layers = archived(app, &content).await?;
    }
    if layers.len() > media::MAX_CONTENT_LAYERS {
        return Err(Error::TooManyLayers { layers: layers.len() + 1 });
    }
    let lock_layer = Blob::from_bytes(media::APPLICATION, lock.to_json());
    let (config, bytes) = config(lock_layer.descriptor().digest);
    let config = Blob::memory(config, bytes);
    layers.push(lock_layer);
    let manifest = ImageManifest {
        annotations: annotations(&lock, options),
        artifact_type: None,
        config: config.descriptor().clone(),
        layers: layers.iter().map(|layer| layer.descriptor().clone()).collect(),
        media_type: Some(MediaType::IMAGE_MANIFEST),
        schema_version: 2,
        subject: None,
    };
    let bytes = serde_json::to_vec(&manifest).expect("a manifest is plain data");
    let manifest = Manifest::parse(bytes, Some(MediaType::IMAGE_MANIFEST)).map_err(crate::error::Error::from)?;
    Ok(Package::new(manifest, lock, layers.into_iter().chain([config])))
}

/// Refuses applications that nobody could run if they were not composed.
fn separable(app: &Application) -> Result<&Application, Error> {
    match app.components.iter().find(|component| !component.middleware.is_empty()) {
        Some(component) => {
            let (place, id) = (component.place.clone().map(Box::new), component.id.as_str().into());
            let discord = Discord::Separate;
            Err(Box::new(ComposeError { place, component: id, dependency: None, discord }).into())
        }
        None => Ok(app),
    }
}

/// Every file of an application, hashed; small ones also read.
struct Content {
    files: HashMap<File, (Blob, ContentRef)>,
}

impl Content {
    async fn read(
        app: &Application,
        archives: Archives,
        known: &KnownDigests,
        ahead: Option<&Ahead<'_, impl Target>>,
    ) -> Result<Self, Error> {
        let mut wanted = HashSet::new();
        for component in &app.components {
            let dependencies = component.dependencies.iter().map(|dependency| (&dependency.wasm, &dependency.made));
            let wasm = dependencies.chain([(&component.wasm, &component.made)]).filter(|(_, made)| made.is_none());
            wanted.extend(wasm.map(|(path, _)| (path.clone(), media::WASM)));
            wanted.extend(component.files.iter().map(|file| (file.source.clone(), media::DATA)));
        }
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
        let find = |file| find_out(file, known.clone());
        let mut chosen = Vec::new();
        if let Some(ahead) = ahead {
            // What goes into an archive goes nowhere by itself.
            let is_few = wanted.len() + app.components.len() <= media::MAX_CONTENT_LAYERS;
            let is_separate = archives == Archives::WhenNeeded && is_few;
            let layers = wanted.iter().filter(|(_, media_type)| is_separate || *media_type == media::WASM);
            chosen = ahead.choose(layers.cloned().collect(), known).await?;
            chosen.iter().for_each(|file| _ = wanted.remove(file));
        }
        let send = async |file: File| match ahead {
            Some(ahead) => match ahead.send(&file, known).await? {
                Some(found) => Ok(found),
                None => find(file).await,
            },
            None => find(file).await,
        };
        let at_a_time = ahead.map_or(1, |ahead| ahead.at_once.get());
        let sent = stream::iter(chosen).map(send).buffer_unordered(at_a_time).try_collect::<Vec<_>>();
        let found = stream::iter(wanted).map(find).buffer_unordered(at_once).try_collect::<Vec<_>>();
        let (sent, found) = future::try_join(sent, found).await?;
        Ok(Self { files: sent.into_iter().chain(found).collect() })
    }

    fn get(&self, media_type: MediaType, path: &Path) -> &(Blob, ContentRef) {
        self.files.get(&(path.to_owned(), media_type)).expect("every file of the application was hashed")
    }

    fn blob(&self, media_type: MediaType, path: &Path) -> &Blob {
        &self.get(media_type, path).0
    }

    fn reference(&self, media_type: MediaType, path: &Path) -> ContentRef {
        self.get(media_type, path).1.clone()
    }

    /// Returns the WebAssembly of a component and of its dependencies.
    fn wasm_of(&self, component: &LocalComponent) -> Vec<Blob> {
        let dependencies = component.dependencies.iter().map(|dependency| (&dependency.wasm, &dependency.made));
        let wasm = [(&component.wasm, &component.made)].into_iter().chain(dependencies);
        wasm.map(|(path, made)| self.wasm(path, made.as_ref())).collect()
    }

    /// Returns WebAssembly from its file, or as it was made.
    fn wasm(&self, path: &Path, made: Option<&Bytes>) -> Blob {
        match made {
            Some(bytes) => Blob::from_bytes(media::WASM, bytes.clone()),
            None => self.blob(media::WASM, path).clone(),
        }
    }

    fn wasm_reference(&self, path: &Path, made: Option<&Bytes>) -> ContentRef {
        match made {
            Some(bytes) => {
                let inline = Some(bytes.clone()).filter(|bytes| bytes.len() as u64 <= media::MAX_INLINE);
                ContentRef { source: None, inline, digest: Some(Digest::of(bytes)) }
            }
            None => self.reference(media::WASM, path),
        }
    }
}

async fn find_out(file: File, known: KnownDigests) -> Result<Found, crate::error::Error> {
    let (path, media_type) = file;
    blocking(move || {
        let found = known.of_file(&path)?;
        let descriptor = Descriptor::new(media_type.clone(), found.digest, found.size);
        let blob = match found.from {
            Origin::Read => Blob::file(descriptor, &path),
            Origin::Memory => Blob::recalled(descriptor, &path),
        };
        let reference = ContentRef { source: None, inline: found.inline, digest: Some(found.digest) };
        Ok(((path, media_type), (blob, reference)))
    })
    .await
}

/// Gives each component, each dependency and each file that is not inline a layer of its own.
fn separate(app: &Application, content: &Content) -> Vec<Blob> {
    let of_component = |component: &LocalComponent| {
        let files = component.files.iter().map(|file| content.blob(media::DATA, &file.source));
        let files = files.filter(|file| file.descriptor().size > media::MAX_INLINE);
        content.wasm_of(component).into_iter().chain(files.cloned()).collect::<Vec<_>>()
    };
    distinct(app.components.iter().flat_map(of_component))
}

/// Gives each component a layer, and all its files (the small ones too, as Spin does) another.
async fn archived(app: &Application, content: &Content) -> Result<Vec<Blob>, Error> {
    let mut layers = Vec::new();
    for component in &app.components {
        layers.extend(content.wasm_of(component));
        if !component.files.is_empty() {
            let files = component.files.iter();
            let files = files.map(|file| (file.clone(), content.blob(media::DATA, &file.source).clone()));
            layers.push(archive::pack(files.collect()).await?);
        }
    }
    Ok(distinct(layers))
}

/// Keeps the first of several layers with the same content and media type.
fn distinct(layers: impl IntoIterator<Item = Blob>) -> Vec<Blob> {
    let mut seen = HashSet::new();
    let new = |layer: &Blob| seen.insert((layer.descriptor().digest, layer.descriptor().media_type.clone()));
    layers.into_iter().filter(new).collect()
}

/// Writes the config of the application with this lock file; nobody reads it but those who want different applications to have
/// different configs.
pub(super) fn config(lock: Digest) -> (Descriptor, Bytes) {
    #[derive(Serialize)]
    struct Config {
        architecture: &'static str,
        os: &'static str,
        config: Labelled,
        rootfs: RootFs,
    }
    #[derive(Serialize)]
    struct Labelled {
        #[serde(rename = "Labels")]
        labels: Annotations,
    }
    #[derive(Serialize)]
    struct RootFs {
        #[serde(rename = "type")]
        kind: &'static str,
        diff_ids: [Digest; 0],
    }
    let labels = Annotations::from([(media::LOCK_DIGEST_LABEL.to_owned(), lock.to_string())]);
    let rootfs = RootFs { kind: "layers", diff_ids: [] };
    let config = Config { architecture: "wasm", os: "wasip1", config: Labelled { labels }, rootfs };
    let bytes = Bytes::from(serde_json::to_vec(&config).expect("a config is plain data"));
    (Descriptor::of(MediaType::IMAGE_CONFIG, &bytes), bytes)
}

/// Puts the annotations together; what was given explicitly wins.
fn annotations(lock: &LockedApp, options: &PackOptions) -> Annotations {
    let mut annotations = Annotations::new();
    if options.inference == Infer::Yes {
        for (key, name) in [("title", "name"), ("description", "description"), ("version", "version")] {
            if let Some(text) = lock.metadata.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()) {
                annotations.insert(format!("{PREFIX}{key}"), text.to_owned());
            }
        }
        let authors = lock.metadata.get("authors").and_then(Value::as_array);
        let authors: Vec<&str> = authors.into_iter().flatten().filter_map(Value::as_str).collect();
        if !authors.is_empty() {
            annotations.insert(format!("{PREFIX}authors"), authors.join(", "));
        }
    }
    if let Some(created) = &options.created {
        annotations.insert(format!("{PREFIX}created"), created.to_string());
    }
    annotations.extend(options.annotations.clone());
    annotations
}

/// What the keys of the image spec's annotations begin with (image-spec 1.1, annotations.md).
const PREFIX: &str = "org.opencontainers.image.";
