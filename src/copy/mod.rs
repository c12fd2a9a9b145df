//! Floor 5: the verb. Everything is a copy from a [`Source`](crate::content::Source) to a
//! [`Target`](crate::content::Target).
//!
//! First a [`Plan`]: manifests are read, what the target has is left out, and the rest is a flat list of blobs and a
//! list of manifests, children before parents. Then the plan is [carried out](Plan::carry_out): blobs several at a time,
//! manifests after them, the tag last. Dropping the future stops it; nothing runs on. Whoever copies much carries out one
//! plan after the other, and [finishes](crate::content::Target::finish) the target once.

#[cfg(feature = "client")]
mod endpoint;
mod forecast;
mod plan;
mod referrers;
mod transfer;
mod vacant;

#[cfg(feature = "client")]
pub use endpoint::Endpoint;
pub use forecast::Forecast;
#[cfg(feature = "cli")]
pub(crate) use plan::select;
pub use plan::{Plan, Questions, Step};
pub use referrers::is_referrers_list;
pub use transfer::{CopyOptions, Referrers, Summary, Transfers, copy};
pub use vacant::Vacant;
