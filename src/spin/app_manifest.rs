//! `spin.toml` as data, every part with its place. Either version becomes this.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};
use serde_spanned::Spanned;

use super::dependency::{Dependencies, Dependency};
use super::document::{self, Flaw, Item, Table};
use super::error::Problem;
use super::id::Style;
use super::source::Source;
use super::target::TargetRef;
use super::variables::Variable;
use super::warning::Notice;
use super::{manifest_v1, manifest_v2};

/// An application as its author wrote it.
#[derive(Debug)]
pub(super) struct AppManifest {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) description: String,
    pub(super) authors: Vec<String>,
    /// The environments that it is meant for, as they are written.
    pub(super) targets: Vec<Spanned<TargetRef>>,
    /// Settings of trigger types.
    pub(super) trigger_settings: BTreeMap<String, Map<String, Value>>,
    pub(super) variables: BTreeMap<String, Spanned<Variable>>,
    /// The types of triggers that are written down, even where there is no trigger of them.
    pub(super) trigger_types: Vec<String>,
    /// Grouped by type, in the order of the text.
    pub(super) triggers: Vec<Trigger>,
    /// In the order of the text.
    pub(super) components: Vec<Component>,
    /// What is allowed and probably not meant, as far as parsing can tell.
    pub(super) notices: Vec<(usize, Notice)>,
}

/// One `[[trigger.TYPE]]`.
#[derive(Debug)]
pub(super) struct Trigger {
    pub(super) span: Range<usize>,
    pub(super) kind: String,
    /// Empty where the author gave none.
    pub(super) id: String,
    pub(super) component: Option<Spec>,
    /// By role, in the order of the text.
    pub(super) components: Vec<(String, Vec<Spec>)>,
    /// What stands before the component, by role, in the order of the text.
    pub(super) dependencies: Vec<(String, Vec<Dependency>)>,
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
    /// Deprecated in version 2; of version 1 they are among `allowed_outbound_hosts` already.
    pub(super) allowed_http_hosts: Vec<Spanned<String>>,
    pub(super) allowed_outbound_hosts: Vec<Spanned<String>>,
    pub(super) key_value_stores: Vec<String>,
    pub(super) sqlite_databases: Vec<String>,
    pub(super) ai_models: Vec<String>,
    /// The environments that it is meant for, where it says so itself.
    pub(super) targets: Option<Vec<Spanned<TargetRef>>>,
    pub(super) build: Option<Build>,
    pub(super) profiles: BTreeMap<String, Profile>,
    pub(super) dependencies: Dependencies,
    /// Whether all dependencies may use what the component may use, where the author has said it.
    pub(super) dependencies_inherit: Option<Spanned<bool>>,
    /// What stands before it when its trigger calls it; filled by normalising.
    pub(super) before: Option<Before>,
}

/// What stands before a component when a trigger calls it.
#[derive(Clone, Debug)]
pub(super) struct Before {
    /// The type of the trigger, which knows what to make of the roles.
    pub(super) kind: String,
    pub(super) dependencies: Vec<(String, Vec<Dependency>)>,
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
    pub(super) workdir: Option<Spanned<String>>,
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
    pub(super) dependencies: Dependencies,
}

impl AppManifest {
    /// Parses the text of a manifest.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let top = document::parse(text)?;
        match version(&top)? {
            Version::One => manifest_v1::parse(top),
            Version::Two => manifest_v2::parse(top),
        }
    }
}

enum Version {
    One,
    Two,
}

/// Finds out the version of a manifest: the text "1" or the number 2, as Spin has it.
fn version(top: &Table<'_>) -> Result<Version, Flaw> {
    let item = match (top.get(VERSION), top.get(OLD_VERSION)) {
        (None, Some((written, span))) if written == "2" => {
            let rule = "was the key in version 1; in version 2 it is `spin_manifest_version`";
            return Err(Flaw::at(span, Problem::Conflict { what: format!("`{OLD_VERSION}`"), rule }));
        }
        (Some(item), None) | (None, Some(item)) => item,
        (None, None) => return Err(Flaw::at(top.span(), Problem::MissingKey { key: VERSION, table: String::new() })),
        (Some(_), Some((_, span))) => {
            let what = format!("`{OLD_VERSION}` and `{VERSION}`");
            return Err(Flaw::at(span, Problem::Conflict { what, rule: "are one key; keep the second" }));
        }
    };
    match item {
        (written, _) if written == "\"1\"" => Ok(Version::One),
        (written, _) if written == "2" => Ok(Version::Two),
        (value, span) => {
            let expected = "the number `2` (or the text `\"1\"`)";
            Err(Flaw::at(span, Problem::Invalid { what: "manifest version", value, expected }))
        }
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

    /// Takes the `files` of a component.
    pub(super) fn list(table: &mut Table<'_>) -> Result<Vec<Spanned<Self>>, Flaw> {
        let files = table.take("files").map_or_else(|| Ok(Vec::new()), Item::array)?;
        files.into_iter().map(Self::parse).collect()
    }
}

impl Build {
    /// Parses the `build` of a component.
    pub(super) fn parse(item: Item<'_>) -> Result<Self, Flaw> {
        if !item.is_table() {
            return Err(item.wrong("a table with a `command`"));
        }
        let mut table = item.table()?;
        table.only(&["command", "workdir", "watch"])?;
        let command = Command::parse(table.need("command")?)?;
        let workdir = table.take("workdir").map(Item::text).transpose()?;
        Ok(Self { command, workdir, watch: plain(table.texts("watch")?) })
    }
}

impl Command {
    pub(super) fn parse(item: Item<'_>) -> Result<Self, Flaw> {
        if item.is_array() {
            let commands = item.array()?.into_iter().map(|item| item.text().map(Spanned::into_inner));
            return commands.collect::<Result<_, _>>().map(Self::Several);
        }
        if !item.is_text() {
            return Err(item.wrong("a string or an array of strings"));
        }
        item.text().map(|command| Self::One(command.into_inner()))
    }

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

/// Takes the `variables` of an application.
pub(super) fn variables(table: &mut Table<'_>) -> Result<BTreeMap<String, Spanned<Variable>>, Flaw> {
    let mut variables = BTreeMap::new();
    for (name, item) in table.table("variables")? {
        let name = checked("variable", Style::LowerSnake, name)?;
        variables.insert(name.get_ref().clone(), Spanned::new(name.span(), Variable::parse(item)?));
    }
    Ok(variables)
}

/// Takes the variables of a component, which are under `key`.
pub(super) fn values(table: &mut Table<'_>, key: &str) -> Result<BTreeMap<String, Spanned<String>>, Flaw> {
    let mut values = BTreeMap::new();
    for (name, item) in table.table(key)? {
        let name = checked("variable", Style::LowerSnake, name)?.into_inner();
        values.insert(name, item.text()?);
    }
    Ok(values)
}

/// Refuses an identifier in another style.
pub(super) fn checked(what: &'static str, style: Style, id: Spanned<String>) -> Result<Spanned<String>, Flaw> {
    if style.accepts(id.get_ref()) {
        return Ok(id);
    }
    let (span, expected, meant) = (id.span(), style.expected(), style.nearest(id.get_ref()));
    Err(Flaw::at(span, Problem::Identifier { what, value: id.into_inner(), expected, meant }))
}

/// Returns texts without their places.
pub(super) fn plain(texts: Vec<Spanned<String>>) -> Vec<String> {
    texts.into_iter().map(Spanned::into_inner).collect()
}

/// The key of the version.
pub(super) const VERSION: &str = "spin_manifest_version";
/// What it was called before version 2.
pub(super) const OLD_VERSION: &str = "spin_version";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        for (text, expected) in [
            ("", "1:1: the key `spin_manifest_version` is missing"),
            ("spin_manifest_version = \"2\"", "1:25: the manifest version `\"2\"` has to be the number `2`"),
            ("spin_manifest_version = 1", "1:25: the manifest version `1` has to be"),
            ("spin_manifest_version = \"77.1\"", "1:25: the manifest version `\"77.1\"` has to be"),
            ("spin_manifest_version = []", "1:25: the manifest version `[…]` has to be"),
            ("spin_version = 2", "1:16: `spin_version` was the key in version 1; in version 2 it is"),
            ("spin_version = \"1\"\nspin_manifest_version = 2", "1:16: `spin_version` and `spin_manifest_version` are"),
            ("spin_version = \"1\"", "1:1: the key `name` is missing"),
            ("spin_manifest_version = \"1\"", "1:1: the key `name` is missing"),
        ] {
            let text = document::Text { file: "f".into(), text: text.to_owned() };
            let error = text.blame(AppManifest::parse(&text.text).expect_err("no manifest")).to_string();
            assert!(error.starts_with(&format!("f:{expected}")), "{error}");
        }
    }
}
