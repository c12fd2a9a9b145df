//! Proxies: whom they are asked for, what they are shown, and what their refusals are called.
//!
//! The names end in `.example` and are never resolved here: that is the proxy's business.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Uri;
use spinreg::Error;
use spinreg::auth::{Actions, Authorizer, Credential, Exposure, Found, Given, Scopes, Secret};
use spinreg::error::{Tried, UnreachableKind};
use spinreg::model::Registry;
use spinreg::transport::{HostOptions, Proxies, Transport};

use crate::support::cli::Cli;
use crate::support::client::{get, send, transport, trusting, unreachable, whole};
use crate::support::relay::{Socks, Tunnels, behind_tls, on_ipv6};
use crate::support::reply::Reply;
use crate::support::script::Script;
use crate::support::tls::Authority;

/// Goes to `http` names through `proxy`.
fn through(proxy: SocketAddr, no: &str) -> Transport {
    transport(|options| {
        options.policy.attempts = 1;
        options.proxies = Proxies::given(&format!("http://ada:hidden@{proxy}"), "", no);
    })
}

fn uri(text: &str) -> Uri {
    text.parse().expect("a URI")
}

#[tokio::test]
async fn plain_requests_name_their_host_to_the_proxy() {
    let proxy = Script::new()
        .on("GET /v2/?a=b", Reply::ok("by proxy"))
        // `ada:hidden`.
        .with("proxy-authorization", "Basic YWRhOmhpZGRlbg==")
        .with("host", "registry.example")
        .start()
        .await;
    let response = send(&through(proxy.address(), ""), get(&uri("http://registry.example/v2/?a=b"))).await;
    assert_eq!(whole(response.expect("an answer")).await, "by proxy");
    assert_eq!(proxy.seen()[0].uri, uri("http://registry.example/v2/?a=b"));
    proxy.finish();
}

#[tokio::test]
async fn this_machine_is_reached_directly() {
    let proxy = Script::new().start().await;
    let here = Script::new().always("GET /", Reply::ok("")).without("proxy-authorization").start().await;
    let transport = through(proxy.address(), "");
    for host in ["127.0.0.1", "localhost"] {
        send(&transport, get(&uri(&format!("http://{host}:{}/", here.address().port())))).await.expect("an answer");
    }
    proxy.finish();
    here.finish();
}

#[tokio::test]
async fn credentials_for_a_plain_registry_are_withheld() {
    // What is plain all the way: a registry that is not this machine.
    let challenge = Reply::status(401).header("www-authenticate", "Basic realm=\"x\"");
    let proxy = Script::new()
        .on_each("GET /v2/app/manifests/v1", [challenge.clone(), challenge])
        .without("authorization")
        .on("GET /v2/app/manifests/v1", Reply::ok("manifest"))
        .with("authorization", "Basic YWRhOmhpZGRlbg==")
        .start()
        .await;
    let registry: Registry = "registry.example".parse().expect("a registry");
    let credential = Credential::Password { username: "ada".to_owned(), secret: Secret::new("hidden") };
    let found = Found { credential, source: "the test".to_owned() };
    let scopes = Scopes::repository(&"app".parse().expect("a name"), Actions::PULL);
    for exposure in [Exposure::Guarded, Exposure::Allowed] {
        let transport = through(proxy.address(), "");
        let given = Arc::new(Given::new(registry.clone(), found.clone()));
        let authorizer = Authorizer::new(transport.clone(), given, exposure);
        let request = get(&uri("http://registry.example/v2/app/manifests/v1"));
        let outcome = authorizer.send(&registry, request, &scopes, &mut transport.budget()).await;
        match (exposure, outcome) {
            (Exposure::Guarded, Err(Error::Unauthorized(unmet))) => assert_eq!(unmet.tried, Tried::Withheld),
            (Exposure::Allowed, Ok(response)) => assert_eq!(response.status(), 200),
            (_, outcome) => panic!("{outcome:?}"),
        }
    }
    proxy.finish();
}

#[tokio::test]
async fn tls_goes_through_a_tunnel() {
    let authority = Authority::new();
    let server = Script::new()
        .on("GET /v2/", Reply::ok("through"))
        .without("proxy-authorization")
        .start_as(authority.server_named(&["registry.example"], &["h2", "http/1.1"]))
        .await;
    let proxy = Tunnels::to(server.address(), "HTTP/1.1 200 Connection established\r\n\r\n").await;
    let address = proxy.address();
    let transport = trusting(&authority, |options| {
        options.proxies = Proxies::given("", &format!("http://ada:hidden@{address}"), "");
    });
    let response = send(&transport, get(&uri("https://registry.example/v2/"))).await.expect("an answer");
    assert_eq!(whole(response).await, "through");
    let [head] = &proxy.asked()[..] else { panic!("{:?}", proxy.asked()) };
    assert!(head.starts_with("CONNECT registry.example:443 HTTP/1.1\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic ywrhomhpzgrlbg=="), "{head}");
    server.finish();
}

#[tokio::test]
async fn a_proxy_that_refuses_is_no_connection() {
    for answer in [
        "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"x\"\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\n\r\n",
        "HTTP/1.1 502 Bad Gateway\r\n\r\n",
    ] {
        let proxy = Tunnels::to(SocketAddr::from(([127, 0, 0, 1], 9)), answer).await;
        let address = proxy.address();
        let transport = transport(|options| {
            options.policy.attempts = 1;
            options.proxies = Proxies::given("", &format!("http://ada:hidden@{address}"), "");
        });
        let outcome = send(&transport, get(&uri("https://registry.example/v2/"))).await;
        let text = format!("{outcome:?}");
        assert!(!text.contains("hidden"), "{text}");
        unreachable(outcome, UnreachableKind::Connect);
        assert_eq!(proxy.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_address_that_a_name_is_connected_to() {
    let server = Script::new()
        .on("GET /v2/", Reply::ok("through"))
        .with("host", "registry.test")
        .without("proxy-authorization")
        .start()
        .await;
    let proxy = Tunnels::to(server.address(), "HTTP/1.1 200 OK\r\n\r\n").await;
    let address = proxy.address();
    let transport = transport(|options| {
        options.proxies = Proxies::given(&format!("http://ada:hidden@{address}"), "", "");
        let connect = Some(SocketAddr::from(([10, 9, 8, 7], 5000)));
        options.hosts.insert("registry.test".parse().expect("a host"), HostOptions { connect, ..Default::default() });
    });
    let response = send(&transport, get(&uri("http://registry.test/v2/"))).await.expect("an answer");
    assert_eq!(whole(response).await, "through");
    let [head] = &proxy.asked()[..] else { panic!("{:?}", proxy.asked()) };
    assert!(head.starts_with("CONNECT 10.9.8.7:5000 HTTP/1.1\r\n"), "{head}");
    server.finish();
}

#[tokio::test]
async fn the_way_to_a_proxy_may_be_protected() {
    let authority = Authority::new();
    let secure = Script::new()
        .on("GET /v2/", Reply::ok("through"))
        .start_as(authority.server_named(&["registry.example"], &["h2", "http/1.1"]))
        .await;
    let proxy = Tunnels::to(secure.address(), "HTTP/1.1 200 OK\r\n\r\n").await;
    let outer = behind_tls(&authority, proxy.address()).await;
    let transport = trusting(&authority, |options| {
        let proxy = format!("https://ada:hidden@localhost:{}", outer.address().port());
        options.proxies = Proxies::given(&proxy, &proxy, "");
    });
    let response = send(&transport, get(&uri("https://registry.example/v2/"))).await.expect("an answer");
    assert_eq!(whole(response).await, "through");
    assert_eq!(proxy.asked().len(), 1);
    secure.finish();

    // Plain requests are protected as far as to the proxy.
    let plain = Script::new()
        .on("GET /v2/", Reply::ok("by proxy"))
        .with("host", "registry.example")
        .with("proxy-authorization", "Basic YWRhOmhpZGRlbg==")
        .start()
        .await;
    let outer = behind_tls(&authority, plain.address()).await;
    let transport = trusting(&authority, |options| {
        let proxy = format!("https://ada:hidden@localhost:{}", outer.address().port());
        options.proxies = Proxies::given(&proxy, "", "");
    });
    let response = send(&transport, get(&uri("http://registry.example/v2/"))).await.expect("an answer");
    assert_eq!(whole(response).await, "by proxy");
    plain.finish();
    // A proxy that nobody vouches for gets neither request nor password.
    let transport = self::transport(|options| {
        options.proxies = Proxies::given(&format!("https://ada:hidden@localhost:{}", outer.address().port()), "", "");
    });
    unreachable(send(&transport, get(&uri("http://registry.example/v2/"))).await, UnreachableKind::Tls);
}

#[tokio::test]
async fn names_go_through_socks_unresolved() {
    let authority = Authority::new();
    let plain = Script::new().on("GET /v2/", Reply::ok("plain")).without("proxy-authorization").start().await;
    let secure = Script::new()
        .on("GET /v2/", Reply::ok("secure"))
        .start_as(authority.server_named(&["registry.example", "2001:db8::7"], &["h2"]))
        .await;
    for (server, target, asked, text) in [
        (&plain, "http://registry.example/v2/", "registry.example:80", "plain"),
        (&secure, "https://registry.example/v2/", "registry.example:443", "secure"),
    ] {
        let proxy = Socks::to(server.address(), Some(("ada", "hidden"))).await;
        let transport = trusting(&authority, |options| {
            let proxy = format!("socks5h://ada:hidden@{}", proxy.address());
            options.proxies = Proxies::given(&proxy, &proxy, "");
        });
        let response = send(&transport, get(&uri(target))).await.expect("an answer");
        assert_eq!(whole(response).await, text);
        assert_eq!(proxy.asked(), [asked]);
    }
    plain.finish();
    secure.finish();
}

#[tokio::test]
async fn addresses_go_through_socks_as_addresses() {
    let server = Script::new().always("GET /", Reply::ok("fine")).start().await;
    let proxy = Socks::to(server.address(), None).await;
    let transport = transport(|options| {
        options.proxies = Proxies::given(&format!("socks5://{}", proxy.address()), "", "");
    });
    for host in ["10.1.2.3:5000", "[2001:db8::7]:5000", "[2001:db8::7]"] {
        let response = send(&transport, get(&uri(&format!("http://{host}/")))).await.expect("an answer");
        assert_eq!(whole(response).await, "fine");
    }
    assert_eq!(proxy.asked(), ["10.1.2.3:5000", "[2001:db8::7]:5000", "[2001:db8::7]:80"]);
    server.finish();
}

#[tokio::test]
async fn a_socks_proxy_that_refuses_is_no_connection() {
    let proxy = Socks::to(SocketAddr::from(([127, 0, 0, 1], 9)), Some(("ada", "other"))).await;
    for scheme in ["socks5", "socks5h", "socks4"] {
        let transport = transport(|options| {
            options.policy.attempts = 1;
            options.proxies = Proxies::given(&format!("{scheme}://ada:hidden@{}", proxy.address()), "", "");
        });
        let outcome = send(&transport, get(&uri("http://registry.example/v2/"))).await;
        let text = format!("{outcome:?}");
        assert!(!text.contains("hidden"), "{text}");
        unreachable(outcome, UnreachableKind::Connect);
    }
    assert!(proxy.asked().is_empty());
}

#[tokio::test]
async fn no_proxy_is_asked_for_those_that_are_excepted() {
    let server = Script::new().always("GET /", Reply::ok("directly")).start().await;
    let port = server.address().port();
    let proxy = Script::new().always("GET /", Reply::ok("by proxy")).start().await;
    let list = format!("a.test:{port},.b.test,192.0.2.0/24,[2001:db8::1]:{port},2001:db8:7::/48");
    let transport = transport(|options| {
        options.proxies = Proxies::given(&format!("http://{}", proxy.address()), "", &list);
        for name in ["a.test", "x.b.test", "192.0.2.7", "[2001:db8::1]", "[2001:db8:7::9]"] {
            let connect = Some(server.address());
            let host = format!("{name}:{port}").parse().expect("a host");
            options.hosts.insert(host, HostOptions { connect, ..Default::default() });
        }
    });
    for (host, text) in [
        (format!("a.test:{port}"), "directly"),
        (format!("x.b.test:{port}"), "directly"),
        (format!("192.0.2.7:{port}"), "directly"),
        (format!("[2001:db8::1]:{port}"), "directly"),
        (format!("[2001:db8:7::9]:{port}"), "directly"),
        ("a.test:1".to_owned(), "by proxy"),
        ("192.0.3.7".to_owned(), "by proxy"),
        ("[2001:db8::1]:1".to_owned(), "by proxy"),
        ("ab.test".to_owned(), "by proxy"),
    ] {
        let response = send(&transport, get(&uri(&format!("http://{host}/")))).await.expect("an answer");
        assert_eq!(whole(response).await, text, "{host}");
    }
    server.finish();
    proxy.finish();
}

#[tokio::test]
async fn an_address_of_ip_version_6_is_an_address() {
    let server = Script::new().on("GET /", Reply::ok("fine")).start().await;
    let door = on_ipv6(server.address()).await;
    let front = door.address();
    let response = send(&transport(|_| {}), get(&uri(&format!("http://{front}/")))).await.expect("an answer");
    assert_eq!(whole(response).await, "fine");
    assert_eq!(server.seen()[0].headers["host"], front.to_string());
    server.finish();
}

/// Whoever misspells a proxy must not be sent past it without a word.
#[tokio::test]
async fn r3_a_variable_that_names_no_proxy_is_named_without_its_password() {
    for (name, value) in [
        ("HTTPS_PROXY", "http://ada:correct-horse battery@p.example:3128"),
        ("https_proxy", "http://ada:correct-horse@p.example:31280000"),
        ("ALL_PROXY", "sock5://ada:correct-horse@p.example"),
    ] {
        let cli = Cli::new().secret("correct-horse").env(name, value);
        for command in [&["pull", "registry.test/app"][..], &["login", "registry.test", "-u", "ada", "-p", "lovelace"]]
        {
            let complaint = cli.run(command).await.failure(2);
            assert!(complaint.contains(&format!("proxy variable `{name}` expects a URL")), "{complaint}");
            assert!(complaint.contains("hint: correct it or unset it"), "{complaint}");
        }
    }
}
