//! Composition: what fits together, what a dependency is denied, and what is refused.

use spinreg::content::Source as _;
use spinreg::spin::compose::{ComposeError, Dependency, Discord, Middleware, chain, compose};
use spinreg::spin::{Composition, DependencyName, Inherit, LoadOptions, PackOptions, Package, load, media, pack};
use spinreg::{Descriptor, Digest};

use crate::support::cli::Cli;
use crate::support::components::{HOSTS, component, dummy, names};
use crate::support::root;
use crate::support::scenario::{app, push};

const MAIN: &[u8] = include_bytes!("../fixtures/spin/apps/dep-app/main.wasm");
const GREETER: &[u8] = include_bytes!("../fixtures/spin/apps/dep-app/greeter.wasm");
const GREET: &str = "demo:greeter/greet@1.0.0";

fn name(text: &str) -> DependencyName {
    text.parse().expect("a name of a dependency")
}

fn some(sets: &[&str]) -> Inherit {
    Inherit::Some(sets.iter().map(|set| (*set).to_owned()).collect())
}

/// Composes with one dependency, and returns what the result imports.
fn imports(root: &[u8], named: &str, wasm: &[u8], inherit: &Inherit) -> Vec<String> {
    let dependency = Dependency { name: &name(named), wasm, export: None, inherit };
    let composed = compose("main", root, &[dependency]).unwrap_or_else(|error| panic!("{error}"));
    names(&composed).0
}

fn refused(root: &[u8], dependencies: &[(&str, &[u8], Option<&str>)]) -> ComposeError {
    let named: Vec<_> = dependencies.iter().map(|(text, wasm, export)| (name(text), *wasm, *export)).collect();
    let inherit = Inherit::default();
    let dependencies: Vec<_> = named
        .iter()
        .map(|(name, wasm, export)| Dependency { name, wasm, export: *export, inherit: &inherit })
        .collect();
    compose("main", root, &dependencies).expect_err("a refusal")
}

#[test]
fn the_golden_application_composes() {
    let dependency = Dependency { name: &name(GREET), wasm: GREETER, export: None, inherit: &Inherit::default() };
    let composed = compose("main", MAIN, std::slice::from_ref(&dependency)).expect("a composition");
    let (imports, exports) = names(&composed);
    let (before, of_main) = names(MAIN);
    assert_eq!(exports, of_main);
    assert!(before.contains(&GREET.to_owned()) && !imports.contains(&GREET.to_owned()), "{imports:?}");
    assert_eq!(compose("main", MAIN, &[dependency]).expect("a composition"), composed);
    // Code is not written again.
    assert!(composed.len() < MAIN.len() + GREETER.len() + 30_000, "{} bytes", composed.len());
}

#[test]
fn nothing_to_compose_leaves_the_bytes_alone() {
    assert_eq!(compose("main", MAIN, &[]).expect("no composition"), MAIN);
    assert_eq!(chain("main", b"anything", &[]).expect("no composition"), b"anything");
    // Whoever inherits everything is not looked into.
    let root = dummy(HOSTS, "asking");
    let all = imports(&root, "spinreg:fixture", &dummy(HOSTS, "everything"), &Inherit::All);
    assert_eq!(all, names(&dummy(HOSTS, "everything")).0);
}

#[test]
fn a_dependency_built_with_wasi_libc_keeps_what_carries_no_capability() {
    const ROOT: &str =
        "package a:b; package demo:greeter@1.0.0 { interface greet { greet: func(name: string) -> string; } }
        world root { import demo:greeter/greet@1.0.0; export run: func() -> string; }";
    let root = dummy(ROOT, "root");
    let left = imports(&root, GREET, GREETER, &Inherit::default());
    let its_own = names(GREETER).0;
    let is_preopens = |name: &String| name.starts_with("wasi:filesystem/preopens@");
    assert!(its_own.iter().any(is_preopens), "{its_own:?}");
    let harmless: Vec<_> = its_own.iter().filter(|name| !is_preopens(name)).cloned().collect();
    assert_eq!(left, harmless);
    assert_eq!(imports(&root, GREET, GREETER, &some(&["environment"])), harmless);
    assert_eq!(imports(&root, GREET, GREETER, &some(&["files"])), its_own);
}

/// What is left connected of everything that there is, by what is inherited.
#[test]
fn each_set_keeps_its_interfaces_and_no_others() {
    let (root, dependency) = (dummy(HOSTS, "asking"), dummy(HOSTS, "everything"));
    let harmless = |name: &String| {
        ["wasi:cli/stdout", "wasi:filesystem/types", "wasi:http/types", "wasi:io/", "wasi:sockets/instance-network"]
            .iter()
            .chain(&["wasi:sockets/network", "fermyon:spin/rdbms-types"])
            .any(|start| name.starts_with(start))
    };
    let none: &[&str] = &[];
    for (sets, kept) in [
        (none, none),
        (&["ai_models"], &["fermyon:spin/llm"]),
        (
            &["allowed_outbound_hosts"],
            &[
                "fermyon:spin/http",
                "fermyon:spin/mysql",
                "fermyon:spin/mysql@2.0.0",
                "fermyon:spin/redis",
                "spin:postgres/postgres@4.2.0",
                "spin:redis/redis@3.0.0",
                "wasi:http/outgoing-handler@0.2.6",
                "wasi:sockets/ip-name-lookup@0.2.6",
                "wasi:sockets/tcp-create-socket@0.2.6",
                "wasi:sockets/tcp@0.2.6",
            ],
        ),
        (&["environment"], &["wasi:cli/environment@0.2.6"]),
        (&["files"], &["wasi:filesystem/preopens@0.2.6"]),
        (
            &["key_value_stores"],
            &["fermyon:spin/key-value@2.0.0", "wasi:keyvalue/batch@0.2.0-draft2", "wasi:keyvalue/store@0.2.0-draft2"],
        ),
        (&["sqlite_databases"], &["spin:sqlite/sqlite@3.1.0"]),
        (
            &["variables"],
            &["fermyon:spin/config", "fermyon:spin/variables@2.0.0", "wasi:config/store@0.2.0-draft-2024-09-27"],
        ),
        (&["environment", "ai_models", "unheard-of"], &["fermyon:spin/llm", "wasi:cli/environment@0.2.6"]),
    ] {
        let left = imports(&root, "spinreg:fixture/ask", &dependency, &some(sets));
        let capable: Vec<&String> = left.iter().filter(|name| !harmless(name)).collect();
        assert_eq!(capable, kept, "{sets:?}");
        assert!(left.iter().any(|name| name.starts_with("wasi:cli/stdout")), "{left:?}");
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let module = wat::parse_str("(module)").expect("a module");
    for (dependencies, said) in [
        (vec![("demo:greetr", GREETER, None)], "has no import to satisfy; the component imports "),
        (
            vec![("demo:greeter/greet@1.0.1", GREETER, None)],
            "has no import to satisfy; did you mean `demo:greeter/greet@1.0.0`? the component imports ",
        ),
        (
            vec![("demo:greeter", GREETER, None), (GREET, GREETER, None)],
            "satisfies the import `demo:greeter/greet@1.0.0`, and so does the dependency `demo:greeter`",
        ),
        (
            vec![(GREET, GREETER, Some("demo:greeter/greet"))],
            "does not export `demo:greeter/greet`, which is to satisfy the import `demo:greeter/greet@1.0.0`; \
             did you mean `demo:greeter/greet@1.0.0`?",
        ),
        (vec![(GREET, MAIN, None)], "does not export `demo:greeter/greet@1.0.0`; it exports `wasi:http/incoming"),
        (vec![(GREET, &module, None)], "is a core module that does not say which interfaces it has"),
        (vec![(GREET, b"<html>", None)], "cannot be read"),
    ] {
        let error = refused(MAIN, &dependencies);
        let (last, ..) = dependencies[dependencies.len() - 1];
        let text = error.to_string();
        assert!(text.starts_with(&format!("the dependency `{last}` of component `main` {said}")), "{text}");
    }
    let error = refused(&module, &[(GREET, GREETER, None)]);
    assert!(error.to_string().starts_with("component `main` is a core module"), "{error}");
}

#[test]
fn types_have_to_agree() {
    let world = |ty: &str| {
        format!(
            "package a:b; interface c {{ f: func() -> {ty}; }} world out {{ export c; }} world root {{ import c; export run: func(); }}"
        )
    };
    let (root, other) = (dummy(&world("string"), "root"), dummy(&world("u32"), "out"));
    let error = refused(&root, &[("a:b/c", &other, None)]);
    assert!(matches!(&error.discord, Discord::Mismatch { import, .. } if import == "a:b/c"), "{error}");
    assert_eq!(
        error.to_string(),
        "the dependency `a:b/c` of component `main` exports `a:b/c` with other types than those of the import `a:b/c`"
    );
}

#[test]
fn two_dependencies_on_one_package_compose() {
    const WIT: &str = "package a:b@1.0.0; interface c { f: func() -> string; } interface d { f: func() -> string; }
        world root { import c; import d; import greet: func() -> string; export run: func() -> string; }
        world one { export c; } world two { export d; } world three { export hello: func() -> string; }";
    let parts = ["one", "two", "three"].map(|world| dummy(WIT, world));
    let named = [name("a:b/c@1.0.0"), name("a:b/d@1.0.0"), name("greet")];
    let inherit = Inherit::default();
    let dependencies: Vec<_> = [None, None, Some("hello")]
        .into_iter()
        .zip(named.iter().zip(&parts))
        .map(|(export, (name, wasm))| Dependency { name, wasm, export, inherit: &inherit })
        .collect();
    let composed = compose("main", &dummy(WIT, "root"), &dependencies).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names(&composed), (vec![], vec!["run".to_owned()]));
}

const HANDLERS: &str = "package a:b;
    package wasi:http@0.3.0 {
      interface types { resource request { constructor(); } resource response { constructor(); } variant error-code { internal-error(option<string>) } }
      interface handler { use types.{request, response, error-code}; handle: async func(request: request) -> result<response, error-code>; }
    }
    package wasi:cli@0.3.0 { interface environment { get-environment: func() -> list<tuple<string, string>>; } }
    world service { import wasi:cli/environment@0.3.0; export wasi:http/handler@0.3.0; export also: func(); }
    world middleware { import wasi:cli/environment@0.3.0; import wasi:http/handler@0.3.0; export wasi:http/handler@0.3.0; }
    world terminal { import wasi:cli/environment@0.3.0; export wasi:http/handler@0.3.0; }
    world old { export run: func(); }";

#[test]
fn middleware_is_chained_and_denied() {
    let (service, wasm) = (dummy(HANDLERS, "service"), dummy(HANDLERS, "middleware"));
    let inherit = Inherit::default();
    let layer = |name| Middleware { name, wasm: &wasm, inherit: &inherit };
    let chained = chain("main", &service, &[layer("outer"), layer("inner")]).unwrap_or_else(|error| panic!("{error}"));
    let (imports, exports) = names(&chained);
    assert_eq!(exports, ["wasi:http/handler@0.3.0"]);
    // The component's own.
    assert_eq!(imports, ["wasi:cli/environment@0.3.0", "wasi:http/types@0.3.0"]);

    for (service, layer, said) in [
        (
            &dummy(HANDLERS, "old"),
            layer("outer"),
            "component `main` has no export `wasi:http/handler@0.3.0`, so that middleware cannot be chained; there are `run`",
        ),
        (
            &service,
            Middleware { name: "auth", wasm: &dummy(HANDLERS, "terminal"), inherit: &inherit },
            "the dependency `auth` of component `main` has no import `wasi:http/handler@0.3.0`, so that middleware cannot be chained; did you mean `wasi:http/types@0.3.0`? there are `wasi:",
        ),
    ] {
        let error = chain("main", service, &[layer]).expect_err(said).to_string();
        assert!(error.starts_with(said), "{error}");
    }
}

/// Whatever is cut off or changed, the answer is a result or an error, and no reader gives up.
#[test]
fn damaged_components_are_refused() {
    let named = name(GREET);
    let attempt = |wasm: &[u8]| {
        let dependency = Dependency { name: &named, wasm, export: None, inherit: &Inherit::default() };
        match compose("main", MAIN, &[dependency]) {
            Ok(composed) => assert!(composed.len() > MAIN.len()),
            Err(error) => {
                let mut cause: Option<&dyn std::error::Error> = Some(&error);
                while let Some(error) = cause {
                    assert!(!error.to_string().contains("gave up"), "{error}");
                    cause = error.source();
                }
            }
        }
    };
    for cut in (0..GREETER.len()).step_by(GREETER.len() / 40) {
        attempt(&GREETER[..cut]);
    }
    // Types and names of the component are at both ends; code is in the middle.
    let near = (8..400).step_by(7).chain((GREETER.len() - 3_000..GREETER.len()).step_by(61));
    for at in near {
        let mut damaged = GREETER.to_vec();
        damaged[at] ^= 1 << (at % 8);
        attempt(&damaged);
    }
}

#[test]
fn types_deeper_than_any_are_bounded() {
    for (depth, refused) in [(49_000, false), (60_000, true)] {
        // One type definition after the other, each of the one before.
        let mut text = "(component (type string)\n".to_owned();
        for level in 0..depth {
            text.push_str(&format!("(type (list {level}))\n"));
        }
        text.push_str(&format!(
            "(type (func (param \"a\" {depth}) (result bool))) (import \"f\" (func (type {})))\n",
            depth + 1
        ));
        text.push_str(&format!("(import \"{GREET}\" (instance (export \"g\" (func (type {}))))) )", depth + 1));
        let deep = wat::parse_str(&text).expect("a component");
        let error = self::refused(MAIN, &[(GREET, &deep, None)]);
        assert_eq!(matches!(error.discord, Discord::TooLarge { what: "types", .. }), refused, "{error}");
    }
}

#[test]
fn components_of_text_can_be_asked() {
    let wit = "package a:b; world w { export run: func() -> u32; }";
    let made = component(wit, "w", r#"(module (func (export "run") (result i32) i32.const 7))"#);
    assert_eq!(names(&made), (vec![], vec!["run".to_owned()]));
}

fn golden(name: &str) -> String {
    std::fs::read_to_string(root("fixtures/spin/golden/dep-app").join(name)).expect("a fixture")
}

async fn packed(composition: Composition) -> Package {
    let app = load(&root("fixtures/spin/apps/dep-app"), &LoadOptions::default()).await.expect("it loads");
    pack(&app, &PackOptions { composition, ..PackOptions::default() }).await.expect("it packs")
}

async fn text(package: &Package, descriptor: &Descriptor) -> String {
    let bytes = package.blob(descriptor).read(1 << 20).await.expect("the package has its blobs");
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// But for the digest of what was composed, and what follows from it.
#[tokio::test]
async fn the_golden_application_packs_as_spin_packs_it() {
    let package = packed(Composition::Composed).await;
    let image = package.manifest().image().expect("an image manifest");
    let [wasm, lock] = &image.layers[..] else { panic!("{:?}", image.layers) };
    let theirs: serde_json::Value = serde_json::from_str(&golden("manifest.json")).expect("a manifest");
    let of_theirs = |pointer: &str| theirs.pointer(pointer).and_then(|value| value.as_str()).expect(pointer).to_owned();
    assert_eq!(wasm.media_type, media::WASM);
    assert_eq!(
        text(&package, lock).await.replace(&wasm.digest.to_string(), &of_theirs("/layers/0/digest")),
        golden("lock.json")
    );
    assert_eq!(
        text(&package, &image.config).await.replace(&lock.digest.to_string(), &of_theirs("/layers/1/digest")),
        golden("config.json")
    );
    assert_eq!(package.manifest().digest(), packed(Composition::Composed).await.manifest().digest());
}

#[tokio::test]
async fn dependencies_travel_as_layers_where_that_is_asked_for() {
    let package = packed(Composition::Layers).await;
    let image = package.manifest().image().expect("an image manifest");
    let digests: Vec<_> = image.layers.iter().map(|layer| layer.digest).collect();
    assert_eq!(digests[..2], [Digest::of(MAIN), Digest::of(GREETER)]);
    let expected = golden("lock.json").replacen(
        r#""source":{"content_type":"application/wasm","digest":"sha256:50aafb36360f2670fd6d084c44c2cca770747cdd368d42377b14ea155f7aa7f5"}"#,
        &format!(
            r#""source":{{"content_type":"application/wasm","digest":"{}"}},"dependencies":{{"{GREET}":{{"source":{{"content_type":"application/wasm","digest":"{}"}},"export":null}}}}"#,
            digests[0], digests[1],
        ),
        1,
    );
    assert_eq!(text(&package, &image.layers[2]).await, expected);
}

#[tokio::test]
async fn the_tool_composes_unless_it_is_told_not_to() {
    let cli = Cli::new();
    let to = |name: &str| format!("oci:{}:v1", cli.path(name).display());
    let composed = push(&cli, &app("dep-app"), &to("tmp/a"), &[]).await;
    assert_eq!(composed, packed(Composition::Composed).await.manifest().digest());
    assert_eq!(push(&cli, &app("dep-app"), &to("tmp/b"), &["--compose"]).await, composed);
    let layers = push(&cli, &app("dep-app"), &to("tmp/c"), &["--compose=false"]).await;
    assert_eq!(layers, packed(Composition::Layers).await.manifest().digest());
}

#[tokio::test]
async fn the_tool_says_what_does_not_fit_and_what_to_do() {
    let cli = Cli::new();
    let manifest = |dependencies: &str| {
        format!(
            "spin_manifest_version = 2\n[application]\nname = \"a\"\n[[trigger.http]]\nroute = \"/...\"\ncomponent = \"main\"\n\
             [component.main]\nsource = \"main.wasm\"\n[component.main.dependencies]\n{dependencies}\n"
        )
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("main.wasm"), MAIN).expect("a file");
    std::fs::write(dir.path().join("greeter.wasm"), GREETER).expect("a file");
    std::fs::write(dir.path().join("module.wasm"), b"\0asm\x01\0\0\0").expect("a file");
    for (dependencies, said, hint) in [
        (
            "\"demo:greeter/greet@1.0.1\" = { path = \"greeter.wasm\" }",
            "the dependency `demo:greeter/greet@1.0.1` of component `main` has no import to satisfy; did you mean `demo:greeter/greet@1.0.0`?",
            "name the dependency as the component's import",
        ),
        (
            "\"demo:greeter/greet@1.0.0\" = { path = \"module.wasm\" }",
            "the dependency `demo:greeter/greet@1.0.0` of component `main` is a core module",
            "wasm-tools component embed",
        ),
        (
            "\"demo:greeter/greet@1.0.0\" = { path = \"missing.wasm\" }",
            "of the dependency `demo:greeter/greet@1.0.0` of the component `main` does not exist",
            "build the dependency",
        ),
    ] {
        std::fs::write(dir.path().join("spin.toml"), manifest(dependencies)).expect("a file");
        let target = format!("oci:{}:v1", cli.path("tmp/out").display());
        let from = dir.path().to_str().expect("a path");
        let run = cli.run(["push", "-f", from, &target]).await;
        let code = run.code().expect("an exit code");
        let complaint = run.failure(code);
        assert!(complaint.contains(said) && complaint.contains(hint), "{complaint}");
    }
}

#[tokio::test]
async fn middleware_of_a_trigger_is_packed_into_its_component() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("service.wasm"), dummy(HANDLERS, "service")).expect("a file");
    std::fs::write(dir.path().join("log.wasm"), dummy(HANDLERS, "middleware")).expect("a file");
    let text = "spin_manifest_version = 2\n[application]\nname = \"a\"\n[[trigger.http]]\nroute = \"/...\"\ncomponent = \"main\"\n\
        dependencies = { middleware = [{ path = \"log.wasm\" }] }\n[component.main]\nsource = \"service.wasm\"\n";
    std::fs::write(dir.path().join("spin.toml"), text).expect("a file");
    let app = load(dir.path(), &LoadOptions::default()).await.expect("it loads");
    let package = pack(&app, &PackOptions::default()).await.expect("it packs");
    let [component] = &package.lock_file().components[..] else { panic!("one component") };
    assert!(component.trigger_dependencies.is_empty());
    assert_eq!(component.host_requirements["middleware"], "required");
    let wasm = &package.manifest().image().expect("an image manifest").layers[0];
    let bytes = package.blob(wasm).read(wasm.size).await.expect("its own blob");
    assert_eq!(names(&bytes).1, ["wasi:http/handler@0.3.0"]);

    let apart = PackOptions { composition: Composition::Layers, ..PackOptions::default() };
    let error = pack(&app, &apart).await.expect_err("no host finds middleware").to_string();
    let said = ":9:10: component `main` has middleware, which no host finds in an artifact unless it is composed";
    assert!(error.ends_with(said), "{error}");
}
