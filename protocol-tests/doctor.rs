//! `spinreg doctor`: what it finds out, what it asks for that, and that nothing stays.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;

use crate::support::cli::Cli;
use crate::support::front::{Front, Meddle};
use crate::support::guard::Guard;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::scenario::{app, push};
use crate::support::script::Script;
use crate::support::tls::Authority;

const USER: &str = "ada";
const PASSWORD: &str = "correct horse battery";

/// Examines `reference` and returns the replies by topic.
async fn examine(cli: &Cli, reference: &str, flags: &[&str]) -> Value {
    let printed = cli.run([&["doctor", "--json", reference], flags].concat()).await.success();
    serde_json::from_str(&printed).expect(&printed)
}

#[track_caller]
fn assert_replies(diagnosis: &Value, expected: &[(&str, &str)]) {
    for (topic, reply) in expected {
        assert_eq!(diagnosis["findings"][topic]["reply"], *reply, "{topic} in {diagnosis:#}");
    }
}

#[tokio::test]
async fn nothing_stays_of_an_examination() {
    let registry = Embedded::start().await;
    let cli = Cli::new();
    let reference = registry.reference("app:v1");
    push(&cli, &app("static-site"), &reference, &[]).await;
    let before = crate::support::files_below(registry.root());
    registry.wire().take();

    let diagnosis = examine(&cli, &reference, &[]).await;
    assert_replies(
        &diagnosis,
        &[
            ("reachable", "yes"),
            ("tls", "no"),
            ("account", "no"),
            ("pull", "yes"),
            ("push", "yes"),
            ("cancel", "yes"),
            ("chunks", "yes"),
            ("mount", "yes"),
            ("resume", "yes"),
            ("referrers", "yes"),
            ("tag-deletion", "unknown"),
            ("sha512", "unknown"),
            ("manifest-limit", "unknown"),
            ("rate-limit", "unknown"),
        ],
    );
    assert_eq!(diagnosis["reference"], "v1");
    let lines = registry.wire().take();
    assert!(lines.len() <= 12, "a short look: {lines:#?}");
    let begun = lines.iter().filter(|line| line.starts_with("POST ") && line.ends_with(" 202")).count();
    let cancelled = lines.iter().filter(|line| line.starts_with("DELETE ") && line.ends_with(" 204")).count();
    assert_eq!((begun, cancelled), (1, 1), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.starts_with("PUT ")), "{lines:#?}");
    assert_eq!(crate::support::files_below(registry.root()), before, "files of the registry");
}

#[tokio::test]
async fn an_interrupt_cancels_what_was_begun() {
    let registry = Embedded::start().await;
    let held = Arc::new(Notify::new());
    for (what, left) in [
        ("PATCH /v2/app/blobs/uploads/*", None),
        ("POST /v2/app/blobs/uploads/", Some("may have begun an upload that stays until it expires")),
    ] {
        let front = Front::before(registry.address()).meddle(what, [Meddle::Hold(held.clone())]).start().await;
        let cli = Cli::new();
        let reference = format!("{}/app", front.registry());
        let running = cli.start(["doctor", &reference], None);
        held.notified().await;
        let run = running.interrupt().await;
        assert_eq!((run.code(), run.stdout.as_str()), (Some(130), ""), "{run}");
        let warning =
            left.map(|left| format!("warning: `POST http://{}/v2/app/blobs/uploads/` {left}\n", front.registry()));
        assert_eq!(run.stderr, format!("{}error: interrupted\n", warning.unwrap_or_default()));
        let lines = front.wire().lines();
        let cancelled = lines.iter().filter(|line| line.starts_with("DELETE /v2/app/blobs/uploads/")).count();
        assert_eq!(cancelled, usize::from(left.is_none()), "{lines:#?}");
    }
    assert!(crate::support::files_below(registry.root()).is_empty(), "files of the registry");
}

#[tokio::test]
async fn people_read_a_line_for_each_finding() {
    let registry = Embedded::start().await;
    let cli = Cli::new();
    let reference = registry.reference("app");
    let page = cli.run(["doctor", &reference]).await.success();
    let summary = format!("{reference}: pull unknown, push yes");
    assert_eq!(page.lines().next(), Some(summary.as_str()), "{page}");
    assert!(page.contains("pull            unknown  `latest` is not there, or hidden from us\n"), "{page}");
    assert!(page.contains("mount           unknown  there is no blob to try it with\n"), "{page}");
    assert!(page.contains("\nspinreg will talk to it like this:\n  pushes send each blob in one `PUT`"), "{page}");
    assert!(!page.contains('\u{1b}'), "no colours where nobody sees them: {page:?}");
    let other = registry.reference("other");
    let expected = format!("{other}: pull unknown, push yes\n");
    assert_eq!(cli.run(["doctor", "-q", &other]).await.success(), expected);
}

#[tokio::test]
async fn credentials_decide_what_is_permitted() {
    for (guard, scheme) in [(Guard::basic(USER, PASSWORD), "Basic"), (Guard::bearer(USER, PASSWORD), "Bearer")] {
        let registry = Embedded::start().await;
        let front = Front::before(registry.address()).guarded(&guard).start().await;
        let cli = Cli::new().secret(PASSWORD).secret("wrong-password");
        let reference = format!("{}/app", front.registry());
        let run = cli.run(["doctor", &reference]).await;
        assert_eq!(run.code(), Some(4), "{run}");
        assert!(run.stdout.contains(&format!("the registry asks for `{scheme}`")), "{run}");
        assert!(run.stderr.contains(&format!("hint: log in with `spinreg login {}`", front.registry())), "{run}");

        let login = ["login", &front.registry(), "-u", USER, "--password-stdin"];
        cli.run_with_input(login, &format!("{PASSWORD}\n")).await.success();
        let diagnosis = examine(&cli, &reference, &[]).await;
        assert_replies(&diagnosis, &[("account", "yes"), ("push", "yes"), ("cancel", "yes"), ("referrers", "yes")]);
        let account = diagnosis["findings"]["account"]["text"].as_str().expect("a text");
        assert!(account.starts_with("`ada`, from ") && account.ends_with(": accepted"), "{account}");

        let wrong = ["doctor", "--username", USER, "--password-stdin", &reference];
        let run = cli.run_with_input(wrong, "wrong-password\n").await;
        assert_eq!(run.code(), Some(4), "{run}");
        assert!(run.stdout.contains("account         no       `ada`, from the command line: "), "{run}");
    }
}

#[tokio::test]
async fn limits_are_said_where_the_registry_states_them() {
    let index = Reply::ok("{\"schemaVersion\":2,\"manifests\":[]}")
        .header("content-type", "application/vnd.oci.image.index.v1+json")
        .header("warning", "299 - \"moving soon\"");
    let head = Reply::status(200).header("ratelimit-limit", "100;w=21600").header("ratelimit-remaining", "76;w=21600");
    let begun = Reply::status(202).header("location", "/up/1").header("oci-chunk-min-length", "5242880");
    let script = Script::new()
        .always("GET /v2/", Reply::ok("{}"))
        .on("HEAD /v2/app/manifests/v1", head)
        .on("GET /v2/app/manifests/v1", Reply::status(403))
        .on("POST /v2/app/blobs/uploads/", begun)
        .on("DELETE /up/1", Reply::status(405))
        .on("GET /v2/app/referrers/sha256:*", index)
        .on("HEAD /v2/app/blobs/sha512:*", Reply::status(400))
        .on("OPTIONS /v2/app/manifests/*", Reply::status(405).header("allow", "GET, HEAD, PUT"))
        .start()
        .await;
    let page = Cli::new().run(["doctor", &format!("{}/app:v1", script.address())]).await.success();
    for expected in [
        "rate limit      yes      100 requests in 6 h, of which 76 are left",
        "chunks          yes      not tried: it asks for pieces of at least 5242880 bytes",
        "cancel          no       the upload that was begun stays until it expires: 405",
        "sha512          no       a digest of SHA-512 is refused: 400",
        "tag deletion    no       `Allow` for a manifest does not have `DELETE`",
        "referrers       yes      it lists them, and leaves the filtering to clients",
        "  pushes send blobs in pieces of the length asked for",
    ] {
        assert!(page.lines().any(|line| line == expected), "no `{expected}` in\n{page}");
    }
    assert!(page.ends_with("\nthe registry says: moving soon\n"), "{page}");
    script.finish();
}

#[tokio::test]
async fn a_server_of_pages_is_not_taken_for_a_registry() {
    let page = || Reply::ok("<html>It works</html>").header("content-type", "text/html");
    let script = ["GET", "HEAD", "POST", "OPTIONS"];
    let script = script.iter().fold(Script::new(), |script, method| script.always(&format!("{method} /v2/*"), page()));
    let script = script.start().await;
    let diagnosis = examine(&Cli::new(), &format!("{}/app", script.address()), &[]).await;
    assert_replies(
        &diagnosis,
        &[("pull", "unknown"), ("push", "unknown"), ("cancel", "unknown"), ("resume", "unknown")],
    );
    script.finish();
}

#[tokio::test]
async fn a_registry_to_read_from_is_told_from_one_that_hides() {
    let script = Script::new()
        .always("GET /v2/", Reply::status(200))
        .on("HEAD /v2/app/manifests/latest", Reply::status(404))
        .on("GET /v2/app/tags/list*", Reply::ok("{\"name\":\"app\",\"tags\":[]}"))
        .always("POST /v2/app/blobs/uploads/", Reply::refusal(405, "UNSUPPORTED", "read \u{1b}[2Jonly"))
        .on("GET /v2/app/referrers/*", Reply::status(404))
        .on("HEAD /v2/app/blobs/*", Reply::status(404))
        .on("OPTIONS /v2/app/manifests/*", Reply::status(404))
        .start()
        .await;
    let page = Cli::new().run(["doctor", &format!("{}/app", script.address())]).await.success();
    for expected in [
        "pull            yes      `latest` is not there, or hidden from us; the tags can be listed",
        "push            no       it takes no uploads; it may be read-only: 405 UNSUPPORTED: read \u{fffd}[2Jonly",
        "chunks          unknown  not tried: no upload could be begun",
        "referrers       no       404",
    ] {
        assert!(page.lines().any(|line| line == expected), "no `{expected}` in\n{page}");
    }
    assert!(!page.contains('\u{1b}'), "{page:?}");
    script.finish();
}

#[tokio::test]
async fn tls_is_verified_unless_told_otherwise() {
    let authority = Authority::new();
    let registry = Embedded::start().await;
    let front = Front::before(registry.address()).start_tls(&authority).await;
    let reference = format!("{}/app", front.registry());
    let ca = authority.file();
    let diagnosis = examine(&Cli::new(), &reference, &["--ca-file", ca.to_str().expect("a path")]).await;
    assert_eq!(diagnosis["findings"]["tls"]["text"], "the certificate is verified");
    let diagnosis = examine(&Cli::new(), &reference, &["-k"]).await;
    assert_eq!(diagnosis["findings"]["tls"]["text"], "the certificate is not verified");
    let complaint = Cli::new().run(["doctor", &reference]).await.failure(6);
    assert!(complaint.contains("--ca-file"), "{complaint}");
}

#[tokio::test]
async fn there_has_to_be_a_registry() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let reference = format!("{}/app", closed.expect("a loopback port"));
    let complaint = Cli::new().run(["doctor", &reference]).await.failure(6);
    assert!(complaint.contains("hint: check that a registry listens at"), "{complaint}");
    Cli::new().run(["doctor", "oci:out"]).await.failure(2);
}
