//! What is allowed and probably not meant. Returned as data; whoever has a terminal prints it.

use std::fmt;
use std::path::PathBuf;

use super::error::Position;
use super::nearest::suggest;
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
        /// The defined variable with the nearest name, where one is near.
        nearest: Option<String>,
    },
    /// A manifest of version 1 defines a component twice; Spin takes the last.
    DefinedTwice {
        /// The component.
        component: String,
    },
    /// A dependency would inherit something that is nothing to inherit, so it inherits nothing by that.
    UnknownInheritance {
        /// The dependency.
        dependency: String,
        /// The name that is unknown.
        name: String,
    },
    /// A trigger runs no component.
    NoComponent {
        /// The trigger.
        trigger: String,
        /// A key of the trigger that was probably meant to be `component`.
        key: Option<String>,
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
            Self::UnknownVariable { component, name, nearest } => {
                let (component, name) = (excerpt(component), excerpt(name));
                write!(f, "`{component}` uses the variable `{name}`, which the application does not define")?;
                nearest.iter().try_for_each(|nearest| write!(f, "; did you mean `{}`?", excerpt(nearest)))
            }
            Self::DefinedTwice { component } => {
                write!(
                    f,
                    "the component `{}` is defined before; this definition counts, as in Spin",
                    excerpt(component)
                )
            }
            Self::UnknownInheritance { dependency, name } => {
                write!(f, "`{}` cannot inherit `{}`, which is not known", excerpt(dependency), excerpt(name))?;
                suggest(f, name, INHERITABLE.iter().copied(), "known are")
            }
            Self::NoComponent { trigger, key } => {
                write!(f, "the trigger `{}` runs no component", excerpt(trigger))?;
                key.iter().try_for_each(|key| write!(f, "; did you mean `component` by `{}`?", excerpt(key)))
            }
        }
    }
}

/// What `inherit_configuration` may name.
pub(super) const INHERITABLE: &[&str] = &[
    "ai_models",
    "allowed_outbound_hosts",
    "environment",
    "files",
    "key_value_stores",
    "sqlite_databases",
    "variables",
];
