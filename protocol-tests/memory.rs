//! Large files, large applications and many files through push and pull: the resident size depends on none of it.
//!
//! `cargo test --profile optimised --features memory-tests --test memory` measures it, and prints the figures.
//!
//! No test harness: the program starts itself once more to start the tool, because a process inherits the peak of
//! whoever starts it, and counts the peaks of all it has started.

mod support;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;

use nix::sys::resource::{UsageWho, getrusage};
use support::cli::{Cli, peak};
use support::scenario::app;

/// What a client may use at most, in KiB, whatever it moves. Code that was not optimised is several times as large, and a
/// part of it counts.
const CLIENT: i64 = if cfg!(debug_assertions) { 48 << 10 } else { 23 << 10 };
/// What the registry may use at most meanwhile, in KiB.
const SERVER: u64 = 64 << 10;
/// Tells the program that it is to start the tool and to measure it.
const MEASURE: &str = "SPINREG_TESTS_MEASURE";

/// An application of files of these sizes, in bytes.
struct Workload {
    name: &'static str,
    sizes: Vec<u64>,
    /// How the tool is told to move them.
    flags: &'static [&'static str],
}

fn main() {
    if std::env::var_os(MEASURE).is_some() {
        measure();
    }
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let typical = [2 << 20, 4 << 20, 15 << 20].into_iter().chain((0..60).map(|_| chance.between(1 << 10, 330 << 10)));
    let workloads = [
        Workload { name: "1 GiB", sizes: vec![1 << 30], flags: &[] },
        Workload { name: "a typical application", sizes: typical.collect(), flags: &[] },
        Workload {
            name: "480 small files",
            sizes: (0..480).map(|_| chance.between(1 << 10, 40 << 10)).collect(),
            flags: &[],
        },
        // A quarter of those at a time may be large.
        Workload { name: "16 large files at a time", sizes: vec![24 << 20; 16], flags: &["--concurrency", "64"] },
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut failed = Vec::new();
    for workload in &workloads {
        let ([pushed, pulled], served) = runtime.block_on(move_it(workload));
        let name = workload.name;
        println!("peak resident size with {name}: push {pushed} KiB, pull {pulled} KiB, serve {served} KiB");
        for (what, peak, limit) in
            [("push", pushed, CLIENT), ("pull", pulled, CLIENT), ("serve", served.cast_signed(), SERVER.cast_signed())]
        {
            if peak > limit {
                failed.push(format!("{what} of {name} took {peak} KiB of {limit} KiB"));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    println!("test result: ok. {} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out", 3 * workloads.len());
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

/// Pushes and pulls an application; returns the peaks of both, and of the registry.
async fn move_it(workload: &Workload) -> ([i64; 2], u64) {
    let itself = std::env::current_exe().expect("a program knows where it is");
    let cli = Cli::new().started_by(itself).env(MEASURE, "1");
    let app = cli.path("work/app");
    write_app(&app, &workload.sizes);
    let server = Cli::new();
    let serving = server.serve_quietly().await;
    let reference = format!("{}/big:v1", serving.registry());
    let push = ["push", "-f", app.to_str().expect("a path"), &reference];
    let pushed = cli.run(push.iter().chain(workload.flags)).await;
    let pulled = cli.run(["pull", &reference].iter().chain(workload.flags)).await;
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

fn write_app(directory: &Path, sizes: &[u64]) {
    let files = directory.join("files");
    fs::create_dir_all(&files).expect("a directory in a temporary directory");
    fs::copy(Path::new(&app("static-site")).join("app.wasm"), directory.join("app.wasm")).expect("a copy");
    let manifest = "spin_manifest_version = 2\n[application]\nname = \"big\"\n\
                    [[trigger.http]]\nroute = \"/...\"\ncomponent = \"big\"\n\
                    [component.big]\nsource = \"app.wasm\"\nfiles = [\"files/*\"]\n";
    fs::write(directory.join("spin.toml"), manifest).expect("a file in a temporary directory");
    let mut chance = Chance(1);
    for (n, size) in sizes.iter().enumerate() {
        let file = File::create(files.join(n.to_string())).expect("a file in a temporary directory");
        let mut file = BufWriter::with_capacity(1 << 20, file);
        for _ in 0..size / 8 {
            file.write_all(&chance.next().to_le_bytes()).expect("a gibibyte of disk");
        }
        file.flush().expect("a gibibyte of disk");
    }
}

/// An xorshift generator: nothing on the way could shorten what it yields.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least)
    }
}
