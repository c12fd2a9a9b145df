//! The embedded registry as a team runs it, and our own client against it, from end to end.

use std::path::PathBuf;

use futures_util::future::join_all;
use serde_json::Value;

use crate::support::cli::Cli;
use crate::support::scenario::{app, main_job, push};
use crate::support::tls::Authority;

const ADA: &str = "correct horse";
const BOB: &str = "battery staple";
const WRONG: &str = "incorrect horse";

/// A room where no password shows in any output.
fn room() -> Cli {
    Cli::new().secret(ADA).secret(BOB).secret(WRONG)
}

fn file(cli: &Cli, name: &str, text: &str) -> String {
    let path: PathBuf = cli.path("data").join(name);
    std::fs::write(&path, text).expect("a file in a temporary directory");
    path.to_str().expect("a path").to_owned()
}

fn users(cli: &Cli) -> String {
    let lines = [("ada", ADA), ("bob", BOB)]
        .map(|(user, password)| format!("{user}:{}\n", bcrypt::hash(password, 4).expect("a hash")));
    file(cli, "users", &lines.concat())
}

async fn login(cli: &Cli, registry: &str, user: &str, password: &str, flags: &[&str]) {
    let arguments = [&["login", registry, "-u", user, "--password-stdin"], flags].concat();
    cli.run_with_input(arguments, password).await.success();
}

#[tokio::test]
async fn login_push_pull_logout() {
    for scheme in ["token", "basic"] {
        let cli = room();
        let serving = cli.serve_with(&["--htpasswd", &users(&cli), "--auth", scheme]).await;
        let registry = serving.registry();
        serving.said().says(&format!("log in to it with `spinreg login {registry}`")).await;
        serving.said().says(&format!("push to it with `spinreg push {registry}/NAME:TAG`")).await;

        let (application, target) = (app("static-site"), format!("{registry}/a/b:v1"));
        let refused = cli.run(["push", "-f", &application, &target]).await.failure(4);
        assert!(refused.contains(&format!("spinreg login {registry}")), "{refused}");
        let wrong = ["login", registry, "-u", "ada", "--password-stdin"];
        let complaint = cli.run_with_input(wrong, WRONG).await.failure(4);
        assert!(complaint.contains("`ada`") && complaint.contains("the password is another one"), "{complaint}");
        assert!(complaint.contains("check user name and password"), "{complaint}");

        login(&cli, registry, "ada", ADA, &[]).await;
        main_job(&cli, registry, &[]).await;
        cli.run(["logout", registry]).await.success();
        let source = format!("{registry}/apps/static-site:v1");
        let refused = cli.run(["pull", &source, "--cache-dir", "other"]).await.failure(4);
        assert!(refused.contains("spinreg login"), "{refused}");
    }
}

#[tokio::test]
async fn anybody_pulls_and_nobody_pushes_without_a_password() {
    for scheme in ["token", "basic"] {
        let cli = room();
        let serving = cli.serve_with(&["--htpasswd", &users(&cli), "--anonymous-pull", "--auth", scheme]).await;
        let registry = serving.registry();
        login(&cli, registry, "ada", ADA, &[]).await;
        let target = format!("{registry}/a/b:v1");
        push(&cli, &app("static-site"), &target, &[]).await;
        cli.run(["logout", registry]).await.success();
        cli.run(["pull", &target]).await.success();
        let refused = cli.run(["push", "-f", &app("static-site"), &format!("{registry}/a/b:v2")]).await.failure(4);
        assert!(refused.contains("spinreg login"), "{refused}");
    }
}

#[tokio::test]
async fn rules_say_who_may_push_where() {
    let rules = "[[rule]]\nwho = [\"ada\"]\nrepositories = [\"team/*\"]\nallow = [\"pull\", \"push\"]\n\
                 [[rule]]\nwho = [\"*\"]\nrepositories = [\"team/*\"]\nallow = [\"pull\"]\n";
    for scheme in ["token", "basic"] {
        let cli = room();
        let (users, rules) = (users(&cli), file(&cli, "rules.toml", rules));
        let serving = cli.serve_with(&["--htpasswd", &users, "--access", &rules, "--auth", scheme]).await;
        let registry = serving.registry();
        let target = format!("{registry}/team/app:v1");
        login(&cli, registry, "ada", ADA, &[]).await;
        push(&cli, &app("static-site"), &target, &[]).await;
        let elsewhere = format!("{registry}/other/app:v1");
        let refused = cli.run(["push", "-f", &app("static-site"), &elsewhere]).await.failure(4);
        assert!(refused.contains("`ada` may not ") && refused.contains("`other/app`"), "{refused}");
        login(&cli, registry, "bob", BOB, &[]).await;
        cli.run(["pull", &target]).await.success();
        let next = format!("{registry}/team/app:v2");
        let refused = cli.run(["push", "-f", &app("static-site"), &next]).await.failure(4);
        assert!(refused.contains("`bob` may not push to `team/app`"), "{refused}");
    }
}

#[tokio::test]
async fn a_read_only_registry_says_so() {
    let cli = room();
    let target = {
        let serving = cli.serve().await;
        let target = format!("{}/a/b:v1", serving.registry());
        push(&cli, &app("static-site"), &target, &[]).await;
        target
    };
    let serving = cli.serve_with(&["--read-only"]).await;
    let source = target.replacen(target.split('/').next().expect("a host"), serving.registry(), 1);
    cli.run(["pull", &source]).await.success();
    let refused = cli.run(["push", "-f", &app("static-site"), &source.replace(":v1", ":v2")]).await.failure(1);
    assert!(refused.contains("the registry is read-only"), "{refused}");
    assert!(!serving.said().lines().iter().any(|line| line.contains("push to it")), "{:?}", serving.said().lines());
}

#[tokio::test]
async fn over_tls_with_an_authority_of_its_own() {
    let (authority, cli) = (Authority::new(), room());
    let (certificate, key) = authority.server_files();
    let ca = authority.file();
    let [certificate, key, ca] = [&certificate, &key, &ca].map(|path| path.to_str().expect("a path").to_owned());
    let serving = cli.serve_with(&["--tls-cert", &certificate, "--tls-key", &key, "--htpasswd", &users(&cli)]).await;
    serving.said().says("at https://127.0.0.1:").await;
    let registry = format!("localhost:{}", serving.port());
    let trusting = ["--ca-file", &*ca];
    login(&cli, &registry, "ada", ADA, &trusting).await;
    main_job(&cli, &registry, &trusting).await;
    main_job(&cli, &registry, &["-k"]).await;
    main_job(&cli, &registry, &[&trusting[..], &["--http1"]].concat()).await;
    let source = format!("{registry}/apps/static-site:v1");
    let stranger = cli.run(["pull", &source, "--cache-dir", "other"]).await.failure(6);
    assert!(stranger.contains("--ca-file"), "{stranger}");
    let plain = cli.run(["pull", &source, "--cache-dir", "other", "--plain-http"]).await.failure(1);
    assert!(plain.contains("a port for HTTPS"), "{plain}");
}

/// Every step of the official suite and every precise check, however people get in.
#[tokio::test]
async fn it_conforms_behind_every_door() {
    let authority = Authority::new();
    let (certificate, key) = authority.server_files();
    let ca = authority.file();
    let [certificate, key, ca] = [&certificate, &key, &ca].map(|path| path.to_str().expect("a path").to_owned());
    let plain = (Vec::new(), vec!["--plain-http"]);
    let tls = (vec!["--tls-cert", &certificate, "--tls-key", &key], vec!["--ca-file", &ca]);
    let doors = [None, Some("basic"), Some("token")];
    let judged = [&plain, &tls].into_iter().flat_map(|line| doors.map(|door| (line, door)));
    join_all(judged.map(async |((line, way), door)| {
        let cli = room().env("OCI_DATA_SPARSE", "true");
        let users = users(&cli);
        let door_flags = door.map(|scheme| vec!["--htpasswd", &users, "--auth", scheme]).unwrap_or_default();
        let serving = cli.serve_with(&[line, &["-q"][..], &door_flags].concat()).await;
        let registry = format!("localhost:{}", serving.port());
        let who: &[&str] = if door.is_some() { &["-u", "ada", "--password-stdin"] } else { &[] };
        let judging = ["conformance", &registry, "--version", "dev", "--json", "--no-results"];
        let run = cli.run_with_input([&judging[..], way, who].concat(), ADA).await;
        assert_eq!(run.code(), Some(0), "{door:?}, {way:?}: {}", run.stderr);
        let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
        for (key, count) in [("apis", 28), ("data", 24)] {
            let verdicts = report[key].as_object().expect("a map");
            let others: Vec<_> = verdicts.iter().filter(|(_, verdict)| *verdict != "Pass").collect();
            assert_eq!((verdicts.len(), others), (count, Vec::new()), "{door:?}, {way:?}");
        }
        let checks = report["checks"].as_array().expect("a list");
        let others: Vec<_> = checks.iter().filter(|check| check["outcome"] != "met").collect();
        assert!(!checks.is_empty() && others.is_empty(), "{door:?}, {way:?}: {others:?}");
    }))
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn signals_read_files_again_and_end_it() {
    use nix::sys::signal::Signal;
    let (authority, next, cli) = (Authority::new(), Authority::new(), room());
    let (certificate, key) = (cli.path("data/cert.pem"), cli.path("data/key.pem"));
    let install = |authority: &Authority| {
        let (from, key_from) = authority.server_files();
        std::fs::copy(from, &certificate).expect("a file");
        std::fs::copy(key_from, &key).expect("a file");
    };
    install(&authority);
    let (users, log) = (users(&cli), cli.path("data/access.log"));
    let [tls_cert, tls_key, access_log] = [&certificate, &key, &log].map(|path| path.to_str().expect("a path"));
    let flags = ["--tls-cert", tls_cert, "--tls-key", tls_key, "--htpasswd", &users, "--access-log", access_log];
    let serving = cli.serve_with(&flags).await;
    let source = format!("localhost:{}/app:v1", serving.port());
    let pull = async |authority: &Authority| {
        let ca = authority.file();
        cli.run(["pull", &source, "--ca-file", ca.to_str().expect("a path")]).await.code()
    };
    assert_eq!(pull(&authority).await, Some(4), "trusted, and nobody is logged in");
    install(&next);
    std::fs::rename(&log, cli.path("data/access.log.1")).expect("a file");
    serving.signal(Signal::SIGHUP);
    serving.said().says("read the certificate again").await;
    assert_eq!(pull(&next).await, Some(4));
    assert_eq!(pull(&authority).await, Some(6));
    std::fs::write(&key, "no key").expect("a file");
    serving.signal(Signal::SIGHUP);
    serving.said().says("the certificate stays what it was").await;
    assert_eq!(pull(&next).await, Some(4));
    // The file of passwords needs no signal; what is wrong in it is said.
    std::fs::write(&users, "ada:$apr1$salt$hash\n").expect("a file");
    let login = ["login", &source[..source.len() - 7], "-u", "ada", "--password-stdin", "-k"];
    cli.run_with_input(login, ADA).await.success();
    serving.said().says("line 1: `ada` has an MD5 hash (`$apr1$`) instead of a bcrypt hash; what it said before").await;
    serving.signal(Signal::SIGTERM);
    assert_eq!(serving.end().await.code(), Some(0));
    for (file, user) in [("data/access.log.1", "null"), ("data/access.log", "\"ada\"")] {
        let text = std::fs::read_to_string(cli.path(file)).expect("a log");
        assert!(text.contains(&format!("\"user\":{user}")) && !text.contains(ADA), "{file}: {text}");
    }
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_with_the_next_step() {
    let (authority, cli) = (Authority::new(), room());
    let (certificate, key) = authority.server_files();
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().expect("a path").to_owned());
    let (users, text) = (users(&cli), file(&cli, "text", "no PEM\n"));
    let plain = file(&cli, "plain", &format!("ada:{WRONG}\n"));
    let rules = file(&cli, "rules.toml", "[[rule]]\nwho = [\"ada\"]\nrepositories = [\"Team\"]\nallow = []\n");
    for (flags, code, said) in [
        (vec!["--listen", "5000"], 2, vec!["listening address `5000`", "IP:PORT"]),
        (vec!["--listen", "registry.example:5000"], 2, vec!["an IP address", "hint: "]),
        (vec!["--listen", "0.0.0.0:0"], 2, vec!["other computers", "nothing would be encrypted", "`--tls-cert`"]),
        (vec!["--listen", "0.0.0.0:0", "--htpasswd", &users], 2, vec!["`--insecure-listen`"]),
        (vec!["--tls-cert", &certificate], 2, vec!["--tls-key"]),
        (vec!["--tls-key", &key], 2, vec!["--tls-cert"]),
        (
            vec!["--tls-cert", "absent.pem", "--tls-key", &key],
            1,
            vec!["cannot read `absent.pem`", "hint: check the path"],
        ),
        (vec!["--tls-cert", &text, "--tls-key", &key], 1, vec!["certificates in PEM form", "hint: `--tls-cert`"]),
        (vec!["--tls-cert", &certificate, "--tls-key", &text], 1, vec!["a private key", "hint: `--tls-key`"]),
        (vec!["--htpasswd", "absent"], 1, vec!["cannot read `absent`", "hint: check the path"]),
        (vec!["--htpasswd", &plain], 1, vec!["line 1: `ada` has", "plain text", "hint: `htpasswd -nB USER`"]),
        (vec!["--htpasswd", &users, "--access", &rules], 1, vec!["line 3: pattern `Team`", "hint: docs/serve.md"]),
        (vec!["--access", &rules], 2, vec!["--htpasswd"]),
        (vec!["--anonymous-pull"], 2, vec!["--htpasswd"]),
        (vec!["--auth", "digest"], 2, vec!["token", "basic"]),
        (vec!["--max-blob", "5 apples"], 2, vec!["`KiB`, `MiB` or `GiB`"]),
        (vec!["--max-connections", "0"], 2, vec!["--max-connections"]),
        (vec!["--url", "ftp://x"], 2, vec!["`https` or `http`"]),
        (vec!["--access-log", "absent/access.log"], 1, vec!["cannot open `absent/access.log`"]),
    ] {
        let arguments = [&["serve", "--dir", "registry"], &flags[..]].concat();
        let arguments = if flags.contains(&"--listen") {
            arguments
        } else {
            [&arguments[..], &["--listen", "127.0.0.1:0"]].concat()
        };
        let complaint = cli.run(&arguments).await.failure(code);
        for said in said {
            assert!(complaint.contains(said), "{flags:?} does not say `{said}`:\n{complaint}");
        }
    }
}

/// What a push costs in passwords: each is worked out once, however many requests show it.
#[tokio::test]
async fn a_push_costs_one_hash() {
    for (scheme, requests) in [("token", 1), ("basic", 10)] {
        let cli = room().env("SPINREG_LOG", "debug");
        let serving = cli.serve_with(&["--htpasswd", &users(&cli), "--auth", scheme]).await;
        let target = format!("{}/a/b:v1", serving.registry());
        let arguments = ["push", "-q", "-f", &app("static-site"), "--username", "ada", "--password-stdin", &target];
        cli.run_with_input(arguments, ADA).await.success();
        let lines = serving.said().lines();
        let hashed = lines.iter().filter(|line| line.contains("worked out a password")).count();
        let shown = lines.iter().filter(|line| line.contains(" /token") || line.contains(" 201")).count();
        assert!(hashed == 1 && shown >= requests, "{scheme}: {hashed} hashes, {shown} requests: {lines:#?}");
    }
}
