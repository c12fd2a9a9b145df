//! The first look at foreign WebAssembly: is it a component, is it valid, is it of a size to deal with?

use wasmparser::{
    BinaryReaderError, ComponentType, ComponentTypeDeclaration, InstanceTypeDeclaration, Parser, Payload, Validator,
    WasmFeatures,
};

use super::MAX_BYTES;
use super::error::Discord;

/// Checks the structure of a component, and bounds what later readers do: its bytes, and how many types it defines,
/// which is how deep types can contain each other.
pub(super) fn scan(wasm: &[u8]) -> Result<(), Discord> {
    if Parser::is_core_wasm(wasm) {
        return Err(Discord::Module);
    }
    examine(wasm, |_| Ok(()))
}

/// Checks the structure of a component or a core module, as [`scan`] does, and shows `look` its own parts: not those of
/// what is inside it.
pub(super) fn examine<'a>(
    wasm: &'a [u8],
    mut look: impl FnMut(&Payload<'a>) -> Result<(), BinaryReaderError>,
) -> Result<(), Discord> {
    if wasm.len() > MAX_BYTES {
        return Err(Discord::TooLarge { what: "bytes", most: MAX_BYTES });
    }
    let unreadable = |reason: BinaryReaderError| Discord::Unreadable { reason: reason.into() };
    let mut validator = Validator::new_with_features(features());
    let mut types = 0;
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(unreadable)?;
        if let Payload::ComponentTypeSection(section) = &payload {
            for ty in section.clone() {
                types += definitions(&ty.map_err(unreadable)?);
                if types > MAX_TYPES {
                    return Err(Discord::TooLarge { what: "types", most: MAX_TYPES });
                }
            }
        }
        // The code of functions is for the runtime to judge.
        validator.payload(&payload).map_err(unreadable)?;
        if depth == 0 {
            look(&payload).map_err(unreadable)?;
        }
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            // The last one is its own.
            Payload::End(_) if depth > 0 => depth -= 1,
            _ => {}
        }
    }
    Ok(())
}

/// Counts the types that one definition defines: itself, and those inside the types of instances and components.
fn definitions(ty: &ComponentType<'_>) -> usize {
    match ty {
        ComponentType::Instance(inside) => 1 + inside.iter().map(of_instance).sum::<usize>(),
        ComponentType::Component(inside) => 1 + inside.iter().map(of_component).sum::<usize>(),
        _ => 1,
    }
}

fn of_instance(declaration: &InstanceTypeDeclaration<'_>) -> usize {
    match declaration {
        InstanceTypeDeclaration::Type(ty) => definitions(ty),
        _ => 1,
    }
}

fn of_component(declaration: &ComponentTypeDeclaration<'_>) -> usize {
    match declaration {
        ComponentTypeDeclaration::Type(ty) => definitions(ty),
        _ => 1,
    }
}

/// Everything but what neither Spin nor WIT in use today has: lists of fixed length can claim any size.
fn features() -> WasmFeatures {
    WasmFeatures::all().difference(
        WasmFeatures::CM_FIXED_LENGTH_LISTS
            | WasmFeatures::CM_GC
            | WasmFeatures::CM_MAP
            | WasmFeatures::CM_NESTED_NAMES
            | WasmFeatures::CM_VALUES,
    )
}

/// How many types a component may define: those of all of WASI are some 1 000, and [`super::stack`] has room for these.
const MAX_TYPES: usize = 50_000;
