//! The lock file: what an application is made of, resolved. Spin's `LockedApp`, in its order of fields.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::dependency_name::DependencyName;
use super::media;
use crate::model::{Digest, ParseError};

/// An application with everything in it resolved: what the last layer of its artifact holds.
///
/// Fields that are unknown here are kept when a lock file is read and written again after the known ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LockedApp {
    /// 0, or 1 where [`LockedApp::must_understand`] or [`LockedApp::host_requirements`] say something.
    pub spin_lock_version: u32,
    /// Names of fields that a host has to understand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_understand: Vec<String>,
    /// Name, version, authors, settings of trigger types.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// What the host must provide for the whole application.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub host_requirements: Map<String, Value>,
    /// The application's variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, LockedVariable>,
    /// The triggers, grouped by type.
    pub triggers: Vec<LockedTrigger>,
    /// The components.
    pub components: Vec<LockedComponent>,
    /// What is unknown here.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// A variable of an application. It is required where it has no default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedVariable {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its value where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether its value must not be shown.
    #[serde(default, skip_serializing_if = "is_false")]
    pub secret: bool,
    /// What is unknown here.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// A trigger: which event runs which component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LockedTrigger {
    /// Its id, unique in the application.
    pub id: String,
    /// Its type, such as `http`.
    pub trigger_type: String,
    /// What its type makes of it; `component` names the component.
    pub trigger_config: Value,
    /// What stands before its component, by role. On its way to being loaded it moves to the component.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub trigger_dependencies: BTreeMap<String, Vec<ComponentDependency>>,
    /// What is unknown here.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// A component of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LockedComponent {
    /// Its id, unique in the application.
    pub id: String,
    /// Description, build commands, allowed hosts, stores.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Its WebAssembly.
    pub source: LockedSource,
    /// Its environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The files it sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<ContentPath>,
    /// Its variables, as templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// What its imports are satisfied with when it is loaded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dependencies: BTreeMap<DependencyName, ComponentDependency>,
    /// What stands before it when its trigger calls it, by role; `middleware` of `http` is outermost first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub trigger_dependencies: BTreeMap<String, Vec<ComponentDependency>>,
    /// What the host must provide for this component.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub host_requirements: Map<String, Value>,
    /// What is unknown here.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// The WebAssembly of a component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LockedSource {
    /// Always `application/wasm`.
    pub content_type: String,
    /// Where it is.
    #[serde(flatten)]
    pub content: ContentRef,
    /// What is unknown here.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// A file that a component sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContentPath {
    /// Where its content is.
    #[serde(flatten)]
    pub content: ContentRef,
    /// Where the component sees it: relative to its root, with slashes. Foreign text: see [`ContentPath::place`].
    pub path: String,
    /// What is unknown here.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// Where content is: at a URL, right here, or under a digest. Any of them, or several that agree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentRef {
    /// A URL; `file:` in lock files on disk, never in artifacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The content itself, as base64 without padding.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "inline")]
    pub inline: Option<Bytes>,
    /// Its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// What an import of a component is satisfied with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentDependency {
    /// The WebAssembly that has it.
    pub source: LockedSource,
    /// The export to use; the import's own name where absent. Written even then.
    #[serde(default)]
    pub export: Option<String>,
    /// Which of the component's capabilities it may use.
    #[serde(default, skip_serializing_if = "Inherit::is_nothing")]
    pub inherit: Inherit,
    /// What is unknown here.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// Which capabilities of a component its dependency may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inherit {
    /// All.
    All,
    /// These sets, by the name of the manifest's key.
    Some(Vec<String>),
}

impl LockedApp {
    /// Reads a lock file: at most what [`media::MAX_LOCK`] allows has been read before. Versions and requirements are
    /// not judged, so that a lock file of a later Spin can be looked at; see [`LockedApp::understood`].
    ///
    /// # Errors
    ///
    /// Text that is no JSON, no lock file, or has a digest that does not parse.
    pub fn parse(json: &[u8]) -> Result<Self, ParseError> {
        serde_json::from_slice(json).map_err(|error| {
            let text = String::from_utf8_lossy(&json[..json.len().min(EXCERPT)]);
            ParseError::new("lock file", &text, "the JSON of a Spin lock file").because(&error)
        })
    }

    /// Returns the compact JSON that travels in an artifact, the same bytes on every machine.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a lock file has string keys and finite numbers only")
    }

    /// Refuses what cannot be run without knowing more than this release does.
    ///
    /// # Errors
    ///
    /// A version other than 0 and 1, an unknown name among those that must be understood, or a requirement of the
    /// application or a component that is unknown and not optional.
    pub fn understood(&self) -> Result<(), ParseError> {
        if self.spin_lock_version > 1 {
            let version = self.spin_lock_version.to_string();
            return Err(ParseError::new("`spin_lock_version`", &version, "0 or 1"));
        }
        let known = |name: &&String| !["host_requirements", "component_host_requirements"].contains(&name.as_str());
        if let Some(name) = self.must_understand.iter().find(known) {
            let expected = "`host_requirements` or `component_host_requirements`";
            return Err(ParseError::new("`must_understand`", name, expected));
        }
        let of_components = self.components.iter().map(|component| &component.host_requirements);
        let mut requirements = of_components.chain([&self.host_requirements]).flatten();
        let unknown = |(name, level): &(&String, &Value)| {
            !["local_service_chaining", "middleware"].contains(&name.as_str()) && level.as_str() != Some("optional")
        };
        match requirements.find(unknown) {
            Some((name, _)) => {
                Err(ParseError::new("`host_requirements`", name, "`local_service_chaining` or `middleware`"))
            }
            None => Ok(()),
        }
    }

    /// Returns the application's name, where it has one.
    pub fn name(&self) -> Option<&str> {
        self.metadata.get("name").and_then(Value::as_str)
    }
}

impl LockedSource {
    /// Makes the source of a component of WebAssembly content.
    pub fn new(content: ContentRef) -> Self {
        Self { content_type: media::WASM_CONTENT.to_owned(), content, rest: BTreeMap::new() }
    }
}

impl ContentPath {
    /// Puts content at a path.
    pub fn new(content: ContentRef, path: impl Into<String>) -> Self {
        Self { content, path: path.into(), rest: BTreeMap::new() }
    }

    /// Returns the path as one that stays below the directory it is joined to.
    ///
    /// # Errors
    ///
    /// Refuses what is absolute, is empty, has a `..`, a backslash, a colon (both mean something on Windows) or a NUL.
    pub fn place(&self) -> Result<PathBuf, ParseError> {
        let refuse = |expected| Err(ParseError::new("file path", &self.path, expected));
        if self.path.contains(['\\', '\0']) || (cfg!(windows) && self.path.contains(':')) {
            return refuse("slashes between names, and no backslash or NUL");
        }
        let mut place = PathBuf::new();
        for component in Path::new(&self.path).components() {
            match component {
                Component::Normal(name) => place.push(name),
                _ => return refuse("a relative path without `.` or `..`"),
            }
        }
        if place.as_os_str().is_empty() || self.path.ends_with('/') {
            return refuse("the name of a file");
        }
        Ok(place)
    }
}

impl Inherit {
    /// Says whether nothing is inherited.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Some(sets) if sets.is_empty())
    }
}

impl Default for Inherit {
    /// Nothing.
    fn default() -> Self {
        Self::Some(Vec::new())
    }
}

/// Base64 without padding in JSON, bytes in memory. Padding is refused, as Spin does.
mod inline {
    use base64::Engine as _;

    use super::{Bytes, Deserialize, Deserializer, STANDARD_NO_PAD, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(|bytes| STANDARD_NO_PAD.encode(bytes)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| STANDARD_NO_PAD.decode(text).map(Bytes::from).map_err(serde::de::Error::custom))
            .transpose()
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// How many bytes of a broken lock file an error repeats.
const EXCERPT: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: [&str; 6] = [
        include_str!("../../fixtures/spin/golden/static-site/lock.json"),
        include_str!("../../fixtures/spin/golden/static-site-noinfer/lock.json"),
        include_str!("../../fixtures/spin/golden/static-site-archive/lock.json"),
        include_str!("../../fixtures/spin/golden/big-assets/lock.json"),
        include_str!("../../fixtures/spin/golden/inline-trigger/lock.json"),
        include_str!("../../fixtures/spin/golden/dep-app/lock.json"),
    ];

    #[test]
    fn spins_lock_files_are_printed_as_they_were() {
        for golden in GOLDEN {
            let app = LockedApp::parse(golden.as_bytes()).expect("a lock file that Spin wrote");
            app.understood().expect("versions that are known");
            assert_eq!(String::from_utf8(app.to_json()).expect("JSON"), golden);
        }
    }

    #[test]
    fn what_is_unknown_is_kept() {
        let json = r#"{"spin_lock_version":7,"triggers":[{"id":"a","trigger_type":"http","trigger_config":{},"x":1}],"components":[{"id":"c","source":{"content_type":"application/wasm","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","later":2},"files":[{"inline":"e30","path":"p","mode":420}],"dependencies":{"a:b/c":{"source":{"content_type":"application/wasm","inline":""},"export":null,"inherit":"All","y":[]}}}],"future":{"a":null}}"#;
        let app = LockedApp::parse(json.as_bytes()).expect("a lock file of the future");
        assert_eq!(String::from_utf8(app.to_json()).expect("JSON"), json);
        assert!(app.understood().is_err());
    }

    #[test]
    fn what_is_no_lock_file_is_refused() {
        let with = |file: &str| {
            format!(
                r#"{{"spin_lock_version":0,"triggers":[],"components":[{{"id":"c","source":{{"content_type":"a"}},"files":[{file}]}}]}}"#
            )
        };
        for (json, said) in [
            (String::new(), "EOF"),
            ("{}".to_owned(), "missing field `spin_lock_version`"),
            (with(r#"{"path":"a","digest":"sha256:../../x"}"#), "digest"),
            (with(r#"{"path":"a","inline":"e30="}"#), "padding"),
        ] {
            let error = LockedApp::parse(json.as_bytes()).expect_err(said).to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn unknown_requirements_are_refused() {
        let json = br#"{"spin_lock_version":1,"must_understand":["teleport"],"triggers":[],"components":[]}"#;
        let error = LockedApp::parse(json).expect("JSON").understood().expect_err("`teleport` is unknown");
        assert!(error.to_string().contains("teleport"), "{error}");
        for (requirements, known) in [
            (r#"{}"#, true),
            (r#"{"local_service_chaining":"required"}"#, true),
            (r#"{"middleware":"required","teleport":"optional"}"#, true),
            (r#"{"teleport":"required"}"#, false),
            (r#"{"teleport":true}"#, false),
        ] {
            let of_app = format!(
                r#"{{"spin_lock_version":1,"must_understand":["host_requirements"],"host_requirements":{requirements},"triggers":[],"components":[]}}"#
            );
            let of_component = format!(
                r#"{{"spin_lock_version":1,"triggers":[],"components":[{{"id":"c","source":{{"content_type":"a"}},"host_requirements":{requirements}}}]}}"#
            );
            for json in [of_app, of_component] {
                let app = LockedApp::parse(json.as_bytes()).expect("a lock file");
                assert_eq!(app.understood().is_ok(), known, "{json}");
            }
        }
    }

    #[test]
    fn paths_stay_where_they_are_put() {
        let place = |path: &str| ContentPath::new(ContentRef::default(), path).place();
        for path in ["a", "a/b", ".hidden", "a b/ü", "a/./b", "..."] {
            assert!(place(path).is_ok(), "{path}");
        }
        for path in ["", ".", "./a", "/a", "..", "../a", "a/../b", "a/", "a\\b", "a\0b"] {
            assert!(place(path).is_err(), "{path:?}");
        }
    }
}
