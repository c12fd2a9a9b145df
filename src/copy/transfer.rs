//! Carrying out a plan.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};
use http::StatusCode;

use super::{Plan, Step};
use crate::content::{Event, Progress, Pushed, Source, Target};
use crate::error::Error;
use crate::model::{Descriptor, Digest, ErrorCode, Identifier, Manifest, Platform, Tag};

/// How a copy is made.
#[derive(Clone)]
pub struct CopyOptions {
    /// How many blobs move at a time.
    pub transfers: Transfers,
    /// Where the root is an index: for which platforms one child is taken, the first preferred. Empty takes all of it.
    pub platforms: Vec<Platform>,
    /// What becomes of signatures, SBOMs, and whatever else refers to what is copied.
    pub referrers: Referrers,
    /// Who is told how it goes.
    pub progress: Arc<dyn Progress>,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            transfers: Transfers::default(),
            platforms: Vec::new(),
            referrers: Referrers::default(),
            progress: Arc::new(()),
        }
    }
}

/// What becomes of what refers to a manifest that is copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Referrers {
    /// It stays where it is.
    #[default]
    Left,
    /// It is copied as well, and so is what refers to it.
    Taken,
}

/// How many blobs move at a time: many small ones wait for answers, few large ones fill the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfers {
    small: usize,
    large: usize,
}

impl Transfers {
    /// Moves at most `n` blobs at a time, a quarter of them large ones (more than 4 MiB).
    pub fn at_most(n: NonZeroUsize) -> Self {
        let large = n.get() / 4;
        Self { small: n.get() - large, large }
    }

    /// Returns how many large blobs move at a time; where there is no room beside small ones, one.
    pub fn large(self) -> NonZeroUsize {
        NonZeroUsize::new(self.large).unwrap_or(NonZeroUsize::MIN)
    }
}

impl Default for Transfers {
    /// 32 small ones and 4 large ones: far away, fewer leave the line idle, and more gain little.
    fn default() -> Self {
        Self { small: 32, large: 4 }
    }
}

/// What a copy did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The manifest that the target has now.
    pub root: Descriptor,
    /// How many manifests were sent, those included that were only to be tagged.
    pub manifests: u64,
    /// How many blobs the target had already; those below the root, where it had that, are not looked up and not counted.
    pub existed: u64,
    /// How many blobs were sent or mounted.
    pub moved: u64,
    /// How many of those were mounted: the registry had them in another repository.
    pub mounted: u64,
    /// The sizes of those that were sent together, in bytes.
    pub bytes: u64,
}

/// Copies the manifest that `id` names, and everything below it, and points `tag` to it.
///
/// Blobs go first, manifests after them, the tagged root last: whoever sees the manifest finds everything.
///
/// **Requests** of a push of `n` blobs to a repository: nothing changed 1; the same content under a new tag 3; cold
/// `2 + 2n + 1`; where the tag points to something that shares all but `m` of the blobs `1 + 2m + 1`, and one more where
/// `m` is above 4; from another repository of any registry one more, and `n` more where the content is not mounted, or else
/// `n` less; one more for each blob that the repository wants to be asked for by `HEAD`. Where a registry then says that it lacks a blob which it seemed to have, one for each blob that was not asked for, two for each
/// that it lacks, and one or two for the manifest besides. Of a pull from a repository: all there 1, and by digest
/// none; cold `1 + n`, one more from Docker Hub,
/// where a `HEAD` goes first; and one more where one manifest is taken out of an index, unless that is there (and, from
/// Docker Hub, the target has [noted](Target::note_index) the index). Blobs that the target makes by itself once the
/// manifest is [announced](Target::announce) count as there.
///
/// # Errors
///
/// Those of the source and of the target; what was moved until then stays, and the next attempt finds it.
pub async fn copy(
    from: &impl Source,
    id: &Identifier,
    to: &impl Target,
    tag: Option<&Tag>,
    options: &CopyOptions,
) -> Result<Summary, Error> {
    let plan = Plan::build(from, id, to, tag, options).await?;
    let summary = plan.carry_out(from, to, options).await?;
    to.finish().await?;
    Ok(summary)
}

impl Plan {
    /// Moves what has to move, between the ends that the plan was made for. The target is not
    /// [finished](Target::finish): more may follow.
    ///
    /// **Requests**: for each blob that a repository as the target lacks `POST` and `PUT` there, and a `GET` where it
    /// comes from one; `POST` alone where the two are on one registry, which mounts it, and for each that is there; a `HEAD`
    /// before it where the repository wants that; one `PUT` for each step.
    ///
    /// # Errors
    ///
    /// As [`copy`].
    pub async fn carry_out(
        &self,
        from: &impl Source,
        to: &impl Target,
        options: &CopyOptions,
    ) -> Result<Summary, Error> {
        let outcome = carry_out(self, from, to, options).await;
        if outcome.is_err() {
            // The first failure has stopped the others on their way.
            to.tidy().await;
        }
        outcome
    }
}

async fn carry_out(plan: &Plan, from: &impl Source, to: &impl Target, options: &CopyOptions) -> Result<Summary, Error> {
    let blobs = (plan.blobs().len() + plan.believed().len()) as u64;
    options.progress.event(Event::Planned { blobs, bytes: plan.bytes() });
    let mut moves: Vec<Moved> = plan.believed().iter().map(|blob| believe(blob, options)).collect();

    let transfers = options.transfers;
    let (large, small): (Vec<_>, Vec<_>) = plan.blobs().iter().cloned().partition(|blob| blob.size > LARGE);
    if transfers.large == 0 {
        moves.extend(move_blobs(from, to, plan.blobs().to_vec(), Belief::AsTold, transfers.small, options).await?);
    } else {
        let small = move_blobs(from, to, small, Belief::AsTold, transfers.small, options);
        let large = move_blobs(from, to, large, Belief::AsTold, transfers.large, options);
        let (small, large) = future::try_join(small, large).await?;
        moves.extend(small.into_iter().chain(large));
    }

    for step in plan.steps() {
        push_manifest(from, to, step, options, &mut moves).await?;
    }

    if let Some(index) = plan.index()
        && let Err(error) = to.note_index(index).await
    {
        // All that was asked for is there, and the next copy costs one request more.
        tracing::debug!(%error, "an index could not be noted");
    }

    let manifests = plan.steps().len() as u64;
    let mut summary = Summary { root: plan.root().clone(), manifests, existed: 0, moved: 0, mounted: 0, bytes: 0 };
    for Moved { blob, how, .. } in moves {
        match how {
            Pushed::Existed => summary.existed += 1,
            Pushed::Mounted => {
                summary.moved += 1;
                summary.mounted += 1;
            }
            Pushed::Uploaded => {
                summary.moved += 1;
                summary.bytes += blob.size;
            }
        }
    }
    Ok(summary)
}

/// What was done for a blob.
#[derive(Clone)]
struct Moved {
    blob: Descriptor,
    how: Pushed,
    belief: Belief,
}

/// What is believed of a target about a blob.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Belief {
    /// That it has the blob, because it has a manifest that lists it.
    There,
    /// What it says itself.
    AsTold,
    /// That it lacks the blob, whatever it says.
    Lacking,
}

/// Takes a blob for moved that the target is believed to have.
fn believe(blob: &Descriptor, options: &CopyOptions) -> Moved {
    let how = Pushed::Existed;
    options.progress.event(Event::Finished { descriptor: blob, how });
    Moved { blob: blob.clone(), how, belief: Belief::There }
}

/// Moves `blobs`, at most `width` at a time; the first failure stops all.
async fn move_blobs(
    from: &impl Source,
    to: &impl Target,
    blobs: Vec<Descriptor>,
    belief: Belief,
    width: usize,
    options: &CopyOptions,
) -> Result<Vec<Moved>, Error> {
    let move_one = |descriptor: Descriptor| async move {
        options.progress.event(Event::Started(&descriptor));
        let blob = from.blob(&descriptor).observed(options.progress.clone());
        let how = match belief {
            Belief::There => Pushed::Existed,
            Belief::AsTold => to.push_blob(&blob).await?,
            Belief::Lacking => to.repush_blob(&blob).await?,
        };
        options.progress.event(Event::Finished { descriptor: &descriptor, how });
        Ok::<_, Error>(Moved { blob: descriptor, how, belief })
    };
    stream::iter(blobs).map(move_one).buffer_unordered(width).try_collect().await
}

/// Pushes a manifest. Where the target then lacks what it was believed to have, it is asked for that, and where it lacks
/// what it has said to have, that is pushed; after either the manifest is pushed again, once.
async fn push_manifest(
    from: &impl Source,
    to: &impl Target,
    step: &Step,
    options: &CopyOptions,
    moves: &mut Vec<Moved>,
) -> Result<(), Error> {
    let (manifest, tag) = (&step.manifest, step.tag.as_ref());
    let Err(mut error) = to.push_manifest(manifest, tag).await else { return Ok(()) };
    let below: HashSet<Digest> = manifest.blobs().map(|blob| blob.digest).collect();
    let is_doubtful = |moved: &Moved| moved.belief == Belief::There && below.contains(&moved.blob.digest);
    let doubtful: Vec<_> = moves.iter().filter(|moved| is_doubtful(moved)).map(|moved| moved.blob.clone()).collect();
    if !doubtful.is_empty() && (lacks_content(&error, manifest) || may_lack_content(&error)) {
        tracing::debug!(manifest = %manifest.digest(), %error, blobs = doubtful.len(), "asking for what was believed");
        let found = move_blobs(from, to, doubtful, Belief::AsTold, options.transfers.small, options).await?;
        let is_news = found.iter().any(|moved| moved.how != Pushed::Existed);
        replace(moves, found);
        if is_news {
            match to.push_manifest(manifest, tag).await {
                Ok(()) => return Ok(()),
                Err(again) => error = again,
            }
        }
    }
    if !lacks_content(&error, manifest) {
        return Err(error);
    }
    let below = Plan::whole(from, to, manifest.clone()).await?;
    let mut known: HashSet<Digest> =
        moves.iter().filter(|moved| moved.how == Pushed::Uploaded).map(|moved| moved.blob.digest).collect();
    let blobs: Vec<_> = below.blobs().iter().filter(|blob| known.insert(blob.digest)).cloned().collect();
    let (_, children) = below.steps().split_last().expect("a plan of a manifest ends with it");
    if blobs.is_empty() && children.is_empty() {
        return Err(error);
    }
    tracing::debug!(manifest = %manifest.digest(), %error, blobs = blobs.len(), "pushing again what seemed to be there");
    let again = move_blobs(from, to, blobs, Belief::Lacking, options.transfers.small, options).await?;
    replace(moves, again);
    for child in children {
        to.push_manifest(&child.manifest, None).await?;
    }
    to.push_manifest(manifest, tag).await
}

/// Puts what was done in the end in the place of what was done before.
fn replace(moves: &mut Vec<Moved>, again: Vec<Moved>) {
    let anew: HashSet<Digest> = again.iter().map(|moved| moved.blob.digest).collect();
    moves.retain(|moved| !anew.contains(&moved.blob.digest));
    moves.extend(again);
}

/// Says whether a manifest was refused because of what should be below it.
fn lacks_content(error: &Error, manifest: &Manifest) -> bool {
    error.codes().any(|code| match code {
        ErrorCode::ManifestBlobUnknown | ErrorCode::BlobUnknown => true,
        ErrorCode::ManifestUnknown => manifest.index().is_some(),
        _ => false,
    })
}

/// Says whether a manifest may have been refused for that reason by a registry with words of its own: what was only
/// believed must not make a push fail.
fn may_lack_content(error: &Error) -> bool {
    let about_manifests = |code: &ErrorCode| match code {
        ErrorCode::ManifestInvalid | ErrorCode::ManifestUnknown => true,
        // ECR says so of tags that cannot be moved.
        ErrorCode::Other(code) => code != "TAG_INVALID",
        _ => false,
    };
    match error {
        Error::NotFound(_) => error.codes().all(about_manifests),
        Error::Refused(refused) if PERHAPS.contains(&refused.status) => error.codes().all(about_manifests),
        _ => false,
    }
}

/// With which statuses registries refuse a manifest whose blobs they have not.
const PERHAPS: [StatusCode; 3] = [StatusCode::BAD_REQUEST, StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY];
/// From which size on, in bytes, a blob counts as large.
const LARGE: u64 = 4 << 20;

#[cfg(test)]
mod tests;
