//! Sending requests to registries that want to know who we are.

use std::sync::Arc;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};

use super::challenge::parse;
use super::demand::{Carried, Demand, is_worth_meeting};
use super::grant::{Account, Identity};
use super::session::{Anonymous, Met, Session};
use super::token::{Denied, Token};
use super::{Keychain, Scopes};
use crate::content::Body;
use crate::error::{Details, Error, HelperFailure, RequestLine, Tried, Unmet};
use crate::model::{ErrorBody, ErrorEntry, Registry};
use crate::transport::{Budget, FinalUri, Origin, Payload, Scheme, Transport, headers};

/// Whether credentials may be sent where others can read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exposure {
    /// Over TLS, and to this very machine.
    #[default]
    Guarded,
    /// Over plain HTTP as well.
    Allowed,
}

impl Exposure {
    /// Says whether a credential may go to `origin`.
    pub(crate) fn allows(self, origin: &Origin) -> bool {
        self == Self::Allowed || origin.scheme() == Scheme::Https || origin.is_loopback()
    }
}

/// Something about credentials that people should be told, once.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Remark<'a> {
    /// A credential helper gives no answer; something is read without credentials.
    HelperFailed {
        /// The registry that wanted some.
        registry: &'a Registry,
        /// What is the matter.
        failure: &'a HelperFailure,
    },
    /// Credentials are refused, and what was asked for is there for anybody.
    CredentialsRefused {
        /// The registry that refuses them.
        registry: &'a Registry,
        /// Which ones.
        tried: &'a Tried,
    },
}

/// Sends requests, meets the challenges that come back, and remembers what worked. Clones share what is remembered.
///
/// Credentials go to the origin of the request alone, and to the token service that it names, if that is protected as
/// well as the registry and not in a private network that the registry is outside of. Tokens are kept in memory, until
/// shortly before they expire; requests that want the same one share one token request.
#[derive(Clone)]
pub struct Authorizer {
    pub(super) session: Arc<Session>,
}

impl Authorizer {
    /// Puts an authorizer before a transport.
    pub fn new(transport: Transport, keychain: Arc<dyn Keychain>, exposure: Exposure) -> Self {
        Self::telling(transport, keychain, exposure, |_| ())
    }

    /// Puts an authorizer before a transport; `tell` is told what people should know. Called from inside requests: it must
    /// not block.
    pub fn telling(
        transport: Transport,
        keychain: Arc<dyn Keychain>,
        exposure: Exposure,
        tell: impl Fn(Remark<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self { session: Arc::new(Session::new(transport, keychain, exposure, Box::new(tell))) }
    }

    /// Returns the transport behind it.
    pub fn transport(&self) -> &Transport {
        &self.session.transport
    }

    /// Sends a request to `registry`, with what is known to be needed for `scopes`; meets a challenge if one comes, and
    /// sends the request again.
    ///
    /// Every status but 401 is returned as it is; so is a 401 that names no way to authenticate that we speak, and one
    /// that comes from another host than the registry's, to which a redirect or an upload session led.
    ///
    /// What is only to be read is tried once more without credentials where they are refused, or where the program that
    /// should have them gives no answer: many registries refuse to give to a wrong password what they give to anybody.
    ///
    /// **Requests**: the request alone, where no credentials are needed or a token is at hand. On first contact that, the
    /// token's (none for Basic), and the request again. Where a token has expired, the token's come before the request.
    /// Where credentials are refused for reading, all of this once more, once for each repository.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthorized`] where the credentials, or the lack of them, are refused by the registry or its token
    /// service, or may not be sent because the connection is not protected. [`Error::Protocol`] where the challenge leads
    /// to a token service that breaks the rules above, or that talks nonsense. [`Error::Helper`] where a credential helper
    /// gives no answer, and something is to be changed. Those of the keychain and of [`Transport::send`].
    pub async fn send(
        &self,
        registry: &Registry,
        request: Request<Payload>,
        scopes: &Scopes,
        budget: &mut Budget,
    ) -> Result<Response<Body>, Error> {
        let session = &self.session;
        let Some(origin) = Origin::of(request.uri()).filter(|origin| is_home(registry, origin)) else {
            return session.transport.send(request, budget).await;
        };
        let (name, identity) = (scopes.first_name().cloned(), Identity::Own);
        let own = Account { origin, registry: registry.clone(), name, identity };
        let nobody = Account { identity: Identity::Nobody, ..own.clone() };
        let known = if scopes.is_reading() { session.anonymous(&own) } else { Some(Anonymous::Unwelcome) };
        match known {
            Some(Anonymous::Welcome) => return Ok(self.attempt(&nobody, &request, scopes, budget).await?.0),
            Some(Anonymous::Unwelcome) => return Ok(self.attempt(&own, &request, scopes, budget).await?.0),
            None => {}
        }
        let (first, refused) = match self.attempt(&own, &request, scopes, budget).await {
            Ok((response, tried @ Tried::Account { .. })) if is_forbidden(&response, &own.origin) => {
                // Read now, so that it does not hold its connection.
                (Ok(buffered(response).await), tried)
            }
            Err(Error::Unauthorized(unmet)) if matches!(unmet.tried, Tried::Account { .. }) => {
                let tried = unmet.tried.clone();
                (Err(Error::Unauthorized(unmet)), tried)
            }
            Err(Error::Helper(failure)) => {
                let remark = Remark::HelperFailed { registry, failure: &failure };
                session.conclude(&own, Anonymous::Welcome, remark);
                return Ok(self.attempt(&nobody, &request, scopes, budget).await?.0);
            }
            outcome => return outcome.map(|(response, _)| response),
        };
        if session.wants_passwords(&own.origin) {
            return first;
        }
        let second = self.attempt(&nobody, &request, scopes, budget).await;
        let remark = Remark::CredentialsRefused { registry, tried: &refused };
        match second {
            Ok((response, _)) if !matches!(response.status().as_u16(), 401 | 403 | 404) => {
                session.conclude(&own, Anonymous::Welcome, remark);
                Ok(response)
            }
            _ => {
                session.conclude(&own, Anonymous::Unwelcome, remark);
                first
            }
        }
    }

    /// Sends a request in the name of `account`; returns what it was answered, and what it carried in the end.
    async fn attempt(
        &self,
        account: &Account,
        request: &Request<Payload>,
        scopes: &Scopes,
        budget: &mut Budget,
    ) -> Result<(Response<Body>, Tried), Error> {
        let session = &self.session;
        let line = RequestLine::new(request.method(), request.uri());
        let mut pass = session.remembered(account, scopes, budget).await?;
        // Ends: whatever is met leads to `Carried::Best` in two rounds, after which nothing is worth meeting.
        loop {
            let response = session.transport.send(carrying(request, pass.header.as_ref()), budget).await?;
            let Some(demand) = demand(&response, &account.origin) else { return Ok((response, pass.tried)) };
            let answered = final_uri(&response, request.uri());
            let refusal = refusal(line.clone(), response).await;
            if !is_worth_meeting(&pass.carried, &demand) {
                return Err(unmet(&account.registry, pass.tried, refusal));
            }
            let met = match &demand {
                Demand::Basic => session.meet_basic(account, &pass).await?,
                Demand::Bearer(bearer) => {
                    session.meet_bearer(account, bearer, scopes, &pass, &answered, budget).await?
                }
            };
            pass = match met {
                Met::Pass(pass) => pass,
                Met::Nothing(tried) => return Err(unmet(&account.registry, tried, refusal)),
            };
        }
    }
}

/// What a request carries, and what has to be known about that when it is refused.
pub(super) struct Pass {
    /// The value of `Authorization`.
    pub(super) header: Option<HeaderValue>,
    /// What kind of thing that is.
    pub(super) carried: Carried,
    /// The token, where it is one that we got.
    pub(super) token: Option<Arc<Token>>,
    /// Whose it is.
    pub(super) tried: Tried,
}

impl Pass {
    /// Carries nothing.
    pub(super) fn none() -> Self {
        Self { header: None, carried: Carried::Nothing, token: None, tried: Tried::Nothing }
    }
}

/// Copies a request, to be sent with this `Authorization`.
pub(super) fn carrying(request: &Request<Payload>, header: Option<&HeaderValue>) -> Request<Payload> {
    let mut request = request.clone();
    if let Some(header) = header {
        request.headers_mut().insert(AUTHORIZATION, header.clone());
    }
    request
}

/// Returns what the registry at `origin` demands; `None` where this is no challenge of its.
pub(super) fn demand(response: &Response<Body>, origin: &Origin) -> Option<Demand> {
    let is_challenge = response.status() == StatusCode::UNAUTHORIZED && is_of(response, origin);
    is_challenge.then(|| demand_in(response.headers()))?
}

/// Says whether a registry's own host and port are at `origin`: an upload session may be elsewhere, and nobody there has
/// a right to our credentials.
fn is_home(registry: &Registry, origin: &Origin) -> bool {
    let scheme = if origin.scheme() == Scheme::Https { "https" } else { "http" };
    let home = format!("{scheme}://{}/", registry.api_host()).parse().ok();
    home.as_ref().and_then(Origin::of).as_ref() == Some(origin)
}

/// Says whether the registry at `origin` itself refuses what it was shown.
fn is_forbidden(response: &Response<Body>, origin: &Origin) -> bool {
    matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) && is_of(response, origin)
}

/// Says whether `origin` answered, and not something to which it led.
fn is_of(response: &Response<Body>, origin: &Origin) -> bool {
    let own = |FinalUri(uri): &FinalUri| Origin::of(uri).as_ref() == Some(origin);
    response.extensions().get().is_none_or(own)
}

fn demand_in(headers: &HeaderMap) -> Option<Demand> {
    let lines = headers.get_all(WWW_AUTHENTICATE);
    Demand::of(&parse(lines.iter().map(HeaderValue::as_bytes)))
}

/// Returns the URI that answered.
pub(super) fn final_uri(response: &Response<Body>, requested: &Uri) -> Uri {
    response.extensions().get().map_or(requested, |FinalUri(uri)| uri).clone()
}

/// Reads what the registry says beside its challenge. Reading it also gives the connection back.
pub(super) async fn refusal(request: RequestLine, response: Response<Body>) -> Denied {
    let details = Details { request_id: headers::request_id(response.headers()), ..Details::default() };
    Denied { request, errors: complaints(response).await, details }
}

/// Reads what the registry says.
pub(super) async fn complaints(response: Response<Body>) -> Vec<ErrorEntry> {
    ErrorBody::parse(&beginning(response.into_body()).await).errors
}

/// Reads the body of a refusal, to be read again.
async fn buffered(response: Response<Body>) -> Response<Body> {
    let (head, body) = response.into_parts();
    Response::from_parts(head, Body::from_bytes(beginning(body).await))
}

async fn beginning(body: Body) -> Vec<u8> {
    let mut body = body.take(MAX_COMPLAINT);
    let mut bytes = Vec::new();
    // What broke on the way is no error: there is one already, and this only explains it.
    while let Some(Ok(chunk)) = body.chunk().await {
        bytes.extend_from_slice(&chunk);
    }
    bytes
}

/// Blames the credentials.
pub(super) fn unmet(registry: &Registry, tried: Tried, refusal: Denied) -> Error {
    let Denied { request, errors, details } = refusal;
    Error::Unauthorized(Box::new(Unmet { registry: registry.clone(), request, tried, errors, details }))
}

/// Bytes of an error body.
const MAX_COMPLAINT: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, from: &str, challenge: &str) -> Response<Body> {
        let response = Response::builder().status(status).extension(FinalUri(from.parse().expect(from)));
        response.header(WWW_AUTHENTICATE, challenge).body(Body::empty()).expect("a valid response")
    }

    #[test]
    fn only_the_registry_itself_may_demand() {
        let origin = Origin::of(&Uri::from_static("https://r.example/v2/")).expect("an origin");
        for (status, from, challenge, demanded) in [
            (401, "https://r.example/v2/", "Basic realm=\"r\"", true),
            (401, "https://r.example:443/elsewhere", "Basic realm=\"r\"", true),
            (401, "https://r.example/v2/", "Negotiate", false),
            (401, "https://cdn.example/x", "Basic realm=\"r\"", false),
            (401, "http://r.example/v2/", "Basic realm=\"r\"", false),
            (403, "https://r.example/v2/", "Basic realm=\"r\"", false),
            (200, "https://r.example/v2/", "Basic realm=\"r\"", false),
        ] {
            assert_eq!(demand(&response(status, from, challenge), &origin).is_some(), demanded, "{status} {from}");
        }
    }

    #[test]
    fn credentials_stay_at_home() {
        for (registry, uri, home) in [
            ("r.example", "https://r.example/v2/", true),
            ("r.example", "https://r.example:443/v2/", true),
            ("r.example", "http://r.example/v2/", true),
            ("r.example", "https://r.example:8443/v2/", false),
            ("r.example:5000", "http://r.example:5000/v2/", true),
            ("r.example:5000", "http://r.example/v2/", false),
            ("r.example", "https://cdn.r.example/v2/", false),
            ("[::1]:5000", "http://[::1]:5000/v2/", true),
            ("docker.io", "https://registry-1.docker.io/v2/", true),
            ("docker.io", "https://docker.io/v2/", false),
        ] {
            let origin = Origin::of(&uri.parse().expect(uri)).expect(uri);
            assert_eq!(is_home(&registry.parse().expect(registry), &origin), home, "{registry}: {uri}");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        for (uri, guarded) in [
            ("https://r.example", true),
            ("http://r.example", false),
            ("http://10.0.0.1:5000", false),
            ("http://127.0.0.1:5000", true),
            ("http://[::1]:5000", true),
            ("http://localhost:5000", true),
            ("http://localhost.example", false),
        ] {
            let origin = Origin::of(&uri.parse().expect(uri)).expect(uri);
            assert_eq!(Exposure::Guarded.allows(&origin), guarded, "{uri}");
            assert!(Exposure::Allowed.allows(&origin), "{uri}");
        }
    }

    #[tokio::test]
    async fn complaints_are_bounded() {
        let body = format!("{{\"errors\":[{{\"code\":\"DENIED\",\"message\":\"{}\"}}]}}", "x".repeat(1 << 20));
        assert!(complaints(Response::new(Body::from_bytes(body))).await.is_empty());
        let body = "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no\"}]}";
        assert_eq!(complaints(Response::new(Body::from_bytes(body))).await.len(), 1);
    }

    #[test]
    fn sending_is_for_any_task() {
        fn is_send(_: impl Send) {}
        let options = crate::transport::Options::default();
        let transport = Transport::new(options).expect("a transport");
        let authorizer = Authorizer::new(transport.clone(), Arc::new(()), Exposure::Guarded);
        let registry = "r.example".parse().expect("a registry");
        let mut budget = transport.budget();
        is_send(authorizer.send(&registry, Request::new(Payload::Empty), &Scopes::none(), &mut budget));
    }
}
