//! What has to move.

use std::collections::HashSet;

use super::{CopyOptions, Referrers};
use crate::content::{Source, Tagged, Target, Vacancy};
use crate::error::{Details, Error, Missing, Place};
use crate::model::{Descriptor, Digest, Identifier, ImageIndex, Manifest, MediaType, ParseError, Platform, Tag};

/// What has to move so that the target has a manifest and everything below it.
#[derive(Clone, Debug)]
pub struct Plan {
    root: Descriptor,
    blobs: Vec<Descriptor>,
    believed: Vec<Descriptor>,
    steps: Vec<Step>,
    index: Option<Manifest>,
    dangling: Vec<Descriptor>,
    pub(super) questions: Questions,
}

/// A manifest that the target is to be given.
#[derive(Clone, Debug)]
pub struct Step {
    /// The manifest.
    pub manifest: Manifest,
    /// The tag that is to point to it.
    pub tag: Option<Tag>,
}

/// How often each side was asked while a plan was made. For a repository each is one request, those about tokens aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// Manifests, lists of tags and lists of referrers that the source was asked for.
    pub source: u64,
    /// Manifests and tags that the target was asked about.
    pub target: u64,
}

impl Plan {
    /// Finds out what has to move.
    ///
    /// With [`CopyOptions::platforms`] an index at the root stands for its first child that serves one of them, the first
    /// platform preferred; where none does, for the only child that says nothing about platforms. Without, the whole index
    /// is meant. With [`Referrers::Taken`] whatever refers to the root, to what is below it, or to such a referrer is meant
    /// as well.
    ///
    /// What a target [holds](Target::held) that is wanted by its digest and without a tag is asked for nowhere. Else this
    /// asks the source for each manifest, and the target for the tag, for the root, and for each child of an index. Where
    /// the tag points to another image, its blobs are [believed](Self::believed) to be there, and the root is asked for only
    /// where more than 4 others are needed. Where it points to nothing, some targets are asked first whether they have
    /// [anything](Target::vacancy), and nothing else if not. A source
    /// that [counts what is read](Source::counts_reads) is asked what `id` names, and for the manifest only where the
    /// target has it not, or neither its child nor a [note](Target::noted_index) of the index. For referrers the source is
    /// asked for its tags, for those of each manifest, and for those that the target has not.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where the source has not what is asked for, or an index serves none of the platforms;
    /// [`Error::Parse`] where an index nests deeper than 8 levels, or more than 10 000 manifests or 64 MiB of them are
    /// below the root.
    pub async fn build(
        from: &impl Source,
        id: &Identifier,
        to: &impl Target,
        tag: Option<&Tag>,
        options: &CopyOptions,
    ) -> Result<Self, Error> {
        let platforms = options.platforms.as_slice();
        if let (Identifier::Digest(digest), None, Referrers::Left) = (id, tag, options.referrers)
            && let Some(root) = held(to, digest, id, platforms).await?
        {
            return Ok(Self::nothing(root));
        }
        let mut asked = Questions::default();
        let mut exact = id.clone();
        let mut tagged = None;
        if from.counts_reads() {
            asked.source += 1;
            let root = from.resolve(id).await?;
            // What the name stands for may change meanwhile, and what was resolved is what is meant.
            exact = Identifier::Digest(root.digest);
            let narrowed = root.media_type.is_index() && !platforms.is_empty();
            let wanted = match to.noted_index(&root).await?.as_ref().and_then(Manifest::index).filter(|_| narrowed) {
                Some(index) => Some(bare(select(index, id, platforms)?)),
                None => Some(root).filter(|_| !narrowed),
            };
            if let Some(wanted) = wanted.filter(|_| options.referrers == Referrers::Left) {
                asked.target += 1;
                let is_there = match tag {
                    // What is only to be tagged has to be at hand.
                    Some(tag) => matches!(tagged.insert(to.tagged(tag, &wanted).await?), Tagged::Wanted),
                    None => to.exists(&wanted).await?,
                };
                if is_there {
                    return Ok(Self { questions: asked, ..Self::nothing(wanted) });
                }
            }
        }
        asked.source += 1;
        let mut root = from.manifest(&exact).await?;
        let mut index = None;
        if let Some(whole) = root.index().filter(|_| !platforms.is_empty()) {
            let child = bare(select(whole, id, platforms)?);
            index = Some(root);
            if tag.is_none() && options.referrers == Referrers::Left {
                asked.target += 1;
                if to.exists(&child).await? {
                    return Ok(Self { index, questions: asked, ..Self::nothing(child) });
                }
            }
            asked.source += 1;
            root = from.manifest(&Identifier::Digest(child.digest)).await?;
        }
        let mut plan = Self::nothing(root.descriptor().clone());
        (plan.index, plan.questions) = (index, asked);
        let mut walk = Walk::new(from, to, plan);
        if options.referrers == Referrers::Taken {
            walk.attach(&root).await?;
        }
        walk.place(root, tag, tagged).await?;
        Ok(walk.plan)
    }

    /// Lists everything at and below `root`, whatever `to` says that it has.
    pub(super) async fn whole(from: &impl Source, to: &impl Target, root: Manifest) -> Result<Self, Error> {
        let mut walk = Walk::new(from, to, Self::nothing(root.descriptor().clone()));
        walk.descend(root, Prune::Nothing).await?;
        Ok(walk.plan)
    }

    /// Plans to move nothing.
    fn nothing(root: Descriptor) -> Self {
        let (blobs, believed, steps, dangling) = Default::default();
        Self { root, blobs, believed, steps, index: None, dangling, questions: Questions::default() }
    }

    /// Describes the manifest that is wanted.
    pub fn root(&self) -> &Descriptor {
        &self.root
    }

    /// Returns the blobs that may have to move, each once.
    pub fn blobs(&self) -> &[Descriptor] {
        &self.blobs
    }

    /// Returns the blobs that the target is believed to have, because what the tag points to now lists them, each once.
    /// They are asked for where the target then says that it has not.
    pub fn believed(&self) -> &[Descriptor] {
        &self.believed
    }

    /// Returns the manifests that have to move or to be tagged, in this order: children before parents, referrers before
    /// the root, which is the last. Whoever sees a tag then finds everything.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns what lists of referrers name and the source has not.
    pub fn dangling(&self) -> &[Descriptor] {
        &self.dangling
    }

    /// Says how often each side was asked.
    pub fn questions(&self) -> Questions {
        self.questions
    }

    /// Returns the index that the root was taken out of.
    pub(super) fn index(&self) -> Option<&Manifest> {
        self.index.as_ref()
    }

    /// Returns how many bytes the blobs have together, those included that are believed to be there, as their descriptors
    /// claim.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().chain(&self.believed).fold(0, |sum, blob| sum.saturating_add(blob.size))
    }
}

/// A plan while it is made. Several roots share what was seen.
pub(super) struct Walk<'a, F, T> {
    pub(super) from: &'a F,
    pub(super) to: &'a T,
    pub(super) plan: Plan,
    blobs: HashSet<(Digest, MediaType)>,
    manifests: HashSet<Digest>,
    bytes: u64,
    /// What the target is believed to have.
    credit: HashSet<Digest>,
}

impl<'a, F: Source, T: Target> Walk<'a, F, T> {
    fn new(from: &'a F, to: &'a T, plan: Plan) -> Self {
        let (blobs, manifests, credit) = Default::default();
        Self { from, to, plan, blobs, manifests, bytes: 0, credit }
    }

    /// Plans for a root, and for a tag that is to point to it: what the target has is left out. `tagged` is what the tag
    /// points to now, where that was asked already.
    pub(super) async fn place(
        &mut self,
        root: Manifest,
        tag: Option<&Tag>,
        tagged: Option<Tagged>,
    ) -> Result<(), Error> {
        let mut present = None;
        if let Some(tag) = tag {
            let points_to = match tagged {
                Some(known) => known,
                None => {
                    self.plan.questions.target += 1;
                    self.to.tagged(tag, root.descriptor()).await?
                }
            };
            match points_to {
                Tagged::Wanted => return Ok(()),
                Tagged::Other(manifest) => present = Some(*manifest),
                Tagged::Unknown => {}
            }
        }
        let tag = tag.cloned();
        let vacancy = if present.is_none() { self.vacancy(&root).await? } else { Vacancy::Occupied };
        if vacancy != Vacancy::Vacant && is_worth_asking_for(&root, present.as_ref()) {
            self.plan.questions.target += 1;
            if self.to.exists(root.descriptor()).await? {
                if tag.is_some() {
                    self.plan.steps.push(Step { manifest: root, tag });
                }
                return Ok(());
            }
        }
        self.credit.extend(present.iter().flat_map(listed).map(|blob| blob.digest));
        self.descend(root, Prune::WhatIsThere).await?;
        if let Some(last) = self.plan.steps.last_mut() {
            last.tag = tag;
        }
        Ok(())
    }

    /// Asks whether the target has anything, where that spares requests.
    async fn vacancy(&mut self, root: &Manifest) -> Result<Vacancy, Error> {
        let blobs: Vec<Descriptor> = listed(root).cloned().collect();
        let vacancy = self.to.vacancy(&blobs).await?;
        self.plan.questions.target += u64::from(vacancy != Vacancy::Unsaid);
        Ok(vacancy)
    }

    /// Reads a manifest from the source, by its digest.
    pub(super) async fn read(&mut self, digest: Digest) -> Result<Manifest, Error> {
        self.plan.questions.source += 1;
        self.from.manifest(&Identifier::Digest(digest)).await
    }

    /// Walks what is below `root`, children before parents, without recursion.
    async fn descend(&mut self, root: Manifest, prune: Prune) -> Result<(), Error> {
        self.manifests.insert(root.digest());
        let mut visits = vec![Visit::Enter(root, 0)];
        while let Some(visit) = visits.pop() {
            let (manifest, depth) = match visit {
                Visit::Enter(manifest, depth) => (manifest, depth),
                Visit::Find(child, depth) => {
                    if !self.manifests.insert(child.digest) {
                        continue;
                    }
                    if prune == Prune::WhatIsThere {
                        self.plan.questions.target += 1;
                        if self.to.exists(&child).await? {
                            continue;
                        }
                    }
                    if depth > MAX_DEPTH || self.manifests.len() > MAX_MANIFESTS {
                        return Err(self.too_much("at most 8 levels and 10000 manifests below it"));
                    }
                    (self.read(child.digest).await?, depth)
                }
                Visit::Leave(manifest) => {
                    self.plan.steps.push(Step { manifest, tag: None });
                    continue;
                }
            };
            // All of them are kept until the end, and a registry may name many and send long ones.
            self.bytes += manifest.bytes().len() as u64;
            if self.bytes > MAX_BYTES {
                return Err(self.too_much("at most 64 MiB of manifests below it"));
            }
            self.to.announce(&manifest);
            let blobs = manifest.blobs().filter(|blob| {
                // What its author alone may give away is asked for where the target insists on it.
                let is_elsewhere = prune == Prune::WhatIsThere && blob.media_type.is_nondistributable();
                !is_elsewhere && self.blobs.insert((blob.digest, blob.media_type.clone()))
            });
            for blob in blobs {
                let is_believed = prune == Prune::WhatIsThere && self.credit.contains(&blob.digest);
                let list = if is_believed { &mut self.plan.believed } else { &mut self.plan.blobs };
                list.push(blob.clone());
            }
            let children: Vec<_> = manifest.manifests().map(|child| Visit::Find(child.clone(), depth + 1)).collect();
            visits.push(Visit::Leave(manifest));
            visits.extend(children);
        }
        Ok(())
    }

    /// Plans for a manifest that the target has not.
    pub(super) async fn descend_into(&mut self, manifest: Manifest) -> Result<(), Error> {
        self.descend(manifest, Prune::WhatIsThere).await
    }

    /// Refuses a root below which there is too much.
    pub(super) fn too_much(&self, expected: &'static str) -> Error {
        ParseError::new("index", &self.plan.root.digest.to_string(), expected).into()
    }

    /// Takes note of a referrer that is not there.
    pub(super) fn misses(&mut self, referrer: Descriptor) {
        self.plan.dangling.push(referrer);
    }
}

/// Describes what a digest stands for on these platforms, where the target has that at hand.
async fn held(
    to: &impl Target,
    digest: &Digest,
    id: &Identifier,
    platforms: &[Platform],
) -> Result<Option<Descriptor>, Error> {
    let index = Descriptor::new(MediaType::IMAGE_INDEX, *digest, 0);
    // An index of another type may be noted; then the source says which.
    let noted = if platforms.is_empty() { None } else { to.noted_index(&index).await.ok().flatten() };
    match noted.as_ref().and_then(Manifest::index) {
        Some(index) => to.held(&select(index, id, platforms)?.digest).await,
        None => to.held(digest).await,
    }
}

/// Lists the blobs of a manifest that whoever has the manifest has as well. What is below an index is none of that: it may
/// list what is elsewhere.
fn listed(manifest: &Manifest) -> impl Iterator<Item = &Descriptor> {
    manifest.blobs().filter(|blob| !blob.media_type.is_nondistributable())
}

/// Says whether a target is asked for a root whose tag points to `present`: that costs a request, and spares one for each
/// blob where the root is there, as when a tag is set back.
fn is_worth_asking_for(root: &Manifest, present: Option<&Manifest>) -> bool {
    let Some(present) = present.filter(|_| root.index().is_none()) else { return true };
    let there: HashSet<Digest> = listed(present).map(|blob| blob.digest).collect();
    let lacking: HashSet<Digest> = listed(root).map(|blob| blob.digest).filter(|blob| !there.contains(blob)).collect();
    lacking.len() > FEW
}

/// Leaves out what an index says about its child.
fn bare(child: &Descriptor) -> Descriptor {
    Descriptor::new(child.media_type.clone(), child.digest, child.size)
}

/// Chooses a child of an index for one of `platforms`, the first preferred.
pub(crate) fn select<'a>(
    index: &'a ImageIndex,
    id: &Identifier,
    platforms: &[Platform],
) -> Result<&'a Descriptor, Error> {
    if let Some(child) = platforms.iter().find_map(|platform| index.select(platform)) {
        let platform = child.platform.as_ref().map(Platform::to_string).unwrap_or_default();
        tracing::debug!(digest = %child.digest, %platform, "of the index this is the manifest for us");
        return Ok(child);
    }
    let mut unsaid = index.manifests.iter().filter(|child| child.platform.is_none());
    match (unsaid.next(), unsaid.count()) {
        (Some(child), 0) => {
            tracing::debug!(digest = %child.digest, "of the index only this manifest is for no platform in particular");
            Ok(child)
        }
        (_, more) => Err(none_fits(index, id, platforms, more)),
    }
}

/// Says what an index has instead of what is wanted; of its children, `unsaid` and one more, if there are any, say nothing.
fn none_fits(index: &ImageIndex, id: &Identifier, platforms: &[Platform], unsaid: usize) -> Error {
    let list = |platforms: &mut dyn Iterator<Item = String>| {
        let names: Vec<String> = platforms.take(SHOWN_PLATFORMS).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let wanted = list(&mut platforms.iter().map(Platform::to_string));
    let there = list(&mut index.manifests.iter().filter_map(|child| child.platform.as_ref()).map(Platform::to_string));
    let unsaid = if unsaid > 0 { format!(", and {} that name no platform", unsaid + 1) } else { String::new() };
    let what = format!("a manifest for {wanted} (the index `{id}` serves {there}{unsaid})");
    let (place, errors, details) = (Place::Unknown, Vec::new(), Details::default());
    Error::NotFound(Box::new(Missing { what, place, errors, details }))
}

/// What a walk leaves out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prune {
    WhatIsThere,
    Nothing,
}

/// A step of the walk.
enum Visit {
    /// Looks below a manifest that is at hand.
    Enter(Manifest, usize),
    /// Reads a child that the target has not, and looks below it.
    Find(Descriptor, usize),
    /// Everything below is in the plan: now the manifest itself.
    Leave(Manifest),
}

/// How many blobs are asked for themselves rather than through the manifest that lists them: two files that have changed,
/// with the lock file and the config that change along.
const FEW: usize = 4;
/// How deep indexes may nest: no tool makes more than two levels.
const MAX_DEPTH: usize = 8;
/// How many manifests one root may have: a bound on what a hostile index can make us ask for.
pub(super) const MAX_MANIFESTS: usize = 10_000;
/// How many platforms an error lists.
const SHOWN_PLATFORMS: usize = 12;

/// How many bytes all manifests below a root may have together.
const MAX_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests;
