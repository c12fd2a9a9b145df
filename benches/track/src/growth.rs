//! How the costs of spinreg grow: with the size of a blob, the number of files, of transfers, of what a cache holds.

use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::measure::{Cost, cost};
use crate::registry::Registry;
use crate::workload;

/// What is measured.
#[derive(clap::Args)]
pub struct Options {
    /// The largest blob, in GiB, up to 8; it needs three times as much of disk.
    #[arg(long, default_value_t = 2)]
    largest_gib: u64,
    /// What the content is made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The program `spinreg`.
    #[arg(long)]
    spinreg: PathBuf,
    /// Where everything is written, and removed afterwards.
    #[arg(long)]
    room: Option<PathBuf>,
    /// Taken for the sake of those who start this as they start a race.
    #[arg(long, hide = true)]
    peers: Option<PathBuf>,
    #[arg(long, hide = true)]
    as_spin_does: Option<PathBuf>,
}

/// Measures, and prints a row for each.
pub fn run(options: &Options) -> Result<()> {
    let room = match &options.room {
        Some(room) => tempfile::tempdir_in(room)?,
        None => tempfile::tempdir()?,
    };
    let bench =
        Bench { spinreg: fs::canonicalize(&options.spinreg)?, room: room.path().to_owned(), seed: options.seed };
    println!("wall seconds · CPU seconds · peak MiB\n\n| what | push | pull |\n|---|---|---|");
    for mib in [1, 16, 256, 1 << 10, 2 << 10, 4 << 10, 8 << 10] {
        if mib <= options.largest_gib << 10 {
            bench.application(&format!("one blob of {}", size(mib)), &[mib << 20], &[])?;
        }
    }
    // With the component, the last is the 499 layers that an artifact has before it has archives.
    for files in [1, 10, 100, 498] {
        bench.application(&format!("{files} files of 16 KiB"), &vec![16 << 10; files], &[])?;
    }
    bench.application("10 000 files of 1 KiB (an archive)", &vec![1 << 10; 10_000], &[])?;
    for transfers in ["1", "4", "16", "64"] {
        let flags = ["--concurrency", transfers];
        bench.application(&format!("480 files of 16 KiB, {transfers} at a time"), &vec![16 << 10; 480], &flags)?;
        bench.application(&format!("64 files of 8 MiB, {transfers} at a time"), &vec![8 << 20; 64], &flags)?;
    }
    for kib in [16, 256, 1 << 10, 4095] {
        bench.manifest(kib)?;
    }
    println!("\n| a cache of | a cached pull | `cache list` | `cache prune --dry-run` |\n|---|---|---|---|");
    for blobs in [100, 10_000, 100_000] {
        bench.cache(blobs)?;
    }
    Ok(())
}

struct Bench {
    spinreg: PathBuf,
    room: PathBuf,
    seed: u64,
}

impl Bench {
    /// Pushes and pulls an application of these assets.
    fn application(&self, name: &str, assets: &[u64], flags: &[&str]) -> Result<()> {
        let (sources, layouts) = (self.room.join("sources"), self.room.join("layouts"));
        workload::of_assets(&sources, assets, self.seed)?;
        fs::create_dir_all(&layouts)?;
        let (from, layout) = (text(&sources), format!("oci:{}:v1", layouts.join("v1").display()));
        self.run(&["push", "--quiet", "-f", &from, &layout])?;
        let sink = Registry::sink(None)?;
        let to = format!("{}/growth:v1", sink.address());
        // The packing has left a memory of the digests: it is of no use to who measures a first push.
        fs::remove_dir_all(self.room.join("home"))?;
        let pushed = self.run(&[&["push", "--quiet", "--plain-http", "-f", &from, &to], flags].concat())?;
        let served = Registry::served(&layouts, None)?;
        let from = format!("{}/v1:v1", served.address());
        let pulled = self.run(&[&["pull", "--quiet", "--plain-http", &from], flags].concat())?;
        println!("| {name} | {} | {} |", cell(pushed), cell(pulled));
        self.clear()
    }

    /// Copies an image whose manifest has this size.
    fn manifest(&self, kib: usize) -> Result<()> {
        let layout = self.room.join("layouts/v1");
        fs::create_dir_all(layout.join("blobs/sha256"))?;
        let store = |bytes: &[u8]| -> Result<String> {
            let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            fs::write(layout.join("blobs/sha256").join(&hex), bytes)?;
            Ok(format!("sha256:{hex}"))
        };
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let config = json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": store(b"{}")?, "size": 2 });
        let mut image = json!({
            "schemaVersion": 2, "mediaType": media_type, "artifactType": "application/x.growth", "config": config,
            "layers": [config], "annotations": { "filler": "" },
        });
        let missing = (kib << 10).saturating_sub(image.to_string().len());
        image["annotations"]["filler"] = Value::String("x".repeat(missing));
        let bytes = image.to_string();
        let entry = json!({
            "mediaType": media_type, "digest": store(bytes.as_bytes())?, "size": bytes.len(),
            "annotations": { "org.opencontainers.image.ref.name": "v1" },
        });
        fs::write(layout.join("index.json"), json!({ "schemaVersion": 2, "manifests": [entry] }).to_string())?;
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let (here, there) =
            (format!("oci:{}:v1", layout.display()), format!("oci:{}:v1", self.room.join("out").display()));
        let sink = Registry::sink(None)?;
        let pushed = self.run(&["copy", "--quiet", "--to-plain-http", &here, &format!("{}/m:v1", sink.address())])?;
        let served = Registry::served(&self.room.join("layouts"), None)?;
        let pulled =
            self.run(&["copy", "--quiet", "--from-plain-http", &format!("{}/v1:v1", served.address()), &there])?;
        println!("| a manifest of {kib} KiB, copied | {} | {} |", cell(pushed), cell(pulled));
        self.clear()
    }

    /// Pulls what is in a cache beside many other blobs, and looks at all of them.
    fn cache(&self, blobs: u64) -> Result<()> {
        let (sources, layouts) = (self.room.join("sources"), self.room.join("layouts"));
        workload::of_assets(&sources, &[16 << 10; 60], self.seed)?;
        fs::create_dir_all(&layouts)?;
        let layout = format!("oci:{}:v1", layouts.join("v1").display());
        self.run(&["push", "--quiet", "-f", &text(&sources), &layout])?;
        let served = Registry::served(&layouts, None)?;
        let from = format!("{}/v1:v1", served.address());
        let (cache, pull) = (text(&self.room.join("cache")), ["pull", "--quiet", "--plain-http", "--cache-dir"]);
        let arguments = [&pull[..], &[&cache, &from]].concat();
        self.run(&arguments)?;
        for n in 0..blobs {
            let hex: String = Sha256::digest(n.to_le_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            fs::write(format!("{cache}/registry/data/sha256:{hex}"), n.to_le_bytes())?;
        }
        let again = self.run(&arguments)?;
        let look = |chore: &[&str]| {
            let arguments = [&["cache"], chore, &["--cache-dir", &cache]].concat();
            self.run(&arguments).map_or_else(|_| "–".to_owned(), cell)
        };
        let (list, prune) = (look(&["list"]), look(&["prune", "--dry-run", "--keep-recent", "0s"]));
        println!("| 60 files and {blobs} others | {} | {list} | {prune} |", cell(again));
        self.clear()
    }

    fn run(&self, arguments: &[&str]) -> Result<Cost> {
        let home = self.room.join("home");
        fs::create_dir_all(&home)?;
        let mut command = Command::new(&self.spinreg);
        command.args(arguments).env_clear().env("HOME", &home).current_dir(&self.room);
        cost(&command).map_err(|error| Error::other(format!("{arguments:?}: {error}")))
    }

    fn clear(&self) -> Result<()> {
        for entry in fs::read_dir(&self.room)? {
            fs::remove_dir_all(entry?.path())?;
        }
        Ok(())
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn cell(cost: Cost) -> String {
    format!("{:.3} · {:.3} · {:.1}", cost.wall, cost.cpu, cost.peak)
}

fn size(mib: u64) -> String {
    if mib < 1 << 10 { format!("{mib} MiB") } else { format!("{} GiB", mib >> 10) }
}
