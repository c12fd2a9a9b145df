//! No connection: what is found without one, and what is refused before one is made.

use std::io::ErrorKind;
use std::net::TcpListener;

use spinreg::Digest;

use crate::support::cli::Cli;
use crate::support::registry::Embedded;
use crate::support::scenario::{app, pull, push};

#[tokio::test]
async fn nothing_is_connected_to() {
    // Whoever connects waits in its queue, whether or not anything is ever said.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let address = listener.local_addr().expect("it has an address").to_string();
    let proxy = format!("http://{address}");
    let cli = Cli::new().env("HTTP_PROXY", &proxy).env("HTTPS_PROXY", &proxy).env("ALL_PROXY", &proxy);
    let site = app("static-site");
    std::fs::write(cli.path("work/blob"), "blob").expect("a file in a temporary directory");
    for registry in [address.as_str(), "registry.example"] {
        let (reference, blob) = (format!("{registry}/a/b:v1"), format!("{registry}/a/b@{}", Digest::of(b"blob")));
        for (arguments, code) in [
            (vec!["pull", &reference], 3),
            (vec!["pull", "--dry-run", &reference], 2),
            (vec!["push", "-f", &site, &reference], 2),
            (vec!["prepare", &reference, "--to", "o"], 3),
            (vec!["inspect", &reference], 3),
            (vec!["resolve", &reference], 3),
            (vec!["manifest", "get", &reference], 3),
            (vec!["manifest", "head", &reference], 3),
            (vec!["blob", "get", &blob], 3),
            (vec!["blob", "head", &blob], 3),
            (vec!["blob", "put", "blob", &reference], 2),
            (vec!["blob", "delete", "--yes", &blob], 2),
            (vec!["diff", &reference, &reference], 3),
            (vec!["copy", &reference, "oci:out:v1"], 2),
            (vec!["tags", &reference], 2),
            (vec!["tag", &reference, "v2"], 2),
            (vec!["delete", "--yes", &reference], 2),
            (vec!["referrers", &reference], 2),
            (vec!["login", registry, "-u", "ada", "-p", "secret-of-ada"], 2),
            (vec!["doctor", &reference], 2),
        ] {
            let complaint = cli.run([&["--offline"], arguments.as_slice()].concat()).await.failure(code);
            assert!(complaint.contains("`--offline`") && complaint.contains("hint: "), "{arguments:?}: {complaint}");
        }
    }
    listener.set_nonblocking(true).expect("a socket of ours");
    assert_eq!(listener.accept().expect_err("somebody has connected").kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn what_was_pulled_is_found() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let (v1, v2) = (registry.reference("app:v1"), registry.reference("app:v2"));
    push(&cli, &app("static-site"), &v1, &[]).await;
    push(&cli, &app("inline-trigger"), &v2, &[]).await;
    pull(&cli, &v1, &[]).await;
    pull(&cli, &v2, &[]).await;
    let manifest: serde_json::Value =
        serde_json::from_str(&cli.run(["manifest", "get", &v2]).await.success()).expect("a manifest");
    let wasm = manifest["layers"][0]["digest"].as_str().expect("a digest");
    let blob = format!("{}@{wasm}", registry.reference("app"));
    for arguments in [
        vec!["pull", "--quiet", &v1],
        vec!["inspect", "--json", &v1],
        vec!["resolve", &v1],
        vec!["manifest", "get", &v1],
        vec!["manifest", "head", "--json", &v1],
        vec!["blob", "head", &blob],
        vec!["blob", "get", "--output", "blob", &blob],
        vec!["diff", "--json", &v1, &v2],
        vec!["prepare", &v1, "--to", "out"],
    ] {
        let there = cli.run(&arguments).await.success();
        registry.wire().take();
        assert_eq!(cli.run([&["--offline"], arguments.as_slice()].concat()).await.success(), there, "{arguments:?}");
        assert_eq!(registry.wire().take(), [] as [String; 0], "{arguments:?}");
    }
    assert_eq!(
        std::fs::read(cli.path("work/blob")).map(|bytes| Digest::of(&bytes).to_string()).ok().as_deref(),
        Some(wasm)
    );
}

#[tokio::test]
async fn layouts_and_archives_need_no_network() {
    let cli = Cli::new().env("SPINREG_OFFLINE", "yes");
    push(&cli, &app("static-site"), "oci:out:v1", &[]).await;
    for arguments in
        [&["copy", "oci:out:v1", "oci-archive:out.tar:v1"][..], &["pull", "oci:out:v1"], &["tags", "oci:out"]]
    {
        cli.run(arguments).await.success();
    }
}
