//! Components made for a test: of WIT, and code in text form.

use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve, WorldId, WorldKey};

/// The interfaces that dependencies import in tests, and the worlds `everything` and `asking`.
pub(crate) const HOSTS: &str = include_str!("../../fixtures/spin/wit/hosts.wit");

/// Makes a component of a world of `wit` from the text of a core module.
pub(crate) fn component(wit: &str, world: &str, code: &str) -> Vec<u8> {
    let (resolve, world) = parse(wit, world);
    encode(&resolve, world, wat::parse_str(code).expect("code in text form"))
}

/// Makes a core module from its text that carries the types of a world of `wit`, as compilers leave it.
pub(crate) fn module(wit: &str, world: &str, code: &str) -> Vec<u8> {
    let (resolve, world) = parse(wit, world);
    let mut code = wat::parse_str(code).expect("code in text form");
    embed_component_metadata(&mut code, &resolve, world, StringEncoding::UTF8).expect("a world that can be written");
    code
}

/// Makes a component of a world of `wit` that imports everything it can and traps.
pub(crate) fn dummy(wit: &str, world: &str) -> Vec<u8> {
    let (resolve, world) = parse(wit, world);
    let code = dummy_module(&resolve, world, ManglingAndAbi::Legacy(wit_parser::LiftLowerAbi::Sync));
    encode(&resolve, world, code)
}

/// Returns the names of what a component imports and exports, sorted.
pub(crate) fn names(wasm: &[u8]) -> (Vec<String>, Vec<String>) {
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all()).validate_all(wasm).expect("a component");
    let DecodedWasm::Component(resolve, world) = wit_component::decode(wasm).expect("a component") else {
        panic!("a package of types");
    };
    let sorted = |keys: Vec<&WorldKey>| {
        let mut names: Vec<_> = keys.into_iter().map(|key| resolve.name_world_key(key)).collect();
        names.sort();
        names
    };
    let world = &resolve.worlds[world];
    (sorted(world.imports.keys().collect()), sorted(world.exports.keys().collect()))
}

fn parse(wit: &str, world: &str) -> (Resolve, WorldId) {
    let mut resolve = Resolve::default();
    let package =
        resolve.push_source("test.wit", wit).unwrap_or_else(|error| panic!("{}", resolve.render_error(&error)));
    let world = resolve.select_world(&[package], Some(world)).expect("a world of the text");
    (resolve, world)
}

fn encode(resolve: &Resolve, world: WorldId, mut code: Vec<u8>) -> Vec<u8> {
    embed_component_metadata(&mut code, resolve, world, StringEncoding::UTF8).expect("a world that can be written");
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true);
    encoder.module(&code).and_then(|encoder| encoder.encode()).unwrap_or_else(|error| panic!("{error:?}"))
}
