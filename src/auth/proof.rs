//! Proving credentials by a real request, for `login`.

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};

use super::authorizer::{Authorizer, carrying, complaints, demand, final_uri, refusal, unmet};
use super::demand::{Bearer, Demand};
use super::session::{Direct, service};
use super::token::{self, Ask, NoToken};
use super::{Credential, Found};
use crate::content::Body;
use crate::error::{Details, Error, Refused, RequestLine, Tried};
use crate::model::Registry;
use crate::transport::{Attempts, Budget, Origin, Payload, headers};

/// What is known about credentials after trying them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The registry accepts them.
    Verified,
    /// The registry does not ask for any, so that they may be anything. They are not sent to it then: some registries
    /// that serve everybody refuse requests with a password.
    NotAsked,
}

impl Authorizer {
    /// Proves credentials by a real request to `base`, the registry's `…/v2/`. Saves and remembers nothing.
    ///
    /// A token service has to give a token for them, for the scope that the challenge names, if it names one. The registry
    /// has to accept that token at `base`, or to refuse it only because it wants a scope that `login` has no name for.
    ///
    /// **Requests**: a `GET`, and where that is answered by a challenge the token's, if any, and a second `GET`.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthorized`] where the credentials are not accepted, are of a kind that the registry has no use for, or
    /// may not be sent because the connection is not protected. [`Error::Refused`] where the registry answers anything
    /// but 2xx and 401. Else as for [`Self::send`].
    pub async fn prove(&self, registry: &Registry, base: &Uri, found: &Found) -> Result<Proof, Error> {
        let mut budget = self.session.transport.budget();
        let mut request = Request::new(Payload::Empty);
        *request.uri_mut() = base.clone();
        let attempt = Attempt { authorizer: self, registry, found, request };
        attempt.run(&mut budget).await
    }
}

struct Attempt<'a> {
    authorizer: &'a Authorizer,
    registry: &'a Registry,
    found: &'a Found,
    request: Request<Payload>,
}

impl Attempt<'_> {
    async fn run(self, budget: &mut Budget) -> Result<Proof, Error> {
        let response = self.send(None, budget).await?;
        let origin = Origin::of(self.request.uri());
        let demanded = origin.as_ref().and_then(|origin| demand(&response, origin));
        let (Some(origin), Some(demanded)) = (origin, demanded) else {
            let is_open = response.status().is_success();
            return if is_open { Ok(Proof::NotAsked) } else { Err(self.refused(response).await) };
        };
        let answered = final_uri(&response, self.request.uri());
        let refused = refusal(self.line(), response).await;
        let header = match &demanded {
            Demand::Basic => self.direct(Direct::Password, &origin),
            Demand::Bearer(_) if matches!(self.found.credential, Credential::Bearer { .. }) => {
                self.direct(Direct::Token, &origin)
            }
            Demand::Bearer(bearer) => self.token(bearer, &origin, &answered, budget).await?,
        };
        let header = header.map_err(|tried| unmet(self.registry, tried, refused))?;

        let response = self.send(Some(&header), budget).await?;
        let again = demand(&response, &origin);
        match judge(response.status(), again.as_ref(), &demanded) {
            Verdict::Verified => Ok(Proof::Verified),
            Verdict::Unmet => {
                let refused = refusal(self.line(), response).await;
                Err(unmet(self.registry, self.found.tried(), refused))
            }
            Verdict::Refused => Err(self.refused(response).await),
        }
    }

    fn direct(&self, direct: Direct, origin: &Origin) -> Result<HeaderValue, Tried> {
        if !self.authorizer.session.exposure.allows(origin) {
            return Err(Tried::Withheld);
        }
        direct.header(&self.found.credential).ok_or_else(|| self.found.tried())
    }

    async fn token(
        &self,
        bearer: &Bearer,
        origin: &Origin,
        answered: &Uri,
        budget: &mut Budget,
    ) -> Result<Result<HeaderValue, Tried>, Error> {
        let session = &self.authorizer.session;
        let realm = service(bearer, answered)?;
        let is_guarded = |to: &Origin| session.exposure.allows(to);
        if !is_guarded(origin) || !Origin::of(&realm).as_ref().is_some_and(is_guarded) {
            return Ok(Err(Tried::Withheld));
        }
        let credential = Some(&self.found.credential);
        let ask = Ask { realm: &realm, service: bearer.service.as_deref(), scopes: &bearer.scopes, credential };
        match token::fetch(&session.transport, &ask, budget).await {
            Ok(token) => Ok(Ok(token.header)),
            Err(NoToken::Failed(error)) => Err(error),
            Err(NoToken::Denied(denied)) => Err(unmet(self.registry, self.found.tried(), *denied)),
        }
    }

    async fn send(&self, header: Option<&HeaderValue>, budget: &mut Budget) -> Result<Response<Body>, Error> {
        self.authorizer.session.transport.send(carrying(&self.request, header), budget).await
    }

    fn line(&self) -> RequestLine {
        RequestLine::new(&Method::GET, self.request.uri())
    }

    async fn refused(&self, response: Response<Body>) -> Error {
        let status = response.status();
        let attempts = response.extensions().get().map_or(1, |Attempts(attempts)| *attempts);
        let details = Details { request_id: headers::request_id(response.headers()), ..Details::default() };
        let errors = complaints(response).await;
        Error::Refused(Box::new(Refused { request: self.line(), status, errors, attempts, details }))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Verified,
    Unmet,
    Refused,
}

/// Judges the answer to the request that had the credentials. Pure.
fn judge(status: StatusCode, again: Option<&Demand>, first: &Demand) -> Verdict {
    match (first, again) {
        _ if status.is_success() => Verdict::Verified,
        // The token is genuine, and not enough for `/v2/`; what it is enough for shows when it is used.
        (Demand::Bearer(_), _) if status == StatusCode::FORBIDDEN => Verdict::Verified,
        (Demand::Bearer(asked), Some(Demand::Bearer(bearer)))
            if bearer.insufficient || !asked.scopes.covers(&bearer.scopes) =>
        {
            Verdict::Verified
        }
        _ if status == StatusCode::UNAUTHORIZED => Verdict::Unmet,
        _ => Verdict::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::challenge::parse;

    #[test]
    fn a_token_may_be_genuine_and_not_enough() {
        let demand = |line: &str| Demand::of(&parse([line.as_bytes()]));
        let plain = "Bearer realm=\"/t\"";
        let scoped = "Bearer realm=\"/t\",scope=\"registry:catalog:*\"";
        let insufficient = "Bearer realm=\"/t\",error=\"insufficient_scope\"";
        for (first, status, again, expected) in [
            ("Basic", 200, "", Verdict::Verified),
            ("Basic", 401, "Basic", Verdict::Unmet),
            ("Basic", 401, "", Verdict::Unmet),
            ("Basic", 401, insufficient, Verdict::Unmet),
            ("Basic", 403, "", Verdict::Refused),
            ("Basic", 500, "", Verdict::Refused),
            (plain, 200, "", Verdict::Verified),
            (plain, 401, plain, Verdict::Unmet),
            (plain, 401, insufficient, Verdict::Verified),
            (plain, 401, scoped, Verdict::Verified),
            (scoped, 401, scoped, Verdict::Unmet),
            (plain, 403, "", Verdict::Verified),
            (plain, 404, "", Verdict::Refused),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let verdict = judge(status, demand(again).as_ref(), &demand(first).expect(first));
            assert_eq!(verdict, expected, "{first}: {status} {again}");
        }
    }
}
