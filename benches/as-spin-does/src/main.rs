//! Pushes and pulls with the crate `oci-client` as Spin's registry client drives it: whole layers in memory, one call to
//! push, and a pull that looks for each layer in a cache of files by digest and fetches 16 at a time.
//!
//! `as-spin-does push REFERENCE LAYOUT [AUTHORITY]`, `as-spin-does pull REFERENCE CACHE [AUTHORITY]`; plain HTTP without
//! an authority.

use std::error::Error;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::manifest::{OciDescriptor, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [doing, reference, directory, authority @ ..] = &arguments[..] else {
        return Err("as-spin-does push|pull REFERENCE DIRECTORY [AUTHORITY]".into());
    };
    let (client, reference) = (client(authority.first())?, reference.parse::<Reference>()?);
    match doing.as_str() {
        "push" => push(&client, &reference, Path::new(directory)).await,
        "pull" => pull(&client, &reference, Path::new(directory)).await,
        other => Err(format!("`{other}` is neither push nor pull").into()),
    }
}

fn client(authority: Option<&String>) -> Outcome<Client> {
    let mut config = ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() };
    if let Some(authority) = authority {
        let data = std::fs::read(authority)?;
        config.protocol = ClientProtocol::Https;
        config.extra_root_certificates = vec![Certificate { encoding: CertificateEncoding::Pem, data }];
    }
    Ok(Client::new(config))
}

/// Reads every layer of the image layout into memory, as Spin does with the application's files, and pushes.
async fn push(client: &Client, reference: &Reference, layout: &Path) -> Outcome<()> {
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(layout.join("index.json"))?)?;
    let digest = index["manifests"][0]["digest"].as_str().ok_or("the layout has no manifest")?;
    let manifest: OciImageManifest = serde_json::from_slice(&std::fs::read(blob(layout, digest))?)?;
    let mut layers = Vec::with_capacity(manifest.layers.len());
    for layer in &manifest.layers {
        let data = tokio::fs::read(blob(layout, &layer.digest)).await?;
        layers.push(ImageLayer::new(data, layer.media_type.clone(), layer.annotations.clone()));
    }
    let data = tokio::fs::read(blob(layout, &manifest.config.digest)).await?;
    let config = Config::new(data, manifest.config.media_type.clone(), None);
    client.push(reference, &layers, config, &RegistryAuth::Anonymous, Some(manifest)).await?;
    Ok(())
}

async fn pull(client: &Client, reference: &Reference, cache: &Path) -> Outcome<()> {
    tokio::fs::create_dir_all(cache.join("blobs/sha256")).await?;
    let (manifest, _, config) = client.pull_manifest_and_config(reference, &RegistryAuth::Anonymous).await?;
    tokio::fs::write(cache.join("config.json"), config).await?;
    stream::iter(&manifest.layers)
        .map(|layer| fetch(client, reference, layer, cache))
        .buffer_unordered(16)
        .try_collect::<()>()
        .await
}

/// Fetches a layer that is not in the cache into memory, and writes it.
async fn fetch(client: &Client, reference: &Reference, layer: &OciDescriptor, cache: &Path) -> Outcome<()> {
    let file = blob(cache, &layer.digest);
    if tokio::fs::try_exists(&file).await? {
        return Ok(());
    }
    let mut bytes = Vec::new();
    client.pull_blob(reference, layer, &mut bytes).await?;
    tokio::fs::write(file, bytes).await?;
    Ok(())
}

fn blob(directory: &Path, digest: &str) -> PathBuf {
    directory.join("blobs").join(digest.replace(':', "/"))
}
