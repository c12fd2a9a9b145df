//! What this floor needs of networks, and does not have.

use std::pin::Pin;

use bytes::Bytes;
use http::Uri;

use super::{Access, Storage};
use crate::content::{Blob, Body};
use crate::error::Error;
use crate::model::{Descriptor, Identifier, Manifest, Registry, Tag};

/// What the methods of [`Fetch`] return.
pub type Fetching<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Ways to what is not on this disk.
///
/// Nothing that comes from here is believed: digests are compared, documents bounded and checked.
pub trait Fetch: Send + Sync {
    /// Opens what is at `url`, from byte `offset` on. Nobody's credentials are shown.
    ///
    /// A body that breaks should go on by itself where it stopped.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is nothing; [`Error::Refused`], [`Error::Unreachable`].
    fn download<'a>(&'a self, url: &'a Uri, offset: u64) -> Fetching<'a, Body>;

    /// Reads what the host of a registry says about itself at [`REGISTRY_METADATA`], at most
    /// [`MAX_REGISTRY_METADATA`] bytes; `None` where it says nothing. Nobody's credentials are shown, and of `access` no
    /// others either.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`]; [`Error::Protocol`] where it is longer.
    fn metadata<'a>(&'a self, registry: &'a Registry, access: &'a Access) -> Fetching<'a, Option<Bytes>>;

    /// Lists the tags of a repository.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is no such repository; whatever keeps the registry from answering.
    fn tags<'a>(&'a self, storage: &'a Storage) -> Fetching<'a, Vec<Tag>>;

    /// Gets the manifest of a tag or a digest.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is none; whatever keeps the registry from answering.
    fn manifest<'a>(&'a self, storage: &'a Storage, id: &'a Identifier) -> Fetching<'a, Manifest>;

    /// Makes a handle for a blob of a repository. Nothing is asked before it is opened.
    ///
    /// # Errors
    ///
    /// What keeps a client from being made.
    fn blob<'a>(&'a self, storage: &'a Storage, descriptor: &'a Descriptor) -> Fetching<'a, Blob>;
}

/// Where the host of a registry says what it is: a well-known URI (RFC 8615).
pub const REGISTRY_METADATA: &str = "/.well-known/wasm-pkg/registry.json";

/// How long that may be, in bytes: real ones have some 100.
pub const MAX_REGISTRY_METADATA: u64 = 64 << 10;
