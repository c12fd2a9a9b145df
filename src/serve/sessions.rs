//! Upload sessions: who writes to which, and their writers between two requests.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout};

use super::repositories::Repository;
use super::respond::Refusal;
use super::route::unknown_upload;
use super::upload_id::UploadId;
use crate::error::Error;
use crate::model::{Algorithm, ErrorCode, Name};
use crate::store::Ingest;

/// The writers of upload sessions that were used lately.
///
/// The truth about a session is its partial file: it survives a restart. What is kept here besides is the writer, so
/// that the bytes of earlier requests are not read and hashed again at each further one; at most [`KEPT`] of them are,
/// and others read their file once more when they go on.
#[derive(Default)]
pub(super) struct Sessions {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    slots: HashMap<(Name, UploadId), Slot>,
    uses: u64,
}

struct Slot {
    writer: Arc<AsyncMutex<Option<Ingest>>>,
    used: u64,
    at: Instant,
}

/// A session that one request has for itself.
pub(super) struct Session {
    /// Empty once the session is over, or where the state of its file has to be looked at again.
    writer: OwnedMutexGuard<Option<Ingest>>,
}

impl Sessions {
    /// Takes a session, waiting a little for another request that has it. Where its digest will be of another `algorithm`
    /// than SHA-256, it is better said at the first bytes.
    ///
    /// # Errors
    ///
    /// 404 where there is no such session, 409 where another request keeps it.
    pub(super) async fn enter(
        &self,
        name: &Name,
        repository: &Repository,
        id: &UploadId,
        algorithm: Option<Algorithm>,
    ) -> Result<Session, Refusal> {
        if repository.shelf().session_size(id.session()).await?.is_none() {
            self.leave(name, id);
            return Err(unknown_upload());
        }
        let slot = self.slot(name, id);
        let Ok(mut writer) = timeout(PATIENCE, slot.lock_owned()).await else {
            let said = "another request is writing to this upload session";
            return Err(Refusal::new(StatusCode::CONFLICT, ErrorCode::BlobUploadInvalid, said));
        };
        if writer.is_none() {
            let algorithm = algorithm.unwrap_or(Algorithm::Sha256);
            *writer = match Ingest::resume_hashing(repository.shelf(), id.session(), algorithm).await {
                Ok(ingest) => Some(ingest),
                Err(Error::NotFound(_)) => {
                    self.leave(name, id);
                    return Err(unknown_upload());
                }
                Err(error) => return Err(error.into()),
            };
        }
        Ok(Session { writer })
    }

    /// Forgets a session that is over.
    pub(super) fn leave(&self, name: &Name, id: &UploadId) {
        self.kept().slots.remove(&(name.clone(), id.clone()));
    }

    /// Lets go of the writers that no request has used for `age`: their files can then be swept, or be written to by
    /// another process.
    pub(super) fn rest(&self, age: Duration) {
        self.kept().slots.retain(|_, slot| Arc::strong_count(&slot.writer) > 1 || slot.at.elapsed() < age);
    }

    fn slot(&self, name: &Name, id: &UploadId) -> Arc<AsyncMutex<Option<Ingest>>> {
        let mut kept = self.kept();
        kept.uses += 1;
        let (used, now) = (kept.uses, Instant::now());
        let slot = kept.slots.entry((name.clone(), id.clone())).or_insert_with(|| Slot {
            writer: Arc::default(),
            used,
            at: now,
        });
        (slot.used, slot.at) = (used, now);
        let writer = slot.writer.clone();
        if kept.slots.len() > KEPT {
            // Nobody has or waits for a writer of which there is no other owner; this one has two.
            let idle = kept.slots.iter().filter(|(_, slot)| Arc::strong_count(&slot.writer) == 1);
            let oldest = idle.min_by_key(|(_, slot)| slot.used).map(|(key, _)| key.clone());
            oldest.and_then(|key| kept.slots.remove(&key));
        }
        writer
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Whoever panicked has not left the map half changed.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Returns the writer, unless it was taken.
    pub(super) fn writer(&mut self) -> Result<&mut Ingest, Refusal> {
        self.writer.as_mut().ok_or_else(unknown_upload)
    }

    /// Takes the writer out, to end the session or because its file has to be looked at again.
    pub(super) fn take(&mut self) -> Result<Ingest, Refusal> {
        self.writer.take().ok_or_else(unknown_upload)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions({} kept)", self.kept().slots.len())
    }
}

/// How many writers are kept: each is an open file. More uploads than that may be under way.
const KEPT: usize = 256;

/// How long a request waits for another one that writes to the same session: long enough for us to notice that the
/// other one's connection has broken, where its client tells us so.
const PATIENCE: Duration = Duration::from_secs(10);
