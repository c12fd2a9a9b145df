//! Registries as they really are: each profile is our own registry under the rules of one that people use.
//!
//! The rules are data and small functions. Each names the rows of `docs/registries.md` that it plays, which tell the
//! public threads that it is known from.

mod cloud;
mod hosted;
mod own;
pub(crate) mod play;
mod rule;
mod storage;

use play::Profile;

/// Every profile there is.
pub(crate) fn all() -> Vec<Profile> {
    [cloud::profiles(), hosted::profiles(), own::profiles()].concat()
}

/// Returns the profile of this name.
pub(crate) fn named(name: &str) -> Profile {
    all().into_iter().find(|profile| profile.name == name).unwrap_or_else(|| panic!("there is no profile `{name}`"))
}
