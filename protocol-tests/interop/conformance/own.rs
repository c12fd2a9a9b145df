//! `spinreg serve` passes the whole official suite, whichever way one gets in.

use std::collections::BTreeMap;

use super::suite::judge;
use crate::support::cli::Cli;
use crate::support::judged::EVERYTHING;
use crate::support::root;
use crate::support::tls::Authority;
use crate::{PASSWORD, USER};

/// Has the suite judge our registry behind this door, plainly and over TLS, with everything switched on.
async fn passes(door: Option<&str>) {
    let authority = Authority::new();
    let (certificate, key) = authority.server_files();
    let [certificate, key, ca] =
        [certificate, key, authority.file()].map(|path| path.to_str().expect("a path").to_owned());
    let plain = (vec![], vec![("OCI_TLS", "disabled")]);
    // `OCI_TLS=insecure` verifies certificates all the same: the suite has to be told the authority.
    let tls = (vec!["--tls-cert", &certificate, "--tls-key", &key], vec![("SSL_CERT_FILE", ca.as_str())]);
    for (flags, variables) in [plain, tls] {
        let cli = Cli::new().secret(PASSWORD);
        let (users, rules) = (root("fixtures/htpasswd"), cli.path("data/rules.toml"));
        let rule =
            "[[rule]]\nwho = [\"ada\"]\nrepositories = [\"conformance/*\"]\nallow = [\"pull\", \"push\", \"delete\"]\n";
        std::fs::write(&rules, rule).expect("a file in a temporary directory");
        let [users, rules] = [&users, &rules].map(|path| path.to_str().expect("a path"));
        let (locks, account) = match door {
            Some(door) => (
                vec!["--htpasswd", users, "--access", rules, "--auth", door],
                vec![("OCI_USERNAME", USER), ("OCI_PASSWORD", PASSWORD)],
            ),
            None => (vec![], vec![]),
        };
        let serving = cli.serve_with(&[flags, locks].concat()).await;
        let registry = format!("localhost:{}", serving.port());
        let verdict = judge(&registry, &[&EVERYTHING[..], &variables, &account].concat()).await;
        let others: BTreeMap<_, _> =
            verdict.results.verdicts().into_iter().filter(|(_, word)| *word != "Pass").collect();
        assert!(others.is_empty(), "{door:?}, {variables:?}: {others:#?}\n{}", verdict.story());
        assert_eq!((verdict.results.apis.len(), verdict.results.data.len()), (28, 24), "{door:?}, {variables:?}");
        let lines = serving.said().lines();
        let refused = lines.iter().filter(|line| line.ends_with(" 401")).count();
        assert_eq!(refused > 0, door.is_some(), "{door:?}: the door is shut, or it is not");
        let tokens = lines.iter().filter(|line| line.starts_with("GET /token?") && line.ends_with(" 200")).count();
        assert_eq!(tokens > 0, door == Some("token"), "{door:?}");
    }
}

#[tokio::test]
async fn serve_passes_the_official_suite() {
    passes(None).await;
}

#[tokio::test]
async fn serve_passes_the_official_suite_with_passwords() {
    passes(Some("basic")).await;
}

#[tokio::test]
async fn serve_passes_the_official_suite_with_tokens() {
    passes(Some("token")).await;
}
