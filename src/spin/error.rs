//! What can go wrong with a Spin application: the manifest, the files it names, or the way they travel.

use std::fmt;
use std::path::PathBuf;

use crate::model::excerpt;

/// Why an application could not be loaded, packed or materialised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no manifest where one was expected.
    #[error("there is no Spin manifest at `{}`", path.display())]
    NoManifest {
        /// The file that was looked for.
        path: PathBuf,
    },
    /// The manifest is at fault.
    #[error(transparent)]
    Manifest(#[from] Box<Fault>),
    /// A component's file is not there, or is no WebAssembly.
    #[error(transparent)]
    Wasm(#[from] Box<Wasm>),
    /// Even with archives there are more layers than registries take.
    #[error("the application needs {layers} layers, and registries take {}", super::media::MAX_CONTENT_LAYERS + 1)]
    TooManyLayers {
        /// How many layers there would be, the lock file's included.
        layers: usize,
    },
    /// Content could not be read, written or moved.
    #[error(transparent)]
    Transfer(#[from] crate::error::Error),
}

impl Error {
    /// Returns what is wrong with the manifest, where that is the problem.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Manifest(fault) => Some(&fault.problem),
            _ => None,
        }
    }
}

/// What is wrong with a manifest, and where.
#[derive(Debug, thiserror::Error)]
pub struct Fault {
    /// The manifest.
    pub file: PathBuf,
    /// The place in it, where it is one place.
    pub at: Option<Position>,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(at) = self.at {
            write!(f, ":{at}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

impl Position {
    /// Finds the place of the byte at `offset` in `text`; an offset beyond it is its end.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
        Self { line, column }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// It is no TOML: what the parser said.
    Syntax(String),
    /// A key that means nothing here.
    UnknownKey {
        /// The key.
        key: String,
        /// The table it is in, as in `component.site`; empty at the top.
        table: String,
        /// What may stand there.
        known: &'static [&'static str],
    },
    /// A key that has to be there.
    MissingKey {
        /// The key.
        key: &'static str,
        /// The table it should be in; empty at the top.
        table: String,
    },
    /// A value of another type.
    WrongType {
        /// What it belongs to, as in `component.site.files`.
        key: String,
        /// What is expected.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A value of the right type that cannot be used.
    Invalid {
        /// What it is, such as "component id".
        what: &'static str,
        /// The value.
        value: String,
        /// What is expected of it.
        expected: &'static str,
    },
    /// Something is named that is not defined.
    Undefined {
        /// What: "component", "profile", "variable".
        what: &'static str,
        /// Its name.
        name: String,
        /// What is defined.
        known: Vec<String>,
    },
    /// Two keys or values that exclude each other, or one that needs another.
    Conflict {
        /// What is in conflict, such as "the variable `key`".
        what: String,
        /// The rule it breaks, as in "has both `required` and `default`; keep one of them".
        rule: &'static str,
    },
    /// An outbound host that cannot be allowed.
    Host(Host),
    /// Files that cannot be mounted.
    Mount(Mount),
    /// Something that Spin knows and this release does not.
    Unsupported {
        /// What, such as "a component source with a `url`".
        what: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(said) => f.write_str(said),
            Self::UnknownKey { key, table, known } => {
                write!(f, "unknown key `{}`{}", excerpt(key), In(table))?;
                suggest(f, key, known.iter().copied(), "known keys are")
            }
            Self::MissingKey { key, table } => write!(f, "the key `{key}` is missing{}", In(table)),
            Self::WrongType { key, expected, found } => {
                write!(f, "`{}` has to be {expected}, and this is {found}", excerpt(key))
            }
            Self::Invalid { what, value, expected } => {
                write!(f, "the {what} `{}` has to be {expected}", excerpt(value))
            }
            Self::Undefined { what, name, known } => {
                write!(f, "the {what} `{}` is not defined", excerpt(name))?;
                suggest(f, name, known.iter().map(String::as_str), "defined are")
            }
            Self::Conflict { what, rule } => write!(f, "{} {rule}", excerpt(what)),
            Self::Host(host) => host.fmt(f),
            Self::Mount(mount) => mount.fmt(f),
            Self::Unsupported { what, instead } => write!(f, "{what} is not supported by this release; {instead}"),
        }
    }
}

/// An outbound host that cannot be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The entry as written.
    pub entry: String,
    /// What is expected of it.
    pub expected: &'static str,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the outbound host `{}` has to have {}", excerpt(&self.entry), self.expected)
    }
}

/// Files that cannot be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mount {
    /// The source is neither there nor a glob.
    Nothing {
        /// The source as written.
        source: String,
    },
    /// The source names a whole directory by `.` or `..`.
    WholeDirectory {
        /// The source as written.
        source: String,
    },
    /// The pattern is no glob.
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file lies outside the application's directory.
    Outside {
        /// The source as written.
        source: String,
        /// The file.
        path: PathBuf,
    },
    /// A directory contains itself by way of a symbolic link.
    Cycle {
        /// The link that leads back.
        path: PathBuf,
    },
    /// The destination is no place for a file.
    Destination {
        /// The destination.
        destination: String,
        /// What is expected of it.
        expected: &'static str,
    },
    /// Two files claim one place.
    Clash {
        /// The place, relative to the guest's root.
        destination: String,
        /// The one file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The name of a file is no Unicode, so a lock file cannot name it.
    NotUnicode {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing { source } => write!(f, "`{}` is neither a file, a directory nor a glob", excerpt(source)),
            Self::WholeDirectory { source } => {
                write!(f, "`{}` would mount a whole directory; use `{{ source, destination }}`", excerpt(source))
            }
            Self::Pattern { pattern, reason } => write!(f, "the pattern `{}` is no glob: {reason}", excerpt(pattern)),
            Self::Outside { source, path } => {
                let path = path.display();
                write!(f, "`{}` leads to `{path}`, outside the application's directory", excerpt(source))
            }
            Self::Cycle { path } => write!(f, "the symbolic link `{}` leads back to its own parent", path.display()),
            Self::Destination { destination, expected } => {
                write!(f, "the destination `{}` has to be {expected}", excerpt(destination))
            }
            Self::Clash { destination, first, second } => {
                let (first, second) = (first.display(), second.display());
                write!(f, "`{first}` and `{second}` are both mounted at `/{}`", excerpt(destination))
            }
            Self::NotUnicode { path } => write!(f, "the name of `{}` is no Unicode text", path.display()),
        }
    }
}

/// A component's file that is not there, or is no WebAssembly.
#[derive(Debug, thiserror::Error)]
pub struct Wasm {
    /// The component.
    pub component: String,
    /// The file.
    pub path: PathBuf,
    /// What is there.
    pub found: Found,
    /// The commands that build it, where the manifest says so.
    pub build: Vec<String>,
    /// The directory they are run in, where the manifest names one.
    pub workdir: Option<String>,
}

/// What is where a WebAssembly file should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A directory, or another thing that is no file.
    NoFile,
    /// A file that begins with other bytes; these.
    Bytes(Vec<u8>),
    /// A WebAssembly file of a version that nobody runs.
    Version([u8; 4]),
    /// WebAssembly as text.
    Text,
}

impl fmt::Display for Wasm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { component, path, found, build, workdir } = self;
        let path = path.display();
        match found {
            Found::Nothing => write!(f, "the file `{path}` of the component `{component}` does not exist")?,
            Found::NoFile => write!(f, "`{path}` of the component `{component}` is not a file")?,
            Found::Bytes(bytes) if bytes.is_empty() => {
                write!(f, "`{path}` of the component `{component}` is empty, not WebAssembly")?;
            }
            Found::Bytes(bytes) => {
                write!(f, "`{path}` of the component `{component}` is not WebAssembly: it begins with")?;
                for byte in bytes {
                    write!(f, " {byte:02x}")?;
                }
            }
            Found::Version(version) => {
                write!(f, "`{path}` of the component `{component}` is WebAssembly of an unknown version:")?;
                for byte in version {
                    write!(f, " {byte:02x}")?;
                }
            }
            Found::Text => {
                write!(f, "`{path}` of the component `{component}` is WebAssembly text, which this release ")?;
                f.write_str("does not assemble; turn it into a `.wasm` file, for example with `wasm-tools parse`")?;
            }
        }
        if *found == Found::Nothing && !build.is_empty() {
            write!(f, "; build it with `{}`", excerpt(&build.join(" && ")))?;
            if let Some(workdir) = workdir {
                write!(f, " in `{}`", excerpt(workdir))?;
            }
        }
        Ok(())
    }
}

/// "in `table`", or nothing at the top.
struct In<'a>(&'a str);

impl fmt::Display for In<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " in `{}`", excerpt(self.0)) }
    }
}

/// Adds the known name nearest to `name`, or all of them where none is near.
fn suggest<'a>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    introduction: &str,
) -> fmt::Result {
    if let Some(nearest) = nearest(name, known.clone()) {
        return write!(f, "; did you mean `{nearest}`?");
    }
    if known.clone().next().is_none() {
        return Ok(());
    }
    write!(f, "; {introduction} ")?;
    list(f, known)
}

fn list<'a>(f: &mut fmt::Formatter<'_>, names: impl Iterator<Item = &'a str>) -> fmt::Result {
    for (index, name) in names.enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}`{}`", excerpt(name))?;
    }
    Ok(())
}

/// Finds the name that was probably meant: a few edits away, in proportion to its length.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST_GUESS {
        return None;
    }
    let scored = known.map(|known| (distance(name, known), known));
    let (edits, known) = scored.min_by_key(|(edits, _)| *edits)?;
    (edits <= known.len().div_ceil(4)).then_some(known)
}

/// Counts the edits between two short texts: insertions, deletions, replacements and swaps of neighbours.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<usize>>()];
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut edits = (rows[i][j] + usize::from(a != b)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                edits = edits.min(rows[i - 1][j - 1] + 1);
            }
            row.push(edits);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

/// How long a name may be for which a suggestion is looked for: longer ones are no typing mistakes.
const LONGEST_GUESS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let text = "ab\nü = c\n";
        for (offset, line, column) in [(0, 1, 1), (2, 1, 3), (3, 2, 1), (5, 2, 2), (8, 2, 5), (99, 3, 1)] {
            assert_eq!(Position::of(text, offset), Position { line, column }, "{offset}");
        }
    }

    #[test]
    fn suggestions_are_near() {
        let known = ["source", "environment", "allowed_outbound_hosts", "files"];
        for (name, expected) in [
            ("sourc", Some("source")),
            ("enviroment", Some("environment")),
            ("allowed_outbound_host", Some("allowed_outbound_hosts")),
            ("file", Some("files")),
            ("fiels", Some("files")),
            ("zebra", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), expected, "{name}");
        }
    }

    #[test]
    fn without_a_near_name_all_are_listed() {
        let problem = Problem::UnknownKey { key: "zebra".into(), table: "build".into(), known: &["command", "watch"] };
        assert_eq!(problem.to_string(), "unknown key `zebra` in `build`; known keys are `command`, `watch`");
    }
}
