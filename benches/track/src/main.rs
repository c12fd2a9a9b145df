//! Runs spinreg and its peers side by side on the same work, in alternation, and prints what each costs.
//!
//! `benches/side-by-side` builds what this needs and starts it; `docs/performance.md` says how to read what it prints.

mod authority;
mod goals;
mod growth;
mod job;
mod link;
mod measure;
mod race;
mod registry;
mod served;
mod sink;
mod table;
mod tools;
mod wire;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs spinreg and its peers side by side.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measures the tools and prints a table.
    Race(race::Options),
    /// Measures how the costs of spinreg grow with what it moves, and prints a table.
    Growth(growth::Options),
    /// Runs one command and says on standard error what it cost. A small process does it, because the peak of a process
    /// counts what its parent held when it was started.
    Measure {
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<String>,
    },
    /// Serves image layouts to whoever pulls, with next to no work of its own.
    Serve {
        /// The directory of the repositories, an image layout each.
        directory: PathBuf,
        #[command(flatten)]
        door: wire::Door,
    },
    /// Takes whatever is pushed and forgets it.
    Sink {
        #[command(flatten)]
        door: wire::Door,
    },
    /// Stands between a client and a registry and delays what passes.
    Link(link::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Race(options) => race::run(&options),
        Task::Growth(options) => growth::run(&options),
        Task::Measure { command } => return measure::measure(&command),
        Task::Serve { directory, door } => served::run(&directory, &door),
        Task::Sink { door } => sink::run(&door),
        Task::Link(options) => link::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("track: {error}");
            ExitCode::FAILURE
        }
    }
}
