use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::content::{Blob, Pushed, Tagged};
use crate::model::{Digest, MediaType};

/// A source in memory, and a target that has `there` and takes nothing.
#[derive(Default)]
struct Shelf {
    manifests: HashMap<Digest, Manifest>,
    there: Vec<Digest>,
    tagged: Option<Manifest>,
    asked: AtomicUsize,
    counts: bool,
    read: AtomicUsize,
    noted: Option<Manifest>,
    held: Option<Descriptor>,
    referring: HashMap<Digest, Vec<Descriptor>>,
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
        let absent =
            || Missing { what: id.to_string(), place: Place::Unknown, errors: Vec::new(), details: Details::default() };
        let digest = id.digest().expect("tests ask by digest");
        self.manifests.get(digest).cloned().ok_or_else(|| Error::NotFound(Box::new(absent())))
    }

    fn blob(&self, descriptor: &Descriptor) -> Blob {
        Blob::file(descriptor.clone(), "")
    }

    async fn all_referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        Ok(self.referring.get(subject).cloned().unwrap_or_default())
    }
}

impl Target for Shelf {
    async fn exists(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(self.there.contains(&descriptor.digest))
    }

    async fn tagged(&self, _: &Tag, wanted: &Descriptor) -> Result<Tagged, Error> {
        Ok(match &self.tagged {
            Some(manifest) if manifest.digest() == wanted.digest => Tagged::Wanted,
            Some(manifest) => Tagged::Other(Box::new(manifest.clone())),
            None => Tagged::Unknown,
        })
    }

    async fn held(&self, digest: &Digest) -> Result<Option<Descriptor>, Error> {
        Ok(self.held.clone().filter(|held| held.digest == *digest))
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

fn serving(platforms: &[Platform]) -> CopyOptions {
    CopyOptions { platforms: platforms.to_vec(), ..CopyOptions::default() }
}

async fn plan(from: &Shelf, root: Digest, to: &Shelf) -> Plan {
    let tag: Tag = "v1".parse().expect("a tag");
    Plan::build(from, &Identifier::Digest(root), to, Some(&tag), &CopyOptions::default()).await.expect("a plan")
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
    let order: Vec<Digest> = plan.steps().iter().map(|step| step.manifest.digest()).collect();
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
    assert_eq!(plan(&from, few, &Shelf::default()).await.steps().len(), 10);
    let error = Plan::build(&from, &Identifier::Digest(many), &Shelf::default(), None, &CopyOptions::default()).await;
    let error = error.expect_err("more than 64 MiB").to_string();
    assert!(error.contains("64 MiB"), "{error}");
}

#[tokio::test]
async fn what_the_target_has_is_left_out() {
    let mut from = Shelf::default();
    let (first, second) = (from.image(&["x"]), from.image(&["y"]));
    let root = from.index(&[first, second]);
    let child_there = plan(&from, root, &Shelf { there: vec![first], ..Shelf::default() }).await;
    assert_eq!((child_there.blobs().len(), child_there.steps().len()), (2, 2));
    let root_there = plan(&from, root, &Shelf { there: vec![root], ..Shelf::default() }).await;
    assert_eq!((root_there.blobs().len(), root_there.steps().len()), (0, 1));
    assert!(root_there.steps()[0].tag.is_some(), "only the tag is to be set");
    let tagged = from.manifests.get(&root).cloned();
    let unchanged = plan(&from, root, &Shelf { tagged, ..Shelf::default() }).await;
    assert!(unchanged.steps().is_empty());
}

#[tokio::test]
async fn what_the_tag_points_to_is_believed_to_be_there() {
    let mut from = Shelf::default();
    let many: Vec<String> = (0..9).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut image = |layers: &[&str]| from.image(layers);
    let old = image(&many);
    let changed = image(&[&["new", "lock"], &many[2..]].concat());
    let other = image(&[&["a", "b", "c", "d", "e"], &many[5..]].concat());
    let index = from.index(&[changed]);
    for (root, tagged, there, moved, believed, asked) in [
        // A few blobs are cheaper to ask for one by one.
        (changed, Some(old), None, Some(2), 8, 0),
        (changed, Some(old), Some(changed), Some(2), 8, 0),
        (other, Some(old), None, Some(5), 5, 1),
        (other, Some(old), Some(other), Some(0), 0, 1),
        (changed, None, None, Some(10), 0, 1),
        (changed, None, Some(changed), Some(0), 0, 1),
        (old, Some(old), None, None, 0, 0),
        // An index may list what is not there: what is below it is asked for.
        (index, Some(changed), None, Some(0), 10, 2),
        (changed, Some(index), None, Some(10), 0, 1),
    ] {
        let tagged = tagged.map(|digest| from.manifests[&digest].clone());
        let to = Shelf { tagged, there: there.into_iter().collect(), ..Shelf::default() };
        let plan = plan(&from, root, &to).await;
        assert_eq!((plan.blobs().len(), plan.believed().len()), (moved.unwrap_or(0), believed), "{root} {there:?}");
        assert_eq!(plan.steps().is_empty(), moved.is_none());
        assert_eq!(to.asked.load(Ordering::Relaxed), asked, "{root} {there:?}");
        let tagged = plan.steps().last().and_then(|step| step.tag.as_ref());
        assert_eq!(tagged.is_some(), moved.is_some());
    }
}

#[tokio::test]
async fn what_its_author_alone_gives_away_is_not_believed_to_be_there() {
    let mut from = Shelf::default();
    let blob = |media_type: &str| {
        let descriptor = Descriptor::of(MediaType::OCTET_STREAM, b"layer");
        let text = serde_json::to_string(&descriptor).expect("plain data");
        text.replace("application/octet-stream", media_type)
    };
    let image = |layer: &str, config: &str| {
        let config = Descriptor::of(MediaType::OCTET_STREAM, config.as_bytes());
        let config = serde_json::to_string(&config).expect("plain data");
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#)
    };
    let old = image(&blob("application/vnd.oci.image.layer.nondistributable.v1.tar"), "old");
    let tagged = Some(Manifest::parse(old, None).expect("a manifest"));
    let root = from.put(image(&blob("application/vnd.oci.image.layer.v1.tar"), "new"));
    let plan = plan(&from, root, &Shelf { tagged, ..Shelf::default() }).await;
    assert_eq!((plan.blobs().len(), plan.believed().len()), (2, 0));
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
        Plan::build(&from, &Identifier::Digest(root), &Shelf::default(), None, &serving(platforms)).await
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
    let options = serving(&[Platform::new("wasip1", "wasm")]);
    let build =
        async |root: Digest, to: &Shelf| Plan::build(&from, &Identifier::Digest(root), to, None, &options).await;
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
        let plan = Plan::build(&from, &Identifier::Digest(root), &to, tag, &serving(platforms)).await.expect("a plan");
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
        let plan =
            Plan::build(&from, &Identifier::Digest(root), &to, None, &serving(&platforms)).await.expect("a plan");
        assert_eq!((plan.root().digest, from.read.load(Ordering::Relaxed)), (image, reads));
        assert_eq!(plan.index().is_some(), to_note);
    }
}

#[tokio::test]
async fn what_is_at_hand_by_its_digest_is_asked_for_nowhere() {
    let mut from = Shelf::default();
    let image = from.image(&["x"]);
    let mut child = from.manifests[&image].descriptor().clone();
    let held = child.clone();
    child.platform = Some(Platform::new("wasip1", "wasm"));
    let child = serde_json::to_string(&child).expect("plain data");
    let index = from.put(format!(r#"{{"schemaVersion":2,"manifests":[{child}]}}"#));
    let tag: Tag = "v1".parse().expect("a tag");
    let wasm = [Platform::new("wasip1", "wasm")];
    for (root, noted, tag, platforms, referrers, asked) in [
        (image, None, None, &[][..], Referrers::Left, false),
        (image, None, None, &wasm, Referrers::Left, false),
        (index, Some(index), None, &wasm, Referrers::Left, false),
        // It stands for something that nobody has told.
        (index, None, None, &wasm, Referrers::Left, true),
        (index, Some(index), None, &[], Referrers::Left, true),
        // A tag is to be set, or somebody has to know what refers to it.
        (image, None, Some(&tag), &[], Referrers::Left, true),
        (image, None, None, &[], Referrers::Taken, true),
    ] {
        let noted = noted.map(|digest: Digest| from.manifests[&digest].clone());
        let to = Shelf { held: Some(held.clone()), there: vec![image], noted, ..Shelf::default() };
        from.read = AtomicUsize::new(0);
        let options = CopyOptions { referrers, ..serving(platforms) };
        let plan = Plan::build(&from, &Identifier::Digest(root), &to, tag, &options).await.expect("a plan");
        assert_eq!(from.read.load(Ordering::Relaxed) > 0, asked, "{root} {platforms:?} {referrers:?}");
        assert_eq!(plan.questions() != Questions::default(), asked);
        if !asked {
            assert_eq!((plan.root().digest, plan.steps().len()), (image, 0));
        }
    }
}

#[tokio::test]
async fn referrers_come_once_and_before_the_root_even_in_circles() {
    let mut from = Shelf::default();
    let (image, sbom, signature) = (from.image(&["x"]), from.image(&["sbom"]), from.image(&["signature"]));
    let root = from.index(&[image]);
    let gone = Descriptor::of(MediaType::IMAGE_MANIFEST, b"gone");
    let known = |digest: Digest| from.manifests[&digest].descriptor().clone();
    let (about_sbom, about_signature) = (known(sbom), known(signature));
    from.referring.insert(root, vec![about_sbom.clone(), gone.clone()]);
    from.referring.insert(image, vec![about_signature.clone()]);
    from.referring.insert(sbom, vec![about_signature.clone(), about_sbom.clone()]);
    from.referring.insert(signature, vec![about_sbom]);
    let options = CopyOptions { referrers: Referrers::Taken, ..CopyOptions::default() };
    let build =
        async |to: &Shelf| Plan::build(&from, &Identifier::Digest(root), to, None, &options).await.expect("a plan");
    let cold = build(&Shelf::default()).await;
    let steps: Vec<Digest> = cold.steps().iter().map(|step| step.manifest.digest()).collect();
    assert_eq!((steps.len(), steps.last()), (4, Some(&root)), "{steps:?}");
    assert_eq!(cold.blobs().len(), 4, "a config and three layers");
    assert_eq!(cold.dangling(), [gone]);
    // What is there is not read, and its own referrers are found nevertheless.
    let warm = build(&Shelf { there: vec![root, sbom], ..Shelf::default() }).await;
    let steps: Vec<Digest> = warm.steps().iter().map(|step| step.manifest.digest()).collect();
    assert_eq!(steps, [signature]);
}

#[tokio::test]
async fn referrers_do_not_go_on_forever() {
    let mut from = Shelf::default();
    let root = from.image(&["x"]);
    let many = (0..20_000).map(|n: u32| Descriptor::of(MediaType::IMAGE_MANIFEST, &n.to_be_bytes())).collect();
    from.referring.insert(root, many);
    let options = CopyOptions { referrers: Referrers::Taken, ..CopyOptions::default() };
    let refused = Plan::build(&from, &Identifier::Digest(root), &Shelf::default(), None, &options).await;
    let refused = refused.expect_err("too many").to_string();
    assert!(refused.contains("10000 manifests"), "{refused}");
    assert!(from.read.load(Ordering::Relaxed) <= 10_001);
}
