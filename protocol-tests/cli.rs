//! The command line: what it says, where it says it, and how it ends.

use std::process::Stdio;

use spinreg::Digest;

use crate::support::cli::Cli;
use crate::support::listen::closed_port;
use crate::support::reply::Reply;
use crate::support::scenario::app;
use crate::support::script::Script;

#[tokio::test]
async fn every_command_explains_itself() {
    let cli = Cli::new();
    for (command, mentioned) in [
        (vec![], vec!["login", "logout", "push", "pull", "serve", "registry", "Exit codes"]),
        (vec!["login"], vec!["--username", "-u", "--password", "-p", "--password-stdin", "-k", "Examples"]),
        (vec!["logout"], vec!["SERVER", "Example"]),
        (
            vec!["push"],
            vec!["-f", "--from", "--profile", "--annotation", "--created", "--cache-dir", "SOURCE_DATE_EPOCH"],
        ),
        (vec!["pull"], vec!["--cache-dir", "--concurrency", "[default: 32 small and 4", "SPINREG_TOKEN", "oci:"]),
        (
            vec!["up"],
            vec!["-f", "--from", "-c", "-e", "-k", "--build", "--profile", "--temp", "--offline", "--cache-dir"],
        ),
        (vec!["prepare"], vec!["--to", "--pull", "--offline", "spin.lock", "SPIN_LOCKED_URL"]),
        (vec!["auth"], vec!["explain"]),
        (vec!["auth", "explain"], vec!["REFERENCE", "--username", "no secret", "Examples"]),
        (vec!["serve"], vec!["--dir", "--listen", "127.0.0.1:5000", "--insecure-listen"]),
        (vec!["registry"], vec!["login", "logout", "push", "pull"]),
        (vec!["registry", "push"], vec!["-f", "--annotation", "-k", "--insecure", "--plain-http", "plain HTTP"]),
        (vec!["registry", "pull"], vec!["-k", "--cache-dir"]),
        (vec!["registry", "login"], vec!["-u", "-p", "--password-stdin"]),
    ] {
        let run = cli.run([command.as_slice(), &["--help"]].concat()).await;
        assert!(run.stderr.is_empty(), "help is a result: {run}");
        let help = run.success();
        for word in mentioned {
            assert!(help.contains(word), "{command:?} does not mention `{word}`:\n{help}");
        }
    }
    assert_eq!(cli.run(["--version"]).await.success(), concat!("spinreg ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[tokio::test]
async fn bad_input_is_refused_with_a_hint() {
    let cli = Cli::new();
    let closed = format!("{}/app:v1", closed_port().await);
    let by_digest = format!("localhost:1/app@{}", Digest::of(b""));
    let no_wasm = application(&cli, "no-wasm", "source = \"app.wasm\"\nbuild.command = \"make it\"");
    let not_wasm = application(&cli, "not-wasm", "source = \"spin.toml\"");
    let broken = application(&cli, "broken", "source = ");
    std::fs::write(cli.path("work/notes.wasm"), "some notes").expect("a file in a temporary directory");
    for (arguments, code, said) in [
        (vec![], 2, vec!["Usage"]),
        (vec!["pul"], 2, vec!["'pull'"]),
        (vec!["push"], 2, vec!["REFERENCE"]),
        (vec!["push", "ghcr.io/Me/app"], 2, vec!["`ghcr.io/Me/app` at character 9", "hint: write `REGISTRY/NAME:TAG`"]),
        (vec!["pull", "https://ghcr.io/me/app"], 2, vec!["no scheme", "hint:"]),
        (vec!["pull", "oci:"], 2, vec!["a path after `oci:`", "hint:"]),
        (vec!["pull", "ghcr.io/me/app@sha256:12"], 2, vec!["64 hexadecimal digits", "hint:"]),
        (vec!["push", &by_digest], 2, vec!["names a digest", "hint: name a tag"]),
        (vec!["push", "--annotation", "novalue", "localhost:1/app"], 2, vec!["`novalue`", "KEY=VALUE"]),
        (vec!["push", "--created", "yesterday", "localhost:1/app"], 2, vec!["`yesterday`", "RFC 3339"]),
        (vec!["pull", "--concurrency", "0", "localhost:1/app"], 2, vec!["`0`", "at least 1", "--concurrency 4"]),
        (vec!["login", "localhost:1/team:v1"], 2, vec!["without a tag", "`ghcr.io/team`"]),
        (vec!["logout", "localhost:1/v2/team"], 2, vec!["the path of the API", "`ghcr.io/team`"]),
        (vec!["pull", "--ca-file", "absent.pem", "localhost:1/app"], 1, vec!["`absent.pem`", "hint: check the path"]),
        (vec!["pull", "--password-stdin", "localhost:1/app"], 2, vec!["no user name", "--username"]),
        (vec!["pull", "--username", "ada", "localhost:1/app"], 2, vec!["no password", "--password-stdin"]),
        (vec!["pull", "--password-stdin", "--token-stdin", "localhost:1/app"], 2, vec!["--token-stdin"]),
        (vec!["login", "localhost:1"], 2, vec!["no user name, and no terminal", "--username USER --password-stdin"]),
        (vec!["login", "ftp://localhost"], 2, vec!["the scheme `https` or `http`"]),
        (vec!["serve", "--dir", "d", "--listen", "0.0.0.0:0"], 2, vec!["other computers", "--insecure-listen"]),
        (vec!["--log", "loud", "logout", "localhost:1"], 2, vec!["`loud`", "`debug`"]),
        (vec!["push", "-f", "absent", "localhost:1/app"], 3, vec!["absent", "-f FILE_OR_DIR"]),
        (vec!["push", "localhost:1/app"], 3, vec!["spin.toml", "-f FILE_OR_DIR"]),
        (
            vec!["push", "-f", &no_wasm, "localhost:1/app"],
            3,
            vec!["app.wasm` of the component `site`", "`make it`", "hint:"],
        ),
        (vec!["push", "-f", &not_wasm, "localhost:1/app"], 1, vec!["not WebAssembly", "hint:"]),
        (vec!["push", "-f", &broken, "localhost:1/app"], 1, vec!["broken/spin.toml:10:10", "\n10 | "]),
        (vec!["pull", "oci:absent:v1"], 3, vec!["absent", "hint:"]),
        (vec!["prepare", "oci:absent:v1", "--to", "o"], 3, vec!["absent", "hint:"]),
        (vec!["prepare", "absent.toml", "--to", "o"], 2, vec!["`absent.toml`", "check the path"]),
        (vec!["prepare", "a/b", "--to", "o"], 2, vec!["`a/b`", "with its registry or its tag"]),
        (vec!["prepare", "ghcr.io/Me/app", "--to", "o"], 2, vec!["`ghcr.io/Me/app` at character 9", "hint: write"]),
        (vec!["prepare", "https://ghcr.io/me/app", "--to", "o"], 2, vec!["no scheme", "hint: write"]),
        (vec!["prepare", "oci:", "--to", "o"], 2, vec!["a path after `oci:`", "hint: write"]),
        (vec!["prepare", "notes.wasm", "--to", "o"], 1, vec!["`notes.wasm`", "is not WebAssembly", "hint:"]),
        (vec!["prepare", "ghcr.io/a/b"], 2, vec!["--to"]),
        (
            vec!["prepare", "--offline", "ghcr.io/a/b", "--to", "o"],
            3,
            vec!["`ghcr.io/a/b:latest` is not", "spinreg pull"],
        ),
        (vec!["up", "-e", "=x", "-f", "a"], 2, vec!["`=x`", "--env KEY=VALUE"]),
        (vec!["pull", &closed], 6, vec!["cannot connect", &closed[..closed.len() - 7], "hint:"]),
        (vec!["pull", "registry.invalid/app:v1"], 6, vec!["registry.invalid", "hint: check the spelling"]),
    ] {
        let complaint = cli.run(&arguments).await.failure(code);
        for said in said {
            assert!(complaint.contains(said), "{arguments:?} does not say `{said}`:\n{complaint}");
        }
        assert!(arguments.is_empty() || complaint.contains("error: "), "{arguments:?}: {complaint}");
        assert!(!complaint.contains("pushing"), "nothing was read yet: {complaint}");
        assert!(!complaint.contains('\u{1b}'), "colours without a terminal: {complaint:?}");
    }
    assert!(!cli.path("cache/spin").exists(), "a refused pull left something in the cache");
}

/// A layout was made between whatever files were there.
#[tokio::test]
async fn r3_a_directory_of_something_else_is_not_pushed_into() {
    let cli = Cli::new();
    let site = app("static-site");
    let push = |to: &str| ["push", "-f", &site, to].map(str::to_owned);
    let place = |path: &str| cli.path("work").join(path);
    for path in ["mine/notes.txt", "hidden/.gitignore", "begun/blobs/x"] {
        let file = place(path);
        std::fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        std::fs::write(file, "").expect("a file");
    }
    let complaint = cli.run(push("oci:mine:v1")).await.failure(2);
    assert!(complaint.contains("`mine` has files in it and is no OCI image layout"), "{complaint}");
    assert!(complaint.contains("hint: name a new directory, an empty one, or a layout"), "{complaint}");
    let left: Vec<_> = std::fs::read_dir(place("mine")).expect("a directory").collect();
    assert_eq!(left.len(), 1, "{left:?}");
    for to in ["oci:hidden:v1", "oci:hidden:v2", "oci:begun:v1", "oci:new/deep:v1"] {
        cli.run(push(to)).await.success();
    }
}

#[tokio::test]
async fn variables_that_make_no_sense_are_named() {
    for (name, value, said) in [
        ("SOURCE_DATE_EPOCH", "soon", "`SOURCE_DATE_EPOCH`"),
        ("SPINREG_PASSWORD", "correct-horse", "no user name"),
        ("SPINREG_LOG", "loud", "`loud`"),
    ] {
        let cli = Cli::new().env(name, value).secret("correct-horse");
        let complaint = cli.run(["push", "localhost:1/app"]).await.failure(2);
        assert!(complaint.contains(said) && complaint.contains("hint: "), "{name}: {complaint}");
    }
}

#[tokio::test]
async fn what_a_registry_says_is_shown_with_the_request() {
    let cli = Cli::new();
    for (reply, code, said) in [
        (Reply::refusal(404, "NAME_UNKNOWN", "no such repository"), 3, "NAME_UNKNOWN: no such repository"),
        (Reply::refusal(404, "MANIFEST_UNKNOWN", ""), 3, "manifest `v1`"),
        (Reply::refusal(403, "DENIED", "not yours"), 4, "DENIED: not yours"),
        (Reply::refusal(401, "UNAUTHORIZED", "who are you"), 4, "UNAUTHORIZED: who are you"),
        (Reply::refusal(418, "TEAPOT", "short and stout"), 1, "TEAPOT: short and stout"),
        (Reply::ok("<html>welcome</html>").header("content-type", "text/html"), 1, "HTML, not a manifest"),
    ] {
        let script = Script::new().always("GET /v2/app/manifests/v1", reply).start().await;
        let reference = format!("{}/app:v1", script.address());
        let complaint = cli.run(["pull", "--plain-http", &reference]).await.failure(code);
        let request = format!("GET http://{}/v2/app/manifests/v1", script.address());
        assert!(complaint.contains(said) && complaint.contains(&request), "{complaint}");
        assert!(complaint.starts_with("pulling ") && complaint.contains("\nerror: "), "{complaint}");
        let quiet = cli.run(["pull", "-q", "--plain-http", &reference]).await.failure(code);
        assert!(quiet.starts_with("error: "), "{quiet}");
        script.finish();
    }
}

#[tokio::test]
async fn an_index_without_a_match_and_other_bytes_are_told_apart() {
    let cli = Cli::new();
    let child = Digest::of(b"child");
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{child}","size":5,"platform":{{"os":"plan9","architecture":"mips"}}}}]}}"#
    );
    let reply = Reply::ok(index).header("content-type", "application/vnd.oci.image.index.v1+json");
    let wanted = Digest::of(b"something else");
    let script = Script::new()
        .on("GET /v2/app/manifests/v1", reply.clone())
        .on(&format!("GET /v2/app/manifests/{wanted}"), reply)
        .start()
        .await;
    let repository = format!("{}/app", script.address());
    let complaint = cli.run(["pull", "--plain-http", &format!("{repository}:v1")]).await.failure(3);
    assert!(complaint.contains("serves plan9/mips") && complaint.contains("hint: "), "{complaint}");
    let complaint = cli.run(["pull", "--plain-http", &format!("{repository}@{wanted}")]).await.failure(5);
    assert!(complaint.contains(&wanted.to_string()) && complaint.contains("hint: "), "{complaint}");
    assert!(!cli.path("cache/spin/registry/manifests").exists(), "a refused pull left a manifest");
    script.finish();
}

#[tokio::test]
async fn results_go_to_stdout_and_everything_else_to_stderr() {
    let cli = Cli::new();
    let app = application(&cli, "app", "source = \"app.wasm\"");
    std::fs::write(cli.path("work/app/app.wasm"), b"\0asm\x01\0\0\0").expect("a file in a temporary directory");
    let run = cli.run(["push", "-f", &app, "oci:out:v1"]).await;
    let lines: Vec<_> = run.stderr.lines().collect();
    assert_eq!(lines.first(), Some(&"pushing oci:out:v1"), "{run}");
    assert!(lines.len() == 2 && lines[1].starts_with("pushed oci:out:v1: "), "{run}");
    let stdout = run.success();
    let digest = stdout.strip_prefix("Pushed with digest ").expect("the line that Spin prints").trim_end();

    let run = cli.run(["registry", "push", "--quiet", "--from", &app, "oci:out:v1"]).await;
    assert!(run.stderr.is_empty(), "{run}");
    assert_eq!(run.success(), format!("oci:out@{digest}\n"));

    let run = cli.run(["pull", "oci:out:v1", "--cache-dir", "cache"]).await;
    assert!(run.stderr.starts_with("pulling oci:out:v1\npulled oci:out:v1: "), "{run}");
    assert_eq!(run.success(), "Successfully pulled the app from the registry\n");
    assert!(cli.path("work/cache/registry/manifests/layout.localhost/out/v1/manifest.json").is_file());

    let run = cli.run(["pull", "-q", &format!("oci:out@{digest}")]).await;
    assert!(run.stderr.is_empty(), "{run}");
    assert_eq!(run.success(), format!("oci:out@{digest}\n"));
}

#[tokio::test]
async fn the_manifest_is_found_from_below() {
    let cli = Cli::new();
    std::fs::write(cli.path("work/app.wasm"), b"\0asm\x01\0\0\0").expect("a file in a temporary directory");
    std::fs::write(cli.path("work/spin.toml"), manifest("source = \"app.wasm\"")).expect("a file");
    cli.run(["push", "oci:out"]).await.success();
    assert!(cli.path("work/out/index.json").is_file());
}

#[cfg(unix)]
#[tokio::test]
async fn serve_says_where_it_is_and_ends_when_told() {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let cli = Cli::new();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_spinreg"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--dir"]).arg(cli.path("work/registry"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("the tool was built with its tests");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let first = lines.next_line().await.expect("a pipe").expect("a line");
    let address = first.rsplit_once("http://").expect("an address").1.to_owned();
    assert!(first.starts_with("serving `"), "{first}");

    let app = application(&cli, "app", "source = \"app.wasm\"");
    std::fs::write(cli.path("work/app/app.wasm"), b"\0asm\x01\0\0\0").expect("a file in a temporary directory");
    let reference = format!("{address}/me/app:v1");
    let pushed = cli.run(["push", "-q", "-f", &app, &reference]).await.success();
    assert!(pushed.starts_with(&format!("{address}/me/app@sha256:")), "{pushed}");
    assert_eq!(cli.run(["pull", "-q", &reference]).await.success(), pushed);
    assert!(cli.path("work/registry/me/app/index.json").is_file());
    let complaint = cli.run(["pull", &format!("{address}/me/other")]).await.failure(3);
    assert!(complaint.contains("NAME_UNKNOWN") && complaint.contains("hint: "), "{complaint}");
    let complaint = cli.run(["serve", "--dir", "x", "--listen", &address]).await.failure(1);
    assert!(complaint.contains(&address) && complaint.contains("--listen"), "{complaint}");

    let id = child.id().expect("it still runs").to_string();
    let told = tokio::process::Command::new("kill").args(["-TERM", &id]).status().await.expect("kill is there");
    assert!(told.success());
    assert_eq!(child.wait().await.expect("it was started").code(), Some(0));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_reader_who_leaves_is_no_failure_and_a_full_disk_is() {
    let cli = Cli::new();
    let app = application(&cli, "app", "source = \"app.wasm\"");
    std::fs::write(cli.path("work/app/app.wasm"), b"\0asm\x01\0\0\0").expect("a file in a temporary directory");
    let run = async |stdout: Stdio| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_spinreg"));
        command
            .args(["push", "-q", "-f", &app, "oci:out"])
            .current_dir(cli.path("work"))
            .stdout(stdout)
            .stderr(Stdio::piped());
        let child = command.spawn().expect("the tool was built with its tests");
        child.wait_with_output().await.expect("it was started")
    };
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    assert_eq!(run(writer.into()).await.status.code(), Some(0));
    let full = std::fs::File::create("/dev/full").expect("a device of every Linux");
    let output = run(full.into()).await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("cannot write `standard output`") && !complaint.contains("make room"), "{complaint}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_not_served() {
    let cli = Cli::new();
    std::fs::write(cli.path("work/file"), "in the way").expect("a file in a temporary directory");
    let complaint = cli.run(["serve", "--dir", "file/registry", "--listen", "127.0.0.1:0"]).await.failure(1);
    assert!(complaint.contains("`file/registry`"), "{complaint}");
}

/// Makes an application of one component in `work` and returns its directory.
fn application(cli: &Cli, name: &str, component: &str) -> String {
    let directory = cli.path("work").join(name);
    std::fs::create_dir(&directory).expect("a directory in a temporary directory");
    std::fs::write(directory.join("spin.toml"), manifest(component)).expect("a file in a temporary directory");
    name.to_owned()
}

fn manifest(component: &str) -> String {
    format!(
        "spin_manifest_version = 2\n[application]\nname = \"app\"\n\n[[trigger.http]]\nroute = \"/...\"\ncomponent = \
         \"site\"\n\n[component.site]\n{component}\n"
    )
}
