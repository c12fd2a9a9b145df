//! Manifests of version 2, which Spin understands since 2.0.

use std::collections::BTreeMap;

use serde_spanned::Spanned;

use super::app_manifest::{
    AppManifest, Build, Command, Component, Mount, Profile, Spec, Trigger, VERSION, checked, plain, values, variables,
};
use super::dependency;
use super::document::{Dates, Flaw, Item, Table};
use super::error::Problem;
use super::id::Style;
use super::source::Source;
use super::target;

/// Parses the top table of a manifest.
pub(super) fn parse(mut top: Table<'_>) -> Result<AppManifest, Flaw> {
    top.only(&[VERSION, "application", "variables", "trigger", "component"])?;
    let mut app = top.need("application")?.table()?;
    app.only(&["name", "version", "description", "authors", "targets", "trigger", "tool"])?;
    let name = app.need("name")?.text()?.into_inner();
    let (version, description) = (app.text("version")?, app.text("description")?);
    let authors = plain(app.texts("authors")?);
    let targets = target::list(&mut app)?.unwrap_or_default();
    tools(&mut app)?;
    let mut trigger_settings = BTreeMap::new();
    for (kind, item) in app.table("trigger")? {
        trigger_settings.insert(kind.into_inner(), item.table()?.into_json(Dates::Marked)?);
    }
    let variables = variables(&mut top)?;
    let (mut trigger_types, mut triggers) = (Vec::new(), Vec::new());
    for (kind, items) in top.need("trigger")?.table()?.into_entries() {
        if !items.is_array() {
            return Err(items.wrong("an array of tables, each under two brackets: `[[trigger.TYPE]]`"));
        }
        for item in items.array()? {
            triggers.push(Trigger::parse(kind.get_ref(), item)?);
        }
        trigger_types.push(kind.into_inner());
    }
    let mut components = Vec::new();
    let defined = match top.take("component") {
        Some(item) if item.is_array() => {
            return Err(item.wrong("a table for each component, `[component.ID]` (version 1 has arrays)"));
        }
        Some(item) => item.table()?.into_entries(),
        None => Vec::new(),
    };
    for (id, item) in defined {
        let id = checked("component id", Style::Kebab, id)?.into_inner();
        components.push(Component::parse(id, item)?);
    }
    let notices = Vec::new();
    Ok(AppManifest {
        name,
        version,
        description,
        authors,
        targets,
        trigger_settings,
        variables,
        trigger_types,
        triggers,
        components,
        notices,
    })
}

impl Trigger {
    fn parse(kind: &str, item: Item<'_>) -> Result<Self, Flaw> {
        let span = item.span();
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
        let dependencies = dependency::of_trigger(&mut table)?;
        let config = table.into_json(Dates::Text)?;
        Ok(Self { span, kind: kind.to_owned(), id, component, components, dependencies, config })
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
        let variables = values(&mut table, "variables")?;
        let targets = target::list(&mut table)?;
        tools(&mut table)?;
        let inherit = table.take("dependencies_inherit_configuration");
        let dependencies_inherit = inherit.map(|flag| Ok(Spanned::new(flag.span(), flag.boolean()?))).transpose()?;
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
            files: Mount::list(&mut table)?,
            exclude_files: table.texts("exclude_files")?,
            allowed_http_hosts: table.texts("allowed_http_hosts")?,
            allowed_outbound_hosts: table.texts("allowed_outbound_hosts")?,
            key_value_stores: labels("key-value store", table.texts("key_value_stores")?)?,
            sqlite_databases: labels("SQLite database", table.texts("sqlite_databases")?)?,
            ai_models: plain(table.texts("ai_models")?),
            targets,
            build: table.take("build").map(Build::parse).transpose()?,
            profiles,
            dependencies: dependency::of_component(&mut table)?,
            dependencies_inherit,
            before: None,
        })
    }
}

impl Profile {
    fn parse(item: Item<'_>) -> Result<Self, Flaw> {
        let mut table = item.table()?;
        table.only(&["source", "environment", "dependencies", "build"])?;
        let build = table.take("build").map(|item| {
            let mut build = item.table()?;
            build.only(&["command"])?;
            Command::parse(build.need("command")?)
        });
        Ok(Self {
            source: table.take("source").map(Source::parse).transpose()?,
            environment: table.text_map("environment")?,
            build: build.transpose()?,
            dependencies: dependency::of_component(&mut table)?,
        })
    }
}

/// Checks `tool`, which belongs to other programs.
fn tools(table: &mut Table<'_>) -> Result<(), Flaw> {
    table.table("tool")?.into_iter().try_for_each(|(_, item)| item.table().map(drop))
}

/// Checks the labels of stores.
fn labels(what: &'static str, labels: Vec<Spanned<String>>) -> Result<Vec<String>, Flaw> {
    let bad =
        |label: &&Spanned<String>| !(Style::Kebab.accepts(label.get_ref()) || Style::Snake.accepts(label.get_ref()));
    if let Some(label) = labels.iter().find(bad) {
        let value = label.get_ref().clone();
        return Err(Flaw::at(label.span(), Problem::Invalid { what, value, expected: "kebab-case or snake_case" }));
    }
    Ok(plain(labels))
}
