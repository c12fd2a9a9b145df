//! Registries that make use of what they may refuse: no check is broken by it.

use std::future::pending;

use http::header::ACCEPT;
use http::{Method, Request, Response, StatusCode};
use spinreg::conformance::{Grounds, Means, Outcome, check};
use spinreg::content::Body;
use spinreg::serve::{Handler, References, Registry, Server, ServerOptions};

use crate::support::judged::probe;

/// Has a manifest for those alone who say what they can read, and takes none whose parts it has not.
struct Strict(Registry);

impl Handler for Strict {
    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if reads && request.uri().path().contains("/manifests/") && !request.headers().contains_key(ACCEPT) {
            let mut refusal = Response::new(Body::from_bytes("{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\"}]}"));
            *refusal.status_mut() = StatusCode::NOT_FOUND;
            refusal.headers_mut().insert("content-type", "application/json".parse().expect("a media type"));
            return refusal;
        }
        self.0.handle(request).await
    }
}

#[tokio::test]
async fn what_a_registry_may_refuse_is_no_failure() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let registry = Registry::open(root.path()).await.expect("an empty directory");
    let strict = Strict(registry.with_references(References::Checked));
    let loopback = "127.0.0.1:0".parse().expect("an address");
    let server = Server::bind(loopback, strict, ServerOptions::default()).await.expect("a loopback port");
    let address = server.address().to_string();
    let serving = tokio::spawn(server.run(pending()));
    let [repository, other] = ["conformance/one", "conformance/two"].map(|name| name.parse().expect("a name"));
    let found = check(&probe(&address, |_| ()), &Grounds { repository, other, means: Means::Push }, pending()).await;
    serving.abort();
    let others: Vec<_> = found.findings.iter().filter(|finding| finding.outcome != Outcome::Met).collect();
    let told: Vec<_> = others.iter().map(|finding| (finding.check.id, &finding.outcome, &finding.notes)).collect();
    assert!(told.is_empty(), "{told:#?}");
    assert!(found.findings.iter().any(|finding| finding.check.id == "manifest.large"));
    assert_eq!(found.leftovers, Vec::<String>::new());
}
