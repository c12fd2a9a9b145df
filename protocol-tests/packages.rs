//! Packages from registries: where they are, which version is taken, what that costs.

use spinreg::Digest;

use crate::support::cli::Cli;
use crate::support::files_below;
use crate::support::front::{Front, Meddle};
use crate::support::guard::Guard;
use crate::support::packages::{component, configure, publish, pushed_from_file, write_app, yank};
use crate::support::registry::Embedded;
use crate::support::reply::{End, Reply};
use crate::support::scenario::verify;
use crate::support::script::Script;
use crate::support::tls::Authority;

/// A source that names one version.
fn source(registry: &str, version: &str) -> String {
    format!("source = {{ registry = \"{registry}\", package = \"space:name\", version = \"{version}\" }}")
}

/// Writes an application whose component depends on a package: the components fit together.
fn write_dependent(cli: &Cli, dependency: &str) {
    write_app(cli, &format!("source = \"main.wasm\"\n[component.site.dependencies]\n{dependency}"));
    std::fs::write(cli.path("work/main.wasm"), MAIN).expect("a file in a temporary directory");
}

/// Says which version of `space:name` an application gets that wants `requirement`: component 1 for 1.x and so on.
async fn chosen(cli: &Cli, requirement: &str, flags: &[&str]) -> Result<Vec<u8>, String> {
    write_app(
        cli,
        &format!("source = \"main.wasm\"\n[component.site.dependencies]\n\"space:name\" = \"{requirement}\""),
    );
    std::fs::write(cli.path("work/main.wasm"), component(0)).expect("a file in a temporary directory");
    let run = cli.run([&["push", "--compose=false", "oci:out:v1"], flags].concat()).await;
    if run.code() != Some(0) {
        return Err(run.failure(3));
    }
    run.success();
    let layout = cli.path("work/out/blobs/sha256");
    let own = Digest::of(&component(0)).hex();
    let blobs = files_below(&layout).into_iter().filter(|path| !path.ends_with(&own));
    let found: Vec<_> =
        blobs.filter_map(|path| std::fs::read(path).ok()).filter(|it| it.starts_with(b"\0asm")).collect();
    std::fs::remove_dir_all(cli.path("work/out")).expect("a directory of our own");
    assert_eq!(found.len(), 1, "one dependency");
    Ok(found.into_iter().next().expect("one dependency"))
}

#[tokio::test]
async fn one_version_costs_three_requests_once() {
    let (cli, wasm, registry) = (Cli::new(), component(1), Embedded::start().await);
    publish(registry.address(), "space/name", "1.2.3", &wasm).await;
    registry.wire().take();
    write_app(&cli, &source(&registry.address().to_string(), "1.2.3"));
    let run = cli.run(["push", "oci:out:v1"]).await;
    assert!(run.stderr.contains(&format!("fetching `{}`", registry.reference("space/name:1.2.3"))), "{run:?}");
    let pushed = run.success();
    assert_eq!(pushed, pushed_from_file(&wasm).await, "where it came from makes no difference");
    let blob = format!("GET /v2/space/name/blobs/{} 200", Digest::of(&wasm));
    let expected = ["GET /.well-known/wasm-pkg/registry.json 404", "GET /v2/space/name/manifests/1.2.3 200", &blob];
    assert_eq!(registry.wire().take(), expected);
    verify(&cli.path("cache/spin/registry"));

    for flags in [&["push", "oci:out:v1"][..], &["prepare", "spin.toml", "--to", "ready", "--offline"]] {
        cli.run(flags).await.success();
    }
    assert!(registry.wire().take().is_empty(), "what was published stays that");
}

#[tokio::test]
async fn a_requirement_gets_the_newest_version_that_fits() {
    let (cli, registry) = (Cli::new(), Embedded::start().await);
    let address = registry.address();
    for (version, mark) in [("1.2.0", 12), ("1.10.0", 110), ("2.0.0-rc.1", 20), ("0.9.0", 9), ("latest", 99)] {
        publish(address, "space/name", version, &component(mark)).await;
    }
    configure(&cli, &format!("default_registry = \"{address}\""));
    registry.wire().take();
    assert_eq!(chosen(&cli, "^1.2", &[]).await, Ok(component(110)));
    let cold = [
        "GET /.well-known/wasm-pkg/registry.json 404".to_owned(),
        "GET /v2/space/name/tags/list 200".to_owned(),
        "GET /v2/space/name/manifests/1.10.0 200".to_owned(),
        format!("GET /v2/space/name/blobs/{} 200", Digest::of(&component(110))),
    ];
    assert_eq!(registry.wire().take(), cold);
    // Nothing new: what is known is not asked for.
    assert_eq!(chosen(&cli, "^1.2", &[]).await, Ok(component(110)));
    assert_eq!(registry.wire().take(), cold[..2]);

    for (requirement, expected) in
        [("~1.2", 12), ("=1.2.0", 12), ("0.9", 9), ("*", 110), ("2.0.0-rc", 20), (">=2.0.0-rc.1", 20), ("1.2", 110)]
    {
        assert_eq!(chosen(&cli, requirement, &[]).await, Ok(component(expected)), "{requirement}");
    }
    for (requirement, expected) in [
        ("2", "the package `space:name` `^2`: "),
        ("=1.2.9", "has no such version; it has `2.0.0-rc.1`, `1.10.0`, `1.2.0`, `0.9.0`"),
        ("3", "hint: correct the version in the manifest"),
    ] {
        let said = chosen(&cli, requirement, &[]).await.expect_err(requirement);
        assert!(said.contains(expected) && said.contains("has no such version; it has `2.0.0-rc.1`"), "{said}");
    }

    // A new version is noticed; one that was taken back is not there any more, and what is here stays.
    publish(address, "space/name", "1.11.0", &component(111)).await;
    assert_eq!(chosen(&cli, "^1.2", &[]).await, Ok(component(111)));
    yank(address, "space/name", "1.11.0").await;
    assert_eq!(chosen(&cli, "^1.2", &[]).await, Ok(component(110)));
    assert_eq!(chosen(&cli, "=1.11.0", &[]).await, Ok(component(111)));
}

#[tokio::test]
async fn what_was_obtained_will_do_where_nobody_may_be_asked() {
    let (cli, registry) = (Cli::new(), Embedded::start().await);
    let address = registry.address();
    publish(address, "space/name", "1.2.0", &component(12)).await;
    publish(address, "space/name", "1.3.0", &component(13)).await;
    configure(&cli, &format!("default_registry = \"{address}\""));
    for requirement in ["=1.2.0", "^1"] {
        assert!(chosen(&cli, requirement, &[]).await.is_ok());
    }
    publish(address, "space/name", "1.4.0", &component(14)).await;
    registry.wire().take();
    write_app(&cli, "source = \"main.wasm\"\n[component.site.dependencies]\n\"space:name\" = \"^1\"");
    for flags in [["--pull", "missing"], ["--pull", "never"]] {
        let prepared = cli.run([&["prepare", "spin.toml", "--to", "ready"], &flags[..]].concat()).await;
        // It is found, and does not fit: the component imports nothing.
        let said = prepared.failure(1);
        assert!(said.contains("the dependency `space:name` of component `site` has no import to satisfy"), "{said}");
    }
    assert!(registry.wire().take().is_empty());
    write_app(&cli, "source = \"main.wasm\"\n[component.site.dependencies]\n\"space:name\" = \"^1.4\"");
    let said = cli.run(["prepare", "spin.toml", "--to", "ready", "--offline"]).await.failure(3);
    assert!(said.contains("the package `space:name` `^1.4`: it is not in the cache"), "{said}");
    assert!(registry.wire().take().is_empty());
}

#[tokio::test]
async fn dependencies_from_a_registry_are_composed_as_files_are() {
    let registry = Embedded::start().await;
    publish(registry.address(), "demo/greeter", "1.0.3", GREETER).await;
    publish(registry.address(), "other/name", "0.1.0", GREETER).await;
    let digest = Digest::of(GREETER);
    let server = Script::new().always("GET /greeter.wasm", Reply::ok(GREETER)).start().await;
    let local = Cli::new();
    write_dependent(&local, "\"demo:greeter/greet@1.0.0\" = { path = \"greeter.wasm\" }");
    std::fs::write(local.path("work/greeter.wasm"), GREETER).expect("a file in a temporary directory");
    let expected = local.run(["push", "oci:out:v1"]).await.success();
    for dependency in [
        "\"1\"".to_owned(),
        "{ version = \"~1.0\" }".to_owned(),
        format!("{{ version = \"1\", registry = \"{}\" }}", registry.address()),
        "{ version = \"=0.1.0\", package = \"other:name\" }".to_owned(),
        format!("{{ url = \"{}/greeter.wasm\", digest = \"{digest}\" }}", server.origin()),
    ] {
        let cli = Cli::new();
        configure(&cli, &format!("default_registry = \"{}\"", registry.address()));
        write_dependent(&cli, &format!("\"demo:greeter/greet@1.0.0\" = {dependency}"));
        assert_eq!(cli.run(["push", "oci:out:v1"]).await.success(), expected, "{dependency}");
        cli.run(["prepare", "spin.toml", "--to", "ready", "--offline"]).await.success();
    }
    server.finish();
}

#[tokio::test]
async fn a_registry_says_where_its_packages_are() {
    let registry = Embedded::start().await;
    let (address, wasm) = (registry.address(), component(1));
    publish(address, "pkgs/space/name", "1.0.0", &wasm).await;
    let elsewhere = format!(r#"{{"oci":{{"registry":"{address}","namespacePrefix":"pkgs/"}}}}"#);
    let document = Script::new().always("GET /moved.json", Reply::ok(elsewhere.clone())).start().await;
    let old = format!(r#"{{"ociRegistry":"{address}","ociNamespacePrefix":"pkgs/"}}"#);
    let found = |reply: Reply| (reply, None);
    let lost = |reply: Reply, code: i32, said: &'static str| (reply, Some((code, said)));
    let page = "<!doctype html><title>Sign in</title>";
    for (reply, expected) in [
        found(Reply::ok(elsewhere.clone())),
        found(Reply::ok(old).header("content-type", "text/plain")),
        found(Reply::redirect(302, format!("{}/moved.json", document.origin()))),
        // Silence, in all its forms, leaves the registry itself, which has no such repository.
        lost(Reply::status(404), 3, "manifest `1.0.0` was not found"),
        lost(Reply::status(401), 3, "manifest `1.0.0` was not found"),
        lost(Reply::ok(page).header("content-type", "text/html"), 3, "manifest `1.0.0` was not found"),
        lost(Reply::ok("{}"), 3, "manifest `1.0.0` was not found"),
        lost(Reply::ok("{\"oci\":"), 1, "its registry describes itself by something else than it should"),
        lost(Reply::ok("[1]"), 1, "a JSON object"),
        lost(Reply::ok("x".repeat(70_000)), 1, "a registry describes itself in at most 64 KiB"),
        lost(
            Reply::ok("{\"preferredProtocol\":\"warg\"}"),
            1,
            "by the protocol `warg`: this tool asks registries by `oci`, and nobody runs registries of the protocol",
        ),
        lost(Reply::ok("{\"oci\":{\"namespacePrefix\":\"../\"}}"), 1, "`../space/name` is no name of a repository"),
    ] {
        let cli = Cli::new();
        let front = Front::before(address).meddle("GET /.well-known/*", [Meddle::Instead(reply.clone())]).start().await;
        write_app(&cli, &source(&front.registry(), "1.0.0"));
        let run = cli.run(["push", "oci:out:v1"]).await;
        match expected {
            None => {
                run.success();
                verify(&cli.path("cache/spin/registry"));
            }
            Some((code, said)) => {
                let complaint = run.failure(code);
                assert!(complaint.contains(said) && complaint.contains("spin.toml:8:10"), "{reply:?}: {complaint}");
            }
        }
    }
    document.finish();
}

#[tokio::test]
async fn the_configuration_says_where_packages_are() {
    let registry = Embedded::start().await;
    let address = registry.address();
    publish(address, "p/space/name", "1.0.0", &component(1)).await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir_all(directory.path().join("space/name")).expect("a directory of our own");
    for (version, mark) in [("1.0.0", 2), ("1.1.0", 3), ("no-version", 4)] {
        let file = directory.path().join("space/name").join(format!("{version}.wasm"));
        std::fs::write(file, component(mark)).expect("a file of our own");
    }
    let custom = format!("metadata = {{ oci = {{ registry = \"{address}\", namespacePrefix = \"p/\" }} }}");
    let local = format!("[registry.\"disk.lan\".local]\nroot = {:?}\n", directory.path());
    for (config, expected) in [
        (format!("[namespace_registries]\nspace = {{ registry = \"mine\", {custom} }}"), Ok(component(1))),
        (
            format!("[package_registry_overrides]\n\"space:name\" = {{ registry = \"mine\", {custom} }}"),
            Ok(component(1)),
        ),
        (format!("[namespace_registries]\nspace = \"disk.lan\"\n{local}"), Ok(component(3))),
        (format!("default_registry = \"disk.lan\"\n{local}"), Ok(component(3))),
        (String::new(), Err("no registry is known for the namespace `space`")),
        (
            "default_registry = \"old.example\"\n[registry.\"old.example\".warg]\nurl = \"https://old.example\""
                .to_owned(),
            Err("`[registry.\"old.example\"]` in `"),
        ),
        (
            "default_registry = \"old.example\"\n[registry.\"old.example\"]\ntype = \"warg\"".to_owned(),
            Err("config.toml` names the protocol `warg`: this tool asks registries by `oci`, and nobody runs"),
        ),
        ("default_registry = 1".to_owned(), Err("config.toml:1:20: `default_registry` has to be a string")),
        (
            "[registry.\"r\".oci]\nauth = { username = \"a\", pasword = \"correct-horse\" }".to_owned(),
            Err("config.toml:2:8: the key `password` is missing"),
        ),
    ] {
        let cli = Cli::new().secret("correct-horse");
        configure(&cli, &config);
        write_app(&cli, "source = \"main.wasm\"\n[component.site.dependencies]\n\"space:name\" = \"1\"");
        match expected {
            Ok(wasm) => assert_eq!(chosen(&cli, "1", &[]).await, Ok(wasm), "{config}"),
            Err(said) => {
                std::fs::write(cli.path("work/main.wasm"), component(0)).expect("a file in a temporary directory");
                let complaint = cli.run(["push", "oci:out:v1"]).await.failure(1);
                assert!(complaint.contains(said), "{config}: {complaint}");
            }
        }
    }
    let mine = registry.wire().lines();
    assert!(!mine.iter().any(|line| line.contains("well-known")), "what the user says is not asked for: {mine:?}");
}

#[tokio::test]
async fn the_configuration_names_authorities_of_one_registry() {
    let registry = Embedded::start().await;
    publish(registry.address(), "space/name", "1.0.0", &component(1)).await;
    let (authority, other) = (Authority::new(), Authority::new());
    let front = Front::before(registry.address()).start_tls(&authority).await;
    let name = format!("localhost:{}", front.address().port());
    let trusting = |registry: &str, authority: &Authority| {
        let pem = std::fs::read_to_string(authority.file()).expect("a file of our own");
        format!(
            "[registry.\"{registry}\".oci]\nextra_root_certificates = [{{ encoding = \"pem\", data = \"\"\"\n{pem}\"\"\" }}]\n"
        )
    };
    for (config, is_trusted) in [
        (trusting(&name, &authority), true),
        (trusting(&name, &other), false),
        (trusting("localhost:1", &authority), false),
    ] {
        let cli = Cli::new();
        configure(&cli, &config);
        write_app(&cli, &source(&name, "1.0.0"));
        let run = cli.run(["push", "oci:out:v1"]).await;
        if is_trusted {
            run.success();
            verify(&cli.path("cache/spin/registry"));
        } else {
            let complaint = run.failure(6);
            assert!(complaint.contains("certificate"), "{complaint}");
        }
    }
}

#[tokio::test]
async fn credentials_go_to_the_right_host_only() {
    let registry = Embedded::start().await;
    publish(registry.address(), "space/name", "1.0.0", &component(1)).await;
    let guard = Guard::basic("ada", "correct-horse");
    let front = Front::before(registry.address()).guarded(&guard).start().await;
    let auths = format!("{{\"auths\":{{\"{}\":{{\"auth\":\"YWRhOmNvcnJlY3QtaG9yc2U=\"}}}}}}", front.registry());
    let config = format!(
        "[registry.\"{}\".oci]\nauth = {{ username = \"ada\", password = \"correct-horse\" }}",
        front.registry()
    );
    // From the store of logins, and from the configuration of packages.
    for (variable, config) in [(auths.as_str(), ""), ("{}", config.as_str())] {
        let cli = Cli::new().env("DOCKER_AUTH_CONFIG", variable).secret("correct-horse");
        configure(&cli, config);
        write_app(&cli, &source(&front.registry(), "1.0.0"));
        cli.run(["--log", "trace", "push", "oci:out:v1"]).await.success();
        verify(&cli.path("cache/spin/registry"));
    }
    let said = {
        let cli = Cli::new();
        write_app(&cli, &source(&front.registry(), "1.0.0"));
        cli.run(["push", "oci:out:v1"]).await.failure(4)
    };
    assert!(said.contains(&format!("hint: log in with `spinreg login {}`", front.registry())), "{said}");

    // A registry that says its packages are elsewhere gets nobody's password sent there.
    let stranger = Script::new()
        .on("GET /v2/space/name/manifests/1.0.0", Reply::status(401).header("www-authenticate", "Basic realm=\"x\""))
        .without("authorization")
        .start()
        .await;
    let liar = Script::new()
        .on(
            "GET /.well-known/wasm-pkg/registry.json",
            Reply::ok(format!(r#"{{"oci":{{"registry":"{}"}}}}"#, stranger.address())),
        )
        .without("authorization")
        .start()
        .await;
    let cli = Cli::new().secret("correct-horse");
    let auth = "auth = { username = \"ada\", password = \"correct-horse\" }";
    configure(&cli, &format!("[registry.\"{}\".oci]\n{auth}", liar.address()));
    write_app(&cli, &source(&liar.address().to_string(), "1.0.0"));
    cli.run(["--log", "trace", "push", "oci:out:v1"]).await.failure(4);
    stranger.finish();
    liar.finish();
}

#[tokio::test]
async fn content_is_verified_and_gone_on_with() {
    let registry = Embedded::start().await;
    publish(registry.address(), "space/name", "1.0.0", &component(1)).await;
    let blob = "GET /v2/space/name/blobs/*";
    for (meddling, code) in
        [(vec![Meddle::Cut(300, End::Close)], 0), (vec![Meddle::Spoil, Meddle::Spoil], 5), (vec![Meddle::Spoil], 5)]
    {
        let cli = Cli::new();
        cli.configure("[network]\nbackoff_min = \"1ms\"\nbackoff_max = \"1ms\"\n");
        let front = Front::before(registry.address()).meddle(blob, meddling).start().await;
        write_app(&cli, &source(&front.registry(), "1.0.0"));
        let run = cli.run(["push", "oci:out:v1"]).await;
        assert_eq!(run.code(), Some(code), "{run:?}");
        verify(&cli.path("cache/spin/registry"));
        assert_eq!(files_below(&cli.path("cache/spin/registry/wasm")).len(), usize::from(code == 0));
    }
}

#[tokio::test]
async fn what_is_no_package_is_said_to_be_none() {
    let registry = Embedded::start().await;
    publish(registry.address(), "space/name", "1.0.0", b"text, and no component").await;
    let cli = Cli::new();
    for (version, code, expected) in [
        ("1.0.0", 1, "of the component `site` is not WebAssembly: it begins with 74 65 78 74"),
        ("1.0.1", 3, "`space/name` has no such version; it has `1.0.0`"),
    ] {
        write_app(&cli, &source(&registry.address().to_string(), version));
        let said = cli.run(["push", "oci:out:v1"]).await.failure(code);
        assert!(said.replace(&format!("{}/", registry.address()), "").contains(expected), "{said}");
    }
    let front = Front::before(registry.address());
    let index = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let empty = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;
    let reply = |text: &'static str, kind: &str| Meddle::Instead(Reply::ok(text).header("content-type", kind));
    let front = front
        .meddle(
            "GET /v2/space/name/manifests/*",
            [
                reply(index, "application/vnd.oci.image.index.v1+json"),
                reply(empty, "application/vnd.oci.image.manifest.v1+json"),
            ],
        )
        .start()
        .await;
    for expected in ["is no package: it is an index", "is no package: it has no layers"] {
        write_app(&cli, &source(&front.registry(), "1.0.0"));
        let said = cli.run(["push", "oci:out:v1"]).await.failure(1);
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test]
async fn what_lowers_the_guard_is_meant_for_the_target_alone() {
    let (packages, target) = (Embedded::start().await, Embedded::start().await);
    publish(packages.address(), "space/name", "1.0.0", &component(1)).await;
    let guarded = Front::before(packages.address()).called("packages.test").start().await;
    let cli = Cli::new();
    cli.configure(&format!("[host.\"packages.test\"]\nconnect = \"{}\"\n", guarded.address()));
    write_app(&cli, &source("packages.test", "1.0.0"));
    // The host of the packages speaks plain HTTP; nobody has said that this is well.
    let said = cli.run(["push", "--plain-http", &target.reference("app:v1")]).await.failure(6);
    assert!(said.contains("the server speaks plain HTTP where TLS was expected"), "{said}");
    assert!(guarded.wire().lines().is_empty());
    configure(&cli, "[registry.\"packages.test\".oci]\nprotocol = \"http\"");
    cli.run(["push", "--plain-http", &target.reference("app:v1")]).await.success();
}

const MAIN: &[u8] = include_bytes!("../fixtures/spin/apps/dep-app/main.wasm");
const GREETER: &[u8] = include_bytes!("../fixtures/spin/apps/dep-app/greeter.wasm");
