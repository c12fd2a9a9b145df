//! Files that are sent while they are hashed.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::known::KnownDigests;
use super::lock_file::ContentRef;
use super::media;
use crate::content::{Blob, Progress, Pushed, Target, Unhashed};
use crate::error::Error;
use crate::model::{Descriptor, Manifest, MediaType, Tag};
use crate::store::blocking;

/// Where a package is to go, and what may be sent there before the package is made: a large file whose digest nobody knows, and
/// which the target [is likely not to have](Target::push_unhashed), is read once instead of twice.
pub struct Ahead<'a, T> {
    /// Where to.
    pub target: &'a T,
    /// Which tag will point to the package.
    pub tag: &'a Tag,
    /// How many files are sent at a time.
    pub at_once: NonZeroUsize,
    /// Who is told how it goes.
    pub progress: Arc<dyn Progress>,
}

/// A file, and what it is for.
pub(super) type File = (PathBuf, MediaType);

/// A file and what is known of it.
pub(super) type Found = (File, (Blob, ContentRef));

impl<T: Target> Ahead<'_, T> {
    /// Chooses the files that are worth it.
    pub(super) async fn choose(&self, files: Vec<File>, known: &KnownDigests) -> Result<Vec<File>, Error> {
        let known = known.clone();
        blocking(move || Ok(choose(files, |path| known.unread(path)))).await
    }

    /// Sends a file, and returns what it turned out to be; `None` where the target wants to be told that first.
    pub(super) async fn send(&self, file: &File, known: &KnownDigests) -> Result<Option<Found>, Error> {
        let (path, notes, progress) = (file.0.clone(), known.clone(), self.progress.clone());
        let begun = blocking(move || Ok((notes.watch(&path), Unhashed::at(&path, progress)?)));
        let (watch, unhashed) = begun.await?;
        let size = unhashed.size();
        let Some(digest) = self.target.push_unhashed(&unhashed, self.tag).await? else { return Ok(None) };
        let (path, notes) = (file.0.clone(), known.clone());
        blocking(move || {
            notes.note(&path, &watch, digest, size);
            Ok(())
        })
        .await?;
        let blob = Blob::file(Descriptor::new(file.1.clone(), digest, size), &file.0);
        let reference = ContentRef { source: None, inline: None, digest: Some(digest) };
        Ok(Some((file.clone(), (blob, reference))))
    }
}

/// Chooses the files that are large enough, and of a size that no other has: of two that may be the same one would be sent for
/// nothing. The largest come first.
fn choose(files: Vec<File>, size: impl Fn(&Path) -> Option<u64>) -> Vec<File> {
    let mut sized: Vec<_> = files.into_iter().filter_map(|file| Some((size(&file.0)?, file))).collect();
    sized.retain(|(size, _)| *size >= WORTHWHILE.max(media::MAX_INLINE + 1));
    let mut counts = HashMap::<u64, usize>::new();
    sized.iter().for_each(|(size, _)| *counts.entry(*size).or_default() += 1);
    sized.retain(|(size, _)| counts[size] == 1);
    sized.sort_unstable_by(|one, other| other.cmp(one));
    sized.into_iter().map(|(_, file)| file).collect()
}

/// Nobody: a package that is to go nowhere yet.
pub(super) enum Nobody {}

impl Target for Nobody {
    async fn exists(&self, _: &Descriptor) -> Result<bool, Error> {
        match *self {}
    }

    async fn push_blob(&self, _: &Blob) -> Result<Pushed, Error> {
        match *self {}
    }

    async fn push_manifest(&self, _: &Manifest, _: Option<&Tag>) -> Result<(), Error> {
        match *self {}
    }
}

/// From which size on, in bytes, a file is sent while it is hashed: it costs a request more, which takes as long far away as
/// hashing so many bytes.
const WORTHWHILE: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_that_are_nothing_but_themselves_are_chosen() {
        let sizes = [
            ("small", Some(WORTHWHILE - 1)),
            ("large", Some(WORTHWHILE)),
            ("larger", Some(WORTHWHILE + 1)),
            ("twin", Some(WORTHWHILE + 2)),
            ("other twin", Some(WORTHWHILE + 2)),
            ("known", None),
        ];
        let files = sizes.iter().map(|(name, _)| (PathBuf::from(name), media::DATA)).collect();
        let size = |path: &Path| sizes.iter().find(|(name, _)| path == Path::new(name)).and_then(|(_, size)| *size);
        let chosen: Vec<_> = choose(files, size).into_iter().map(|(path, _)| path).collect();
        assert_eq!(chosen, ["larger", "large"].map(PathBuf::from));
        // A component that is a file of another one as well.
        let both = vec![("large".into(), media::DATA), ("large".into(), media::WASM)];
        assert_eq!(choose(both, size), []);
    }
}
