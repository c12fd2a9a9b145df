//! Several accounts at one registry: each repository is used in the name of the one that is meant for it.

use std::sync::Arc;

use spinreg::auth::DockerConfig;
use spinreg::content::{Blob, Pushed, Target as _};
use spinreg::error::Tried;
use spinreg::model::MediaType;
use spinreg::{Error, Reference};

use crate::support::cli::{Cli, Serving};
use crate::support::repository::plain;
use crate::support::scenario::{app, pull, push};

const ADA: &str = "correct horse";
const BOB: &str = "battery staple";

/// Nobody sees what is another's.
const RULES: &str = "[[rule]]\nwho = [\"ada\"]\nrepositories = [\"ada/*\"]\nallow = [\"pull\", \"push\"]\n\
                     [[rule]]\nwho = [\"bob\"]\nrepositories = [\"bob/*\"]\nallow = [\"pull\", \"push\"]\n";

/// A registry where Ada and Bob have a namespace each, and somebody who is both.
async fn both(scheme: &str) -> (Cli, Serving) {
    let cli = Cli::new().secret(ADA).secret(BOB);
    let line = |user: &str, password: &str| format!("{user}:{}\n", bcrypt::hash(password, 4).expect("a hash"));
    let files = [("data/users", line("ada", ADA) + &line("bob", BOB)), ("data/rules.toml", RULES.to_owned())];
    let [users, rules] = files.map(|(name, text)| {
        std::fs::write(cli.path(name), text).expect("a file in a temporary directory");
        cli.path(name).to_str().expect("a path").to_owned()
    });
    let serving = cli.serve_with(&["--htpasswd", &users, "--access", &rules, "--auth", scheme]).await;
    let auths = serde_json::json!({ "auths": {
        format!("{}/ada", serving.registry()): { "username": "ada", "password": ADA },
        format!("{}/bob", serving.registry()): { "username": "bob", "password": BOB },
    } });
    std::fs::create_dir(cli.path("home/.docker")).expect("a directory in a temporary directory");
    std::fs::write(cli.path("home/.docker/config.json"), auths.to_string()).expect("a new file");
    (cli, serving)
}

#[tokio::test]
async fn each_namespace_has_its_account() {
    for scheme in ["token", "basic"] {
        let (cli, serving) = both(scheme).await;
        for user in ["ada", "bob"] {
            let reference = format!("{}/{user}/app:v1", serving.registry());
            push(&cli, &app("inline-trigger"), &reference, &[]).await;
            pull(&cli, &reference, &["--cache-dir", user]).await;
        }
        let strange = format!("{}/eve/app:v1", serving.registry());
        let complaint = cli.run(["push", "-f", &app("inline-trigger"), &strange]).await.failure(4);
        assert!(complaint.contains("spinreg login"), "{complaint}");
    }
}

/// One client, which remembers what worked: that is not carried from one namespace to the other.
#[tokio::test]
async fn one_client_is_whoever_it_has_to_be() {
    for scheme in ["token", "basic"] {
        let (cli, serving) = both(scheme).await;
        let keychain = DockerConfig::at(cli.path("home/.docker/config.json"));
        let client = plain().keychain(Arc::new(keychain)).build().expect("options that fit");
        let repository = |name: &str| {
            let reference: Reference = format!("{}/{name}", serving.registry()).parse().expect("a reference");
            client.repository(&reference).for_push()
        };
        let (ada, bob) = (repository("ada/app"), repository("bob/app"));
        for n in 0..3 {
            let blob = Blob::from_bytes(MediaType::OCTET_STREAM, format!("number {n}"));
            assert_eq!(ada.push_blob(&blob).await.expect("Ada's"), Pushed::Uploaded, "{scheme}");
            // Bob may not look at what is Ada's: no mount, and no reason to fail.
            let hers = blob.from_repository(ada.registry().clone(), ada.name().clone());
            assert_eq!(bob.push_blob(&hers).await.expect("Bob's"), Pushed::Uploaded, "{scheme}");
            assert_eq!(repository("bob/more").push_blob(&hers).await.expect("Bob's"), Pushed::Uploaded, "{scheme}");
        }
        let blob = Blob::from_bytes(MediaType::OCTET_STREAM, "nobody's");
        let Err(Error::Unauthorized(unmet)) = repository("eve/app").push_blob(&blob).await else {
            panic!("{scheme}: nobody may push there");
        };
        assert_eq!(unmet.tried, Tried::Nothing, "{scheme}");
    }
}
