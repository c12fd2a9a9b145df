//! What a run looks like on paper: one [`Report`](super::Report), several forms of it, none of which adds anything.
//!
//! Whatever comes from a peer is escaped for the form that it is printed in. `results.yaml` and `junit.xml` have the
//! keys, words and names of the official suite.

mod causes;
mod curl;
mod groups;
mod html;
mod html_exchanges;
mod html_matrix;
mod json;
mod junit;
mod matrix;
mod needs;
mod outcome;
#[cfg(test)]
pub(super) mod sample;
mod script;
mod settings;
mod shell;
mod text;
mod yaml;

pub use html::html;
pub use json::{Json, SCHEMA, json};
pub use junit::junit;
pub use outcome::{Strictness, Verdict};
pub use text::{Tone, plain, text, text_compared, text_regressed};
pub use yaml::results;
