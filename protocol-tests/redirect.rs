//! Redirects: credentials stay behind, loops end, payloads come along.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use httpmock::prelude::*;
use spinreg::Error;
use spinreg::transport::{FinalUri, Payload, Redirects};

use crate::support::client::{get, request, send, transport, trusting, whole};
use crate::support::reply::Reply;
use crate::support::script::Script;
use crate::support::tls::Authority;

fn signed(uri: &http::Uri) -> Request<Payload> {
    let mut request = get(uri);
    for (name, value) in [("authorization", "Bearer hidden"), ("cookie", "id=hidden"), ("range", "bytes=5-")] {
        request.headers_mut().insert(name, value.parse().expect("a header value"));
    }
    request
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>, rule: &str) {
    assert!(matches!(&outcome, Err(Error::Protocol(violation)) if violation.rule == rule), "{outcome:?}");
}

#[tokio::test]
async fn credentials_stay_on_their_origin() {
    let script = Script::new()
        .on("GET /a", Reply::redirect(307, "/b?sig=x%2Fy"))
        .on("GET /b?sig=x%2Fy", Reply::redirect(301, "{origin}/c"))
        .with("authorization", "Bearer hidden")
        .on("GET /c", Reply::ok("here"))
        .with("authorization", "Bearer hidden")
        .with("cookie", "id=hidden")
        .with("range", "bytes=5-")
        .start()
        .await;
    let response = send(&transport(|_| {}), signed(&script.uri("/a"))).await.expect("an answer");
    assert_eq!(response.extensions().get(), Some(&FinalUri(script.uri("/c"))));
    assert_eq!(whole(response).await, "here");
    script.finish();
}

#[tokio::test]
async fn credentials_never_reach_another_origin_nor_come_back() {
    let registry = Script::new()
        .on("GET /a", Reply::redirect(307, "{storage}/blob?sig=x%2Fy%3D"))
        .with("authorization", "Bearer hidden")
        .on("GET /back", Reply::ok("here"))
        .without("authorization")
        .without("cookie")
        .start()
        .await;
    let storage = Script::new()
        .on("GET /blob?sig=x%2Fy%3D", Reply::redirect(302, registry.uri("/back").to_string()))
        .without("authorization")
        .without("cookie")
        .with("range", "bytes=5-")
        .start()
        .await;
    registry.knows("{storage}", storage.origin());
    let response = send(&transport(|_| {}), signed(&registry.uri("/a"))).await.expect("an answer");
    assert_eq!(whole(response).await, "here");
    registry.finish();
    storage.finish();
}

#[tokio::test]
async fn a_redirect_and_its_end() {
    let (registry, storage) = (MockServer::start_async().await, MockServer::start_async().await);
    let door = registry
        .mock_async(|when, then| {
            when.method(GET).path("/v2/app/blobs/x").header("authorization", "Bearer hidden");
            then.status(307).header("location", storage.url("/x?sig=1"));
        })
        .await;
    let blob = storage
        .mock_async(|when, then| {
            when.method(GET).path("/x").query_param("sig", "1").header_missing("authorization");
            then.status(200).body("blob");
        })
        .await;
    let uri = registry.url("/v2/app/blobs/x").parse().expect("a URI");
    let response = send(&transport(|_| {}), signed(&uri)).await.expect("an answer");
    assert_eq!(whole(response).await, "blob");
    door.assert_async().await;
    blob.assert_async().await;
}

#[tokio::test]
async fn loops_end() {
    let script = Script::new().always("GET /a", Reply::redirect(307, "/a")).start().await;
    refused(send(&transport(|_| {}), get(&script.uri("/a"))).await, "there are too many redirects");
    assert_eq!(script.requests().len(), 11);
    let transport = transport(|options| options.policy.redirects = 0);
    refused(send(&transport, get(&script.uri("/a"))).await, "there are too many redirects");
    script.finish();
}

#[tokio::test]
async fn redirects_do_not_refill_the_budget() {
    let script = Script::new()
        .on_each("GET /a", [Reply::status(503), Reply::redirect(307, "/b")])
        .on_each("GET /b", [Reply::status(503), Reply::redirect(307, "/c")])
        .on_each("GET /c", [Reply::status(503)])
        .start()
        .await;
    let transport = transport(|options| options.policy.attempts = 3);
    let response = send(&transport, get(&script.uri("/a"))).await.expect("an answer");
    assert_eq!(response.status(), 503);
    script.finish();
}

#[tokio::test]
async fn whoever_wants_a_redirect_gets_it() {
    let script = Script::new().on("GET /a", Reply::redirect(307, "/b").body("moved")).start().await;
    let mut request = signed(&script.uri("/a"));
    request.extensions_mut().insert(Redirects::Return);
    let response = send(&transport(|_| {}), request).await.expect("an answer");
    assert_eq!(
        (response.status(), response.headers()["location"].to_str().expect("text")),
        (StatusCode::TEMPORARY_REDIRECT, "/b")
    );
    assert_eq!(whole(response).await, "moved");
    script.finish();
}

#[tokio::test]
async fn payloads_come_along() {
    let storage = Script::new()
        .on_each("PUT /stream", [Reply::status(201)])
        .with_body("blob")
        .with("content-length", "4")
        .on("PUT /bytes", Reply::status(201))
        .with_body("manifest")
        .start()
        .await;
    let registry = Script::new()
        .on("PUT /stream", Reply::redirect(307, format!("{}/stream", storage.origin())))
        .on("PUT /bytes", Reply::redirect(308, format!("{}/bytes", storage.origin())).unread())
        .start()
        .await;
    let stream = Payload::reopen(Some(4), || async { Ok(spinreg::content::Body::from_bytes("blob")) });
    for (path, payload) in [("/stream", stream), ("/bytes", Payload::Bytes(Bytes::from_static(b"manifest")))] {
        let request = request(Method::PUT, &registry.uri(path)).map(|_| payload);
        assert_eq!(send(&transport(|_| {}), request).await.expect("an answer").status(), 201, "{path}");
    }
    registry.finish();
    storage.finish();
}

#[tokio::test]
async fn bad_redirects_are_refused() {
    let script = Script::new()
        .on("GET /nowhere", Reply::status(307))
        .on("GET /scheme", Reply::redirect(307, "file:///etc/passwd"))
        .on("GET /user", Reply::redirect(307, "http://ada:hidden@127.0.0.1/"))
        .start()
        .await;
    let transport = transport(|_| {});
    for (path, rule) in [
        ("/nowhere", "the redirect has no `Location`"),
        ("/scheme", "the redirect leads nowhere"),
        ("/user", "the redirect leads nowhere"),
    ] {
        let outcome = send(&transport, get(&script.uri(path))).await;
        let text = outcome.as_ref().map_or_else(|error| format!("{error} {error:?}"), |_| String::new());
        assert!(!text.contains("hidden"), "{text}");
        refused(outcome, rule);
    }
    script.finish();
}

#[tokio::test]
async fn nothing_leads_out_of_tls() {
    let authority = Authority::new();
    let plain = Script::new().start().await;
    let script = Script::new()
        .on("GET /a", Reply::redirect(307, plain.uri("/a").to_string()))
        // A server behind a proxy that does TLS does not know its own scheme.
        .on("GET /b", Reply::redirect(307, "{plain}/c"))
        .on("GET /c", Reply::ok("here"))
        .start_tls(&authority)
        .await;
    script.knows("{plain}", script.origin().replace("https:", "http:"));
    let transport = trusting(&authority, |_| {});
    refused(send(&transport, signed(&script.uri("/a"))).await, "the redirect leads from TLS to plain HTTP");
    assert_eq!(whole(send(&transport, signed(&script.uri("/b"))).await.expect("an answer")).await, "here");
    plain.finish();
    script.finish();
}
