//! Pulls a Spin application into a cache, as `spinreg pull` does, and says where its components are.
//!
//! ```sh
//! cargo run --example pull_app --no-default-features --features client,spin,tls-ring -- ghcr.io/me/app:v1 cache
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};

use spinreg::Reference;
use spinreg::copy::{CopyOptions, copy};
use spinreg::registry::Client;
use spinreg::spin::Cache;

/// Brings the cache to what the reference names now, and returns the files of WebAssembly that the application is made of.
pub async fn pull(reference: &Reference, directory: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let repository = Client::builder().build()?.repository(reference);
    let cache = Cache::at(directory);
    let application = cache.application(reference);
    copy(&repository, &reference.identifier(), &application, None, &CopyOptions::default()).await?;
    let app = application.lock_file().await?.ok_or("what was pulled has a lock file")?;
    let mut files = Vec::new();
    for component in app.components {
        let digest = component.source.content.digest.ok_or("a component that was published has a digest")?;
        files.push(cache.wasm(&digest).await?);
    }
    Ok(files)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [reference, directory] = arguments.as_slice() else { return Err("usage: pull_app REFERENCE DIRECTORY".into()) };
    for file in pull(&reference.parse()?, Path::new(directory)).await? {
        println!("{}", file.display());
    }
    Ok(())
}
