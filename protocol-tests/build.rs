//! Build commands: run, failed, forgotten.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use spinreg::spin::{LoadOptions, load};

use crate::load::component;
use crate::support::cli::Cli;

/// A room with an application whose component has these lines, and is not built.
fn room(lines: &str) -> Cli {
    let cli = Cli::new();
    let text = format!(
        "spin_manifest_version = 2\napplication = {{ name = \"t\" }}\n{}",
        component(lines).replace("empty.wasm", "out/c.wasm")
    );
    fs::write(cli.path("work/spin.toml"), text).expect("written");
    fs::write(cli.path("work/built"), b"\0asm\x0d\0\x01\0").expect("written");
    cli
}

const PUSH: &[&str] = &["push", "oci:registry:v1"];
const PUSH_BUILD: &[&str] = &["push", "--build", "oci:registry:v1"];

#[tokio::test]
async fn commands_run_in_their_order_and_place() {
    let cli =
        room(r#"build = { command = ["echo one; mkdir ../out", "cp ../built ../out/c.wasm; pwd"], workdir = "src" }"#);
    fs::create_dir(cli.path("work/src")).expect("made");
    let run = cli.run(PUSH_BUILD).await;
    assert!(run.stdout.starts_with("Pushed with digest sha256:") && run.stdout.lines().count() == 1, "{run}");
    let said = run.stderr.as_str();
    let order = ["building `c`: `echo one; mkdir ../out`", "one\n", "building `c`: `cp ", "work/src\n", "pushing"];
    let mut rest = said;
    for part in order {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("`{part}` is not where it should be: {said}")).1;
    }

    let quiet = cli.run(["push", "--build", "--quiet", "oci:registry:v1"]).await.failure(1);
    assert!(!quiet.contains("building"), "{quiet}");
    assert!(
        quiet.contains("the build of the component `c` failed: `echo one; mkdir ../out` ended with exit"),
        "{quiet}"
    );
}

#[tokio::test]
async fn a_failed_build_ends_the_push() {
    let second = "[component.d]\nsource = \"out/c.wasm\"\nbuild.command = \"touch d-was-built\"";
    let cli = room(&format!("build.command = [\"exit 7\", \"touch c-went-on\"]\n{second}"));
    let complaint = cli.run(PUSH_BUILD).await.failure(1);
    let expected = "error: the build of the component `c` failed: `exit 7` ended with exit code 7\n";
    assert!(complaint.contains(expected), "{complaint}");
    assert!(complaint.contains("hint: nothing was pushed"), "{complaint}");
    for absent in ["registry", "c-went-on", "d-was-built"] {
        assert!(!cli.path("work").join(absent).exists(), "{absent}");
    }
    let cli = room("build.command = \"kill -9 $$\"");
    let complaint = cli.run(PUSH_BUILD).await.failure(1);
    assert!(complaint.contains("`kill -9 $$` ended with signal: 9"), "{complaint}");
}

#[tokio::test]
async fn the_profile_says_what_is_built() {
    let cli = room("build.command = \"exit 1\"\nprofile.debug.build.command = \"mkdir out; cp built out/c.wasm\"");
    cli.run(["push", "--build", "--profile", "debug", "oci:registry:v1"]).await.success();
    let complaint = cli.run(["push", "--build", "--profile", "debgu", "oci:registry:v1"]).await.failure(1);
    assert!(complaint.contains("the profile `debgu` is not defined; did you mean `debug`?"), "{complaint}");
}

#[tokio::test]
async fn the_variable_of_spin_builds_too() {
    for (value, built) in [("1", true), ("true", true), ("0", false), ("false", false), ("", false)] {
        let cli = room("build.command = \"mkdir out; cp built out/c.wasm\"").env("SPIN_ALWAYS_BUILD", value);
        let run = cli.run(PUSH).await;
        assert_eq!(run.code(), Some(if built { 0 } else { 3 }), "{value}: {run}");
    }
}

#[tokio::test]
async fn bad_places_are_told_before_anything_runs() {
    for (workdir, expected) in [
        ("gone", "the build of the component `c` failed: its directory `"),
        ("/tmp", "the build directory `/tmp` has to be relative to the manifest"),
    ] {
        let cli = room(&format!("build = {{ command = \"touch it-ran\", workdir = \"{workdir}\" }}"));
        let complaint = cli.run(PUSH_BUILD).await.failure(1);
        assert!(complaint.contains(expected), "{complaint}");
        assert!(!cli.path("work/it-ran").exists());
    }
    let cli = room("build.command = \"touch it-ran\"\nsourc = 1");
    let complaint = cli.run(PUSH_BUILD).await.failure(1);
    assert!(complaint.contains("spin.toml:8:1: unknown key `sourc`"), "{complaint}");
    assert!(complaint.contains("\n8 | sourc = 1\n  | ^\n"), "the line is shown: {complaint}");
    assert!(!cli.path("work/it-ran").exists());
}

#[tokio::test]
async fn builds_do_not_see_our_credentials() {
    let cli = room("build.command = \"env; mkdir out; cp built out/c.wasm\"")
        .env("SPINREG_USERNAME", "ada")
        .env("SPINREG_PASSWORD", "correct-horse")
        .env("THEIRS", "stays")
        .secret("correct-horse");
    let run = cli.run(PUSH_BUILD).await;
    assert!(run.stderr.contains("THEIRS=stays"), "{run}");
}

#[tokio::test]
async fn an_interrupt_ends_the_build() {
    let cli = room("build.command = \"echo > ready; exec cat hold\"");
    let (ready, hold) = (cli.path("work/ready"), cli.path("work/hold"));
    let made = std::process::Command::new("mkfifo").args([&ready, &hold]).status().expect("mkfifo is there");
    assert!(made.success());
    let running = cli.start(PUSH_BUILD, None);
    // Reading waits for the build to get there.
    let begun = tokio::task::spawn_blocking(move || fs::read(ready)).await.expect("no panic");
    assert_eq!(begun.expect("a pipe"), b"\n");
    let run = running.interrupt().await;
    assert_eq!(run.code(), Some(130), "{run}");
    assert!(!cli.path("work/registry").exists());
}

#[tokio::test]
async fn what_was_not_built_says_how() {
    let cli = room("build.command = \"make\"");
    let complaint = cli.run(PUSH).await.failure(3);
    assert!(complaint.contains("does not exist; build it with `make`"), "{complaint}");
    assert!(complaint.contains("hint: add `--build`"), "{complaint}");
    let cli = room("");
    fs::create_dir(cli.path("work/out")).expect("made");
    fs::rename(cli.path("work/built"), cli.path("work/out/c.wasm")).expect("moved");
    let run = cli.run(PUSH_BUILD).await;
    assert!(run.stderr.contains("warning: no component has a build command"), "{run}");
    run.success();
}

#[tokio::test]
async fn newer_sources_are_noticed_once() {
    let two = "[component.d]\nsource = \"out/c.wasm\"\nbuild = { command = \"true\", workdir = \"web\" }";
    // The other component is stale in any case; where it is alone, it is the one that is named.
    let other = "`web/app.py` is newer than `out/c.wasm` of the component `d`;";
    for (build, expected) in [
        ("command = \"true\"", "`src/deep/lib.rs` is newer than `out/c.wasm` of the component `c`"),
        ("command = \"true\", watch = [\"*.zig\"]", "`main.zig` is newer"),
        (
            "command = \"true\", workdir = \"web\"",
            "`web/app.py` is newer than `out/c.wasm` of the component `c`, and one more",
        ),
        ("command = \"true\", workdir = \"web\", watch = [\"./../*.zig\"]", "main.zig` is newer"),
        ("command = \"true\", watch = [\"out/*\"]", other),
        ("command = \"true\", watch = [\"nothing/**/*\", \"[\"]", other),
    ] {
        let cli = room(&format!("build = {{ {build} }}\n{two}"));
        let soon = SystemTime::now() + Duration::from_secs(100);
        for source in ["src/deep/lib.rs", "main.zig", "web/app.py", "out/c.wasm"] {
            let path = cli.path("work").join(source);
            fs::create_dir_all(path.parent().expect("inside")).expect("made");
            fs::copy(cli.path("work/built"), &path).expect("copied");
            if source != "out/c.wasm" {
                File::options().write(true).open(&path).and_then(|file| file.set_modified(soon)).expect("touched");
            }
        }
        let run = cli.run(PUSH).await;
        let warnings: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("warning:")).collect();
        let [warning] = warnings[..] else { panic!("{run}") };
        assert!(warning.contains(expected) && warning.ends_with("; `--build` builds first"), "{run}");
        let built = cli.run(PUSH_BUILD).await;
        assert!(!built.stderr.contains("warning"), "{built}");
    }
}

#[tokio::test]
async fn what_is_as_old_as_its_sources_is_not_stale() {
    let cli = room("build.command = \"true\"");
    let now = SystemTime::now();
    for path in ["out/c.wasm", "src/lib.rs"] {
        let path = cli.path("work").join(path);
        fs::create_dir_all(path.parent().expect("inside")).expect("made");
        fs::copy(cli.path("work/built"), &path).expect("copied");
        File::options().write(true).open(&path).and_then(|file| file.set_modified(now)).expect("touched");
    }
    let app = load(&cli.path("work"), &LoadOptions::default()).await.expect("it loads");
    assert_eq!(app.stale().await, None);
}

/// Spin looks at the same note, so that whoever goes from one tool to the other is warned as well.
#[tokio::test]
async fn what_was_built_last_is_noted_for_both_tools() {
    let copy = "mkdir -p out; cp built out/c.wasm";
    let cli = room(&format!("build.command = \"{copy}\"\nprofile.debug.build.command = \"{copy}\""));
    let warning = async |flags: &[&str]| {
        let run = cli.run([PUSH, flags].concat()).await;
        let said: String = run.stderr.lines().filter(|line| line.starts_with("warning:")).collect();
        run.success();
        said
    };
    let note = || fs::read_to_string(cli.path("work/.spin/last-build.txt")).expect("a note");
    let debug = &["--profile", "debug"][..];
    assert_eq!(warning(&["--build"]).await, "");
    assert_eq!(note(), "<anonymous>");
    let expected =
        "warning: what was built last is no profile, and this is the profile `debug`; `--build` builds first";
    assert_eq!(warning(debug).await, expected);
    assert_eq!(warning(&["--build", "--profile", "debug"]).await, "");
    assert_eq!(note(), "debug");
    assert_eq!(warning(debug).await, "");
    let expected =
        "warning: what was built last is the profile `debug`, and this is no profile; `--build` builds first";
    assert_eq!(warning(&[]).await, expected);
    let run = cli.run(["prepare", ".", "--to", "prepared"]).await;
    assert!(run.stderr.contains(expected), "{run}");
    let run = cli.run(["prepare", ".", "--to", "prepared", "--build"]).await;
    assert!(!run.stderr.contains("warning") && note() == "<anonymous>", "{run}");

    // Nobody knows what was built where there is no note, or one that nobody reads.
    fs::write(cli.path("work/.spin/last-build.txt"), "x".repeat(5_000)).expect("a file");
    assert_eq!(warning(&[]).await, "");
    fs::remove_dir_all(cli.path("work/.spin")).expect("a directory");
    assert_eq!(warning(debug).await, "");
    // And a note that cannot be written is no reason to fail.
    fs::write(cli.path("work/.spin"), "a file").expect("a file");
    assert_eq!(warning(&["--build"]).await, "");
}
