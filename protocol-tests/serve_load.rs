//! A registry under load: many clients with small things, and one blob of a gibibyte each way.
//!
//! `cargo test --profile optimised --features load-tests --test serve-load` does it to `spinreg serve`, and to distribution
//! v3 where `SPINREG_PEERS` says where that is installed, and prints the figures of both. Nothing may be lost or wrong,
//! and `spinreg serve` may not become larger than its bound, whatever is moved.
//!
//! No test harness: what else ran in the process would be measured, too.

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use spinreg::content::Body;
use spinreg::model::{Algorithm, Digest, Digester};
use support::cli::{Cli, peak};
use support::peers::{Door, Foreign, Speech};
use tokio::net::TcpStream;

/// How many clients push and pull at a time.
const CLIENTS: usize = 64;
/// How many images each of them pushes and pulls: two blobs and a manifest.
const IMAGES: usize = 25;
/// How many repositories they share.
const REPOSITORIES: usize = 8;
/// How long the one large blob is, in bytes.
const LARGE: u64 = 1 << 30;
/// What `spinreg serve` may use at most, in KiB.
const SERVER: u64 = 64 << 10;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ours = runtime.block_on(async {
        let cli = Cli::new();
        let serving = cli.serve_quietly().await;
        measure("spinreg serve", serving.registry().parse().expect("an address"), serving.process()).await
    });
    if std::env::var_os("SPINREG_PEERS").is_some() {
        runtime.block_on(async {
            let foreign = Foreign::distribution("distribution", Door::Open, &Speech::Plain).await;
            measure("distribution", foreign.address(), foreign.process()).await
        });
    }
    assert!(ours < SERVER, "serving took {ours} KiB");
    println!("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

/// Does everything to one registry, prints what it took, and returns the peak of its resident size in KiB.
async fn measure(name: &str, address: SocketAddr, process: u32) -> u64 {
    let started = Instant::now();
    let clients = futures_util::future::join_all((0..CLIENTS).map(|n| small_things(address, n)));
    let requests: usize = clients.await.into_iter().sum();
    let took = started.elapsed();
    let small = peak(process);
    let [pushed, pulled] = large_thing(address).await;
    let large = peak(process);
    let rate = |time: Duration| (LARGE >> 20) as f64 / time.as_secs_f64();
    println!(
        "{name}: {requests} requests of {CLIENTS} clients in {:.1} s, {:.0} requests/s, peak {small} KiB; \
         1 GiB pushed with {:.0} MiB/s and pulled with {:.0} MiB/s, peak {large} KiB",
        took.as_secs_f64(),
        requests as f64 / took.as_secs_f64(),
        rate(pushed),
        rate(pulled),
    );
    large
}

/// One connection, as a client keeps it.
struct Client {
    sender: SendRequest<Body>,
    host: String,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the registry listens");
        stream.set_nodelay(true).expect("a socket");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("a connection");
        tokio::spawn(connection);
        Self { sender, host: address.to_string() }
    }

    async fn send(&mut self, method: Method, target: &str, media_type: &str, body: Body) -> http::Response<Body> {
        let path = target.strip_prefix("http://").map_or(target, |rest| &rest[rest.find('/').expect("a path")..]);
        let request = Request::builder().method(method).uri(path).header("host", &self.host);
        let request = request.header("content-type", media_type).header("accept", IMAGE).body(body).expect("a request");
        self.sender.ready().await.expect("the connection stays");
        let response = self.sender.send_request(request).await.expect("an answer");
        response
            .map(|body| Body::wrap(body, |error| spinreg::Error::io("read", "an answer", std::io::Error::other(error))))
    }

    async fn read(&mut self, target: &str) -> Vec<u8> {
        let mut response = self.send(Method::GET, target, "application/octet-stream", Body::empty()).await;
        assert_eq!(response.status(), StatusCode::OK, "{target}");
        let mut bytes = Vec::new();
        while let Some(chunk) = response.body_mut().chunk().await {
            bytes.extend_from_slice(&chunk.expect("a whole answer"));
        }
        bytes
    }

    /// Uploads a blob with a `POST` and a `PUT`, which is what every registry takes.
    async fn push(&mut self, repository: &str, digest: &Digest, body: Body) {
        let target = format!("/v2/{repository}/blobs/uploads/");
        let mut opened = self.send(Method::POST, &target, "application/octet-stream", Body::empty()).await;
        assert_eq!(opened.status(), StatusCode::ACCEPTED);
        while opened.body_mut().chunk().await.is_some() {}
        let location = opened.headers()["location"].to_str().expect("ASCII").to_owned();
        let mark = if location.contains('?') { '&' } else { '?' };
        let target = format!("{location}{mark}digest={digest}");
        let mut closed = self.send(Method::PUT, &target, "application/octet-stream", body).await;
        assert_eq!(closed.status(), StatusCode::CREATED);
        while closed.body_mut().chunk().await.is_some() {}
    }
}

/// Pushes images and pulls them again; returns how many requests that were.
async fn small_things(address: SocketAddr, n: usize) -> usize {
    let mut client = Client::connect(address).await;
    let repository = format!("load/app{}", n % REPOSITORIES);
    let mut requests = 0;
    for image in 0..IMAGES {
        let blobs = [format!("config {n} {image}").repeat(20), format!("layer {n} {image}").repeat(1000)];
        let described = blobs.each_ref().map(|blob| {
            let (digest, size) = (Digest::of(blob.as_bytes()), blob.len());
            format!(r#"{{"mediaType":"application/octet-stream","digest":"{digest}","size":{size}}}"#)
        });
        let [config, layer] = &described;
        let manifest = format!(r#"{{"schemaVersion":2,"mediaType":"{IMAGE}","config":{config},"layers":[{layer}]}}"#);
        for blob in &blobs {
            client.push(&repository, &Digest::of(blob.as_bytes()), Body::from_bytes(blob.clone())).await;
        }
        let target = format!("/v2/{repository}/manifests/c{n}-{image}");
        let mut put = client.send(Method::PUT, &target, IMAGE, Body::from_bytes(manifest.clone())).await;
        assert_eq!(put.status(), StatusCode::CREATED);
        while put.body_mut().chunk().await.is_some() {}
        assert_eq!(client.read(&target).await, manifest.as_bytes());
        for blob in &blobs {
            let target = format!("/v2/{repository}/blobs/{}", Digest::of(blob.as_bytes()));
            assert_eq!(client.read(&target).await, blob.as_bytes());
        }
        requests += 8;
    }
    // What was pushed first is there as well.
    for image in 0..IMAGES {
        let manifest = client.read(&format!("/v2/{repository}/manifests/c{n}-{image}")).await;
        assert!(
            String::from_utf8_lossy(&manifest)
                .contains(&Digest::of(format!("config {n} {image}").repeat(20).as_bytes()).to_string())
        );
        requests += 1;
    }
    requests
}

/// Pushes and pulls a gibibyte; returns how long each took.
async fn large_thing(address: SocketAddr) -> [Duration; 2] {
    let piece = Bytes::from((0..1u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect::<Vec<_>>());
    let pieces = LARGE / piece.len() as u64;
    let mut digester = Digester::new(Algorithm::Sha256);
    (0..pieces).for_each(|_| digester.update(&piece));
    let digest = digester.finish();
    let mut client = Client::connect(address).await;
    let stream = futures_util::stream::iter((0..pieces).map(move |_| Ok(piece.clone())));
    let started = Instant::now();
    client.push("load/large", &digest, Body::from_stream(stream, Some(LARGE))).await;
    let pushed = started.elapsed();

    let started = Instant::now();
    let target = format!("/v2/load/large/blobs/{digest}");
    let mut response = client.send(Method::GET, &target, "application/octet-stream", Body::empty()).await;
    let mut digester = Digester::new(Algorithm::Sha256);
    while let Some(chunk) = response.body_mut().chunk().await {
        digester.update(&chunk.expect("a whole answer"));
    }
    assert_eq!(digester.finish(), digest);
    [pushed, started.elapsed()]
}
