//! The embedded registry over loopback, by a client that shares nothing with ours.

mod abandoned;
mod access;
mod content;
mod deletion;
mod files;
mod garbage;
mod hostile;
mod http;
mod killed;
mod log;
mod oversized;
mod semantics;
mod slow;
mod tls;
mod tokens;
mod uploads;

use std::path::Path;
use std::sync::{Arc, Mutex};

use spinreg::model::{Algorithm, Digest};
use spinreg::serve::{Access, AccessOptions, Exchange, Handler, References, Registry, Server, ServerOptions};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A registry on a loopback port, over a directory of its own or a given one.
struct Served {
    address: std::net::SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Served {
    async fn over(root: &Path) -> Self {
        Self::with(root, References::Unchecked).await
    }

    async fn with(root: &Path, references: References) -> Self {
        Self::serving(Registry::open(root).await.expect("a directory").with_references(references)).await
    }

    async fn serving(registry: Registry) -> Self {
        Self::at(registry, ServerOptions::default()).await
    }

    /// Behind a door.
    async fn behind(root: &Path, access: AccessOptions) -> Self {
        let registry = Registry::open(root).await.expect("a directory");
        let door = Access::new(registry, access).expect("files that make sense");
        Self::at(door, ServerOptions::default()).await
    }

    /// As these options say; the lines are noted where nobody else observes.
    async fn at(handler: impl Handler, mut options: ServerOptions) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let noted = lines.clone();
        options.observer.get_or_insert_with(|| {
            Arc::new(move |exchange: &Exchange| {
                noted.lock().expect("nobody panics while noting").push(exchange.to_string());
            })
        });
        let loopback = "127.0.0.1:0".parse().expect("an address");
        let server = Server::bind(loopback, handler, options).await.expect("a loopback port");
        let address = server.address();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async move {
            let _ = stopped.await;
        }));
        Self { address, lines, stop, task }
    }

    async fn stop(self) {
        self.stop.send(()).expect("the server runs");
        self.task.await.expect("the server does not panic");
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("nobody panics while noting").clone()
    }
}

fn temporary() -> TempDir {
    TempDir::new().expect("a temporary directory")
}

/// Bytes that are nowhere the same, so that a piece in the wrong place shows.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

fn digest(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    Digest::of_with(algorithm, bytes)
}

const BOTH: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];
