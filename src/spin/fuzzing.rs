//! A door for `fuzz/` to the parsers of archives, of components, and of what is said about packages. No part of the API,
//! and no logic.
#![allow(missing_docs, reason = "no part of the API")]

use std::path::Path;
use std::sync::Arc;

use super::document::Text;
use super::sources::{Metadata, PackageConfig, Storage};
use super::{Error, PackageName, UnpackLimits, unpack};
use crate::disk::Mode;
use crate::error;
use crate::model::{Descriptor, Digest, ParseError, Registry};
use crate::store::{Naming, SessionId, Shelf};

/// Unpacks `bytes`, which are put into the directory `room` first, into its folder `data`; returns what came out.
pub fn unpack(room: &Path, bytes: &[u8], limits: UnpackLimits) -> Result<Vec<(Digest, u64)>, error::Error> {
    let archive = room.join("archive");
    std::fs::write(&archive, bytes).map_err(|error| error::Error::io("write", &archive, error))?;
    let shelf = Shelf::new(room.join("data"), room.join("partial"), Naming::Flat, Mode::Shared);
    let session: SessionId = "fuzzed".parse()?;
    let wanted = Arc::new(());
    let descriptor = Descriptor::of(super::media::ARCHIVE, bytes);
    let found = unpack::unpack(&archive, &descriptor, &shelf, &session, limits, &Arc::downgrade(&wanted))?;
    Ok(found.into_iter().collect())
}

/// Assembles a component or a core module from text; none where it has a mistake.
#[cfg(feature = "compose")]
pub fn assemble(text: &[u8]) -> Option<Vec<u8>> {
    wat::parse_bytes(text).ok().map(std::borrow::Cow::into_owned)
}

/// Reads the names of what a component imports and exports.
#[cfg(feature = "compose")]
pub fn surface(wasm: &[u8]) -> Result<(Vec<String>, Vec<String>), super::compose::ComposeError> {
    let surface = super::compose::Surface::read(wasm).map_err(|discord| discord.of("fuzzed", None))?;
    Ok((surface.imports, surface.exports))
}

/// Reads the configuration of packages.
pub fn package_config(text: &str) -> Result<PackageConfig, Error> {
    let blamed = |flaw| Text { file: "config.toml".into(), text: text.to_owned() }.blame(flaw);
    PackageConfig::parse(text).map_err(blamed)
}

/// Finds the repository of a package, where its registry says `document` about itself; `None` where there is none.
pub fn storage(
    config: &PackageConfig,
    registry: Option<&Registry>,
    package: &PackageName,
    document: &[u8],
) -> Result<Option<Storage>, ParseError> {
    let metadata = Metadata::parse(document)?;
    Ok(config.home(registry, package).and_then(|home| home.storage(package, &metadata)).ok())
}
