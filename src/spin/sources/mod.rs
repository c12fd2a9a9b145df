//! Sources that are no files of the application: downloads, and packages from registries.
//!
//! What a manifest wants ([`Wanted`]) is found in the cache, or obtained by way of a [`Fetch`], which is all that this
//! floor knows of networks. Where a package is kept follows from the configuration file that all tools for packages
//! share and from what a registry says about itself; which version is taken, from its tags.

mod config;
mod definition;
mod fetch;
mod metadata;
mod notes;
mod obtain;
mod place;
#[cfg(test)]
mod properties;
mod unobtained;
mod version;
mod wanted;

pub use config::{Access, Login, PackageConfig};
#[cfg(feature = "compose")]
pub(super) use definition::MAX_DEFINITION;
pub use fetch::{Fetch, Fetching, MAX_REGISTRY_METADATA, REGISTRY_METADATA};
pub(super) use metadata::Metadata;
pub use obtain::{Ask, Sources};
pub(super) use obtain::{Obtained, Order};
pub use place::{Misplaced, Storage};
pub use unobtained::{Differing, Unobtained, Wanter, Why};
pub use wanted::Wanted;
