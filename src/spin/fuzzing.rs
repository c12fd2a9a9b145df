//! A door for `fuzz/` to the parser of archives. No part of the API, and no logic.
#![allow(missing_docs, reason = "no part of the API")]

use std::path::Path;
use std::sync::Arc;

use super::{UnpackLimits, unpack};
use crate::disk::Mode;
use crate::error;
use crate::model::{Descriptor, Digest};
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
