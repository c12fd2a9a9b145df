//! Files that may be changed while we serve: looked at before each use, read again when they are others.

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::error::Error;
use crate::model::ParseError;

/// What is wrong with a file, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    line: Option<usize>,
    said: Cow<'static, str>,
}

impl Flaw {
    pub(super) fn at(line: usize, said: impl Into<Cow<'static, str>>) -> Self {
        Self { line: Some(line), said: said.into() }
    }

    pub(super) fn somewhere(said: impl Into<Cow<'static, str>>) -> Self {
        Self { line: None, said: said.into() }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.said)
    }
}

/// How to make sense of a file.
pub(super) struct Kind<T> {
    /// What it is called.
    pub(super) what: &'static str,
    /// What it should hold.
    pub(super) expected: &'static str,
    pub(super) parse: fn(&str) -> Result<T, Flaw>,
}

/// A file and what was in it when it was last good.
pub(super) struct Watched<T>(Arc<Inner<T>>);

struct Inner<T> {
    path: PathBuf,
    kind: Kind<T>,
    state: Mutex<State<T>>,
    /// Is told when the file has become bad.
    tell: fn(&Error),
}

struct State<T> {
    value: Arc<T>,
    stamp: Option<Stamp>,
}

/// What tells a file from what it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    /// Whoever replaces a file by renaming makes another one; whoever writes to it changes the second.
    identity: (u64, i64, i64),
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Reads the file. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where it cannot be read, [`Error::Parse`] where it makes no sense.
    pub(super) fn open(path: PathBuf, kind: Kind<T>, tell: fn(&Error)) -> Result<Self, Error> {
        let stamp = stamp(&path);
        let value = Arc::new(read(&path, &kind)?);
        Ok(Self(Arc::new(Inner { path, kind, state: Mutex::new(State { value, stamp }), tell })))
    }

    /// Returns what is in the file now; where that makes no sense, or the file is gone, what was in it before.
    pub(super) async fn current(&self) -> Arc<T> {
        let inner = self.0.clone();
        let looked = tokio::task::spawn_blocking(move || inner.look());
        match looked.await {
            Ok(value) => value,
            // Only a shutdown gets here.
            Err(_) => self.0.value(),
        }
    }
}

impl<T> Inner<T> {
    fn value(&self) -> Arc<T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).value.clone()
    }

    fn look(&self) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the content: what changes in between shows at the next look.
        let stamp = stamp(&self.path);
        if state.stamp != stamp {
            state.stamp = stamp;
            match read(&self.path, &self.kind) {
                Ok(value) => state.value = Arc::new(value),
                Err(error) => (self.tell)(&error),
            }
        }
        state.value.clone()
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp { modified: metadata.modified().ok(), length: metadata.len(), identity: identity(&metadata) })
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, i64, i64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, i64, i64) {
    (0, 0, 0)
}

fn read<T>(path: &Path, kind: &Kind<T>) -> Result<T, Error> {
    let failed = |error| Error::io("read", path, error);
    let mut text = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_FILE + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 4 MiB")));
    }
    let flawed =
        |flaw: &dyn fmt::Display| ParseError::new(kind.what, &path.to_string_lossy(), kind.expected).because(flaw);
    let text = str::from_utf8(&text).map_err(|_| flawed(&"it is no UTF-8 text"))?;
    (kind.parse)(text).map_err(|flaw| flawed(&flaw).into())
}

/// How long such a file may be, in bytes: some ten thousand users, or rules.
const MAX_FILE: u64 = 4 << 20;
