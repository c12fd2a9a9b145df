//! Our own registry, in this process, over a directory that goes away with it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use spinreg::serve::{Exchange, Registry, Server, ServerOptions};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::wire::Wire;

/// A registry at work; dropping it closes its connections and removes its content.
pub(crate) struct Embedded {
    address: SocketAddr,
    root: TempDir,
    wire: Wire,
    task: JoinHandle<()>,
}

impl Embedded {
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let wire = Wire::new();
        let mut options = ServerOptions::default();
        options.observer = Some(Arc::new({
            let wire = wire.clone();
            move |exchange: &Exchange| wire.note(&exchange.to_string())
        }));
        let registry = Registry::open(root.path()).await.expect("an empty directory");
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(loopback, registry, options).await.expect("a loopback port");
        let address = server.address();
        let task = tokio::spawn(server.run(std::future::pending()));
        Self { address, root, wire, task }
    }

    /// Returns `127.0.0.1:PORT`, which is also the registry's name.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a reference to something in it: `app:v1`.
    pub(crate) fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    /// Returns the URI of `path` (and query).
    pub(crate) fn uri(&self, path: &str) -> http::Uri {
        format!("http://{}{path}", self.address).parse().expect("a URI")
    }

    /// Returns the directory with its layouts, one per repository.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Returns what went by. Queries are not shown; stand a [`super::front::Front`] before it to see them.
    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.task.abort();
    }
}
