//! From an application of which everything was found to a directory that a host can run: `spin.lock` and `assets`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::file_url::file_url;
use super::lock_file::{ContentPath, ContentRef, LockedApp};
use super::materialise::{Placement, write_all};
use super::runnable::Runnable;
use crate::disk::{self, Mode};
use crate::model::{Digest, Reference, excerpt};
use crate::store::blocking;

/// A directory from which a host can run an application: what Spin calls its working directory.
///
/// ```text
/// DIR/spin.lock             the lock file; what it names are `file:` URLs
/// DIR/assets/<component>/   what the component sees at `/`
/// DIR/wasm/<component>.wasm components that are no files elsewhere: those assembled from text
/// ```
#[derive(Clone, Debug)]
pub struct Prepared {
    directory: PathBuf,
    lock: LockedApp,
}

impl Runnable {
    /// Writes the lock file and the files of the guests into `directory`, which is made where it is missing. No requests.
    ///
    /// What an earlier preparation has left there is replaced; until everything is written, it stays. Other files are
    /// left alone.
    ///
    /// # Errors
    ///
    /// [`Unrunnable::Occupied`] where `assets` or `wasm` is there and no lock file is beside it; [`Error::Transfer`] where
    /// something cannot be written.
    pub async fn prepare(self, directory: &Path, placement: Placement) -> Result<Prepared, Error> {
        let directory = directory.to_owned();
        Ok(blocking(move || self.write(&directory, placement)).await??)
    }

    /// Writes it, or says what is in the way. Blocks.
    fn write(
        mut self,
        directory: &Path,
        placement: Placement,
    ) -> Result<Result<Prepared, Unrunnable>, crate::error::Error> {
        let failed = |doing, path: &Path, error| crate::error::Error::io(doing, path, error);
        disk::create_dirs(directory)?;
        let directory = fs::canonicalize(directory).map_err(|error| failed("find", directory, error))?;
        let lock_path = directory.join(LOCK);
        let ours = [ASSETS, WASM].map(|name| directory.join(name));
        let is_there = |path: &Path| path.symlink_metadata().is_ok();
        if !is_there(&lock_path)
            && let Some(path) = ours.iter().find(|path| is_there(path))
        {
            return Ok(Err(Unrunnable::Occupied { path: path.clone() }));
        }
        let stage = tempfile::Builder::new().prefix(".spinreg-").tempdir_in(&directory);
        let stage = stage.map_err(|error| failed("create a directory in", &directory, error))?;
        if !self.files.is_empty() {
            write_all(&stage.path().join(ASSETS), &self.files, placement)?;
        }
        for (id, bytes) in &self.made {
            let wasm = stage.path().join(WASM);
            disk::create_dirs(&wasm)?;
            let path = wasm.join(format!("{id}.wasm"));
            fs::write(&path, bytes).map_err(|error| failed("write", &path, error))?;
        }
        for (name, path) in [ASSETS, WASM].iter().zip(&ours) {
            match fs::remove_dir_all(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", path, error)),
                _ => {}
            }
            let staged = stage.path().join(name);
            if is_there(&staged) {
                fs::rename(&staged, path).map_err(|error| failed("publish", path, error))?;
            }
        }
        let [assets, wasm] = ours;
        let at = |path: &Path| ContentRef { source: Some(file_url(path)), ..ContentRef::default() };
        for component in &mut self.lock.components {
            if self.files.contains_key(&component.id) {
                component.files = vec![ContentPath::new(at(&assets.join(&component.id)), "/")];
            }
            if self.made.contains_key(&component.id) {
                component.source.content = at(&wasm.join(format!("{}.wasm", component.id)));
            }
        }
        let text = serde_json::to_vec_pretty(&self.lock).expect("a lock file has string keys and finite numbers only");
        disk::replace(&lock_path, &text, Mode::Shared)?;
        Ok(Ok(Prepared { directory, lock: self.lock }))
    }
}

impl Prepared {
    /// Returns the directory: absolute, without symbolic links.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the lock file as it was written.
    pub fn lock_file(&self) -> &LockedApp {
        &self.lock
    }

    /// Returns where the lock file is.
    pub fn lock_path(&self) -> PathBuf {
        self.directory.join(LOCK)
    }

    /// Returns the `file:` URL of the lock file: what `SPIN_LOCKED_URL` has to say.
    pub fn lock_url(&self) -> String {
        file_url(&self.lock_path())
    }
}

impl LockedApp {
    /// Returns the types of the triggers, each once, in the order of their first appearance.
    pub fn trigger_types(&self) -> Vec<&str> {
        let mut types = Vec::new();
        for trigger in &self.triggers {
            if !types.contains(&trigger.trigger_type.as_str()) {
                types.push(trigger.trigger_type.as_str());
            }
        }
        types
    }
}

/// Why an application cannot be run, or prepared for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unrunnable {
    /// It is not in the cache, or not all of it.
    #[error("{}", not_cached(reference, missing))]
    NotCached {
        /// What was asked for.
        reference: Box<Reference>,
        /// What is missing; nothing where it was never pulled.
        missing: Vec<Digest>,
    },
    /// A component was chosen that is not there.
    #[error("there is no component `{}`; there {}", excerpt(id), listed(known))]
    NoComponent {
        /// The id that was chosen.
        id: String,
        /// The ids that are there.
        known: Vec<String>,
    },
    /// A component that was chosen calls one that was not.
    #[error("the component `{}` may call `{}`, and that component was not chosen", excerpt(id), excerpt(host))]
    Chained {
        /// The component that was chosen.
        id: String,
        /// The host that it may call.
        host: String,
    },
    /// Nothing would ever start it.
    #[error("the application has no triggers, so nothing would start it")]
    NoTrigger,
    /// Files of somebody else are where ours would be.
    #[error("`{}` is there, and no `spin.lock` beside it says that it was prepared by this tool", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
}

fn not_cached(reference: &Reference, missing: &[Digest]) -> String {
    match missing {
        [] => format!("`{reference}` is not in the cache"),
        [one] => format!("of `{reference}` this is not in the cache: {one}"),
        several => {
            let several: Vec<String> = several.iter().map(Digest::to_string).collect();
            format!("of `{reference}` these are not in the cache: {}", several.join(", "))
        }
    }
}

fn listed(known: &[String]) -> String {
    match known {
        [] => "are none".to_owned(),
        known => format!("are {}", known.iter().map(|id| format!("`{}`", excerpt(id))).collect::<Vec<_>>().join(", ")),
    }
}

/// What Spin calls the lock file of a working directory.
const LOCK: &str = "spin.lock";
/// What Spin calls the directory of the guests' files.
const ASSETS: &str = "assets";
/// What was made on the way and is nowhere else: components that were assembled from text.
const WASM: &str = "wasm";
