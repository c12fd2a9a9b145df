//! What `-k`, `--plain-http`, `--ca-file` and `--insecure-credentials` allow, and what they do not.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::cli::Cli;
use crate::support::front::Front;
use crate::support::guard::Guard;
use crate::support::listen::RawPeer;
use crate::support::reply::Reply;
use crate::support::script::Script;
use crate::support::tls::Authority;

/// A registry far away: `far.example`, on the other side of a proxy that sends everything to `address`.
async fn far(cli: Cli, address: std::net::SocketAddr) -> (Cli, RawPeer) {
    let proxy = RawPeer::start(move |stream| async move {
        let _ended = tunnel(stream, address).await;
    })
    .await;
    // Plain HTTP goes to the peer itself, which answers requests for any host.
    let cli =
        cli.env("HTTPS_PROXY", format!("http://{}", proxy.address())).env("HTTP_PROXY", format!("http://{address}"));
    (cli, proxy)
}

async fn tunnel(mut stream: TcpStream, address: std::net::SocketAddr) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let mut upstream = TcpStream::connect(address).await?;
    tokio::io::copy_bidirectional(&mut stream, &mut upstream).await.map(|_| ())
}

#[tokio::test]
async fn insecure_falls_back_where_the_answer_is_plain_http() {
    let refusal = Reply::refusal(404, "MANIFEST_UNKNOWN", "in plain words");
    let script = Script::new().always("GET /v2/app/manifests/v1", refusal).start().await;
    let (cli, _proxy) = far(Cli::new(), script.address()).await;

    let complaint = cli.run(["pull", "far.example/app:v1"]).await.failure(6);
    assert!(complaint.contains("speaks plain HTTP") && complaint.contains("hint: "), "{complaint}");
    assert!(complaint.contains("--plain-http"), "{complaint}");

    let complaint = cli.run(["pull", "-k", "far.example/app:v1"]).await.failure(3);
    assert!(complaint.contains("warning: `far.example` speaks plain HTTP"), "{complaint}");
    assert!(complaint.contains("in plain words"), "{complaint}");
    let quiet = cli.run(["pull", "-q", "-k", "far.example/app:v1"]).await.failure(3);
    assert!(quiet.starts_with("warning: "), "even a quiet tool says that nothing is encrypted: {quiet}");

    let complaint = cli.run(["pull", "--plain-http", "far.example/app:v1"]).await.failure(3);
    assert!(!complaint.contains("warning: "), "it was asked for: {complaint}");
    script.finish();
}

#[tokio::test]
async fn insecure_does_not_fall_back_on_a_close_a_reset_or_an_alert() {
    let alert = b"\x15\x03\x03\x00\x02\x02\x28";
    for (what, answer) in [("close", &b""[..]), ("alert", alert), ("nonsense", b"220 smtp.example\r\n")] {
        let peer = RawPeer::start(move |mut stream| async move {
            let mut hello = [0; 5];
            if stream.read_exact(&mut hello).await.is_ok() {
                let _gone = stream.write_all(answer).await;
            }
        })
        .await;
        let (cli, _proxy) = far(Cli::new(), peer.address()).await;
        let complaint = cli.run(["pull", "-k", "far.example/app:v1"]).await.failure(6);
        assert!(!complaint.contains("warning: ") && !complaint.contains("plain HTTP where"), "{what}: {complaint}");
    }
}

#[tokio::test]
async fn credentials_do_not_follow_over_plain_http_unless_told() {
    let script =
        Script::new().always("GET /v2/app/manifests/v1", Reply::refusal(404, "MANIFEST_UNKNOWN", "")).start().await;
    let guard = Guard::basic("ada", "correct-horse");
    let front = Front::before(script.address()).guarded(&guard).start().await;
    let address = front.registry().parse().expect("an address");
    let (cli, _proxy) = far(Cli::new().secret("correct-horse"), address).await;
    let cli = cli.env("SPINREG_USERNAME", "ada").env("SPINREG_PASSWORD", "correct-horse");
    for flag in ["-k", "--plain-http"] {
        let complaint = cli.run(["pull", flag, "far.example/app:v1"]).await.failure(4);
        assert!(complaint.contains("unprotected") && complaint.contains("--insecure-credentials"), "{complaint}");
    }
    assert!(script.requests().is_empty(), "nobody passed the guard");
    cli.run(["pull", "-k", "--insecure-credentials", "far.example/app:v1"]).await.failure(3);
    // To this computer itself they go without a flag.
    cli.run(["pull", &format!("{}/app:v1", front.registry())]).await.failure(3);
    script.finish();
}

#[tokio::test]
async fn certificates_are_verified_unless_told() {
    let script =
        Script::new().always("GET /v2/app/manifests/v1", Reply::refusal(404, "MANIFEST_UNKNOWN", "")).start().await;
    let authority = Authority::new();
    let front = Front::before(script.address()).start_tls(&authority).await;
    let reference = format!("{}/app:v1", front.registry());
    let cli = Cli::new();
    let complaint = cli.run(["pull", &reference]).await.failure(6);
    assert!(complaint.contains("UnknownIssuer") && complaint.contains("--ca-file"), "{complaint}");
    let file = authority.file();
    let file = file.to_str().expect("a path in Unicode");
    for flags in [&["-k"][..], &["--ca-file", file], &["--ca-file", file, "--http1"]] {
        let complaint = cli.run([&["pull", &reference], flags].concat()).await.failure(3);
        assert!(!complaint.contains("warning: "), "{complaint}");
    }
    let complaint = cli.run(["pull", "--ca-file", "absent.pem", &reference]).await.failure(1);
    assert!(complaint.contains("absent.pem"), "{complaint}");
    script.finish();
}
