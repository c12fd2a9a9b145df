//! Manners: how long is waited, how much is asked for at a time, and what is passed on to people.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use spinreg::Manifest;
use spinreg::content::{Body, Source as _, Target as _};
use spinreg::model::{Descriptor, Identifier, MediaType};
use spinreg::registry::Notice;
use spinreg::transport::{Attempts, Payload};
use tokio::sync::Semaphore;

use crate::support::cli::Cli;
use crate::support::client::{get, send, transport, whole};
use crate::support::front::Front;
use crate::support::listen::{Connection, Handler, Hangup, Listener, collect};
use crate::support::registry::Embedded;
use crate::support::reply::{Names, Reply};
use crate::support::repository::{anonymous, app, plain};
use crate::support::scenario::{self, assert_cached, pull, push};
use crate::support::script::Script;

fn too_many(message: &str) -> Reply {
    Reply::refusal(429, "TOOMANYREQUESTS", message)
}

#[tokio::test]
async fn a_wait_in_the_text_is_waited_for() {
    let script = Script::new()
        .on_each("GET /a", [too_many("retry-after: 1.5ms, allowed: 2000/minute"), Reply::ok("a")])
        // As long as this nobody waits, and nobody asks again before.
        .on("GET /b", too_many("retry-after: 61s, allowed: 1/minute"))
        // What headers say comes first.
        .on_each("GET /c", [too_many("retry-after: 61s").header("retry-after", "0"), Reply::ok("c")])
        .start()
        .await;
    let transport = transport(|_| {});
    for (path, status, attempts) in [("/a", 200, 2), ("/b", 429, 1), ("/c", 200, 2)] {
        let response = send(&transport, get(&script.uri(path))).await.expect("an answer");
        assert_eq!((response.status().as_u16(), response.extensions().get()), (status, Some(&Attempts(attempts))));
        if status == 429 {
            let body = whole(response).await;
            assert!(body.ends_with(br#""message":"retry-after: 61s, allowed: 1/minute"}]}"#), "the whole is handed on");
        }
    }
    script.finish();
}

#[tokio::test]
async fn long_texts_are_handed_on_whole() {
    let text = "x".repeat(100_000);
    let script = Script::new().on("GET /", Reply::status(429).body(text.clone())).start().await;
    let transport = transport(|options| options.policy.attempts = 1);
    let body = whole(send(&transport, get(&script.uri("/"))).await.expect("an answer")).await;
    assert_eq!(body, text);
    script.finish();
}

#[tokio::test]
async fn a_request_shares_one_budget_with_what_it_nests() {
    // The token service and the registry have trouble in turns: five attempts for all of it.
    let challenge = || Reply::status(401).header("www-authenticate", r#"Bearer realm="{origin}/token",service="s""#);
    let script = Script::new()
        .on_each("HEAD /v2/app/manifests/v1", [Reply::status(503), Reply::status(503), challenge()])
        .on_each("GET /token*", [Reply::status(503), Reply::status(503), Reply::ok(r#"{"token":"t"}"#)])
        .on("HEAD /v2/app/manifests/v1", Reply::status(503))
        .with("authorization", "Bearer t")
        // A HEAD does not say why: the GET begins anew.
        .always("GET /v2/app/manifests/v1", Reply::status(503))
        .start()
        .await;
    let error = anonymous(script.address()).resolve(&"v1".parse().expect("a tag")).await.expect_err("trouble");
    assert!(error.is_transient(), "{error}");
    assert_eq!(script.requests().iter().filter(|line| line.starts_with("HEAD")).count(), 4);
    assert_eq!(script.requests().iter().filter(|line| line.starts_with("GET /v2/")).count(), 5);
    script.finish();
}

/// Takes at most so many requests at a time and refuses the others; counts.
#[derive(Clone)]
struct Strict {
    limit: usize,
    now: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    served: Arc<AtomicUsize>,
    refusal: Reply,
}

impl Strict {
    fn new(limit: usize, refusal: Reply) -> Self {
        Self { limit, now: Arc::default(), refused: Arc::default(), served: Arc::default(), refusal }
    }
}

impl Handler for Strict {
    async fn handle(&self, _: Request<Incoming>, connection: &Connection) -> Result<Response<Body>, Hangup> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
        if now > self.limit {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return self.refusal.play(&Method::GET, &Names::default(), connection).await;
        }
        self.served.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(Body::empty()))
    }
}

#[tokio::test]
async fn a_registry_that_says_too_much_is_asked_for_less_at_a_time() {
    for refusal in [
        Reply::status(429),
        Reply::status(503).header("retry-after", "0"),
        Reply::status(503).body("<Error><Code>SlowDown</Code></Error>"),
        too_many("Rate exceeded"),
    ] {
        let strict = Strict::new(4, refusal.clone());
        let server = Listener::plain(strict.clone()).await;
        // What is measured is how often it is asked too much, not how often in a row.
        let transport = transport(|options| options.policy.attempts = 20);
        let all = (0..200).map(async |_| send(&transport, get(&server.uri("/"))).await.expect("an answer").status());
        let statuses = join_all(all).await;
        assert!(statuses.iter().all(http::StatusCode::is_success), "{statuses:?}");
        assert_eq!(strict.served.load(Ordering::SeqCst), 200);
        // Sixteen at a time would be refused three times out of four.
        let refused = strict.refused.load(Ordering::SeqCst);
        assert!(refused < 100, "{refused} refused by {refusal:?}");
    }
}

/// Answers blobs when it is let, everything else at once.
#[derive(Clone)]
struct Slow {
    let_go: Arc<Semaphore>,
    blobs: Arc<AtomicUsize>,
    arrived: Arc<Semaphore>,
    stored: Arc<Mutex<Option<Bytes>>>,
}

impl Handler for Slow {
    async fn handle(&self, request: Request<Incoming>, _: &Connection) -> Result<Response<Body>, Hangup> {
        let (head, body) = request.into_parts();
        let body = collect(body).await?;
        if head.method == Method::GET && head.uri.path().contains("/blobs/") {
            self.blobs.fetch_add(1, Ordering::SeqCst);
            self.arrived.add_permits(1);
            let _permit = self.let_go.acquire().await;
            return Ok(Response::new(Body::from_bytes("content")));
        }
        let mut response = Response::new(Body::empty());
        if head.method == Method::PUT {
            *response.status_mut() = http::StatusCode::CREATED;
            *self.stored.lock().expect("no test panics in here") = Some(body);
        } else if head.method == Method::GET {
            *response.body_mut() = Body::from_bytes(MANIFEST);
        }
        Ok(response)
    }
}

const MANIFEST: &str = r#"{"schemaVersion":2,"manifests":[]}"#;

#[tokio::test]
async fn small_requests_never_queue_behind_blobs() {
    let closed = || Arc::new(Semaphore::new(0));
    let slow = Slow { let_go: closed(), blobs: Arc::default(), arrived: closed(), stored: Arc::default() };
    let server = Listener::plain(slow.clone()).await;
    let repository = anonymous(server.address());
    let blob = repository.blob(&Descriptor::of(MediaType::OCTET_STREAM, b"content"));
    let downloads = join_all((0..64).map(|_| blob.read(100)));
    let small = async {
        // A manifest larger than a small blob is a small request all the same.
        let filler = "x".repeat(1 << 20);
        let text = format!(r#"{{"schemaVersion":2,"manifests":[],"annotations":{{"filler":"{filler}"}}}}"#);
        let manifest = Manifest::parse(text, None).expect("a manifest");
        let tag = "v1".parse().expect("a tag");
        let _arrived = slow.arrived.acquire_many(32).await.expect("never closed");
        repository.manifest(&"v1".parse().expect("a tag")).await.expect("a manifest");
        repository.push_manifest(&manifest, Some(&tag)).await.expect("pushed");
        assert!(repository.exists(&Descriptor::of(MediaType::OCTET_STREAM, b"x")).await.expect("an answer"));
        assert_eq!(slow.blobs.load(Ordering::SeqCst), 32, "no blob has moved meanwhile");
        slow.let_go.add_permits(100);
    };
    let (blobs, ()) = tokio::join!(downloads, small);
    assert!(blobs.iter().all(Result::is_ok));
    assert_eq!(slow.blobs.load(Ordering::SeqCst), 64);
    let stored = slow.stored.lock().expect("no test panics in here").as_ref().map(Bytes::len);
    assert!(stored.is_some_and(|length| length > 1 << 20));
}

#[tokio::test]
async fn a_warning_is_passed_on_once() {
    let old = r#"299 - "tag is old""#;
    let script = Script::new()
        .on_each(
            "GET /v2/app/manifests/v1",
            [
                Reply::ok(MANIFEST).header("warning", old),
                Reply::ok(MANIFEST).header("warning", old),
                Reply::ok(MANIFEST).header("warning", format!(r#"{old}, 299 - "disk is full""#)),
            ],
        )
        .start()
        .await;
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let client = plain().notify({
        let told = told.clone();
        move |notice| {
            if let Notice::Warning(registry, text) = notice {
                told.lock().expect("no test panics in here").push(format!("{registry}: {text}"));
            }
        }
    });
    let repository = app(&client.build().expect("options that fit"), script.address());
    for _ in 0..3 {
        repository.manifest(&"v1".parse().expect("a tag")).await.expect("a manifest");
    }
    let registry = script.address();
    let expected = [format!("{registry}: tag is old"), format!("{registry}: disk is full")];
    assert_eq!(*told.lock().expect("no test panics in here"), expected);
    script.finish();
}

#[tokio::test]
async fn a_refused_request_body_waits_its_turn_as_well() {
    let script =
        Script::new().on_each("PUT /", [too_many("retry-after: 1ms").unread(), Reply::status(201)]).start().await;
    let payload = Payload::Bytes(Bytes::from_static(b"manifest"));
    let request = Request::builder().method(Method::PUT).uri(script.uri("/")).body(payload).expect("a request");
    let response = send(&transport(|_| {}), request).await.expect("an answer");
    assert_eq!(response.extensions().get(), Some(&Attempts(2)));
    script.finish();
}

#[tokio::test]
async fn where_pulls_are_counted_an_unchanged_one_is_not() {
    let registry = Embedded::start().await;
    let digest = push(&Cli::new(), &scenario::app("static-site"), &registry.reference("me/app:v1"), &[]).await;
    // A proxy is asked for any name, this one as well.
    let front = Front::before(registry.address()).start().await;
    let cli = Cli::new().env("http_proxy", format!("http://{}", front.registry()));
    let manifests = || {
        let lines = front.wire().take();
        lines.into_iter().filter(|line| line.contains("/manifests/")).collect::<Vec<_>>()
    };
    let (tag, digest) = ("HEAD /v2/me/app/manifests/v1 200", format!("GET /v2/me/app/manifests/{digest} 200"));
    pull(&cli, "docker.io/me/app:v1", &["--plain-http"]).await;
    assert_eq!(manifests(), [tag, &digest]);
    assert_cached(&cli, "docker.io/me/app/v1", "static-site");
    pull(&cli, "docker.io/me/app:v1", &["--plain-http"]).await;
    assert_eq!(manifests(), [tag]);
    pull(&Cli::new(), &format!("{}/me/app:v1", front.registry()), &[]).await;
    assert_eq!(manifests(), ["GET /v2/me/app/manifests/v1 200"], "elsewhere it would only cost a request");
}

/// What an index stands for here was not known without reading it, each time.
#[tokio::test]
async fn r3_an_unchanged_index_is_not_counted_either() {
    let registry = Embedded::start().await;
    let digest = push(&Cli::new(), &scenario::app("static-site"), &registry.reference("me/app:v1"), &[]).await;
    let client = plain().build().expect("options that fit");
    let repository = client.repository(&registry.reference("me/app").parse().expect("a reference")).for_push();
    let image = repository.manifest(&Identifier::Digest(digest)).await.expect("the manifest");
    let mut child = serde_json::to_value(image.descriptor()).expect("plain data");
    child["platform"] = serde_json::json!({ "os": "wasip1", "architecture": "wasm" });
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [child],
    });
    let index = Manifest::parse(index.to_string(), None).expect("an index");
    repository.push_manifest(&index, Some(&"all".parse().expect("a tag"))).await.expect("an upload");

    let front = Front::before(registry.address()).start().await;
    let cli = Cli::new().env("http_proxy", format!("http://{}", front.registry()));
    let tag = "HEAD /v2/me/app/manifests/all 200".to_owned();
    let read = |digest: spinreg::Digest| format!("GET /v2/me/app/manifests/{digest} 200");
    for expected in [vec![tag.clone(), read(index.digest()), read(digest)], vec![tag]] {
        pull(&cli, "docker.io/me/app:all", &["--plain-http"]).await;
        let lines = front.wire().take().into_iter().filter(|line| line.contains("/manifests/"));
        assert_eq!(lines.collect::<Vec<_>>(), expected);
        assert_cached(&cli, "docker.io/me/app/all", "static-site");
    }
}

#[tokio::test]
async fn a_limit_is_told_with_its_numbers() {
    let limited = too_many("You have reached your pull rate limit")
        .header("retry-after", "86400")
        .header("ratelimit-limit", "100;w=21600")
        .header("ratelimit-remaining", "0;w=21600")
        .header("x-request-id", "4f2a-77");
    let script = Script::new().on("GET /v2/app/manifests/v1", limited).start().await;
    let complaint = Cli::new().run(["pull", &format!("{}/app:v1", script.address())]).await.failure(1);
    for text in [
        "429 Too Many Requests: TOOMANYREQUESTS: You have reached your pull rate limit",
        "request id `4f2a-77`",
        "the registry allows 100 requests in 6 h, of which 0 are left",
    ] {
        assert!(complaint.contains(text), "{complaint}");
    }
    script.finish();
}

/// Refusals had the number of the request, and the commonest two answers had it not.
#[tokio::test]
async fn r3_what_is_missing_or_denied_is_told_with_the_number_of_the_request() {
    let token =
        || Reply::status(401).header("www-authenticate", "Bearer realm=\"/token\"").header("x-request-id", "1-1");
    let script = Script::new()
        .on("GET /v2/app/manifests/v1", Reply::status(404).header("x-request-id", "3-3"))
        .always("GET /v2/app/manifests/v2", token())
        .on("GET /token?*", Reply::refusal(403, "DENIED", "no").header("x-request-id", "2-2"))
        .start()
        .await;
    let repository = anonymous(script.address());
    for (tag, id) in [("v1", "3-3"), ("v2", "2-2")] {
        let error = repository.manifest(&tag.parse().expect("a tag")).await.expect_err("refused").to_string();
        assert!(error.contains(&format!(", request id `{id}`)")), "{error}");
    }
    script.finish();
}

#[tokio::test]
async fn refusals_without_a_reason_say_what_there_is() {
    let page = Reply::status(403).header("content-type", "text/html").body("<html><title>Web filter</title>");
    let script = Script::new()
        .on("GET /v2/app/manifests/page", page)
        .on("GET /v2/app/manifests/nothing", Reply::status(400).header("x-amzn-requestid", "11-22"))
        .on("GET /v2/app/manifests/noise", Reply::status(400).body("\0\u{1}{{"))
        .start()
        .await;
    let repository = anonymous(script.address());
    let origin = script.origin();
    for (tag, text) in [
        ("page", "403 Forbidden: a page titled `Web filter` (GET {origin}/v2/app/manifests/page)"),
        ("nothing", "400 Bad Request (GET {origin}/v2/app/manifests/nothing, request id `11-22`)"),
        ("noise", "400 Bad Request (GET {origin}/v2/app/manifests/noise)"),
    ] {
        let error = repository.manifest(&tag.parse().expect("a tag")).await.expect_err("refused");
        assert_eq!(error.to_string(), format!("the registry answered {}", text.replace("{origin}", &origin)));
    }
    script.finish();
}
