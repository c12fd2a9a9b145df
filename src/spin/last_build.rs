//! What was built last: Spin notes the build profile beside the manifest, and so do we.

use std::fs;
use std::path::{Path, PathBuf};

use super::load::Application;
use crate::disk;

/// What an application was built for last, where that is not what it was loaded for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtherBuild {
    /// The build profile that was built last; `None` is the one without a name.
    pub built: Option<String>,
    /// The build profile that the application was loaded with.
    pub wanted: Option<String>,
}

impl Application {
    /// Says what the application was built for last, where that is not what it was loaded for. `None` also where nobody
    /// knows: components that were built by other means left no note. One small file is read.
    pub async fn other_build(&self) -> Option<OtherBuild> {
        if self.builds.is_empty() {
            return None;
        }
        let note = note(&self.manifest)?;
        let wanted = self.lock.metadata.get("profile").and_then(|profile| profile.as_str()).map(str::to_owned);
        let read = tokio::task::spawn_blocking(move || disk::read_small(&note, MAX_NOTE));
        let built = String::from_utf8(read.await.ok()?.ok()??).ok()?;
        let built = Some(built).filter(|built| built != ANONYMOUS);
        (built != wanted).then_some(OtherBuild { built, wanted })
    }
}

/// Notes that the application whose manifest is `path`, or `spin.toml` in the directory `path`, was built, in
/// `.spin/last-build.txt` beside the manifest, where Spin looks as well. Whoever cannot write there can still run what
/// was built.
pub async fn note_build(path: &Path, profile: Option<&str>) {
    let manifest = if path.is_dir() { path.join("spin.toml") } else { path.to_owned() };
    let text = profile.unwrap_or(ANONYMOUS).to_owned();
    let written = tokio::task::spawn_blocking(move || {
        let note = note(&manifest)?;
        fs::create_dir_all(note.parent()?).ok()?;
        fs::write(note, text).ok()
    });
    if !matches!(written.await, Ok(Some(()))) {
        tracing::debug!(path = %path.display(), "what was built could not be noted");
    }
}

fn note(manifest: &Path) -> Option<PathBuf> {
    Some(manifest.parent()?.join(".spin").join("last-build.txt"))
}

/// How Spin writes the build profile without a name.
const ANONYMOUS: &str = "<anonymous>";
/// How long a note may be, in bytes; longer ones are not Spin's.
const MAX_NOTE: u64 = 4 << 10;
