//! Requests of a run: sent, recorded, and remembered where they leave something behind.

use http::{Method, StatusCode};

use super::judge::Fault;
use crate::conformance::answer::{Answer, End};
use crate::conformance::probe::{Asking, Probe};
use crate::conformance::record::Exchange;
use crate::model::Name;

/// The way to the registry.
pub(super) struct Wire {
    probe: Probe,
    /// What was pushed and not deleted, as paths, in the order it was pushed.
    kept: Vec<Kept>,
    /// Whether there was ever an answer.
    heard: bool,
    /// How many requests in a row had none.
    silence: u32,
    /// Why it makes no sense to go on.
    given_up: Option<String>,
}

struct Kept {
    path: String,
    /// Whether the registry has said that it has it.
    confirmed: bool,
    /// Whether the registry has refused to delete it.
    refused: bool,
}

impl Wire {
    pub(super) fn new(probe: Probe) -> Self {
        Self { probe, kept: Vec::new(), heard: false, silence: 0, given_up: None }
    }

    /// Says that what was pushed so far has nothing to do with what comes.
    pub(super) fn scene(&self) {
        self.probe.scene();
    }

    /// Begins a request.
    pub(super) fn ask(&self, method: Method, target: &str) -> Asking {
        self.probe.request(method, target)
    }

    /// Sends a request, and records what came of it.
    ///
    /// # Errors
    ///
    /// There is no answer, or not all of it.
    pub(super) async fn send(&mut self, tape: &mut Vec<Exchange>, asking: Asking) -> Result<Answer, Fault> {
        let answer = asking.send().await;
        tape.push(answer.exchange.clone());
        let why = answer.failure().unwrap_or("there is no answer");
        if answer.status.is_some() {
            (self.heard, self.silence) = (true, 0);
        } else {
            self.silence += 1;
            if !self.heard || self.silence >= PATIENCE {
                self.given_up = Some(why.to_owned());
            }
        }
        match (&answer.status, &answer.end) {
            (None, _) | (_, End::Broken(_)) => Err(Fault::fail(format!("`{}`: {why}", answer.exchange.method))),
            _ => Ok(answer),
        }
    }

    /// Says why it makes no sense to go on: nobody answers, or nobody any more.
    pub(super) fn given_up(&self) -> Option<&str> {
        self.given_up.as_deref()
    }

    /// Sends a request that publishes something under these paths, as [`Wire::send`] does. What it may have left in the
    /// registry is noted before: an answer can get lost, and nobody may wait for it.
    ///
    /// # Errors
    ///
    /// As [`Wire::send`].
    pub(super) async fn push(
        &mut self,
        tape: &mut Vec<Exchange>,
        paths: Vec<String>,
        asking: Asking,
    ) -> Result<Answer, Fault> {
        let fresh: Vec<String> = paths.iter().filter(|path| self.keep(path)).cloned().collect();
        let outcome = self.send(tape, asking).await;
        let Ok(answer) = &outcome else { return outcome };
        if answer.is(StatusCode::CREATED) {
            let pushed = self.kept.iter_mut().filter(|kept| paths.contains(&kept.path));
            pushed.for_each(|kept| kept.confirmed = true);
            let place = answer.place().ok().and_then(|place| place.parse::<http::Uri>().ok());
            // In the same repository alone: whatever an answer names elsewhere is not ours to remove.
            let other = place.map(|uri| uri.path().to_owned());
            let other = other.filter(|other| paths.first().is_some_and(|path| is_beside(path, other)));
            other.iter().for_each(|other| _ = self.keep(other));
        } else if !answer.status.is_some_and(|status| status.is_server_error()) {
            self.kept.retain(|kept| !fresh.contains(&kept.path));
        }
        outcome
    }

    /// Notes what has to be removed in the end; says whether that is new.
    fn keep(&mut self, path: &str) -> bool {
        let is_new = !self.kept.iter().any(|kept| kept.path == path);
        if is_new {
            self.kept.push(Kept { path: path.to_owned(), confirmed: false, refused: false });
        }
        is_new
    }

    /// Takes note of how the registry took a deletion.
    pub(super) fn deleted(&mut self, path: &str, answer: &Answer) {
        if matches!(answer.status, Some(StatusCode::ACCEPTED | StatusCode::NOT_FOUND)) {
            self.kept.retain(|kept| kept.path != path);
        } else if let Some(kept) = self.kept.iter_mut().find(|kept| kept.path == path) {
            kept.refused = true;
        }
    }

    /// Deletes what is left, and returns the paths of what stays.
    ///
    /// **Requests**: a `DELETE` for everything that was pushed and not deleted yet; a `HEAD` where that was refused,
    /// since something else may have taken it along.
    pub(super) async fn clean(&mut self) -> Vec<String> {
        if self.given_up.is_some() {
            return self.kept.drain(..).map(|kept| kept.path).collect();
        }
        // Tags, then manifests, those pushed last first, then blobs.
        let mut kept: Vec<Kept> = self.kept.drain(..).rev().collect();
        kept.sort_by_key(|kept| match kept.path.rsplit_once('/') {
            _ if kept.path.contains("/blobs/") => 2,
            Some((_, reference)) => u8::from(reference.contains(':')),
            None => 2,
        });
        let mut left = Vec::new();
        for Kept { path, confirmed, refused } in kept {
            let gone = |answer: &Answer| matches!(answer.status, Some(StatusCode::ACCEPTED | StatusCode::NOT_FOUND));
            if !refused && gone(&self.ask(Method::DELETE, &path).send().await) {
                continue;
            }
            let there = self.ask(Method::HEAD, &path).send().await.status;
            // What was never said to be there has to be seen, unless nobody can tell.
            let stays = match there {
                Some(status) if !confirmed => status.is_success(),
                status => status != Some(StatusCode::NOT_FOUND),
            };
            if stays {
                left.push(path);
            }
        }
        left
    }
}

/// Returns the path of a blob.
pub(super) fn blob_path(name: &Name, digest: impl std::fmt::Display) -> String {
    format!("/v2/{name}/blobs/{digest}")
}

/// Returns the path of a manifest, by digest or tag.
pub(super) fn manifest_path(name: &Name, reference: impl std::fmt::Display) -> String {
    format!("/v2/{name}/manifests/{reference}")
}

/// Encodes a value for a query.
pub(super) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, RESERVED).to_string()
}

/// Says whether a path is that of content in the repository of another path.
fn is_beside(path: &str, other: &str) -> bool {
    let parts = ["/blobs/", "/manifests/"];
    let repository =
        |path: &str| parts.iter().filter_map(|part| path.rfind(part)).max().map(|end| path[..end].to_owned());
    !other.contains("/uploads/") && repository(other).is_some() && repository(other) == repository(path)
}

/// Everything that a form encodes.
const RESERVED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// After how many requests without an answer in a row nothing more is asked: a registry that has gone would otherwise
/// cost a timeout for each of a thousand steps.
const PATIENCE: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_as_forms_are() {
        for (text, expected) in [
            ("conformance/repo2", "conformance%2Frepo2"),
            ("sha256:00", "sha256%3A00"),
            ("application/vnd.oci.image.config.v1+json", "application%2Fvnd.oci.image.config.v1%2Bjson"),
            ("a-b_c.d~", "a-b_c.d~"),
        ] {
            assert_eq!(encoded(text), expected);
        }
    }

    #[test]
    fn only_content_of_the_same_repository_is_ours() {
        let path = "/v2/a/b/blobs/sha512:00";
        for (other, ours) in [
            ("/v2/a/b/blobs/sha256:00", true),
            ("/v2/a/b/manifests/v1", true),
            ("/v2/a/b/blobs/uploads/1", false),
            ("/v2/a/blobs/sha256:00", false),
            ("/v2/a/b/c/blobs/sha256:00", false),
            ("/v2/a/b/tags/list", false),
            ("/bucket/x", false),
        ] {
            assert_eq!(is_beside(path, other), ours, "{other}");
        }
    }
}
