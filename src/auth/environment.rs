//! The environment variables that say where credentials are, as data.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

/// The environment, read once and passed on, so that nothing below reads it by itself.
///
/// Empty variables count as unset.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<&'static str, OsString>);

impl Environment {
    /// Reads the variables that matter here.
    pub fn capture() -> Self {
        Self::from_lookup(std::env::var_os)
    }

    /// Asks `lookup` for each variable that matters here; for tests, and for programs that know better.
    pub fn from_lookup(lookup: impl Fn(&'static str) -> Option<OsString>) -> Self {
        let set = NAMES.into_iter().filter_map(|name| Some((name, lookup(name)?)));
        Self(set.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// Returns the user's home directory: `HOME`, or else `USERPROFILE`.
    pub fn home(&self) -> Option<&Path> {
        self.path("HOME").or_else(|| self.path("USERPROFILE"))
    }

    /// Returns Spin's credential file.
    ///
    /// `$XDG_CONFIG_HOME/fermyon/registry-auth.json` (where that is absolute) or the same below `~/.config`; below
    /// `~/Library/Application Support` on macOS and `%APPDATA%` on Windows, both untested.
    pub fn spin_auth_file(&self) -> Option<PathBuf> {
        let directory = if cfg!(target_os = "macos") {
            self.home()?.join("Library").join("Application Support")
        } else if cfg!(windows) {
            self.path("APPDATA")?.to_owned()
        } else {
            self.config_home()?
        };
        Some(directory.join("fermyon").join("registry-auth.json"))
    }

    /// Returns the file that `REGISTRY_AUTH_FILE` names: podman's and skopeo's override.
    pub fn registry_auth_file(&self) -> Option<PathBuf> {
        self.path("REGISTRY_AUTH_FILE").map(Path::to_owned)
    }

    /// Returns the credentials that `DOCKER_AUTH_CONFIG` holds outright. A variable that is no Unicode is no JSON
    /// either, and is handed on as it is to be refused there.
    pub(crate) fn docker_auth_config(&self) -> Option<String> {
        self.value("DOCKER_AUTH_CONFIG").map(|text| text.to_string_lossy().into_owned())
    }

    /// Returns docker's configuration: `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`.
    pub fn docker_config_file(&self) -> Option<PathBuf> {
        let directory = self.path("DOCKER_CONFIG").map(Path::to_owned);
        Some(directory.or_else(|| Some(self.home()?.join(".docker")))?.join("config.json"))
    }

    /// Returns the places of podman's `auth.json`, the one that goes away at logout first.
    pub fn podman_auth_files(&self) -> Vec<PathBuf> {
        let runtime = self.path("XDG_RUNTIME_DIR").map(Path::to_owned);
        let directories = runtime.into_iter().chain(self.config_home());
        directories.map(|directory| directory.join("containers").join("auth.json")).collect()
    }

    fn config_home(&self) -> Option<PathBuf> {
        let stated = self.path("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
        stated.map(Path::to_owned).or_else(|| Some(self.home()?.join(".config")))
    }

    fn path(&self, name: &str) -> Option<&Path> {
        self.value(name).map(Path::new)
    }

    fn value(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str)
    }
}

impl fmt::Debug for Environment {
    /// Prints the names only: one of the values is full of secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

const NAMES: [&str; 8] = [
    "HOME",
    "USERPROFILE",
    "APPDATA",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "REGISTRY_AUTH_FILE",
    "DOCKER_AUTH_CONFIG",
    "DOCKER_CONFIG",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&'static str, &str)]) -> Environment {
        let known: BTreeMap<_, _> = variables.iter().copied().collect();
        Environment::from_lookup(|name| known.get(name).map(OsString::from))
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    #[test]
    fn files_are_where_their_owners_keep_them() {
        for (variables, spin, docker, podman) in [
            (&[][..], None, None, &[][..]),
            (
                &[("HOME", "/h")],
                Some("/h/.config/fermyon/registry-auth.json"),
                Some("/h/.docker/config.json"),
                &["/h/.config/containers/auth.json"],
            ),
            (
                &[("USERPROFILE", "/u"), ("HOME", "")],
                Some("/u/.config/fermyon/registry-auth.json"),
                Some("/u/.docker/config.json"),
                &["/u/.config/containers/auth.json"],
            ),
            (
                &[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x"), ("XDG_RUNTIME_DIR", "/run/7"), ("DOCKER_CONFIG", "/d")],
                Some("/x/fermyon/registry-auth.json"),
                Some("/d/config.json"),
                &["/run/7/containers/auth.json", "/x/containers/auth.json"],
            ),
            (
                &[("HOME", "/h"), ("XDG_CONFIG_HOME", "relative")],
                Some("/h/.config/fermyon/registry-auth.json"),
                Some("/h/.docker/config.json"),
                &["/h/.config/containers/auth.json"],
            ),
        ] {
            let environment = environment(variables);
            assert_eq!(environment.spin_auth_file(), spin.map(PathBuf::from), "{variables:?}");
            assert_eq!(environment.docker_config_file(), docker.map(PathBuf::from), "{variables:?}");
            assert_eq!(environment.podman_auth_files(), podman.iter().map(PathBuf::from).collect::<Vec<_>>());
        }
    }
}
