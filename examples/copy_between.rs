//! Copies an image, an application or any other artifact from one registry to another, every byte as it is.
//!
//! ```sh
//! cargo run --example copy_between --no-default-features --features client,tls-ring -- \
//!     docker.io/library/alpine:3 localhost:5000/alpine:3
//! ```

use std::error::Error;

use spinreg::Reference;
use spinreg::copy::{CopyOptions, Summary, copy};
use spinreg::registry::Client;

/// Copies what `from` names to `to`. What is there already is not sent, and on one registry blobs are mounted.
pub async fn carry(from: &Reference, to: &Reference) -> Result<Summary, spinreg::Error> {
    let client = Client::builder().build()?;
    let source = client.repository(from);
    let target = client.repository(to).for_push();
    copy(&source, &from.identifier(), &target, to.tag(), &CopyOptions::default()).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = arguments.as_slice() else { return Err("usage: copy_between FROM TO".into()) };
    println!("{}", carry(&from.parse()?, &to.parse()?).await?.root.digest);
    Ok(())
}
