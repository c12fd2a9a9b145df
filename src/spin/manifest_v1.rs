//! Manifests of version 1, converted to version 2 as Spin does.

use std::collections::BTreeMap;

use serde_spanned::Spanned;

use super::app_manifest::{
    AppManifest, Build, Component, Mount, OLD_VERSION, Spec, Trigger, VERSION, checked, plain, values, variables,
};
use super::dependency::Dependencies;
use super::document::{Dates, Flaw, Item, Table};
use super::hosts;
use super::id::{Style, repair};
use super::source::Source;
use super::warning::Notice;

/// Parses the top table of a manifest.
pub(super) fn parse(mut top: Table<'_>) -> Result<AppManifest, Flaw> {
    top.only(&[
        VERSION,
        OLD_VERSION,
        "name",
        "version",
        "description",
        "authors",
        "trigger",
        "variables",
        "component",
    ])?;
    let name = top.need("name")?.text()?.into_inner();
    let (version, description) = (top.text("version")?, top.text("description")?);
    let authors = plain(top.texts("authors")?);
    let mut settings = top.need("trigger")?.table()?;
    let kind = settings.need("type")?.text()?.into_inner();
    let trigger_settings = BTreeMap::from([(kind.clone(), settings.into_json(Dates::Marked)?)]);
    let variables = variables(&mut top)?;
    let (mut triggers, mut components, mut notices) = (Vec::new(), Vec::<Component>::new(), Vec::new());
    for item in top.take("component").map_or_else(|| Ok(Vec::new()), Item::array)? {
        let (trigger, component) = entry(&kind, item)?;
        // The last definition of an id counts, in the place of the first; all of their triggers do.
        match components.iter_mut().find(|known| known.id == component.id) {
            Some(known) => {
                notices.push((trigger.span.start, Notice::DefinedTwice { component: component.id.clone() }));
                *known = component;
            }
            None => components.push(component),
        }
        triggers.push(trigger);
    }
    let trigger_types = if triggers.is_empty() { Vec::new() } else { vec![kind] };
    Ok(AppManifest {
        name,
        version,
        description,
        authors,
        targets: Vec::new(),
        trigger_settings,
        variables,
        trigger_types,
        triggers,
        components,
        notices,
    })
}

/// Parses one `[[component]]`, which is a trigger and a component.
fn entry(kind: &str, item: Item<'_>) -> Result<(Trigger, Component), Flaw> {
    let span = item.span();
    let mut table = item.table()?;
    table.only(&[
        "id",
        "source",
        "trigger",
        "description",
        "config",
        "environment",
        "files",
        "exclude_files",
        "allowed_http_hosts",
        "allowed_outbound_hosts",
        "key_value_stores",
        "sqlite_databases",
        "ai_models",
        "build",
    ])?;
    let id = table.need("id")?.text()?;
    let id = checked("component id", Style::Kebab, Spanned::new(id.span(), repair(id.get_ref())))?;
    let source = Source::parse(table.need("source")?)?;
    let trigger = Trigger {
        span: span.clone(),
        kind: kind.to_owned(),
        id: format!("trigger-{}", id.get_ref()),
        component: Some(Spec::Reference(id.clone())),
        components: Vec::new(),
        dependencies: Vec::new(),
        config: table.need("trigger")?.table()?.into_json(Dates::Text)?,
    };
    let old_hosts = table.texts("allowed_http_hosts")?;
    let allowed_outbound_hosts = match table.has("allowed_outbound_hosts") {
        true => hosts::merge(&table.texts("allowed_outbound_hosts")?, &old_hosts)?,
        false => {
            // What was allowed before hosts had to be named.
            let databases = ["redis://*:*", "mysql://*:*", "postgres://*:*"];
            hosts::merge(&databases.map(|host| Spanned::new(span.clone(), host.to_owned())), &old_hosts)?
        }
    };
    let component = Component {
        id: id.into_inner(),
        source,
        description: table.text("description")?,
        variables: values(&mut table, "config")?,
        environment: table.text_map("environment")?,
        files: Mount::list(&mut table)?,
        exclude_files: table.texts("exclude_files")?,
        allowed_http_hosts: Vec::new(),
        allowed_outbound_hosts,
        key_value_stores: plain(table.texts("key_value_stores")?),
        sqlite_databases: plain(table.texts("sqlite_databases")?),
        ai_models: plain(table.texts("ai_models")?),
        targets: None,
        build: table.take("build").map(Build::parse).transpose()?,
        profiles: BTreeMap::new(),
        dependencies: Dependencies::new(),
        dependencies_inherit: None,
        before: None,
    };
    Ok((trigger, component))
}
