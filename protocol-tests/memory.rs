//! One gibibyte through push and pull: the resident size does not depend on what is moved.
//!
//! `cargo test --features memory-tests --test memory` measures it, and prints the figures.
//!
//! No test harness: the program starts itself once more to start the tool, because a process inherits the peak of
//! whoever starts it, and counts the peaks of all it has started.

mod support;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;

use nix::sys::resource::{UsageWho, getrusage};
use support::cli::{Cli, peak};
use support::scenario::app;

/// What a client may use at most, in KiB, whatever it moves.
const CLIENT: i64 = 48 << 10;
/// What the registry may use at most meanwhile, in KiB.
const SERVER: u64 = 64 << 10;
/// Tells the program that it is to start the tool and to measure it.
const MEASURE: &str = "SPINREG_TESTS_MEASURE";

fn main() {
    if std::env::var_os(MEASURE).is_some() {
        measure();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ([pushed, pulled], served) = runtime.block_on(one_gibibyte());
    println!("peak resident size with 1 GiB: push {pushed} KiB, pull {pulled} KiB, serve {served} KiB");
    assert!(pushed < CLIENT, "pushing took {pushed} KiB");
    assert!(pulled < CLIENT, "pulling took {pulled} KiB");
    assert!(served < SERVER, "serving took {served} KiB");
    println!("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

/// Starts the tool, waits for it, says how large it became and ends as it did.
fn measure() -> ! {
    let mut arguments = std::env::args_os().skip(1);
    let tool = arguments.next().expect("the tool comes first");
    let status = Command::new(tool).args(arguments).env_remove(MEASURE).status().expect("the tool was built");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the system counts");
    eprintln!("{PEAK}{}", usage.max_rss());
    std::process::exit(status.code().unwrap_or(1));
}

async fn one_gibibyte() -> ([i64; 2], u64) {
    let itself = std::env::current_exe().expect("a program knows where it is");
    let cli = Cli::new().started_by(itself).env(MEASURE, "1");
    let app = cli.path("work/app");
    write_app(&app);
    let server = Cli::new();
    let serving = server.serve().await;
    let reference = format!("{}/big:v1", serving.registry());
    let pushed = cli.run(["push", "-f", app.to_str().expect("a path"), &reference]).await;
    let pulled = cli.run(["pull", &reference]).await;
    let served = peak(serving.process());
    let runs = [pushed, pulled].map(|run| {
        let peak = run.stderr.lines().find_map(|line| line.strip_prefix(PEAK)).map(str::parse);
        run.success();
        peak.expect("the peak is told").expect("a number of KiB")
    });
    (runs, served)
}

/// What stands before the peak, in KiB, on stderr.
const PEAK: &str = "peak resident size: ";

fn write_app(directory: &Path) {
    std::fs::create_dir(directory).expect("a directory in a temporary directory");
    std::fs::copy(Path::new(&app("static-site")).join("app.wasm"), directory.join("app.wasm")).expect("a copy");
    let manifest = "spin_manifest_version = 2\n[application]\nname = \"big\"\n\
                    [[trigger.http]]\nroute = \"/...\"\ncomponent = \"big\"\n\
                    [component.big]\nsource = \"app.wasm\"\nfiles = [\"blob.bin\"]\n";
    std::fs::write(directory.join("spin.toml"), manifest).expect("a file in a temporary directory");
    let mut blob = BufWriter::with_capacity(1 << 20, File::create(directory.join("blob.bin")).expect("a file"));
    // An xorshift generator: nothing on the way could shorten what it yields.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..(1 << 30) / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        blob.write_all(&state.to_le_bytes()).expect("a gibibyte of disk");
    }
    blob.flush().expect("a gibibyte of disk");
}
