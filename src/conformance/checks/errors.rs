//! Refusals: what they say, and how.

use http::{Method, StatusCode};
use serde_json::Value;

use super::super::Level;
use super::super::answer::Answer;
use super::bench::{Bench, said};
use super::content::{Blob, tag};
use super::rule::{Rule, Verdict, blocked, broken, ensure, seen_in, unsupported};
use crate::model::{Algorithm, ErrorCode};

const CODES: &str = "Error Codes";

pub(super) static BODY: Rule = Rule::new(
    "error.body",
    "end-2",
    Level::Must,
    CODES,
    "the body of a refusal, where it is JSON, has a list `errors` whose entries have a `code`",
)
.unseen("it does not read refusals");
pub(super) static CONTENT_TYPE: Rule = Rule::new(
    "error.content-type",
    "end-2",
    Level::Should,
    "RFC 9110, 8.3",
    "the JSON of a refusal is sent with its media type, `application/json`; the distribution specification does not say so",
)
.unseen("it does not read refusals");
pub(super) static CODE_FORM: Rule =
    Rule::new("error.code-form", "end-2", Level::Must, CODES, "a code is made of capital letters and underscores")
        .unseen("it does not read refusals");
pub(super) static CODE_KNOWN: Rule = Rule::new(
    "error.code",
    "end-2",
    Level::Should,
    CODES,
    "what is not there is refused with the code for it: `BLOB_UNKNOWN`, `MANIFEST_UNKNOWN` or `NAME_UNKNOWN`",
)
.unseen("it does not read refusals");
pub(super) static NAME: Rule = Rule::new(
    "error.name",
    "end-3",
    Level::Should,
    CODES,
    "a name that no repository can have is refused, and no failure of the registry",
)
.unseen("it sends no such name");
pub(super) static METHOD: Rule = Rule::new(
    "error.method",
    "end-8a",
    Level::Should,
    "RFC 9110, 9.1",
    "a method that an endpoint does not have is refused, and no failure of the registry",
)
.unseen("it sends no such method");
pub(super) static ENDPOINT: Rule = Rule::new(
    "error.endpoint",
    "end-1",
    Level::Should,
    "Endpoints",
    "a path that the API does not have is answered with 404",
)
.unseen("it sends no such path");

pub(super) static ALL: &[&Rule] = &[&BODY, &CONTENT_TYPE, &CODE_FORM, &CODE_KNOWN, &NAME, &METHOD, &ENDPOINT];

pub(super) async fn run(bench: &Bench) {
    let mut refusals: Vec<(Answer, &'static [ErrorCode])> = Vec::new();
    bench
        .check(&BODY, async {
            let blob = Blob::random(Algorithm::Sha256, 8).path(&bench.name);
            refusals.push((bench.get(&blob).await, &[ErrorCode::BlobUnknown, ErrorCode::NameUnknown]));
            let manifest = bench.fetch(Method::GET, &tag("refused")).await;
            refusals.push((manifest, &[ErrorCode::ManifestUnknown, ErrorCode::NameUnknown]));
            refusals.iter().try_for_each(|(answer, _)| match codes(answer) {
                Err(why) if is_json(answer) => seen_in(answer, broken(format!("{}: {why}", said(answer)))),
                _ => Ok(()),
            })?;
            in_json(&refusals)
        })
        .await;
    let read: Result<Vec<_>, String> =
        refusals.iter().map(|(answer, fitting)| codes(answer).map(|codes| (answer, codes, *fitting))).collect();
    let read = match read {
        Ok(read) => Ok(read),
        Err(_) => in_json(&refusals).and_then(|()| blocked(&BODY)),
    };
    bench
        .check(&CONTENT_TYPE, async {
            read.clone()?.iter().try_for_each(|(answer, ..)| {
                let found = answer.media_type().unwrap_or_default();
                seen_in(answer, ensure(found == "application/json", || format!("JSON is sent as `{found}`")))
            })
        })
        .await;
    bench
        .check(&CODE_FORM, async {
            let is_formed = |code: &str| !code.is_empty() && code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
            read.clone()?.iter().try_for_each(|(answer, codes, _)| {
                let odd = codes.iter().find(|code| !is_formed(code));
                odd.map_or(Ok(()), |code| seen_in(answer, broken(format!("`{code}` is no code"))))
            })
        })
        .await;
    bench
        .check(&CODE_KNOWN, async {
            read.clone()?.iter().try_for_each(|(answer, codes, fitting)| {
                let fits = codes.iter().any(|code| fitting.contains(&ErrorCode::from(code.as_str())));
                seen_in(answer, ensure(fits, || format!("{} with `{}`", said(answer), codes.join("`, `"))))
            })
        })
        .await;
    bench.check(&NAME, async { refused(&bench.elsewhere("/v2/Check_/..-/UPPER/manifests/latest").await) }).await;
    bench
        .check(&METHOD, async { refused(&bench.bare(Method::PUT, &format!("/v2/{}/tags/list", bench.name)).await) })
        .await;
    bench
        .check(&ENDPOINT, async {
            let answer = bench.elsewhere(&format!("/v2/{}/nothing-of-the-api/at-all", bench.name)).await;
            super::bench::expect(&answer, StatusCode::NOT_FOUND)
        })
        .await;
}

fn refused(answer: &Answer) -> Verdict {
    ensure(answer.status.is_some_and(|status| status.is_client_error()), || said(answer))
}

/// Says whether a refusal is written in JSON, or said to be.
fn is_json(answer: &Answer) -> bool {
    answer.media_type() == Some("application/json") || answer.json::<Value>().is_ok()
}

/// Finds whether all refusals are in JSON: they may be in any format.
fn in_json(refusals: &[(Answer, &'static [ErrorCode])]) -> Verdict {
    match refusals.iter().find(|(answer, _)| !is_json(answer)) {
        Some((answer, _)) => unsupported(format!("{}, and not in JSON", said(answer))),
        None => Ok(()),
    }
}

/// Reads the codes of a refusal.
fn codes(answer: &Answer) -> Result<Vec<String>, String> {
    let body: Value = answer.json()?;
    let errors = body["errors"].as_array().filter(|errors| !errors.is_empty()).ok_or("the body has no `errors`")?;
    let code = |error: &Value| error["code"].as_str().map(str::to_owned).ok_or("an error has no `code`");
    errors.iter().map(|error| code(error).map_err(str::to_owned)).collect()
}
