//! Middleware before a component, at work: in which order it is called, and what it is denied.

use std::path::{Path, PathBuf};

use crate::support::cli::Cli;
use crate::support::components::component;
use crate::support::files_below;
use crate::support::scenario::push;
use crate::support::served::Served;

const HANDLERS: &str = include_str!("../../fixtures/spin/wit/handlers.wit");

/// What every module of these tests has: a memory, and room in it. The result of a handler is at 1024, what comes with
/// it at 1032.
const ROOM: &str = r#"
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.set $heap (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get 3))))
"#;

/// What [`ANSWER`] needs; imports come first in a module.
const FOR_ANSWER: &str = r#"
  (import "wasi:http/types@0.3.0" "[constructor]fields" (func $fields (result i32)))
  (import "wasi:http/types@0.3.0" "[static]response.new" (func $new (param i32 i32 i32 i32 i32)))
  (import "wasi:http/types@0.3.0" "[future-new-1][static]response.new" (func $future (result i64)))
  (import "wasi:http/types@0.3.0" "[async-lower][future-write-1][static]response.new"
    (func $write (param i32 i32) (result i32)))
  (import "wasi:http/types@0.3.0" "[method]response.set-status-code" (func $set (param i32 i32) (result i32)))
"#;

/// A response of its own: no headers, no content, no trailers.
const ANSWER: &str = r#"
  (func $answer (param $status i32) (result i32) (local $trailers i64)
    (local.set $trailers (call $future))
    (call $new (call $fields) (i32.const 0) (i32.const 0) (i32.wrap_i64 (local.get $trailers)) (i32.const 1536))
    ;; The memory there is nothing but zeros, which is no trailers.
    (drop (call $write (i32.wrap_i64 (i64.shr_u (local.get $trailers) (i64.const 32))) (i32.const 2048)))
    (drop (call $set (i32.load (i32.const 1536)) (local.get $status)))
    (i32.store8 (i32.const 1024) (i32.const 0))
    (i32.store (i32.const 1032) (i32.load (i32.const 1536)))
    (i32.const 1024))
"#;

/// Answers with 200.
fn service() -> Vec<u8> {
    let code = format!(
        r#"(module {FOR_ANSWER}
          (import "wasi:http/types@0.3.0" "[resource-drop]request" (func $drop (param i32)))
          {ROOM} {ANSWER}
          (func (export "wasi:http/handler@0.3.0#handle") (param $request i32) (result i32)
            (call $drop (local.get $request))
            (call $answer (i32.const 200))))"#
    );
    component(HANDLERS, "service", &code)
}

/// Lets the next one answer, and adds a digit to the status of that: `mark`, and one for each environment variable.
fn marking(mark: u32) -> Vec<u8> {
    let code = format!(
        r#"(module
          (import "wasi:cli/environment@0.3.0" "get-environment" (func $environment (param i32)))
          (import "wasi:http/handler@0.3.0" "handle" (func $next (param i32 i32)))
          (import "wasi:http/types@0.3.0" "[method]response.get-status-code" (func $status (param i32) (result i32)))
          (import "wasi:http/types@0.3.0" "[method]response.set-status-code" (func $set (param i32 i32) (result i32)))
          {ROOM}
          (func $marked (param $status i32) (result i32)
            (call $environment (i32.const 1536))
            (i32.add
              (i32.add (i32.const {mark}) (i32.load (i32.const 1540)))
              (i32.add (i32.const 200) (i32.mul (i32.sub (local.get $status) (i32.const 200)) (i32.const 10)))))
          (func (export "wasi:http/handler@0.3.0#handle") (param $request i32) (result i32) (local $response i32)
            (call $next (local.get $request) (i32.const 1024))
            (if (i32.load8_u (i32.const 1024)) (then unreachable))
            (local.set $response (i32.load (i32.const 1032)))
            (drop (call $set (local.get $response) (call $marked (call $status (local.get $response)))))
            (i32.const 1024)))"#
    );
    component(HANDLERS, "middleware", &code)
}

/// Sends the request elsewhere, and answers with 300 and the number of the error.
fn calling() -> Vec<u8> {
    let code = format!(
        r#"(module {FOR_ANSWER}
          (import "wasi:http/client@0.3.0" "send" (func $send (param i32 i32)))
          (import "wasi:http/handler@0.3.0" "handle" (func $next (param i32 i32)))
          {ROOM} {ANSWER}
          (func (export "wasi:http/handler@0.3.0#handle") (param $request i32) (result i32)
            (if (i32.const 0) (then (call $next (local.get $request) (i32.const 1024))))
            (call $send (local.get $request) (i32.const 1024))
            (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable))
            (call $answer (i32.add (i32.const 300) (i32.load8_u (i32.const 1032))))))"#
    );
    component(HANDLERS, "calling", &code)
}

/// Pushes an application with this middleware, and returns the file that its component has become.
async fn pushed(cli: &Cli, middleware: &str) -> PathBuf {
    let (app, layout) = (cli.path("tmp/app"), cli.path("tmp/layout"));
    std::fs::create_dir_all(&app).expect("a directory");
    for (name, wasm) in [("service", service()), ("one", marking(1)), ("two", marking(2)), ("calling", calling())] {
        std::fs::write(app.join(name).with_extension("wasm"), wasm).expect("a file");
    }
    let manifest = format!(
        "spin_manifest_version = 2\n[application]\nname = \"a\"\n[[trigger.http]]\nroute = \"/...\"\ncomponent = \"main\"\n\
         dependencies = {{ middleware = [{middleware}] }}\n[component.main]\nsource = \"service.wasm\"\n"
    );
    std::fs::write(app.join("spin.toml"), manifest).expect("a file");
    push(cli, app.to_str().expect("a path"), &format!("oci:{}:v1", layout.display()), &[]).await;
    let size = |path: &PathBuf| path.metadata().expect("a file").len();
    files_below(&layout).into_iter().max_by_key(size).expect("the component is a blob of the layout")
}

async fn answered(component: &Path) -> String {
    let flags = ["-S", "p3,cli,http", "-W", "component-model-async", "--env", "A=1", "--env", "B=2"];
    let served = Served::start(component, &flags).await;
    let answer = served.get("/").await;
    answer.lines().next().expect("a status line").to_owned()
}

#[tokio::test]
async fn middleware_is_called_from_the_outside_in_and_has_what_it_inherits() {
    for (middleware, status) in [
        (r#"{ path = "one.wasm" }"#, 201),
        // The inner one sees the answer first.
        (r#"{ path = "two.wasm" }, { path = "one.wasm" }"#, 212),
        (r#"{ path = "one.wasm" }, { path = "two.wasm" }"#, 221),
        // Three variables are there, one of them the runtime's own, and only who inherits them sees them.
        (r#"{ path = "one.wasm", inherit_configuration = ["environment"] }, { path = "two.wasm" }"#, 224),
        (r#"{ path = "one.wasm" }, { path = "two.wasm", inherit_configuration = true }"#, 251),
        // `HTTP-request-denied` is the sixteenth of the errors.
        (r#"{ path = "calling.wasm" }, { path = "two.wasm" }"#, 315),
    ] {
        let cli = Cli::new();
        let component = pushed(&cli, middleware).await;
        let said = answered(&component).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{middleware}: {said}");
    }
}
