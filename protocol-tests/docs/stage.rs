//! Where pages are played: a room with what its reader has, and registries on loopback under the names of the page.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::page::Page;
use crate::support::cli::{Cli, Run, Serving};
use crate::support::files_below;
use crate::support::front::{Front, Fronted};
use crate::support::guard::Guard;
use crate::support::registry::Embedded;
use crate::support::root;
use crate::support::tls::Authority;

/// A page's room and registries.
pub(super) struct Stage {
    cli: Cli,
    _registries: Vec<(Embedded, Fronted)>,
    _authority: Authority,
    serving: Option<Serving>,
}

impl Stage {
    /// Builds what the page needs: the hosts that it names, the files that its reader has, and what is given.
    pub(super) async fn of(page: &Page) -> Self {
        let cli = furnished();
        let authority = Authority::new();
        let mut configuration = format!("ca = '{}'\n", authority.file().display());
        let mut accounts = serde_json::Map::new();
        let mut registries = Vec::new();
        for (name, username) in HOSTS.iter().filter(|(name, _)| page.text.contains(name)) {
            let registry = Embedded::start().await;
            let guard = Guard::bearer(username, PASSWORD);
            // Docker Hub alone is somewhere else than its name says.
            let called = if *name == "docker.io" { "registry-1.docker.io" } else { name };
            let front = Front::before(registry.address()).called(called).guarded(&guard).start_tls(&authority).await;
            for host in BTreeSet::from([*name, called]) {
                writeln!(configuration, "[host.\"{host}\"]\nconnect = \"{}\"", front.address()).expect("a string");
            }
            let account = serde_json::json!({ "username": username, "password": PASSWORD });
            accounts.insert((*name).to_owned(), account);
            registries.push((registry, front));
        }
        cli.configure(&configuration);
        let accounts = serde_json::json!({ "auths": accounts }).to_string();
        std::fs::create_dir(cli.path("home/.docker")).expect("a directory in a temporary directory");
        std::fs::write(cli.path("home/.docker/config.json"), accounts).expect("a file in a temporary directory");
        std::fs::copy(authority.file(), cli.path("work/corp.pem")).expect("a file in a temporary directory");
        let stage = Self { cli, _registries: registries, _authority: authority, serving: None };
        for (reference, version) in page.given.iter().zip(1..) {
            let page = stage.cli.path("work/assets/index.html");
            std::fs::write(page, format!("<p>version {version}\n")).expect("a file in a temporary directory");
            stage.run(&format!("spinreg push {reference}")).await.success();
        }
        stage
    }

    /// Runs lines as one script.
    pub(super) async fn script(&self, text: &str) -> Result<(), String> {
        let run = self.run(text).await;
        if run.code() == Some(0) { Ok(()) } else { Err(format!("this fails:\n{text}{run}")) }
    }

    /// Starts a registry, which goes on until the page ends.
    pub(super) async fn background(&mut self, text: &str) -> Result<(), String> {
        let commands = super::words::commands(text);
        let [words] = commands.as_slice() else { return Err(format!("one command runs in the background: {text}")) };
        super::words::read(words)?;
        // Tests run beside each other: the port is whichever is free, and the directory the kit's own.
        let mut flags = words.iter().skip(1).map(String::as_str).collect::<Vec<_>>();
        for flag in ["--listen", "--dir"] {
            if let Some(start) = flags.iter().position(|word| *word == flag) {
                let value = flags.drain(start..start + 2).nth(1).unwrap_or_default();
                if flag == "--dir" {
                    let named = self.cli.path("work").join(value);
                    std::os::unix::fs::symlink(self.cli.path("data/registry"), named).expect("a new link");
                }
            }
        }
        self.serving = Some(self.cli.serve_with(&flags).await);
        Ok(())
    }

    /// Runs each line after `$ `, and compares what it prints with what follows.
    pub(super) async fn session(&self, text: &str) -> Result<(), String> {
        for step in format!("\n{text}").split("\n$ ").skip(1) {
            let (line, expected) = step.split_once('\n').unwrap_or((step, ""));
            let run = self.run(line).await;
            let printed = if run.code() == Some(0) { &run.stdout } else { &run.stderr };
            let printed: Vec<_> = printed.lines().filter(|line| !is_progress(line)).map(str::trim_end).collect();
            let expected: Vec<_> = expected.trim_end().lines().map(str::trim_end).collect();
            if !fits(&expected, &printed) {
                return Err(format!("`{line}` prints\n{}\ninstead of\n{}", printed.join("\n"), expected.join("\n")));
            }
        }
        Ok(())
    }

    async fn run(&self, text: &str) -> Run {
        let address = self.serving.as_ref().map_or("127.0.0.1:5000", |serving| serving.registry());
        self.cli.run([text.replace("127.0.0.1:5000", address)]).await
    }
}

/// A room with the sample application, the files that pages speak of, and stand-ins for the tools of the clouds.
fn furnished() -> Cli {
    let cli = Cli::new();
    let sample = root("fixtures/sample-app");
    for place in ["work", "work/shop"] {
        for file in files_below(&sample) {
            let copy = cli.path(place).join(file.strip_prefix(&sample).expect("it is below"));
            std::fs::create_dir_all(copy.parent().expect("a file has a directory")).expect("a directory of ours");
            std::fs::copy(&file, &copy).expect("a file of the fixtures");
        }
    }
    for (name, content) in FILES {
        std::fs::write(cli.path("work").join(name), content).expect("a file in a temporary directory");
    }
    std::fs::copy(sample.join("app.wasm"), cli.path("work/greeter.wasm")).expect("a file of the fixtures");
    let bin = cli.path("data/bin");
    std::fs::create_dir(&bin).expect("a directory in a temporary directory");
    let link = |program, name: &str| std::os::unix::fs::symlink(program, bin.join(name)).expect("a new link");
    link(env!("CARGO_BIN_EXE_spinreg").into(), "spinreg");
    link(root("fixtures/executors/spin.sh"), "spin");
    for tool in ["aws", "az", "gcloud"] {
        link(root("fixtures/docs/bin").join(tool), tool);
    }
    let mut path = bin.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").expect("a path"));
    let records = cli.path("data");
    let cli = cli.env("PATH", path).env("STAND_IN_RECORDS", records).started_by(root("fixtures/docs/line.sh"));
    VARIABLES.iter().fold(cli, |cli, (name, value)| cli.env(name, value))
}

/// Says whether a line tells how far something is, which a terminal does not keep.
fn is_progress(line: &str) -> bool {
    ["pushing ", "pushed ", "pulling ", "pulled ", "copying ", "copied "].iter().any(|word| line.starts_with(word))
}

/// Compares line by line; `…` is anything within a line, and alone any lines.
fn fits(expected: &[&str], printed: &[&str]) -> bool {
    match expected {
        [] => printed.is_empty(),
        ["…", rest @ ..] => (0..=printed.len()).any(|skip| fits(rest, &printed[skip..])),
        [line, rest @ ..] => printed.first().is_some_and(|first| fits_line(line, first)) && fits(rest, &printed[1..]),
    }
}

fn fits_line(expected: &str, printed: &str) -> bool {
    let Some((start, rest)) = expected.split_once('…') else { return expected == printed };
    let Some(printed) = printed.strip_prefix(start) else { return false };
    let ends = printed.char_indices().map(|(end, _)| end).chain([printed.len()]);
    ends.into_iter().any(|end| fits_line(rest, &printed[end..]))
}

#[test]
fn ellipses_stand_for_anything() {
    for (expected, printed, fit) in [
        ("a\nb", "a\nb", true),
        ("a", "a\nb", false),
        ("a…", "abc", true),
        ("a…c", "abc", true),
        ("a…d", "abc", false),
        ("…\nb", "a\na\nb", true),
        ("a\n…", "a", true),
        ("…\nc", "a\nb", false),
    ] {
        let lines = |text: &'static str| text.lines().collect::<Vec<_>>();
        assert_eq!(fits(&lines(expected), &lines(printed)), fit, "{expected:?} {printed:?}");
    }
}

/// The hosts of the pages, and who may do everything there.
const HOSTS: &[(&str, &str)] = &[
    ("ghcr.io", "ada"),
    ("docker.io", "ada"),
    ("registry.example", "ada"),
    ("registry.inside", "ada"),
    ("registry.gitlab.com", "ada"),
    ("harbor.example", "robot$shop+push"),
    ("quay.io", "team+push"),
    ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", "AWS"),
    ("europe-west3-docker.pkg.dev", "oauth2accesstoken"),
    ("team.azurecr.io", "00000000-0000-0000-0000-000000000000"),
];

/// What the reader of a page has in files, and in variables.
const FILES: &[(&str, &str)] = &[("sbom.json", "{\"spdxVersion\":\"SPDX-2.3\"}\n"), ("token", PASSWORD)];
const VARIABLES: &[(&str, &str)] = &[
    ("REGISTRY_PASSWORD", PASSWORD),
    ("GITHUB_ACTOR", "ada"),
    ("GITHUB_TOKEN", PASSWORD),
    ("DOCKERHUB_TOKEN", PASSWORD),
    ("CI_REGISTRY", "registry.gitlab.com"),
    ("CI_REGISTRY_IMAGE", "registry.gitlab.com/team/shop"),
    ("CI_REGISTRY_USER", "ada"),
    ("CI_REGISTRY_PASSWORD", PASSWORD),
    ("CI_COMMIT_TAG", "v1.2.3"),
    ("HARBOR_ROBOT_SECRET", PASSWORD),
    ("QUAY_ROBOT_TOKEN", PASSWORD),
];
const PASSWORD: &str = "correct-horse-battery";
