//! The official conformance suite, live: it judges our registry, and our judge is held to its verdicts.

mod defects;
mod own;
mod page;
mod parity;
mod steps;
mod suite;
