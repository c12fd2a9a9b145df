//! An application whose components are composed with what they depend on.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use bytes::Bytes;

use super::compose::ComposeError;
use super::compose::Discord;
#[cfg(feature = "compose")]
use super::compose::{Dependency, Middleware, chain, compose};
use super::error::Error;
use super::load::{Application, LocalComponent, LocalDependency};
use super::lock_file::LockedComponent;

/// Composes each component that has dependencies or middleware; the result has neither, and their content in its place.
///
/// Reads the components concerned into memory, one at a time. Those without dependencies stay as they are.
pub(super) async fn composed(app: &Application) -> Result<Application, Error> {
    let app = app.clone();
    let manifest = app.manifest.clone();
    let task = tokio::task::spawn_blocking(move || composed_now(app));
    task.await.map_err(|error| crate::error::Error::io("compose", &manifest, io::Error::other(error)))?
}

fn composed_now(mut app: Application) -> Result<Application, Error> {
    for (component, locked) in app.components.iter_mut().zip(&mut app.lock.components) {
        if !component.dependencies.is_empty() || !component.middleware.is_empty() {
            component.made = Some(whole(component, locked)?);
            component.dependencies.clear();
            component.middleware.clear();
        }
        locked.dependencies.clear();
        locked.trigger_dependencies.clear();
    }
    Ok(app)
}

/// Returns a component as it is published: composed, where there is anything to compose. Blocks.
pub(super) fn whole(component: &LocalComponent, locked: &LockedComponent) -> Result<Bytes, Error> {
    if component.dependencies.is_empty() && component.middleware.is_empty() {
        return read(&component.wasm, component.made.as_ref());
    }
    let composed = Content::read(component)?.composed(component, locked);
    Ok(composed.map_err(|error| placed(component, error))?.into())
}

/// Blames a component for what is wrong with it by itself.
#[cfg(feature = "compose")]
pub(super) fn blame(component: &LocalComponent, discord: Discord) -> Error {
    placed(component, discord.of(&component.id, None)).into()
}

/// What a component is made of, in memory.
#[cfg_attr(not(feature = "compose"), allow(dead_code, reason = "nothing is composed"))]
struct Content {
    wasm: Bytes,
    dependencies: Vec<Bytes>,
    middleware: Vec<Bytes>,
}

impl Content {
    fn read(component: &LocalComponent) -> Result<Self, Error> {
        let of = |dependency: &LocalDependency| read(&dependency.wasm, dependency.made.as_ref());
        Ok(Self {
            wasm: read(&component.wasm, component.made.as_ref())?,
            dependencies: component.dependencies.iter().map(of).collect::<Result<_, _>>()?,
            middleware: component.middleware.iter().map(of).collect::<Result<_, _>>()?,
        })
    }

    #[cfg(feature = "compose")]
    fn composed(&self, component: &LocalComponent, locked: &LockedComponent) -> Result<Vec<u8>, ComposeError> {
        let dependencies = locked.dependencies.iter().zip(&self.dependencies);
        let dependencies = dependencies.map(|((name, locked), wasm)| Dependency {
            name,
            wasm,
            export: locked.export.as_deref(),
            inherit: &locked.inherit,
        });
        let wasm = compose(&component.id, &self.wasm, &dependencies.collect::<Vec<_>>())?;
        let middleware =
            locked.trigger_dependencies.values().flatten().zip(&component.middleware).zip(&self.middleware);
        let middleware = middleware.map(|((locked, local), wasm)| Middleware {
            name: file_name(local),
            wasm,
            inherit: &locked.inherit,
        });
        chain(&component.id, &wasm, &middleware.collect::<Vec<_>>())
    }

    #[cfg(not(feature = "compose"))]
    fn composed(&self, component: &LocalComponent, _: &LockedComponent) -> Result<Vec<u8>, ComposeError> {
        let id = component.id.as_str().into();
        Err(ComposeError { place: None, component: id, dependency: None, discord: Discord::Unavailable })
    }
}

/// Leads an error to the line of the manifest that names what is at fault.
fn placed(component: &LocalComponent, mut error: ComposeError) -> Box<ComposeError> {
    let place = match &error.dependency {
        Some(name) => {
            let dependency = component.dependencies.iter().find(|dependency| dependency.name == **name);
            let layer = || component.middleware.iter().find(|layer| file_name(layer) == &**name);
            dependency.or_else(layer).and_then(|at_fault| at_fault.place.clone())
        }
        None => component.place.clone(),
    };
    error.place = place.map(Box::new);
    Box::new(error)
}

/// Returns what errors call middleware: several of them have one role.
fn file_name(layer: &LocalDependency) -> &str {
    layer.wasm.file_name().and_then(|name| name.to_str()).unwrap_or(&layer.name)
}

/// Reads a file of a component, which is in memory already where it was assembled.
pub(super) fn read(path: &Path, made: Option<&Bytes>) -> Result<Bytes, Error> {
    if let Some(made) = made {
        return Ok(made.clone());
    }
    let failed = |error| crate::error::Error::io("read", path, error);
    let mut bytes = Vec::new();
    // One byte more than composition takes, so that it says that there are too many.
    File::open(path).map_err(failed)?.take(MAX_WASM + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes.into())
}

/// How long a component may be that is composed, in bytes.
const MAX_WASM: u64 = super::compose::MAX_BYTES as u64;
