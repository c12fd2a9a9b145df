//! What `copy` says, and how it ends.

use spinreg::Digest;

use super::corpus::Corpus;
use super::{copy, holds};
use crate::support::cli::Cli;
use crate::support::front::{Front, Meddle};
use crate::support::registry::Embedded;
use crate::support::reply::{End, Reply};

#[tokio::test]
async fn results_for_people_and_for_programs() {
    let cli = Cli::new();
    let corpus = Corpus::at(&cli.path("work/first")).await;
    let digest = corpus.index;
    let printed = cli.run(["copy", "oci:first:v1", "oci:out:v1", "--digest-file", "digest"]).await.success();
    assert_eq!(printed, format!("Copied with digest {digest}\n"));
    assert_eq!(std::fs::read_to_string(cli.path("work/digest")).expect("a file"), format!("{digest}\n"));
    let printed = cli.run(["copy", "-q", "oci:first:v1", "oci-archive:out.tar"]).await.success();
    assert_eq!(printed, format!("oci-archive:out.tar@{digest}\n"));

    let json = cli.run(["copy", "--json", "oci:first:v1", "oci:json:v2"]).await.success();
    let size = std::fs::metadata(cli.path("work/first/blobs/sha256").join(digest.hex())).expect("a blob").len();
    let expected = format!(
        r#"{{
  "schema": 1,
  "dry_run": false,
  "from": "oci:first:v1",
  "to": "oci:json:v2",
  "copies": [
    {{
      "from": "oci:first:v1",
      "to": "oci:json:v2",
      "tag": "v2",
      "digest": "{digest}",
      "media_type": "application/vnd.oci.image.index.v1+json",
      "size": {size},
      "changed": true
    }}
  ],
  "manifests": 3,
  "blobs": {{
    "sent": 6,
    "mounted": 0,
    "existing": 0
  }},
  "bytes": 210030,
  "dangling": []
}}
"#
    );
    assert_eq!(json, expected);
    let again = cli.run(["copy", "--json", "oci:first:v1", "oci:json:v2"]).await.success();
    let again: serde_json::Value = serde_json::from_str(&again).expect("JSON");
    assert_eq!((&again["copies"][0]["changed"], &again["manifests"]), (&false.into(), &0.into()));

    let plan = cli.run(["copy", "--dry-run", "oci:first:v1", "oci:plan:v1"]).await.success();
    let lines: Vec<&str> = plan.lines().collect();
    assert_eq!(lines[0], format!("Would copy to oci:plan:v1 with digest {digest}"));
    assert_eq!(lines.iter().filter(|line| line.starts_with("  send sha")).count(), 6, "{plan}");
    assert!(plan.contains(&format!("  manifest {digest}, ")) && plan.contains(", tag `v1`\n"), "{plan}");
    assert!(plan.ends_with("blobs: 6 to send, 205.11 KiB; 0 to mount; 0 there already\nmanifests: 3\n"), "{plan}");
}

#[tokio::test]
async fn a_digest_is_a_target() {
    let cli = Cli::new();
    let corpus = Corpus::at(&cli.path("work/first")).await;
    let registry = Embedded::start().await;
    let to = registry.reference(&format!("app@{}", corpus.index));
    assert_eq!(copy(&cli, "oci:first:v1", &to, &[]).await, corpus.index);
    corpus.is_there_alone(&super::repository(&to)).await;
    assert_eq!(registry.wire().count("PUT /v2/app/manifests/v1"), 0);
    for target in [to, registry.reference(&format!("app:v1@{}", corpus.index)), format!("oci:out@{}", corpus.index)] {
        let complaint = cli.run(["copy", "oci:first:v1", &target, "--platform", "linux/arm64"]).await.failure(2);
        assert!(complaint.contains(&format!("and what is copied has `{}`", corpus.arm64)), "{complaint}");
    }
    let target = format!("oci:out@{}", corpus.index);
    let complaint = cli.run(["copy", "--all-tags", "oci:first", &target]).await.failure(2);
    assert!(complaint.contains("several tags are to be copied"), "{complaint}");
}

#[tokio::test]
async fn failures_tell_the_end_and_the_next_step() {
    let cli = Cli::new();
    Corpus::at(&cli.path("work/first")).await;
    std::fs::write(cli.path("work/file"), "text").expect("a file");
    let registry = Embedded::start().await;
    let to = registry.reference("app:v1");
    for (arguments, code, said) in [
        (vec!["oci:absent", "oci:out"], 3, vec!["an image layout", "(absent)", "check the path"]),
        (vec!["oci:first:v7", "oci:out"], 3, vec!["manifest `v7`", "check the path and the tag"]),
        (vec!["oci-archive:absent.tar", "oci:out"], 3, vec!["an image archive", "absent.tar", "check the path"]),
        (vec!["oci-archive:file", "oci:out"], 1, vec!["image archive `file`", "uncompressed tar archive"]),
        (vec!["oci:first:v1", "oci-archive:file"], 1, vec!["image archive `file`"]),
        (vec!["oci:first:v1", "oci:."], 2, vec!["has files in it", "name a new directory"]),
        (vec![&to, "oci:out"], 3, vec!["manifest `v1`", "check the name `app`"]),
        (vec!["oci:first:v1", "localhost:1/app:v1"], 6, vec!["localhost:1", "a registry listens"]),
        (vec!["oci:first:v1", "oci:out", "--platform", "linux"], 2, vec!["os/architecture", "--platform OS/ARCH"]),
        (vec!["oci:first:v1", "oci:out", "--tags", "v["], 2, vec!["pattern of tags", "--tags 'v1.*'"]),
        (vec!["oci:first:v1", "oci:out", "--to-ca-file", "absent.pem"], 0, vec![]),
        (vec!["oci:first:v1", "OCI-ARCHIVE:x"], 2, vec!["in lower case"]),
    ] {
        let run = cli.run(std::iter::once("copy").chain(arguments.iter().copied())).await;
        if code == 0 {
            run.success();
            continue;
        }
        let complaint = run.failure(code);
        for text in said {
            assert!(complaint.contains(text), "{arguments:?}: {complaint}");
        }
    }
    assert_eq!(std::fs::read_to_string(cli.path("work/file")).expect("a file"), "text", "a file of somebody else");
}

/// The flags in a hint are those of the end that has failed.
#[tokio::test]
async fn hints_name_the_flags_of_the_end() {
    let cli = Cli::new();
    Corpus::at(&cli.path("work/first")).await;
    let authority = crate::support::tls::Authority::new();
    let registry = Embedded::start().await;
    let front = Front::before(registry.address()).start_tls(&authority).await;
    let secure = format!("{}/app:v1", front.registry());
    let to = cli.run(["copy", "oci:first:v1", &secure]).await.failure(6);
    assert!(to.contains("`--to-ca-file FILE`") && to.contains("`--to-insecure`"), "{to}");
    let from = cli.run(["copy", &secure, "oci:out"]).await.failure(6);
    assert!(from.contains("`--from-ca-file FILE`") && from.contains("`--from-insecure`"), "{from}");
    let ca = authority.file();
    let ca = ca.to_str().expect("a path");
    cli.run(["copy", "oci:first:v1", &secure, "--to-ca-file", ca]).await.success();
    let crossed = cli.run(["copy", &secure, "oci:out", "--to-ca-file", ca]).await.failure(6);
    assert!(crossed.contains("--from-ca-file"), "{crossed}");
    cli.run(["copy", &secure, "oci:out", "--from-ca-file", ca]).await.success();
}

/// What breaks on the way goes on where it broke; what is wrong at the source gets nowhere.
#[tokio::test]
async fn bad_days_end_well_or_with_a_word() {
    let cli = Cli::new();
    let corpus = Corpus::at(&cli.path("work/first")).await;
    let registry = Embedded::start().await;
    copy(&cli, "oci:first:v1", &registry.reference("app:v1"), &["--referrers"]).await;
    let large = format!("GET /v2/app/blobs/{}", Digest::of(&vec![7; 200_000]));
    for to in ["oci:out:v1", "oci-archive:out.tar:v1"] {
        let front = Front::before(registry.address())
            .meddle(&large, [Meddle::Cut(20, End::Close), Meddle::Cut(1, End::Reset)])
            .meddle("GET /v2/app/manifests/*", [Meddle::Instead(Reply::status(503))])
            .start()
            .await;
        let from = format!("{}/app:v1", front.registry());
        assert_eq!(copy(&cli, &from, to, &["--referrers"]).await, corpus.index);
        holds(to, &corpus, &cli).await;
        assert!(front.wire().lines().iter().any(|line| line.contains("[bytes=20-]")), "{:#?}", front.wire().lines());
    }
    for to in ["oci:wrong:v1", "oci-archive:wrong.tar:v1"] {
        let front =
            Front::before(registry.address()).meddle("GET /v2/app/blobs/*", vec![Meddle::Spoil; 9]).start().await;
        let from = format!("{}/app:v1", front.registry());
        let complaint = cli.run(["copy", &from, to]).await.failure(5);
        assert!(complaint.contains("sends other bytes"), "{complaint}");
        assert!(!cli.path("work/wrong.tar").exists(), "a wrong archive has its name");
        // The next attempt finds nothing wrong left.
        assert_eq!(copy(&cli, &registry.reference("app:v1"), to, &["--referrers"]).await, corpus.index);
        holds(to, &corpus, &cli).await;
    }
}
