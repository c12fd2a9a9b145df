//! Making explicit what a manifest leaves implicit: ids of triggers, inline components, the chosen build profile, what
//! dependencies inherit and where they come from, and what stands before which component.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_spanned::Spanned;

use super::app_manifest::{AppManifest, Build, Component, Spec, Trigger};
use super::dependency::{self, Dependency, Provider};
use super::document::Flaw;
use super::error::Problem;
use super::id::Style;
use super::lock_file::Inherit;
use super::split::split;

/// Normalises a manifest, in Spin's order: the names that are given here end up in the lock file.
///
/// Afterwards every trigger has an id, every component is in the list and referred to by its id, no dependency is named
/// as a component any more, and what stands before a component belongs to the component.
pub(super) fn normalise(manifest: &mut AppManifest, profile: Option<&str>) -> Result<(), Flaw> {
    name_triggers(&mut manifest.triggers);
    hoist_inline_components(manifest);
    check_references(manifest)?;
    if let Some(profile) = profile {
        apply_profile(manifest, profile)?;
    }
    manifest.components.iter_mut().try_for_each(inherit)?;
    resolve_components(manifest)?;
    manifest.components.iter().try_for_each(|component| dependency::check(&component.dependencies))?;
    split(manifest)
}

fn name_triggers(triggers: &mut [Trigger]) {
    let mut used: HashSet<String> = triggers.iter().map(|trigger| trigger.id.clone()).collect();
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    for trigger in triggers.iter_mut().filter(|trigger| trigger.id.is_empty()) {
        let kind = &trigger.kind;
        let by_component = match &trigger.component {
            Some(Spec::Reference(component)) => Some(format!("{}-{kind}-trigger", component.get_ref())),
            _ => None,
        };
        trigger.id = by_component.filter(|id| !used.contains(id)).unwrap_or_else(|| {
            let number = next.entry(kind.clone()).or_insert(1);
            count(number, |number| format!("{kind}-trigger{number}"), |id| !used.contains(id))
        });
        used.insert(trigger.id.clone());
    }
}

fn hoist_inline_components(manifest: &mut AppManifest) {
    let mut used: HashSet<String> = manifest.components.iter().map(|component| component.id.clone()).collect();
    for trigger in &mut manifest.triggers {
        let own = format!("{}-component", trigger.id);
        let others = trigger.components.iter_mut().flat_map(|(_, specs)| specs);
        let mut specs: Vec<&mut Spec> = trigger.component.iter_mut().chain(others).collect();
        let only = specs.len() == 1;
        let mut number = 1;
        for spec in &mut specs {
            let Spec::Inline(component) = spec else { continue };
            let mut component = component.as_ref().clone();
            component.id = match only && Style::Kebab.accepts(&own) && !used.contains(&own) {
                true => own.clone(),
                false => count(&mut number, |number| format!("inline-component{number}"), |id| !used.contains(id)),
            };
            used.insert(component.id.clone());
            **spec = Spec::Reference(Spanned::new(component.source.span(), component.id.clone()));
            manifest.components.push(component);
        }
    }
}

/// Counts on from `number` until a name is free.
fn count(number: &mut usize, name: impl Fn(usize) -> String, free: impl Fn(&str) -> bool) -> String {
    loop {
        let candidate = name(*number);
        *number += 1;
        if free(&candidate) {
            return candidate;
        }
    }
}

/// Checks that every component that a trigger names is defined.
fn check_references(manifest: &AppManifest) -> Result<(), Flaw> {
    let known: BTreeSet<&str> = manifest.components.iter().map(|component| component.id.as_str()).collect();
    for trigger in &manifest.triggers {
        let others = trigger.components.iter().flat_map(|(_, specs)| specs);
        for spec in trigger.component.iter().chain(others) {
            if let Spec::Reference(id) = spec
                && !known.contains(id.get_ref().as_str())
            {
                let known = known.iter().map(|&id| id.to_owned()).collect();
                let problem = Problem::Undefined { what: "component", name: id.get_ref().clone(), known };
                return Err(Flaw::at(id.span(), problem));
            }
        }
    }
    Ok(())
}

/// Applies a build profile to the components that define it; one has to.
fn apply_profile(manifest: &mut AppManifest, name: &str) -> Result<(), Flaw> {
    let known: BTreeSet<&String> = manifest.components.iter().flat_map(|component| component.profiles.keys()).collect();
    if !known.contains(&name.to_owned()) {
        let known = known.into_iter().cloned().collect();
        return Err(Flaw { at: None, problem: Problem::Undefined { what: "profile", name: name.to_owned(), known } });
    }
    for component in &mut manifest.components {
        let Some(profile) = component.profiles.remove(name) else { continue };
        if let Some(command) = profile.build {
            match &mut component.build {
                Some(build) => build.command = command,
                None => component.build = Some(Build { command, workdir: None, watch: Vec::new() }),
            }
        }
        if let Some(source) = profile.source {
            component.source = source;
        }
        component.environment.extend(profile.environment);
        component.dependencies.extend(profile.dependencies);
    }
    Ok(())
}

/// Lets all dependencies of a component inherit, where it says so for all of them at once.
fn inherit(component: &mut Component) -> Result<(), Flaw> {
    let Some(flag) = &component.dependencies_inherit else { return Ok(()) };
    if let Some((name, _)) = component.dependencies.iter().find(|(_, dependency)| dependency.inherit.is_some()) {
        let what = format!("`dependencies_inherit_configuration` and `inherit_configuration` of `{name}`");
        let rule = "exclude each other; keep one of them";
        return Err(Flaw::at(flag.span(), Problem::Conflict { what, rule }));
    }
    if *flag.get_ref() {
        component.dependencies.values_mut().for_each(|dependency| dependency.inherit = Some(Inherit::All));
    }
    Ok(())
}

/// Replaces dependencies that are components of the application by what those are made of.
fn resolve_components(manifest: &mut AppManifest) -> Result<(), Flaw> {
    let providers: BTreeMap<String, Result<Provider, Vec<&'static str>>> =
        manifest.components.iter().map(|component| (component.id.clone(), provider(component))).collect();
    let of_components = manifest.components.iter_mut().flat_map(|component| component.dependencies.values_mut());
    let of_triggers = manifest.triggers.iter_mut().flat_map(|trigger| &mut trigger.dependencies);
    let of_triggers = of_triggers.flat_map(|(_, dependencies)| dependencies);
    of_components.chain(of_triggers).try_for_each(|dependency| resolve(dependency, &providers))
}

fn resolve(
    dependency: &mut Dependency,
    providers: &BTreeMap<String, Result<Provider, Vec<&'static str>>>,
) -> Result<(), Flaw> {
    let Provider::Component(id) = &dependency.provider else { return Ok(()) };
    match providers.get(id.get_ref()) {
        Some(Ok(provider)) => dependency.provider = provider.clone(),
        Some(Err(own)) => {
            let own: Vec<String> = own.iter().map(|key| format!("`{key}`")).collect();
            let what = format!("the component `{}` has {}, and", id.get_ref(), own.join(", "));
            let rule = "a dependency has nothing of its own; remove it there, or name the file by `path`";
            return Err(Flaw::at(id.span(), Problem::Conflict { what, rule }));
        }
        None => {
            let known = providers.keys().cloned().collect();
            let problem = Problem::Undefined { what: "component", name: id.get_ref().clone(), known };
            return Err(Flaw::at(id.span(), problem));
        }
    }
    Ok(())
}

/// Returns what a component is as a dependency, or what keeps it from being one: what it has would be lost.
fn provider(component: &Component) -> Result<Provider, Vec<&'static str>> {
    let own = [
        ("ai_models", component.ai_models.is_empty()),
        ("allowed_http_hosts", component.allowed_http_hosts.is_empty()),
        ("allowed_outbound_hosts", component.allowed_outbound_hosts.is_empty()),
        ("dependencies", component.dependencies.is_empty()),
        ("environment", component.environment.is_empty()),
        ("files", component.files.is_empty()),
        ("key_value_stores", component.key_value_stores.is_empty()),
        ("sqlite_databases", component.sqlite_databases.is_empty()),
        ("variables", component.variables.is_empty()),
    ];
    let own: Vec<&str> = own.into_iter().filter(|(_, empty)| !empty).map(|(key, _)| key).collect();
    if own.is_empty() { Ok(component.source.get_ref().clone().into()) } else { Err(own) }
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::*;

    fn manifest(rest: &str) -> AppManifest {
        let text = format!("spin_manifest_version = 2\napplication = {{ name = \"t\" }}\n{rest}");
        AppManifest::parse(&text).expect("a manifest")
    }

    fn ids(manifest: &AppManifest) -> (Vec<&str>, Vec<&str>) {
        let triggers = manifest.triggers.iter().map(|trigger| trigger.id.as_str()).collect();
        (triggers, manifest.components.iter().map(|component| component.id.as_str()).collect())
    }

    #[test]
    fn triggers_are_grouped_and_named() {
        let mut manifest = manifest(
            r#"
            [[trigger.http]]
            component = "b"
            [[trigger.redis]]
            component = "a"
            [[trigger.http]]
            component = "b"
            [[trigger.http]]
            id = "http-trigger1"
            component = "a"
            [[trigger.http]]
            component = { source = "c.wasm" }
            [component.b]
            source = "b.wasm"
            [component.a]
            source = "a.wasm"
            "#,
        );
        normalise(&mut manifest, None).expect("normal");
        let (triggers, components) = ids(&manifest);
        let expected = ["b-http-trigger", "http-trigger2", "http-trigger1", "http-trigger3", "a-redis-trigger"];
        assert_eq!(triggers, expected);
        assert_eq!(components, ["b", "a", "http-trigger3-component"]);
    }

    #[test]
    fn inline_components_get_free_names() {
        let mut manifest = manifest(
            r#"
            [[trigger.x]]
            id = "not kebab"
            component = { source = "1.wasm" }
            [[trigger.x]]
            id = "two"
            component = { source = "2.wasm" }
            components = { role = [{ source = "3.wasm" }, "inline-component1"], other = { source = "4.wasm" } }
            [component.inline-component1]
            source = "0.wasm"
            "#,
        );
        normalise(&mut manifest, None).expect("normal");
        let expected = ["inline-component1", "inline-component2", "inline-component3", "inline-component4"];
        assert_eq!(ids(&manifest).1[..4], expected);
        assert_eq!(manifest.components.len(), 5);
    }

    #[test]
    fn a_profile_overrides_where_it_is_defined() {
        let text = r#"
            trigger = {}
            [component.a]
            source = "a.wasm"
            environment = { A = "1", B = "2" }
            [component.a.profile.debug]
            source = "debug.wasm"
            environment = { B = "3" }
            build = { command = "make debug" }
            [component.b]
            source = "b.wasm"
            "#;
        let mut with = manifest(text);
        normalise(&mut with, Some("debug")).expect("a profile that is defined");
        let [a, b] = &with.components[..] else { panic!("two components") };
        assert_eq!(a.source.get_ref(), &Source::Local("debug.wasm".to_owned()));
        assert_eq!(a.environment["A"], "1");
        assert_eq!(a.environment["B"], "3");
        assert_eq!(a.build.as_ref().expect("made by the profile").command.commands(), ["make debug"]);
        assert_eq!(b.source.get_ref(), &Source::Local("b.wasm".to_owned()));

        let flaw = normalise(&mut manifest(text), Some("debgu")).expect_err("no such profile");
        assert_eq!(flaw.problem.to_string(), "the profile `debgu` is not defined; did you mean `debug`?");
    }

    #[test]
    fn dependencies_inherit_all_at_once_or_each() {
        let text = |flag: &str, inherit: &str| {
            manifest(&format!(
                "trigger = {{}}\n[component.a]\nsource = \"a\"\n{flag}\n[component.a.dependencies]\n\"a:a\" = \"1\"\n\
                 \"b:b\" = {{ path = \"b\" {inherit} }}\n"
            ))
        };
        for (flag, inherit, expected) in [
            ("", "", [None, None]),
            ("dependencies_inherit_configuration = true", "", [Some(Inherit::All), Some(Inherit::All)]),
            ("dependencies_inherit_configuration = false", "", [None, None]),
            ("", ", inherit_configuration = true", [None, Some(Inherit::All)]),
            ("", ", inherit_configuration = false", [None, Some(Inherit::Some(Vec::new()))]),
        ] {
            let mut manifest = text(flag, inherit);
            normalise(&mut manifest, None).expect("normal");
            let inherited = manifest.components[0].dependencies.values().map(|dependency| dependency.inherit.clone());
            assert_eq!(inherited.collect::<Vec<_>>(), expected, "{flag} {inherit}");
        }
        for flag in ["true", "false"] {
            let flag = format!("dependencies_inherit_configuration = {flag}");
            let flaw = normalise(&mut text(&flag, ", inherit_configuration = []"), None).expect_err("both");
            assert!(flaw.problem.to_string().ends_with("of `b:b` exclude each other; keep one of them"), "{flag}");
        }
    }

    #[test]
    fn components_become_what_they_are_made_of() {
        for (source, expected) in [
            ("\"b.wasm\"", "Local(\"b.wasm\")"),
            ("{ package = \"x:y\", version = \"1.2.3\" }", "op: Exact, major: 1, minor: Some(2), patch: Some(3)"),
        ] {
            let mut manifest = manifest(&format!(
                "trigger = {{}}\n[component.a]\nsource = \"a\"\ndependencies = {{ \"b:b\" = {{ component = \"b\" }} }}\n\
                 [component.b]\nsource = {source}\n"
            ));
            normalise(&mut manifest, None).expect("normal");
            let provider = manifest.components[0].dependencies.values().next().map(|found| &found.provider);
            assert!(format!("{provider:?}").contains(expected), "{provider:?}");
        }
    }
}
