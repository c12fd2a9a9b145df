//! What is said of a copy: lines for people, and a document for programs, whose form `docs/copy.md` promises.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use indicatif::HumanBytes;
use serde::Serialize;

use crate::copy::{Forecast, Plan, Summary};
use crate::model::{Descriptor, Digest, Location, Tag};

/// One end of what was copied.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// A registry, a layout or an archive.
    At(&'a Location),
    /// Something on this computer: an application that is packed, the cache.
    Here(&'a str),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(location) => location.fmt(f),
            Self::Here(name) => f.write_str(name),
        }
    }
}

impl<'a> From<&'a Location> for Place<'a> {
    fn from(location: &'a Location) -> Self {
        Self::At(location)
    }
}

/// What was done, or would be.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Raised where a program could misread it otherwise.
    schema: u32,
    #[serde(skip)]
    verb: &'static str,
    dry_run: bool,
    from: String,
    to: String,
    copies: Vec<Copied>,
    /// Sent, or tagged.
    manifests: u64,
    blobs: Blobs,
    /// Of the blobs that were sent.
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<Requests>,
    /// Listed as referrers and not there.
    dangling: Vec<Digest>,
    #[serde(skip)]
    foreseen: Foreseen,
}

/// One manifest that was asked for.
#[derive(Debug, Serialize)]
struct Copied {
    from: String,
    to: String,
    tag: Option<String>,
    digest: Digest,
    media_type: String,
    size: u64,
    /// Whether anything had to be sent for it.
    changed: bool,
}

#[derive(Debug, Default, Serialize)]
struct Blobs {
    sent: u64,
    mounted: u64,
    existing: u64,
}

/// How many requests each registry gets, those about tokens aside.
#[derive(Debug, Default, Serialize)]
struct Requests {
    from: u64,
    to: u64,
}

/// What a dry run has found out.
#[derive(Debug, Default)]
struct Foreseen {
    blobs: HashSet<Digest>,
    manifests: HashSet<(Digest, Option<Tag>)>,
    lines: Vec<String>,
}

impl Report {
    /// Begins with nothing done.
    pub(super) fn of<'a>(from: impl Into<Place<'a>>, to: impl Into<Place<'a>>) -> Self {
        let (from, to) = (from.into(), to.into());
        Self {
            schema: 1,
            verb: "copy",
            dry_run: false,
            from: from.to_string(),
            to: to.to_string(),
            copies: Vec::new(),
            manifests: 0,
            blobs: Blobs::default(),
            bytes: 0,
            requests: None,
            dangling: Vec::new(),
            foreseen: Foreseen::default(),
        }
    }

    /// Calls what would be done by another verb.
    pub(super) fn called(self, verb: &'static str) -> Self {
        Self { verb, ..self }
    }

    /// Takes note of something that was copied.
    pub(super) fn done(&mut self, from: &Location, to: &Location, tag: Option<&Tag>, plan: &Plan, summary: &Summary) {
        self.note(from.into(), to.into(), tag, plan);
        self.manifests += summary.manifests;
        self.blobs.sent += summary.moved - summary.mounted;
        self.blobs.mounted += summary.mounted;
        self.blobs.existing += summary.existed;
        self.bytes += summary.bytes;
    }

    /// Takes note of something that would be copied. What an earlier one would bring is not counted again.
    pub(super) fn foreseen<'a>(
        &mut self,
        from: impl Into<Place<'a>>,
        to: impl Into<Place<'a>>,
        tag: Option<&Tag>,
        plan: &Plan,
        forecast: &Forecast,
    ) {
        let (from, to) = (from.into(), to.into());
        self.note(from, to, tag, plan);
        self.dry_run = true;
        let (mut sent, mut mounted, mut fetched) = (0, 0, 0);
        let is_mounted = is_mounted(from, to);
        let mut moving = forecast.asking;
        for (blob, effort) in &forecast.lacking {
            if !self.foreseen.blobs.insert(blob.digest) {
                moving += effort.there;
                continue;
            }
            moving += effort.lacking;
            let verb = if is_mounted { "mount" } else { "send" };
            if is_mounted {
                mounted += 1;
            } else {
                sent += 1;
                // What is empty is known already.
                fetched += u64::from(blob.size > 0);
                self.bytes = self.bytes.saturating_add(blob.size);
            }
            self.foreseen.lines.push(line(verb, blob, None));
        }
        let (asked, believed) = (plan.blobs().len() as u64, plan.believed().len() as u64);
        let mut manifests = 0;
        for step in plan.steps() {
            if self.foreseen.manifests.insert((step.manifest.digest(), step.tag.clone())) {
                manifests += 1;
                self.foreseen.lines.push(line("manifest", step.manifest.descriptor(), step.tag.as_ref()));
            }
        }
        self.manifests += manifests;
        self.blobs.sent += sent;
        self.blobs.mounted += mounted;
        self.blobs.existing += asked - sent - mounted + believed;
        let questions = plan.questions();
        if matches!(from, Place::At(Location::Registry(_))) {
            self.requests.get_or_insert_default().from += questions.source + fetched;
        }
        if matches!(to, Place::At(Location::Registry(_))) {
            self.requests.get_or_insert_default().to += questions.target + moving + manifests;
        }
    }

    /// Returns the document.
    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data")
    }

    /// Returns the lines for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for copied in &self.copies {
            let (verb, place) = match (self.dry_run, self.copies.len()) {
                (true, _) => (format!("Would {}", self.verb), format!(" to {}", copied.to)),
                (false, 1) => ("Copied".to_owned(), String::new()),
                (false, _) => ("Copied".to_owned(), format!(" to {}", copied.to)),
            };
            writeln!(text, "{verb}{place} with digest {}", copied.digest).expect("a string takes text");
        }
        if !self.dry_run {
            return text;
        }
        for line in &self.foreseen.lines {
            writeln!(text, "  {line}").expect("a string takes text");
        }
        let Blobs { sent, mounted, existing } = self.blobs;
        let bytes = HumanBytes(self.bytes);
        let blobs = format!("{sent} to send, {bytes}; {mounted} to mount; {existing} there already");
        writeln!(text, "blobs: {blobs}").expect("a string takes text");
        writeln!(text, "manifests: {}", self.manifests).expect("a string takes text");
        if let Some(Requests { from, to }) = self.requests {
            writeln!(text, "requests, without those about tokens: {from} to the source, {to} to the target")
                .expect("a string takes text");
        }
        text
    }

    fn note(&mut self, from: Place<'_>, to: Place<'_>, tag: Option<&Tag>, plan: &Plan) {
        let root = plan.root();
        self.dangling.extend(plan.dangling().iter().map(|referrer| referrer.digest));
        self.copies.push(Copied {
            from: from.to_string(),
            to: to.to_string(),
            tag: tag.map(Tag::to_string),
            digest: root.digest,
            media_type: root.media_type.to_string(),
            size: root.size,
            changed: !plan.steps().is_empty(),
        });
    }
}

/// Says whether the registry can take content over from another of its repositories.
fn is_mounted(from: Place<'_>, to: Place<'_>) -> bool {
    match (from, to) {
        (Place::At(Location::Registry(from)), Place::At(Location::Registry(to))) => {
            from.registry() == to.registry() && from.name() != to.name()
        }
        _ => false,
    }
}

fn line(verb: &str, descriptor: &Descriptor, tag: Option<&Tag>) -> String {
    let tag = tag.map(|tag| format!(", tag `{tag}`")).unwrap_or_default();
    format!("{verb} {}, {}{tag}", descriptor.digest, HumanBytes(descriptor.size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_repositories_of_one_registry_are_mounted_from() {
        for (from, to, expected) in [
            ("r.example/a", "r.example/b", true),
            ("r.example/a:v1", "r.example/a:v2", false),
            ("r.example/a", "s.example/b", false),
            ("oci:a", "r.example/b", false),
            ("r.example/a", "oci-archive:b.tar", false),
        ] {
            let [source, target] = [from, to].map(|text| text.parse::<Location>().expect(text));
            assert_eq!(is_mounted(Place::At(&source), Place::At(&target)), expected, "{from} {to}");
        }
    }
}
