//! Composed components start, answer, and are denied what they may not use, in a runtime of another make.

use std::process::Output;

use spinreg::spin::compose::{Dependency, compose};
use spinreg::spin::{DependencyName, Inherit};

use crate::support::cli::Cli;
use crate::support::components::{HOSTS, component, module};
use crate::support::scenario::{app, push};
use crate::support::served::{Served, wasmtime};

/// What every module of these tests has: a memory, and room in it.
const ROOM: &str = r#"
  (memory (export "memory") 4)
  (global $heap (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.set $heap (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get 3))))
  ;; Answers with the text at an address.
  (func $say (param $at i32) (param $length i32) (result i32)
    (i32.store (i32.const 16) (local.get $at))
    (i32.store (i32.const 20) (local.get $length))
    (i32.const 16))
  ;; Answers with one letter.
  (func $say-letter (param $letter i32) (result i32)
    (i32.store8 (i32.const 600) (local.get $letter))
    (call $say (i32.const 600) (i32.const 1)))
  (data (i32.const 512) "an address")
"#;

/// Composes a component that asks with a dependency that answers, and lets it ask.
async fn asked(interfaces: &[&str], code: &str, later: bool, inherit: &Inherit) -> Output {
    let ask = if later { "ask-later" } else { "ask" };
    let imports: String = interfaces.iter().map(|interface| format!("import {interface}; ")).collect();
    let wit = format!("{HOSTS} world answering {{ {imports} export {ask}; }}");
    let code = format!("(module {code} {ROOM})").replace("$ASK", &format!("spinreg:fixture/{ask}#ask"));
    // What asks for the first preview of WASI is a core module, of which a component has still to be made.
    let is_module = code.contains("wasi_snapshot_preview1");
    let dependency = if is_module { module(&wit, "answering", &code) } else { component(&wit, "answering", &code) };
    let asking = format!(
        r#"(module (import "spinreg:fixture/{ask}" "ask" (func $ask (param i32))) {ROOM}
           (func (export "run") (result i32) (call $ask (i32.const 16)) (i32.const 16)))"#
    );
    let root = component(&wit, if later { "asking-later" } else { "asking" }, &asking);
    let name: DependencyName = format!("spinreg:fixture/{ask}").parse().expect("a name");
    let dependency = Dependency { name: &name, wasm: &dependency, export: None, inherit };
    let composed = compose("root", &root, &[dependency]).unwrap_or_else(|error| panic!("{error}"));
    let room = tempfile::tempdir().expect("a temporary directory");
    let file = room.path().join("composed.wasm");
    std::fs::write(&file, composed).expect("a file in a temporary directory");
    let mut command = wasmtime(room.path());
    command.args(["run", "-S", "http,inherit-network", "--env", "A=1", "--env", "B=2", "--invoke", "run()"]).arg(&file);
    command.output().await.expect("the runtime starts")
}

fn denied(interface: &str, set: &str) -> String {
    format!("`{interface}` is not permitted: this dependency does not inherit `{set}`")
}

#[tokio::test]
async fn what_is_denied_answers_and_what_is_inherited_works() {
    let environment = Inherit::Some(vec!["environment".to_owned()]);
    let nothing = Inherit::default();
    const OLD_ENVIRONMENT: &str = r#"
        (import "wasi_snapshot_preview1" "environ_sizes_get" (func $get (param i32 i32) (result i32)))
        (func (export "$ASK") (result i32)
          (if (call $get (i32.const 32) (i32.const 36)) (then unreachable))
          (call $say-letter (i32.add (i32.const 48) (i32.load (i32.const 32)))))"#;
    const ENVIRONMENT: &str = r#"
        (import "wasi:cli/environment@0.2.6" "get-environment" (func $get (param i32)))
        (func (export "$ASK") (result i32) (call $get (i32.const 32))
          (call $say-letter (i32.add (i32.const 48) (i32.load (i32.const 36)))))"#;
    // A list of two elements with handles in several places, which all have to be dropped.
    const HANDLES: &str = r#"
        (import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $clock (param i64) (result i32)))
        (import "acme:vault/vault@1.0.0" "drop-all" (func $drop (param i32 i32 i32)))
        (func (export "$ASK") (result i32)
          (i32.store8 (i32.const 2056) (i32.const 1)) (i32.store8 (i32.const 2064) (i32.const 1))
          (i32.store (i32.const 2072) (i32.const 3000)) (i32.store (i32.const 2076) (i32.const 1))
          (i32.store (i32.const 3000) (call $clock (i64.const 0)))
          (i32.store8 (i32.const 2088) (i32.const 1)) (i32.store8 (i32.const 2096) (i32.const 2))
          (i32.store (i32.const 2104) (call $clock (i64.const 0)))
          (call $drop (i32.const 2048) (i32.const 2) (i32.const 32))
          (call $say-letter (i32.add (i32.const 48) (i32.load8_u (i32.const 32)))))"#;
    // Borrowed handles have to be gone when the function returns; this runs often enough to notice kept memory, too.
    const LOOKUP: &str = r#"
        (import "wasi:sockets/instance-network@0.2.6" "instance-network" (func $network (result i32)))
        (import "wasi:sockets/ip-name-lookup@0.2.6" "resolve-addresses" (func $resolve (param i32 i32 i32 i32)))
        (func (export "$ASK") (result i32) (local $network i32) (local $times i32)
          (local.set $network (call $network))
          (loop $again
            (call $resolve (local.get $network) (i32.const 0) (i32.const 60000) (i32.const 61000))
            (local.set $times (i32.add (local.get $times) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $times) (i32.const 2000))))
          (call $say-letter (i32.add (i32.const 48) (i32.load8_u (i32.const 61004)))))"#;
    const REQUEST: &str = r#"
        (import "wasi:http/types@0.2.6" "[constructor]fields" (func $fields (result i32)))
        (import "wasi:http/types@0.2.6" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
        (import "wasi:http/outgoing-handler@0.2.6" "handle" (func $handle (param i32 i32 i32 i32)))
        (func (export "$ASK") (result i32)
          (call $handle (call $request (call $fields)) (i32.const 0) (i32.const 0) (i32.const 32))
          (call $say-letter (i32.add (i32.const 65) (i32.load8_u (i32.const 40)))))"#;
    let opens = |interface: &str| {
        format!(
            r#"(import "{interface}" "[static]connection.open" (func $open (param i32 i32 i32)))
               (func (export "$ASK") (result i32)
                 (call $open (i32.const 512) (i32.const 10) (i32.const 32))
                 (call $say (i32.load (i32.const 40)) (i32.load (i32.const 44))))"#
        )
    };
    const BUILDER: &str = r#"
        (import "spin:postgres/postgres@4.2.0" "[constructor]connection-builder" (func $new (param i32 i32) (result i32)))
        (import "spin:postgres/postgres@4.2.0" "[method]connection-builder.build" (func $build (param i32 i32)))
        (import "spin:postgres/postgres@4.2.0" "[resource-drop]connection-builder" (func $drop (param i32)))
        (func (export "$ASK") (result i32) (local $builder i32)
          (local.set $builder (call $new (i32.const 512) (i32.const 10)))
          (call $build (local.get $builder) (i32.const 32))
          (call $drop (local.get $builder))
          (call $say (i32.load (i32.const 40)) (i32.load (i32.const 44))))"#;
    for (interfaces, code, later, inherit, expected) in [
        (&["wasi:cli/environment@0.2.6"][..], ENVIRONMENT.to_owned(), false, &nothing, "0".to_owned()),
        (&["wasi:cli/environment@0.2.6"], ENVIRONMENT.to_owned(), false, &environment, "2".to_owned()),
        (&["wasi:cli/environment@0.2.6"], ENVIRONMENT.to_owned(), false, &Inherit::All, "2".to_owned()),
        (&[], OLD_ENVIRONMENT.to_owned(), false, &nothing, "0".to_owned()),
        (&[], OLD_ENVIRONMENT.to_owned(), false, &environment, "2".to_owned()),
        (
            &["wasi:clocks/monotonic-clock@0.2.6", "acme:vault/vault@1.0.0"],
            HANDLES.to_owned(),
            false,
            &nothing,
            "1".to_owned(),
        ),
        // `access-denied` is the second case.
        (
            &["wasi:sockets/instance-network@0.2.6", "wasi:sockets/ip-name-lookup@0.2.6"],
            LOOKUP.to_owned(),
            false,
            &nothing,
            "1".to_owned(),
        ),
        // `HTTP-request-denied` is the sixteenth.
        (&["wasi:http/outgoing-handler@0.2.6"], REQUEST.to_owned(), false, &nothing, "P".to_owned()),
        (
            &["fermyon:spin/mysql@2.0.0"],
            opens("fermyon:spin/mysql@2.0.0"),
            false,
            &nothing,
            denied("fermyon:spin/mysql@2.0.0", "allowed_outbound_hosts"),
        ),
        (
            &["spin:postgres/postgres@4.2.0"],
            BUILDER.to_owned(),
            false,
            &nothing,
            denied("spin:postgres/postgres@4.2.0", "allowed_outbound_hosts"),
        ),
        (
            &["spin:redis/redis@3.0.0"],
            opens("spin:redis/redis@3.0.0"),
            true,
            &nothing,
            denied("spin:redis/redis@3.0.0", "allowed_outbound_hosts"),
        ),
    ] {
        let output = asked(interfaces, &code, later, inherit).await;
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(stdout.trim_end(), format!("\"{expected}\""), "{interfaces:?}: {stderr}");
    }
}

#[tokio::test]
async fn where_no_answer_says_no_the_trap_names_the_interface() {
    const WEIGHT: &str = r#"
        (import "acme:vault/vault@1.0.0" "weight" (func $weight (result i64)))
        (func (export "$ASK") (result i32) (drop (call $weight)) (call $say-letter (i32.const 65)))"#;
    let output = asked(&["acme:vault/vault@1.0.0"], WEIGHT, false, &Inherit::default()).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(stderr.contains("`acme:vault/vault@1.0.0` is not permitted"), "{stderr}");
}

/// Pushed and pulled, the golden application answers requests; its dependency is of wasi-libc and inherits nothing.
#[tokio::test]
async fn the_golden_application_runs() {
    let cli = Cli::new();
    let layout = cli.path("tmp/layout");
    push(&cli, &app("dep-app"), &format!("oci:{}:v1", layout.display()), &[]).await;
    let largest =
        crate::support::files_below(&layout).into_iter().max_by_key(|path| path.metadata().expect("a file").len());
    let component = largest.expect("the component is a blob of the layout");

    let served = Served::start(&component, &["-S", "cli", "--env", "GREETING=hi"]).await;
    for _ in 0..2 {
        let answer = served.get("/some/path").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("Hello, spin, from dependency path=/some/path greeting=hi\n"), "{answer}");
    }
}
