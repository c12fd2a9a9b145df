//! `auth list`, and logins to parts of a registry: text and JSON, and what they refuse.

use std::fs;

use crate::support::cli::{Cli, Serving};
use crate::support::helpers::{calls, install};
use crate::support::scenario::{app, pull, push};

const ADA: &str = "correct-horse";
const BOB: &str = "battery-staple";
/// `ada:correct-horse`
const ENCODED: &str = "YWRhOmNvcnJlY3QtaG9yc2U=";
const SPIN: &str = "config/fermyon/registry-auth.json";

/// Compares what was printed with a file of the fixtures, in which `{home}` stands for the room of the tool.
fn matches(cli: &Cli, name: &str, printed: &str) {
    let home = cli.path("").display().to_string();
    let printed = printed.replace(home.trim_end_matches('/'), "{home}");
    let path = crate::support::root("fixtures/auth").join(name);
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let (expected, printed) = (expected.lines().collect::<Vec<_>>(), printed.lines().collect::<Vec<_>>());
    let differs = || crate::support::wire::difference(&expected, &printed);
    assert!(printed == expected, "`{name}` differs:\n{}", differs());
}

/// Writes a credential file, in which `ADA` stands for credentials.
fn write(cli: &Cli, path: &str, text: &str) {
    let path = cli.path(path);
    fs::create_dir_all(path.parent().expect("a directory")).expect("a directory in a temporary directory");
    fs::write(&path, text.replace("ADA", ENCODED)).expect("a file");
}

#[tokio::test]
async fn all_accounts_are_listed_and_no_secret() {
    let cli = install(Cli::new(), ADA).secret(ADA);
    write(&cli, SPIN, r#"{"auths":{"ghcr.io":"ADA","ghcr.io/team":"ADA","index.docker.io":"ADA"}}"#);
    write(
        &cli,
        "home/.docker/config.json",
        r#"{
            "auths": {"r.example":{"auth":"ADA"},"ghcr.io/team/app":{"auth":"ADA"},"https://s.example":{"identitytoken":"correct-horse"},"empty.example":{}},
            "credHelpers": {"docker.io":"good","x.example":"failing"}, "credsStore": "good"
        }"#,
    );
    write(&cli, "run/containers/auth.json", r#"{"auths":{"r.example/ada":{"registrytoken":"correct-horse"}}}"#);
    let cli = cli.env("DOCKER_AUTH_CONFIG", format!(r#"{{"auths":{{"v.example":{{"auth":"{ENCODED}"}}}}}}"#));
    let cli = cli.env("SPINREG_USERNAME", "eve").env("SPINREG_PASSWORD", ADA);
    let run = cli.run(["auth", "list"]).await;
    assert!(run.stderr.is_empty(), "{run}");
    matches(&cli, "list.txt", &run.success());
    matches(&cli, "list.json", &cli.run(["auth", "list", "--json"]).await.success());
    matches(&cli, "list-quiet.txt", &cli.run(["auth", "list", "-q"]).await.success());
    matches(&cli, "explain.json", &cli.run(["auth", "explain", "--json", "ghcr.io/team/app"]).await.success());
    assert!(calls(&cli).iter().all(|call| call.contains(" list ")), "nobody is asked for a secret: {:?}", calls(&cli));
}

#[tokio::test]
async fn what_cannot_be_listed_is_told() {
    let cli = install(Cli::new(), ADA).secret(ADA);
    let run = cli.run(["auth", "list"]).await;
    assert!(run.stderr.contains("there are no credentials: `spinreg login REGISTRY`"), "{run}");
    assert_eq!(run.success(), "");
    write(&cli, SPIN, r#"{"auths":{"ghcr.io":"correct-horse","r.example":"ADA"}}"#);
    for (store, said) in [
        ("failing", "ended with exit code 3"),
        ("nonsense", "does not list what it has"),
        ("token", "does not list what it has"),
        ("missing", "is not installed"),
        ("../good", "helpers without a path"),
    ] {
        write(&cli, "home/.docker/config.json", &format!(r#"{{"credsStore":"{store}"}}"#));
        let run = cli.run(["auth", "list"]).await;
        assert!(run.stderr.contains(said) && run.stderr.contains("entry `ghcr.io`"), "{store}: {run}");
        assert!(run.stdout.starts_with("r.example  ada  ") && run.stdout.lines().count() == 1, "{store}: {run}");
        let told: serde_json::Value =
            serde_json::from_str(&cli.run(["auth", "list", "--json"]).await.success()).expect("JSON");
        assert_eq!(told["failures"].as_array().map(Vec::len), Some(2), "{told}");
    }
    write(&cli, SPIN, "{");
    let run = cli.run(["auth", "list"]).await;
    assert!(run.stderr.contains("expects valid JSON") && run.code() == Some(0), "{run}");
    let half = Cli::new().env("SPINREG_PASSWORD", ADA);
    assert!(half.run(["auth", "list"]).await.failure(2).contains("no user name"));
}

/// A registry where Ada and Bob have a namespace each, and nobody sees what is another's.
async fn both() -> (Cli, Serving) {
    let cli = Cli::new().secret(ADA).secret(BOB);
    let line = |user: &str, password: &str| format!("{user}:{}\n", bcrypt::hash(password, 4).expect("a hash"));
    let rule = |user: &str| {
        format!("[[rule]]\nwho = [\"{user}\"]\nrepositories = [\"{user}/**\"]\nallow = [\"pull\", \"push\"]\n")
    };
    write(&cli, "data/users", &(line("ada", ADA) + &line("bob", BOB)));
    write(&cli, "data/rules.toml", &(rule("ada") + &rule("bob")));
    let [users, rules] = ["data/users", "data/rules.toml"].map(|path| cli.path(path).display().to_string());
    let serving = cli.serve_with(&["--htpasswd", &users, "--access", &rules]).await;
    (cli, serving)
}

#[tokio::test]
async fn several_accounts_of_one_registry() {
    let (cli, serving) = both().await;
    let registry = serving.registry();
    let [hers, his] = ["ada", "bob"].map(|user| format!("{registry}/{user}"));
    let login = async |site: &str, user: &str, password: &str| {
        cli.run_with_input(["login", site, "-u", user, "--password-stdin"], password).await
    };
    login(registry, "ada", ADA).await.success();
    let printed = login(&his, "bob", BOB).await.success();
    assert_eq!(printed, format!("Successfully logged in as bob to registry {his}\n"));
    login(&his, "bob", ADA).await.failure(4);
    let saved: serde_json::Value = serde_json::from_slice(&fs::read(cli.path(SPIN)).expect("a file")).expect("JSON");
    assert_eq!(saved["auths"].as_object().expect("an object").keys().collect::<Vec<_>>(), [registry, &his]);
    for site in [&hers, &his] {
        push(&cli, &app("inline-trigger"), &format!("{site}/app:v1"), &[]).await;
        pull(&cli, &format!("{site}/app:v1"), &[]).await;
    }
    let explained = cli.run(["auth", "explain", "-q", &format!("{his}/app")]).await.success();
    assert!(explained.contains(&format!("a password of `bob` under the key `{his}`")), "{explained}");
    let listed = cli.run(["auth", "list"]).await.success();
    assert!(listed.contains(&format!("{his}  bob")) && listed.contains("  ada  "), "{listed}");

    // What is left is told; what is gone is not used.
    let run = cli.run(["logout", registry]).await;
    assert!(run.stderr.contains(&format!("there still are credentials for `{his}`: `spinreg logout {his}`")), "{run}");
    assert_eq!(run.success(), format!("Logged out of registry {registry}\n"));
    cli.run(["resolve", &format!("{hers}/app:v1")]).await.failure(4);
    cli.run(["resolve", &format!("{his}/app:v1")]).await.success();
    assert_eq!(cli.run(["logout", &hers]).await.success(), format!("Not logged in to registry {hers}\n"));
    let run = cli.run(["logout", &his]).await;
    assert!(run.stderr.is_empty(), "{run}");
    assert_eq!(run.success(), format!("Logged out of registry {his}\n"));
    cli.run(["resolve", &format!("{his}/app:v1")]).await.failure(4);
}

/// What podman has for a namespace is found, and named when somebody logs out.
#[tokio::test]
async fn the_files_of_others_have_namespaces_too() {
    let (cli, serving) = both().await;
    let his = format!("{}/bob", serving.registry());
    let auths = serde_json::json!({ "auths": { &his: { "username": "bob", "password": BOB } } });
    write(&cli, "run/containers/auth.json", &auths.to_string());
    push(&cli, &app("inline-trigger"), &format!("{his}/app:v1"), &[]).await;
    let run = cli.run(["logout", &his]).await;
    assert!(run.stderr.contains("auth.json` still has credentials for") && run.stderr.contains(&his), "{run}");
    assert_eq!(run.success(), format!("Not logged in to registry {his}\n"));
}
