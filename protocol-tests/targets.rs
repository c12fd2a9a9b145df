//! Environments: whether components can run where their manifest says that they should.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Uri;
use spinreg::content::{Blob, Body};
use spinreg::model::{Descriptor, Identifier, Manifest, Registry, Tag};
use spinreg::spin::{self, Access, Ask, Cache, Fetch, Fetching, LoadOptions, Sources, Storage, load_with};

use crate::support::cli::Cli;
use crate::support::packages::publish;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::script::Script;

/// The worlds of a host: what `http` triggers get, and what all others do.
const WIT: &str = "package test:host@1.2.0;
interface store { get: func() -> u32; }
interface extra { more: func(); }
world http { import store; export handle: func(); }
world wide { import store; import extra; export handle: func(); }
world platform { import store; }
";

/// A component that imports `store` (and `other`, where that is something), and exports `handle`.
fn component(other: &str, handle: &str) -> String {
    let other = if other.is_empty() { String::new() } else { format!("(import \"{other}\" (instance))") };
    format!(
        "(component (import \"test:host/store@1.1.0\" (instance (export \"get\" (func (result u32))))) {other}
         (core module $m (func (export \"f\"))) (core instance $i (instantiate $m))
         (func $f (canon lift (core func $i \"f\"))) (export \"{handle}\" (func $f)))"
    )
}

/// Writes an application that is built by doing nothing, with these targets; and the WIT of a host.
fn room(targets: &str, wat: &str) -> Cli {
    let cli = Cli::new();
    let manifest = format!(
        "spin_manifest_version = 2\n[application]\nname = \"app\"\ntargets = {targets}\n[[trigger.http]]\nroute = \"/...\"\n\
         component = \"site\"\n[component.site]\nsource = \"site.wat\"\nbuild.command = \"true\"\n"
    );
    fs::write(cli.path("work/spin.toml"), manifest).expect("a file in a temporary directory");
    fs::write(cli.path("work/site.wat"), wat).expect("a file in a temporary directory");
    fs::create_dir_all(cli.path("work/env/wit")).expect("a directory in a temporary directory");
    fs::write(cli.path("work/env/wit/host.wit"), WIT).expect("a file in a temporary directory");
    cli
}

fn define(cli: &Cli, path: &str, text: &str) {
    let path = cli.path(path);
    fs::create_dir_all(path.parent().expect("inside")).expect("a directory in a temporary directory");
    fs::write(path, text).expect("a file in a temporary directory");
}

/// Writes the WIT in its binary form.
fn encoded() -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_source("host.wit", WIT).expect("WIT");
    wit_component::encode(&resolve, package).expect("a package")
}

const BUILD: &[&str] = &["push", "--build", "oci:out:v1"];
const HTTP: &str = "triggers.http.worlds = [{ path = \"wit\", world = \"test:host/http@1.2.0\" }]";

#[tokio::test]
async fn components_are_held_to_the_worlds_of_an_environment() {
    for (definition, wat, expected) in [
        (HTTP, component("", "handle"), Ok(())),
        (
            HTTP,
            component("acme:db/query@1.0.0", "handle"),
            Err(
                "for triggers of the type `http` its world `test:host/http@1.2.0` does not have `acme:db/query@1.0.0`, which \
                 the component imports",
            ),
        ),
        (HTTP, component("", "run"), Err("demands `handle`, which the component does not export")),
        (
            HTTP,
            component("test:host/extra@1.2.0", "run"),
            Err("does not have `test:host/extra@1.2.0`, which the component imports, and demands `handle`, which"),
        ),
        (
            HTTP,
            component("", "handle").replace("(result u32)", "(result string)"),
            Err("has `test:host/store@1.1.0` of another type: "),
        ),
        // One world that fits is enough; where none does, the nearest is told.
        (
            "triggers.http.worlds = [{ path = \"wit\", world = \"test:host/http@1.2.0\" },
             { path = \"wit\", world = \"test:host/wide@1.2.0\" }]",
            component("test:host/extra@1.2.0", "handle"),
            Ok(()),
        ),
        (
            "triggers.http.worlds = [{ path = \"wit\", world = \"test:host/http@1.2.0\" },
             { path = \"wit\", world = \"test:host/platform@1.2.0\" }]",
            component("", "run").replace("test:host/store", "acme:a/b"),
            Err(
                "`test:host/platform@1.2.0` does not have `acme:a/b@1.1.0`, which the component imports; another world",
            ),
        ),
        // Triggers that are not listed get the default, or nothing.
        (
            "default.worlds = [{ path = \"wit\", world = \"test:host/platform\" }]\n[triggers]",
            component("", "x"),
            Ok(()),
        ),
        (
            "[triggers.redis]\nworlds = []",
            component("", "handle"),
            Err("the component `site` cannot run in the environment `host`: it has no triggers of the type `http`"),
        ),
        ("[triggers.http]\nworlds = []", component("acme:db/query@1.0.0", "x"), Ok(())),
        (
            "triggers.http.worlds = [{ path = \"wit\", world = \"test:host/htpp@1.2.0\" }]",
            component("", "handle"),
            Err(
                "the world `test:host/htpp@1.2.0` of the environment `host` cannot be read: the package has no world `htpp`",
            ),
        ),
        (
            "triggers.http.worlds = [{ path = \"wat\", world = \"test:host/http@1.2.0\" }]",
            component("", "handle"),
            Err("cannot be read: "),
        ),
    ] {
        let cli = room("[{ path = \"env/host.toml\" }]", &wat);
        define(&cli, "work/env/host.toml", definition);
        let run = cli.run(BUILD).await;
        match expected {
            Ok(()) => drop(run.success()),
            Err(said) => {
                let complaint = run.failure(1);
                assert!(complaint.contains(said) && complaint.contains("spin.toml:4:12: the"), "{said}: {complaint}");
                assert!(!cli.path("work/out").exists(), "nothing was pushed");
                // Without a build nobody is held to anything, as in Spin.
                cli.run(["push", "oci:out:v1"]).await.success();
            }
        }
    }
}

#[tokio::test]
async fn components_are_held_to_what_else_a_host_has() {
    let hosts = "allowed_outbound_hosts = [\"http://other.spin.internal\"]\n";
    let stores =
        "key_value_stores = [\"default\", \"carts\"]\nsqlite_databases = [\"default\"]\nai_models = [\"llama\"]\n";
    for (definition, lines, expected) in [
        ("", "", None),
        ("capabilities = [\"local_service_chaining\"]", hosts, None),
        ("", hosts, Some("it has no `local_service_chaining` for triggers of the type `http`")),
        ("[configuration]\nkey_value_stores = [\"default\", \"carts\"]", stores, None),
        ("[configuration]\nkey_value_stores = [\"default\"]", stores, Some("it has no key-value store `carts`")),
        ("[configuration]\nsqlite_databases = []", stores, Some("it has no SQLite database `default`")),
        ("[configuration]\nai_models = []", stores, Some("it has no AI model `llama`")),
    ] {
        let cli = room("[{ path = \"host.toml\" }]", "(component)");
        define(&cli, "work/host.toml", &format!("[triggers.http]\nworlds = []\n{definition}"));
        let manifest = fs::read_to_string(cli.path("work/spin.toml")).expect("a manifest") + lines;
        fs::write(cli.path("work/spin.toml"), manifest).expect("a file");
        let run = cli.run(BUILD).await;
        match expected {
            None => drop(run.success()),
            Some(said) => {
                let complaint = run.failure(1);
                let start = "the component `site` cannot run in the environment `host`: ";
                assert!(complaint.contains(&format!("{start}{said}")), "{complaint}");
            }
        }
    }
}

#[tokio::test]
async fn components_have_targets_of_their_own_and_are_composed_first() {
    let cli = room("[{ path = \"env/strict.toml\" }]", &component("acme:db/query@1.0.0", "handle"));
    define(&cli, "work/env/host.toml", HTTP);
    define(&cli, "work/env/strict.toml", "triggers = {}");
    fs::write(cli.path("work/db.wat"), "(component (instance $i) (export \"acme:db/query@1.0.0\" (instance $i)))")
        .expect("a file");
    let manifest = fs::read_to_string(cli.path("work/spin.toml")).expect("a manifest");
    let own = format!("{manifest}targets = [{{ path = \"env/host.toml\" }}]\n");
    fs::write(cli.path("work/spin.toml"), &own).expect("a file");
    let complaint = cli.run(BUILD).await.failure(1);
    assert!(
        complaint.contains("spin.toml:11:12: the component `site`") && complaint.contains("`acme:db/"),
        "{complaint}"
    );
    // What a dependency has, the environment need not have.
    fs::write(cli.path("work/spin.toml"), own + "dependencies.\"acme:db\" = { path = \"db.wat\" }\n").expect("a file");
    cli.run(BUILD).await.success();
    // `up` and `prepare` build as well, and are held to the same.
    fs::write(cli.path("work/spin.toml"), manifest).expect("a file");
    let complaint = cli.run(["prepare", ".", "--build", "--to", "ready"]).await.failure(1);
    assert!(complaint.contains("`strict`: it has no triggers of the type `http`"), "{complaint}");
    assert!(complaint.contains("hint: change the component, or `targets`"), "{complaint}");
    assert!(!cli.path("work/ready").exists());
}

#[tokio::test]
async fn worlds_come_from_registries_and_stay_in_the_cache() {
    let registry = Embedded::start().await;
    let address = registry.address();
    publish(address, "test/host", "1.2.0", &encoded()).await;
    publish(address, "wit/host", "stable", &encoded()).await;
    for (home, first, again) in [
        (
            format!("registry = \"{address}\""),
            &["GET /.well-known", "GET /v2/test/host/manifests/1.2.0", "GET /v2/test/host/blobs/"][..],
            &[][..],
        ),
        (
            format!("reference = \"{address}/wit/host:stable\""),
            &["GET /v2/wit/host/manifests/stable", "GET /v2/wit/host/blobs/"],
            &["GET /v2/wit/host/manifests/stable"],
        ),
    ] {
        let cli = room("[{ path = \"host.toml\" }]", &component("acme:db/query@1.0.0", "handle"));
        let world = format!("{{ {home}, world = \"test:host/http@1.2.0\" }}");
        define(
            &cli,
            "work/host.toml",
            &format!("triggers.http.worlds = [{world}]\ntriggers.redis.worlds = [\"no:such/world@1.0.0\"]"),
        );
        registry.wire().take();
        for expected in [first, again] {
            let complaint = cli.run(BUILD).await.failure(1);
            assert!(complaint.contains("does not have `acme:db/query@1.0.0`"), "{complaint}");
            let lines = registry.wire().take();
            assert!(
                lines.len() == expected.len()
                    && lines.iter().zip(expected).all(|(line, start)| line.starts_with(start)),
                "{lines:?}"
            );
        }
        let offline = &["prepare", ".", "--build", "--offline", "--to", "ready"];
        assert!(cli.run(offline).await.failure(1).contains("does not have `acme:db/query@1.0.0`"));
        fs::remove_dir_all(cli.path("cache")).expect("a directory of our own");
        let complaint = cli.run(offline).await.failure(3);
        assert!(complaint.contains("spin.toml:4:12: the target `host.toml` wants "), "{complaint}");
        assert!(complaint.contains("it is not in the cache"), "{complaint}");
        assert_eq!(registry.wire().take(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn definitions_come_from_elsewhere_and_are_asked_for_again() {
    let definition = "[triggers.redis]\nworlds = []";
    let server = Script::new()
        .on_each("GET /strict.toml?v=1", vec![Reply::ok(definition), Reply::ok(definition), Reply::status(404)])
        .without("authorization")
        .start()
        .await;
    let cli = room(&format!("[{{ url = \"{}/strict.toml?v=1\" }}]", server.origin()), "(component)");
    for _ in 0..2 {
        let complaint = cli.run(BUILD).await.failure(1);
        assert!(complaint.contains("the environment `strict`: it has no triggers of the type `http`"), "{complaint}");
    }
    let offline = &["prepare", ".", "--build", "--offline", "--to", "ready"];
    assert!(cli.run(offline).await.failure(1).contains("it has no triggers of the type"), "what was kept has to do");
    let complaint = cli.run(BUILD).await.failure(3);
    assert!(complaint.contains("spin.toml:4:12: the target `http://127.0.0.1:"), "{complaint}");
    server.finish();

    for (reply, said) in [
        (Reply::ok("<!doctype html>"), "what is there is no definition of an environment"),
        (Reply::ok("a = 1 #".to_owned() + &" ".repeat(1 << 20)), "it is longer than 1 MiB"),
        (Reply::ok("trigger = {}"), "/e.toml:1:1: unknown key `trigger`; did you mean `triggers`?"),
        (
            Reply::ok("triggers.http.worlds = [{ path = \"/etc\", world = \"a:b/c\" }]"),
            "the path `/etc` is one of this computer, and the definition comes from elsewhere",
        ),
    ] {
        let server = Script::new().on("GET /e.toml", reply).start().await;
        let cli = room(&format!("[{{ url = \"{}/e.toml\" }}]", server.origin()), "(component)");
        let complaint = cli.run(BUILD).await.failure(1);
        assert!(complaint.contains(said), "{complaint}");
        server.finish();
    }
    for (target, said) in [
        ("{ url = \"ftp://x/e.toml\" }", "spin.toml:4:12: the url `ftp://x/e.toml` has to be an address"),
        ("{ path = \"gone.toml\" }", "gone.toml` has to be a file that is there"),
        ("\"../../etc@1\"", "spin.toml:4:12: the target `../../etc@1` has to be a name such as `spin-up@3.5`"),
        ("\"a@1@2\"", "the target `a@1@2` has to be a name"),
        ("\"\"", "the target `` has to be a name"),
    ] {
        let complaint = room(&format!("[{target}]"), "(component)").run(BUILD).await.failure(1);
        assert!(complaint.contains(said), "{complaint}");
    }
}

/// A catalogue that everybody can reach, and what was asked of it.
#[derive(Clone, Default)]
struct Catalogue {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fetch for Catalogue {
    fn download<'a>(&'a self, url: &'a Uri, _: u64) -> Fetching<'a, Body> {
        self.asked.lock().expect("nobody panics").push(url.to_string());
        Box::pin(async { Ok(Body::from_bytes("[triggers.redis]\nworlds = []")) })
    }

    fn metadata<'a>(&'a self, _: &'a Registry, _: &'a Access) -> Fetching<'a, Option<Bytes>> {
        Box::pin(async { Ok(None) })
    }

    fn tags<'a>(&'a self, _: &'a Storage) -> Fetching<'a, Vec<Tag>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn manifest<'a>(&'a self, _: &'a Storage, _: &'a Identifier) -> Fetching<'a, Manifest> {
        Box::pin(async { Err("no tag".parse::<Tag>().expect_err("it has a space").into()) })
    }

    fn blob<'a>(&'a self, _: &'a Storage, descriptor: &'a Descriptor) -> Fetching<'a, Blob> {
        Box::pin(async move { Ok(Blob::from_bytes(descriptor.media_type.clone(), Vec::new())) })
    }
}

#[tokio::test]
async fn spins_environments_have_names_and_versions() {
    let base = "https://raw.githubusercontent.com/spinframework/spin-environments/main/envs";
    for (target, urls) in [
        // A version does not change, so it is asked for once.
        ("spin-up@3.5", vec![format!("{base}/spin-up/spin-up@3.5.toml")]),
        ("spin-up:3.5", vec![format!("{base}/spin-up/spin-up@3.5.toml")]),
        ("cloud", vec![format!("{base}/cloud/cloud.toml"); 2]),
    ] {
        let cli = room(&format!("[\"{target}\"]"), "(component)");
        let catalogue = Catalogue::default();
        let sources = |ask| Sources::new(Cache::at(cli.path("cache/spin")), Arc::new(catalogue.clone())).asking(ask);
        for ask in [Ask::Always, Ask::Always, Ask::Missing, Ask::Never] {
            let complaint = check(&cli.path("work"), &sources(ask)).await;
            let expected = format!("the environment `{target}`: it has no triggers of the type `http`");
            assert!(complaint.contains(&expected), "{complaint}");
        }
        assert_eq!(*catalogue.asked.lock().expect("nobody panics"), urls);
    }

    // What Spin has fetched will do.
    let cli = room("[\"mine@1\"]", "(component)");
    define(&cli, "cache/spin/environments/envs/mine/mine@1.toml", "[triggers.redis]\nworlds = []");
    let complaint = cli.run(["prepare", ".", "--build", "--offline", "--to", "ready"]).await.failure(1);
    assert!(complaint.contains("the environment `mine@1`: it has no triggers"), "{complaint}");
    let cli = room("[\"mine@2\"]", "(component)");
    let complaint = cli.run(["prepare", ".", "--build", "--offline", "--to", "ready"]).await.failure(3);
    assert!(
        complaint.contains("wants the environment `mine@2` of Spin's catalogue: it is not in the cache"),
        "{complaint}"
    );
}

async fn check(work: &Path, sources: &Sources) -> String {
    let app = load_with(&PathBuf::from(work), &LoadOptions::default(), sources).await.expect("it loads");
    match app.check_targets(sources).await {
        Err(error @ spin::Error::Target(_)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}
