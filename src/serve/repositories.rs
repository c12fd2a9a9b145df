//! Where repositories are on disk.
//!
//! Repository `a/b` is the OCI image layout in `<root>/a/b`, which may lie inside the layout of repository `a`. Three
//! words that can be components of names are also names inside a layout (`blobs`, `index.json`, `oci-layout`): as a
//! component they are written with a `_` before them, and no component can begin with that. Whatever else a layout
//! keeps for itself begins with a `.`, which no component does either.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::model::{Descriptor, Digest, MediaType, Name};
use crate::store::Layout;

/// The repositories below one directory.
#[derive(Clone, Debug)]
pub(super) struct Repositories {
    root: PathBuf,
}

impl Repositories {
    /// Looks whether the directory can be used. One that is not there is made by the first push.
    pub(super) async fn open(root: PathBuf) -> Result<Self, Error> {
        let path = root.clone();
        let readable = blocking(move || match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map(drop).map_err(|error| Error::io("read", path, error)),
        });
        readable.await?;
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Opens a repository; `None` where nobody has pushed to it yet.
    pub(super) async fn existing(&self, name: &Name) -> Result<Option<Layout>, Error> {
        match Layout::open(directory(&self.root, name)).await {
            Ok(layout) => Ok(Some(layout)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a repository, making it where it is not there.
    pub(super) async fn create(&self, name: &Name) -> Result<Layout, Error> {
        Layout::create(directory(&self.root, name)).await
    }

    /// Looks for a repository that has the blob. Costs one look at each directory, until one has it.
    pub(super) async fn find(&self, digest: Digest) -> Result<Option<Layout>, Error> {
        let root = self.root.clone();
        let found =
            blocking(move || find(&root, &Path::new("blobs").join(digest.algorithm().name()).join(digest.hex())));
        match found.await? {
            Some(directory) => match Layout::open(directory).await {
                Ok(layout) => Ok(Some(layout)),
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error),
            },
            None => Ok(None),
        }
    }
}

/// Describes a blob of which only the digest and the size are known.
pub(super) fn described(digest: Digest, size: u64) -> Descriptor {
    Descriptor::new(MediaType::OCTET_STREAM, digest, size)
}

fn directory(root: &Path, name: &Name) -> PathBuf {
    name.as_str().split('/').fold(root.to_owned(), |path, component| match RESERVED.contains(&component) {
        true => path.join(format!("_{component}")),
        false => path.join(component),
    })
}

/// Walks the directories that can be components of names, the shallow ones first.
fn find(root: &Path, blob: &Path) -> Result<Option<PathBuf>, Error> {
    let mut level = vec![root.to_owned()];
    while let Some(directory) = level.pop() {
        let failed = |error| Error::io("read", &directory, error);
        let entries = match fs::read_dir(&directory) {
            // Somebody tidies up while we walk.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let ours = name.to_str().is_some_and(|name| !name.starts_with('.') && !RESERVED.contains(&name));
            // A link could lead anywhere, or around in circles.
            if !ours || !entry.file_type().map_err(failed)?.is_dir() {
                continue;
            }
            let repository = entry.path();
            if repository.join(blob).is_file() {
                return Ok(Some(repository));
            }
            level.push(repository);
        }
    }
    Ok(None)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::io("use", "the disk", io::Error::other(error)))?
}

/// Components that are names inside a layout as well.
const RESERVED: [&str; 3] = ["blobs", "index.json", "oci-layout"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_inside_repositories_do_not_meet_their_files() {
        for (name, expected) in [
            ("app", "app"),
            ("a/b/c", "a/b/c"),
            ("a/blobs", "a/_blobs"),
            ("a/blobs/sha256", "a/_blobs/sha256"),
            ("a/index.json", "a/_index.json"),
            ("oci-layout/oci-layout", "_oci-layout/_oci-layout"),
            ("a/blobs2", "a/blobs2"),
        ] {
            assert_eq!(directory(Path::new("/r"), &name.parse().expect(name)), Path::new("/r").join(expected));
        }
    }

    #[test]
    fn no_name_is_written_like_an_escaped_one() {
        for name in ["_blobs", "a/_blobs", "a/.spinreg", "a/.."] {
            assert!(name.parse::<Name>().is_err(), "{name}");
        }
    }
}
