//! What holds for every input of a peer, target by target. Each function fails by a panic.

mod challenge;
mod components;
mod documents;
mod door;
mod files;
mod headers;
mod lists;
mod names;
mod packages;
mod registry;
mod wire;

pub use challenge::challenge;
pub use components::composition;
pub use documents::{archive, docker_config, error_body, helper, lock_file, manifest, token};
pub use door::{access_rules, authorization, htpasswd, token_request};
pub use files::{app_manifest, configuration, image_archive, layout};
pub use headers::{link, ranges, retry_after};
pub use lists::{pages, prose};
pub use names::{digest, reference};
pub use packages::packages;
pub use registry::registry;
pub use wire::{redirect, router, upload};

/// Splits off the first line; inputs with several parts have one part a line.
fn line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}
