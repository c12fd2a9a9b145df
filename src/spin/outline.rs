//! What is published, as people want to see it: taken from lock files and configs, for printing and comparing.
//!
//! All text in it is foreign: whoever prints it has to escape it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::lock_file::{
    ComponentDependency, ContentRef, Inherit, LockedApp, LockedComponent, LockedTrigger, LockedVariable,
};
use crate::model::{Descriptor, Digest, ParseError};

/// An application: what starts it, what it wants to be told, and what each of its components may reach.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Outline {
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Who has made it.
    pub authors: Vec<String>,
    /// What starts its components.
    pub triggers: Vec<TriggerOutline>,
    /// What it wants to be told, by name.
    pub variables: BTreeMap<String, VariableOutline>,
    /// Its components.
    pub components: Vec<ComponentOutline>,
}

/// What starts a component.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TriggerOutline {
    /// Its id.
    pub id: String,
    /// Its type, such as `http`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The component that it starts, where it says so.
    pub component: Option<String>,
    /// What else its type makes of it: `route` for `http`.
    pub settings: BTreeMap<String, Value>,
}

/// What an application wants to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VariableOutline {
    /// Whether it has no default.
    pub required: bool,
    /// Whether its value must not be shown.
    pub secret: bool,
    /// Its value where none is given; not for secrets, whose default is not shown either.
    pub default: Option<String>,
    /// What it is for.
    pub description: Option<String>,
}

/// A component, and what it may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ComponentOutline {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its WebAssembly.
    pub source: ContentOutline,
    /// The files that it sees, by path.
    pub files: BTreeMap<String, ContentOutline>,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
    /// Its own variables, as templates.
    pub variables: BTreeMap<String, String>,
    /// The hosts that it may talk to.
    pub allowed_outbound_hosts: Vec<String>,
    /// The key-value stores that it may use.
    pub key_value_stores: Vec<String>,
    /// The SQLite databases that it may use.
    pub sqlite_databases: Vec<String>,
    /// The models that it may ask.
    pub ai_models: Vec<String>,
    /// What its imports are satisfied with, by name.
    pub dependencies: BTreeMap<String, DependencyOutline>,
    /// What stands before it when its trigger calls it, by role.
    pub before: BTreeMap<String, Vec<DependencyOutline>>,
}

/// What an import is satisfied with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DependencyOutline {
    /// Its WebAssembly.
    pub source: ContentOutline,
    /// The export that is used, where it is not called as the import.
    pub export: Option<String>,
    /// Which of the component's capabilities it may use: sets by name, or `*` for all.
    pub inherits: Vec<String>,
}

/// Some content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ContentOutline {
    /// Its digest, unless it is only somewhere else.
    pub digest: Option<Digest>,
    /// How many bytes it has, where that is known.
    pub size: Option<u64>,
}

/// A component that is published by itself: what its config says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PackageOutline {
    /// The system that it is for.
    pub os: Option<String>,
    /// What it exports; nothing for a core module.
    pub exports: Vec<String>,
    /// What it imports.
    pub imports: Vec<String>,
    /// The world that it is built for.
    pub target: Option<String>,
}

impl Outline {
    /// Takes from a lock file what people want to see; `layers` know how long content is.
    pub fn of(app: &LockedApp, layers: &[Descriptor]) -> Self {
        let sizes = layers.iter().map(|layer| (layer.digest, layer.size)).collect();
        let variables = app.variables.iter().map(|(name, variable)| (name.clone(), variable.into()));
        Self {
            name: text(&app.metadata, "name"),
            version: text(&app.metadata, "version"),
            description: text(&app.metadata, "description"),
            authors: texts(&app.metadata, "authors"),
            triggers: app.triggers.iter().map(Into::into).collect(),
            variables: variables.collect(),
            components: app.components.iter().map(|component| ComponentOutline::of(component, &sizes)).collect(),
        }
    }
}

impl From<&LockedTrigger> for TriggerOutline {
    fn from(trigger: &LockedTrigger) -> Self {
        let config = trigger.trigger_config.as_object();
        let settings = config.into_iter().flatten().filter(|(key, _)| *key != "component");
        Self {
            id: trigger.id.clone(),
            kind: trigger.trigger_type.clone(),
            component: config.and_then(|config| text(config, "component")),
            settings: settings.map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

impl From<&LockedVariable> for VariableOutline {
    fn from(variable: &LockedVariable) -> Self {
        let LockedVariable { description, default, secret, .. } = variable;
        Self {
            required: default.is_none(),
            secret: *secret,
            default: default.clone().filter(|_| !secret),
            description: description.clone(),
        }
    }
}

impl ComponentOutline {
    fn of(component: &LockedComponent, sizes: &HashMap<Digest, u64>) -> Self {
        let metadata = &component.metadata;
        let files = component.files.iter().map(|file| (file.path.clone(), ContentOutline::of(&file.content, sizes)));
        let depend = |dependency: &ComponentDependency| DependencyOutline::of(dependency, sizes);
        let dependencies = component.dependencies.iter().map(|(name, found)| (name.to_string(), depend(found)));
        let before = component.trigger_dependencies.iter();
        let before = before.map(|(role, found)| (role.clone(), found.iter().map(depend).collect()));
        Self {
            id: component.id.clone(),
            description: text(metadata, "description"),
            source: ContentOutline::of(&component.source.content, sizes),
            files: files.collect(),
            environment: component.env.clone(),
            variables: component.config.clone(),
            allowed_outbound_hosts: texts(metadata, "allowed_outbound_hosts"),
            key_value_stores: texts(metadata, "key_value_stores"),
            sqlite_databases: texts(metadata, "databases"),
            ai_models: texts(metadata, "ai_models"),
            dependencies: dependencies.collect(),
            before: before.collect(),
        }
    }
}

impl DependencyOutline {
    fn of(dependency: &ComponentDependency, sizes: &HashMap<Digest, u64>) -> Self {
        Self {
            source: ContentOutline::of(&dependency.source.content, sizes),
            export: dependency.export.clone(),
            inherits: match &dependency.inherit {
                Inherit::All => vec!["*".to_owned()],
                Inherit::Some(sets) => sets.clone(),
            },
        }
    }
}

impl ContentOutline {
    fn of(content: &ContentRef, sizes: &HashMap<Digest, u64>) -> Self {
        let inline = content.inline.as_ref();
        let digest = content.digest.or_else(|| inline.map(|bytes| Digest::of(bytes)));
        let size = inline.map(|bytes| bytes.len() as u64);
        Self { digest, size: size.or_else(|| sizes.get(&digest?).copied()) }
    }
}

impl PackageOutline {
    /// Reads the config of a package.
    ///
    /// # Errors
    ///
    /// Text that is no JSON object.
    pub fn parse(json: &[u8]) -> Result<Self, ParseError> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Config {
            os: Option<String>,
            component: Component,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Component {
            exports: Vec<String>,
            imports: Vec<String>,
            target: Option<String>,
        }
        let Config { os, component: Component { exports, imports, target } } =
            serde_json::from_slice(json).map_err(|error| {
                let text = String::from_utf8_lossy(&json[..json.len().min(EXCERPT)]);
                ParseError::new("config", &text, "the JSON of a package's config").because(&error)
            })?;
        Ok(Self { os, exports, imports, target })
    }
}

fn text(map: &Map<String, Value>, key: &str) -> Option<String> {
    map.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// Takes the texts of a list; whatever else is in it says nothing to us.
fn texts(map: &Map<String, Value>, key: &str) -> Vec<String> {
    map.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// How many bytes of a broken config an error repeats.
const EXCERPT: usize = 120;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn locked(component: &Value) -> LockedApp {
        let app = json!({
            "spin_lock_version": 0,
            "metadata": { "name": "shop", "version": "1.2.0", "authors": ["Ada", 7] },
            "variables": { "url": { "default": "https://x" }, "token": { "secret": true }, "key": { "secret": true, "default": "k" } },
            "triggers": [{ "id": "t", "trigger_type": "http", "trigger_config": { "component": "c", "route": "/..." } }],
            "components": [component],
        });
        LockedApp::parse(app.to_string().as_bytes()).expect("a lock file")
    }

    #[test]
    fn what_a_component_may_reach_is_there() {
        let wasm = Digest::of(b"wasm");
        let app = locked(&json!({
            "id": "c",
            "metadata": {
                "description": "sells", "allowed_outbound_hosts": ["https://a"], "key_value_stores": ["default"],
                "databases": ["db"], "ai_models": ["llama"],
            },
            "source": { "content_type": "application/wasm", "digest": wasm },
            "files": [{ "path": "a.txt", "inline": "aGk" }],
            "env": { "K": "V" },
            "config": { "token": "{{ token }}" },
            "dependencies": { "a:b/c": { "source": { "content_type": "application/wasm", "digest": wasm }, "inherit": "All" } },
        }));
        let outline = Outline::of(&app, &[Descriptor::of(super::super::media::WASM, b"wasm")]);
        assert_eq!((outline.name.as_deref(), outline.authors.as_slice()), (Some("shop"), &["Ada".to_owned()][..]));
        let component = &outline.components[0];
        assert_eq!(component.source, ContentOutline { digest: Some(wasm), size: Some(4) });
        assert_eq!(component.files["a.txt"], ContentOutline { digest: Some(Digest::of(b"hi")), size: Some(2) });
        assert_eq!(component.allowed_outbound_hosts, ["https://a"]);
        assert_eq!((component.sqlite_databases.len(), component.ai_models.len()), (1, 1));
        assert_eq!(component.dependencies["a:b/c"].inherits, ["*"]);
        let trigger = &outline.triggers[0];
        assert_eq!((trigger.component.as_deref(), &trigger.settings["route"]), (Some("c"), &json!("/...")));
    }

    #[test]
    fn the_default_of_a_secret_is_not_shown() {
        let app = locked(&json!({ "id": "c", "source": { "content_type": "application/wasm" } }));
        let outline = Outline::of(&app, &[]);
        let [key, token, url] = ["key", "token", "url"].map(|name| &outline.variables[name]);
        assert_eq!((key.required, key.secret, &key.default), (false, true, &None));
        assert_eq!((token.required, token.secret), (true, true));
        assert_eq!(url.default.as_deref(), Some("https://x"));
    }

    #[test]
    fn configs_of_packages_are_read_tolerantly() {
        let config = br#"{"os":"wasip2","component":{"exports":["a:b/c"],"imports":[],"target":null},"x":1}"#;
        assert_eq!(PackageOutline::parse(config).expect("a config").exports, ["a:b/c"]);
        assert_eq!(PackageOutline::parse(b"{}"), Ok(PackageOutline::default()));
        for json in ["", "<html>", "[1]", r#"{"component":7}"#] {
            assert!(PackageOutline::parse(json.as_bytes()).is_err(), "{json}");
        }
    }
}
