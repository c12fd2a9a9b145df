//! Who gets in, by password, by rule, or because anybody does.

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use spinreg::content::Body;
use spinreg::model::{Algorithm, Digest};
use spinreg::serve::{AccessOptions, Anonymous, Scheme, Writes};

use super::http::Answer;
use super::{Served, bytes, temporary};
use crate::support::root;

/// Users whose passwords are their names backwards, at the lowest cost.
pub(super) fn users(names: &[&str]) -> String {
    names.iter().map(|name| format!("{name}:{}\n", bcrypt::hash(backwards(name), 4).expect("a hash"))).collect()
}

pub(super) fn basic(user: &str) -> String {
    header(user, &backwards(user))
}

pub(super) fn header(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

fn backwards(name: &str) -> String {
    name.chars().rev().collect()
}

/// Writes users, and rules if there are any, next to where repositories will be.
pub(super) fn files(room: &tempfile::TempDir, names: &[&str], rules: Option<&str>) -> AccessOptions {
    let write = |name: &str, text: &str| -> PathBuf {
        let path = room.path().join(name);
        std::fs::write(&path, text).expect("a file in a temporary directory");
        path
    };
    let mut options = AccessOptions::default();
    options.passwords = Some(write("users", &users(names)));
    options.rules = rules.map(|rules| write("rules.toml", rules));
    options
}

pub(super) const RULES: &str = r#"
[groups]
team = ["ada", "grace"]

[[rule]]
who = ["@team"]
repositories = ["team/*"]
allow = ["pull", "push"]

[[rule]]
who = ["ada"]
repositories = ["team/*"]
allow = ["delete"]

[[rule]]
who = ["*"]
repositories = ["users/{user}/**"]
allow = ["pull", "push", "delete"]

[[rule]]
who = ["anonymous"]
repositories = ["public/*"]
allow = ["pull"]
"#;

impl Served {
    pub(super) async fn ask_as(&self, user: &str, method: &str, path: &str) -> Answer {
        self.send(method, path, &[("authorization", &basic(user))], Body::empty()).await
    }

    /// Pushes a blob in one request.
    pub(super) async fn push_as(&self, user: &str, name: &str, blob: &[u8]) -> (Answer, Digest) {
        let digest = Digest::of_with(Algorithm::Sha256, blob);
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        let answer =
            self.send("POST", &path, &[("authorization", &basic(user))], Body::from_bytes(blob.to_vec())).await;
        (answer, digest)
    }
}

#[tokio::test]
async fn with_basic_a_password_gets_in_and_nothing_else() {
    let room = temporary();
    let mut access = AccessOptions::default();
    (access.passwords, access.scheme) = (Some(root("fixtures/htpasswd")), Scheme::Basic);
    let served = Served::behind(room.path(), access).await;
    let right = header("ada", "correct horse");
    for (authorization, status) in [
        (None, 401),
        (Some(header("ada", "wrong horse")), 401),
        (Some(header("bob", "correct horse")), 401),
        (Some(header("", "")), 401),
        (Some("Basic x".to_owned()), 401),
        (Some("Bearer x".to_owned()), 401),
        (Some("Digest x".to_owned()), 401),
        (Some(right.clone()), 200),
        (Some(right.replace("Basic", "basic")), 200),
    ] {
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        let answer = served.send("GET", "/v2/", &headers, Body::empty()).await;
        assert_eq!(answer.status, status, "{authorization:?}");
        if status == 401 {
            assert_eq!(answer.refusal(), "401 UNAUTHORIZED", "{authorization:?}");
            assert_eq!(answer.header("www-authenticate"), "Basic realm=\"spinreg\"");
        }
    }
    let twice = [("authorization", &*right), ("authorization", &*right)];
    assert_eq!(served.send("GET", "/v2/", &twice, Body::empty()).await.refusal(), "401 UNAUTHORIZED");
    // There is no token service then.
    assert_eq!(served.ask("GET", "/token").await.status, 404);
}

#[tokio::test]
async fn rules_hold_for_each_repository_and_action() {
    let room = temporary();
    let served = Served::behind(&room.path().join("data"), files(&room, &["ada", "grace", "bob"], Some(RULES))).await;
    let blob = bytes(100);
    for (user, name, status) in [
        ("ada", "team/app", 201),
        ("grace", "team/app", 201),
        ("bob", "team/app", 403),
        ("bob", "public/x", 403),
        ("bob", "users/bob/x", 201),
        ("bob", "users/ada/x", 403),
        ("ada", "team/deep/app", 403),
        ("eve", "team/app", 401),
    ] {
        let (answer, _) = served.push_as(user, name, &blob).await;
        assert_eq!(answer.status, status, "{user} {name}");
        if status == 403 {
            assert_eq!(answer.refusal(), "403 DENIED");
            let said = answer.json()["errors"][0]["message"].to_string();
            assert!(said.contains(&format!("`{user}` may not push to `{name}`")), "{said}");
            assert!(answer.headers.get("www-authenticate").is_none(), "other credentials are not asked for");
        }
    }
    let path = format!("/v2/team/app/blobs/{}", Digest::of(&blob));
    for (user, method, status) in [
        ("bob", "GET", 403),
        ("bob", "DELETE", 403),
        ("grace", "HEAD", 200),
        ("grace", "DELETE", 403),
        ("ada", "DELETE", 202),
        ("ada", "GET", 404),
    ] {
        assert_eq!(served.ask_as(user, method, &path).await.status, status, "{user} {method}");
    }
    // Whether there is something is told to nobody who may not know.
    for path in ["/v2/team/app/tags/list", "/v2/team/absent/tags/list"] {
        assert_eq!(served.ask_as("bob", "GET", path).await.refusal(), "403 DENIED");
        assert_eq!(served.ask("GET", path).await.refusal(), "401 UNAUTHORIZED");
    }
    // What is malformed is so for everybody.
    assert_eq!(served.ask("GET", "/v2/..%2fx/tags/list").await.status, 400);
    assert_eq!(served.ask("GET", "/anything").await.status, 404);
}

#[tokio::test]
async fn anybody_pulls_where_anybody_may() {
    let blob = bytes(100);
    let path = |name: &str| format!("/v2/{name}/blobs/{}", Digest::of(&blob));
    let room = temporary();
    let mut access = files(&room, &["ada"], None);
    access.anonymous = Anonymous::MayPull;
    let served = Served::behind(&room.path().join("data"), access).await;
    assert_eq!(served.push_as("ada", "app", &blob).await.0.status, 201);
    assert_eq!(served.ask("GET", &path("app")).await.body, blob);
    assert_eq!(served.ask("DELETE", &path("app")).await.refusal(), "401 UNAUTHORIZED");
    assert_eq!(served.ask("POST", "/v2/app/blobs/uploads/").await.refusal(), "401 UNAUTHORIZED");
    // Otherwise no client would ever find out that there are passwords.
    assert_eq!(served.ask("GET", "/v2/").await.refusal(), "401 UNAUTHORIZED");
    // A wrong password is wrong even where none is needed.
    let wrong = [("authorization", &*header("ada", "wrong"))];
    assert_eq!(served.send("GET", &path("app"), &wrong, Body::empty()).await.refusal(), "401 UNAUTHORIZED");

    let room = temporary();
    let served = Served::behind(&room.path().join("data"), files(&room, &["ada"], Some(RULES))).await;
    for (name, status) in [("public/app", 404), ("team/app", 401), ("users/ada/app", 401)] {
        assert_eq!(served.ask("GET", &path(name)).await.status, status, "{name}");
    }
}

#[tokio::test]
async fn read_only_refuses_every_change() {
    let room = temporary();
    let (data, blob) = (room.path().join("data"), bytes(100));
    let digest = Digest::of(&blob);
    let served = Served::over(&data).await;
    let pushed =
        served.send("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &[], Body::from_bytes(blob)).await;
    assert_eq!(pushed.status, 201);
    served.stop().await;
    for guarded in [false, true] {
        let mut access = if guarded { files(&room, &["ada"], None) } else { AccessOptions::default() };
        access.writes = Writes::Refused;
        let served = Served::behind(&data, access).await;
        let id = "0123456789abcdef0123456789abcdef";
        for (method, path, status) in [
            ("POST", "/v2/a/blobs/uploads/", 405),
            ("POST", &*format!("/v2/a/blobs/uploads/?digest={digest}"), 405),
            ("POST", &*format!("/v2/b/blobs/uploads/?mount={digest}&from=a"), 405),
            ("PATCH", &*format!("/v2/a/blobs/uploads/{id}"), 405),
            ("PUT", &*format!("/v2/a/blobs/uploads/{id}?digest={digest}"), 405),
            ("DELETE", &*format!("/v2/a/blobs/uploads/{id}"), 405),
            ("PUT", "/v2/a/manifests/v1", 405),
            ("DELETE", "/v2/a/manifests/v1", 405),
            ("DELETE", &*format!("/v2/a/blobs/{digest}"), 405),
            ("GET", &*format!("/v2/a/blobs/{digest}"), 200),
            ("HEAD", &*format!("/v2/a/blobs/{digest}"), 200),
            ("GET", "/v2/a/tags/list", 200),
            ("GET", "/v2/", 200),
        ] {
            let answer = served.ask_as("ada", method, path).await;
            assert_eq!(answer.status, status, "{method} {path}");
            if status == 405 {
                assert_eq!(answer.refusal(), "405 UNSUPPORTED");
                assert_eq!(answer.header("allow"), "GET, HEAD");
            }
        }
        assert!(!data.join("b").exists());
    }
}

#[tokio::test]
async fn mounts_take_from_what_the_caller_may_pull_alone() {
    let room = temporary();
    let served = Served::behind(&room.path().join("data"), files(&room, &["ada", "bob"], Some(RULES))).await;
    let (secret, own) = (bytes(100), bytes(200));
    let (pushed, of_team) = served.push_as("ada", "team/app", &secret).await;
    assert_eq!(pushed.status, 201);
    let (pushed, of_bob) = served.push_as("bob", "users/bob/a", &own).await;
    assert_eq!(pushed.status, 201);
    for (user, to, digest, from, status) in [
        ("bob", "users/bob/b", of_bob, "&from=users/bob/a", 201),
        ("bob", "users/bob/c", of_bob, "", 201),
        // As if it were not there.
        ("bob", "users/bob/d", of_team, "&from=team/app", 202),
        ("bob", "users/bob/d", of_team, "", 202),
        ("ada", "users/ada/e", of_team, "", 201),
        ("ada", "users/ada/f", of_team, "&from=team/app", 201),
        ("ada", "users/ada/g", of_bob, "", 202),
        ("bob", "team/app", of_bob, "&from=users/bob/a", 403),
    ] {
        let path = format!("/v2/{to}/blobs/uploads/?mount={digest}{from}");
        assert_eq!(served.ask_as(user, "POST", &path).await.status, status, "{user} {path}");
    }
    let stolen = format!("/v2/users/bob/d/blobs/{of_team}");
    assert_eq!(served.ask_as("bob", "GET", &stolen).await.status, 404);
}
