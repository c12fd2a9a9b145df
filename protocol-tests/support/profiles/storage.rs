//! The second origin: it has blobs, knows them by signed addresses, and wants no credentials.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response, header};
use hyper::body::Incoming;
use spinreg::content::Body;

use super::super::front::forward;
use super::super::listen::{Connection, Handler, Hangup, Listener};
use super::super::pattern::target;
use super::super::reply::{Names, Reply};
use super::super::tls::Authority;
use super::play::PROTOCOLS;

/// A storage service at work.
pub(crate) struct Storage {
    origin: String,
    listener: Listener,
    shelf: Shelf,
}

#[derive(Clone)]
struct Shelf {
    upstream: SocketAddr,
    served: Arc<AtomicUsize>,
    leaked: Arc<AtomicUsize>,
}

impl Storage {
    /// Starts it under a name, over the blobs of the registry at `upstream`.
    pub(super) async fn start(name: &str, upstream: SocketAddr, authority: &Authority) -> Self {
        let shelf = Shelf { upstream, served: Arc::default(), leaked: Arc::default() };
        let listener = Listener::tls(shelf.clone(), authority.server_named(&[name], PROTOCOLS)).await;
        Self { origin: format!("https://{name}"), listener, shelf }
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns where it listens, whatever it is called.
    pub(super) fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Returns how many blobs were served.
    pub(crate) fn served(&self) -> usize {
        self.shelf.served.load(Ordering::SeqCst)
    }

    /// Returns how many requests came with credentials that are not for here.
    pub(crate) fn leaked(&self) -> usize {
        self.shelf.leaked.load(Ordering::SeqCst)
    }
}

/// Returns the signed address of a blob, given its path at the registry.
pub(super) fn address(storage: &str, path: &str) -> String {
    format!("{storage}/{PREFIX}{path}?{SIGNATURE}")
}

impl Handler for Shelf {
    async fn handle(&self, mut request: Request<Incoming>, connection: &Connection) -> Result<Response<Body>, Hangup> {
        let (method, wanted) = (request.method().clone(), target(request.uri()).to_owned());
        let refuse = async |reply: Reply| reply.play(&method, &Names::default(), connection).await;
        let knows = [header::AUTHORIZATION, header::COOKIE].iter().any(|name| request.headers().contains_key(name));
        if knows {
            self.leaked.fetch_add(1, Ordering::SeqCst);
            let text = "<Error><Code>InvalidAuthenticationInfo</Code><Message>Authentication information is not given \
                in the correct format.</Message></Error>";
            return refuse(Reply::status(400).header("content-type", "application/xml").body(text)).await;
        }
        // Signed as it is: an address that was tidied up on the way is another one.
        let path =
            wanted.strip_prefix(&format!("/{PREFIX}")).and_then(|rest| rest.strip_suffix(&format!("?{SIGNATURE}")));
        let Some(path) = path else { return refuse(Reply::status(403).body("<Error>bad signature</Error>")).await };
        *request.uri_mut() = path.parse().expect("a part of a URI");
        self.served.fetch_add(1, Ordering::SeqCst);
        let mut response = forward(self.upstream, request).await?;
        for name in ["connection", "transfer-encoding", "docker-content-digest"] {
            response.headers_mut().remove(name);
        }
        Ok(response)
    }
}

/// Two slashes: some really have them.
const PREFIX: &str = "bucket//x";
const SIGNATURE: &str = "sig=a%2Fb%2B&se=2030-01-01T00%3A00%3A00Z";
