//! Floor 1: bytes in motion.
//!
//! A blob is a descriptor and a way to open it at an offset. Files, memory, registries, layouts,
//! retries, resumes, chunks and progress all reduce to that.

mod blob;
mod body;
mod endpoints;
mod progress;
mod reader;
mod unhashed;
mod verify;

#[cfg(feature = "spin")]
pub(crate) use blob::hash_file;
pub use blob::{Blob, Open};
pub use body::Body;
pub(crate) use body::Seams;
pub use endpoints::{Effort, Pushed, Source, Tagged, Target, Vacancy};
pub use progress::{Event, Progress};
pub use unhashed::Unhashed;
pub use verify::Verifier;
