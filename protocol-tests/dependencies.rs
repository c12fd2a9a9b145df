//! What the crate stands on: nothing that knows OCI, one TLS, and not too much of anything.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::support::{files, root};

/// Parts of names that no package may have: the protocol, its credentials and the cache are this project's own work,
/// and TLS is rustls.
const FORBIDDEN: &[&str] = &["oci", "docker", "reqwest", "openssl", "native-tls", "native_tls"];

/// Packages that have such a part by chance.
const INNOCENT: &[&str] = &[
    // Finds where the system keeps its certificates; knows nothing else of OpenSSL.
    "openssl-probe",
];

#[test]
fn no_package_does_our_work() {
    let packages = locked(&fs::read_to_string(root("Cargo.lock")).expect("the lock file is kept"));
    assert!(packages.contains("hyper"), "the lock file was not understood");
    let guilty = guilty(&packages);
    assert!(guilty.is_empty(), "the lock file has {guilty:?}");
}

#[test]
fn forbidden_names_are_recognised() {
    let lock = ["oci-spec", "bollard-docker", "reqwest", "openssl-sys", "openssl-probe", "native-tls", "hyper"]
        .map(|name| format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n"))
        .concat();
    assert_eq!(guilty(&locked(&lock)), ["bollard-docker", "native-tls", "oci-spec", "openssl-sys", "reqwest"]);
}

#[test]
fn the_crate_budgets_are_kept() {
    for (features, budget) in [("", 40), ("client,tls-aws-lc", 75), ("client,spin,tls-aws-lc", 92)] {
        let packages = tree(features);
        assert!(packages.len() > 10, "the tree of `{features}` was not understood: {packages:?}");
        let (count, list) = (packages.len(), packages.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
        assert!(count <= budget, "`{features}` needs {count} crates, its budget is {budget}: {list}");
    }
}

#[test]
fn every_test_runs_and_none_waits() {
    // In pieces, so that this file passes itself.
    let ignored = concat!("#[", "ignore");
    let sleeping = concat!("sle", "ep(");
    let sources = files(&root("src"), "rs").into_iter().map(|path| (path, false));
    let tests = files(&root("protocol-tests"), "rs").into_iter().map(|path| (path, true));
    for (path, is_test) in sources.chain(tests) {
        let text = fs::read_to_string(&path).expect("a file of the crate");
        for (number, line) in text.lines().enumerate() {
            let place = format!("{}:{}", path.display(), number + 1);
            assert!(!line.contains(ignored), "{place}: a test that does not run proves nothing");
            assert!(!is_test || !line.contains(sleeping), "{place}: a wait is data of the policy, or a peer's silence");
        }
    }
}

/// Returns the names of all packages of a lock file.
fn locked(lock: &str) -> BTreeSet<String> {
    let lock: toml::Table = lock.parse().expect("a lock file is TOML");
    let packages = lock.get("package").and_then(toml::Value::as_array).expect("a lock file has packages");
    packages.iter().filter_map(|package| package.get("name")?.as_str().map(str::to_owned)).collect()
}

fn guilty(packages: &BTreeSet<String>) -> Vec<&str> {
    let is_guilty = |name: &str| FORBIDDEN.iter().any(|part| name.contains(part)) && !INNOCENT.contains(&name);
    packages.iter().map(String::as_str).filter(|name| is_guilty(name)).collect()
}

/// Returns the packages that a library user with these features builds on this machine, this crate aside.
fn tree(features: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--no-default-features", "--features", features, "--manifest-path"])
        .arg(root("Cargo.toml"))
        .output()
        .expect("cargo has built this test");
    assert!(output.status.success(), "cargo tree failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names of packages are ASCII");
    // `serde_derive v1.0.229 (proc-macro) (*)`: name and version are the package.
    let packages = text.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "));
    packages.filter(|package| package.len() > 1 && !package.starts_with("spinreg ")).collect()
}
