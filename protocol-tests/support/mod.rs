//! What the tests stand on: peers that behave and misbehave on command, and the tool in a room of its own.
#![allow(dead_code, reason = "each test target uses its own part")]

pub(crate) mod bad;
pub(crate) mod chance;
pub(crate) mod cli;
pub(crate) mod client;
pub(crate) mod components;
pub(crate) mod document;
pub(crate) mod faults;
pub(crate) mod front;
pub(crate) mod guard;
#[cfg(unix)]
pub(crate) mod helpers;
pub(crate) mod judged;
pub(crate) mod kit;
pub(crate) mod listen;
pub(crate) mod packages;
pub(crate) mod pattern;
pub(crate) mod peers;
pub(crate) mod profiles;
#[cfg(unix)]
pub(crate) mod proxies;
pub(crate) mod registry;
pub(crate) mod relay;
pub(crate) mod reply;
pub(crate) mod repository;
pub(crate) mod scenario;
#[cfg(unix)]
pub(crate) mod screen;
pub(crate) mod script;
pub(crate) mod served;
#[cfg(target_os = "linux")]
pub(crate) mod stand_in;
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
    assert!(directory.is_dir(), "`{}` is a directory of the crate", directory.display());
    files_below(directory).into_iter().filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

/// Returns every file below `directory`, sorted; none where it does not exist.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop().filter(|directory| directory.is_dir()) {
        for entry in std::fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}
