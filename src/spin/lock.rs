//! From a normalised manifest to its lock file: everything but the content.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use serde_spanned::Spanned;

use super::app_manifest::{AppManifest, Component, Spec, Trigger};
use super::dependency::Dependency;
use super::document::Flaw;
use super::hosts::{self, Chaining};
use super::lock_file::{
    ComponentDependency, ContentRef, Inherit, LockedApp, LockedComponent, LockedSource, LockedTrigger, LockedVariable,
};
use super::nearest::nearest;
use super::variables::{self, Template};
use super::warning::{INHERITABLE, Notice};

/// Builds the lock file of a normalised manifest; content and files are not in it yet.
pub(super) fn lock(
    app: &AppManifest,
    profile: Option<&str>,
    notices: &mut Vec<(usize, Notice)>,
) -> Result<LockedApp, Flaw> {
    notices.extend(app.notices.iter().cloned());
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
        triggers: app.triggers.iter().map(|trigger| locked_trigger(trigger, notices)).collect(),
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
    if let [kind] = &app.trigger_types[..] {
        let mut only = app.trigger_settings.get(kind).cloned().unwrap_or_default();
        only.insert("type".to_owned(), kind.as_str().into());
        metadata.insert("trigger", sorted(only));
    }
    if let Some(profile) = profile {
        metadata.insert("profile", profile.into());
    }
    metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn locked_trigger(trigger: &Trigger, notices: &mut Vec<(usize, Notice)>) -> LockedTrigger {
    if trigger.component.is_none() && trigger.components.is_empty() {
        let key = trigger.config.keys().find(|key| nearest(key, std::iter::once("component")).is_some()).cloned();
        notices.push((trigger.span.start, Notice::NoComponent { trigger: trigger.id.clone(), key }));
    }
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
        // What did not move to the component: lists that are empty, and those of triggers without a component.
        trigger_dependencies: by_role(&trigger.dependencies, notices),
        rest: BTreeMap::new(),
    }
}

/// Locks what stands before a component.
fn by_role(
    roles: &[(String, Vec<Dependency>)],
    notices: &mut Vec<(usize, Notice)>,
) -> BTreeMap<String, Vec<ComponentDependency>> {
    let mut lock = |role: &str, dependencies: &[Dependency]| {
        dependencies.iter().map(|dependency| locked_dependency(role, dependency, notices)).collect()
    };
    roles.iter().map(|(role, dependencies)| (role.clone(), lock(role, dependencies))).collect()
}

/// Locks a dependency but for its content; `name` is what a complaint calls it.
fn locked_dependency(name: &str, dependency: &Dependency, notices: &mut Vec<(usize, Notice)>) -> ComponentDependency {
    if let Some(Inherit::Some(sets)) = &dependency.inherit {
        for set in sets.iter().filter(|set| !INHERITABLE.contains(&set.as_str())) {
            let (dependency_name, name) = (name.to_owned(), set.clone());
            notices.push((dependency.span.start, Notice::UnknownInheritance { dependency: dependency_name, name }));
        }
    }
    ComponentDependency {
        source: LockedSource::new(ContentRef::default()),
        export: dependency.export.clone(),
        inherit: dependency.inherit.clone().unwrap_or_default(),
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
            let nearest = nearest(name, variables.keys().map(String::as_str)).map(str::to_owned);
            let (component, name) = (id.clone(), name.to_owned());
            notices.push((text.span().start, Notice::UnknownVariable { component, name, nearest }));
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
            json.insert("workdir".to_owned(), workdir.get_ref().as_str().into());
        }
        metadata.insert("build".to_owned(), json.into());
    }
    let (mut dependencies, mut trigger_dependencies) = (BTreeMap::new(), BTreeMap::new());
    for (name, dependency) in &component.dependencies {
        dependencies.insert(name.clone(), locked_dependency(&name.to_string(), dependency, notices));
    }
    if let Some(before) = &component.before {
        metadata.insert("resolve-trigger-dependencies-using".to_owned(), before.kind.as_str().into());
        if before.dependencies.iter().any(|(role, _)| role == "middleware") {
            host_requirements.insert("middleware".to_owned(), "required".into());
        }
        trigger_dependencies = by_role(&before.dependencies, notices);
    }
    let config = component.variables.iter().map(|(name, text)| (name.clone(), text.get_ref().clone())).collect();
    Ok(LockedComponent {
        id: id.clone(),
        metadata: metadata.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect(),
        source: LockedSource::new(ContentRef::default()),
        env: component.environment.clone(),
        files: Vec::new(),
        config,
        dependencies,
        trigger_dependencies,
        host_requirements,
        rest: BTreeMap::new(),
    })
}

/// Sorts by key, whatever `serde_json` was built to do.
fn sorted(map: Map<String, Value>) -> Value {
    Value::Object(map.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::error::Problem;
    use super::super::normalise::normalise;
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
