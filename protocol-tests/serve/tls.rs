//! HTTPS: what is spoken over it, and with which certificate.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use spinreg::content::Body;
use spinreg::serve::{Registry, ServerOptions, Tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::access::files;
use super::{Served, temporary};
use crate::support::tls::Authority;

async fn connect(
    address: SocketAddr,
    authority: &Authority,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority.file()).expect("a file of the test") {
        roots.add(certificate.expect("PEM")).expect("an authority");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").expect("a name"), stream).await
}

async fn ping(stream: TlsStream<TcpStream>) -> Response<Incoming> {
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let request = |uri| Request::builder().uri(uri).header("host", "localhost").body(Body::empty()).expect("a request");
    if is_http2 {
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.expect("a connection");
        tokio::spawn(connection);
        sender.send_request(request("https://localhost/v2/")).await.expect("an answer")
    } else {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        tokio::spawn(connection);
        sender.send_request(request("/v2/")).await.expect("an answer")
    }
}

#[tokio::test]
async fn https_is_http_2_or_1_as_the_client_likes() {
    let (authority, room) = (Authority::new(), temporary());
    let (certificate, key) = authority.server_files();
    let registry = Registry::open(room.path().join("data")).await.expect("a directory");
    let door = spinreg::serve::Access::new(registry, files(&room, &["ada"], None)).expect("files that make sense");
    let mut options = ServerOptions::default();
    options.tls = Some(Tls::load(certificate, key).expect("a certificate"));
    let served = Served::at(door, options).await;
    for (protocols, version) in
        [(&["h2", "http/1.1"][..], Version::HTTP_2), (&["http/1.1"], Version::HTTP_11), (&[], Version::HTTP_11)]
    {
        let answer = ping(connect(served.address, &authority, protocols).await.expect("TLS")).await;
        assert_eq!((answer.version(), answer.status().as_u16()), (version, 401), "{protocols:?}");
        // Where tokens are to be had: by the name and over the protocol that the client uses.
        let challenge = answer.headers()["www-authenticate"].to_str().expect("visible ASCII");
        assert_eq!(challenge, "Bearer realm=\"https://localhost/token\",service=\"localhost\"");
    }
    assert!(connect(served.address, &Authority::new(), &[]).await.is_err(), "the certificate is another authority's");

    // Who speaks without TLS is told so.
    let mut stream = TcpStream::connect(served.address).await.expect("the server listens");
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("the server listens");
    let mut answer = String::new();
    // It may be cut off after the answer, with what it has sent unread.
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("a port for HTTPS"), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn another_certificate_counts_from_the_next_connection_on() {
    let (old, new, room) = (Authority::new(), Authority::new(), temporary());
    let (certificate, key) = (room.path().join("cert.pem"), room.path().join("key.pem"));
    let install = |authority: &Authority| {
        let (from, key_from) = authority.server_files();
        std::fs::copy(from, &certificate).expect("a file");
        std::fs::copy(key_from, &key).expect("a file");
    };
    install(&old);
    let tls = Tls::load(&certificate, &key).expect("a certificate");
    let registry = Registry::open(room.path().join("data")).await.expect("a directory");
    let mut options = ServerOptions::default();
    options.tls = Some(tls.clone());
    let served = Served::at(registry, options).await;
    let before = connect(served.address, &old, &["http/1.1"]).await.expect("the old certificate");
    install(&new);
    tls.reload().expect("a certificate");
    connect(served.address, &new, &[]).await.expect("the new certificate");
    assert!(connect(served.address, &old, &[]).await.is_err());
    assert_eq!(ping(before).await.status(), 200, "what was open stays open");
    // What cannot be used changes nothing.
    std::fs::write(&key, "none").expect("a file");
    tls.reload().expect_err("no key");
    connect(served.address, &new, &[]).await.expect("the certificate is still there");
}

#[test]
fn files_that_are_no_certificate_and_key_are_named() {
    let (authority, other, room) = (Authority::new(), Authority::new(), temporary());
    let ((certificate, key), (_, foreign)) = (authority.server_files(), other.server_files());
    let file = |name: &str, text: &str| {
        let path = room.path().join(name);
        std::fs::write(&path, text).expect("a file in a temporary directory");
        path
    };
    let broken = file("broken", "-----BEGIN PRIVATE KEY-----\nhunter22\n-----END PRIVATE KEY-----\n");
    let (empty, absent) = (file("empty", ""), room.path().join("absent"));
    for (certificate, key, named, said) in [
        (&absent, &key, &absent, "cannot read"),
        (&certificate, &absent, &absent, "cannot read"),
        (&empty, &key, &empty, "certificates in PEM form"),
        (&key, &key, &key, "certificates in PEM form"),
        (&certificate, &empty, &empty, "a private key in PEM form"),
        (&certificate, &certificate, &certificate, "a private key in PEM form"),
        (&certificate, &broken, &broken, "a private key in PEM form"),
        (&certificate, &foreign, &foreign, "the key of the certificate"),
    ] {
        let error = Tls::load(certificate, key).expect_err(said).to_string();
        assert!(error.contains(said) && error.contains(&*named.to_string_lossy()), "{error}");
        assert!(!error.contains("hunter22"), "{error}");
    }
}
