//! The component that answers for what a dependency may not use, generated from the dependency's own imports.

use std::collections::HashSet;

use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding, embed_component_metadata};
use wit_parser::{InterfaceId, Resolve, WorldId, WorldItem, WorldKey};

use super::super::lock_file::Inherit;
use super::capability::Reach;
use super::error::Discord;
use super::module::module;

/// A component that answers for what a dependency may not use.
pub(super) struct Denial {
    pub(super) wasm: Vec<u8>,
    /// The imports of the dependency that it satisfies: all that it exports.
    pub(super) imports: Vec<String>,
    /// The exports of the dependency that are made of types of such an import, each with one.
    pub(super) ties: Vec<(String, String)>,
}

/// Makes the denial for a dependency; none where it may use everything it imports. Imports in `fed` are satisfied by
/// others.
pub(super) fn deny(wasm: &[u8], inherit: &Inherit, fed: &[&str]) -> Result<Option<Denial>, Discord> {
    if *inherit == Inherit::All {
        return Ok(None);
    }
    let (mut resolve, world) = match wit_component::decode(wasm) {
        Ok(DecodedWasm::Component(resolve, world)) => (resolve, world),
        Ok(DecodedWasm::WitPackage(..)) => {
            return Err(Discord::Unreadable { reason: "it is a package of types, and no component".into() });
        }
        Err(reason) => return Err(Discord::Unreadable { reason: reason.into() }),
    };
    let denied = denied(&resolve, world, inherit, fed)?;
    let Some(first) = resolve.worlds[world].imports.keys().find(|key| denied.contains(key)) else { return Ok(None) };
    let first = resolve.name_world_key(first);
    let failed = |reason| Discord::Undeniable { interface: first.clone(), reason };
    let ties = ties(&resolve, world, &denied);

    // What stays is what the exports need for their types, which comes back by itself.
    let world_imports = &mut resolve.worlds[world].imports;
    world_imports.retain(|key, item| denied.contains(key) || matches!(item, WorldItem::Type { .. }));
    let is_denied = |key: &WorldKey, _: &WorldItem| denied.contains(key);
    resolve.exportize(world, None, Some(&is_denied)).map_err(|error| failed(error.into()))?;
    let exports = &resolve.worlds[world].exports;
    let imports = exports.keys().map(|key| resolve.name_world_key(key)).collect();
    let mut core = module(&resolve, world, reason).map_err(|error| failed(error.into()))?;
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).map_err(|error| failed(error.into()))?;
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).merge_imports_based_on_semver(false);
    let wasm = encoder.module(&core).and_then(|encoder| encoder.encode()).map_err(|error| failed(error.into()))?;
    Ok(Some(Denial { wasm, imports, ties }))
}

/// Finds the imports that are not granted, and with them those that are made of their types.
fn denied(resolve: &Resolve, world: WorldId, inherit: &Inherit, fed: &[&str]) -> Result<HashSet<WorldKey>, Discord> {
    let mut denied = HashSet::new();
    let mut interfaces: HashSet<InterfaceId> = HashSet::new();
    let imports = &resolve.worlds[world].imports;
    loop {
        let before = denied.len();
        for (key, item) in imports {
            let name = resolve.name_world_key(key);
            if denied.contains(key) || fed.contains(&name.as_str()) {
                continue;
            }
            let (id, harmless) = match item {
                WorldItem::Interface { id, .. } => (Some(*id), resolve.interfaces[*id].functions.is_empty()),
                WorldItem::Function(_) => (None, false),
                WorldItem::Type { .. } => continue,
            };
            let reach = Reach::of(&name);
            let needs = id.and_then(|id| {
                resolve.interface_direct_deps(id).find(|needed| *needed != id && interfaces.contains(needed))
            });
            match needs {
                Some(needs) if matches!(reach, Reach::Set(_)) && reach.is_granted(inherit) => {
                    let needs = resolve.id_of(needs).unwrap_or_default();
                    let reason = format!("`{name}`, which it inherits, is made of its types").into();
                    return Err(Discord::Undeniable { interface: needs, reason });
                }
                None if harmless || reach.is_granted(inherit) => continue,
                _ => {}
            }
            interfaces.extend(id);
            denied.insert(key.clone());
        }
        if denied.len() == before {
            return Ok(denied);
        }
    }
}

/// Finds the exports that are made of types of what is denied.
fn ties(resolve: &Resolve, world: WorldId, denied: &HashSet<WorldKey>) -> Vec<(String, String)> {
    let interface = |item: &WorldItem| match item {
        WorldItem::Interface { id, .. } => Some(*id),
        _ => None,
    };
    let world = &resolve.worlds[world];
    let denied = world.imports.iter().filter(|(key, _)| denied.contains(key)).filter_map(|(_, item)| interface(item));
    let denied: HashSet<InterfaceId> = denied.collect();
    let tie = |(key, item): (&WorldKey, &WorldItem)| {
        let mut needed = resolve.interface_direct_deps(interface(item)?);
        let needed = needed.find(|needed| denied.contains(needed))?;
        Some((resolve.name_world_key(key), resolve.id_of(needed).unwrap_or_default()))
    };
    world.exports.iter().filter_map(tie).collect()
}

/// Says why an interface is not permitted.
fn reason(interface: &str) -> String {
    match Reach::of(interface) {
        Reach::Set(set) => format!("`{interface}` is not permitted: this dependency does not inherit `{set}`"),
        _ => format!("`{interface}` is not permitted: this dependency does not inherit everything"),
    }
}
