//! Why components do not fit together.

use std::error::Error as StdError;
use std::fmt;

use super::super::error::Place;
use super::super::nearest::suggest;
use crate::model::excerpt;

/// Why a component cannot be composed with its dependencies.
#[derive(Debug)]
pub struct ComposeError {
    /// The place in the manifest where what is at fault is named; none where there is no manifest.
    pub place: Option<Box<Place>>,
    /// The component's id.
    pub component: Box<str>,
    /// The dependency at fault, as the manifest names it; none where the component itself is.
    pub dependency: Option<Box<str>>,
    /// What is wrong.
    pub discord: Discord,
}

/// What is wrong between components.
#[derive(Debug)]
#[non_exhaustive]
pub enum Discord {
    /// The bytes are no component that can be understood.
    Unreadable {
        /// What the reader said.
        reason: Box<dyn StdError + Send + Sync>,
    },
    /// It is a core module that does not say which interfaces it has, and only what has some can be connected.
    Module,
    /// It is a core module, and no component can be made of it.
    Unlifted {
        /// What is in the way.
        reason: Box<dyn StdError + Send + Sync>,
    },
    /// It has more bytes, or more types, than are looked at.
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// The component has an import that no dependency could be named for.
    ImportName {
        /// The import.
        import: String,
    },
    /// The dependency is named for an import that the component does not have.
    NoImport {
        /// The imports it has.
        imports: Vec<String>,
    },
    /// Two dependencies would satisfy one import.
    Contested {
        /// The import.
        import: String,
        /// The other dependency.
        other: String,
    },
    /// The dependency does not export what is to satisfy the import.
    NoExport {
        /// The import that is to be satisfied.
        import: String,
        /// The export that was looked for.
        export: String,
        /// The exports it has.
        exports: Vec<String>,
    },
    /// The export and the import have the same name and different types.
    Mismatch {
        /// The import.
        import: String,
        /// The export.
        export: String,
        /// Where they differ.
        reason: Box<dyn StdError + Send + Sync>,
    },
    /// The dependency imports what it may not use, and no component can be made that denies it.
    Undeniable {
        /// The interface.
        interface: String,
        /// What is in the way.
        reason: Box<dyn StdError + Send + Sync>,
    },
    /// The component, or middleware before it, does not handle requests in the way that can be chained.
    NoHandler {
        /// What is missing: "import" or "export".
        what: &'static str,
        /// The handler that was looked for.
        handler: String,
        /// What is there of the kind that is missing.
        there: Vec<String>,
    },
    /// It has middleware, which hosts do not find in an artifact unless it is composed.
    Separate,
    /// This build has no composition.
    Unavailable,
    /// The parts fit, and the whole does not.
    Whole {
        /// What the writer said.
        reason: Box<dyn StdError + Send + Sync>,
    },
}

impl fmt::Display for ComposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        match &self.dependency {
            Some(dependency) => write!(
                f,
                "the dependency `{}` of component `{}` {}",
                excerpt(dependency),
                excerpt(&self.component),
                Said(&self.discord, dependency)
            ),
            None => write!(f, "component `{}` {}", excerpt(&self.component), Said(&self.discord, "")),
        }
    }
}

/// What is wrong, with the name of the dependency, to which others may be similar.
struct Said<'a>(&'a Discord, &'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(discord, dependency) = *self;
        let names = |list: &'static str, names: &[String], name: &str, f: &mut fmt::Formatter<'_>| match names {
            [] => write!(f, "; it has none"),
            names => suggest(f, name, names.iter().map(String::as_str), list),
        };
        match discord {
            Discord::Unreadable { .. } => f.write_str("cannot be read"),
            Discord::Module => f.write_str("is a core module that does not say which interfaces it has"),
            Discord::Unlifted { .. } => f.write_str("is a core module, and no component can be made of it"),
            Discord::TooLarge { what, most } => write!(f, "has more than {most} {what}"),
            Discord::ImportName { import } => {
                write!(f, "has the import `{}`, which dependencies cannot be named for", excerpt(import))
            }
            Discord::NoImport { imports } => {
                f.write_str("has no import to satisfy")?;
                names("the component imports", imports, dependency, f)
            }
            Discord::Contested { import, other } => {
                write!(f, "satisfies the import `{}`, and so does the dependency `{}`", excerpt(import), excerpt(other))
            }
            Discord::NoExport { import, export, exports } => {
                write!(f, "does not export `{}`", excerpt(export))?;
                if export != import {
                    write!(f, ", which is to satisfy the import `{}`", excerpt(import))?;
                }
                names("it exports", exports, export, f)
            }
            Discord::Mismatch { import, export, .. } => write!(
                f,
                "exports `{}` with other types than those of the import `{}`",
                excerpt(export),
                excerpt(import)
            ),
            Discord::Undeniable { interface, .. } => {
                write!(
                    f,
                    "imports `{}`, which it does not inherit and which cannot be denied to it",
                    excerpt(interface)
                )
            }
            Discord::NoHandler { what, handler, there } => {
                write!(f, "has no {what} `{}`, so that middleware cannot be chained", excerpt(handler))?;
                names("there are", there, handler, f)
            }
            Discord::Separate => {
                f.write_str("has middleware, which no host finds in an artifact unless it is composed")
            }
            Discord::Unavailable => f.write_str("has dependencies, and this build is without the feature `compose`"),
            Discord::Whole { .. } => f.write_str("fits its dependencies one by one, and not all together"),
        }
    }
}

impl StdError for ComposeError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.discord {
            Discord::Unreadable { reason }
            | Discord::Unlifted { reason }
            | Discord::Mismatch { reason, .. }
            | Discord::Undeniable { reason, .. }
            | Discord::Whole { reason } => Some(&**reason),
            _ => None,
        }
    }
}

impl Discord {
    /// Says what is wrong with bytes that are not to be composed with anything.
    #[cfg(feature = "compose")]
    pub(in super::super) fn reason(&self) -> String {
        match self {
            Self::Unreadable { reason } => reason.to_string(),
            other => format!("it {}", Said(other, "")),
        }
    }

    /// Blames a component, or a dependency of it.
    #[cfg(feature = "compose")]
    pub(in super::super) fn of(self, component: &str, dependency: Option<&str>) -> ComposeError {
        let (component, dependency) = (component.into(), dependency.map(Into::into));
        ComposeError { place: None, component, dependency, discord: self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_component_dependency_and_interface() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (import, export) = ("a:b/greet@1.0.0".to_owned(), "a:b/greet@1.0.0".to_owned());
        for (discord, expected) in [
            (
                Discord::NoImport { imports: names(&["a:b/greet@1.1.0", "z"]) },
                "has no import to satisfy; did you mean `a:b/greet@1.1.0`? the component imports `a:b/greet@1.1.0`, `z`",
            ),
            (Discord::NoImport { imports: Vec::new() }, "has no import to satisfy; it has none"),
            (
                Discord::NoExport { import, export, exports: names(&["a:b/greet@1.0.1", "x"]) },
                "does not export `a:b/greet@1.0.0`; did you mean `a:b/greet@1.0.1`? it exports `a:b/greet@1.0.1`, `x`",
            ),
            (
                Discord::Contested { import: "a:b/c".to_owned(), other: "a:b".to_owned() },
                "satisfies the import `a:b/c`, and so does the dependency `a:b`",
            ),
        ] {
            let error = ComposeError {
                place: None,
                component: "main".into(),
                dependency: Some("a:b/greet@1.0.0".into()),
                discord,
            };
            let text = error.to_string();
            assert_eq!(text, format!("the dependency `a:b/greet@1.0.0` of component `main` {expected}"));
        }
    }
}
