//! Other clients against our registry: they log in, get tokens, push and pull.

use spinreg::Digest;

use crate::support::cli::Cli;
use crate::support::peers;
use crate::support::scenario::{app, push};

const USER: &str = "ada";
const PASSWORD: &str = "correct horse";

/// Starts `spinreg serve` for one user of one team.
async fn serve(cli: &Cli, auth: &str) -> crate::support::cli::Serving {
    let rules = cli.path("data/rules.toml");
    let rule = "[[rule]]\nwho = [\"ada\"]\nrepositories = [\"team/*\"]\nallow = [\"pull\", \"push\", \"delete\"]\n";
    std::fs::write(&rules, rule).expect("a file in a temporary directory");
    let users = crate::support::root("fixtures/htpasswd");
    let [users, rules] = [&users, &rules].map(|path| path.to_str().expect("a path"));
    cli.serve_with(&["--htpasswd", users, "--access", rules, "--auth", auth]).await
}

/// crane asks for tokens with the scopes of the challenge, and for those of a mount.
#[tokio::test]
async fn crane_gets_its_tokens_from_us() {
    let cli = Cli::new().secret(PASSWORD);
    let serving = serve(&cli, "token").await;
    let registry = serving.registry();
    let layout = cli.path("tmp/layout");
    let digest = push(&cli, &app("static-site"), &format!("oci:{}:v1", layout.display()), &[]).await;
    let config = tempfile::tempdir().expect("a temporary directory");
    let environment = [("DOCKER_CONFIG", config.path())];
    let crane = async |arguments: &[&str]| peers::run("crane", arguments, &environment).await;
    crane(&["auth", "login", registry, "-u", USER, "-p", PASSWORD]).await;
    let (first, second) = (format!("{registry}/team/app:v1"), format!("{registry}/team/other:v1"));
    crane(&["push", layout.to_str().expect("a path"), &first]).await;
    crane(&["copy", &first, &second]).await;
    let manifest = crane(&["manifest", &second]).await;
    assert_eq!(Digest::of(manifest.as_bytes()), digest);
    crane(&["validate", "--remote", &second]).await;
    assert_eq!(crane(&["ls", &format!("{registry}/team/app")]).await, "v1\n");
    crane(&["delete", &second]).await;
    let lines = serving.said().lines();
    assert!(lines.iter().any(|line| line.starts_with("GET /token?") && line.ends_with(" 200")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("mount=") && line.ends_with(" 201")), "{lines:#?}");
}

/// skopeo shows the password with each request.
#[tokio::test]
async fn skopeo_logs_in_with_a_password() {
    let cli = Cli::new().secret(PASSWORD);
    let serving = serve(&cli, "basic").await;
    let layout = format!("oci:{}:v1", cli.path("tmp/layout").display());
    let digest = push(&cli, &app("static-site"), &layout, &[]).await;
    let target = format!("docker://{}/team/app:v1", serving.registry());
    let account = format!("{USER}:{PASSWORD}");
    let copy = ["copy", "--preserve-digests", "--dest-tls-verify=false", "--dest-creds", &account, &layout, &target];
    peers::run("skopeo", &copy, &[]).await;
    let inspect = ["inspect", "--tls-verify=false", "--creds", &account, "--raw", &target];
    assert_eq!(Digest::of(peers::run("skopeo", &inspect, &[]).await.as_bytes()), digest);
}
