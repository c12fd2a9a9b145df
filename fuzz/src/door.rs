//! What the door of an embedded registry reads: its files, and what clients show.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request};
use spinreg::content::Body;
use spinreg::model::Name;
use spinreg::serve::fuzzing::{self, Shown};

use crate::line;

/// A password file. Whoever it names is found in it; whoever it does not is held to a hash that costs as much.
pub fn htpasswd(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok((_, decoy)) = fuzzing::htpasswd(text, "") else { return };
    assert!(is_hash(&decoy), "{decoy}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((user, hash)) = line.trim_end().split_once(':') else { continue };
        let (known, found) = fuzzing::htpasswd(text, user).expect("the same file");
        assert!(known && found == hash && is_hash(&found), "{user}");
    }
}

/// A hash of bcrypt that is worked off in seconds at most.
fn is_hash(text: &str) -> bool {
    let cost = text.get(4..6).and_then(|cost| cost.parse::<u32>().ok());
    text.starts_with("$2") && text.len() == 60 && cost.is_some_and(|cost| cost <= 15)
}

/// A user and a repository in the first line, and rules: nobody has more than everybody, and nobody may write.
pub fn access_rules(data: &[u8]) {
    let (first, rest) = line(data);
    let (Ok(first), Ok(rules)) = (std::str::from_utf8(first), std::str::from_utf8(rest)) else { return };
    let (user, name) = first.split_once(' ').unwrap_or(("ada", first));
    let Ok(name) = name.parse::<Name>() else { return };
    let Ok(nobody) = fuzzing::allowed(rules, None, &name) else { return };
    assert!(["", "pull"].contains(&nobody.as_str()), "{nobody}");
    let some = fuzzing::allowed(rules, Some(user), &name).expect("the same rules");
    assert!(nobody.is_empty() || some.contains("pull"), "{some}");
}

/// `Authorization`, one field a line. What it shows is what was sent; two fields show nothing that is believed.
pub fn authorization(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for value in data.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        headers.append(AUTHORIZATION, value);
    }
    let count = headers.get_all(AUTHORIZATION).iter().count();
    match fuzzing::authorization(&headers) {
        // Base64 of a lone colon is an empty name with an empty password.
        Shown::Nothing => assert!(count == 0 || count == 1 && data.windows(2).any(|pair| pair == b"Og")),
        Shown::Strange => assert!(count > 0),
        Shown::Token(token) => {
            assert!(count == 1 && !token.is_empty() && !token.starts_with(' ') && !token.ends_with(' '), "{token:?}");
            assert!(!fuzzing::is_taken(&token), "no mint takes what it has not made");
        }
        Shown::Password(user, password) => {
            assert!(count == 1 && !user.contains(':'), "{user:?}");
            let mut again = HeaderMap::new();
            let value = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
            again.append(AUTHORIZATION, value.parse().expect("letters and digits"));
            assert_eq!(fuzzing::authorization(&again), Shown::Password(user, password));
        }
    }
}

/// A request to the token service: `METHOD USER` in the first line, then its query or form, then rules. The token is for
/// what was asked for and is allowed, and fits into a header.
pub fn token_request(data: &[u8]) {
    let (first, rest) = line(data);
    let (form, rules) = line(rest);
    let (Ok(first), Ok(rules)) = (std::str::from_utf8(first), std::str::from_utf8(rules)) else { return };
    let (method, user) = first.split_once(' ').unwrap_or((first, ""));
    let mut request = Request::builder().method(method);
    request = match std::str::from_utf8(form) {
        Ok(query) if method != "POST" => request.uri(format!("/token?{query}")),
        _ => request.uri("/token"),
    };
    let body = if method == "POST" { Body::from_bytes(form.to_vec()) } else { Body::empty() };
    let Ok(request) = request.body(body) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let user = Some(user).filter(|user| !user.is_empty());
    match runtime.block_on(fuzzing::token(request, rules, user)) {
        Err(status) => assert!([400, 405, 413].contains(&status), "{status}"),
        Ok((token, scopes)) => {
            assert!(token.len() <= 32 << 10 && HeaderValue::from_str(&token).is_ok(), "{} bytes", token.len());
            assert!(scopes.len() <= 32, "{scopes:?}");
            for scope in scopes {
                let granted = scope.strip_prefix("repository:").and_then(|rest| rest.split_once(':'));
                let (name, actions) = granted.expect("a scope is written as it is read");
                let name = name.parse().expect("a name is written as it is read");
                if let Ok(may) = fuzzing::allowed(rules, user, &name) {
                    assert!(actions.split(',').all(|action| may.contains(action)), "{scope}: {may}");
                }
            }
        }
    }
}
