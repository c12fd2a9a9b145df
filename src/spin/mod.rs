//! Floor 6: Spin applications.
//!
//! [`load`] reads a `spin.toml` and says what the application is made of; [`pack`] turns that into a [`Package`],
//! which is a [`crate::content::Source`] like any other. The format is Spin's: what is packed here, Spin runs, and the
//! lock file and config are Spin's byte for byte.

mod ahead;
mod app_manifest;
mod archive;
#[cfg(feature = "compose")]
mod artifact;
mod build;
mod cache;
mod cache_care;
mod cache_content;
mod cache_holdings;
mod cache_prune;
mod cache_use;
mod cached;
pub mod compose;
mod composed;
mod created;
mod dependency;
mod dependency_name;
mod difference;
mod direct;
pub(crate) mod document;
mod environment;
mod error;
mod file_url;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod glob_walk;
mod hosts;
mod id;
mod known;
mod last_build;
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
mod origin;
mod outline;
mod pack;
mod package;
mod prepare;
#[cfg(test)]
mod properties;
mod runnable;
mod source;
mod sources;
mod split;
mod target;
mod unpack;
mod variables;
mod warning;
mod wasm;

pub use ahead::Ahead;
#[cfg(feature = "compose")]
pub use artifact::{Artifact, ArtifactOptions, pack_component};
pub use build::{ComponentBuild, Stale};
pub use cache::Cache;
pub use cache_care::{Damage, Flaw, Verified};
pub use cache_holdings::{HeldBlob, Holding, Share, Usage};
pub use cache_prune::{Pruned, Pruning, Removed};
pub use cached::{CachedApplication, Document};
pub use created::Created;
pub use dependency_name::{DependencyName, PackageName};
pub use difference::{Change, Part, difference};
pub use environment::{Lack, TargetError, Unfit};
pub use error::{Error, Fault, Found, Host, Mount, Place, Position, Problem, Wasm};
pub use known::KnownDigests;
pub use last_build::{OtherBuild, note_build};
pub use load::{
    Application, LoadOptions, LocalComponent, LocalDependency, Mounting, builds, interpret, load, load_with,
};
pub use lock_file::{
    ComponentDependency, ContentPath, ContentRef, Inherit, LockedApp, LockedComponent, LockedSource, LockedTrigger,
    LockedVariable,
};
pub use materialise::{Placement, materialise};
pub use mounts::{MountedFile, Outside};
#[cfg(feature = "cli")]
pub(crate) use nearest::nearest;
pub use outline::{
    ComponentOutline, ContentOutline, DependencyOutline, Outline, PackageOutline, TriggerOutline, VariableOutline,
};
pub use pack::{Archives, Composition, Infer, PackOptions, pack, pack_ahead, pack_with};
pub use package::Package;
pub use prepare::{Prepared, Unrunnable};
pub use runnable::Runnable;
pub use sources::{
    Access, Ask, Differing, Fetch, Fetching, Login, MAX_REGISTRY_METADATA, Misplaced, PackageConfig, REGISTRY_METADATA,
    Sources, Storage, Unobtained, Wanted, Wanter, Why,
};
pub use unpack::UnpackLimits;
pub use warning::{Notice, Warning};
pub use wasm::WasmKind;
