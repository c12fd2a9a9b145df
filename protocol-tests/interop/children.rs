//! Every program that the tool starts, seen from outside: credential helpers alone, and none is told a secret.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::cli::Cli;
use crate::support::front::Front;
use crate::support::guard::Guard;
use crate::support::helpers::install;
use crate::support::peers::program;
use crate::support::registry::Embedded;
use crate::support::scenario::app;

const HELPER: &str = "secret-of-the-helper-horse";
const VARIABLE: &str = "secret-of-the-variable-horse";
const INLINE: &str = "secret-of-the-inline-horse";
const INPUT: &str = "secret-of-the-input-horse";
/// The beginning of each of them in base64, behind `ada:` and alone.
const IN_BASE64: [&str; 2] = ["YWRhOnNlY3JldC1vZi10aGUt", "c2VjcmV0LW9mLXRoZS"];

/// Has each program that is started below the tool written to `log`, with its arguments and its environment.
fn witness(cli: Cli, log: &Path) -> Cli {
    let starter: PathBuf = cli.path("data/witness");
    let script = format!(
        "#!/bin/sh\nexec '{}' -f -qq -e trace=execve -e signal=none -v -s 65536 -A -o '{}' \"$@\"\n",
        program("strace").display(),
        log.display()
    );
    std::fs::write(&starter, script).expect("a file in a temporary directory");
    std::fs::set_permissions(&starter, PermissionsExt::from_mode(0o700)).expect("a file of our own");
    cli.started_by(starter)
}

#[tokio::test]
async fn no_program_is_started_with_a_secret() {
    let embedded = Embedded::start().await;
    let front = Front::before(embedded.address()).guarded(&Guard::bearer("ada", HELPER)).start().await;
    let registry = front.registry();
    let cli = install(Cli::new(), HELPER).secret(VARIABLE).secret(INLINE).secret(INPUT);
    let docker = cli.path("home/.docker");
    std::fs::create_dir_all(&docker).expect("a directory in a temporary directory");
    let config = format!("{{\"credHelpers\":{{\"{registry}\":\"good\"}},\"credsStore\":\"token\"}}");
    std::fs::write(docker.join("config.json"), config).expect("a file in a temporary directory");
    // Whoever cannot be traced sees nothing, and proves nothing.
    let log = cli.path("data/started.log");
    let cli = witness(cli, &log);
    let (reference, app) = (format!("{registry}/app:v1"), app("inline-trigger"));
    let inline = format!("{{\"auths\":{{\"other.example\":{{\"username\":\"ada\",\"password\":\"{INLINE}\"}}}}}}");
    let cli = cli.env("DOCKER_AUTH_CONFIG", inline);
    cli.run(["--log", "trace", "push", "-f", &app, &reference]).await.success();
    cli.run(["--log", "trace", "pull", &reference]).await.success();
    let cli = cli.env("SPINREG_USERNAME", "ada").env("SPINREG_PASSWORD", VARIABLE);
    cli.run(["--log", "trace", "auth", "explain", &reference]).await.success();
    cli.run(["--log", "trace", "logout", &registry]).await.success();
    let stdin = ["--username", "ada", "--password-stdin"];
    let explain = [&["--log", "trace", "auth", "explain", &reference], &stdin[..]].concat();
    cli.run_with_input(explain, INPUT).await.success();
    let push = [&["--log", "trace", "push", "-f", &app, &reference], &stdin[..]].concat();
    cli.run_with_input(push, INPUT).await.failure(4);
    let cli = cli.env("SPINREG_PASSWORD", "").env("SPINREG_TOKEN", VARIABLE);
    cli.run(["--log", "trace", "auth", "explain", &reference]).await.success();

    let text = std::fs::read_to_string(&log).expect("what was started");
    let (mut tools, mut helpers) = (0, 0);
    for line in text.lines().filter(|line| line.contains("execve(\"")) {
        let (_, call) = line.split_once("execve(\"").expect("a call");
        let name = call.split('"').next().and_then(|path| path.rsplit('/').next()).expect("a program");
        if name == "spinreg" {
            // What people gave it.
            tools += 1;
            continue;
        }
        helpers += usize::from(name.starts_with("docker-credential-"));
        // What the fixture's helper is to answer is told to it by the test, through the tool's own environment.
        let told = line.replace(&format!("HELPER_SECRET={HELPER}"), "");
        for secret in [HELPER, VARIABLE, INLINE, INPUT].iter().chain(&IN_BASE64) {
            assert!(!told.contains(secret), "`{secret}` was told to {name}: {told}");
        }
    }
    assert_eq!(tools, 7, "{text}");
    assert!(helpers >= 5, "{text}");
    // The helper is a script, which starts some programs itself. Nothing else is there.
    let known = ["spinreg", "docker-credential-good", "docker-credential-token", "sh", "cat", "env", "grep"];
    for line in text.lines().filter(|line| line.contains("execve(\"") && line.trim_end().ends_with("= 0")) {
        let path = line.split('"').nth(1).expect("a program");
        let name = path.rsplit('/').next().unwrap_or(path);
        assert!(known.contains(&name), "{line}");
    }
}
