//! Floor 1: manners towards file systems.
//!
//! The only place that renames, flushes, sets modes and makes directories. Everything here blocks;
//! call it from a blocking task.

mod at;
mod flush;
mod lock;
mod publish;
mod read;
mod same;
mod whole;

pub use at::write_at;
pub use flush::{flush, sync_dir};
pub use lock::Lock;
pub use publish::{
    Mode, TEMPORARY, create_dirs, create_dirs_durably, is_older, link, make_writable, publish, remove_if_present,
    replace, replace_lightly, touch, was_written_before, write_new,
};
pub use read::{read_bounded, read_small};
pub use same::is_at;
