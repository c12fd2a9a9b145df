//! `spin.toml`, manifest version 2: the text as data, every part with its place.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};
use serde_spanned::Spanned;

use super::document::{self, Flaw, Item, Table};
use super::error::Problem;
use super::id::Style;
use super::variables::Variable;

/// An application as its author wrote it.
#[derive(Debug)]
pub(super) struct AppManifest {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) description: String,
    pub(super) authors: Vec<String>,
    /// Settings of trigger types.
    pub(super) trigger_settings: BTreeMap<String, Map<String, Value>>,
    pub(super) variables: BTreeMap<String, Spanned<Variable>>,
    /// Grouped by type, in the order of the text.
    pub(super) triggers: Vec<Trigger>,
    /// In the order of the text.
    pub(super) components: Vec<Component>,
}

/// One `[[trigger.TYPE]]`.
#[derive(Debug)]
pub(super) struct Trigger {
    pub(super) kind: String,
    /// Empty where the author gave none.
    pub(super) id: String,
    pub(super) component: Option<Spec>,
    /// By role, in the order of the text.
    pub(super) components: Vec<(String, Vec<Spec>)>,
    /// Everything else.
    pub(super) config: Map<String, Value>,
}

/// How a trigger says which component it runs.
#[derive(Debug)]
pub(super) enum Spec {
    Reference(Spanned<String>),
    Inline(Box<Component>),
}

/// One `[component.ID]`.
#[derive(Clone, Debug)]
pub(super) struct Component {
    /// Empty while it is inline.
    pub(super) id: String,
    pub(super) source: Spanned<Source>,
    pub(super) description: String,
    pub(super) variables: BTreeMap<String, Spanned<String>>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) files: Vec<Spanned<Mount>>,
    pub(super) exclude_files: Vec<Spanned<String>>,
    pub(super) allowed_http_hosts: Vec<Spanned<String>>,
    pub(super) allowed_outbound_hosts: Vec<Spanned<String>>,
    pub(super) key_value_stores: Vec<String>,
    pub(super) sqlite_databases: Vec<String>,
    pub(super) ai_models: Vec<String>,
    pub(super) build: Option<Build>,
    pub(super) profiles: BTreeMap<String, Profile>,
    /// Where its first dependency is.
    pub(super) dependencies: Option<Range<usize>>,
}

/// Where a component's WebAssembly comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A path, relative to the manifest.
    Local(String),
    /// `{ url, digest }`.
    Url,
    /// `{ registry, package, version }`.
    Package,
}

/// One entry of `files`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mount {
    /// A path or a pattern.
    Pattern(String),
    /// A file or directory, and where the component sees it.
    Placed { source: String, destination: String },
}

/// How a component is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Build {
    pub(super) command: Command,
    pub(super) workdir: Option<String>,
    pub(super) watch: Vec<String>,
}

/// One command, or several: told apart because the lock file does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    One(String),
    Several(Vec<String>),
}

/// What a build profile changes in a component.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) source: Option<Spanned<Source>>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) build: Option<Command>,
    pub(super) dependencies: Option<Range<usize>>,
}

impl AppManifest {
    /// Parses the text of a manifest.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let mut top = document::parse(text)?;
        version(&mut top)?;
        top.only(&["spin_manifest_version", "application", "variables", "trigger", "component"])?;
        let mut app = top.need("application")?.table()?;
        app.only(&["name", "version", "description", "authors", "targets", "trigger", "tool"])?;
        let name = app.need("name")?.text()?.into_inner();
        let (version, description) = (app.text("version")?, app.text("description")?);
        let authors = plain(app.texts("authors")?);
        targets(&mut app)?;
        tools(&mut app)?;
        let mut trigger_settings = BTreeMap::new();
        for (kind, item) in app.table("trigger")? {
            trigger_settings.insert(kind.into_inner(), item.table()?.into_json()?);
        }
        let mut variables = BTreeMap::new();
        for (name, item) in top.table("variables")? {
            let name = checked("variable", Style::LowerSnake, name)?;
            variables.insert(name.get_ref().clone(), Spanned::new(name.span(), Variable::parse(item)?));
        }
        let mut triggers = Vec::new();
        for (kind, items) in top.need("trigger")?.table()?.into_entries() {
            for item in items.array()? {
                triggers.push(Trigger::parse(kind.get_ref(), item)?);
            }
        }
        let mut components = Vec::new();
        for (id, item) in top.table("component")? {
            let id = checked("component id", Style::Kebab, id)?.into_inner();
            components.push(Component::parse(id, item)?);
        }
        Ok(Self { name, version, description, authors, trigger_settings, variables, triggers, components })
    }
}

/// Checks that the manifest is of version 2.
fn version(top: &mut Table<'_>) -> Result<(), Flaw> {
    let older = "turn it into version 2 (`spin_manifest_version = 2`), which Spin understands since 2.0";
    if !top.has("spin_manifest_version")
        && let Some(alias) = top.take("spin_version")
    {
        let problem = Problem::Unsupported { what: "a manifest of version 1", instead: older };
        return Err(Flaw::at(alias.span(), problem));
    }
    let item = top.need("spin_manifest_version")?;
    match item.written().as_str() {
        "2" => Ok(()),
        "\"1\"" => {
            let problem = Problem::Unsupported { what: "a manifest of version 1", instead: older };
            Err(Flaw::at(item.span(), problem))
        }
        other => {
            let what = "manifest version";
            let problem = Problem::Invalid { what, value: other.to_owned(), expected: "the number 2" };
            Err(Flaw::at(item.span(), problem))
        }
    }
}

impl Trigger {
    fn parse(kind: &str, item: Item<'_>) -> Result<Self, Flaw> {
        let mut table = item.table()?;
        let id = table.text("id")?;
        let component = table.take("component").map(Spec::parse).transpose()?;
        let mut components = Vec::new();
        for (role, item) in table.table("components")? {
            let specs = match item.is_array() {
                true => item.array()?.into_iter().map(Spec::parse).collect::<Result<_, _>>()?,
                false => vec![Spec::parse(item)?],
            };
            components.push((role.into_inner(), specs));
        }
        if let Some((_, first)) = table.table("dependencies")?.into_iter().next() {
            let what = "a trigger with dependencies";
            let instead = "remove them, or compose the component beforehand";
            return Err(Flaw::at(first.span(), Problem::Unsupported { what, instead }));
        }
        Ok(Self { kind: kind.to_owned(), id, component, components, config: table.into_json()? })
    }
}

impl Spec {
    fn parse(item: Item<'_>) -> Result<Self, Flaw> {
        if item.is_text() {
            return checked("component id", Style::Kebab, item.text()?).map(Self::Reference);
        }
        if item.is_table() {
            return Component::parse(String::new(), item).map(|component| Self::Inline(Box::new(component)));
        }
        Err(item.wrong("the id of a component, or a table with a `source`"))
    }
}

impl Component {
    fn parse(id: String, item: Item<'_>) -> Result<Self, Flaw> {
        let mut table = item.table()?;
        table.only(&[
            "source",
            "description",
            "variables",
            "environment",
            "files",
            "exclude_files",
            "allowed_http_hosts",
            "allowed_outbound_hosts",
            "key_value_stores",
            "sqlite_databases",
            "ai_models",
            "targets",
            "build",
            "tool",
            "dependencies_inherit_configuration",
            "dependencies",
            "profile",
        ])?;
        let source = Source::parse(table.need("source")?)?;
        let mut variables = BTreeMap::new();
        for (name, item) in table.table("variables")? {
            let name = checked("variable", Style::LowerSnake, name)?.into_inner();
            variables.insert(name, item.text()?);
        }
        let files = table.take("files").map_or_else(|| Ok(Vec::new()), Item::array)?;
        let files = files.into_iter().map(Mount::parse).collect::<Result<_, _>>()?;
        targets(&mut table)?;
        tools(&mut table)?;
        if let Some(flag) = table.take("dependencies_inherit_configuration") {
            flag.boolean()?;
        }
        let dependencies = table.table("dependencies")?;
        let build = table.take("build").map(|item| Build::parse(item, BUILD)).transpose()?;
        let mut profiles = BTreeMap::new();
        for (name, item) in table.table("profile")? {
            profiles.insert(name.into_inner(), Profile::parse(item)?);
        }
        Ok(Self {
            id,
            source,
            description: table.text("description")?,
            variables,
            environment: table.text_map("environment")?,
            files,
            exclude_files: table.texts("exclude_files")?,
            allowed_http_hosts: table.texts("allowed_http_hosts")?,
            allowed_outbound_hosts: table.texts("allowed_outbound_hosts")?,
            key_value_stores: labels("key-value store", table.texts("key_value_stores")?)?,
            sqlite_databases: labels("SQLite database", table.texts("sqlite_databases")?)?,
            ai_models: plain(table.texts("ai_models")?),
            build,
            profiles,
            dependencies: dependencies.first().map(|(name, _)| name.span()),
        })
    }
}

impl Source {
    fn parse(item: Item<'_>) -> Result<Spanned<Self>, Flaw> {
        let span = item.span();
        if item.is_text() {
            let path = item.text()?.into_inner();
            if path.is_empty() {
                let problem = Problem::Invalid { what: "component source", value: path, expected: "a path" };
                return Err(Flaw::at(span, problem));
            }
            return Ok(Spanned::new(span, Self::Local(path)));
        }
        if !item.is_table() {
            return Err(item.wrong("a path, `{ url, digest }` or `{ registry, package, version }`"));
        }
        let mut table = item.table()?;
        table.only(&["url", "digest", "registry", "package", "version"])?;
        let (source, needed): (_, [&'static str; 2]) = match table.has("url") || table.has("digest") {
            true => (Self::Url, ["url", "digest"]),
            false => (Self::Package, ["package", "version"]),
        };
        for key in needed {
            table.need(key)?.text()?;
        }
        Ok(Spanned::new(span, source))
    }
}

impl Mount {
    fn parse(item: Item<'_>) -> Result<Spanned<Self>, Flaw> {
        let span = item.span();
        if item.is_text() {
            return Ok(Spanned::new(span, Self::Pattern(item.text()?.into_inner())));
        }
        if !item.is_table() {
            return Err(item.wrong("a path, a pattern or `{ source, destination }`"));
        }
        let mut table = item.table()?;
        table.only(&["source", "destination"])?;
        let source = table.need("source")?.text()?.into_inner();
        let destination = table.need("destination")?.text()?.into_inner();
        Ok(Spanned::new(span, Self::Placed { source, destination }))
    }
}

impl Build {
    fn parse(item: Item<'_>, known: &'static [&'static str]) -> Result<Self, Flaw> {
        let mut table = item.table()?;
        table.only(known)?;
        let command = table.need("command")?;
        let command = match command.is_array() {
            true => {
                let commands = command.array()?.into_iter().map(|item| item.text().map(Spanned::into_inner));
                Command::Several(commands.collect::<Result<_, _>>()?)
            }
            false if command.is_text() => Command::One(command.text()?.into_inner()),
            false => return Err(command.wrong("a string or an array of strings")),
        };
        let workdir = table.take("workdir").map(Item::text).transpose()?.map(Spanned::into_inner);
        Ok(Self { command, workdir, watch: plain(table.texts("watch")?) })
    }
}

impl Command {
    /// Returns the commands in their order.
    pub(super) fn commands(&self) -> Vec<String> {
        match self {
            Self::One(command) => vec![command.clone()],
            Self::Several(commands) => commands.clone(),
        }
    }

    /// Returns the commands as the manifest has them.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::One(command) => command.as_str().into(),
            Self::Several(commands) => commands.as_slice().into(),
        }
    }
}

impl Profile {
    fn parse(item: Item<'_>) -> Result<Self, Flaw> {
        let mut table = item.table()?;
        table.only(&["source", "environment", "dependencies", "build"])?;
        Ok(Self {
            source: table.take("source").map(Source::parse).transpose()?,
            environment: table.text_map("environment")?,
            build: table.take("build").map(|item| Build::parse(item, &["command"])).transpose()?.map(|b| b.command),
            dependencies: table.table("dependencies")?.first().map(|(name, _)| name.span()),
        })
    }
}

/// Checks `targets`, which leave no trace in an artifact.
fn targets(table: &mut Table<'_>) -> Result<(), Flaw> {
    for item in table.take("targets").map_or_else(|| Ok(Vec::new()), Item::array)? {
        if item.is_text() {
            continue;
        }
        if !item.is_table() {
            return Err(item.wrong("a name, `{ url }` or `{ path }`"));
        }
        item.table()?.only(&["url", "path"])?;
    }
    Ok(())
}

/// Checks `tool`, which belongs to other programs.
fn tools(table: &mut Table<'_>) -> Result<(), Flaw> {
    table.table("tool")?.into_iter().try_for_each(|(_, item)| item.table().map(drop))
}

fn checked(what: &'static str, style: Style, id: Spanned<String>) -> Result<Spanned<String>, Flaw> {
    if style.accepts(id.get_ref()) {
        return Ok(id);
    }
    let (span, expected) = (id.span(), style.expected());
    Err(Flaw::at(span, Problem::Invalid { what, value: id.into_inner(), expected }))
}

fn labels(what: &'static str, labels: Vec<Spanned<String>>) -> Result<Vec<String>, Flaw> {
    let bad =
        |label: &&Spanned<String>| !(Style::Kebab.accepts(label.get_ref()) || Style::Snake.accepts(label.get_ref()));
    if let Some(label) = labels.iter().find(bad) {
        let value = label.get_ref().clone();
        return Err(Flaw::at(label.span(), Problem::Invalid { what, value, expected: "kebab-case or snake_case" }));
    }
    Ok(plain(labels))
}

fn plain(texts: Vec<Spanned<String>>) -> Vec<String> {
    texts.into_iter().map(Spanned::into_inner).collect()
}

/// The keys of `build`.
const BUILD: &[&str] = &["command", "workdir", "watch"];
