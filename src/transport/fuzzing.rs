//! A door for `fuzz/` to waits that are asked for in prose. No part of the API, and no logic.
#![allow(missing_docs, reason = "no part of the API")]

use std::time::Duration;

pub fn asked_in_text(text: &[u8]) -> Option<Duration> {
    super::wait::asked_in_text(text)
}
