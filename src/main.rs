//! The tool: read the command line, run, say what failed, end.

use std::process::ExitCode;

use spinreg::cli::{Cli, Exit, Failure, hush_readers};
use tokio::runtime::Builder;

fn main() -> ExitCode {
    hush_readers();
    match Cli::read().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.exit.into()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let failed =
        |error| Failure { message: format!("cannot start: {error}"), excerpt: None, hint: None, exit: Exit::Failed };
    let runtime = match cli.serves() {
        true => Builder::new_multi_thread().worker_threads(WORKERS).max_blocking_threads(MANY).enable_all().build(),
        false => Builder::new_current_thread().max_blocking_threads(FEW).enable_all().build(),
    };
    let runtime = runtime.map_err(failed)?;
    let outcome = runtime.block_on(cli.run());
    // A file that is still being hashed or read, or a name being looked up, must not hold up the end.
    runtime.shutdown_background();
    outcome
}

/// A registry serves some while it decrypts for others. Everything else gets along with one thread for the network: what
/// takes time, hashing and disks, has threads of its own, and handing bytes over takes time as well.
const WORKERS: usize = 2;

/// No disk is faster with more at a time, and each thread takes memory of its own. None waits for another one's work.
const FEW: usize = 4;

/// The disks of many clients.
const MANY: usize = 24;
