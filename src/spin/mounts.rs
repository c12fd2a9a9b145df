//! Which files a component sees, and where: Spin's rules of placement, with the traps closed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::app_manifest;
use super::document::{Flaw, Text};
use super::error::{Error, Mount, Problem};
use super::glob_walk::{Fence, PathPattern, Seen, Stopped, walk};
use super::warning::{Notice, Warning};

/// Whether files from outside the application's directory may be mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outside {
    /// They are an error: what is published stays what its author sees in that directory.
    #[default]
    Refused,
    /// They are taken.
    Allowed,
}

/// A file that a component sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountedFile {
    /// Where the component sees it: relative to its root, with slashes.
    pub path: String,
    /// Where it is.
    pub source: PathBuf,
}

/// Finds the files of one component, sorted by the bytes of their paths.
pub(super) fn resolve(
    text: &Text,
    root: &Path,
    component: &app_manifest::Component,
    outside: Outside,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<MountedFile>, Error> {
    if component.files.is_empty() {
        return Ok(Vec::new());
    }
    let real_root = fs::canonicalize(root).map_err(|error| crate::error::Error::io("read", root, error))?;
    let mut excludes = Vec::new();
    for exclude in &component.exclude_files {
        let pattern = Pattern::new(exclude.get_ref()).map_err(|error| {
            let mount = Mount::Pattern { pattern: exclude.get_ref().clone(), reason: error.msg };
            text.blame(Flaw::at(exclude.span(), Problem::Mount(mount)))
        })?;
        excludes.push(pattern);
    }
    let mut mounts = Mounts { root, real_root, outside, excludes, files: BTreeMap::new() };
    for mount in &component.files {
        let mut notices = Vec::new();
        let outcome = match mount.get_ref() {
            app_manifest::Mount::Pattern(source) => mounts.add_pattern(source, &mut notices),
            app_manifest::Mount::Placed { source, destination } => mounts.add_placed(source, destination, &mut notices),
        };
        outcome.and_then(|()| mounts.check_nesting()).map_err(|stopped| match stopped {
            Stopped::Mount(problem) => text.blame(Flaw::at(mount.span(), Problem::Mount(problem))),
            Stopped::Io(path, error) => crate::error::Error::io("read", path, error).into(),
        })?;
        let at = text.position(mount.span().start);
        warnings.extend(notices.into_iter().map(|notice| Warning { file: text.file.clone(), at, notice }));
    }
    Ok(mounts.files.into_iter().map(|(path, source)| MountedFile { path, source }).collect())
}

struct Mounts<'a> {
    root: &'a Path,
    real_root: PathBuf,
    outside: Outside,
    excludes: Vec<Pattern>,
    /// By destination.
    files: BTreeMap<String, PathBuf>,
}

impl Mounts<'_> {
    /// Adds an entry that is one text: a directory, a file or a pattern.
    fn add_pattern(&mut self, source: &str, notices: &mut Vec<Notice>) -> Result<(), Stopped> {
        let nothing = || Stopped::Mount(Mount::Nothing { source: source.to_owned() });
        if source.is_empty() {
            return Err(nothing());
        }
        if matches!(source.rsplit('/').next(), Some("." | "..")) {
            return Err(Stopped::Mount(Mount::WholeDirectory { source: source.to_owned() }));
        }
        if Path::new(source).has_root() || source.split('/').any(|name| name == "..") {
            let path = self.root.join(source);
            return Err(Stopped::Mount(Mount::Outside { source: source.to_owned(), path }));
        }
        let names = names(source);
        let path = self.root.join(source);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() && names.is_empty() => {
                Err(Stopped::Mount(Mount::WholeDirectory { source: source.to_owned() }))
            }
            Ok(metadata) if metadata.is_dir() => {
                let once = names.join("/");
                let destination = format!("{once}/{once}");
                notices.push(Notice::DoubledDirectory { source: once.clone(), destination: destination.clone() });
                self.add_tree(source, &path, &PathPattern::everything(), &once, &destination, notices)
            }
            Ok(metadata) if metadata.is_file() => {
                self.fence(source).real(&path)?;
                let place = names.join("/");
                self.note_exclude(&place, notices);
                self.add(place, path)
            }
            Ok(_) => Err(nothing()),
            Err(_) if source.contains(['?', '*', '[', ']']) => self.add_glob(source, notices),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(nothing()),
            Err(error) => Err(Stopped::Io(path, error)),
        }
    }

    fn add_glob(&mut self, source: &str, notices: &mut Vec<Notice>) -> Result<(), Stopped> {
        if matches!(source, "*" | "**/*") {
            notices.push(Notice::WholeApplication { pattern: source.to_owned() });
        }
        let pattern = PathPattern::parse(source).map_err(Stopped::Mount)?;
        if source.ends_with('/') || pattern.is_directories_only() {
            let pattern = source.trim_end_matches('/').to_owned();
            notices.push(Notice::DirectoriesOnly { pattern });
            return Ok(());
        }
        self.add_tree(source, self.root, &pattern, "", "", notices)
    }

    /// Adds an entry that says its destination.
    fn add_placed(&mut self, source: &str, destination: &str, notices: &mut Vec<Notice>) -> Result<(), Stopped> {
        let refuse =
            |expected| Err(Stopped::Mount(Mount::Destination { destination: destination.to_owned(), expected }));
        if destination.split('/').any(|name| name == "..") {
            return refuse("inside the component's root, without `..`");
        }
        let path = self.root.join(source);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Stopped::Mount(Mount::Nothing { source: source.to_owned() }));
            }
            Err(error) => return Err(Stopped::Io(path, error)),
        };
        let place = names(destination).join("/");
        if metadata.is_dir() {
            let relative = names(source).join("/");
            return self.add_tree(source, &path, &PathPattern::everything(), &relative, &place, notices);
        }
        if !metadata.is_file() {
            return Err(Stopped::Mount(Mount::Nothing { source: source.to_owned() }));
        }
        if place.is_empty() || destination.ends_with(['/', '.']) {
            return refuse("the full name of the file, as in `/static/logo.png`");
        }
        self.fence(source).real(&path)?;
        self.note_exclude(&names(source).join("/"), notices);
        self.add(place, path)
    }

    /// Adds what matches below `start`, which excludes know as `relative`, below `destination`.
    fn add_tree(
        &mut self,
        source: &str,
        start: &Path,
        pattern: &PathPattern,
        relative: &str,
        destination: &str,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Stopped> {
        let seen = walk(start, pattern, &self.fence(source))?;
        let mut found = false;
        for seen in seen {
            match seen {
                Seen::Dangling(path) => notices.push(Notice::DanglingLink { path }),
                Seen::File(path, names) => {
                    let below = names.join("/");
                    if self.excluded(&join(relative, &below)).is_none() {
                        found = true;
                        self.add(join(destination, &below), path)?;
                    }
                }
            }
        }
        if !found {
            notices.push(Notice::NothingMatched { source: source.to_owned() });
        }
        Ok(())
    }

    fn add(&mut self, place: String, source: PathBuf) -> Result<(), Stopped> {
        if place.contains('\\') {
            let expected = "free of backslashes, which separate names on some systems";
            return Err(Stopped::Mount(Mount::Destination { destination: place, expected }));
        }
        match self.files.entry(place) {
            Entry::Vacant(vacant) => {
                vacant.insert(source);
                Ok(())
            }
            Entry::Occupied(occupied) if *occupied.get() == source => Ok(()),
            Entry::Occupied(occupied) => {
                let destination = occupied.key().clone();
                Err(Stopped::Mount(Mount::Clash { destination, first: occupied.get().clone(), second: source }))
            }
        }
    }

    /// Refuses a file whose place is also a directory of another file.
    fn check_nesting(&self) -> Result<(), Stopped> {
        for (place, second) in &self.files {
            for (slash, _) in place.match_indices('/') {
                if let Some(first) = self.files.get(&place[..slash]) {
                    let (first, second) = (first.clone(), second.clone());
                    return Err(Stopped::Mount(Mount::Clash { destination: place[..slash].to_owned(), first, second }));
                }
            }
        }
        Ok(())
    }

    fn fence<'f>(&'f self, source: &'f str) -> Fence<'f> {
        let inside = match self.outside {
            Outside::Refused => Some(self.real_root.as_path()),
            Outside::Allowed => None,
        };
        Fence { inside, source }
    }

    /// Finds the pattern that excludes a file; as in Spin, `*` crosses slashes here.
    fn excluded(&self, relative: &str) -> Option<&Pattern> {
        let crossing = MatchOptions { require_literal_separator: false, ..MatchOptions::new() };
        self.excludes.iter().find(|pattern| pattern.matches_with(relative, crossing))
    }

    fn note_exclude(&self, relative: &str, notices: &mut Vec<Notice>) {
        if let Some(pattern) = self.excluded(relative) {
            let (source, pattern) = (relative.to_owned(), pattern.as_str().to_owned());
            notices.push(Notice::ExcludedAnyway { source, pattern });
        }
    }
}

/// Splits a path at its slashes; what means nothing is left out.
fn names(path: &str) -> Vec<&str> {
    path.split('/').filter(|name| !matches!(*name, "" | ".")).collect()
}

fn join(above: &str, below: &str) -> String {
    if above.is_empty() { below.to_owned() } else { format!("{above}/{below}") }
}
