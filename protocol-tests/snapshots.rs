//! What the commands print, word for word: text, JSON, what is quiet, and refusals, each with its exit code.
//!
//! A session is a list of command lines; `fixtures/snapshots/NAME.txt` has what came of them. `SPINREG_BLESS=1` writes these files
//! anew. What differs from run to run is masked: ports, places of the room, times, rates and the names of requests. Digests are not, because
//! the same input is the same digest on every machine.

use std::fmt::Write as _;

use crate::support::cli::Cli;
use crate::support::front::{Front, Fronted};
use crate::support::guard::Guard;
use crate::support::listen::closed_port;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::scenario::app;
use crate::support::screen::without_rate;
use crate::support::script::{Script, Scripted};
use crate::support::{root, wire};

/// A desk with a registry, one that wants a login, one that refuses, and one that is away.
struct Session {
    cli: Cli,
    /// What stands for what in the record: the text as it is, and its name.
    names: Vec<(String, &'static str)>,
    record: String,
    _registry: Embedded,
    _private: Fronted,
    stubborn: Scripted,
}

impl Session {
    async fn begin() -> Self {
        let (cli, registry) = (Cli::new(), Embedded::start().await);
        let private = Front::before(registry.address()).guarded(&Guard::basic("ada", "correct-horse")).start().await;
        let stubborn = Script::new().always("* /v2/*", Reply::refusal(405, "UNSUPPORTED", "not here")).start().await;
        let away = closed_port().await;
        let names = vec![
            (registry.address().to_string(), "OPEN"),
            (private.registry(), "PRIVATE"),
            (stubborn.address().to_string(), "STUBBORN"),
            (away.to_string(), "AWAY"),
            (cli.path("").display().to_string().trim_end_matches('/').to_owned(), "ROOM"),
            (app("static-site"), "SITE"),
            (app("inline-trigger"), "OTHER"),
        ];
        // Who is away is asked as often as ever, and faster.
        cli.configure("[network]\nbackoff_min = '1ms'\nbackoff_max = '1ms'\n");
        let cli = cli.secret("correct-horse").env("SPIN_BIN_PATH", root("fixtures/executors/spin.sh"));
        let records = cli.path("data");
        let cli = cli.env("STAND_IN_RECORDS", records);
        Self { cli, names, record: String::new(), _registry: registry, _private: private, stubborn }
    }

    /// Runs lines, in which the names stand for what they are, and records what comes of them.
    async fn run(&mut self, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (line, input) = line.split_once(" <<< ").unwrap_or((line, ""));
            let mut typed = line.to_owned();
            for (text, name) in &self.names {
                typed = typed.replace(name, text);
            }
            let run = self.cli.run_with_input(typed.split(' '), input).await;
            writeln!(self.record, "$ spinreg {line}").expect("a string takes text");
            for (mark, text) in [("", &run.stdout), ("! ", &run.stderr)] {
                for line in text.lines() {
                    let line = self.masked(line);
                    writeln!(self.record, "{}", format!("{mark}{line}").trim_end()).expect("a string takes text");
                }
            }
            let code = run.code().map_or("a signal".to_owned(), |code| code.to_string());
            writeln!(self.record, "= {code}\n").expect("a string takes text");
        }
    }

    fn masked(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for (text, name) in &self.names {
            line = line.replace(text, name);
        }
        if let Some((before, after)) = line.split_once("request id `") {
            let after = after.split_once('`').map_or("", |(_, after)| after);
            line = format!("{before}request id `ID`{after}");
        }
        let words = line.split(' ').map(|word| {
            // Only times have a point between digits and nothing else: `0.1 s`.
            let time = word.split_once('.').is_some_and(|(whole, rest)| {
                rest.len() == 1 && [whole, rest].concat().chars().all(|digit| digit.is_ascii_digit())
            });
            if time { "N" } else { word }
        });
        without_rate(&words.collect::<Vec<_>>().join(" "))
    }

    /// Compares the record with what it was.
    fn is(self, name: &str) {
        self.stubborn.finish();
        let path = root("fixtures/snapshots").join(name).with_extension("txt");
        if std::env::var_os("SPINREG_BLESS").is_some_and(|value| value == "1") {
            std::fs::create_dir_all(root("fixtures/snapshots")).expect("a directory of the crate");
            return std::fs::write(&path, self.record).expect("a file of the crate");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        let (lines, said): (Vec<_>, Vec<_>) = (expected.lines().collect(), self.record.lines().collect());
        assert!(
            lines == said,
            "`{name}` says otherwise; `SPINREG_BLESS=1` writes it:\n{}",
            wire::difference(&lines, &said)
        );
    }
}

#[tokio::test]
async fn logins() {
    let mut session = Session::begin().await;
    session
        .run(
            "pull PRIVATE/app:v1
            login PRIVATE -u ada --password-stdin <<< wrong-password
            login PRIVATE -u ada --password-stdin <<< correct-horse
            login OPEN -u ada --password-stdin <<< correct-horse
            login AWAY -u ada --password-stdin <<< correct-horse
            login Not/A/Host -u ada --password-stdin <<< correct-horse
            logout PRIVATE
            logout PRIVATE",
        )
        .await;
    session.is("logins");
}

#[tokio::test]
async fn publishing() {
    let mut session = Session::begin().await;
    session
        .run(
            "push -f SITE OPEN/app:v1 --dry-run
            push -f SITE OPEN/app:v1 --dry-run --json
            push -f SITE OPEN/app:v1
            push -f SITE OPEN/app:v1
            push -f SITE OPEN/app:v2
            push -f SITE OPEN/app:v3 --quiet
            push -f SITE PRIVATE/app:v1
            push -f SITE STUBBORN/app:v1
            push -f SITE AWAY/app:v1
            push -f SITE Not:A:Name
            push -f ROOM/nothing OPEN/app:v1
            push -f SITE",
        )
        .await;
    session.is("publishing");
}

#[tokio::test]
async fn fetching() {
    let mut session = Session::begin().await;
    session.run("push -f SITE OPEN/app:v1 --quiet").await;
    session
        .run(
            "pull OPEN/app:v1 --dry-run
            pull OPEN/app:v1 --dry-run --json
            pull OPEN/app:v1 --concurrency 1
            pull OPEN/app:v1
            pull OPEN/app:v1 --quiet
            pull OPEN/app:v9
            pull OPEN/none
            pull PRIVATE/app:v1
            pull STUBBORN/app:v1
            pull AWAY/app:v1
            pull Not:A:Name
            prepare OPEN/app:v1 --to app
            prepare OPEN/app:v9 --to app
            prepare PRIVATE/app:v1 --to app
            prepare AWAY/app:v1 --to app
            up -f OPEN/app:v9
            up -f PRIVATE/app:v1
            up -f AWAY/app:v1
            up --offline -f OPEN/app:v9",
        )
        .await;
    session.is("fetching");
}

#[tokio::test]
async fn copying() {
    let mut session = Session::begin().await;
    session.run("push -f SITE OPEN/app:v1 --quiet").await;
    session
        .run(
            "copy OPEN/app:v1 oci-archive:app.tar:v1 --dry-run
            copy OPEN/app:v1 oci-archive:app.tar:v1 --concurrency 1
            copy oci-archive:app.tar:v1 OPEN/other:v1 --dry-run --json
            copy oci-archive:app.tar:v1 OPEN/other:v1 --json
            copy oci-archive:app.tar:v1 OPEN/other:v1
            copy --quiet OPEN/app:v1 OPEN/third:v1
            copy --all-tags OPEN/app oci:out
            copy OPEN/app:v9 oci:out
            copy PRIVATE/app:v1 oci:out
            copy STUBBORN/app:v1 oci:out
            copy AWAY/app:v1 oci:out
            copy oci:absent:v1 OPEN/app:v1
            copy OPEN/app:v1 PRIVATE/app:v1
            copy OPEN/app:v1 Not:A:Name",
        )
        .await;
    session.is("copying");
}

#[tokio::test]
async fn looking() {
    let mut session = Session::begin().await;
    session.run("push -f SITE OPEN/app:v1 --quiet\npush -f OTHER OPEN/app:v2 --quiet").await;
    for command in ["inspect", "resolve", "tags", "referrers", "manifest get", "manifest head"] {
        let flags = if command == "manifest get" { "" } else { " --json" };
        session
            .run(&format!(
                "{command} OPEN/app:v1\n{command}{flags} OPEN/app:v1\n{command} OPEN/app:v9\n{command} PRIVATE/app:v1\n\
                 {command} STUBBORN/app:v1\n{command} AWAY/app:v1\n{command} Not:A:Name\n{command}"
            ))
            .await;
    }
    session
        .run(
            "diff OPEN/app:v1 OPEN/app:v2
            diff --json OPEN/app:v1 OPEN/app:v2
            diff OPEN/app:v1 OPEN/app:v1
            diff OPEN/app:v1 OPEN/app:v9
            diff OPEN/app:v1 PRIVATE/app:v2
            diff OPEN/app:v1 AWAY/app:v2",
        )
        .await;
    session.is("looking");
}

#[tokio::test]
async fn changing() {
    let mut session = Session::begin().await;
    session.run("push -f SITE OPEN/app:v1 --quiet").await;
    std::fs::write(session.cli.path("work/note.txt"), "a note\n").expect("a file");
    let note = spinreg::Digest::of(b"a note\n");
    session.names.push((note.to_string(), "NOTE"));
    session
        .run(
            "tag OPEN/app:v1 latest v1.0
            tag --json OPEN/app:v1 latest v2
            tag OPEN/app:v9 latest
            tag PRIVATE/app:v1 latest
            tag STUBBORN/app:v1 latest
            tag AWAY/app:v1 latest
            tag OPEN/app:v1 Not:A:Tag
            attach note.txt:text/plain OPEN/app:v1 --artifact-type text/note
            attach --json note.txt OPEN/app:v1 --artifact-type text/note
            attach note.txt OPEN/app:v9 --artifact-type text/note
            attach absent.txt OPEN/app:v1 --artifact-type text/note
            attach note.txt PRIVATE/app:v1 --artifact-type text/note
            attach note.txt AWAY/app:v1 --artifact-type text/note
            referrers OPEN/app:v1
            referrers --json OPEN/app:v1
            annotate OPEN/app:v1 team=web
            annotate --json OPEN/app:v1 team=web
            annotate OPEN/app:v9 team=web
            annotate OPEN/app:v1 team
            annotate AWAY/app:v1 team=web
            manifest get -o manifest.json OPEN/app:v1
            manifest put manifest.json OPEN/copy:v1
            manifest put note.txt OPEN/copy:v1
            manifest put manifest.json AWAY/copy:v1
            blob put note.txt OPEN/app
            blob put --json note.txt OPEN/app
            blob head OPEN/app@NOTE
            blob head --json OPEN/app@NOTE
            blob get OPEN/app@NOTE
            blob get PRIVATE/app@NOTE
            blob get AWAY/app@NOTE
            blob get OPEN/app:v1
            blob delete OPEN/app@NOTE
            blob delete OPEN/app@NOTE
            blob get OPEN/app@NOTE
            delete OPEN/app:v2
            delete --json OPEN/app:latest
            delete OPEN/app:v9
            delete OPEN/app
            delete PRIVATE/app:v1
            delete STUBBORN/app:v1
            delete AWAY/app:v1",
        )
        .await;
    session.is("changing");
}

#[tokio::test]
async fn caring_for_registries() {
    let mut session = Session::begin().await;
    session.run("push -f SITE oci:data/app:v1 --quiet\npush -f OTHER oci:data/app:v1 --quiet").await;
    session
        .run(
            "serve gc data --dry-run
            serve gc data --untagged --keep-recent 0s
            serve gc absent
            serve --dir data --listen 192.0.2.1:5000
            serve --dir data --listen nonsense
            serve --dir data --fault nonsense
            doctor OPEN/app:v1
            doctor --json OPEN/app:v1
            doctor PRIVATE/app:v1
            doctor AWAY/app:v1
            conformance AWAY",
        )
        .await;
    session.is("caring");
}
