//! Core modules, made into components as hosts do it when they load one.

use std::borrow::Cow;

use wasi_preview1_component_adapter_provider as adapters;
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

use super::error::Discord;
use super::scan::examine;

/// Makes a component of a core module; what is a component stays what it is.
///
/// A module that carries the types of its interfaces, as wit-bindgen and `wasm-tools component embed` leave them, exports
/// and imports those; one that has nothing but an entry point is a command of WASI. What either asks of WASI's first
/// preview, an adapter answers by the second.
pub(super) fn lift(wasm: &[u8]) -> Result<Cow<'_, [u8]>, Discord> {
    if !Parser::is_core_wasm(wasm) {
        return Ok(Cow::Borrowed(wasm));
    }
    let adapter = match Making::of(wasm)? {
        Making::Typed => adapters::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
        Making::Command => adapters::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
        Making::Other => return Err(Discord::Module),
    };
    let name = adapters::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
    let mut encoder = ComponentEncoder::default();
    let encoder = encoder.validate(true).module(wasm).and_then(|encoder| encoder.adapter(name, adapter));
    let encoded = encoder.and_then(ComponentEncoder::encode);
    encoded.map(Cow::Owned).map_err(|reason| Discord::Unlifted { reason: reason.into() })
}

/// For what a module was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Making {
    /// It says which interfaces it has.
    Typed,
    /// It runs once, from beginning to end.
    Command,
    /// Nothing tells: it may be of an interface that Spin had before there were components.
    Other,
}

impl Making {
    /// Finds out, and checks the structure on the way.
    fn of(module: &[u8]) -> Result<Self, Discord> {
        let (mut typed, mut starts, mut allocates) = (false, false, false);
        examine(module, |payload| {
            match payload {
                Payload::CustomSection(section) => typed |= section.name().starts_with(TYPES),
                Payload::ExportSection(section) => {
                    for export in section.clone() {
                        let name = export?.name;
                        starts |= name == "_start";
                        allocates |= ALLOCATORS.contains(&name);
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(match (typed, starts, allocates) {
            (true, ..) => Self::Typed,
            (false, true, false) => Self::Command,
            // Who takes memory from the other side has an interface, and does not say which.
            _ => Self::Other,
        })
    }
}

/// What the custom sections with the types of a module are called, up to the name of the world.
const TYPES: &str = "component-type";
/// What the other side of an interface calls for memory, now and before components were.
const ALLOCATORS: [&str; 2] = ["cabi_realloc", "canonical_abi_realloc"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_tell_what_they_were_made_for() {
        for (fields, expected) in [
            ("", Making::Other),
            (r#"(func (export "_start"))"#, Making::Command),
            (r#"(func (export "_start")) (func (export "cabi_realloc"))"#, Making::Other),
            (r#"(func (export "handle-http-request"))"#, Making::Other),
            (r#"(@custom "component-type:wit-bindgen:0.41.0:a:b:c:encoded world" "")"#, Making::Typed),
            (r#"(@custom "component-type" "") (func (export "_start"))"#, Making::Typed),
        ] {
            let module = wat::parse_str(format!("(module {fields})")).expect("a module");
            assert_eq!(Making::of(&module).expect("a module"), expected, "{fields}");
        }
    }

    #[test]
    fn components_stay_what_they_are() {
        let component = wat::parse_str("(component)").expect("a component");
        assert!(matches!(lift(&component), Ok(Cow::Borrowed(same)) if same == component));
        // That it is nothing at all is for others to say.
        assert!(matches!(lift(b"<html>"), Ok(Cow::Borrowed(b"<html>"))));
    }

    #[test]
    fn commands_run_and_others_are_refused() {
        let command = r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (func (export "_start") (call $exit (i32.const 0))))"#;
        let lifted = lift(&wat::parse_str(command).expect("a module")).expect("a component").into_owned();
        let surface = super::super::surface::Surface::read(&lifted).expect("a component");
        assert!(matches!(&surface.exports[..], [run] if run.starts_with("wasi:cli/run@0.2.")), "{surface:?}");

        for (text, expected) in [
            (r#"(module (func (export "handle-http-request")))"#, "does not say which interfaces"),
            (r#"(module (@custom "component-type:a" "not types"))"#, "no component can be made of it"),
            (
                r#"(module (import "env" "abort" (func)) (memory (export "memory") 1) (func (export "_start")))"#,
                "no component can be made of it",
            ),
        ] {
            let module = wat::parse_str(text).expect("a module");
            let said = lift(&module).expect_err(expected).of("a", None).to_string();
            assert!(said.contains(expected), "{said}");
        }
    }
}
