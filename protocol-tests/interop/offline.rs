//! Without a network: no connection is even attempted, as the system sees it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use spinreg::Digest;

use crate::support::cli::Cli;
use crate::support::packages::{component, publish, write_app};
use crate::support::peers::program;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::scenario::{app, push};
use crate::support::script::Script;
use crate::support::stand_in::StandIn;

/// Has every call about a network, of the tool and of what it starts, written to `log`.
fn witness(cli: Cli, log: &Path) -> Cli {
    let starter: PathBuf = cli.path("data/witness");
    let (strace, log) = (program("strace"), log.display());
    let script =
        format!("#!/bin/sh\nexec '{}' -f -qq -e trace=network -e signal=none -o '{log}' \"$@\"\n", strace.display());
    std::fs::write(&starter, script).expect("a file in a temporary directory");
    std::fs::set_permissions(&starter, PermissionsExt::from_mode(0o700)).expect("a file of our own");
    cli.started_by(starter)
}

/// Returns the calls that reach for an address, and forgets them.
fn attempts(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).expect("what was called");
    std::fs::remove_file(log).expect("a file of our own");
    let reaches = |line: &&str| line.contains("AF_INET") || line.contains("connect(") || line.contains("sendto(");
    text.lines().filter(reaches).map(str::to_owned).collect()
}

#[tokio::test]
async fn what_is_cached_runs_without_a_single_attempt_to_connect() {
    let registry = Embedded::start().await;
    // A name has to be looked up, if anybody asks.
    let reference = format!("localhost:{}/apps/static-site:v1", registry.address().port());
    let stand_in = StandIn::new();
    push(&stand_in.cli, &app("static-site"), &reference, &[]).await;
    let log = stand_in.cli.path("data/network.log");
    let stand_in = stand_in.with(|cli| witness(cli, &log));
    let cli = &stand_in.cli;
    // Whoever cannot be traced sees nothing, and proves nothing.
    cli.run(["up", "-f", &reference]).await.success();
    assert!(!attempts(&log).is_empty(), "a pull was not seen");
    for arguments in [
        vec!["up", "--offline", "-f", &reference],
        vec!["up", "--pull", "never", "-f", &reference],
        vec!["up", "--pull", "missing", "-f", &reference],
        vec!["prepare", "--offline", &reference, "--to", "app"],
    ] {
        cli.run(&arguments).await.success();
        assert_eq!(attempts(&log), Vec::<String>::new(), "{arguments:?}");
    }
    let other = reference.replace(":v1", ":v2");
    cli.run(["up", "--offline", "-f", &other]).await.failure(3);
    assert_eq!(attempts(&log), Vec::<String>::new());
}

/// The same for a manifest whose components are a download and a package.
#[tokio::test]
async fn manifests_with_cached_sources_run_without_a_single_attempt_to_connect() {
    let registry = Embedded::start().await;
    let (downloaded, packaged) = (component(1), component(2));
    publish(registry.address(), "space/name", "1.0.0", &packaged).await;
    let server = Script::new().on("GET /a.wasm", Reply::ok(downloaded.clone())).start().await;
    let stand_in = StandIn::new();
    // Names have to be looked up, if anybody asks.
    let name = format!("localhost:{}", registry.address().port());
    write_app(
        &stand_in.cli,
        &format!(
            "source = {{ url = \"http://localhost:{}/a.wasm\", digest = \"{}\" }}\n[[trigger.http]]\nroute = \"/p\"\n\
             component = \"pack\"\n[component.pack]\n\
             source = {{ registry = \"{name}\", package = \"space:name\", version = \"1.0.0\" }}\n",
            server.address().port(),
            Digest::of(&downloaded),
        ),
    );
    let log = stand_in.cli.path("data/network.log");
    let stand_in = stand_in.with(|cli| witness(cli, &log));
    let cli = &stand_in.cli;
    cli.run(["up", "--offline"]).await.failure(3);
    assert_eq!(attempts(&log), Vec::<String>::new(), "what is missing is said without asking for it");
    cli.run(["up"]).await.success();
    assert!(!attempts(&log).is_empty(), "a download was not seen");
    for arguments in [
        &["up", "--offline"][..],
        &["up", "--pull", "never"],
        &["up", "--pull", "missing"],
        &["up"],
        &["prepare", "--offline", ".", "--to", "app"],
        &["prepare", ".", "--to", "app"],
    ] {
        cli.run(arguments).await.success();
        assert_eq!(attempts(&log), Vec::<String>::new(), "{arguments:?}");
    }
    server.finish();
}
