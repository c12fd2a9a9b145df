//! Where the WebAssembly of an application comes from, as its manifest says.

use std::ops::Range;

use serde_spanned::Spanned;

use super::app_manifest::{AppManifest, Component};
use super::dependency::{Dependency, Provider};
use super::dependency_name::DependencyName;
use super::document::Flaw;
use super::error::Problem;
use super::source::{self, Source};
use super::sources::Wanted;

/// The WebAssembly that a component is made of.
pub(super) struct Parts<'a> {
    pub(super) component: Origin<'a>,
    /// By what the manifest calls them.
    pub(super) dependencies: Vec<(String, Origin<'a>)>,
    /// By their role.
    pub(super) middleware: Vec<(String, Origin<'a>)>,
}

/// Where WebAssembly comes from.
pub(super) enum Origin<'a> {
    /// A file, by its path as the manifest has it.
    File(&'a str),
    /// Somewhere else, and where the manifest says so.
    Elsewhere(Wanted, Range<usize>),
}

/// Says where the WebAssembly of each component comes from, refusing what this release cannot put together.
pub(super) fn parts(app: &AppManifest) -> Result<Vec<Parts<'_>>, Flaw> {
    app.components.iter().map(of_component).collect()
}

fn of_component(component: &Component) -> Result<Parts<'_>, Flaw> {
    let dependencies = component.dependencies.iter();
    let dependencies = dependencies.map(|(name, it)| Ok((name.to_string(), of_dependency(Some(name), it)?)));
    let mut middleware = Vec::new();
    if let Some(before) = &component.before {
        for (role, dependencies) in &before.dependencies {
            if let Some(first) = dependencies.first()
                && (before.kind.as_str(), role.as_str()) != ("http", "middleware")
            {
                let what = "a dependency of a trigger that is not `middleware` of `http`";
                let problem = Problem::Unsupported { what, instead: "compose the component beforehand" };
                return Err(Flaw::at(first.span.clone(), problem));
            }
            middleware.extend(dependencies.iter().map(|dependency| (role.clone(), dependency)));
        }
    }
    let middleware = middleware.into_iter().map(|(role, it)| Ok((role, of_dependency(None, it)?)));
    Ok(Parts {
        component: of_source(&component.source),
        dependencies: dependencies.collect::<Result<_, _>>()?,
        middleware: middleware.collect::<Result<_, _>>()?,
    })
}

fn of_source(source: &Spanned<Source>) -> Origin<'_> {
    let wanted = match source.get_ref() {
        Source::Local(path) => return Origin::File(path),
        Source::Url { url, digest } => Wanted::Url { url: url.clone(), digest: *digest },
        Source::Package { registry, package, version } => {
            Wanted::Package { registry: registry.clone(), package: package.clone(), version: source::exactly(version) }
        }
    };
    Origin::Elsewhere(wanted, source.span())
}

fn of_dependency<'a>(name: Option<&DependencyName>, dependency: &'a Dependency) -> Result<Origin<'a>, Flaw> {
    let wanted = match &dependency.provider {
        Provider::Local(path) => return Ok(Origin::File(path)),
        Provider::Url { url, digest } => Some(Wanted::Url { url: url.clone(), digest: *digest }),
        Provider::Package { registry, package, version } => {
            let package = package.as_ref().or_else(|| name?.package()).cloned();
            package.map(|package| Wanted::Package { registry: registry.clone(), package, version: version.clone() })
        }
        Provider::Component(_) => None,
    };
    // Normalising has replaced components of this application, and has checked that packages have names.
    let nameless = || Problem::Unsupported { what: "a dependency that is nowhere", instead: "give its path" };
    let wanted = wanted.ok_or_else(|| Flaw::at(dependency.span.clone(), nameless()))?;
    Ok(Origin::Elsewhere(wanted, dependency.span.clone()))
}
