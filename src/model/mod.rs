//! Ground floor: the spec's nouns as plain data. No I/O, no async.
//!
//! Every type is parsed once, strictly, and trusted afterwards; every type owns its text
//! (`FromStr`, `Display`, serde through them).

mod code;
mod descriptor;
mod digest;
mod location;
mod manifest;
mod media_type;
mod parse_error;
mod platform;
#[cfg(feature = "conformance")]
pub(crate) mod printable;
#[cfg(test)]
mod properties;
mod reference;
mod safe_uri;

pub use code::{ErrorBody, ErrorCode, ErrorEntry};
pub use descriptor::{Annotations, Descriptor};
pub use digest::{Algorithm, Digest, Digester};
pub use location::Location;
pub use manifest::{ImageIndex, ImageManifest, Manifest, View};
pub use media_type::MediaType;
pub use parse_error::ParseError;
pub(crate) use parse_error::excerpt;
pub use platform::Platform;
pub use reference::{Identifier, Name, Reference, Registry, Tag};
pub use safe_uri::SafeUri;
