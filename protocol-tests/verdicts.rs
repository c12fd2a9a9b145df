//! `spinreg conformance`: what it prints, what it writes, and how it ends.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::support::cli::{Cli, Run};
use crate::support::front::{Front, Fronted, Meddle};
use crate::support::guard::Guard;
use crate::support::listen::closed_port;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::tls::Authority;

const PASSWORD: &str = "correct horse battery";
/// Some steps that need no others.
const FILTER: &str = "sha256 blobs/post only";

/// Judges these steps alone.
async fn judge(cli: &Cli, registry: &str, flags: &[&str]) -> Run {
    cli.run([&["conformance", registry, "--filter", FILTER], flags].concat()).await
}

/// A registry that fails to give blobs.
async fn broken(registry: &Embedded) -> Fronted {
    let refusal = Reply::refusal(500, "UNKNOWN", "</pre>\u{1b}[2J");
    let meddling = vec![Meddle::Instead(refusal); 50];
    Front::before(registry.address()).meddle("GET /v2/*/blobs/sha256:*", meddling).start().await
}

fn read(cli: &Cli, path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(cli.path("work").join(path)).expect("a file of the results")
}

#[track_caller]
fn assert_ends(run: &Run, code: i32, said: &str) {
    assert_eq!(run.code(), Some(code), "{run}");
    assert!(run.stderr.contains(said), "no `{said}` in {run}");
}

#[tokio::test]
async fn a_registry_that_passes_ends_with_0_and_leaves_three_files() {
    let registry = Embedded::start().await;
    let cli = Cli::new();
    let page = judge(&cli, &registry.address().to_string(), &[]).await.success();
    assert!(page.starts_with(&format!("{}: passed. ", registry.address())), "{page}");
    assert!(page.contains("\nBlob post only                  Pass      Pass"), "{page}");
    let results = read(&cli, "results/results.yaml");
    assert!(results.contains("\napis:\n") && results.contains("Blob post only: Pass\n"), "{results}");
    let junit = read(&cli, "results/junit.xml");
    let junit = roxmltree::Document::parse(&junit).expect("XML");
    let name = "OCI Conformance Test/sha256 blobs/post only/blob-post-only";
    assert!(junit.descendants().any(|node| node.attribute("name") == Some(name)), "{name}");
    assert!(read(&cli, "results/report.html").ends_with("</html>\n"));
    let quiet = judge(&cli, &registry.address().to_string(), &["-q", "--no-results"]).await;
    assert!(quiet.stderr.is_empty(), "{quiet}");
    assert_eq!(quiet.success().lines().count(), 1);
}

#[tokio::test]
async fn a_registry_that_fails_ends_with_1_and_shows_how_to_see_it_again() {
    let registry = Embedded::start().await;
    let front = broken(&registry).await;
    let cli = Cli::new();
    let run = judge(&cli, &front.registry(), &["--seed", "7"]).await;
    assert_ends(&run, 1, &format!("error: `{}` does not conform\n\nhint: `./results/report.html`", front.registry()));
    assert!(!run.stdout.contains('\u{1b}'), "{run}");
    let push = format!(" 'http://{}/v2/conformance/repo1/blobs/uploads/?digest=sha256%3A", front.registry());
    let lines: Vec<&str> = run.stdout.lines().map(str::trim_start).collect();
    let get =
        lines.iter().position(|line| *line == "curl -sSgi \"$at1\"").unwrap_or_else(|| panic!("no `GET` in {run}"));
    assert!(lines[get - 1].starts_with("at1=") && lines[get - 1].contains(&push), "no `{push}` in {run}");
    assert!(run.stdout.contains("\nwith `--seed 7` the content is the same again\n"), "{run}");
    let junit = read(&cli, "results/junit.xml");
    let junit = roxmltree::Document::parse(&junit).expect("XML");
    assert!(junit.descendants().any(|node| node.has_tag_name("failure")));

    let front = broken(&registry).await;
    let run = judge(&cli, &front.registry(), &["--json", "--no-results"]).await;
    let json: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((&json["schema"], &json["verdict"]), (&1.into(), &"failed".into()));
    assert_eq!(json["apis"]["Blob post only"], "FAIL");
}

#[tokio::test]
async fn runs_are_measured_by_others() {
    let registry = Embedded::start().await;
    let cli = Cli::new();
    let good = registry.address().to_string();
    judge(&cli, &good, &["--results", "good"]).await.success();
    let front = broken(&registry).await;
    let run = judge(&cli, &front.registry(), &["--results", "bad", "--json"]).await;
    assert_eq!(run.code(), Some(1), "{run}");
    std::fs::write(cli.path("work/bad.json"), run.stdout).expect("a file in a temporary directory");

    let run = judge(&cli, &good, &["--compare", "good/results.yaml"]).await;
    assert!(run.stdout.contains("\nCompared with good/results.yaml: every verdict is the same\n"), "{run}");
    assert_eq!(run.code(), Some(0), "{run}");
    let run = judge(&cli, &good, &["--compare", "bad/results.yaml"]).await;
    assert_ends(&run, 1, "differ");
    assert!(run.stdout.lines().any(|line| line.starts_with("≠ Blob post only ")), "{run}");

    for baseline in ["bad/results.yaml", "bad.json"] {
        let front = broken(&registry).await;
        let run = judge(&cli, &front.registry(), &["--baseline", baseline]).await;
        assert!(run.stdout.contains(&format!("\nMeasured by {baseline}: no regressions\n")), "{run}");
        assert_eq!(run.code(), Some(0), "what failed before may fail: {run}");
    }
    let front = broken(&registry).await;
    let run = judge(&cli, &front.registry(), &["--baseline", "good/results.yaml"]).await;
    assert_ends(&run, 1, "got worse since `good/results.yaml`");
    assert!(run.stdout.contains("  Blob post only (api): FAIL, and was Pass\n"), "{run}");
}

#[tokio::test]
async fn what_keeps_a_run_from_being_made_ends_with_2() {
    let registry = Embedded::start().await;
    let name = registry.address().to_string();
    let cli = Cli::new();
    std::fs::write(cli.path("work/taken"), "").expect("a file in a temporary directory");
    std::fs::write(cli.path("work/empty.yaml"), "config: {}\n").expect("a file in a temporary directory");
    std::fs::write(cli.path("work/wrong.yaml"), "apis:\n  ping: maybe\n").expect("a file in a temporary directory");
    let nobody = closed_port().await.to_string();
    for (flags, said) in [
        (vec![nobody.as_str()], "hint: check that a registry listens at"),
        (vec![&name, "--results", "taken/results"], "taken/results"),
        (vec![&name, "--compare", "nowhere.yaml"], "nowhere.yaml"),
        (vec![&name, "--baseline", "empty.yaml"], "`empty.yaml` has no verdicts"),
        (vec![&name, "--filter", "nothing like this"], "nothing was judged"),
        (vec!["http://"], "expects a host"),
        (vec![&name, "--timeout", "0s"], "nothing happens in no time"),
    ] {
        let run = cli.run([&["conformance"], &flags[..]].concat()).await;
        assert_ends(&run, 2, said);
    }
    let cli = cli.env("OCI_CONFIGURATION", "wrong.yaml");
    assert_ends(&judge(&cli, &name, &[]).await, 2, "wrong.yaml:2:9: `apis.ping` is `maybe`");
    let cli = Cli::new().env("OCI_VERSION", "3");
    assert_ends(&judge(&cli, &name, &[]).await, 2, "`OCI_VERSION` is `3`");
    assert_eq!(judge(&cli, &name, &["--version", "dev"]).await.code(), Some(0), "a flag goes before the variable");
}

#[tokio::test]
async fn credentials_come_from_flags_the_suite_or_a_login_and_show_nowhere() {
    for guard in [Guard::basic("ada", PASSWORD), Guard::bearer("ada", PASSWORD)] {
        let registry = Embedded::start().await;
        let front = Front::before(registry.address()).guarded(&guard).start().await;
        let name = front.registry();
        let flags = ["conformance", &name, "--filter", FILTER, "-u", "ada", "--password-stdin"];
        let cli = Cli::new().secret(PASSWORD);
        let run = cli.run_with_input(flags, PASSWORD).await;
        assert!(run.stderr.contains("as `ada`, from the command line"), "{run}");
        assert_eq!(run.code(), Some(0), "{run}");
        let cli = Cli::new().secret(PASSWORD).env("OCI_USERNAME", "ada").env("OCI_PASSWORD", PASSWORD);
        assert_eq!(judge(&cli, &name, &[]).await.code(), Some(0));
        for file in ["results.yaml", "junit.xml", "report.html"] {
            assert!(!read(&cli, Path::new("results").join(file)).contains(PASSWORD), "{file}");
        }
        let cli = Cli::new().secret(PASSWORD);
        cli.run_with_input(["login", &name, "-u", "ada", "--password-stdin"], PASSWORD).await.success();
        assert_eq!(judge(&cli, &name, &[]).await.code(), Some(0));
        let run = judge(&Cli::new(), &name, &[]).await;
        assert_ends(&run, 1, "does not conform");
    }
}

#[tokio::test]
async fn the_suites_own_settings_say_where_and_how() {
    let registry = Embedded::start().await;
    let authority = Authority::new();
    let front = Front::before(registry.address()).start_tls(&authority).await;
    let name = front.registry();
    let cli = Cli::new().env("OCI_TLS", "insecure");
    assert_eq!(judge(&cli, &format!("{name}/ada/app"), &[]).await.code(), Some(0), "any certificate will do");
    assert!(front.wire().lines().iter().any(|line| line.contains("/v2/ada/app/")), "{:?}", front.wire().lines());
    assert!(read(&cli, "results/results.yaml").contains("tls: insecure"));
    let ca = authority.file();
    let run = judge(&Cli::new(), &name, &["--ca-file", ca.to_str().expect("a path")]).await;
    assert_eq!(run.code(), Some(0), "{run}");
    assert_ends(&judge(&Cli::new(), &name, &[]).await, 2, "--ca-file");
}

#[tokio::test]
async fn a_read_only_run_changes_nothing() {
    let registry = Embedded::start().await;
    let cli = Cli::new();
    let reference = registry.reference("app:v1");
    crate::support::scenario::push(&cli, &crate::support::scenario::app("static-site"), &reference, &[]).await;
    registry.wire().take();
    let flags = ["conformance", &registry.reference("app"), "--read-only", "--tag", "v1", "--no-results"];
    let page = cli.run(flags).await.success();
    assert!(page.contains("\nRead Only Inputs                Pass\n"), "{page}");
    let lines = registry.wire().take();
    assert!(lines.iter().any(|line| line == "GET /v2/app/manifests/v1 200"), "{lines:#?}");
    let changing = lines.iter().find(|line| !line.starts_with("GET ") && !line.starts_with("HEAD "));
    assert_eq!(changing, None, "{lines:#?}");
}

#[tokio::test]
async fn our_own_registry_passes_everything() {
    let cli = Cli::new().env("OCI_DATA_SPARSE", "true");
    let run = cli.run(["conformance", "--self", "--version", "dev", "--json", "--results", "own"]).await;
    let json: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let words = |key: &str| -> Vec<String> {
        let all = json[key].as_object().expect("a map");
        all.iter().filter(|(_, word)| *word != "Pass").map(|(label, word)| format!("{label}: {word}")).collect()
    };
    assert_eq!((words("apis"), words("data")), (Vec::new(), Vec::new()));
    assert_eq!(run.code(), Some(0), "{}", run.stderr);
    let left: Vec<_> = std::fs::read_dir(cli.path("tmp")).expect("a directory").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_registry_that_stalls_is_waited_for_as_long_as_was_said() {
    let registry = Embedded::start().await;
    let stalls = [Meddle::Hold(Arc::default())];
    let front = Front::before(registry.address()).meddle("GET /v2/conformance/repo1/blobs/*", stalls).start().await;
    let run = judge(&Cli::new(), &front.registry(), &["--timeout", "1s"]).await;
    assert_eq!(run.code(), Some(1), "{run}");
    assert!(run.stdout.contains("no answer within 1 s"), "{run}");
}
