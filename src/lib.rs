//! Publishes, fetches, verifies and runs Spin (WebAssembly) applications through any OCI registry.
//!
//! The idea in seven sentences:
//!
//! 1. **Bytes are the truth**: a manifest is its bytes, a blob is its digest; we parse to look, never to re-print.
//! 2. **A blob is a descriptor and a way to open it at an offset.** Files, memory, registries, layouts, retries,
//!    resumes and progress all reduce to that.
//! 3. **Everything is a copy** from a [`content::Source`] to a [`content::Target`]; push and pull differ in which.
//! 4. **One writer** (`store::Ingest`) puts content on disk, and nothing unverified ever bears its final name.
//! 5. **Decide purely, act thinly**: retry, redirect and challenge decisions are pure functions with table tests.
//! 6. **Strict floors**: code looks down, never sideways or up, and a test enforces it.
//! 7. **Wire cost is documented and pinned**: each registry operation says which requests it makes, and a transcript
//!    test holds it to that.
//!
//! ```text
//!  roof   cli
//!   6    spin      serve
//!   5    copy
//!   4    registry              store
//!   3    auth
//!   2    transport
//!   1    content               disk
//!  ground error
//!         model
//! ```

pub mod content;
pub mod disk;
pub mod error;
pub mod model;
pub mod store;

pub mod copy;

#[cfg(feature = "client")]
pub mod auth;
#[cfg(feature = "client")]
pub mod registry;
#[cfg(feature = "client")]
pub mod transport;

#[cfg(feature = "spin")]
pub mod spin;

#[cfg(feature = "serve")]
pub mod serve;

#[cfg(feature = "cli")]
pub mod cli;

pub use error::Error;
pub use model::{Descriptor, Digest, Location, Manifest, Reference};

#[cfg(all(feature = "client", not(any(feature = "tls-aws-lc", feature = "tls-ring"))))]
compile_error!("the feature `client` needs a TLS provider beside it: `tls-aws-lc` or `tls-ring`");

/// The README's examples are compiled as tests.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../README.md")]
struct Readme;
