//! Who we are: challenges met, tokens shared and renewed, passwords kept from where they do not belong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Uri;
use httpmock::prelude::*;
use spinreg::Error;
use spinreg::auth::{Actions, Authorizer, Credential, Exposure, Found, Given, Keychain, Lookup, Proof, Scopes, Secret};
use spinreg::error::{Tried, Unmet};
use spinreg::model::{ErrorCode, Name, Registry};
use spinreg::transport::{Payload, Transport};

use crate::support::client::{get, request, transport, trusting, whole};
use crate::support::front::{Front, Fronted};
use crate::support::guard::Guard;
use crate::support::reply::Reply;
use crate::support::script::{Script, Scripted};
use crate::support::tls::Authority;

/// Never to be seen in any error.
const PASSWORD: &str = "correct-horse-battery";

/// The registry behind the guard: everybody may do everything with `app`.
async fn registry() -> Scripted {
    Script::new()
        .always("GET /v2/", Reply::ok("{}"))
        .always("GET /v2/app/manifests/v1", Reply::ok("manifest"))
        .always("PUT /v2/app/manifests/v1", Reply::status(201))
        .start()
        .await
}

async fn guarded(registry: &Scripted, guard: &Guard) -> Fronted {
    Front::before(registry.address()).guarded(guard).start().await
}

fn password(secret: &str) -> Found {
    let credential = Credential::Password { username: "ada".to_owned(), secret: Secret::new(secret) };
    Found { credential, source: "the test".to_owned() }
}

fn identity(token: &str) -> Found {
    Found { credential: Credential::Identity { token: Secret::new(token) }, source: "the test".to_owned() }
}

fn bearer(token: &str) -> Found {
    Found { credential: Credential::Bearer { token: Secret::new(token) }, source: "the test".to_owned() }
}

/// One registry, and somebody who talks to it.
struct Visitor {
    authorizer: Authorizer,
    registry: Registry,
}

impl Visitor {
    fn new(name: &str, found: Option<Found>) -> Self {
        Self::over(transport(|_| {}), name, found)
    }

    fn over(transport: Transport, name: &str, found: Option<Found>) -> Self {
        let registry: Registry = name.parse().expect("a registry");
        let keychain: Arc<dyn Keychain> = match found {
            Some(found) => Arc::new(Given::new(registry.clone(), found)),
            None => Arc::new(()),
        };
        Self { authorizer: Authorizer::new(transport, keychain, Exposure::Guarded), registry }
    }

    async fn send(&self, request: http::Request<Payload>, actions: Actions) -> Result<http::Response<()>, Error> {
        let scopes = Scopes::repository(&app(), actions);
        let mut budget = self.authorizer.transport().budget();
        let response = self.authorizer.send(&self.registry, request, &scopes, &mut budget).await?;
        let (head, body) = response.into_parts();
        whole(http::Response::new(body)).await;
        Ok(http::Response::from_parts(head, ()))
    }

    /// Gets something that wants `pull`; returns the status.
    async fn pull(&self, uri: &Uri) -> Result<u16, Error> {
        Ok(self.send(get(uri), Actions::PULL).await?.status().as_u16())
    }

    /// Puts something that wants `push`; returns the status.
    async fn push(&self, uri: &Uri) -> Result<u16, Error> {
        let request = request(http::Method::PUT, uri).map(|_| Payload::Bytes("manifest".into()));
        Ok(self.send(request, Actions::PULL | Actions::PUSH).await?.status().as_u16())
    }
}

fn app() -> Name {
    "app".parse().expect("a name")
}

/// Takes an error for the credentials' fault, and looks for the secret in everything it says.
#[track_caller]
fn unmet<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Unmet {
    let text = format!("{outcome:?} {}", outcome.as_ref().err().map(Error::to_string).unwrap_or_default());
    assert!(!text.contains(PASSWORD), "the secret shows: {text}");
    match outcome {
        Err(Error::Unauthorized(unmet)) => *unmet,
        outcome => panic!("{outcome:?} is not the credentials' fault"),
    }
}

fn account() -> Tried {
    Tried::Account { username: "ada".to_owned(), source: "the test".to_owned() }
}

#[tokio::test]
async fn nobody_asks_and_nothing_is_shown() {
    let script = Script::new().on("GET /v2/app/manifests/v1", Reply::ok("")).without("authorization").start().await;
    let visitor = Visitor::new(&script.address().to_string(), Some(password(PASSWORD)));
    assert_eq!(visitor.pull(&script.uri("/v2/app/manifests/v1")).await.expect("an answer"), 200);
    script.finish();
}

#[tokio::test]
async fn basic_is_asked_for_once() {
    let (registry, guard) = (registry().await, Guard::basic("ada", PASSWORD));
    let front = guarded(&registry, &guard).await;
    let visitor = Visitor::new(&front.registry(), Some(password(PASSWORD)));
    let uri = front.uri("/v2/app/manifests/v1");
    for _ in 0..2 {
        assert_eq!(visitor.pull(&uri).await.expect("an answer"), 200);
    }
    assert_eq!(visitor.push(&uri).await.expect("an answer"), 201);
    assert_eq!(guard.challenged(), 1);
    registry.finish();
}

#[tokio::test]
async fn a_token_is_kept_and_a_wider_one_got_when_needed() {
    let (registry, guard) = (registry().await, Guard::bearer("ada", PASSWORD));
    let front = guarded(&registry, &guard).await;
    let visitor = Visitor::new(&front.registry(), Some(password(PASSWORD)));
    let uri = front.uri("/v2/app/manifests/v1");
    for expected in [200, 200] {
        assert_eq!(visitor.pull(&uri).await.expect("an answer"), expected);
    }
    assert_eq!(guard.token_requests(), ["repository:app:pull"]);
    assert_eq!(visitor.push(&uri).await.expect("an answer"), 201);
    assert_eq!(visitor.pull(&uri).await.expect("an answer"), 200);
    assert_eq!(guard.token_requests(), ["repository:app:pull", "repository:app:pull,push"]);
    let wire =
        ["GET /v2/app/manifests/v1 401", "GET /token?service=test&scope=repository:app:pull&client_id=spinreg 200"];
    assert_eq!(front.wire().lines()[..2], wire);
    registry.finish();
}

#[tokio::test]
async fn both_spellings_of_a_token_are_read() {
    for field in ["token", "access_token"] {
        let (registry, guard) = (registry().await, Guard::bearer("ada", PASSWORD).token_field(field));
        let front = guarded(&registry, &guard).await;
        let visitor = Visitor::new(&front.registry(), Some(password(PASSWORD)));
        assert_eq!(visitor.pull(&front.uri("/v2/app/manifests/v1")).await.expect("an answer"), 200, "{field}");
        registry.finish();
    }
}

#[tokio::test]
async fn anybody_gets_a_token_to_pull_and_none_to_push() {
    let (registry, guard) = (registry().await, Guard::bearer("ada", PASSWORD).public());
    let front = guarded(&registry, &guard).await;
    let visitor = Visitor::new(&front.registry(), None);
    let uri = front.uri("/v2/app/manifests/v1");
    assert_eq!(visitor.pull(&uri).await.expect("an answer"), 200);
    let unmet = unmet(visitor.push(&uri).await);
    assert_eq!(unmet.tried, Tried::Nothing);
    assert_eq!(unmet.request.method, http::Method::PUT);
    assert_eq!(unmet.errors[0].message, "authentication required: Bearer *** ");
    registry.finish();
}

#[tokio::test]
async fn many_requests_share_one_token_request() {
    const MANY: usize = 8;
    let registry = registry().await;
    // All of them hold their challenge before the first can ask for a token.
    let guard = Guard::bearer("ada", PASSWORD).gather(MANY);
    let front = guarded(&registry, &guard).await;
    let visitor = Visitor::new(&front.registry(), Some(password(PASSWORD)));
    let uri = front.uri("/v2/app/manifests/v1");
    let outcomes = futures_util::future::join_all((0..MANY).map(|_| visitor.pull(&uri))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(200))), "{outcomes:?}");
    assert_eq!(guard.challenged(), MANY);
    assert_eq!(guard.token_requests().len(), 1);
    registry.finish();
}

#[tokio::test]
async fn many_requests_share_one_refusal() {
    const MANY: usize = 8;
    let (registry, guard) = (registry().await, Guard::bearer("ada", "another").gather(MANY));
    let front = guarded(&registry, &guard).await;
    let visitor = Visitor::new(&front.registry(), Some(password(PASSWORD)));
    let uri = front.uri("/v2/app/manifests/v1");
    for outcome in futures_util::future::join_all((0..MANY).map(|_| visitor.pull(&uri))).await {
        assert_eq!(unmet(outcome).tried, account());
    }
    // An account may be locked after a few wrong passwords: it is shown once, and then nobody's name is tried once.
    assert_eq!(guard.token_requests().len(), 2);
    registry.finish();
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_and_only_once() {
    let (registry, guard) = (registry().await, Guard::bearer("ada", PASSWORD).good_for(2));
    let front = guarded(&registry, &guard).await;
    let visitor = Visitor::new(&front.registry(), Some(password(PASSWORD)));
    let uri = front.uri("/v2/app/manifests/v1");
    for _ in 0..5 {
        assert_eq!(visitor.pull(&uri).await.expect("an answer"), 200);
    }
    assert_eq!(guard.token_requests().len(), 3);
    guard.expire();
    let outcomes = futures_util::future::join_all((0..2).map(|_| visitor.pull(&uri))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(200))), "{outcomes:?}");
    assert_eq!(guard.token_requests().len(), 4, "both renew the same token");

    // A registry that refuses every token gets its challenge met once, and once in nobody's name.
    let stubborn = Guard::bearer("ada", PASSWORD).good_for(0);
    let front = guarded(&registry, &stubborn).await;
    let visitor = Visitor::new(&front.registry(), Some(password(PASSWORD)));
    assert_eq!(unmet(visitor.pull(&front.uri("/v2/app/manifests/v1")).await).tried, account());
    assert_eq!((stubborn.challenged(), stubborn.token_requests().len()), (4, 2));
    registry.finish();
}

#[tokio::test]
async fn a_wrong_password_is_told_in_the_services_words() {
    for guard in [Guard::bearer("ada", "another"), Guard::basic("ada", "another")] {
        let registry = registry().await;
        let front = guarded(&registry, &guard).await;
        let visitor = Visitor::new(&front.registry(), Some(password(PASSWORD)));
        let unmet = unmet(visitor.pull(&front.uri("/v2/app/manifests/v1")).await);
        assert_eq!(unmet.tried, account());
        assert_eq!(unmet.registry.as_str(), front.registry());
        assert_eq!(unmet.errors[0].code, ErrorCode::Unauthorized);
        let bearer = unmet.request.uri.to_string().contains("/token");
        let message = if bearer { "incorrect username or password" } else { "authentication required" };
        // What the service repeats is not printed.
        let message = format!("{message}: Basic *** ada:***");
        assert_eq!(unmet.errors[0].message, message);
        registry.finish();
    }
}

#[tokio::test]
async fn a_refresh_token_is_exchanged() {
    let (registry, guard) = (registry().await, Guard::bearer("ada", PASSWORD).refresh_token("refresh me"));
    let front = guarded(&registry, &guard).await;
    let uri = front.uri("/v2/app/manifests/v1");
    let visitor = Visitor::new(&front.registry(), Some(identity("refresh me")));
    assert_eq!(visitor.push(&uri).await.expect("an answer"), 201);
    assert_eq!(guard.token_requests(), ["repository:app:pull,push"]);
    let visitor = Visitor::new(&front.registry(), Some(identity(PASSWORD)));
    unmet(visitor.pull(&uri).await);
    registry.finish();
}

#[tokio::test]
async fn a_ready_made_token_is_sent_as_it_is() {
    let script = Script::new()
        .on("GET /v2/app/manifests/v1", Reply::status(401).header("www-authenticate", "Bearer realm=\"/token\""))
        .without("authorization")
        .on_each("GET /v2/app/manifests/v1", [Reply::ok(""), Reply::ok("")])
        .with("authorization", "Bearer ready-made-token")
        .start()
        .await;
    let visitor = Visitor::new(&script.address().to_string(), Some(bearer("ready-made-token")));
    for _ in 0..2 {
        assert_eq!(visitor.pull(&script.uri("/v2/app/manifests/v1")).await.expect("an answer"), 200);
    }
    script.finish();
}

#[tokio::test]
async fn payloads_are_sent_again_after_a_challenge() {
    let script = Script::new()
        .on("PUT /v2/app/manifests/v1", Reply::status(401).header("www-authenticate", "Basic realm=\"x\""))
        .on("PUT /v2/app/manifests/v1", Reply::status(201))
        .with_body("streamed")
        .with("content-length", "8")
        .start()
        .await;
    let visitor = Visitor::new(&script.address().to_string(), Some(password(PASSWORD)));
    let payload = Payload::reopen(Some(8), || async { Ok(spinreg::content::Body::from_bytes("streamed")) });
    let request = request(http::Method::PUT, &script.uri("/v2/app/manifests/v1")).map(|_| payload);
    assert_eq!(visitor.send(request, Actions::PUSH).await.expect("an answer").status(), 201);
    script.finish();
}

#[tokio::test]
async fn sources_are_asked_only_when_a_challenge_comes_and_only_once() {
    #[derive(Default)]
    struct Counting(AtomicUsize);
    impl Keychain for Counting {
        fn credential<'a>(&'a self, _: &'a Registry, _: Option<&'a Name>) -> Lookup<'a> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Box::pin(std::future::ready(Ok(Some(password(PASSWORD)))))
        }
    }
    let (registry, guard) = (registry().await, Guard::bearer("ada", PASSWORD).good_for(1));
    let front = guarded(&registry, &guard).await;
    let keychain = Arc::new(Counting::default());
    let authorizer = Authorizer::new(transport(|_| {}), keychain.clone(), Exposure::Guarded);
    let visitor = Visitor { authorizer, registry: front.registry().parse().expect("a registry") };
    assert_eq!(visitor.pull(&registry.uri("/v2/app/manifests/v1")).await.expect("an open registry"), 200);
    assert_eq!(keychain.0.load(Ordering::SeqCst), 0);
    for _ in 0..3 {
        assert_eq!(visitor.pull(&front.uri("/v2/app/manifests/v1")).await.expect("an answer"), 200);
    }
    assert_eq!(keychain.0.load(Ordering::SeqCst), 1);
    registry.finish();
}

#[tokio::test]
async fn no_credentials_go_to_a_storage_that_asks_for_some() {
    let storage = Script::new()
        .on("GET /blob", Reply::status(401).header("www-authenticate", "Basic realm=\"trap\""))
        .without("authorization")
        .start()
        .await;
    let registry = Script::new()
        .on("GET /v2/app/manifests/v1", Reply::status(401).header("www-authenticate", "Basic realm=\"x\""))
        .on("GET /v2/app/manifests/v1", Reply::redirect(307, storage.uri("/blob").to_string()))
        .start()
        .await;
    let visitor = Visitor::new(&registry.address().to_string(), Some(password(PASSWORD)));
    assert_eq!(visitor.pull(&registry.uri("/v2/app/manifests/v1")).await.expect("an answer"), 401);
    registry.finish();
    storage.finish();
}

#[tokio::test]
async fn credentials_are_withheld_from_an_unprotected_token_service() {
    let authority = Authority::new();
    let trap = Script::new().start().await;
    let challenge = format!("Bearer realm=\"{}\"", trap.uri("/token"));
    let registry = Script::new()
        .on("GET /v2/app/manifests/v1", Reply::status(401).header("www-authenticate", challenge))
        .start_tls(&authority)
        .await;
    let name = format!("localhost:{}", registry.address().port());
    let visitor = Visitor::over(trusting(&authority, |_| {}), &name, Some(password(PASSWORD)));
    let outcome = visitor.pull(&registry.uri("/v2/app/manifests/v1")).await;
    assert!(matches!(outcome, Err(Error::Protocol(_))), "{outcome:?}");
    registry.finish();
    trap.finish();
}

#[tokio::test]
async fn a_token_service_is_not_followed_elsewhere() {
    let trap = Script::new().start().await;
    let registry = Script::new()
        .on("GET /v2/app/manifests/v1", Reply::status(401).header("www-authenticate", "Bearer realm=\"/token\""))
        .on("GET /token*", Reply::redirect(307, trap.uri("/token").to_string()))
        .start()
        .await;
    let visitor = Visitor::new(&registry.address().to_string(), Some(password(PASSWORD)));
    let outcome = visitor.pull(&registry.uri("/v2/app/manifests/v1")).await;
    assert!(matches!(outcome, Err(Error::Protocol(_))), "{outcome:?}");
    registry.finish();
    trap.finish();
}

/// A registry whose token service answers with `status` and `body`.
async fn answering(status: u16, body: &str) -> (MockServer, Uri) {
    let server = MockServer::start_async().await;
    let challenge = format!("Bearer realm=\"{}\",service=\"test\"", server.url("/token"));
    server
        .mock_async(|when, then| {
            when.method(GET).path("/v2/app/manifests/v1").header_missing("authorization");
            then.status(401).header("www-authenticate", challenge);
        })
        .await;
    server
        .mock_async(|when, then| {
            when.method(GET).path("/token").query_param("service", "test").query_param("scope", "repository:app:pull");
            then.status(status).header("content-type", "application/json").body(body);
        })
        .await;
    let uri = server.url("/v2/app/manifests/v1").parse().expect("a URI");
    (server, uri)
}

#[tokio::test]
async fn a_challenge_a_token_and_the_answer() {
    let (server, uri) =
        answering(200, r#"{"token":"abc.def","expires_in":300,"issued_at":"2001-01-01T00:00:00Z"}"#).await;
    let manifest = server
        .mock_async(|when, then| {
            when.method(GET).path("/v2/app/manifests/v1").header("authorization", "Bearer abc.def");
            then.status(200).body("manifest");
        })
        .await;
    let visitor = Visitor::new(&server.address().to_string(), None);
    assert_eq!(visitor.pull(&uri).await.expect("an answer"), 200);
    manifest.assert_async().await;
}

#[tokio::test]
async fn token_services_talk_nonsense() {
    let long = format!(r#"{{"token":"{}"}}"#, "x".repeat(256 << 10));
    for body in
        ["", "{}", "[]", "<html>login</html>", r#"{"token":""}"#, r#"{"token":"a\nb"}"#, r#"{"token":5}"#, &long]
    {
        let (server, uri) = answering(200, body).await;
        let outcome = Visitor::new(&server.address().to_string(), None).pull(&uri).await;
        let told =
            matches!(&outcome, Err(Error::Protocol(violation)) if violation.request.to_string().contains("/token"));
        assert!(told, "{:.40}: {outcome:?}", body);
    }
}

#[tokio::test]
async fn a_token_services_refusals_are_told() {
    for (status, body, message) in [
        (401, r#"{"details":"incorrect username or password"}"#, "incorrect username or password"),
        (401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"who?"}]}"#, "who?"),
        (403, r#"{"error":"access_denied","error_description":"not yours"}"#, "not yours"),
        (401, "<html>", ""),
    ] {
        let (server, uri) = answering(status, body).await;
        let visitor = Visitor::new(&server.address().to_string(), Some(password(PASSWORD)));
        let unmet = unmet(visitor.pull(&uri).await);
        let said = unmet.errors.first().map_or("", |entry| entry.message.as_str());
        assert_eq!(said, message, "{body}");
        assert!(unmet.request.to_string().contains("/token"), "{}", unmet.request);
    }
    let (server, uri) = answering(404, "").await;
    let outcome = Visitor::new(&server.address().to_string(), None).pull(&uri).await;
    assert!(matches!(&outcome, Err(Error::Refused(refused)) if refused.status == 404), "{outcome:?}");
}

#[tokio::test]
async fn login_proves_what_it_is_given() {
    for (guard, right) in [
        (Guard::basic("ada", PASSWORD), true),
        (Guard::basic("ada", "another"), false),
        (Guard::bearer("ada", PASSWORD), true),
        (Guard::bearer("ada", PASSWORD).public(), true),
        (Guard::bearer("ada", "another"), false),
        // Anybody may pull there; the password is wrong all the same.
        (Guard::bearer("ada", "another").public(), false),
    ] {
        let registry = registry().await;
        let front = guarded(&registry, &guard).await;
        let visitor = Visitor::new(&front.registry(), None);
        let outcome = visitor.authorizer.prove(&visitor.registry, &front.uri("/v2/"), &password(PASSWORD)).await;
        match right {
            true => assert_eq!(outcome.expect("the right password"), Proof::Verified),
            false => assert_eq!(unmet(outcome).tried, account()),
        }
        registry.finish();
    }
    let open = registry().await;
    let visitor = Visitor::new(&open.address().to_string(), None);
    let outcome = visitor.authorizer.prove(&visitor.registry, &open.uri("/v2/"), &password(PASSWORD)).await;
    assert_eq!(outcome.expect("an open registry"), Proof::NotAsked);
    assert!(open.seen().iter().all(|seen| seen.header("authorization").is_empty()));
    open.finish();
}
