//! Copies among registries of other makes, and layouts and archives that other clients write and read.

#[path = "../copy/corpus.rs"]
mod corpus;

use std::path::Path;

use self::corpus::Corpus;
use crate::support::cli::Cli;
use crate::support::peers::{self, Door, Foreign, Speech};
use crate::support::repository::plain;
use crate::support::scenario::{app, pull, push};
use spinreg::Digest;
use spinreg::model::{Algorithm, Reference};
use spinreg::registry::Repository;
use spinreg::store::{Archive, Layout};

async fn copy(cli: &Cli, from: &str, to: &str, flags: &[&str]) -> Digest {
    let printed = cli.run([&["copy", "--quiet", from, to], flags].concat()).await.success();
    let digest = printed.trim_end().rsplit_once('@').expect("a reference with a digest").1;
    digest.parse().expect("a digest")
}

fn repository(reference: &str) -> Repository {
    let reference: Reference = reference.parse().expect("a reference");
    plain().build().expect("options that fit").repository(&reference)
}

async fn distribution(name: &str) -> Foreign {
    Foreign::distribution(name, Door::Open, &Speech::Plain).await
}

/// Runs another client in a home of its own.
async fn run(home: &Path, program: &str, arguments: &[&str]) -> String {
    peers::run(program, arguments, &[("HOME", home), ("DOCKER_CONFIG", home)]).await
}

/// From one make to the next, those without a referrers API among them, and everything is there in the end.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn registries_of_other_makes() {
    let cli = Cli::new();
    let corpus = Corpus::with(&cli.path("work/first"), Algorithm::Sha256).await;
    let registries = [
        Foreign::olareg(&Speech::Plain).await,
        distribution("distribution").await,
        distribution("docker-registry").await,
        Foreign::olareg(&Speech::Plain).await,
    ];
    let mut from = "oci:first:v1".to_owned();
    for registry in &registries {
        for name in ["app", "team/other"] {
            let to = format!("{}/{name}:v1", registry.address());
            assert_eq!(copy(&cli, &from, &to, &["--referrers"]).await, corpus.index);
            corpus.is_at(&repository(&to)).await;
            from = to;
        }
    }
    copy(&cli, &from, "oci-archive:last.tar:v1", &["--referrers"]).await;
    corpus.is_at(&Archive::open(cli.path("work/last.tar")).await.expect("an archive")).await;
}

/// Content that is named by SHA-512, at a registry that takes it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn sha512_at_olareg() {
    let cli = Cli::new();
    let corpus = Corpus::with(&cli.path("work/first"), Algorithm::Sha512).await;
    let registry = Foreign::olareg(&Speech::Plain).await;
    let to = format!("{}/app:v1", registry.address());
    assert_eq!(copy(&cli, "oci:first:v1", &to, &["--referrers"]).await, corpus.index);
    corpus.is_at(&repository(&to)).await;
    copy(&cli, &to, "oci:second:v1", &["--referrers"]).await;
    corpus.is_at(&Layout::open(cli.path("work/second")).await.expect("a layout")).await;
}

/// What we lay out and pack, they push; the digest at the registry is ours.
#[tokio::test]
async fn others_read_our_layouts_and_archives() {
    let cli = Cli::new();
    let home = cli.path("tmp");
    let corpus = Corpus::with(&cli.path("work/first"), Algorithm::Sha256).await;
    let (layout, archive) = (cli.path("work/out"), cli.path("work/out.tar"));
    for to in ["oci:out:v1", "oci-archive:out.tar:v1"] {
        copy(&cli, "oci:first:v1", to, &["--referrers"]).await;
    }
    let (layout, archive) = (format!("{}:v1", layout.display()), format!("{}:v1", archive.display()));
    let registry = distribution("distribution").await;
    let host = registry.address().to_string();
    let by = |who: &str| format!("{host}/by/{who}:v1");

    for (from, who) in [(&layout, "oras"), (&archive, "oras-archive")] {
        run(&home, "oras", &["cp", "-r", "--from-oci-layout", from, "--to-plain-http", &by(who)]).await;
    }
    let plain_host = format!("reg={host},tls=disabled");
    let directory = format!("ocidir://{layout}");
    run(&home, "regctl", &["--host", &plain_host, "image", "copy", &directory, &by("regctl")]).await;
    let file = archive.trim_end_matches(":v1");
    run(&home, "regctl", &["--host", &plain_host, "image", "import", "--name", "v1", &by("regctl-archive"), file])
        .await;
    for who in ["oras", "oras-archive", "regctl", "regctl-archive"] {
        let id = by(who);
        assert_eq!(copy(&cli, &id, &format!("oci:back:{who}"), &[]).await, corpus.index, "{who}");
    }
    // Those that look for referrers find ours.
    let found = run(&home, "oras", &["discover", "--oci-layout", &layout]).await;
    assert!(found.contains("application/x.sbom") && found.contains("application/x.signature-of-sbom"), "{found}");

    // crane takes a layout of one manifest.
    let digest = push(&cli, &app("static-site"), "oci:app:v1", &[]).await;
    copy(&cli, "oci:app:v1", "oci:one:v1", &[]).await;
    run(&home, "crane", &["push", cli.path("work/one").to_str().expect("a path"), &by("crane")]).await;
    assert_eq!(run(&home, "crane", &["digest", &by("crane")]).await.trim(), digest.to_string());
}

/// What they lay out and pack, we copy; the digest is that of the registry.
#[tokio::test]
async fn we_read_layouts_and_archives_of_others() {
    let cli = Cli::new();
    let home = cli.path("tmp");
    let corpus = Corpus::with(&cli.path("work/first"), Algorithm::Sha256).await;
    let registry = distribution("distribution").await;
    let host = registry.address().to_string();
    let from = format!("{host}/app:v1");
    copy(&cli, "oci:first:v1", &from, &["--referrers"]).await;
    let path = |name: &str| cli.path("work").join(name).display().to_string();
    let plain_host = format!("reg={host},tls=disabled");

    let oras = format!("{}:v1", path("oras"));
    run(&home, "oras", &["cp", "-r", "--from-plain-http", &from, "--to-oci-layout", &oras]).await;
    let regctl = format!("ocidir://{}:v1", path("regctl"));
    let flags = ["--host", &plain_host, "image", "copy", "--referrers", "--digest-tags", &from, &regctl];
    run(&home, "regctl", &flags).await;
    run(&home, "regctl", &["--host", &plain_host, "image", "export", &from, &path("regctl.tar")]).await;
    run(&home, "crane", &["pull", "--format", "oci", &from, &path("crane")]).await;

    for (place, referrers) in
        [("oci:oras:v1", true), ("oci:regctl:v1", true), ("oci-archive:regctl.tar:v1", false), ("oci:crane", false)]
    {
        let name = place.trim_start_matches("oci-archive:").trim_start_matches("oci:").replace([':', '.'], "-");
        let to = format!("{host}/back/{name}:v1");
        let flags: &[&str] = if referrers { &["--referrers"] } else { &[] };
        assert_eq!(copy(&cli, place, &to, flags).await, corpus.index, "{place}");
        let repository = repository(&to);
        if referrers {
            let subject = repository.referrers(&corpus.index, None).await.expect("a list");
            assert!(subject.iter().any(|referrer| referrer.digest == corpus.sbom), "{place}: {subject:?}");
            let subject = repository.referrers(&corpus.arm64, None).await.expect("a list");
            let signed = subject.iter().any(|referrer| referrer.digest == corpus.signature_of_arm64);
            assert!(signed, "{place}: {subject:?}");
        } else {
            corpus.is_there(&repository).await;
        }
    }
}

/// A Spin application through layouts and archives of two makes, into the cache. (This skopeo keeps the bytes of manifests
/// and not those of indexes.)
#[tokio::test]
async fn applications_cross_an_air_gap_with_skopeo() {
    let cli = Cli::new();
    let home = cli.path("tmp");
    let registry = distribution("docker-registry").await;
    let reference = format!("{}/app:v1", registry.address());
    let digest = push(&cli, &app("static-site"), &reference, &[]).await;
    let path = |name: &str| cli.path("work").join(name).display().to_string();
    for (transport, ours, theirs) in [("oci", "ours", "theirs"), ("oci-archive", "ours.tar", "theirs.tar")] {
        copy(&cli, &reference, &format!("{transport}:{ours}:v1"), &[]).await;
        let (from, to) = (format!("{transport}:{}:v1", path(ours)), format!("{transport}:{}:v1", path(theirs)));
        run(&home, "skopeo", &["copy", "--preserve-digests", &from, &to]).await;
        let back = format!("{}/back/{ours}:v1", registry.address());
        assert_eq!(copy(&cli, &format!("{transport}:{theirs}:v1"), &back, &[]).await, digest);
        pull(&cli, &back, &[]).await;
        let direct = format!("docker://{}/direct/{ours}:v1", registry.address());
        run(&home, "skopeo", &["copy", "--preserve-digests", "--dest-tls-verify=false", &from, &direct]).await;
        pull(&cli, direct.trim_start_matches("docker://"), &[]).await;
    }
}
