//! Docker's `certs.d`: certificates by the name of the host, where other tools keep them already.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::model::Registry;
use crate::registry::Hosts;
use crate::transport::Identity;

/// Adds what docker's directories have for `registry`, and for each host that is treated specially, mirrors included.
///
/// What cannot be read is passed over with a warning: these directories are other programs', and may be for others.
pub(super) fn complete(hosts: &mut Hosts, registry: &Registry, warn: &dyn Fn(&str)) {
    let mirrors = hosts.iter().filter_map(|(_, host)| host.mirror.as_ref()).map(|mirror| &mirror.registry);
    let mut names: Vec<_> = hosts.iter().map(|(name, _)| name).chain(mirrors).chain([registry]).cloned().collect();
    names.sort();
    names.dedup();
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let own = home.map(|home| Path::new(&home).join(".docker").join("certs.d"));
    for name in &names {
        for directory in own.iter().map(PathBuf::as_path).chain([Path::new(SYSTEM)]) {
            let found = look(&directory.join(name.as_str()), warn);
            if found == Found::default() {
                continue;
            }
            let host = hosts.entry(name);
            host.ca_files.extend(found.authorities);
            host.identity = host.identity.take().or(found.identity);
        }
    }
}

/// What a directory has.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    authorities: Vec<PathBuf>,
    identity: Option<Identity>,
}

/// Looks into the directory of a host: `*.crt` are authorities, a `*.cert` and the `*.key` of the same name are who we
/// are.
fn look(directory: &Path, warn: &dyn Fn(&str)) -> Found {
    let passed_over = |path: &Path, error: io::Error| warn(&format!("cannot read `{}`: {error}", path.display()));
    let mut files: Vec<PathBuf> = match fs::read_dir(directory) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(error) => {
            if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
                passed_over(directory, error);
            }
            return Found::default();
        }
    };
    files.sort();
    let readable = |path: &Path| match File::open(path) {
        Ok(_) => true,
        Err(error) => {
            passed_over(path, error);
            false
        }
    };
    let mut found = Found::default();
    for file in files {
        match file.extension().and_then(OsStr::to_str) {
            Some("crt") if readable(&file) => found.authorities.push(file),
            Some("cert") if found.identity.is_none() => {
                let key = file.with_extension("key");
                if readable(&file) && readable(&key) {
                    found.identity = Some(Identity { certificate: file, key });
                }
            }
            _ => {}
        }
    }
    found
}

/// Where docker looks for all users.
const SYSTEM: &str = "/etc/docker/certs.d";
