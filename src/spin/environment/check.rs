//! Holding components to the environments that they are meant for.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::super::compose::{Candidate, Misfit, wit_of_directory};
use super::super::composed;
use super::super::error::Error;
use super::super::load::{Application, LocalComponent, blocking};
use super::super::lock_file::{LockedComponent, LockedTrigger};
use super::super::sources::{Obtained, Sources};
use super::super::target::Target;
use super::definition::{Environment, Home, Offer, World};
use super::find::{self, Environments};
use super::{Lack, TargetError, Unfit};

impl Application {
    /// Checks that every component can run in the environments that the manifest names for it under `targets`: that
    /// each has triggers of its type, a world that the component fits into, and what else it requires. Components are
    /// looked at as they are published: composed with their dependencies.
    ///
    /// **Requests**: for a named environment one `GET`, and none where its name has a version and it was obtained before;
    /// for one by its URL, one `GET`; for the package of each world what [`super::super::load_with`] says of packages. Only
    /// worlds of triggers that the application has are looked for.
    ///
    /// # Errors
    ///
    /// [`Error::Target`] with everything that does not fit; [`Error::Manifest`] where a definition makes no sense,
    /// [`Error::Source`] where it cannot be had; [`Error::Compose`] where a component cannot be composed.
    pub async fn check_targets(&self, sources: &Sources) -> Result<(), Error> {
        if self.targets.iter().all(Vec::is_empty) {
            return Ok(());
        }
        let environments = find::environments(self, sources).await?;
        let mut wanted: Vec<(Target, World)> = Vec::new();
        for (component, targets) in self.components.iter().zip(&self.targets) {
            for (target, kind) in pairs(targets, &self.kinds(&component.id)) {
                let worlds = environments[&target.reference].offer(kind).map_or(&[][..], |offer| &offer.worlds);
                for world in worlds {
                    if !wanted.iter().any(|(_, known)| known == world) {
                        wanted.push((target.clone(), world.clone()));
                    }
                }
            }
        }
        let obtained = find::packages(&wanted, sources).await?;
        let app = self.clone();
        let unfit = blocking(&self.manifest, move |_| {
            let packages = Packages::read(&wanted, &environments, &obtained)?;
            app.judge(&environments, &packages)
        });
        match unfit.await? {
            unfit if unfit.is_empty() => Ok(()),
            unfit => Err(Box::new(TargetError::Unfit(unfit)).into()),
        }
    }

    /// Returns the types of the triggers that name a component.
    fn kinds(&self, component: &str) -> BTreeSet<&str> {
        let triggers = self.lock.triggers.iter().filter(|trigger| names(trigger, component));
        triggers.map(|trigger| trigger.trigger_type.as_str()).collect()
    }

    fn judge(&self, environments: &Environments, packages: &Packages) -> Result<Vec<Unfit>, Error> {
        let mut unfit = Vec::new();
        for ((component, locked), targets) in self.components.iter().zip(&self.lock.components).zip(&self.targets) {
            let kinds = self.kinds(&component.id);
            if targets.is_empty() || kinds.is_empty() {
                continue;
            }
            let judged = Judged::new(component, locked)?;
            for (target, kind) in pairs(targets, &kinds) {
                let environment = &environments[&target.reference];
                let lacks = match environment.offer(kind) {
                    None => vec![Lack::Trigger(kind.to_owned())],
                    Some(offer) => judged.by(offer, kind, target, environment, packages)?,
                };
                unfit.extend(lacks.into_iter().map(|lack| judged.unfit(target, environment, lack)));
            }
            for target in targets {
                let environment = &environments[&target.reference];
                unfit.extend(judged.limits(environment).map(|lack| judged.unfit(target, environment, lack)));
            }
        }
        Ok(unfit)
    }
}

fn pairs<'a>(targets: &'a [Target], kinds: &BTreeSet<&'a str>) -> Vec<(&'a Target, &'a str)> {
    targets.iter().flat_map(|target| kinds.iter().map(move |kind| (target, *kind))).collect()
}

/// Says whether a trigger runs a component, or names it in a role.
fn names(trigger: &LockedTrigger, component: &str) -> bool {
    let is_it = |value: &Value| value.as_str() == Some(component);
    let roles = trigger.trigger_config.get("components").and_then(Value::as_object);
    let mut roles = roles.into_iter().flat_map(|roles| roles.values());
    trigger.trigger_config.get("component").is_some_and(is_it)
        || roles.any(|value| is_it(value) || value.as_array().is_some_and(|all| all.iter().any(is_it)))
}

/// The packages of worlds, in memory: some KiB each.
struct Packages(HashMap<World, Vec<u8>>);

impl Packages {
    fn read(wanted: &[(Target, World)], environments: &Environments, obtained: &Obtained) -> Result<Self, Error> {
        let mut packages = HashMap::new();
        for (target, world) in wanted {
            let bytes = match (&world.home, find::package(world)) {
                (Home::Directory(path), _) => wit_of_directory(path)
                    .map_err(|discord| unreadable(target, &environments[&target.reference], world, discord.reason()))?,
                (_, wanted) => {
                    let path = wanted.and_then(|wanted| obtained.get(&wanted));
                    composed::read(path.expect("what was ordered was obtained, or there was an error"), None)?.to_vec()
                }
            };
            packages.insert(world.clone(), bytes);
        }
        Ok(Self(packages))
    }
}

fn unreadable(target: &Target, environment: &Environment, world: &World, reason: String) -> Error {
    let (place, environment) = (target.place.clone(), environment.name.clone());
    Box::new(TargetError::World { place, environment, world: world.to_string(), reason: reason.into() }).into()
}

/// A component that is held to something.
struct Judged<'a> {
    local: &'a LocalComponent,
    locked: &'a LockedComponent,
    candidate: Candidate,
}

impl<'a> Judged<'a> {
    fn new(local: &'a LocalComponent, locked: &'a LockedComponent) -> Result<Self, Error> {
        let wasm = composed::whole(local, locked)?;
        let candidate = Candidate::of_component(&wasm).map_err(|discord| composed::blame(local, discord))?;
        Ok(Self { local, locked, candidate })
    }

    fn unfit(&self, target: &Target, environment: &Environment, lack: Lack) -> Unfit {
        let (place, component) = (target.place.clone(), self.local.id.clone());
        Unfit { place, component, environment: environment.name.clone(), lack }
    }

    /// Says what an offer lacks, or what the component does.
    fn by(
        &self,
        offer: &Offer,
        kind: &str,
        target: &Target,
        environment: &Environment,
        packages: &Packages,
    ) -> Result<Vec<Lack>, Error> {
        let mut nearest: Option<(&World, Misfit)> = None;
        let mut fits = offer.worlds.is_empty();
        for world in &offer.worlds {
            let misfit = self.candidate.misfit(&packages.0[world], &world.name);
            match misfit.map_err(|discord| unreadable(target, environment, world, discord.reason()))? {
                None => {
                    fits = true;
                    break;
                }
                Some(misfit) if nearest.as_ref().is_none_or(|(_, other)| misfit.weight() < other.weight()) => {
                    nearest = Some((world, misfit));
                }
                Some(_) => {}
            }
        }
        let mut lacks = Vec::new();
        if let Some((world, Misfit { imports, exports, types })) = nearest.filter(|_| !fits) {
            let (trigger, world, others) = (kind.to_owned(), world.to_string(), offer.worlds.len() - 1);
            lacks.push(Lack::World { trigger, world, imports, exports, types, others });
        }
        let required = self.locked.host_requirements.keys();
        let missing = required.filter(|name| !offer.capabilities.contains(name));
        lacks.extend(missing.map(|name| Lack::Capability { trigger: kind.to_owned(), name: name.clone() }));
        Ok(lacks)
    }

    /// Says which resources an environment does not have.
    fn limits<'e>(&'e self, environment: &'e Environment) -> impl Iterator<Item = Lack> + 'e {
        environment.limits.iter().flat_map(|limit| {
            let used = self.locked.metadata.get(limit.key).and_then(Value::as_array).into_iter().flatten();
            let missing = used.filter_map(Value::as_str).filter(|name| !limit.names.iter().any(|known| known == name));
            missing.map(|name| Lack::Resource { what: limit.what, name: name.to_owned() })
        })
    }
}
