//! Unpacking an archive layer: its files, by what they hash to. Names and modes inside are never looked at.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Weak;

use flate2::bufread::MultiGzDecoder;

use crate::error::Error;
use crate::model::{Descriptor, Digest, ParseError};
use crate::store::{Durability, SessionId, Shelf, Writer};

/// How much may come out of one archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// How many entries of any kind, those included that are passed over.
    pub entries: u64,
    /// How many bytes altogether, headers and padding included.
    pub bytes: u64,
}

impl Default for UnpackLimits {
    /// 100 000 entries and 8 GiB: more than any registry takes as a layer, less than what fills a disk unnoticed.
    fn default() -> Self {
        Self { entries: 100_000, bytes: 8 << 30 }
    }
}

/// The files that have come out of an archive, and how long they are.
pub(super) type Unpacked = BTreeSet<(Digest, u64)>;

/// Puts every regular file of the gzip-compressed tar archive `path` onto `shelf`, under its SHA-256 digest. Blocks.
///
/// Several gzip members after each other are read as one. Directories, links, devices and sparse files are passed
/// over, and so are long names: the lock file says where content belongs. `session` names the partial file; the caller
/// sees to it that nobody else uses it. Unpacking ends early when `wanted` is gone.
///
/// # Errors
///
/// [`Error::Parse`] where the bytes are no such archive or exceed `limits`; [`Error::Io`]. What has come out until then
/// stays: it is right, each file by itself.
pub(super) fn unpack(
    path: &Path,
    archive: &Descriptor,
    shelf: &Shelf,
    session: &SessionId,
    limits: UnpackLimits,
    wanted: &Weak<()>,
) -> Result<Unpacked, Error> {
    let refuse = |expected| ParseError::new("archive", &archive.digest.to_string(), expected);
    let too_long = || refuse("less than the limit of unpacked bytes");
    let broken = |error: io::Error| {
        if is_exceeded(&error) { too_long() } else { refuse("a gzip-compressed tar archive").because(&error) }
    };
    let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    let plain = Bounded { inner: MultiGzDecoder::new(BufReader::with_capacity(READ, file)), left: limits.bytes };
    let mut tar = tar::Archive::new(plain);
    let mut found = Unpacked::new();
    let mut buffer = vec![0; READ];
    // Raw entries: what extends a name is an entry like any other and is not read into memory.
    for (count, entry) in (1..).zip(tar.entries().map_err(broken)?.raw(true)) {
        let mut entry = entry.map_err(broken)?;
        if count > limits.entries {
            return Err(refuse("fewer entries than the limit").into());
        }
        if !matches!(entry.header().entry_type(), tar::EntryType::Regular | tar::EntryType::Continuous) {
            continue;
        }
        let size = entry.header().entry_size().map_err(broken)?;
        // Most files of a site fit into the buffer; then nothing has to be on file before all of it is right.
        if let Some(whole) = usize::try_from(size).ok().and_then(|size| buffer.get_mut(..size)) {
            if wanted.strong_count() == 0 {
                return Err(broken(io::ErrorKind::Interrupted.into()).into());
            }
            entry.read_exact(whole).map_err(broken)?;
            found.insert(Writer::put(shelf, session, whole)?);
            continue;
        }
        let mut writer = Writer::exclusive(shelf, session)?;
        let filled = fill(&mut writer, &mut entry, &mut buffer, wanted).map_err(|stopped| match stopped {
            Stopped::Source(error) => broken(error).into(),
            Stopped::Target(error) => error,
        });
        match filled {
            Ok(()) if writer.offset() == size => {
                let content = writer.commit(Durability::Later)?;
                found.insert((content.digest, content.size));
            }
            Ok(()) => {
                writer.abort()?;
                return Err(refuse("entries as long as they say").into());
            }
            Err(error) => {
                writer.abort()?;
                return Err(error);
            }
        }
    }
    drain(&mut tar.into_inner(), &mut buffer, wanted).map_err(broken)?;
    Ok(found)
}

/// Reads what comes behind the end of the tar archive, so that one that breaks off there is noticed too. What is no gzip
/// any more is nothing to us, nor to Spin.
fn drain(plain: &mut impl Read, buffer: &mut [u8], wanted: &Weak<()>) -> io::Result<()> {
    while wanted.strong_count() > 0 {
        match plain.read(buffer) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof || is_exceeded(&error) => return Err(error),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) => {}
            Err(_) => return Ok(()),
        }
    }
    Err(io::ErrorKind::Interrupted.into())
}

/// Why an entry was not written.
enum Stopped {
    Source(io::Error),
    Target(Error),
}

fn fill(writer: &mut Writer, entry: &mut impl Read, buffer: &mut [u8], wanted: &Weak<()>) -> Result<(), Stopped> {
    loop {
        if wanted.strong_count() == 0 {
            return Err(Stopped::Source(io::ErrorKind::Interrupted.into()));
        }
        match entry.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => writer.write(&buffer[..n]).map_err(Stopped::Target)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Stopped::Source(error)),
        }
    }
}

/// Fails, rather than ends, where there is more than there may be.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(n)
    }
}

fn is_exceeded(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge
}

/// How much is read at once.
const READ: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_no_end() {
        for (left, fits) in [(4, true), (3, false), (0, false)] {
            let outcome = Bounded { inner: &b"four"[..], left }.read_to_end(&mut Vec::new());
            assert_eq!(outcome.is_ok(), fits, "{left}");
        }
    }
}
