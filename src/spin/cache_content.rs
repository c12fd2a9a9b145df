//! What is in a cache, file by file: nothing is followed out of it, and nothing is believed.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::cache::Cache;
use super::media;
use crate::disk;
use crate::error::Error;
use crate::model::{Digest, Manifest, Reference};
use crate::store::Count;

/// One application in the cache, by the documents that are kept of it.
pub(super) struct Filed {
    /// Where its documents are.
    pub(super) directory: PathBuf,
    /// What it was pulled as; `None` where the directory has a name that no reference has.
    pub(super) reference: Option<Reference>,
    /// When its documents were written, or it was [used](super::CachedApplication::note_use), the last time.
    pub(super) last_used: Option<SystemTime>,
    /// Its documents.
    pub(super) documents: Count,
    /// Its manifest, where it can be understood.
    pub(super) manifest: Option<Manifest>,
    /// Every digest that its documents speak of, and what has come out of its archives.
    pub(super) digests: BTreeSet<Digest>,
}

/// A file that is called by a digest.
pub(super) struct Content {
    pub(super) digest: Digest,
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
}

impl Cache {
    /// Shows each application to `visit`, in the order of their names. What cannot be read is shown as an error, and `visit`
    /// says whether it ends the walk. Memory: the names of one directory at each level. Blocks.
    pub(super) fn walk(&self, visit: &mut dyn FnMut(Result<Filed, Error>) -> Result<(), Error>) -> Result<(), Error> {
        let Some(top) = self.folder("manifests")? else { return Ok(()) };
        let mut left = vec![(top, 0)];
        while let Some((directory, depth)) = left.pop() {
            let (mut below, mut filed) = (Vec::new(), false);
            let listed = match list(&directory) {
                Ok(listed) => listed,
                Err(error) => {
                    visit(Err(error))?;
                    continue;
                }
            };
            for entry in listed {
                match entry {
                    Ok((path, kind)) if kind.is_dir() && depth < MAX_DEPTH => below.push((path, depth + 1)),
                    Ok((path, kind)) if kind.is_file() => filed |= path.file_name().is_some_and(is_document),
                    Ok(_) => {}
                    Err(error) => visit(Err(error))?,
                }
            }
            if filed {
                visit(self.filed(directory))?;
            }
            below.sort_by(|(one, _), (other, _)| other.cmp(one));
            left.extend(below);
        }
        Ok(())
    }

    /// Shows each file that is called by a digest to `visit`; others are not ours. Blocks.
    pub(super) fn each_content(&self, visit: &mut dyn FnMut(Content) -> Result<(), Error>) -> Result<(), Error> {
        for content in self.contents()? {
            visit(content?)?;
        }
        Ok(())
    }

    /// Goes through the files that are called by a digest, in no order. Blocks.
    pub(super) fn contents(&self) -> Result<impl Iterator<Item = Result<Content, Error>> + Send + use<>, Error> {
        let mut listings = Vec::new();
        for folder in CONTENT {
            if let Some(folder) = self.folder(folder)? {
                listings.push(list(&folder)?);
            }
        }
        Ok(listings.into_iter().flatten().filter_map(|entry| match entry {
            Ok((path, kind)) => {
                let digest = kind.is_file().then(|| called(&path)).flatten()?;
                match fs::symlink_metadata(&path) {
                    Ok(metadata) if metadata.is_file() => Some(Ok(Content { digest, path, metadata })),
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Some(Err(Error::io("read", path, error))),
                    // It is gone, or something else by now.
                    _ => None,
                }
            }
            Err(error) => Some(Err(error)),
        }))
    }

    /// Returns the files of a digest. Blocks.
    pub(super) fn files_of(&self, digest: &Digest) -> Vec<(PathBuf, Metadata)> {
        let files = [self.wasm_shelf(), self.files_shelf()].map(|shelf| shelf.path(digest));
        let regular = |path: PathBuf| {
            let metadata = fs::symlink_metadata(&path).ok().filter(Metadata::is_file)?;
            Some((path, metadata))
        };
        files.into_iter().filter_map(regular).collect()
    }

    /// Returns a folder of the cache; `None` where it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where there is something else of its name. Links are not followed: what is behind them is not ours.
    pub(super) fn folder(&self, name: &str) -> Result<Option<PathBuf>, Error> {
        let path = self.root().join(name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Ok(Some(path)),
            Ok(_) => Err(Error::io("look into", path, io::Error::new(io::ErrorKind::NotADirectory, NO_FOLDER))),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(Error::io("read", path, error)),
        }
    }

    /// Reads what is kept of the application in `directory`.
    fn filed(&self, directory: PathBuf) -> Result<Filed, Error> {
        let mut filed = Filed {
            reference: self.reference_of(&directory),
            last_used: None,
            documents: Count::default(),
            manifest: None,
            digests: BTreeSet::new(),
            directory,
        };
        for name in DOCUMENTS {
            let path = filed.directory.join(name);
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if !metadata.is_file() {
                continue;
            }
            filed.documents.files += 1;
            filed.documents.bytes += metadata.len();
            filed.last_used = filed.last_used.max(metadata.modified().ok());
            let limit = media::MAX_LOCK.max(Manifest::MAX_READ);
            let Some(bytes) = disk::read_small(&path, limit)? else { continue };
            collect(&bytes, &mut filed.digests);
            if name == MANIFEST && bytes.len() as u64 <= Manifest::MAX_READ {
                filed.manifest = Manifest::parse(bytes, None).ok();
            }
        }
        let archives: Vec<Digest> = filed.digests.iter().copied().collect();
        for archive in archives {
            filed.digests.extend(self.unpacked_from(&archive)?);
        }
        Ok(filed)
    }

    /// Returns what has its documents in `directory`.
    fn reference_of(&self, directory: &Path) -> Option<Reference> {
        let below = directory.strip_prefix(self.root().join("manifests")).ok()?;
        let mut words: Vec<&str> = below.iter().map(|word| word.to_str()).collect::<Option<_>>()?;
        let (last, registry) = (words.pop()?, (!words.is_empty()).then(|| words.remove(0))?);
        let colons = |text: &str| if cfg!(windows) { text.replacen('_', ":", 1) } else { text.to_owned() };
        let (tag, digest) = match colons(last).parse() {
            Ok(digest) => (None, Some(digest)),
            Err(_) => (Some(last.parse().ok()?), None),
        };
        let reference = Reference::new(colons(registry).parse().ok()?, words.join("/").parse().ok()?, tag, digest);
        // Names that are folded, such as those of Docker Hub, have one place only.
        (self.directory(&reference) == directory).then_some(reference)
    }
}

/// Lists a directory, in no order; one that is not there is empty. Links are not followed.
pub(super) fn list(
    directory: &Path,
) -> Result<impl Iterator<Item = Result<(PathBuf, fs::FileType), Error>> + Send + use<>, Error> {
    let place = directory.to_owned();
    let listed = match fs::read_dir(directory) {
        Err(error) if is_absence(&error) => None,
        listed => Some(listed.map_err(|error| Error::io("read", directory, error))?),
    };
    Ok(listed.into_iter().flatten().map(move |entry| {
        let failed = |error| Error::io("read", &place, error);
        let entry = entry.map_err(failed)?;
        Ok((entry.path(), entry.file_type().map_err(failed)?))
    }))
}

/// Says whether a file is one of those that are kept of an application.
fn is_document(name: &std::ffi::OsStr) -> bool {
    DOCUMENTS.iter().any(|document| name == *document)
}

/// Returns the digest that a file is called by.
fn called(path: &Path) -> Option<Digest> {
    let name = path.file_name()?.to_str()?;
    if cfg!(windows) { name.replacen('_', ":", 1).parse().ok() } else { name.parse().ok() }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound)
}

/// Collects the digests in a document; of one that is no JSON, those before it breaks.
pub(super) fn collect(json: &[u8], found: &mut BTreeSet<Digest>) {
    // Nothing is kept of it but the digests: a document may be long.
    let _ = Digests(found).deserialize(&mut serde_json::Deserializer::from_slice(json));
}

struct Digests<'a>(&'a mut BTreeSet<Digest>);

impl<'de> DeserializeSeed<'de> for Digests<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, document: D) -> Result<(), D::Error> {
        document.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Digests<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.extend(text.parse::<Digest>());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Digests(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_key::<serde::de::IgnoredAny>()?.is_some() {
            fields.next_value_seed(Digests(self.0))?;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// What is kept of an application. Whatever removes them begins with the manifest: without it there is no application.
pub(super) const DOCUMENTS: [&str; 3] = [MANIFEST, "config.json", "index.json"];
pub(super) const MANIFEST: &str = "manifest.json";

/// Where content is.
const CONTENT: [&str; 2] = ["wasm", "data"];

/// How deep names go: a registry, 128 components of a name, and a tag.
const MAX_DEPTH: usize = 130;

const NO_FOLDER: &str = "it is no directory, and what is behind a link is left alone";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digest_of_a_document_is_collected_and_nothing_else() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|text| Digest::of(text));
        let json = format!(
            r#"{{"x": 1, "y": [null, true, -1, 1.5, "{a}", {{"z": "{b}"}}], "{c}": "sha256:x", "n": 18446744073709551616}}"#
        );
        let mut found = BTreeSet::new();
        collect(json.as_bytes(), &mut found);
        assert_eq!(found, BTreeSet::from([a, b]));
        // What is damaged further on.
        let mut found = BTreeSet::new();
        collect(format!(r#"["{c}", "#).as_bytes(), &mut found);
        assert_eq!(found, BTreeSet::from([c]));
        let mut found = BTreeSet::new();
        collect("[".repeat(100_000).as_bytes(), &mut found);
        assert!(found.is_empty());
    }

    #[test]
    fn directories_are_called_as_what_was_pulled() {
        let cache = Cache::at("/c");
        let digest = Digest::of(b"");
        for text in [
            "docker.io/library/app:latest".to_owned(),
            "localhost:5000/a/b:v1".to_owned(),
            format!("r.example/a@{digest}"),
        ] {
            let reference: Reference = text.parse().expect("a reference");
            let found = cache.reference_of(&cache.directory(&reference)).expect(&text);
            assert_eq!(found.to_string(), text);
        }
        for directory in
            ["r.example", "r.example/v1", "index.docker.io/library/app/v1", "R.Example/a/v1", "r.example/A/v1"]
        {
            assert!(cache.reference_of(&Path::new("/c/registry/manifests").join(directory)).is_none(), "{directory}");
        }
    }
}
