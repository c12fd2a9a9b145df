//! Refusals that say how to do better: 401 with a challenge, 403 without.

use http::header::{HOST, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, StatusCode};

use super::door::Scheme;
use super::scope::{Actions, Scope};
use crate::model::ErrorCode;
use crate::serve::exchange::{Arrival, Protection};
use crate::serve::respond::Refusal;

/// Why credentials are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// There were none.
    Login,
    /// The password is not the user's.
    Password,
    /// The token is none of ours, or too old.
    Token,
    /// The token is good, and for less than this.
    Scope,
    /// What came can be understood in no way, or in several.
    Sense,
}

/// Asks for credentials: 401 `UNAUTHORIZED`, with where to get what (RFC 9110, section 11; RFC 6750, section 3).
pub(super) fn challenge(scheme: Scheme, base: &str, want: Want, need: Option<&Scope>) -> Refusal {
    let said = match (want, need) {
        (Want::Login, Some(Scope { name, actions })) => format!("to {} `{name}`, log in", verb(*actions)),
        (Want::Login, None) => "log in".to_owned(),
        (Want::Password, _) => "there is no such user, or the password is another one".to_owned(),
        (Want::Token, _) => "the token is none of this registry's, or its time is over".to_owned(),
        (Want::Scope, Some(Scope { name, actions })) => format!("the token is not for `{actions}` on `{name}`"),
        (Want::Scope, None) => "the token is not for this".to_owned(),
        (Want::Sense, _) => "`Authorization` is neither `Basic` nor `Bearer`, or there are two".to_owned(),
    };
    let line = match scheme {
        Scheme::Basic => basic(),
        Scheme::Token => {
            let service = base.split_once("://").map_or("spinreg", |(_, host)| host);
            let mut line = format!("Bearer realm=\"{base}/token\",service=\"{service}\"");
            if let Some(Scope { name, actions }) = need {
                // Whoever pushes also looks at what is there already.
                let wanted = if *actions == Actions::PUSH { Actions::PULL | Actions::PUSH } else { *actions };
                line += &format!(",scope=\"{}\"", Scope { name: name.clone(), actions: wanted });
            }
            match want {
                Want::Token => line += ",error=\"invalid_token\"",
                Want::Scope => line += ",error=\"insufficient_scope\"",
                Want::Login | Want::Password | Want::Sense => {}
            }
            HeaderValue::try_from(line).expect("a base, a name and words are visible ASCII")
        }
    };
    Refusal::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, said).with(WWW_AUTHENTICATE, line)
}

/// What a token service asks for: the password, with the request.
pub(super) fn basic() -> HeaderValue {
    HeaderValue::from_static("Basic realm=\"spinreg\"")
}

/// Refuses somebody who is known: 403 `DENIED`. Whether there is such a repository is not told.
pub(super) fn denied(user: &str, need: &Scope) -> Refusal {
    let said = format!("`{user}` may not {} `{}`", verb(need.actions), need.name);
    Refusal::new(StatusCode::FORBIDDEN, ErrorCode::Denied, said)
}

/// Refuses to work out one more password now: 429.
pub(super) fn busy() -> Refusal {
    let said = "too many passwords are being checked";
    let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests, said);
    refusal.with(RETRY_AFTER, HeaderValue::from_static("1"))
}

/// Finds out how the client calls us, as in `https://r.example:5000`; nothing where it did not say or what it said is
/// better not repeated. A realm without a base is relative.
pub(super) fn base<B>(request: &Request<B>) -> String {
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let host = || request.headers().get(HOST)?.to_str().ok().map(str::to_owned);
    let Some(host) = authority.or_else(host) else { return String::new() };
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    if host.is_empty() || !host.bytes().all(is_plain) {
        return String::new();
    }
    let arrival = request.extensions().get::<Arrival>();
    let scheme = match arrival.map(|arrival| arrival.protection) {
        Some(Protection::Tls) => "https",
        Some(Protection::Plain) | None => "http",
    };
    format!("{scheme}://{host}")
}

fn verb(actions: Actions) -> &'static str {
    match actions {
        Actions::PULL => "pull from",
        Actions::PUSH => "push to",
        _ => "delete from",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_name_what_to_get_and_where() {
        let push = Scope::read("repository:team/app:push").expect("a scope");
        let at = "https://r.example:5000";
        for (scheme, base, want, need, expected) in [
            (Scheme::Basic, at, Want::Login, Some(&push), "Basic realm=\"spinreg\""),
            (
                Scheme::Token,
                at,
                Want::Login,
                None,
                "Bearer realm=\"https://r.example:5000/token\",service=\"r.example:5000\"",
            ),
            (
                Scheme::Token,
                at,
                Want::Scope,
                Some(&push),
                "Bearer realm=\"https://r.example:5000/token\",service=\"r.example:5000\",\
                 scope=\"repository:team/app:pull,push\",error=\"insufficient_scope\"",
            ),
            (
                Scheme::Token,
                "",
                Want::Token,
                None,
                "Bearer realm=\"/token\",service=\"spinreg\",error=\"invalid_token\"",
            ),
        ] {
            let refusal = challenge(scheme, base, want, need);
            assert_eq!((refusal.status, &refusal.entry.code), (StatusCode::UNAUTHORIZED, &ErrorCode::Unauthorized));
            assert_eq!(refusal.headers, [(WWW_AUTHENTICATE, HeaderValue::from_static(expected))]);
        }
    }

    #[test]
    fn who_asks_is_called_by_what_it_called_us() {
        for (uri, host, expected) in [
            ("/v2/", "r.example:5000", "http://r.example:5000"),
            ("/v2/", "[::1]:5000", "http://[::1]:5000"),
            ("http://r.example/v2/", "other.example", "http://r.example"),
            ("/v2/", "a\"b", ""),
            ("/v2/", "ada:pw@r.example", ""),
            ("/v2/", "", ""),
        ] {
            let request = Request::builder().uri(uri).header(HOST, host).body(()).expect("a request");
            assert_eq!(base(&request), expected, "{uri} {host}");
        }
    }
}
