//! Floor 1: manners towards file systems.
//!
//! The only place that renames, flushes, sets modes and makes directories. Everything here blocks;
//! call it from a blocking task.

mod lock;
mod publish;

pub use lock::Lock;
pub use publish::{Mode, create_dirs, publish, remove_if_present, replace, sync_dir};
