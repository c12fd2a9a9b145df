//! Our own registry with faults, in this process.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, StatusCode};
use spinreg::conformance::{Findings, Grounds, Means, check};
use spinreg::content::Body;
use spinreg::model::Digest;
use spinreg::serve::faults::{Fault, Faulty};
use spinreg::serve::{Registry, Server, ServerOptions};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::judged::probe;

/// A registry of our own with faults; dropping it ends it.
pub(crate) struct Bad {
    address: SocketAddr,
    stalls: bool,
    serving: JoinHandle<()>,
    _root: TempDir,
}

impl Bad {
    pub(crate) async fn start(faults: &[&str]) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let registry = Registry::open(root.path()).await.expect("an empty directory");
        Self::over(root, registry, faults).await
    }

    /// Starts a registry whose repositories are there, as they are after somebody has judged it.
    pub(crate) async fn used(faults: &[&str]) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let registry = Registry::open(root.path()).await.expect("an empty directory");
        for name in ["conformance/one", "conformance/two", "conformance/repo1", "conformance/repo2"] {
            let target = format!("/v2/{name}/blobs/uploads/?digest={}", Digest::of(b"used"));
            let push = Request::post(target).body(Body::from_bytes("used")).expect("a request");
            assert_eq!(registry.handle(push).await.status(), StatusCode::CREATED);
        }
        Self::over(root, registry, faults).await
    }

    async fn over(root: TempDir, registry: Registry, faults: &[&str]) -> Self {
        let faulty = Faulty::new(registry, faults.iter().map(|text| text.parse::<Fault>().expect(text)));
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(loopback, faulty, ServerOptions::default()).await.expect("a loopback port");
        let address = server.address();
        let stalls = faults.iter().any(|fault| fault.starts_with("stall"));
        Self { address, stalls, serving: tokio::spawn(server.run(std::future::pending())), _root: root }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Bad {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Makes every precise check.
pub(crate) async fn judge(registry: &Bad) -> Findings {
    let probe = probe(&registry.address.to_string(), |options| {
        if registry.stalls {
            (options.policy.stall, options.policy.headers) = (PATIENCE, PATIENCE);
        }
    });
    let grounds = Grounds {
        repository: "conformance/one".parse().expect("a name"),
        other: "conformance/two".parse().expect("a name"),
        means: Means::Push,
    };
    check(&probe, &grounds, std::future::pending()).await
}

/// How long a registry that stalls is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
