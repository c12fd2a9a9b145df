//! As little HTTP/1.1 as a registry needs whose own work is not to show: a thread for each connection, no copies of
//! bodies where the system can be told to send a file.

use std::fs::File;
use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::sendfile::sendfile;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Where a registry of this program listens; it prints the port on standard output.
#[derive(clap::Args)]
pub struct Door {
    /// Speaks TLS with this certificate.
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// The key of the certificate.
    #[arg(long)]
    key: Option<PathBuf>,
}

/// The head of a request, and its body.
pub struct Request<'a> {
    /// The method.
    pub method: String,
    /// Everything up to the question mark.
    pub path: String,
    /// Everything after it.
    pub query: String,
    /// The media type of the body.
    pub media_type: String,
    /// The first byte that is asked for.
    pub from: u64,
    /// The body.
    pub body: &'a mut dyn Read,
}

/// An answer.
pub struct Reply {
    status: &'static str,
    headers: String,
    body: Body,
}

enum Body {
    Bytes(Vec<u8>),
    /// So many bytes, of which there are none: the answer to a `HEAD`.
    Length(u64),
    File(File, u64, u64),
}

impl Reply {
    /// Answers with a status and nothing else.
    pub fn status(status: &'static str) -> Self {
        Self { status, headers: String::new(), body: Body::Bytes(Vec::new()) }
    }

    /// Answers with bytes.
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Self { body: Body::Bytes(bytes), ..Self::status("200 OK") }
    }

    /// Tells how long the body would be, in answer to a `HEAD`.
    pub fn of_length(self, length: u64) -> Self {
        Self { body: Body::Length(length), ..self }
    }

    /// Answers with a file, from `from` on.
    pub fn file(file: File, from: u64) -> Result<Self> {
        let size = file.metadata()?.len();
        let reply = if from == 0 {
            Self::status("200 OK")
        } else {
            Self::status("206 Partial Content")
                .with("Content-Range", format!("bytes {from}-{}/{size}", size.max(1) - 1))
        };
        Ok(Self { body: Body::File(file, from.min(size), size), ..reply })
    }

    /// Adds a header.
    pub fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }
}

/// Listens on a loopback port, prints `listening on PORT`, and answers until the process ends. `GET /requests` tells how
/// many requests there were since it was asked last.
pub fn serve(door: &Door, answer: impl Fn(&mut Request) -> Result<Reply> + Send + Sync + 'static) -> Result<()> {
    let tls = door.tls()?.map(Arc::new);
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("listening on {}", listener.local_addr()?.port());
    let (answer, count) = (Arc::new(answer), Arc::new(AtomicU64::new(0)));
    for stream in listener.incoming() {
        let (stream, tls, answer, count) = (stream?, tls.clone(), answer.clone(), count.clone());
        stream.set_nodelay(true)?;
        // A connection that breaks is the client's affair.
        std::thread::spawn(move || match tls {
            None => talk(Plain(BufReader::with_capacity(1 << 16, stream)), &*answer, &count),
            Some(tls) => {
                let connection = ServerConnection::new(tls).map_err(Error::other)?;
                talk(Secret(BufReader::with_capacity(1 << 16, StreamOwned::new(connection, stream))), &*answer, &count)
            }
        });
    }
    Ok(())
}

impl Door {
    fn tls(&self) -> Result<Option<ServerConfig>> {
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else { return Ok(None) };
        let chain = CertificateDer::pem_file_iter(certificate).map_err(Error::other)?;
        let chain = chain.collect::<std::result::Result<Vec<_>, _>>().map_err(Error::other)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(Error::other)?;
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        Ok(Some(config.map_err(Error::other)?))
    }
}

/// A connection.
trait Line: BufRead {
    fn send(&mut self, bytes: &[u8]) -> Result<()>;
    fn send_file(&mut self, file: File, from: u64, end: u64) -> Result<()>;
}

struct Plain(BufReader<TcpStream>);
struct Secret(BufReader<StreamOwned<ServerConnection, TcpStream>>);

impl Line for Plain {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    fn send_file(&mut self, file: File, from: u64, end: u64) -> Result<()> {
        let mut offset = i64::try_from(from).map_err(Error::other)?;
        while (offset as u64) < end {
            let left = usize::try_from(end - offset as u64).map_err(Error::other)?;
            if sendfile(self.0.get_ref(), &file, Some(&mut offset), left)? == 0 {
                return Err(Error::other("the file is shorter than it was"));
            }
        }
        Ok(())
    }
}

impl Line for Secret {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.get_mut().write_all(bytes)?;
        self.0.get_mut().flush()
    }

    fn send_file(&mut self, mut file: File, from: u64, end: u64) -> Result<()> {
        use std::io::{Seek as _, SeekFrom};
        file.seek(SeekFrom::Start(from))?;
        let (mut left, mut buffer) = (end - from, vec![0; 1 << 18]);
        while left > 0 {
            let n = file.read(&mut buffer)?.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.0.get_mut().write_all(&buffer[..n])?;
            left -= n as u64;
        }
        self.0.get_mut().flush()
    }
}

macro_rules! read_through {
    ($line:ty) => {
        impl Read for $line {
            fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
                self.0.read(buffer)
            }
        }
        impl BufRead for $line {
            fn fill_buf(&mut self) -> Result<&[u8]> {
                self.0.fill_buf()
            }
            fn consume(&mut self, n: usize) {
                self.0.consume(n);
            }
        }
    };
}
read_through!(Plain);
read_through!(Secret);

fn talk(mut line: impl Line, answer: &impl Fn(&mut Request) -> Result<Reply>, count: &AtomicU64) -> Result<()> {
    loop {
        let mut head = Vec::with_capacity(1024);
        while !head.ends_with(b"\r\n\r\n") {
            if line.read_until(b'\n', &mut head)? == 0 {
                return Ok(());
            }
        }
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        parsed.parse(&head).map_err(Error::other)?;
        let header = |name: &str| {
            let found = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(found.value).ok()
        };
        let length: u64 = header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        let chunked = header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let from = header("range").and_then(|value| value.strip_prefix("bytes=")?.split('-').next()?.parse().ok());
        let media_type = header("content-type").unwrap_or_default().to_owned();
        let last = header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let waits = header("expect").is_some();
        let (path, query) =
            parsed.path.unwrap_or_default().split_once('?').unwrap_or((parsed.path.unwrap_or_default(), ""));
        let (method, path, query) = (parsed.method.unwrap_or_default().to_owned(), path.to_owned(), query.to_owned());
        if waits {
            line.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let reply = if path == "/requests" {
            Reply::bytes(count.swap(0, Ordering::Relaxed).to_string().into_bytes())
        } else {
            count.fetch_add(1, Ordering::Relaxed);
            if chunked {
                let mut body = Chunks { line: &mut line, left: 0, ended: false };
                let reply =
                    answer(&mut Request { method: method.clone(), path, query, media_type, from: 0, body: &mut body })?;
                drain(&mut body)?;
                reply
            } else {
                let mut body = (&mut line).take(length);
                let from = from.unwrap_or(0);
                let reply =
                    answer(&mut Request { method: method.clone(), path, query, media_type, from, body: &mut body })?;
                drain(&mut body)?;
                reply
            }
        };
        let length = match &reply.body {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Length(length) => *length,
            Body::File(_, from, end) => end - from,
        };
        let mut text =
            format!("HTTP/1.1 {}\r\nContent-Length: {length}\r\n{}\r\n", reply.status, reply.headers).into_bytes();
        match reply.body {
            Body::Bytes(bytes) => {
                if method != "HEAD" {
                    text.extend(bytes);
                }
                line.send(&text)?;
            }
            Body::Length(_) => line.send(&text)?,
            Body::File(file, from, end) => {
                line.send(&text)?;
                if method != "HEAD" {
                    line.send_file(file, from, end)?;
                }
            }
        }
        if last {
            return Ok(());
        }
    }
}

/// A body in chunks.
struct Chunks<'a, L> {
    line: &'a mut L,
    left: u64,
    ended: bool,
}

impl<L: BufRead> Read for Chunks<'_, L> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.left == 0 && !self.ended {
            let mut size = String::new();
            self.line.read_line(&mut size)?;
            if size.trim().is_empty() {
                size.clear();
                self.line.read_line(&mut size)?;
            }
            self.left = u64::from_str_radix(size.trim(), 16).map_err(Error::other)?;
            if self.left == 0 {
                self.ended = true;
                self.line.read_line(&mut size)?;
            }
        }
        if self.ended {
            return Ok(0);
        }
        let n = self.line.by_ref().take(self.left).read(buffer)?;
        self.left -= n as u64;
        Ok(n)
    }
}

/// Reads what is left and forgets it; tells how much it was, in bytes.
pub fn drain(body: &mut (impl Read + ?Sized)) -> Result<u64> {
    let (mut buffer, mut all) = (vec![0; 1 << 18], 0);
    loop {
        match body.read(&mut buffer)? {
            0 => return Ok(all),
            n => all += n as u64,
        }
    }
}
