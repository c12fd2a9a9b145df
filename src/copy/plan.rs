//! What has to move.

use std::collections::HashSet;

use crate::content::{Source, Target};
use crate::error::{Details, Error, Missing, Place};
use crate::model::{Descriptor, Identifier, ImageIndex, Manifest, ParseError, Platform, Tag};

/// What has to move so that the target has a manifest and everything below it.
#[derive(Clone, Debug)]
pub struct Plan {
    root: Descriptor,
    blobs: Vec<Descriptor>,
    manifests: Vec<Manifest>,
    tagging: Option<Manifest>,
    index: Option<Manifest>,
}

impl Plan {
    /// Finds out what has to move.
    ///
    /// With `platforms` an index at the root stands for its first child that serves one of them, the first platform
    /// preferred; where none does, for the only child that says nothing about platforms. Without, the whole index is
    /// meant.
    ///
    /// Asks the source for each manifest, and the target for the tag, for the root, and for each child of an index. A source
    /// that [counts what is read](Source::counts_reads) is asked what `id` names, and for the manifest only where the
    /// target has it not, or neither its child nor a [note](Target::noted_index) of the index.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where the source has not what is asked for, or an index serves none of `platforms`;
    /// [`Error::Parse`] where an index nests deeper than 8 levels or has more than 10 000 manifests below it.
    pub async fn build(
        from: &impl Source,
        id: &Identifier,
        platforms: &[Platform],
        to: &impl Target,
        tag: Option<&Tag>,
    ) -> Result<Self, Error> {
        let mut exact = id.clone();
        if from.counts_reads() {
            let root = from.resolve(id).await?;
            // What the name stands for may change meanwhile, and what was resolved is what is meant.
            exact = Identifier::Digest(root.digest);
            let narrowed = root.media_type.is_index() && !platforms.is_empty();
            let wanted = match to.noted_index(&root).await?.as_ref().and_then(Manifest::index).filter(|_| narrowed) {
                Some(index) => Some(bare(select(index, id, platforms)?)),
                None => Some(root).filter(|_| !narrowed),
            };
            if let Some(wanted) = wanted
                && tag.is_none()
                && to.exists(&wanted).await?
            {
                return Ok(Self::nothing(wanted));
            }
        }
        let mut root = from.manifest(&exact).await?;
        let mut index = None;
        if let Some(whole) = root.index().filter(|_| !platforms.is_empty()) {
            let child = bare(select(whole, id, platforms)?);
            index = Some(root);
            if tag.is_none() && to.exists(&child).await? {
                return Ok(Self { index, ..Self::nothing(child) });
            }
            root = from.manifest(&Identifier::Digest(child.digest)).await?;
        }
        let mut plan = Self { index, ..Self::nothing(root.descriptor().clone()) };
        if let Some(tag) = tag
            && to.tagged(tag).await? == Some(root.digest())
        {
            return Ok(plan);
        }
        if to.exists(root.descriptor()).await? {
            plan.tagging = tag.map(|_| root);
            return Ok(plan);
        }
        plan.descend(from, to, root, Prune::WhatIsThere).await?;
        Ok(plan)
    }

    /// Lists everything at and below `root`, whatever `to` says that it has.
    pub(super) async fn whole(from: &impl Source, to: &impl Target, root: Manifest) -> Result<Self, Error> {
        let mut plan = Self::nothing(root.descriptor().clone());
        plan.descend(from, to, root, Prune::Nothing).await?;
        Ok(plan)
    }

    /// Plans to move nothing.
    fn nothing(root: Descriptor) -> Self {
        Self { root, blobs: Vec::new(), manifests: Vec::new(), tagging: None, index: None }
    }

    /// Walks what is below `root`, children before parents, without recursion.
    async fn descend(
        &mut self,
        from: &impl Source,
        to: &impl Target,
        root: Manifest,
        prune: Prune,
    ) -> Result<(), Error> {
        let mut seen_blobs = HashSet::new();
        let mut seen_manifests = HashSet::from([root.digest()]);
        let mut visits = vec![Visit::Enter(root, 0)];
        let mut bytes: u64 = 0;
        while let Some(visit) = visits.pop() {
            let (manifest, depth) = match visit {
                Visit::Enter(manifest, depth) => (manifest, depth),
                Visit::Find(child, depth) => {
                    if !seen_manifests.insert(child.digest) {
                        continue;
                    }
                    if prune == Prune::WhatIsThere && to.exists(&child).await? {
                        continue;
                    }
                    if depth > MAX_DEPTH || seen_manifests.len() > MAX_MANIFESTS {
                        let expected = "at most 8 levels and 10000 manifests below it";
                        return Err(ParseError::new("index", &self.root.digest.to_string(), expected).into());
                    }
                    (from.manifest(&Identifier::Digest(child.digest)).await?, depth)
                }
                Visit::Leave(manifest) => {
                    self.manifests.push(manifest);
                    continue;
                }
            };
            // All of them are kept until the end, and a registry may name many and send long ones.
            bytes += manifest.bytes().len() as u64;
            if depth > 0 && bytes > MAX_BYTES {
                let expected = "at most 64 MiB of manifests below it";
                return Err(ParseError::new("index", &self.root.digest.to_string(), expected).into());
            }
            let new = |blob: &&Descriptor| seen_blobs.insert((blob.digest, blob.media_type.clone()));
            self.blobs.extend(manifest.blobs().filter(new).cloned());
            let children: Vec<_> = manifest.manifests().map(|child| Visit::Find(child.clone(), depth + 1)).collect();
            visits.push(Visit::Leave(manifest));
            visits.extend(children);
        }
        Ok(())
    }

    /// Describes the manifest that is wanted.
    pub fn root(&self) -> &Descriptor {
        &self.root
    }

    /// Returns the blobs that may have to move, each once.
    pub fn blobs(&self) -> &[Descriptor] {
        &self.blobs
    }

    /// Returns the manifests that have to move, children before parents; the root is the last.
    pub fn manifests(&self) -> &[Manifest] {
        &self.manifests
    }

    /// Returns the root where it is there already and only the tag has to be set.
    pub(super) fn tagging(&self) -> Option<&Manifest> {
        self.tagging.as_ref()
    }

    /// Returns the index that the root was taken out of.
    pub(super) fn index(&self) -> Option<&Manifest> {
        self.index.as_ref()
    }

    /// Returns how many bytes the blobs have together, as their descriptors claim.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().fold(0, |sum, blob| sum.saturating_add(blob.size))
    }
}

/// Leaves out what an index says about its child.
fn bare(child: &Descriptor) -> Descriptor {
    Descriptor::new(child.media_type.clone(), child.digest, child.size)
}

fn select<'a>(index: &'a ImageIndex, id: &Identifier, platforms: &[Platform]) -> Result<&'a Descriptor, Error> {
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

/// How deep indexes may nest: no tool makes more than two levels.
const MAX_DEPTH: usize = 8;
/// How many manifests one root may have: a bound on what a hostile index can make us ask for.
const MAX_MANIFESTS: usize = 10_000;
/// How many platforms an error lists.
const SHOWN_PLATFORMS: usize = 12;

/// How many bytes all manifests below an index may have together.
const MAX_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::content::{Blob, Pushed};
    use crate::model::{Digest, MediaType};

    /// A source in memory, and a target that has `there` and takes nothing.
    #[derive(Default)]
    struct Shelf {
        manifests: HashMap<Digest, Manifest>,
        there: Vec<Digest>,
        tagged: Option<Digest>,
        counts: bool,
        read: AtomicUsize,
        noted: Option<Manifest>,
    }

    impl Source for Shelf {
        async fn resolve(&self, id: &Identifier) -> Result<Descriptor, Error> {
            let digest = id.digest().expect("tests ask by digest");
            Ok(self.manifests.get(digest).expect("tests ask for what is there").descriptor().clone())
        }

        fn counts_reads(&self) -> bool {
            self.counts
        }

        async fn manifest(&self, id: &Identifier) -> Result<Manifest, Error> {
            self.read.fetch_add(1, Ordering::Relaxed);
            let digest = id.digest().expect("tests ask by digest");
            Ok(self.manifests.get(digest).expect("tests ask for what is there").clone())
        }

        fn blob(&self, descriptor: &Descriptor) -> Blob {
            Blob::file(descriptor.clone(), "")
        }
    }

    impl Target for Shelf {
        async fn exists(&self, descriptor: &Descriptor) -> Result<bool, Error> {
            Ok(self.there.contains(&descriptor.digest))
        }

        async fn tagged(&self, _: &Tag) -> Result<Option<Digest>, Error> {
            Ok(self.tagged)
        }

        async fn noted_index(&self, index: &Descriptor) -> Result<Option<Manifest>, Error> {
            Ok(self.noted.clone().filter(|noted| noted.digest() == index.digest))
        }

        async fn push_blob(&self, _: &Blob) -> Result<Pushed, Error> {
            Ok(Pushed::Existed)
        }

        async fn push_manifest(&self, _: &Manifest, _: Option<&Tag>) -> Result<(), Error> {
            Ok(())
        }
    }

    impl Shelf {
        fn image(&mut self, layers: &[&str]) -> Digest {
            let blob = |text: &str| {
                let descriptor = Descriptor::of(MediaType::OCTET_STREAM, text.as_bytes());
                serde_json::to_string(&descriptor).expect("plain data")
            };
            let layers: Vec<String> = layers.iter().map(|layer| blob(layer)).collect();
            self.put(format!(r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#, blob("config"), layers.join(",")))
        }

        fn index(&mut self, children: &[Digest]) -> Digest {
            let children: Vec<String> = children
                .iter()
                .map(|digest| serde_json::to_string(self.manifests[digest].descriptor()).expect("plain data"))
                .collect();
            self.put(format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, children.join(",")))
        }

        fn put(&mut self, text: String) -> Digest {
            let manifest = Manifest::parse(text, None).expect("a manifest");
            let digest = manifest.digest();
            self.manifests.insert(digest, manifest);
            digest
        }
    }

    async fn plan(from: &Shelf, root: Digest, to: &Shelf) -> Plan {
        let tag: Tag = "v1".parse().expect("a tag");
        Plan::build(from, &Identifier::Digest(root), &[], to, Some(&tag)).await.expect("a plan")
    }

    #[tokio::test]
    async fn blobs_are_listed_once_and_children_before_parents() {
        let mut from = Shelf::default();
        let shared = from.image(&["x", "y", "x"]);
        let left = from.index(&[shared]);
        let other = from.image(&["y", "z"]);
        let right = from.index(&[shared, other]);
        let root = from.index(&[left, right]);
        let plan = plan(&from, root, &Shelf::default()).await;
        assert_eq!(plan.blobs().len(), 4, "config, x, y, z");
        let order: Vec<Digest> = plan.manifests().iter().map(Manifest::digest).collect();
        let position = |digest| order.iter().position(|other| *other == digest).expect("it is in the plan");
        for (child, parent) in [(shared, left), (shared, right), (other, right), (left, root), (right, root)] {
            assert!(position(child) < position(parent));
        }
        assert_eq!(order.len(), 5);
    }

    #[tokio::test]
    async fn r2_manifests_do_not_fill_the_memory() {
        let mut from = Shelf::default();
        let padding = " ".repeat(7 << 20);
        let children: Vec<Digest> =
            (0..10).map(|n| from.put(format!(r#"{{"schemaVersion":2,"manifests":[],"n":{n}{padding}}}"#))).collect();
        let (few, many) = (from.index(&children[..9]), from.index(&children));
        assert_eq!(plan(&from, few, &Shelf::default()).await.manifests().len(), 10);
        let error = Plan::build(&from, &Identifier::Digest(many), &[], &Shelf::default(), None).await;
        let error = error.expect_err("more than 64 MiB").to_string();
        assert!(error.contains("64 MiB"), "{error}");
    }

    #[tokio::test]
    async fn what_the_target_has_is_left_out() {
        let mut from = Shelf::default();
        let (first, second) = (from.image(&["x"]), from.image(&["y"]));
        let root = from.index(&[first, second]);
        let child_there = plan(&from, root, &Shelf { there: vec![first], ..Shelf::default() }).await;
        assert_eq!((child_there.blobs().len(), child_there.manifests().len()), (2, 2));
        let root_there = plan(&from, root, &Shelf { there: vec![root], ..Shelf::default() }).await;
        assert_eq!((root_there.blobs().len(), root_there.manifests().len()), (0, 0));
        assert!(root_there.tagging().is_some(), "only the tag is to be set");
        let unchanged = plan(&from, root, &Shelf { tagged: Some(root), ..Shelf::default() }).await;
        assert!(unchanged.tagging().is_none());
    }

    #[tokio::test]
    async fn an_index_stands_for_the_platform_that_is_preferred() {
        let mut from = Shelf::default();
        let (linux, wasm) = (from.image(&["x"]), from.image(&["y"]));
        let child = |digest: Digest, os: &str, architecture: &str| {
            let mut descriptor = from.manifests[&digest].descriptor().clone();
            descriptor.platform = Some(Platform::new(os, architecture));
            serde_json::to_string(&descriptor).expect("plain data")
        };
        let children = [child(linux, "linux", "amd64"), child(wasm, "wasip1", "wasm")].join(",");
        let root = from.put(format!(r#"{{"schemaVersion":2,"manifests":[{children}]}}"#));
        let build = async |platforms: &[Platform]| {
            Plan::build(&from, &Identifier::Digest(root), platforms, &Shelf::default(), None).await
        };
        let preferred = [Platform::new("wasip1", "wasm"), Platform::new("linux", "amd64")];
        assert_eq!(build(&preferred).await.expect("a plan").root().digest, wasm);
        assert_eq!(build(&preferred[1..]).await.expect("a plan").root().digest, linux);
        let error = build(&[Platform::new("linux", "s390x")]).await.expect_err("nothing serves it");
        assert!(error.to_string().contains("serves linux/amd64, wasip1/wasm"), "{error}");
    }

    #[tokio::test]
    async fn an_index_of_one_manifest_for_no_platform_stands_for_it() {
        let mut from = Shelf::default();
        let (one, two) = (from.image(&["x"]), from.image(&["y"]));
        let (alone, both) = (from.index(&[one]), from.index(&[one, two]));
        let platforms = [Platform::new("wasip1", "wasm")];
        let build =
            async |root: Digest, to: &Shelf| Plan::build(&from, &Identifier::Digest(root), &platforms, to, None).await;
        assert_eq!(build(alone, &Shelf::default()).await.expect("a plan").root().digest, one);
        let error = build(both, &Shelf::default()).await.expect_err("which one?");
        assert!(error.to_string().contains("serves none, and 2 that name no platform"), "{error}");
        // Where it is there already, the index is all that is read.
        from.read.store(0, Ordering::Relaxed);
        let plan = build(alone, &Shelf { there: vec![one], ..Shelf::default() }).await.expect("a plan");
        assert_eq!((plan.root().digest, plan.index().map(Manifest::digest)), (one, Some(alone)));
        assert_eq!(from.read.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn where_reads_are_counted_only_what_is_missing_is_read() {
        let mut from = Shelf { counts: true, ..Shelf::default() };
        let image = from.image(&["x"]);
        let index = from.index(&[image]);
        let tag: Tag = "v1".parse().expect("a tag");
        for (root, there, tag, platforms, reads) in [
            (image, vec![image], None, &[][..], 0),
            (image, vec![], None, &[], 1),
            (index, vec![index], None, &[], 0),
            (index, vec![], None, &[], 2),
            // What is to be tagged has to be at hand.
            (image, vec![image], Some(&tag), &[], 1),
            // An index may name a child that is not there.
            (image, vec![image], None, &[Platform::new("wasip1", "wasm")], 0),
        ] {
            let to = Shelf { there, ..Shelf::default() };
            from.read = AtomicUsize::new(0);
            let plan = Plan::build(&from, &Identifier::Digest(root), platforms, &to, tag).await.expect("a plan");
            assert_eq!(plan.root().digest, root);
            assert_eq!(from.read.load(Ordering::Relaxed), reads, "{tag:?}");
        }
    }

    #[tokio::test]
    async fn an_index_that_was_noted_is_not_read_again() {
        let mut from = Shelf { counts: true, ..Shelf::default() };
        let image = from.image(&["x"]);
        let mut child = from.manifests[&image].descriptor().clone();
        child.platform = Some(Platform::new("wasip1", "wasm"));
        let child = serde_json::to_string(&child).expect("plain data");
        let root = from.put(format!(r#"{{"schemaVersion":2,"manifests":[{child}]}}"#));
        let other = from.put(r#"{"schemaVersion":2,"manifests":[]}"#.to_owned());
        let platforms = [Platform::new("wasip1", "wasm")];
        for (there, noted, reads, to_note) in [
            (vec![], None, 2, true),
            (vec![image], None, 1, true),
            (vec![image], Some(other), 1, true),
            (vec![], Some(root), 2, true),
            (vec![image], Some(root), 0, false),
        ] {
            let noted = noted.map(|digest| from.manifests[&digest].clone());
            let to = Shelf { there, noted, ..Shelf::default() };
            from.read = AtomicUsize::new(0);
            let plan = Plan::build(&from, &Identifier::Digest(root), &platforms, &to, None).await.expect("a plan");
            assert_eq!((plan.root().digest, from.read.load(Ordering::Relaxed)), (image, reads));
            assert_eq!(plan.index().is_some(), to_note);
        }
    }
}
