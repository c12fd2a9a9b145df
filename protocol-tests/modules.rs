//! Core modules: published as they are, and made components where they are to be composed.

use std::path::Path;

use spinreg::content::Source as _;
use spinreg::spin::compose::{Dependency, Middleware, chain, compose};
use spinreg::spin::{DependencyName, Inherit, LoadOptions, PackOptions, WasmKind, load, pack};

use crate::support::components::{dummy, module, names};

const WIT: &str = "package a:b;
    interface c { f: func() -> u32; }
    world root { import c; export run: func() -> u32; }
    world middle { import wasi:http/handler@0.3.0; export wasi:http/handler@0.3.0; }
    world part { export c; }
    world running { import wasi:cli/run@0.2.12; export run: func() -> u32; }
    package wasi:cli@0.2.12 { interface run { run: func() -> result; } }
    package wasi:http@0.3.0 { interface handler { handle: func(request: u32) -> u32; } }";

/// Says how many environment variables there are, by the first preview of WASI.
const PART: &str = r#"(module
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "a:b/c#f") (result i32)
      (drop (call $sizes (i32.const 16) (i32.const 20))) (i32.load (i32.const 16))))"#;
const ROOT: &str = r#"(module (import "a:b/c" "f" (func $f (result i32)))
    (func (export "run") (result i32) (call $f)))"#;
const MIDDLE: &str = r#"(module (import "wasi:http/handler@0.3.0" "handle" (func $next (param i32) (result i32)))
    (func (export "wasi:http/handler@0.3.0#handle") (param i32) (result i32) (call $next (local.get 0))))"#;
const COMMAND: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start") (call $exit (i32.const 0))))"#;

fn name(text: &str) -> DependencyName {
    text.parse().expect("a name of a dependency")
}

#[test]
fn modules_compose_as_components_and_are_denied_as_they_are() {
    let (part, name) = (module(WIT, "part", PART), name("a:b/c"));
    for root in [dummy(WIT, "root"), module(WIT, "root", ROOT)] {
        for (inherit, keeps_environment, keeps_files) in [
            (Inherit::default(), false, false),
            (Inherit::Some(vec!["environment".to_owned()]), true, false),
            (Inherit::Some(vec!["files".to_owned()]), false, true),
            (Inherit::All, true, true),
        ] {
            let dependency = Dependency { name: &name, wasm: &part, export: None, inherit: &inherit };
            let composed = compose("main", &root, std::slice::from_ref(&dependency));
            let composed = composed.unwrap_or_else(|error| panic!("{error:?}"));
            assert_eq!(compose("main", &root, &[dependency]).expect("the same"), composed);
            let (imports, exports) = names(&composed);
            assert_eq!(exports, ["run"]);
            let has = |start: &str| imports.iter().any(|import| import.starts_with(start));
            assert_eq!(has("wasi:cli/environment@"), keeps_environment, "{inherit:?}: {imports:?}");
            // Its adapter asks for files only where there may be some.
            assert!(!has("wasi:filesystem/preopens@") || keeps_files, "{inherit:?}: {imports:?}");
            assert!(!has("a:b/c"), "{imports:?}");
        }
    }
}

#[test]
fn commands_and_middleware_may_be_modules() {
    let (command, middle, inherit) =
        (wat::parse_str(COMMAND).expect("code"), module(WIT, "middle", MIDDLE), Inherit::All);
    let name = name("wasi:cli/run");
    let dependency = Dependency { name: &name, wasm: &command, export: None, inherit: &inherit };
    let composed = compose("main", &dummy(WIT, "running"), &[dependency]).unwrap_or_else(|error| panic!("{error:?}"));
    let (imports, exports) = names(&composed);
    assert_eq!(exports, ["run"]);
    assert!(!imports.iter().any(|import| import.starts_with("wasi:cli/run")), "{imports:?}");

    let layer = Middleware { name: "middle", wasm: &middle, inherit: &inherit };
    let chained = chain("main", &middle, &[layer.clone(), layer]).unwrap_or_else(|error| panic!("{error:?}"));
    let handler = vec!["wasi:http/handler@0.3.0".to_owned()];
    assert_eq!(names(&chained), (handler.clone(), handler));
}

#[tokio::test]
async fn modules_are_published_as_they_are_unless_they_are_composed() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let (root, part) = (module(WIT, "root", ROOT), module(WIT, "part", PART));
    std::fs::write(room.path().join("root.wasm"), &root).expect("a file");
    std::fs::write(room.path().join("part.wasm"), &part).expect("a file");
    for (dependencies, is_composed) in
        [("", false), ("[component.main.dependencies]\n\"a:b/c\" = { path = \"part.wasm\" }\n", true)]
    {
        let packed = packed(room.path(), dependencies).await;
        assert_eq!(packed == root, !is_composed);
        // The version and layer of a component.
        assert_eq!(packed[..8] == *b"\0asm\x0d\0\x01\0", is_composed);
    }
}

/// Packs an application of a module and returns what travels of it.
async fn packed(directory: &Path, dependencies: &str) -> Vec<u8> {
    let manifest = format!(
        "spin_manifest_version = 2\n[application]\nname = \"a\"\n[[trigger.http]]\nroute = \"/...\"\ncomponent = \"main\"\n\
         [component.main]\nsource = \"root.wasm\"\n{dependencies}"
    );
    std::fs::write(directory.join("spin.toml"), manifest).expect("a file");
    let app = load(directory, &LoadOptions::default()).await.expect("it loads");
    assert_eq!(app.components()[0].kind, WasmKind::Module);
    let package = pack(&app, &PackOptions::default()).await.unwrap_or_else(|error| panic!("{error:?}"));
    let layer = package.manifest().image().expect("an image manifest").layers[0].clone();
    package.blob(&layer).read(1 << 20).await.expect("the package has its blobs").to_vec()
}
