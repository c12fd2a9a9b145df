//! The main job at every registry that we know the ways of, and what is said where it cannot be done.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use spinreg::auth::{Credential, Found, Given, Secret};
use spinreg::content::{Blob, Pushed, Target as _};
use spinreg::model::{MediaType, Registry};
use spinreg::registry::{Client, Mounts, Repository, Uploads};

use crate::support::cli::{Cli, Run};
use crate::support::profiles::play::{Account, Attempt, Expected, Kind, Played};
use crate::support::profiles::{all, named};
use crate::support::repository::options;
use crate::support::scenario::{app, assert_cached, pull, push};
use crate::support::{files_below, root};

/// Somebody at a computer who knows the registry, and the registry.
struct Desk {
    cli: Cli,
    played: Played,
    account: Option<Account>,
}

impl Desk {
    async fn new(name: &str) -> Self {
        let profile = named(name);
        let played = profile.start().await;
        let cli = profile.account.iter().fold(visitor(&played), |cli, account| cli.secret(account.secret));
        let desk = Self { cli, played, account: profile.account };
        desk.log_in().await;
        desk
    }

    fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.played.name())
    }

    async fn log_in(&self) {
        let registry = self.played.name();
        match self.account {
            None => {}
            Some(Account { username, secret, kind: Kind::Password, .. }) => {
                let login = ["login", registry, "-u", username, "--password-stdin"];
                let printed = self.cli.run_with_input(login, secret).await.success();
                assert_eq!(printed, format!("Successfully logged in as {username} to registry {registry}\n"));
            }
            Some(Account { username, secret, kind: Kind::Identity, .. }) => {
                let folder = self.cli.path("home/.docker");
                std::fs::create_dir_all(&folder).expect("a directory in a temporary directory");
                let account = serde_json::json!({ "username": username, "identitytoken": secret });
                let config = serde_json::json!({ "auths": { registry: account } });
                std::fs::write(folder.join("config.json"), config.to_string())
                    .expect("a file in a temporary directory");
            }
        }
    }

    async fn push_and_pull(&self, application: &str, repository: &str) {
        let reference = self.reference(&format!("{repository}:v1"));
        let digest = push(&self.cli, &app(application), &reference, &[]).await;
        assert_eq!(push(&self.cli, &app(application), &reference, &[]).await, digest, "an unchanged push");
        pull(&self.cli, &reference, &[]).await;
        assert_cached(&self.cli, &self.reference(&format!("{repository}/v1")), application);
    }

    async fn attempt(&self, expected: &Expected) -> Run {
        let reference = self.reference(expected.reference);
        let path = match expected.attempt {
            Attempt::PushOther => app("inline-trigger"),
            _ => app("static-site"),
        };
        let arguments = match expected.attempt {
            Attempt::Pull | Attempt::AnonymousPull => vec!["pull", &reference],
            Attempt::Push | Attempt::PushOther => vec!["push", "-f", &path, &reference],
        };
        match expected.attempt {
            Attempt::AnonymousPull => visitor(&self.played).run(arguments).await,
            _ => self.cli.run(arguments).await,
        }
    }

    /// Checks that credentials stayed where they belong.
    fn assert_discreet(&self) {
        if let Some(storage) = &self.played.storage {
            assert_eq!(storage.leaked(), 0, "credentials went to the storage");
            assert!(storage.served() > 0, "nobody asked the storage");
        }
    }

    /// Returns a repository for pushing, as the library sees it.
    fn repository(&self, name: &str) -> Repository {
        let registry: Registry = self.played.name().parse().expect("a registry");
        let mut options = options();
        options.tls.ca_files.push(self.played.authority.file());
        let builder =
            self.played.names().iter().fold(Client::builder().transport(options), |builder, (name, address)| {
                builder.connect_to(&name.parse().expect("a name"), *address)
            });
        let builder = match self.account {
            Some(Account { username, secret, kind: Kind::Password, .. }) => {
                let credential = Credential::Password { username: username.to_owned(), secret: Secret::new(secret) };
                let found = Found { credential, source: "the test".to_owned() };
                builder.keychain(Arc::new(Given::new(registry.clone(), found)))
            }
            _ => builder,
        };
        let client = builder.build().expect("options that fit");
        client.open(&registry, &name.parse().expect("a name")).for_push()
    }
}

/// Returns a tool that finds the registry, and its token service and storage, by their names.
fn visitor(played: &Played) -> Cli {
    let cli = Cli::new();
    let hosts =
        played.names().into_iter().map(|(name, address)| format!("[host.\"{name}\"]\nconnect = \"{address}\"\n"));
    let ca = format!("ca = ['{}']\n", played.authority.file().display());
    cli.configure(&[ca].into_iter().chain(hosts).collect::<String>());
    cli
}

/// Pushes and pulls at one profile, and then does what does not work there.
async fn plays(name: &str) {
    let desk = Desk::new(name).await;
    let profile = named(name);
    for repository in profile.repositories {
        desk.push_and_pull("static-site", repository).await;
    }
    desk.assert_discreet();
    for expected in &profile.expected {
        let complaint = desk.attempt(expected).await.failure(expected.exit);
        assert!(complaint.contains(expected.words), "{name}: {expected:?}: {complaint}");
    }
}

/// One test for each profile, so that they run side by side and fail by name.
macro_rules! profiles {
    ($($test:ident $name:literal),* $(,)?) => {
        $(#[tokio::test]
        async fn $test() {
            plays($name).await;
        })*

        #[test]
        fn each_profile_is_played() {
            let names: Vec<_> = all().iter().map(|profile| profile.name).collect();
            let mut played = vec![$($name),*];
            played.sort_unstable_by_key(|name| names.iter().position(|other| other == name));
            assert_eq!(played, names);
        }
    };
}

profiles! {
    acr "acr",
    aliyun "aliyun",
    digitalocean "digitalocean",
    docker_hub "docker-hub",
    ecr "ecr",
    gar "gar",
    ghcr "ghcr",
    gitlab "gitlab",
    harbor "harbor",
    jfrog "jfrog",
    nexus "nexus",
    quay "quay",
    r2 "r2",
    zot "zot",
}

#[tokio::test]
async fn an_application_of_many_files_fits_where_layers_are_counted() {
    let desk = Desk::new("ecr").await;
    let reference = desk.reference("apps/big-assets:v1");
    push(&desk.cli, &app("big-assets"), &reference, &[]).await;
    pull(&desk.cli, &reference, &[]).await;
    // The archive has no times in it, so its digest is not that of Spin's; what it holds is the same.
    let list = std::fs::read_to_string(root("fixtures/spin/golden/big-assets/cache-tree.txt")).expect("a golden list");
    let golden = list.lines().filter(|line| line.starts_with("./registry/data/")).count();
    assert_eq!(files_below(&desk.cli.path("cache/spin/registry/data")).len(), golden);
}

#[tokio::test]
async fn chunks_are_sent_as_each_registry_takes_them() {
    const MIB: usize = 1 << 20;
    // Where chunks are asked for although the registry is better off without them.
    for (name, size, chunk, outcome) in [
        ("ghcr", 9 * MIB, 8 * MIB, Ok(())),
        ("ecr", 11 * MIB, 5 * MIB, Ok(())),
        ("ecr", 200 << 10, 64 << 10, Err("LayerPartTooSmallException")),
        ("gar", 200 << 10, 64 << 10, Ok(())),
        ("jfrog", 200 << 10, 64 << 10, Err("another number of bytes than the blob has")),
        ("zot", 200 << 10, 64 << 10, Ok(())),
        ("aliyun", 200 << 10, 64 << 10, Ok(())),
        ("r2", 200 << 10, 64 << 10, Ok(())),
    ] {
        let desk = Desk::new(name).await;
        let bytes: Bytes = (0..size).map(|n| (n / 3 + n / 256 + n / 65_536) as u8).collect();
        let blob = Blob::from_bytes(MediaType::OCTET_STREAM, bytes);
        let chunk = NonZeroU64::new(chunk as u64).expect("not zero");
        let repository = desk.repository("apps/chunks").uploading(Uploads::default().in_chunks_of(chunk));
        match (repository.push_blob(&blob).await, outcome) {
            (Ok(pushed), Ok(())) => {
                assert_eq!(pushed, Pushed::Uploaded, "{name}");
                assert_eq!(repository.push_blob(&blob).await.expect(name), Pushed::Existed, "{name}");
            }
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{name}: {error}"),
            (found, _) => panic!("{name} in chunks of {chunk}: {found:?}\n{:#?}", desk.played.wire().lines()),
        }
    }
}

#[tokio::test]
async fn a_mount_that_is_refused_costs_an_upload() {
    for name in ["docker-hub", "harbor", "quay"] {
        let desk = Desk::new(name).await;
        let blob = Blob::from_bytes(MediaType::OCTET_STREAM, "mounted, if they let us");
        desk.repository("other/app").push_blob(&blob).await.expect(name);
        let repository = desk.repository("apps/mount").uploading(Uploads::default().mounting(Mounts::Anywhere));
        assert_eq!(repository.push_blob(&blob).await.expect(name), Pushed::Uploaded, "{name}");
        assert_eq!(desk.played.wire().count("POST /v2/apps/mount/blobs/uploads/?mount="), 1, "{name}");
    }
}

#[tokio::test]
async fn an_empty_blob_that_is_refused_is_an_error_that_says_so() {
    let desk = Desk::new("ecr").await;
    let blob = Blob::from_bytes(MediaType::OCTET_STREAM, "");
    let error = desk.repository("apps/empty").push_blob(&blob).await.expect_err("ECR takes none");
    assert!(error.to_string().contains("EmptyUploadException"), "{error}");
}

/// Returns the rows of the table under `heading`, as cells.
fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let section = text.split("\n## ").find(|section| section.starts_with(heading)).expect("a section");
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    section.lines().filter(|line| line.starts_with('|')).skip(2).map(cells).collect()
}

#[test]
fn each_profile_and_each_rule_stands_in_the_docs() {
    let text = std::fs::read_to_string(root("docs/registries.md")).expect("the docs");
    let table = rows(&text, "What they do");
    for profile in all() {
        let own: Vec<_> = table.iter().filter(|row| row[1] == format!("`{}`", profile.name)).collect();
        assert!(!own.is_empty(), "`{}` is not in docs/registries.md", profile.name);
        for rule in profile.rules {
            assert!(own.iter().any(|row| row[0] == rule.quirk), "{} of `{}` is not there", rule.quirk, profile.name);
        }
        for expected in profile.expected {
            let known = expected.words == "manifest `absent`" || text.contains(expected.words);
            assert!(known, "what people are told by `{}` is not there: {}", profile.name, expected.words);
        }
    }
    for row in &table {
        assert_eq!(row.len(), 5, "{row:?}");
        assert!(row[1] == "any" || all().iter().any(|profile| row[1] == format!("`{}`", profile.name)), "{row:?}");
        let is_thread = |word: &str| word.split_once('#').is_some_and(|(repository, _)| repository.contains('/'));
        let sourced = row[4].split([',', ' ']).any(is_thread);
        assert!(sourced || row[4].starts_with("http"), "no public source: {row:?}");
    }
    let numbers: BTreeSet<_> = table.iter().map(|row| row[0].clone()).collect();
    assert_eq!(numbers, (1..=40).map(|n| format!("Q{n}")).collect(), "each way that is known has a row");
}
