//! Tags that are given and taken away.

use spinreg::Digest;

use super::{json, spread};
use crate::support::cli::Cli;
use crate::support::front::{Front, Meddle};
use crate::support::guard::Guard;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::scenario::{app, push};

#[tokio::test]
async fn tags_are_given_without_moving_a_blob() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let digest = spread(&cli, &registry).await;
    registry.wire().take();
    let reference = registry.reference("app:v1");
    let printed = cli.run(["tag", &reference, "v1.0", "latest", "v1.0"]).await.success();
    assert_eq!(printed, format!("Tagged v1.0 with digest {digest}\nTagged latest with digest {digest}\n"));
    let sent = [
        "GET /v2/app/manifests/v1 200",
        "HEAD /v2/app/manifests/v1.0 404",
        "PUT /v2/app/manifests/v1.0 201",
        "HEAD /v2/app/manifests/latest 404",
        "PUT /v2/app/manifests/latest 201",
    ];
    assert_eq!(registry.wire().take(), sent);

    // By the digest, what is done already costs one request.
    let pinned = registry.reference(&format!("app@{digest}"));
    let printed = cli.run(["tag", &pinned, "v1"]).await.success();
    assert_eq!(printed, format!("Tag v1 has digest {digest} already\n"));
    assert_eq!(registry.wire().take(), ["HEAD /v2/app/manifests/v1 200"]);

    let other = push(&cli, &app("inline-trigger"), &registry.reference("app:v2"), &[]).await;
    let printed = cli.run(["tag", &registry.reference("app:v2"), "latest"]).await.success();
    assert_eq!(printed, format!("Tagged latest with digest {other}, which had {digest}\n"));
    let printed = cli.run(["tag", "--quiet", &pinned, "latest"]).await.success();
    assert_eq!(printed, format!("{pinned}\n"));
    let printed = cli.run(["tag", "--json", &reference, "latest", "v2"]).await.success();
    let expected = format!(
        r#"{{
  "schema": 1,
  "reference": "{reference}",
  "digest": "{digest}",
  "tags": [
    {{
      "tag": "latest",
      "changed": false,
      "previous": "{digest}"
    }},
    {{
      "tag": "v2",
      "changed": true,
      "previous": "{other}"
    }}
  ]
}}
"#
    );
    assert_eq!(printed, expected);
}

#[tokio::test]
async fn layouts_and_archives_have_tags_too() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let digest = spread(&cli, &registry).await;
    for place in ["oci:out", "oci-archive:out.tar"] {
        let printed = cli.run(["tag", &format!("{place}:v1"), "v2", "latest"]).await.success();
        assert_eq!(printed, format!("Tagged v2 with digest {digest}\nTagged latest with digest {digest}\n"));
        assert_eq!(cli.run(["tags", place]).await.success(), "latest\nv1\nv2\n");
        let pinned = format!("{place}@{digest}");
        assert_eq!(cli.run(["resolve", &format!("{place}:v2")]).await.success(), format!("{pinned}\n"));
        let complaint = cli.run(["tag", &format!("{place}:v9"), "v3"]).await.failure(3);
        assert!(complaint.contains("manifest `v9`"), "{complaint}");
    }
    for place in ["oci:new", "oci-archive:new.tar"] {
        cli.run(["tag", &format!("{place}:v1"), "v2"]).await.failure(3);
    }
    assert!(!cli.path("work/new").exists() && !cli.path("work/new.tar").exists(), "something was made");
}

#[tokio::test]
async fn tags_are_taken_away_and_manifests_stay() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let digest = spread(&cli, &registry).await;
    for place in [registry.reference("app"), "oci:out".to_owned()] {
        cli.run(["tag", &format!("{place}:v1"), "v2"]).await.success();
        registry.wire().take();
        let printed = cli.run(["delete", &format!("{place}:v2")]).await.success();
        assert_eq!(printed, format!("Deleted tag v2; its manifest {digest} is still there\n"));
        let sent = registry.wire().take();
        assert!(sent.len() == 3 || place.starts_with("oci:"), "{sent:#?}");
        assert_eq!(cli.run(["tags", &place]).await.success(), "v1\n");
        let complaint = cli.run(["delete", &format!("{place}:v2")]).await.failure(3);
        assert!(complaint.contains("`v2`"), "{complaint}");
        let report = json(&cli.run(["delete", "--json", &format!("{place}@{digest}")]).await.success());
        let expected = serde_json::json!({
            "schema": 1, "repository": place, "tag": null, "digest": digest, "manifest": "deleted",
        });
        assert_eq!(report, expected);
        cli.run(["resolve", &format!("{place}:v1")]).await.failure(3);
        cli.run(["delete", "--quiet", &format!("{place}@{digest}")]).await.failure(3);
    }
    let complaint = cli.run(["delete", "oci-archive:out.tar:v1"]).await.failure(2);
    assert!(complaint.contains("nothing is deleted in an archive") && complaint.contains("--tags"), "{complaint}");
}

/// Registries do different things when a tag is deleted: what they have done is said.
#[tokio::test]
async fn what_a_registry_has_really_deleted_is_said() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let digest = spread(&cli, &registry).await;
    let by_digest = format!("HEAD /v2/app/manifests/{digest}");
    let front =
        Front::before(registry.address()).meddle(&by_digest, [Meddle::Instead(Reply::status(404))]).start().await;
    let printed = cli.run(["delete", &format!("{}/app:v1", front.registry())]).await.success();
    assert_eq!(printed, format!("Deleted tag v1; its manifest {digest} is gone as well\n"));

    cli.run(["tag", &registry.reference(&format!("app@{digest}")), "v1"]).await.success();
    let refusing = |status: u16| vec![Meddle::Instead(Reply::status(status)); 9];
    for (status, reference, said) in [
        (405, "app:v1".to_owned(), vec!["does not let tags be deleted", "spinreg delete NAME@DIGEST"]),
        (400, "app:v1".to_owned(), vec!["does not let tags be deleted", "spinreg resolve REFERENCE"]),
        (405, format!("app@{digest}"), vec!["does not let manifests be deleted", "switched off"]),
    ] {
        let front = Front::before(registry.address()).meddle("DELETE /v2/app/*", refusing(status)).start().await;
        let complaint = cli.run(["delete", &format!("{}/{reference}", front.registry())]).await.failure(1);
        for text in said {
            assert!(complaint.contains(text), "{status} {reference}: {complaint}");
        }
    }
    let front = Front::before(registry.address()).meddle("DELETE /v2/app/*", refusing(403)).start().await;
    let complaint = cli.run(["delete", &format!("{}/app:v1", front.registry())]).await.failure(4);
    assert!(complaint.contains("as somebody who may change `app`"), "{complaint}");
}

#[tokio::test]
async fn what_is_changed_is_named_in_full() {
    let cli = Cli::new();
    let digest = Digest::of(b"");
    for (arguments, said) in [
        (vec!["delete".to_owned(), "r.example/app".to_owned()], "a tag or a digest"),
        (vec!["delete".to_owned(), format!("r.example/app:v1@{digest}")], "not both"),
        (vec!["tag".to_owned(), "r.example/app:v1".to_owned()], "<TAG>"),
        (vec!["tag".to_owned(), "r.example/app:v1".to_owned(), "a b".to_owned()], "tag `a b`"),
        (
            vec!["tag".to_owned(), "r.example/app:v1".to_owned(), "r.example/app:v2".to_owned()],
            "tag `r.example/app:v2`",
        ),
    ] {
        let complaint = cli.run(&arguments).await.failure(2);
        assert!(complaint.contains(said), "{arguments:?}: {complaint}");
    }
    let registry = Embedded::start().await;
    push(&cli, &app("inline-trigger"), &registry.reference("app:v1"), &[]).await;
    let front = Front::before(registry.address()).guarded(&Guard::basic("ada", "correct horse").public()).start().await;
    let complaint = cli.run(["tag", &format!("{}/app:v1", front.registry()), "v2"]).await.failure(4);
    assert!(complaint.contains("spinreg login"), "{complaint}");
}

/// Whoever can be asked is asked, and anything but yes is no.
#[tokio::test]
async fn on_a_terminal_deletion_asks_first() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let digest = push(&cli, &app("inline-trigger"), &registry.reference("app:v1"), &[]).await;
    let reference = registry.reference("app:v1");
    let run = cli.run_on_a_terminal(["delete", &reference], "n\n").await;
    assert_eq!(run.code(), Some(1), "{run}");
    let question = format!("Delete the tag `v1` in `{}`? [y/N] ", registry.reference("app"));
    assert!(run.stdout.contains(&question) && run.stdout.contains("nothing was deleted"), "{run}");
    cli.run(["resolve", &reference]).await.success();
    cli.run_on_a_terminal(["delete", &reference], "y\n").await.success();
    cli.run(["resolve", &reference]).await.failure(3);
    let pinned = registry.reference(&format!("app@{digest}"));
    let shown = cli.run_on_a_terminal(["delete", "--yes", &pinned], "").await.success();
    assert_eq!(shown, format!("Deleted {digest}, and every tag that named it\r\n"));
}
