//! Tokens: what somebody may do here for some minutes, sealed.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::key::Key;
use super::rules::Caller;
use super::scope::{Actions, Scope};
use crate::error::Error;

/// Makes tokens and reads them again. They are good in this process alone, and nothing is kept about them.
#[derive(Debug)]
pub(super) struct Mint {
    key: Key,
    epoch: Instant,
    lifetime: Duration,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    pub(super) caller: Caller,
    pub(super) scopes: Vec<Scope>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    /// The user; absent where it is anybody's.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// When it ends, in milliseconds after the mint's epoch.
    #[serde(rename = "e")]
    ends: u64,
    /// Repositories and [`Actions::bits`].
    #[serde(rename = "a")]
    access: Vec<(String, u8)>,
}

impl Mint {
    pub(super) fn new(lifetime: Duration) -> Result<Self, Error> {
        Ok(Self { key: Key::random()?, epoch: Instant::now(), lifetime })
    }

    pub(super) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Makes a token: visible ASCII, some hundred bytes and 1.4 times the names in it.
    pub(super) fn issue(&self, pass: &Pass) -> String {
        let ends = self.now().saturating_add(millis(self.lifetime));
        let access = pass.scopes.iter().map(|scope| (scope.name.to_string(), scope.actions.bits())).collect();
        let claims = Claims { user: pass.caller.user().map(|user| user.to_string()), ends, access };
        let claims = serde_json::to_vec(&claims).expect("plain data has a JSON form");
        let seal = self.key.seal(&[&claims]);
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims), BASE64_URL_SAFE_NO_PAD.encode(seal))
    }

    /// Reads a token; `None` where it is none of ours, or its time is over.
    pub(super) fn read(&self, token: &str) -> Option<Pass> {
        let (claims, seal) = token.split_once('.')?;
        let (claims, seal) = (BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?, BASE64_URL_SAFE_NO_PAD.decode(seal).ok()?);
        // Before anything in it is looked at.
        if !self.key.fits(&[&claims], &seal) {
            return None;
        }
        let Claims { user, ends, access } = serde_json::from_slice(&claims).ok()?;
        if self.now() >= ends {
            return None;
        }
        let scope =
            |(name, bits): (String, u8)| Some(Scope { name: name.parse().ok()?, actions: Actions::from_bits(bits) });
        let caller = user.map_or(Caller::Anonymous, |user| Caller::User(Arc::from(user)));
        Some(Pass { caller, scopes: access.into_iter().filter_map(scope).collect() })
    }

    fn now(&self) -> u64 {
        millis(self.epoch.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass() -> Pass {
        let scopes = vec![Scope::read("repository:team/app:pull,push").expect("a scope")];
        Pass { caller: Caller::User("ada".into()), scopes }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_says_what_was_put_in_until_its_time_is_over() {
        let mint = Mint::new(Duration::from_secs(300)).expect("randomness");
        let nobody = Pass { caller: Caller::Anonymous, scopes: Vec::new() };
        let (token, anonymous) = (mint.issue(&pass()), mint.issue(&nobody));
        tokio::time::advance(Duration::from_secs(299)).await;
        assert_eq!(mint.read(&token), Some(pass()));
        assert_eq!(mint.read(&anonymous), Some(nobody));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(mint.read(&token), None);
    }

    #[tokio::test]
    async fn no_bit_of_a_token_can_be_changed() {
        let (mint, other) = (Mint::new(Duration::from_secs(300)), Mint::new(Duration::from_secs(300)));
        let (mint, other) = (mint.expect("randomness"), other.expect("randomness"));
        let token = mint.issue(&pass());
        assert_eq!(other.read(&token), None);
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            assert_eq!(mint.read(&forged), None, "{at}");
        }
        for text in ["", ".", "a.b", "null.", &token[..token.len() - 1], &format!("{token}A"), &format!("{token}.x")] {
            assert_eq!(mint.read(text), None, "{text}");
        }
    }
}
