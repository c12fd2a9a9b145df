//! Command lines that parse and still make no sense.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::conformance::{BadResults, SettingsError};
use crate::model::{Digest, Location, ParseError, Registry};
use crate::spin::Fault;

/// What is wrong with a command line, or with a variable that stands for a part of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misuse {
    /// A digest cannot be chosen.
    #[error("`{0}` names a digest, and a push makes its own")]
    DigestTarget(Box<Location>),
    /// A copy has the digest of what is copied.
    #[error("the target names the digest `{expected}`, and what is copied has `{actual}`")]
    OtherDigest {
        /// What the target names.
        expected: Box<Digest>,
        /// What it is.
        actual: Box<Digest>,
    },
    /// Several tags, and a digest.
    #[error("`{0}` names a digest, and several tags are to be copied")]
    TagsOfDigest(Box<Location>),
    /// A file that grows alone.
    #[error("nothing is deleted in an archive")]
    DeleteInArchive,
    /// An archive has what its manifests need.
    #[error("an archive keeps no blob that no manifest needs")]
    BlobInArchive,
    /// What a terminal could be steered by.
    #[error("the blob `{0}` is not printed on a terminal: it is no text, or a long one")]
    BinaryToTerminal(Box<Digest>),
    /// Two secrets where there is room for one.
    #[error("standard input is to have two secrets")]
    OneStdin,
    /// A directory of somebody else.
    #[error("`{}` has files in it and is no OCI image layout", .0.display())]
    NoLayout(PathBuf),
    /// A password without a user name.
    #[error("there is a password and no user name")]
    NoUsername,
    /// A user name without a password, and nobody to ask.
    #[error("there is no password, and no terminal to ask for one")]
    NoPassword,
    /// No credentials at all, and nobody to ask.
    #[error("there is no user name, and no terminal to ask for one")]
    NobodyToAsk,
    /// A token and a password.
    #[error("both `SPINREG_TOKEN` and `SPINREG_PASSWORD` are set")]
    TwoSecrets,
    /// Nothing where a password or token was expected.
    #[error("the {0} is empty")]
    EmptySecret(&'static str),
    /// What came by standard input cannot be a password.
    #[error("standard input is no {0}: it has {1}")]
    StrangeSecret(&'static str, &'static str),
    /// The separator of user name and password. What stands behind it may be a password: this is what stands before.
    #[error("the user name `{0}:…` has a colon")]
    ColonInUsername(String),
    /// No place for credentials.
    #[error("there is no home directory to keep credentials in")]
    NoHome,
    /// Neither a file nor what people mean as a reference.
    #[error("`{}` is neither a file or a directory nor clearly a reference", .0.display())]
    NoSource(PathBuf),
    /// What begins like a reference and is none.
    #[error(transparent)]
    BadSource(Box<ParseError>),
    /// A word where only flags are.
    #[error("`{0}` is neither a flag nor the value of one")]
    Stray(String),
    /// A flag for manifests beside something else.
    #[error("`{0}` is for applications with a manifest, and a file of WebAssembly has none")]
    NoManifest(&'static str),
    /// Directories that are not there.
    #[error("`--direct-mounts` is for applications on this disk, and this one is pulled")]
    DirectMounts,
    /// No program that runs applications.
    #[error("there is no `spin` that could run the application: `SPIN_BIN_PATH` is not set, and `PATH` has none")]
    NoSpin,
    /// A program that is not where it was said to be.
    #[error("`SPIN_BIN_PATH` names `{}`, and that is no program", .0.display())]
    NotSpin(PathBuf),
    /// A flag that no trigger knows.
    #[error("`{flag}` is a flag of none of the triggers {triggers}")]
    NobodysFlag {
        /// The flag.
        flag: String,
        /// The types of the triggers.
        triggers: String,
    },
    /// The cache does not note where layouts are.
    #[error("it was pulled from a layout or an archive, and nobody has noted where that is")]
    LayoutIsElsewhere,
    /// No place for the cache.
    #[error("there is no home directory to keep a cache in")]
    NoCache,
    /// A variable that does not parse.
    #[error("`{variable}` is not usable: {cause}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// What is wrong with it.
        cause: Box<ParseError>,
    },
    /// A variable that should name a proxy.
    #[error(transparent)]
    Proxy(Box<ParseError>),
    /// A variable that is no Unicode text.
    #[error("`{0}` is no Unicode text")]
    VariableEncoding(&'static str),
    /// A configuration file that makes no sense.
    #[error(transparent)]
    Config(Box<Fault>),
    /// A configuration file that is no text.
    #[error("`{}` is no UTF-8 text", .0.display())]
    ConfigEncoding(PathBuf),
    /// Settings of the conformance suite that make no sense.
    #[error(transparent)]
    Settings(Box<SettingsError>),
    /// A file of verdicts that cannot be compared with.
    #[error("`{}` {cause}", path.display())]
    Results {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: Box<BadResults>,
    },
    /// A run in which nothing was judged.
    #[error("nothing was judged")]
    NothingToJudge,
    /// Everybody in the network could read passwords.
    #[error("`{0}` can be reached from other computers, and nothing would be encrypted")]
    OpenListener(SocketAddr),
    /// More than one answer may say.
    #[error("the texts of `--warning` are longer together than the 4096 bytes that an answer may have of them")]
    LongWarnings,
    /// A connection where none may be made.
    #[error("`{0}` would have to be asked, and `--offline` makes no connection")]
    Offline(Box<Registry>),
    /// Never and sometimes.
    #[error("`--offline` never asks a registry, and `--pull` says when")]
    OfflinePull,
    /// A command that does not exist.
    #[error("there is no command `{0}`")]
    NoCommand(String),
    /// A level of logging that does not exist.
    #[error("`{0}` is no level of logging")]
    LogLevel(String),
}

impl Misuse {
    /// Says what to do instead.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::DigestTarget(_) => "name a tag: `REGISTRY/NAME:TAG`",
            Self::OtherDigest { .. } => "name a tag at the target, or the digest that the source has",
            Self::TagsOfDigest(_) => "leave the digest away",
            Self::DeleteInArchive => "copy what is to stay into a new one: `spinreg copy --tags PATTERN OLD NEW`",
            Self::BlobInArchive => "put it into a layout, `oci:DIRECTORY`, and copy that when it has the manifest",
            Self::BinaryToTerminal(_) => "write it to a file with `-o FILE`, or hand it to a program",
            Self::OneStdin => {
                "put one of them into `SPINREG_FROM_PASSWORD`, `SPINREG_FROM_TOKEN`, `SPINREG_TO_PASSWORD` or \
                 `SPINREG_TO_TOKEN`, or log in first"
            }
            Self::NoLayout(_) => "name a new directory, an empty one, or a layout: `oci:DIRECTORY:TAG`",
            Self::NoUsername => "add `--username USER`, or set `SPINREG_USERNAME`",
            Self::NoPassword => "pipe the password to `--password-stdin`, or set `SPINREG_PASSWORD`",
            Self::NobodyToAsk => "add `--username USER --password-stdin` and pipe the password",
            Self::TwoSecrets => "unset one of them",
            Self::EmptySecret(_) => "check the command or the secret it comes from",
            Self::StrangeSecret(..) => "pipe the secret alone, in one line",
            Self::ColonInUsername(_) => "registries end the user name at the first colon",
            Self::NoHome => "set `HOME`, or `XDG_CONFIG_HOME`",
            Self::NoSource(_) => {
                "check the path, or write a reference with its registry or its tag, as in `ghcr.io/me/app` or `me/app:v1`"
            }
            Self::BadSource(_) => {
                "write `REGISTRY/NAME:TAG`, such as `ghcr.io/me/app:v1`, or `oci:DIRECTORY:TAG`; a path may begin with `./`"
            }
            Self::Stray(_) => "an application is named by `-f`, as in `spinreg up -f ghcr.io/me/app:v1`",
            Self::NoManifest(_) => "leave it away, or name the `spin.toml` with `-f`",
            Self::DirectMounts => "leave it away",
            Self::NoSpin => {
                "install Spin (https://spinframework.dev/install) or name it in `SPIN_BIN_PATH`; `spinreg prepare` needs none"
            }
            Self::NotSpin(_) => "correct it, or unset it to look in `PATH`",
            Self::NobodysFlag { .. } => "`spin trigger http --help` lists what the http trigger takes",
            Self::LayoutIsElsewhere => "pull it again from there",
            Self::NoCache => "choose a cache with `--cache-dir DIR`, or set `HOME`",
            Self::Variable { variable: "SOURCE_DATE_EPOCH", .. } => "set it to seconds since 1970, or unset it",
            Self::Variable { .. } | Self::VariableEncoding(_) | Self::Proxy(_) => "correct it or unset it",
            Self::Config(_) | Self::ConfigEncoding(_) => {
                "docs/configuration.md lists all keys; `SPINREG_CONFIG` names another file"
            }
            Self::Settings(_) => "docs/conformance.md lists the settings; they are those of the official suite",
            Self::Results { .. } => "name a results.yaml, or what `spinreg conformance --json` has printed",
            Self::NothingToJudge => "check the filter, and whether everything is switched off",
            Self::OpenListener(_) => {
                "give a certificate with `--tls-cert` and `--tls-key`, listen on 127.0.0.1, or add `--insecure-listen` in a \
                 network you trust"
            }
            Self::LongWarnings => "say it shorter, and where people can read more",
            Self::Offline(_) => {
                "leave `--offline` away (or unset `SPINREG_OFFLINE`) where there is a network; what was pulled there before, \
                 `inspect`, `resolve`, `manifest`, `blob`, `diff`, `up` and `prepare` find without one"
            }
            Self::OfflinePull => "leave one of them away; `SPINREG_OFFLINE` counts as `--offline`",
            Self::NoCommand(_) => "`spinreg --help` lists all of them",
            Self::LogLevel(_) => {
                "`--log` and `SPINREG_LOG` take `error`, `warn`, `info`, `debug` or `trace`, or `MODULE=LEVEL`, separated by commas"
            }
        }
    }
}
