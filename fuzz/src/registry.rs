//! The embedded registry, request after request, over a directory of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use spinreg::content::Body;
use spinreg::model::{Algorithm, Digest};
use spinreg::serve::Registry;
use spinreg::store::{Garbage, Untagged};

/// Requests, with an empty line between two. Each is `METHOD TARGET`, then `name: value` lines, then the body's lines
/// after a `>`. In targets and values stand for themselves: `{sha256}` and `{sha512}` for the digest of the body, `{last}`
/// for that of the body before, `{location}` for the last one that was answered.
pub fn registry(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let root = directory();
    runtime.block_on(async {
        let mut session = Session::over(root.path()).await;
        for request in text.split("\n\n").take(REQUESTS) {
            session.play(request).await;
        }
        session.end().await;
    });
    // Whatever the blocking pool still does, it does before the directory goes.
    drop(runtime);
}

struct Session {
    registry: Registry,
    root: PathBuf,
    location: String,
    last: Vec<u8>,
    /// What was acknowledged and not deleted since: `/v2/a/blobs/sha256:…`.
    kept: BTreeSet<String>,
}

impl Session {
    async fn over(root: &Path) -> Self {
        let registry = Registry::open(root.join("registry")).await.expect("a directory that can be made");
        Self { registry, root: root.to_owned(), location: String::new(), last: Vec::new(), kept: BTreeSet::new() }
    }

    async fn play(&mut self, text: &str) {
        let mut lines = text.lines();
        let Some((method, target)) = lines.next().and_then(|line| line.split_once(' ')) else { return };
        let (mut headers, mut body) = (Vec::new(), Vec::new());
        for line in lines {
            match line.strip_prefix('>') {
                Some(line) => body.push(line),
                None => headers.extend(line.split_once(": ")),
            }
        }
        let body = body.join("\n").into_bytes();
        let fill = |text: &str| {
            text.replace("{location}", &self.location)
                .replace("{sha256}", &Digest::of(&body).to_string())
                .replace("{sha512}", &Digest::of_with(Algorithm::Sha512, &body).to_string())
                .replace("{last}", &Digest::of(&self.last).to_string())
        };
        let (Ok(method), Ok(uri)) = (Method::from_bytes(method.as_bytes()), Uri::try_from(fill(target))) else {
            return;
        };
        let is_chunked = headers.iter().any(|(name, _)| *name == "transfer-encoding");
        let content = Bytes::from(body.clone());
        let content = match is_chunked {
            true => Body::from_stream(futures_util::stream::iter([Ok(content)]), None),
            false => Body::from_bytes(content),
        };
        let mut request = Request::new(content);
        (*request.method_mut(), *request.uri_mut()) = (method.clone(), uri.clone());
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(fill(value))) {
                request.headers_mut().append(name, value);
            }
        }
        let response = self.registry.handle(request).await;
        self.judge(&method, &uri, response).await;
        self.last = body;
    }

    async fn judge(&mut self, method: &Method, uri: &Uri, mut response: Response<Body>) {
        let status = response.status().as_u16();
        // There is room on this disk, and nobody else at work.
        assert!(status < 500, "{method} {uri}: {status}");
        let mut body = Vec::new();
        while let Some(chunk) = response.body_mut().chunk().await {
            body.extend_from_slice(&chunk.expect("the disk gives what it has"));
        }
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().expect("ASCII").to_owned());
        if *method == Method::HEAD {
            assert!(body.is_empty(), "{uri}: a body for HEAD");
        } else {
            let length = header("content-length").map(|length| length.parse::<usize>().expect("a number"));
            assert_eq!(length.unwrap_or_default(), body.len(), "{method} {uri}");
            if status >= 400 {
                let errors: serde_json::Value = serde_json::from_slice(&body).expect("the body of an error is JSON");
                assert!(errors["errors"][0]["code"].is_string(), "{method} {uri}: {errors}");
            }
        }
        let digest = header("docker-content-digest").map(|digest| digest.parse::<Digest>().expect("a digest"));
        if let (&Method::GET, 200, Some(digest)) = (method, status, digest) {
            assert_eq!(Digest::of_with(digest.algorithm(), &body), digest, "{uri}");
        }
        let path = uri.path();
        if let (Some(location), true) = (header("location"), status < 300) {
            if status == 201 {
                self.kept.insert(location.clone());
            }
            self.location = location;
        }
        if let (&Method::DELETE, 202) = (method, status) {
            let blob = path.replace("/manifests/", "/blobs/");
            self.kept.retain(|kept| *kept != path && kept.replace("/manifests/", "/blobs/") != blob);
            // Percent signs spell other names for the same thing.
            if path.contains('%') {
                self.kept.clear();
            }
        }
    }

    /// What was acknowledged is there, also once garbage was collected: everything is recent.
    async fn end(&mut self) {
        for name in self.registry.repositories().await.expect("the directory is readable") {
            let layout = self.registry.layout(&name).await.expect("it is ours").expect("it is there");
            let garbage = Garbage::default();
            layout.collect(&garbage).await.expect("nothing is damaged");
            let mut tags = layout.tags().await.expect("it is ours");
            let before = tags.clone();
            tags.sort();
            assert_eq!(tags, before);
            let mut thorough = Garbage::default();
            (thorough.keep_recent, thorough.untagged) = (Duration::ZERO, Untagged::Keep);
            for path in self.kept.iter().filter(|path| path.starts_with(&format!("/v2/{name}/blobs/"))) {
                self.assert_there(path).await;
            }
            layout.collect(&thorough).await.expect("nothing is damaged");
        }
        for path in self.kept.iter().filter(|path| path.contains("/manifests/")) {
            self.assert_there(path).await;
        }
        let others = std::fs::read_dir(&self.root).expect("our own directory").count();
        assert!(others <= 1, "something lies beside the registry");
    }

    async fn assert_there(&self, path: &str) {
        let mut request = Request::new(Body::empty());
        (*request.method_mut(), *request.uri_mut()) = (Method::HEAD, path.parse().expect("our own path"));
        let status = self.registry.handle(request).await.status();
        assert_eq!(status, 200, "{path} was acknowledged");
    }
}

/// In memory, where there is such a place: flushing to a disk would be most of the work.
fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary directory")
}

/// Longer sequences say nothing new.
const REQUESTS: usize = 24;
