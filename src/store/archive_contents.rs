//! What an archive of an image layout has, and where in the file that is.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use super::index::Index;
use super::ingest::blocking;
use super::layout::{Layout, MAX_VERSION, VERSION_FILE, check_version_file};
use super::shelf::missing;
use super::tar::{Flaw, Kind, Member, Members, compression};
use crate::content::{Body, Open, Verifier};
use crate::disk;
use crate::error::{Actual, Error, ParseError, Place};
use crate::model::{Algorithm, Descriptor, Digest};

/// An archive that was read: where its blobs stand, and what its `index.json` says.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) index: Index,
    pub(super) blobs: HashMap<Digest, Stand>,
    pub(super) file: Arc<Opened>,
}

/// Where content stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    /// In bytes from the start of the file.
    pub(super) offset: u64,
    /// How long the content is, in bytes.
    pub(super) size: u64,
}

/// A file that is kept open, so that nobody else's can be taken for it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) file: File,
}

impl Contents {
    /// Reads the headers and `index.json`; no other content is looked at. `None` where there is no file. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] where the file is no archive of a layout, or one that could mean two things: names that lead out
    /// of it, two members of one name, links in the place of content.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Error> {
        let failed = |error| Error::io("read", path, error);
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(refuse(path, "a regular file: what is copied is read where it stands"));
        }
        let mut start = Vec::new();
        (&mut file).take(8).read_to_end(&mut start).map_err(failed)?;
        if let Some(name) = compression(&start) {
            return Err(refusal(path, "an archive that is not compressed")
                .because(&format_args!("it is {name}"))
                .into());
        }
        let flawed = |flaw| match flaw {
            Flaw::Io(error) => Error::io("read", path, error),
            Flaw::Malformed { at, expected } => {
                refusal(path, expected).because(&format_args!("byte {at} is none")).into()
            }
        };
        let mut members = Members::of(&file).map_err(failed)?;
        let mut found = Found::default();
        while let Some(member) = members.next().map_err(flawed)? {
            found.note(member).map_err(|expected| refuse(path, expected))?;
        }
        let content = |member: &Member, limit| read_member(&file, path, member, limit);
        let version = found.version.ok_or_else(|| refuse(path, "the file `oci-layout` in it"))?;
        check_version_file(&content(&version, MAX_VERSION)?)?;
        let index = found.index.ok_or_else(|| refuse(path, "the file `index.json` in it"))?;
        let index = Index::parse(&content(&index, Layout::MAX_INDEX)?)?;
        let file = Arc::new(Opened { path: path.to_owned(), file });
        Ok(Some(Self { index, blobs: found.blobs, file }))
    }

    /// Says where the content is that a descriptor is of.
    pub(super) fn open(&self, descriptor: Descriptor) -> Enclosed {
        let stand = self.blobs.get(&descriptor.digest).copied();
        Enclosed { path: self.file.path.clone(), place: stand.map(|stand| (self.file.clone(), stand)), descriptor }
    }
}

/// The members of a layout among all others, which are passed over.
#[derive(Default)]
struct Found {
    version: Option<Member>,
    index: Option<Member>,
    blobs: HashMap<Digest, Stand>,
}

impl Found {
    fn note(&mut self, member: Member) -> Result<(), &'static str> {
        const TWICE: &str = "each file once";
        let digest = digest_of(&member.path);
        let is_ours = digest.is_some() || member.path == VERSION_FILE || member.path == INDEX_FILE;
        match member.kind {
            _ if !is_ours => return Ok(()),
            Kind::File => {}
            // Where a link leads is not for the archive to say.
            Kind::Link | Kind::Directory | Kind::Other => return Err("content itself, and no links or special files"),
        }
        let twice = match digest {
            Some(digest) => {
                let stand = Stand { offset: member.offset, size: member.size };
                self.blobs.insert(digest, stand).is_some()
            }
            None if member.path == VERSION_FILE => self.version.replace(member).is_some(),
            None => self.index.replace(member).is_some(),
        };
        // Whoever unpacks takes the last one, and others the first.
        if twice { Err(TWICE) } else { Ok(()) }
    }
}

/// Opens content where it stands in an archive.
#[derive(Debug)]
pub(super) struct Enclosed {
    pub(super) descriptor: Descriptor,
    pub(super) path: PathBuf,
    pub(super) place: Option<(Arc<Opened>, Stand)>,
}

impl Enclosed {
    /// Stands for content that is not there.
    pub(super) fn nowhere(descriptor: Descriptor, path: &Path) -> Self {
        Self { descriptor, path: path.to_owned(), place: None }
    }
}

impl Open for Enclosed {
    fn open(&self, offset: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        Box::pin(async move {
            let Some((opened, stand)) = &self.place else {
                return Err(missing(format!("blob `{}`", self.descriptor.digest), &self.path));
            };
            let expected = self.descriptor.size;
            if stand.size != expected {
                let actual = if stand.size < expected { Actual::Short(stand.size) } else { Actual::Long };
                return Err(Verifier::blame(&self.descriptor, actual, Place::file(&self.path)));
            }
            let again = opened.clone();
            let file = blocking(move || again.again()).await?;
            let (from, to) = (stand.offset + offset.min(stand.size), stand.offset + stand.size);
            Ok(Body::from_file(file, &self.path, from, to))
        })
    }
}

impl Opened {
    /// Opens the file once more, with a place of its own in it.
    fn again(&self) -> Result<File, Error> {
        let failed = |error| Error::io("read", &self.path, error);
        let file = File::open(&self.path).map_err(failed)?;
        if disk::is_at(&self.file, &self.path) {
            return Ok(file);
        }
        Err(failed(io::Error::other("another file has taken its place meanwhile")))
    }
}

/// Returns the name of a blob's member.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("{BLOBS}{}/{}", digest.algorithm().name(), digest.hex())
}

/// Returns the digest that a member's name stands for; `None` for other members, and for algorithms that we do not know.
pub(super) fn digest_of(path: &str) -> Option<Digest> {
    let (algorithm, hex) = path.strip_prefix(BLOBS)?.split_once('/')?;
    let known = [Algorithm::Sha256, Algorithm::Sha512].iter().any(|known| known.name() == algorithm);
    format!("{algorithm}:{hex}").parse().ok().filter(|_| known)
}

fn read_member(mut file: &File, path: &Path, member: &Member, limit: u64) -> Result<Vec<u8>, Error> {
    if member.size > limit {
        return Err(refusal(path, "small files beside the blobs").because(&format_args!("`{}`", member.path)).into());
    }
    let mut bytes = Vec::new();
    let read = file.seek(SeekFrom::Start(member.offset)).and_then(|_| file.take(member.size).read_to_end(&mut bytes));
    read.map_err(|error| Error::io("read", path, error))?;
    Ok(bytes)
}

fn refuse(path: &Path, expected: &'static str) -> Error {
    refusal(path, expected).into()
}

fn refusal(path: &Path, expected: &'static str) -> ParseError {
    ParseError::new("image archive", &path.display().to_string(), expected)
}

/// The file that lists the manifests.
pub(super) const INDEX_FILE: &str = "index.json";
const BLOBS: &str = "blobs/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_blobs_round_trip() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = Digest::of_with(algorithm, b"x");
            assert_eq!(digest_of(&blob_name(&digest)), Some(digest));
        }
        let hex = "0".repeat(64);
        for other in [
            "oci-layout",
            "blobs/sha256/xyz",
            "blobs/sha256",
            &format!("blobs/sha512/{hex}"),
            &format!("x/blobs/sha256/{hex}"),
        ] {
            assert_eq!(digest_of(other), None, "{other}");
        }
    }

    #[test]
    fn what_means_two_things_is_refused() {
        let blob = blob_name(&Digest::of(b"x"));
        let member = |path: &str, kind| Member { path: path.to_owned(), kind, start: 0, offset: 512, size: 1 };
        for path in ["oci-layout", "index.json", &blob] {
            let mut found = Found::default();
            assert_eq!(found.note(member(path, Kind::File)), Ok(()));
            assert_eq!(found.note(member(path, Kind::File)), Err("each file once"), "{path}");
            for kind in [Kind::Link, Kind::Directory, Kind::Other] {
                assert!(Found::default().note(member(path, kind)).is_err(), "{path}: {kind}");
            }
        }
        for path in ["manifest.json", "blobs/sha256", ".spinreg/index.lock"] {
            let mut found = Found::default();
            for kind in [Kind::Link, Kind::Directory, Kind::File, Kind::File] {
                assert_eq!(found.note(member(path, kind)), Ok(()), "{path}");
            }
        }
    }
}
