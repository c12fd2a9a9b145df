//! Running applications: what the executors of an installed Spin are given, what they are told, and how it ends. A stand-in
//! is installed that writes all of that down.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use serde_json::Value;
use spinreg::Digest;

use crate::cache::tree;
use crate::support::cli::Cli;
use crate::support::registry::Embedded;
use crate::support::root;
use crate::support::scenario::{app, push, verify};
use crate::support::stand_in::StandIn;

/// Pushes an application of the fixtures to a new registry.
async fn pushed(stand_in: &StandIn, name: &str) -> (Embedded, String) {
    let registry = Embedded::start().await;
    let reference = registry.reference(&format!("apps/{name}:v1"));
    push(&stand_in.cli, &app(name), &reference, &[]).await;
    registry.wire().take();
    (registry, reference)
}

fn lock(stand_in: &StandIn, kind: &str) -> Value {
    let text = fs::read_to_string(stand_in.record(kind, "work/spin.lock")).expect("a lock file");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn an_application_from_a_registry_is_run() {
    let stand_in = StandIn::new();
    let (registry, reference) = pushed(&stand_in, "static-site").await;
    let stand_in = stand_in.with(|cli| {
        let cli = cli.env("SPINREG_PASSWORD", "correct-horse").env("SPINREG_USERNAME", "ada").secret("correct-horse");
        cli.env("SPIN_LOCAL_APP_DIR", "/of/another")
    });
    let flags = ["--listen", "127.0.0.1:1", "-f", &reference, "-e", "ZED=new", "--env", "MORE=a=b", "--quiet"];
    let run = stand_in.cli.run([&["up"], &flags[..]].concat()).await;
    assert_eq!((run.code(), run.stdout.as_str(), run.stderr.as_str()), (Some(0), "", ""), "{run}");

    for (kind, flags) in [("http", vec!["--listen", "127.0.0.1:1", "--quiet"]), ("redis", vec!["--quiet"])] {
        assert_eq!(stand_in.lines(kind, "flags"), flags);
        let environment = stand_in.environment(kind);
        let work = &environment["SPIN_WORKING_DIR"];
        assert!(work.contains("/tmp/spinup-"), "{work}");
        assert_eq!(environment["SPIN_LOCKED_URL"], format!("file://{work}/spin.lock"));
        for absent in ["SPIN_LOCAL_APP_DIR", "SPINREG_PASSWORD"] {
            assert!(!environment.contains_key(absent), "{absent}");
        }
        let lock = lock(&stand_in, kind);
        for component in lock["components"].as_array().expect("components") {
            assert_eq!((&component["env"]["ZED"], &component["env"]["MORE"]), (&"new".into(), &"a=b".into()));
        }
        assert_eq!(lock["metadata"]["origin"], format!("vnd.fermyon.origin-oci:{reference}"));
        let seen = tree(&stand_in.record(kind, "work/assets"));
        let seen: BTreeSet<_> =
            seen.iter().map(|(name, content)| format!("{}  ./assets/{name}", Digest::of(content).hex())).collect();
        let golden = root("fixtures/spin/golden/static-site/materialised.sha256");
        let golden = fs::read_to_string(golden).expect("a golden file");
        assert_eq!(seen, golden.lines().map(str::to_owned).collect());
        // The bytes are the cache's own.
        assert!(!stand_in.lines(kind, "linked").is_empty());
    }
    stand_in.assert_tidy();
    assert_eq!(registry.wire().count("GET /v2/apps/static-site/manifests/v1"), 1);

    // Again: one request.
    registry.wire().take();
    stand_in.cli.run(["up", "-f", &reference]).await.success();
    assert_eq!(registry.wire().take(), ["GET /v2/apps/static-site/manifests/v1 200"]);
}

#[tokio::test]
async fn whatever_is_an_application_is_run() {
    let stand_in = StandIn::new();
    let site = app("static-site");
    let work = stand_in.cli.path("work");
    stand_in.cli.run(["push", "-f", &site, "oci:out:v1"]).await.success();
    fs::copy(root("fixtures/spin/apps/inline-trigger/app.wasm"), work.join("one.wasm")).expect("a file");
    let local = |directory: &str| Some(directory.to_owned());
    let manifest = format!("{site}/spin.toml");
    for (from, name, directory) in [
        (vec!["-f", "oci:out:v1"], "static-site", None),
        (vec!["--from-registry", "oci:out:v1"], "static-site", None),
        (vec!["-f", &site], "static-site", local(&site)),
        (vec!["--from-file", &manifest], "static-site", local(&site)),
        (vec!["--file", &manifest], "static-site", local(&site)),
        (vec!["-f", "one.wasm"], "one", None),
    ] {
        stand_in.cli.run([&["up"], from.as_slice(), &["--state-dir", "s"]].concat()).await;
        assert!(!stand_in.was_started("http") || name == "one", "a flag that redis does not know");
        stand_in.cli.run([vec!["up"], from.clone()].concat()).await.success();
        let lock = lock(&stand_in, "http");
        assert_eq!(lock["metadata"]["name"], name, "{from:?}");
        assert_eq!(stand_in.environment("http").get("SPIN_LOCAL_APP_DIR"), directory.as_ref(), "{from:?}");
        for component in lock["components"].as_array().expect("components") {
            let url = component["source"]["source"].as_str().expect("a URL");
            assert!(std::path::Path::new(url.strip_prefix("file://").expect("a file")).exists(), "{from:?}: {url}");
        }
        stand_in.assert_tidy();
        stand_in.forget(if name == "one" { &["http"] } else { &["http", "redis"] });
    }

    // Without a source: the manifest here, or above.
    fs::copy(root("fixtures/spin/apps/inline-trigger/spin.toml"), work.join("spin.toml")).expect("a file");
    fs::copy(work.join("one.wasm"), work.join("app.wasm")).expect("a file");
    stand_in.cli.run(["up", "--state-dir", "s"]).await.success();
    assert_eq!(stand_in.lines("http", "flags"), ["--state-dir", "s"]);
    assert_eq!(lock(&stand_in, "http")["metadata"]["origin"], format!("file://{}/spin.toml", work.display()));

    // A component that is text is assembled, and is where Spin finds it.
    let text = fs::read_to_string(work.join("spin.toml")).expect("a manifest");
    assert!(text.contains("\"app.wasm\""), "{text}");
    fs::write(work.join("spin.toml"), text.replace("\"app.wasm\"", "\"app.wat\"")).expect("a file");
    fs::write(work.join("app.wat"), "(component)").expect("a file");
    stand_in.forget(&["http"]);
    stand_in.cli.run(["up"]).await.success();
    let component = &lock(&stand_in, "http")["components"][0];
    let name = format!("wasm/{}.wasm", component["id"].as_str().expect("an id"));
    assert!(component["source"]["source"].as_str().expect("a URL").ends_with(&name), "{component}");
    let assembled = fs::read(stand_in.record("http", "work").join(name)).expect("a file");
    assert!(assembled.starts_with(b"\0asm"), "{assembled:?}");
}

#[tokio::test]
async fn dependencies_are_composed_as_they_are_for_a_push() {
    let stand_in = StandIn::new();
    let (_registry, reference) = pushed(&stand_in, "dep-app").await;
    let wasm = async |source: &str, to: &str| {
        stand_in.cli.run(["prepare", source, "--to", to]).await.success();
        let text = fs::read_to_string(stand_in.cli.path("work").join(to).join("spin.lock")).expect("a lock file");
        let lock: Value = serde_json::from_str(&text).expect("JSON");
        let component = &lock["components"][0];
        assert_eq!(component.get("dependencies"), None, "{text}");
        let url = component["source"]["source"].as_str().expect("a URL");
        fs::read(url.strip_prefix("file://").expect("a file")).expect("a component")
    };
    assert!(wasm(&app("dep-app"), "local").await == wasm(&reference, "pulled").await, "the same bytes");
}

#[tokio::test]
async fn flags_of_up_itself() {
    let stand_in = StandIn::new();
    let site = app("static-site");
    let kept = stand_in.cli.path("work/kept");
    let up = |flags: &[&str]| {
        [&["up", "-f", &site], flags].concat().iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>()
    };
    stand_in.cli.run(up(&["-c", "site", "--temp", "kept", "--strange", "x", "--", "--listen", "-c"])).await.success();
    assert_eq!(stand_in.lines("http", "flags"), ["--strange", "x", "--listen", "-c"]);
    assert!(!stand_in.was_started("redis"), "no trigger of it starts the chosen component");
    assert!(kept.join("spin.lock").is_file() && kept.join("assets/site").is_dir(), "what was asked to stay stays");
    assert_eq!(stand_in.environment("http")["SPIN_WORKING_DIR"], kept.display().to_string());
    let lock = lock(&stand_in, "http");
    assert_eq!(lock["components"].as_array().map(Vec::len), Some(1));

    stand_in.forget(&["http"]);
    let complaint = stand_in.cli.run(up(&["--build"])).await.failure(1);
    assert!(complaint.contains("the build of the component `site` failed"), "{complaint}");
    assert!(complaint.contains("hint: nothing was started"), "{complaint}");
    assert!(!stand_in.was_started("http"));

    // What is almost one of ours goes to the triggers, which take no notice; people should.
    let run = stand_in.cli.run(up(&["-c", "site", "--offlin"])).await;
    let warning = "warning: `--offlin` is no flag of `up` and goes to the triggers; did you mean `--offline`?";
    assert!(run.stderr.contains(warning), "{run}");
    run.success();
    assert_eq!(stand_in.lines("http", "flags"), ["--offlin"]);
    let run = stand_in.cli.run(up(&["-c", "site", "--", "--offlin"])).await;
    assert!(!run.stderr.contains("did you mean"), "{run}");
    stand_in.forget(&["http"]);

    for (flags, code, said) in [
        (vec!["-c", "sit"], 2, "no component `sit`; there are `site`, `second`"),
        (vec!["-e", "novalue"], 2, "`novalue`"),
        (vec!["--strange", "x"], 2, "`--strange` is a flag of none of the triggers `http`, `redis`"),
        (vec!["word"], 2, "`word` is neither a flag nor the value of one\n\nhint: an application is named by `-f`"),
        (vec!["--offline", "--pull", "always"], 2, "--pull"),
        (vec!["--from-file", "x"], 2, "--from-file"),
    ] {
        let complaint = stand_in.cli.run(up(&flags)).await.failure(code);
        assert!(complaint.contains(said), "{flags:?}: {complaint}");
    }
    stand_in.assert_tidy();
}

#[tokio::test]
async fn directories_are_mounted_as_they_are() {
    let stand_in = StandIn::new();
    let work = stand_in.cli.path("work");
    fs::create_dir_all(work.join("app/pages")).expect("a directory");
    fs::create_dir(work.join("shared")).expect("a directory");
    fs::write(work.join("app/app.wasm"), b"\0asm\x0d\0\x01\0").expect("a file");
    let manifest = |component: &str| {
        let text = format!(
            "spin_manifest_version = 2\napplication.name = \"direct\"\n\
             [[trigger.http]]\nroute = \"/...\"\ncomponent = \"c\"\n[component.c]\nsource = \"app.wasm\"\n{component}"
        );
        fs::write(work.join("app/spin.toml"), text).expect("a file");
    };
    manifest("files = [\"pages\", { source = \"../shared\", destination = \"/s\" }]");
    stand_in.cli.run(["up", "-f", "app", "--direct-mounts"]).await.success();
    let files = &lock(&stand_in, "http")["components"][0]["files"];
    let url = |path: &str| format!("file://{}/app/{path}", work.display());
    let expected = [(url("pages"), "pages"), (url("../shared"), "/s")];
    let expected = expected.map(|(source, path)| serde_json::json!({"source": source, "path": path}));
    assert_eq!(files.as_array().expect("mounts"), &expected);
    assert!(!stand_in.record("http", "work/assets").exists());

    for (component, said) in [
        ("files = [\"pages/*\"]", "app/spin.toml:8:10: `pages/*` is no directory"),
        ("files = [\"pages\"]\nexclude_files = [\"x\"]", "app/spin.toml:9:18: `x` leaves files out"),
    ] {
        manifest(component);
        let complaint = stand_in.cli.run(["up", "-f", "app", "--direct-mounts"]).await.failure(1);
        assert!(complaint.contains(said), "{complaint}");
    }
    let complaint = stand_in.cli.run(["up", "-f", "oci:out", "--direct-mounts"]).await.failure(2);
    assert!(complaint.contains("`--direct-mounts`"), "{complaint}");
    // Without it, files from outside are copied, as Spin does: nothing is published here.
    fs::write(work.join("shared/file"), "shared").expect("a file");
    stand_in.forget(&["http"]);
    manifest("files = [{ source = \"../shared\", destination = \"/s\" }]");
    stand_in.cli.run(["up", "-f", "app"]).await.success();
    assert_eq!(fs::read(stand_in.record("http", "work/assets/c/s/file")).expect("a file"), b"shared");
}

#[tokio::test]
async fn guests_that_write_do_not_write_into_the_cache() {
    let stand_in = StandIn::new().behaving("http", "write");
    let (_registry, reference) = pushed(&stand_in, "static-site").await;
    stand_in.cli.run(["up", "-c", "site", "--allow-transient-write", "-f", &reference]).await.success();
    assert_eq!(stand_in.lines("http", "flags"), ["--allow-transient-write"]);
    assert!(stand_in.lines("http", "linked").is_empty());
    verify(&stand_in.cli.path("cache/spin/registry"));
}

#[tokio::test]
async fn exit_codes_are_passed_on_and_one_failure_ends_all() {
    let site = app("static-site");
    for (http, redis, code, said) in [
        ("0", "0", 0, ""),
        ("3", "0", 3, "the `http` trigger ended with exit code 3"),
        ("0", "4", 4, "the `redis` trigger ended with exit code 4"),
        ("wait", "5", 5, "the `redis` trigger ended with exit code 5"),
        ("6", "die", 6, "the `http` trigger ended with exit code 6"),
    ] {
        let stand_in = StandIn::new().behaving("http", http).behaving("redis", redis);
        let run = stand_in.cli.run(["up", "-f", &site]).await;
        assert_eq!(run.code(), Some(code), "{http} {redis}: {run}");
        assert!(run.stderr.contains(said), "{run}");
        stand_in.assert_tidy();
    }
}

#[tokio::test]
async fn signals_are_passed_on_and_waited_for() {
    let site = app("static-site");
    for (signal, name) in [(Signal::SIGINT, "INT"), (Signal::SIGTERM, "TERM"), (Signal::SIGHUP, "HUP")] {
        let mut stand_in = StandIn::new().behaving("http", "wait").behaving("redis", "wait");
        let tool = stand_in.cli.start(["up", "-f", &site], None);
        stand_in.says(&["http", "redis"]).await;
        tool.signal(signal);
        let run = tool.wait().await;
        assert_eq!(run.code(), Some(0), "who obeys has not failed: {run}");
        for kind in ["http", "redis"] {
            assert_eq!(stand_in.lines(kind, "signals"), [name]);
        }
        stand_in.assert_tidy();
    }
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let mut stand_in = StandIn::new().behaving("http", "die");
        let tool = stand_in.cli.start(["up", "-c", "site", "-f", &site], None);
        stand_in.says(&["http"]).await;
        tool.signal(signal);
        assert_eq!(tool.wait().await.code(), Some(code));
        stand_in.assert_tidy();
    }
}

#[tokio::test]
async fn who_takes_no_notice_is_killed_by_the_second_signal() {
    let mut stand_in = StandIn::new().behaving("http", "stubborn").behaving("redis", "wait");
    let tool = stand_in.cli.start(["up", "-f", &app("static-site")], None);
    stand_in.says(&["http", "redis"]).await;
    tool.signal(Signal::SIGINT);
    stand_in.says(&["http INT", "redis INT"]).await;
    tool.signal(Signal::SIGINT);
    let run = tool.wait().await;
    assert_eq!(run.code(), Some(137), "{run}");
    stand_in.assert_tidy();
}

#[tokio::test]
async fn who_takes_no_notice_of_the_end_of_another_is_killed() {
    let mut stand_in = StandIn::new().behaving("http", "stubborn").behaving("redis", "wait");
    let tool = stand_in.cli.start(["up", "-f", &app("static-site")], None);
    stand_in.says(&["http", "redis"]).await;
    let redis = stand_in.lines("redis", "process")[0].parse().expect("the number of a process");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(redis), Signal::SIGKILL).expect("it runs");
    stand_in.says(&["http TERM"]).await;
    let run = tool.wait().await;
    assert_eq!(run.code(), Some(137), "{run}");
    assert!(run.stderr.contains("the `redis` trigger was ended by signal 9"), "the first failure counts: {run}");
    stand_in.assert_tidy();
}

/// As `nohup` starts it: what the terminal says when it goes is nothing to it, nor to what it starts.
#[tokio::test]
async fn who_is_to_outlive_the_terminal_does() {
    let mut stand_in = StandIn::new().behaving("http", "wait");
    let starter = stand_in.cli.path("data/starter");
    fs::write(&starter, "#!/bin/sh\ntrap '' HUP\nexec \"$@\"\n").expect("a file in a temporary directory");
    fs::set_permissions(&starter, PermissionsExt::from_mode(0o755)).expect("a file of our own");
    stand_in = stand_in.with(|cli| cli.started_by(starter));
    let tool = stand_in.cli.start(["up", "-c", "site", "-f", &app("static-site")], None);
    stand_in.says(&["http"]).await;
    tool.signal(Signal::SIGHUP);
    tool.signal(Signal::SIGTERM);
    assert_eq!(tool.wait().await.code(), Some(0));
    // A shell cannot trap what was ignored when it began, so this says that the executor was started to ignore it.
    assert_eq!(stand_in.lines("http", "signals"), ["TERM"]);
    stand_in.assert_tidy();
}

#[tokio::test]
async fn what_is_cached_runs_without_its_registry() {
    let stand_in = StandIn::new();
    let (registry, reference) = pushed(&stand_in, "static-site").await;
    let cli = &stand_in.cli;
    let never = cli.run(["up", "--offline", "-f", &reference]).await.failure(3);
    assert!(never.contains(&format!("`{reference}` is not in the cache")) && never.contains("spinreg pull"), "{never}");
    cli.run(["up", "--pull", "missing", "-f", &reference]).await.success();
    registry.wire().take();
    let to = cli.path("work/app").display().to_string();
    for arguments in [
        vec!["up", "--offline", "-f", &reference],
        vec!["up", "--pull", "never", "-f", &reference],
        vec!["up", "--pull", "missing", "-f", &reference],
        vec!["prepare", "--offline", &reference, "--to", &to],
    ] {
        cli.run(&arguments).await.success();
        assert_eq!(registry.wire().take(), Vec::<String>::new(), "{arguments:?}");
    }

    // What is missing is named, and fetched where that is allowed.
    let file =
        fs::read_dir(cli.path("cache/spin/registry/data")).expect("files").next().expect("one").expect("an entry");
    let digest = file.file_name().into_string().expect("a digest");
    fs::remove_file(file.path()).expect("a file");
    let complaint = cli.run(["up", "--offline", "-f", &reference]).await.failure(3);
    assert!(complaint.contains(&digest), "{complaint}");
    assert_eq!(registry.wire().take(), Vec::<String>::new());
    cli.run(["up", "--pull", "missing", "-f", &reference]).await.success();
    let sent = registry.wire().take();
    assert_eq!(sent.len(), 2, "the manifest and what was missing: {sent:?}");
    assert!(sent.iter().any(|line| line.contains(&digest)), "{sent:?}");

    drop(registry);
    let complaint = cli.run(["up", "-f", &reference]).await.failure(6);
    assert!(complaint.contains("`--offline` takes that"), "{complaint}");
    cli.run(["up", "--offline", "-f", &reference]).await.success();
}

#[tokio::test]
async fn without_spin_it_is_said_what_to_install() {
    let cli = Cli::new().env("PATH", "/nowhere");
    let site = app("static-site");
    let complaint = cli.run(["up", "-f", &site]).await.failure(2);
    assert!(complaint.contains("no `spin`") && complaint.contains("https://spinframework.dev/install"), "{complaint}");
    let named = cli.env("SPIN_BIN_PATH", "/nowhere/spin");
    let complaint = named.run(["up", "-f", &site]).await.failure(2);
    assert!(complaint.contains("`/nowhere/spin`"), "{complaint}");
    // Preparing needs none.
    let printed = named.run(["prepare", &site, "--to", "out", "-c", "site", "-e", "K=V"]).await.success();
    assert_eq!(printed, format!("{}\n", named.path("work/out/spin.lock").display()));
    let text = fs::read_to_string(named.path("work/out/spin.lock")).expect("a lock file");
    let lock: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(lock["components"][0]["env"]["K"], "V");
    assert!(named.path("work/out/assets/site").is_dir());
    let stand_in = StandIn::new();
    let program = root("fixtures/executors/spin.sh");
    let cli = stand_in.cli.env("PATH", "/usr/bin:/bin").env("SPIN_BIN_PATH", program);
    cli.run(["up", "-f", &site]).await.success();
}
