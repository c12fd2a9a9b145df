//! A handler with faults.

use http::request::Parts;
use http::{Request, Response};

use super::fault::Fault;
use super::state::State;
use super::{answers, deletions, lists, requests, tagging, uploads};
use crate::content::Body;
use crate::serve::rupture::Rupture;
use crate::serve::server::Handler;

/// Stands before a handler and does what its faults say. Without faults it does nothing.
///
/// A fault looks at the request first, in the order in which the faults were given, and at the answer afterwards, in the
/// same order. What it keeps in mind is forgotten with it: the storage behind it stays a good one.
#[derive(Debug)]
pub struct Faulty<H> {
    inner: H,
    faults: Vec<(Fault, State)>,
}

/// What one fault is working on.
pub(super) struct Work<'a, H> {
    pub(super) inner: &'a H,
    pub(super) fault: &'a Fault,
    pub(super) state: &'a State,
}

impl<H: Handler> Faulty<H> {
    /// Puts faults before a handler.
    pub fn new(inner: H, faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { inner, faults: faults.into_iter().map(|fault| (fault, State::default())).collect() }
    }
}

impl<H: Handler> Handler for Faulty<H> {
    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let (mut parts, mut body) = request.into_parts();
        // Faults see what was asked, not what other faults have made of it.
        let asked = copy(&parts);
        let mut armed = Vec::new();
        for (fault, state) in &self.faults {
            if fault.place.is_at(&asked) && (fault.place.when.is_some() || fault.place.is_turn()) {
                armed.push(Work { inner: &self.inner, fault, state });
            }
        }
        let mut answer = None;
        for work in &armed {
            answer = work.before(&mut parts, &mut body).await;
            if answer.is_some() {
                break;
            }
        }
        let mut response = match answer {
            Some(response) => response,
            None => self.inner.handle(Request::from_parts(parts, body)).await,
        };
        for work in &armed {
            let due = work.fault.place.when.is_none_or(|when| when == response.status() && work.fault.place.is_turn());
            if due {
                response = work.after(&asked, response).await;
            }
        }
        response
    }
}

impl<H: Handler> Work<'_, H> {
    /// Changes the request, or answers it.
    async fn before(&self, parts: &mut Parts, body: &mut Body) -> Option<Response<Body>> {
        if let Some(answer) = requests::before(self, parts, body).await {
            return Some(answer);
        }
        if let Some(answer) = uploads::before(self, parts, body).await {
            return Some(answer);
        }
        if let Some(answer) = tagging::before(self, parts, body).await {
            return Some(answer);
        }
        if let Some(answer) = lists::before(self, parts, body).await {
            return Some(answer);
        }
        deletions::before(self, parts).await
    }

    /// Changes the answer.
    async fn after(&self, asked: &Parts, response: Response<Body>) -> Response<Body> {
        let response = answers::after(self.fault, asked, response).await;
        let response = uploads::after(self, asked, response).await;
        let response = tagging::after(self, asked, response);
        let response = deletions::after(self, asked, response).await;
        lists::after(self, asked, response).await
    }
}

/// Copies what a request says, without its body, and what tears its connection.
fn copy(parts: &Parts) -> Parts {
    let mut request = Request::new(());
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = parts.headers.clone();
    if let Some(rupture) = parts.extensions.get::<Rupture>() {
        request.extensions_mut().insert(rupture.clone());
    }
    request.into_parts().0
}
