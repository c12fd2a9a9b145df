//! Applications whose components come from elsewhere, and the packages that they want.

use std::net::SocketAddr;

use spinreg::content::{Blob, Target as _};
use spinreg::model::{Manifest, MediaType};
use spinreg::registry::Repository;

use super::cli::Cli;
use super::repository::plain;

/// Makes a component that differs from others in one custom section, of 1000 bytes.
pub(crate) fn component(mark: u8) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    // Its id, its length, and its name.
    bytes.extend([0, 0xea, 0x07, 1, b'x']);
    bytes.extend([mark; 1000]);
    bytes
}

/// Writes an application with one component into `work`; `lines` are those of the component.
pub(crate) fn write_app(cli: &Cli, lines: &str) {
    let text = format!(
        "spin_manifest_version = 2\n[application]\nname = \"app\"\n[[trigger.http]]\nroute = \"/...\"\n\
         component = \"site\"\n[component.site]\n{lines}\n"
    );
    std::fs::write(cli.path("work/spin.toml"), text).expect("a file in a temporary directory");
}

/// Writes the configuration of packages where tools look for it.
pub(crate) fn configure(cli: &Cli, text: &str) {
    let folder = cli.path("config/wasm-pkg");
    std::fs::create_dir_all(&folder).expect("a directory in a temporary directory");
    std::fs::write(folder.join("config.toml"), text).expect("a file in a temporary directory");
}

/// Returns what a push of the same application would print, were `wasm` its own file.
pub(crate) async fn pushed_from_file(wasm: &[u8]) -> String {
    let cli = Cli::new();
    write_app(&cli, "source = \"a.wasm\"");
    std::fs::write(cli.path("work/a.wasm"), wasm).expect("a file in a temporary directory");
    cli.run(["push", "oci:out:v1"]).await.success()
}

/// Publishes a version of a package as other tools do.
pub(crate) async fn publish(address: SocketAddr, name: &str, version: &str, wasm: &[u8]) {
    let repository = repository(address, name);
    let blob =
        |media_type: &'static str, bytes: &[u8]| Blob::from_bytes(MediaType::constant(media_type), bytes.to_vec());
    let layer = blob("application/wasm", wasm);
    let config = format!(
        r#"{{"created":"2026-01-01T00:00:00Z","architecture":"wasm","os":"wasip2","layerDigests":["{}"]}}"#,
        layer.descriptor().digest
    );
    let config = blob("application/vnd.wasm.config.v0+json", config.as_bytes());
    for blob in [&layer, &config] {
        repository.push_blob(blob).await.expect("a registry of our own");
    }
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.descriptor(),
        "layers": [layer.descriptor()],
    });
    let manifest = Manifest::parse(manifest.to_string(), None).expect("a manifest");
    let tag = version.parse().expect("a tag");
    repository.push_manifest(&manifest, Some(&tag)).await.expect("a registry of our own");
}

/// Takes a version back: OCI knows no other way.
pub(crate) async fn yank(address: SocketAddr, name: &str, version: &str) {
    let tag = version.parse().expect("a tag");
    repository(address, name).delete_tag(&tag).await.expect("a registry of our own");
}

fn repository(address: SocketAddr, name: &str) -> Repository {
    let client = plain().build().expect("options that fit");
    client.repository(&format!("{address}/{name}").parse().expect("a reference")).for_push()
}
