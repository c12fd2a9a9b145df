//! `index.json` of an image layout (image-spec 1.1, image-layout.md, "index.json file"): reading it and editing it.
//!
//! Entries and fields that we do not know are kept as they are: other tools wrote them for a reason. Pure.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::error::ParseError;
use crate::model::{Descriptor, Digest, MediaType, Tag};

/// The annotation that names a manifest inside a layout (image-spec 1.1, annotations.md).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The name that containerd and docker give an exported image, in full.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// The document, as it was read or begun.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Index {
    document: Map<String, Value>,
    entries: Vec<Value>,
}

impl Index {
    /// Begins one without entries.
    pub(super) fn new() -> Self {
        let mut document = Map::new();
        document.insert("mediaType".to_owned(), MediaType::IMAGE_INDEX.as_str().into());
        document.insert("schemaVersion".to_owned(), 2.into());
        Self { document, entries: Vec::new() }
    }

    /// Parses the file's bytes; the caller has bounded them.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let expected = "an object with a `manifests` array, as in `index.json` of an image layout";
        let refuse = || {
            let start = &bytes[..bytes.len().min(120)];
            ParseError::new("layout index", &String::from_utf8_lossy(start), expected)
        };
        let document: Value = serde_json::from_slice(bytes).map_err(|error| refuse().because(&error))?;
        let Value::Object(mut document) = document else { return Err(refuse()) };
        match document.remove("manifests") {
            Some(Value::Array(entries)) => Ok(Self { document, entries }),
            // Go writes `null` for a list that has no entries.
            Some(Value::Null) => Ok(Self { document, entries: Vec::new() }),
            _ => Err(refuse()),
        }
    }

    /// Prints the document.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let printed = Printed { manifests: &self.entries, document: &self.document };
        serde_json::to_vec(&printed).expect("what was parsed has a JSON form")
    }

    /// Yields the entries that are descriptors we understand, in order.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = Descriptor> {
        self.entries.iter().filter_map(descriptor)
    }

    /// Yields the tags and what they name; entries whose name is no tag have none.
    pub(super) fn tags(&self) -> impl Iterator<Item = (Tag, Descriptor)> {
        self.descriptors().filter_map(|descriptor| {
            let tag = descriptor.annotations.get(REF_NAME)?.parse().ok()?;
            Some((tag, descriptor))
        })
    }

    /// Finds what `tag` names.
    ///
    /// The name itself comes first (of several the last: tools append). Then full names that end in it, which podman
    /// and docker write. `latest`, which is meant where nothing is named, is also the only entry of an index without
    /// names.
    pub(super) fn find(&self, tag: &Tag) -> Option<Descriptor> {
        let named = |key: &str, fits: &dyn Fn(&str) -> bool| {
            self.descriptors().filter(|entry| entry.annotations.get(key).is_some_and(|name| fits(name))).last()
        };
        let in_full = |name: &str| name.rsplit_once(':').is_some_and(|(_, last)| last == tag.as_str());
        named(REF_NAME, &|name| name == tag.as_str())
            .or_else(|| named(REF_NAME, &in_full))
            .or_else(|| named(IMAGE_NAME, &in_full))
            .or_else(|| {
                let mut entries = self.descriptors();
                let only = entries.next().filter(|_| self.entries.len() == 1 && *tag == Tag::latest())?;
                let unnamed = !only.annotations.contains_key(REF_NAME) && !only.annotations.contains_key(IMAGE_NAME);
                unnamed.then_some(only)
            })
    }

    /// Finds what bears the very name `tag`, where that is one entry alone: two of one name are not to be left so.
    pub(super) fn find_exactly(&self, tag: &Tag) -> Option<Descriptor> {
        let name = |entry: &&Value| entry["annotations"][REF_NAME].as_str() == Some(tag.as_str());
        let mut named = self.entries.iter().filter(name).filter_map(descriptor);
        named.next().filter(|_| named.next().is_none())
    }

    /// Finds an entry by its digest.
    pub(super) fn entry(&self, digest: &Digest) -> Option<Descriptor> {
        self.entries.iter().filter(|entry| is_of(entry, &digest.to_string())).find_map(descriptor)
    }

    /// Lists a manifest, named `tag` or not. Says whether that has changed anything.
    ///
    /// Whatever had the name before stays listed, without it.
    pub(super) fn list(&mut self, manifest: &Descriptor, tag: Option<&Tag>) -> bool {
        let Some(tag) = tag else {
            let is_new = self.entry(&manifest.digest).is_none();
            if is_new {
                self.entries.push(printed(manifest, None));
            }
            return is_new;
        };
        if self.find_exactly(tag).is_some_and(|entry| entry.digest == manifest.digest) {
            return false;
        }
        self.unname(tag);
        let digest = manifest.digest.to_string();
        let unnamed = |entry: &Value| {
            is_of(entry, &digest) && descriptor(entry).is_some_and(|d| !d.annotations.contains_key(REF_NAME))
        };
        self.entries.retain(|entry| !unnamed(entry));
        self.entries.push(printed(manifest, Some(tag)));
        true
    }

    /// Takes a name away from whatever has it; that stays listed. Says whether anything had it.
    pub(super) fn unname(&mut self, tag: &Tag) -> bool {
        let mut found = false;
        for at in (0..self.entries.len()).rev() {
            let entry = &mut self.entries[at];
            let Some(annotations) = entry.get_mut("annotations").and_then(Value::as_object_mut) else { continue };
            if annotations.get(REF_NAME).and_then(Value::as_str) != Some(tag.as_str()) {
                continue;
            }
            found = true;
            annotations.remove(REF_NAME);
            if annotations.is_empty() {
                entry.as_object_mut().map(|fields| fields.remove("annotations"));
            }
            let Some(digest) = descriptor(&self.entries[at]).map(|d| d.digest.to_string()) else { continue };
            let mut others = self.entries.iter().enumerate().filter(|(other, _)| *other != at);
            if others.any(|(_, entry)| is_of(entry, &digest) && descriptor(entry).is_some()) {
                self.entries.remove(at);
            }
        }
        found
    }

    /// Takes every entry of a manifest away. Says whether there was one.
    pub(super) fn remove(&mut self, digest: &Digest) -> bool {
        self.remove_all(&HashSet::from([*digest]))
    }

    /// Takes every entry of these manifests away. Says whether there was one.
    pub(super) fn remove_all(&mut self, digests: &HashSet<Digest>) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| descriptor(entry).is_none_or(|d| !digests.contains(&d.digest)));
        self.entries.len() < before
    }
}

/// The document as it is written.
#[derive(serde::Serialize)]
struct Printed<'a> {
    manifests: &'a [Value],
    #[serde(flatten)]
    document: &'a Map<String, Value>,
}

/// Says whether an entry is of this digest, without reading the rest of it.
fn is_of(entry: &Value, digest: &str) -> bool {
    entry["digest"].as_str() == Some(digest)
}

fn descriptor(entry: &Value) -> Option<Descriptor> {
    serde::Deserialize::deserialize(entry).ok()
}

/// Prints an entry: what the manifest is, and its name alone. Other annotations are the manifest's own business.
fn printed(manifest: &Descriptor, tag: Option<&Tag>) -> Value {
    let mut entry = json!({
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": manifest.size,
    });
    if let Some(artifact_type) = &manifest.artifact_type {
        entry["artifactType"] = artifact_type.as_str().into();
    }
    if let Some(platform) = &manifest.platform {
        entry["platform"] = serde_json::to_value(platform).unwrap_or(Value::Null);
    }
    if let Some(tag) = tag {
        entry["annotations"] = json!({ REF_NAME: tag.as_str() });
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(content: &str) -> Descriptor {
        Descriptor::of(MediaType::IMAGE_MANIFEST, content.as_bytes())
    }

    fn tag(text: &str) -> Tag {
        text.parse().expect("a tag")
    }

    fn index(entries: &[(&str, &[(&str, &str)])]) -> Index {
        let mut index = Index::new();
        for (content, annotations) in entries {
            let mut entry = printed(&manifest(content), None);
            let annotations: Map<_, _> = annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
            entry["annotations"] = annotations.into();
            index.entries.push(entry);
        }
        index
    }

    #[test]
    fn r3_numbers_of_others_are_kept_to_the_last_digit() {
        for number in
            ["22222222222222222222222222222222222222222222227", "0.1", "-0.0", "1e-310", "2.2250738585072011e-308"]
        {
            let text = format!(r#"{{"manifests":[{{"later":{number}}}],"x":{number}}}"#);
            let index = Index::parse(text.as_bytes()).expect("an index");
            assert_eq!(Index::parse(&index.to_bytes()).as_ref(), Ok(&index), "{number}");
        }
    }

    #[test]
    fn names_are_found_as_tools_write_them() {
        let full = "docker.io/library/a:v1";
        for (entries, wanted, found) in [
            (vec![("a", [(REF_NAME, "v1")]), ("b", [(REF_NAME, "v2")])], "v1", Some("a")),
            (vec![("a", [(REF_NAME, "v1")]), ("b", [(REF_NAME, "v1")])], "v1", Some("b")),
            (vec![("a", [(REF_NAME, full)]), ("b", [(REF_NAME, "v2")])], "v1", Some("a")),
            (vec![("a", [(IMAGE_NAME, full)]), ("b", [(REF_NAME, "v2")])], "v1", Some("a")),
            (vec![("a", [("other", "x")])], "latest", Some("a")),
            (vec![("a", [("other", "x")])], "v1", None),
            (vec![("a", [(REF_NAME, "v1")])], "latest", None),
            (vec![("a", [("other", "x")]), ("b", [("other", "x")])], "latest", None),
        ] {
            let entries: Vec<_> = entries.iter().map(|(content, names)| (*content, &names[..])).collect();
            let digest = index(&entries).find(&tag(wanted)).map(|d| d.digest);
            assert_eq!(digest, found.map(|content| manifest(content).digest), "{wanted} in {entries:?}");
        }
    }

    #[test]
    fn a_tag_moves_and_what_it_named_stays_listed() {
        let mut index = Index::new();
        assert!(index.list(&manifest("a"), Some(&tag("v1"))));
        assert!(!index.list(&manifest("a"), Some(&tag("v1"))));
        assert!(!index.list(&manifest("a"), None));
        assert!(index.list(&manifest("b"), Some(&tag("v1"))));
        assert_eq!(index.find(&tag("v1")).map(|d| d.digest), Some(manifest("b").digest));
        assert!(index.entry(&manifest("a").digest).is_some_and(|entry| entry.annotations.is_empty()));
        assert!(index.list(&manifest("a"), Some(&tag("old"))));
        assert_eq!(index.entries.len(), 2);
        assert!(index.list(&manifest("a"), Some(&tag("older"))));
        assert!(index.unname(&tag("old")) && !index.unname(&tag("old")));
        assert_eq!(index.entries.len(), 2, "the other name is entry enough");
        assert!(index.remove(&manifest("a").digest) && !index.remove(&manifest("a").digest));
        assert_eq!(index.tags().map(|(tag, _)| tag.to_string()).collect::<Vec<_>>(), ["v1"]);
    }

    #[test]
    fn foreign_entries_and_fields_survive() {
        let text =
            br#"{"schemaVersion":2,"x":{"y":1},"manifests":[{"digest":"blake3:00","mediaType":"a/b","size":1},{}]}"#;
        let mut index = Index::parse(text).expect("a foreign index");
        assert_eq!(index.descriptors().count(), 0);
        index.list(&manifest("a"), Some(&tag("v1")));
        let printed: Value = serde_json::from_slice(&index.to_bytes()).expect("our own JSON");
        assert_eq!(printed["x"]["y"], 1);
        assert_eq!(printed["manifests"][0]["digest"], "blake3:00");
        assert_eq!(printed["manifests"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn what_is_no_index_is_refused() {
        for text in ["", "[]", "{}", r#"{"manifests":{}}"#, "{\"manifests\":[]"] {
            assert!(Index::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Index::parse(br#"{"schemaVersion":2,"manifests":null}"#).is_ok());
    }
}
