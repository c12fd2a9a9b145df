//! A door for `fuzz/` to the index of a layout. No part of the API, and no logic.
#![allow(missing_docs, reason = "no part of the API")]

use super::index::Index;
use crate::model::{Descriptor, Digest, ParseError, Tag};

/// `index.json` of an image layout.
#[derive(Clone, Debug, PartialEq)]
pub struct LayoutIndex(Index);

impl LayoutIndex {
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        Index::parse(bytes).map(Self)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    pub fn descriptors(&self) -> Vec<Descriptor> {
        self.0.descriptors().collect()
    }

    pub fn tags(&self) -> Vec<(Tag, Descriptor)> {
        self.0.tags().collect()
    }

    pub fn find(&self, tag: &Tag) -> Option<Descriptor> {
        self.0.find(tag)
    }

    pub fn list(&mut self, manifest: &Descriptor, tag: Option<&Tag>) -> bool {
        self.0.list(manifest, tag)
    }

    pub fn unname(&mut self, tag: &Tag) -> bool {
        self.0.unname(tag)
    }

    pub fn remove(&mut self, digest: &Digest) -> bool {
        self.0.remove(digest)
    }
}
