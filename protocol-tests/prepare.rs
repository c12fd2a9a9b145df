//! From the cache to a directory that a host can run: Spin's own applications, older and other layouts, hostile ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use serde_json::{Value, json};
use spinreg::Digest;
use spinreg::model::{MediaType, Reference};
use spinreg::spin::{
    Cache, Error, LoadOptions, LockedApp, Placement, Prepared, Runnable, Unrunnable, load, materialise, media,
};

use crate::cache::{Artifact, CASES, Golden, WKG_CONFIG, archive, reference, root, tree};

const WASM: &[u8] = b"\0asm\x0d\0\x01\0";

fn place() -> Reference {
    reference("r.example/team/app:1")
}

async fn prepare(cache: &Cache, reference: &Reference, directory: &Path) -> Result<Prepared, Error> {
    Runnable::cached(cache, reference).await?.prepare(directory, Placement::Linked).await
}

/// Pulls an artifact into a new cache below `root` and prepares it in `work` beside it.
async fn prepared(root: &Path, artifact: &Artifact) -> Result<Prepared, Error> {
    let cache = Cache::at(root);
    artifact.pull(&cache.application(&place())).await?;
    prepare(&cache, &place(), &root.join("work")).await
}

#[tokio::test]
async fn what_spin_has_pushed_is_prepared_as_spin_prepares_it() {
    for (case, app) in CASES {
        let golden = Golden::rebuild(case, app);
        let root = root();
        let home = root.path().canonicalize().expect("a directory");
        let cache = Cache::at(home.join("c c"));
        golden.artifact.pull(&cache.application(&golden.reference)).await.expect("a good artifact");
        let work = home.join("work");
        let done = prepare(&cache, &golden.reference, &work).await.expect("a good application");
        assert_eq!((done.directory(), done.lock_path()), (work.as_path(), work.join("spin.lock")));
        assert_eq!(done.lock_url(), format!("file://{}/spin.lock", work.display()));

        let text = fs::read_to_string(done.lock_path()).expect("a lock file");
        let text = text.replace(&format!("file://{}/c%20c", home.display()), "file:///CACHE");
        let text = text.replace(&format!("file://{}", work.display()), "file:///WORK");
        let loaded = fs::read_to_string(golden.folder.join("loaded.json")).expect("a golden file");
        assert_eq!(text.trim_end(), loaded.trim_end(), "{case}");
        let seen = tree(&work).into_iter().filter(|(name, _)| name != "spin.lock");
        let seen: BTreeSet<_> =
            seen.map(|(name, content)| format!("{}  ./{name}", Digest::of(&content).hex())).collect();
        let expected = fs::read_to_string(golden.folder.join("materialised.sha256")).expect("a golden file");
        assert_eq!(seen, expected.lines().map(str::to_owned).collect(), "{case}");
    }
}

/// A lock file with one component, and a trigger for it.
fn lock(component: &Value) -> Value {
    let trigger = json!({"id": "t", "trigger_type": "http", "trigger_config": {"component": component["id"]}});
    json!({"spin_lock_version": 0, "triggers": [trigger], "components": [component]})
}

fn site(files: &Value) -> Value {
    let source = json!({"content_type": "application/wasm", "digest": Digest::of(WASM)});
    lock(&json!({"id": "site", "source": source, "files": files}))
}

#[tokio::test]
async fn older_and_stranger_layouts_are_prepared() {
    let file = b"a file of its own".as_slice();
    let (wasm_type, strange) = (media::WASM, MediaType::constant("application/x-strange"));
    let with_file = site(&json!([{"path": "a/b", "digest": Digest::of(file)}, {"path": "i", "inline": ""}]));
    let text = with_file.to_string();
    let sources_in_lock = {
        let mut lock = with_file.clone();
        lock["components"][0]["source"]["source"] = "file:///etc/passwd".into();
        lock["components"][0]["files"][0]["source"] = "file:///etc/passwd".into();
        lock["components"][0]["files"][0]["path"] = "a/./b".into();
        lock["spin_lock_version"] = 1.into();
        lock["must_understand"] = json!(["component_host_requirements"]);
        lock["components"][0]["host_requirements"] = json!({"local_service_chaining": "required"});
        lock
    };
    let packed = archive([file]);
    for (what, artifact) in [
        // The lock file of Spin 1 is the config, and layers have whatever type.
        (
            "old",
            Artifact::new((media::APPLICATION, text.as_bytes()), &[(wasm_type.clone(), WASM), (media::DATA, file)]),
        ),
        ("strange", Artifact::application(&with_file, &[(strange.clone(), WASM), (strange, file)])),
        ("archive", Artifact::application(&with_file, &[(wasm_type.clone(), WASM), (media::ARCHIVE, &packed)])),
        ("sources", Artifact::application(&sources_in_lock, &[(wasm_type, WASM), (media::DATA, file)])),
    ] {
        let root = root();
        let done = prepared(root.path(), &artifact).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let component = &done.lock_file().components[0];
        let url = component.source.content.source.as_deref().expect("a URL");
        assert!(url.starts_with("file://") && url.ends_with(&Digest::of(WASM).to_string()), "{what}: {url}");
        assert_eq!(component.source.content.digest, None, "{what}");
        let files = tree(&done.directory().join("assets"));
        let expected = BTreeMap::from([("site/a/b".to_owned(), file.to_vec()), ("site/i".to_owned(), vec![])]);
        assert_eq!(files, expected, "{what}");
        let mounts: Vec<_> = component.files.iter().map(|file| (file.content.source.clone(), &file.path)).collect();
        let assets = done.directory().join("assets/site");
        assert_eq!(mounts, [(Some(format!("file://{}", assets.display())), &"/".to_owned())], "{what}");
        let origin = done.lock_file().metadata["origin"].as_str().expect("text");
        assert_eq!(origin, "vnd.fermyon.origin-oci:r.example/team/app:1");
    }
}

#[tokio::test]
async fn a_package_becomes_an_application() {
    let root = root();
    let package = Artifact::new((WKG_CONFIG, br#"{"architecture":"wasm"}"#), &[(media::PACKAGE_WASM, WASM)]);
    let done = prepared(root.path(), &package).await.expect("a package");
    let wasm =
        root.path().canonicalize().expect("a directory").join("registry/wasm").join(Digest::of(WASM).to_string());
    let expected = json!({
        "spin_lock_version": 0,
        "metadata": {"name": "app", "trigger": {"type": "http"}, "triggers": {}},
        "triggers": [{
            "id": "http-trigger1",
            "trigger_type": "http",
            "trigger_config": {"component": "http-trigger1-component", "route": "/..."},
        }],
        "components": [{
            "id": "http-trigger1-component",
            "source": {"content_type": "application/wasm", "source": format!("file://{}", wasm.display())},
        }],
    });
    let text = fs::read_to_string(done.lock_path()).expect("a lock file");
    assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), expected);

    for (what, config, layers) in [
        ("no layer", b"{}".as_slice(), vec![]),
        ("two layers", b"{}", vec![(media::PACKAGE_WASM, WASM), (media::DATA, b"x".as_slice())]),
        ("no JSON", b"what?", vec![(media::PACKAGE_WASM, WASM)]),
        ("an array", b"[]", vec![(media::PACKAGE_WASM, WASM)]),
    ] {
        let root = self::root();
        let error = prepared(root.path(), &Artifact::new((WKG_CONFIG, config), &layers)).await.expect_err(what);
        let said = error.to_string();
        assert!(said.contains("a package of one layer of WebAssembly") || said.contains("lock file"), "{what}: {said}");
        assert!(!root.path().join("work").exists(), "{what}");
    }
}

#[tokio::test]
async fn what_is_hostile_is_refused_by_its_field() {
    let digest = Digest::of(WASM).to_string();
    let source = json!({"content_type": "application/wasm", "digest": digest});
    let component = |id: &str, files: Value| json!({"id": id, "source": source, "files": files});
    let file = |path: &str| component("site", json!([{"path": path, "inline": ""}]));
    let absent = Digest::of(b"absent").to_string();
    let changed = |pointer: &str, key: &str, value: Value| {
        let mut lock = site(&json!([]));
        lock.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object").insert(key.to_owned(), value);
        lock
    };
    let twins = {
        let mut lock = site(&json!([]));
        lock["components"] = json!([component("site", json!([])), component("site", json!([]))]);
        lock
    };
    for (lock, said) in [
        (changed("", "spin_lock_version", 2.into()), "`spin_lock_version` `2`"),
        (changed("", "must_understand", json!(["teleport"])), "`must_understand` `teleport`"),
        (changed("/triggers/0", "trigger_type", "../x".into()), "trigger type `../x`"),
        (changed("/triggers/0", "trigger_type", "-x y".into()), "trigger type `-x y`"),
        (changed("/triggers/0/trigger_config", "component", "other".into()), "component of a trigger `other`"),
        (changed("/components/0", "id", "../site".into()), "component id `../site`"),
        (changed("/components/0/source", "digest", absent.clone().into()), "the source of the component `site`"),
        (changed("/components/0/source", "digest", "sha256:../../x".into()), "digest"),
        (changed("/components/0/source", "digest", Value::Null), "the source of the component `site`"),
        (
            changed(
                "/components/0",
                "dependencies",
                json!({"a:b/c": {"source": {"content_type": "a", "digest": absent}}}),
            ),
            "the dependency `a:b/c` of the component `site`",
        ),
        (twins, "component id `site`"),
        (lock(&component("..", json!([{"path": "x", "inline": ""}]))), "component id `..`"),
        (lock(&component("/x", json!([]))), "component id `/x`"),
        (lock(&file("../../x")), "file path `../../x`"),
        (lock(&file("/etc/x")), "file path `/etc/x`"),
        (lock(&file("./x")), "file path `./x`"),
        (lock(&file("a\\b")), "file path `a\\b`"),
        (site(&json!([{"path": "x", "inline": "e30="}])), "padding"),
        (site(&json!([{"path": "x", "digest": absent}])), "the file `x` of the component `site`"),
        (site(&json!([{"path": "x", "source": "file:///etc/passwd"}])), "file entry `x`"),
    ] {
        let root = root();
        let artifact = Artifact::application(&lock, &[(media::WASM, WASM)]);
        let error = prepared(root.path(), &artifact).await.expect_err(said).to_string();
        assert!(error.contains(said), "`{error}` does not say `{said}`");
        // Nothing was written: neither here nor above.
        let left: Vec<_> =
            fs::read_dir(root.path()).expect("a directory").map(|e| e.expect("an entry").file_name()).collect();
        assert_eq!(left, ["registry"], "{said}");
    }
}

#[tokio::test]
async fn components_share_what_they_share() {
    let both = b"\0asm\x0d\0\x01\0 and a file of the same bytes".as_slice();
    let digest = Digest::of(both);
    let component = |id: &str| {
        json!({
            "id": id,
            "source": {"content_type": "application/wasm", "digest": digest},
            "files": [{"path": "one", "digest": digest}, {"path": "two", "digest": digest}],
        })
    };
    let mut lock = lock(&component("a"));
    lock["components"] = json!([component("a"), component("b")]);
    let root = root();
    let artifact = Artifact::application(&lock, &[(media::WASM, both), (media::DATA, both)]);
    let done = prepared(root.path(), &artifact).await.expect("a good application");
    let files = tree(&done.directory().join("assets"));
    let expected = ["a/one", "a/two", "b/one", "b/two"].map(|name| (name.to_owned(), both.to_vec()));
    assert_eq!(files, BTreeMap::from(expected));
}

#[tokio::test]
async fn a_directory_is_prepared_again_and_again() {
    let root = root();
    let work = root.path().join("work");
    let first = Artifact::application(&site(&json!([{"path": "old", "inline": ""}])), &[(media::WASM, WASM)]);
    prepared(root.path(), &first).await.expect("a good application");
    fs::write(work.join("notes.txt"), "mine").expect("a file");
    let second = Artifact::application(&site(&json!([{"path": "new", "inline": ""}])), &[(media::WASM, WASM)]);
    prepared(root.path(), &second).await.expect("a good application");
    let names: Vec<_> = tree(&work).into_keys().collect();
    assert_eq!(names, ["assets/site/new", "notes.txt", "spin.lock"]);
    // One that has no files leaves none of the others', and one that fails changes nothing.
    let before = tree(&work);
    let clash = site(&json!([{"path": "a", "inline": ""}, {"path": "a/b", "inline": ""}]));
    prepared(root.path(), &Artifact::application(&clash, &[(media::WASM, WASM)])).await.expect_err("a clash");
    assert_eq!(tree(&work), before);
    let none = Artifact::application(&site(&json!([])), &[(media::WASM, WASM)]);
    prepared(root.path(), &none).await.expect("a good application");
    assert_eq!(tree(&work).into_keys().collect::<Vec<_>>(), ["notes.txt", "spin.lock"]);

    // What somebody else has put there is not ours to remove.
    let other = root.path().join("other");
    fs::create_dir_all(other.join("assets")).expect("a directory");
    fs::write(other.join("assets/mine"), "mine").expect("a file");
    let error = prepare(&Cache::at(root.path()), &place(), &other).await.expect_err("it is not ours");
    assert!(matches!(error, Error::Unrunnable(Unrunnable::Occupied { .. })), "{error}");
    assert_eq!(tree(&other).into_keys().collect::<Vec<_>>(), ["assets/mine"]);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let (one, two) = (b"the one file".as_slice(), b"the other file".as_slice());
    let files = json!([{"path": "1", "digest": Digest::of(one)}, {"path": "2", "digest": Digest::of(two)}]);
    let packed = archive([two]);
    let layers = [(media::WASM, WASM), (media::DATA, one), (media::ARCHIVE, packed.as_slice())];
    let artifact = Artifact::application(&site(&files), &layers);
    let root = root();
    let cache = Cache::at(root.path());
    assert_eq!(cache.missing(&place()).await.expect("a cache"), None);
    artifact.pull(&cache.application(&place())).await.expect("a good artifact");
    assert_eq!(cache.missing(&place()).await.expect("a cache"), Some(vec![]));
    let pinned = |digest: Digest| reference(&format!("r.example/team/app:1@{digest}"));
    let manifest = cache.application(&place()).manifest().await.expect("a cache").expect("it was pulled").digest();
    assert_eq!(cache.missing(&pinned(manifest)).await.expect("a cache"), Some(vec![]));
    assert_eq!(cache.missing(&pinned(Digest::of(one))).await.expect("a cache"), None);

    // A file that came out of an archive is missing with the archive.
    for (file, missing) in [(one, Digest::of(one)), (two, Digest::of(&packed)), (WASM, Digest::of(WASM))] {
        let folder = if file == WASM { "wasm" } else { "data" };
        fs::remove_file(cache.root().join(folder).join(Digest::of(file).to_string())).expect("a file");
        assert!(cache.missing(&place()).await.expect("a cache").expect("it was pulled").contains(&missing));
    }
    assert_eq!(cache.missing(&place()).await.expect("a cache").map(|missing| missing.len()), Some(3));
    let document = cache.application(&place()).directory().join("config.json");
    fs::write(&document, "{}").expect("a file");
    assert_eq!(cache.missing(&place()).await.expect("a cache").map(|missing| missing.len()), Some(4));
}

/// Spin gives a component with mounts a root, whatever matches; ours had none, and saw no directory at all.
#[tokio::test]
async fn r5_mounts_that_match_nothing_are_an_empty_directory() {
    for (files, mounts) in [("files = [\"nothing/*\"]", 1), ("files = []", 0), ("", 0)] {
        let app = crate::load::app(&crate::load::component(files));
        let loaded = load(app.path(), &LoadOptions::default()).await.expect("it loads");
        let runnable = Runnable::local(&loaded).await.expect("nothing to compose");
        let done = runnable.prepare(&app.path().join("work"), Placement::Linked).await.expect("a good application");
        let seen = &done.lock_file().components[0].files;
        assert_eq!(seen.len(), mounts, "{files}");
        let assets = done.directory().join("assets/c");
        assert_eq!(assets.is_dir(), mounts == 1, "{files}");
        assert!(seen.iter().all(|file| file.path == "/"), "{seen:?}");
    }
}

/// One large file that is named again and again filled the disk.
#[tokio::test]
async fn r5_content_is_not_copied_as_often_as_somebody_likes() {
    let root = root();
    let cache = Cache::at(root.path());
    let digest = Digest::of(b"stands for much");
    // It takes no room: whoever copied it would notice.
    fs::create_dir_all(cache.root().join("data")).expect("a directory");
    let large = File::create_new(cache.root().join("data").join(digest.to_string())).expect("a new file");
    large.set_len(5 << 30).expect("a file system with holes");
    let entries: Vec<Value> = (0..1_000).map(|n| json!({"path": format!("{n}"), "digest": digest})).collect();
    let app = |count: usize| {
        let text = site(&entries[..count].into()).to_string();
        LockedApp::parse(text.as_bytes()).expect("a lock file")
    };
    let work = root.path().join("work");
    let error = materialise(&cache, &app(3), &work).await.expect_err("10 GiB too much").to_string();
    assert!(error.contains("file entry `site/2`") && error.contains("8 GiB"), "{error}");
    assert!(!work.exists(), "nothing was written");
    large.set_len(1 << 10).expect("a file");
    materialise(&cache, &app(1_000), &work).await.expect("a megabyte");
    assert_eq!(tree(&work).len(), 1_000);
}

/// Where guests cannot write, all names of one content are one file.
#[tokio::test]
#[cfg(unix)]
async fn content_that_is_repeated_is_linked() {
    use std::os::unix::fs::MetadataExt as _;
    let file = b"a file of its own".as_slice();
    let entries: Vec<Value> =
        (0..100).map(|n| json!({"path": format!("d{}/{n}", n % 3), "digest": Digest::of(file)})).collect();
    let root = root();
    let artifact = Artifact::application(&site(&entries.into()), &[(media::WASM, WASM), (media::DATA, file)]);
    let done = prepared(root.path(), &artifact).await.expect("a good application");
    let number = |path: &Path| fs::metadata(path).expect("a file").ino();
    let kept = number(&Cache::at(root.path()).data(&Digest::of(file)).await.expect("it is there"));
    let assets = done.directory().join("assets");
    let files = tree(&assets);
    assert_eq!(files.len(), 100);
    assert!(files.keys().all(|name| number(&assets.join(name)) == kept));
}
