//! Which content needs which.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::catalog::Catalog;
use super::collect::{Garbage, Untagged};
use super::layout::Layout;
use crate::content::Verifier;
use crate::disk;
use crate::error::{Actual, Error, Place};
use crate::model::{Descriptor, Digest, Manifest, MediaType};

/// What each manifest needs that was read so far. What a digest names never changes: each is read once.
#[derive(Debug, Default)]
pub(super) struct Edges(HashMap<Digest, Option<Needs>>);

#[derive(Debug)]
struct Needs {
    content: Vec<Digest>,
    subject: Option<Digest>,
}

/// How sure we are that something is a manifest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// It is listed as one: if it cannot be read, nobody knows what it needs.
    Listed,
    /// It may as well be a blob.
    Perhaps,
}

impl Edges {
    /// Returns everything that has to stay: manifests and blobs. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] or [`Error::Parse`] where a listed manifest is damaged, [`Error::Io`].
    pub(super) fn reach(
        &mut self,
        layout: &Layout,
        catalog: &Catalog,
        garbage: &Garbage,
    ) -> Result<HashSet<Digest>, Error> {
        let is_recent = |digest: &Digest| !disk::is_older(&layout.blob_path(digest), garbage.keep_recent);
        let mut referrers: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for manifest in catalog.manifests() {
            let needs = self.of(layout, &manifest.digest, Claim::Listed, Some(&manifest.media_type))?;
            if let Some(subject) = needs.and_then(|needs| needs.subject) {
                referrers.entry(subject).or_default().push(manifest.digest);
            }
        }
        let listed = catalog.manifests().iter().map(|manifest| manifest.digest);
        let mut left: Vec<Digest> = match garbage.untagged {
            Untagged::Keep => listed.collect(),
            Untagged::Remove => catalog.tags().map(|(_, d)| d.digest).chain(listed.filter(&is_recent)).collect(),
        };
        let mut needed = HashSet::new();
        self.follow(layout, &referrers, &mut left, &mut needed)?;
        // Somebody is going to build on what is recent, and that may be a manifest that nobody lists.
        for (digest, path) in layout.blobs()? {
            if !needed.contains(&digest) && is_recent(&digest) && is_small(&path) {
                left.push(digest);
            }
        }
        self.follow(layout, &referrers, &mut left, &mut needed)?;
        Ok(needed)
    }

    fn follow(
        &mut self,
        layout: &Layout,
        referrers: &HashMap<Digest, Vec<Digest>>,
        left: &mut Vec<Digest>,
        needed: &mut HashSet<Digest>,
    ) -> Result<(), Error> {
        while let Some(digest) = left.pop() {
            if !needed.insert(digest) {
                continue;
            }
            left.extend(referrers.get(&digest).into_iter().flatten());
            if let Some(needs) = self.of(layout, &digest, Claim::Perhaps, None)? {
                left.extend(needs.content.iter().chain(&needs.subject));
            }
        }
        Ok(())
    }

    fn of(
        &mut self,
        layout: &Layout,
        digest: &Digest,
        claim: Claim,
        media_type: Option<&MediaType>,
    ) -> Result<Option<&Needs>, Error> {
        if !self.0.contains_key(digest) {
            let needs = read(layout, digest, claim, media_type)?;
            self.0.insert(*digest, needs);
        }
        Ok(self.0.get(digest).and_then(Option::as_ref))
    }
}

/// Reads what a manifest needs; a blob needs nothing, and neither does what is not there.
fn read(
    layout: &Layout,
    digest: &Digest,
    claim: Claim,
    media_type: Option<&MediaType>,
) -> Result<Option<Needs>, Error> {
    let path = layout.blob_path(digest);
    if claim == Claim::Perhaps && !is_small(&path) {
        return Ok(None);
    }
    let Some(bytes) = disk::read_bounded(&path, Manifest::MAX_READ)? else { return Ok(None) };
    let actual = Digest::of_with(digest.algorithm(), &bytes);
    if actual != *digest {
        let expected = Descriptor::new(MediaType::OCTET_STREAM, *digest, bytes.len() as u64);
        return Err(Verifier::blame(&expected, Actual::Digest(actual), Place::file(&path)));
    }
    match Manifest::parse_named(bytes.into(), media_type.cloned(), *digest) {
        Ok(manifest) => {
            let content = manifest.blobs().chain(manifest.manifests()).map(|needed| needed.digest).collect();
            Ok(Some(Needs { content, subject: manifest.subject().map(|subject| subject.digest) }))
        }
        Err(error) if claim == Claim::Listed => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Says whether a file can be a manifest that anybody reads.
fn is_small(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.len() <= Manifest::MAX_READ)
}
