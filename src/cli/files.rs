//! Files that people name, to be read and to be written; `-` is standard input or output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::failure::Problem;
use super::misuse::Misuse;
use super::output::{self, STANDARD_OUTPUT};
use crate::content::{Blob, Verifier};
use crate::disk::{self, Mode};
use crate::error::{Error, Place};
use crate::model::printable::is_harmless;
use crate::model::{Descriptor, MediaType};

/// Opens a file to read it.
///
/// # Errors
///
/// [`Problem::NoFile`] where it is not there; [`Error::Io`].
pub(super) fn open(path: &Path) -> Result<File, Problem> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Problem::NoFile(path.to_owned())),
        opened => Ok(opened.map_err(|error| Error::io("open", path, error))?),
    }
}

/// Writes bytes to a file, or to standard output.
pub(super) fn write(bytes: &[u8], to: &Path) -> Result<(), Error> {
    match Sort::of(to) {
        Sort::Output => output::exactly(bytes),
        Sort::Special => OpenOptions::new()
            .write(true)
            .open(to)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(|error| Error::io("write", to, error)),
        Sort::Regular => disk::replace(to, bytes, Mode::Shared),
    }
}

/// Something to send: a file, or what comes by standard input, which is kept in a temporary file.
pub(super) struct Upload {
    pub(super) blob: Blob,
    _spooled: Option<NamedTempFile>,
}

impl Upload {
    /// Hashes it.
    pub(super) async fn read(path: &Path, media_type: MediaType) -> Result<Self, Problem> {
        if path != Path::new("-") {
            drop(open(path)?);
            return Ok(Self { blob: Blob::from_file(media_type, path).await?, _spooled: None });
        }
        let spooled = tokio::task::spawn_blocking(|| {
            let mut file = NamedTempFile::new()?;
            io::copy(&mut io::stdin().lock(), &mut file)?;
            Ok(file)
        });
        let spooled = spooled.await.map_err(io::Error::other).flatten();
        let spooled = spooled.map_err(|error| Error::io("keep what comes by", "standard input", error))?;
        Ok(Self { blob: Blob::from_file(media_type, spooled.path()).await?, _spooled: Some(spooled) })
    }
}

/// Writes a blob to a file, which gets its name when every byte is verified, or to standard output as it comes.
pub(super) async fn save(blob: &Blob, to: &Path) -> Result<(), Problem> {
    match Sort::of(to) {
        Sort::Output if io::stdout().is_terminal() => show(blob).await,
        Sort::Output => {
            let mut out = io::stdout();
            match pour(blob, &mut out, Path::new(STANDARD_OUTPUT)).await {
                // A reader who has gone away has had enough.
                Err(Error::Io(failure)) if failure.source.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                poured => Ok(poured?),
            }
        }
        Sort::Special => {
            let failed = |error| Error::io("open", to, error);
            let mut file = OpenOptions::new().write(true).open(to).map_err(failed)?;
            Ok(pour(blob, &mut file, to).await?)
        }
        Sort::Regular => {
            let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let failed = |error| Error::io("write", to, error);
            let mut file = tempfile::Builder::new().prefix(disk::TEMPORARY).tempfile_in(directory).map_err(failed)?;
            pour(blob, file.as_file_mut(), to).await?;
            disk::publish(file.path(), to, Mode::Shared)?;
            // It has another name now.
            let _ = file.into_temp_path().keep();
            Ok(())
        }
    }
}

/// Shows a blob on a terminal, if it is short text.
async fn show(blob: &Blob) -> Result<(), Problem> {
    let refused = || Misuse::BinaryToTerminal(blob.descriptor().digest.into());
    if blob.descriptor().size > MAX_SHOWN {
        return Err(refused().into());
    }
    let bytes = blob.read(MAX_SHOWN).await?;
    let text = std::str::from_utf8(&bytes).ok();
    let text = text.filter(|text| text.chars().all(|c| matches!(c, '\n' | '\t') || is_harmless(c)));
    Ok(output::page(text.ok_or_else(refused)?)?)
}

/// Hands on a blob's bytes, and compares them with its descriptor.
async fn pour(blob: &Blob, to: &mut impl Write, place: &Path) -> Result<(), Error> {
    let expected: &Descriptor = blob.descriptor();
    let mut body = blob.open(0).await?;
    let mut verifier = Verifier::new(expected);
    let wrong = |actual| Verifier::blame(expected, actual, Place::Unknown);
    let failed = |error| Error::io("write", place, error);
    while let Some(chunk) = body.chunk().await {
        let chunk = chunk?;
        verifier.update(&chunk).map_err(wrong)?;
        to.write_all(&chunk).map_err(failed)?;
    }
    to.flush().map_err(failed)?;
    verifier.finish().map(drop).map_err(wrong)
}

/// What a name to write to is.
enum Sort {
    Output,
    /// A device or a pipe, which keeps its name.
    Special,
    Regular,
}

impl Sort {
    fn of(path: &Path) -> Self {
        if path == Path::new("-") {
            return Self::Output;
        }
        match fs::metadata(path) {
            Ok(found) if !found.is_file() && !found.is_dir() => Self::Special,
            _ => Self::Regular,
        }
    }
}

/// How long a text may be that is shown on a terminal.
const MAX_SHOWN: u64 = 1 << 20;
