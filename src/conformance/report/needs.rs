//! What a request leans on, and which requests before it made that. Pure.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::conformance::Exchange;
use crate::model::{Algorithm, Digest};

/// Returns what has to be asked before `last`, in the order in which it was begun: whatever made, changed or removed what
/// that is about, in its own scene of the run. What went on at the same time is among it.
///
/// `seen` is everything that was asked when `last` failed. Tags that these answers list and that an earlier scene could not
/// remove are a part of the story, wherever they come from.
pub(super) fn needed<'a>(journal: &'a [Exchange], seen: &[Exchange], last: &Exchange) -> Vec<&'a Exchange> {
    let trace = &last.trace;
    let before = |other: &&Exchange| {
        let other = &other.trace;
        other.scene <= trace.scene && other.began != trace.began && other.began < trace.ended
    };
    let mut run: Vec<&Exchange> = journal.iter().filter(before).collect();
    run.sort_by_key(|exchange| exchange.trace.began);
    let (scene, earlier): (Vec<_>, Vec<_>) = run.into_iter().partition(|exchange| exchange.trace.scene == trace.scene);
    let mut taken = inherited(earlier, seen, last);
    taken.extend(closure(scene, last));
    taken
}

/// Returns what made the tags of earlier scenes that are still listed, and what tried to remove them.
fn inherited<'a>(earlier: Vec<&'a Exchange>, seen: &[Exchange], last: &Exchange) -> Vec<&'a Exchange> {
    let Place { repository, kind: Kind::Tags, .. } = Place::of(last) else { return Vec::new() };
    let is_listed = |tag: &str| {
        let name = format!("\"{tag}\"");
        let lists = seen.iter().filter(|exchange| matches!(Place::of(exchange).kind, Kind::Tags));
        lists.filter_map(|exchange| exchange.body.text.as_ref()).any(|text| text.contains(&name))
    };
    let mut wanted = Keys::new();
    for exchange in &earlier {
        let place = Place::of(exchange);
        let Kind::Manifest { reference } = place.kind else { continue };
        if exchange.method == "PUT" && place.repository == repository {
            let tags = std::iter::once(reference.to_owned()).chain(place.values("tag"));
            let listed = tags.filter(|tag| !tag.contains(':') && is_listed(tag));
            wanted.extend(listed.map(|tag| place.object(&tag)));
        }
    }
    if wanted.is_empty() {
        return Vec::new();
    }
    let roots = roots(&earlier, last);
    leaned_on(earlier, wanted, &roots)
}

/// Returns what a request of a scene leans on in that scene.
fn closure<'a>(scene: Vec<&'a Exchange>, last: &Exchange) -> Vec<&'a Exchange> {
    let trace = &last.trace;
    let roots = roots(&scene, last);
    let mut wanted = needs(last, &roots);
    // What went on at the same time may be what it takes, if it is about the same.
    let (own, _) = touches(last, &roots);
    let abreast = |exchange: &Exchange| exchange.trace.ended > trace.began;
    wanted.extend(scene.iter().filter(|exchange| abreast(exchange)).flat_map(|exchange| {
        let (objects, _) = touches(exchange, &roots);
        objects.into_iter().filter(|key| own.contains(key)).collect::<Vec<_>>()
    }));
    leaned_on(scene, wanted, &roots)
}

/// Returns what made, changed or removed what is wanted, and what that leans on in its turn.
fn leaned_on<'a>(scene: Vec<&'a Exchange>, mut wanted: Keys, roots: &BTreeMap<u64, u64>) -> Vec<&'a Exchange> {
    let mut taken = Vec::new();
    let mut open: Vec<_> = scene.into_iter().map(|exchange| (exchange, touches(exchange, roots))).collect();
    loop {
        let is_wanted = |(objects, lists): &(Keys, Keys)| objects.union(lists).any(|key| wanted.contains(key));
        let (found, others): (Vec<_>, Vec<_>) = open.into_iter().partition(|(_, touched)| is_wanted(touched));
        if found.is_empty() {
            taken.sort_by_key(|exchange: &&Exchange| exchange.trace.began);
            return taken;
        }
        for (exchange, (objects, _)) in found {
            taken.push(exchange);
            wanted.extend(needs(exchange, roots));
            wanted.extend(objects);
        }
        open = others;
    }
}

/// What can be made and leaned on: content by its digest, whatever the repository; a tag by its path; an upload session by
/// its first request; a list.
type Keys = BTreeSet<String>;

/// The first request of the session that each belongs to.
fn roots(scene: &[&Exchange], last: &Exchange) -> BTreeMap<u64, u64> {
    let mut roots = BTreeMap::new();
    for exchange in scene.iter().copied().chain([last]) {
        let lead = exchange.trace.lead.as_ref();
        let root = lead.map(|lead| *roots.get(&lead.began).unwrap_or(&lead.began));
        roots.insert(exchange.trace.began, root.unwrap_or(exchange.trace.began));
    }
    roots
}

fn session(exchange: &Exchange, roots: &BTreeMap<u64, u64>) -> String {
    let began = exchange.trace.began;
    format!("session {}", roots.get(&began).unwrap_or(&began))
}

/// Says what a request is about that has to be there.
fn needs(exchange: &Exchange, roots: &BTreeMap<u64, u64>) -> Keys {
    let mut keys = Keys::new();
    if let Some(lead) = &exchange.trace.lead {
        keys.insert(session(exchange, roots));
        keys.insert(format!("answer {}", lead.began));
    }
    let place = Place::of(exchange);
    keys.extend(place.values("mount"));
    match place.kind {
        Kind::Manifest { reference } if exchange.method == "PUT" => {
            keys.extend(named(exchange));
            keys.insert(place.object(reference));
        }
        Kind::Manifest { reference } | Kind::Blob { digest: reference } => {
            keys.insert(place.object(reference));
        }
        Kind::Tags => {
            keys.insert(format!("list {}", place.repository));
        }
        Kind::Referrers { digest } => {
            keys.insert(digest.to_owned());
            keys.insert(format!("referrers {digest}"));
        }
        Kind::Other => {}
    }
    keys
}

/// Says what a request makes, changes or removes: objects, and the lists that they are in.
fn touches(exchange: &Exchange, roots: &BTreeMap<u64, u64>) -> (Keys, Keys) {
    let (mut objects, mut lists) = (Keys::new(), Keys::new());
    lists.insert(format!("answer {}", exchange.trace.began));
    if matches!(exchange.method.as_str(), "GET" | "HEAD") {
        return (objects, lists);
    }
    let place = Place::of(exchange);
    let digests: Vec<String> = place.values("digest").chain(place.values("mount")).collect();
    for text in &digests {
        objects.extend(own_digest(exchange, text));
    }
    objects.extend(digests);
    match place.kind {
        Kind::Manifest { reference } => {
            objects.insert(place.object(reference));
            objects.extend(place.values("tag").map(|tag| place.object(&tag)));
            objects.extend(own_digest(exchange, reference));
            lists.insert(format!("list {}", place.repository));
            let subject = document(exchange).and_then(|body| Some(body["subject"]["digest"].as_str()?.to_owned()));
            lists.extend(subject.map(|digest| format!("referrers {digest}")));
            // Where there is no list of referrers, or was none, clients keep one under a tag.
            let listed = reference.split_once('-').map(|(algorithm, hex)| format!("referrers {algorithm}:{hex}"));
            lists.extend(listed);
        }
        Kind::Blob { digest } => {
            objects.insert(digest.to_owned());
        }
        _ => {
            objects.insert(session(exchange, roots));
        }
    }
    (objects, lists)
}

/// Returns the digest of what was sent, by the algorithm of another one.
fn own_digest(exchange: &Exchange, other: &str) -> Option<String> {
    let algorithm = if other.starts_with("sha512:") { Algorithm::Sha512 } else { Algorithm::Sha256 };
    (1..MOST_READ)
        .contains(&exchange.trace.sent.len())
        .then(|| Digest::of_with(algorithm, &exchange.trace.sent).to_string())
}

/// Reads the manifest that was sent.
fn document(exchange: &Exchange) -> Option<Value> {
    let sent = &exchange.trace.sent;
    (sent.len() < MOST_READ).then(|| serde_json::from_slice(sent).ok())?
}

/// Returns every digest that the manifest which was sent names.
fn named(exchange: &Exchange) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), Vec::from_iter(document(exchange)));
    while let Some(value) = rest.pop() {
        match value {
            Value::Object(members) => {
                found.extend(members.get("digest").and_then(Value::as_str).map(str::to_owned));
                rest.extend(members.into_iter().map(|(_, value)| value));
            }
            Value::Array(values) => rest.extend(values),
            _ => {}
        }
    }
    found
}

/// What a URL is that of.
struct Place<'a> {
    repository: &'a str,
    kind: Kind<'a>,
    query: &'a str,
}

enum Kind<'a> {
    Blob { digest: &'a str },
    Manifest { reference: &'a str },
    Referrers { digest: &'a str },
    Tags,
    Other,
}

impl<'a> Place<'a> {
    fn of(exchange: &'a Exchange) -> Self {
        let url = exchange.trace.target.as_deref().unwrap_or(&exchange.url);
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        // Of a place that an answer named, only what was added is known to be ours.
        let query = exchange.trace.lead.as_ref().map_or(query, |lead| &lead.rest);
        let split = |part: &str| path.rfind(part).map(|at| (&path[..at], &path[at + part.len()..]));
        let (repository, kind) = if let Some((repository, _)) = split("/blobs/uploads/") {
            (repository, Kind::Other)
        } else if let Some((repository, digest)) = split("/blobs/") {
            (repository, Kind::Blob { digest })
        } else if let Some((repository, reference)) = split("/manifests/") {
            (repository, Kind::Manifest { reference })
        } else if let Some((repository, digest)) = split("/referrers/") {
            (repository, Kind::Referrers { digest })
        } else if let Some((repository, _)) = split("/tags/list") {
            (repository, Kind::Tags)
        } else {
            ("", Kind::Other)
        };
        Self { repository, kind, query }
    }

    /// Names content by its digest, a tag with its repository.
    fn object(&self, reference: &str) -> String {
        if reference.contains(':') { reference.to_owned() } else { format!("{}:{reference}", self.repository) }
    }

    fn values(&self, name: &str) -> impl Iterator<Item = String> {
        let pairs = self.query.split(['?', '&']).filter_map(|pair| pair.split_once('='));
        pairs
            .filter(move |(key, _)| *key == name)
            .map(|(_, value)| percent_decode_str(value).decode_utf8_lossy().into())
    }
}

/// Bytes of a body that is looked into: no manifest that is pushed is longer.
const MOST_READ: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::conformance::journal::Lead;
    use crate::conformance::report::sample::exchange;

    /// The method, the path, what was sent, and the line that led there with what was added to its place.
    type Line<'a> = (&'a str, &'a str, &'a str, Option<(u64, &'a str)>);

    /// Writes a run down: each line is an exchange of scene 1.
    fn run(lines: &[Line<'_>]) -> Vec<Exchange> {
        let lines = lines.iter().zip(1_u64..);
        let written = lines.map(|((method, path, sent, lead), at)| {
            let mut written = exchange(method, &format!("http://r/v2/{path}"), 200);
            let trace = &mut written.trace;
            (trace.began, trace.ended, trace.scene) = (2 * at, 2 * at + 1, 1);
            trace.sent = Bytes::copy_from_slice(sent.as_bytes());
            trace.lead = lead.map(|(line, rest)| Lead { began: 2 * line, rest: rest.to_owned() });
            written
        });
        written.collect()
    }

    /// Returns the lines that the last one needs.
    fn taken(run: &[Exchange]) -> Vec<u64> {
        let (last, journal) = run.split_last().expect("a run");
        needed(journal, &[], last).into_iter().map(|exchange| exchange.trace.began / 2).collect()
    }

    #[test]
    fn content_is_pushed_before_it_is_read() {
        let upload = |digest| format!("a/blobs/uploads/?digest={digest}");
        let (one, two) = (Digest::of(b"one").to_string(), Digest::of(b"two").to_string());
        let (post, put) = (upload(&one), upload(&two));
        let blob = format!("a/blobs/{one}");
        let rest = format!("&digest={}", one.replace(':', "%3A"));
        let image = format!(r#"{{"config":{{"digest":"{one}"}},"subject":{{"digest":"sha256:s"}}}}"#);
        let (index, digest) = (format!(r#"{{"manifests":[{{"digest":"{two}"}}]}}"#), Digest::of(b"{}").to_string());
        let (manifest, referrers) = (format!("a/manifests/{digest}"), "a/referrers/sha256:s");
        let mount = format!("b/blobs/uploads/?from=a&mount={one}");
        for (lines, expected) in [
            (vec![("POST", &*post, "one", None), ("POST", &*put, "two", None), ("GET", &*blob, "", None)], vec![1]),
            // A session, chunk by chunk, and another one.
            (
                vec![
                    ("POST", "a/blobs/uploads/", "", None),
                    ("POST", "a/blobs/uploads/", "", None),
                    ("PATCH", "up", "on", Some((1, ""))),
                    ("PATCH", "up", "x", Some((2, ""))),
                    ("PUT", "up", "e", Some((3, &rest))),
                    ("GET", &*blob, "", None),
                ],
                vec![1, 3, 5],
            ),
            (vec![("POST", "a/blobs/uploads/", "", None), ("GET", "up", "", Some((1, "")))], vec![1]),
            // What was removed, and what is read where it was mounted.
            (vec![("POST", &*post, "one", None), ("DELETE", &*blob, "", None), ("HEAD", &*blob, "", None)], vec![1, 2]),
            (vec![("POST", &*post, "one", None), ("POST", &*mount, "", None)], vec![1]),
            // Bytes that are not those of their digest may be kept under their own.
            (vec![("POST", &*put, "one", None), ("GET", &*blob, "", None)], vec![1]),
            // A manifest and what it names; a tag that moved; what is listed.
            (
                vec![
                    ("POST", &*post, "one", None),
                    ("PUT", "a/manifests/v1", &*image, None),
                    ("PUT", "a/manifests/v1", "{}", None),
                    ("PUT", "a/manifests/v2", &*index, None),
                    ("GET", "a/manifests/v1", "", None),
                ],
                vec![1, 2, 3],
            ),
            (
                vec![
                    ("PUT", "a/manifests/v1", "{}", None),
                    ("DELETE", &*manifest, "", None),
                    ("PUT", "b/manifests/v1", "{}", None),
                    ("GET", "a/tags/list?n=1", "", None),
                ],
                vec![1, 2, 3],
            ),
            (
                vec![
                    ("POST", &*post, "one", None),
                    ("PUT", "a/manifests/v1", &*image, None),
                    ("GET", referrers, "", None),
                ],
                vec![1, 2],
            ),
            (vec![("PUT", "a/manifests/v1?tag=x", "{}", None), ("GET", "a/manifests/x", "", None)], vec![1]),
            (vec![("PUT", "a/manifests/sha256-s", "{}", None), ("GET", referrers, "", None)], vec![1]),
            (vec![("POST", &*post, "one", None), ("GET", "", "", None)], vec![]),
        ] {
            assert_eq!(taken(&run(&lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn other_scenes_are_other_stories() {
        let mut run = run(&[("PUT", "a/manifests/v1", "{}", None), ("GET", "a/tags/list", "", None)]);
        run[0].trace.scene = 0;
        assert_eq!(taken(&run), Vec::<u64>::new());
    }

    #[test]
    fn tags_that_an_earlier_scene_could_not_remove_are_pushed_again() {
        let one = Digest::of(b"one").to_string();
        let (post, blob) = (format!("a/blobs/uploads/?digest={one}"), format!("a/blobs/{one}"));
        let image = format!(r#"{{"config":{{"digest":"{one}"}}}}"#);
        let mut run = run(&[
            ("POST", &post, "one", None),
            ("PUT", "a/manifests/kept", &image, None),
            ("DELETE", "a/manifests/kept", "", None),
            ("DELETE", &blob, "", None),
            ("PUT", "a/manifests/gone", "{}", None),
            ("PUT", "b/manifests/kept", "{}", None),
            ("PUT", "a/manifests/own", "[]", None),
            ("GET", "a/tags/list", "", None),
            ("GET", "a/tags/list?last=kept", "", None),
        ]);
        run[..6].iter_mut().for_each(|exchange| exchange.trace.scene = 0);
        run[7].body.text = Some(r#"{"tags":["kept","own"]}"#.to_owned());
        let (journal, seen) = run.split_at(7);
        let lines = |seen: &[Exchange], last: &Exchange| {
            needed(journal, seen, last).into_iter().map(|exchange| exchange.trace.began / 2).collect::<Vec<_>>()
        };
        assert_eq!(lines(seen, &seen[1]), [1, 2, 3, 4, 7]);
        assert_eq!(lines(&[], &seen[1]), [7]);
    }

    #[test]
    fn what_went_on_at_the_same_time_counts() {
        let run = run(&[("PUT", "a/manifests/v1", "{}", None), ("PUT", "a/manifests/v1", "[]", None)]);
        let [mut first, mut second] = <[Exchange; 2]>::try_from(run).expect("two");
        (first.trace.ended, second.trace.ended) = (6, 5);
        let journal = [second];
        assert_eq!(needed(&journal, &[], &first).len(), 1);
    }
}
