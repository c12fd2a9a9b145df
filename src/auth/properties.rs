//! What holds for every challenge, scope and credential file, not just those that somebody thought of.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::docker_config::{Document, Step};
use super::helper::Helper;
use super::{Credential, Scopes, Secret, challenge, document, realm};

/// A parameter as a server may write it, its name and what it means.
fn parameters() -> impl Strategy<Value = (String, String, String)> {
    let spaces = prop::sample::select(vec!["", " ", "\t "]);
    let token = ("[a-zA-Z][a-zA-Z0-9_-]{0,8}", "[a-zA-Z0-9!#$%&'*+.^_|~-]{1,12}", spaces.clone());
    let quoted = ("[a-zA-Z][a-zA-Z0-9_-]{0,8}", "[ -~]{0,20}", spaces);
    prop_oneof![
        token.prop_map(|(name, value, space)| (format!("{name}{space}={space}{value}"), name, value)),
        quoted.prop_map(|(name, value, space)| {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            (format!("{name}{space}={space}\"{escaped}\""), name, value)
        }),
    ]
}

/// Bytes near the grammar: its own signs, in no particular order.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "Bearer",
        "basic",
        "Negotiate",
        "realm",
        "scope",
        "=",
        "\"",
        "\\",
        ",",
        ";",
        " ",
        "\t",
        "YWJj==",
        "\u{e9}",
        "\0",
        "https://r.example/token",
    ]);
    prop_oneof![vec(pieces, 0..30).prop_map(|pieces| pieces.concat().into_bytes()), vec(any::<u8>(), 0..200),]
}

proptest! {
    /// What is written by the rules is read as it was meant.
    #[test]
    fn challenges_by_the_rules_are_understood(
        written in vec(("[A-Za-z][A-Za-z0-9-]{0,10}", vec(parameters(), 1..6)), 1..5),
        separator in prop::sample::select(vec![", ", ",", " ,\t"]),
    ) {
        let challenge = |(scheme, parameters): &(String, Vec<(String, String, String)>)| {
            let texts: Vec<_> = parameters.iter().map(|(text, ..)| text.as_str()).collect();
            format!("{scheme} {}", texts.join(separator))
        };
        let line = written.iter().map(challenge).collect::<Vec<_>>().join(separator);
        let read = challenge::parse([line.as_bytes()]);
        prop_assert_eq!(read.len(), written.len(), "{}", line);
        for (read, (scheme, parameters)) in read.iter().zip(&written) {
            prop_assert_eq!(&read.scheme, &scheme.to_ascii_lowercase());
            for (n, (_, name, value)) in parameters.iter().enumerate() {
                let name = name.to_ascii_lowercase();
                if parameters[..n].iter().all(|(_, other, _)| !other.eq_ignore_ascii_case(&name)) {
                    prop_assert_eq!(read.parameter(&name), Some(value.as_str()), "`{}` in `{}`", name, line);
                }
            }
        }
    }

    /// Whatever a server says, there is an answer to it; and lines do not run into each other.
    #[test]
    fn any_challenge_is_survived(first in lines(), second in lines()) {
        let (alone, beside) = (challenge::parse([&*first]), challenge::parse([&*second]));
        let together = challenge::parse([&*first, &*second]);
        prop_assert!(together.len() <= 16);
        let expected: Vec<_> = alone.into_iter().chain(beside).take(16).collect();
        prop_assert_eq!(together, expected);
    }

    /// What is asked of a token service is what the registry wanted, however often it passes through.
    #[test]
    fn scopes_are_stable(text in "((repository|registry|x)(:[a-z*,/-]{0,12}){0,3}[ \t]{0,2}){0,12}") {
        let read = Scopes::read(&text);
        prop_assert!(read.iter().count() <= 8);
        prop_assert_eq!(&Scopes::read(&read.to_string()), &read);
        prop_assert!(read.covers(&read) && read.covers(&Scopes::none()));
        prop_assert_eq!(&read.clone().merge(&read), &read);
    }

    /// Whoever has both has each.
    #[test]
    fn merged_scopes_cover_both(
        left in "(repository:[ab]:(pull|push|pull,push|\\*) ?|aws ){0,4}",
        right in "(repository:[ab]:(pull|delete|push) ?){0,4}",
    ) {
        let (left, right) = (Scopes::read(&left), Scopes::read(&right));
        let both = left.clone().merge(&right);
        prop_assert!(both.covers(&left) && both.covers(&right), "{}", both);
    }

    /// A registry behind TLS leads to nothing unprotected, and to no password in a URI.
    #[test]
    fn realms_stay_protected(text in "(https?://|//|/)?([a-z.]{1,9}@)?[a-z0-9.:\\[\\]-]{0,16}(/[!-~]{0,12})?") {
        let registry = http::Uri::from_static("https://r.example/v2/");
        if let Ok(uri) = realm::check(&registry, &text) {
            prop_assert_eq!(uri.scheme_str(), Some("https"));
            prop_assert!(!uri.authority().is_some_and(|authority| authority.as_str().contains('@')), "{}", uri);
        }
    }

    /// A credential file may hold anything: the registry's own entry is found, and nobody else's.
    #[test]
    fn only_fitting_entries_are_used(
        others in vec(("[a-z]{1,6}\\.example(:[0-9]{1,4})?(/[a-z]{1,4})?", "[ -~]{0,12}"), 0..6),
        extra in "[ -~]{0,12}",
    ) {
        let mut auths = serde_json::Map::new();
        for (key, auth) in others {
            auths.insert(key, json!({ "auth": auth, &extra: [1] }));
        }
        auths.insert("mine.test:5000".to_owned(), json!({ "auth": "YTpi" }));
        let text = json!({ "auths": Value::Object(auths), &extra: { "a": null } }).to_string();
        // An unknown key may by chance be one that has another form.
        let Ok(document) = document::parse::<Document>(text.as_bytes(), "test") else { return Ok(()) };
        let steps = document.steps(&"mine.test:5000".parse().expect("a registry"), None);
        let keys = steps.iter().map(|step| match step {
            Step::Entry(key, _) => key.as_str(),
            Step::Helper(..) => "",
        });
        prop_assert_eq!(keys.collect::<Vec<_>>(), ["mine.test:5000"]);
    }

    /// A file that is none is an error that shows nothing of it.
    #[test]
    fn broken_credential_files_are_not_quoted(secret in "[A-Z]{12}", before in "[\\[{\":, ]{0,6}", after in "[\\]}\":, ]{0,6}") {
        let text = format!("{before}{secret}{after}");
        if let Err(error) = document::parse::<Document>(text.as_bytes(), "test") {
            prop_assert!(!error.to_string().contains(&secret), "{}", error);
        }
    }

    /// What a helper prints is credentials, or nothing, or an error that shows nothing of it.
    #[test]
    fn helpers_are_not_quoted(
        username in "[ -~\u{e9}]{0,12}",
        secret in "[A-Z]{12}|",
        before in "[\\[{\":, ]{0,4}",
        after in "[\\]}\":, \n]{0,4}",
    ) {
        let helper = Helper::named("test", Helper::LIMIT).expect("a plain name");
        let answer = json!({ "ServerURL": "x", "Username": username, "Secret": secret }).to_string();
        let expected = match (username.as_str(), secret.as_str()) {
            (_, "") => None,
            ("<token>", _) => Some(Credential::Identity { token: Secret::new(secret.clone()) }),
            _ => Some(Credential::Password { username, secret: Secret::new(secret.clone()) }),
        };
        prop_assert_eq!(helper.understand(answer.as_bytes()).expect("an answer"), expected);
        for text in [format!("{before}{secret}{after}"), format!("{before}{answer}{after}"), answer.replace(':', "")] {
            if let (Err(failure), false) = (helper.understand(text.as_bytes()), secret.is_empty()) {
                prop_assert!(!format!("{failure} {failure:?}").contains(&secret), "{}", failure);
            }
        }
    }
}
