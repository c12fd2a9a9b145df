//! `spinreg conformance` and the official suite judge the same registries, a fresh one each, and agree in every verdict, every
//! step and every request.

use serde_json::Value;

use super::page;
use super::steps::{self, Step, hold_fixture};
use super::suite::{self, Results, Verdict};
use crate::support::cli::{Cli, Serving};
use crate::support::judged::EVERYTHING;
use crate::support::peers::{Door, Foreign, Speech};

/// A registry of some make.
enum Judged {
    Own { serving: Box<Serving>, _home: Cli },
    Foreign(Foreign),
}

impl Judged {
    async fn start(name: &str) -> Self {
        match name {
            "spinreg serve" => {
                let cli = Cli::new();
                Self::Own { serving: Box::new(cli.serve_quietly().await), _home: cli }
            }
            #[cfg(target_os = "linux")]
            "olareg" => Self::Foreign(Foreign::olareg(&Speech::Plain).await),
            "crane" => Self::Foreign(Foreign::crane().await),
            name => Self::Foreign(Foreign::distribution(name, Door::Open, &Speech::Plain).await),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Own { serving, .. } => serving.registry().to_owned(),
            Self::Foreign(foreign) => foreign.address().to_string(),
        }
    }
}

/// How much is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// What the suite judges by default.
    Defaults,
    Everything,
}

/// Has both tools judge a registry and compares all that they say; returns the official verdict, our steps and our report.
async fn agree(make: &str, extent: Extent) -> (Verdict, Vec<Step>, Value) {
    let mut variables = vec![("OCI_TLS", "disabled")];
    variables.extend(if extent == Extent::Everything { &EVERYTHING[..] } else { &[] });
    let official = suite::judge(&Judged::start(make).await.name(), &variables).await;

    let registry = Judged::start(make).await;
    let cli = variables.iter().fold(Cli::new(), |cli, (name, value)| cli.env(name, value));
    let file = official.file();
    let file = file.to_str().expect("a path");
    let judging = ["conformance", &registry.name(), "--json", "--results", "own", "--compare", file];
    let run = cli.run(judging).await;
    let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run}"));
    let directory = cli.path("work/own");
    let (own, own_steps) = (Results::read(&directory), steps::steps(&directory));

    assert_eq!(own.verdicts(), official.results.verdicts(), "{make}, {extent:?}");
    assert_eq!((&own.apis, &own.data), (&official.results.apis, &official.results.data), "{make}, {extent:?}");
    assert_eq!(own.settings(), official.results.settings(), "{make}, {extent:?}");
    // The same said by the tool: exit code, JSON and page are those of a comparison.
    assert_eq!((run.code(), &report["compared"]["agrees"]), (Some(0), &Value::Bool(true)), "{make}: {}", run.stderr);
    assert_eq!(report["compared"]["differences"], Value::Array(Vec::new()), "{make}, {extent:?}");

    let [mut ours, mut theirs] = [&own_steps, &official.steps].map(|steps| steps::rows(steps));
    // Some of the official steps come in another order each time.
    ours.sort();
    theirs.sort();
    let differing = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs);
    let told: Vec<_> = differing.take(10).map(|(ours, theirs)| format!("ours     {ours}\nofficial {theirs}")).collect();
    assert!(told.is_empty() && ours.len() == theirs.len(), "{make}, {extent:?}:\n{}", told.join("\n"));
    assert!(theirs.len() > 600, "{make}, {extent:?}: {} steps", theirs.len());
    assert_eq!(report.get("leftovers"), Some(&Value::Array(Vec::new())), "{make}, {extent:?}");

    page::hold_verdicts(make, usize::from(extent == Extent::Everything), &own.verdicts());
    if extent == Extent::Everything {
        page::hold_checks(make, &report);
        page::hold_causes(make, &report);
    }
    (official, own_steps, report)
}

#[tokio::test]
async fn they_agree_on_serve() {
    agree("spinreg serve", Extent::Defaults).await;
    let (official, own, report) = agree("spinreg serve", Extent::Everything).await;
    hold_fixture(&official.steps, &own);
    assert_eq!(report["verdict"], "passed");
    // By default less is judged: that is another verdict, and the tool says so.
    let file = official.file();
    let judging = ["conformance", "--self", "--no-results", "--compare", file.to_str().expect("a path")];
    let run = Cli::new().run(judging).await;
    assert_eq!(run.code(), Some(1), "{run}");
    for label in
        ["Blob upload cancel", "Manifest put with tag params", "Sparse Manifests", "Tag Param", "Tag Param sha512"]
    {
        assert!(run.stdout.lines().any(|line| line.starts_with(&format!("≠ {label} "))), "no `{label}` in {run}");
    }
    assert_eq!(run.stdout.lines().filter(|line| line.starts_with('≠')).count(), 5, "{run}");
}

#[tokio::test]
async fn they_agree_on_docker_registry() {
    agree("docker-registry", Extent::Defaults).await;
}

#[tokio::test]
async fn they_agree_on_docker_registry_in_everything() {
    agree("docker-registry", Extent::Everything).await;
}

#[tokio::test]
async fn they_agree_on_distribution() {
    agree("distribution", Extent::Defaults).await;
}

#[tokio::test]
async fn they_agree_on_distribution_in_everything() {
    agree("distribution", Extent::Everything).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn they_agree_on_olareg() {
    agree("olareg", Extent::Defaults).await;
    agree("olareg", Extent::Everything).await;
}

#[tokio::test]
async fn they_agree_on_crane() {
    agree("crane", Extent::Defaults).await;
    agree("crane", Extent::Everything).await;
}
