//! An application of which everything has been found, wherever it comes from: what is left is to prepare and run it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};

use super::cache::Cache;
use super::cached::Document;
use super::composed::composed;
use super::error::Error;
use super::file_url::file_url;
use super::load::Application;
use super::lock_file::{
    ComponentDependency, ContentPath, ContentRef, LockedApp, LockedComponent, LockedSource, LockedTrigger,
};
use super::materialise::{self, Content, Files};
use super::prepare::Unrunnable;
use super::wasm::{self, Owner};
use crate::model::{Digest, ParseError, Reference};
use crate::store::blocking;

/// An application of which everything has been found. Its lock file names WebAssembly by `file:` URLs; its files are
/// written by [`Runnable::prepare`].
#[derive(Clone, Debug)]
pub struct Runnable {
    pub(super) lock: LockedApp,
    /// What the guests see.
    pub(super) files: Files,
    /// WebAssembly that is no file yet, by component.
    pub(super) made: BTreeMap<String, Bytes>,
    /// Where its content is: nobody may take that away before it is prepared.
    pub(super) _cache: Option<Cache>,
}

impl Runnable {
    /// Finds what was pulled last under `reference`: an application, or a package, which becomes an application of one
    /// component that answers every path. No requests.
    ///
    /// What the lock file says is foreign, and is checked: ids, paths, types of triggers, requirements. URLs in it are
    /// never followed; only digests, which the cache has or not, and inline content count.
    ///
    /// # Errors
    ///
    /// [`Unrunnable::NotCached`] where nothing was pulled; [`crate::Error::Parse`] with what is wrong in the lock file;
    /// [`crate::Error::NotFound`] where the lock file names content that the cache has not.
    pub async fn cached(cache: &Cache, reference: &Reference) -> Result<Self, Error> {
        let nothing = || Unrunnable::NotCached { reference: Box::new(reference.clone()), missing: Vec::new() };
        let mut lock = match cache.application(reference).document().await?.ok_or_else(nothing)? {
            Document::Application(lock) => *lock,
            Document::Package(digest) => {
                let found = cache.wasm(&digest).await;
                let found = found.map_err(|error| materialise::of(error, || "the package".to_owned()))?;
                check_package(&digest, &found).await?;
                let name = reference.name().as_str().rsplit('/').next().unwrap_or_default();
                return Ok(Self { _cache: Some(cache.clone()), ..Self::one_component(name, &absolute(&found)?) });
            }
        };
        lock.understood().map_err(crate::error::Error::from)?;
        check_names(&lock).map_err(crate::error::Error::from)?;
        let files = materialise::find(cache, &lock).await?;
        for component in &mut lock.components {
            component.files.clear();
            let owner = format!("component `{}`", component.id);
            find_wasm(cache, &mut component.source, || format!("the source of the {owner}")).await?;
            for (name, dependency) in &mut component.dependencies {
                find_wasm(cache, &mut dependency.source, || format!("the dependency `{name}` of the {owner}")).await?;
            }
            for (role, dependency) in in_roles(&mut component.trigger_dependencies) {
                find_wasm(cache, &mut dependency.source, || format!("a `{role}` of the {owner}")).await?;
            }
        }
        for trigger in &mut lock.triggers {
            for (role, dependency) in in_roles(&mut trigger.trigger_dependencies) {
                let what = || format!("a `{role}` of the trigger `{}`", trigger.id);
                find_wasm(cache, &mut dependency.source, what).await?;
            }
        }
        lock.metadata.insert("origin".to_owned(), format!("{OCI_ORIGIN}{reference}").into());
        Ok(Self { lock, files, made: BTreeMap::new(), _cache: Some(cache.clone()) })
    }

    /// Takes an application from its own directory, as [`super::load`] has read it. Components that have dependencies or
    /// middleware are composed with them, in memory.
    ///
    /// # Errors
    ///
    /// [`Error::Compose`] where a component and its dependencies do not fit together; [`Error::Transfer`] where one of them
    /// cannot be read.
    pub async fn local(app: &Application) -> Result<Self, Error> {
        let app = &composed(app).await?;
        let mut lock = app.lock.clone();
        let (mut files, mut made) = (Files::new(), BTreeMap::new());
        for (component, local) in lock.components.iter_mut().zip(&app.components) {
            component.source.content = at(&local.wasm);
            made.extend(local.made.iter().map(|bytes| (component.id.clone(), bytes.clone())));
            let placed = component.files.iter().zip(&local.files).filter_map(|(entry, file)| {
                let place = entry.place().ok()?;
                Some((place, Content::Local(file.source.clone())))
            });
            // With mounts that match nothing a component sees an empty directory, as in Spin.
            if local.directories.is_empty() && app.mounting.contains(&component.id) {
                files.insert(component.id.clone(), placed.collect());
            }
            let direct = local.directories.iter().map(|seen| ContentPath::new(at(&seen.source), &seen.path));
            component.files = direct.collect();
        }
        lock.metadata.insert("origin".to_owned(), file_url(&app.manifest).into());
        Ok(Self { lock, files, made, _cache: None })
    }

    /// Makes an application of one file of WebAssembly: it answers every path, and sees nothing. Of the file the first
    /// bytes are read; text, in a file whose name ends in `.wat`, is assembled in memory.
    ///
    /// # Errors
    ///
    /// [`Error::Wasm`] where the file is not there, or is something else; [`Error::Transfer`] where it cannot be read.
    pub async fn component(wasm: &Path) -> Result<Self, Error> {
        let file = wasm.to_owned();
        let inspected = blocking(move || {
            let name = file.file_stem().and_then(|stem| stem.to_str()).filter(|stem| !stem.is_empty());
            let name = name.unwrap_or("wasm-file").to_owned();
            let inspected = wasm::inspect(Owner { component: &name, dependency: None, build: None }, &file);
            Ok(inspected.map(|(_, made)| (name, made)))
        });
        let (name, made) = inspected.await??;
        let mut app = Self::one_component(&name, &absolute(wasm)?);
        app.made.extend(made.map(|bytes| (COMPONENT.to_owned(), bytes)));
        Ok(app)
    }

    /// Returns the lock file as it is so far.
    pub fn lock_file(&self) -> &LockedApp {
        &self.lock
    }

    /// Keeps these components, the triggers that start them, and whatever else those triggers name.
    ///
    /// # Errors
    ///
    /// [`Unrunnable::NoComponent`] for an id that is not there; [`Unrunnable::Chained`] where a component that is kept
    /// may call one that is not.
    pub fn retain(&mut self, ids: &[String]) -> Result<(), Unrunnable> {
        let known = || self.lock.components.iter().map(|component| component.id.clone());
        if let Some(id) = ids.iter().find(|id| !known().any(|known| known == **id)) {
            return Err(Unrunnable::NoComponent { id: id.clone(), known: known().collect() });
        }
        self.lock.triggers.retain(|trigger| match component_of(trigger) {
            Some(id) => ids.iter().any(|wanted| wanted == id),
            None => named(trigger).iter().any(|id| ids.iter().any(|wanted| wanted == id)),
        });
        let mut kept: BTreeSet<String> = ids.iter().cloned().collect();
        kept.extend(self.lock.triggers.iter().flat_map(named).map(str::to_owned));
        self.lock.components.retain(|component| kept.contains(&component.id));
        self.files.retain(|id, _| kept.contains(id));
        self.made.retain(|id, _| kept.contains(id));
        self.lock.components.iter().try_for_each(|component| check_chaining(component, &kept))
    }

    /// Adds environment variables to every component; they win over its own.
    pub fn add_environment(&mut self, variables: &BTreeMap<String, String>) {
        for component in &mut self.lock.components {
            component.env.extend(variables.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
    }

    fn one_component(name: &str, wasm: &Path) -> Self {
        let (trigger, component) = ("http-trigger1", COMPONENT);
        let lock = json!({
            "spin_lock_version": 0,
            "metadata": {"name": name, "trigger": {"type": "http"}, "triggers": {}},
            "triggers": [{
                "id": trigger,
                "trigger_type": "http",
                "trigger_config": {"component": component, "route": "/..."},
            }],
            "components": [{
                "id": component,
                "source": {"content_type": super::media::WASM_CONTENT, "source": file_url(wasm)},
            }],
        });
        let lock = serde_json::from_value(lock).expect("it is a lock file");
        Self { lock, files: Files::new(), made: BTreeMap::new(), _cache: None }
    }
}

/// Returns the place of content that is a file.
fn at(path: &Path) -> ContentRef {
    ContentRef { source: Some(file_url(path)), ..ContentRef::default() }
}

fn absolute(path: &Path) -> Result<std::path::PathBuf, crate::error::Error> {
    path.canonicalize().map_err(|error| crate::error::Error::io("find", path, error))
}

/// Refuses the only layer of an artifact that is something else, such as that of a container.
async fn check_package(digest: &Digest, layer: &Path) -> Result<(), crate::error::Error> {
    let (digest, layer) = (*digest, layer.to_owned());
    blocking(move || {
        if wasm::kind(&layer).map_err(|error| crate::error::Error::io("read", &layer, error))?.is_some() {
            return Ok(());
        }
        let expected = "a Spin application, or a package of one layer of WebAssembly";
        Err(ParseError::new("artifact", &format!("with the layer {digest}"), expected).into())
    })
    .await
}

/// Returns each dependency with its role.
fn in_roles(
    roles: &mut BTreeMap<String, Vec<ComponentDependency>>,
) -> impl Iterator<Item = (&String, &mut ComponentDependency)> {
    roles.iter_mut().flat_map(|(role, several)| several.iter_mut().map(move |one| (role, one)))
}

/// Replaces a digest by the place of what has it.
async fn find_wasm(
    cache: &Cache,
    source: &mut LockedSource,
    what: impl Fn() -> String,
) -> Result<(), crate::error::Error> {
    let Some(digest) = source.content.digest else {
        return Err(ParseError::new("lock file", &what(), "a `digest`").into());
    };
    let found = cache.wasm(&digest).await.map_err(|error| materialise::of(error, &what))?;
    source.content = at(&absolute(&found)?);
    Ok(())
}

/// Refuses names that would mean something else on a disk or a command line.
fn check_names(lock: &LockedApp) -> Result<(), ParseError> {
    let mut seen = BTreeSet::new();
    for component in &lock.components {
        materialise::component_folder(&component.id)?;
        if !seen.insert(&component.id) {
            return Err(ParseError::new("component id", &component.id, "an id that no other component has"));
        }
    }
    for trigger in &lock.triggers {
        let kind = &trigger.trigger_type;
        let plain = kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if kind.is_empty() || !plain {
            return Err(ParseError::new("trigger type", kind, "letters, digits, `-` and `_`"));
        }
        if let Some(id) = named(trigger).into_iter().find(|id| !seen.iter().any(|known| known.as_str() == *id)) {
            return Err(ParseError::new("component of a trigger", id, "the id of a component of the application"));
        }
    }
    Ok(())
}

/// Returns the component that a trigger starts.
fn component_of(trigger: &LockedTrigger) -> Option<&str> {
    trigger.trigger_config.get("component").and_then(Value::as_str)
}

/// Returns all components that a trigger names: the one that it starts, and those with a role.
fn named(trigger: &LockedTrigger) -> Vec<&str> {
    let roles = trigger.trigger_config.get("components").and_then(Value::as_object);
    let in_roles = roles.into_iter().flat_map(|roles| roles.values()).flat_map(|role| match role {
        Value::Array(several) => several.iter().collect(),
        one => vec![one],
    });
    component_of(trigger).into_iter().chain(in_roles.filter_map(Value::as_str)).collect()
}

/// Refuses a component that may call another one inside the application which does not run.
fn check_chaining(component: &LockedComponent, kept: &BTreeSet<String>) -> Result<(), Unrunnable> {
    let hosts = component.metadata.get("allowed_outbound_hosts").and_then(Value::as_array);
    for host in hosts.into_iter().flatten().filter_map(Value::as_str) {
        let name = host.split_once("://").map_or(host, |(_, rest)| rest);
        let name = name.split([':', '/']).next().unwrap_or_default();
        let Some(called) = name.strip_suffix(".spin.internal") else { continue };
        if !kept.contains(called) {
            return Err(Unrunnable::Chained { id: component.id.clone(), host: host.to_owned() });
        }
    }
    Ok(())
}

/// What Spin calls the component of an application that is one file.
const COMPONENT: &str = "http-trigger1-component";

/// What the origin of an application from a registry begins with.
const OCI_ORIGIN: &str = "vnd.fermyon.origin-oci:";

#[cfg(test)]
mod tests {
    use super::*;

    fn runnable(lock: Value) -> Runnable {
        let lock = serde_json::from_value(lock).expect("a lock file");
        Runnable { lock, files: Files::new(), made: BTreeMap::new(), _cache: None }
    }

    fn app() -> Runnable {
        let component = |id: &str, hosts: &[&str]| json!({"id": id, "metadata": {"allowed_outbound_hosts": hosts}, "source": {"content_type": "a"}});
        runnable(json!({
            "spin_lock_version": 0,
            "triggers": [
                {"id": "1", "trigger_type": "http", "trigger_config": {"component": "a"}},
                {"id": "2", "trigger_type": "redis", "trigger_config": {"component": "b", "components": {"x": ["c"]}}},
                {"id": "3", "trigger_type": "cron", "trigger_config": {"components": {"main": "c"}}},
            ],
            "components": [
                component("a", &["https://example.com", "http://b.spin.internal"]),
                component("b", &[]),
                component("c", &[]),
                component("d", &["http://*.spin.internal"]),
            ],
        }))
    }

    #[test]
    fn chosen_components_bring_their_triggers() {
        for (chosen, components, triggers) in [
            (vec!["b"], vec!["b", "c"], vec!["2"]),
            (vec!["c"], vec!["c"], vec!["3"]),
            (vec!["a", "b"], vec!["a", "b", "c"], vec!["1", "2"]),
        ] {
            let mut app = app();
            app.retain(&chosen.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>()).expect("they are there");
            let ids = |ids: Vec<&String>| ids.into_iter().map(String::as_str).map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(ids(app.lock.components.iter().map(|component| &component.id).collect()), components);
            assert_eq!(ids(app.lock.triggers.iter().map(|trigger| &trigger.id).collect()), triggers);
        }
    }

    #[test]
    fn what_cannot_be_chosen_is_said() {
        for (chosen, said) in
            [("e", "no component `e`"), ("a", "`http://b.spin.internal`"), ("d", "`http://*.spin.internal`")]
        {
            let error = app().retain(&[chosen.to_owned()]).expect_err(said).to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn strange_names_are_refused() {
        let with = |id: &str, kind: &str, component: &str| {
            let component_entry = json!({"id": id, "source": {"content_type": "a"}});
            let trigger = json!({"id": "t", "trigger_type": kind, "trigger_config": {"component": component}});
            let lock = json!({"spin_lock_version": 0, "triggers": [trigger], "components": [component_entry]});
            check_names(&serde_json::from_value(lock).expect("a lock file"))
        };
        assert_eq!(with("a", "http", "a"), Ok(()));
        for (id, kind, component, said) in [
            ("../a", "http", "../a", "component id `../a`"),
            ("a", "", "a", "trigger type ``"),
            ("a", "../x", "a", "trigger type `../x`"),
            ("a", "x y", "a", "trigger type `x y`"),
            ("a", "http", "b", "component of a trigger `b`"),
        ] {
            let error = with(id, kind, component).expect_err(said).to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn variables_are_added_to_every_component() {
        let mut app = app();
        app.lock.components[0].env.insert("K".to_owned(), "old".to_owned());
        app.add_environment(&BTreeMap::from([("K".to_owned(), "new".to_owned())]));
        assert!(app.lock.components.iter().all(|component| component.env["K"] == "new"));
    }
}
