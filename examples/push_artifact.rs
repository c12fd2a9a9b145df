//! Publishes a file as an OCI artifact of a type of your own.
//!
//! ```sh
//! cargo run --example push_artifact --no-default-features --features client,tls-ring -- \
//!     report.json application/vnd.example.report ghcr.io/me/reports:today
//! ```

use std::error::Error;
use std::path::Path;

use spinreg::content::{Blob, Target as _};
use spinreg::model::MediaType;
use spinreg::registry::Client;
use spinreg::{Digest, Manifest, Reference};

/// Pushes a file, and the manifest that says what it is; returns the manifest's digest.
pub async fn publish(file: &Path, artifact_type: &str, to: &Reference) -> Result<Digest, spinreg::Error> {
    let repository = Client::builder().build()?.repository(to).for_push();
    // An artifact has a config, which is `{}` where there is nothing to say.
    let config = Blob::from_bytes(MediaType::from_header(EMPTY)?, "{}");
    let layer = Blob::from_file(MediaType::OCTET_STREAM, file).await?;
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": config.descriptor(),
        "layers": [layer.descriptor()],
    });
    let manifest = Manifest::parse(manifest.to_string(), None)?;
    // Blobs first: a registry refuses a manifest whose blobs it does not have.
    repository.push_blob(&config).await?;
    repository.push_blob(&layer).await?;
    repository.push_manifest(&manifest, to.tag()).await?;
    Ok(manifest.digest())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, artifact_type, to] = arguments.as_slice() else {
        return Err("usage: push_artifact FILE TYPE REFERENCE".into());
    };
    println!("{}", publish(Path::new(file), artifact_type, &to.parse()?).await?);
    Ok(())
}

const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
