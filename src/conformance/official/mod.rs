//! The steps of the official conformance suite, with its content, its order, its ways out and its verdicts.
//!
//! Everything about the suite that can be seen from outside is the same here: the names of the steps, the requests that
//! each makes, what it takes for a failure and what for a thing not supported, and how verdicts add up. What differs helps
//! and leaves the verdicts alone: content comes from a seed, images are valid, a `Location` is used exactly as it is
//! written, a failure names its cause, a read-only run works and deletes nothing, and what was pushed is removed.

mod blobs;
mod book;
mod content;
mod deletion;
mod judge;
mod lists;
mod manifests;
mod run;
mod sets;
mod uploads;
mod wire;

pub(super) use run::run;
