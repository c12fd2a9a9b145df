//! spinreg as a plugin of Spin: what `spin plugins install` needs.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use spinreg::Digest;

use crate::support::root;

#[test]
fn the_plugin_names_an_archive_with_the_program_in_it() {
    let room = tempfile::tempdir().expect("a temporary directory");
    // Small, so that packing it takes no time.
    let program = room.path().join("built");
    let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_spinreg"));
    fs::write(&program, &script).expect("a file in a temporary directory");
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("a file of our own");
    let pack = |arguments: &[&str]| {
        let mut command = Command::new("sh");
        command.arg(root("plugin/pack.sh")).args(arguments).current_dir(room.path());
        command.output().expect("`sh` of every Unix")
    };
    assert_eq!(pack(&["built"]).status.code(), Some(2));
    let version = env!("CARGO_PKG_VERSION");
    for url in [None, Some("https://example.com/releases")] {
        let arguments: Vec<&str> = ["built", "out"].into_iter().chain(url).collect();
        let output = pack(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let out = room.path().canonicalize().expect("a directory").join("out");
        let path = out.join("spinreg.json");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{}\n", path.display()));
        let manifest: Value = serde_json::from_slice(&fs::read(path).expect("a manifest")).expect("JSON");
        let package = &manifest["packages"][0];
        let url = url.map_or(format!("file://{}", out.display()), str::to_owned);
        let archive = package["url"].as_str().and_then(|found| found.strip_prefix(&format!("{url}/"))).expect("a URL");
        assert_eq!(archive, format!("spinreg-{version}-{}-{}.tar.gz", package["os"], package["arch"]).replace('"', ""));
        let bytes = fs::read(out.join(archive)).expect("an archive");
        assert_eq!(package["sha256"], Digest::of(&bytes).hex());
        for (key, value) in [
            ("name", json!("spinreg")),
            ("version", json!(version)),
            ("license", json!(env!("CARGO_PKG_LICENSE"))),
            ("spinCompatibility", json!(">=2.0")),
        ] {
            assert_eq!(manifest[key], value);
        }
        let names = [("x86_64", "amd64"), ("aarch64", "aarch64")];
        let arch =
            names.iter().find(|(rust, _)| *rust == std::env::consts::ARCH).expect("a computer that Spin knows").1;
        let os = std::env::consts::OS;
        assert_eq!((&package["os"], &package["arch"]), (&json!(os), &json!(arch)));

        let packed = File::open(out.join(archive)).expect("an archive");
        let unpacked = room.path().join("unpacked");
        tar::Archive::new(MultiGzDecoder::new(packed)).unpack(&unpacked).expect("a tar archive");
        // `spin spinreg --version` starts this.
        let run = Command::new(unpacked.join("spinreg")).arg("--version").output().expect("the plugin's program");
        assert_eq!(String::from_utf8_lossy(&run.stdout), format!("spinreg {version}\n"));
    }
}
