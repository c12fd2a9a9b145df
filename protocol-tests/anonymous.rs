//! Reading in nobody's name what credentials that are refused stand in the way of.

use std::sync::{Arc, Mutex};

use spinreg::Error;
use spinreg::auth::{Actions, Authorizer, Credential, Exposure, Found, Given, Remark, Scopes, Secret};
use spinreg::error::Tried;
use spinreg::model::Registry;
use spinreg::transport::Payload;

use crate::support::cli::Cli;
use crate::support::client::{request, transport, whole};
use crate::support::front::Front;
use crate::support::guard::Guard;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::scenario::{app, push};
use crate::support::script::{Script, Scripted};

const PASSWORD: &str = "correct-horse-battery";
const MANIFEST: &str = "/v2/app/manifests/v1";

/// Somebody with a password, and what is remarked about it.
struct Visitor {
    authorizer: Authorizer,
    registry: Registry,
    remarks: Arc<Mutex<Vec<String>>>,
}

impl Visitor {
    fn new(registry: &str) -> Self {
        let registry: Registry = registry.parse().expect("a registry");
        let credential = Credential::Password { username: "ada".to_owned(), secret: Secret::new(PASSWORD) };
        let given = Given::new(registry.clone(), Found { credential, source: "the test".to_owned() });
        let remarks: Arc<Mutex<Vec<String>>> = Arc::default();
        let book = remarks.clone();
        let tell = move |remark: Remark<'_>| book.lock().expect("no test panics in here").push(format!("{remark:?}"));
        let authorizer = Authorizer::telling(transport(|_| {}), Arc::new(given), Exposure::Guarded, tell);
        Self { authorizer, registry, remarks }
    }

    /// Asks for the manifest; returns the status and the body.
    async fn send(&self, method: http::Method, uri: &http::Uri) -> Result<(u16, bytes::Bytes), Error> {
        let reads = method == http::Method::GET;
        let actions = if reads { Actions::PULL } else { Actions::PULL | Actions::PUSH };
        let scopes = Scopes::repository(&"app".parse().expect("a name"), actions);
        let request = request(method, uri).map(|_| Payload::Empty);
        let mut budget = self.authorizer.transport().budget();
        let response = self.authorizer.send(&self.registry, request, &scopes, &mut budget).await?;
        Ok((response.status().as_u16(), whole(response).await))
    }

    async fn pull(&self, uri: &http::Uri) -> Result<u16, Error> {
        Ok(self.send(http::Method::GET, uri).await?.0)
    }

    fn remarks(&self) -> usize {
        self.remarks.lock().expect("no test panics in here").len()
    }
}

#[track_caller]
fn blames_ada<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    let tried = Tried::Account { username: "ada".to_owned(), source: "the test".to_owned() };
    assert!(matches!(&outcome, Err(Error::Unauthorized(unmet)) if unmet.tried == tried), "{outcome:?}");
}

fn challenge() -> Reply {
    Reply::status(401).header("www-authenticate", "Bearer realm=\"{origin}/token\"")
}

fn token(name: &str) -> Reply {
    Reply::ok(format!("{{\"token\":\"{name}\"}}"))
}

async fn registry() -> Scripted {
    Script::new().always("* /v2/app/manifests/v1", Reply::ok("manifest")).start().await
}

#[tokio::test]
async fn a_wrong_password_does_not_keep_anybody_from_what_is_public() {
    let (registry, guard) = (registry().await, Guard::bearer("ada", "another").public());
    let front = Front::before(registry.address()).guarded(&guard).start().await;
    let (visitor, uri) = (Visitor::new(&front.registry()), front.uri(MANIFEST));
    for _ in 0..3 {
        assert_eq!(visitor.pull(&uri).await.expect("it is public"), 200);
    }
    assert_eq!(guard.token_requests().len(), 2, "one with the password, one without");
    assert_eq!(visitor.remarks(), 1, "said once");
    blames_ada(visitor.send(http::Method::PUT, &uri).await);
    assert_eq!(visitor.pull(&uri).await.expect("it is public"), 200);
    registry.finish();
}

#[tokio::test]
async fn a_token_that_is_forbidden_to_read_is_done_without() {
    // GHCR: a token for the wrong account is issued, and refused with 403.
    let script = Script::new()
        .on_each(&format!("GET {MANIFEST}"), [challenge(), Reply::refusal(403, "DENIED", "denied"), challenge()])
        .on("GET /token*", token("ada-token"))
        .with("authorization", "Basic YWRhOmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==")
        .on("GET /token*", token("anybodys-token"))
        .without("authorization")
        .on(&format!("GET {MANIFEST}"), Reply::ok("manifest"))
        .with("authorization", "Bearer anybodys-token")
        .start()
        .await;
    let visitor = Visitor::new(&script.address().to_string());
    let (status, body) = visitor.send(http::Method::GET, &script.uri(MANIFEST)).await.expect("it is public");
    assert_eq!((status, &body[..]), (200, &b"manifest"[..]));
    assert_eq!(visitor.remarks(), 1);
    script.finish();
}

#[tokio::test]
async fn what_is_private_is_refused_in_the_words_of_the_first_refusal() {
    for last in [Reply::refusal(403, "DENIED", "again"), Reply::refusal(404, "NAME_UNKNOWN", "hidden"), challenge()] {
        let script = Script::new()
            .on_each(
                &format!("GET {MANIFEST}"),
                [challenge(), Reply::refusal(403, "DENIED", "not yours"), challenge(), last],
            )
            .on_each("GET /token*", [token("ada-token"), token("anybodys-token")])
            // The second time nobody's name is not tried any more.
            .on(&format!("GET {MANIFEST}"), Reply::refusal(403, "DENIED", "not yours"))
            .with("authorization", "Bearer ada-token")
            .start()
            .await;
        let visitor = Visitor::new(&script.address().to_string());
        for _ in 0..2 {
            let (status, body) = visitor.send(http::Method::GET, &script.uri(MANIFEST)).await.expect("an answer");
            assert_eq!(status, 403);
            assert!(String::from_utf8_lossy(&body).contains("not yours"), "{body:?}");
        }
        assert_eq!(visitor.remarks(), 0);
        script.finish();
    }
}

#[tokio::test]
async fn a_registry_that_wants_passwords_is_not_asked_without() {
    let (registry, guard) = (registry().await, Guard::basic("ada", "another"));
    let front = Front::before(registry.address()).guarded(&guard).start().await;
    let visitor = Visitor::new(&front.registry());
    blames_ada(visitor.pull(&front.uri(MANIFEST)).await);
    assert_eq!(guard.challenged(), 2, "once bare, once with the password");
    registry.finish();
}

#[tokio::test]
async fn the_tool_warns_and_hints() {
    let registry = Embedded::start().await;
    push(&Cli::new(), &app("static-site"), &registry.reference("app:v1"), &[]).await;
    let public = Front::before(registry.address()).guarded(&Guard::bearer("ada", "another").public()).start().await;
    let cli = Cli::new().env("SPINREG_USERNAME", "ada").env("SPINREG_PASSWORD", PASSWORD).secret(PASSWORD);
    let run = cli.run(["pull", "-q", &format!("{}/app:v1", public.registry())]).await;
    let warning = format!(
        "warning: `{}` does not accept `ada` from `SPINREG_PASSWORD`, and gives this to anybody: going on without credentials\n",
        public.registry()
    );
    assert_eq!(run.stderr, warning);
    run.success();
    let private = Front::before(registry.address()).guarded(&Guard::bearer("ada", "another")).start().await;
    let complaint = cli.run(["pull", "-q", &format!("{}/app:v1", private.registry())]).await.failure(4);
    assert!(complaint.contains("does not accept `ada` from `SPINREG_PASSWORD`"), "{complaint}");
    assert!(
        complaint.contains("hint: `app` may be private or not exist; correct `SPINREG_PASSWORD`, or unset it"),
        "{complaint}"
    );
}
