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
    /// Starts it; our own with these flags.
    async fn start(name: &str, flags: &[&str]) -> Self {
        match name {
            "spinreg serve" => {
                let cli = Cli::new();
                let serving = cli.serve_with(&[&["-q"], flags].concat()).await;
                Self::Own { serving: Box::new(serving), _home: cli }
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

/// What both tools said of one registry.
struct Agreed {
    official: Verdict,
    own: Results,
    own_steps: Vec<Step>,
    /// Our JSON.
    report: Value,
}

/// Has both tools judge a registry, and compares all that they say.
async fn agree(make: &str, flags: &[&str], extent: Extent) -> Agreed {
    let mut variables = vec![("OCI_TLS", "disabled")];
    variables.extend(if extent == Extent::Everything { &EVERYTHING[..] } else { &[] });
    let official = suite::judge(&Judged::start(make, flags).await.name(), &variables).await;

    let registry = Judged::start(make, flags).await;
    let cli = variables.iter().fold(Cli::new(), |cli, (name, value)| cli.env(name, value));
    let file = official.file();
    let file = file.to_str().expect("a path");
    let judging = ["conformance", &registry.name(), "--json", "--results", "own", "--compare", file];
    let run = cli.run(judging).await;
    let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run}"));
    let directory = cli.path("work/own");
    let (own, own_steps) = (Results::read(&directory), steps::steps(&directory));

    let place = format!("{make} {flags:?}, {extent:?}");
    assert_eq!((&own.apis, &own.data), (&official.results.apis, &official.results.data), "{place}");
    assert_eq!(own.settings(), official.results.settings(), "{place}");
    // The same said by the tool: exit code and JSON are those of a comparison.
    assert_eq!((run.code(), &report["compared"]["agrees"]), (Some(0), &Value::Bool(true)), "{place}: {}", run.stderr);
    assert_eq!(report["compared"]["differences"], Value::Array(Vec::new()), "{place}");

    let [mut ours, mut theirs] = [&own_steps, &official.steps].map(|steps| steps::rows(steps));
    // Some of the official steps come in another order each time.
    ours.sort();
    theirs.sort();
    let differing = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs);
    let told: Vec<_> = differing.take(10).map(|(ours, theirs)| format!("ours     {ours}\nofficial {theirs}")).collect();
    assert!(told.is_empty() && ours.len() == theirs.len(), "{place}:\n{}", told.join("\n"));
    assert!(theirs.len() > 600, "{place}: {} steps", theirs.len());
    Agreed { official, own, own_steps, report }
}

/// The same, and holds the docs to what was said.
async fn hold(make: &str, extent: Extent) -> Agreed {
    let agreed = agree(make, &[], extent).await;
    assert_eq!(agreed.report["leftovers"], Value::Array(Vec::new()), "{make}, {extent:?}");
    page::hold_verdicts(make, usize::from(extent == Extent::Everything), &agreed.own.verdicts());
    if extent == Extent::Everything {
        page::hold_checks(make, &agreed.report);
        page::hold_causes(make, &agreed.report);
    }
    agreed
}

#[tokio::test]
async fn they_agree_on_serve() {
    hold("spinreg serve", Extent::Defaults).await;
    let Agreed { official, own_steps, report, .. } = hold("spinreg serve", Extent::Everything).await;
    hold_fixture(&official.steps, &own_steps);
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
    hold("docker-registry", Extent::Defaults).await;
}

#[tokio::test]
async fn they_agree_on_docker_registry_in_everything() {
    hold("docker-registry", Extent::Everything).await;
}

#[tokio::test]
async fn they_agree_on_distribution() {
    hold("distribution", Extent::Defaults).await;
}

#[tokio::test]
async fn they_agree_on_distribution_in_everything() {
    hold("distribution", Extent::Everything).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn they_agree_on_olareg() {
    hold("olareg", Extent::Defaults).await;
    hold("olareg", Extent::Everything).await;
}

#[tokio::test]
async fn they_agree_on_crane() {
    hold("crane", Extent::Defaults).await;
    hold("crane", Extent::Everything).await;
}

/// In each of these ways another part of the steps fails, or nobody but the precise checks sees it.
#[tokio::test]
async fn they_agree_on_registries_that_misbehave() {
    for fault in [
        "sha256-only",
        "referrers-page=1",
        "status=400,when=416,method=PATCH",
        "corrupt=7,method=GET,path=*/blobs/*,when=200",
        "status=405,method=DELETE",
        "delete-nothing",
        "close,path=*/blobs/uploads/*,method=PUT",
    ] {
        agree("spinreg serve", &["--fault", fault], Extent::Everything).await;
    }
}
