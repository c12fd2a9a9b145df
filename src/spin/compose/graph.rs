//! Connecting components: whose export feeds whose import.

use wac_graph::types::{Package, WorldId};
use wac_graph::{AliasError, CompositionGraph, EncodeOptions, InstantiationArgumentError, NodeId};

use super::super::dependency_name::DependencyName;
use super::super::lock_file::Inherit;
use super::deny::deny;
use super::error::{ComposeError, Discord};
use super::imports::Imports;
use super::lift::lift;
use super::scan::scan;
use super::stack::deep;

/// A component that satisfies imports of another.
#[derive(Clone, Debug)]
pub struct Dependency<'a> {
    /// The imports it satisfies.
    pub name: &'a DependencyName,
    /// The component, or the core module that is to become one.
    pub wasm: &'a [u8],
    /// The export to use; the import's own name where absent.
    pub export: Option<&'a str>,
    /// What it may use of what the component may use.
    pub inherit: &'a Inherit,
}

/// A component that stands before another, and sees requests first.
#[derive(Clone, Debug)]
pub struct Middleware<'a> {
    /// What errors call it.
    pub name: &'a str,
    /// The component, or the core module that is to become one.
    pub wasm: &'a [u8],
    /// What it may use of what the component may use.
    pub inherit: &'a Inherit,
}

/// Composes the component `wasm` with its dependencies: each feeds the imports it is named for, and everything else
/// that they import is imported by the result, or denied to a dependency that does not inherit it.
///
/// Works in memory on the calling thread's time: some milliseconds for each megabyte. `component` is what errors call
/// it. Without dependencies the result is `wasm`, byte for byte; the same input always gives the same bytes.
///
/// # Errors
///
/// Names the component, the dependency and what does not fit: see [`Discord`].
pub fn compose(component: &str, wasm: &[u8], dependencies: &[Dependency<'_>]) -> Result<Vec<u8>, ComposeError> {
    if dependencies.is_empty() {
        return Ok(wasm.to_vec());
    }
    let mut blamed = None;
    let composed = deep(|| {
        let mut graph = Graph::default();
        // A dependency with a plain name may be called like the component.
        let root = graph.add(&format!("component {component}"), &lift(wasm)?)?;
        let imports = Imports::parse(graph.imports(&root))?;
        let mut taken: Vec<(String, &DependencyName)> = Vec::new();
        let mut ties = Vec::new();
        for dependency in dependencies {
            blamed = Some(dependency.name.to_string());
            let wanted = imports.of(dependency.name)?;
            for import in &wanted {
                if let Some((import, other)) = taken.iter().find(|(taken, _)| taken == import) {
                    return Err(Discord::Contested { import: import.clone(), other: other.to_string() });
                }
            }
            let wasm = lift(dependency.wasm)?;
            let part = graph.add(&dependency.name.to_string(), &wasm)?;
            let tied = graph.deny(&part, &wasm, dependency.inherit, &[])?;
            for import in &wanted {
                let export = dependency.export.unwrap_or(import);
                graph.feed(&root, import, &part, export)?;
                let tied = tied.iter().filter(|(tied, _)| tied == export);
                ties.extend(tied.map(|tie| (dependency.name, tie.clone())));
            }
            taken.extend(wanted.into_iter().map(|import| (import, dependency.name)));
        }
        blamed = None;
        let exports: Vec<String> = graph.exports(&root).map(str::to_owned).collect();
        graph.finish(&root, exports.iter().map(String::as_str)).map_err(|discord| match ties.into_iter().next() {
            // The component has its resources from the host, and the dependency from the denial.
            Some((name, (export, interface))) => {
                blamed = Some(name.to_string());
                let reason = format!("`{export}`, which the component uses, is made of its types").into();
                Discord::Undeniable { interface, reason }
            }
            None => discord,
        })
    });
    composed.map_err(|discord| discord.of(component, blamed.as_deref()))
}

/// Puts middleware before the component `wasm`, the first of it outermost: each handles requests by calling the next
/// through its import `wasi:http/handler`, and the last calls the component. The result exports the handler alone.
///
/// What middleware may use, and what it costs, is as with [`compose`].
///
/// # Errors
///
/// Names the component, the middleware and what does not fit: see [`Discord`].
pub fn chain(component: &str, wasm: &[u8], middleware: &[Middleware<'_>]) -> Result<Vec<u8>, ComposeError> {
    if middleware.is_empty() {
        return Ok(wasm.to_vec());
    }
    let mut blamed = None;
    let composed = deep(|| {
        let mut graph = Graph::default();
        let mut inner = graph.add("primary", &lift(wasm)?)?;
        let handler = graph.exports(&inner).find(|export| export.starts_with(HANDLER)).map(str::to_owned);
        let handler = handler.ok_or_else(|| {
            let there = graph.exports(&inner).map(str::to_owned).collect();
            Discord::NoHandler { what: "export", handler: format!("{HANDLER}0.3.0"), there }
        })?;
        for (index, outer) in middleware.iter().enumerate().rev() {
            blamed = Some(outer.name.to_owned());
            let wasm = lift(outer.wasm)?;
            let part = graph.add(&format!("middleware{index}"), &wasm)?;
            for (what, names) in [("import", part.imports(&graph)), ("export", part.exports(&graph))] {
                if !names.contains(&handler) {
                    return Err(Discord::NoHandler { what, handler: handler.clone(), there: names });
                }
            }
            graph.deny(&part, &wasm, outer.inherit, &[&handler])?;
            graph.feed(&part, &handler, &inner, &handler)?;
            inner = part;
        }
        blamed = None;
        graph.finish(&inner, [handler.as_str()])
    });
    composed.map_err(|discord| discord.of(component, blamed.as_deref()))
}

/// Components and the connections between them.
#[derive(Default)]
struct Graph {
    graph: CompositionGraph,
}

/// A component in the graph.
struct Part {
    name: String,
    world: WorldId,
    node: NodeId,
}

impl Part {
    fn imports(&self, graph: &Graph) -> Vec<String> {
        graph.imports(self).map(str::to_owned).collect()
    }

    fn exports(&self, graph: &Graph) -> Vec<String> {
        graph.exports(self).map(str::to_owned).collect()
    }
}

impl Graph {
    /// Adds a component that nobody has looked at yet.
    fn add(&mut self, name: &str, wasm: &[u8]) -> Result<Part, Discord> {
        scan(wasm)?;
        let unreadable = |reason| Discord::Unreadable { reason };
        let package = Package::from_bytes(name, None, wasm, self.graph.types_mut());
        let package = package.map_err(|error| unreadable(error.into()))?;
        let world = package.ty();
        let id = self.graph.register_package(package).map_err(|error| unreadable(error.into()))?;
        Ok(Part { name: name.to_owned(), world, node: self.graph.instantiate(id) })
    }

    /// Denies to a component what it may not use. Returns which of its exports are made of types of which of that.
    fn deny(
        &mut self,
        part: &Part,
        wasm: &[u8],
        inherit: &Inherit,
        fed: &[&str],
    ) -> Result<Vec<(String, String)>, Discord> {
        let Some(denial) = deny(wasm, inherit, fed)? else { return Ok(Vec::new()) };
        let denier = self.add(&format!("{} denied", part.name), &denial.wasm)?;
        for interface in &denial.imports {
            self.feed(part, interface, &denier, interface).map_err(|discord| {
                let reason = discord.of(&part.name, Some(&denier.name)).into();
                Discord::Undeniable { interface: interface.clone(), reason }
            })?;
        }
        Ok(denial.ties)
    }

    /// Connects an import of `to` to an export of `from`.
    fn feed(&mut self, to: &Part, import: &str, from: &Part, export: &str) -> Result<(), Discord> {
        let alias = self.alias(from, import, export)?;
        self.graph.set_instantiation_argument(to.node, import, alias).map_err(|error| {
            let (import, export) = (import.to_owned(), export.to_owned());
            let reason = match error {
                InstantiationArgumentError::ArgumentTypeMismatch { source, .. } => source.into(),
                other => other.into(),
            };
            Discord::Mismatch { import, export, reason }
        })
    }

    /// Makes `exports` of a component those of the whole, and writes it.
    fn finish<'e>(mut self, part: &Part, exports: impl IntoIterator<Item = &'e str>) -> Result<Vec<u8>, Discord> {
        for export in exports {
            let alias = self.alias(part, export, export)?;
            self.graph.export(alias, export).map_err(|error| Discord::Whole { reason: error.into() })?;
        }
        self.graph.encode(EncodeOptions::default()).map_err(|error| Discord::Whole { reason: error.into() })
    }

    fn alias(&mut self, part: &Part, import: &str, export: &str) -> Result<NodeId, Discord> {
        let aliased = self.graph.alias_instance_export(part.node, export);
        aliased.map_err(|error| match error {
            AliasError::InstanceMissingExport { .. } => {
                Discord::NoExport { import: import.to_owned(), export: export.to_owned(), exports: part.exports(self) }
            }
            other => Discord::Whole { reason: other.into() },
        })
    }

    fn imports(&self, part: &Part) -> impl Iterator<Item = &str> {
        self.graph.types()[part.world].imports.keys().map(String::as_str)
    }

    fn exports(&self, part: &Part) -> impl Iterator<Item = &str> {
        self.graph.types()[part.world].exports.keys().map(String::as_str)
    }
}

/// What handles requests and can be chained: its version is the component's.
const HANDLER: &str = "wasi:http/handler@";
