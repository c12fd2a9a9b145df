//! What `docs/conformance.md` says that the official tool does otherwise: it does.

use std::path::Path;
use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::support::cli::{Cli, Run};
use crate::support::peers::program;
use crate::support::tls::Authority;

/// Runs the official tool with these settings, in this directory.
async fn official(directory: &Path, settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program("conformance"));
    command.env_clear().current_dir(directory).envs(settings.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    command.output().await.expect("the peer starts")
}

/// Runs ours with the same.
async fn ours(settings: &[(&str, &str)]) -> (Cli, Run) {
    let cli = settings.iter().fold(Cli::new(), |cli, (name, value)| cli.env(name, value));
    let run = cli.run(["conformance"]).await;
    (cli, run)
}

/// Returns how many bytes of results there are.
fn written(directory: &Path) -> u64 {
    directory.join("results/results.yaml").metadata().map_or(0, |file| file.len())
}

#[tokio::test]
async fn settings_that_make_no_sense_end_with_0_there_and_with_2_here() {
    for wrong in [("OCI_VERSION", "7"), ("OCI_API_PING", "perhaps"), ("OCI_RESULTS_DIR", "/dev/null/results")] {
        let home = Cli::new();
        let serving = home.serve_quietly().await;
        let settings = [("OCI_REGISTRY", serving.registry()), ("OCI_TLS", "disabled"), wrong];
        let room = tempfile::tempdir().expect("a temporary directory");
        let output = official(room.path(), &settings).await;
        assert_eq!((output.status.code(), written(room.path())), (Some(0), 0), "{wrong:?}: {output:?}");
        let (_, run) = ours(&settings).await;
        assert_eq!(run.code(), Some(2), "{wrong:?}: {run}");
    }
}

#[tokio::test]
async fn less_than_everything_comes_to_nothing_there_and_works_here() {
    for less in [("OCI_FILTER_TEST", "sha256 blobs/post only"), ("OCI_API_PUSH", "false")] {
        let home = Cli::new();
        let serving = home.serve_quietly().await;
        let settings = [("OCI_REGISTRY", serving.registry()), ("OCI_TLS", "disabled"), less];
        let room = tempfile::tempdir().expect("a temporary directory");
        official(room.path(), &settings).await;
        assert_eq!(written(room.path()), 0, "{less:?}");
        let (cli, run) = ours(&settings).await;
        assert_eq!(run.code(), Some(0), "{less:?}: {run}");
        assert!(written(&cli.path("work")) > 0, "{less:?}");
    }
}

#[tokio::test]
async fn certificates_are_verified_there_whatever_is_said() {
    let authority = Authority::new();
    let (certificate, key) = authority.server_files();
    let home = Cli::new();
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().expect("a path"));
    let serving = home.serve_with(&["-q", "--tls-cert", certificate, "--tls-key", key]).await;
    let registry = format!("localhost:{}", serving.port());
    let settings = [("OCI_REGISTRY", registry.as_str()), ("OCI_TLS", "insecure")];
    let room = tempfile::tempdir().expect("a temporary directory");
    let output = official(room.path(), &settings).await;
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(1) && printed.contains("failed to verify certificate"), "{}", output.status);
    let junit = std::fs::read_to_string(room.path().join("results/junit.xml")).expect("a file of the results");
    assert!(junit.contains("status=\"failure\"") && !junit.contains("<failure"), "its failures have elements");
    let (_, run) = ours(&settings).await;
    assert_eq!(run.code(), Some(0), "{run}");
}
