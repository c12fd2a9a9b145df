//! Where content comes from and where it goes.

use super::{Blob, Unhashed};
use crate::error::Error;
use crate::model::{Descriptor, Digest, Identifier, Manifest, Tag};

/// Something that has manifests and blobs: a repository, a layout directory, a package, a cache.
pub trait Source: Send + Sync {
    /// Says what `id` names now.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where it names nothing.
    fn resolve(&self, id: &Identifier) -> impl Future<Output = Result<Descriptor, Error>> + Send;

    /// Reads the manifest that `id` names; at most [`Manifest::MAX_READ`] bytes, verified where
    /// `id` is a digest.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where it names nothing, [`Error::Mismatch`] where the bytes are others.
    fn manifest(&self, id: &Identifier) -> impl Future<Output = Result<Manifest, Error>> + Send;

    /// Says whether manifests that are read are counted against a limit and those that are resolved are not. A copy then
    /// resolves first, and reads what the target has not.
    fn counts_reads(&self) -> bool {
        false
    }

    /// Makes a handle for a blob. It costs nothing; what is missing shows when it is opened.
    fn blob(&self, descriptor: &Descriptor) -> Blob;

    /// Lists the manifests that have `subject` as their subject, whether that is here or not; a source that keeps no
    /// account of that has none.
    ///
    /// # Errors
    ///
    /// Whatever keeps the source from answering.
    fn all_referrers(&self, subject: &Digest) -> impl Future<Output = Result<Vec<Descriptor>, Error>> + Send {
        let _ = subject;
        async { Ok(Vec::new()) }
    }

    /// Lists all tags, in the order of the source; one without tags has none.
    ///
    /// # Errors
    ///
    /// Whatever keeps the source from answering.
    fn all_tags(&self) -> impl Future<Output = Result<Vec<Tag>, Error>> + Send {
        async { Ok(Vec::new()) }
    }
}

/// Something that takes manifests and blobs.
pub trait Target: Send + Sync {
    /// Says whether the content is there already, with everything below it where it is a manifest.
    ///
    /// # Errors
    ///
    /// Whatever keeps the target from answering; absence is `false`.
    fn exists(&self, descriptor: &Descriptor) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Describes the manifest of a digest, where the target keeps it on its own disk and nothing of it is missing: then nobody
    /// has to be asked for it.
    ///
    /// # Errors
    ///
    /// Whatever keeps the target from answering; absence is `None`, and so is a target that would have to ask.
    fn held(&self, digest: &Digest) -> impl Future<Output = Result<Option<Descriptor>, Error>> + Send {
        let _ = digest;
        async { Ok(None) }
    }

    /// Says what `tag` points to now, where the target has tags that may already point to `wanted`, or to something that
    /// shares content with it.
    ///
    /// # Errors
    ///
    /// Whatever keeps the target from answering; a tag that is not there, or a target without tags, is
    /// [`Tagged::Unknown`].
    fn tagged(&self, tag: &Tag, wanted: &Descriptor) -> impl Future<Output = Result<Tagged, Error>> + Send {
        let _ = (tag, wanted);
        async { Ok(Tagged::Unknown) }
    }

    /// Says whether anything at all is here, where the target finds that out with fewer requests than it takes to ask for each
    /// of `blobs`.
    ///
    /// # Errors
    ///
    /// Whatever keeps the target from answering.
    fn vacancy(&self, blobs: &[Descriptor]) -> impl Future<Output = Result<Vacancy, Error>> + Send {
        let _ = blobs;
        async { Ok(Vacancy::Unsaid) }
    }

    /// Hears which manifest is to come, before anything that it lists does: what the target can make of that by itself, it
    /// need not be given.
    fn announce(&self, manifest: &Manifest) {
        let _ = manifest;
    }

    /// Says how many requests [`push_blob`](Self::push_blob) makes for a blob, as far as is known before.
    fn effort(&self, blob: &Blob) -> Effort {
        let _ = blob;
        Effort::default()
    }

    /// Takes a file of which nobody knows the digest, and says which one it has: whoever hashes a file first reads it twice.
    /// What the file belongs to will be pushed to `tag`. `None`: the target has not taken it, and wants to be told first.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file cannot be read, or changes meanwhile; whatever else keeps the target from taking it, where
    /// the digest would make no difference.
    fn push_unhashed(&self, file: &Unhashed, tag: &Tag) -> impl Future<Output = Result<Option<Digest>, Error>> + Send {
        let _ = (file, tag);
        async { Ok(None) }
    }

    /// Takes a blob, verified; pushing what is there is no error.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] where the content is not what the descriptor says; the target is then
    /// as it was.
    fn push_blob(&self, blob: &Blob) -> impl Future<Output = Result<Pushed, Error>> + Send;

    /// Takes a blob even where it seems to be there, because it has turned out not to be.
    ///
    /// # Errors
    ///
    /// As [`push_blob`](Self::push_blob).
    fn repush_blob(&self, blob: &Blob) -> impl Future<Output = Result<Pushed, Error>> + Send {
        self.push_blob(blob)
    }

    /// Returns an index that was [noted](Self::note_index), where the target keeps it: then nobody has to be asked for it.
    ///
    /// # Errors
    ///
    /// Whatever keeps the target from answering; absence is `None`.
    fn noted_index(&self, index: &Descriptor) -> impl Future<Output = Result<Option<Manifest>, Error>> + Send {
        let _ = index;
        async { Ok(None) }
    }

    /// Takes note of an index of which the target has one manifest and not the others. It may forget it at any time.
    ///
    /// # Errors
    ///
    /// Whatever keeps the target from doing so.
    fn note_index(&self, index: &Manifest) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = index;
        async { Ok(()) }
    }

    /// Clears away what pushes have left half done because they were dropped on their way. It does what it can, in
    /// bounded time.
    fn tidy(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Takes a manifest whose content is there, and points `tag` to it.
    ///
    /// # Errors
    ///
    /// Whatever keeps the target from taking it.
    fn push_manifest(&self, manifest: &Manifest, tag: Option<&Tag>) -> impl Future<Output = Result<(), Error>> + Send;

    /// Ends what was pushed. A target that is one file gets its name now, and not before; for others there is nothing to
    /// do. Pushing more begins anew.
    ///
    /// # Errors
    ///
    /// Whatever keeps the target from being published; it is then as it was.
    fn finish(&self) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }
}

/// What a tag of a target points to now.
#[derive(Clone, Debug)]
pub enum Tagged {
    /// Nothing, or something of which nothing can be concluded.
    Unknown,
    /// The manifest that was asked about.
    Wanted,
    /// Another manifest. The blobs that it lists are there, unless the target has lost some.
    Other(Box<Manifest>),
}

/// Whether anything is in a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vacancy {
    /// Nobody was asked.
    Unsaid,
    /// Nothing that anything could be built on.
    Vacant,
    /// Something.
    Occupied,
}

/// How many requests it takes to push a blob.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Effort {
    /// Where the target has it.
    pub there: u64,
    /// Where it does not, and nothing unforeseen happens.
    pub lacking: u64,
}

/// How a blob came to be in a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pushed {
    /// It was there.
    Existed,
    /// The registry took it over from another of its repositories.
    Mounted,
    /// Its bytes were sent.
    Uploaded,
}
