//! Floor 2: HTTP that copes; knows no OCI.
//!
//! A [`Transport`] sends a request until there is an answer. What it does after each exchange is decided by a pure
//! function; all its waits and limits are the fields of a [`Policy`]. Trust and limits are counted by [`Origin`].

mod alert;
mod connect;
mod decide;
mod dial;
mod echo;
mod failure;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod headers;
mod limit;
mod origin;
mod pace;
mod payload;
mod policy;
#[cfg(test)]
mod properties;
mod proxies;
mod redirect;
mod sniff;
mod stall;
mod tls;
#[expect(clippy::module_inception, reason = "the floor is named after what it offers")]
mod transport;
mod wait;
mod ways;

pub(crate) use echo::Confidence;
pub use limit::Traffic;
pub use origin::{Origin, Scheme};
pub use payload::{Payload, Reopen};
pub use policy::{Budget, Policy};
pub use proxies::Proxies;
pub use redirect::resolve;
pub(crate) use redirect::{Astray, judge, peer};
#[cfg(feature = "cli")]
pub(crate) use tls::READ_CERTIFICATES;
pub use tls::{Identity, Roots, TlsOptions, Verification};
pub use transport::{Attempts, FinalUri, Options, Protocol, Redirects, Transport};
pub use ways::HostOptions;
