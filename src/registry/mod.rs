//! Floor 4: the distribution protocol, as a client (distribution-spec 1.1).
//!
//! A [`Client`] talks to any number of registries; a [`Repository`] is the handle through which content moves,
//! and is a [`Source`](crate::content::Source) and a [`Target`](crate::content::Target).
//!
//! Wire cost: each method says under **Requests** what it sends when no credentials are wanted. The first
//! request to a registry that wants them costs a `401` and, with a token service, a token request besides.

mod asking;
mod blob;
mod client;
mod delete;
mod download;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hosts;
mod manifest;
mod mirror;
mod outlook;
mod pages;
mod profile;
#[cfg(test)]
mod properties;
mod referrers;
mod repository;
mod response;
mod tagged;
mod tags;
mod upload;
mod upload_answer;
mod upload_plan;

pub use client::{Client, ClientBuilder, Notice, Protection};
pub use hosts::{HostConfig, Hosts, Mirror, MirrorMode};
pub use repository::Repository;
pub use tags::Listing;
pub use upload::{Mounts, Uploads};
