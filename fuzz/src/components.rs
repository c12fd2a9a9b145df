//! Components of others: as dependencies, as middleware, and by themselves.

use std::cell::OnceCell;
use std::panic::{set_hook, take_hook};
use std::sync::Once;
use std::thread;

use spinreg::spin::compose::{ComposeError, Dependency, Middleware, THREAD, chain, compose};
use spinreg::spin::fuzzing::{assemble, surface};
use spinreg::spin::{DependencyName, Inherit};

use crate::line;

/// A component that asks for a little of everything, and answers requests.
const ROOT: &str = r#"(component
    (import "plain" (func (result string)))
    (import "a:b/c@1.0.0" (instance
        (export "r" (type $r (sub resource)))
        (export "[constructor]r" (func (result (own $r))))
        (export "f" (func (param "a" (list string)) (result (result (tuple u8 string)))))))
    (import "a:b/c@2.0.0" (instance (export "f" (func))))
    (import "wasi:cli/run@0.2.6" (instance (export "run" (func (result (result))))))
    (import "wasi:http/handler@0.3.0" (instance $next (export "handle" (func (param "request" u32) (result u32)))))
    (export "wasi:http/handler@0.3.0" (instance $next)))"#;

/// The name of a dependency; what it inherits, separated by spaces, or `*` for everything, and after a `/` the export to
/// use; and then the component, as it is or as text.
pub fn composition(data: &[u8]) {
    forgive_readers();
    thread_local! {
        static KNOWN: OnceCell<Vec<u8>> = const { OnceCell::new() };
    }
    let (name, rest) = line(data);
    let (inherit, bytes) = line(rest);
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    let Ok(name) = text(name).parse::<DependencyName>() else { return };
    let (inherit, export) = text(inherit).split_once('/').map_or((text(inherit), None), |(sets, it)| (sets, Some(it)));
    let inherit = match inherit {
        "*" => Inherit::All,
        sets => Inherit::Some(sets.split_whitespace().map(str::to_owned).collect()),
    };
    let assembled;
    let wasm = if bytes.starts_with(b"(") {
        assembled = assemble(bytes);
        let Some(assembled) = &assembled else { return };
        assembled.as_slice()
    } else {
        bytes
    };
    KNOWN.with(|known| {
        let root = known.get_or_init(|| assemble(ROOT.as_bytes()).expect("a component"));
        let dependency = Dependency { name: &name, wasm, export, inherit: &inherit };
        check(compose("root", root, std::slice::from_ref(&dependency)), wasm.len() + root.len());
        // What is hostile may be the component that has the dependency, too.
        let tame = Dependency { name: &name, wasm: root, export, inherit: &inherit };
        check(compose("root", wasm, &[tame]), wasm.len() + root.len());
        let layer = Middleware { name: "layer", wasm, inherit: &inherit };
        check(chain("root", root, &[layer.clone(), layer]), 2 * wasm.len() + root.len());
    });
    if let Ok((imports, exports)) = surface(wasm) {
        let names = imports.iter().chain(&exports);
        assert!(names.map(String::len).sum::<usize>() <= wasm.len(), "names are read, and not made");
    }
}

/// Readers of another make give up on components that are valid and strange; the tool makes an error of that, and so it
/// is not our failure. The fuzzer's own hook ends the process.
fn forgive_readers() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let strict = take_hook();
        set_hook(Box::new(move |panic| {
            if thread::current().name() != Some(THREAD) {
                strict(panic);
            }
        }));
    });
}

/// What fits is a component of about the size of its parts, and what does not is said shortly.
fn check(composed: Result<Vec<u8>, ComposeError>, parts: usize) {
    match composed {
        Ok(composed) => {
            assert!(surface(&composed).is_ok(), "what is written can be read");
            // What is denied has a memory of at most 16 MiB, and code for each function.
            assert!(composed.len() <= (17 << 20) + 64 * parts, "{} bytes of {parts}", composed.len());
        }
        Err(error) => assert!(error.to_string().len() < 4_000, "a refusal is short"),
    }
}
