//! One file of WebAssembly, pushed by itself: what becomes of it, who reads it, and what is refused.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use spinreg::content::Source as _;
use spinreg::model::{Descriptor, Digest, Manifest, MediaType};
use spinreg::spin::{ArtifactOptions, Cache, Infer, Runnable, media, pack_component};
use spinreg::store::Layout;

use crate::cache::{Artifact, reference};
use crate::support::cli::Cli;
use crate::support::components::names;
use crate::support::registry::Embedded;
use crate::support::root;
use crate::support::scenario::{pull, push};

const GREETER: &[u8] = include_bytes!("../fixtures/spin/apps/dep-app/greeter.wasm");
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

fn greeter() -> PathBuf {
    root("fixtures/spin/apps/dep-app/greeter.wasm")
}

/// Reads the only manifest of a layout, and its config.
async fn unpacked(layout: &Path) -> (Manifest, Value) {
    let layout = Layout::open(layout).await.expect("a layout");
    let manifest = layout.manifest(&"v1".parse().expect("a tag")).await.expect("it was pushed");
    let config = manifest.image().expect("an image manifest").config.clone();
    let bytes = layout.blob(&config).read(1 << 20).await.expect("it was pushed");
    (manifest, serde_json::from_slice(&bytes).expect("JSON"))
}

async fn pushed(cli: &Cli, file: &Path, flags: &[&str]) -> (Manifest, Value) {
    let layout = cli.path("tmp/layout");
    let target = format!("oci:{}:v1", layout.display());
    let digest = push(cli, file.to_str().expect("a path"), &target, flags).await;
    let (manifest, config) = unpacked(&layout).await;
    assert_eq!(manifest.digest(), digest);
    (manifest, config)
}

#[tokio::test]
async fn a_component_becomes_what_the_specification_says() {
    let cli = Cli::new();
    let (manifest, config) = pushed(&cli, &greeter(), &[]).await;
    let image = manifest.image().expect("an image manifest");
    assert_eq!(manifest.descriptor().media_type, MediaType::IMAGE_MANIFEST);
    assert_eq!(image.media_type, Some(MediaType::IMAGE_MANIFEST), "readers look at it");
    assert_eq!(image.config.media_type.as_str(), "application/vnd.wasm.config.v0+json");
    assert_eq!(image.layers, [Descriptor::of("application/wasm".parse().expect("a media type"), GREETER)]);
    assert!(image.annotations.is_empty(), "{:?}", image.annotations);
    let (mut imports, mut exports) = names(GREETER);
    let sorted = |names: &Value| {
        let names = names.as_array().expect("a list").iter().map(|name| name.as_str().expect("text").to_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    imports.sort();
    exports.sort();
    let component = &config["component"];
    assert_eq!((sorted(&component["imports"]), sorted(&component["exports"])), (imports, exports));
    let expected = json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [Digest::of(GREETER)],
        "component": {"imports": component["imports"], "exports": component["exports"]},
    });
    assert_eq!(config, expected);
    // Whoever packs it, and wherever.
    let again = pack_component(&greeter(), &ArtifactOptions::default()).await.expect("a component");
    assert_eq!(again.manifest().bytes(), manifest.bytes());
}

#[tokio::test]
async fn a_core_module_is_said_to_be_one() {
    let cli = Cli::new();
    let file = cli.path("tmp/module.wasm");
    std::fs::write(&file, MODULE).expect("a file");
    let (manifest, config) = pushed(&cli, &file, &[]).await;
    let digest = Digest::of(MODULE);
    let expected =
        json!({"created": "1970-01-01T00:00:00Z", "architecture": "wasm", "os": "wasip1", "layerDigests": [digest]});
    assert_eq!(config, expected);
    assert_eq!(manifest.image().expect("an image manifest").layers[0].digest, digest);
}

#[tokio::test]
async fn text_becomes_what_it_means_and_says_what_it_is() {
    let text = r#"(component
        (import "wasi:http/types@0.2.3" (instance))
        (instance $handler) (export "wasi:http/incoming-handler@0.2.0" (instance $handler))
        (@custom "version" "1.2.3") (@custom "homepage" "https://example.com") (@custom "name" "no annotation"))"#;
    let cli = Cli::new();
    let (wat, wasm) = (cli.path("tmp/handler.wat"), cli.path("tmp/handler.wasm"));
    let bytes = wat::parse_str(text).expect("a component");
    std::fs::write(&wat, text).expect("a file");
    std::fs::write(&wasm, &bytes).expect("a file");
    let (of_text, config) = pushed(&cli, &wat, &[]).await;
    let (of_bytes, _) = pushed(&cli, &wasm, &[]).await;
    assert_eq!(of_text.bytes(), of_bytes.bytes());
    let image = of_text.image().expect("an image manifest");
    assert_eq!(image.layers[0].digest, Digest::of(&bytes));
    let expected = json!({
        "exports": ["wasi:http/incoming-handler@0.2.0"],
        "imports": ["wasi:http/types@0.2.3"],
        "target": "wasi:http/proxy@0.2.3",
    });
    assert_eq!(config["component"], expected);
    let of = |manifest: &Manifest| serde_json::to_value(&manifest.image().expect("an image manifest").annotations);
    let prefix = "org.opencontainers.image";
    let expected = json!({format!("{prefix}.url"): "https://example.com", format!("{prefix}.version"): "1.2.3"});
    assert_eq!(of(&of_text).expect("JSON"), expected);

    // What is said on the command line goes before what the file says.
    let (given, _) = pushed(&cli, &wasm, &["--annotation", &format!("{prefix}.version=2")]).await;
    assert_eq!(of(&given).expect("JSON")[format!("{prefix}.version")], "2");
    let options = ArtifactOptions { inference: Infer::No, ..ArtifactOptions::default() };
    let silent = pack_component(&wasm, &options).await.expect("a component");
    assert_eq!(of(silent.manifest()).expect("JSON"), json!({}));
}

#[tokio::test]
async fn the_moment_is_told_where_it_is_given() {
    let moment = "2026-01-01T00:00:00+00:00";
    let (cli, dated) = (Cli::new(), Cli::new().env("SOURCE_DATE_EPOCH", "1767225600"));
    let (manifest, config) = pushed(&cli, &greeter(), &["--created", moment]).await;
    assert_eq!(config["created"], moment);
    let image = manifest.image().expect("an image manifest");
    assert_eq!(image.annotations["org.opencontainers.image.created"], moment);
    assert_eq!(pushed(&dated, &greeter(), &[]).await.0.bytes(), manifest.bytes());
}

#[tokio::test]
async fn what_is_no_webassembly_is_refused_with_its_name_and_the_reason() {
    let cli = Cli::new();
    let component = wat::parse_str("(component (import \"a\" (func)))").expect("a component");
    let short = &component[..component.len() - 1];
    for (name, content, said, hint) in [
        ("page.wasm", &b"<html>"[..], "is not WebAssembly: it begins with 3c 68 74 6d 6c 3e", "spin.toml"),
        ("empty.wasm", b"", "is empty, not WebAssembly", "spin.toml"),
        ("short.wasm", short, "is not valid WebAssembly: unexpected end", "spin.toml"),
        ("future.wasm", b"\0asm\x09\0\0\0", "is WebAssembly of an unknown version: 09 00 00 00", "spin.toml"),
        ("text.wasm", b"(module)", "is WebAssembly text, which is assembled only from files", "`.wat`"),
        ("wrong.wat", b"(module\n  (fun))", "wrong.wat:2:4` cannot be assembled: expected valid module field", ""),
    ] {
        let file = cli.path("tmp").join(name);
        std::fs::write(&file, content).expect("a file");
        let layout = cli.path("tmp/out");
        let target = format!("oci:{}:v1", layout.display());
        let complaint = cli.run(["push", "-f", file.to_str().expect("a path"), &target]).await.failure(1);
        assert!(complaint.contains(name) && complaint.contains(said), "{complaint}");
        assert!(!complaint.contains("of the component") && complaint.contains(hint), "{complaint}");
        assert!(!layout.exists(), "{name}");
    }
    let complaint = cli.run(["push", "-f", "missing.wasm", "oci:out:v1"]).await.failure(3);
    assert!(complaint.contains("the file `missing.wasm` does not exist\n"), "{complaint}");
    let greeter = greeter();
    for flags in [&["--build"][..], &["--profile", "debug"]] {
        let arguments = [&["push", "-f", greeter.to_str().expect("a path"), "oci:out:v1"], flags].concat();
        let complaint = cli.run(arguments).await.failure(2);
        let said = format!("`{}` is for applications with a manifest", flags[0]);
        assert!(complaint.contains(&said) && complaint.contains("`spin.toml`"), "{complaint}");
    }
    // A folder may be called like a file.
    std::fs::create_dir(cli.path("tmp/app.wasm")).expect("a directory");
    let folder = cli.path("tmp/app.wasm");
    let complaint = cli.run(["push", "-f", folder.to_str().expect("a path"), "oci:out:v1"]).await.failure(3);
    assert!(complaint.contains("no Spin manifest at"), "{complaint}");
}

/// Longer files are not held in memory: what they say is read from their outermost level.
#[tokio::test]
async fn long_files_are_read_section_by_section() {
    let cli = Cli::new();
    let file = cli.path("tmp/long.wasm");
    let mut wasm = GREETER.to_vec();
    // A custom section of 17 MiB that nobody needs, and one behind it.
    let long = (17_u32 << 20) + 5;
    let number = |value: u32| (0..5).map(move |at| (value >> (7 * at)) as u8 & 0x7f | if at < 4 { 0x80 } else { 0 });
    wasm.push(0);
    wasm.extend(number(long));
    wasm.extend([4, b'l', b'o', b'n', b'g']);
    wasm.resize(wasm.len() + (17 << 20), b'x');
    wasm.extend(b"\0\x0d\x07version1.2.3");
    std::fs::write(&file, &wasm).expect("a file");
    let (manifest, config) = pushed(&cli, &file, &[]).await;
    let (_, short) = pushed(&cli, &greeter(), &[]).await;
    assert_eq!(config["component"], short["component"]);
    let image = manifest.image().expect("an image manifest");
    assert_eq!(image.annotations["org.opencontainers.image.version"], "1.2.3");
    assert_eq!((image.layers[0].digest, image.layers[0].size), (Digest::of(&wasm), wasm.len() as u64));

    wasm.pop();
    std::fs::write(&file, &wasm).expect("a file");
    let complaint = cli.run(["push", "-f", file.to_str().expect("a path"), "oci:out:v1"]).await.failure(1);
    assert!(complaint.contains("long.wasm` is not valid WebAssembly: unexpected end"), "{complaint}");
}

/// Through a registry and back, to what a host is told; an unchanged push is one request.
#[tokio::test]
async fn what_is_pushed_can_be_pulled_and_prepared() {
    let registry = Embedded::start().await;
    let cli = Cli::new();
    let target = registry.reference("acme/greeter:v1");
    let file = greeter();
    let digest = push(&cli, file.to_str().expect("a path"), &target, &[]).await;
    let before = registry.wire().lines().len();
    assert_eq!(push(&cli, file.to_str().expect("a path"), &target, &[]).await, digest);
    assert_eq!(registry.wire().lines()[before..], ["GET /v2/acme/greeter/manifests/v1 304"]);

    pull(&cli, &target, &[]).await;
    let work = cli.path("tmp/work");
    cli.run(["prepare", "--offline", &target, "--to", work.to_str().expect("a path")]).await.success();
    assert_runs(&work, "greeter");
}

/// Holds the lock file of a working directory to one component, which is [`GREETER`] and answers every path.
fn assert_runs(work: &Path, name: &str) {
    let lock: Value =
        serde_json::from_slice(&std::fs::read(work.join("spin.lock")).expect("a lock file")).expect("JSON");
    assert_eq!(lock["metadata"]["name"], name);
    assert_eq!(lock["triggers"][0]["trigger_config"]["route"], "/...");
    let source = lock["components"][0]["source"]["source"].as_str().and_then(|url| url.strip_prefix("file://"));
    assert_eq!(std::fs::read(source.expect("a URL of a file")).expect("it is there"), GREETER);
}

/// What wkg writes: nulls for what is not said, nanoseconds, annotations of its own.
#[tokio::test]
async fn what_wkg_writes_can_be_prepared() {
    let config = json!({
        "created": "2025-03-04T05:06:07.123456789Z", "author": null, "architecture": "wasm", "os": "wasip2",
        "layerDigests": [Digest::of(GREETER)],
        "component": {"exports": ["demo:greeter/greet@1.0.0"], "imports": [], "target": null},
    });
    let artifact =
        Artifact::new((media::PACKAGE_CONFIG, config.to_string().as_bytes()), &[(media::PACKAGE_WASM, GREETER)]);
    let room = tempfile::tempdir().expect("a temporary directory");
    let (cache, place) = (Cache::at(room.path()), reference("r.example/acme/greeter:v1"));
    artifact.pull(&cache.application(&place)).await.expect("it is pulled");
    let runnable = Runnable::cached(&cache, &place).await.expect("a package");
    let work = room.path().join("work");
    runnable.prepare(&work, spinreg::spin::Placement::Copied).await.expect("it is prepared");
    assert_runs(&work, "greeter");
}
