//! The roof: the command line.
//!
//! One command per file; each takes its arguments (whose comments are the help) and a `context::Context`. Results go
//! to standard output, everything else to standard error. What people are told when something fails is decided in one
//! place, `failure`.

mod annotate;
mod app_source;
mod attach;
mod auth;
mod auth_list;
mod blob;
mod build;
mod cache;
mod cache_list;
mod cache_tidy;
mod cache_verify;
mod certificates;
mod completions;
mod config;
mod conformance;
mod context;
mod copy;
mod copy_report;
mod copy_sides;
mod copy_source;
mod credentials;
mod delete;
mod diff;
mod diff_report;
mod doctor;
mod download;
mod endpoint;
mod failure;
mod fetch;
mod files;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod inspect;
mod inspection;
mod inspection_text;
mod interrupts;
mod listen;
mod live;
mod log;
mod login;
mod logout;
mod man;
mod manifest;
mod manual;
mod misuse;
mod obtain;
mod options;
mod output;
mod paint;
mod panics;
mod prepare;
mod pull;
mod push;
mod reach;
mod referrers;
mod resolve;
mod serve;
mod serve_faults;
mod serve_gc;
mod server;
mod sight;
mod status;
mod tag;
mod tag_order;
mod tag_pattern;
mod tags;
mod tally;
mod told;
mod triggers;
mod up;
mod version;

use std::error::Error as _;

use clap::{CommandFactory as _, Parser, Subcommand};

use self::annotate::Annotate;
use self::attach::Attach;
use self::auth::Auth;
use self::blob::BlobFamily;
use self::cache::CacheFamily;
use self::completions::{Complete, Completions};
use self::conformance::Conformance;
use self::context::Context;
use self::copy::Copy;
use self::delete::Delete;
use self::diff::Diff;
use self::doctor::Doctor;
use self::failure::Invocation;
use self::inspect::Inspect;
use self::login::Login;
use self::logout::Logout;
use self::man::Man;
use self::manifest::ManifestFamily;
use self::options::Global;
use self::prepare::Prepare;
use self::pull::Pull;
use self::push::Push;
use self::referrers::ListReferrers;
use self::resolve::Resolve;
use self::serve_gc::ServeFamily;
use self::tag::Retag;
use self::tags::Tags;
use self::up::Up;
use self::version::Version;
use crate::model::ParseError;

pub use self::failure::{Exit, Failure};
pub use self::panics::hush_readers;

/// Publishes and fetches Spin applications through any OCI registry.
#[derive(Parser)]
#[command(name = "spinreg", version, max_term_width = 110, after_help = EXAMPLES, subcommand_required = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Verb(Verb),
    Copy(Box<Copy>),
    Inspect(Box<Inspect>),
    Diff(Box<Diff>),
    Resolve(Box<Resolve>),
    Tags(Box<Tags>),
    Tag(Box<Retag>),
    Delete(Box<Delete>),
    Referrers(Box<ListReferrers>),
    Attach(Box<Attach>),
    Annotate(Box<Annotate>),
    Manifest(Box<ManifestFamily>),
    Blob(Box<BlobFamily>),
    Up(Box<Up>),
    Prepare(Box<Prepare>),
    Auth(Auth),
    Cache(CacheFamily),
    Serve(Box<ServeFamily>),
    Conformance(Box<Conformance>),
    Doctor(Box<Doctor>),
    Completions(Completions),
    #[command(name = "__complete", hide = true)]
    Complete(Complete),
    Man(Man),
    Version(Version),
    /// The same commands under the name that Spin has for them.
    #[command(alias = "oci")]
    Registry {
        #[command(subcommand)]
        verb: Verb,
    },
}

#[derive(Subcommand)]
enum Verb {
    Login(Login),
    Logout(Logout),
    Push(Box<Push>),
    Pull(Box<Pull>),
}

impl Cli {
    /// Reads the command line of this process. Where it asks for help or the version, or cannot be read, prints that
    /// and ends the process (with 0 and 2).
    ///
    /// # Errors
    ///
    /// Where a value in it does not parse: a reference, a server, an annotation.
    pub fn read() -> Result<Self, Failure> {
        let mut arguments: Vec<_> = std::env::args_os().collect();
        let mut mistyped = Vec::new();
        // No other command has arguments to sort, and to work out what all of them take is half of a start.
        if arguments.iter().any(|word| word == triggers::UP) {
            let mut tool = Self::command();
            tool.build();
            let sorted = triggers::sort(arguments, &tool);
            (arguments, mistyped) = (sorted.arguments, sorted.mistyped);
        }
        let read = Self::try_parse_from(arguments).map_err(|error| {
            match error.source().and_then(|cause| cause.downcast_ref::<ParseError>()) {
                Some(cause) => failure::explain_parse(cause),
                None => error.exit(),
            }
        })?;
        mistyped.iter().for_each(|mistyped| output::remark(&format!("warning: {mistyped}")));
        Ok(read)
    }

    /// Says whether this process is to serve many others at a time.
    pub fn serves(&self) -> bool {
        matches!(self.command, Command::Serve(_))
    }

    /// Carries out the command.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from succeeding, as people should be told.
    pub async fn run(self) -> Result<(), Failure> {
        let invocation = self.command.invocation();
        let outcome = async {
            let context = Context::new(&self.global)?;
            match self.command {
                Command::Verb(verb) | Command::Registry { verb } => match verb {
                    Verb::Login(command) => command.run(&context).await,
                    Verb::Logout(command) => command.run(&context).await,
                    Verb::Push(command) => command.run(&context).await,
                    Verb::Pull(command) => command.run(&context).await,
                },
                Command::Copy(command) => command.run(&context).await,
                Command::Inspect(command) => command.run(&context).await,
                Command::Diff(command) => command.run(&context).await,
                Command::Resolve(command) => command.run(&context).await,
                Command::Tags(command) => command.run(&context).await,
                Command::Tag(command) => command.run(&context).await,
                Command::Delete(command) => command.run(&context).await,
                Command::Referrers(command) => command.run(&context).await,
                Command::Attach(command) => command.run(&context).await,
                Command::Annotate(command) => command.run(&context).await,
                Command::Manifest(command) => command.run(&context).await,
                Command::Blob(command) => command.run(&context).await,
                Command::Up(command) => command.run(&context).await,
                Command::Prepare(command) => command.run(&context).await,
                Command::Auth(command) => command.run(&context).await,
                Command::Cache(command) => command.run(&context).await,
                Command::Serve(command) => command.run(&context).await,
                Command::Conformance(command) => command.run(&context).await,
                Command::Doctor(command) => command.run(&context).await,
                Command::Completions(command) => command.run(),
                Command::Complete(command) => command.run(),
                Command::Man(command) => command.run(),
                Command::Version(command) => command.run(),
            }
        };
        outcome.await.map_err(|problem| failure::explain(&problem, &invocation))
    }
}

impl Command {
    /// Says what is going to be done, for the hints.
    fn invocation(&self) -> Invocation {
        match self {
            Self::Verb(verb) | Self::Registry { verb } => match verb {
                Verb::Login(command) => Invocation::Login(command.registry().clone()),
                Verb::Logout(command) => Invocation::Logout(command.registry().clone()),
                Verb::Push(command) => Invocation::Push(command.reference().clone()),
                Verb::Pull(command) => Invocation::Pull(command.reference().clone()),
            },
            Self::Copy(command) => {
                let (from, to) = command.ends();
                Invocation::Copy(from.clone(), to.clone())
            }
            Self::Inspect(command) => Invocation::Look(command.reference().clone()),
            Self::Diff(command) => {
                let (from, to) = command.ends();
                Invocation::Diff(from.clone(), to.clone())
            }
            Self::Resolve(command) => Invocation::Look(command.reference().clone()),
            Self::Tags(command) => Invocation::Look(command.reference().clone()),
            Self::Tag(command) => Invocation::Change(command.reference().clone()),
            Self::Delete(command) => Invocation::Delete(command.reference().clone()),
            Self::Referrers(command) => Invocation::Look(command.reference().clone()),
            Self::Attach(command) => Invocation::Change(command.reference().clone()),
            Self::Annotate(command) => Invocation::Change(command.reference().clone()),
            Self::Manifest(command) => command.invocation(),
            Self::Blob(command) => command.invocation(),
            Self::Up(command) => command.invocation(),
            Self::Prepare(command) => command.invocation(),
            Self::Auth(command) => command.reference().map_or(Invocation::Local, |it| Invocation::Explain(it.clone())),
            Self::Completions(_) | Self::Complete(_) | Self::Man(_) | Self::Version(_) => Invocation::Local,
            Self::Cache(_) => Invocation::Cache,
            Self::Serve(_) => Invocation::Serve,
            Self::Conformance(_) => Invocation::Conformance,
            Self::Doctor(command) => Invocation::Doctor(command.reference().clone()),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  spinreg login ghcr.io
  spinreg push ghcr.io/me/app:v1
  spinreg pull ghcr.io/me/app:v1
  spinreg inspect ghcr.io/me/app:v1
  spinreg copy ghcr.io/me/app:v1 oci-archive:app.tar:v1
  spinreg up -f ghcr.io/me/app:v1
  spinreg serve --dir registry        (a registry to try it with, on 127.0.0.1:5000)

Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 not permitted, 5 integrity, 6 unreachable,
130 interrupted; `up` ends with the code of the trigger that failed first";
