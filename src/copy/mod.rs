//! Floor 5: the verb. Everything is a copy from a [`Source`](crate::content::Source) to a
//! [`Target`](crate::content::Target).
//!
//! First a [`Plan`]: manifests are read, what the target has is left out, and the rest is a flat list of blobs and a
//! list of manifests, children before parents. Then the plan is carried out: blobs several at a time, manifests after
//! them, the tag last. Dropping the future stops it; nothing runs on.

#[cfg(feature = "client")]
mod endpoint;
mod plan;
mod transfer;

#[cfg(feature = "client")]
pub use endpoint::Endpoint;
pub use plan::Plan;
pub use transfer::{CopyOptions, Summary, Transfers, copy};
