//! Where repositories are on disk, and which of them are at hand.
//!
//! Repository `a/b` is the OCI image layout in `<root>/a/b`, which may lie inside the layout of repository `a`. Three
//! words that can be components of names are also names inside a layout (`blobs`, `index.json`, `oci-layout`): as a
//! component they are written with a `_` before them, and no component can begin with that. Whatever else a layout
//! keeps for itself begins with a `.`, which no component does either.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::referrals::Referrals;
use crate::error::Error;
use crate::model::{Descriptor, Digest, MediaType, Name};
use crate::store::Layout;

/// The repositories below one directory; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Repositories {
    root: PathBuf,
    open: Arc<Mutex<Open>>,
    names: Arc<Mutex<Names>>,
}

/// A repository at hand: its layout, and what is known of it that would cost reading to find out again. The layout's
/// own files are the truth: whoever changes them, it is noticed.
#[derive(Clone, Debug)]
pub(super) struct Repository {
    layout: Layout,
    referrals: Arc<Referrals>,
}

/// The repositories used lately.
#[derive(Default)]
struct Open {
    repositories: HashMap<Name, (Repository, u64)>,
    uses: u64,
}

/// The names of all repositories, as far as we know.
#[derive(Debug, Default)]
struct Names {
    known: BTreeSet<Name>,
    walked: Option<Instant>,
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
        Ok(Self { root, open: Arc::default(), names: Arc::default() })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Opens a repository; `None` where nobody has pushed to it yet.
    pub(super) async fn existing(&self, name: &Name) -> Result<Option<Repository>, Error> {
        if let Some(repository) = self.recall(name).await? {
            return Ok(Some(repository));
        }
        match Layout::open(directory(&self.root, name)).await {
            Ok(layout) => Ok(Some(self.remember(name, layout))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a repository, making it where it is not there.
    pub(super) async fn create(&self, name: &Name) -> Result<Repository, Error> {
        if let Some(repository) = self.recall(name).await? {
            return Ok(repository);
        }
        let layout = persist(|| Layout::create(directory(&self.root, name))).await?;
        guard(&self.names).known.insert(name.clone());
        Ok(self.remember(name, layout))
    }

    /// Returns a repository whether it is there or not: upload sessions are kept before there is anything to see.
    pub(super) async fn at(&self, name: &Name) -> Result<Repository, Error> {
        let known = self.recall(name).await?;
        Ok(known.unwrap_or_else(|| Repository::of(Layout::at(directory(&self.root, name)))))
    }

    /// Makes what a new upload session or another writer needs; a repository that is not there stays so.
    pub(super) async fn prepared<T, F>(&self, name: &Name, begin: impl Fn(Repository) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let repository = self.at(name).await?;
        let attempt = || async {
            repository.prepare().await?;
            begin(repository.clone()).await
        };
        persist(attempt).await
    }

    /// Removes what an upload has left of a repository that nobody has finished pushing to.
    pub(super) async fn tidy(&self, name: &Name) {
        let tidied = Layout::at(directory(&self.root, name)).vacate(&self.root).await;
        if let Err(error) = tidied {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot tidy up");
        }
    }

    /// Walks the directories and returns everything that upload sessions may be in, seen or not.
    pub(super) async fn places(&self) -> Result<Vec<(Name, Layout)>, Error> {
        let root = self.root.clone();
        let all = blocking(move || walk(&root, |directory| directory.join(PRIVATE).is_dir())).await?;
        let layout = |name: Name| {
            let layout = Layout::at(directory(&self.root, &name));
            (name, layout)
        };
        Ok(all.into_iter().map(layout).collect())
    }

    /// Looks for a repository that has the blob, among those that may be read.
    ///
    /// Costs a look at one file name for each of them, until one has it. Which there are is known; where none has it,
    /// the directories are walked once more, unless that was done lately: others may have made some.
    pub(super) async fn find(
        &self,
        digest: Digest,
        readable: impl Fn(&Name) -> bool,
    ) -> Result<Option<Repository>, Error> {
        let known: Vec<Name> = guard(&self.names).known.iter().filter(|name| readable(name)).cloned().collect();
        if let Some(found) = self.holder(digest, known).await? {
            return Ok(Some(found));
        }
        if guard(&self.names).walked.is_some_and(|walked| walked.elapsed() < WALK_AGAIN) {
            return Ok(None);
        }
        let before = guard(&self.names).known.clone();
        let all = self.names().await?;
        self.holder(digest, all.into_iter().filter(|name| !before.contains(name) && readable(name)).collect()).await
    }

    /// Walks the directories and returns the names of all repositories.
    pub(super) async fn names(&self) -> Result<Vec<Name>, Error> {
        let root = self.root.clone();
        let all = blocking(move || walk(&root, |directory| directory.join("oci-layout").is_file())).await?;
        let mut names = guard(&self.names);
        (names.known, names.walked) = (all.iter().cloned().collect(), Some(Instant::now()));
        Ok(all)
    }

    async fn holder(&self, digest: Digest, names: Vec<Name>) -> Result<Option<Repository>, Error> {
        let root = self.root.clone();
        let blob = Path::new("blobs").join(digest.algorithm().name()).join(digest.hex());
        let holder =
            blocking(move || Ok(names.into_iter().find(|name| directory(&root, name).join(&blob).is_file()))).await?;
        match holder {
            Some(name) => self.existing(&name).await,
            None => Ok(None),
        }
    }

    /// Returns a repository that is at hand, unless somebody has taken its directory away.
    async fn recall(&self, name: &Name) -> Result<Option<Repository>, Error> {
        let found = {
            let mut open = guard(&self.open);
            open.uses += 1;
            let now = open.uses;
            open.repositories.get_mut(name).map(|(repository, used)| {
                *used = now;
                repository.clone()
            })
        };
        let Some(repository) = found else { return Ok(None) };
        if repository.layout.is_there().await? {
            return Ok(Some(repository));
        }
        guard(&self.open).repositories.remove(name);
        Ok(None)
    }

    fn remember(&self, name: &Name, layout: Layout) -> Repository {
        let mut open = guard(&self.open);
        open.uses += 1;
        let now = open.uses;
        let (kept, used) = open.repositories.entry(name.clone()).or_insert_with(|| (Repository::of(layout), now));
        *used = now;
        let kept = kept.clone();
        open.shed();
        kept
    }
}

impl Repository {
    fn of(layout: Layout) -> Self {
        Self { layout, referrals: Arc::default() }
    }

    /// Returns what is known of who refers to what.
    pub(super) fn referrals(&self) -> &Referrals {
        &self.referrals
    }
}

impl Deref for Repository {
    type Target = Layout;

    fn deref(&self) -> &Layout {
        &self.layout
    }
}

impl Open {
    /// Lets go of the repositories that were not used for longest, but for the last one, until the rest is bounded.
    fn shed(&mut self) {
        loop {
            let weight: u64 = self.repositories.values().map(|(repository, _)| repository.layout.weight()).sum();
            let many = self.repositories.len() > OPEN || weight > WEIGHT;
            if !many || self.repositories.len() <= 1 {
                return;
            }
            let oldest = self.repositories.iter().min_by_key(|(_, (_, used))| *used).map(|(name, _)| name.clone());
            oldest.and_then(|name| self.repositories.remove(&name));
        }
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Open({} repositories)", self.repositories.len())
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

/// Returns the component of a name that a directory stands for; `None` for a layout's own.
fn component(directory: &str) -> Option<&str> {
    match directory.strip_prefix('_') {
        Some(escaped) => RESERVED.contains(&escaped).then_some(escaped),
        None => (!directory.starts_with('.') && !RESERVED.contains(&directory)).then_some(directory),
    }
}

/// Walks the directories that can be components of names, and returns the names of those that count, sorted.
fn walk(root: &Path, counts: impl Fn(&Path) -> bool) -> Result<Vec<Name>, Error> {
    let (mut left, mut found) = (vec![(root.to_owned(), String::new())], Vec::new());
    while let Some((directory, above)) = left.pop() {
        let failed = |error| Error::io("read", &directory, error);
        let entries = match fs::read_dir(&directory) {
            // Somebody tidies up while we walk, or nobody has pushed anything yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            // A link could lead anywhere, or around in circles.
            if !entry.file_type().map_err(failed)?.is_dir() {
                continue;
            }
            let file_name = entry.file_name();
            let Some(component) = file_name.to_str().and_then(component) else { continue };
            let name = if above.is_empty() { component.to_owned() } else { format!("{above}/{component}") };
            let Ok(parsed) = name.parse::<Name>() else { continue };
            if counts(&entry.path()) {
                found.push(parsed);
            }
            left.push((entry.path(), name));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Tries again where a directory is gone that was there a moment ago: somebody has tidied up.
async fn persist<T, F: Future<Output = Result<T, Error>>>(attempt: impl Fn() -> F) -> Result<T, Error> {
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(Error::Io(failure)) if failure.source.kind() == io::ErrorKind::NotFound => {}
            outcome => return outcome,
        }
    }
    attempt().await
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::io("use", "the disk", io::Error::other(error)))?
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked has not left it half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Components that are names inside a layout as well.
const RESERVED: [&str; 3] = ["blobs", "index.json", "oci-layout"];

/// What a layout keeps for itself, upload sessions among it.
const PRIVATE: &str = ".spinreg";

/// How often a directory may be tidied away just before it is used: each time, another upload has ended.
const ATTEMPTS: u32 = 16;

/// How many repositories are kept at hand: each has a file open.
const OPEN: usize = 256;

/// How long their indexes may be together, in bytes; in memory they take a few times as much.
const WEIGHT: u64 = 4 << 20;

/// How long the list of repositories is believed, where a blob is in none of them.
const WALK_AGAIN: Duration = Duration::from_secs(30);

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
            let back: Option<Vec<&str>> = expected.split('/').map(component).collect();
            assert_eq!(back.expect(expected).join("/"), name);
        }
    }

    #[test]
    fn a_layouts_own_directories_are_no_components() {
        for directory in ["blobs", "oci-layout", "index.json", ".spinreg", "..", "_x", "_"] {
            assert_eq!(component(directory), None, "{directory}");
        }
    }

    #[test]
    fn no_name_is_written_like_an_escaped_one() {
        for name in ["_blobs", "a/_blobs", "a/.spinreg", "a/.."] {
            assert!(name.parse::<Name>().is_err(), "{name}");
        }
    }
}
