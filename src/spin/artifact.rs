//! One file of WebAssembly as an artifact of its own: the layout that wkg, containerd and Spin read.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::compose::{Discord, Surface};
use super::created::Created;
use super::error::{Error, Found};
use super::media;
use super::pack::Infer;
use super::package::Parts;
use super::wasm::{self, WasmKind};
use crate::content::{Blob, Source};
use crate::model::{
    Algorithm, Annotations, Descriptor, Digest, Digester, Identifier, ImageManifest, Manifest, MediaType,
};

/// How a file of WebAssembly is packed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArtifactOptions {
    /// Annotations of the manifest; they win over inferred ones.
    pub annotations: Annotations,
    /// Whether the manifest says what the file says of itself.
    pub inference: Infer,
    /// When the artifact was made. Where this is absent, the config says 1970, because there are readers that want some
    /// moment there, and the manifest says nothing: the same input gives the same digest.
    pub created: Option<Created>,
}

/// A file of WebAssembly, packed: a [`Source`] of one manifest, its config and the file, which stays where it is.
#[derive(Debug)]
pub struct Artifact(Parts);

impl Artifact {
    /// Returns the manifest. (Through [`Source::manifest`] it is also found by its identifier.)
    pub fn manifest(&self) -> &Manifest {
        self.0.manifest()
    }

    /// Returns what the artifact calls its manifest: the digest.
    pub fn identifier(&self) -> Identifier {
        self.0.identifier()
    }
}

impl Source for Artifact {
    async fn resolve(&self, id: &Identifier) -> Result<Descriptor, crate::error::Error> {
        self.0.find(id).map(|manifest| manifest.descriptor().clone())
    }

    async fn manifest(&self, id: &Identifier) -> Result<Manifest, crate::error::Error> {
        self.0.find(id).cloned()
    }

    fn blob(&self, descriptor: &Descriptor) -> Blob {
        self.0.blob(descriptor)
    }
}

/// Packs the component or core module in the file `path`, which may be text where its name ends in `.wat`, as the CNCF's
/// [Wasm OCI artifact]: one layer, and a config that says what a component imports and exports.
///
/// What the file says of itself (its version, licence, authors and the like, in custom sections of these names) becomes
/// annotations of the manifest. The file is read once, and not kept in memory, unless it was text. Its structure is checked
/// throughout where it has at most 16 MiB; of a longer one the outermost level, so that memory does not depend on its
/// length. The result is the same on every machine for the same bytes and options.
///
/// # Errors
///
/// [`Error::Wasm`] where the file is missing, neither a component nor a core module, or damaged; [`Error::Transfer`] where
/// it cannot be read.
///
/// [Wasm OCI artifact]: https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/
pub async fn pack_component(path: &Path, options: &ArtifactOptions) -> Result<Artifact, Error> {
    let owned = path.to_owned();
    let task = tokio::task::spawn_blocking(move || WasmFile::read(owned));
    let file = task.await.map_err(|error| crate::error::Error::io("read", path, io::Error::other(error)))??;
    let config = config(&file, options.created.as_ref());
    let manifest = ImageManifest {
        annotations: annotations(&file.surface, options),
        artifact_type: None,
        config: config.descriptor().clone(),
        layers: vec![file.blob.descriptor().clone()],
        media_type: Some(MediaType::IMAGE_MANIFEST),
        schema_version: 2,
        subject: None,
    };
    let bytes = serde_json::to_vec(&manifest).expect("a manifest is plain data");
    let manifest = Manifest::parse(bytes, Some(MediaType::IMAGE_MANIFEST)).map_err(crate::error::Error::from)?;
    Ok(Artifact(Parts::new(manifest, [file.blob, config])))
}

/// A file of WebAssembly that was looked into.
struct WasmFile {
    kind: WasmKind,
    surface: Surface,
    blob: Blob,
}

impl WasmFile {
    /// Reads it. Blocks.
    fn read(path: PathBuf) -> Result<Self, Error> {
        let (kind, made) = wasm::inspect_alone(&path)?;
        let invalid = |discord: Discord| wasm::alone(&path, Found::Invalid { said: discord.reason() });
        if let Some(bytes) = made {
            let surface = Surface::read(&bytes).map_err(invalid)?;
            return Ok(Self { kind, surface, blob: Blob::from_bytes(media::PACKAGE_WASM, bytes) });
        }
        let failed = |error| crate::error::Error::io("read", &path, error);
        let mut file = Hashing::new(File::open(&path).map_err(failed)?);
        let mut start = Vec::new();
        (&mut file).take(MAX_WHOLE + 1).read_to_end(&mut start).map_err(failed)?;
        let surface = if start.len() as u64 <= MAX_WHOLE {
            Surface::read(&start)
        } else {
            let mut whole = BufReader::with_capacity(BUFFER, start.as_slice().chain(&mut file));
            Surface::outline(&mut whole).map_err(failed)?
        };
        let surface = surface.map_err(invalid)?;
        let descriptor = file.descriptor();
        Ok(Self { kind, surface, blob: Blob::file(descriptor, path) })
    }
}

/// A file whose bytes are hashed as they come by.
struct Hashing {
    file: File,
    digester: Digester,
    size: u64,
}

impl Hashing {
    fn new(file: File) -> Self {
        Self { file, digester: Digester::new(Algorithm::Sha256), size: 0 }
    }

    /// Returns what has come by.
    fn descriptor(self) -> Descriptor {
        Descriptor::new(media::PACKAGE_WASM, self.digester.finish(), self.size)
    }
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.digester.update(&buffer[..read]);
        self.size += read as u64;
        Ok(read)
    }
}

/// Writes the config.
fn config(file: &WasmFile, created: Option<&Created>) -> Blob {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Config<'a> {
        created: String,
        architecture: &'static str,
        os: &'static str,
        layer_digests: [Digest; 1],
        #[serde(skip_serializing_if = "Option::is_none")]
        component: Option<Component<'a>>,
    }
    #[derive(Serialize)]
    struct Component<'a> {
        exports: &'a [String],
        imports: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<String>,
    }
    let WasmFile { kind, surface, blob } = file;
    let (os, component) = match kind {
        WasmKind::Component => {
            let component =
                Component { exports: &surface.exports, imports: &surface.imports, target: surface.target() };
            ("wasip2", Some(component))
        }
        WasmKind::Module => ("wasip1", None),
    };
    let created = created.map_or_else(|| NEVER.to_owned(), Created::to_string);
    let layer_digests = [blob.descriptor().digest];
    let config = Config { created, architecture: "wasm", os, layer_digests, component };
    Blob::from_bytes(media::PACKAGE_CONFIG, serde_json::to_vec(&config).expect("a config is plain data"))
}

/// Puts the annotations together; what was given explicitly wins.
fn annotations(surface: &Surface, options: &ArtifactOptions) -> Annotations {
    let mut annotations = Annotations::new();
    if options.inference == Infer::Yes {
        for (name, text) in &surface.said {
            let key = if *name == "homepage" { "url" } else { name };
            annotations.insert(format!("{PREFIX}{key}"), text.clone());
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
/// When an artifact was made that does not say when.
const NEVER: &str = "1970-01-01T00:00:00Z";
/// How long a file may be that is checked throughout, in bytes: for that it is in memory.
const MAX_WHOLE: u64 = 16 << 20;
/// How much of a longer file is in memory besides, in bytes.
const BUFFER: usize = 256 << 10;
