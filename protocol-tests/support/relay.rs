//! Peers that pass bytes on: doors of another kind before a server, a proxy that makes tunnels, and a SOCKS proxy.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::listen::RawPeer;
use super::tls::Authority;

/// Ends TLS, as `localhost`, and passes what is inside on to `place`.
pub(crate) async fn behind_tls(authority: &Authority, place: SocketAddr) -> RawPeer {
    let acceptor = TlsAcceptor::from(authority.server_named(&["localhost"], &[]));
    RawPeer::start(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            // Who does not trust us leaves.
            if let Ok(stream) = acceptor.accept(stream).await {
                pass_on(stream, place).await;
            }
        }
    })
    .await
}

/// Listens on `::1`, and passes everything on to `place`.
pub(crate) async fn on_ipv6(place: SocketAddr) -> RawPeer {
    RawPeer::start_at("[::1]:0", move |stream| pass_on(stream, place)).await
}

/// A place on IPv4 that is dead: there is a port, and whoever knocks gets no answer at all.
pub(crate) struct Dead {
    // Takes one visitor and no more, and that one is never let in.
    _listener: TcpListener,
    _visitor: TcpStream,
}

impl Dead {
    pub(crate) async fn on(socket: TcpSocket) -> Self {
        let listener = socket.listen(0).expect("a bound socket");
        let address = listener.local_addr().expect("a bound socket has an address");
        Self { _visitor: TcpStream::connect(address).await.expect("the first visitor"), _listener: listener }
    }
}

/// What is at one port of this machine, family by family: IPv4 is as `first` makes it, and on IPv6 everything is passed on
/// to `place`. Returns the port, and who has to live.
pub(crate) async fn two_families<T>(place: SocketAddr, first: impl AsyncFnOnce(TcpSocket) -> T) -> (u16, T, RawPeer) {
    loop {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a loopback port");
        let port = socket.local_addr().expect("a bound socket has an address").port();
        // Somebody else may have the other one.
        if let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
            return (port, first(socket).await, RawPeer::on(listener, move |stream| pass_on(stream, place)));
        }
    }
}

async fn pass_on(mut client: impl AsyncRead + AsyncWrite + Unpin, place: SocketAddr) {
    let mut server = TcpStream::connect(place).await.expect("the server");
    // Ends with the first side that leaves.
    let _ended = copy_bidirectional(&mut client, &mut server).await;
}

/// A proxy that makes tunnels to one place, whatever is asked for, or answers as it is told; it notes what it was asked.
pub(crate) struct Tunnels {
    peer: RawPeer,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tunnels {
    pub(crate) async fn to(place: SocketAddr, answer: &'static str) -> Self {
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

    pub(crate) fn address(&self) -> SocketAddr {
        self.peer.address()
    }

    /// Returns the heads of the requests.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panics in here").clone()
    }
}

/// A SOCKS proxy (RFC 1928, RFC 1929) that leads to one place, whatever is asked for, and notes what that was.
pub(crate) struct Socks {
    peer: RawPeer,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Socks {
    /// Leads to `place` whoever has this user name and password; everybody, where there is none.
    pub(crate) async fn to(place: SocketAddr, account: Option<(&'static str, &'static str)>) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        let peer = RawPeer::start(move |mut client| {
            let noted = noted.clone();
            async move {
                // Who breaks off is not led anywhere.
                if let Ok(Some(wanted)) = meet(&mut client, account).await {
                    noted.lock().expect("no test panics in here").push(wanted);
                    pass_on(client, place).await;
                }
            }
        })
        .await;
        Self { peer, asked }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.peer.address()
    }

    /// Returns where clients wanted to go, as `name:port`, `1.2.3.4:port` or `[::1]:port`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panics in here").clone()
    }
}

async fn meet(client: &mut TcpStream, account: Option<(&str, &str)>) -> io::Result<Option<String>> {
    if client.read_u8().await? != 5 {
        return Ok(None);
    }
    let methods = short(client).await?;
    let wanted = if account.is_some() { 2 } else { 0 };
    if !methods.contains(&wanted) {
        client.write_all(&[5, 0xff]).await?;
        return Ok(None);
    }
    client.write_all(&[5, wanted]).await?;
    if let Some((user, password)) = account {
        assert_eq!(client.read_u8().await?, 1, "the version of the subnegotiation");
        let right = (short(client).await?, short(client).await?) == (user.into(), password.into());
        client.write_all(&[1, u8::from(!right)]).await?;
        if !right {
            return Ok(None);
        }
    }
    let mut head = [0; 3];
    client.read_exact(&mut head).await?;
    assert_eq!(head, [5, 1, 0], "CONNECT");
    let host = match client.read_u8().await? {
        1 => {
            let mut address = [0; 4];
            client.read_exact(&mut address).await?;
            std::net::Ipv4Addr::from(address).to_string()
        }
        3 => String::from_utf8(short(client).await?).expect("a name of text"),
        4 => {
            let mut address = [0; 16];
            client.read_exact(&mut address).await?;
            format!("[{}]", Ipv6Addr::from(address))
        }
        other => panic!("there is no kind of address {other}"),
    };
    let port = client.read_u16().await?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Ok(Some(format!("{host}:{port}")))
}

/// Reads what is preceded by its length in one byte.
async fn short(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}
