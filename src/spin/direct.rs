//! Directories that a component sees as they are, instead of copies of their files.

use std::path::Path;

use super::app_manifest::{Component, Mount};
use super::document::{Flaw, Text};
use super::error::{Error, Problem};
use super::mounts::MountedFile;

/// Finds the directories of one component: Spin's rules for `--direct-mounts`. Nothing in them is looked at.
pub(super) fn resolve(text: &Text, root: &Path, component: &Component) -> Result<Vec<MountedFile>, Error> {
    let refuse = |at, what: String, rule| Err(text.blame(Flaw::at(at, Problem::Conflict { what, rule })));
    if let Some(exclude) = component.exclude_files.first() {
        let rule = "leaves files out, and of a directory that is mounted directly nothing can be left out";
        return refuse(exclude.span(), format!("`{}`", exclude.get_ref()), rule);
    }
    let mut directories = Vec::new();
    for mount in &component.files {
        let (source, path) = match mount.get_ref() {
            Mount::Pattern(source) => (source, source),
            Mount::Placed { source, destination } => (source, destination),
        };
        let directory = root.join(source);
        if !directory.is_dir() {
            let rule = "is no directory, and only directories can be mounted directly";
            return refuse(mount.span(), format!("`{source}`"), rule);
        }
        directories.push(MountedFile { path: path.clone(), source: directory });
    }
    Ok(directories)
}
