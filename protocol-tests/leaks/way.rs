//! Secrets of the way to a registry: passwords of proxies, private keys of clients, and what token services give.

use std::path::Path;

use serde_json::json;

use crate::support::cli::Cli;
use crate::support::front::Front;
use crate::support::guard::Guard;
use crate::support::listen::closed_port;
use crate::support::registry::Embedded;
use crate::support::relay::{Socks, Tunnels};
use crate::support::reply::Reply;
use crate::support::scenario::app;
use crate::support::script::{Script, Scripted};
use crate::support::tls::Authority;

const PROXY: &str = "secret-of-the-proxy-horse";
const PASSWORD: &str = "secret-of-the-registry-horse";
const TUNNEL: &str = "HTTP/1.1 200 OK\r\n\r\n";

/// Logs in, pushes, pulls and logs out, at the loudest level; returns the exit codes.
async fn work(cli: &Cli, registry: &str) -> [Option<i32>; 4] {
    let (reference, app) = (format!("{registry}/app:v1"), app("inline-trigger"));
    let login = ["--log", "trace", "login", registry, "-u", "ada", "--password-stdin"];
    let flag = "--insecure-credentials";
    [
        cli.run_with_input([&login[..], &[flag]].concat(), PASSWORD).await.code(),
        cli.run(["--log", "trace", "push", "-f", &app, &reference, flag]).await.code(),
        cli.run(["--log", "trace", "pull", &reference, flag]).await.code(),
        cli.run(["--log", "trace", "logout", registry]).await.code(),
    ]
}

/// A tool that takes all ways through a proxy, and a configuration that leads `registry.test` to `place`.
fn behind(proxy: &str, place: &str, authority: &Authority) -> Cli {
    let cli = Cli::new().secret(PROXY).secret(PASSWORD).secret("test-token");
    cli.configure(&format!(
        "ca = '{}'\n[network]\nattempts = 1\n[host.\"registry.test\"]\n{place}\n",
        authority.file().display()
    ));
    cli.env("HTTP_PROXY", proxy).env("HTTPS_PROXY", proxy).env("ALL_PROXY", proxy)
}

/// Fails where somebody has seen what is for the proxy alone.
fn assert_unseen(peer: &Scripted) {
    for seen in peer.seen() {
        assert!(!seen.headers.contains_key("proxy-authorization"), "{seen:?}");
        assert!(!format!("{seen:?}").contains(PROXY), "{seen:?}");
    }
}

#[tokio::test]
async fn passwords_of_proxies_end_at_the_proxy() {
    let authority = Authority::new();
    let embedded = Embedded::start().await;
    let front = Front::before(embedded.address()).called("registry.test").guarded(&Guard::bearer("ada", PASSWORD));
    let front = front.start_tls(&authority).await;
    let registry = Script::new().always("*", Reply::status(404));
    let registry = registry.start_as(authority.server_named(&["registry.test"], &["h2", "http/1.1"])).await;
    for (place, codes) in [(front.address(), [Some(0); 4]), (registry.address(), [Some(1), Some(3), Some(3), Some(0)])]
    {
        let tunnels = Tunnels::to(place, TUNNEL).await;
        let socks = Socks::to(place, Some(("ada", PROXY))).await;
        for proxy in
            [format!("http://ada:{PROXY}@{}", tunnels.address()), format!("socks5h://ada:{PROXY}@{}", socks.address())]
        {
            assert_eq!(work(&behind(&proxy, "", &authority), "registry.test").await, codes, "{proxy}");
        }
        assert!(!tunnels.asked().is_empty() && !socks.asked().is_empty(), "nobody took the proxies' way");
    }
    assert_unseen(&registry);
    registry.finish();
}

/// A plain request goes to the proxy whole, with the password; where it leads, the next one goes without.
#[tokio::test]
async fn passwords_of_proxies_do_not_follow_redirects_around_them() {
    let authority = Authority::new();
    let foreign = Script::new().always("*", Reply::status(404)).start().await;
    let proxy = Script::new()
        .always("HEAD *", Reply::status(404))
        .always("POST *", Reply::status(202).header("location", "http://foreign.test/upload"))
        .always("*", Reply::redirect(307, "http://foreign.test/elsewhere"))
        .start()
        .await;
    let there =
        format!("plain_http = true\n[host.\"foreign.test\"]\nplain_http = true\nconnect = \"{}\"\n", foreign.address());
    let cli = behind(&format!("http://ada:{PROXY}@{}", proxy.address()), &there, &authority);
    let cli = cli.env("NO_PROXY", "foreign.test");
    for code in &work(&cli, "registry.test").await[1..3] {
        assert!(code.is_some_and(|code| code != 0), "{code:?}");
    }
    assert!(proxy.seen().iter().all(|seen| seen.headers.contains_key("proxy-authorization")));
    assert!(!foreign.seen().is_empty());
    assert_unseen(&foreign);
    proxy.finish();
    foreign.finish();
}

#[tokio::test]
async fn passwords_of_proxies_show_in_no_failure() {
    let authority = Authority::new();
    let nobody = closed_port().await;
    let refusing = "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"x\"\r\n\r\n";
    let refusing = Tunnels::to(nobody, refusing).await;
    let other = Socks::to(nobody, Some(("ada", "another-one"))).await;
    // Nobody asks a name server: what is no proxy at all leaves an address where nobody is.
    let connect = format!("connect = \"{nobody}\"");
    for (proxy, place) in [
        (format!("http://ada:{PROXY}@{}", refusing.address()), ""),
        (format!("socks5h://ada:{PROXY}@{}", other.address()), ""),
        (format!("http://ada:{PROXY}@{nobody}"), ""),
        (format!("https://ada:{PROXY}@{nobody}"), ""),
        (format!("socks5h://ada:{PROXY}@{nobody}"), ""),
        (format!("ftp://ada:{PROXY}@{nobody}"), &*connect),
        (format!("ada:{PROXY}@{nobody}"), &*connect),
        (format!("http://ada:{PROXY}@"), &*connect),
        (format!("http://ada:{PROXY}@[::1"), &*connect),
        (format!("http://ada:{PROXY}@no such host"), &*connect),
    ] {
        for speech in ["", "plain_http = true"] {
            let cli = behind(&proxy, &format!("{place}\n{speech}"), &authority);
            let codes = work(&cli, "registry.test").await;
            assert!(codes[..3].iter().all(|code| code.is_some_and(|code| code != 0)), "{proxy} {speech}: {codes:?}");
        }
    }
}

#[tokio::test]
async fn private_keys_stay_in_their_files() {
    let (authority, people) = (Authority::new(), Authority::new());
    let script = Script::new().always("*", Reply::status(404));
    let script = script.start_as(authority.server_for_clients_of(&people, &["localhost"])).await;
    let registry = super::host(&script);
    let (certificate, key) = people.client_files();
    let (_, other) = authority.client_files();
    let pem = std::fs::read_to_string(&key).expect("a key");
    let encrypted = pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let cut = pem.replace("-----END", "END");
    let broken = pem.replacen('M', "*", 1);
    let unlabelled: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    for (what, text, good) in [
        ("the key", pem.clone(), true),
        ("another one", std::fs::read_to_string(other).expect("a key"), false),
        ("an encrypted one", encrypted, false),
        ("one without an end", cut, false),
        ("one with a wrong sign", broken, false),
        ("one without a label", unlabelled, false),
    ] {
        for by in ["flags", "configuration", "certs.d"] {
            // The lines of the key, each of which would be too much.
            let lines = text.lines().filter(|line| !line.starts_with("---") && line.len() >= 16);
            let cli = lines.fold(Cli::new(), |cli, line| cli.secret(line));
            let file = cli.path("data/client.key");
            std::fs::write(&file, &text).expect("a file in a temporary directory");
            let reference = format!("{registry}/app:v1");
            let mut pull = vec!["--log", "trace", "pull", &reference];
            let (cert, file_text) = (text_of(&certificate), text_of(&file));
            let mut configuration = format!("ca = '{}'\n[network]\nattempts = 1\n", authority.file().display());
            match by {
                "flags" => pull.extend(["--cert", &cert, "--key", &file_text]),
                "configuration" => {
                    configuration += &format!("[host.\"{registry}\"]\ncert = '{cert}'\nkey = '{file_text}'\n");
                }
                _ => {
                    let directory = cli.path(format!("home/.docker/certs.d/{registry}"));
                    std::fs::create_dir_all(&directory).expect("a directory");
                    std::fs::copy(&certificate, directory.join("me.cert")).expect("a file");
                    std::fs::copy(&file, directory.join("me.key")).expect("a file");
                }
            }
            cli.configure(&configuration);
            let code = cli.run(pull).await.code();
            assert_eq!(code == Some(3), good, "{what} by {by}: {code:?}");
            assert!(code.is_some_and(|code| code != 0), "{what} by {by}");
        }
    }
    for seen in script.seen() {
        assert!(!format!("{seen:?}").contains(pem.lines().nth(1).expect("a key")), "{seen:?}");
    }
    script.finish();
}

fn text_of(path: &Path) -> String {
    path.to_str().expect("a path in Unicode").to_owned()
}

#[tokio::test]
async fn what_token_services_say_is_for_us_alone() {
    const TOKEN: &str = "secret-of-the-token-horse";
    const REFRESH: &str = "secret-of-the-refresh-horse";
    let good = json!({ "token": TOKEN, "access_token": TOKEN, "refresh_token": REFRESH, "expires_in": 60 });
    for (what, answer) in [
        ("good", Reply::ok(good.to_string())),
        ("no text", Reply::ok(json!({ "token": [TOKEN], "refresh_token": REFRESH }).to_string())),
        ("cut", Reply::ok(format!("{{\"refresh_token\":\"{REFRESH}\",\"token\":\"{TOKEN}"))),
        ("nothing that a header takes", Reply::ok(json!({ "token": format!("{TOKEN}\n") }).to_string())),
        ("no number", Reply::ok(json!({ "token": TOKEN, "expires_in": REFRESH }).to_string())),
        ("a page", Reply::ok(format!("<html>{TOKEN}</html>")).header("content-type", "text/html")),
        ("a text", Reply::ok(TOKEN).header("content-type", "text/plain")),
        ("a refusal with a token", Reply::status(403).body(good.to_string())),
        ("a cookie", Reply::ok(good.to_string()).header("set-cookie", format!("session={REFRESH}"))),
    ] {
        let script = Script::new()
            .always("* /token*", answer)
            .always("*", Reply::status(401).header("www-authenticate", "Bearer realm=\"{origin}/token\",service=\"x\""))
            .start()
            .await;
        let registry = script.address().to_string();
        let cli = Cli::new().secret(TOKEN).secret(REFRESH).secret(PASSWORD);
        let codes = work(&cli, &registry).await;
        assert!(codes[..3].iter().all(|code| code.is_some_and(|code| code != 0)), "{what}: {codes:?}");
        assert!(script.seen().iter().all(|seen| !seen.headers.contains_key("cookie")), "{what}");
        for file in crate::support::files_below(&cli.path("")) {
            let bytes = std::fs::read(&file).expect("a file of the room");
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(TOKEN) && !text.contains(REFRESH), "{what}: `{}`", file.display());
        }
        script.finish();
    }
}
