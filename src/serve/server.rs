//! Listening: who may connect, and until when.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use http::{Request, Response};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::connection::{self, Shared};
use super::exchange::{Names, Observer};
use super::tls::Tls;
use crate::content::Body;
use crate::error::Error;

/// Answers requests. [`super::Registry`] does; a test may wrap it to ask for credentials or to misbehave.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. A body that fails while it is sent breaks the connection (HTTP/2: the stream) off.
    fn handle(&self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send;
}

impl<H: Handler> Handler for Arc<H> {
    fn handle(&self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send {
        H::handle(self, request)
    }
}

/// How a [`Server`] treats its peers.
#[derive(Clone)]
#[non_exhaustive]
pub struct ServerOptions {
    /// How many connections may be open at once; further ones wait to be accepted. 1 024.
    pub connections: usize,
    /// How long the headers of a request may take, and a kept connection wait for the next one. 60 s.
    pub headers: Duration,
    /// How long a peer may be silent when it is its turn, between requests, in a body, or in taking an answer,
    /// before the connection is given up. How long we work on a request does not count. 120 s.
    pub idle: Duration,
    /// How long requests may go on after the server was told to stop. 10 s.
    pub grace: Duration,
    /// The certificate to serve HTTPS with; plain HTTP without one.
    pub tls: Option<Tls>,
    /// Is told of every answer.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connections: 1024,
            headers: Duration::from_secs(60),
            idle: Duration::from_secs(120),
            grace: Duration::from_secs(10),
            tls: None,
            observer: None,
        }
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, headers, idle, grace, tls, observer } = self;
        f.debug_struct("ServerOptions")
            .field("connections", connections)
            .field("headers", headers)
            .field("idle", idle)
            .field("grace", grace)
            .field("tls", tls)
            .field("observed", &observer.is_some())
            .finish()
    }
}

/// A listening socket and who answers on it: HTTP/1.1, and HTTP/2 where the client begins with it or, over TLS, asks for
/// it.
///
/// Every answer has an `X-Request-Id`: the request's own, or a new one. Requests whose target, headers or `Host` are not
/// within [`limits`](super::MAX_TARGET) are refused before the handler sees them.
pub struct Server<H> {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared<H>>,
}

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, shared, .. } = self;
        f.debug_struct("Server").field("address", address).field("options", &shared.options).finish_non_exhaustive()
    }
}

impl<H: Handler> Server<H> {
    /// Listens on `address`; port 0 lets the system choose. Connections queue up until [`Server::run`].
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the address cannot be had, or the system has no randomness.
    pub async fn bind(address: SocketAddr, handler: H, options: ServerOptions) -> Result<Self, Error> {
        let failed = |error| Error::io("listen on", address.to_string(), error);
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let names = Names::new()?;
        Ok(Self { listener, address, shared: Arc::new(Shared { handler, options, names }) })
    }

    /// Returns the address it listens on, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready, then lets open requests end, for [`ServerOptions::grace`] at most.
    ///
    /// Dropping the future closes every connection at once.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let options = &self.shared.options;
        let permits = Arc::new(Semaphore::new(options.connections));
        let graceful = GracefulShutdown::new();
        let (stop, stopped) = watch::channel(());
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let next = std::pin::pin!(async {
                let permit = permits.clone().acquire_owned().await.expect("nobody closes the semaphore");
                (permit, self.listener.accept().await)
            });
            let Either::Right(((permit, accepted), _)) = select(shutdown.as_mut(), next).await else { break };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, peer)) => {
                    let (watcher, stopped) = (graceful.watcher(), stopped.clone());
                    let connection = connection::serve(self.shared.clone(), stream, peer, watcher, stopped);
                    connections.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    // Out of file descriptors, most likely: connections that end give some back.
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        // Everybody may have gone already.
        let _ = stop.send(());
        if timeout(options.grace, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were cut off, because they outlasted the grace period");
        }
        // Dropping the set ends what is left.
    }
}

/// How long to wait before the next attempt to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
