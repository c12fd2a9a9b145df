//! Carrying out a plan.

use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};

use super::Plan;
use crate::content::{Event, Progress, Pushed, Source, Target};
use crate::error::Error;
use crate::model::{Descriptor, Identifier, Platform, Tag};

/// How a copy is made.
#[derive(Clone)]
pub struct CopyOptions {
    /// How many blobs move at a time.
    pub transfers: Transfers,
    /// Where the root is an index: for which platforms one child is taken, the first preferred. Empty takes all of it.
    pub platforms: Vec<Platform>,
    /// Who is told how it goes.
    pub progress: Arc<dyn Progress>,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self { transfers: Transfers::default(), platforms: Vec::new(), progress: Arc::new(()) }
    }
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
}

impl Default for Transfers {
    /// 12 small ones and 4 large ones.
    fn default() -> Self {
        Self::at_most(DEFAULT_TRANSFERS)
    }
}

/// What a copy did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The manifest that the target has now.
    pub root: Descriptor,
    /// How many blobs the target had already; those below a manifest that it had are not looked up and not counted.
    pub existed: u64,
    /// How many blobs were sent or mounted.
    pub moved: u64,
    /// The sizes of those together, in bytes.
    pub bytes: u64,
}

/// Copies the manifest that `id` names, and everything below it, and points `tag` to it.
///
/// Blobs go first, manifests after them, the tagged root last: whoever sees the manifest finds everything.
///
/// **Requests** of a push of `n` blobs to a repository: nothing changed 1; the same content under a new tag 3; cold
/// `2 + 3n + 1`. Of a pull from a repository: all there 1; cold `1 + n`.
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
    let plan = Plan::build(from, id, &options.platforms, to, tag).await?;
    options.progress.event(Event::Planned { blobs: plan.blobs().len() as u64, bytes: plan.bytes() });
    let mut summary = Summary { root: plan.root().clone(), existed: 0, moved: 0, bytes: 0 };

    let transfers = options.transfers;
    let (large, small): (Vec<_>, Vec<_>) = plan.blobs().iter().cloned().partition(|blob| blob.size > LARGE);
    let outcomes = if transfers.large == 0 {
        move_blobs(from, to, plan.blobs().to_vec(), transfers.small, options).await?
    } else {
        let small = move_blobs(from, to, small, transfers.small, options);
        let large = move_blobs(from, to, large, transfers.large, options);
        let (small, large) = future::try_join(small, large).await?;
        [small, large].concat()
    };
    for (size, how) in outcomes {
        match how {
            Pushed::Existed => summary.existed += 1,
            Pushed::Mounted => summary.moved += 1,
            Pushed::Uploaded => {
                summary.moved += 1;
                summary.bytes += size;
            }
        }
    }

    for manifest in plan.manifests() {
        let is_root = manifest.digest() == plan.root().digest;
        to.push_manifest(manifest, tag.filter(|_| is_root)).await?;
    }
    if let Some(root) = plan.tagging() {
        to.push_manifest(root, tag).await?;
    }
    Ok(summary)
}

/// Moves `blobs`, at most `width` at a time; the first failure stops all.
async fn move_blobs(
    from: &impl Source,
    to: &impl Target,
    blobs: Vec<Descriptor>,
    width: usize,
    options: &CopyOptions,
) -> Result<Vec<(u64, Pushed)>, Error> {
    let move_one = |descriptor: Descriptor| async move {
        options.progress.event(Event::Started(&descriptor));
        let blob = from.blob(&descriptor).observed(options.progress.clone());
        let how = to.push_blob(&blob).await?;
        options.progress.event(Event::Finished { descriptor: &descriptor, how });
        Ok::<_, Error>((descriptor.size, how))
    };
    stream::iter(blobs).map(move_one).buffer_unordered(width).try_collect().await
}

/// From which size on, in bytes, a blob counts as large.
const LARGE: u64 = 4 << 20;
/// As many as Spin's own client moves at a time.
const DEFAULT_TRANSFERS: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not zero");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_transfers_is_never_exceeded() {
        for (n, small, large) in [(1, 1, 0), (3, 3, 0), (4, 3, 1), (16, 12, 4)] {
            let transfers = Transfers::at_most(NonZeroUsize::new(n).expect("not zero"));
            assert_eq!(transfers, Transfers { small, large });
        }
    }
}
