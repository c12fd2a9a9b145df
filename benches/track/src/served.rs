//! A registry that only has what is in image layouts, and sends it as the system sends files.

use std::fs::{self, File};
use std::io::Result;
use std::path::Path;

use serde_json::Value;

use crate::wire::{self, Door, Reply, Request};

/// Serves `directory`, in which each repository is an image layout.
pub fn run(directory: &Path, door: &Door) -> Result<()> {
    let directory = directory.to_owned();
    wire::serve(door, move |request| answer(&directory, request))
}

fn answer(directory: &Path, request: &Request) -> Result<Reply> {
    let Some(rest) = request.path.strip_prefix("/v2/") else { return Ok(Reply::status("404 Not Found")) };
    let mut words = rest.rsplitn(3, '/');
    let (Some(id), Some(kind), Some(repository)) = (words.next(), words.next(), words.next()) else {
        return Ok(Reply::status("200 OK"));
    };
    let layout = directory.join(repository);
    let (digest, kind_of) = match kind {
        "blobs" => (id.to_owned(), "application/octet-stream".to_owned()),
        "manifests" => match entry(&layout, id)? {
            Some(found) => found,
            None => return Ok(Reply::status("404 Not Found")),
        },
        _ => return Ok(Reply::status("404 Not Found")),
    };
    let Some((algorithm, hex)) = digest.split_once(':') else { return Ok(Reply::status("400 Bad Request")) };
    let Ok(file) = File::open(layout.join("blobs").join(algorithm).join(hex)) else {
        return Ok(Reply::status("404 Not Found"));
    };
    let reply = Reply::file(file, request.from)?;
    Ok(reply.with("Content-Type", kind_of).with("Docker-Content-Digest", &digest).with("Accept-Ranges", "bytes"))
}

/// Finds the digest and the media type of a manifest in the index of a layout.
fn entry(layout: &Path, id: &str) -> Result<Option<(String, String)>> {
    let Ok(text) = fs::read(layout.join("index.json")) else { return Ok(None) };
    let index: Value = serde_json::from_slice(&text)?;
    let found = index["manifests"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|entry| entry["digest"] == *id || entry["annotations"]["org.opencontainers.image.ref.name"] == *id);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(found.map(|entry| (text(&entry["digest"]), text(&entry["mediaType"]))))
}
