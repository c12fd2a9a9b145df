//! What the large clouds run.

use http::{HeaderValue, StatusCode};

use super::super::guard::Guard;
use super::super::reply::Reply;
use super::play::{Expected, Profile};
use super::rule::{Answer, Asked, Rule};
use super::storage;

pub(super) fn profiles() -> Vec<Profile> {
    let key = "{\n  \"type\": \"service_account\",\n  \"private_key\": \"no:real-key\"\n}";
    vec![
        // Q3: opaque tokens; nobody says how long they live.
        Profile::open("ghcr", GHCR).guarded("octocat", "ghp_profiles", Guard::bearer).expecting([
            Expected::pull("apps/static-site:absent", 3, "manifest `absent`"),
            Expected::pull("nobody/app:v1", 4, "may be private or not exist"),
            Expected::push("unlinked/app:v1", 4, "permission_denied: write_package"),
        ]),
        Profile::open("ecr", ECR).guarded("AWS", "ecr-password-of-12-hours", Guard::basic).expecting([
            Expected::pull("apps/static-site:absent", 3, "manifest `absent`"),
            Expected::push("not-created/app:v1", 3, "create the repository"),
            Expected::push_other("apps/static-site:v1", 1, "push under a new tag"),
        ]),
        Profile::open("acr", ACR)
            .guarded("00000000-0000-0000-0000-000000000000", "acr-refresh-token", |user, secret| {
                Guard::bearer(user, "no password at all").refresh_token(secret).token_field("access_token")
            })
            .by_identity()
            .with_storage(),
        // Q19: the password has lines and colons.
        Profile::open("gar", GAR).guarded("_json_key", key, Guard::bearer),
        Profile::open("digitalocean", DIGITALOCEAN).guarded("me@example.org", "dop_v1_profiles", Guard::bearer),
    ]
}

const GHCR: &[Rule] = &[
    // Q1: a larger body of a PATCH does not pass; a PUT's does.
    Rule::instead("Q1", "PATCH /v2/*/blobs/uploads/*", |asked| {
        let text = "the request body exceeds the maximum allowed size of 4.00MiB";
        (asked.body.len() > 4 << 20).then(|| Reply::refusal(416, "REQUESTED_RANGE_NOT_SATISFIABLE", text))
    }),
    // Q2: how long to wait is in the text alone.
    Rule::instead("Q2", "HEAD /v2/*/blobs/*", |asked| (asked.stage.turn("limited heads") <= 2).then(limited_in_words)),
    Rule::instead("Q2", "POST /v2/*/blobs/uploads/*", |asked| {
        (asked.stage.turn("limited posts") <= 2).then(limited_in_words)
    }),
    // Q3: the token expires in the middle, once on the way up and once on the way down.
    Rule::instead("Q3", "PUT /v2/*/blobs/uploads/*", |asked| expire_at_third(asked, "up")),
    Rule::instead("Q3", "GET /v2/*/blobs/sha256:*", |asked| expire_at_third(asked, "down")),
    // Q4: what is missing is denied to those who may only read.
    Rule::after("Q4", "* /v2/nobody/*/manifests/*", |_, answer| deny_missing(answer, "DENIED", "denied")),
    // Q5: no referrers API, no deletion.
    Rule::instead("Q5", "GET /v2/*/referrers/*", |_| Some(Reply::status(404).body("404 page not found\n"))),
    Rule::instead("Q5", "DELETE /v2/*/manifests/*", |_| Some(unsupported())),
    // Q6: the package is not linked to the repository whose token this is.
    Rule::instead("Q6", "POST /v2/unlinked/*/blobs/uploads/*", |_| {
        Some(Reply::refusal(403, "DENIED", "permission_denied: write_package"))
    }),
];

const ECR: &[Rule] = &[
    // Q7: every part is "created"; parts but the last have 5 MiB at least, which shows at the end.
    Rule::after("Q7", "PATCH /v2/*/blobs/uploads/*", |asked, answer| {
        if asked.stage.noted(&format!("small {}", asked.path())).is_some() {
            asked.stage.note(&format!("too small {}", asked.path()), 1);
        }
        if asked.body.len() < 5 << 20 {
            asked.stage.note(&format!("small {}", asked.path()), 1);
        }
        if answer.status() == StatusCode::ACCEPTED {
            *answer.status_mut() = StatusCode::CREATED;
        }
    }),
    Rule::instead("Q7", "PUT /v2/*/blobs/uploads/*", |asked| {
        let bad = asked.stage.noted(&format!("too small {}", asked.path())).is_some();
        let text = "Layer part is smaller than 5242880 bytes";
        bad.then(|| Reply::refusal(400, "LayerPartTooSmallException", text))
    }),
    // Q8: the range stays that of the first part.
    Rule::after("Q8", "PATCH /v2/*/blobs/uploads/*", |asked, answer| {
        let Some((_, last)) = asked.content_range() else { return };
        let key = format!("first {}", asked.path());
        let first = asked.stage.noted(&key).unwrap_or(last);
        asked.stage.note(&key, first);
        set(answer, "range", &format!("0-{first}"));
    }),
    // Q9: Basic, for a service, and no token to be had.
    Rule::after("Q9", "*", |asked, answer| {
        if answer.status() == StatusCode::UNAUTHORIZED {
            let origin = &asked.stage.origin;
            set(answer, "www-authenticate", &format!("Basic realm=\"{origin}/\",service=\"ecr.amazonaws.com\""));
        }
    }),
    // Q10: repositories are created elsewhere.
    Rule::instead("Q10", "POST /v2/not-created/*", |_| {
        let text = "The repository with name 'not-created/app' does not exist in the registry with id '123456789012'";
        Some(Reply::refusal(404, "NAME_UNKNOWN", text))
    }),
    // Q11: nothing is not a layer.
    Rule::instead("Q11", "PUT /v2/*/blobs/uploads/*", |asked| {
        let sent = asked.stage.noted(&format!("first {}", asked.path())).is_some();
        let empty = asked.body.is_empty() && !sent;
        empty.then(|| Reply::refusal(400, "EmptyUploadException", "The upload is empty"))
    }),
    // Q12, Q13: 500 layers, and none of the newer fields.
    Rule::instead("Q12", "PUT /v2/*/manifests/*", |asked| {
        let layers = asked.manifest()["layers"].as_array().map_or(0, Vec::len);
        let text = "Limit on number of layers per image exceeded";
        (layers > 500).then(|| Reply::refusal(405, "UNSUPPORTED", text))
    }),
    Rule::instead("Q13", "PUT /v2/*/manifests/*", |asked| {
        let newer = ["artifactType", "subject"].iter().any(|field| !asked.manifest()[field].is_null());
        newer.then(|| Reply::refusal(405, "UNSUPPORTED", "Invalid parameter at 'ImageManifest': 'Invalid JSON syntax'"))
    }),
    // Q14: a tag is not set twice, not even to what it names.
    Rule::instead("Q14", "PUT /v2/*/manifests/*", |asked| {
        let text = "The image tag already exists and cannot be overwritten because the repository is immutable.";
        let again = !asked.digest().starts_with("sha256:") && asked.stage.turn(asked.target) > 1;
        again.then(|| Reply::refusal(400, "TAG_INVALID", text))
    }),
    // Q15: neither the place nor the digest of what was stored, nor that of what is there.
    Rule::after("Q15", "PUT /v2/*/manifests/*", |_, answer| {
        answer.headers_mut().remove("location");
        answer.headers_mut().remove("docker-content-digest");
    }),
    Rule::after("Q15", "HEAD /v2/*/manifests/*", |_, answer| {
        answer.headers_mut().remove("docker-content-digest");
    }),
];

const ACR: &[Rule] = &[
    // Q16: no `token`, and no password by POST.
    Rule::instead("Q16", "POST /token*", |asked| {
        let password = asked.body.starts_with(b"grant_type=password");
        password.then(|| Reply::refusal(400, "UNSUPPORTED", "unsupported grant_type"))
    }),
    // Q17: blobs are elsewhere, under an address with `//`, where the registry's token is refused.
    Rule::instead("Q17", "GET /v2/*/blobs/sha256:*", |asked| {
        let storage = asked.stage.storage.as_ref()?;
        Some(Reply::redirect(307, storage::address(storage, asked.path())))
    }),
];

const GAR: &[Rule] = &[
    // Q18: no chunks.
    Rule::instead("Q18", "PATCH /v2/*/blobs/uploads/*", |_| {
        Some(Reply::refusal(405, "UNSUPPORTED", "chunked uploads are not supported"))
    }),
    // Q18: 204 for what others call 201.
    Rule::after("Q18", "PUT /v2/*/blobs/uploads/*", |_, answer| {
        if answer.status() == StatusCode::CREATED {
            *answer.status_mut() = StatusCode::NO_CONTENT;
            answer.headers_mut().remove("docker-content-digest");
        }
    }),
    // Q18: blobs are behind a relative redirect.
    Rule::instead("Q18", "GET /v2/*/blobs/sha256:*", |asked| {
        let here = asked.target.ends_with("?alt=media");
        (!here).then(|| Reply::redirect(302, format!("../blobs/{}?alt=media", asked.digest())))
    }),
    // Q18: nobody to POST to for a token.
    Rule::instead("Q18", "POST /token*", |_| Some(Reply::status(404).body("<html>not found</html>"))),
    // Q18: the length of a HEAD is not that of the GET.
    Rule::after("Q18", "HEAD /v2/*/manifests/*", |_, answer| other_length(answer)),
];

const DIGITALOCEAN: &[Rule] = &[
    // Q35: a scope, if there is one, is not empty.
    Rule::instead("Q35", "GET /token*", |asked| {
        let empty = asked.target.contains("scope=&") || asked.target.ends_with("scope=");
        empty.then(|| Reply::refusal(400, "UNSUPPORTED", "invalid scope"))
    }),
];

/// Forgets all tokens, once, when the third request of this kind comes.
fn expire_at_third(asked: &Asked<'_>, way: &str) -> Option<Reply> {
    if asked.stage.turn(&format!("expiry on the way {way}")) == 3 {
        asked.stage.guard.as_ref().expect("there are tokens").expire();
    }
    None
}

/// GHCR's 429.
fn limited_in_words() -> Reply {
    let text = "retry-after: 10.48ms, allowed: 2000/minute";
    Reply::refusal(429, "TOOMANYREQUESTS", text)
}

pub(super) fn unsupported() -> Reply {
    Reply::refusal(405, "UNSUPPORTED", "The operation is unsupported.")
}

/// Says 403 for 404.
pub(super) fn deny_missing(answer: &mut Answer, code: &str, message: &str) {
    if answer.status() == StatusCode::NOT_FOUND {
        *answer.status_mut() = StatusCode::FORBIDDEN;
        let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
        *answer.body_mut() = body.to_string().into();
        answer.headers_mut().remove("content-length");
    }
}

/// Says the length of something else.
pub(super) fn other_length(answer: &mut Answer) {
    if answer.status() == StatusCode::OK {
        set(answer, "content-length", "77");
    }
}

/// Says whether a mount is from another repository, or does not say from where.
pub(super) fn mounts_from_elsewhere(asked: &Asked<'_>) -> bool {
    let name = asked.path().strip_prefix("/v2/").and_then(|rest| rest.split_once("/blobs/")).map(|(name, _)| name);
    name.is_none_or(|name| !asked.target.ends_with(&format!("&from={name}")))
}

/// Sets a header.
pub(super) fn set(answer: &mut Answer, name: &'static str, value: &str) {
    answer.headers_mut().insert(name, HeaderValue::from_str(value).expect("a header value"));
}
