//! From a manifest on disk to what the application is made of.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{self, Path, PathBuf};

use bytes::Bytes;

use super::app_manifest::{AppManifest, Component};
use super::build::{self, ComponentBuild};
use super::dependency::{Dependency, Provider};
use super::direct;
use super::document::{Flaw, Text};
use super::error::{Error, Place, Problem};
use super::lock::lock;
use super::lock_file::{ContentPath, ContentRef, LockedApp};
use super::mounts::{self, MountedFile, Outside};
use super::normalise::normalise;
use super::source::Source;
use super::warning::Warning;
use super::wasm::{self, Owner, WasmKind};

/// How a manifest is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// The build profile to apply; at least one component has to define it.
    pub profile: Option<String>,
    /// Whether files from outside the application's directory may be mounted.
    pub outside: Outside,
    /// Whether components see copies of files, or directories as they are.
    pub mounting: Mounting,
}

/// Whether components see copies of files, or directories as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mounting {
    /// Files are found one by one.
    #[default]
    Copied,
    /// Directories alone are mounted, and without excludes; for running an application where it is, never for packing.
    Direct,
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
    /// The components that see files, even where nothing matches what their manifest says.
    pub(super) mounting: BTreeSet<String>,
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
    /// What satisfies its imports, in the order of the lock file.
    pub dependencies: Vec<LocalDependency>,
    /// What stands before it when its trigger calls it, outermost first.
    pub middleware: Vec<LocalDependency>,
    /// The directories that it sees as they are, with [`Mounting::Direct`].
    pub directories: Vec<MountedFile>,
    /// Where the manifest says which WebAssembly it is.
    pub place: Option<Place>,
}

/// Where the content of a dependency is.
#[derive(Clone, Debug)]
pub struct LocalDependency {
    /// What the manifest calls it: the imports it satisfies, or its role.
    pub name: String,
    /// Its WebAssembly, or the text that it is assembled from.
    pub wasm: PathBuf,
    /// What travels in place of that file, where it is not the file itself: what was assembled from text.
    pub made: Option<Bytes>,
    /// What it is.
    pub kind: WasmKind,
    /// Where the manifest names it.
    pub place: Option<Place>,
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
    let find = |source: &str, owner: Owner<'_>| {
        let wasm = path::absolute(root.join(source)).map_err(|error| crate::error::Error::io("read", source, error))?;
        let (kind, made) = wasm::inspect(owner, &wasm)?;
        Ok::<_, Error>((wasm, kind, made))
    };
    for (component, sources) in app.components.iter().zip(sources) {
        let owner = Owner { component: &component.id, dependency: None, build: component.build.as_ref() };
        let (wasm, kind, made) = find(sources.component, owner)?;
        let dependency = |(name, source): (String, &str)| {
            let owner = Owner { dependency: Some(&name), build: None, ..owner };
            find(source, owner).map(|(wasm, kind, made)| LocalDependency { name, wasm, made, kind, place: None })
        };
        let dependencies = sources.dependencies.into_iter().map(dependency).collect::<Result<_, _>>()?;
        let middleware = sources.middleware.into_iter().map(dependency).collect::<Result<_, _>>()?;
        let (id, files, directories) = (component.id.clone(), Vec::new(), Vec::new());
        let mut local =
            LocalComponent { id, wasm, made, kind, files, dependencies, middleware, directories, place: None };
        find_places(&text, component, &mut local);
        components.push(local);
    }
    let mounting = app.components.iter().filter(|component| !component.files.is_empty());
    let mounting = mounting.map(|component| component.id.clone()).collect();
    for ((component, local), locked) in app.components.iter().zip(&mut components).zip(&mut lock.components) {
        if options.mounting == Mounting::Direct {
            local.directories = direct::resolve(&text, root, component)?;
            continue;
        }
        local.files = mounts::resolve(&text, root, component, options.outside, &mut warnings)?;
        locked.files = local.files.iter().map(|file| ContentPath::new(ContentRef::default(), &file.path)).collect();
    }
    let builds = build::list(&app, root).map_err(|flaw| text.blame(flaw))?;
    Ok(Application { manifest, lock, components, warnings, builds, mounting })
}

/// Notes where the manifest names a component's WebAssembly, for what is found out later.
fn find_places(text: &Text, component: &Component, local: &mut LocalComponent) {
    let place = |span: Range<usize>| Some(Place { file: text.file.clone(), at: text.position(span.start) });
    local.place = place(component.source.span());
    let roles = component.before.iter().flat_map(|before| &before.dependencies);
    let middleware = roles.flat_map(|(_, dependencies)| dependencies);
    let named = component.dependencies.values().zip(&mut local.dependencies);
    for (dependency, local) in named.chain(middleware.zip(&mut local.middleware)) {
        local.place = place(dependency.span.clone());
    }
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

/// The paths of the WebAssembly that a component is made of, as the manifest has them.
struct Sources<'a> {
    component: &'a str,
    dependencies: Vec<(String, &'a str)>,
    middleware: Vec<(String, &'a str)>,
}

/// Returns the paths of the components' files, refusing what this release cannot bring along.
fn local_sources(app: &AppManifest) -> Result<Vec<Sources<'_>>, Flaw> {
    app.components.iter().map(sources_of).collect()
}

fn sources_of(component: &Component) -> Result<Sources<'_>, Flaw> {
    let named = |(name, dependency)| Ok((name, local_dependency(dependency)?));
    let dependencies = component.dependencies.iter().map(|(name, dependency)| (name.to_string(), dependency));
    let mut middleware = Vec::new();
    if let Some(before) = &component.before {
        for (role, dependencies) in &before.dependencies {
            if let Some(first) = dependencies.first()
                && (before.kind.as_str(), role.as_str()) != ("http", "middleware")
            {
                let what = "a dependency of a trigger that is not `middleware` of `http`";
                let problem = Problem::Unsupported { what, instead: "compose the component beforehand" };
                return Err(Flaw::at(first.span.clone(), problem));
            }
            middleware.extend(dependencies.iter().map(|dependency| (role.clone(), dependency)));
        }
    }
    Ok(Sources {
        component: match component.source.get_ref() {
            Source::Local(path) => path,
            Source::Url { .. } => return elsewhere(component.source.span(), "a component source with a `url`"),
            Source::Package { .. } => return elsewhere(component.source.span(), "a component source with a `package`"),
        },
        dependencies: dependencies.map(named).collect::<Result<_, _>>()?,
        middleware: middleware.into_iter().map(named).collect::<Result<_, _>>()?,
    })
}

fn local_dependency(dependency: &Dependency) -> Result<&str, Flaw> {
    match &dependency.provider {
        Provider::Local(path) => Ok(path),
        Provider::Url { .. } => elsewhere(dependency.span.clone(), "a dependency with a `url`"),
        Provider::Package { .. } => elsewhere(dependency.span.clone(), "a dependency on a package"),
        // Normalising has replaced those of this application.
        Provider::Component(id) => elsewhere(id.span(), "a dependency on a component without a file"),
    }
}

fn elsewhere<T>(at: Range<usize>, what: &'static str) -> Result<T, Flaw> {
    Err(Flaw::at(at, Problem::Unsupported { what, instead: "download it and give its path" }))
}

/// How long a manifest may be, in bytes: no author writes more.
const MAX_MANIFEST: u64 = 4 << 20;
