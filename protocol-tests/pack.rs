//! Packing the golden applications gives what Spin 4.0.2 gave.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use spinreg::Descriptor;
use spinreg::content::Source as _;
use spinreg::model::{Annotations, Identifier, MediaType};
use spinreg::spin::{Archives, Created, Infer, LoadOptions, PackOptions, Package, WasmKind, load, media, pack};

use crate::load::{app, component, write};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

async fn pack_golden(app: &str, options: &PackOptions) -> Package {
    let app = load(&fixtures().join("spin/apps").join(app), &LoadOptions::default()).await.expect("it loads");
    pack(&app, options).await.expect("it packs")
}

/// Reads a blob of the package that may be of any size.
async fn bytes(package: &Package, descriptor: &Descriptor) -> Vec<u8> {
    package.blob(descriptor).read(u64::MAX).await.expect("the package has its blobs").to_vec()
}

async fn lock(package: &Package) -> Vec<u8> {
    let image = package.manifest().image().expect("an image manifest");
    let last = image.layers.last().expect("the lock file is a layer");
    assert_eq!(last.media_type, media::APPLICATION);
    bytes(package, last).await
}

/// Sorts the `files` of each component, and returns the JSON in its own order of keys.
fn with_sorted_files(lock: &[u8]) -> String {
    let mut lock = spinreg::spin::LockedApp::parse(lock).expect("a lock file");
    for component in &mut lock.components {
        component.files.sort_by(|one, other| one.path.cmp(&other.path));
    }
    String::from_utf8(lock.to_json()).expect("JSON")
}

/// What Spin's manifest and ours have in common: data layers sorted, archives and what follows from the order of files
/// in the lock file aside, as are the time and our own `mediaType`.
fn comparable(manifest: &[u8]) -> Value {
    let mut manifest: Value = serde_json::from_slice(manifest).expect("a manifest");
    let top = manifest.as_object_mut().expect("an object");
    if let Some(media_type) = top.remove("mediaType") {
        assert_eq!(media_type, MediaType::IMAGE_MANIFEST.as_str());
    }
    if let Some(annotations) = top.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("org.opencontainers.image.created");
    }
    // The lock file's digest depends on the order of `files`, the config's on that; their sizes do not.
    top["config"].as_object_mut().expect("a descriptor").remove("digest");
    let layers = top["layers"].as_array_mut().expect("layers");
    for layer in layers.iter_mut() {
        let layer = layer.as_object_mut().expect("a descriptor");
        let kind = layer["mediaType"].as_str().expect("a media type").to_owned();
        if kind == media::APPLICATION.as_str() || kind == media::ARCHIVE.as_str() {
            layer.remove("digest");
        }
        if kind == media::ARCHIVE.as_str() {
            layer.remove("size");
        }
    }
    let data = |layer: &&mut Value| layer["mediaType"] == media::DATA.as_str();
    let mut sorted: Vec<Value> = layers.iter_mut().filter(data).map(|layer| layer.clone()).collect();
    sorted.sort_by_key(|layer| layer["digest"].to_string());
    for (layer, sorted) in layers.iter_mut().filter(data).zip(sorted) {
        *layer = sorted;
    }
    manifest
}

#[tokio::test]
async fn golden_applications_become_what_spin_made_of_them() {
    let explicit = [("com.example.k", "v"), ("org.opencontainers.image.title", "override")];
    let explicit: Annotations = explicit.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let plain = PackOptions::default();
    for (app, case, options) in [
        ("static-site", "static-site", plain.clone()),
        (
            "static-site",
            "static-site-noinfer",
            PackOptions { annotations: explicit, inference: Infer::No, ..plain.clone() },
        ),
        ("static-site", "static-site-archive", PackOptions { archives: Archives::Always, ..plain.clone() }),
        ("big-assets", "big-assets", plain.clone()),
        ("inline-trigger", "inline-trigger", plain.clone()),
    ] {
        let golden = |name: &str| fs::read(fixtures().join("spin/golden").join(case).join(name)).expect("a fixture");
        let package = pack_golden(app, &options).await;
        let ours = lock(&package).await;
        assert_eq!(with_sorted_files(&ours), with_sorted_files(&golden("lock.json")), "{case}");
        assert_eq!(with_sorted_files(&ours).as_bytes(), ours, "{case}: files are sorted by path");

        let image = package.manifest().image().expect("an image manifest");
        let config = String::from_utf8(bytes(&package, &image.config).await).expect("JSON");
        let lock_digest = image.layers.last().expect("the lock file").digest.to_string();
        let golden_config = String::from_utf8(golden("config.json")).expect("JSON");
        let golden_lock = spinreg::Digest::of(&golden("lock.json")).to_string();
        assert_eq!(config, golden_config.replace(&golden_lock, &lock_digest), "{case}");

        assert_eq!(comparable(package.manifest().bytes()), comparable(&golden("manifest.json")), "{case}");
    }
}

#[tokio::test]
async fn without_files_even_the_digests_equal_spins() {
    let package = pack_golden("inline-trigger", &PackOptions::default()).await;
    let golden = fixtures().join("spin/golden/inline-trigger");
    assert_eq!(lock(&package).await, fs::read(golden.join("lock.json")).expect("a fixture"));
    let config = &package.manifest().image().expect("an image manifest").config;
    assert_eq!(bytes(&package, config).await, fs::read(golden.join("config.json")).expect("a fixture"));
}

#[tokio::test]
async fn packing_twice_gives_one_digest() {
    for options in [
        PackOptions::default(),
        PackOptions { archives: Archives::Always, ..PackOptions::default() },
        PackOptions { created: Some(Created::from_epoch(1_800_000_000).expect("a moment")), ..PackOptions::default() },
    ] {
        let once = pack_golden("static-site", &options).await;
        let again = pack_golden("static-site", &options).await;
        assert_eq!(once.manifest().digest(), again.manifest().digest());
        let created = once.manifest().annotations().get("org.opencontainers.image.created");
        assert_eq!(created.cloned(), options.created.map(|created| created.to_string()));
    }
}

/// The digest is the same on every machine, so it can be written down.
#[tokio::test]
async fn digests_do_not_depend_on_the_machine() {
    for (archives, digest) in [(Archives::WhenNeeded, SEPARATE), (Archives::Always, ARCHIVED)] {
        let package = pack_golden("static-site", &PackOptions { archives, ..PackOptions::default() }).await;
        assert_eq!(package.manifest().digest().to_string(), digest);
    }
}

const SEPARATE: &str = "sha256:ee55624ef699045323bf2148073bc27d2ba30885babd9d63b2127213e549a622";
const ARCHIVED: &str = "sha256:b31d55c851c510c1ecb749d3fcb896894e2f5e86949e980aaeb0c8e79eadfa7c";

#[tokio::test]
async fn archives_hold_every_file_and_nothing_else() {
    let options = PackOptions { archives: Archives::Always, ..PackOptions::default() };
    let package = pack_golden("static-site", &options).await;
    let image = package.manifest().image().expect("an image manifest");
    let archive = image.layers.iter().find(|layer| layer.media_type == media::ARCHIVE).expect("an archive");
    let compressed = bytes(&package, archive).await;
    assert_eq!(compressed[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], "a header without flags, time and system");
    let mut entries = Vec::new();
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&compressed[..]));
    for entry in tar.entries().expect("an archive") {
        let entry = entry.expect("an entry");
        let header = entry.header();
        assert!(header.entry_type().is_file());
        let facts = (header.mode(), header.uid(), header.gid(), header.mtime());
        let facts =
            (facts.0.expect("octal"), facts.1.expect("octal"), facts.2.expect("octal"), facts.3.expect("octal"));
        assert_eq!(facts, (0o644, 0, 0, 0));
        entries.push(String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8"));
    }
    let files = &package.lock_file().components[0].files;
    assert_eq!(entries, files.iter().map(|file| file.path.clone()).collect::<Vec<_>>());
}

#[tokio::test]
async fn archives_live_as_long_as_their_last_blob() {
    let options = PackOptions { archives: Archives::Always, ..PackOptions::default() };
    let package = pack_golden("static-site", &options).await;
    let image = package.manifest().image().expect("an image manifest").clone();
    let archive = image.layers.iter().find(|layer| layer.media_type == media::ARCHIVE).expect("an archive");
    let blob = package.blob(archive);
    drop(package);
    assert_eq!(blob.read(u64::MAX).await.expect("still there").len() as u64, archive.size);
}

#[tokio::test]
async fn a_package_knows_its_manifest_by_digest_only() {
    let package = pack_golden("inline-trigger", &PackOptions::default()).await;
    let id = package.identifier();
    assert_eq!(&package.resolve(&id).await.expect("its own"), package.manifest().descriptor());
    let tag = Identifier::Tag("latest".parse().expect("a tag"));
    assert!(package.resolve(&tag).await.expect_err("no tags").is_not_found());
    let stranger = Descriptor::of(MediaType::OCTET_STREAM, b"stranger");
    assert!(package.blob(&stranger).open(0).await.expect_err("not in it").is_not_found());
}

/// The worked example of the format's description: every digest of it.
#[tokio::test]
async fn the_worked_example_comes_out() {
    let dir = app(r#"version = "1.2.3"
authors = ["A <a@example.com>", "B"]
description = "Says hello"
[variables]
greeting = { default = "hi" }
token = { required = true, secret = true }
[[trigger.http]]
route = "/..."
component = "web"
[component.web]
source = "empty.wasm"
files = [{ source = "static", destination = "/" }]
allowed_outbound_hosts = ["https://api.example.com"]
key_value_stores = ["default"]
sqlite_databases = ["default"]
environment = { MODE = "prod" }
variables = { token = "{{ token }}" }
build = { command = "cargo build" }
"#);
    let text = fs::read_to_string(dir.path().join("spin.toml")).expect("written").replace("\"t\"", "\"hello\"");
    write(&dir, "spin.toml", &text);
    write(&dir, "static/big.txt", &"a".repeat(200));
    write(&dir, "static/small.txt", "hello\n");
    let app = load(dir.path(), &LoadOptions::default()).await.expect("it loads");
    assert_eq!(app.components()[0].kind, WasmKind::Component);
    assert_eq!(app.warnings(), []);
    let created = "2026-08-20T20:42:00.123456789+00:00".parse().expect("a moment");
    let package =
        pack(&app, &PackOptions { created: Some(created), ..PackOptions::default() }).await.expect("it packs");
    let image = package.manifest().image().expect("an image manifest");
    let digests: Vec<String> = image.layers.iter().map(|layer| layer.digest.to_string()).collect();
    assert_eq!(
        digests,
        [
            "sha256:24eaf3439a60c96764c4f2c92a0a81b52bd4fe5d5b91f090184a0f6486b1bf29",
            "sha256:c2a908d98f5df987ade41b5fce213067efbcc21ef2240212a41e54b5e7c28ae5",
            "sha256:fdb346a8380feddbe3d2db2d37b31456ab99d22d171b6a5478e07e14afad1081",
        ]
    );
    let config = "sha256:e2068a904e463946a8b249e1a05e4cd89d4dcc2678eb48268d249306c6b601cf";
    assert_eq!(image.config.digest.to_string(), config);
    let media_type = r#""mediaType":"application/vnd.oci.image.manifest.v1+json","#;
    let manifest = String::from_utf8(package.manifest().bytes().to_vec()).expect("JSON").replace(media_type, "");
    let digest = "sha256:fd0dd5dd251e091900285b541684dd100c54a643809fa4bfacca2d832590adb2";
    assert_eq!(spinreg::Digest::of(manifest.as_bytes()).to_string(), digest);
}

#[tokio::test]
async fn too_many_components_are_said_to_be_too_many() {
    let mut text = "[trigger]\n".to_owned();
    for number in 0..500 {
        text.push_str(&format!("[component.c{number}]\nsource = \"{number}.wasm\"\n"));
    }
    let dir = app(&text);
    for number in 0..500_u32 {
        let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
        wasm.extend(number.to_be_bytes());
        fs::write(dir.path().join(format!("{number}.wasm")), wasm).expect("written");
    }
    let app = load(dir.path(), &LoadOptions::default()).await.expect("it loads");
    let error = pack(&app, &PackOptions::default()).await.expect_err("501 layers");
    assert_eq!(error.to_string(), "the application needs 501 layers, and registries take 500");
}

/// 499 layers of content and the lock file are what registries take; one more, and files travel together.
#[tokio::test]
async fn the_last_file_too_many_makes_an_archive() {
    for (files, layers, archives) in [(498, 500, 0), (499, 3, 1)] {
        let dir = app(&component("files = [{ source = \"assets\", destination = \"/\" }]"));
        for number in 0..files {
            write(&dir, &format!("assets/{number}"), &format!("{number:0>200}"));
        }
        // Small and repeated content needs no layer.
        write(&dir, "assets/small", "small");
        write(&dir, "assets/again", &format!("{:0>200}", 0));
        let app = load(dir.path(), &LoadOptions::default()).await.expect("it loads");
        let package = pack(&app, &PackOptions::default()).await.expect("it packs");
        let image = package.manifest().image().expect("an image manifest");
        let packed = image.layers.iter().filter(|layer| layer.media_type == media::ARCHIVE).count();
        assert_eq!((image.layers.len(), packed), (layers, archives), "{files}");
        assert_eq!(package.lock_file().components[0].files.len(), files + 2);
    }
}

#[tokio::test]
async fn what_components_share_travels_once_and_first_come_first() {
    let rest = "[trigger]\n[component.b]\nsource = \"one.wasm\"\nfiles = [\"x\", \"y\"]\n\
                [component.a]\nsource = \"one.wasm\"\nfiles = [\"w\", \"y\"]\n\
                [component.c]\nsource = \"two.wasm\"\nfiles = [\"x\", \"z\"]\n";
    let dir = app(rest);
    for (name, tail) in [("one.wasm", 1), ("two.wasm", 2)] {
        let wasm = [&b"\0asm\x0d\0\x01\0"[..], &[tail; 200]].concat();
        fs::write(dir.path().join(name), wasm).expect("written");
    }
    for (name, text) in [("w", "x"), ("x", "x"), ("y", "y"), ("z", "z")] {
        write(&dir, name, &text.repeat(200));
    }
    let app = load(dir.path(), &LoadOptions::default()).await.expect("it loads");
    let package = pack(&app, &PackOptions::default()).await.expect("it packs");
    let layers = &package.manifest().image().expect("an image manifest").layers;
    let digest = |path: &str| spinreg::Digest::of(&fs::read(dir.path().join(path)).expect("written"));
    let expected: Vec<_> = ["one.wasm", "x", "y", "two.wasm", "z"].map(digest).to_vec();
    assert_eq!(layers[..5].iter().map(|layer| layer.digest).collect::<Vec<_>>(), expected);
    assert_eq!(layers.len(), 6);
}

#[tokio::test]
async fn profiles_are_applied_recorded_and_checked() {
    let golden = fixtures().join("spin/apps/static-site");
    let profile = |name: &str| LoadOptions { profile: Some(name.to_owned()), ..LoadOptions::default() };
    let app = load(&golden, &profile("debug")).await.expect("it is defined");
    let package = pack(&app, &PackOptions::default()).await.expect("it packs");
    assert_eq!(package.lock_file().metadata["profile"], "debug");
    assert_eq!(package.lock_file().components[1].env["DEBUG"], "1");
    let error = load(&golden, &profile("debgu")).await.expect_err("it is not defined").to_string();
    assert!(error.ends_with("spin.toml: the profile `debgu` is not defined; did you mean `debug`?"), "{error}");
}

#[tokio::test]
async fn files_that_change_meanwhile_are_noticed() {
    let dir = app(&component("files = [{ source = \"a\", destination = \"a\" }]"));
    write(&dir, "a", &"a".repeat(1_000));
    let app = load(dir.path(), &LoadOptions::default()).await.expect("it loads");
    let package = pack(&app, &PackOptions::default()).await.expect("it packs");
    let image = package.manifest().image().expect("an image manifest");
    write(&dir, "a", &"b".repeat(1_000));
    let blob = package.blob(&image.layers[1]);
    assert!(blob.read(1_000).await.is_err());
}

/// The cache keeps components and files apart, so both have to travel.
#[tokio::test]
async fn a_component_that_is_also_a_file_is_two_layers() {
    let dir = app(&component(
        "files = [{ source = \"empty.wasm\", destination = \"a\" }, { source = \"big\", destination = \"b\" }]",
    ));
    let mut big = b"\0asm\x0d\0\x01\0".to_vec();
    big.resize(1_000, 0);
    for name in ["empty.wasm", "big"] {
        fs::write(dir.path().join(name), &big).expect("written");
    }
    let app = load(dir.path(), &LoadOptions::default()).await.expect("it loads");
    let package = pack(&app, &PackOptions::default()).await.expect("it packs");
    let layers = &package.manifest().image().expect("an image manifest").layers;
    let types: Vec<_> = layers.iter().map(|layer| layer.media_type.clone()).collect();
    assert_eq!(types, [media::WASM, media::DATA, media::APPLICATION]);
    assert_eq!(layers[0].digest, layers[1].digest);
    for layer in layers {
        assert_eq!(package.blob(layer).descriptor(), layer);
    }
}

#[tokio::test]
async fn archives_hold_long_and_foreign_names() {
    let name = format!("{}/ü b", ["long-name"; 20].join("/"));
    let dir = app(&component("files = [{ source = \"assets\", destination = \"/\" }]"));
    write(&dir, &format!("assets/{name}"), "content");
    let app = load(dir.path(), &LoadOptions::default()).await.expect("it loads");
    let options = PackOptions { archives: Archives::Always, ..PackOptions::default() };
    let package = pack(&app, &options).await.expect("it packs");
    let archive = package.manifest().image().expect("an image manifest").layers[1].clone();
    let compressed = bytes(&package, &archive).await;
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&compressed[..]));
    let paths = tar.entries().expect("an archive").map(|entry| entry.expect("an entry").path_bytes().into_owned());
    assert_eq!(paths.collect::<Vec<_>>(), [name.into_bytes()]);
}

/// Futures of a library have to fit a runtime with several threads.
#[test]
fn futures_may_change_threads() {
    fn is_send(_: impl Send) {}
    is_send(async {
        let app = load(Path::new("spin.toml"), &LoadOptions::default()).await?;
        pack(&app, &PackOptions::default()).await
    });
}
