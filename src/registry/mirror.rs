//! Pulling from a mirror, and from the registry itself where that fails.

use std::pin::Pin;

use futures_util::stream;

use super::{MirrorMode, Repository, blob};
use crate::content::{Blob, Body, Open};
use crate::error::Error;
use crate::model::Descriptor;

/// Who is asked for content, and for lists of it.
pub(super) struct Askable {
    /// First.
    pub(super) first: Repository,
    /// Where that fails.
    pub(super) second: Option<Repository>,
}

impl Askable {
    /// Says who is asked for what is in `repository`: its mirror, where it has one.
    pub(super) fn of(repository: &Repository) -> Result<Self, Error> {
        let itself = || Self { first: repository.clone(), second: None };
        let Some(mirror) = repository.mirror() else { return Ok(itself()) };
        let second = (mirror.mode == MirrorMode::Fallback).then(|| repository.clone());
        match mirror.name(repository.name()) {
            Ok(name) => Ok(Self { first: repository.client().open(&mirror.registry, &name), second }),
            // No registry could have it under such a name.
            Err(_) if second.is_some() => Ok(itself()),
            Err(error) => Err(error.into()),
        }
    }

    /// Says who is asked after `error`, if anybody is.
    pub(super) fn after(&self, error: &Error) -> Option<&Repository> {
        self.second.as_ref().filter(|_| passes_over(&self.first, error))
    }
}

/// Makes a handle for a blob of a repository. It sends nothing until it is opened.
pub(super) fn remote(repository: &Repository, descriptor: &Descriptor) -> Blob {
    match Askable::of(repository) {
        Ok(Askable { first, second: None }) => blob::remote(&first, descriptor),
        Ok(Askable { first, second: Some(second) }) => {
            let (registry, name) = (repository.registry().clone(), repository.name().clone());
            let (from_mirror, itself) = (blob::remote(&first, descriptor), blob::remote(&second, descriptor));
            Blob::new(descriptor.clone(), Mirrored { mirror: first, from_mirror, itself })
                .from_repository(registry, name)
        }
        // Fails when it is opened, as everything else that is wrong with it.
        Err(_) => Blob::new(descriptor.clone(), Unnameable(repository.clone())),
    }
}

/// Says whether a mirror's failure is no reason to give up, and tells about it.
fn passes_over(mirror: &Repository, error: &Error) -> bool {
    // Our own disk fails for the registry itself as well.
    let own = matches!(error, Error::Io(_));
    if !own && !error.is_not_found() {
        mirror.client().tell_of_mirror(mirror.registry(), error);
    }
    !own
}

/// A blob of which a mirror may have a copy.
struct Mirrored {
    mirror: Repository,
    from_mirror: Blob,
    itself: Blob,
}

impl Open for Mirrored {
    /// Opens the mirror's copy; whatever ends it early is made good by the registry itself, from the byte reached on.
    fn open(&self, offset: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        Box::pin(async move {
            let body = match self.from_mirror.open(offset).await {
                Ok(body) => body,
                Err(error) if passes_over(&self.mirror, &error) => return self.itself.open(offset).await,
                Err(error) => return Err(error),
            };
            let left = body.remaining();
            let relay = Relay { mirror: self.mirror.clone(), body, offset, itself: Some(self.itself.clone()) };
            Ok(Body::from_stream(stream::unfold(Some(relay), Relay::step), left))
        })
    }
}

/// A body that the registry itself finishes where its mirror does not.
struct Relay {
    mirror: Repository,
    body: Body,
    offset: u64,
    itself: Option<Blob>,
}

impl Relay {
    async fn step(state: Option<Self>) -> Option<(Result<bytes::Bytes, Error>, Option<Self>)> {
        let mut state = state?;
        loop {
            let error = match state.body.chunk().await? {
                Ok(chunk) => {
                    state.offset += chunk.len() as u64;
                    return Some((Ok(chunk), Some(state)));
                }
                Err(error) => error,
            };
            let Some(itself) = state.itself.take().filter(|_| passes_over(&state.mirror, &error)) else {
                return Some((Err(error), None));
            };
            match itself.open(state.offset).await {
                Ok(body) => state.body = body,
                Err(error) => return Some((Err(error), None)),
            }
        }
    }
}

/// A blob whose mirror cannot be asked for it.
struct Unnameable(Repository);

impl Open for Unnameable {
    fn open(&self, _: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        Box::pin(async move { Err(Askable::of(&self.0).err().expect("a name that is too long stays too long")) })
    }
}
