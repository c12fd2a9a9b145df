//! Asks a registry which digest a tag names now: one request, which is no pull.
//!
//! ```sh
//! cargo run --example resolve_tag --no-default-features --features client,tls-ring -- docker.io/library/alpine:3
//! ```

use std::error::Error;

use spinreg::content::Source as _;
use spinreg::registry::Client;
use spinreg::{Digest, Reference};

/// Returns the digest that a reference names.
pub async fn resolve(reference: &Reference) -> Result<Digest, spinreg::Error> {
    let client = Client::builder().build()?;
    let descriptor = client.repository(reference).resolve(&reference.identifier()).await?;
    Ok(descriptor.digest)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let reference: Reference = std::env::args().nth(1).ok_or("usage: resolve_tag REFERENCE")?.parse()?;
    println!("{}", resolve(&reference).await?);
    Ok(())
}
