//! Faults on demand: a registry that misbehaves as real ones do, for other people's tests.
//!
//! [`Faulty`] stands before any [`super::Handler`] and does what its [`Fault`]s say: to the line (answers that break off,
//! stall, lie about their length), to answers (statuses, headers, members of their JSON), and to what the registry means
//! (deletions that do nothing, lists without order, mounts that were none). [`Fault`] parses what a command line says;
//! [`catalogue`] describes every one, and says which rules of the specification it breaks.

mod answers;
mod catalogue;
mod deletions;
mod fault;
mod faulty;
mod kind;
mod lists;
mod place;
mod requests;
mod state;
mod tagging;
mod uploads;

pub use catalogue::{Example, Known, catalogue};
pub use fault::Fault;
pub use faulty::Faulty;
