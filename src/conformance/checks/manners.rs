//! What is seen by the way, in whatever is answered: redirects, warnings, requests to wait.

use http::header::RANGE;
use http::{Method, Uri};

use super::super::answer::Answer;
use super::super::{Exchange, Level};
use super::bench::{Bench, said, succeeded};
use super::content::Blob;
use super::rule::{Fall, Rule, Verdict, broken, ensure};
use crate::model::Algorithm;
use crate::transport::{headers, resolve};

pub(super) static REDIRECT: Rule = Rule::new(
    "manner.redirect",
    "end-2",
    Level::Must,
    "Pulling blobs",
    "where a blob is kept elsewhere, the redirect leads there without the registry's credentials, over nothing weaker, \
     and carries no password for all to see",
)
.unseen("it follows redirects without looking at them");
pub(super) static RETRY_AFTER: Rule = Rule::new(
    "manner.retry-after",
    "end-1",
    Level::Should,
    "Error Codes",
    "a 429 says in `Retry-After` when to come back",
)
.unseen("it does not look at the header");
pub(super) static CHALLENGE: Rule = Rule::new(
    "manner.challenge",
    "end-1",
    Level::Must,
    "Determining Support",
    "a 401 says in `WWW-Authenticate` how it is met (RFC 9110)",
)
.unseen("it fails without saying why");
pub(super) static WARNING_FORM: Rule = Rule::new(
    "manner.warning-form",
    "end-1",
    Level::Must,
    "Warnings",
    "a `Warning` is `299 - \"text\"`, without a date",
)
.unseen("it does not look at warnings");
pub(super) static WARNING_LENGTH: Rule = Rule::new(
    "manner.warning-length",
    "end-1",
    Level::Must,
    "Warnings",
    "the warnings of one answer have 4096 bytes together at most",
)
.unseen("it does not look at warnings");

pub(super) static ALL: &[&Rule] = &[&REDIRECT, &RETRY_AFTER, &CHALLENGE, &WARNING_FORM, &WARNING_LENGTH];

/// Comes last: everything that was answered before is judged.
pub(super) async fn run(bench: &Bench) {
    bench.check(&REDIRECT, redirected(bench)).await;
    let manners = bench.manners();
    bench.check(&RETRY_AFTER, async { untold(&manners.throttled, "a 429 has no `Retry-After`") }).await;
    bench.check(&CHALLENGE, async { untold(&manners.challenged, "a 401 has no `WWW-Authenticate`") }).await;
    bench
        .check(&WARNING_FORM, async {
            let odd = manners.warned.iter().find_map(|(texts, exchange)| {
                let text = texts.iter().find(|text| !is_warning(text))?;
                Some((text.chars().take(80).collect::<String>(), exchange))
            });
            odd.map_or(Ok(()), |(shown, exchange)| shown_by(exchange, format!("`Warning` is `{shown}`")))
        })
        .await;
    bench
        .check(&WARNING_LENGTH, async {
            let lengths = manners.warned.iter().map(|(texts, exchange)| {
                let length: usize = texts.iter().map(String::len).sum();
                (length, exchange)
            });
            match lengths.max_by_key(|(length, _)| *length) {
                Some((length, exchange)) if length > MOST_WARNED => {
                    shown_by(exchange, format!("the warnings of one answer have {length} bytes"))
                }
                _ => Ok(()),
            }
        })
        .await;
    bench.clean().await;
}

/// Breaks a rule by the first answer that does not tell what it should.
fn untold(seen: &[(bool, Exchange)], why: &str) -> Verdict {
    let first = seen.iter().find(|(told, _)| !told);
    first.map_or(Ok(()), |(_, exchange)| shown_by(exchange, why.to_owned()))
}

/// Breaks a rule by an exchange of whatever check.
fn shown_by(exchange: &Exchange, why: String) -> Verdict {
    Err(Fall::Broken(why, Some(Box::new(exchange.clone()))))
}

/// Says whether a warning has the form that the specification allows.
fn is_warning(text: &str) -> bool {
    let quoted = text.strip_prefix("299 - \"").and_then(|rest| rest.strip_suffix('"'));
    quoted.is_some_and(|text| !text.replace("\\\\", "").replace("\\\"", "").contains('"'))
}

/// Asks for a blob and looks at where that leads, hop by hop.
async fn redirected(bench: &Bench) -> Verdict {
    let blob = Blob::random(Algorithm::Sha256, 64);
    bench.push(&blob).await?;
    let path = blob.path(&bench.name);
    // A part is asked for as a client that resumes does: some registries hand out only these elsewhere.
    let asking = || bench.request(Method::GET, &path).header(RANGE, "bytes=0-63");
    let answer = bench.ask(|| asking().without_redirects()).await;
    if !answer.status.is_some_and(|status| status.is_redirection()) {
        return Ok(());
    }
    let place = answer.place().or_else(broken)?;
    let (Ok(to), Ok(from)) = (place.parse::<Uri>(), answer.exchange.url.parse::<Uri>()) else {
        return broken("`Location` is no URI");
    };
    let weaker = from.scheme_str() == Some("https") && to.scheme_str() != Some("https");
    ensure(!weaker, || "the redirect leads from https to something weaker".to_owned())?;
    let shows = to.authority().is_some_and(|authority| authority.as_str().contains('@'));
    ensure(!shows, || "the redirect carries a user name or a password".to_owned())?;
    let got = bench.ask(asking).await;
    ensure(succeeded(&got), || format!("what the redirect leads to: {}", said(&got)))
}

/// Returns where `Link` leads to the next page.
pub(super) fn next(answer: &Answer) -> Option<String> {
    let link = headers::link_next(&answer.headers)?;
    let base = answer.exchange.url.parse::<Uri>().ok()?;
    resolve(&base, &link).ok().map(|uri| uri.to_string())
}

/// Leaves out scheme and host: one page is the same page however it is written.
pub(super) fn below_host(target: &str) -> &str {
    let rest = target.split_once("://").map_or(target, |(_, rest)| rest);
    rest.find('/').map_or("/", |at| &rest[at..])
}

/// Bytes of the warnings of one answer at most (distribution-spec 1.1).
const MOST_WARNED: usize = 4096;

#[cfg(test)]
mod tests {
    use super::is_warning;

    #[test]
    fn warnings_have_one_form() {
        for (text, expected) in [
            ("299 - \"the tag will go\"", true),
            ("299 - \"\"", true),
            ("299 - \"a \\\"quoted\\\" word and a \\\\\"", true),
            ("299 registry \"text\"", false),
            ("199 - \"text\"", false),
            ("299 - text", false),
            ("299 - \"text\" \"Sat, 25 Aug 2012 23:34:45 GMT\"", false),
            ("", false),
        ] {
            assert_eq!(is_warning(text), expected, "{text}");
        }
    }
}
