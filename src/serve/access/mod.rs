//! Who may do what: passwords, tokens, rules, and the door that asks for them.
//!
//! [`Access`] stands before a registry. It finds out who asks (Basic, or a Bearer token of its own service at `/token`),
//! what the request needs (pull, push or delete, on one repository), and whether the rules allow that. What it lets pass
//! it hands on; what it does not is answered with the spec's error bodies, and a challenge where credentials would help.

mod challenge;
mod credentials;
mod door;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
mod htpasswd;
mod key;
mod mint;
mod passwords;
mod pattern;
#[cfg(test)]
mod properties;
mod rules;
mod scope;
mod token_service;
mod watched;

pub use door::{Access, AccessOptions, Anonymous, Scheme, Writes};
