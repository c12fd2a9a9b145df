//! Runs one subject [`ROUNDS`] times, for callgrind: `hot NAME`. Without a name, lists them.

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        hot::ALL.iter().for_each(|subject| println!("{}", subject.name));
        return ExitCode::SUCCESS;
    };
    let Some(subject) = hot::ALL.iter().find(|subject| subject.name == name) else {
        eprintln!("hot: there is no `{name}`");
        return ExitCode::FAILURE;
    };
    let run = (subject.prepare)();
    // What is made once, on the first call, is no part of it.
    run();
    measured(&*run);
    ExitCode::SUCCESS
}

/// What is counted: callgrind is told this name.
#[inline(never)]
fn measured(run: &dyn Fn()) {
    for _ in 0..ROUNDS {
        run();
    }
    // Whatever follows keeps the call from becoming a jump, which could not be told from its end.
    std::hint::black_box(());
}

/// Hash maps are seeded anew in each process, and how often their keys collide differs: the sum of some runs hardly does.
const ROUNDS: usize = 16;
