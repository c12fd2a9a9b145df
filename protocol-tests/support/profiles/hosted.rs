//! What others host.

use http::StatusCode;

use super::super::guard::Guard;
use super::super::reply::Reply;
use super::cloud::{mounts_from_elsewhere, set, unsupported};
use super::play::{Expected, Profile};
use super::rule::Rule;
use super::storage;

pub(super) fn profiles() -> Vec<Profile> {
    vec![
        Profile::open("docker-hub", DOCKER_HUB)
            .guarded("moby", "dckr_pat_profiles", |user, secret| Guard::bearer(user, secret).expires_in(300))
            // Q20: the token service has a name of its own.
            .with_token_service()
            .expecting([
                Expected::pull("apps/static-site:absent", 3, "manifest `absent`"),
                Expected::pull("limited/app:v1", 1, "limits how often it is asked"),
            ]),
        Profile::open("gitlab", GITLAB)
            .guarded("gitlab-ci-token", "glcbt-profiles", |user, secret| Guard::bearer(user, secret).expires_in(300))
            .expecting([
                Expected::pull("apps/static-site:absent", 3, "manifest `absent`"),
                Expected::push("no-project/app:v1", 4, "somebody who may push to `no-project/app`"),
            ]),
        Profile::open("quay", QUAY).guarded("org+robot", "quay-robot-token", Guard::bearer).with_storage(),
        Profile::open("aliyun", ALIYUN).guarded("me@1234567890123456", "aliyun-password", Guard::bearer),
        Profile::open("r2", R2)
            .guarded("v1", "r2-worker-password", Guard::basic)
            .pushing(&["apps/static-site", "proxied/static-site"]),
    ]
}

const DOCKER_HUB: &[Rule] = &[
    // Q20: 429 without a word about when to come back.
    Rule::instead("Q20", "HEAD /v2/*", |asked| {
        (asked.stage.turn("limited heads") <= 2).then(|| Reply::status(429).body("Too Many Requests (HAP429).\n"))
    }),
    // Q20: reading a manifest counts as a pull, and pulls are counted.
    Rule::instead("Q20", "GET /v2/limited/*/manifests/*", |_| {
        let text = "You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit";
        Some(Reply::refusal(429, "TOOMANYREQUESTS", text))
    }),
    // Q21: a mount needs rights to where it is from, which nobody has here but to the repository itself.
    Rule::instead("Q21", "POST /v2/*/blobs/uploads/?mount=*", |asked| {
        mounts_from_elsewhere(asked).then(|| Reply::refusal(400, "NAME_INVALID", "invalid repository name"))
    }),
    // Q22: no referrers API, no deletion.
    Rule::instead("Q22", "GET /v2/*/referrers/*", |_| Some(Reply::status(404).body("404 page not found\n"))),
    Rule::instead("Q22", "DELETE /v2/*/manifests/*", |_| Some(unsupported())),
];

const GITLAB: &[Rule] = &[
    // Q24: known types only, of the config and of the artifact.
    Rule::instead("Q24", "PUT /v2/*/manifests/*", |asked| {
        let manifest = asked.manifest();
        let known = |value: &serde_json::Value| KNOWN.contains(&value.as_str().unwrap_or_default());
        let passes = known(&manifest["config"]["mediaType"])
            && (manifest["artifactType"].is_null() || known(&manifest["artifactType"]));
        (!passes).then(|| Reply::refusal(400, "MANIFEST_INVALID", "unknown media type"))
    }),
    // Q25: what is in no project is nobody's.
    Rule::instead("Q25", "* /v2/no-project/*", |asked| {
        let name = asked.path().strip_prefix("/v2/").and_then(|rest| rest.find("/blobs").map(|end| &rest[..end]));
        let challenge = format!(
            "Bearer realm=\"{{origin}}/token\",service=\"container_registry\",scope=\"repository:{}:pull,push\",\
             error=\"insufficient_scope\"",
            name.unwrap_or("no-project/app"),
        );
        Some(Reply::refusal(401, "UNAUTHORIZED", "authentication required").header("www-authenticate", challenge))
    }),
];

const QUAY: &[Rule] = &[
    // Q23: a mount says from where.
    Rule::instead("Q23", "POST /v2/*/blobs/uploads/?mount=*", |asked| {
        let anywhere = !asked.target.contains("&from=");
        anywhere.then(|| Reply::status(400).body("<html><body>400 Bad Request</body></html>"))
    }),
    // Q23: known types of config only.
    Rule::instead("Q23", "PUT /v2/*/manifests/*", |asked| {
        let manifest = asked.manifest();
        let config = manifest["config"]["mediaType"].as_str().unwrap_or_default();
        (!KNOWN.contains(&config)).then(|| Reply::refusal(400, "MANIFEST_INVALID", "config type is not allowed"))
    }),
    // Q23: the redirect has a page for those who do not follow it.
    Rule::instead("Q23", "GET /v2/*/blobs/sha256:*", |asked| {
        let address = storage::address(asked.stage.storage.as_ref()?, asked.path());
        let page = format!("<!DOCTYPE HTML>\n<title>Redirecting...</title>\n<a href=\"{address}\">here</a>\n");
        Some(Reply::redirect(302, address).header("content-type", "text/html; charset=utf-8").body(page))
    }),
];

const ALIYUN: &[Rule] = &[
    // Q32: every chunk begins at 0.
    Rule::after("Q32", "PATCH /v2/*/blobs/uploads/*", |asked, answer| {
        set(answer, "range", &format!("0-{}", asked.body.len().saturating_sub(1)));
    }),
];

/// The numbers are a thousandth of the real ones: what an application of the fixtures meets.
const R2: &[Rule] = &[
    // Q34: the worker says what it takes; behind another proxy that is not said.
    Rule::after("Q34", "POST /v2/apps/*/blobs/uploads/*", |_, answer| {
        if answer.status() == StatusCode::ACCEPTED {
            set(answer, "oci-chunk-min-length", "65536");
            set(answer, "oci-chunk-max-length", "102400");
        }
    }),
    // Q34: the proxy's own page for what is too large.
    Rule::instead("Q34", "* /v2/*/blobs/uploads/*", |asked| {
        let page = "<html><head><title>413 Request Entity Too Large</title></head></html>";
        let reply = || Reply::status(413).header("content-type", "text/html").body(page);
        (asked.body.len() > 102_400).then(reply)
    }),
    // Q34: chunks are of one size, have a length, and their range is written as the specification has it.
    Rule::instead("Q34", "PATCH /v2/*/blobs/uploads/*", |asked| {
        let refuse = |text| Some(Reply::refusal(400, "BLOB_UPLOAD_INVALID", text));
        if asked.header("content-length").is_empty() {
            return refuse("chunks have a length");
        }
        let Some((first, _)) = asked.content_range() else { return refuse("the range is FIRST-LAST") };
        let key = format!("chunk {}", asked.path());
        let (size, length) = (asked.stage.noted(&key), asked.body.len() as u64);
        match size {
            None => asked.stage.note(&key, length),
            Some(size) if first % size != 0 || length > size => return refuse("chunks are of one size"),
            Some(_) => {}
        }
        None
    }),
];

/// What a config may be.
const KNOWN: &[&str] = &[
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.cncf.helm.config.v1+json",
];
