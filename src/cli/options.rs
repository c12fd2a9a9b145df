//! Flags that several commands share.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::misuse::Misuse;
use super::status::Status;
use crate::copy::{CopyOptions, Transfers};
use crate::model::{Annotations, ParseError};
use crate::spin::Cache;

/// Flags of every command.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// Print nothing but the result that a script needs, where there is one. Warnings and errors stay.
    #[arg(short, long, global = true, env = "SPINREG_QUIET", value_parser = switch("value of `SPINREG_QUIET`"))]
    pub(crate) quiet: bool,

    /// Make no connection. What was pulled is found in the cache; a command that would have to ask a registry is refused.
    #[arg(long, global = true, env = "SPINREG_OFFLINE", value_parser = switch("value of `SPINREG_OFFLINE`"))]
    pub(crate) offline: bool,

    /// Log to standard error: `error`, `warn`, `info`, `debug` or `trace`, or `MODULE=LEVEL` separated by commas, as in
    /// `info,transport=trace`. Secrets are never logged [default: off].
    #[arg(long, global = true, value_name = "LEVEL", env = "SPINREG_LOG")]
    pub(crate) log: Option<String>,
}

/// How to connect to a registry.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Do not verify the registry's certificate.
    ///
    /// Also falls back to plain HTTP, but only where the bytes that answer the TLS handshake are plain HTTP; never after
    /// a reset, a timeout or a TLS alert. A line on standard error says when that happened. Passwords and token requests
    /// follow over such a connection only to this computer itself, or with `--insecure-credentials`.
    #[arg(short = 'k', long)]
    pub(crate) insecure: bool,

    /// Speak plain HTTP to the registry. Loopback addresses may be plain HTTP without this flag.
    #[arg(long)]
    pub(crate) plain_http: bool,

    /// Send credentials over plain HTTP to other computers too: everybody on the way can read them.
    #[arg(long)]
    pub(crate) insecure_credentials: bool,

    /// Trust the certificate authorities in this PEM file, or in the `.crt` and `.pem` files of this directory, besides the
    /// system's; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Vec<PathBuf>,

    /// Show the certificate in this PEM file to the registry, and to no other host.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,

    /// The private key of `--cert`: a PEM file, not encrypted.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,

    /// Certificates of authorities, as PEM, that are trusted at this registry alone: another configuration file says them.
    #[arg(skip)]
    pub(crate) authorities: Vec<String>,

    /// Use HTTP/1.1 only [default: HTTP/2 where the registry offers it].
    #[arg(long)]
    pub(crate) http1: bool,
}

/// Credentials for the registry of REFERENCE, and for no other.
#[derive(Args, Debug)]
#[command(next_help_heading = "Credentials, for the registry of REFERENCE alone")]
pub(crate) struct Account {
    /// The user name [env: SPINREG_USERNAME]; the password comes from `--password-stdin` or SPINREG_PASSWORD.
    #[arg(long, value_name = "USER", conflicts_with = "token_stdin")]
    pub(crate) username: Option<String>,

    /// Read the password from standard input; one newline at its end is dropped [env: SPINREG_PASSWORD].
    #[arg(long, conflicts_with = "token_stdin")]
    pub(crate) password_stdin: bool,

    /// Read a ready-made registry token from standard input; it is sent as it is [env: SPINREG_TOKEN].
    #[arg(long)]
    pub(crate) token_stdin: bool,
}

impl Account {
    /// Says whether a secret is read from standard input, which has room for one.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.password_stdin || self.token_stdin
    }
}

/// How much at a time.
#[derive(Args, Debug)]
pub(crate) struct Transfer {
    /// Move at most this many files at a time, a quarter of them large ones, of more than 4 MiB [default: 32 small
    /// and 4 large ones].
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) concurrency: Option<NonZeroUsize>,
}

/// Reads what `--concurrency` takes.
fn at_least_one(text: &str) -> Result<NonZeroUsize, ParseError> {
    text.parse().map_err(|_| ParseError::new("concurrency", text, "a whole number, at least 1"))
}

impl Transfer {
    /// Says how a copy is to be made, and who is told how it goes.
    pub(crate) fn options(&self, status: &Arc<Status>) -> CopyOptions {
        let mut options = CopyOptions { progress: status.clone(), ..CopyOptions::default() };
        if let Some(n) = self.concurrency {
            options.transfers = Transfers::at_most(n);
        }
        options
    }
}

/// Where Spin keeps what it pulled and downloaded.
#[derive(Args, Debug)]
pub(crate) struct CacheDir {
    /// Spin's cache directory [default: `spin` in the user's cache directory, as Spin does].
    #[arg(long, value_name = "DIR", env = "SPINREG_CACHE_DIR", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub(crate) cache_dir: Option<PathBuf>,
}

impl CacheDir {
    /// Opens the cache. Nothing is made on disk yet.
    pub(crate) fn open(&self) -> Result<Cache, Misuse> {
        // A variable that is empty says nothing.
        let given = self.cache_dir.clone().filter(|directory| !directory.as_os_str().is_empty());
        let directory = given.or_else(|| Cache::default_dir(|name| std::env::var_os(name)));
        directory.map(Cache::at).ok_or(Misuse::NoCache)
    }
}

/// Reads what a variable says that stands for a flag without a value; on the command line the flag alone says it.
fn switch(what: &'static str) -> impl Fn(&str) -> Result<bool, ParseError> + Clone + Send + Sync + 'static {
    move |text| match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(ParseError::new(what, text, "`1`, `true`, `yes` or `on`, or else `0`, `false`, `no` or `off`")),
    }
}

/// An annotation as it is typed: the first `=` ends the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Annotation {
    key: String,
    value: String,
}

impl std::str::FromStr for Annotation {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.split_once('=') {
            Some(("", _)) => Err(ParseError::new("annotation", text, "a key before the `=`").at(0)),
            Some((key, value)) => Ok(Self { key: key.to_owned(), value: value.to_owned() }),
            None => Err(ParseError::new("annotation", text, "a key, a `=` and a value")),
        }
    }
}

/// A variable of the environment as it is typed: the first `=` ends the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    name: String,
    value: String,
}

impl Variable {
    /// Returns name and value.
    pub(crate) fn into_pair(self) -> (String, String) {
        (self.name, self.value)
    }
}

impl std::str::FromStr for Variable {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self { name: name.to_owned(), value: value.to_owned() }),
            Some(_) => Err(ParseError::new("environment variable", text, "a name before the `=`").at(0)),
            None => Err(ParseError::new("environment variable", text, "a name, a `=` and a value")),
        }
    }
}

/// Collects annotations; of two for one key the last one counts, as in Spin.
pub(crate) fn annotations(given: Vec<Annotation>) -> Annotations {
    given.into_iter().map(|annotation| (annotation.key, annotation.value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_switch_on_and_off() {
        let read = switch("value of `X`");
        for (text, on) in [("1", true), ("TRUE", true), ("yes", true), ("", false), ("0", false), ("Off", false)] {
            assert_eq!(read(text), Ok(on), "{text}");
        }
        let error = read("maybe").expect_err("no answer").to_string();
        assert!(error.contains("`maybe`") && error.contains("value of `X`"), "{error}");
    }

    #[test]
    fn the_first_equals_sign_ends_the_key_and_the_last_annotation_counts() {
        let given = ["a=b=c", "e=", "a=last"].map(|text| text.parse().expect(text)).to_vec();
        let expected = [("a", "last"), ("e", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(annotations(given), expected.into());
        for text in ["", "key", "=value"] {
            assert!(text.parse::<Annotation>().is_err(), "{text}");
        }
    }
}
