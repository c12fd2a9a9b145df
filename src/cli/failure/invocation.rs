//! What was being done, as far as hints depend on it.

use crate::model::{Location, Reference, Registry};

/// What was being done, as far as hints depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Invocation {
    Login(Registry),
    Logout(Registry),
    Push(Location),
    Pull(Location),
    /// Something is only looked at.
    Look(Location),
    /// Something is tagged, attached or written by itself.
    Change(Location),
    Delete(Location),
    Copy(Location, Location),
    /// Both are only looked at.
    Diff(Location, Location),
    Explain(Reference),
    Doctor(Reference),
    Conformance,
    Serve,
    Cache,
    /// Something on this computer's disk.
    Local,
}

impl Invocation {
    /// Returns the registry as people name it.
    pub(super) fn registry(&self) -> Option<&Registry> {
        match self {
            Self::Login(registry) | Self::Logout(registry) => Some(registry),
            Self::Explain(reference) | Self::Doctor(reference) => Some(reference.registry()),
            _ => self.reference().map(Reference::registry),
        }
    }

    /// Returns the repository's name.
    pub(super) fn name(&self) -> &str {
        self.reference().map_or("", |reference| reference.name().as_str())
    }

    pub(super) fn host(&self) -> &str {
        self.registry().map_or("HOST", Registry::as_str)
    }

    pub(super) fn is_on(&self, domain: &str) -> bool {
        self.registry().is_some_and(|registry| {
            registry.host().strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }

    /// Returns the one place that it is about.
    pub(super) fn location(&self) -> Option<&Location> {
        match self {
            Self::Push(at) | Self::Pull(at) | Self::Look(at) | Self::Change(at) | Self::Delete(at) => Some(at),
            _ => None,
        }
    }

    fn reference(&self) -> Option<&Reference> {
        match self.location()? {
            Location::Registry(reference) => Some(reference),
            Location::Layout { .. } | Location::Archive { .. } => None,
        }
    }
}
