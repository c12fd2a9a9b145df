//! Judging any registry by the OCI distribution specification.
//!
//! Two layers of verdict come out of one run. The *official* one speaks the terms of the conformance suite of the
//! specification: the same steps, 28 [`Api`]s, 24 [`DataSet`]s and the same words. The *precise* one is a list of
//! [`Check`]s, each of which tests one sentence of the specification and says which.
//!
//! Nothing of `registry` or `serve` is used here, so that both can be judged: requests are made through `auth` and
//! `transport` alone, recorded as [`Exchange`]s, and judged from the record.

mod answer;
mod checks;
mod compare;
mod doctor;
mod doctor_readings;
mod doctor_report;
mod journal;
mod keys;
mod official;
mod probe;
mod record;
pub mod report;
mod run;
mod settings;
mod verdict;
mod yaml;

pub use answer::{Answer, End};
pub use checks::{Findings, Grounds, Listed, Means, catalogue, check};
pub use compare::{BadResults, Comparison, Kind, Row, Verdicts};
pub use doctor::{Diagnosis, Patient, Point, Reply, Topic, abandon, examine};
pub use probe::{Asking, Probe, with_digest};
pub use record::{Check, Exchange, Finding, Header, Level, Outcome, Report, Sample, Step, Unnamed};
pub use run::run;
pub use settings::{Apis, Blobs, Data, Manifests, ReadOnly, Settings, SettingsError, Tags, Tls, Version};
pub use verdict::{Api, DataSet, Status};
