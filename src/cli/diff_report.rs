//! What has changed: a document for programs, whose form `docs/look.md` promises, and lines for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use indicatif::HumanBytes;
use serde::Serialize;

use super::inspection::{Inspection, Kind};
use super::sight::SCHEMA;
use crate::conformance::report::Tone;
use crate::model::printable::line;
use crate::model::{Annotations, Digest};
use crate::spin::{Change, Outline, Part, difference};

/// What has changed.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    schema: u32,
    from: Named,
    to: Named,
    same: bool,
    /// Of applications.
    changes: Vec<Change>,
    annotations: Vec<Changed>,
    layers: Layers,
    /// What somebody lacks who has the old version; not known of indexes.
    download: Option<Download>,
}

/// One of the two, as far as it matters.
pub(super) struct End<'a> {
    named: Named,
    is_index: bool,
    outline: Option<&'a Outline>,
    annotations: &'a Annotations,
    /// What it needs, by digest: what it is, and how long.
    content: BTreeMap<Digest, (String, u64)>,
}

#[derive(Debug, Serialize)]
struct Named {
    reference: String,
    digest: Digest,
    kind: Kind,
}

/// An annotation.
#[derive(Debug, Serialize)]
struct Changed {
    key: String,
    from: Option<String>,
    to: Option<String>,
}

/// Layers, or manifests of an index, that only one of them has.
#[derive(Debug, Default, Serialize)]
struct Layers {
    added: Vec<Layer>,
    removed: Vec<Layer>,
}

#[derive(Debug, Serialize)]
struct Layer {
    digest: Digest,
    size: u64,
    what: String,
}

#[derive(Debug, Serialize)]
struct Download {
    blobs: usize,
    bytes: u64,
}

impl<'a> End<'a> {
    /// Takes what was found out.
    pub(super) fn of(found: &'a Inspection) -> Self {
        let blobs = found.config.iter().chain(&found.layers).map(|part| {
            let title = part.annotations.get("org.opencontainers.image.title");
            (part.digest, (part.role.as_ref().or(title).unwrap_or(&part.media_type).clone(), part.size))
        });
        let children = found
            .manifests
            .iter()
            .map(|child| (child.digest, (child.platform.as_ref().unwrap_or(&child.media_type).clone(), child.size)));
        Self {
            named: Named { reference: found.reference.clone(), digest: found.digest, kind: found.kind() },
            is_index: found.kind() == Kind::Index,
            outline: found.application.as_ref(),
            annotations: &found.annotations,
            content: blobs.chain(children).collect(),
        }
    }

    /// Lists what it needs and `other` does not.
    fn beyond(&self, other: &Self) -> Vec<Layer> {
        let own = self.content.iter().filter(|(digest, _)| !other.content.contains_key(*digest));
        own.map(|(digest, (what, size))| Layer { digest: *digest, size: *size, what: what.clone() }).collect()
    }
}

impl Report {
    /// Compares the two.
    pub(super) fn of(old: End<'_>, new: End<'_>) -> Self {
        let changes = match (old.outline, new.outline) {
            (None, None) => Vec::new(),
            (old, new) => difference(old.unwrap_or(&Outline::default()), new.unwrap_or(&Outline::default())),
        };
        let layers = Layers { added: new.beyond(&old), removed: old.beyond(&new) };
        let bytes = layers.added.iter().fold(0u64, |sum, layer| sum.saturating_add(layer.size));
        let download = Download { blobs: layers.added.len(), bytes };
        Self {
            schema: SCHEMA,
            same: old.named.digest == new.named.digest,
            changes,
            annotations: changed(old.annotations, new.annotations),
            layers,
            download: Some(download).filter(|_| !new.is_index),
            from: old.named,
            to: new.named,
        }
    }

    /// Returns the lines for people. Every word of others is escaped.
    pub(super) fn text(&self, paint: fn(Tone, &str) -> String) -> String {
        let Self { from, to, .. } = self;
        let mut text =
            format!("from {}  {}\nto   {}  {}\n", from.digest, line(&from.reference), to.digest, line(&to.reference));
        if self.same {
            text.push_str("\nboth are the same\n");
            return text;
        }
        let mut last = None;
        for change in &self.changes {
            let part = (change.part, &change.name);
            if change.what.is_some() && last != Some(part) {
                write!(text, "\n{}", paint(Tone::Strong, &heading(change.part, &change.name)))
                    .expect("a string takes text");
                text.push('\n');
            }
            match change.what {
                None => {
                    let heading = heading(change.part, &change.name);
                    writeln!(text, "\n{}", mark(&heading, change, paint)).expect("a string takes text");
                }
                Some(what) => {
                    let key = change.key.as_ref().map(|key| format!(" {}", line(key))).unwrap_or_default();
                    writeln!(text, "  {}", mark(&format!("{what}{key}"), change, paint)).expect("a string takes text");
                }
            }
            last = Some(part);
        }
        if !self.annotations.is_empty() {
            writeln!(text, "\n{}", paint(Tone::Strong, "annotations")).expect("a string takes text");
        }
        for Changed { key, from, to } in &self.annotations {
            let marked = marked(&line(key), from.as_deref(), to.as_deref(), paint);
            writeln!(text, "  {marked}").expect("a string takes text");
        }
        self.tell_layers(&mut text, paint);
        if let Some(Download { blobs, bytes }) = self.download {
            let plural = if blobs == 1 { "" } else { "s" };
            writeln!(text, "\nto download: {blobs} blob{plural}, {}", HumanBytes(bytes)).expect("a string takes text");
        }
        text
    }

    /// Lists layers where nothing else tells what they are.
    fn tell_layers(&self, text: &mut String, paint: fn(Tone, &str) -> String) {
        let Layers { added, removed } = &self.layers;
        let is_told = self.from.kind == Kind::Application && self.to.kind == Kind::Application;
        if is_told || added.len() + removed.len() == 0 {
            return;
        }
        let heading = if self.to.kind == Kind::Index { "manifests" } else { "layers" };
        writeln!(text, "\n{}", paint(Tone::Strong, heading)).expect("a string takes text");
        for (layers, sign, tone) in [(removed, "-", Tone::Bad), (added, "+", Tone::Good)] {
            for Layer { digest, size, what } in layers {
                let row = format!("{sign} {digest}  {}  {}", HumanBytes(*size), line(what));
                writeln!(text, "  {}", paint(tone, &row)).expect("a string takes text");
            }
        }
    }
}

fn changed(old: &Annotations, new: &Annotations) -> Vec<Changed> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
    changed.map(|key| Changed { key: key.clone(), from: old.get(key).cloned(), to: new.get(key).cloned() }).collect()
}

fn heading(part: Part, name: &str) -> String {
    let part = match part {
        Part::Application => return "application".to_owned(),
        Part::Trigger => "trigger",
        Part::Variable => "variable",
        Part::Component => "component",
    };
    format!("{part} {}", line(name))
}

fn mark(what: &str, change: &Change, paint: fn(Tone, &str) -> String) -> String {
    marked(what, change.from.as_deref(), change.to.as_deref(), paint)
}

/// Says that something has come, gone, or become something else; `what` is escaped already.
fn marked(what: &str, from: Option<&str>, to: Option<&str>, paint: fn(Tone, &str) -> String) -> String {
    let value = |text: &str| if text.is_empty() { String::new() } else { format!(": {}", short(text)) };
    match (from, to) {
        (Some(from), Some(to)) => paint(Tone::Fair, &format!("~ {what}: {} -> {}", short(from), short(to))),
        (None, to) => paint(Tone::Good, &format!("+ {what}{}", value(to.unwrap_or_default()))),
        (Some(from), None) => paint(Tone::Bad, &format!("- {what}{}", value(from))),
    }
}

/// Escapes a text, and cuts a digest: the whole one is in the document for programs.
fn short(text: &str) -> String {
    match text.parse::<Digest>() {
        Ok(digest) => format!("{}:{}…", digest.algorithm().name(), &digest.hex()[..SHORT]),
        Err(_) => line(text).into_owned(),
    }
}

/// How many digits tell digests apart for people.
const SHORT: usize = 12;
