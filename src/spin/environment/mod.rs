//! Environments: what a host offers to the components of which triggers, and whether an application can run there.
//!
//! A manifest names environments under `targets`. Each is a definition, a short TOML document: for every type of trigger
//! the worlds that its components may be of, and what else the host can do. The worlds are packages of WIT: in a
//! directory, or in a registry. Spin's own environments have names, and their definitions are in a catalogue.

#[cfg(feature = "compose")]
mod check;
#[cfg(feature = "compose")]
mod definition;
#[cfg(feature = "compose")]
mod find;
mod unfit;

pub use unfit::{Lack, TargetError, Unfit};
