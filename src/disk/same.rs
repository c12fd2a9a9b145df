//! Telling whether an open file still bears a name.

use std::fs::{self, File};
use std::path::Path;

/// Says whether `file` is (still) what `path` names: nobody has renamed, replaced or removed it since it was opened.
///
/// Whoever locks a file that others may rename asks this once the lock is held. Systems without inodes cannot tell;
/// there the answer is whether anything has that name.
pub fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(opened), Ok(named)) => same(&opened, &named),
        _ => false,
    }
}

#[cfg(unix)]
fn same(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn same(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}
