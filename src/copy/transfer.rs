//! Carrying out a plan.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};

use super::Plan;
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
    /// How many manifests were sent, those included that were only to be tagged.
    pub manifests: u64,
    /// How many blobs the target had already; those below a manifest that it had are not looked up and not counted.
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
/// `2 + 3n + 1`; from another repository of any registry one more, and `n` more where the content is not mounted. Where a registry then says that it lacks a blob which it seemed to have, two for each such blob and one
/// for the manifest besides. Of a pull from a repository: all there 1; cold `1 + n`, one more from Docker Hub,
/// where a `HEAD` goes first; and one more where one manifest is taken out of an index, unless that is there (and, from
/// Docker Hub, the target has [noted](Target::note_index) the index).
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
    /// **Requests**: for each blob that a repository as the target lacks `HEAD`, `POST`, `PUT` there, and a `GET` where it
    /// comes from one; `HEAD` and `POST` alone where the two are on one registry, which mounts it; `HEAD` for each that is
    /// there; one `PUT` for each step.
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
    options.progress.event(Event::Planned { blobs: plan.blobs().len() as u64, bytes: plan.bytes() });

    let transfers = options.transfers;
    let (large, small): (Vec<_>, Vec<_>) = plan.blobs().iter().cloned().partition(|blob| blob.size > LARGE);
    let mut moves = if transfers.large == 0 {
        move_blobs(from, to, plan.blobs().to_vec(), Belief::AsTold, transfers.small, options).await?
    } else {
        let small = move_blobs(from, to, small, Belief::AsTold, transfers.small, options);
        let large = move_blobs(from, to, large, Belief::AsTold, transfers.large, options);
        let (small, large) = future::try_join(small, large).await?;
        [small, large].concat()
    };

    for step in plan.steps() {
        push_manifest(from, to, &step.manifest, step.tag.as_ref(), options, &mut moves).await?;
    }

    if let Some(index) = plan.index()
        && let Err(error) = to.note_index(index).await
    {
        // All that was asked for is there, and the next copy costs one request more.
        tracing::debug!(%error, "an index could not be noted");
    }

    let manifests = plan.steps().len() as u64;
    let mut summary = Summary { root: plan.root().clone(), manifests, existed: 0, moved: 0, mounted: 0, bytes: 0 };
    for Moved { blob, how } in moves {
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
}

/// What is believed of a target about a blob.
#[derive(Clone, Copy)]
enum Belief {
    /// What it says itself.
    AsTold,
    /// That it lacks the blob, whatever it says.
    Lacking,
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
            Belief::AsTold => to.push_blob(&blob).await?,
            Belief::Lacking => to.repush_blob(&blob).await?,
        };
        options.progress.event(Event::Finished { descriptor: &descriptor, how });
        Ok::<_, Error>(Moved { blob: descriptor, how })
    };
    stream::iter(blobs).map(move_one).buffer_unordered(width).try_collect().await
}

/// Pushes a manifest. Where the target then lacks what it seemed to have, that is pushed, and the manifest again, once.
async fn push_manifest(
    from: &impl Source,
    to: &impl Target,
    manifest: &Manifest,
    tag: Option<&Tag>,
    options: &CopyOptions,
    moves: &mut Vec<Moved>,
) -> Result<(), Error> {
    let Err(error) = to.push_manifest(manifest, tag).await else { return Ok(()) };
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
    let anew: HashSet<Digest> = again.iter().map(|moved| moved.blob.digest).collect();
    moves.retain(|moved| !anew.contains(&moved.blob.digest));
    moves.extend(again);
    for child in children {
        to.push_manifest(&child.manifest, None).await?;
    }
    to.push_manifest(manifest, tag).await
}

/// Says whether a manifest was refused because of what should be below it.
fn lacks_content(error: &Error, manifest: &Manifest) -> bool {
    error.codes().any(|code| match code {
        ErrorCode::ManifestBlobUnknown | ErrorCode::BlobUnknown => true,
        ErrorCode::ManifestUnknown => manifest.index().is_some(),
        _ => false,
    })
}

/// From which size on, in bytes, a blob counts as large.
const LARGE: u64 = 4 << 20;
/// As many as Spin's own client moves at a time.
const DEFAULT_TRANSFERS: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not zero");

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::{Method, StatusCode, Uri};

    use super::*;
    use crate::content::Blob;
    use crate::error::{Details, Refused, RequestLine};
    use crate::model::{ErrorEntry, MediaType};

    /// A source of one image, and a target that seems to have its layers; `lies` says how often it then does not.
    struct Forgetful {
        image: Manifest,
        lies: Mutex<u32>,
        log: Mutex<Vec<String>>,
    }

    impl Forgetful {
        fn new(lies: u32) -> Self {
            let descriptor = |text: &str| Descriptor::of(MediaType::OCTET_STREAM, text.as_bytes());
            let (config, layer) = (descriptor("config"), descriptor("layer"));
            let text = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
            let image = Manifest::parse(text.to_string(), None).expect("a manifest");
            Self { image, lies: Mutex::new(lies), log: Mutex::default() }
        }

        fn note(&self, doing: &str, digest: Digest) {
            let what = if digest == Digest::of(b"config") { "config" } else { "layer" };
            self.log.lock().expect("no test panics in here").push(format!("{doing} {what}"));
        }
    }

    impl Source for Forgetful {
        async fn resolve(&self, _: &Identifier) -> Result<Descriptor, Error> {
            Ok(self.image.descriptor().clone())
        }

        async fn manifest(&self, _: &Identifier) -> Result<Manifest, Error> {
            Ok(self.image.clone())
        }

        fn blob(&self, descriptor: &Descriptor) -> Blob {
            Blob::file(descriptor.clone(), "")
        }
    }

    impl Target for Forgetful {
        async fn exists(&self, _: &Descriptor) -> Result<bool, Error> {
            Ok(false)
        }

        async fn push_blob(&self, blob: &Blob) -> Result<Pushed, Error> {
            let digest = blob.descriptor().digest;
            self.note("push", digest);
            Ok(if digest == Digest::of(b"config") { Pushed::Uploaded } else { Pushed::Existed })
        }

        async fn repush_blob(&self, blob: &Blob) -> Result<Pushed, Error> {
            self.note("repush", blob.descriptor().digest);
            Ok(Pushed::Uploaded)
        }

        async fn push_manifest(&self, _: &Manifest, _: Option<&Tag>) -> Result<(), Error> {
            let mut lies = self.lies.lock().expect("no test panics in here");
            if *lies == 0 {
                return Ok(());
            }
            *lies -= 1;
            let request = RequestLine::new(&Method::PUT, &Uri::from_static("/v2/a/manifests/v1"));
            let errors = vec![ErrorEntry::new(ErrorCode::ManifestBlobUnknown, "")];
            let (status, details) = (StatusCode::BAD_REQUEST, Details::default());
            Err(Box::new(Refused { request, status, errors, attempts: 1, details }).into())
        }

        async fn tidy(&self) {
            self.log.lock().expect("no test panics in here").push("tidy".to_owned());
        }
    }

    #[tokio::test]
    async fn what_seemed_to_be_there_is_pushed_again_once() {
        let cold = ["push config", "push layer"];
        for (lies, more, counts) in [
            (0, &[][..], Some((1, 1, 6))),
            (1, &["repush layer"], Some((0, 2, 11))),
            (2, &["repush layer", "tidy"], None),
        ] {
            let shelf = Forgetful::new(lies);
            let id = Identifier::Tag(Tag::latest());
            let one = NonZeroUsize::new(1).expect("not zero");
            let options = CopyOptions { transfers: Transfers::at_most(one), ..CopyOptions::default() };
            let outcome = copy(&shelf, &id, &shelf, None, &options).await;
            let summary = outcome.ok().map(|summary| (summary.existed, summary.moved, summary.bytes));
            assert_eq!(summary, counts, "{lies} lies");
            assert_eq!(*shelf.log.lock().expect("no test panics in here"), [&cold, more].concat(), "{lies} lies");
        }
    }

    #[test]
    fn the_number_of_transfers_is_never_exceeded() {
        for (n, small, large) in [(1, 1, 0), (3, 3, 0), (4, 3, 1), (16, 12, 4)] {
            let transfers = Transfers::at_most(NonZeroUsize::new(n).expect("not zero"));
            assert_eq!(transfers, Transfers { small, large });
        }
    }
}
