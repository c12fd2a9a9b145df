//! Does this stream match that descriptor?

use crate::error::{Actual, Error, Mismatch, Place};
use crate::model::{Descriptor, Digest, Digester};

/// Compares bytes, piece by piece, with the descriptor they claim to fulfil. Pure.
#[derive(Clone, Debug)]
pub struct Verifier {
    expected: Descriptor,
    digester: Digester,
    seen: u64,
}

impl Verifier {
    /// Starts with nothing seen.
    pub fn new(expected: &Descriptor) -> Self {
        Self { expected: expected.clone(), digester: Digester::new(expected.digest.algorithm()), seen: 0 }
    }

    /// Returns how many bytes were seen.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Returns what is expected.
    pub fn expected(&self) -> &Descriptor {
        &self.expected
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    ///
    /// Says [`Actual::Long`] as soon as there are more bytes than the descriptor has; those are not hashed.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), Actual> {
        let seen = self.seen + bytes.len() as u64;
        if seen > self.expected.size {
            return Err(Actual::Long);
        }
        self.seen = seen;
        self.digester.update(bytes);
        Ok(())
    }

    /// Ends the comparison.
    ///
    /// # Errors
    ///
    /// Says how the bytes differ from the descriptor.
    pub fn finish(self) -> Result<Digest, Actual> {
        if self.seen < self.expected.size {
            return Err(Actual::Short(self.seen));
        }
        match self.digester.finish() {
            digest if digest == self.expected.digest => Ok(digest),
            other => Err(Actual::Digest(other)),
        }
    }

    /// Puts the blame for `actual` on what came from `place`.
    pub fn blame(expected: &Descriptor, actual: Actual, place: Place) -> Error {
        Error::Mismatch(Box::new(Mismatch { expected: expected.clone(), actual, place }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MediaType;

    #[test]
    fn every_difference_is_named() {
        let expected = Descriptor::of(MediaType::OCTET_STREAM, b"abc");
        let run = |pieces: &[&[u8]]| {
            let mut verifier = Verifier::new(&expected);
            pieces.iter().try_for_each(|piece| verifier.update(piece))?;
            verifier.finish()
        };
        assert_eq!(run(&[b"a", b"", b"bc"]), Ok(expected.digest));
        assert_eq!(run(&[b"ab"]), Err(Actual::Short(2)));
        assert_eq!(run(&[b"abc", b"d"]), Err(Actual::Long));
        assert_eq!(run(&[b"abd"]), Err(Actual::Digest(Digest::of(b"abd"))));
    }
}
