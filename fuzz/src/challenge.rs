//! `WWW-Authenticate`: our parser by itself, and beside two others.

use std::cell::Cell;
use std::panic::{catch_unwind, set_hook, take_hook};
use std::sync::Once;

use http_auth::ChallengeParser;
use hyperx::header::{Header as _, Raw};
use spinreg::auth::fuzzing::{Challenge, challenges, realm, scopes};
use www_authenticate::{RawChallenge, WwwAuthenticate};

/// One header a line. Each header that others understand too must mean the same to us.
pub fn challenge(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let found = challenges(&lines);
    assert!(found.len() <= 16, "challenges are bounded");
    for (scheme, parameters) in &found {
        assert!(!scheme.is_empty() && *scheme == scheme.to_ascii_lowercase(), "{scheme}");
        assert!(parameters.len() <= 16, "parameters are bounded");
        for (n, (name, value)) in parameters.iter().enumerate() {
            assert!(*name == name.to_ascii_lowercase(), "{name}");
            assert!(parameters[..n].iter().all(|(other, _)| other != name), "`{name}` twice");
            match name.as_str() {
                "scope" => {
                    let read = scopes(value);
                    assert!(read.iter().count() <= 8, "scopes are bounded");
                    assert_eq!(scopes(&read.to_string()), read, "what is asked for is what was read");
                }
                "realm" => {
                    let registry = http::Uri::from_static("https://r.example/v2/");
                    assert!(realm(&registry, value).is_none_or(|uri| uri.scheme_str() == Some("https")), "{value}");
                }
                _ => {}
            }
        }
    }
    lines.iter().filter_map(|line| std::str::from_utf8(line).ok()).for_each(compare);
}

/// Compares with http-auth where that accepts the header, and with www-authenticate where both do.
fn compare(line: &str) {
    // Our bounds are not theirs.
    if line.len() > 1 << 10 || !line.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return;
    }
    let Some(theirs) = http_auth(line) else { return };
    if theirs.len() > 16 || theirs.iter().any(|(_, parameters)| parameters.len() > 16) {
        return;
    }
    let ours = challenges(&[line.as_bytes()]);
    let same = theirs.clone().into_iter().map(|(scheme, parameters)| (scheme, first_wins(parameters)));
    assert_eq!(ours, same.collect::<Vec<_>>(), "ours, and http-auth's: `{line}`");
    let Some(third) = www_authenticate(line) else { return };
    for (scheme, parameters) in &ours {
        let fields = third.get_raw(scheme).unwrap_or_default();
        let agrees = |raw: &RawChallenge| match raw {
            RawChallenge::Token68(_) => parameters.is_empty(),
            RawChallenge::Fields(fields) => {
                parameters.iter().all(|(name, value)| fields.get(name).is_some_and(|theirs| theirs == value))
            }
        };
        // It forgets a challenge that has a parameter twice, where we keep the first one, and a scheme that stands
        // alone.
        let twice = theirs.iter().any(|(_, parameters)| first_wins(parameters.clone()).len() < parameters.len());
        let alone = parameters.is_empty();
        assert!(alone || twice || fields.iter().any(agrees), "ours, and www-authenticate's: `{line}`");
    }
}

fn http_auth(line: &str) -> Option<Vec<Challenge>> {
    let mut found = Vec::new();
    for challenge in ChallengeParser::new(line) {
        let challenge = challenge.ok()?;
        let parameters = challenge.params.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_unescaped()));
        found.push((challenge.scheme.to_ascii_lowercase(), parameters.collect()));
    }
    Some(found)
}

fn first_wins(parameters: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut kept: Vec<(String, String)> = Vec::new();
    for (name, value) in parameters {
        if kept.iter().all(|(other, _)| *other != name) {
            kept.push((name, value));
        }
    }
    kept
}

/// It panics on quoted text that ends in a backslash, and that is not our failure.
fn www_authenticate(line: &str) -> Option<WwwAuthenticate> {
    static HOOK: Once = Once::new();
    thread_local! {
        static FORGIVEN: Cell<bool> = const { Cell::new(false) };
    }
    // The fuzzer's own hook ends the process.
    HOOK.call_once(|| {
        let strict = take_hook();
        set_hook(Box::new(move |panic| {
            if !FORGIVEN.get() {
                strict(panic);
            }
        }));
    });
    FORGIVEN.set(true);
    let parsed = catch_unwind(|| WwwAuthenticate::parse_header(&Raw::from(line)).ok());
    FORGIVEN.set(false);
    parsed.ok().flatten()
}

/// The table of the README.
#[cfg(test)]
mod tests {
    use super::*;

    /// What www-authenticate makes of a header.
    #[derive(Debug, PartialEq)]
    enum Third {
        Panics,
        Refuses,
        /// It accepts the header, and of the scheme that is asked for it knows nothing.
        Loses,
        Token68(String),
        Fields(usize),
    }

    fn third(line: &str, scheme: &str) -> Third {
        let Ok(parsed) = catch_unwind(|| WwwAuthenticate::parse_header(&Raw::from(line))) else { return Third::Panics };
        let Ok(parsed) = parsed else { return Third::Refuses };
        match parsed.get_raw(scheme).unwrap_or_default().into_iter().next() {
            None => Third::Loses,
            Some(RawChallenge::Token68(token)) => Third::Token68(token.to_string()),
            Some(RawChallenge::Fields(fields)) => {
                let names = ["realm", "service", "scope"];
                Third::Fields(names.iter().filter(|name| fields.contains_key(**name)).count())
            }
        }
    }

    fn list(challenges: &[(&str, &[(&str, &str)])]) -> Vec<Challenge> {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        challenges.iter().map(|(scheme, parameters)| ((*scheme).to_owned(), pairs(parameters))).collect()
    }

    #[test]
    fn the_differences_are_those_that_the_readme_names() {
        let x: &[(&str, &str)] = &[("realm", "x")];
        let both: &[(&str, &str)] = &[("realm", "x"), ("service", "y")];
        let twice: &[(&str, &str)] = &[("realm", "a"), ("realm", "b")];
        let realm = "https://r.example/token";
        let token = format!("Bearer realm={realm}");
        type Row<'a> = (&'a str, Vec<Challenge>, Option<Vec<Challenge>>, &'a str, Third);
        let rows: [Row<'_>; 13] = [
            (
                r#"Basic realm="a", realm="b""#,
                list(&[("basic", &twice[..1])]),
                Some(list(&[("basic", twice)])),
                "basic",
                Third::Loses,
            ),
            ("Negotiate", list(&[("negotiate", &[])]), Some(list(&[("negotiate", &[])])), "negotiate", Third::Loses),
            (
                r#"Negotiate, Basic realm="x""#,
                list(&[("negotiate", &[]), ("basic", x)]),
                Some(list(&[("negotiate", &[]), ("basic", x)])),
                "basic",
                Third::Refuses,
            ),
            ("NTLM YWJj==", list(&[("ntlm", &[])]), None, "ntlm", Third::Token68("YWJj==".into())),
            ("Basic realm=", list(&[("basic", &[])]), None, "basic", Third::Token68("realm=".into())),
            (r#"Basic  realm="x""#, list(&[("basic", x)]), None, "basic", Third::Fields(1)),
            (",,Basic realm=x,,", list(&[("basic", x)]), Some(list(&[("basic", x)])), "basic", Third::Refuses),
            (&token, list(&[("bearer", &[("realm", realm)])]), None, "bearer", Third::Refuses),
            (r#"Basic realm="x" service="y""#, list(&[("basic", both)]), None, "basic", Third::Refuses),
            (r#"Basic realm="x"; service="y""#, list(&[("basic", both)]), None, "basic", Third::Refuses),
            (r#"Basic realm="open"#, list(&[("basic", &[("realm", "open")])]), None, "basic", Third::Refuses),
            ("Bearer realm=\"abc\\", list(&[("bearer", &[("realm", "abc")])]), None, "bearer", Third::Panics),
            ("Basic realm=\"\u{e9}\"", list(&[("basic", &[("realm", "\u{e9}")])]), None, "basic", Third::Fields(1)),
        ];
        for (line, ours, second, scheme, expected) in rows {
            assert_eq!(challenges(&[line.as_bytes()]), ours, "ours: `{line}`");
            assert_eq!(http_auth(line), second, "http-auth's: `{line}`");
            assert_eq!(third(line, scheme), expected, "www-authenticate's: `{line}`");
        }
    }
}
