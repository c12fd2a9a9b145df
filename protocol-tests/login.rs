//! Logging in and out, and which credentials are used.

use std::path::PathBuf;

use crate::support::cli::Cli;
use crate::support::front::{Front, Fronted};
use crate::support::guard::Guard;
use crate::support::reply::Reply;
use crate::support::script::{Script, Scripted};

const PASSWORD: &str = "correct-horse";

/// A registry behind a guard: who passes hears that there is no manifest `v1`.
async fn guarded(guard: &Guard) -> (Scripted, Fronted, String) {
    let script = Script::new()
        .always("GET /v2/", Reply::ok("{}"))
        .always("GET /v2/app/manifests/v1", Reply::refusal(404, "MANIFEST_UNKNOWN", "passed"))
        .start()
        .await;
    let front = Front::before(script.address()).guarded(guard).start().await;
    let registry = front.registry();
    (script, front, registry)
}

fn file(cli: &Cli) -> PathBuf {
    cli.path("config/fermyon/registry-auth.json")
}

fn saved(cli: &Cli) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(file(cli)).expect("the file was saved")).expect("JSON")
}

fn save(cli: &Cli, text: &str) {
    std::fs::create_dir_all(cli.path("config/fermyon")).expect("a directory in a temporary directory");
    std::fs::write(file(cli), text).expect("a file in a temporary directory");
}

#[tokio::test]
async fn a_login_is_proved_saved_used_and_forgotten() {
    for guard in [Guard::basic("ada", PASSWORD), Guard::bearer("ada", PASSWORD)] {
        let (script, _front, registry) = guarded(&guard).await;
        let cli = Cli::new().secret(PASSWORD);
        let reference = format!("{registry}/app:v1");
        let complaint = cli.run(["pull", &reference]).await.failure(4);
        assert!(complaint.contains(&format!("hint: log in with `spinreg login {registry}`")), "{complaint}");

        save(&cli, r#"{"auths":{"r.example":"YTpi"},"later":[1]}"#);
        let login = ["login", &registry, "-u", "ada", "--password-stdin"];
        let printed = cli.run_with_input(login, &format!("{PASSWORD}\n")).await.success();
        assert_eq!(printed, format!("Successfully logged in as ada to registry {registry}\n"));
        let document = saved(&cli);
        assert_eq!(document["auths"][&registry], "YWRhOmNvcnJlY3QtaG9yc2U=", "as Spin saves it: {document}");
        assert_eq!((&document["auths"]["r.example"], &document["later"][0]), (&"YTpi".into(), &1.into()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(file(&cli)).expect("the file was saved").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let complaint = cli.run(["pull", &reference]).await.failure(3);
        assert!(complaint.contains("passed"), "{complaint}");

        let printed = cli.run(["logout", &registry]).await.success();
        assert_eq!(printed, format!("Logged out of registry {registry}\n"));
        assert_eq!(saved(&cli)["auths"], serde_json::json!({ "r.example": "YTpi" }));
        cli.run(["pull", &reference]).await.failure(4);
        let printed = cli.run(["registry", "logout", &registry]).await.success();
        assert_eq!(printed, format!("Not logged in to registry {registry}\n"));
        script.finish();
    }
}

#[tokio::test]
async fn every_spelling_of_a_login_works() {
    let guard = Guard::basic("ada", PASSWORD);
    let (script, _front, registry) = guarded(&guard).await;
    let url = format!("http://{registry}/some/path");
    for (arguments, input) in [
        (vec!["login", &url, "--username", "ada", "--password", PASSWORD], ""),
        (vec!["registry", "login", "-u", "ada", "-p", PASSWORD, &registry], ""),
        (vec!["registry", "login", &registry, "-u", "ada", "--password-stdin"], "correct-horse\r\n"),
        (vec!["login", "--plain-http", &registry, "-u", "ada", "--password-stdin"], PASSWORD),
        (vec!["login", "-k", &registry, "-u", "ada", "--password-stdin"], PASSWORD),
    ] {
        let cli = Cli::new().secret(PASSWORD);
        let printed = cli.run_with_input(&arguments, input).await.success();
        assert!(printed.starts_with("Successfully logged in as ada to registry "), "{printed}");
        assert_eq!(saved(&cli)["auths"].as_object().expect("an object").keys().collect::<Vec<_>>(), [&registry]);
    }
    let cli = Cli::new();
    let quiet = cli.run(["-q", "login", &registry, "-u", "ada", "-p", PASSWORD]).await;
    assert!(quiet.stderr.is_empty(), "{quiet}");
    assert_eq!(quiet.success(), "");
    script.finish();
}

#[tokio::test]
async fn a_refused_login_saves_nothing() {
    for guard in [Guard::basic("ada", PASSWORD), Guard::bearer("ada", PASSWORD)] {
        let (script, _front, registry) = guarded(&guard).await;
        let cli = Cli::new().secret("wrong-battery");
        for input in ["wrong-battery", "wrong-battery\n\n"] {
            let login = ["login", &registry, "-u", "ada", "--password-stdin"];
            let complaint = cli.run_with_input(login, input).await.failure(4);
            assert!(complaint.contains("does not accept `ada` from the command line"), "{complaint}");
            assert!(complaint.contains("hint: check user name and password"), "{complaint}");
            assert!(!file(&cli).exists());
        }
        script.finish();
    }
    // Exactly one newline is dropped: this is another password.
    let guard = Guard::basic("ada", PASSWORD);
    let (script, _front, registry) = guarded(&guard).await;
    let login = ["login", &registry, "-u", "ada", "--password-stdin"];
    Cli::new().run_with_input(login, "correct-horse\n\n").await.failure(4);
    for (input, said) in [("", "is empty"), ("\n", "is empty")] {
        let complaint = Cli::new().run_with_input(login, input).await.failure(2);
        assert!(complaint.contains(said), "{complaint}");
    }
    script.finish();
}

#[tokio::test]
async fn a_corrupt_file_is_an_error_and_left_as_it_is() {
    let guard = Guard::basic("ada", PASSWORD);
    let (script, _front, registry) = guarded(&guard).await;
    for text in ["{\"auths\":", "[]", "{\"auths\":[]}"] {
        let cli = Cli::new().secret(PASSWORD);
        save(&cli, text);
        for arguments in [
            vec!["login", &registry, "-u", "ada", "-p", PASSWORD],
            vec!["logout", &registry],
            vec!["pull", &format!("{registry}/app:v1")],
        ] {
            let complaint = cli.run(&arguments).await.failure(1);
            assert!(complaint.contains("registry-auth.json"), "{arguments:?}: {complaint}");
            assert_eq!(std::fs::read_to_string(file(&cli)).expect("the file"), text);
        }
    }
    script.finish();
}

#[tokio::test]
async fn credentials_given_outright_win_and_stay_with_their_registry() {
    let guard = Guard::basic("ada", PASSWORD);
    let (script, _front, registry) = guarded(&guard).await;
    let reference = format!("{registry}/app:v1");
    let wrong = "{\"auths\":{\"REGISTRY\":\"YWRhOndyb25n\"}}".replace("REGISTRY", &registry);
    let cli = Cli::new().secret(PASSWORD);
    save(&cli, &wrong);
    let complaint = cli.run(["pull", &reference]).await.failure(4);
    assert!(complaint.contains("registry-auth.json"), "the source is named: {complaint}");
    let flags = ["pull", &reference, "--username", "ada", "--password-stdin"];
    cli.run_with_input(flags, "correct-horse\n").await.failure(3);
    let cli = cli.env("SPINREG_PASSWORD", PASSWORD);
    cli.run(["pull", &reference, "--username", "ada"]).await.failure(3);
    let cli = cli.env("SPINREG_USERNAME", "ada");
    cli.run(["pull", &reference]).await.failure(3);
    let complaint = cli.run_with_input(["pull", &reference, "--token-stdin"], "a-token\n").await.failure(4);
    assert!(complaint.contains("the token from the command line"), "{complaint}");
    script.finish();
}

#[tokio::test]
async fn logout_names_what_is_left() {
    let cli = Cli::new().env("DOCKER_AUTH_CONFIG", r#"{"auths":{"r.example":{"auth":"YWRhOmNvcnJlY3QtaG9yc2U="}}}"#);
    let cli = cli.secret(PASSWORD);
    let run = cli.run(["logout", "r.example"]).await;
    assert!(run.stderr.contains("`DOCKER_AUTH_CONFIG` still has credentials for `r.example`"), "{run}");
    assert_eq!(run.success(), "Not logged in to registry r.example\n");
}

#[cfg(unix)]
#[tokio::test]
async fn a_login_closes_a_file_that_was_open_to_others_and_keeps_a_link() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let guard = Guard::basic("ada", PASSWORD);
    let (script, _front, registry) = guarded(&guard).await;
    let mode = |path: &PathBuf| std::fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    let cli = Cli::new().secret(PASSWORD);
    save(&cli, r#"{"auths":{"r.example":"YTpi"}}"#);
    std::fs::set_permissions(file(&cli), std::fs::Permissions::from_mode(0o644)).expect("our own file");
    cli.run(["login", &registry, "-u", "ada", "-p", PASSWORD]).await.success();
    assert_eq!(mode(&file(&cli)), 0o600);

    // Whoever keeps the file elsewhere wants that one changed.
    let cli = Cli::new().secret(PASSWORD);
    save(&cli, r#"{"auths":{"r.example":"YTpi"}}"#);
    let elsewhere = cli.path("data/kept.json");
    std::fs::rename(file(&cli), &elsewhere).expect("in one directory");
    symlink(&elsewhere, file(&cli)).expect("a new link");
    cli.run(["login", &registry, "-u", "ada", "-p", PASSWORD]).await.success();
    assert!(std::fs::symlink_metadata(file(&cli)).expect("the link").is_symlink());
    assert_eq!(mode(&elsewhere), 0o600);
    assert_eq!(saved(&cli)["auths"].as_object().expect("an object").len(), 2);
    script.finish();
}

#[tokio::test]
async fn logins_at_the_same_time_all_last() {
    let guard = Guard::basic("ada", PASSWORD);
    let mut registries = Vec::new();
    for _ in 0..4 {
        registries.push(guarded(&guard).await);
    }
    let cli = Cli::new().secret(PASSWORD);
    let logins = registries.iter().map(|(_, _, registry)| cli.run(["login", registry, "-u", "ada", "-p", PASSWORD]));
    for run in futures_util::future::join_all(logins).await {
        run.success();
    }
    let document = saved(&cli);
    for (script, _front, registry) in registries {
        assert_eq!(document["auths"][&registry], "YWRhOmNvcnJlY3QtaG9yc2U=", "{document}");
        script.finish();
    }
}
