//! Doors for `fuzz/`, and for the properties beside them, to what the door of a registry reads. No part of the API, and no
//! logic.
#![allow(missing_docs, reason = "no part of the API")]
#![cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub, reason = "tests use it, too"))]

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request};

use super::credentials::Credentials;
use super::door::Anonymous;
use super::htpasswd::Htpasswd;
use super::mint::Mint;
use super::rules::{Caller, Rules, Ruling};
use super::token_service::Ask;
use crate::content::Body;
use crate::model::Name;

/// Whether a password file knows the user, and the hash that a password is held to; or what is wrong with the file.
pub fn htpasswd(text: &str, user: &str) -> Result<(bool, String), String> {
    let file = Htpasswd::parse(text).map_err(|flaw| flaw.to_string())?;
    let (known, hash) = file.find(user);
    Ok((known.is_some(), String::from_utf8_lossy(hash.as_bytes()).into_owned()))
}

/// What rules allow a user, or nobody, to do with a repository; or what is wrong with them.
pub fn allowed(rules: &str, user: Option<&str>, name: &Name) -> Result<String, String> {
    let rules = Rules::parse(rules).map_err(|flaw| flaw.to_string())?;
    Ok(ruling(rules).allowed(&caller(user), name).to_string())
}

/// What `Authorization` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    Nothing,
    Password(String, String),
    Token(String),
    Strange,
}

pub fn authorization(headers: &HeaderMap) -> Shown {
    match Credentials::read(headers) {
        Credentials::None => Shown::Nothing,
        Credentials::Password { user, password } => Shown::Password(user, password.to_string()),
        Credentials::Token(token) => Shown::Token(token.to_string()),
        Credentials::Strange => Shown::Strange,
    }
}

/// The token that a request to the token service gets, and the scopes that it is for when it is read again; or the status
/// of the refusal.
pub async fn token(mut request: Request<Body>, rules: &str, user: Option<&str>) -> Result<(String, Vec<String>), u16> {
    let ask = Ask::read(&mut request).await.map_err(|refusal| refusal.status.as_u16())?;
    let rules = Rules::parse(rules).unwrap_or_else(|_| Rules::permissive());
    let mint = Mint::new(Duration::from_secs(60)).expect("the system has randomness");
    let mut answer = ask.grant(&mint, caller(user), &ruling(rules)).into_body();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await {
        bytes.extend_from_slice(&chunk.expect("the answer is in memory"));
    }
    let answer: serde_json::Value = serde_json::from_slice(&bytes).expect("the answer is JSON");
    let token = answer["token"].as_str().expect("the answer has a token").to_owned();
    let pass = mint.read(&token).expect("a token is good for the mint that made it");
    Ok((token, pass.scopes.iter().map(ToString::to_string).collect()))
}

/// Whether a mint takes a token that it has not made.
pub fn is_taken(token: &str) -> bool {
    Mint::new(Duration::from_secs(60)).expect("the system has randomness").read(token).is_some()
}

fn caller(user: Option<&str>) -> Caller {
    user.map_or(Caller::Anonymous, |user| Caller::User(Arc::from(user)))
}

fn ruling(rules: Rules) -> Ruling {
    Ruling { rules: Arc::new(rules), anonymous: Anonymous::ByRules }
}
