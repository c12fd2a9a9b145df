//! `--self`: spinreg's own registry, to be judged.

use std::net::SocketAddr;

use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::cli::failure::Problem;
use crate::error::Error;
use crate::serve::{Registry, Server, ServerOptions};

/// A registry on a free port of loopback, over a directory that goes with it.
pub(super) struct Own {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    directory: TempDir,
}

impl Own {
    pub(super) async fn start() -> Result<Self, Problem> {
        let failed = |error| Error::io("create a directory in", std::env::temp_dir(), error);
        let directory = tempfile::Builder::new().prefix("spinreg-conformance-").tempdir().map_err(failed)?;
        let registry = Registry::open(directory.path()).await?;
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(loopback, registry, ServerOptions::default()).await?;
        let address = server.address();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(server.run(async move {
            // Told to stop, or left alone: either way nobody listens any more.
            let _ = stopped.await;
        }));
        Ok(Self { address, stop, served, directory })
    }

    /// Returns `127.0.0.1:PORT`.
    pub(super) fn registry(&self) -> crate::model::Registry {
        self.address.to_string().parse().expect("a socket address is a host and a port")
    }

    /// Lets open requests end, and removes the directory.
    pub(super) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.served.await;
        // What cannot be removed is left to the system, which empties its temporary directory.
        let _ = self.directory.close();
    }
}
