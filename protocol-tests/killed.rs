//! SIGKILL at random moments of pull, push and login: what is left is right, and the next run succeeds.

use std::iter::{once, repeat_n};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use spinreg::Digest;
use tokio::sync::Notify;

use crate::support::chance::chance;
use crate::support::cli::Cli;
use crate::support::front::{Front, Meddle};
use crate::support::guard::Guard;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::scenario::{app, assert_cached, pull, push, verify};
use crate::support::script::Script;
use crate::support::{files, files_below};

/// How often each command is killed.
const ROUNDS: usize = 10;
/// Exchanges of a cold pull of `static-site`: the manifest and its blobs (`fixtures/transcripts/pull-cold.txt`).
const PULL: usize = 12;
/// Exchanges of a cold push of it (`fixtures/transcripts/push-cold.txt`).
const PUSH: usize = 25;
/// Bytes of its largest blob.
const LARGEST: usize = 300_000;

/// A moment: an exchange, and how far it gets.
fn moment(random: &mut fastrand::Rng, exchanges: usize) -> (String, Vec<Meddle>, Arc<Notify>) {
    let (n, held) = (random.usize(..exchanges), Arc::new(Notify::new()));
    let (name, hold) = if random.bool() {
        (format!("before exchange {n} is answered"), Meddle::Hold(held.clone()))
    } else {
        // Most answers are short: not only the long ones are to be cut.
        let bytes = if random.bool() { random.usize(..200) } else { random.usize(..LARGEST) };
        (format!("after {bytes} bytes of answer {n}"), Meddle::HoldAfter(bytes, held.clone()))
    };
    (name, repeat_n(Meddle::Leave, n).chain(once(hold)).collect(), held)
}

#[tokio::test]
async fn an_interrupted_push_cancels_its_uploads() {
    let registry = Embedded::start().await;
    let held = Arc::new(Notify::new());
    let stuck = [Meddle::Hold(held.clone())];
    let front = Front::before(registry.address()).meddle("PUT /v2/app/blobs/uploads/*", stuck).start().await;
    let cli = Cli::new();
    let reference = format!("{}/app:v1", front.registry());
    // One at a time: the answer to another `POST` could be on its way when the tool ends.
    let running = cli.start(["push", "-f", &app("static-site"), &reference, "--concurrency", "1"], None);
    held.notified().await;
    let complaint = running.interrupt().await.failure(130);
    assert!(complaint.contains("error: interrupted"), "{complaint}");
    let lines = front.wire().lines();
    let uploads: Vec<_> = lines.iter().filter(|line| line.contains("/uploads/")).collect();
    let [begun, cancelled] = &uploads[..] else { panic!("two requests: {uploads:?}") };
    assert!(begun.starts_with("POST /v2/app/blobs/uploads/?mount=") && begun.ends_with("&from=app 202"), "{begun}");
    assert_eq!(*cancelled, "DELETE /v2/app/blobs/uploads/{session} 204");
    // Nothing is in the way of the next one.
    push(&Cli::new(), &app("static-site"), &registry.reference("app:v1"), &[]).await;
}

#[tokio::test]
async fn a_killed_pull_leaves_a_cache_that_verifies() {
    let mut random = chance("killed pull");
    let registry = Embedded::start().await;
    push(&Cli::new(), &app("static-site"), &registry.reference("app:v1"), &[]).await;
    for round in 0..ROUNDS {
        let cli = Cli::new();
        let cache = cli.path("cache/spin/registry");
        // What a killed pull has left, another one goes on with, and may be killed as well.
        for _ in 0..=round % 3 {
            // A later one has less to do, and ends before a moment that does not come.
            let (name, meddling, held) = moment(&mut random, PULL);
            eprintln!("round {round}: killed {name}");
            let front = Front::before(registry.address()).meddle("*", meddling).start().await;
            let mut running = cli.start(["pull", &format!("{}/app:v1", front.registry())], None);
            let killed = tokio::select! {
                () = held.notified() => running.kill().await,
                () = running.ended() => running.wait().await,
            };
            verify(&cache);
            let manifest = cache.join("manifests").join(front.registry()).join("app/v1/manifest.json");
            assert!(!killed.status.success() || manifest.exists(), "{killed}");
            if manifest.exists() {
                // Whoever finds the manifest finds everything.
                assert_cached(&cli, &format!("{}/app/v1", front.registry()), "static-site");
            }
        }
        pull(&cli, &registry.reference("app:v1"), &[]).await;
        assert_cached(&cli, &format!("{}/app/v1", registry.address()), "static-site");
    }
}

#[tokio::test]
async fn a_killed_push_leaves_a_registry_that_verifies() {
    let mut random = chance("killed push");
    for _ in 0..ROUNDS {
        let registry = Embedded::start().await;
        let (name, meddling, held) = moment(&mut random, PUSH);
        eprintln!("killed {name}");
        let front = Front::before(registry.address()).meddle("*", meddling).start().await;
        let reference = format!("{}/app:v1", front.registry());
        let cli = Cli::new();
        let running = cli.start(["push", "-f", &app("static-site"), &reference], None);
        held.notified().await;
        running.kill().await;
        // The tag, if it is there, is whole already.
        let puller = Cli::new();
        let run = puller.run(["pull", &registry.reference("app:v1")]).await;
        if run.status.success() {
            assert_cached(&puller, &format!("{}/app/v1", registry.address()), "static-site");
        } else {
            run.failure(3);
        }
        push(&cli, &app("static-site"), &reference, &[]).await;
        pull(&puller, &reference, &[]).await;
        assert_cached(&puller, &format!("{}/app/v1", front.registry()), "static-site");
        assert_stored(registry.root());
    }
}

/// Holds every blob of a registry's layouts to its name.
fn assert_stored(root: &Path) {
    // Blobs have no extension; the folder above says what they are.
    let blobs = root.join("app/blobs/sha256");
    assert!(blobs.is_dir(), "`{}` is where blobs are", blobs.display());
    for entry in blobs.read_dir().expect("a directory") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("a blob");
        assert_eq!(path.file_name().and_then(|name| name.to_str()), Some(&*Digest::of(&bytes).hex()));
    }
}

#[tokio::test]
async fn a_killed_login_leaves_the_old_file_or_the_new_one() {
    const PASSWORD: &str = "correct-horse";
    let mut random = chance("killed login");
    let guard = Guard::basic("ada", PASSWORD);
    let script = Script::new().always("GET /v2/", Reply::ok("{}")).start().await;
    let front = Front::before(script.address()).guarded(&guard).start().await;
    let registry = front.registry();
    let login = ["login", &registry, "-u", "ada", "--password-stdin"];
    // Long enough that writing it takes a moment.
    let others = (0..2_000).map(|n| (format!("r{n}.example"), "YTpi".into())).collect::<serde_json::Map<_, _>>();
    let old = serde_json::json!({ "auths": others });
    let mut new = old.clone();
    new["auths"][&registry] = "YWRhOmNvcnJlY3QtaG9yc2U=".into();

    let (mut kept, mut written) = (0, 0);
    for _ in 0..2 * ROUNDS {
        let cli = Cli::new().secret(PASSWORD);
        let directory = cli.path("config/fermyon");
        let file = directory.join("registry-auth.json");
        std::fs::create_dir_all(&directory).expect("a directory in a temporary directory");
        std::fs::write(&file, old.to_string()).expect("a file in a temporary directory");
        let before = front.wire().lines().len();
        let running = cli.start(login, Some(format!("{PASSWORD}\n")));
        // Who was let in writes the file now.
        front.wire().reaches(before + 2).await;
        for _ in 0..1_u32 << random.u32(6..18) {
            tokio::task::yield_now().await;
        }
        running.kill().await;
        let read = || -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(&file).expect("the file is there")).expect("the file is whole")
        };
        match read() {
            found if found == old => kept += 1,
            found if found == new => written += 1,
            other => panic!("neither the old file nor the new one: {other}"),
        }
        // A new file that never got its name holds the password as well.
        let is_new = |left: &&PathBuf| **left != file && left.metadata().is_ok_and(|about| about.len() > 0);
        files_below(&directory).iter().filter(is_new).for_each(|left| assert_hidden(left));
        cli.run_with_input(login, &format!("{PASSWORD}\n")).await.success();
        assert_hidden(&file);
        assert_eq!(read(), new);
        assert_eq!(files(&directory, "json"), [file]);
    }
    eprintln!("killed before the file was replaced: {kept}, after: {written}");
    script.finish();
}

/// Fails where anybody else may read a file.
fn assert_hidden(file: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(file).expect("a file of the test").permissions().mode();
        assert_eq!(mode & 0o077, 0, "others may read `{}`", file.display());
    }
    #[cfg(not(unix))]
    let _ = file;
}
