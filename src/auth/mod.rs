//! Floor 3: who we are.
//!
//! Nothing is shown before it is asked for: a request goes out bare, and only a challenge makes credentials be looked
//! up and met. They go to the origin that asked, or to the token service that it names and that passes the rules of
//! `realm`; never further, and never over an unprotected connection unless told so.
//!
//! Credentials come from a [`Keychain`]; [`Sources`] chains all that the environment points to.

mod account;
mod authorizer;
mod basic;
mod challenge;
mod credential;
mod demand;
mod docker_config;
mod document;
mod environment;
mod explain;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod grant;
mod helper;
mod proof;
#[cfg(test)]
mod properties;
mod realm;
mod scope;
mod session;
mod sources;
mod spin_auth;
mod token;

pub use account::{Account, Accounts, Standing};
pub use authorizer::{Authorizer, Exposure, Remark};
pub use credential::{Chain, Credential, Found, Given, Keychain, Lookup, Secret};
pub use docker_config::DockerConfig;
pub use environment::Environment;
pub use explain::{Answer, Kind, Testimony, Within};
pub use proof::Proof;
pub use scope::{Actions, Scope, Scopes};
pub use sources::Sources;
pub use spin_auth::{Logout, SpinAuth};
