//! From names of environments to definitions and worlds, by way of [`Sources`].

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_spanned::Spanned;

use super::super::document::{Flaw, Text};
use super::super::error::{Error, Problem};
use super::super::load::{Application, blocking, parent};
use super::super::source;
use super::super::sources::{MAX_DEFINITION, Obtained, Order, Sources, Wanted, Wanter};
use super::super::target::{Target, TargetRef};
use super::definition::{Environment, Home, World};
use crate::disk;
use crate::model::{Registry, excerpt};

/// The environments of an application, by what its manifest calls them.
pub(super) type Environments = HashMap<TargetRef, Environment>;

/// Finds the definitions of all environments that components are held to.
pub(super) async fn environments(app: &Application, sources: &Sources) -> Result<Environments, Error> {
    let mut seen = HashSet::new();
    let mut targets: Vec<Target> = app.targets.iter().flatten().cloned().collect();
    targets.retain(|target| seen.insert(target.reference.clone()));
    let orders = targets.iter().filter_map(|target| Some(wanted(target).transpose()?.map(|it| ordered(target, it))));
    let obtained = sources.obtain(&orders.collect::<Result<Vec<_>, _>>()?).await?;
    blocking(&app.manifest, move |manifest| {
        let read = |target: &Target| Ok((target.reference.clone(), read(target, parent(manifest), &obtained)?));
        targets.iter().map(read).collect()
    })
    .await
}

/// Orders the packages of worlds from where they are; those in directories are there.
pub(super) async fn packages(wanted: &[(Target, World)], sources: &Sources) -> Result<Obtained, Error> {
    let orders = wanted.iter().filter_map(|(target, world)| Some(ordered(target, package(world)?)));
    sources.obtain(&orders.collect::<Vec<_>>()).await
}

/// Says what is wanted for a world; `None` where it is a directory.
pub(super) fn package(world: &World) -> Option<Wanted> {
    match &world.home {
        Home::Packages(registry) => {
            let registry = registry.clone().unwrap_or_else(spin);
            let version = world.version.as_ref().expect("a world of a registry was parsed with its version");
            let version = source::exactly(version);
            Some(Wanted::Package { registry: Some(registry), package: world.package.clone(), version })
        }
        Home::Artifact(reference) => Some(Wanted::Artifact { reference: reference.clone() }),
        Home::Directory(_) => None,
    }
}

fn ordered(target: &Target, wanted: Wanted) -> Order {
    let wanter = Wanter::Target(target.reference.text().to_owned());
    Order { file: target.place.file.clone(), at: target.place.at, wanter, wanted }
}

/// Says what is wanted for the definition of an environment; `None` where it is a file.
fn wanted(target: &Target) -> Result<Option<Wanted>, Error> {
    let blame = |problem| Error::Manifest(Box::new(target.place.fault(problem)));
    match &target.reference {
        TargetRef::Path(_) => Ok(None),
        TargetRef::Url(text) => match source::url(Spanned::new(0..0, text.clone())) {
            Ok(url) => Ok(Some(Wanted::Document { url })),
            Err(Flaw { problem, .. }) => Err(blame(problem)),
        },
        TargetRef::Named(text) => {
            // Some write `:` before the version, as Spin did at first.
            let name = text.replace(':', "@");
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
            let is_name = name.chars().all(is_plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric());
            let stem = name.split('@').next().unwrap_or_default();
            if !is_name || stem.is_empty() || name.matches('@').count() > 1 {
                let expected = "a name such as `spin-up@3.5`, `{ url }` or `{ path }`";
                return Err(blame(Problem::Invalid { what: "target", value: text.clone(), expected }));
            }
            Ok(Some(Wanted::Environment { name }))
        }
    }
}

/// Reads the definition of an environment. Blocks.
fn read(target: &Target, root: &Path, obtained: &Obtained) -> Result<Environment, Error> {
    let reference = &target.reference;
    let (file, called, directory) = match wanted(target)? {
        Some(wanted) => {
            let file = obtained.get(&wanted).expect("what was ordered was obtained, or there was an error");
            (file.clone(), PathBuf::from(reference.to_string()), None)
        }
        None => {
            let file = root.join(reference.text());
            (file.clone(), file.clone(), file.parent().map(Path::to_owned))
        }
    };
    let bytes = disk::read_bounded(&file, MAX_DEFINITION)?.ok_or_else(|| {
        let (value, expected) = (file.display().to_string(), "a file that is there");
        Error::Manifest(Box::new(target.place.fault(Problem::Invalid { what: "target", value, expected })))
    })?;
    let text = Text { file: called, text: String::from_utf8_lossy(&bytes).into_owned() };
    Environment::parse(&text.text, name(reference), directory.as_deref()).map_err(|flaw| text.blame(flaw))
}

/// Returns what people call an environment: its name, or that of its document.
fn name(reference: &TargetRef) -> String {
    match reference {
        TargetRef::Named(name) => name.clone(),
        TargetRef::Url(path) | TargetRef::Path(path) => {
            let path = path.split(['?', '#']).next().unwrap_or_default();
            let last = path.rsplit(['/', '\\']).next().unwrap_or_default();
            let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
            excerpt(if stem.is_empty() { path } else { stem })
        }
    }
}

/// Returns the registry that has the worlds of Spin's own environments.
fn spin() -> Registry {
    "spinframework.dev".parse().expect("a host name")
}
