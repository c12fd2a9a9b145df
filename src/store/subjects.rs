//! Which manifests refer to which, as far as they were read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::content::Source;
use crate::error::Error;
use crate::model::{Descriptor, Digest, Identifier};

/// The subject of each manifest that was read; what a digest names never changes. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Subjects(Arc<Mutex<HashMap<Digest, Option<Digest>>>>);

impl Subjects {
    /// Returns those of `listed` that refer to `subject`, each once. What cannot be read as a manifest refers to nothing.
    ///
    /// # Errors
    ///
    /// Whatever keeps `from` from reading, but for what is missing or malformed.
    pub(super) async fn referrers(
        &self,
        from: &impl Source,
        listed: &[Descriptor],
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        let mut found: Vec<Descriptor> = Vec::new();
        for descriptor in listed {
            if self.of(from, &descriptor.digest).await? == Some(*subject)
                && !found.iter().any(|known| known.digest == descriptor.digest)
            {
                found.push(descriptor.clone());
            }
        }
        Ok(found)
    }

    async fn of(&self, from: &impl Source, digest: &Digest) -> Result<Option<Digest>, Error> {
        let known = self.known().get(digest).copied();
        if let Some(subject) = known {
            return Ok(subject);
        }
        let subject = match from.manifest(&Identifier::Digest(*digest)).await {
            Ok(manifest) => manifest.subject().map(|subject| subject.digest),
            // It may be here later.
            Err(error) if error.is_not_found() => return Ok(None),
            Err(Error::Parse(_)) => None,
            Err(error) => return Err(error),
        };
        self.known().insert(*digest, subject);
        Ok(subject)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Option<Digest>>> {
        // Whoever panicked has not left it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
