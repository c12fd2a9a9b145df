//! Floor 4: the disk.
//!
//! One writer puts content on disk, and nothing unverified ever bears its final name. [`Ingest`] streams a blob
//! through it; a [`Shelf`] says where blobs stand and where they grow until then; [`Layout`] is an OCI image layout
//! directory, and [`Archive`] a tar file of one, each as [`Source`](crate::content::Source) and
//! [`Target`](crate::content::Target).

mod access;
mod archive;
mod archive_contents;
mod archive_draft;
mod catalog;
mod collect;
mod edges;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod ingest;
mod layout;
mod layout_content;
mod partials;
mod shelf;
mod subjects;
mod tar;
mod writer;

pub use archive::Archive;
pub use collect::{Collected, Garbage, Untagged};
pub use index::REF_NAME;
#[cfg(feature = "spin")]
pub(crate) use ingest::blocking;
pub use ingest::{Ingest, Started, fetch, flush};
pub use layout::Layout;
pub use partials::{Action, Count};
#[cfg(feature = "spin")]
pub(crate) use shelf::missing;
pub use shelf::{Naming, SessionId, Shelf};
#[cfg(feature = "spin")]
pub(crate) use writer::{Durability, Writer};
