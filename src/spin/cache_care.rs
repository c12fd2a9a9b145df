//! Care for a cache: whether everything in it is what it should be.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use super::cache::Cache;
use super::cache_content::{Content, MANIFEST};
use super::cache_use::Alone;
use super::cached::document;
use super::media;
use crate::disk;
use crate::error::Error;
use crate::model::{Digest, Digester};
use crate::store::{Action, Count, blocking};

/// What was looked at in a cache, and what of it is damaged.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Verified {
    /// All content that was read.
    pub read: Count,
    /// What is not what it should be, in the order of the paths.
    pub damaged: Vec<Damage>,
}

/// A file that is not what it should be.
#[derive(Debug)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// What it is called by, where that is a digest.
    pub digest: Option<Digest>,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// What is wrong with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Flaw {
    /// Its content has another digest than its name says.
    Content,
    /// It is a document of an application, and no manifest, or not what the manifest says.
    Document,
    /// It cannot be read.
    Unreadable(Error),
}

impl Cache {
    /// Reads all content, on all cores, and compares it with its name; and the documents of applications with their manifests.
    /// With [`Action::Remove`], what is damaged is removed, so that the next pull fetches it again: it waits for those who
    /// [use](Self::in_use) the cache as [`prune`](Self::prune) does, and compares again before. Dropping the future ends it
    /// soon. No requests.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the directories cannot be read, or something cannot be removed.
    pub async fn verify(&self, action: Action) -> Result<Verified, Error> {
        let wanted = Arc::new(());
        let (cache, still_wanted) = (self.clone(), Arc::downgrade(&wanted));
        let mut verified = blocking(move || cache.verify_now(&still_wanted)).await?;
        drop(wanted);
        if action == Action::Report || verified.damaged.is_empty() {
            return Ok(verified);
        }
        let alone = Alone::gain(self.lock_of_use()).await?;
        let cache = self.clone();
        blocking(move || {
            let _alone = alone;
            for damage in &verified.damaged {
                // Somebody may have mended it since it was read.
                if is_still_damaged(damage) {
                    disk::remove_if_present(&damage.path)?;
                }
                if let Some(digest) = &damage.digest {
                    cache.forget_unpacked(digest)?;
                }
            }
            verified.damaged.sort_by(|one, other| one.path.cmp(&other.path));
            Ok(verified)
        })
        .await
    }

    fn verify_now(&self, wanted: &Weak<()>) -> Result<Verified, Error> {
        let work = Mutex::new(self.contents()?);
        let next = || work.lock().unwrap_or_else(PoisonError::into_inner).next();
        let reader = || {
            let mut verified = Verified::default();
            while wanted.strong_count() > 0
                && let Some(content) = next()
            {
                verified.take(content?, wanted);
            }
            Ok::<_, Error>(verified)
        };
        let readers = thread::available_parallelism().map_or(1, usize::from).min(MAX_READERS);
        let found = thread::scope(|scope| {
            let others: Vec<_> = (1..readers).map(|_| scope.spawn(reader)).collect();
            let mut found = vec![reader()];
            found.extend(
                others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))),
            );
            found
        });
        let mut verified = Verified::default();
        for found in found {
            let found = found?;
            verified.read.files += found.read.files;
            verified.read.bytes = verified.read.bytes.saturating_add(found.read.bytes);
            verified.damaged.extend(found.damaged);
        }
        self.verify_documents(&mut verified.damaged)?;
        verified.damaged.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(verified)
    }

    fn verify_documents(&self, damaged: &mut Vec<Damage>) -> Result<(), Error> {
        self.walk(&mut |filed| {
            let filed = match filed {
                Ok(filed) => filed,
                Err(error) => {
                    let Error::Io(failure) = &error else { return Err(error) };
                    damaged.push(Damage { path: failure.path.clone(), digest: None, flaw: Flaw::Unreadable(error) });
                    return Ok(());
                }
            };
            let mut blame = |name: &str| {
                let path = filed.directory.join(name);
                damaged.push(Damage { path, digest: None, flaw: Flaw::Document });
            };
            match &filed.manifest {
                None => blame(MANIFEST),
                Some(manifest) => {
                    let path = filed.directory.join(CONFIG);
                    // What has been removed is missing, and not damaged; the next pull fetches it.
                    let here = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
                    if let Some(document) = manifest.image().map(document).filter(|_| here)
                        && disk::read_small(&path, media::MAX_LOCK)?
                            .is_none_or(|bytes| Digest::of_with(document.digest.algorithm(), &bytes) != document.digest)
                    {
                        blame(CONFIG);
                    }
                }
            }
            Ok(())
        })
    }
}

impl Verified {
    /// Reads one file, and notes what it finds.
    fn take(&mut self, content: Content, wanted: &Weak<()>) {
        let Content { digest, path, .. } = content;
        let flaw = match read(&digest, &path, wanted) {
            Ok(None) => return,
            Ok(Some((actual, size))) => {
                self.read.files += 1;
                self.read.bytes = self.read.bytes.saturating_add(size);
                if actual == digest {
                    return;
                }
                Flaw::Content
            }
            Err(error) => Flaw::Unreadable(error),
        };
        self.damaged.push(Damage { path, digest: Some(digest), flaw });
    }
}

fn is_still_damaged(damage: &Damage) -> bool {
    let alive = Arc::new(());
    match damage.digest {
        Some(digest) => {
            !matches!(read(&digest, &damage.path, &Arc::downgrade(&alive)), Ok(Some((actual, _))) if actual == digest)
        }
        None => true,
    }
}

/// Returns what a file hashes to, and its length; `None` where it is gone, or nobody wants to know any more.
fn read(expected: &Digest, path: &Path, wanted: &Weak<()>) -> Result<Option<(Digest, u64)>, Error> {
    let failed = |error| Error::io("read", path, error);
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut digester = Digester::new(expected.algorithm());
    let (mut buffer, mut size) = (vec![0; READ], 0);
    while wanted.strong_count() > 0 {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Some((digester.finish(), size))),
            Ok(read) => {
                digester.update(&buffer[..read]);
                size += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(None)
}

const CONFIG: &str = "config.json";

/// How much is read at once, in bytes.
const READ: usize = 256 << 10;

/// No disk is faster with more, and each has a buffer.
const MAX_READERS: usize = 64;
