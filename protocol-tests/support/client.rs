//! Transports as tests want them: no proxies, no pauses worth mentioning, no trust in anybody by default.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, Uri};
use spinreg::Error;
use spinreg::content::Body;
use spinreg::error::{Unreachable, UnreachableKind};
use spinreg::transport::{Options, Payload, Proxies, Roots, Transport};

use super::tls::Authority;

/// Short enough for any number of retries, long enough to be a pause.
pub(crate) const PAUSE: Duration = Duration::from_millis(1);

/// How long tests let a transport wait for a peer that never does anything.
pub(crate) const PATIENCE: Duration = Duration::from_millis(50);

/// A transport that hangs must not hang the tests; nothing waits this long otherwise.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Makes a transport; `change` has the last word.
pub(crate) fn transport(change: impl FnOnce(&mut Options)) -> Transport {
    let mut options = Options { proxies: Proxies::none(), ..Options::default() };
    options.tls.roots = Roots::OnlyGiven;
    (options.policy.backoff_min, options.policy.backoff_max) = (PAUSE, PAUSE);
    change(&mut options);
    Transport::new(options).expect("options that fit")
}

/// Makes a transport that trusts `authority`.
pub(crate) fn trusting(authority: &Authority, change: impl FnOnce(&mut Options)) -> Transport {
    transport(|options| {
        options.tls.ca_files.push(authority.file());
        change(options);
    })
}

/// Makes a request without a payload.
pub(crate) fn request(method: Method, uri: &Uri) -> Request<Payload> {
    Request::builder().method(method).uri(uri).body(Payload::Empty).expect("a request")
}

/// Makes a GET.
pub(crate) fn get(uri: &Uri) -> Request<Payload> {
    request(Method::GET, uri)
}

/// Sends a request with a budget of its own.
pub(crate) async fn send(transport: &Transport, request: Request<Payload>) -> Result<Response<Body>, Error> {
    let mut budget = transport.budget();
    tokio::time::timeout(WATCHDOG, transport.send(request, &mut budget)).await.expect("the transport hangs")
}

/// Reads a body: what came, and how it ended.
pub(crate) async fn read(mut body: Body) -> (Bytes, Result<(), Error>) {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.chunk().await {
        match chunk {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(error) => return (bytes.freeze(), Err(error)),
        }
    }
    (bytes.freeze(), Ok(()))
}

/// Reads a body that comes whole.
pub(crate) async fn whole(response: Response<Body>) -> Bytes {
    let (bytes, end) = read(response.into_body()).await;
    end.expect("a whole body");
    bytes
}

/// Takes an error for the network's.
#[track_caller]
pub(crate) fn unreachable<T>(outcome: Result<T, Error>, kind: UnreachableKind) -> Unreachable {
    match outcome {
        Err(Error::Unreachable(failure)) if failure.kind == kind => *failure,
        Err(error) => panic!("{error:?} is not {kind:?}"),
        Ok(_) => panic!("an answer is not {kind:?}"),
    }
}
