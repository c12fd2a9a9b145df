//! Who refers to what in a repository, without reading its manifests again.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::content::Source as _;
use crate::error::Error;
use crate::model::{Digest, Identifier, Manifest};
use crate::store::Layout;

/// The subject of every manifest that is listed, as far as it was needed. What a digest names never changes: a manifest
/// is read once, at the first question after the start or after another process has listed it.
///
/// Takes some 200 bytes of memory for each manifest.
#[derive(Default)]
pub(super) struct Referrals(Mutex<Known>);

#[derive(Default)]
struct Known {
    subjects: HashMap<Digest, Option<Digest>>,
    referrers: HashMap<Digest, BTreeSet<Digest>>,
}

impl Referrals {
    /// Takes note of a manifest that is being pushed.
    pub(super) fn note(&self, manifest: &Manifest) {
        self.known().note(manifest.digest(), manifest.subject().map(|subject| subject.digest));
    }

    /// Returns which manifests of the repository refer to `subject`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Parse`] where the index, or a manifest that was not read yet, cannot be read.
    pub(super) async fn of(&self, layout: &Layout, subject: &Digest) -> Result<BTreeSet<Digest>, Error> {
        let catalog = layout.catalog().await?;
        let new: Vec<Digest> = {
            let known = self.known();
            let listed = catalog.manifests().iter().map(|manifest| manifest.digest);
            listed.filter(|digest| !known.subjects.contains_key(digest)).collect()
        };
        for digest in new {
            match layout.manifest(&Identifier::Digest(digest)).await {
                Ok(manifest) => self.note(&manifest),
                // Deleted since we were told of it, or damaged: it refers to nothing, today.
                Err(Error::NotFound(_) | Error::Mismatch(_) | Error::Parse(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let mut known = self.known();
        if known.subjects.len() > 2 * catalog.manifests().len() + SLACK {
            known.forget(|digest| catalog.manifest(digest).is_none());
        }
        let referrers = known.referrers.get(subject).into_iter().flatten();
        Ok(referrers.filter(|digest| catalog.manifest(digest).is_some()).copied().collect())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Whoever panicked has not left it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn note(&mut self, manifest: Digest, subject: Option<Digest>) {
        self.subjects.insert(manifest, subject);
        if let Some(subject) = subject {
            self.referrers.entry(subject).or_default().insert(manifest);
        }
    }

    fn forget(&mut self, gone: impl Fn(&Digest) -> bool) {
        self.subjects.retain(|manifest, _| !gone(manifest));
        self.referrers.retain(|_, referrers| {
            referrers.retain(|manifest| !gone(manifest));
            !referrers.is_empty()
        });
    }
}

impl fmt::Debug for Referrals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Referrals(of {} manifests)", self.known().subjects.len())
    }
}

/// How many manifests that were deleted may be remembered besides.
const SLACK: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_forgotten() {
        let [a, b, subject] = ["a", "b", "subject"].map(|text| Digest::of(text.as_bytes()));
        let mut known = Known::default();
        known.note(a, Some(subject));
        known.note(b, None);
        known.note(a, Some(subject));
        assert_eq!(known.referrers[&subject].iter().collect::<Vec<_>>(), [&a]);
        known.forget(|digest| *digest == a);
        assert!(known.referrers.is_empty() && known.subjects.contains_key(&b) && known.subjects.len() == 1);
    }
}
