//! Composition: a component and what satisfies its imports, made into one component.
//!
//! [`compose`] feeds a component's imports from its dependencies, [`chain`] puts middleware before it; both take bytes
//! and give bytes. A dependency does not come by the component's capabilities on its own: what its `inherit` does not
//! grant is answered by a component that is generated from the dependency's own imports and says no. What carries no
//! capability (clocks, streams, standard output, types) stays connected. A core module among them is made a component
//! first, as hosts do it when they load one.
//!
//! ```text
//!   host ──── everything ──────────────► component ──► exports
//!     │                                      ▲
//!     ├─ harmless or inherited ─► dependency ┘ the imports it is named for
//!     │                                ▲
//!     └─ types only ──────────► denial ┘ everything else: "not permitted"
//! ```

#[cfg(feature = "compose")]
mod answer;
#[cfg(feature = "compose")]
mod capability;
#[cfg(feature = "compose")]
mod deny;
mod error;
#[cfg(feature = "compose")]
mod graph;
#[cfg(feature = "compose")]
mod imports;
#[cfg(feature = "compose")]
mod lift;
#[cfg(feature = "compose")]
mod module;
#[cfg(feature = "compose")]
mod outline;
#[cfg(feature = "compose")]
mod release;
#[cfg(feature = "compose")]
mod scan;
#[cfg(feature = "compose")]
mod stack;
#[cfg(feature = "compose")]
mod surface;
#[cfg(feature = "compose")]
mod world;

pub use error::{ComposeError, Discord};
#[cfg(feature = "compose")]
pub use graph::{Dependency, Middleware, chain, compose};
#[cfg(feature = "compose")]
pub(super) use surface::Surface;
#[cfg(feature = "compose")]
pub(super) use world::{Candidate, Misfit, wit_of_directory};

/// What the thread is called on which components are read. The parsers of the component model panic on some that are
/// valid and strange; that becomes an error, and a program that prints panics may leave those of this thread out.
pub const THREAD: &str = "compose";

/// How long a component may be that is composed, in bytes: JavaScript and Python ones have some 40 MB.
pub const MAX_BYTES: usize = 256 << 20;
