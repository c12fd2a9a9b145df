//! What to do after each exchange: pure, so that a table can test it.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::header::LOCATION;
use http::{HeaderMap, Method, StatusCode, Uri};

use super::headers;
use super::origin::Origin;
use super::policy::{Budget, Pause, Policy};
use super::redirect;
use super::transport::Redirects;
use crate::error::{ParseError, UnreachableKind};

/// A request, and what came of it.
#[derive(Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) outcome: Outcome<'a>,
    /// How long the text of the answer asks us to wait, where its headers do not.
    pub(super) said: Option<Duration>,
    /// The address that answered, where no proxy hides it.
    pub(super) peer: Option<IpAddr>,
    /// Whether the payload may be sent again after a failure.
    pub(super) replayable: bool,
    pub(super) redirects: Redirects,
    /// How many redirects led here.
    pub(super) hops: u32,
    pub(super) budget: &'a Budget,
    pub(super) now: SystemTime,
}

/// What came of a request.
#[derive(Clone, Copy)]
pub(super) enum Outcome<'a> {
    Answer(StatusCode, &'a HeaderMap),
    Failure(UnreachableKind),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Hand the outcome on.
    Return,
    /// Try again after a pause.
    Retry(Pause),
    /// Ask elsewhere.
    Follow(Uri, Credentials),
    /// Blame the answer.
    Refuse(&'static str, Option<ParseError>),
}

/// Whether the next origin may see what the last one saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    Keep,
    Shed,
}

/// Decides.
pub(super) fn decide(exchange: &Exchange<'_>, policy: &Policy) -> Decision {
    match exchange.outcome {
        Outcome::Failure(kind) if may_pass(kind) => retry(exchange, policy, None),
        Outcome::Failure(_) => Decision::Return,
        Outcome::Answer(status, headers) if is_hiccup(status) => {
            retry(exchange, policy, headers::retry_after(headers, exchange.now).or(exchange.said))
        }
        Outcome::Answer(status, headers) if leads_on(status, exchange) => match headers.get(LOCATION) {
            Some(location) => follow(exchange, policy, location.to_str().ok()),
            None => Decision::Refuse("the redirect has no `Location`", None),
        },
        Outcome::Answer(..) => Decision::Return,
    }
}

/// A certificate, a name or a port for something else will be the same in a second.
fn may_pass(kind: UnreachableKind) -> bool {
    matches!(kind, UnreachableKind::Connect | UnreachableKind::TimedOut | UnreachableKind::Broken)
}

fn is_hiccup(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

fn leads_on(status: StatusCode, exchange: &Exchange<'_>) -> bool {
    let reads = matches!(*exchange.method, Method::GET | Method::HEAD);
    // A 301 or 302 may turn a `POST` into a `GET` and that is never what was meant here: methods stay. A 303 demands
    // it, so that one is only for those that read.
    let redirect = matches!(status.as_u16(), 301 | 302 | 307 | 308) || status == StatusCode::SEE_OTHER && reads;
    redirect && exchange.redirects == Redirects::Follow
}

fn retry(exchange: &Exchange<'_>, policy: &Policy, asked: Option<Duration>) -> Decision {
    let &Exchange { budget, replayable, .. } = exchange;
    if !replayable || budget.left() == 0 {
        return Decision::Return;
    }
    match asked {
        None => Decision::Retry(policy.backoff(budget.spent())),
        // Sooner than asked would be wrong, and later than this is for the caller to decide.
        Some(least) if least > policy.retry_after_max => Decision::Return,
        // Everybody was told the same moment: spread out behind it, the further the more often that was too early.
        Some(least) => {
            let backoff = policy.backoff(budget.spent()).spread;
            let spread = if least < backoff { backoff } else { policy.backoff_min };
            Decision::Retry(Pause { least, spread })
        }
    }
}

fn follow(exchange: &Exchange<'_>, policy: &Policy, location: Option<&str>) -> Decision {
    if exchange.hops >= policy.redirects {
        return Decision::Refuse("there are too many redirects", None);
    }
    let Some(location) = location else { return Decision::Refuse("the redirect's `Location` is not text", None) };
    let target = match redirect::resolve(exchange.uri, location) {
        Ok(target) => target,
        Err(error) => return Decision::Refuse("the redirect leads nowhere", Some(error)),
    };
    let (Some(from), Some(to)) = (Origin::of(exchange.uri), Origin::of(&target)) else {
        return Decision::Refuse("the redirect leads nowhere", None);
    };
    match redirect::judge(&from, &to, exchange.peer) {
        Err(astray) => Decision::Refuse(astray.redirect(), None),
        Ok(()) => Decision::Follow(target, if from == to { Credentials::Keep } else { Credentials::Shed }),
    }
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, RETRY_AFTER};

    use super::*;

    const BASE: &str = "https://r.example/v2/a/blobs/x";

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), value.parse().expect("a header value"))).collect()
    }

    fn budget(spent: u32) -> Budget {
        let mut budget = Budget::new(&Policy::default());
        (0..spent).for_each(|_| budget.spend());
        budget
    }

    fn exchange<'a>(outcome: Outcome<'a>, uri: &'a Uri, budget: &'a Budget) -> Exchange<'a> {
        Exchange {
            method: &Method::GET,
            uri,
            outcome,
            said: None,
            peer: None,
            replayable: true,
            redirects: Redirects::Follow,
            hops: 0,
            budget,
            now: SystemTime::UNIX_EPOCH,
        }
    }

    fn backoff(millis: u64) -> Decision {
        Decision::Retry(Pause { least: Duration::ZERO, spread: Duration::from_millis(millis) })
    }

    fn after(seconds: u64) -> Decision {
        Decision::Retry(Pause { least: Duration::from_secs(seconds), spread: Duration::from_millis(200) })
    }

    #[test]
    fn hiccups_are_tried_again() {
        let (uri, policy) = (BASE.parse().expect("a URI"), Policy::default());
        for (status, retry_after, spent, replayable, expected) in [
            (200, None, 0, true, Decision::Return),
            (201, None, 0, true, Decision::Return),
            (206, None, 0, true, Decision::Return),
            (304, None, 0, true, Decision::Return),
            (400, None, 0, true, Decision::Return),
            (401, None, 0, true, Decision::Return),
            (403, None, 0, true, Decision::Return),
            (404, Some("1"), 0, true, Decision::Return),
            (416, None, 0, true, Decision::Return),
            (501, None, 0, true, Decision::Return),
            (505, None, 0, true, Decision::Return),
            (408, None, 0, true, backoff(200)),
            (429, None, 0, true, backoff(200)),
            (500, None, 1, true, backoff(400)),
            (502, None, 2, true, backoff(800)),
            (503, None, 3, true, backoff(1_600)),
            (504, None, 4, true, Decision::Return),
            (503, None, 0, false, Decision::Return),
            (429, Some("0"), 0, true, after(0)),
            (429, Some("7"), 3, true, after(7)),
            (429, Some("60"), 0, true, after(60)),
            (429, Some("61"), 0, true, Decision::Return),
            (429, Some("7"), 4, true, Decision::Return),
            (429, Some("7"), 0, false, Decision::Return),
            (429, Some("soon"), 0, true, backoff(200)),
            (503, Some("Thu, 01 Jan 1970 00:00:09 GMT"), 0, true, after(9)),
            (503, Some("Thu, 01 Jan 1970 01:00:00 GMT"), 0, true, Decision::Return),
        ] {
            let fields: Vec<_> = retry_after.map(|value| (RETRY_AFTER, value)).into_iter().collect();
            let (headers, budget) = (headers(&fields), budget(spent));
            let outcome = Outcome::Answer(StatusCode::from_u16(status).expect("a status"), &headers);
            for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                let exchange = Exchange { method: &method, replayable, ..exchange(outcome, &uri, &budget) };
                assert_eq!(decide(&exchange, &policy), expected, "{method} {status} {retry_after:?} after {spent}");
            }
        }
    }

    #[test]
    fn waits_in_the_text_count_where_the_headers_have_none() {
        let (uri, policy, millis) = (BASE.parse().expect("a URI"), Policy::default(), Duration::from_millis);
        for (retry_after, said, spent, expected) in [
            (None, None, 0, backoff(200)),
            (None, Some(millis(10)), 0, Decision::Retry(Pause { least: millis(10), spread: millis(200) })),
            (None, Some(millis(10)), 3, Decision::Retry(Pause { least: millis(10), spread: millis(1_600) })),
            (None, Some(millis(7_000)), 3, after(7)),
            (Some("0"), None, 2, Decision::Retry(Pause { least: Duration::ZERO, spread: millis(800) })),
            (Some("7"), Some(millis(10)), 0, after(7)),
            (None, Some(Duration::MAX), 0, Decision::Return),
        ] {
            let fields: Vec<_> = retry_after.map(|value| (RETRY_AFTER, value)).into_iter().collect();
            let (headers, budget) = (headers(&fields), budget(spent));
            let outcome = Outcome::Answer(StatusCode::TOO_MANY_REQUESTS, &headers);
            let exchange = Exchange { said, ..exchange(outcome, &uri, &budget) };
            assert_eq!(decide(&exchange, &policy), expected, "{retry_after:?} {said:?} after {spent}");
        }
    }

    #[test]
    fn only_failures_that_may_pass_are_tried_again() {
        let (uri, policy) = (BASE.parse().expect("a URI"), Policy::default());
        for (kind, spent, replayable, expected) in [
            (UnreachableKind::Connect, 0, true, backoff(200)),
            (UnreachableKind::TimedOut, 1, true, backoff(400)),
            (UnreachableKind::Broken, 0, true, backoff(200)),
            (UnreachableKind::Broken, 4, true, Decision::Return),
            (UnreachableKind::Broken, 0, false, Decision::Return),
            (UnreachableKind::Name, 0, true, Decision::Return),
            (UnreachableKind::Tls, 0, true, Decision::Return),
            (UnreachableKind::PlainHttp, 0, true, Decision::Return),
        ] {
            let budget = budget(spent);
            let exchange = Exchange { replayable, ..exchange(Outcome::Failure(kind), &uri, &budget) };
            assert_eq!(decide(&exchange, &policy), expected, "{kind:?} after {spent}");
        }
    }

    #[test]
    fn redirects_are_followed_where_they_may_lead() {
        let policy = Policy::default();
        let (base, budget): (Uri, _) = (BASE.parse().expect("a URI"), budget(4));
        let to = |uri: &str, credentials| Decision::Follow(uri.parse().expect("a URI"), credentials);
        let (same, other) = ("https://r.example/y", "https://cdn.example/y?sig=a%2Fb");
        for (status, method, location, expected) in [
            (307, Method::GET, "/y", to(same, Credentials::Keep)),
            (307, Method::GET, "https://R.example:443/y", to("https://R.example:443/y", Credentials::Keep)),
            (307, Method::GET, "http://r.example/y", to(same, Credentials::Keep)),
            (301, Method::GET, other, to(other, Credentials::Shed)),
            (302, Method::HEAD, other, to(other, Credentials::Shed)),
            (303, Method::GET, other, to(other, Credentials::Shed)),
            (308, Method::GET, other, to(other, Credentials::Shed)),
            (307, Method::PUT, other, to(other, Credentials::Shed)),
            (302, Method::POST, "/y", to(same, Credentials::Keep)),
            (303, Method::POST, "/y", Decision::Return),
            (300, Method::GET, "/y", Decision::Return),
            (304, Method::GET, "/y", Decision::Return),
            (201, Method::PUT, "/y", Decision::Return),
            (307, Method::GET, "https://r.example:8443/y", to("https://r.example:8443/y", Credentials::Shed)),
            (307, Method::GET, "https://a.r.example/y", to("https://a.r.example/y", Credentials::Shed)),
        ] {
            let headers = headers(&[(LOCATION, location)]);
            let outcome = Outcome::Answer(StatusCode::from_u16(status).expect("a status"), &headers);
            let exchange = Exchange { method: &method, ..exchange(outcome, &base, &budget) };
            assert_eq!(decide(&exchange, &policy), expected, "{method} {status} {location}");
            let exchange = Exchange { redirects: Redirects::Return, ..exchange };
            assert_eq!(decide(&exchange, &policy), Decision::Return, "{method} {status}, not to be followed");
        }
    }

    #[test]
    fn redirects_that_must_not_be_followed_are_blamed() {
        let policy = Policy::default();
        let (base, budget): (Uri, _) = (BASE.parse().expect("a URI"), budget(0));
        for (location, hops) in [
            (Some("http://cdn.example/y"), 0),
            (Some("https://127.0.0.1/y"), 0),
            (Some("https://169.254.169.254/latest/meta-data"), 0),
            (Some("file:///etc/passwd"), 0),
            (Some("https://ada:pw@cdn.example/y"), 0),
            (Some("/y"), 10),
            (None, 0),
        ] {
            let fields: Vec<_> = location.map(|value| (LOCATION, value)).into_iter().collect();
            let headers = headers(&fields);
            let exchange = Exchange { hops, ..exchange(Outcome::Answer(StatusCode::FOUND, &headers), &base, &budget) };
            assert!(matches!(decide(&exchange, &policy), Decision::Refuse(..)), "{location:?} after {hops} hops");
        }
    }
}
