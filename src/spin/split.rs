//! What stands before a component belongs to the component: where triggers of one component differ in it, each gets a
//! component of its own.

use std::collections::HashSet;

use serde_spanned::Spanned;

use super::app_manifest::{AppManifest, Before, Component, Spec, Trigger};
use super::document::Flaw;
use super::error::Problem;

/// Moves what triggers put before their components to the components, as Spin does.
///
/// A component of one trigger takes it over. Where several triggers run a component, each one that puts something before
/// it gets a copy, at the end of the list; the others keep the original.
pub(super) fn split(manifest: &mut AppManifest) -> Result<(), Flaw> {
    let AppManifest { triggers, components, .. } = manifest;
    let shared: HashSet<String> = {
        let mut seen = HashSet::new();
        let again = triggers.iter().filter_map(runs).filter(|id| !seen.insert(*id));
        again.map(str::to_owned).collect()
    };
    for trigger in triggers.iter_mut().filter(|trigger| has_dependencies(trigger)) {
        let Some(id) = runs(trigger).map(str::to_owned) else { continue };
        let Some(index) = components.iter().position(|component| component.id == id) else { continue };
        let before =
            Some(Before { kind: trigger.kind.clone(), dependencies: std::mem::take(&mut trigger.dependencies) });
        if !shared.contains(&id) {
            components[index].before = before;
            continue;
        }
        let copy = copy_name(&id, trigger, components)?;
        let copied = Component { id: copy.clone(), before, ..components[index].clone() };
        trigger.component = Some(Spec::Reference(Spanned::new(trigger.span.clone(), copy)));
        components.push(copied);
    }
    Ok(())
}

/// Returns the id of the component that a trigger runs.
fn runs(trigger: &Trigger) -> Option<&str> {
    match &trigger.component {
        Some(Spec::Reference(id)) => Some(id.get_ref()),
        _ => None,
    }
}

fn has_dependencies(trigger: &Trigger) -> bool {
    trigger.dependencies.iter().any(|(_, dependencies)| !dependencies.is_empty())
}

/// Finds a name for the copy of a component that a trigger gets.
fn copy_name(component: &str, trigger: &Trigger, components: &[Component]) -> Result<String, Flaw> {
    // The name becomes one of a directory.
    if trigger.id.contains(|c: char| matches!(c, '/' | '\\' | ':') || c.is_control()) {
        let expected = "free of slashes and colons, because a component is named after it";
        let problem = Problem::Invalid { what: "trigger id", value: trigger.id.clone(), expected };
        return Err(Flaw::at(trigger.span.clone(), problem));
    }
    let name = format!("{component}-for-{}", trigger.id);
    let free = |name: &str| components.iter().all(|component| component.id != name);
    let numbered = (1..).map(|number| format!("{name}-d{number}"));
    Ok(std::iter::once(name.clone()).chain(numbered).find(|name| free(name)).expect("numbers do not end"))
}

#[cfg(test)]
mod tests {
    use super::super::normalise::normalise;
    use super::*;

    /// Returns, for each trigger, the component that it runs, and of all components those that something stands before.
    fn split_up(triggers: &str) -> Result<(Vec<String>, Vec<String>), Flaw> {
        let text = format!(
            "spin_manifest_version = 2\napplication = {{ name = \"t\" }}\n{triggers}\n[component.a]\nsource = \"a\"\n\
             [component.m]\nsource = \"m\"\n"
        );
        let mut manifest = AppManifest::parse(&text)?;
        normalise(&mut manifest, None)?;
        assert!(!manifest.triggers.iter().any(has_dependencies));
        let run = manifest.triggers.iter().filter_map(runs).map(str::to_owned).collect();
        let preceded = manifest.components.iter().filter(|component| component.before.is_some());
        Ok((run, preceded.map(|component| component.id.clone()).collect()))
    }

    const PLAIN: &str = "[[trigger.http]]\ncomponent = \"a\"\n";
    const WITH: &str = "[[trigger.http]]\ncomponent = \"a\"\ndependencies = { middleware = [{ component = \"m\" }] }\n";

    #[test]
    fn one_trigger_needs_no_copy() {
        assert_eq!(split_up(WITH), Ok((vec!["a".to_owned()], vec!["a".to_owned()])));
    }

    #[test]
    fn triggers_that_differ_get_copies() {
        let (run, preceded) = split_up(&[PLAIN, WITH, WITH].concat()).expect("a manifest");
        assert_eq!(run, ["a", "a-for-http-trigger1", "a-for-http-trigger2"]);
        assert_eq!(preceded, run[1..]);
    }

    #[test]
    fn copies_do_not_take_the_names_of_others() {
        let text = format!("[component.a-for-http-trigger1]\nsource = \"x\"\n{}", [PLAIN, WITH].concat());
        assert_eq!(split_up(&text).expect("a manifest").1, ["a-for-http-trigger1-d1"]);
    }

    #[test]
    fn nothing_is_named_after_a_path() {
        let text = [PLAIN, &WITH.replace("]]\n", "]]\nid = \"../x\"\n")].concat();
        let problem = split_up(&text).expect_err("a path").problem.to_string();
        assert!(problem.starts_with("the trigger id `../x` has to be free of slashes"), "{problem}");
    }
}
