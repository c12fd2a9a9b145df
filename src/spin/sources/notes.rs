//! Which content the versions of a package, or the tags of a repository, have, as far as they were obtained before.

use std::fs;
use std::io;
use std::path::PathBuf;

use semver::Version;

use super::super::cache::Cache;
use super::super::dependency_name::PackageName;
use super::super::media;
use super::Storage;
use crate::disk::{self, Mode};
use crate::error::Error;
use crate::model::{Descriptor, Registry};
use crate::store::blocking;

/// The notes about one package, or one repository, of one registry: a file for each version or tag, in the cache's private
/// folder. What was published as a version stays that (semver 2.0.0, item 3), so such a note never has to be asked about
/// again; tags are another matter.
#[derive(Clone, Debug)]
pub(super) struct Notes(PathBuf);

impl Notes {
    /// Finds the notes. Nothing has to be there.
    pub(super) fn of(cache: &Cache, registry: &Registry, package: &PackageName) -> Self {
        Self(cache.package_notes(registry, package))
    }

    /// Finds the notes about a repository.
    pub(super) fn of_repository(cache: &Cache, storage: &Storage) -> Self {
        Self(cache.artifact_notes(&storage.registry, &storage.name))
    }

    /// Reads what a version or a tag is; `None` where nobody knows.
    pub(super) async fn read(&self, version: &str) -> Result<Option<Descriptor>, Error> {
        let path = self.path(version);
        let bytes = blocking(move || disk::read_small(&path, MAX_NOTE)).await?;
        Ok(bytes.and_then(|bytes| parse(&bytes)))
    }

    /// Notes what a version or a tag is.
    pub(super) async fn write(&self, version: &str, content: &Descriptor) -> Result<(), Error> {
        let (path, text) = (self.path(version), format!("{} {}\n", content.digest, content.size));
        blocking(move || disk::replace(&path, text.as_bytes(), Mode::Shared)).await
    }

    /// Lists the versions that there are notes about.
    pub(super) async fn versions(&self) -> Result<Vec<Version>, Error> {
        let directory = self.0.clone();
        blocking(move || match fs::read_dir(&directory) {
            Ok(entries) => {
                let names = entries.take(MAX_NOTES).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
                Ok(names.filter_map(|name| name.parse().ok()).collect())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Vec::new())
            }
            Err(error) => Err(Error::io("read", directory, error)),
        })
        .await
    }

    fn path(&self, version: &str) -> PathBuf {
        self.0.join(version)
    }
}

fn parse(bytes: &[u8]) -> Option<Descriptor> {
    let (digest, size) = str::from_utf8(bytes).ok()?.strip_suffix('\n')?.split_once(' ')?;
    Some(Descriptor::new(media::WASM, digest.parse().ok()?, size.parse().ok()?))
}

/// How long a note is at most, in bytes: a digest of SHA-512 and a length.
const MAX_NOTE: u64 = 256;
/// How many versions of one package are looked at: nobody has more.
const MAX_NOTES: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_whole_or_none() {
        let content = Descriptor::of(media::WASM, b"content");
        let text = format!("{} {}\n", content.digest, content.size);
        assert_eq!(parse(text.as_bytes()), Some(content));
        for end in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..end]), None, "{end}");
        }
    }
}
