//! What is not asked and not sent because it follows from what is known, and what becomes of it where that was wrong.

use std::collections::BTreeMap;

use spinreg::Digest;
use spinreg::content::{Source as _, Tagged, Target as _};
use spinreg::model::{Descriptor, Identifier, MediaType};
use spinreg::registry::Repository;

use crate::support::cli::Cli;
use crate::support::front::{Front, Meddle};
use crate::support::guard::Guard;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::repository::{anonymous, plain};
use crate::support::scenario::{app_of, pull, push, verify};
use crate::support::script::Script;

const MISSING: &str = "MANIFEST_BLOB_UNKNOWN";

/// Opens a repository for pushing.
fn repository(reference: &str) -> Repository {
    plain().build().expect("options that fit").repository(&reference.parse().expect("a reference")).for_push()
}

/// Changes one file of the application.
fn change(cli: &Cli, text: &str) {
    std::fs::write(cli.path("work/static-site/assets/index.html"), text.repeat(40)).expect("a file of ours");
}

/// Takes the blobs of a manifest away behind its back, all but the last layer and the config.
async fn lose_blobs(repository: &Repository, manifest: Digest) -> usize {
    let manifest = repository.manifest(&Identifier::Digest(manifest)).await.expect("it was pushed");
    let layers = &manifest.image().expect("an image").layers;
    for layer in &layers[..layers.len() - 1] {
        repository.delete_blob(&layer.digest).await.expect("the registry deletes");
    }
    layers.len() - 1
}

/// A registry that has lost what its tag's manifest lists says so when it checks, and gets it again.
#[tokio::test]
async fn what_was_believed_and_is_lost_is_sent_again() {
    for code in [MISSING, "MANIFEST_INVALID", "LAYERS_NOT_FOUND"] {
        let registry = Embedded::start().await;
        let refusal = Meddle::Instead(Reply::refusal(400, code, "layers are missing"));
        let front =
            Front::before(registry.address()).meddle("PUT /v2/app/manifests/*", [Meddle::Leave, refusal]).start().await;
        let (cli, reference) = (Cli::new(), format!("{}/app:v1", front.registry()));
        let app = app_of(&cli, "static-site");
        let first = push(&cli, &app, &reference, &[]).await;
        let lost = lose_blobs(&repository(&registry.reference("app")), first).await;
        change(&cli, "another page");
        front.wire().take();
        push(&cli, &app, &reference, &[]).await;
        assert_eq!(front.wire().count("PUT /v2/app/manifests/v1"), 2, "{code}: {:#?}", front.wire().lines());
        // The old page is needed by another path.
        assert_eq!(front.wire().count("PUT /v2/app/blobs/"), lost + 3, "{code}: {:#?}", front.wire().lines());
        let fresh = Cli::new();
        pull(&fresh, &reference, &[]).await;
    }
}

/// Refusals of other kinds end the push at once.
#[tokio::test]
async fn other_refusals_cost_nothing_more() {
    for (status, code) in [(400, "TAG_INVALID"), (403, "DENIED"), (405, "UNSUPPORTED")] {
        let registry = Embedded::start().await;
        let refusal = Meddle::Instead(Reply::refusal(status, code, "no"));
        let front =
            Front::before(registry.address()).meddle("PUT /v2/app/manifests/*", [Meddle::Leave, refusal]).start().await;
        let (cli, reference) = (Cli::new(), format!("{}/app:v1", front.registry()));
        let app = app_of(&cli, "static-site");
        push(&cli, &app, &reference, &[]).await;
        change(&cli, "another page");
        front.wire().take();
        let complaint = cli.run(["push", "-f", &app, &reference]).await;
        assert!(!complaint.status.success() && complaint.stderr.contains("error:"), "{complaint}");
        assert!(front.wire().lines().len() <= 11, "{code}: {:#?}", front.wire().lines());
    }
}

/// Docker Hub counts a `GET` of a manifest as a pull: one is spent only where something else is there.
#[tokio::test]
async fn where_pulls_are_counted_a_push_asks_first() {
    let registry = Embedded::start().await;
    let front = Front::before(registry.address()).start().await;
    let cli = Cli::new().env("http_proxy", format!("http://{}", front.registry()));
    let app = app_of(&cli, "static-site");
    let asked = || {
        let lines = front.wire().take();
        let manifests = lines.into_iter().filter(|line| line.contains("/manifests/"));
        manifests.map(|line| line.replace("/v2/me/app/manifests/", "")).collect::<Vec<_>>()
    };
    let first = push(&cli, &app, "docker.io/me/app:v1", &["--plain-http"]).await;
    assert_eq!(asked(), ["HEAD v1 404".to_owned(), format!("HEAD {first} 404"), "PUT v1 201".to_owned()]);
    push(&cli, &app, "docker.io/me/app:v1", &["--plain-http"]).await;
    assert_eq!(asked(), ["HEAD v1 200"]);
    change(&cli, "another page");
    push(&cli, &app, "docker.io/me/app:v1", &["--plain-http"]).await;
    assert_eq!(asked(), ["HEAD v1 200".to_owned(), format!("GET {first} 200"), "PUT v1 201".to_owned()]);
}

/// What stands under the tag need not be a manifest that anybody can read.
#[tokio::test]
async fn what_cannot_be_read_under_a_tag_is_in_nobodys_way() {
    let tag = "v1".parse().expect("a tag");
    let wanted = Descriptor::of(MediaType::IMAGE_MANIFEST, b"{}");
    let docker_v1 = Reply::ok(r#"{"schemaVersion":1}"#)
        .header("content-type", "application/vnd.docker.distribution.manifest.v1+json");
    let large = Reply::ok(format!(r#"{{"schemaVersion":2,"manifests":[]{}}}"#, " ".repeat(5 << 20)))
        .header("content-type", MediaType::IMAGE_INDEX.as_str());
    for reply in [docker_v1, large, Reply::status(404), Reply::refusal(403, "DENIED", "no")] {
        let known = format!("\"{}\"", wanted.digest);
        let script = Script::new().on("GET /v2/app/manifests/v1", reply).with("if-none-match", known).start().await;
        let found = anonymous(script.address()).tagged(&tag, &wanted).await.expect("an answer");
        assert!(matches!(found, Tagged::Unknown), "{found:?}");
        script.finish();
    }
    let page = Reply::ok("<!doctype html><title>Log in</title>").header("content-type", "text/html");
    let script = Script::new().on("GET /v2/app/manifests/v1", page).start().await;
    let error = anonymous(script.address()).tagged(&tag, &wanted).await.expect_err("a login page");
    assert!(error.to_string().contains("HTML"), "{error}");
    script.finish();
}

/// Counts the requests of each kind: `GET manifests`, `POST uploads` and the like.
fn kinds(lines: &[String]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for line in lines {
        let (method, rest) = line.split_once(' ').expect("a method and a path");
        let what = ["/manifests/", "/tags/", "/blobs/uploads/", "/blobs/"].into_iter().find(|part| rest.contains(part));
        *kinds.entry(format!("{method} {}", what.unwrap_or(rest).trim_matches('/'))).or_default() += 1;
    }
    kinds
}

/// Writes a file of 2 MiB into the application.
fn enlarge(cli: &Cli, name: &str, salt: u8) {
    let bytes: Vec<u8> = (0..2_usize << 20).map(|n| (n / 251) as u8 ^ salt).collect();
    std::fs::write(cli.path("work/static-site/assets").join(name), bytes).expect("a file of ours");
}

/// Large blobs are not sent twice for want of a question, and nothing is asked where nothing is.
#[tokio::test]
async fn large_blobs_are_asked_for_where_something_is() {
    let registry = Embedded::start().await;
    let front = Front::before(registry.address()).start().await;
    let cli = Cli::new();
    let app = app_of(&cli, "static-site");
    let reference = |tag: &str| format!("{}/app:{tag}", front.registry());
    let expected = |counts: &[(&str, usize)]| -> BTreeMap<String, usize> {
        counts.iter().map(|(kind, n)| ((*kind).to_owned(), *n)).collect()
    };
    enlarge(&cli, "one.bin", 1);
    enlarge(&cli, "two.bin", 2);
    push(&cli, &app, &reference("v1"), &[]).await;
    // Thirteen blobs, two of them large: 2n + 3, and whether anything is there is asked once.
    let cold = [
        ("GET manifests", 1),
        ("GET tags", 1),
        ("POST blobs/uploads", 13),
        ("PUT blobs/uploads", 13),
        ("PUT manifests", 1),
    ];
    assert_eq!(kinds(&front.wire().take()), expected(&cold));
    push(&cli, &app, &reference("v2"), &[]).await;
    let tagged = [("GET manifests", 1), ("GET tags", 1), ("HEAD manifests", 1), ("PUT manifests", 1)];
    assert_eq!(kinds(&front.wire().take()), expected(&tagged));
    change(&cli, "another page");
    enlarge(&cli, "three.bin", 3);
    push(&cli, &app, &reference("v3"), &[]).await;
    let lines = front.wire().take();
    let kinds = kinds(&lines);
    // Page, large file, lock file and config are new; of the large ones that are there no byte is sent again.
    assert_eq!((kinds["PUT blobs/uploads"], kinds["GET manifests"], kinds["HEAD manifests"]), (4, 1, 1), "{lines:#?}");
    assert!(kinds["HEAD blobs"] <= 3, "{lines:#?}");
    pull(&Cli::new(), &reference("v3"), &[]).await;
}

/// Registries that open an upload whatever they have, that want no such question, or that lie, get what they need.
#[tokio::test]
async fn registries_that_know_no_such_mount_are_pushed_to_all_the_same() {
    for fault in ["ignore=mount", "status=405,path=*mount=*", "mount-lies"] {
        let cli = Cli::new();
        let serving = cli.serve_with(&["-q", "--fault", fault]).await;
        let app = app_of(&cli, "static-site");
        let reference = |tag: &str| format!("{}/app:{tag}", serving.registry());
        if fault == "mount-lies" {
            // It complains only where it checks: a front does that in its name.
            let front = Front::before(serving.registry().parse().expect("an address"))
                .meddle("PUT /v2/app/manifests/*", [Meddle::Instead(Reply::refusal(400, MISSING, "no such blob"))])
                .start()
                .await;
            push(&cli, &app, &format!("{}/app:v1", front.registry()), &[]).await;
            assert_eq!(front.wire().count("PUT /v2/app/manifests/v1"), 2, "{:#?}", front.wire().lines());
        } else {
            push(&cli, &app, &reference("v1"), &[]).await;
            change(&cli, "another page");
            push(&cli, &app, &reference("v2"), &[]).await;
        }
        pull(&Cli::new(), &reference("v1"), &[]).await;
    }
}

/// One token serves an operation, however many requests there are.
#[tokio::test]
async fn one_token_serves_a_push_and_one_a_pull() {
    let registry = Embedded::start().await;
    let guard = Guard::bearer("ada", "correct horse battery");
    let front = Front::before(registry.address()).guarded(&guard).start().await;
    let cli = Cli::new().env("SPINREG_USERNAME", "ada").env("SPINREG_PASSWORD", "correct horse battery");
    let (app, reference) = (app_of(&cli, "static-site"), format!("{}/app:v1", front.registry()));
    for text in ["first", "second"] {
        change(&cli, text);
        let before = guard.token_requests().len();
        push(&cli, &app, &reference, &[]).await;
        assert_eq!(guard.token_requests().len(), before + 1, "{text}: {:?}", guard.token_requests());
        pull(&cli, &reference, &[]).await;
        assert_eq!(guard.token_requests().len(), before + 2, "{text}: {:?}", guard.token_requests());
    }
    assert_eq!(front.wire().count("GET /v2/ "), 0, "nobody pings: {:#?}", front.wire().lines());
    assert_eq!(guard.challenged(), 4, "the first request of each meets the challenge, before the others start");
}

/// Two who push to one tag at a time both succeed, and what the tag then points to is whole.
#[tokio::test]
async fn two_push_at_a_time() {
    let registry = Embedded::start().await;
    let reference = registry.reference("app:v1");
    let (one, other) = (Cli::new(), Cli::new());
    let (first, second) = (app_of(&one, "static-site"), app_of(&other, "static-site"));
    push(&one, &first, &reference, &[]).await;
    for round in 0..3 {
        change(&one, &format!("one {round}"));
        change(&other, &format!("other {round}"));
        let (left, right) = tokio::join!(push(&one, &first, &reference, &[]), push(&other, &second, &reference, &[]));
        let fresh = Cli::new();
        let quiet = fresh.run(["pull", "-q", &reference]).await.success();
        assert!(quiet.contains(&left.to_string()) || quiet.contains(&right.to_string()), "{quiet}");
    }
    assert_cached_whole(&reference).await;
}

/// Pulls what a reference names into a fresh cache.
async fn assert_cached_whole(reference: &str) {
    let fresh = Cli::new();
    pull(&fresh, reference, &[]).await;
    verify(&fresh.path("cache/spin/registry"));
}
