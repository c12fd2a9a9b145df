//! Components by URL: verified, kept, gone on with.

use std::path::PathBuf;

use spinreg::Digest;

use crate::support::cli::Cli;
use crate::support::files_below;
use crate::support::packages::{component, configure, pushed_from_file, write_app};
use crate::support::reply::{End, Reply};
use crate::support::scenario::verify;
use crate::support::script::{Script, Scripted};

/// Writes an application whose component is at `path` of the server, and should be `wasm`.
fn app(cli: &Cli, server: &Scripted, path: &str, wasm: &[u8]) {
    let digest = Digest::of(wasm);
    write_app(cli, &format!("source = {{ url = \"{}{path}\", digest = \"{digest}\" }}", server.origin()));
}

fn cached(cli: &Cli, wasm: &[u8]) -> PathBuf {
    let name = Digest::of(wasm).to_string();
    cli.path("cache/spin/registry/wasm").join(if cfg!(windows) { name.replace(':', "_") } else { name })
}

/// Says that nothing at all of a download is left: the cache has its empty lock at most.
fn assert_nothing_left(cli: &Cli) {
    let mut left = files_below(&cli.path("cache/spin/registry"));
    left.retain(|path| !path.ends_with(".spinreg/use.lock"));
    assert!(left.is_empty(), "{left:?}");
}

fn part(wasm: &[u8], from: usize) -> Reply {
    let range = format!("bytes {from}-{}/{}", wasm.len() - 1, wasm.len());
    Reply::status(206).header("content-range", range).body(wasm[from..].to_vec())
}

#[tokio::test]
async fn a_download_is_verified_kept_and_not_asked_for_again() {
    let (cli, wasm) = (Cli::new(), component(1));
    let server = Script::new().on("GET /a.wasm", Reply::ok(wasm.clone())).without("authorization").start().await;
    app(&cli, &server, "/a.wasm", &wasm);
    let run = cli.run(["push", "oci:out:v1"]).await;
    assert!(run.stderr.contains(&format!("fetching `{}/a.wasm`", server.origin())), "{run:?}");
    let pushed = run.success();
    assert_eq!(pushed, pushed_from_file(&wasm).await, "where it came from makes no difference");
    assert_eq!(std::fs::read(cached(&cli, &wasm)).expect("it is kept"), wasm);

    // Not from the network again: not by a push, not by `prepare`, with or without being told so.
    assert_eq!(cli.run(["push", "oci:out:v1"]).await.success(), pushed);
    for flags in [&[][..], &["--offline"], &["--pull", "missing"]] {
        cli.run([&["prepare", "spin.toml", "--to", "ready"], flags].concat()).await.success();
        let lock = std::fs::read_to_string(cli.path("work/ready/spin.lock")).expect("a lock file");
        assert!(lock.contains(&Digest::of(&wasm).hex()), "{lock}");
    }
    server.finish();
}

#[tokio::test]
async fn the_cache_directory_is_the_one_that_was_named() {
    let (cli, wasm) = (Cli::new(), component(1));
    let server = Script::new().on("GET /a.wasm", Reply::ok(wasm.clone())).start().await;
    app(&cli, &server, "/a.wasm", &wasm);
    cli.run(["push", "oci:out:v1", "--cache-dir", "other"]).await.success();
    verify(&cli.path("work/other/registry"));
    assert_eq!(files_below(&cli.path("work/other/registry/wasm")).len(), 1);
    assert_nothing_left(&cli);
    // `up` and `prepare` find it there.
    cli.run(["prepare", "spin.toml", "--to", "ready", "--offline", "--cache-dir", "other"]).await.success();
    server.finish();
}

#[tokio::test]
async fn other_content_is_refused_by_name_and_leaves_nothing() {
    let (cli, wanted, other) = (Cli::new(), component(1), component(2));
    let server = Script::new().on("GET /a.wasm", Reply::ok(other.clone())).start().await;
    app(&cli, &server, "/a.wasm", &wanted);
    let said = cli.run(["push", "oci:out:v1"]).await.failure(5);
    let url = format!("{}/a.wasm", server.origin());
    for part in [
        "spin.toml:8:10: the component `site` wants",
        &url,
        &format!("has the digest `{}`, and not `{}`", Digest::of(&other), Digest::of(&wanted)),
        "hint: compare with those who publish it",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    assert_nothing_left(&cli);
    assert!(!cli.path("work/out").exists(), "nothing was pushed");
    server.finish();
}

#[tokio::test]
async fn what_something_has_damaged_is_obtained_again() {
    let (cli, wasm) = (Cli::new(), component(1));
    let server = Script::new().on_each("GET /a.wasm", vec![Reply::ok(wasm.clone()); 2]).start().await;
    app(&cli, &server, "/a.wasm", &wasm);
    cli.run(["push", "oci:out:v1"]).await.success();
    let mut damaged = wasm.clone();
    damaged[500] ^= 1;
    std::fs::write(cached(&cli, &wasm), damaged).expect("a file of our own");
    let said = cli.run(["prepare", "spin.toml", "--to", "ready", "--offline"]).await.failure(3);
    assert!(said.contains("it is not in the cache"), "{said}");
    cli.run(["push", "oci:out:v1"]).await.success();
    verify(&cli.path("cache/spin/registry"));
    server.finish();
}

#[tokio::test]
async fn redirects_are_followed_and_nobody_is_shown_credentials() {
    let wasm = component(1);
    let storage = Script::new()
        .on("GET /real?sig=secret-signature", Reply::ok(wasm.clone()))
        .without("authorization")
        .start()
        .await;
    let server = Script::new()
        .on("GET /a.wasm", Reply::redirect(302, format!("{}/real?sig=secret-signature", storage.origin())))
        .without("authorization")
        .start()
        .await;
    let login =
        |host: std::net::SocketAddr| format!("\"{host}\":{{\"username\":\"ada\",\"password\":\"correct-horse\"}}");
    let auths = format!("{{\"auths\":{{{},{}}}}}", login(server.address()), login(storage.address()));
    let cli = Cli::new().env("DOCKER_AUTH_CONFIG", auths).secret("correct-horse").secret("secret-signature");
    app(&cli, &server, "/a.wasm", &wasm);
    cli.run(["--log", "trace", "push", "oci:out:v1"]).await.success();
    server.finish();
    storage.finish();
}

#[tokio::test]
async fn a_download_that_breaks_goes_on_where_it_broke() {
    let wasm = component(1);
    for end in [End::Close, End::Reset] {
        let cli = Cli::new();
        cli.configure("[network]\nbackoff_min = \"1ms\"\nbackoff_max = \"1ms\"\n");
        let server = Script::new()
            .on("GET /a.wasm", Reply::ok(wasm.clone()).cut_after(400, end))
            .on("GET /a.wasm", part(&wasm, 400))
            .with("range", "bytes=400-")
            .start()
            .await;
        app(&cli, &server, "/a.wasm", &wasm);
        cli.run(["push", "oci:out:v1"]).await.success();
        verify(&cli.path("cache/spin/registry"));
        server.finish();
    }
}

#[tokio::test]
async fn the_next_run_goes_on_where_the_last_one_stopped() {
    let (cli, wasm) = (Cli::new(), component(1));
    cli.configure("[network]\nattempts = 1\n");
    let server = Script::new()
        .on("GET /a.wasm", Reply::ok(wasm.clone()).cut_after(700, End::Close))
        .on("GET /a.wasm", part(&wasm, 700))
        .with("range", "bytes=700-")
        .start()
        .await;
    app(&cli, &server, "/a.wasm", &wasm);
    let said = cli.run(["push", "oci:out:v1"]).await.failure(6);
    assert!(said.contains("hint: try again: what has arrived is kept"), "{said}");
    assert!(!cached(&cli, &wasm).exists(), "nothing unfinished bears its name");
    cli.run(["push", "oci:out:v1"]).await.success();
    verify(&cli.path("cache/spin/registry"));
    server.finish();
}

#[tokio::test]
async fn pieces_that_do_not_fit_are_fetched_anew_once() {
    let (cli, wasm, other) = (Cli::new(), component(1), component(2));
    cli.configure("[network]\nattempts = 1\n");
    // A piece of something else; then a server that ignores ranges, and whose whole is right.
    let server = Script::new()
        .on("GET /a.wasm", Reply::ok(other.clone()).cut_after(600, End::Close))
        .on("GET /a.wasm", Reply::ok(wasm.clone()))
        .with("range", "bytes=600-")
        .on("GET /a.wasm", Reply::ok(wasm.clone()))
        .without("range")
        .start()
        .await;
    app(&cli, &server, "/a.wasm", &wasm);
    cli.run(["push", "oci:out:v1"]).await.failure(6);
    cli.run(["push", "oci:out:v1"]).await.success();
    verify(&cli.path("cache/spin/registry"));
    server.finish();
}

#[tokio::test]
async fn offline_everything_that_is_missing_is_named() {
    let cli = Cli::new();
    let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
    write_app(
        &cli,
        &format!(
            "source = {{ url = \"http://192.0.2.1/a.wasm\", digest = \"{one}\" }}\n[component.site.dependencies]\n\
             \"a:b/c\" = \"1.2\"\n\"d:e/f\" = {{ url = \"http://192.0.2.1/b.wasm\", digest = \"{two}\" }}\n\
             \"g:h/i\" = {{ version = \"=2.0.0\", registry = \"r.example\" }}"
        ),
    );
    configure(&cli, "default_registry = \"192.0.2.1\"");
    let said = cli.run(["prepare", "spin.toml", "--to", "ready", "--offline"]).await.failure(3);
    for part in [
        "the component `site` wants `http://192.0.2.1/a.wasm`: it is not in the cache",
        "and neither is the package `a:b` `^1.2`",
        "and neither is `http://192.0.2.1/b.wasm`",
        "and neither is the package `g:h` `=2.0.0` of `r.example`",
        "hint: run it once where there is a network, without `--offline`",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let wasm = component(1);
    for (reply, code, expected) in [
        (Reply::status(404), 3, ["the file was not found (GET ", "hint: check the `url`"]),
        (Reply::status(410), 3, ["the file was not found (GET ", "hint: check the `url`"]),
        (Reply::status(403), 4, ["the server answered 403 Forbidden", "hint: downloads are made without credentials"]),
        (
            Reply::status(401),
            4,
            ["the server answered 401 Unauthorized", "hint: downloads are made without credentials"],
        ),
        (Reply::status(204), 1, ["the server answered 204 No Content", "spin.toml:8:10"]),
        (Reply::ok(wasm[..100].to_vec()), 5, ["has the digest", "hint: compare"]),
        (Reply::ok(""), 5, ["has the digest", "hint: compare"]),
        (Reply::redirect(302, "ftp://elsewhere.example/a.wasm"), 1, ["spin.toml:8:10", "the redirect"]),
    ] {
        let cli = Cli::new();
        let server = Script::new().on("GET /a.wasm", reply).start().await;
        app(&cli, &server, "/a.wasm", &wasm);
        let said = cli.run(["push", "oci:out:v1"]).await.failure(code);
        for part in expected {
            assert!(said.contains(part), "`{part}` is not in: {said}");
        }
        assert_nothing_left(&cli);
        server.finish();
    }
}

#[tokio::test]
async fn a_configuration_that_makes_no_sense_is_told_where_it_matters() {
    let (cli, wasm) = (Cli::new(), component(1));
    cli.configure("[network]\nattempts = \"many\"\n");
    let server = Script::new().start().await;
    app(&cli, &server, "/a.wasm", &wasm);
    let said = cli.run(["push", "oci:out:v1"]).await.failure(2);
    assert!(said.contains("config.toml:2:12: `network.attempts` has to be an integer"), "{said}");
    server.finish();
}

#[tokio::test]
async fn a_password_in_a_url_is_refused_and_not_shown() {
    let cli = Cli::new().secret("correct-horse");
    let digest = Digest::of(b"");
    write_app(&cli, &format!("source = {{ url = \"https://ada:correct-horse@x.example/a\", digest = \"{digest}\" }}"));
    let said = cli.run(["push", "oci:out:v1"]).await.failure(1);
    assert!(said.contains("spin.toml: the url at `x.example` has a user or a password in it"), "{said}");
}

#[tokio::test]
async fn what_is_no_webassembly_is_said_to_be_none() {
    let (cli, text) = (Cli::new(), b"<html>not a component</html>");
    let server = Script::new().on("GET /a.wasm", Reply::ok(text.to_vec())).start().await;
    app(&cli, &server, "/a.wasm", text);
    let said = cli.run(["push", "oci:out:v1"]).await.failure(1);
    assert!(said.contains("of the component `site` is not WebAssembly: it begins with 3c 68 74 6d 6c"), "{said}");
    server.finish();
}

#[tokio::test]
async fn a_component_that_was_not_built_is_said_before_anything_is_fetched() {
    let cli = Cli::new();
    let server = Script::new().start().await;
    let digest = Digest::of(b"");
    write_app(
        &cli,
        &format!(
            "source = \"unbuilt.wasm\"\n[component.site.dependencies]\n\"a:b/c\" = {{ url = \"{}/d.wasm\", digest = \
             \"{digest}\" }}",
            server.origin()
        ),
    );
    let said = cli.run(["push", "oci:out:v1"]).await.failure(3);
    assert!(said.contains("unbuilt.wasm` of the component `site` does not exist"), "{said}");
    server.finish();
}

#[tokio::test]
async fn two_runs_at_once_download_once() {
    let (cli, wasm) = (Cli::new(), component(1));
    let server = Script::new().on("GET /a.wasm", Reply::ok(wasm.clone())).start().await;
    app(&cli, &server, "/a.wasm", &wasm);
    let (first, second) = tokio::join!(cli.run(["push", "oci:one:v1"]), cli.run(["push", "oci:two:v1"]));
    assert_eq!(first.success(), second.success());
    server.finish();
}
