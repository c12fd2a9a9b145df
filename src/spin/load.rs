//! From a manifest on disk to what the application is made of.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{self, Path, PathBuf};

use bytes::Bytes;
use serde_spanned::Spanned;

use super::app_manifest::{AppManifest, Component};
use super::build::{self, ComponentBuild};
use super::direct;
use super::document::{Flaw, Text};
use super::error::{Error, Place, Problem};
use super::lock::lock;
use super::lock_file::{ContentPath, ContentRef, LockedApp};
use super::mounts::{self, MountedFile, Outside};
use super::normalise::normalise;
use super::origin::{self, Origin};
use super::sources::{Obtained, Order, Sources, Wanter};
use super::target::{Target, TargetRef};
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
    /// The environments that each component is meant for: its own `targets`, else those of the application.
    #[cfg_attr(not(feature = "compose"), allow(dead_code, reason = "nothing is held to them"))]
    pub(super) targets: Vec<Vec<Target>>,
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
/// mounted; changes nothing. Manifests of both versions are understood; all components have to be files.
///
/// # Errors
///
/// [`Error::NoManifest`], [`Error::Manifest`] with the place of the fault, [`Error::Wasm`] for the first component
/// whose file is missing or something else, [`Error::Transfer`] for what cannot be read; [`Error::Source`] where
/// something is no file.
pub async fn load(path: &Path, options: &LoadOptions) -> Result<Application, Error> {
    load_with(path, options, &Sources::none()).await
}

/// Loads an application as [`load`] does, and obtains from `sources` what is no file: downloads and packages, for
/// components, dependencies and middleware.
///
/// The files are looked at first: what has to be built anyway is said before anything is fetched.
///
/// # Errors
///
/// As [`load`]; [`Error::Source`] says what could not be obtained, for which component, and why.
pub async fn load_with(path: &Path, options: &LoadOptions, sources: &Sources) -> Result<Application, Error> {
    let options = options.clone();
    let draft = blocking(path, move |path| Draft::read(path, &options)).await?;
    if draft.orders.is_empty() {
        return Ok(draft.app);
    }
    let obtained = sources.obtain(&draft.orders).await?;
    blocking(path, move |_| draft.complete(&obtained)).await
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
pub(super) async fn blocking<T: Send + 'static>(
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

/// An application of which some WebAssembly is still to be obtained.
struct Draft {
    app: Application,
    orders: Vec<Order>,
    /// Where what was ordered belongs, in the order of the orders.
    gaps: Vec<Gap>,
}

/// The place of WebAssembly in an application.
#[derive(Clone, Copy, Debug)]
struct Gap {
    component: usize,
    part: Part,
}

/// What of a component it is.
#[derive(Clone, Copy, Debug)]
enum Part {
    Itself,
    Dependency(usize),
    Middleware(usize),
}

impl Draft {
    fn read(path: &Path, options: &LoadOptions) -> Result<Self, Error> {
        let (manifest, text) = open(path)?;
        let Manifest { app, mut lock, mut warnings } = Manifest::read(&text, options.profile.as_deref())?;
        let parts = origin::parts(&app).map_err(|flaw| text.blame(flaw))?;
        let root = parent(&manifest).to_owned();
        let (mut orders, mut gaps) = (Vec::new(), Vec::new());
        // A component that was not built yet is what most often goes wrong, so it is said before anything else.
        let mut find = |origin: Origin<'_>, owner: Owner<'_>, gap: Gap| {
            let (wanted, span) = match origin {
                Origin::File(source) => {
                    let wasm = path::absolute(root.join(source));
                    let wasm = wasm.map_err(|error| crate::error::Error::io("read", source, error))?;
                    let (kind, made) = wasm::inspect(owner, &wasm)?;
                    return Ok::<_, Error>((wasm, kind, made));
                }
                Origin::Elsewhere(wanted, span) => (wanted, span),
            };
            let component = owner.component.to_owned();
            let wanter = match owner.dependency {
                Some(dependency) => Wanter::Dependency { dependency: dependency.to_owned(), component },
                None => Wanter::Component(component),
            };
            orders.push(Order { file: text.file.clone(), at: text.position(span.start), wanter, wanted });
            gaps.push(gap);
            Ok((PathBuf::new(), WasmKind::Component, None))
        };
        let mut components = Vec::new();
        for (index, (component, parts)) in app.components.iter().zip(parts).enumerate() {
            let owner = Owner { component: &component.id, dependency: None, build: component.build.as_ref() };
            let gap = |part| Gap { component: index, part };
            let (wasm, kind, made) = find(parts.component, owner, gap(Part::Itself))?;
            let mut dependency = |(name, origin): (String, Origin<'_>), part| {
                let owner = Owner { dependency: Some(&name), build: None, ..owner };
                find(origin, owner, gap(part)).map(|(wasm, kind, made)| LocalDependency {
                    name,
                    wasm,
                    made,
                    kind,
                    place: None,
                })
            };
            let dependencies = parts.dependencies.into_iter().enumerate();
            let dependencies = dependencies.map(|(index, it)| dependency(it, Part::Dependency(index)));
            let dependencies = dependencies.collect::<Result<_, _>>()?;
            let middleware = parts.middleware.into_iter().enumerate();
            let middleware = middleware.map(|(index, it)| dependency(it, Part::Middleware(index)));
            let middleware = middleware.collect::<Result<_, _>>()?;
            let (id, files, directories) = (component.id.clone(), Vec::new(), Vec::new());
            let mut local =
                LocalComponent { id, wasm, made, kind, files, dependencies, middleware, directories, place: None };
            find_places(&text, component, &mut local);
            components.push(local);
        }
        for ((component, local), locked) in app.components.iter().zip(&mut components).zip(&mut lock.components) {
            if options.mounting == Mounting::Direct {
                local.directories = direct::resolve(&text, &root, component)?;
                continue;
            }
            local.files = mounts::resolve(&text, &root, component, options.outside, &mut warnings)?;
            locked.files = local.files.iter().map(|file| ContentPath::new(ContentRef::default(), &file.path)).collect();
        }
        let builds = build::list(&app, &root).map_err(|flaw| text.blame(flaw))?;
        let target = |target: &Spanned<TargetRef>| Target {
            reference: target.get_ref().clone(),
            place: Place { file: text.file.clone(), at: text.position(target.span().start) },
        };
        let targets = app.components.iter().map(|component| component.targets.as_ref().unwrap_or(&app.targets));
        let targets = targets.map(|targets| targets.iter().map(target).collect()).collect();
        let mounting = app.components.iter().filter(|component| !component.files.is_empty());
        let mounting = mounting.map(|component| component.id.clone()).collect();
        Ok(Self { app: Application { manifest, lock, components, warnings, builds, targets, mounting }, orders, gaps })
    }

    /// Fills in what was obtained.
    fn complete(self, obtained: &Obtained) -> Result<Application, Error> {
        let Self { mut app, orders, gaps } = self;
        for (order, gap) in orders.iter().zip(gaps) {
            let found = obtained.get(&order.wanted).expect("what was ordered was obtained, or there was an error");
            let component = &mut app.components[gap.component];
            let dependency = match &order.wanter {
                Wanter::Dependency { dependency, .. } => Some(dependency.as_str()),
                Wanter::Component(_) | Wanter::Target(_) => None,
            };
            let owner = Owner { component: &component.id, dependency, build: None };
            let (of_kind, of_text) = wasm::inspect(owner, found)?;
            let (wasm, kind, made) = match gap.part {
                Part::Itself => (&mut component.wasm, &mut component.kind, &mut component.made),
                Part::Dependency(index) => component.dependencies[index].slots(),
                Part::Middleware(index) => component.middleware[index].slots(),
            };
            (*wasm, *kind, *made) = (found.clone(), of_kind, of_text);
        }
        Ok(app)
    }
}

impl LocalDependency {
    fn slots(&mut self) -> (&mut PathBuf, &mut WasmKind, &mut Option<Bytes>) {
        (&mut self.wasm, &mut self.kind, &mut self.made)
    }
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
pub(super) fn parent(manifest: &Path) -> &Path {
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

/// How long a manifest may be, in bytes: no author writes more.
const MAX_MANIFEST: u64 = 4 << 20;
