//! Tokens: services that speak every dialect, and uploads that outlast what they give.

use bytes::Bytes;
use spinreg::Error;
use spinreg::auth::{Credential, Found, Given, Secret};
use spinreg::content::{Blob, Pushed, Source as _, Target as _};
use spinreg::error::Tried;
use spinreg::model::{Descriptor, Digest, Identifier, MediaType, Name};
use spinreg::registry::{Repository, Uploads};

use crate::support::front::Front;
use crate::support::guard::Guard;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::repository::{app, known, plain};
use crate::support::script::{Script, Scripted};

/// `ada:lovelace`
const BASIC: &str = "Basic YWRhOmxvdmVsYWNl";
const CHUNK: usize = 64 << 10;

fn bytes(n: usize) -> Bytes {
    (0..n).map(|n| (n * 31 % 251) as u8).collect()
}

fn blob(bytes: &Bytes) -> Blob {
    Blob::from_bytes(MediaType::OCTET_STREAM, bytes.clone())
}

fn challenge() -> Reply {
    Reply::status(401).header("www-authenticate", "Bearer realm=\"{origin}/token\",service=\"test\"")
}

fn token(name: &str) -> Reply {
    Reply::ok(format!("{{\"token\":\"{name}\"}}"))
}

fn created(bytes: &Bytes) -> Reply {
    Reply::status(201).header("docker-content-digest", Digest::of(bytes).to_string())
}

/// Lets `on` and `with` say with which token a request comes.
trait Carrying {
    fn bearing(self, pattern: &str, token: &str, reply: Reply) -> Self;
}

impl Carrying for Script {
    fn bearing(self, pattern: &str, token: &str, reply: Reply) -> Self {
        self.on(pattern, reply).with("authorization", format!("Bearer {token}"))
    }
}

async fn resolve(repository: &Repository) -> Result<Descriptor, Error> {
    repository.resolve(&Identifier::Tag("v1".parse().expect("a tag"))).await
}

fn manifest() -> Reply {
    let digest = Digest::of(b"manifest").to_string();
    Reply::ok("manifest")
        .header("content-type", "application/vnd.oci.image.manifest.v1+json")
        .header("docker-content-digest", digest)
}

#[tokio::test]
async fn a_token_that_expires_during_an_upload_is_renewed_and_the_session_goes_on() {
    let bytes = bytes(2 * CHUNK);
    let second = format!("{CHUNK}-{}", 2 * CHUNK - 1);
    let script = Script::new()
        .on("POST /v2/app/blobs/uploads/?mount=*&from=app", challenge())
        .on_each(
            "GET /token?service=test&scope=repository:app:pull,push&client_id=spinreg",
            ["one", "two", "three"].map(token),
        )
        .with("authorization", BASIC)
        .bearing(
            "POST /v2/app/blobs/uploads/?mount=*&from=app",
            "one",
            Reply::status(202).header("location", "{origin}/u"),
        )
        .bearing("PATCH /u", "one", Reply::status(202).header("location", "{origin}/u2"))
        .bearing("PATCH /u2", "one", challenge())
        .with("content-range", &second)
        .bearing("PATCH /u2", "two", Reply::status(202))
        .with("content-range", &second)
        .with_body(bytes.slice(CHUNK..))
        .bearing("PUT /u2?digest=*", "two", challenge())
        .bearing("PUT /u2?digest=*", "three", created(&bytes))
        .bearing("HEAD /v2/app/blobs/*", "three", Reply::status(200).header("content-length", bytes.len().to_string()))
        .start()
        .await;
    let chunk = (CHUNK as u64).try_into().expect("more than nothing");
    let repository = known(script.address()).uploading(Uploads::default().in_chunks_of(chunk));
    assert_eq!(repository.push_blob(&blob(&bytes)).await.expect("a push"), Pushed::Uploaded);
    script.finish();
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_body_is_examined_again() {
    // The guard answers 401 before it has read the body, and the connection may break under the rest of it. Either way
    // the upload asks how far it came, with a new token, before it sends more.
    for uses in [2, 3, 4] {
        let (registry, guard) = (Embedded::start().await, Guard::bearer("ada", "lovelace").good_for(uses));
        let front = Front::before(registry.address()).guarded(&guard).start().await;
        let address = front.registry().parse().expect("an address");
        let repository = known(address);
        for n in 0..3 {
            let bytes = bytes((8 << 20) + n);
            assert_eq!(repository.push_blob(&blob(&bytes)).await.expect("a push"), Pushed::Uploaded);
            let whole = repository.blob(blob(&bytes).descriptor()).read(16 << 20).await.expect("it was stored");
            assert_eq!(whole, bytes);
        }
        assert!(guard.token_requests().iter().all(|scope| scope == "repository:app:pull,push"));
    }
}

#[tokio::test]
async fn a_token_without_an_end_is_used_until_it_is_refused() {
    let (registry, guard) = (Embedded::start().await, Guard::bearer("ada", "lovelace"));
    let front = Front::before(registry.address()).guarded(&guard).start().await;
    let repository = known(front.registry().parse().expect("an address"));
    for n in 0..3 {
        repository.push_blob(&blob(&bytes(n))).await.expect("a push");
    }
    assert_eq!(guard.token_requests().len(), 1);
    guard.expire();
    repository.push_blob(&blob(&bytes(3))).await.expect("a push");
    assert_eq!(guard.token_requests().len(), 2);
}

#[tokio::test]
async fn of_several_challenges_in_several_headers_one_is_met() {
    let script = Script::new()
        .on(
            "HEAD /v2/app/manifests/v1",
            Reply::status(401)
                .header("www-authenticate", "Negotiate")
                .header("www-authenticate", "Basic realm=\"registry\", NTLM")
                .header("www-authenticate", "Bearer realm=\"{origin}/token\", service=\"test\""),
        )
        .on("GET /token?service=test*", token("one"))
        .with("authorization", BASIC)
        .bearing("HEAD /v2/app/manifests/v1", "one", manifest())
        .start()
        .await;
    resolve(&known(script.address())).await.expect("a descriptor");
    script.finish();
}

#[tokio::test]
async fn a_scope_that_was_not_thought_of_is_asked_for_once() {
    let wider = "Bearer realm=\"{origin}/token\",service=\"test\",scope=\"repository:app:pull repository:base:pull\",error=\"insufficient_scope\"";
    let insufficient = || Reply::status(401).header("www-authenticate", wider);
    let start = || {
        Script::new()
            .on("HEAD /v2/app/manifests/v1", challenge())
            .on("GET /token?service=test&scope=repository:app:pull,push&client_id=spinreg", token("one"))
            .bearing("HEAD /v2/app/manifests/v1", "one", insufficient())
            .on("GET /token?service=test&scope=repository:app:pull,push&scope=repository:base:pull&*", token("two"))
    };
    let script = start().bearing("HEAD /v2/app/manifests/v1", "two", manifest()).start().await;
    resolve(&known(script.address())).await.expect("a descriptor");
    script.finish();

    // The same challenge again is the end.
    let script = start().bearing("HEAD /v2/app/manifests/v1", "two", insufficient()).start().await;
    let outcome = resolve(&known(script.address())).await;
    assert!(matches!(&outcome, Err(Error::Unauthorized(unmet)) if matches!(unmet.tried, Tried::Account { .. })));
    script.finish();
}

#[tokio::test]
async fn a_mount_asks_to_pull_from_the_other_repository() {
    let bytes = bytes(10);
    let both = "GET /token?service=test&scope=repository:app:pull,push&scope=repository:base:pull&client_id=spinreg";
    let start = || {
        Script::new()
            // As a copy does, which asks for the tag first.
            .on("HEAD /v2/app/manifests/*", challenge())
            .on("GET /token?service=test&scope=repository:app:pull,push&client_id=spinreg", token("one"))
            .bearing("HEAD /v2/app/manifests/*", "one", Reply::status(404))
            .on("POST /v2/app/blobs/uploads/?mount=*&from=base", challenge())
    };
    let base: Name = "base".parse().expect("a name");
    let push = async |script: &Scripted| {
        let repository = known(script.address());
        let absent = Descriptor::of(MediaType::IMAGE_MANIFEST, b"absent");
        assert!(!repository.exists(&absent).await.expect("an answer"));
        let origin = blob(&bytes).from_repository(repository.registry().clone(), base.clone());
        repository.push_blob(&origin).await.expect("a push")
    };
    let script = start()
        .on(both, token("both"))
        .bearing("POST /v2/app/blobs/uploads/?mount=*&from=base", "both", created(&bytes))
        .start()
        .await;
    assert_eq!(push(&script).await, Pushed::Mounted);
    script.finish();

    // Who may not pull there can still send the blob.
    let script = start()
        .on(both, Reply::refusal(403, "DENIED", "not that one"))
        .bearing("POST /v2/app/blobs/uploads/", "one", Reply::status(202).header("location", "/u"))
        .bearing("PUT /u?digest=*", "one", created(&bytes))
        .start()
        .await;
    assert_eq!(push(&script).await, Pushed::Uploaded);
    script.finish();
}

/// Some services hear the first scope alone: the rights to the repository itself come first, and a mount is not worth a
/// failure.
#[tokio::test]
async fn a_service_that_hears_one_scope_alone_is_enough() {
    let bytes = bytes(10);
    let wanting = || {
        let challenge = "Bearer realm=\"{origin}/token\",service=\"test\",scope=\"repository:base:pull\",\
                         error=\"insufficient_scope\"";
        Reply::status(401).header("www-authenticate", challenge)
    };
    let script = Script::new()
        .always("GET /token?*scope=repository:app:pull,push*", token("app"))
        .always("POST /v2/app/blobs/uploads/?mount=*", wanting())
        .bearing("POST /v2/app/blobs/uploads/", "app", Reply::status(202).header("location", "/u"))
        .bearing("PUT /u?digest=*", "app", created(&bytes))
        .start()
        .await;
    let repository = known(script.address());
    let origin = blob(&bytes).from_repository(repository.registry().clone(), "base".parse().expect("a name"));
    assert_eq!(repository.push_blob(&origin).await.expect("a push"), Pushed::Uploaded);
    let mounts = script.requests().iter().filter(|line| line.contains("?mount=")).count();
    assert!(mounts <= 3, "asked in circles: {:#?}", script.requests());
    script.finish();
}

#[tokio::test]
async fn an_upload_session_elsewhere_gets_no_credentials_even_if_it_asks() {
    let bytes = bytes(10);
    let storage = Script::new()
        .on("PUT /u?digest=*", Reply::status(401).header("www-authenticate", "Basic realm=\"trap\""))
        .without("authorization")
        .always("DELETE /u", Reply::status(401))
        .without("authorization")
        .start()
        .await;
    let location = storage.uri("/u").to_string();
    let script = Script::new()
        .on_each(
            "POST /v2/app/blobs/uploads/?mount=*&from=app",
            [Reply::status(401).header("www-authenticate", "Basic"), Reply::status(202).header("location", location)],
        )
        .start()
        .await;
    let outcome = known(script.address()).push_blob(&blob(&bytes)).await;
    assert!(matches!(&outcome, Err(Error::Refused(refused)) if refused.status == 401), "{outcome:?}");
    script.finish();
    storage.finish();
}

/// The repository `app`, with a refresh token.
fn refreshing(script: &Scripted) -> Repository {
    let registry = script.address().to_string().parse().expect("a registry");
    let credential = Credential::Identity { token: Secret::new("refresh-me") };
    let given = Given::new(registry, Found { credential, source: "the test".to_owned() });
    app(&plain().keychain(std::sync::Arc::new(given)).build().expect("options that fit"), script.address())
}

#[tokio::test]
async fn a_refresh_token_goes_by_post_and_where_there_is_none_by_get() {
    let form = "grant_type=refresh_token&service=test&client_id=spinreg&scope=repository:app:pull,push&refresh_token=refresh-me";
    let script = Script::new()
        .on("HEAD /v2/app/manifests/v1", challenge())
        .on("POST /token", Reply::ok("{\"access_token\":\"one\",\"refresh_token\":\"next\",\"expires_in\":\"300\"}"))
        .with("content-type", "application/x-www-form-urlencoded")
        .without("authorization")
        .with_body(form)
        .bearing("HEAD /v2/app/manifests/v1", "one", manifest())
        .start()
        .await;
    resolve(&refreshing(&script)).await.expect("a descriptor");
    script.finish();
    for status in [400, 401, 404, 405] {
        let script = Script::new()
            .on("HEAD /v2/app/manifests/v1", challenge())
            .on("POST /token", Reply::status(status))
            .on("GET /token?service=test&scope=repository:app:pull,push&client_id=spinreg", token("one"))
            // `:refresh-me`
            .with("authorization", "Basic OnJlZnJlc2gtbWU=")
            .bearing("HEAD /v2/app/manifests/v1", "one", manifest())
            .start()
            .await;
        resolve(&refreshing(&script)).await.expect("a descriptor");
        script.finish();
    }
    let expired = Reply::status(400).body("{\"error\":\"invalid_grant\",\"error_description\":\"it has expired\"}");
    let script = Script::new()
        .on("HEAD /v2/app/manifests/v1", challenge())
        .on("POST /token", expired)
        .on("GET /token*", Reply::status(401))
        .start()
        .await;
    let error = resolve(&refreshing(&script)).await.expect_err("it has expired");
    assert!(matches!(&error, Error::Unauthorized(_)) && error.to_string().contains("it has expired"), "{error}");
    script.finish();
}

#[tokio::test]
async fn a_token_service_in_trouble_is_asked_again() {
    let script = Script::new()
        .on("HEAD /v2/app/manifests/v1", challenge())
        .on_each("GET /token*", [Reply::status(503), Reply::close(), token("one")])
        .bearing("HEAD /v2/app/manifests/v1", "one", manifest())
        .start()
        .await;
    resolve(&known(script.address())).await.expect("a descriptor");
    script.finish();
    let script = Script::new()
        .on("HEAD /v2/app/manifests/v1", challenge())
        .always("GET /token*", Reply::status(503))
        .start()
        .await;
    let error = resolve(&known(script.address())).await.expect_err("an end");
    assert!(matches!(&error, Error::Refused(refused) if refused.status == 503), "{error}");
    assert!(error.is_transient() && error.to_string().contains("/token"), "{error}");
    script.finish();
}

#[tokio::test]
async fn a_token_service_that_must_not_be_asked_is_not() {
    let trap = Script::new().start().await;
    for realm in [
        format!("http://ada:lovelace@{}/token", trap.address()),
        format!("ftp://{}/token", trap.address()),
        "http://".to_owned(),
        format!("http://{}/{}", trap.address(), "x".repeat(4096)),
    ] {
        let script = Script::new()
            .on(
                "HEAD /v2/app/manifests/v1",
                Reply::status(401).header("www-authenticate", format!("Bearer realm=\"{realm}\"")),
            )
            .start()
            .await;
        let outcome = resolve(&known(script.address())).await;
        assert!(matches!(&outcome, Err(Error::Protocol(_))), "{realm:.60}: {outcome:?}");
        assert!(!format!("{outcome:?}").contains("lovelace@"), "{outcome:?}");
        script.finish();
    }
    trap.finish();
}
