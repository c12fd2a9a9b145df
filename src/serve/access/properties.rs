//! What holds for whatever the door of a registry reads, good or bad.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request};
use proptest::prelude::*;

use super::fuzzing::{Shown, allowed, authorization, htpasswd, is_taken, token};
use crate::content::Body;
use crate::model::Name;

/// `correct horse`, at the lowest cost.
const HASH: &str = "$2y$05$Dv89cAHVwZ2LSZfmYBkGbeNSkP25zPi5D9Q2pTy8W7r1I3I7uhbSC";

fn shown(values: &[&str]) -> Shown {
    let mut headers = HeaderMap::new();
    for value in values {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.append(AUTHORIZATION, value);
        }
    }
    authorization(&headers)
}

/// Lines that are nearly those of a password file.
fn line() -> impl Strategy<Value = String> {
    let hash = prop_oneof![Just(HASH.to_owned()), "[$./0-9a-zA-Z{}]{0,70}", Just(HASH.replace("05", "31"))];
    prop_oneof!["#.*", ("[a-z@*]{0,8}", hash).prop_map(|(user, hash)| format!("{user}:{hash}")), ".*"]
}

/// Rules that are nearly well-formed.
fn rule() -> impl Strategy<Value = String> {
    let who = "(ada|bob|\\*|anonymous|@team|@x)";
    let pattern = "(a|\\*|\\*\\*|a/\\*\\*|\\{user\\}/\\*|a\\*b|A|a//b)";
    let allow = "(pull|push|delete|write)";
    (who, pattern, allow).prop_map(|(who, pattern, allow)| {
        format!("[[rule]]\nwho = [\"{who}\"]\nrepositories = [\"{pattern}\"]\nallow = [\"{allow}\"]\n")
    })
}

fn name() -> impl Strategy<Value = Name> {
    "[ab]{1,2}(/[ab]{1,2}){0,2}".prop_map(|text| text.parse().expect("a name"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_password_file_is_read_whole_or_not_at_all(lines in prop::collection::vec(line(), 0..6)) {
        let text = lines.join("\n");
        let users: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| Some(line.split_once(':')?.0)).collect();
        match htpasswd(&text, "nobody-of-this-name") {
            Ok((known, decoy)) => {
                prop_assert!(!known && decoy.starts_with("$2b$") && decoy.len() == 60, "{decoy}");
                for user in users {
                    let (known, hash) = htpasswd(&text, user).expect("the same file");
                    prop_assert!(known && text.contains(&hash), "{user}");
                }
            }
            Err(flaw) => prop_assert!(flaw.starts_with("line ") && !flaw.contains("Dv89"), "{flaw}"),
        }
    }

    #[test]
    fn rules_give_nobody_more_than_everybody_has(rules in prop::collection::vec(rule(), 0..4), name in name()) {
        let text = format!("groups = {{ team = [\"ada\"] }}\n{}", rules.concat());
        if let Ok(nobody) = allowed(&text, None, &name) {
            prop_assert!(["", "pull"].contains(&nobody.as_str()), "{nobody}");
            for user in ["ada", "bob"] {
                let some = allowed(&text, Some(user), &name).expect("the same rules");
                prop_assert!(nobody.is_empty() || some.contains(&nobody), "{user}: {some}");
            }
        }
    }

    #[test]
    fn any_text_is_no_rules_or_some(text in ".*", name in name()) {
        let _ = allowed(&text, Some("ada"), &name);
        let _ = htpasswd(&text, "ada");
    }

    #[test]
    fn a_password_arrives_as_it_was_sent(user in "[^:\\x00]{0,20}", password in "[^\\x00]{0,20}", pad in any::<bool>()) {
        let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let encoded = if pad { encoded.as_str() } else { encoded.trim_end_matches('=') };
        let is_nobody = user.is_empty() && password.is_empty();
        let expected = if is_nobody { Shown::Nothing } else { Shown::Password(user, password) };
        prop_assert_eq!(shown(&[&format!("Basic {encoded}")]), expected.clone());
        prop_assert_eq!(shown(&[&format!("bAsIc  {encoded} ")]), expected);
        prop_assert_eq!(shown(&[&format!("Basic {encoded}"), "Bearer x"]), Shown::Strange);
    }

    #[test]
    fn any_header_is_read_in_one_way(text in "((Basic|Bearer|basic|Digest) ?)?[ -~]{0,60}") {
        match shown(&[&text]) {
            Shown::Password(user, _) => prop_assert!(!user.contains(':')),
            Shown::Token(token) => prop_assert!(!token.is_empty() && text.contains(&token)),
            // Base64 of a lone colon: an empty name and an empty password.
            Shown::Nothing => prop_assert!(text.contains("Og"), "the header is there"),
            Shown::Strange => {}
        }
    }

    #[test]
    fn a_token_is_for_what_was_asked_and_is_allowed(
        scopes in prop::collection::vec("(repository:)?[ab]{1,2}(/[ab])?(:(pull|push|delete|\\*|x)(,push)?)?", 0..40),
        rules in prop::collection::vec(rule(), 0..4),
        post in any::<bool>(),
    ) {
        let rules = rules.concat();
        let form = scopes.iter().map(|scope| format!("scope={}", scope.replace(':', "%3A"))).collect::<Vec<_>>().join("&");
        let request = match post {
            true => Request::post("/token").body(Body::from_bytes(format!("grant_type=password&username=ada&{form}"))),
            false => Request::get(format!("/token?{form}")).body(Body::empty()),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let granted = runtime.block_on(token(request.expect("a request"), &rules, Some("ada")));
        match granted {
            Err(status) => prop_assert!(status == 400 && scopes.len() > 32, "{status}"),
            Ok((text, granted)) => {
                prop_assert!(text.len() < 16 << 10 && !is_taken(&text));
                for scope in granted {
                    let (name, actions) = scope.strip_prefix("repository:").and_then(|rest| rest.split_once(':')).expect("a scope");
                    prop_assert!(scopes.iter().any(|asked| asked.starts_with(&format!("repository:{name}:"))), "{scope}");
                    if let Ok(may) = allowed(&rules, Some("ada"), &name.parse().expect("a name")) {
                        prop_assert!(actions.split(',').all(|action| may.contains(action)), "{scope}: {may}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_text_is_a_token(text in "[A-Za-z0-9_-]{0,80}(\\.[A-Za-z0-9_-]{0,60})?") {
        prop_assert!(!is_taken(&text));
    }
}
