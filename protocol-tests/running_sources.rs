//! Running what is elsewhere: registries, layouts and archives, and manifests whose components are downloads and packages.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use spinreg::Digest;

use crate::support::cli::Cli;
use crate::support::packages::{component, publish, write_app};
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::root;
use crate::support::scenario::app;
use crate::support::script::Script;
use crate::support::stand_in::StandIn;

fn lock(stand_in: &StandIn) -> Value {
    let text = fs::read_to_string(stand_in.record("http", "work/spin.lock")).expect("a lock file");
    serde_json::from_str(&text).expect("JSON")
}

/// Returns the content of all components that the executor was given.
fn components(stand_in: &StandIn) -> BTreeSet<Vec<u8>> {
    let lock = lock(stand_in);
    let components = lock["components"].as_array().expect("components");
    let paths = components.iter().map(|component| component["source"]["source"].as_str().expect("a URL"));
    // What was made on the way is in the working directory, which is gone; the stand-in has kept it.
    let kept = |path: &str| match path.split_once("/wasm/").filter(|_| path.contains("/spinup-")) {
        Some((_, name)) => stand_in.record("http", "work/wasm").join(name),
        None => path.into(),
    };
    paths.map(|url| fs::read(kept(url.strip_prefix("file://").expect("a file"))).expect("a component")).collect()
}

#[tokio::test]
async fn applications_are_run_from_wherever_they_are_published() {
    let stand_in = StandIn::new();
    let cli = &stand_in.cli;
    let host = Cli::new();
    let serving = host.serve().await;
    let site = app("static-site");
    let wasm = fs::read(root("fixtures/spin/apps/inline-trigger/app.wasm")).expect("a fixture");
    fs::write(cli.path("work/one.wasm"), &wasm).expect("a file");
    let host_name = serving.registry().to_owned();
    let registry = |name: &str| format!("{host_name}/{name}:v1");
    for target in [registry("apps/site"), "oci:layout:v1".to_owned(), "oci-archive:site.tar:v1".to_owned()] {
        cli.run(["push", "-f", &site, &target]).await.success();
        for flag in ["-f", "--from-registry"] {
            cli.run(["up", flag, &target, "--quiet"]).await.success();
            assert_eq!(lock(&stand_in)["metadata"]["name"], "static-site", "{target}");
            assert!(stand_in.was_started("redis") && !stand_in.environment("http").contains_key("SPIN_LOCAL_APP_DIR"));
            stand_in.assert_tidy();
            stand_in.forget(&["http", "redis"]);
        }
    }
    for target in [registry("acme/one"), "oci:other:v1".to_owned(), "oci-archive:one.tar:v1".to_owned()] {
        cli.run(["push", "-f", "one.wasm", &target]).await.success();
        cli.run(["up", "-f", &target]).await.success();
        assert_eq!(lock(&stand_in)["triggers"][0]["trigger_config"]["route"], "/...", "{target}");
        assert_eq!(components(&stand_in), BTreeSet::from([wasm.clone()]), "{target}");
        stand_in.forget(&["http"]);
    }
    serving.kill().await;
    cli.run(["up", "--offline", "-f", &registry("apps/site")]).await.success();
    cli.run(["up", "-f", &registry("apps/site")]).await.failure(6);
}

#[tokio::test]
async fn downloads_and_packages_are_run_and_again_without_a_network() {
    let stand_in = StandIn::new();
    let cli = &stand_in.cli;
    let (downloaded, packaged) = (component(1), component(2));
    let server = Script::new().on("GET /a.wasm", Reply::ok(downloaded.clone())).start().await;
    let registry = Embedded::start().await;
    publish(registry.address(), "space/name", "1.0.0", &packaged).await;
    write_app(
        cli,
        &format!(
            "source = {{ url = \"{}/a.wasm\", digest = \"{}\" }}\n[[trigger.http]]\nroute = \"/p\"\ncomponent = \"pack\"\n\
             [component.pack]\nsource = {{ registry = \"{}\", package = \"space:name\", version = \"1.0.0\" }}",
            server.origin(),
            Digest::of(&downloaded),
            registry.address(),
        ),
    );
    // Without a network, and nothing here yet, all that is missing is named.
    let complaint = cli.run(["up", "--offline"]).await.failure(3);
    assert!(
        complaint.contains("/a.wasm`: it is not in the cache, and neither is the package `space:name`"),
        "{complaint}"
    );
    assert!(!stand_in.was_started("http") && registry.wire().take().iter().all(|line| !line.starts_with("GET")));

    cli.run(["up", "--listen", "127.0.0.1:1"]).await.success();
    assert_eq!(components(&stand_in), BTreeSet::from([downloaded.clone(), packaged.clone()]));
    assert_eq!(stand_in.lines("http", "flags"), ["--listen", "127.0.0.1:1"]);
    let work = cli.path("work").display().to_string();
    assert_eq!(stand_in.environment("http").get("SPIN_LOCAL_APP_DIR"), Some(&work));
    server.finish();
    registry.wire().take();

    // From here on everything is in the cache, so nobody is asked, whatever is said about asking.
    for flags in [&["--offline"][..], &["--pull", "never"], &["--pull", "missing"], &[]] {
        stand_in.forget(&["http"]);
        cli.run([&["up"], flags].concat()).await.success();
        assert_eq!(components(&stand_in), BTreeSet::from([downloaded.clone(), packaged.clone()]), "{flags:?}");
        assert_eq!(registry.wire().take(), Vec::<String>::new(), "{flags:?}");
        stand_in.assert_tidy();
    }
}

#[tokio::test]
async fn packages_are_composed_and_run_and_again_without_a_network() {
    let stand_in = StandIn::new();
    let cli = &stand_in.cli;
    let fixture = root("fixtures/spin/apps/dep-app");
    let registry = Embedded::start().await;
    let greeter = fs::read(fixture.join("greeter.wasm")).expect("a fixture");
    publish(registry.address(), "demo/greeter", "1.4.0", &greeter).await;
    fs::copy(fixture.join("main.wasm"), cli.path("work/main.wasm")).expect("a fixture");
    let text = fs::read_to_string(fixture.join("spin.toml")).expect("a fixture");
    let package = format!("{{ registry = \"{}\", version = \"^1.2\" }}", registry.address());
    let text = text.replace("{ path = \"greeter.wasm\" }", &package);
    fs::write(cli.path("work/spin.toml"), text).expect("a file");
    cli.run(["up", "-f", &app("dep-app")]).await.success();
    let expected = components(&stand_in);
    for (flags, requests) in [(&[][..], 4), (&["--offline"], 0), (&["--pull", "missing"], 0), (&[], 2)] {
        stand_in.forget(&["http"]);
        registry.wire().take();
        cli.run([&["up"], flags].concat()).await.success();
        assert_eq!(components(&stand_in), expected, "composed as with the file");
        let sent = registry.wire().take();
        assert_eq!(sent.len(), requests, "{flags:?}: {sent:?}");
    }
}
