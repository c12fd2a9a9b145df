//! Spin's cache: filled as Spin fills it, read as Spin left it, and never half-filled.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use spinreg::content::{Blob, Body, Open, Source, Target as _};
use spinreg::copy::{CopyOptions, Summary, copy};
use spinreg::model::{Descriptor, Digest, Identifier, Manifest, MediaType, Reference};
use spinreg::spin::{Cache, CachedApplication, LockedApp, materialise, media};
use spinreg::{Error, error};
use tempfile::TempDir;

use crate::support;

pub(crate) const WKG_CONFIG: MediaType = MediaType::constant("application/vnd.wasm.config.v0+json");

pub(crate) fn root() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

pub(crate) fn reference(text: &str) -> Reference {
    text.parse().expect("a reference")
}

/// An artifact in memory that tells which of its blobs were opened.
#[derive(Clone)]
pub(crate) struct Artifact {
    manifest: Manifest,
    blobs: HashMap<Digest, Bytes>,
    opened: Arc<Mutex<Vec<Digest>>>,
}

impl Artifact {
    /// Makes an image manifest of a config and layers, all given by media type and content.
    pub(crate) fn new(config: (MediaType, &[u8]), layers: &[(MediaType, &[u8])]) -> Self {
        let described = |(media_type, content): &(MediaType, &[u8])| Descriptor::of(media_type.clone(), content);
        let layers_described: Vec<_> = layers.iter().map(described).collect();
        let text = json!({"schemaVersion": 2, "config": described(&config), "layers": layers_described}).to_string();
        let contents = layers.iter().map(|(_, content)| *content).chain([config.1]);
        Self::of(text.into_bytes(), contents.map(Bytes::copy_from_slice))
    }

    /// Makes an application of one lock file and other layers.
    pub(crate) fn application(lock: &Value, layers: &[(MediaType, &[u8])]) -> Self {
        let lock = lock.to_string();
        let layers: Vec<_> = layers.iter().cloned().chain([(media::APPLICATION, lock.as_bytes())]).collect();
        Self::new((MediaType::IMAGE_CONFIG, b"{}"), &layers)
    }

    pub(crate) fn of(manifest: Vec<u8>, contents: impl IntoIterator<Item = Bytes>) -> Self {
        let manifest = Manifest::parse(manifest, None).expect("a manifest");
        let blobs = contents.into_iter().map(|bytes| (Digest::of(&bytes), bytes)).collect();
        Self { manifest, blobs, opened: Arc::default() }
    }

    pub(crate) async fn pull(&self, to: &CachedApplication) -> Result<Summary, Error> {
        copy(self, &Identifier::Digest(self.manifest.digest()), to, None, &CopyOptions::default()).await
    }

    /// Says which blobs were opened since the last time.
    pub(crate) fn opened(&self) -> Vec<Digest> {
        std::mem::take(&mut self.opened.lock().expect("no test panics while it is opened"))
    }

    fn layers(&self) -> &[Descriptor] {
        &self.manifest.image().expect("an image manifest").layers
    }
}

impl Source for Artifact {
    async fn resolve(&self, _: &Identifier) -> Result<Descriptor, Error> {
        Ok(self.manifest.descriptor().clone())
    }

    async fn manifest(&self, _: &Identifier) -> Result<Manifest, Error> {
        Ok(self.manifest.clone())
    }

    fn blob(&self, descriptor: &Descriptor) -> Blob {
        Blob::new(descriptor.clone(), Served { artifact: self.clone(), digest: descriptor.digest })
    }
}

struct Served {
    artifact: Artifact,
    digest: Digest,
}

impl Open for Served {
    fn open(&self, offset: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        self.artifact.opened.lock().expect("no test panics while it is opened").push(self.digest);
        let missing = || error::Missing {
            what: self.digest.to_string(),
            place: error::Place::Unknown,
            errors: vec![],
            details: error::Details::default(),
        };
        let found = self.artifact.blobs.get(&self.digest).cloned();
        Box::pin(async move { Ok(Body::from_bytes(found.ok_or_else(|| Box::new(missing()))?).skip(offset)) })
    }
}

/// Returns the files below a directory with their contents, but for those in our own folder.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.extend((!path.ends_with(".spinreg")).then_some(path));
            } else {
                let name = path.strip_prefix(root).expect("below the root").to_str().expect("UTF-8").to_owned();
                found.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

/// Packs contents as an archive layer.
pub(crate) fn archive<'a>(contents: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (n, content) in contents.into_iter().enumerate() {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("some/where/{n}"), content).expect("memory");
    }
    tar.into_inner().and_then(GzEncoder::finish).expect("memory")
}

/// A case that Spin 4.0.2 has pushed and pulled.
pub(crate) struct Golden {
    pub(crate) folder: PathBuf,
    pub(crate) artifact: Artifact,
    pub(crate) reference: Reference,
    /// The name of Spin's archive, whose bytes we do not have, and of ours.
    archive: Option<(Digest, Digest)>,
}

impl Golden {
    /// Rebuilds an artifact from what Spin has served and from the application's own files.
    pub(crate) fn rebuild(case: &str, app: &str) -> Self {
        let folder = support::root("fixtures/spin/golden").join(case);
        let read = |name: &str| fs::read(folder.join(name)).expect("a golden file");
        let contents = tree(&support::root("fixtures/spin/apps").join(app));
        let contents: HashMap<_, _> = contents.into_values().map(|bytes| (Digest::of(&bytes), bytes)).collect();
        let mut manifest = String::from_utf8(read("manifest.json")).expect("JSON");
        let parsed = Manifest::parse(manifest.clone(), None).expect("a manifest");
        let theirs = parsed.blobs().find(|blob| blob.media_type == media::ARCHIVE).cloned();
        let mut blobs: Vec<Bytes> = contents.values().cloned().map(Bytes::from).collect();
        blobs.extend([read("config.json").into(), read("lock.json").into()]);
        let archive = theirs.map(|theirs| {
            let lock = LockedApp::parse(&read("lock.json")).expect("a lock file");
            let files = lock.components.iter().flat_map(|component| &component.files);
            let files: BTreeSet<Digest> = files.filter_map(|file| file.content.digest).collect();
            let ours = archive(files.iter().map(|digest| contents[digest].as_slice()));
            let digest = Digest::of(&ours);
            manifest = manifest.replace(&theirs.digest.to_string(), &digest.to_string());
            manifest = manifest.replace(&format!("\"size\":{}", theirs.size), &format!("\"size\":{}", ours.len()));
            blobs.push(ours.into());
            (theirs.digest, digest)
        });
        let listed = String::from_utf8(read("cache-tree.txt")).expect("text");
        let place = listed.lines().find_map(|line| line.strip_suffix("/manifest.json")).expect("a manifest");
        let place = place.strip_prefix("./registry/manifests/").expect("below the root");
        let (repository, tag) = place.rsplit_once('/').expect("a tag");
        let reference = reference(&format!("{repository}:{tag}"));
        Self { folder, artifact: Artifact::of(manifest.into_bytes(), blobs), reference, archive }
    }

    /// Returns the files that Spin has in its cache, ours in place of its archive.
    fn listed(&self) -> BTreeSet<String> {
        let text = fs::read_to_string(self.folder.join("cache-tree.txt")).expect("a golden file");
        let is_file = |line: &&str| line.contains("/sha256:") || line.ends_with(".json");
        let listed = text.lines().filter(is_file).map(|line| {
            let name = line.strip_prefix("./").expect("relative").to_owned();
            self.archive.map_or(name.clone(), |(theirs, ours)| name.replace(&theirs.to_string(), &ours.to_string()))
        });
        listed.collect()
    }
}

pub(crate) const CASES: [(&str, &str); 5] = [
    ("static-site", "static-site"),
    ("static-site-noinfer", "static-site"),
    ("static-site-archive", "static-site"),
    ("big-assets", "big-assets"),
    ("inline-trigger", "inline-trigger"),
];

#[tokio::test]
async fn the_tree_is_spins() {
    for (case, app) in CASES {
        let golden = Golden::rebuild(case, app);
        let root = root();
        let cache = Cache::at(root.path());
        let target = cache.application(&golden.reference);
        let summary = golden.artifact.pull(&target).await.expect("a good artifact");
        assert_eq!(summary.root.digest, golden.artifact.manifest.digest());

        let tree = tree(root.path());
        assert_eq!(tree.keys().cloned().collect::<BTreeSet<_>>(), golden.listed(), "{case}");
        for (name, content) in &tree {
            if let Some((_, digest)) = name.rsplit_once('/').filter(|(_, name)| name.contains(':')) {
                assert_eq!(Digest::of(content).to_string(), digest);
            }
        }
        let file = |name: &str| fs::read(target.directory().join(name)).expect("a file");
        assert_eq!(file("manifest.json"), golden.artifact.manifest.bytes().to_vec());
        assert_eq!(file("config.json"), fs::read(golden.folder.join("lock.json")).expect("a golden file"));

        // Again: nothing is asked for. And what the guest sees is what Spin shows it.
        golden.artifact.opened();
        assert!(target.exists(&summary.root).await.expect("a readable cache"));
        let again = golden.artifact.pull(&cache.application(&golden.reference)).await.expect("a good artifact");
        assert_eq!((again.moved, golden.artifact.opened()), (0, vec![]));
        let lock = target.lock_file().await.expect("a readable cache").expect("it was pulled");
        let work = root.path().join("work");
        materialise(&cache, &lock, &work.join("assets")).await.expect("everything is there");
        let seen = if work.exists() { self::tree(&work) } else { BTreeMap::new() };
        let seen: BTreeSet<String> =
            seen.iter().map(|(name, content)| format!("{}  ./{name}", Digest::of(content).hex())).collect();
        let expected = fs::read_to_string(golden.folder.join("materialised.sha256")).expect("a golden file");
        assert_eq!(seen, expected.lines().map(str::to_owned).collect::<BTreeSet<_>>(), "{case}");
    }
}

#[tokio::test]
async fn what_spin_has_pushed_is_pulled_from_a_registry() {
    let registry = support::registry::Embedded::start().await;
    let client = support::repository::plain().build().expect("options that fit");
    for (case, app) in CASES {
        let golden = Golden::rebuild(case, app);
        let local = reference(&registry.reference(&format!("{}:v1", golden.reference.name())));
        let id = Identifier::Digest(golden.artifact.manifest.digest());
        let repository = client.repository(&local).for_push();
        copy(&golden.artifact, &id, &repository, local.tag(), &CopyOptions::default()).await.expect("a registry");

        let cli = support::cli::Cli::new();
        support::scenario::pull(&cli, &local.to_string(), &[]).await;
        let tree = tree(&cli.path("cache/spin"));
        let local = local.to_string().replacen(":v1", "/v1", 1);
        let theirs = golden.reference.to_string().replacen(":v1", "/v1", 1);
        let listed: BTreeSet<_> = golden.listed().iter().map(|name| name.replace(&theirs, &local)).collect();
        assert_eq!(tree.keys().cloned().collect::<BTreeSet<_>>(), listed, "{case}");
    }
}

#[tokio::test]
async fn what_spin_has_pulled_is_not_fetched_again() {
    for (case, app) in CASES {
        let golden = Golden::rebuild(case, app);
        let root = root();
        let cache = Cache::at(root.path());
        let target = cache.application(&golden.reference);
        golden.artifact.pull(&target).await.expect("a good artifact");
        // Spin prints the manifest again, and knows nothing of our folder.
        let manifest: Value = serde_json::from_slice(golden.artifact.manifest.bytes()).expect("JSON");
        let printed = serde_json::to_vec_pretty(&manifest).expect("JSON");
        fs::write(target.directory().join("manifest.json"), &printed).expect("a file");
        fs::remove_dir_all(cache.root().join(".spinreg")).expect("our folder");
        golden.artifact.opened();

        assert!(!target.exists(golden.artifact.manifest.descriptor()).await.expect("a readable cache"));
        let known = target.manifest().await.expect("a readable cache").expect("Spin has pulled it");
        assert_eq!(known.image(), golden.artifact.manifest.image());
        golden.artifact.pull(&cache.application(&golden.reference)).await.expect("a good artifact");
        // The config, which Spin does not keep, is made anew.
        assert_eq!(golden.artifact.opened(), [], "{case}");
        assert!(target.exists(golden.artifact.manifest.descriptor()).await.expect("a readable cache"));
    }
}

#[tokio::test]
async fn a_config_that_says_more_than_the_lock_file_is_fetched() {
    let artifact = Artifact::application(&json!({"spin_lock_version": 0, "triggers": [], "components": []}), &[]);
    let root = root();
    artifact.pull(&Cache::at(root.path()).application(&reference("r.example/a:1"))).await.expect("a good artifact");
    let config = artifact.manifest.image().expect("an image").config.digest;
    assert!(artifact.opened().contains(&config));
}

#[tokio::test]
async fn whatever_is_missing_or_cut_is_noticed_and_fetched() {
    for (case, app) in [("static-site", "static-site"), ("static-site-archive", "static-site")] {
        let golden = Golden::rebuild(case, app);
        let root = root();
        let target = Cache::at(root.path()).application(&golden.reference);
        golden.artifact.pull(&target).await.expect("a good artifact");
        let whole = tree(root.path());
        let descriptor = golden.artifact.manifest.descriptor();
        for (name, content) in &whole {
            let path = root.path().join(name);
            for damage in [None, content.len().checked_sub(1)] {
                match damage {
                    None => fs::remove_file(&path).expect("a file"),
                    Some(length) => fs::write(&path, &content[..length]).expect("a file"),
                }
                assert!(!target.exists(descriptor).await.expect("a readable cache"), "{name}");
                // Another process: nothing is kept in memory.
                let target = Cache::at(root.path()).application(&golden.reference);
                golden.artifact.pull(&target).await.expect("a good artifact");
                assert_eq!(tree(root.path()), whole, "{name}");
                if content.is_empty() {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn components_and_files_are_kept_apart() {
    let root = root();
    let cache = Cache::at(root.path());
    let both = b"\0asm both a component and a file".as_slice();
    let lock = json!({"spin_lock_version": 0, "triggers": [], "components": []});
    let artifact = Artifact::application(&lock, &[(media::WASM, both), (media::DATA, both)]);
    artifact.pull(&cache.application(&reference("r.example/a:1"))).await.expect("a good artifact");
    let digest = Digest::of(both);
    assert_eq!(artifact.opened().iter().filter(|opened| **opened == digest).count(), 1, "it is fetched once");
    let found = tree(root.path());
    for folder in ["wasm", "data"] {
        assert_eq!(found[&format!("registry/{folder}/{digest}")], both);
    }
    assert!(cache.wasm(&digest).await.expect("it is there").ends_with(format!("wasm/{digest}")));
    assert!(cache.data(&digest).await.expect("it is there").ends_with(format!("data/{digest}")));

    // A damaged neighbour is no source.
    fs::write(root.path().join(format!("registry/wasm/{digest}")), vec![b'x'; both.len()]).expect("a file");
    fs::remove_file(root.path().join(format!("registry/data/{digest}"))).expect("a file");
    assert!(cache.wasm(&digest).await.is_ok() && cache.data(&digest).await.expect_err("it is gone").is_not_found());
    artifact.pull(&cache.application(&reference("r.example/a:1"))).await.expect("a good artifact");
    assert_eq!(tree(root.path())[&format!("registry/data/{digest}")], both);
}

#[tokio::test]
async fn a_digest_shares_no_folder_with_a_tag() {
    let root = root();
    let cache = Cache::at(root.path());
    let lock = json!({"spin_lock_version": 0, "triggers": [], "components": []});
    let artifact = Artifact::application(&lock, &[(media::WASM, b"\0asm")]);
    let digest = artifact.manifest.digest();
    for (name, folder) in [
        ("localhost:5000/a/b:v1".to_owned(), "localhost:5000/a/b/v1".to_owned()),
        (format!("localhost:5000/a/b@{digest}"), format!("localhost:5000/a/b/{digest}")),
        (format!("localhost:5000/a/b:v2@{digest}"), "localhost:5000/a/b/v2".to_owned()),
    ] {
        artifact.pull(&cache.application(&reference(&name))).await.expect("a good artifact");
        let folder = cache.root().join("manifests").join(folder);
        assert!(folder.join("manifest.json").is_file() && folder.join("config.json").is_file(), "{name}");
    }
}

#[tokio::test]
async fn old_applications_and_packages_have_their_config() {
    let lock = br#"{"spin_lock_version":0,"triggers":[],"components":[]}"#.as_slice();
    for (config, layers) in [
        // Spin 1 and older; packages; and whatever somebody calls a config.
        ((media::APPLICATION, lock), vec![(media::WASM, b"\0asm".as_slice())]),
        ((WKG_CONFIG, b"{\"a\":1}".as_slice()), vec![(media::PACKAGE_WASM, b"\0asm".as_slice())]),
        ((MediaType::constant("text/plain"), b"hello".as_slice()), vec![(media::WASM, b"\0asm".as_slice())]),
        // A layer that looks like a config is a file.
        ((MediaType::IMAGE_CONFIG, b"[]".as_slice()), vec![(MediaType::EMPTY_JSON, b"{}".as_slice())]),
    ] {
        let root = root();
        let target = Cache::at(root.path()).application(&reference("r.example/a:1"));
        let artifact = Artifact::new(config.clone(), &layers);
        artifact.pull(&target).await.expect("a good artifact");
        assert_eq!(fs::read(target.directory().join("config.json")).expect("a file"), config.1);
        for layer in artifact.layers() {
            let folder = if layer.media_type == MediaType::EMPTY_JSON { "data" } else { "wasm" };
            assert!(root.path().join(format!("registry/{folder}/{}", layer.digest)).is_file(), "{}", layer.media_type);
        }
        assert!(target.exists(artifact.manifest.descriptor()).await.expect("a readable cache"));
    }
}

#[tokio::test]
async fn a_moved_tag_replaces_both_documents() {
    let root = root();
    let cache = Cache::at(root.path());
    let lock = |version| json!({"spin_lock_version": version, "triggers": [], "components": []});
    let (old, new) = (Artifact::application(&lock(0), &[]), Artifact::application(&lock(1), &[]));
    let place = reference("r.example/a:1");
    for artifact in [&old, &new, &old] {
        artifact.pull(&cache.application(&place)).await.expect("a good artifact");
        let found = cache.application(&place).manifest().await.expect("a readable cache").expect("it was pulled");
        assert_eq!(found.digest(), artifact.manifest.digest());
        let app = cache.application(&place).lock_file().await.expect("a readable cache").expect("it was pulled");
        assert_eq!(app.spin_lock_version, if std::ptr::eq(artifact, &raw const old) { 0 } else { 1 });
    }
}

#[tokio::test]
async fn what_cannot_be_whole_is_not_shown() {
    let lock = json!({"spin_lock_version": 0, "triggers": [], "components": []});
    let good = Artifact::application(&lock, &[(media::WASM, b"\0asm"), (media::DATA, b"file")]);
    let digest = Digest::of(b"file");
    let mut absent = good.clone();
    absent.blobs.remove(&digest);
    let mut lying = good.clone();
    lying.blobs.insert(digest, Bytes::from_static(b"liar"));
    for artifact in [absent, lying] {
        let root = root();
        let cache = Cache::at(root.path());
        let target = cache.application(&reference("r.example/a:1"));
        artifact.pull(&target).await.expect_err("no good artifact");
        assert!(!target.directory().exists());
        assert!(!tree(root.path()).keys().any(|name| name.contains(&digest.to_string())));
        assert!(target.push_manifest(&artifact.manifest, None).await.expect_err("a layer is missing").is_not_found());
        assert!(!target.directory().exists());
    }
}

#[tokio::test]
async fn what_is_no_application_is_refused() {
    let root = root();
    let target = Cache::at(root.path()).application(&reference("r.example/a:1"));
    let index = Manifest::parse(json!({"schemaVersion": 2, "manifests": []}).to_string(), None).expect("an index");
    let error = target.push_manifest(&index, None).await.expect_err("an index");
    assert!(error.to_string().contains("an image manifest"), "{error}");
    // A lock file of which the manifest claims the impossible is not even opened.
    let huge = Descriptor::new(media::APPLICATION, Digest::of(b"x"), u64::MAX);
    let source = Artifact::application(&json!({}), &[]);
    let error = target.push_blob(&source.blob(&huge)).await.expect_err("too large");
    assert!(error.to_string().contains("64 MiB"), "{error}");
    assert_eq!(source.opened(), []);
}

fn files(entries: &Value) -> LockedApp {
    components(&json!([{"id": "site", "source": {"content_type": "application/wasm"}, "files": entries}]))
}

fn components(components: &Value) -> LockedApp {
    let lock = json!({"spin_lock_version": 0, "triggers": [], "components": components});
    LockedApp::parse(lock.to_string().as_bytes()).expect("a lock file")
}

#[tokio::test]
async fn files_stay_where_they_belong() {
    let root = root();
    let cache = Cache::at(root.path());
    let absent = Digest::of(b"absent").to_string();
    let work = root.path().join("work");
    for (app, said) in [
        (files(&json!([{"path": "../x", "inline": ""}])), "file path `../x`"),
        (files(&json!([{"path": "/x", "inline": ""}])), "file path `/x`"),
        (files(&json!([{"path": "a"}])), "`inline` content or a `digest`"),
        (files(&json!([{"path": "a", "digest": absent}])), "the file `a` of the component `site`"),
        (files(&json!([{"path": "a", "inline": ""}, {"path": "a/b", "inline": ""}])), "cannot create the directory"),
        (
            components(
                &json!([{"id": "../x", "source": {"content_type": "a"}, "files": [{"path": "a", "inline": ""}]}]),
            ),
            "component id `../x`",
        ),
    ] {
        let error = materialise(&cache, &app, &work).await.expect_err(said).to_string();
        assert!(error.contains(said), "{error}");
    }
    assert!(!root.path().join("x").exists());

    // Later entries win; a component without files has no folder.
    let twice = files(&json!([{"path": "a/b", "inline": "b25l"}, {"path": "a/b", "inline": "dHdv"}]));
    let work = root.path().join("again");
    materialise(&cache, &twice, &work).await.expect("inline content");
    assert_eq!(tree(&work), BTreeMap::from([("site/a/b".to_owned(), b"two".to_vec())]));
}

#[tokio::test]
#[cfg(unix)]
async fn nothing_is_written_through_a_link() {
    use std::os::unix::fs::symlink;
    let root = root();
    let (work, outside) = (root.path().join("work"), root.path().join("outside"));
    fs::create_dir_all(work.join("site")).expect("a folder");
    fs::create_dir_all(&outside).expect("a folder");
    fs::write(outside.join("file"), "untouched").expect("a file");
    symlink(&outside, work.join("site/folder")).expect("a link");
    symlink(outside.join("file"), work.join("site/file")).expect("a link");
    let cache = Cache::at(root.path());
    let through = files(&json!([{"path": "folder/x", "inline": ""}]));
    assert!(materialise(&cache, &through, &work).await.is_err());
    materialise(&cache, &files(&json!([{"path": "file", "inline": ""}])), &work).await.expect("the link is replaced");
    assert_eq!(fs::read(outside.join("file")).expect("a file"), b"untouched");
    assert!(!outside.join("x").exists());
}
