//! Taking away from a cache: what nobody needs or has used for long, and all of it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::cache::Cache;
use super::cache_content::{Content, DOCUMENTS, Filed};
use super::cache_holdings::{add, room};
use super::cache_use::Alone;
use crate::disk;
use crate::error::Error;
use crate::model::{Digest, Reference};
use crate::store::{self, Action, Count, blocking};

/// What of a cache is to go.
///
/// Content that no application needs goes in any case. Nothing goes that was used or written within `keep_recent`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Pruning {
    /// What was used or written as lately as that stays: Spin takes no locks, and publishes what it pulls piece by piece.
    /// 24 hours.
    pub keep_recent: Duration,
    /// Applications that were not used for longer than that go.
    pub older_than: Option<Duration>,
    /// Applications go, those first that were not used for longest, until no more bytes than that are left.
    pub max_bytes: Option<u64>,
    /// Whether anything is removed.
    pub action: Action,
}

impl Default for Pruning {
    fn default() -> Self {
        let keep_recent = Duration::from_secs(24 * 60 * 60);
        Self { keep_recent, older_than: None, max_bytes: None, action: Action::Remove }
    }
}

/// What was removed, or would have been.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// Applications, those first that were not used for longest.
    pub applications: Vec<Removed>,
    /// Their documents, and content that no application needs any more.
    pub content: Count,
    /// What was begun and not finished.
    pub unfinished: Count,
    /// What is left of documents and content.
    pub left: Count,
}

/// An application that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// What it was pulled as; `None` where the directory has a name that no reference has.
    pub reference: Option<Reference>,
    /// Where its documents were.
    pub directory: PathBuf,
    /// When it was used the last time.
    pub last_used: Option<SystemTime>,
}

impl Cache {
    /// Removes what nobody needs, or has used for long; see [`Pruning`]. Waits up to a minute until nobody
    /// [uses](Self::in_use) the cache, and lets nobody begin while it removes; only to report, it does neither. No requests.
    ///
    /// Spin's own commands are not waited for. What they have used or written lately stays, by its age.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where something cannot be read or removed, or the cache stays in use. What an application that cannot be
    /// read needs is not known, and so nothing is removed then; what was removed until an error stays removed.
    pub async fn prune(&self, pruning: Pruning) -> Result<Pruned, Error> {
        let cache = self.clone();
        if pruning.action == Action::Report || !self.root().exists() {
            return blocking(move || cache.prune_now(&Pruning { action: Action::Report, ..pruning })).await;
        }
        let alone = Alone::gain(self.lock_of_use()).await?;
        // Whoever uses the cache by other ways than ours at least takes this one.
        let lock = self.lock_manifests().await?;
        blocking(move || {
            let _locks = (alone, lock);
            cache.prune_now(&pruning)
        })
        .await
    }

    /// Removes everything that Spin and we have put into the cache, in use or not by Spin; waits for our own commands as
    /// [`prune`](Self::prune) does. Other files beside the folders stay, and so does what a link leads to. Returns what was
    /// there. No requests.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where something cannot be removed, or the cache stays in use.
    pub async fn clear(&self) -> Result<Count, Error> {
        if !self.root().exists() {
            return Ok(Count::default());
        }
        let alone = Alone::gain(self.lock_of_use()).await?;
        let cache = self.clone();
        blocking(move || {
            let mut removed = Count::default();
            // Without their manifests there are no applications, whatever of them is left where this is cut short.
            for folder in ["manifests", "wasm", "data"] {
                removed = add_all(removed, remove_tree(&cache.root().join(folder))?);
            }
            let private = remove_tree(&cache.private())?;
            // The file of the lock that is held was made for this.
            removed = add(removed, private.files.saturating_sub(1), private.bytes);
            drop(alone);
            // Only where nobody has put anything there.
            let _ = fs::remove_dir(cache.root());
            Ok(removed)
        })
        .await
    }

    /// Forgets an application. Its content stays until it is [pruned](Self::prune), because others may need it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where nothing was pulled under this reference; [`Error::Io`].
    pub async fn forget(&self, reference: &Reference) -> Result<(), Error> {
        let directory = self.directory(reference);
        let what = format!("`{reference}`");
        if !DOCUMENTS.iter().any(|name| directory.join(name).is_file()) {
            return Err(store::missing(what, &directory));
        }
        let lock = self.lock_manifests().await?;
        let cache = self.clone();
        blocking(move || {
            let _lock = lock;
            cache.remove_documents(&directory)
        })
        .await
    }

    fn prune_now(&self, pruning: &Pruning) -> Result<Pruned, Error> {
        let mut pruned = Pruned::default();
        let mut inventory = self.take_inventory(pruning.keep_recent)?;
        inventory.choose(pruning, &mut pruned);
        pruned.left = inventory.left();
        if self.folder(PARTIALS)?.is_some() {
            pruned.unfinished = self.files_shelf().sweep(pruning.keep_recent, pruning.action)?;
        }
        if pruning.action == Action::Report {
            return Ok(pruned);
        }
        for application in &pruned.applications {
            self.remove_documents(&application.directory)?;
        }
        self.each_content(&mut |Content { digest, path, metadata }| {
            let is_needed = inventory.content.get(&digest).is_none_or(Stock::stays);
            // Somebody may have written it meanwhile.
            if !is_needed && disk::was_written_before(&metadata, pruning.keep_recent) {
                disk::remove_if_present(&path)?;
                self.forget_unpacked(&digest)?;
            }
            Ok(())
        })?;
        Ok(pruned)
    }

    fn take_inventory(&self, keep_recent: Duration) -> Result<Inventory, Error> {
        let (mut content, mut links) = (HashMap::<Digest, Stock>::new(), HashSet::new());
        self.each_content(&mut |Content { digest, metadata, .. }| {
            let stock = content.entry(digest).or_default();
            stock.count = add(stock.count, 1, room(&metadata, &mut links));
            stock.is_recent |= !disk::was_written_before(&metadata, keep_recent);
            Ok(())
        })?;
        let mut applications = Vec::new();
        self.walk(&mut |filed| {
            let Filed { directory, reference, last_used, documents, digests, .. } = filed?;
            let held: Vec<Digest> = digests.into_iter().filter(|digest| content.contains_key(digest)).collect();
            for digest in &held {
                if let Some(stock) = content.get_mut(digest) {
                    stock.holders += 1;
                }
            }
            let removed = Removed { reference, directory, last_used };
            applications.push(Candidate { removed, documents, held });
            Ok(())
        })?;
        Ok(Inventory { content, applications })
    }

    /// Removes what is kept of an application, and the directories that are empty then.
    fn remove_documents(&self, directory: &Path) -> Result<(), Error> {
        DOCUMENTS.iter().try_for_each(|name| disk::remove_if_present(&directory.join(name)))?;
        let top = self.root().join("manifests");
        // There may be tags below it, where a repository is called like a tag of another one.
        for directory in directory.ancestors().take_while(|directory| **directory != top) {
            if fs::remove_dir(directory).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// What is in a cache, and who needs it.
struct Inventory {
    content: HashMap<Digest, Stock>,
    /// Those that stay, until they are chosen.
    applications: Vec<Candidate>,
}

/// Content, under its one or two names.
#[derive(Default)]
struct Stock {
    count: Count,
    holders: usize,
    is_recent: bool,
}

/// An application that may have to go.
struct Candidate {
    removed: Removed,
    documents: Count,
    held: Vec<Digest>,
}

impl Stock {
    fn stays(&self) -> bool {
        self.holders > 0 || self.is_recent
    }
}

impl Inventory {
    /// Chooses what goes. Pure.
    fn choose(&mut self, pruning: &Pruning, pruned: &mut Pruned) {
        let unneeded = self.content.values().filter(|stock| !stock.stays());
        pruned.content = unneeded.fold(Count::default(), |sum, stock| add_all(sum, stock.count));
        // The one that was not used for longest is the last, and is taken first.
        self.applications.sort_by(|one, other| {
            let key = |it: &Candidate| it.removed.last_used;
            key(other).cmp(&key(one)).then_with(|| other.removed.directory.cmp(&one.removed.directory))
        });
        let mut left = self.left().bytes;
        while let Some(oldest) = self.applications.last() {
            let is_unused = |age| was_before(oldest.removed.last_used, age);
            let is_too_much = pruning.max_bytes.is_some_and(|most| left > most);
            if !is_unused(pruning.keep_recent) || !(is_too_much || pruning.older_than.is_some_and(is_unused)) {
                break;
            }
            let Some(Candidate { removed, documents, held }) = self.applications.pop() else { break };
            let mut freed = documents;
            for digest in held {
                if let Some(stock) = self.content.get_mut(&digest) {
                    stock.holders -= 1;
                    if !stock.stays() {
                        freed = add_all(freed, stock.count);
                    }
                }
            }
            left = left.saturating_sub(freed.bytes);
            pruned.content = add_all(pruned.content, freed);
            pruned.applications.push(removed);
        }
    }

    /// Counts what stays.
    fn left(&self) -> Count {
        let documents = self.applications.iter().map(|application| application.documents);
        let content = self.content.values().filter(|stock| stock.stays()).map(|stock| stock.count);
        documents.chain(content).fold(Count::default(), add_all)
    }
}

/// Says whether a moment is longer ago than `age`; one that nobody knows is.
fn was_before(moment: Option<SystemTime>, age: Duration) -> bool {
    moment.is_none_or(|moment| moment.elapsed().is_ok_and(|elapsed| elapsed > age))
}

fn add_all(sum: Count, more: Count) -> Count {
    add(sum, more.files, more.bytes)
}

/// Removes a directory with everything in it; of a link only that. Returns what was there.
fn remove_tree(path: &Path) -> Result<Count, Error> {
    let failed = |error| Error::io("remove", path, error);
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Count::default()),
        read => read.map_err(failed)?,
    };
    if !metadata.is_dir() {
        disk::remove_if_present(path)?;
        return Ok(Count::default());
    }
    let mut found = Count::default();
    let (mut left, mut links) = (vec![path.to_owned()], HashSet::new());
    while let Some(directory) = left.pop() {
        for entry in super::cache_content::list(&directory)? {
            let (path, kind) = entry?;
            if kind.is_dir() {
                left.push(path);
            } else if let Ok(metadata) = fs::symlink_metadata(&path) {
                found = add(found, 1, if kind.is_file() { room(&metadata, &mut links) } else { 0 });
            }
        }
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(found),
    }
}

/// Where what is not finished grows.
const PARTIALS: &str = ".spinreg/partial";

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// Applications by their age in days, each with what it holds; all content is old and has ten bytes.
    fn inventory(applications: &[(u32, &[&str])], unneeded: &[&str]) -> Inventory {
        let mut content = HashMap::<Digest, Stock>::new();
        let mut stock = |name: &str, holders| {
            let stock = content.entry(Digest::of(name.as_bytes())).or_default();
            stock.count = add(Count::default(), 1, 10);
            stock.holders += holders;
            Digest::of(name.as_bytes())
        };
        for name in unneeded {
            stock(name, 0);
        }
        let applications = applications.iter().enumerate().map(|(n, (age, held))| Candidate {
            removed: Removed {
                reference: None,
                directory: n.to_string().into(),
                last_used: Some(SystemTime::now() - DAY * *age - DAY / 2),
            },
            documents: add(Count::default(), 2, 1),
            held: held.iter().map(|name| stock(name, 1)).collect(),
        });
        Inventory { applications: applications.collect(), content }
    }

    #[test]
    fn the_oldest_go_first_and_what_is_shared_stays() {
        let applications: [(u32, &[&str]); 4] = [(3, &["a", "x"]), (40, &["b", "x"]), (0, &["c"]), (9, &["d"])];
        // Together 4 + 50, and 10 that nobody needs.
        for (older_than, max_bytes, expected, freed, left) in [
            (None, None, vec![], 10, 54),
            (Some(41), None, vec![], 10, 54),
            (Some(30), None, vec!["1"], 21, 43),
            (Some(5), None, vec!["1", "3"], 32, 32),
            (Some(2), None, vec!["1", "3", "0"], 53, 11),
            (Some(0), None, vec!["1", "3", "0"], 53, 11),
            (None, Some(54), vec![], 10, 54),
            (None, Some(53), vec!["1"], 21, 43),
            (None, Some(43), vec!["1"], 21, 43),
            (None, Some(42), vec!["1", "3"], 32, 32),
            (None, Some(31), vec!["1", "3", "0"], 53, 11),
            // What was used today stays, however much it is.
            (None, Some(0), vec!["1", "3", "0"], 53, 11),
            (Some(30), Some(42), vec!["1", "3"], 32, 32),
        ] {
            let mut inventory = inventory(&applications, &["nobody's"]);
            let older_than = older_than.map(|days: u32| DAY * days);
            let mut pruned = Pruned::default();
            inventory.choose(&Pruning { older_than, max_bytes, ..Pruning::default() }, &mut pruned);
            let chosen: Vec<_> = pruned.applications.iter().map(|it| it.directory.display().to_string()).collect();
            assert_eq!(chosen, expected, "{older_than:?} {max_bytes:?}");
            assert_eq!((pruned.content.bytes, inventory.left().bytes), (freed, left), "{older_than:?} {max_bytes:?}");
        }
    }

    #[test]
    fn what_nobody_knows_the_age_of_is_old_and_what_is_to_come_is_young() {
        assert!(was_before(None, DAY));
        assert!(was_before(Some(SystemTime::UNIX_EPOCH), DAY));
        assert!(!was_before(Some(SystemTime::now() + DAY), Duration::ZERO));
    }
}
