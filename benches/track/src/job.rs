//! What a tool is told to do.

use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::measure::{Cost, cost};

/// Where one tool moves something to or from, and what it finds on this side.
pub struct Job<'a> {
    /// `HOST:PORT` of the registry.
    pub registry: &'a str,
    /// The repository.
    pub repository: String,
    /// The tag.
    pub tag: &'a str,
    /// The authority to trust; plain HTTP without.
    pub authority: Option<&'a Path>,
    /// The application's sources.
    pub app: &'a Path,
    /// The same, as an image layout with the tag `v1`.
    pub layout: &'a Path,
    /// A directory of this tool for this round: its home, its cache, what it pulls.
    pub room: &'a Path,
    /// Where the programs are.
    pub programs: &'a Programs,
}

/// Where the programs are.
pub struct Programs {
    /// `spinreg` itself.
    pub spinreg: PathBuf,
    /// The directory with what `.ci/run peers` installs.
    pub peers: PathBuf,
    /// The program that does as Spin does, where it was built.
    pub as_spin_does: Option<PathBuf>,
}

impl Job<'_> {
    /// `HOST:PORT/REPOSITORY:TAG`.
    pub fn reference(&self) -> String {
        format!("{}/{}:{}", self.registry, self.repository, self.tag)
    }

    /// `http://HOST:PORT/v2/REPOSITORY`, or `https`.
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/v2/{}", self.registry, self.repository)
    }

    /// A command with this tool's own home, and nothing else from outside but the authority.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env_clear().env("HOME", self.room).env("XDG_RUNTIME_DIR", self.room).current_dir(self.room);
        if let Some(authority) = self.authority {
            command.env("SSL_CERT_FILE", authority);
        }
        command
    }

    /// Runs a command and measures it.
    pub fn run(&self, command: &Command) -> Result<Cost> {
        cost(command)
    }

    /// The digests of the blobs and the manifest of an image layout, in its order; the manifest is the last.
    pub fn contents(&self) -> Result<Contents> {
        let read = |path: &Path| -> Result<Value> { Ok(serde_json::from_slice(&std::fs::read(path)?)?) };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let index = read(&self.layout.join("index.json"))?;
        let entry = &index["manifests"][0];
        let manifest = text(&entry["digest"]);
        let image = read(&self.blob(&manifest))?;
        let layers = image["layers"].as_array().ok_or_else(|| Error::other("the layout has no image"))?;
        let mut blobs = vec![text(&image["config"]["digest"])];
        for layer in layers {
            let digest = text(&layer["digest"]);
            if !blobs.contains(&digest) {
                blobs.push(digest);
            }
        }
        Ok(Contents { blobs, manifest, media_type: text(&entry["mediaType"]) })
    }

    /// The file of a blob in the image layout.
    pub fn blob(&self, digest: &str) -> PathBuf {
        self.layout.join("blobs").join(digest.replace(':', "/"))
    }
}

/// What an image layout holds.
pub struct Contents {
    /// The digests of its blobs.
    pub blobs: Vec<String>,
    /// The digest of its manifest.
    pub manifest: String,
    /// The media type of its manifest.
    pub media_type: String,
}
