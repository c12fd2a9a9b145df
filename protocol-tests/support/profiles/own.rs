//! What people run themselves.

use http::StatusCode;

use super::super::guard::Guard;
use super::super::reply::Reply;
use super::cloud::{deny_missing, mounts_from_elsewhere, other_length, set};
use super::play::{Expected, Profile};
use super::rule::{Asked, Rule};

pub(super) fn profiles() -> Vec<Profile> {
    vec![
        Profile::open("harbor", HARBOR).guarded("robot$project+ci", "harbor-robot-secret", Guard::bearer).expecting([
            Expected::pull("apps/static-site:absent", 3, "manifest `absent`"),
            Expected::anonymous_pull("apps/static-site:v1", 1, "is there a proxy or a login page before it"),
        ]),
        Profile::open("jfrog", JFROG)
            .guarded("deployer", "jfrog-reference-token", Guard::basic)
            .expecting([Expected::pull("apps/static-site:absent", 4, "may be private or not exist")]),
        Profile::open("nexus", NEXUS).guarded("admin", "nexus-password", Guard::basic).at_port(8443),
        Profile::open("zot", ZOT),
    ]
}

const HARBOR: &[Rule] = &[
    // Q26: the length of a HEAD is not that of the GET.
    Rule::after("Q26", "HEAD /v2/*/manifests/*", |_, answer| other_length(answer)),
    // Q27: whom it does not know it shows its login page.
    Rule::instead("Q27", "GET /token*", |asked| {
        let page = "<!doctype html><html><head><title>Harbor</title></head></html>";
        let reply = || Reply::ok(page).header("content-type", "text/html");
        asked.header("authorization").is_empty().then(reply)
    }),
    // Q40: whoever may not read where the blob is may not mount it.
    Rule::instead("Q40", "POST /v2/*/blobs/uploads/?mount=*", |asked| {
        let refusal = || Reply::refusal(403, "DENIED", "requested access to the resource is denied");
        mounts_from_elsewhere(asked).then(refusal)
    }),
];

const JFROG: &[Rule] = &[
    // Q28: what counts is the last chunk, and all is said to be well.
    Rule::instead("Q28", "PATCH /v2/*/blobs/uploads/*", |asked| {
        asked.stage.note(&chunked(asked), asked.body.len() as u64);
        let (_, last) = asked.content_range()?;
        let location = format!("{{origin}}{}", asked.target);
        Some(Reply::status(202).header("location", location).header("range", format!("0-{last}")))
    }),
    Rule::instead("Q28", "PUT /v2/*/blobs/uploads/*", |asked| {
        let kept = asked.stage.noted(&chunked(asked))?;
        asked.stage.note(&format!("kept {}", asked.digest()), kept);
        Some(Reply::status(201).header("docker-content-digest", asked.digest()))
    }),
    Rule::instead("Q28", "HEAD /v2/*/blobs/*", |asked| {
        let kept = asked.stage.noted(&format!("kept {}", asked.digest()))?;
        Some(Reply::status(200).header("content-length", kept.to_string()))
    }),
    // Q28: who may only add cannot take back.
    Rule::instead("Q28", "DELETE /v2/*/blobs/uploads/*", |_| {
        Some(Reply::refusal(403, "DENIED", "the user is not permitted to delete"))
    }),
    // Q28: a virtual repository forbids what it has not.
    Rule::after("Q28", "* /v2/*/manifests/*", |_, answer| deny_missing(answer, "DENIED", "forbidden")),
];

const NEXUS: &[Rule] = &[
    // Q30: behind the proxy that speaks TLS it knows neither the scheme nor the port.
    Rule::after("Q30", "* /v2/*", |asked, answer| {
        let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
        let Some(location) = location else { return };
        let path = match location.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |start| &rest[start..]),
            None => location,
        };
        let host = asked.stage.origin.trim_start_matches("https://");
        let host = host.split_once(':').map_or(host, |(host, _)| host);
        set(answer, "location", &format!("http://{host}{path}"));
    }),
];

const ZOT: &[Rule] = &[
    // Q31: the range is that of the last chunk.
    Rule::after("Q31", "PATCH /v2/*/blobs/uploads/*", |asked, answer| {
        if let Some((first, last)) = asked.content_range()
            && answer.status() == StatusCode::ACCEPTED
        {
            set(answer, "range", &format!("{first}-{last}"));
        }
    }),
];

fn chunked(asked: &Asked<'_>) -> String {
    format!("chunked {}", asked.path())
}
