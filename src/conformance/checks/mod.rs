//! The precise checks: one rule of the specification each, judged from what went over the wire.
//!
//! [`check`] makes all of them, one after the other, and removes what it has pushed. A check that cannot hold because
//! another one failed says which ([`super::Outcome::Blocked`]), and none leans on more than it needs: what is asked for
//! is taken from whatever answer allows to go on, so that one cause turns one check red and not a row of them.
//!
//! Whatever has a digest is checked once for each algorithm; a registry that does without sha512 is told so once, by a
//! whole column that is [`super::Outcome::Unsupported`].

mod bench;
mod blobs;
mod catalogue;
mod chunks;
mod content;
mod deletion;
mod errors;
mod manifests;
mod manners;
mod mounts;
mod ping;
mod ranges;
mod referrers;
mod referrers_lists;
mod rule;
mod run;
mod sessions;
mod tagging;
mod tags;
mod uploads;

pub use catalogue::{Listed, catalogue};
pub use run::{Findings, Grounds, Means, check};
