//! Image layouts: ours, other tools', and broken ones.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use spinreg::Error;
use spinreg::content::{Blob, Pushed, Source as _, Target as _};
use spinreg::model::{Descriptor, Digest, Identifier, Manifest, MediaType, Tag};
use spinreg::store::{Ingest, Layout, SessionId};
use tempfile::TempDir;

fn root() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

fn named(text: &str) -> Identifier {
    Identifier::Tag(tag(text))
}

fn blob(content: &str) -> Blob {
    Blob::from_bytes(MediaType::OCTET_STREAM, content.as_bytes().to_vec())
}

/// An image of a config and some layers, spelt in a way that nobody would print again.
fn image(contents: &[&str]) -> Manifest {
    let descriptors: Vec<Value> =
        contents.iter().map(|content| serde_json::to_value(blob(content).descriptor()).expect("plain data")).collect();
    let text = format!(
        "{{ \"schemaVersion\" : 2,\n\"config\":{}, \"layers\" : {} }}\n",
        descriptors[0],
        Value::from(&descriptors[1..])
    );
    Manifest::parse(text, None).expect("an image manifest")
}

fn index(children: &[&Manifest]) -> Manifest {
    let children: Vec<_> = children.iter().map(|child| child.descriptor()).collect();
    Manifest::parse(json!({ "schemaVersion": 2, "manifests": children }).to_string(), None).expect("an index")
}

async fn push(layout: &Layout, contents: &[&str], name: Option<&str>) -> Manifest {
    for content in contents {
        layout.push_blob(&blob(content)).await.expect("good content");
    }
    let manifest = image(contents);
    layout.push_manifest(&manifest, name.map(tag).as_ref()).await.expect("its blobs are there");
    manifest
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

/// Puts a file under its digest, as another tool would.
fn put(root: &Path, bytes: &[u8]) -> Descriptor {
    let descriptor = Descriptor::of(MediaType::OCTET_STREAM, bytes);
    fs::create_dir_all(root.join("blobs/sha256")).expect("a folder");
    fs::write(root.join("blobs/sha256").join(descriptor.digest.hex()), bytes).expect("a file");
    descriptor
}

/// Makes a layout of which `index.json` is given.
async fn foreign(root: &TempDir, index: &Value) -> Layout {
    fs::write(root.path().join("oci-layout"), "{\n  \"imageLayoutVersion\": \"1.0.0\"\n}\n").expect("a file");
    fs::write(root.path().join("index.json"), index.to_string()).expect("a file");
    Layout::open(root.path()).await.expect("a layout")
}

#[tokio::test]
async fn what_is_pushed_is_fetched() {
    let root = root();
    let layout = Layout::create(root.path().join("a/b")).await.expect("a writable directory");
    let contents = ["{}", "layer one", "layer two"];
    assert!(!layout.exists(image(&contents).descriptor()).await.expect("a readable layout"));
    let manifest = push(&layout, &contents, Some("v1")).await;
    assert_eq!(layout.push_blob(&blob("{}")).await.expect("it is there"), Pushed::Existed);

    assert_eq!(read(&layout.root().join("oci-layout")), json!({"imageLayoutVersion": "1.0.0"}));
    let printed = read(&layout.root().join("index.json"));
    assert_eq!(printed["schemaVersion"], 2);
    assert_eq!(
        printed["manifests"],
        json!([{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": manifest.digest(),
            "size": manifest.bytes().len(),
            "annotations": { "org.opencontainers.image.ref.name": "v1" },
        }])
    );
    let file = layout.blob_path(&manifest.digest());
    assert!(file.ends_with(format!("blobs/sha256/{}", manifest.digest().hex())));
    assert!(fs::metadata(&file).expect("a file").permissions().readonly());

    // As another process sees it.
    let layout = Layout::open(layout.root()).await.expect("a layout");
    for id in [named("v1"), Identifier::Digest(manifest.digest())] {
        assert_eq!(layout.resolve(&id).await.expect("it was pushed").digest, manifest.digest());
        assert_eq!(layout.manifest(&id).await.expect("it was pushed").bytes(), manifest.bytes());
    }
    for content in contents {
        assert_eq!(layout.blob(blob(content).descriptor()).read(100).await.expect("it was pushed"), content);
    }
    assert!(layout.exists(manifest.descriptor()).await.expect("a readable layout"));
    fs::remove_file(layout.blob_path(&blob("layer one").descriptor().digest)).expect("a file");
    assert!(!layout.exists(manifest.descriptor()).await.expect("a readable layout"));
}

#[tokio::test]
async fn absence_has_a_name() {
    let root = root();
    let error = Layout::open(root.path()).await.expect_err("no layout");
    assert!(error.is_not_found() && error.to_string().contains("`oci-layout`"), "{error}");
    let layout = Layout::create(root.path()).await.expect("a writable directory");
    let digest = Digest::of(b"absent");
    for id in [named("v1"), Identifier::Digest(digest)] {
        for error in [layout.resolve(&id).await.expect_err("absent"), layout.manifest(&id).await.expect_err("absent")] {
            assert!(error.is_not_found() && error.to_string().contains(&format!("manifest `{id}`")), "{error}");
        }
    }
    for error in [
        layout.blob(blob("absent").descriptor()).open(0).await.expect_err("absent"),
        layout.push_manifest(&image(&["a", "b"]), None).await.expect_err("its blobs are absent"),
        layout.delete_tag(&tag("v1")).await.expect_err("absent"),
        layout.delete_manifest(&digest).await.expect_err("absent"),
        layout.delete_blob(&digest).await.expect_err("absent"),
        layout.tag(&tag("v1"), blob("absent").descriptor()).await.expect_err("absent"),
    ] {
        assert!(error.is_not_found(), "{error}");
    }
    assert_eq!(read(&root.path().join("index.json"))["manifests"], json!([]));
}

#[tokio::test]
async fn tags_move_and_go() {
    let root = root();
    let layout = Layout::create(root.path()).await.expect("a writable directory");
    let first = push(&layout, &["{}", "one"], Some("v1")).await;
    let second = push(&layout, &["{}", "two"], Some("v1")).await;
    layout.tag(&tag("old"), first.descriptor()).await.expect("it is there");
    assert_eq!(layout.tags().await.expect("a readable layout"), [tag("old"), tag("v1")]);
    assert_eq!(layout.resolve(&named("v1")).await.expect("a tag").digest, second.digest());
    assert_eq!(layout.manifests().await.expect("a readable layout").len(), 2);

    layout.delete_tag(&tag("v1")).await.expect("it was there");
    assert!(layout.resolve(&Identifier::Digest(second.digest())).await.is_ok(), "only the name is gone");
    layout.delete_manifest(&first.digest()).await.expect("it was there");
    assert_eq!(layout.tags().await.expect("a readable layout"), []);
    assert!(layout.resolve(&Identifier::Digest(first.digest())).await.is_err());
    layout.delete_blob(&blob("one").descriptor().digest).await.expect("it was there");
    assert!(layout.blob(blob("one").descriptor()).open(0).await.is_err());
}

#[tokio::test]
async fn an_index_comes_after_its_children() {
    let root = root();
    let layout = Layout::create(root.path()).await.expect("a writable directory");
    let here = push(&layout, &["{}", "here"], None).await;
    let absent = image(&["{}", "absent"]);
    let both = index(&[&here, &absent]);
    layout.push_manifest(&both, Some(&tag("v1"))).await.expect("a part of an index can be kept");
    assert_eq!(layout.manifest(&named("v1")).await.expect("it was pushed").manifests().count(), 2);
    assert!(!layout.exists(both.descriptor()).await.expect("a readable layout"));
    push(&layout, &["{}", "absent"], None).await;
    assert!(layout.exists(both.descriptor()).await.expect("a readable layout"));
}

#[tokio::test]
async fn concurrent_changes_all_count() {
    let root = root();
    let layout = Layout::create(root.path()).await.expect("a writable directory");
    let manifest = push(&layout, &["{}"], None).await;
    let changes: Vec<_> = (0..16)
        .map(|n| {
            let (layout, manifest) = (layout.clone(), manifest.clone());
            tokio::spawn(async move { layout.push_manifest(&manifest, Some(&tag(&format!("v{n}")))).await })
        })
        .collect();
    for change in changes {
        change.await.expect("no panic").expect("its blobs are there");
    }
    assert_eq!(layout.tags().await.expect("a readable layout").len(), 16);
}

#[tokio::test]
async fn other_tools_layouts_are_read() {
    let root = root();
    let config = put(root.path(), b"{}");
    let child = Manifest::parse(json!({"schemaVersion": 2, "config": config, "layers": []}).to_string(), None);
    let child = child.expect("an image manifest");
    put(root.path(), child.bytes());
    let nested = index(&[&child]);
    put(root.path(), nested.bytes());
    let entry = |annotations: Value| {
        json!({ "mediaType": MediaType::IMAGE_INDEX, "digest": nested.digest(), "size": nested.bytes().len(),
                "annotations": annotations, "x-unknown": [1] })
    };
    let other = json!({"mediaType": "a/b", "digest": "blake3:0", "size": 1, "annotations": {"org.opencontainers.image.ref.name": "v1"}});
    for (annotations, id) in [
        (json!({"org.opencontainers.image.ref.name": "v1"}), "v1"),
        (json!({"org.opencontainers.image.ref.name": "docker.io/library/a:v1"}), "v1"),
        (
            json!({"io.containerd.image.name": "docker.io/library/a:v1", "org.opencontainers.image.ref.name": "v1"}),
            "v1",
        ),
    ] {
        let layout = foreign(&root, &json!({"schemaVersion": 2, "manifests": [entry(annotations), other]})).await;
        let found = layout.manifest(&named(id)).await.expect("it is named");
        assert_eq!(found.bytes(), nested.bytes());
        // Children are not in the index themselves.
        let found = layout.manifest(&Identifier::Digest(child.digest())).await.expect("it is there");
        assert_eq!((found.bytes(), found.descriptor()), (child.bytes(), child.descriptor()));
        assert!(layout.exists(nested.descriptor()).await.expect("a readable layout"));
    }
    // Without a name, the only one is meant.
    let mut unnamed = entry(json!(null));
    unnamed.as_object_mut().expect("an object").remove("annotations");
    let layout = foreign(&root, &json!({"schemaVersion": 2, "manifests": [unnamed]})).await;
    assert_eq!(layout.resolve(&named("latest")).await.expect("the only one").digest, nested.digest());
    // What we do not know stays when we add to it.
    layout.push_manifest(&child, Some(&tag("child"))).await.expect("its blobs are there");
    let printed = read(&root.path().join("index.json"));
    assert_eq!(printed["manifests"][0]["x-unknown"], json!([1]));
    // A blob that is no manifest cannot be asked for as one.
    assert!(layout.resolve(&Identifier::Digest(config.digest)).await.expect_err("a config").is_not_found());
}

#[tokio::test]
async fn broken_layouts_are_refused() {
    let root = root();
    for (version, said) in [("{}", "imageLayoutVersion"), (r#"{"imageLayoutVersion":"2.0.0"}"#, "1.0.0"), ("", "EOF")] {
        fs::write(root.path().join("oci-layout"), version).expect("a file");
        let error = Layout::open(root.path()).await.expect_err(said);
        assert!(matches!(&error, Error::Parse(parse) if parse.to_string().contains(said)), "{error}");
        assert!(Layout::create(root.path()).await.is_err(), "and are not overwritten");
    }
    let layout = foreign(&root, &json!([])).await;
    assert!(matches!(layout.tags().await, Err(Error::Parse(_))));
    assert!(matches!(layout.push_manifest(&index(&[]), None).await, Err(Error::Parse(_))));
    let index = fs::File::create(root.path().join("index.json")).expect("a file");
    index.set_len(Layout::MAX_INDEX + 1).expect("a sparse file");
    assert!(matches!(layout.tags().await, Err(Error::Io(_))), "it is not read whole");
}

#[tokio::test]
async fn r2_an_index_never_grows_beyond_what_is_read() {
    let root = root();
    let layout = Layout::create(root.path()).await.expect("a new layout");
    let first = push(&layout, &["config"], Some("v1")).await;
    let mut document = read(&root.path().join("index.json"));
    document["filler"] = "x".repeat(Layout::MAX_INDEX as usize - 400).into();
    fs::write(root.path().join("index.json"), document.to_string()).expect("a file in a temporary directory");
    assert_eq!(layout.resolve(&named("v1")).await.expect("just short enough").digest, first.digest());
    for n in 0..4 {
        let _ = layout.tag(&tag(&format!("more-{n}")), first.descriptor()).await;
    }
    let error = layout.tag(&tag("last"), first.descriptor()).await.expect_err("it is full");
    assert!(error.to_string().contains("index.json"), "{error}");
    assert_eq!(layout.resolve(&named("v1")).await.expect("it can still be read").digest, first.digest());
    layout.delete_tag(&tag("v1")).await.expect("there is a way back");
}

#[tokio::test]
async fn a_damaged_manifest_is_a_mismatch() {
    let root = root();
    let layout = Layout::create(root.path()).await.expect("a writable directory");
    let manifest = push(&layout, &["{}", "one"], Some("v1")).await;
    let path = layout.blob_path(&manifest.digest());
    let mut bytes = manifest.bytes().to_vec();
    bytes[0] = b' ';
    fs::remove_file(&path).expect("a file");
    fs::write(&path, bytes).expect("a file");
    for id in [named("v1"), Identifier::Digest(manifest.digest())] {
        assert!(matches!(layout.manifest(&id).await, Err(Error::Mismatch(_))));
    }
}

#[tokio::test]
async fn blobs_are_adopted_by_link() {
    let root = root();
    let from = Layout::create(root.path().join("from")).await.expect("a writable directory");
    let to = Layout::create(root.path().join("to")).await.expect("a writable directory");
    let wanted = blob("shared");
    let digest = wanted.descriptor().digest;
    assert!(to.adopt(&from, &digest).await.expect_err("absent").is_not_found());
    from.push_blob(&wanted).await.expect("good content");
    for _ in 0..2 {
        assert_eq!(to.adopt(&from, &digest).await.expect("it is there"), 6);
    }
    assert_eq!(to.blob(wanted.descriptor()).read(100).await.expect("it is there"), "shared");
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(fs::metadata(to.blob_path(&digest)).expect("a file").nlink(), 2);
    }
}

#[tokio::test]
async fn uploads_are_sessions_on_its_shelf() {
    let root = root();
    let layout = Layout::create(root.path()).await.expect("a writable directory");
    let id: SessionId = "upload-1".parse().expect("a safe name");
    let mut session = Ingest::session(layout.shelf(), &id).await.expect("a writable layout");
    session.write("uploaded".into()).await.expect("space");
    let descriptor = session.commit().await.expect("nothing was expected");
    assert_eq!(descriptor.digest, Digest::of(b"uploaded"));
    assert_eq!(layout.blob(&descriptor).read(100).await.expect("it is there"), "uploaded");
}
