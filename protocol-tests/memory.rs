//! One gibibyte through push and pull: the resident size does not depend on what is moved.
//!
//! `cargo test --features memory-tests --test memory -- --nocapture` prints the figures.

mod support;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use nix::sys::resource::{UsageWho, getrusage};
use support::cli::Cli;
use support::root;
use support::scenario::{pull, push};

/// What a client may use at most, in KiB, whatever it moves.
const CLIENT: i64 = 48 << 10;

#[tokio::test]
async fn one_gibibyte_fits_through_48_mebibytes() {
    let cli = Cli::new();
    let app = cli.path("work/app");
    write_app(&app);
    // The registry is a process of its own: what it uses is not what is measured, and this process stays small, which
    // matters because a child starts with its parent's peak.
    let server = cli.serve().await;
    let reference = format!("{}/big:v1", server.registry());

    push(&cli, app.to_str().expect("a path"), &reference, &[]).await;
    let pushed = peak_of_children();
    pull(&cli, &reference, &[]).await;
    let pulled = peak_of_children();
    println!("peak resident size: push {} KiB, push and pull {} KiB", pushed, pulled);
    assert!(pushed < CLIENT, "pushing took {pushed} KiB");
    assert!(pulled < CLIENT, "pulling took {pulled} KiB");
}

/// The largest peak of all children that have ended, in KiB.
fn peak_of_children() -> i64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).expect("the system counts").max_rss()
}

fn write_app(directory: &Path) {
    std::fs::create_dir(directory).expect("a directory in a temporary directory");
    std::fs::copy(root("fixtures/spin/apps/static-site/app.wasm"), directory.join("app.wasm")).expect("a copy");
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
