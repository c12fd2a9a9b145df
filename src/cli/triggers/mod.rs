//! Spin's trigger executors: found, told what they take, started together, and ended together.

mod flags;
mod program;
mod supervise;

pub(super) use flags::{Flags, UP, sort};
pub(super) use program::{Executor, Program};
pub(super) use supervise::{Ended, supervise};
