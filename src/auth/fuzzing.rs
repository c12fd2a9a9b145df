//! Doors for `fuzz/` to the parsers of this floor. No part of the API, and no logic.
#![allow(missing_docs, reason = "no part of the API")]

use std::path::Path;

use super::helper::Helper;
use super::{Credential, Scopes, challenge, docker_config, document, realm, spin_auth, token};
use crate::error::{Error, HelperFailure};
use crate::model::{Name, Registry};

/// A scheme and its parameters, in order.
pub type Challenge = (String, Vec<(String, String)>);

pub fn challenges(lines: &[&[u8]]) -> Vec<Challenge> {
    challenge::parse(lines.iter().copied()).into_iter().map(challenge::Challenge::into_parts).collect()
}

pub fn scopes(text: &str) -> Scopes {
    Scopes::read(text)
}

/// The token service that a registry's challenge names, if it may be asked.
pub fn realm(registry: &http::Uri, text: &str) -> Option<http::Uri> {
    realm::check(registry, text).ok()
}

/// What a token service's answer says as a success, and as a refusal.
pub fn token(body: &[u8]) -> (bool, usize) {
    (token::Granted::read(body).is_ok(), token::complaints(body).len())
}

/// How many credentials and helpers docker's file has for a registry.
pub fn docker_config(bytes: &[u8], registry: &Registry, name: Option<&Name>) -> Result<usize, Error> {
    let document: docker_config::Document = document::parse(bytes, "fuzzed")?;
    document.steps(registry, name).into_iter().try_fold(0, |count, step| match step {
        docker_config::Step::Entry(key, entry) => entry.credential("fuzzed", &key).map(|_| count + 1),
        docker_config::Step::Helper(..) => Ok(count + 1),
    })
}

/// Whether Spin's file has credentials for a registry.
pub fn spin_auth(bytes: &[u8], registry: &Registry) -> Result<bool, Error> {
    let mut content = document::parse(bytes, "fuzzed")?;
    spin_auth::find(&mut content, Path::new("fuzzed"), registry, None).map(|found| found.is_some())
}

/// What a credential helper that succeeds has said.
pub fn helper(output: &[u8]) -> Result<Option<Credential>, HelperFailure> {
    Helper::named("fuzzed", Helper::LIMIT).expect("a plain name").understand(output)
}
