//! What is known of something that is published, for people. Every word of it that is not ours is escaped.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use indicatif::HumanBytes;
use serde_json::Value;

use super::inspection::{Inspection, Kind, Part};
use crate::conformance::report::Tone;
use crate::model::printable::line;
use crate::spin::{ComponentOutline, ContentOutline, Outline, PackageOutline, TriggerOutline, VariableOutline};

/// Whether the files of components are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Files {
    /// Only how many they are.
    Counted,
    /// By name.
    Listed,
}

/// Returns the page.
pub(super) fn text(inspection: &Inspection, files: Files, paint: fn(Tone, &str) -> String) -> String {
    let mut page = Page { text: String::new(), paint };
    page.title(&inspection.reference);
    page.row("kind", kind(inspection));
    page.row("digest", inspection.digest);
    page.row("manifest", format_args!("{}, {}", line(&inspection.media_type), HumanBytes(inspection.size)));
    if let Some(artifact_type) = &inspection.artifact_type {
        page.row("artifact", line(artifact_type));
    }
    if let Some(subject) = inspection.subject {
        page.row("refers to", subject);
    }
    if let Some(outline) = &inspection.application {
        page.application(outline, files);
    }
    if let Some(outline) = &inspection.component {
        page.component_alone(outline);
    }
    page.platforms(inspection);
    page.layers(inspection);
    page.map("annotations", &inspection.annotations);
    page.text
}

fn kind(inspection: &Inspection) -> String {
    match (inspection.kind(), &inspection.application) {
        (Kind::Application, Some(Outline { name: Some(name), version: Some(version), .. })) => {
            format!("Spin application {} {}", line(name), line(version))
        }
        (Kind::Application, Some(Outline { name: Some(name), .. })) => format!("Spin application {}", line(name)),
        (Kind::Application, _) => "Spin application".to_owned(),
        (Kind::Component, _) => "WebAssembly package".to_owned(),
        (Kind::Index, _) => "index".to_owned(),
        (Kind::Artifact, _) => "artifact".to_owned(),
    }
}

struct Page {
    text: String,
    paint: fn(Tone, &str) -> String,
}

impl Page {
    fn title(&mut self, title: &str) {
        let painted = (self.paint)(Tone::Strong, &line(title));
        writeln!(self.text, "{painted}").expect("a string takes text");
    }

    fn heading(&mut self, heading: &str) {
        self.text.push('\n');
        self.title(heading);
    }

    fn row(&mut self, name: &str, value: impl Display) {
        let name = (self.paint)(Tone::Faint, &format!("{name:<13}"));
        writeln!(self.text, "  {name}{value}").expect("a string takes text");
    }

    /// Writes words of others, if there are any.
    fn list(&mut self, name: &str, words: &[String]) {
        if !words.is_empty() {
            let words: Vec<_> = words.iter().map(|word| line(word)).collect();
            self.row(name, words.join(", "));
        }
    }

    /// Writes names and values of others under a heading, if there are any.
    fn map(&mut self, heading: &str, map: &BTreeMap<String, String>) {
        if map.is_empty() {
            return;
        }
        self.heading(heading);
        for (name, value) in map {
            writeln!(self.text, "  {} = {}", line(name), line(value)).expect("a string takes text");
        }
    }

    fn application(&mut self, outline: &Outline, files: Files) {
        if let Some(description) = outline.description.as_ref().filter(|text| !text.is_empty()) {
            self.row("description", line(description));
        }
        self.list("authors", &outline.authors);
        if !outline.triggers.is_empty() {
            self.heading("triggers");
            for trigger in &outline.triggers {
                writeln!(self.text, "  {}", event(trigger)).expect("a string takes text");
            }
        }
        if !outline.variables.is_empty() {
            self.heading("variables");
            for (name, variable) in &outline.variables {
                writeln!(self.text, "  {}  {}", line(name), wanted(variable)).expect("a string takes text");
            }
        }
        for component in &outline.components {
            self.component(component, files);
        }
    }

    fn component(&mut self, component: &ComponentOutline, files: Files) {
        self.heading(&format!("component {}", component.id));
        if let Some(description) = component.description.as_ref().filter(|text| !text.is_empty()) {
            self.row("description", line(description));
        }
        self.row("wasm", content(&component.source));
        self.files(component, files);
        match component.allowed_outbound_hosts.as_slice() {
            [] => self.row("may reach", "no host"),
            hosts => self.list("may reach", hosts),
        }
        self.list("key-value", &component.key_value_stores);
        self.list("sqlite", &component.sqlite_databases);
        self.list("ai models", &component.ai_models);
        for (name, template) in &component.variables {
            self.row("variable", format_args!("{} = {}", line(name), line(template)));
        }
        for (name, value) in &component.environment {
            self.row("environment", format_args!("{}={}", line(name), line(value)));
        }
        for (name, dependency) in &component.dependencies {
            let inherits: Vec<_> = dependency.inherits.iter().map(|set| line(set)).collect();
            let inherits = match inherits.as_slice() {
                [] => String::new(),
                [all] if all == "*" => ", with all that this component may do".to_owned(),
                sets => format!(", with {}", sets.join(", ")),
            };
            self.row("needs", format_args!("{} {}{inherits}", line(name), content(&dependency.source)));
        }
        for (role, chain) in &component.before {
            for dependency in chain {
                self.row("before it", format_args!("{} {}", line(role), content(&dependency.source)));
            }
        }
    }

    fn files(&mut self, component: &ComponentOutline, files: Files) {
        if component.files.is_empty() {
            return;
        }
        let count = component.files.len();
        let known = component.files.values().try_fold(0u64, |sum, file| Some(sum.saturating_add(file.size?)));
        let bytes = known.map(|bytes| format!(", {}", HumanBytes(bytes))).unwrap_or_default();
        self.row("files", format_args!("{count}{bytes}"));
        if files == Files::Listed {
            for (path, file) in &component.files {
                let size = file.size.map(|size| format!("  {}", HumanBytes(size))).unwrap_or_default();
                self.row("", format_args!("{}{size}", line(path)));
            }
        }
    }

    fn component_alone(&mut self, outline: &PackageOutline) {
        if let Some(os) = &outline.os {
            self.row("for", line(os));
        }
        if let Some(target) = &outline.target {
            self.row("world", line(target));
        }
        for (heading, names) in [("exports", &outline.exports), ("imports", &outline.imports)] {
            if !names.is_empty() {
                self.heading(heading);
                for name in names {
                    writeln!(self.text, "  {}", line(name)).expect("a string takes text");
                }
            }
        }
    }

    fn platforms(&mut self, inspection: &Inspection) {
        if inspection.manifests.is_empty() {
            return;
        }
        self.heading("manifests");
        for child in &inspection.manifests {
            let what = child.platform.as_ref().or(child.artifact_type.as_ref()).unwrap_or(&child.media_type);
            writeln!(self.text, "  {}  {}  {}", child.digest, HumanBytes(child.size), line(what))
                .expect("a string takes text");
        }
    }

    fn layers(&mut self, inspection: &Inspection) {
        let layers = &inspection.layers;
        if layers.is_empty() {
            return;
        }
        let bytes = layers.iter().fold(0u64, |sum, layer| sum.saturating_add(layer.size));
        let cached = match layers.iter().filter(|layer| layer.cached == Some(true)).count() {
            0 => String::new(),
            all if all == layers.len() => ", all in the cache".to_owned(),
            some => format!(", {some} in the cache"),
        };
        self.heading(&format!("layers: {}, {}{cached}", layers.len(), HumanBytes(bytes)));
        for layer in layers {
            let row = format!("  {}  {}  {}", layer.digest, HumanBytes(layer.size), purpose(layer));
            let cached = if layer.cached == Some(true) { (self.paint)(Tone::Faint, "  cached") } else { String::new() };
            writeln!(self.text, "{row}{cached}").expect("a string takes text");
        }
    }
}

/// Says what a layer is for: its role, its title, or its type.
fn purpose(layer: &Part) -> String {
    let title = layer.annotations.get("org.opencontainers.image.title");
    line(layer.role.as_ref().or(title).unwrap_or(&layer.media_type)).into_owned()
}

/// Says which event starts which component.
fn event(trigger: &TriggerOutline) -> String {
    let mut words = vec![line(&trigger.kind).into_owned()];
    for (key, value) in &trigger.settings {
        match value {
            Value::String(route) if key == "route" => words.push(line(route).into_owned()),
            Value::String(text) => words.push(format!("{} = {}", line(key), line(text))),
            // What others of the application may call alone.
            other if key == "route" && other["private"] == true => words.push("private".to_owned()),
            other => words.push(format!("{} = {}", line(key), line(&other.to_string()))),
        }
    }
    if let Some(component) = &trigger.component {
        words.push(format!("-> {}", line(component)));
    }
    words.join("  ")
}

/// Says what has to be given for a variable.
fn wanted(variable: &VariableOutline) -> String {
    let VariableOutline { required, secret, default, description, .. } = variable;
    let mut words = Vec::new();
    words.extend(required.then(|| "required".to_owned()));
    words.extend(secret.then(|| "secret".to_owned()));
    words.extend(default.as_ref().map(|default| format!("default `{}`", line(default))));
    if !required && *secret {
        words.push("has a default".to_owned());
    }
    let description = description.as_ref().map(|text| format!(": {}", line(text))).unwrap_or_default();
    format!("{}{description}", words.join(", "))
}

fn content(content: &ContentOutline) -> String {
    match (content.digest, content.size) {
        (Some(digest), Some(size)) => format!("{digest}, {}", HumanBytes(size)),
        (Some(digest), None) => digest.to_string(),
        (None, _) => "elsewhere".to_owned(),
    }
}
