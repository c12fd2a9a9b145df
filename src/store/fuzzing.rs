//! A door for `fuzz/` to the index of a layout and to the members of an archive. No part of the API, and no logic.
#![allow(missing_docs, reason = "no part of the API")]

use std::io::Cursor;

use super::index::Index;
use super::tar::{Flaw, Members, header};
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

/// A member of an archive.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchiveMember {
    pub path: String,
    pub kind: String,
    /// From its first header to the end of its content.
    pub whole: std::ops::Range<u64>,
    pub content: std::ops::Range<u64>,
}

/// Reads the members of an archive; `None` where it is none.
pub fn archive_members(bytes: &[u8]) -> Option<Vec<ArchiveMember>> {
    let mut members = Members::of(Cursor::new(bytes)).ok()?;
    let mut found = Vec::new();
    loop {
        match members.next() {
            Ok(None) => return Some(found),
            Ok(Some(member)) => found.push(ArchiveMember {
                kind: member.kind.to_string(),
                whole: member.start..member.end(),
                content: member.offset..member.offset + member.size,
                path: member.path,
            }),
            Err(Flaw::Io(_) | Flaw::Malformed { .. }) => return None,
        }
    }
}

/// Writes the header of a member.
pub fn archive_header(path: &str, size: u64) -> Vec<u8> {
    header(path, size)
}
