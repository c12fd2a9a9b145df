//! Why an application cannot run where its manifest says that it should.

use std::error::Error as StdError;
use std::fmt;

use super::super::error::Place;
use crate::model::excerpt;

/// Why an application is not known to run in the environments that its manifest names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It cannot: all that stands against it.
    #[error("{}", listed(.0))]
    Unfit(Vec<Unfit>),
    /// A world of an environment cannot be read.
    #[error("{place}: the world `{world}` of the environment `{}` cannot be read", excerpt(environment))]
    World {
        /// The entry of `targets`.
        place: Place,
        /// The environment.
        environment: String,
        /// The world.
        world: String,
        /// What is wrong with it.
        #[source]
        reason: Box<dyn StdError + Send + Sync>,
    },
}

/// One thing that keeps a component from running in an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The entry of `targets`.
    pub place: Place,
    /// The component.
    pub component: String,
    /// The environment.
    pub environment: String,
    /// What it lacks, or what the component does.
    pub lack: Lack,
}

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lack {
    /// The environment has no triggers of this type.
    Trigger(String),
    /// The component fits into no world of the environment. This is the one that comes nearest.
    World {
        /// The type of the trigger.
        trigger: String,
        /// The world.
        world: String,
        /// What the component imports, and the world does not have.
        imports: Vec<String>,
        /// What the world demands, and the component does not export.
        exports: Vec<String>,
        /// What both have, of other types; each with the difference.
        types: Vec<(String, String)>,
        /// How many other worlds fit even less.
        others: usize,
    },
    /// The host cannot do this for triggers of this type.
    Capability {
        /// The type of the trigger.
        trigger: String,
        /// What the component requires.
        name: String,
    },
    /// The environment has no store, database or model of this name.
    Resource {
        /// What it is.
        what: &'static str,
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (component, environment) = (excerpt(&self.component), excerpt(&self.environment));
        write!(f, "{}: the component `{component}` cannot run in the environment `{environment}`: ", self.place)?;
        match &self.lack {
            Lack::Trigger(trigger) => write!(f, "it has no triggers of the type `{}`", excerpt(trigger)),
            Lack::World { trigger, world, imports, exports, types, others } => {
                write!(f, "for triggers of the type `{}` its world `{}`", excerpt(trigger), excerpt(world))?;
                let mut between = "";
                if !imports.is_empty() {
                    write!(f, " does not have {}, which the component imports", names(imports))?;
                    between = ", and";
                }
                if !exports.is_empty() {
                    write!(f, "{between} demands {}, which the component does not export", names(exports))?;
                    between = ", and";
                }
                if let Some((name, difference)) = types.first() {
                    write!(f, "{between} has `{}` of another type: {}", excerpt(name), excerpt(difference))?;
                    if types.len() > 1 {
                        write!(f, " (and {} more like that)", types.len() - 1)?;
                    }
                }
                match others {
                    0 => Ok(()),
                    1 => f.write_str("; another world of it fits even less"),
                    others => write!(f, "; {others} other worlds of it fit even less"),
                }
            }
            Lack::Capability { trigger, name } => {
                write!(f, "it has no `{}` for triggers of the type `{}`", excerpt(name), excerpt(trigger))
            }
            Lack::Resource { what, name } => write!(f, "it has no {what} `{}`", excerpt(name)),
        }
    }
}

fn names(names: &[String]) -> String {
    let listed: Vec<String> = names.iter().take(MOST_NAMES).map(|name| format!("`{}`", excerpt(name))).collect();
    let more = names.len().saturating_sub(MOST_NAMES);
    if more > 0 { format!("{} and {more} more", listed.join(", ")) } else { listed.join(", ") }
}

fn listed(all: &[Unfit]) -> String {
    let shown: Vec<String> = all.iter().take(MOST_UNFIT).map(Unfit::to_string).collect();
    let more = all.len().saturating_sub(MOST_UNFIT);
    if more > 0 { format!("{}; and {more} more", shown.join("; ")) } else { shown.join("; ") }
}

/// How many imports or exports are named.
const MOST_NAMES: usize = 8;
/// How many misfits are told.
const MOST_UNFIT: usize = 6;
