//! Walking directories along a pattern: links followed, cycles found, nothing entered that cannot match.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::error::Mount;

/// A pattern for paths, component by component: within one `*`, `?` and `[…]`, between them `**`.
#[derive(Debug)]
pub(super) struct PathPattern(Vec<Step>);

#[derive(Clone, Debug)]
enum Step {
    /// Any number of directories.
    Deep,
    /// One name.
    Name(Pattern),
}

impl PathPattern {
    /// Matches every file below a directory.
    pub(super) fn everything() -> Self {
        Self(vec![Step::Deep, Step::Name(Pattern::new("*").expect("a star is a pattern"))])
    }

    /// Parses a pattern; `.` and empty components mean nothing.
    pub(super) fn parse(pattern: &str) -> Result<Self, Mount> {
        let refuse = |error: glob::PatternError| Mount::Pattern { pattern: pattern.to_owned(), reason: error.msg };
        let mut steps: Vec<Step> = Vec::new();
        for component in pattern.split('/').filter(|component| !matches!(*component, "" | ".")) {
            match component {
                "**" if matches!(steps.last(), Some(Step::Deep)) => {}
                "**" => steps.push(Step::Deep),
                name => steps.push(Step::Name(Pattern::new(name).map_err(refuse)?)),
            }
        }
        Ok(Self(steps))
    }

    /// Says whether only directories can match, of which nothing is taken.
    pub(super) fn is_directories_only(&self) -> bool {
        matches!(self.0.last(), None | Some(Step::Deep))
    }
}

/// What is found on a walk.
pub(super) enum Seen {
    /// A file, and its names below the start.
    File(PathBuf, Vec<String>),
    /// A symbolic link that leads nowhere.
    Dangling(PathBuf),
}

/// Why a walk ends.
pub(super) enum Stopped {
    Mount(Mount),
    Io(PathBuf, io::Error),
}

/// How far links may lead.
pub(super) struct Fence<'a> {
    /// The real path of the directory to stay in; `None` is anywhere.
    pub(super) inside: Option<&'a Path>,
    /// What is walked, as written, for complaints.
    pub(super) source: &'a str,
}

impl Fence<'_> {
    /// Resolves links in `path` and refuses what lies beyond the fence.
    pub(super) fn real(&self, path: &Path) -> Result<PathBuf, Stopped> {
        let real = fs::canonicalize(path).map_err(|error| Stopped::Io(path.to_owned(), error))?;
        match self.inside {
            Some(inside) if !real.starts_with(inside) => {
                Err(Stopped::Mount(Mount::Outside { source: self.source.to_owned(), path: real }))
            }
            _ => Ok(real),
        }
    }
}

/// Finds the files below `start` that match.
pub(super) fn walk(start: &Path, pattern: &PathPattern, fence: &Fence<'_>) -> Result<Vec<Seen>, Stopped> {
    let mut walk = Walk { fence, seen: Vec::new(), names: Vec::new(), chain: vec![fence.real(start)?] };
    walk.enter(start, &[&pattern.0])?;
    Ok(walk.seen)
}

struct Walk<'a> {
    fence: &'a Fence<'a>,
    seen: Vec<Seen>,
    /// The names from the start to here.
    names: Vec<String>,
    /// The real paths of the directories from the start to here.
    chain: Vec<PathBuf>,
}

impl Walk<'_> {
    /// Visits a directory; each of `states` is what remains to be matched below it.
    fn enter(&mut self, directory: &Path, states: &[&[Step]]) -> Result<(), Stopped> {
        let failed = |error| Stopped::Io(directory.to_owned(), error);
        let mut entries = fs::read_dir(directory).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name().into_string();
            let name = name.map_err(|_| Stopped::Mount(Mount::NotUnicode { path: path.clone() }))?;
            let (below, matched) = advance(states, &name);
            if below.is_empty() && !matched {
                continue;
            }
            let mut kind = entry.file_type().map_err(failed)?;
            let mut real = None;
            if kind.is_symlink() {
                match fs::metadata(&path) {
                    Ok(metadata) => kind = metadata.file_type(),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        self.seen.push(Seen::Dangling(path));
                        continue;
                    }
                    Err(error) => return Err(Stopped::Io(path, error)),
                }
                if (kind.is_dir() && !below.is_empty()) || (kind.is_file() && matched) {
                    real = Some(self.fence.real(&path)?);
                }
            }
            if kind.is_file() && matched {
                let names = self.names.iter().cloned().chain([name]).collect();
                self.seen.push(Seen::File(path, names));
            } else if kind.is_dir() && !below.is_empty() {
                self.descend(&path, name, real, &below)?;
            }
        }
        Ok(())
    }

    fn descend(&mut self, path: &Path, name: String, real: Option<PathBuf>, below: &[&[Step]]) -> Result<(), Stopped> {
        let endless = below.iter().any(|state| matches!(state.first(), Some(Step::Deep)));
        let real = match real {
            Some(real) if endless && self.chain.iter().any(|above| above.starts_with(&real)) => {
                return Err(Stopped::Mount(Mount::Cycle { path: path.to_owned() }));
            }
            Some(real) => real,
            None => self.chain.last().map(|above| above.join(&name)).unwrap_or_default(),
        };
        self.names.push(name);
        self.chain.push(real);
        self.enter(path, below)?;
        self.names.pop();
        self.chain.pop();
        Ok(())
    }
}

/// Steps from a directory to the entry `name`: what remains to be matched below it, and whether it matches as a file.
fn advance<'p>(states: &[&'p [Step]], name: &str) -> (Vec<&'p [Step]>, bool) {
    let mut below: Vec<&[Step]> = Vec::new();
    let mut matched = false;
    let mut add = |state: &'p [Step]| {
        if !below.iter().any(|known| known.len() == state.len()) {
            below.push(state);
        }
    };
    for state in states {
        let next = match state {
            [Step::Deep, rest @ ..] => {
                add(state);
                rest
            }
            rest => rest,
        };
        if let [Step::Name(pattern), rest @ ..] = next
            && pattern.matches_with(name, MatchOptions::new())
        {
            match rest {
                [] => matched = true,
                rest => add(rest),
            }
        }
    }
    (below, matched)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let pattern = PathPattern::parse(pattern).expect("a pattern");
        let mut states: Vec<&[Step]> = vec![&pattern.0];
        let mut matched = false;
        for name in path.split('/') {
            (states, matched) = advance(&states, name);
        }
        matched
    }

    #[test]
    fn patterns_match_component_by_component() {
        for (pattern, path, expected) in [
            ("*.json", "a.json", true),
            ("*.json", "d/a.json", false),
            ("*", ".hidden", true),
            ("d/*", "d/a", true),
            ("d/*", "d/e/a", false),
            ("./d//*", "d/a", true),
            ("d/**/*", "d/a", true),
            ("d/**/*", "d/e/f/a", true),
            ("d/**", "d/a", false),
            ("**/*.txt", "a.txt", true),
            ("**/*.txt", "d/e/a.txt", true),
            ("**/d/*.txt", "c/d/a.txt", true),
            ("**/d/*.txt", "c/d/e/a.txt", false),
            ("a/**/b/**/c", "a/b/c", true),
            ("a/**/b/**/c", "a/x/b/y/b/z/c", true),
            ("[ab]?", "b1", true),
            ("[!ab]?", "b1", false),
            ("A", "a", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn broken_patterns_are_refused() {
        for pattern in ["[a", "***", "a**"] {
            assert!(PathPattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
