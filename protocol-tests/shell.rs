//! The tool as a part of somebody's shell: completions, manual pages, the reference, what it was built with.

use std::process::Stdio;

use crate::support::cli::Cli;
use crate::support::document;

/// A home with two applications in the cache, two logins, and names that a shell had better not see.
fn home() -> Cli {
    let cli = Cli::new().secret("c2VjcmV0LXNlY3JldA");
    for place in
        ["localhost:5000/me/app/v1", "localhost:5000/me/app/v2", "ghcr.io/$(touch pwned)/v1", "ghcr.io/a;id/v1"]
    {
        let place = cli.path("cache/spin/registry/manifests").join(place);
        std::fs::create_dir_all(&place).expect("a directory in a temporary directory");
        std::fs::write(place.join("manifest.json"), "{}").expect("a file");
    }
    let logins = cli.path("config/fermyon");
    std::fs::create_dir(&logins).expect("a directory in a temporary directory");
    let text = r#"{"auths":{"ghcr.io":"c2VjcmV0LXNlY3JldA","$(touch pwned)":"c2VjcmV0LXNlY3JldA","a b":"x"}}"#;
    std::fs::write(logins.join("registry-auth.json"), text).expect("a file");
    let docker = cli.path("home/.docker");
    std::fs::create_dir(&docker).expect("a directory in a temporary directory");
    let text = r#"{"auths":{"quay.io":{"auth":"c2VjcmV0LXNlY3JldA"}}}"#;
    std::fs::write(docker.join("config.json"), text).expect("a file");
    cli
}

#[tokio::test]
async fn names_are_those_of_the_cache_and_the_logins() {
    let cli = home();
    for (words, expected) in [
        (
            &["--current=local", "--", "pull"][..],
            "localhost:5000/me/app:v1\tin the cache\nlocalhost:5000/me/app:v2\tin the cache\n",
        ),
        (&["--current=", "--", "login"], "ghcr.io\tlogged in\nquay.io\tlogged in\n"),
        (&["--current=ghcr.io/", "--", "pull"], ""),
        (&["--current=", "--", "tag", "localhost:5000/me/app:v1"], "v1\tin the cache\nv2\tin the cache\n"),
        (&["--current=", "--", "pull", "--cache-dir", "absent"], "ghcr.io/\tlogged in\nquay.io/\tlogged in\n"),
        (&["--current=nothing", "--", "pull"], ""),
    ] {
        let run = cli.run([&["__complete"], words].concat()).await;
        assert!(run.stderr.is_empty(), "{run}");
        assert_eq!(run.success(), expected, "{words:?}");
    }
}

#[tokio::test]
async fn every_shell_has_a_script() {
    let cli = Cli::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = cli.run(["completions", shell]).await.success();
        assert!(script.contains("spinreg") && script.contains("__complete"), "{shell}: {script}");
    }
    let complaint = cli.run(["completions", "tcsh"]).await.failure(2);
    assert!(complaint.contains("'tcsh'") && complaint.contains("fish"), "{complaint}");
}

/// What bash is handed by readline, which breaks words at colons, and what it puts there.
#[cfg(unix)]
#[tokio::test]
async fn bash_completes() {
    let cli = home();
    let script = cli.run(["completions", "bash"]).await.success();
    for (words, expected) in [
        ("spinreg pus", "push"),
        ("spinreg pull local", "localhost:5000/me/app:v1 localhost:5000/me/app:v2"),
        ("spinreg pull localhost : 5000/me/app : ", "v1 v2"),
        ("spinreg pull localhost : 5000/me/app : v2", "v2"),
        ("spinreg up --from = local", "localhost:5000/me/app:v1 localhost:5000/me/app:v2"),
        ("spinreg tags --sort = s", "semver"),
        ("spinreg pull ghcr", "ghcr.io/"),
        ("spinreg pull ghcr.io/$", ""),
    ] {
        // The words are parted as readline parts them, and the line is as it is typed.
        let line = words.replace(" : ", ":").replace(" = ", "=");
        let parts = words.split(' ').map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let test = format!(
            "{script}\nCOMP_WORDBREAKS=$' \\t\\n\"\\'@><=;|&(:'\n\nCOMP_WORDS=({parts})\n\
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\nCOMP_LINE='{line}'\nCOMP_POINT=${{#COMP_LINE}}\n\
             _spinreg\necho \"${{COMPREPLY[*]}}\"\n"
        );
        let path = format!("{}:{}", tool_directory(), std::env::var("PATH").unwrap_or_default());
        let output = std::process::Command::new("bash")
            .args(["--norc", "-c", &test])
            .env("PATH", path)
            .env("HOME", cli.path("home"))
            .env("XDG_CACHE_HOME", cli.path("cache"))
            .env("XDG_CONFIG_HOME", cli.path("config"))
            .current_dir(cli.path("work"))
            .stdin(Stdio::null())
            .output()
            .expect("bash is there");
        let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!((said.trim_end(), &*failed), (expected, ""), "{line}");
    }
    assert!(!cli.path("work/pwned").exists(), "a name of the cache was run");
}

#[cfg(unix)]
fn tool_directory() -> &'static str {
    env!("CARGO_BIN_EXE_spinreg").rsplit_once('/').expect("a path").0
}

#[tokio::test]
async fn every_command_has_a_page() {
    let cli = Cli::new();
    cli.run(["man", "--dir", "man"]).await.success();
    let pages: Vec<_> = std::fs::read_dir(cli.path("work/man")).expect("a directory").collect();
    assert!(pages.len() > 30, "{pages:?}");
    let page = std::fs::read_to_string(cli.path("work/man/spinreg-manifest-get.1")).expect("a page");
    assert_eq!(cli.run(["man", "manifest", "get"]).await.success(), page);
    for part in
        [".TH \"SPINREG\\-MANIFEST\\-GET\" \"1\"", ".SH SYNOPSIS", "\\-\\-platform", ".SH EXAMPLES", "SPINREG_OFFLINE"]
    {
        assert!(page.contains(part), "`{part}` is missing:\n{page}");
    }
    // Hidden commands are for scripts.
    assert!(!cli.path("work/man/spinreg-__complete.1").exists());
    let complaint = cli.run(["man", "manifest", "gte"]).await.failure(2);
    assert!(complaint.contains("`manifest gte`") && complaint.contains("hint: "), "{complaint}");
}

/// `SPINREG_BLESS=1` writes it, and so does `spinreg man --format markdown`.
#[tokio::test]
async fn the_reference_says_what_help_says() {
    let printed = Cli::new().run(["man", "--format", "markdown"]).await.success();
    document::whole("docs/commands.md", &printed);
}

#[tokio::test]
async fn it_says_what_it_was_built_with() {
    let cli = Cli::new();
    let document: serde_json::Value =
        serde_json::from_str(&cli.run(["version", "--json"]).await.success()).expect("JSON");
    assert_eq!(document["schema"], 1);
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    assert!(document["rustc"].as_str().is_some_and(|rustc| rustc.starts_with("rustc 1.")), "{document}");
    assert!(document["target"].as_str().is_some_and(|target| target.contains(std::env::consts::ARCH)), "{document}");
    let features = document["features"].as_array().expect("a list");
    assert!(features.contains(&"serve".into()), "{document}");
    assert_eq!(document["protocols"]["distribution"], "1.1");
    let keys: Vec<_> = document.as_object().expect("an object").keys().cloned().collect();
    let known = ["commit", "features", "profile", "protocols", "rustc", "schema", "target", "version"];
    assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>(), known.map(String::from).iter().collect());
    let text = cli.run(["version"]).await.success();
    assert!(text.starts_with(concat!("spinreg ", env!("CARGO_PKG_VERSION"), "\n")), "{text}");
}
