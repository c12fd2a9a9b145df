//! Manifests and blobs by themselves: exact bytes, verified, and nothing half.

use spinreg::Digest;

use super::{json, spread};
use crate::support::cli::Cli;
use crate::support::files_below;
use crate::support::front::{Front, Meddle};
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::scenario::{app, pull, push};

#[tokio::test]
async fn manifests_are_printed_byte_by_byte() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let digest = spread(&cli, &registry).await;
    pull(&cli, &registry.reference("app:v1"), &[]).await;
    for (n, reference) in
        [registry.reference("app:v1"), "oci:out:v1".into(), "oci-archive:out.tar:v1".into()].iter().enumerate()
    {
        let printed = cli.run(["manifest", "get", reference]).await.success();
        assert_eq!(Digest::of(printed.as_bytes()), digest, "{reference}");
        let file = format!("manifest-{n}.json");
        assert_eq!(cli.run(["manifest", "get", "-o", &file, reference]).await.success(), "");
        assert_eq!(Digest::of(&std::fs::read(cli.path("work").join(&file)).expect("a file")), digest);
        let head = cli.run(["manifest", "head", reference]).await.success();
        let size = printed.len();
        let expected = format!(
            "digest      {digest}\nmedia type  application/vnd.oci.image.manifest.v1+json\nsize        {size}\n"
        );
        assert_eq!(head, expected);
        let head = json(&cli.run(["manifest", "head", "--json", reference]).await.success());
        assert_eq!((&head["digest"], &head["size"]), (&digest.to_string().into(), &size.into()));
    }
    let offline = cli.run(["manifest", "get", "--offline", &registry.reference("app:v1")]).await.success();
    assert_eq!(Digest::of(offline.as_bytes()), digest);
}

#[tokio::test]
async fn manifests_are_sent_as_they_are() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let digest = spread(&cli, &registry).await;
    cli.run(["manifest", "get", "-o", "m.json", "oci:out:v1"]).await.success();
    registry.wire().take();
    let printed = cli.run(["manifest", "put", "m.json", &registry.reference("app:v2")]).await.success();
    assert_eq!(printed, format!("Pushed with digest {digest}\n"));
    assert_eq!(registry.wire().take(), ["PUT /v2/app/manifests/v2 201"]);
    let text = std::fs::read_to_string(cli.path("work/m.json")).expect("a file");
    let by_digest = registry.reference(&format!("app@{digest}"));
    let quiet = cli.run_with_input(["-q", "manifest", "put", "-", &by_digest], &text).await.success();
    assert_eq!(quiet, format!("{by_digest}\n"));
    cli.run(["manifest", "put", "m.json", "oci:out:v2", "--digest-file", "d"]).await.success();
    assert_eq!(std::fs::read_to_string(cli.path("work/d")).expect("a file"), format!("{digest}\n"));
    assert_eq!(cli.run(["tags", "oci:out"]).await.success(), "v1\nv2\n");

    std::fs::write(cli.path("work/none.json"), "{\"schemaVersion\":2}").expect("a file");
    let other = registry.reference(&format!("app@{}", Digest::of(b"other")));
    for (arguments, code, said) in [
        (vec!["m.json", &other], 2, "names the digest"),
        (vec!["none.json", "oci:out:v3"], 1, "missing field `config`"),
        (vec!["absent.json", "oci:out:v3"], 3, "`absent.json`"),
        (vec!["m.json", "oci:out:v3", "--media-type", "application/vnd.oci.image.index.v1+json"], 1, "served as"),
        (vec!["m.json", "oci:out:v3", "--media-type", "no type"], 2, "media type"),
    ] {
        let complaint = cli.run([&["manifest", "put"], &arguments[..]].concat()).await.failure(code);
        assert!(complaint.contains(said), "{arguments:?}: {complaint}");
    }
    let refusal = Meddle::Instead(Reply::refusal(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown"));
    let front = Front::before(registry.address()).meddle("PUT /v2/app/manifests/*", [refusal]).start().await;
    let complaint = cli.run(["manifest", "put", "m.json", &format!("{}/app:v4", front.registry())]).await.failure(1);
    assert!(complaint.contains("MANIFEST_BLOB_UNKNOWN"), "{complaint}");
}

#[tokio::test]
async fn blobs_are_written_verified_or_not_at_all() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    spread(&cli, &registry).await;
    let content = "some content\n".repeat(10_000);
    std::fs::write(cli.path("work/content"), &content).expect("a file");
    let digest = Digest::of(content.as_bytes());
    for place in [registry.reference("app"), "oci:out".to_owned()] {
        let reference = format!("{place}@{digest}");
        let complaint = cli.run(["blob", "get", &reference]).await.failure(3);
        assert!(complaint.contains(&format!("blob `{digest}`")), "{complaint}");
        let printed = cli.run(["blob", "put", "content", &place]).await.success();
        assert_eq!(printed, format!("Pushed with digest {digest}\n"));
        assert_eq!(
            cli.run_with_input(["-q", "blob", "put", "-", &place], &content).await.success(),
            format!("{reference}\n")
        );
        assert!(cli.run(["blob", "get", &reference]).await.success() == content);
        assert_eq!(cli.run(["blob", "get", &reference, "-o", "back"]).await.success(), "");
        assert!(std::fs::read_to_string(cli.path("work/back")).expect("a file") == content);
        cli.run(["blob", "get", &reference, "-o", "/dev/null"]).await.success();
        let head = cli.run(["blob", "head", &reference]).await.success();
        assert_eq!(head, format!("digest  {digest}\nsize    {}\n", content.len()));
        let head = json(&cli.run(["blob", "head", "--json", &reference]).await.success());
        assert_eq!(head["size"], content.len());
        let complaint = cli.run(["blob", "put", "back", &format!("{place}@{}", Digest::of(b""))]).await.failure(2);
        assert!(complaint.contains("names the digest"), "{complaint}");
        let deleted = cli.run(["blob", "delete", &reference]).await.success();
        assert_eq!(deleted, format!("Deleted {digest}\n"));
        cli.run(["blob", "head", &reference]).await.failure(3);
    }
}

/// Archives are read and not meddled with.
#[tokio::test]
async fn blobs_of_archives_are_read() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    spread(&cli, &registry).await;
    let manifest = json(&cli.run(["manifest", "get", "oci-archive:out.tar:v1"]).await.success());
    let layer = &manifest["layers"][0];
    let reference = format!("oci-archive:out.tar@{}", layer["digest"].as_str().expect("a digest"));
    let head = json(&cli.run(["blob", "head", "--json", &reference]).await.success());
    assert_eq!((&head["digest"], &head["size"]), (&layer["digest"], &layer["size"]));
    cli.run(["blob", "get", &reference, "-o", "layer"]).await.success();
    let content = std::fs::read(cli.path("work/layer")).expect("a file");
    assert_eq!(Digest::of(&content).to_string(), layer["digest"]);
    let complaint = cli.run(["blob", "put", "layer", "oci-archive:out.tar"]).await.failure(2);
    assert!(complaint.contains("no blob that no manifest needs"), "{complaint}");
    let complaint = cli.run(["blob", "delete", &reference]).await.failure(2);
    assert!(complaint.contains("nothing is deleted in an archive"), "{complaint}");
}

#[tokio::test]
async fn a_wrong_blob_gets_no_name() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    std::fs::write(cli.path("work/content"), "right").expect("a file");
    cli.run(["blob", "put", "content", &registry.reference("app")]).await.success();
    let spoilt = Front::before(registry.address()).meddle("GET /v2/app/blobs/*", vec![Meddle::Spoil; 9]).start().await;
    let reference = format!("{}/app@{}", spoilt.registry(), Digest::of(b"right"));
    let before = files_below(&cli.path("work"));
    let complaint = cli.run(["blob", "get", &reference, "-o", "wrong"]).await.failure(5);
    assert!(complaint.contains("hint:"), "{complaint}");
    assert_eq!(files_below(&cli.path("work")), before, "something is left");
    assert_eq!(cli.run(["blob", "get", &reference]).await.code(), Some(5));
    for (arguments, said) in [
        (vec!["blob", "get", "r.example/app:v1"], "its digest"),
        (vec!["blob", "head", "r.example/app"], "its digest"),
        (vec!["blob", "put", "absent", "r.example/app"], "`absent`"),
    ] {
        let run = cli.run(&arguments).await;
        assert!(matches!(run.code(), Some(2 | 3)) && run.stderr.contains(said), "{arguments:?}: {run}");
    }
}

/// A terminal gets no bytes that steer it: binary content is refused, and what a manifest says is shown by its number.
#[tokio::test]
async fn terminals_are_not_steered() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let annotation = "note=\u{9b}31m\u{202e}";
    push(&cli, &app("inline-trigger"), &registry.reference("app:v1"), &["--annotation", annotation]).await;
    for (file, content) in [("text", "just text\n"), ("esc", "\x1b[2J")] {
        std::fs::write(cli.path("work").join(file), content).expect("a file");
        cli.run(["blob", "put", file, &registry.reference("app")]).await.success();
    }
    let at = |content: &[u8]| registry.reference(&format!("app@{}", Digest::of(content)));
    let shown = cli.run_on_a_terminal(["blob", "get", &at(b"just text\n")], "").await.success();
    assert_eq!(shown, "just text\r\n");
    let run = cli.run_on_a_terminal(["blob", "get", &at(b"\x1b[2J")], "").await;
    assert_eq!(run.code(), Some(2), "{run}");
    assert!(run.stdout.contains("is not printed on a terminal") && !run.stdout.contains("\x1b[2J"), "{run}");
    let shown = cli.run_on_a_terminal(["manifest", "get", &registry.reference("app:v1")], "").await.success();
    assert!(shown.contains("\\u{9b}31m\\u{202e}") && !shown.contains('\u{9b}'), "{shown}");
}
