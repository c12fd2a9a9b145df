//! Two registries in one command, and neither gets what is the other's.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use spinreg::model::{Descriptor, MediaType};

use super::corpus::Corpus;
use crate::support::cli::Cli;
use crate::support::front::{Front, Fronted};
use crate::support::guard::Guard;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::script::Script;

const ADA: &str = "password-of-ada";
const BOB: &str = "password-of-bob";

/// A registry that only one of them may use.
struct Guarded {
    _registry: Embedded,
    front: Fronted,
    guard: Guard,
}

impl Guarded {
    async fn by(guard: Guard) -> Self {
        let registry = Embedded::start().await;
        let front = Front::before(registry.address()).guarded(&guard).start().await;
        Self { _registry: registry, front, guard }
    }

    fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.front.registry())
    }
}

fn room() -> Cli {
    Cli::new().secret(ADA).secret(BOB)
}

#[tokio::test]
async fn each_registry_gets_its_own_credentials() {
    for tokens in [false, true] {
        let guard = |user, password| if tokens { Guard::bearer(user, password) } else { Guard::basic(user, password) };
        let (a, b) = (Guarded::by(guard("ada", ADA)).await, Guarded::by(guard("bob", BOB)).await);
        let cli = room()
            .env("SPINREG_FROM_USERNAME", "ada")
            .env("SPINREG_FROM_PASSWORD", ADA)
            .env("SPINREG_TO_USERNAME", "bob")
            .env("SPINREG_TO_PASSWORD", BOB);
        let corpus = Corpus::at(&cli.path("work/first")).await;
        let (from, to) = (a.reference("app:v1"), b.reference("app:v1"));
        let seed = room();
        std::os::unix::fs::symlink(cli.path("work/first"), seed.path("work/first")).expect("a link");
        let fill = ["copy", "--to-username", "ada", "--to-password-stdin", "oci:first:v1", &from];
        seed.run_with_input(fill, ADA).await.success();
        let printed = cli.run(["copy", "-q", "--log", "trace", &from, &to]).await.success();
        assert_eq!(printed, format!("{}@{}\n", b.reference("app"), corpus.index));
        // Each asks once, and is never asked by somebody whom it does not know.
        for side in [&a, &b] {
            assert!(side.guard.challenged() > 0);
        }
    }
}

/// Even where the source keeps its content at the target: what is fetched there is fetched by a stranger.
#[tokio::test]
async fn no_header_goes_to_the_other() {
    let config = Descriptor::of(MediaType::IMAGE_CONFIG, b"{}");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::IMAGE_MANIFEST, "config": config, "layers": [],
    });
    let asks = || Reply::status(401).header("www-authenticate", "Basic realm=\"test\"");
    let media_type = MediaType::IMAGE_MANIFEST.to_string();
    let source = Script::new()
        .on_each(
            "GET /v2/app/manifests/v1",
            [asks(), Reply::ok(manifest.to_string()).header("content-type", media_type)],
        )
        .on("GET /v2/app/blobs/*", Reply::redirect(307, "{target}/storage/x"))
        .start()
        .await;
    let target = Script::new()
        .on_each("GET /v2/app/manifests/v1", [asks(), Reply::status(404)])
        .on("HEAD /v2/app/manifests/sha256:*", Reply::status(404))
        .on("POST /v2/app/blobs/uploads/?mount=*&from=app", Reply::status(202).header("location", "/upload"))
        .on("GET /storage/x", Reply::ok("{}"))
        .on("PUT /upload?*", Reply::status(201).header("docker-content-digest", config.digest.to_string()))
        .on("PUT /v2/app/manifests/v1", Reply::status(201))
        .start()
        .await;
    source.knows("{target}", target.origin());
    let (from, to) = (format!("{}/app:v1", source.address()), format!("{}/app:v1", target.address()));
    let cli = room()
        .env("SPINREG_FROM_USERNAME", "ada")
        .env("SPINREG_FROM_PASSWORD", ADA)
        .env("SPINREG_TO_USERNAME", "bob")
        .env("SPINREG_TO_PASSWORD", BOB);
    cli.run(["copy", "--log", "trace", &from, &to]).await.success();
    let (ada, bob) = (BASE64_STANDARD.encode(format!("ada:{ADA}")), BASE64_STANDARD.encode(format!("bob:{BOB}")));
    for (script, own, other) in [(&source, &ada, &bob), (&target, &bob, &ada)] {
        let seen = script.seen();
        assert!(seen.iter().any(|request| request.header("authorization") == format!("Basic {own}")));
        for request in &seen {
            let all = format!("{} {:?} {:?}", request.uri, request.headers, request.body);
            assert!(!all.contains(other.as_str()) && !all.contains(ADA) && !all.contains(BOB), "{all}");
            assert!(request.uri.path() != "/storage/x" || request.header("authorization").is_empty(), "{all}");
        }
    }
    source.finish();
    target.finish();
}

#[tokio::test]
async fn whose_credentials_they_are_is_said() {
    let (a, b) = (Guarded::by(Guard::basic("ada", ADA)).await, Guarded::by(Guard::basic("bob", BOB)).await);
    let seed = room();
    Corpus::at(&seed.path("work/first")).await;
    let (from, to) = (a.reference("app:v1"), b.reference("app:v1"));
    let fill = ["copy", "--to-username", "ada", "--to-password-stdin", "oci:first:v1", &from];
    seed.run_with_input(fill, ADA).await.success();

    // The credentials are swapped: each is good at the other registry alone, and nobody tries that.
    let swapped = room().env("SPINREG_FROM_USERNAME", "bob").env("SPINREG_FROM_PASSWORD", BOB);
    let complaint = swapped.run(["copy", &from, &to]).await.failure(4);
    assert!(complaint.contains("SPINREG_FROM_PASSWORD"), "{complaint}");
    assert_eq!(b.guard.challenged(), 0, "the target was asked before the source");

    // Those of one registry do not count: nobody could tell whose they are.
    let plain = room().env("SPINREG_USERNAME", "ada").env("SPINREG_PASSWORD", ADA);
    let complaint = plain.run(["copy", &from, &to]).await.failure(4);
    assert!(complaint.contains(&format!("spinreg login {}", a.front.registry())), "{complaint}");

    // The source's alone are good for reading, and are not tried at the target.
    let half = room().env("SPINREG_FROM_USERNAME", "ada").env("SPINREG_FROM_PASSWORD", ADA);
    let complaint = half.run(["copy", &from, &to]).await.failure(4);
    assert!(complaint.contains(&format!("spinreg login {}", b.front.registry())), "{complaint}");
    let both = ["copy", &from, &to, "--to-username", "bob", "--to-password-stdin"];
    half.run_with_input(both, BOB).await.success();

    let two = ["copy", &from, &to, "--from-token-stdin", "--to-token-stdin"];
    let complaint = room().run_with_input(two, ADA).await.failure(2);
    assert!(complaint.contains("two secrets") && complaint.contains("SPINREG_TO_TOKEN"), "{complaint}");
}
