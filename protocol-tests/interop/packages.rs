//! oras publishes packages as other tools do; components are made of them, behind a password and through an own authority.

use std::path::Path;

use crate::support::cli::Cli;
use crate::support::packages::{component, configure, pushed_from_file, write_app};
use crate::support::peers::{self, Door, Foreign, Speech};
use crate::support::scenario::verify;
use crate::support::tls::Authority;
use crate::{PASSWORD, USER, login};

/// Publishes a version of `space:name` below `prefix`.
async fn publish(room: &Path, registry: &str, flags: &[&str], version: &str, wasm: &[u8]) {
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(room.join(name), bytes).expect("a file in a temporary directory");
        room.join(name).display().to_string()
    };
    let content = format!("{}:application/wasm", write("a.wasm", wasm));
    let config = format!("{}:application/vnd.wasm.config.v0+json", write("config.json", b"{}"));
    let reference = format!("{registry}/prefix/space/name:{version}");
    let push =
        ["push", "--disable-path-validation", "-u", USER, "-p", PASSWORD, "--config", &config, &reference, &content];
    peers::run("oras", &[&push, flags].concat(), &[("HOME", room), ("DOCKER_CONFIG", room)]).await;
}

#[tokio::test]
async fn components_are_made_of_what_oras_publishes() {
    let authority = Authority::new();
    let ca = authority.file().to_str().expect("a path").to_owned();
    let (certificate, key) = authority.server_files();
    for (name, speech, flags, trust) in [
        ("docker-registry", Speech::Plain, vec!["--plain-http"], vec![]),
        (
            "distribution",
            Speech::Tls { certificate, key },
            vec!["--plain-http=false", "--ca-file", &ca],
            vec!["--ca-file", &ca],
        ),
    ] {
        let registry = Foreign::distribution(name, Door::Basic, &speech).await;
        let host = format!("localhost:{}", registry.address().port());
        let room = tempfile::tempdir().expect("a temporary directory");
        for (version, mark) in [("1.0.0", 1), ("1.1.0", 2), ("2.0.0-beta", 3)] {
            publish(room.path(), &host, &flags, version, &component(mark)).await;
        }
        let cli = Cli::new().secret(PASSWORD).secret("incorrect horse");
        login(&cli, &host, &trust).await;
        let metadata = format!("metadata = {{ oci = {{ registry = \"{host}\", namespacePrefix = \"prefix/\" }} }}");
        configure(&cli, &format!("[namespace_registries]\nspace = {{ registry = \"space\", {metadata} }}"));
        write_app(&cli, "source = { package = \"space:name\", version = \"1.0.0\" }");
        let pushed = cli.run([&["push", "oci:out:v1"], &trust[..]].concat()).await.success();
        assert_eq!(pushed, pushed_from_file(&component(1)).await, "where it came from makes no difference");
        let wants = "source = \"main.wasm\"\n[component.site.dependencies]\n\"space:name\" = \"^1\"";
        write_app(&cli, wants);
        std::fs::write(cli.path("work/main.wasm"), component(0)).expect("a file in a temporary directory");
        let apart = [&["push", "--compose=false", "oci:out:v2"], &trust[..]].concat();
        let run = cli.run(apart).await;
        assert!(run.stderr.contains(&format!("fetching `{host}/prefix/space/name:1.1.0`")), "{run:?}");
        run.success();
        verify(&cli.path("cache/spin/registry"));
    }
}
