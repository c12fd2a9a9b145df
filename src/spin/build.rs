//! How components are built: which commands, where, and whether that is due.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::app_manifest::AppManifest;
use super::document::Flaw;
use super::error::Problem;
use super::glob_walk::{Fence, PathPattern, Seen, walk};
use super::load::Application;
use super::source::Source;

/// How a component is built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComponentBuild {
    /// The component.
    pub component: String,
    /// The commands, which a shell runs one after the other.
    pub commands: Vec<String>,
    /// The directory they are run in.
    pub directory: PathBuf,
    /// The file that they make, where it is one.
    pub(super) makes: Option<PathBuf>,
    /// Patterns of the files that it is made from, relative to the directory; empty where the manifest does not say.
    pub(super) watch: Vec<String>,
}

/// A component that was built before its sources were last changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stale {
    /// The component.
    pub component: String,
    /// What was built.
    pub wasm: PathBuf,
    /// A source that is newer.
    pub newer: PathBuf,
    /// How many other components are like that.
    pub others: usize,
}

impl Application {
    /// Looks for components that were built before their sources were last changed.
    ///
    /// Their sources are what `build.watch` says, or the usual ones: everything below `src`, and the files in the build's
    /// directory whose names end as sources do. Only components with build commands are looked at. What cannot be read
    /// is passed over.
    pub async fn stale(&self) -> Option<Stale> {
        let builds = self.builds.clone();
        let task = tokio::task::spawn_blocking(move || {
            let mut stale = builds.iter().filter_map(|build| Some((build, build.newer_source()?)));
            let (first, newer) = stale.next()?;
            let wasm = first.makes.clone()?;
            Some(Stale { component: first.component.clone(), wasm, newer, others: stale.count() })
        });
        task.await.ok().flatten()
    }
}

/// Lists the builds of all components that have commands, in the order of the manifest.
pub(super) fn list(app: &AppManifest, root: &Path) -> Result<Vec<ComponentBuild>, Flaw> {
    let mut builds = Vec::new();
    for component in &app.components {
        let Some(build) = &component.build else { continue };
        let directory = match &build.workdir {
            Some(workdir) if Path::new(workdir.get_ref()).has_root() => {
                let (value, expected) = (workdir.get_ref().clone(), "relative to the manifest");
                return Err(Flaw::at(workdir.span(), Problem::Invalid { what: "build directory", value, expected }));
            }
            Some(workdir) => root.join(workdir.get_ref()),
            None => root.to_owned(),
        };
        let makes = match component.source.get_ref() {
            Source::Local(path) => Some(root.join(path)),
            Source::Url { .. } | Source::Package { .. } => None,
        };
        builds.push(ComponentBuild {
            component: component.id.clone(),
            commands: build.command.commands(),
            directory,
            makes,
            watch: build.watch.clone(),
        });
    }
    Ok(builds)
}

impl ComponentBuild {
    /// Finds a source that was changed after the component was built.
    fn newer_source(&self) -> Option<PathBuf> {
        let makes = self.makes.as_ref()?;
        let built = changed(makes)?;
        let patterns: Vec<&str> = match self.watch.as_slice() {
            [] => USUAL.to_vec(),
            watch => watch.iter().map(String::as_str).collect(),
        };
        let mut files = patterns.into_iter().flat_map(|pattern| self.matching(pattern));
        files.find(|file| file != makes && changed(file).is_some_and(|changed| changed > built))
    }

    /// Finds the files that a pattern names.
    fn matching(&self, mut pattern: &str) -> Vec<PathBuf> {
        let mut start = self.directory.clone();
        // Only names are matched, and the way up is none.
        while let Some(rest) = pattern.strip_prefix("../").or_else(|| pattern.strip_prefix("./")) {
            if pattern.starts_with("..") {
                start.push("..");
            }
            pattern = rest;
        }
        let fence = Fence { inside: None, source: pattern };
        let seen = PathPattern::parse(pattern).ok().and_then(|pattern| walk(&start, &pattern, &fence).ok());
        let files = seen.unwrap_or_default().into_iter().filter_map(|seen| match seen {
            Seen::File(path, _) => Some(path),
            Seen::Dangling(_) => None,
        });
        files.collect()
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// Where sources usually are, for the languages that Spin has templates for. Files that builds change themselves, such as
/// `Cargo.lock`, are not among them.
const USUAL: &[&str] =
    &["src/**/*", "*.rs", "*.go", "*.py", "*.js", "*.ts", "*.c", "Cargo.toml", "package.json", "go.mod"];
