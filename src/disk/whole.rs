//! Flushing whole file systems, which costs one commit however many files it is about.

use std::path::Path;

use crate::error::Error;

/// Flushes the file systems that `files` are on. Says whether it did: nothing was flushed where that would promise less than
/// flushing each file.
///
/// # Errors
///
/// [`Error::Io`] where one of them is not there or a flush fails.
#[cfg(all(target_os = "linux", feature = "client"))]
pub(super) fn flush(files: &[&Path]) -> Result<bool, Error> {
    use std::collections::BTreeMap;
    use std::fs::{self, File};
    use std::os::unix::fs::MetadataExt as _;

    use rustix::fs::{fstatfs, syncfs};
    use rustix::io::Errno;

    if !tells_of_failures(&rustix::system::uname().release().to_string_lossy()) {
        return Ok(false);
    }
    // One file stands for all of a file system. All are looked at: a link may lead anywhere.
    let mut systems = BTreeMap::new();
    for path in files {
        let metadata = fs::metadata(path).map_err(|error| Error::io("flush", *path, error))?;
        systems.entry(metadata.dev()).or_insert(*path);
    }
    let mut opened = Vec::new();
    for path in systems.into_values() {
        let file = File::open(path).map_err(|error| Error::io("flush", path, error))?;
        #[allow(clippy::useless_conversion, reason = "the number has 32 bits elsewhere")]
        let is_known = fstatfs(&file).is_ok_and(|system| WAITING.contains(&i64::from(system.f_type)));
        if !is_known {
            return Ok(false);
        }
        opened.push((path, file));
    }
    for (path, file) in opened {
        match syncfs(&file) {
            // Somebody has forbidden it.
            Err(Errno::NOSYS | Errno::PERM) => return Ok(false),
            other => other.map_err(|error| Error::io("flush the file system of", path, error.into()))?,
        }
    }
    Ok(true)
}

#[cfg(not(all(target_os = "linux", feature = "client")))]
pub(super) fn flush(_: &[&Path]) -> Result<bool, Error> {
    Ok(false)
}

/// Says whether a system of this release reports what could not be written when a file system is flushed: Linux does since
/// 5.8.
#[cfg(all(target_os = "linux", feature = "client"))]
fn tells_of_failures(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u32>().ok());
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    (major, minor) >= (5, 8)
}

/// The file systems that have written everything to the disk, and told the disk to keep it, when their flush returns, by
/// what Linux calls them (`magic.h`): ext2 to ext4, XFS, Btrfs, F2FS, those in memory, and overlays of such. Those of other
/// computers and of other processes may promise less.
#[cfg(all(target_os = "linux", feature = "client"))]
const WAITING: [i64; 6] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x0102_1994, 0x794c_7630];

#[cfg(all(test, target_os = "linux", feature = "client"))]
mod tests {
    use super::*;

    #[test]
    fn old_systems_keep_failures_to_themselves() {
        for (release, told) in [
            ("5.8.0", true),
            ("5.10.0-28-amd64", true),
            ("6.1", true),
            ("10.0.0", true),
            ("5.7.19", false),
            ("4.18.0-553.el8.x86_64", false),
            ("5", false),
            ("", false),
            ("unknown", false),
        ] {
            assert_eq!(tells_of_failures(release), told, "{release}");
        }
    }
}
