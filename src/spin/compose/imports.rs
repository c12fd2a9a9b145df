//! Which imports of a component a dependency is named for.

use super::super::dependency_name::DependencyName;
use super::error::Discord;

/// The imports of a component, as names that dependencies can have.
#[derive(Debug)]
pub(super) struct Imports(Vec<(String, DependencyName)>);

impl Imports {
    /// Reads the names of imports; one that no dependency can have makes all of them unusable, as in Spin.
    pub(super) fn parse<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self, Discord> {
        let parse = |name: &str| match name.parse::<DependencyName>() {
            Ok(DependencyName::Package { interface: None, .. }) | Err(_) => {
                Err(Discord::ImportName { import: name.to_owned() })
            }
            Ok(parsed) => Ok((name.to_owned(), parsed)),
        };
        names.map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the imports that a dependency called `name` satisfies.
    pub(super) fn of(&self, name: &DependencyName) -> Result<Vec<String>, Discord> {
        let found = self.0.iter().filter(|(_, import)| satisfies(name, import));
        let found: Vec<String> = found.map(|(import, _)| import.clone()).collect();
        if found.is_empty() {
            return Err(Discord::NoImport { imports: self.0.iter().map(|(import, _)| import.clone()).collect() });
        }
        Ok(found)
    }
}

/// Says whether a dependency called `name` is for `import`: what the name leaves out may be anything, and a version
/// that it says has to be the same.
fn satisfies(name: &DependencyName, import: &DependencyName) -> bool {
    match (name, import) {
        (
            DependencyName::Package { package, version, interface },
            DependencyName::Package { package: of, version: at, interface: called },
        ) => {
            package == of
                && interface.as_ref().is_none_or(|interface| Some(interface) == called.as_ref())
                && version.as_ref().is_none_or(|version| Some(version) == at.as_ref())
        }
        (name, import) => name == import,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["greet", "a:b/c@1.0.0", "a:b/d@1.2.0", "a:b/e"];

    #[test]
    fn names_match_as_far_as_they_go() {
        let imports = Imports::parse(NAMES.into_iter()).expect("names");
        for (name, expected) in [
            ("greet", &["greet"][..]),
            ("a:b", &["a:b/c@1.0.0", "a:b/d@1.2.0", "a:b/e"]),
            ("a:b/c", &["a:b/c@1.0.0"]),
            ("a:b@1.2.0", &["a:b/d@1.2.0"]),
            ("a:b/e", &["a:b/e"]),
        ] {
            let found = imports.of(&name.parse().expect("a name")).expect(name);
            assert_eq!(found, expected, "{name}");
        }
        for name in ["gree", "a:b/c@1.0.1", "a:b@1.1.0", "a:bb", "a:b/e@1.0.0"] {
            let found = imports.of(&name.parse().expect("a name"));
            assert!(matches!(found, Err(Discord::NoImport { imports }) if imports == NAMES), "{name}");
        }
    }

    #[test]
    fn names_that_no_dependency_can_have_are_refused() {
        for name in ["a:b", "Not_Kebab", "unlocked-dep=<a:b>", ""] {
            let parsed = Imports::parse(NAMES.into_iter().chain([name]));
            assert!(matches!(parsed, Err(Discord::ImportName { import }) if import == name), "{name}");
        }
    }
}
