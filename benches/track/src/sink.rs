//! A registry that takes everything and keeps manifests and the names of blobs: what a push costs its client.

use std::collections::HashMap;
use std::io::Result;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use sha2::{Digest as _, Sha256};

use crate::wire::{self, Door, Reply, Request};

/// Takes pushes.
pub fn run(door: &Door) -> Result<()> {
    let sink = Sink::default();
    wire::serve(door, move |request| sink.answer(request))
}

#[derive(Default)]
struct Sink {
    /// By their paths below `/v2/`, tags and digests alike.
    manifests: Mutex<HashMap<String, Manifest>>,
    /// The sizes of blobs, by their paths.
    blobs: Mutex<HashMap<String, u64>>,
    sessions: AtomicU64,
}

#[derive(Clone)]
struct Manifest {
    digest: String,
    media_type: String,
    bytes: Vec<u8>,
}

impl Sink {
    fn answer(&self, request: &mut Request) -> Result<Reply> {
        let path = std::mem::take(&mut request.path);
        let Some(rest) = path.strip_prefix("/v2/").filter(|rest| !rest.is_empty()) else {
            return Ok(Reply::status("200 OK"));
        };
        if let Some((repository, _)) = rest.split_once("/blobs/uploads/") {
            return self.upload(repository, request);
        }
        if request.method == "PUT" {
            return self.keep(rest, request);
        }
        if let Some(size) = held(&self.blobs).get(rest) {
            return Ok(Reply::status("200 OK").of_length(*size));
        }
        let Some(manifest) = held(&self.manifests).get(rest).cloned() else {
            return Ok(Reply::status("404 Not Found"));
        };
        let reply = Reply::bytes(manifest.bytes).with("Content-Type", manifest.media_type);
        Ok(reply.with("Docker-Content-Digest", manifest.digest))
    }

    fn keep(&self, path: &str, request: &mut Request) -> Result<Reply> {
        let mut bytes = Vec::new();
        request.body.read_to_end(&mut bytes)?;
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let digest = format!("sha256:{hash}");
        let manifest = Manifest { digest: digest.clone(), media_type: request.media_type.clone(), bytes };
        let mut manifests = held(&self.manifests);
        if let Some((repository, _)) = path.rsplit_once('/') {
            manifests.insert(format!("{repository}/{digest}"), manifest.clone());
        }
        manifests.insert(path.to_owned(), manifest);
        Ok(Reply::status("201 Created").with("Docker-Content-Digest", digest).with("Location", format!("/v2/{path}")))
    }

    fn upload(&self, repository: &str, request: &mut Request) -> Result<Reply> {
        let asked = |name: &str| {
            let value = request.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
            Some(value.replace("%3A", ":").replace("%3a", ":"))
        };
        let path = |digest: &str| format!("{repository}/blobs/{digest}");
        let created = |digest: &str| {
            let reply = Reply::status("201 Created").with("Docker-Content-Digest", digest);
            reply.with("Location", format!("/v2/{}", path(digest)))
        };
        let session = |session: &str| format!("/v2/{repository}/blobs/uploads/{session}?state=open");
        match request.method.as_str() {
            "POST" => match asked("mount").filter(|digest| held(&self.blobs).contains_key(&path(digest))) {
                Some(digest) => Ok(created(&digest)),
                None => {
                    let new = self.sessions.fetch_add(1, Ordering::Relaxed).to_string();
                    Ok(Reply::status("202 Accepted").with("Location", session(&new)))
                }
            },
            "PATCH" => {
                let taken = wire::drain(request.body)?;
                let range = format!("0-{}", taken.saturating_sub(1));
                Ok(Reply::status("202 Accepted").with("Location", session("patched")).with("Range", range))
            }
            "PUT" => {
                let digest = asked("digest").unwrap_or_default();
                let size = wire::drain(request.body)?;
                held(&self.blobs).insert(path(&digest), size);
                Ok(created(&digest))
            }
            _ => Ok(Reply::status("204 No Content")),
        }
    }
}

fn held<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    map.lock().expect("no thread panics while it holds this")
}
