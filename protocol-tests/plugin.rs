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
    // A directory may be called anything; what is in the URL is read back below.
    let out = r##"out 100% "#1"?"##;
    for url in [None, Some("https://example.com/releases")] {
        let arguments: Vec<&str> = ["built", out].into_iter().chain(url).collect();
        let output = pack(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let out = room.path().canonicalize().expect("a directory").join(out);
        let path = out.join("spinreg.json");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{}\n", path.display()));
        let manifest: Value = serde_json::from_slice(&fs::read(path).expect("a manifest")).expect("JSON");
        let package = &manifest["packages"][0];
        let url = url.map_or(format!("file://{}", escaped(out.to_str().expect("UTF-8"))), str::to_owned);
        let archive = package["url"].as_str().and_then(|found| found.strip_prefix(&format!("{url}/"))).expect("a URL");
        assert_eq!(archive, format!("spinreg-{version}-{}-{}.tar.gz", package["os"], package["arch"]).replace('"', ""));
        let bytes = fs::read(out.join(archive)).expect("an archive");
        assert_eq!(package["sha256"], Digest::of(&bytes).hex());
        assert_valid(&manifest);
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

/// Writes a path as it stands in a URL.
fn escaped(path: &str) -> String {
    let path = path.replace('%', "%25").replace(' ', "%20").replace('"', "%22");
    path.replace('#', "%23").replace('?', "%3F")
}

/// Holds a manifest to what Spin publishes as the schema of plugins' manifests, version 0.1.
#[track_caller]
fn assert_valid(manifest: &Value) {
    let manifest = manifest.as_object().expect("an object");
    let required = ["name", "description", "version", "spinCompatibility", "license", "packages"];
    for key in required {
        assert!(manifest.contains_key(key), "`{key}` is required");
    }
    for (key, value) in manifest {
        assert!(required.contains(&key.as_str()) || key == "homepage", "`{key}` is not known");
        assert!(value.is_string() || key == "packages", "`{key}` has to be text");
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let version = manifest["version"].as_str().expect("text").split('-').next().expect("the first part");
    assert!(version.split('.').count() == 3 && version.split('.').all(digits), "{version}");
    let spin = manifest["spinCompatibility"].as_str().expect("text");
    let spin = spin.trim_start_matches(['>', '<', '~', '^', '=']);
    assert!(spin.split('.').count() <= 3 && spin.split('.').all(digits), "{spin}");
    let packages = manifest["packages"].as_array().expect("an array");
    assert!(!packages.is_empty());
    for package in packages {
        let keys: Vec<&str> = package.as_object().expect("an object").keys().map(String::as_str).collect();
        assert!(keys.len() == 4 && ["os", "arch", "url", "sha256"].iter().all(|key| keys.contains(key)), "{keys:?}");
        let word = |key: &str| package[key].as_str().expect("text");
        assert!(["linux", "macos", "windows"].contains(&word("os")) && ["amd64", "aarch64"].contains(&word("arch")));
        let url: http::Uri = word("url").replacen("file:///", "file://localhost/", 1).parse().expect("a URL");
        assert!(["file", "https"].contains(&url.scheme_str().expect("a scheme")), "{url}");
        assert!(word("sha256").len() == 64 && word("sha256").bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
