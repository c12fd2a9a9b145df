//! What can go wrong with a Spin application: the manifest, the files it names, or the way they travel.

use std::fmt;
use std::path::PathBuf;

use super::nearest::suggest;
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
    /// A component and its dependencies do not fit together.
    #[error(transparent)]
    Compose(#[from] Box<super::compose::ComposeError>),
    /// What a component is made of could not be obtained.
    #[error(transparent)]
    Source(#[from] Box<super::sources::Unobtained>),
    /// It cannot run in an environment that the manifest names.
    #[error(transparent)]
    Target(#[from] Box<super::environment::TargetError>),
    /// It cannot be run.
    #[error(transparent)]
    Unrunnable(#[from] super::prepare::Unrunnable),
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
    /// The line of that place, as it is written.
    pub line: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

impl Fault {
    /// Returns the line of the place with a mark below the character, for people; what is far from it is left out.
    pub fn excerpt(&self) -> Option<String> {
        let (at, line) = (self.at?, self.line.as_deref()?);
        let start = at.column.saturating_sub(EXCERPT_BEFORE + 1);
        let (before, cut) = if start == 0 { ("", 0) } else { ("…", 1) };
        let mut shown: String = line.chars().skip(start).take(EXCERPT_BEFORE + EXCERPT_AFTER).collect();
        let after = if line.chars().count() > start + EXCERPT_BEFORE + EXCERPT_AFTER { "…" } else { "" };
        // One column each, and nothing that a terminal would obey.
        shown = shown.chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
        let (shown, number) = (excerpt(&shown), at.line.to_string());
        let mark = " ".repeat(cut + at.column.saturating_sub(start + 1));
        let margin = " ".repeat(number.len());
        Some(format!("{number} | {before}{shown}{after}\n{margin} | {mark}^"))
    }
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

/// A place in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The manifest.
    pub file: PathBuf,
    /// Where in it.
    pub at: Position,
}

impl Place {
    /// Says that something is wrong there.
    #[cfg(feature = "compose")]
    pub(super) fn fault(&self, problem: Problem) -> Fault {
        Fault { file: self.file.clone(), at: Some(self.at), line: None, problem }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.at)
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
    /// A name that is written in another way than names of its kind are.
    Identifier {
        /// What it is, such as "component id".
        what: &'static str,
        /// The name.
        value: String,
        /// What is expected of it.
        expected: &'static str,
        /// The name that was probably meant.
        meant: Option<String>,
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
    /// Outbound hosts that cannot be allowed: all of those in one list.
    Hosts(Vec<Host>),
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
            Self::Identifier { what, value, expected, meant } => {
                write!(f, "the {what} `{}` has to be {expected}", excerpt(value))?;
                meant.iter().try_for_each(|meant| write!(f, "; did you mean `{}`?", excerpt(meant)))
            }
            Self::Undefined { what, name, known } => {
                write!(f, "the {what} `{}` is not defined", excerpt(name))?;
                suggest(f, name, known.iter().map(String::as_str), "defined are")
            }
            Self::Conflict { what, rule } => write!(f, "{} {rule}", excerpt(what)),
            Self::Hosts(hosts) => {
                for (index, host) in hosts.iter().take(MOST_HOSTS).enumerate() {
                    let comma = if index == 0 { "" } else { "; " };
                    write!(f, "{comma}{host}")?;
                }
                let more = hosts.len().saturating_sub(MOST_HOSTS);
                if more > 0 { write!(f, "; and {more} more") } else { Ok(()) }
            }
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
    /// The component; none where the file is no part of an application.
    pub component: Option<String>,
    /// The dependency of it whose file it is; none where it is its own.
    pub dependency: Option<String>,
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
    /// WebAssembly as text, where it cannot be assembled: in a file whose name does not end in `.wat`, or without the
    /// feature `compose`.
    Text,
    /// A file that begins like WebAssembly, and goes on otherwise.
    Invalid {
        /// What is wrong, as the reader says it.
        said: String,
    },
    /// WebAssembly as text that has a mistake.
    Mistake {
        /// The place in it, where it is one place.
        at: Option<Position>,
        /// What is wrong, as the assembler says it.
        said: String,
    },
}

impl fmt::Display for Wasm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, found, build, workdir, .. } = self;
        let owner = Owner(self);
        let path = path.display();
        match found {
            Found::Nothing => write!(f, "the file `{path}`{owner} does not exist")?,
            Found::NoFile => write!(f, "`{path}`{owner} is not a file")?,
            Found::Bytes(bytes) if bytes.is_empty() => {
                write!(f, "`{path}`{owner} is empty, not WebAssembly")?;
            }
            Found::Bytes(bytes) => {
                write!(f, "`{path}`{owner} is not WebAssembly: it begins with")?;
                for byte in bytes {
                    write!(f, " {byte:02x}")?;
                }
            }
            Found::Version(version) => {
                write!(f, "`{path}`{owner} is WebAssembly of an unknown version:")?;
                for byte in version {
                    write!(f, " {byte:02x}")?;
                }
            }
            Found::Text => {
                write!(f, "`{path}`{owner} is WebAssembly text, which is assembled ")?;
                f.write_str("only from files whose names end in `.wat`")?;
                if !cfg!(feature = "compose") {
                    f.write_str(", and only with the feature `compose`")?;
                }
            }
            Found::Invalid { said } => write!(f, "`{path}`{owner} is not valid WebAssembly: {}", excerpt(said))?,
            Found::Mistake { at, said } => {
                write!(f, "`{path}")?;
                if let Some(at) = at {
                    write!(f, ":{at}")?;
                }
                write!(f, "`{owner} cannot be assembled: {}", excerpt(said))?;
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

/// "of the component `site`", or nothing where nobody owns the file.
struct Owner<'a>(&'a Wasm);

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(dependency) = &self.0.dependency {
            write!(f, " of the dependency `{}`", excerpt(dependency))?;
        }
        self.0.component.as_ref().map_or(Ok(()), |component| write!(f, " of the component `{component}`"))
    }
}

/// "in `table`", or nothing at the top.
struct In<'a>(&'a str);

impl fmt::Display for In<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " in `{}`", excerpt(self.0)) }
    }
}

/// How many characters of a line are shown before a mistake in it.
const EXCERPT_BEFORE: usize = 60;
/// How many characters of a line are shown from a mistake on.
const EXCERPT_AFTER: usize = 40;
/// How many hosts of one list are complained about.
const MOST_HOSTS: usize = 8;

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
    fn excerpts_mark_the_place() {
        let of = |line: &str, column: usize| {
            let at = Some(Position { line: 7, column });
            let fault = Fault { file: "f".into(), at, line: Some(line.into()), problem: Problem::Syntax("x".into()) };
            fault.excerpt().expect("there is a line")
        };
        assert_eq!(of("[compnent.a]", 2), "7 | [compnent.a]\n  |  ^");
        assert_eq!(of("\ta = \u{1b}[1m", 2), "7 |  a = \u{fffd}[1m\n  |  ^");
        assert_eq!(of("", 1), "7 | \n  | ^");
        let long = of(&"x".repeat(1_000), 500);
        let [text, mark] = long.lines().collect::<Vec<_>>()[..] else { panic!("two lines: {long}") };
        assert_eq!((text.chars().count(), mark.chars().count()), (4 + 1 + 100 + 1, 4 + 1 + 60 + 1), "{long}");
    }

    #[test]
    fn without_a_near_name_all_are_listed() {
        let problem = Problem::UnknownKey { key: "zebra".into(), table: "build".into(), known: &["command", "watch"] };
        assert_eq!(problem.to_string(), "unknown key `zebra` in `build`; known keys are `command`, `watch`");
    }
}
