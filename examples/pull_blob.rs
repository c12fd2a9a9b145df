//! Fetches one blob by its digest, a piece at a time, and verifies it: what breaks on the way is gone on with.
//!
//! ```sh
//! cargo run --example pull_blob --no-default-features --features client,tls-ring -- \
//!     docker.io/library/alpine@sha256:… > layer.tar.gz
//! ```

use std::error::Error;
use std::io::Write;

use spinreg::content::{Source as _, Verifier};
use spinreg::error::Place;
use spinreg::registry::Client;
use spinreg::{Digest, Reference};

/// Writes a blob to `to`, and returns its length. Whoever reads what was written may rely on it after success alone.
pub async fn fetch(reference: &Reference, digest: &Digest, to: &mut impl Write) -> Result<u64, spinreg::Error> {
    let repository = Client::builder().build()?.repository(reference);
    // The size is not known by the digest; a manifest would say it.
    let descriptor = repository.describe_blob(digest).await?;
    let mut verifier = Verifier::new(&descriptor);
    let wrong = |actual| Verifier::blame(&descriptor, actual, Place::Unknown);
    let mut body = repository.blob(&descriptor).open(0).await?;
    while let Some(chunk) = body.chunk().await {
        let chunk = chunk?;
        verifier.update(&chunk).map_err(wrong)?;
        to.write_all(&chunk).map_err(|error| spinreg::Error::io("write", "the blob", error))?;
    }
    verifier.finish().map_err(wrong)?;
    Ok(descriptor.size)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let reference: Reference = std::env::args().nth(1).ok_or("usage: pull_blob NAME@DIGEST")?.parse()?;
    let digest = *reference.digest().ok_or("a blob is named by its digest")?;
    let size = fetch(&reference, &digest, &mut std::io::stdout()).await?;
    eprintln!("{size} bytes, and they are what {digest} says");
    Ok(())
}
