//! Holding a component to a world.

use std::path::Path;

use wac_graph::types::{ItemKind, Package, Type, Types, WorldId, validate_target};
use wit_parser::Resolve;

use super::error::Discord;
use super::lift::lift;
use super::scan::scan;
use super::stack::deep;

/// A component that may be held to worlds.
pub(in super::super) struct Candidate {
    component: Vec<u8>,
}

/// Why a component is not of a world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Misfit {
    /// What it imports, and the world does not have.
    pub(in super::super) imports: Vec<String>,
    /// What the world demands, and it does not export.
    pub(in super::super) exports: Vec<String>,
    /// What both have, of other types; each with the difference.
    pub(in super::super) types: Vec<(String, String)>,
}

impl Misfit {
    /// Says how much is wrong.
    pub(in super::super) fn weight(&self) -> usize {
        self.imports.len() + self.exports.len() + self.types.len()
    }
}

impl Candidate {
    /// Looks at a component, or at a core module that becomes one.
    pub(in super::super) fn of_component(wasm: &[u8]) -> Result<Self, Discord> {
        deep(|| {
            let component = lift(wasm)?.into_owned();
            scan(&component)?;
            Ok(Self { component })
        })
    }

    /// Says why the component is not of the world `name` in `package`, a package of WIT in its binary form; `None` where
    /// it is. Versions that are compatible count as the same.
    ///
    /// # Errors
    ///
    /// Where the package cannot be read, or has no such world.
    pub(in super::super) fn misfit(&self, package: &[u8], name: &str) -> Result<Option<Misfit>, Discord> {
        deep(|| {
            scan(package)?;
            let unreadable = |reason: Box<dyn std::error::Error + Send + Sync>| Discord::Unreadable { reason };
            let mut types = Types::default();
            let of_world = Package::from_bytes("world", None, package, &mut types);
            let of_world = of_world.map_err(|error| unreadable(error.into()))?;
            let world = world(&types, of_world.ty(), name).ok_or_else(|| {
                let there: Vec<_> = types[of_world.ty()].exports.keys().map(|name| format!("`{name}`")).collect();
                unreadable(format!("the package has no world `{name}`; it has {}", there.join(", ")).into())
            })?;
            let component = Package::from_bytes("component", None, self.component.as_slice(), &mut types);
            let component = component.map_err(|error| unreadable(error.into()))?;
            let Err(report) = validate_target(&types, world, component.ty()) else { return Ok(None) };
            let difference = |error: &dyn std::fmt::Display| format!("{error:#}");
            Ok(Some(Misfit {
                imports: report.imports_not_in_target().map(str::to_owned).collect(),
                exports: report.missing_exports().map(|(name, _)| name.to_owned()).collect(),
                types: report.mismatched_types().map(|(name, _, error)| (name.to_owned(), difference(error))).collect(),
            }))
        })
    }
}

/// Finds a world in a package: each is the type of a component, in the type of an instance that is called like the world.
fn world(types: &Types, package: WorldId, name: &str) -> Option<WorldId> {
    let ItemKind::Type(Type::World(outer)) = types[package].exports.get(name)? else { return None };
    match types[*outer].exports.values().next()? {
        ItemKind::Component(world) => Some(*world),
        _ => None,
    }
}

/// Reads a package of WIT from the text files in a directory, and gives it its binary form. Blocks.
pub(in super::super) fn wit_of_directory(path: &Path) -> Result<Vec<u8>, Discord> {
    deep(|| {
        let mut resolve = Resolve::default();
        let read = resolve.push_path(path).and_then(|(package, _)| wit_component::encode(&resolve, package));
        read.map_err(|error| Discord::Unreadable { reason: format!("{error:#}").into() })
    })
}
