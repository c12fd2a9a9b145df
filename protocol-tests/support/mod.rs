//! What the tests stand on: peers that behave and misbehave on command, and the tool in a room of its own.
#![allow(dead_code, reason = "each test target uses its own part")]

pub(crate) mod cli;
pub(crate) mod client;
pub(crate) mod front;
pub(crate) mod guard;
mod kit;
pub(crate) mod listen;
pub(crate) mod pattern;
pub(crate) mod peers;
pub(crate) mod registry;
pub(crate) mod reply;
pub(crate) mod repository;
pub(crate) mod scenario;
pub(crate) mod script;
pub(crate) mod tls;
pub(crate) mod transcript;
pub(crate) mod wire;

use std::path::{Path, PathBuf};

/// Returns a path below the crate's root.
pub(crate) fn root(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Returns every file with `extension` below `directory`, sorted.
pub(crate) fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory of the crate") {
            let path = entry.expect("an entry of the crate").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
