//! The official conformance suite, live: it judges our registry, and our judge is held to its verdicts. What our judge
//! prints for each failure is run by real curl.

mod defects;
mod own;
mod page;
mod parity;
#[cfg(unix)]
mod reproduce;
mod steps;
mod suite;
