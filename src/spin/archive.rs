//! Writing archive layers: the same bytes for the same files, on every machine.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use flate2::{Compression, GzBuilder};
use tempfile::TempPath;

use super::media;
use super::mounts::MountedFile;
use crate::content::{Blob, Body, Open};
use crate::error::{Actual, Error, Mismatch, Place};
use crate::model::{Algorithm, Descriptor, Digester};

/// Packs files into a gzip-compressed tar archive in a temporary file, which lives as long as the blob.
///
/// Entries have their content, their path and nothing else of their own: mode 0644, no owner, no times. The order is
/// the given one. Each file is compared with its blob's descriptor while it is read.
pub(super) async fn pack(files: Vec<(MountedFile, Blob)>) -> Result<Blob, Error> {
    let task = tokio::task::spawn_blocking(move || pack_now(&files));
    task.await.map_err(|error| Error::io("write", std::env::temp_dir(), io::Error::other(error)))?
}

fn pack_now(files: &[(MountedFile, Blob)]) -> Result<Blob, Error> {
    let failed = |error| Error::io("write an archive in", std::env::temp_dir(), error);
    let (file, path) = tempfile::Builder::new().prefix("spinreg-").tempfile().map_err(failed)?.into_parts();
    let hashing = Hashing { inner: BufWriter::new(file), digester: Digester::new(Algorithm::Sha256), size: 0 };
    // The header gets no name and no time.
    let gzip = GzBuilder::new().mtime(0).write(hashing, Compression::default());
    let mut archive = tar::Builder::new(gzip);
    for (mounted, expected) in files {
        append(&mut archive, mounted, expected.descriptor())?;
    }
    let mut written = archive.into_inner().and_then(flate2::write::GzEncoder::finish).map_err(failed)?;
    written.inner.flush().map_err(failed)?;
    let descriptor = Descriptor::new(media::ARCHIVE, written.digester.finish(), written.size);
    let opened = Blob::file(descriptor.clone(), path.to_path_buf());
    Ok(Blob::new(descriptor, Archived { blob: opened, _path: Arc::new(path) }))
}

fn append(archive: &mut tar::Builder<impl Write>, mounted: &MountedFile, expected: &Descriptor) -> Result<(), Error> {
    let source = &mounted.source;
    let file = File::open(source).map_err(|error| Error::io("open", source, error))?;
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(expected.size);
    let mut content = Checking { inner: file, digester: Digester::new(Algorithm::Sha256), left: expected.size };
    let appended = archive.append_data(&mut header, Path::new(&mounted.path), &mut content);
    appended.map_err(|error| Error::io("archive", source, error))?;
    let mismatch = |actual| {
        let place = Place::File(source.clone());
        Error::Mismatch(Box::new(Mismatch { expected: expected.clone(), actual, place }))
    };
    if content.left > 0 {
        return Err(mismatch(Actual::Short(expected.size - content.left)));
    }
    match content.digester.finish() {
        actual if actual != expected.digest => Err(mismatch(Actual::Digest(actual))),
        _ => Ok(()),
    }
}

/// An archive in a temporary file that is removed with the last handle to it.
struct Archived {
    blob: Blob,
    _path: Arc<TempPath>,
}

impl Open for Archived {
    fn open(&self, offset: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        Box::pin(self.blob.open(offset))
    }
}

/// Hashes and counts what is written.
struct Hashing<W> {
    inner: W,
    digester: Digester,
    size: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digester.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Hashes what is read, and reads no more than was announced.
struct Checking<R> {
    inner: R,
    digester: Digester,
    left: u64,
}

impl<R: Read> Read for Checking<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.inner.read(&mut buffer[..wanted])?;
        self.digester.update(&buffer[..read]);
        self.left -= read as u64;
        Ok(read)
    }
}
