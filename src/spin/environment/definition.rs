//! The definition of an environment: a TOML document.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use semver::Version;
use serde_spanned::Spanned;

use super::super::app_manifest::plain;
use super::super::dependency_name::{DependencyName, PackageName};
use super::super::document::{self, Flaw, Item, Table};
use super::super::error::Problem;
use super::super::source;
use crate::model::{Reference, Registry};

/// What a host offers.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    /// What people call it.
    pub(super) name: String,
    triggers: BTreeMap<String, Offer>,
    /// What is offered to triggers of other types.
    default: Option<Offer>,
    /// The names that may be used, of each kind of resource that is limited.
    pub(super) limits: Vec<Limit>,
}

/// What is offered to the components of one type of triggers.
#[derive(Clone, Debug, Default)]
pub(super) struct Offer {
    /// A component has to fit into one of them.
    pub(super) worlds: Vec<World>,
    /// What the host can do besides.
    pub(super) capabilities: Vec<String>,
}

/// A world, and where its package is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) package: PackageName,
    pub(super) version: Option<Version>,
    pub(super) name: String,
    pub(super) home: Home,
}

/// Where the package of a world is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Home {
    /// In a registry of packages; without one, in Spin's.
    Packages(Option<Registry>),
    /// In an OCI registry, under this reference.
    Artifact(Reference),
    /// In a directory, as text.
    Directory(PathBuf),
}

/// The names that may be used of one kind of resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) what: &'static str,
    /// The key in the metadata of a locked component.
    pub(super) key: &'static str,
    pub(super) names: Vec<String>,
}

impl Environment {
    /// Parses a definition. `directory` is what paths in it are relative to; a definition from elsewhere may not have any.
    pub(super) fn parse(text: &str, name: String, directory: Option<&Path>) -> Result<Self, Flaw> {
        let mut top = document::parse(text)?;
        top.only(&["triggers", "default", "configuration", "metadata"])?;
        let mut triggers = BTreeMap::new();
        for (kind, item) in top.need("triggers")?.table()?.into_entries() {
            triggers.insert(kind.into_inner(), Offer::parse(item, directory)?);
        }
        let default = top.take("default").map(|item| Offer::parse(item, directory)).transpose()?;
        let limits = top.take("configuration").map_or_else(|| Ok(Vec::new()), limits)?;
        Ok(Self { name, triggers, default, limits })
    }

    /// Returns what is offered to triggers of a type; `None` where it has none of them.
    pub(super) fn offer(&self, kind: &str) -> Option<&Offer> {
        self.triggers.get(kind).or(self.default.as_ref())
    }
}

impl Offer {
    fn parse(item: Item<'_>, directory: Option<&Path>) -> Result<Self, Flaw> {
        let mut table = item.table()?;
        table.only(&["worlds", "capabilities"])?;
        let worlds = table.need("worlds")?.array()?.into_iter().map(|item| World::parse(item, directory));
        Ok(Self { worlds: worlds.collect::<Result<_, _>>()?, capabilities: plain(table.texts("capabilities")?) })
    }
}

impl World {
    fn parse(item: Item<'_>, directory: Option<&Path>) -> Result<Self, Flaw> {
        if item.is_text() {
            return Self::named(item.text()?, Home::Packages(None));
        }
        if !item.is_table() {
            return Err(item.wrong("a world, or `{ world }` with `registry`, `reference` or `path`"));
        }
        let mut table = item.table()?;
        let home = if table.has("path") {
            table.only(&["path", "world"])?;
            let path = table.need("path")?.text()?;
            let Some(directory) = directory else {
                let what = format!("the path `{}`", path.get_ref());
                let rule = "is one of this computer, and the definition comes from elsewhere";
                return Err(Flaw::at(path.span(), Problem::Conflict { what, rule }));
            };
            Home::Directory(directory.join(path.get_ref()))
        } else if table.has("reference") {
            table.only(&["reference", "world"])?;
            Home::Artifact(reference(table.need("reference")?)?)
        } else {
            table.only(&["registry", "reference", "path", "world"])?;
            Home::Packages(Some(source::registry(table.need("registry")?.text()?)?))
        };
        Self::named(table.need("world")?.text()?, home)
    }

    fn named(text: Spanned<String>, home: Home) -> Result<Self, Flaw> {
        let needs_version = matches!(home, Home::Packages(_));
        match text.get_ref().parse() {
            Ok(DependencyName::Package { package, version, interface: Some(name) })
                if version.is_some() || !needs_version =>
            {
                Ok(Self { package, version, name, home })
            }
            _ => {
                let expected = if needs_version { VERSIONED } else { "`namespace:package/world[@version]`" };
                let value = text.get_ref().clone();
                Err(Flaw::at(text.span(), Problem::Invalid { what: "world", value, expected }))
            }
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.package, self.name)?;
        self.version.as_ref().map_or(Ok(()), |version| write!(f, "@{version}"))
    }
}

fn reference(item: Item<'_>) -> Result<Reference, Flaw> {
    let text = item.text()?;
    text.get_ref().parse().map_err(|_| {
        let (value, expected) = (text.get_ref().clone(), "`REGISTRY/NAME[:TAG]`");
        Flaw::at(text.span(), Problem::Invalid { what: "reference", value, expected })
    })
}

fn limits(item: Item<'_>) -> Result<Vec<Limit>, Flaw> {
    let mut table: Table<'_> = item.table()?;
    table.only(&["key_value_stores", "sqlite_databases", "ai_models"])?;
    let mut limits = Vec::new();
    for (said, what, key) in [
        ("key_value_stores", "key-value store", "key_value_stores"),
        ("sqlite_databases", "SQLite database", "databases"),
        ("ai_models", "AI model", "ai_models"),
    ] {
        if table.has(said) {
            limits.push(Limit { what, key, names: plain(table.texts(said)?) });
        }
    }
    Ok(limits)
}

/// What a world in a registry of packages is called.
const VERSIONED: &str = "`namespace:package/world@version` with a whole version such as `1.0.0`";

#[cfg(test)]
mod tests {
    use super::super::super::document::Text;
    use super::*;

    fn parse(text: &str, directory: Option<&str>) -> Result<Environment, String> {
        let blame = |flaw| Text { file: "env.toml".into(), text: text.to_owned() }.blame(flaw).to_string();
        Environment::parse(text, "env".to_owned(), directory.map(Path::new)).map_err(blame)
    }

    #[test]
    fn definitions_are_understood() {
        let text = r#"
            default = { worlds = ["spin:up/platform@3.5.0"] }
            [triggers.http]
            worlds = [
                { registry = "r.example", world = "a:b/c@1.0.0" },
                { reference = "ghcr.io/a/wit:1.0.0", world = "a:b/d@1.0.0" },
                { path = "wit", world = "a:b/e" },
            ]
            capabilities = ["local_service_chaining"]
            [configuration]
            sqlite_databases = []
            [metadata]
            plugins = ["x"]
        "#;
        let environment = parse(text, Some("/env")).expect("a definition");
        let offer = environment.offer("http").expect("it has them");
        let worlds: Vec<_> = offer.worlds.iter().map(World::to_string).collect();
        assert_eq!(worlds, ["a:b/c@1.0.0", "a:b/d@1.0.0", "a:b/e"]);
        assert_eq!(offer.worlds[2].home, Home::Directory("/env/wit".into()));
        assert!(matches!(&offer.worlds[1].home, Home::Artifact(it) if it.to_string() == "ghcr.io/a/wit:1.0.0"));
        assert_eq!(offer.capabilities, ["local_service_chaining"]);
        let others = environment.offer("cron").expect("the default");
        assert_eq!(others.worlds[0].home, Home::Packages(None));
        let [limit] = environment.limits.as_slice() else { panic!("{:?}", environment.limits) };
        assert_eq!((limit.key, limit.names.len()), ("databases", 0));
        assert!(parse("[triggers]", None).expect("a definition").offer("http").is_none());
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, expected) in [
            ("", "env.toml:1:1: the key `triggers` is missing"),
            ("<html>", "env.toml:1:7: "),
            ("trigers = 1", "unknown key `trigers`; did you mean `triggers`?"),
            ("triggers.http = {}", "the key `worlds` is missing in `triggers.http`"),
            ("triggers.http.worlds = [1]", ":1:25: `triggers.http.worlds` has to be a world, or `{ world }` with"),
            ("triggers.http.worlds = [\"a:b/c\"]", "the world `a:b/c` has to be `namespace:package/world@version`"),
            ("triggers.http.worlds = [\"a:b@1.0.0\"]", "the world `a:b@1.0.0` has to be"),
            ("triggers.http.worlds = [{ world = \"a:b/c@1.0.0\" }]", "the key `registry` is missing"),
            ("triggers.http.worlds = [{ path = \"/etc\", world = \"a:b/c\" }]", "comes from elsewhere"),
            ("triggers.http.worlds = [{ reference = \"A B\", world = \"a:b/c\" }]", "the reference `A B` has to be"),
            ("triggers = {}\nconfiguration = { ai_model = [] }", "did you mean `ai_models`?"),
        ] {
            let error = parse(text, None).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
