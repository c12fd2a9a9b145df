//! What is allowed and probably not meant. Returned as data; whoever has a terminal prints it.

use std::fmt;
use std::path::PathBuf;

use super::error::Position;
use crate::model::excerpt;

/// Something in a manifest that is allowed and probably not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The manifest.
    pub file: PathBuf,
    /// The place in it.
    pub at: Position,
    /// What it is.
    pub notice: Notice,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.at, self.notice)
    }
}

/// What a [`Warning`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A bare directory in `files` is placed below its own name twice, as Spin does.
    DoubledDirectory {
        /// The entry.
        source: String,
        /// Where its files are for the component.
        destination: String,
    },
    /// A pattern takes the whole directory of the application, the manifest included.
    WholeApplication {
        /// The pattern.
        pattern: String,
    },
    /// A pattern ends in `**`, which matches directories, and directories are not mounted.
    DirectoriesOnly {
        /// The pattern.
        pattern: String,
    },
    /// No file was found.
    NothingMatched {
        /// The entry.
        source: String,
    },
    /// A file given by its name is mounted although an exclude matches it, as Spin does.
    ExcludedAnyway {
        /// The file.
        source: String,
        /// The pattern among `exclude_files`.
        pattern: String,
    },
    /// A symbolic link leads nowhere and is left out.
    DanglingLink {
        /// The link.
        path: PathBuf,
    },
    /// `allowed_http_hosts` is deprecated.
    AllowedHttpHosts {
        /// The component.
        component: String,
    },
    /// A template uses a variable that the application does not define.
    UnknownVariable {
        /// The component.
        component: String,
        /// The variable.
        name: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoubledDirectory { source, destination } => {
                let source = excerpt(source);
                write!(f, "the directory `{source}` is mounted at `/{}`, as Spin does; ", excerpt(destination))?;
                write!(f, "`{{ source = \"{source}\", destination = \"/{source}\" }}` mounts it at `/{source}`")
            }
            Self::WholeApplication { pattern } => {
                let pattern = excerpt(pattern);
                write!(
                    f,
                    "`{pattern}` mounts everything in the application's directory; `./{pattern}` says the same "
                )?;
                f.write_str("without this warning")
            }
            Self::DirectoriesOnly { pattern } => {
                let pattern = excerpt(pattern);
                write!(f, "`{pattern}` matches directories only, so nothing is mounted; did you mean `{pattern}/*`?")
            }
            Self::NothingMatched { source } => write!(f, "`{}` matches no file", excerpt(source)),
            Self::ExcludedAnyway { source, pattern } => {
                let (source, pattern) = (excerpt(source), excerpt(pattern));
                write!(f, "`{source}` is mounted although `{pattern}` excludes it: excludes concern directories and ")?;
                f.write_str("patterns only")
            }
            Self::DanglingLink { path } => write!(f, "the symbolic link `{}` leads nowhere; left out", path.display()),
            Self::AllowedHttpHosts { component } => {
                let component = excerpt(component);
                write!(f, "`allowed_http_hosts` of `{component}` is deprecated; use `allowed_outbound_hosts`")
            }
            Self::UnknownVariable { component, name } => {
                let (component, name) = (excerpt(component), excerpt(name));
                write!(f, "`{component}` uses the variable `{name}`, which the application does not define")
            }
        }
    }
}
