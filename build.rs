//! Tells the tool what it is built with, for `spinreg version`. Reads no file and asks no network.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Whoever builds a release says which commit it is of; see option_env!("SPINREG_COMMIT").
    println!("cargo:rerun-if-env-changed=SPINREG_COMMIT");
    println!("cargo:rerun-if-env-changed=RUSTC");
    println!("cargo:rustc-env=SPINREG_TARGET={}", env::var("TARGET").unwrap_or_default());
    println!("cargo:rustc-env=SPINREG_PROFILE={}", env::var("PROFILE").unwrap_or_default());
    println!("cargo:rustc-env=SPINREG_RUSTC={}", rustc().unwrap_or_else(|| "not known".to_owned()));
}

/// Asks the compiler for its version.
fn rustc() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
