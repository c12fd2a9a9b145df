//! A disk of one mebibyte, full at random moments of pull, push and login. It is a `tmpfs` in a mount namespace, which
//! Linux lets root make, and on most systems everybody; where it does not, these tests fail.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::support::chance::chance;
use crate::support::cli::Cli;
use crate::support::files_below;
use crate::support::front::Front;
use crate::support::guard::Guard;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::scenario::{app, pull, push, verify};
use crate::support::script::Script;

/// Bytes of the disk.
const SIZE: usize = 1 << 20;
/// How often each command meets a full disk.
const ROUNDS: usize = 6;
/// How the tool says that it cannot go on.
const FULL: &str = "No space left on device";

/// A disk of [`SIZE`] bytes that goes away when it is dropped.
struct Disk {
    path: PathBuf,
    _holder: Child,
    _room: TempDir,
}

impl Disk {
    async fn new() -> Self {
        let room = tempfile::tempdir().expect("a temporary directory");
        // The namespace, and with it the disk, lives as long as `cat`, whose input is held open here.
        let script = format!("mount -t tmpfs -o size={SIZE} none \"$0\" && echo mounted && exec cat");
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", &script])
            .arg(room.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("`unshare` of util-linux");
        let mut lines = BufReader::new(holder.stdout.take().expect("a pipe")).lines();
        let line = lines.next_line().await.expect("a pipe");
        assert_eq!(line.as_deref(), Some("mounted"), "a mount namespace with a tmpfs cannot be made here");
        // Into the namespace through its process: whoever started it may look.
        let inside = room.path().strip_prefix("/").expect("an absolute path");
        let path = Path::new("/proc").join(holder.id().expect("it runs").to_string()).join("root").join(inside);
        Self { path, _holder: holder, _room: room }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a temporary path").to_owned()
    }

    /// Leaves so many bytes.
    fn fill(&self, left: usize) {
        let filler = self.path("filler");
        // A disk that is full to the last byte says so while it is filled.
        match std::fs::write(&filler, vec![0; SIZE - left]) {
            Err(error) if error.kind() != std::io::ErrorKind::StorageFull => panic!("{error}"),
            _ => {}
        }
    }

    fn clear(&self) {
        std::fs::remove_file(self.path("filler")).expect("the filler");
    }
}

#[tokio::test]
async fn a_pull_onto_a_full_disk_leaves_a_cache_that_verifies() {
    let mut random = chance("full disk, pull");
    let registry = Embedded::start().await;
    let reference = registry.reference("app:v1");
    let cli = Cli::new();
    push(&cli, &app("static-site"), &reference, &[]).await;
    for _ in 0..ROUNDS {
        let disk = Disk::new().await;
        // The application takes some 300 KiB.
        let left = random.usize(..280 << 10);
        eprintln!("{left} bytes left");
        disk.fill(left);
        let cache = disk.text("cache");
        let complaint = cli.run(["pull", &reference, "--cache-dir", &cache]).await.failure(1);
        assert!(complaint.contains(FULL) && complaint.contains(&cache), "{complaint}");
        verify(&disk.path("cache/registry"));
        let manifest = disk.path("cache/registry/manifests").join(registry.address().to_string()).join("app/v1");
        assert!(!manifest.join("manifest.json").exists(), "the manifest comes last");
        disk.clear();
        pull(&cli, &reference, &["--cache-dir", &cache]).await;
        verify(&disk.path("cache/registry"));
        assert!(manifest.join("manifest.json").exists());
    }
}

#[tokio::test]
async fn a_push_from_a_full_disk_says_so_and_succeeds_later() {
    let mut random = chance("full disk, push");
    let registry = Embedded::start().await;
    let expected = push(&Cli::new(), &app("big-assets"), &registry.reference("app:expected"), &[]).await;
    for round in 0..ROUNDS {
        let disk = Disk::new().await;
        // Its assets become an archive, which is written to a temporary file.
        let left = random.usize(..4 << 10);
        eprintln!("{left} bytes left");
        disk.fill(left);
        let cli = Cli::new().env("TMPDIR", disk.path(""));
        let reference = registry.reference(&format!("app:v{round}"));
        let complaint = cli.run(["push", "-f", &app("big-assets"), &reference]).await.failure(1);
        assert!(complaint.contains(FULL), "{complaint}");
        Cli::new().run(["pull", &reference]).await.failure(3);
        disk.clear();
        assert_eq!(push(&cli, &app("big-assets"), &reference, &[]).await, expected);
        let left: Vec<_> =
            disk.path("").read_dir().expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
        assert!(left.is_empty(), "temporary files are left: {left:?}");
    }
}

#[tokio::test]
async fn a_login_onto_a_full_disk_leaves_the_old_file() {
    const PASSWORD: &str = "correct-horse";
    /// `ada:` and the password, as the file has it.
    const SAVED: &str = "YWRhOmNvcnJlY3QtaG9yc2U=";
    let mut random = chance("full disk, login");
    let script = Script::new().always("GET /v2/", Reply::ok("{}")).start().await;
    let front = Front::before(script.address()).guarded(&Guard::basic("ada", PASSWORD)).start().await;
    let registry = front.registry();
    let login = ["login", &registry, "-u", "ada", "--password-stdin"];
    let others = (0..500).map(|n| (format!("r{n}.example"), "YTpi".into())).collect::<serde_json::Map<_, _>>();
    let old = serde_json::json!({ "auths": others }).to_string();
    for _ in 0..ROUNDS {
        let disk = Disk::new().await;
        let file = disk.path("fermyon/registry-auth.json");
        std::fs::create_dir(disk.path("fermyon")).expect("space");
        std::fs::write(&file, &old).expect("space");
        // A disk gives pages: the file that is there takes four, and the new one needs five.
        let left = random.usize(..old.len()) + old.len();
        eprintln!("{left} bytes left beside the old file's");
        disk.fill(left);
        let cli = Cli::new().secret(PASSWORD).env("XDG_CONFIG_HOME", disk.path(""));
        let complaint = cli.run_with_input(login, &format!("{PASSWORD}\n")).await.failure(1);
        assert!(complaint.contains(FULL) && complaint.contains("registry-auth.json"), "{complaint}");
        assert_eq!(std::fs::read_to_string(&file).expect("the old file"), old);
        // Half of a new file is as secret as the whole.
        for left in files_below(&disk.path("fermyon")) {
            let bytes = std::fs::read(&left).expect("a file of the test");
            assert!(!bytes.windows(SAVED.len()).any(|part| part == SAVED.as_bytes()), "`{}` is left", left.display());
        }
        disk.clear();
        cli.run_with_input(login, &format!("{PASSWORD}\n")).await.success();
        let saved: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).expect("the file")).expect("JSON");
        assert_eq!(saved["auths"][&registry], SAVED);
        assert_eq!(saved["auths"].as_object().map(serde_json::Map::len), Some(501));
    }
    script.finish();
}
