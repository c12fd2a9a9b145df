//! TLS: whom we trust, which HTTP is spoken, and what a failed handshake is called.

use std::io::Write as _;

use http::{Method, Version};
use spinreg::Error;
use spinreg::error::UnreachableKind;
use spinreg::transport::{Identity, Payload, Protocol, Verification};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::client::{PATIENCE, get, request, send, transport, trusting, unreachable, whole};
use crate::support::listen::{Answer, Listener, RawPeer};
use crate::support::reply::Reply;
use crate::support::script::Script;
use crate::support::tls::Authority;

#[tokio::test]
async fn a_ca_file_makes_trust_and_http_2_is_agreed_on() {
    let authority = Authority::new();
    let script = Script::new().always("GET /", Reply::ok("fine")).start_tls(&authority).await;
    for (protocol, version) in [(Protocol::Negotiate, Version::HTTP_2), (Protocol::Http1Only, Version::HTTP_11)] {
        let transport = trusting(&authority, |options| options.protocol = protocol);
        for host in ["localhost", "127.0.0.1"] {
            let uri = format!("https://{host}:{}/", script.address().port()).parse().expect("a URI");
            let response = send(&transport, get(&uri)).await.expect("an answer");
            assert_eq!(response.version(), version, "{host}");
            assert_eq!(whole(response).await, "fine");
        }
    }
    let versions: Vec<_> = script.seen().iter().map(|seen| seen.version).collect();
    assert_eq!(versions, [Version::HTTP_2, Version::HTTP_2, Version::HTTP_11, Version::HTTP_11]);
    script.finish();
}

#[tokio::test]
async fn a_server_without_http_2_is_spoken_to_in_http_1() {
    let authority = Authority::new();
    for protocols in [&["http/1.1"][..], &[]] {
        let config = authority.server_named(&["localhost"], protocols);
        let answer = Answer(|_: &_| http::Response::new(spinreg::content::Body::from_bytes("fine")));
        let server = Listener::tls(answer, config).await;
        let response = send(&trusting(&authority, |_| {}), get(&server.uri("/"))).await.expect("an answer");
        assert_eq!(response.version(), Version::HTTP_11);
    }
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let authority = Authority::new();
    let script = Script::new().always("GET /", Reply::ok("fine")).start_tls(&authority).await;
    let transport = trusting(&authority, |_| {});
    whole(send(&transport, get(&script.uri("/"))).await.expect("an answer")).await;
    let requests = (0..8).map(async |_| whole(send(&transport, get(&script.uri("/"))).await.expect("an answer")).await);
    futures_util::future::join_all(requests).await;
    assert_eq!(script.connections(), 1);
    script.finish();
}

#[tokio::test]
async fn nobody_else_is_trusted() {
    let (ours, other) = (Authority::new(), Authority::new());
    let config = |names, expired| if expired { ours.expired_server() } else { ours.server_named(names, &["h2"]) };
    for (what, server, trusted) in [
        ("an unknown issuer", other.server(), &ours),
        ("another name", config(&["other.example"], false), &ours),
        ("an expired certificate", config(&[], true), &ours),
    ] {
        let script = Script::new().start_as(server).await;
        let failure = unreachable(send(&trusting(trusted, |_| {}), get(&script.uri("/"))).await, UnreachableKind::Tls);
        assert_eq!((failure.attempts, script.connections()), (1, 1), "{what} does not pass by itself");
        assert!(failure.cause.is_some(), "{what} is told");
        assert!(!Error::from(Box::new(failure)).is_transient());
        script.finish();
    }
}

#[tokio::test]
async fn verification_can_be_turned_off() {
    let authority = Authority::new();
    for server in [authority.server(), authority.server_named(&["other.example"], &["h2"]), authority.expired_server()]
    {
        let script = Script::new().on("GET /", Reply::ok("fine")).start_as(server).await;
        let transport = transport(|options| options.tls.verification = Verification::None);
        assert_eq!(whole(send(&transport, get(&script.uri("/"))).await.expect("an answer")).await, "fine");
        script.finish();
    }
}

#[tokio::test]
async fn ca_files_must_have_certificates() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("ca.pem");
    let attempt = |path: &std::path::Path| {
        let mut options = spinreg::transport::Options::default();
        options.tls.ca_files.push(path.to_owned());
        spinreg::transport::Transport::new(options).map(|_| ())
    };
    let missing = attempt(&file);
    assert!(matches!(&missing, Err(Error::Io(failure)) if failure.path == file), "{missing:?}");
    for text in ["", "no certificate\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::File::create(&file).and_then(|mut file| file.write_all(text.as_bytes())).expect("a file");
        let outcome = attempt(&file);
        let told = matches!(&outcome, Err(error @ Error::Parse(_)) if error.to_string().contains("ca.pem"));
        assert!(told, "{text:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn plain_http_is_told_from_all_other_trouble() {
    let answer = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    for (what, bytes, kind) in [
        ("plain HTTP", answer, Some(UnreachableKind::PlainHttp)),
        ("HTTP/2 without TLS", "\0\0\u{12}\u{4}\0\0\0\0\0", None),
        ("half a greeting", "HTT", None),
        ("a look-alike", "http/1.1 200 OK\r\n\r\n", None),
        ("an alert", "\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{28}", Some(UnreachableKind::Tls)),
        (
            "an alert that speaks of HTTP",
            "\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{28}HTTP/1.1 200 OK\r\n\r\n",
            Some(UnreachableKind::Tls),
        ),
        ("silence and the end", "", None),
    ] {
        let peer = RawPeer::start(move |mut stream| async move {
            // The whole greeting is read first: a reset could overtake the answer.
            let mut greeting = [0; 5];
            stream.read_exact(&mut greeting).await.expect("a TLS record");
            let mut rest = vec![0; u16::from_be_bytes([greeting[3], greeting[4]]).into()];
            stream.read_exact(&mut rest).await.expect("a TLS record");
            stream.write_all(bytes.as_bytes()).await.expect("a peer that listens");
            stream.shutdown().await.expect("a peer that listens");
        })
        .await;
        for verification in [Verification::Full, Verification::None] {
            let transport = transport(|options| {
                options.policy.attempts = 1;
                options.tls.verification = verification;
            });
            let uri = format!("https://{}/", peer.address()).parse().expect("a URI");
            let Err(Error::Unreachable(failure)) = send(&transport, get(&uri)).await else { panic!("{what}") };
            match kind {
                Some(kind) => assert_eq!(failure.kind, kind, "{what}"),
                None => assert_ne!(failure.kind, UnreachableKind::PlainHttp, "{what}"),
            }
        }
    }
}

#[tokio::test]
async fn our_own_plain_server_is_recognised_once() {
    let script = Script::new().start().await;
    let uri = format!("https://{}/", script.address()).parse().expect("a URI");
    let failure = unreachable(send(&transport(|_| {}), get(&uri)).await, UnreachableKind::PlainHttp);
    assert_eq!(failure.attempts, 1);
    script.finish();
}

#[tokio::test]
async fn a_reset_or_silence_is_no_plain_http() {
    let reset = RawPeer::start(|stream| async move {
        stream.readable().await.expect("a greeting");
        stream.set_zero_linger().expect("a socket");
    })
    .await;
    let silent = RawPeer::start(|stream| async move {
        let _open = stream;
        std::future::pending().await
    })
    .await;
    for (peer, is_silent) in [(reset, false), (silent, true)] {
        let transport = transport(|options| {
            options.policy.attempts = 1;
            if is_silent {
                options.policy.connect = PATIENCE;
            }
        });
        let uri = format!("https://{}/", peer.address()).parse().expect("a URI");
        let Err(Error::Unreachable(failure)) = send(&transport, get(&uri)).await else { panic!("an answer") };
        assert_ne!(failure.kind, UnreachableKind::PlainHttp);
        assert_eq!(failure.kind == UnreachableKind::TimedOut, is_silent, "{failure:?}");
    }
}

/// In TLS 1.3 the refusal comes when the handshake is long done, and the request on its way: "the connection broke".
#[tokio::test]
async fn r3_a_client_certificate_that_is_missing_or_strange_is_named() {
    let (authority, people, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let config = authority.server_for_clients_of(&people, &["localhost"]);
    let answer = Answer(|_: &_| http::Response::new(spinreg::content::Body::from_bytes("fine")));
    let server = Listener::tls(answer, config).await;
    let (certificate, key) = strangers.client_files();
    for identity in [None, Some(Identity { certificate, key })] {
        for protocol in [Protocol::Negotiate, Protocol::Http1Only] {
            let transport = trusting(&authority, |options| {
                (options.protocol, options.tls.identity) = (protocol, identity.clone());
            });
            for payload in [Payload::Empty, Payload::Bytes(vec![0; 1 << 20].into())] {
                let request = request(Method::PUT, &server.uri("/")).map(|_| payload);
                let failure = unreachable(send(&transport, request).await, UnreachableKind::ClientCertificate);
                assert_eq!(failure.attempts, 1, "{failure}");
            }
        }
    }
}
