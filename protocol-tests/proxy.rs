//! Proxies: whom they are asked for, what they are shown, and what their refusals are called.
//!
//! The names end in `.example` and are never resolved here: that is the proxy's business.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::Uri;
use spinreg::Error;
use spinreg::auth::{Actions, Authorizer, Credential, Exposure, Found, Given, Scopes, Secret};
use spinreg::error::{Tried, UnreachableKind};
use spinreg::model::Registry;
use spinreg::transport::{Proxies, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;

use crate::support::client::{get, send, transport, trusting, unreachable, whole};
use crate::support::listen::RawPeer;
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

/// A proxy that makes tunnels to one place, whatever is asked for, or answers as it is told; it notes what it was asked.
struct Tunnels {
    peer: RawPeer,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tunnels {
    async fn to(place: SocketAddr, answer: &'static str) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        let peer = RawPeer::start(move |mut client| {
            let noted = noted.clone();
            async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.expect("a request"));
                }
                noted.lock().expect("no test panics in here").push(String::from_utf8(head).expect("a head of text"));
                client.write_all(answer.as_bytes()).await.expect("a client that listens");
                if answer.contains(" 200 ") {
                    let mut server = TcpStream::connect(place).await.expect("the server");
                    // Ends with the first side that leaves.
                    let _ended = copy_bidirectional(&mut client, &mut server).await;
                }
            }
        })
        .await;
        Self { peer, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panics in here").clone()
    }
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
    let address = proxy.peer.address();
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
        let address = proxy.peer.address();
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
