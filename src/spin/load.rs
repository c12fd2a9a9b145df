//! From a manifest on disk to what the application is made of.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{self, Path, PathBuf};

use bytes::Bytes;

use super::app_manifest::AppManifest;
use super::build::{self, ComponentBuild};
use super::document::{Flaw, Text};
use super::error::{Error, Problem};
use super::lock::lock;
use super::lock_file::{ContentPath, ContentRef, LockedApp};
use super::mounts::{self, MountedFile, Outside};
use super::normalise::normalise;
use super::source::Source;
use super::warning::Warning;
use super::wasm::{self, WasmKind};

/// How a manifest is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// The build profile to apply; at least one component has to define it.
    pub profile: Option<String>,
    /// Whether files from outside the application's directory may be mounted.
    pub outside: Outside,
}

/// An application on disk: its lock file but for the content, and where the content is.
#[derive(Clone, Debug)]
pub struct Application {
    pub(super) manifest: PathBuf,
    pub(super) lock: LockedApp,
    /// In the order of the lock file.
    pub(super) components: Vec<LocalComponent>,
    pub(super) warnings: Vec<Warning>,
    pub(super) builds: Vec<ComponentBuild>,
}

/// Where the content of a component is.
#[derive(Clone, Debug)]
pub struct LocalComponent {
    /// Its id.
    pub id: String,
    /// Its WebAssembly, or the text that it is assembled from.
    pub wasm: PathBuf,
    /// What travels in place of that file, where it is not the file itself: what was assembled from text.
    pub made: Option<Bytes>,
    /// What it is.
    pub kind: WasmKind,
    /// Its files, sorted by the bytes of their paths.
    pub files: Vec<MountedFile>,
}

impl Application {
    /// Returns the application's name.
    pub fn name(&self) -> &str {
        self.lock.name().unwrap_or_default()
    }

    /// Returns the absolute path of the manifest.
    pub fn manifest(&self) -> &Path {
        &self.manifest
    }

    /// Returns the components in the order of the lock file.
    pub fn components(&self) -> &[LocalComponent] {
        &self.components
    }

    /// Returns what is allowed and probably not meant.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

/// Loads the application whose manifest is `path`, or `spin.toml` in the directory `path`.
///
/// Reads the manifest, the first bytes of each component (all of those that are text) and the directories that are
/// mounted; changes nothing. Manifests of both versions with local components are understood.
///
/// # Errors
///
/// [`Error::NoManifest`], [`Error::Manifest`] with the place of the fault, [`Error::Wasm`] for the first component
/// whose file is missing or something else, [`Error::Transfer`] for what cannot be read.
pub async fn load(path: &Path, options: &LoadOptions) -> Result<Application, Error> {
    let options = options.clone();
    blocking(path, move |path| load_now(path, &options)).await
}

/// Says what the text of a manifest means: its lock file without any content, and what is probably not meant.
///
/// Looks at no file: components, files and dependencies have a place in the lock file and nothing there. `file` is what
/// errors and warnings call the manifest.
///
/// # Errors
///
/// [`Error::Manifest`] with the place of the fault.
pub fn interpret(file: &Path, text: &str, profile: Option<&str>) -> Result<(LockedApp, Vec<Warning>), Error> {
    let text = Text { file: file.to_owned(), text: text.to_owned() };
    let read = Manifest::read(&text, profile)?;
    Ok((read.lock, read.warnings))
}

/// Lists what builds the components of the application whose manifest is `path`, or `spin.toml` in the directory `path`:
/// in the order of the manifest, those without commands left out.
///
/// Reads the manifest; runs nothing.
///
/// # Errors
///
/// As [`load`], but for the components' files, which need not be there yet.
pub async fn builds(path: &Path, options: &LoadOptions) -> Result<Vec<ComponentBuild>, Error> {
    let profile = options.profile.clone();
    blocking(path, move |path| {
        let (manifest, text) = open(path)?;
        let read = Manifest::read(&text, profile.as_deref())?;
        build::list(&read.app, parent(&manifest)).map_err(|flaw| text.blame(flaw))
    })
    .await
}

/// Reads files where that may take its time.
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let owned = path.to_owned();
    let task = tokio::task::spawn_blocking(move || work(&owned));
    task.await.map_err(|error| crate::error::Error::io("read", path, io::Error::other(error)))?
}

/// A manifest that was understood.
struct Manifest {
    app: AppManifest,
    lock: LockedApp,
    warnings: Vec<Warning>,
}

impl Manifest {
    fn read(text: &Text, profile: Option<&str>) -> Result<Self, Error> {
        let mut notices = Vec::new();
        let understood = AppManifest::parse(&text.text).and_then(|mut app| {
            normalise(&mut app, profile)?;
            let lock = lock(&app, profile, &mut notices)?;
            Ok((app, lock))
        });
        let (app, lock) = understood.map_err(|flaw| text.blame(flaw))?;
        notices.sort_by_key(|(at, _)| *at);
        let place = |(at, notice)| Warning { file: text.file.clone(), at: text.position(at), notice };
        Ok(Self { app, lock, warnings: notices.into_iter().map(place).collect() })
    }
}

fn load_now(path: &Path, options: &LoadOptions) -> Result<Application, Error> {
    let (manifest, text) = open(path)?;
    let Manifest { app, mut lock, mut warnings } = Manifest::read(&text, options.profile.as_deref())?;
    let sources = local_sources(&app).map_err(|flaw| text.blame(flaw))?;
    let root = parent(&manifest);
    // A component that was not built yet is what most often goes wrong, so it is said before anything else.
    let mut components = Vec::new();
    for (component, source) in app.components.iter().zip(sources) {
        let wasm = path::absolute(root.join(source)).map_err(|error| crate::error::Error::io("read", source, error))?;
        let (kind, made) = wasm::inspect(&component.id, &wasm, component.build.as_ref())?;
        components.push(LocalComponent { id: component.id.clone(), wasm, made, kind, files: Vec::new() });
    }
    for ((component, local), locked) in app.components.iter().zip(&mut components).zip(&mut lock.components) {
        local.files = mounts::resolve(&text, root, component, options.outside, &mut warnings)?;
        locked.files = local.files.iter().map(|file| ContentPath::new(ContentRef::default(), &file.path)).collect();
    }
    let builds = build::list(&app, root).map_err(|flaw| text.blame(flaw))?;
    Ok(Application { manifest, lock, components, warnings, builds })
}

/// Reads a manifest, and finds out its absolute path.
fn open(path: &Path) -> Result<(PathBuf, Text), Error> {
    let file = if path.is_dir() { path.join("spin.toml") } else { path.to_owned() };
    let manifest = path::absolute(&file).map_err(|error| crate::error::Error::io("read", &file, error))?;
    Ok((manifest, Text { text: read(&file)?, file }))
}

/// Returns the directory that paths in a manifest are relative to.
fn parent(manifest: &Path) -> &Path {
    manifest.parent().unwrap_or(manifest)
}

/// Reads the text of a manifest.
fn read(path: &Path) -> Result<String, Error> {
    let failed = |error| crate::error::Error::io("read", path, error);
    let file = match File::open(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(Error::NoManifest { path: path.to_owned() });
        }
        opened => opened.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_MANIFEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_MANIFEST {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "a manifest has at most 4 MiB")).into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = Some(error.utf8_error().valid_up_to());
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let problem = Problem::Syntax("this is not UTF-8 text".to_owned());
        Text { file: path.to_owned(), text }.blame(Flaw { at, problem })
    })
}

/// Returns the paths of the components' files, refusing what this release cannot bring along.
fn local_sources(app: &AppManifest) -> Result<Vec<&str>, Flaw> {
    let mut sources = Vec::new();
    for component in &app.components {
        let unsupported = |at, what, instead| Err(Flaw::at(at, Problem::Unsupported { what, instead }));
        if let Some(dependency) = component.dependencies.values().min_by_key(|dependency| dependency.span.start) {
            let instead = "compose it beforehand (for example with `wac plug`) and name the result as `source`";
            return unsupported(dependency.span.clone(), "a component with dependencies", instead);
        }
        if let Some(before) = &component.before {
            let first = before.dependencies.iter().flat_map(|(_, dependencies)| dependencies).next();
            let at = first.map_or(component.source.span(), |first| first.span.clone());
            let instead = "remove them, or compose the component beforehand";
            return unsupported(at, "a trigger with dependencies", instead);
        }
        let instead = "download it and give its path";
        match component.source.get_ref() {
            Source::Local(path) => sources.push(path.as_str()),
            Source::Url { .. } => {
                return unsupported(component.source.span(), "a component source with a `url`", instead);
            }
            Source::Package { .. } => {
                return unsupported(component.source.span(), "a component source with a `package`", instead);
            }
        }
    }
    Ok(sources)
}

/// How long a manifest may be, in bytes: no author writes more.
const MAX_MANIFEST: u64 = 4 << 20;
