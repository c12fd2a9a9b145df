//! Copies between registries, layout directories and archives: every byte as it is, nothing twice, nothing to the wrong
//! registry.

/// Archives: air gaps, hostile ones, attempts that were killed.
mod archives;
/// Something to copy: an index with referrers of all kinds.
pub(crate) mod corpus;
/// Two registries, and nobody's credentials at the other.
mod credentials;
/// What the tool says, and how it ends.
mod words;

use spinreg::Digest;
use spinreg::model::{Location, Reference};
use spinreg::registry::Repository;
use spinreg::store::{Archive, Layout};

use self::corpus::Corpus;
use crate::support::cli::Cli;
use crate::support::front::Front;
use crate::support::registry::Embedded;
use crate::support::repository::plain;
use crate::support::scenario::{app, pull, push};
use crate::support::wire::{compare, settled};

/// Copies, and returns the digest that the tool names.
async fn copy(cli: &Cli, from: &str, to: &str, flags: &[&str]) -> Digest {
    let printed = cli.run([&["copy", "--quiet", from, to], flags].concat()).await.success();
    let digest = printed.trim_end().rsplit_once('@').map(|(_, digest)| digest.parse());
    digest.unwrap_or_else(|| panic!("no reference with a digest: {printed}")).expect("a digest")
}

/// Opens a repository as a stranger does.
fn repository(reference: &str) -> Repository {
    let reference: Reference = reference.parse().expect("a reference");
    plain().build().expect("options that fit").repository(&reference)
}

/// Holds what is at `location` to the corpus.
async fn holds(location: &str, corpus: &Corpus, cli: &Cli) {
    match location.parse().expect("a location") {
        Location::Layout { path, .. } => {
            corpus.is_at(&Layout::open(cli.path("work").join(path)).await.expect("a layout")).await;
        }
        Location::Archive { path, .. } => {
            corpus.is_at(&Archive::open(cli.path("work").join(path)).await.expect("an archive")).await;
        }
        Location::Registry(_) => corpus.is_at(&repository(location)).await,
    }
}

#[tokio::test]
async fn digests_are_equal_whatever_the_way() {
    let cli = Cli::new();
    let corpus = Corpus::at(&cli.path("work/first")).await;
    let (a, b) = (Embedded::start().await, Embedded::start().await);
    let ends = [
        "oci:first:v1".to_owned(),
        a.reference("app:v1"),
        b.reference("mirror/app:v1"),
        "oci-archive:carried.tar:v1".to_owned(),
        "oci-archive:copied.tar:v1".to_owned(),
        "oci:second:v1".to_owned(),
        a.reference("back:v1"),
        "oci-archive:again.tar:v1".to_owned(),
        b.reference("back:v1"),
        "oci:third:v1".to_owned(),
        "oci:fourth:v1".to_owned(),
    ];
    for pair in ends.windows(2) {
        assert_eq!(copy(&cli, &pair[0], &pair[1], &["--referrers"]).await, corpus.index, "{pair:?}");
        holds(&pair[1], &corpus, &cli).await;
    }
}

#[tokio::test]
async fn without_referrers_they_stay() {
    let cli = Cli::new();
    let corpus = Corpus::at(&cli.path("work/first")).await;
    let registry = Embedded::start().await;
    copy(&cli, "oci:first:v1", &registry.reference("app:v1"), &[]).await;
    let repository = repository(&registry.reference("app"));
    corpus.is_there_alone(&repository).await;
    // And follow when they are asked for, without anything that is there.
    registry.wire().take();
    copy(&cli, "oci:first:v1", &registry.reference("app:v1"), &["--referrers"]).await;
    holds(&registry.reference("app:v1"), &corpus, &cli).await;
    let wire = registry.wire().take();
    assert!(!wire.iter().any(|line| line.contains("/manifests/v1") && line.starts_with("PUT")), "{wire:#?}");
}

#[tokio::test]
async fn one_platform_is_one_manifest() {
    let cli = Cli::new();
    let corpus = Corpus::at(&cli.path("work/first")).await;
    for to in ["oci:one:v1", "oci-archive:one.tar:v1"] {
        assert_eq!(copy(&cli, "oci:first:v1", to, &["--platform", "linux/arm64"]).await, corpus.arm64);
    }
    let complaint = cli.run(["copy", "oci:first:v1", "oci:two", "--platform", "linux/s390x"]).await.failure(3);
    assert!(complaint.contains("linux/s390x (the index `v1` serves linux/amd64, linux/arm64)"), "{complaint}");
    assert!(!complaint.contains("application"), "{complaint}");
}

/// The signature of one platform's manifest comes along with that manifest.
#[tokio::test]
async fn one_platform_has_its_own_referrers() {
    let cli = Cli::new();
    let corpus = Corpus::at(&cli.path("work/first")).await;
    let flags = ["--platform", "linux/arm64", "--referrers"];
    copy(&cli, "oci:first:v1", "oci:one:v1", &flags).await;
    let layout = Layout::open(cli.path("work/one")).await.expect("a layout");
    let listed: Vec<Digest> =
        layout.manifests().await.expect("an index").iter().map(|manifest| manifest.digest).collect();
    assert!(listed.contains(&corpus.signature_of_arm64) && !listed.contains(&corpus.sbom), "{listed:?}");
}

#[tokio::test]
async fn tags_are_copied_by_pattern() {
    let cli = Cli::new();
    let corpus = Corpus::at(&cli.path("work/first")).await;
    for tag in ["v1.1", "v2", "latest"] {
        copy(&cli, "oci:first:v1", &format!("oci:first:{tag}"), &[]).await;
    }
    let registry = Embedded::start().await;
    let to = registry.reference("app");
    let tags = async || {
        let layout = Layout::open(registry.root().join("app")).await;
        let tags = layout.expect("a layout").tags().await.expect("an index");
        tags.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let printed = cli.run(["copy", "--tags", "v1*", "--tags", "la?est", "oci:first", &to]).await.success();
    assert_eq!(tags().await, ["latest", "v1", "v1.1"]);
    let expected = ["latest", "v1", "v1.1"].map(|tag| format!("Copied to {to}:{tag} with digest {}\n", corpus.index));
    assert_eq!(printed, expected.concat());
    cli.run(["copy", "--all-tags", "oci:first", &to]).await.success();
    // The list of referrers is written by whoever keeps it, not copied as if it were an image.
    assert_eq!(tags().await, ["latest", &corpus.cosign_tag(), "v1", "v1.1", "v2"]);
    let complaint = cli.run(["copy", "--tags", "x*", "oci:first", &to]).await.failure(3);
    assert!(complaint.contains("a tag that matches `x*` was not found"), "{complaint}");
}

#[tokio::test]
async fn applications_cross_an_air_gap() {
    let cli = Cli::new();
    let (inside, outside) = (Embedded::start().await, Embedded::start().await);
    let digest = push(&cli, &app("static-site"), &outside.reference("app:v1"), &[]).await;
    assert_eq!(copy(&cli, &outside.reference("app:v1"), "oci-archive:app.tar:v1", &[]).await, digest);
    std::fs::rename(cli.path("work/app.tar"), cli.path("tmp/app.tar")).expect("it is carried");
    let carried = format!("oci-archive:{}:v1", cli.path("tmp/app.tar").display());
    assert_eq!(copy(&cli, &carried, &inside.reference("app:v1"), &[]).await, digest);
    pull(&cli, &inside.reference("app:v1"), &[]).await;
    // And without a registry at all.
    pull(&cli, &carried, &["--cache-dir", "other"]).await;
    let pushed = cli.run(["push", "-q", "-f", &app("static-site"), "oci-archive:pushed.tar:v1"]).await.success();
    assert_eq!(pushed, format!("oci-archive:pushed.tar@{digest}\n"));
}

/// The wire cost, pinned: cold, unchanged, by another tag, and within one registry.
#[tokio::test]
async fn requests_are_those_we_promise() {
    let cli = Cli::new();
    let (a, b) = (Embedded::start().await, Embedded::start().await);
    let (source, target) = (Front::before(a.address()).start().await, Front::before(b.address()).start().await);
    let (from, to) = (format!("{}/app:v1", source.registry()), format!("{}/copy:v1", target.registry()));
    push(&cli, &app("static-site"), &from, &[]).await;
    let both = || {
        let marked = |wire: Vec<String>, mark| wire.into_iter().map(move |line| format!("{mark} {line}"));
        let (from, to) = (settled(source.wire().take()), settled(target.wire().take()));
        marked(from, "from").chain(marked(to, "to")).collect::<Vec<_>>()
    };
    both();
    copy(&cli, &from, &to, &[]).await;
    compare("copy-cold", &both());
    copy(&cli, &from, &to, &[]).await;
    compare("copy-unchanged", &both());
    copy(&cli, &from, &format!("{}/copy:v2", target.registry()), &[]).await;
    compare("copy-new-tag", &both());
    copy(&cli, &from, &format!("{}/other:v1", source.registry()), &[]).await;
    compare("copy-mounted", &both());
    copy(&cli, &from, "oci:out:v1", &[]).await;
    both();
    copy(&cli, &from, "oci:out:v1", &[]).await;
    copy(&cli, "oci:out:v1", &to, &[]).await;
    compare("copy-layout-unchanged", &both());
}

/// What a dry run counts is what the real one sends.
#[tokio::test]
async fn a_dry_run_tells_the_future() {
    let cli = Cli::new();
    let corpus = Corpus::at(&cli.path("work/first")).await;
    let (a, b) = (Embedded::start().await, Embedded::start().await);
    copy(&cli, "oci:first:v1", &a.reference("app:v1"), &["--referrers"]).await;
    for (to, flags) in [
        (b.reference("app:v1"), &["--referrers"][..]),
        (b.reference("app:v1"), &[]),
        (b.reference("app:v2"), &[]),
        (a.reference("mounted:v1"), &["--referrers"]),
        ("oci-archive:new.tar:v1".to_owned(), &[]),
        ("oci:new:v1".to_owned(), &["--referrers"]),
    ] {
        let from = a.reference("app:v1");
        let before = crate::support::files_below(&cli.path("work"));
        let plan = [&["copy", "--dry-run", "--json", &from, &to], flags].concat();
        let plan = cli.run(plan).await.success();
        let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
        assert_eq!(crate::support::files_below(&cli.path("work")), before, "a dry run made something");
        assert_eq!(plan["copies"][0]["digest"], corpus.index.to_string());
        a.wire().take();
        b.wire().take();
        let done = cli.run([&["copy", "--json", &from, &to], flags].concat()).await.success();
        let done: serde_json::Value = serde_json::from_str(&done).expect("JSON");
        for key in ["manifests", "blobs", "bytes", "copies", "dangling"] {
            assert_eq!(plan[key], done[key], "{key} of {to}");
        }
        let foreseen = |side: &str| plan["requests"][side].as_u64().expect("a number");
        let sent = a.wire().take().len() + b.wire().take().len();
        assert_eq!(foreseen("from") + foreseen("to"), sent as u64, "{to} {flags:?}");
    }
}
