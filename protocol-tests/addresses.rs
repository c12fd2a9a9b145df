//! Names that have several addresses, some of them dead; and addresses of IP version 6.
//!
//! `localhost` is both of the addresses that it has, and the system is not asked for them.

use std::time::Duration;

use spinreg::error::UnreachableKind;

use crate::support::cli::Cli;
use crate::support::client::{PATIENCE, PAUSE, get, send, transport, unreachable, whole};
use crate::support::relay::{Dead, two_families};
use crate::support::reply::Reply;
use crate::support::scenario::main_job;
use crate::support::script::Script;
use crate::support::tls::Authority;

/// So long that nothing which waits for it ends.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn a_dead_address_does_not_keep_us_from_a_living_one() {
    let server = Script::new().on("GET /", Reply::ok("fine")).start().await;
    let (port, _dead, _door) = two_families(server.address(), Dead::on).await;
    let transport = transport(|options| (options.policy.connect, options.policy.happy_eyeballs) = (NEVER, PAUSE));
    let uri = format!("http://localhost:{port}/").parse().expect("a URI");
    let response = send(&transport, get(&uri)).await.expect("an answer");
    assert_eq!(whole(response).await, "fine");
    assert_eq!(server.seen()[0].headers["host"], format!("localhost:{port}"));
    server.finish();
}

#[tokio::test]
async fn an_address_that_refuses_makes_room_at_once() {
    let server = Script::new().on("GET /", Reply::ok("fine")).start().await;
    // A port that is taken, and where nobody listens.
    let (port, _taken, _door) = two_families(server.address(), async |socket| socket).await;
    let transport = transport(|options| options.policy.happy_eyeballs = NEVER);
    let uri = format!("http://localhost:{port}/").parse().expect("a URI");
    let response = send(&transport, get(&uri)).await.expect("an answer");
    assert_eq!(whole(response).await, "fine");
    server.finish();
}

#[tokio::test]
async fn a_host_that_is_dead_is_waited_for_as_long_as_is_said() {
    let server = Script::new().start().await;
    let (port, _dead, _door) = two_families(server.address(), Dead::on).await;
    let transport = transport(|options| (options.policy.connect, options.policy.attempts) = (PATIENCE, 2));
    let uri = format!("http://127.0.0.1:{port}/").parse().expect("a URI");
    let failure = unreachable(send(&transport, get(&uri)).await, UnreachableKind::TimedOut);
    assert_eq!(failure.attempts, 2);
    server.finish();
}

#[tokio::test]
async fn who_refuses_is_named() {
    let server = Script::new().start().await;
    let (port, _taken, door) = two_families(server.address(), async |socket| socket).await;
    drop(door);
    let run = Cli::new().run(["pull", &format!("localhost:{port}/app:v1")]).await.failure(6);
    let said = format!("no connection to 127.0.0.1:{port}: Connection refused");
    assert!(run.contains(&said), "{run}");
    server.finish();
}

/// A registry whose name is an address of IP version 6: its challenges, its certificate, the keys of its credentials.
#[tokio::test]
async fn a_registry_at_an_ipv6_address_is_a_registry() {
    const PASSWORD: &str = "correct horse";
    let authority = Authority::new();
    let (certificate, key) = authority.server_files();
    let [certificate, key, ca] = [certificate, key, authority.file()].map(|path| path.display().to_string());
    for (auth, tls) in [("token", true), ("token", false), ("basic", true), ("basic", false)] {
        let cli = Cli::new().secret(PASSWORD);
        let users = cli.path("data/users");
        let line = format!("ada:{}\n", bcrypt::hash(PASSWORD, 4).expect("a hash"));
        std::fs::write(&users, line).expect("a file in a temporary directory");
        let mut serve = vec!["--auth", auth, "--htpasswd", users.to_str().expect("a path")];
        let mut flags = Vec::new();
        if tls {
            serve.extend(["--tls-cert", &certificate, "--tls-key", &key]);
            flags.extend(["--ca-file", &ca]);
        }
        let serving = cli.serve_at("[::1]:0", &serve).await;
        let registry = serving.registry();
        assert!(registry.starts_with("[::1]:"), "{registry}");
        let refused = cli.run([&["pull", &format!("{registry}/a/b")], &flags[..]].concat()).await.failure(4);
        assert!(refused.contains(&format!("spinreg login {registry}")), "{refused}");
        let login = [&["login", registry, "-u", "ada", "--password-stdin"], &flags[..]].concat();
        cli.run_with_input(&login, PASSWORD).await.success();
        main_job(&cli, registry, &flags).await;
        cli.run(["logout", registry]).await.success();
        cli.run([&["pull", &format!("{registry}/apps/static-site:v1"), "--cache-dir", "other"], &flags[..]].concat())
            .await
            .failure(4);
    }
}
