//! What has changed between two versions of an application.

use std::collections::BTreeMap;

use serde::Serialize;

use super::outline::{ComponentOutline, ContentOutline, DependencyOutline, Outline, TriggerOutline, VariableOutline};

/// One thing that is different. All text in it is foreign: whoever prints it has to escape it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// What it belongs to.
    pub part: Part,
    /// The id or name of that; empty for the application itself.
    pub name: String,
    /// What it is, such as `wasm`, `file` or `host`; `null` in JSON where the whole part is there or not.
    pub what: Option<&'static str>,
    /// Which one, where there are several: the path of a file, the name of a variable.
    pub key: Option<String>,
    /// What it was before; `None` where it was not there.
    pub from: Option<String>,
    /// What it is now; `None` where it is not there.
    pub to: Option<String>,
}

/// What a change belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Part {
    /// The application as a whole.
    Application,
    /// A trigger.
    Trigger,
    /// A variable of the application.
    Variable,
    /// A component.
    Component,
}

/// Lists what is different in `new`, in a fixed order: the application, its triggers, its variables, its components.
pub fn difference(old: &Outline, new: &Outline) -> Vec<Change> {
    let (old, new) = (Facts::of(old), Facts::of(new));
    let mut changes = Vec::new();
    let keys: std::collections::BTreeSet<&Key> = old.0.keys().chain(new.0.keys()).collect();
    for key in keys {
        let (from, to) = (old.0.get(key), new.0.get(key));
        // Of what has gone as a whole nothing more is said; of what has come, all but its files.
        let whole = Key { what: None, key: None, ..key.clone() };
        let is_new = !old.0.contains_key(&whole);
        let is_said = key.what.is_none() || (new.0.contains_key(&whole) && !(is_new && key.is_file()));
        if from != to && is_said {
            let Key { part, name, what, key } = key.clone();
            let what = what.map(|(_, what)| what);
            changes.push(Change { part, name, what, key, from: from.cloned(), to: to.cloned() });
        }
    }
    changes
}

/// Where a fact stands. The number before `what` keeps the order in which people want to read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    part: Part,
    name: String,
    what: Option<(u8, &'static str)>,
    key: Option<String>,
}

impl Key {
    fn is_file(&self) -> bool {
        self.what.is_some_and(|(_, what)| what == FILE)
    }
}

/// Everything that an outline says, one by one.
struct Facts(BTreeMap<Key, String>);

/// The facts of one part.
struct Noted<'a> {
    facts: &'a mut Facts,
    part: Part,
    name: &'a str,
    order: u8,
}

impl Facts {
    fn of(outline: &Outline) -> Self {
        let Outline { name, version, description, authors, triggers, variables, components } = outline;
        let mut facts = Self(BTreeMap::new());
        let mut noted = facts.part(Part::Application, "", "");
        noted.one("name", name.as_ref());
        noted.one("version", version.as_ref());
        noted.one("description", description.as_ref());
        noted.one("authors", Some(authors.join(", ")).filter(|text| !text.is_empty()).as_ref());
        triggers.iter().for_each(|trigger| facts.trigger(trigger));
        variables.iter().for_each(|(name, variable)| facts.variable(name, variable));
        components.iter().for_each(|component| facts.component(component));
        facts
    }

    /// Begins with a part that is there; `gist` is what is said of it as a whole.
    fn part<'a>(&'a mut self, part: Part, name: &'a str, gist: &str) -> Noted<'a> {
        self.0.insert(Key { part, name: name.to_owned(), what: None, key: None }, gist.to_owned());
        Noted { facts: self, part, name, order: 0 }
    }

    fn trigger(&mut self, trigger: &TriggerOutline) {
        let TriggerOutline { id, kind, component, settings } = trigger;
        let mut noted = self.part(Part::Trigger, id, "");
        noted.one("type", Some(kind));
        noted.one("component", component.as_ref());
        noted.each("setting", settings.iter().map(|(key, value)| (key.clone(), value.to_string())));
    }

    fn variable(&mut self, name: &str, variable: &VariableOutline) {
        let VariableOutline { required, secret, default, description } = variable;
        let mut noted = self.part(Part::Variable, name, "");
        noted.one("required", Some(&required.to_string()));
        noted.one("secret", Some(&secret.to_string()));
        noted.one("default", default.as_ref());
        noted.one("description", description.as_ref());
    }

    fn component(&mut self, component: &ComponentOutline) {
        let ComponentOutline { id, description, source, files, environment, variables, dependencies, before, .. } =
            component;
        let mut noted = self.part(Part::Component, id, "");
        noted.one("description", description.as_ref());
        noted.one("wasm", content(source).as_ref());
        let files = files.iter().map(|(path, file)| (path.clone(), content(file).unwrap_or_default()));
        noted.each(FILE, files);
        for (what, list) in [
            ("host", &component.allowed_outbound_hosts),
            ("key-value store", &component.key_value_stores),
            ("sqlite database", &component.sqlite_databases),
            ("ai model", &component.ai_models),
        ] {
            noted.each(what, list.iter().map(|entry| (entry.clone(), String::new())));
        }
        let pairs = |map: &BTreeMap<String, String>| map.clone().into_iter();
        noted.each("variable", pairs(variables));
        noted.each("environment", pairs(environment));
        noted.each("dependency", dependencies.iter().map(|(name, found)| (name.clone(), dependency(found))));
        let chains = before
            .iter()
            .map(|(role, chain)| (role.clone(), chain.iter().map(dependency).collect::<Vec<_>>().join(", ")));
        noted.each("before it", chains);
    }
}

impl Noted<'_> {
    fn one(&mut self, what: &'static str, value: Option<&String>) {
        self.order += 1;
        if let Some(value) = value {
            self.note(what, None, value.clone());
        }
    }

    fn each(&mut self, what: &'static str, values: impl Iterator<Item = (String, String)>) {
        self.order += 1;
        for (key, value) in values {
            self.note(what, Some(key), value);
        }
    }

    fn note(&mut self, what: &'static str, key: Option<String>, value: String) {
        let (part, name) = (self.part, self.name.to_owned());
        self.facts.0.insert(Key { part, name, what: Some((self.order, what)), key }, value);
    }
}

fn content(content: &ContentOutline) -> Option<String> {
    content.digest.map(|digest| digest.to_string())
}

fn dependency(dependency: &DependencyOutline) -> String {
    let DependencyOutline { source, export, inherits } = dependency;
    let export = export.iter().map(|export| format!("export {export}"));
    let inherits = inherits.iter().map(|set| format!("with {set}"));
    content(source).into_iter().chain(export).chain(inherits).collect::<Vec<_>>().join(" ")
}

/// What a component may have thousands of.
const FILE: &str = "file";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::lock_file::LockedApp;
    use super::*;
    use crate::model::Digest;

    fn outline(edit: impl FnOnce(&mut Value)) -> Outline {
        let mut app = json!({
            "spin_lock_version": 0,
            "metadata": { "name": "shop", "version": "1.0.0" },
            "variables": { "url": { "default": "https://x" } },
            "triggers": [{ "id": "t", "trigger_type": "http", "trigger_config": { "component": "c", "route": "/..." } }],
            "components": [{
                "id": "c",
                "metadata": { "allowed_outbound_hosts": ["https://a", "https://b"] },
                "source": { "content_type": "application/wasm", "digest": Digest::of(b"1") },
                "files": [{ "path": "a.txt", "digest": Digest::of(b"a") }],
            }],
        });
        edit(&mut app);
        Outline::of(&LockedApp::parse(app.to_string().as_bytes()).expect("a lock file"), &[])
    }

    fn lines(new: &Outline) -> Vec<String> {
        let changes = difference(&outline(|_| {}), new);
        let show = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        changes
            .iter()
            .map(|Change { part, name, what, key, from, to }| {
                let key = key.as_deref().unwrap_or_default();
                format!("{part:?} {name} {} {key}: {} {}", what.unwrap_or_default(), show(from), show(to))
            })
            .collect()
    }

    #[test]
    fn what_is_the_same_is_not_mentioned() {
        assert_eq!(lines(&outline(|_| {})), [""; 0]);
    }

    #[test]
    fn each_change_is_told_once() {
        let (one, two, b) = (Digest::of(b"1"), Digest::of(b"2"), Digest::of(b"b"));
        let a = Digest::of(b"a");
        let new = outline(|app| {
            app["metadata"]["version"] = json!("1.1.0");
            app["metadata"]["authors"] = json!(["Ada"]);
            app["variables"]["token"] = json!({ "secret": true });
            app["triggers"][0]["trigger_config"]["route"] = json!("/shop/...");
            let component = &mut app["components"][0];
            component["source"]["digest"] = json!(two);
            component["files"] = json!([{ "path": "a.txt", "digest": b }, { "path": "b.txt", "digest": b }]);
            component["metadata"]["allowed_outbound_hosts"] = json!(["https://b", "https://c"]);
            component["env"] = json!({ "K": "V" });
        });
        assert_eq!(
            lines(&new),
            [
                "Application  version : 1.0.0 1.1.0",
                "Application  authors : - Ada",
                "Trigger t setting route: \"/...\" \"/shop/...\"",
                "Variable token  : - ",
                "Variable token required : - true",
                "Variable token secret : - true",
                &format!("Component c wasm : {one} {two}"),
                &format!("Component c file a.txt: {a} {b}"),
                &format!("Component c file b.txt: - {b}"),
                "Component c host https://a:  -",
                "Component c host https://c: - ",
                "Component c environment K: - V",
            ]
        );
    }

    #[test]
    fn what_goes_as_a_whole_is_one_change_and_what_comes_tells_what_it_may_reach() {
        let new = outline(|app| {
            app["components"][0]["id"] = json!("d");
            app["triggers"] = json!([]);
        });
        let wasm = format!("Component d wasm : - {}", Digest::of(b"1"));
        let hosts = ["Component d host https://a: - ", "Component d host https://b: - "];
        let expected = ["Trigger t  :  -", "Component c  :  -", "Component d  : - ", &wasm, hosts[0], hosts[1]];
        assert_eq!(lines(&new), expected);
    }
}
