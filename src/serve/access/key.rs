//! A secret of this process, with which it recognises its own words (HMAC-SHA256, RFC 2104).

use std::fmt;
use std::io;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::Error;

/// A random key, gone with the process.
pub(super) struct Key(Zeroizing<[u8; 32]>);

/// What only who has the key can compute.
pub(super) type Seal = [u8; 32];

impl Key {
    /// Draws a new one.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the system has no randomness.
    pub(super) fn random() -> Result<Self, Error> {
        let mut bits = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bits)
            .map_err(|error| Error::io("draw randomness from", "the system", io::Error::other(error)))?;
        Ok(Self(bits))
    }

    /// Seals these parts, in this order.
    pub(super) fn seal(&self, parts: &[&[u8]]) -> Seal {
        self.mac(parts).finalize().into_bytes().into()
    }

    /// Says whether the seal is that of these parts. Takes the same time whatever differs.
    pub(super) fn fits(&self, parts: &[&[u8]], seal: &[u8]) -> bool {
        self.mac(parts).verify_slice(seal).is_ok()
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("a key may have any length");
        for part in parts {
            // With its length, so that no two lists of parts are the same bytes.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_good_for_its_parts_alone() {
        let (key, other) = (Key::random().expect("randomness"), Key::random().expect("randomness"));
        let seal = key.seal(&[b"ab", b"c"]);
        assert!(key.fits(&[b"ab", b"c"], &seal));
        for parts in [&[&b"a"[..], b"bc"][..], &[b"abc"], &[b"ab", b"c", b""], &[b"c", b"ab"]] {
            assert!(!key.fits(parts, &seal), "{parts:?}");
        }
        assert!(!other.fits(&[b"ab", b"c"], &seal));
        assert!(!key.fits(&[b"ab", b"c"], &seal[..31]));
    }
}
