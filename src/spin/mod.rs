//! Floor 6: Spin applications.
//!
//! [`load`] reads a `spin.toml` and says what the application is made of; [`pack`] turns that into a [`Package`],
//! which is a [`crate::content::Source`] like any other. The format is Spin's: what is packed here, Spin runs, and the
//! lock file and config are Spin's byte for byte.

mod app_manifest;
mod archive;
mod build;
mod cache;
mod cached;
pub mod compose;
mod composed;
mod created;
mod dependency;
mod dependency_name;
pub(crate) mod document;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod glob_walk;
mod hosts;
mod id;
mod load;
mod lock;
mod lock_file;
mod manifest_v1;
mod manifest_v2;
mod materialise;
pub mod media;
mod mounts;
mod nearest;
mod normalise;
mod pack;
mod package;
#[cfg(test)]
mod properties;
mod source;
mod split;
mod unpack;
mod variables;
mod warning;
mod wasm;

pub use build::{ComponentBuild, Stale};
pub use cache::Cache;
pub use cached::CachedApplication;
pub use created::Created;
pub use dependency_name::{DependencyName, PackageName};
pub use error::{Error, Fault, Found, Host, Mount, Position, Problem, Wasm};
pub use load::{Application, LoadOptions, LocalComponent, LocalDependency, builds, interpret, load};
pub use lock_file::{
    ComponentDependency, ContentPath, ContentRef, Inherit, LockedApp, LockedComponent, LockedSource, LockedTrigger,
    LockedVariable,
};
pub use materialise::materialise;
pub use mounts::{MountedFile, Outside};
pub use pack::{Archives, Composition, Infer, PackOptions, pack};
pub use package::Package;
pub use unpack::UnpackLimits;
pub use warning::{Notice, Warning};
pub use wasm::WasmKind;
