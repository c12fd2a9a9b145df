//! The token service, and what its tokens are good for.

use std::time::Duration;

use spinreg::content::Body;
use spinreg::model::Digest;
use spinreg::serve::{AccessOptions, Anonymous};

use super::access::{RULES, files, header};
use super::http::Answer;
use super::{Served, bytes, temporary};

impl Served {
    pub(super) async fn token_as(&self, user: &str, scope: &str) -> String {
        let path = format!("/token?service=x&scope={scope}&account={user}");
        text(&self.ask_as(user, "GET", &path).await, "token")
    }

    pub(super) async fn ask_with(&self, token: &str, method: &str, path: &str) -> Answer {
        self.send(method, path, &[("authorization", &format!("Bearer {token}"))], Body::empty()).await
    }
}

fn text(answer: &Answer, key: &str) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()[key].as_str().expect("text").to_owned()
}

#[tokio::test]
async fn a_challenge_leads_to_a_token_and_a_token_in() {
    let room = temporary();
    let served = Served::behind(&room.path().join("data"), files(&room, &["ada"], None)).await;
    let at = served.address;
    for (method, path, challenge) in [
        ("GET", "/v2/", format!("Bearer realm=\"http://{at}/token\",service=\"{at}\"")),
        (
            "GET",
            "/v2/team/app/manifests/v1",
            format!("Bearer realm=\"http://{at}/token\",service=\"{at}\",scope=\"repository:team/app:pull\""),
        ),
        (
            "PUT",
            "/v2/team/app/manifests/v1",
            format!("Bearer realm=\"http://{at}/token\",service=\"{at}\",scope=\"repository:team/app:pull,push\""),
        ),
        (
            "DELETE",
            "/v2/team/app/manifests/v1",
            format!("Bearer realm=\"http://{at}/token\",service=\"{at}\",scope=\"repository:team/app:delete\""),
        ),
    ] {
        let answer = served.ask(method, path).await;
        assert_eq!((answer.refusal(), answer.header("www-authenticate")), ("401 UNAUTHORIZED".into(), &*challenge));
    }
    let path =
        "/token?service=x&scope=repository:team/app:pull&scope=repository:b:push,pull%20repository:c:*&scope=aws";
    let answer = served.ask_as("ada", "GET", path).await;
    let json = answer.json();
    assert_eq!(json["token"], json["access_token"]);
    assert_eq!((&json["expires_in"], &json["token_type"]), (&300.into(), &"Bearer".into()));
    assert_eq!(json["scope"], "repository:team/app:pull repository:b:pull,push repository:c:pull,push,delete");
    let issued = json["issued_at"].as_str().expect("text");
    assert!(issued.len() == 24 && issued.ends_with('Z') && issued.as_bytes()[10] == b'T', "{issued}");
    assert_eq!(answer.header("cache-control"), "no-store");

    let token = text(&answer, "token");
    assert_eq!(served.ask_with(&token, "GET", "/v2/").await.status, 200);
    assert_eq!(served.ask_with(&token, "GET", "/v2/team/app/manifests/v1").await.refusal(), "404 NAME_UNKNOWN");
    assert_eq!(served.ask_with(&token, "POST", "/v2/b/blobs/uploads/").await.status, 202);
    let more = served.ask_with(&token, "POST", "/v2/team/app/blobs/uploads/").await;
    assert_eq!(more.refusal(), "401 UNAUTHORIZED");
    assert_eq!(
        more.header("www-authenticate"),
        format!(
            "Bearer realm=\"http://{at}/token\",service=\"{at}\",scope=\"repository:team/app:pull,push\",\
             error=\"insufficient_scope\""
        )
    );
    // A password is as good.
    assert_eq!(served.ask_as("ada", "GET", "/v2/").await.status, 200);
}

#[tokio::test]
async fn the_service_takes_a_form_as_well() {
    let room = temporary();
    let served = Served::behind(&room.path().join("data"), files(&room, &["ada", "ä+b &c"], None)).await;
    let post = async |form: &str| {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        served.send("POST", "/token", &headers, Body::from_bytes(form.to_owned())).await
    };
    let good =
        "grant_type=password&service=x&client_id=y&username=ada&password=ada&scope=repository:a:pull+repository:b:push";
    let answer = post(good).await;
    assert_eq!(answer.json()["scope"], "repository:a:pull repository:b:push");
    assert_eq!(served.ask_with(&text(&answer, "access_token"), "GET", "/v2/a/tags/list").await.status, 404);
    assert_eq!(post("grant_type=password&username=%C3%A4%2Bb+%26c&password=c%26+b%2B%C3%A4").await.status, 200);
    for (form, refusal) in [
        ("grant_type=password&username=ada&password=wrong", "401 UNAUTHORIZED"),
        ("grant_type=password", "401 UNAUTHORIZED"),
        ("grant_type=refresh_token&refresh_token=x", "401 UNAUTHORIZED"),
        ("grant_type=authorization_code", "400 UNSUPPORTED"),
        ("", "400 UNSUPPORTED"),
        (&*"x".repeat((64 << 10) + 1), "413 UNSUPPORTED"),
    ] {
        assert_eq!(post(form).await.refusal(), refusal, "{form:.80}");
    }
    assert_eq!(served.ask("DELETE", "/token").await.refusal(), "405 UNSUPPORTED");
    let crowd = "&scope=repository:a:pull".repeat(33);
    assert_eq!(served.ask_as("ada", "GET", &format!("/token?x=y{crowd}")).await.refusal(), "400 UNSUPPORTED");
}

#[tokio::test]
async fn nobody_gets_a_token_without_the_password_where_nobody_may_do_anything() {
    let room = temporary();
    let served = Served::behind(&room.path().join("data"), files(&room, &["ada"], None)).await;
    let anonymous = served.ask("GET", "/token?scope=repository:a:pull").await;
    assert_eq!(anonymous.refusal(), "401 UNAUTHORIZED");
    assert_eq!(anonymous.header("www-authenticate"), "Basic realm=\"spinreg\"");
    let token = served.token_as("ada", "repository:a:pull").await;
    for authorization in [header("ada", "wrong"), header("eve", "eve"), format!("Bearer {token}"), "Basic".to_owned()] {
        let answer = served.send("GET", "/token", &[("authorization", &authorization)], Body::empty()).await;
        assert_eq!(answer.refusal(), "401 UNAUTHORIZED", "{authorization}");
    }
}

#[tokio::test]
async fn tokens_are_for_what_the_rules_allow_and_no_more() {
    let room = temporary();
    let served = Served::behind(&room.path().join("data"), files(&room, &["grace", "bob"], Some(RULES))).await;
    let scopes = "scope=repository:team/a:*&scope=repository:users/bob/x:*&scope=repository:public/a:*";
    for (user, granted) in [
        ("grace", "repository:team/a:pull,push repository:public/a:pull"),
        ("bob", "repository:users/bob/x:pull,push,delete repository:public/a:pull"),
    ] {
        assert_eq!(served.ask_as(user, "GET", &format!("/token?{scopes}")).await.json()["scope"], granted);
    }
    // Anybody's token, and what it is good for.
    let answer = served.ask("GET", &format!("/token?{scopes}")).await;
    assert_eq!(answer.json()["scope"], "repository:public/a:pull");
    let token = text(&answer, "token");
    for (method, path, status) in [
        ("GET", "/v2/", 200),
        ("GET", "/v2/public/a/tags/list", 404),
        ("GET", "/v2/team/a/tags/list", 401),
        ("PUT", "/v2/public/a/manifests/v1", 401),
    ] {
        assert_eq!(served.ask_with(&token, method, path).await.status, status, "{method} {path}");
    }
    // A known user who may not is told so, and not sent for another token.
    let token = served.token_as("bob", "repository:team/a:pull,push").await;
    let denied = served.ask_with(&token, "POST", "/v2/team/a/blobs/uploads/").await;
    assert_eq!(denied.refusal(), "403 DENIED");
}

#[tokio::test]
async fn a_token_that_is_too_old_or_somebody_elses_is_told_so() {
    let room = temporary();
    let mut access = files(&room, &["ada"], None);
    access.tokens_last = Duration::ZERO;
    let short = Served::behind(&room.path().join("data"), access).await;
    let other = Served::behind(&room.path().join("data"), files(&room, &["ada"], None)).await;
    let (old, foreign) =
        (short.token_as("ada", "repository:a:pull").await, other.token_as("ada", "repository:a:pull").await);
    let long = "x".repeat(40_000);
    for token in [&*old, &*foreign, "x", "a.b", &*long] {
        let answer = short.ask_with(token, "GET", "/v2/a/tags/list").await;
        assert_eq!(answer.refusal(), "401 UNAUTHORIZED");
        let challenge = answer.header("www-authenticate");
        assert!(challenge.ends_with("scope=\"repository:a:pull\",error=\"invalid_token\""), "{challenge}");
    }
}

#[tokio::test]
async fn anonymous_mounts_take_what_the_users_rules_allow() {
    let room = temporary();
    let mut access = files(&room, &["ada"], None);
    access.anonymous = Anonymous::MayPull;
    let served = Served::behind(&room.path().join("data"), access).await;
    let blob = bytes(100);
    assert_eq!(served.push_as("ada", "a", &blob).await.0.status, 201);
    // A token for the target alone: it says who asks, and the rules say the rest.
    let token = served.token_as("ada", "repository:b:pull,push").await;
    let path = format!("/v2/b/blobs/uploads/?mount={}", Digest::of(&blob));
    assert_eq!(served.ask_with(&token, "POST", &path).await.status, 201);
}

#[tokio::test]
async fn behind_a_proxy_the_realm_is_the_proxys() {
    let room = temporary();
    let mut access: AccessOptions = files(&room, &["ada"], None);
    access.url = Some("https://registry.example/".to_owned());
    let served = Served::behind(&room.path().join("data"), access).await;
    let challenge = "Bearer realm=\"https://registry.example/token\",service=\"registry.example\"";
    assert_eq!(served.ask("GET", "/v2/").await.header("www-authenticate"), challenge);
}
