//! Names on this disk: applications in the cache, registries of logins. Read fast, and nothing else of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::candidates::Names;
use crate::auth::Environment;
use crate::cli::options::CacheDir;
use crate::cli::server::Server;
use crate::disk;
use crate::model::{Reference, Registry};

/// This disk. What cannot be read is passed over: nobody can be told anything while they type.
pub(super) struct Known;

impl Names for Known {
    fn references(&self, cache_dir: Option<&str>) -> Vec<Reference> {
        let named = cache_dir.map(PathBuf::from).or_else(|| std::env::var_os("SPINREG_CACHE_DIR").map(PathBuf::from));
        let Ok(cache) = (CacheDir { cache_dir: named }).open() else { return Vec::new() };
        let mut walk = Walk { found: BTreeMap::new(), left: MAX_ENTRIES };
        let root = cache.root().join("manifests");
        walk.below(&root, &mut Vec::new());
        walk.found.into_values().collect()
    }

    fn registries(&self) -> Vec<Registry> {
        let environment = Environment::capture();
        let files = environment.spin_auth_file().into_iter().chain(environment.registry_auth_file());
        let files = files.chain(environment.docker_config_file()).chain(environment.podman_auth_files());
        let hosts: BTreeMap<String, Registry> =
            files.flat_map(|file| hosts(&file)).map(|registry| (registry.to_string(), registry)).collect();
        hosts.into_values().collect()
    }
}

/// A walk through the manifests of a cache, `REGISTRY/NAME…/TAG/manifest.json`.
struct Walk {
    found: BTreeMap<String, Reference>,
    left: usize,
}

impl Walk {
    fn below(&mut self, directory: &Path, names: &mut Vec<String>) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            if self.left == 0 {
                return;
            }
            self.left -= 1;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // A link could lead anywhere, and round.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && names.len() < MAX_DEPTH {
                names.push(name);
                self.below(&entry.path(), names);
                names.pop();
            } else if name == "manifest.json" {
                self.found.extend(reference(names).map(|reference| (reference.to_string(), reference)));
            }
        }
    }
}

/// Reads the reference that directories stand for; what is none, or no registry has, is passed over.
fn reference(names: &[String]) -> Option<Reference> {
    let (registry, rest) = names.split_first()?;
    let (identifier, path) = rest.split_last()?;
    // Windows has no colons in names.
    let registry = if cfg!(windows) { registry.replace('_', ":") } else { registry.clone() };
    if registry.ends_with(".localhost") && !registry.contains(':') {
        return None;
    }
    let between = if identifier.starts_with("sha256") || identifier.starts_with("sha512") { '@' } else { ':' };
    format!("{registry}/{}{between}{identifier}", path.join("/")).parse().ok()
}

/// Reads which hosts a file of credentials has anything for. Values are skipped, not read: they are the secrets.
fn hosts(file: &Path) -> BTreeSet<Registry> {
    #[derive(Deserialize)]
    struct Hosts {
        #[serde(default)]
        auths: BTreeMap<String, IgnoredAny>,
        #[serde(default, rename = "credHelpers")]
        helpers: BTreeMap<String, IgnoredAny>,
    }
    let Ok(Some(bytes)) = disk::read_bounded(file, MAX_FILE) else { return BTreeSet::new() };
    let Ok(Hosts { auths, helpers }) = serde_json::from_slice(&bytes) else { return BTreeSet::new() };
    let keys = auths.into_keys().chain(helpers.into_keys());
    keys.filter_map(|key| Some(key.parse::<Server>().ok()?.registry)).collect()
}

/// Some thousand applications; a press of Tab takes no longer than people notice.
const MAX_ENTRIES: usize = 20_000;
/// Names of repositories have 255 characters, and those known three parts.
const MAX_DEPTH: usize = 32;
/// Files of credentials have some KiB.
const MAX_FILE: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_stand_for_references() {
        let digest = crate::model::Digest::of(b"").to_string();
        for (names, expected) in [
            (&["ghcr.io", "me", "app", "v1"][..], Some("ghcr.io/me/app:v1".to_owned())),
            (&["localhost:5000", "app", "v1"], Some("localhost:5000/app:v1".to_owned())),
            (&["ghcr.io", "app", &digest], Some(format!("ghcr.io/app@{digest}"))),
            (&["layout.localhost", "app", "v1"], None),
            (&["ghcr.io", "$(touch x)", "v1"], None),
            (&["ghcr.io", "app", "v1;id"], None),
            (&["ghcr.io", "v1"], None),
            (&["ghcr.io"], None),
            (&[], None),
        ] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(reference(&names).map(|reference| reference.to_string()), expected, "{names:?}");
        }
    }
}
