//! The one writer: a locked partial file that is hashed as it grows and gets its name once it is right. Blocks.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::shelf::{SessionId, Shelf, missing};
use crate::content::Verifier;
use crate::disk;
use crate::error::{Actual, Error, Place};
use crate::model::{Algorithm, Descriptor, Digest, Digester, MediaType};

/// A partial file under an exclusive lock, and what its bytes hash to so far.
///
/// The lock is on the partial file itself: it leaves with the file when that is renamed or removed, so that nothing
/// is left behind. Whoever has waited for it checks that the file still bears its name. Dropping the writer keeps the
/// partial; a killed process does the same.
#[derive(Debug)]
pub(crate) struct Writer {
    shelf: Shelf,
    path: PathBuf,
    file: File,
    check: Check,
    /// Takes the partial away unless it was published.
    scrap: Option<Scrap>,
}

/// A file that is removed when this is dropped.
#[derive(Debug)]
struct Scrap(PathBuf);

/// What is to be written.
#[derive(Clone, Debug)]
pub(crate) enum Want {
    /// Content that is known by its descriptor.
    Known(Box<Descriptor>),
    /// Content whose digest comes later; the session may exist or not.
    Session(SessionId),
    /// Content whose digest comes later, probably of this algorithm, in a session that must exist.
    Resumed(SessionId, Algorithm),
    /// Content whose digest comes later, of this algorithm, in a session that is over when the writer is dropped.
    Transient(SessionId, Algorithm),
}

/// When finished content has to survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Once somebody flushes it, together with others.
    Later,
    /// At once: the bytes before they get their name, the name before anybody is told.
    Now,
}

/// What came of one attempt to lock the partial.
pub(crate) enum Attempt {
    /// The content is there already.
    Exists,
    /// Somebody else writes it; so long is their partial.
    Busy(u64),
    /// Here it is.
    Locked(Box<Writer>),
}

#[derive(Debug)]
enum Check {
    Known(Box<Verifier>),
    Later { digester: Box<Digester>, seen: u64, expected: Option<Digest> },
}

impl Writer {
    /// Tries to get hold of the partial of `want`; what it has already is hashed.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::NotFound`] for a session that should exist.
    pub(crate) fn attempt(shelf: &Shelf, want: &Want) -> Result<Attempt, Error> {
        let path = match want {
            Want::Known(expected) if shelf.holds(&expected.digest, expected.size)? => return Ok(Attempt::Exists),
            Want::Known(expected) => shelf.partial_path(&expected.digest),
            Want::Session(id) | Want::Resumed(id, _) | Want::Transient(id, _) => shelf.session_path(id),
        };
        // Each round in vain means that somebody else has just committed or aborted.
        for _ in 0..ROUNDS {
            let file = match open(&path, matches!(want, Want::Resumed(..)))? {
                Opened::Absent => {
                    return Err(missing(format!("session `{}`", session_name(want)), shelf.partials()));
                }
                Opened::NoFolder => {
                    disk::create_dirs(shelf.partials())?;
                    continue;
                }
                Opened::Protected => match restore(&path)? {
                    true => continue,
                    false => return Ok(Attempt::Busy(0)),
                },
                Opened::File(file) => file,
            };
            if !try_lock(&file, &path)? {
                return Ok(Attempt::Busy(file.metadata().map(|metadata| metadata.len()).unwrap_or_default()));
            }
            if !disk::is_at(&file, &path) {
                continue;
            }
            if let Want::Known(expected) = want
                && shelf.holds(&expected.digest, expected.size)?
            {
                // Somebody has put it there by other means, such as a link.
                discard(&file, &path)?;
                return Ok(Attempt::Exists);
            }
            let scrap = matches!(want, Want::Transient(..)).then(|| Scrap(path.clone()));
            let mut writer = Self { shelf: shelf.clone(), path, file, check: Check::new(want), scrap };
            writer.rehash()?;
            return Ok(Attempt::Locked(Box::new(writer)));
        }
        Ok(Attempt::Busy(0))
    }

    /// Begins an empty session that nobody else uses, because the caller holds a lock of its own; what a killed process
    /// has left in it is thrown away.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], also where somebody uses it after all.
    #[cfg(feature = "spin")]
    pub(crate) fn exclusive(shelf: &Shelf, id: &SessionId) -> Result<Self, Error> {
        match Self::attempt(shelf, &Want::Session(id.clone()))? {
            Attempt::Locked(mut writer) => {
                writer.restart()?;
                Ok(*writer)
            }
            Attempt::Busy(_) | Attempt::Exists => {
                Err(Error::io("lock", shelf.session_path(id), io::ErrorKind::WouldBlock.into()))
            }
        }
    }

    /// Puts small content that is in memory where it belongs, by way of the session `id`, which nobody else uses, because
    /// the caller holds a lock of its own. What is there already stays, and counts as written now.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    #[cfg(feature = "spin")]
    pub(crate) fn put(shelf: &Shelf, id: &SessionId, content: &[u8]) -> Result<(Digest, u64), Error> {
        let (digest, size) = (Digest::of(content), content.len() as u64);
        let target = shelf.path(&digest);
        if shelf.holds(&digest, size)? {
            disk::touch(&target)?;
            return Ok((digest, size));
        }
        let partial = shelf.session_path(id);
        if let Err(error) = disk::write_new(&partial, content) {
            // What a killed process has left, or no folder: somebody who takes care of that is at hand.
            tracing::trace!(%error, "writing a small file at length");
            let mut writer = Self::exclusive(shelf, id)?;
            if let Err(error) = writer.write(content) {
                writer.abort()?;
                return Err(error);
            }
            return writer.commit(Durability::Later).map(|content| (content.digest, content.size));
        }
        publish(shelf, &partial, &target)?;
        Ok((digest, size))
    }

    /// Returns how much of the content is on file.
    pub(crate) fn offset(&self) -> u64 {
        match &self.check {
            Check::Known(verifier) => verifier.seen(),
            Check::Later { seen, .. } => *seen,
        }
    }

    /// Says which digest the content of a session must have. Content known by its descriptor has that one already.
    pub(crate) fn expect(&mut self, digest: Digest) {
        if let Check::Later { expected, .. } = &mut self.check {
            *expected = Some(digest);
        }
    }

    /// Writes the next bytes and hashes what was written.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] where they are more than the descriptor says, before any of them is written; [`Error::Io`].
    /// The writer stays as it was before the bytes that failed.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        if let Check::Known(verifier) = &self.check
            && bytes.len() as u64 > verifier.expected().size - verifier.seen()
        {
            return Err(Verifier::blame(verifier.expected(), Actual::Long, Place::Unknown));
        }
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(self.failed("write", io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    self.check.update(&bytes[..written]);
                    bytes = &bytes[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("write", error)),
            }
        }
        Ok(())
    }

    /// Begins again with nothing written.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the partial cannot be truncated.
    pub(crate) fn restart(&mut self) -> Result<(), Error> {
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(|error| self.failed("truncate", error))?;
        self.check.reset();
        Ok(())
    }

    /// Compares size and digest, and gives the file its final name.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`], the partial is then gone; [`Error::Io`].
    pub(crate) fn commit(self, durability: Durability) -> Result<Descriptor, Error> {
        let Self { shelf, path, mut file, check, scrap } = self;
        let (expected, outcome) = match check {
            Check::Known(verifier) => (verifier.expected().clone(), verifier.finish()),
            Check::Later { digester, seen, expected } => {
                let wanted = expected.map_or(digester.algorithm(), |digest| digest.algorithm());
                let actual = if wanted == digester.algorithm() {
                    digester.finish()
                } else {
                    digest_file(&mut file, wanted).map_err(|error| Error::io("read", &path, error))?
                };
                let digest = expected.unwrap_or(actual);
                let outcome = if digest == actual { Ok(digest) } else { Err(Actual::Digest(actual)) };
                (Descriptor::new(MediaType::OCTET_STREAM, digest, seen), outcome)
            }
        };
        if let Err(actual) = outcome {
            discard(&file, &path)?;
            return Err(Verifier::blame(&expected, actual, Place::Unknown));
        }
        // Its age, to whoever looks for what nobody needs, begins now. Not every file system tells.
        let _ = file.set_modified(SystemTime::now());
        if durability == Durability::Now {
            file.sync_all().map_err(|error| Error::io("flush", &path, error))?;
        }
        let target = shelf.path(&expected.digest);
        publish(&shelf, &path, &target)?;
        if let Some(scrap) = scrap {
            scrap.keep();
        }
        if let (Durability::Now, Some(directory)) = (durability, target.parent()) {
            disk::sync_dir(directory)?;
        }
        Ok(expected)
    }

    /// Removes the partial.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where it cannot be removed.
    pub(crate) fn abort(self) -> Result<(), Error> {
        discard(&self.file, &self.path)
    }

    /// Hashes what the partial has; one that is longer than the content can be is emptied.
    fn rehash(&mut self) -> Result<(), Error> {
        let length = self.file.metadata().map_err(|error| self.failed("read", error))?.len();
        if let Check::Known(verifier) = &self.check
            && length > verifier.expected().size
        {
            return self.restart();
        }
        if length > 0 {
            let Self { file, check, path, .. } = self;
            file.rewind()
                .and_then(|()| read_pieces(file, |piece| check.update(piece)))
                .map_err(|error| Error::io("read", path.as_path(), error))?;
        }
        Ok(())
    }

    fn failed(&self, doing: &'static str, error: io::Error) -> Error {
        Error::io(doing, &self.path, error)
    }
}

impl Scrap {
    /// Leaves the file where it is.
    fn keep(mut self) {
        self.0 = PathBuf::new();
    }
}

impl Drop for Scrap {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            // Whoever looks for stale partials finds what stays.
            let _ = disk::remove_if_present(&self.0);
        }
    }
}

impl Check {
    fn new(want: &Want) -> Self {
        let algorithm = match want {
            Want::Known(expected) => return Self::Known(Box::new(Verifier::new(expected))),
            Want::Session(_) => Algorithm::Sha256,
            Want::Resumed(_, algorithm) | Want::Transient(_, algorithm) => *algorithm,
        };
        Self::Later { digester: Box::new(Digester::new(algorithm)), seen: 0, expected: None }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Known(verifier) => verifier.update(bytes).expect("the length was compared before writing"),
            Self::Later { digester, seen, .. } => {
                digester.update(bytes);
                *seen += bytes.len() as u64;
            }
        }
    }

    fn reset(&mut self) {
        match self {
            Self::Known(verifier) => **verifier = Verifier::new(&verifier.expected().clone()),
            Self::Later { digester, seen, .. } => {
                **digester = Digester::new(digester.algorithm());
                *seen = 0;
            }
        }
    }
}

enum Opened {
    File(File),
    /// There is no such session.
    Absent,
    /// The folder of partials is not there.
    NoFolder,
    /// The file may not be written: a process has set its final mode and was ended before it renamed it, or is about
    /// to rename it.
    Protected,
}

fn open(path: &Path, must_exist: bool) -> Result<Opened, Error> {
    let opened = OpenOptions::new().read(true).write(true).create(!must_exist).truncate(false).open(path);
    match opened {
        Ok(file) => Ok(Opened::File(file)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound if must_exist => Ok(Opened::Absent),
            io::ErrorKind::NotFound => Ok(Opened::NoFolder),
            io::ErrorKind::PermissionDenied if path.is_file() => Ok(Opened::Protected),
            _ => Err(Error::io("create", path, error)),
        },
    }
}

/// Makes a protected partial writable again, unless somebody is just committing it.
fn restore(path: &Path) -> Result<bool, Error> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        opened => opened.map_err(|error| Error::io("open", path, error))?,
    };
    if !try_lock(&file, path)? {
        return Ok(false);
    }
    if disk::is_at(&file, path) {
        disk::make_writable(path)?;
    }
    Ok(true)
}

pub(super) fn try_lock(file: &File, path: &Path) -> Result<bool, Error> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path, error)),
    }
}

/// Takes a partial away while its lock is held.
pub(super) fn discard(file: &File, path: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        disk::remove_if_present(path)
    } else {
        // Without inodes the next one could not tell a removed file from its own: an empty one does no harm.
        file.set_len(0).map_err(|error| Error::io("truncate", path, error))
    }
}

/// Gives a finished partial its name, in a folder that may have to be made.
fn publish(shelf: &Shelf, partial: &Path, target: &Path) -> Result<(), Error> {
    match disk::publish(partial, target, shelf.mode()) {
        Err(Error::Io(failure)) if failure.source.kind() == io::ErrorKind::NotFound => {
            target.parent().map_or(Ok(()), disk::create_dirs_durably)?;
            disk::publish(partial, target, shelf.mode())
        }
        other => other,
    }
}

fn digest_file(file: &mut File, algorithm: Algorithm) -> io::Result<Digest> {
    let mut digester = Digester::new(algorithm);
    file.rewind()?;
    read_pieces(file, |piece| digester.update(piece))?;
    Ok(digester.finish())
}

/// Reads from where the file is to its end.
fn read_pieces(file: &mut File, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    // Most partials that are gone on with are short, and a session just opened is empty.
    let length = file.metadata()?.len().min(READ as u64) as usize;
    let mut buffer = vec![0; length.max(1)];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => take(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn session_name(want: &Want) -> &str {
    match want {
        Want::Known(_) => "",
        Want::Session(id) | Want::Resumed(id, _) | Want::Transient(id, _) => id.as_str(),
    }
}

/// How often a partial that vanishes under the lock is looked for again before that counts as waiting.
const ROUNDS: usize = 64;

/// How much of a partial is read at once while it is hashed again.
const READ: usize = 64 << 10;
