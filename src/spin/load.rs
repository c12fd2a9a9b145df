//! From a manifest on disk to what the application is made of.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{self, Path, PathBuf};

use serde_json::{Map, Value};
use serde_spanned::Spanned;

use super::app_manifest::{AppManifest, Component, Source, Spec, Trigger};
use super::document::{Flaw, Text};
use super::error::{Error, Problem};
use super::hosts::{self, Chaining};
use super::lock_file::LockedVariable;
use super::lock_file::{ContentPath, ContentRef, LockedApp, LockedComponent, LockedSource, LockedTrigger};
use super::mounts::{self, MountedFile, Outside};
use super::normalise::normalise;
use super::variables::{self, Template};
use super::warning::{Notice, Warning};
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
}

/// Where the content of a component is.
#[derive(Clone, Debug)]
pub struct LocalComponent {
    /// Its id.
    pub id: String,
    /// Its WebAssembly.
    pub wasm: PathBuf,
    /// What that is.
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
/// Reads the manifest, the first bytes of each component and the directories that are mounted; changes nothing.
/// Manifests of version 2 with local components are understood.
///
/// # Errors
///
/// [`Error::NoManifest`], [`Error::Manifest`] with the place of the fault, [`Error::Wasm`] for the first component
/// whose file is missing or something else, [`Error::Transfer`] for what cannot be read.
pub async fn load(path: &Path, options: &LoadOptions) -> Result<Application, Error> {
    let (owned, options) = (path.to_owned(), options.clone());
    let task = tokio::task::spawn_blocking(move || load_now(&owned, &options));
    task.await.map_err(|error| crate::error::Error::io("read", path, io::Error::other(error)))?
}

fn load_now(path: &Path, options: &LoadOptions) -> Result<Application, Error> {
    let file = if path.is_dir() { path.join("spin.toml") } else { path.to_owned() };
    let manifest = path::absolute(&file).map_err(|error| crate::error::Error::io("read", &file, error))?;
    let text = Text { text: read(&file)?, file };
    let mut app = AppManifest::parse(&text.text).map_err(|flaw| text.blame(flaw))?;
    let profile = options.profile.as_deref();
    normalise(&mut app, profile).map_err(|flaw| text.blame(flaw))?;
    let mut notices = Vec::new();
    let lock = lock(&app, profile, &mut notices).map_err(|flaw| text.blame(flaw))?;
    let root = manifest.parent().unwrap_or(&manifest);
    let mut sources = Vec::new();
    for component in &app.components {
        sources.push(local(component).map_err(|flaw| text.blame(flaw))?);
    }
    // A component that was not built yet is what most often goes wrong, so it is said before anything else.
    let mut components = Vec::new();
    for (component, source) in app.components.iter().zip(sources) {
        let wasm = path::absolute(root.join(source)).map_err(|error| crate::error::Error::io("read", source, error))?;
        let kind = wasm::inspect(&component.id, &wasm, component.build.as_ref())?;
        components.push(LocalComponent { id: component.id.clone(), wasm, kind, files: Vec::new() });
    }
    let place = |(at, notice)| Warning { file: text.file.clone(), at: text.position(at), notice };
    let mut warnings: Vec<Warning> = notices.into_iter().map(place).collect();
    let mut lock = lock;
    for ((component, local), locked) in app.components.iter().zip(&mut components).zip(&mut lock.components) {
        local.files = mounts::resolve(&text, root, component, options.outside, &mut warnings)?;
        locked.files = local.files.iter().map(|file| ContentPath::new(ContentRef::default(), &file.path)).collect();
    }
    Ok(Application { manifest, lock, components, warnings })
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

/// Returns the path of a component's file, refusing what this release cannot bring along.
fn local(component: &Component) -> Result<&str, Flaw> {
    if let Some(dependency) = &component.dependencies {
        let what = "a component with dependencies";
        let instead = "compose it beforehand (for example with `wac plug`) and name the result as `source`";
        return Err(Flaw::at(dependency.clone(), Problem::Unsupported { what, instead }));
    }
    let unsupported = |what| {
        let instead = "download it and give its path";
        Flaw::at(component.source.span(), Problem::Unsupported { what, instead })
    };
    match component.source.get_ref() {
        Source::Local(path) => Ok(path),
        Source::Url => Err(unsupported("a component source with a `url`")),
        Source::Package => Err(unsupported("a component source with a `package`")),
    }
}

/// Builds the lock file of a normalised manifest; content and files are not in it yet.
pub(super) fn lock(
    app: &AppManifest,
    profile: Option<&str>,
    notices: &mut Vec<(usize, Notice)>,
) -> Result<LockedApp, Flaw> {
    let variables = variables::lock(&app.variables)?;
    let mut components = Vec::new();
    for component in &app.components {
        components.push(locked_component(component, &variables, notices)?);
    }
    // Spin since 3.3 understands requirements of components; a lock file without any is readable by Spin 2.0.
    let chained = components.iter().any(|component| !component.host_requirements.is_empty());
    Ok(LockedApp {
        spin_lock_version: u32::from(chained),
        must_understand: if chained { vec!["component_host_requirements".to_owned()] } else { Vec::new() },
        metadata: metadata(app, profile),
        variables,
        triggers: app.triggers.iter().map(locked_trigger).collect(),
        components,
        ..LockedApp::default()
    })
}

fn metadata(app: &AppManifest, profile: Option<&str>) -> Map<String, Value> {
    let mut metadata = BTreeMap::new();
    let texts = [("name", &app.name), ("version", &app.version), ("description", &app.description)];
    for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        metadata.insert(key, Value::from(text.as_str()));
    }
    if !app.authors.is_empty() {
        metadata.insert("authors", app.authors.as_slice().into());
    }
    let settings = app.trigger_settings.iter().map(|(kind, settings)| (kind.clone(), settings.clone().into()));
    metadata.insert("triggers", Value::Object(settings.collect()));
    // What Spin 1 looked at.
    if let [kind, others @ ..] = &app.triggers.iter().map(|trigger| &trigger.kind).collect::<Vec<_>>()[..]
        && others.iter().all(|other| other == kind)
    {
        let mut only = app.trigger_settings.get(*kind).cloned().unwrap_or_default();
        only.insert("type".to_owned(), kind.as_str().into());
        metadata.insert("trigger", sorted(only));
    }
    if let Some(profile) = profile {
        metadata.insert("profile", profile.into());
    }
    metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn locked_trigger(trigger: &Trigger) -> LockedTrigger {
    let reference = |spec: &Spec| match spec {
        Spec::Reference(id) => Value::from(id.get_ref().as_str()),
        Spec::Inline(component) => Value::from(component.id.as_str()),
    };
    let mut config = trigger.config.clone();
    if let Some(component) = &trigger.component {
        config.insert("component".to_owned(), reference(component));
    }
    if !trigger.components.is_empty() {
        let roles = trigger.components.iter();
        let roles = roles.map(|(role, specs)| (role.clone(), specs.iter().map(reference).collect::<Value>()));
        config.insert("components".to_owned(), sorted(roles.collect()));
    }
    LockedTrigger {
        id: trigger.id.clone(),
        trigger_type: trigger.kind.clone(),
        trigger_config: sorted(config),
        rest: BTreeMap::new(),
    }
}

fn locked_component(
    component: &Component,
    variables: &BTreeMap<String, LockedVariable>,
    notices: &mut Vec<(usize, Notice)>,
) -> Result<LockedComponent, Flaw> {
    let id = &component.id;
    if let Some(first) = component.allowed_http_hosts.first() {
        notices.push((first.span().start, Notice::AllowedHttpHosts { component: id.clone() }));
    }
    let hosts = hosts::merge(&component.allowed_outbound_hosts, &component.allowed_http_hosts)?;
    let mut host_requirements = Map::new();
    if hosts::check(&hosts, variables)? == Chaining::Required {
        host_requirements.insert("local_service_chaining".to_owned(), "required".into());
    }
    for text in component.variables.values().chain(&hosts) {
        let template = Template::parse(text.get_ref());
        for name in template.iter().flat_map(Template::variables).filter(|name| !variables.contains_key(*name)) {
            let (component, name) = (id.clone(), name.to_owned());
            notices.push((text.span().start, Notice::UnknownVariable { component, name }));
        }
    }
    let hosts: Vec<String> = hosts.into_iter().map(Spanned::into_inner).collect();
    let mut metadata = Map::new();
    let lists = [
        ("ai_models", &component.ai_models),
        ("allowed_outbound_hosts", &hosts),
        ("databases", &component.sqlite_databases),
        ("key_value_stores", &component.key_value_stores),
    ];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        metadata.insert(key.to_owned(), list.as_slice().into());
    }
    if !component.description.is_empty() {
        metadata.insert("description".to_owned(), component.description.as_str().into());
    }
    if let Some(build) = &component.build {
        let mut json = Map::from_iter([("command".to_owned(), build.command.json())]);
        if !build.watch.is_empty() {
            json.insert("watch".to_owned(), build.watch.as_slice().into());
        }
        if let Some(workdir) = &build.workdir {
            json.insert("workdir".to_owned(), workdir.as_str().into());
        }
        metadata.insert("build".to_owned(), json.into());
    }
    let config = component.variables.iter().map(|(name, text)| (name.clone(), text.get_ref().clone())).collect();
    Ok(LockedComponent {
        id: id.clone(),
        metadata: metadata.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect(),
        source: LockedSource::new(ContentRef::default()),
        env: component.environment.clone(),
        files: Vec::new(),
        config,
        dependencies: BTreeMap::new(),
        host_requirements,
        rest: BTreeMap::new(),
    })
}

/// Sorts by key, whatever `serde_json` was built to do.
fn sorted(map: Map<String, Value>) -> Value {
    Value::Object(map.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect())
}

/// How long a manifest may be, in bytes: no author writes more.
const MAX_MANIFEST: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(text: &str) -> Result<(String, usize), Problem> {
        let mut notices = Vec::new();
        let mut app = AppManifest::parse(text).map_err(|flaw| flaw.problem)?;
        normalise(&mut app, None).map_err(|flaw| flaw.problem)?;
        let lock = lock(&app, None, &mut notices).map_err(|flaw| flaw.problem)?;
        Ok((String::from_utf8(lock.to_json()).expect("JSON"), notices.len()))
    }

    #[test]
    fn a_small_manifest_makes_a_small_lock_file() {
        let text = "spin_manifest_version = 2\napplication.name = \"t\"\ntrigger = {}";
        let expected = r#"{"spin_lock_version":0,"metadata":{"name":"t","triggers":{}},"triggers":[],"components":[]}"#;
        assert_eq!(locked(text), Ok((expected.to_owned(), 0)));
    }

    #[test]
    fn a_manifest_with_everything_makes_a_lock_file_with_everything() {
        let text = r#"
            spin_manifest_version = 2
            [application]
            name = "all"
            version = "1"
            description = "tab\there"
            authors = ["a"]
            targets = ["spin-up", { path = "x" }]
            trigger.http = { z = 1, a = { y = 2, b = [3] } }
            tool.x.y = 1
            [variables]
            v = { default = "d", description = "D", secret = true }
            [[trigger.http]]
            route = "/"
            component = "c"
            components = { role = "c", list = ["c", "c"] }
            executor = { type = "wagi", entrypoint = "e" }
            [component.c]
            source = "c.wasm"
            description = "the component"
            variables = { v = "{{ v }}{{ w }}" }
            environment = { E = "1" }
            allowed_http_hosts = ["example.com"]
            allowed_outbound_hosts = ["http://x.spin.internal"]
            key_value_stores = ["snake_case"]
            sqlite_databases = ["kebab-case"]
            ai_models = ["any thing"]
            targets = []
            build = { command = ["a", "b"], workdir = "w", watch = ["*"] }
            tool.x.y = 1
            dependencies_inherit_configuration = true
            dependencies = {}
            "#;
        let expected = concat!(
            r#"{"spin_lock_version":1,"must_understand":["component_host_requirements"],"#,
            r#""metadata":{"authors":["a"],"description":"tab\there","name":"all","#,
            r#""trigger":{"a":{"b":[3],"y":2},"type":"http","z":1},"#,
            r#""triggers":{"http":{"a":{"b":[3],"y":2},"z":1}},"version":"1"},"#,
            r#""variables":{"v":{"description":"D","default":"d","secret":true}},"#,
            r#""triggers":[{"id":"c-http-trigger","trigger_type":"http","trigger_config":{"component":"c","#,
            r#""components":{"list":["c","c"],"role":["c"]},"#,
            r#""executor":{"entrypoint":"e","type":"wagi"},"route":"/"}}],"#,
            r#""components":[{"id":"c","metadata":{"ai_models":["any thing"],"#,
            r#""allowed_outbound_hosts":["http://x.spin.internal","http://example.com","https://example.com"],"#,
            r#""build":{"command":["a","b"],"watch":["*"],"workdir":"w"},"databases":["kebab-case"],"#,
            r#""description":"the component","key_value_stores":["snake_case"]},"#,
            r#""source":{"content_type":"application/wasm"},"env":{"E":"1"},"config":{"v":"{{ v }}{{ w }}"},"#,
            r#""host_requirements":{"local_service_chaining":"required"}}]}"#,
        );
        assert_eq!(locked(text), Ok((expected.to_owned(), 2)));
    }

    #[test]
    fn the_mirror_of_old_spin_is_for_one_trigger_type_only() {
        let with = |triggers: &str| {
            let text = format!(
                "spin_manifest_version = 2\napplication.name = \"t\"\n{triggers}\n[component.c]\nsource = \"c\""
            );
            locked(&text).expect("a manifest").0
        };
        let (http, redis) = ("[[trigger.http]]\ncomponent = \"c\"\n", "[[trigger.redis]]\ncomponent = \"c\"\n");
        assert!(with(&http.repeat(2)).contains(r#""trigger":{"type":"http"}"#));
        assert!(!with(&format!("{http}{redis}")).contains(r#""trigger":{"#));
    }
}
