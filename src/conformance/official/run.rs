//! One run of the official steps.

use std::collections::{HashMap, HashSet};
use std::pin::pin;

use futures_util::future::{Either, select};
use http::Method;

use super::book::{Book, Leaf, Subject};
use super::content::{Content, Maker};
use super::judge::{Fault, Verdict};
use super::sets::{SETS, Set, invalid_digest, read_only};
use super::wire::Wire;
use crate::conformance::probe::Probe;
use crate::conformance::record::{Exchange, Report};
use crate::conformance::settings::Settings;
use crate::conformance::verdict::{Api, DataSet, Status};
use crate::model::{Algorithm, Name};

/// Takes every step that the settings want, in the order of the official suite, and removes what it pushed.
///
/// Ends early where nobody answers, or once `interrupted` is done; what was pushed is removed then, too.
pub(in crate::conformance) async fn run(
    settings: &Settings,
    probe: &Probe,
    seed: u64,
    interrupted: impl Future<Output = ()>,
) -> Report {
    let mut run = Run::new(settings, probe, seed);
    // What is being asked is dropped, and what came of the steps before stays.
    let ended = matches!(select(pin!(run.all()), pin!(interrupted)).await, Either::Left(_));
    let leftovers = run.wire.clean().await;
    Report {
        settings: settings.entries(),
        registry: probe.registry().to_string(),
        seed,
        steps: run.book.steps,
        apis: run.book.apis,
        data: run.book.data,
        leftovers,
        aborted: match run.wire.given_up() {
            Some(why) => Some(why.to_owned()),
            None if !ended => Some("interrupted".to_owned()),
            None => None,
        },
        ..Report::default()
    }
}

/// A run: where it is, what it has, and what it found out.
pub(super) struct Run<'a> {
    pub(super) settings: &'a Settings,
    pub(super) book: Book,
    pub(super) wire: Wire,
    pub(super) maker: Maker,
    /// Which ways to upload were tried.
    pub(super) tried: HashSet<Api>,
    /// Which of them with content of an algorithm.
    pub(super) tried_with: HashMap<Algorithm, HashSet<Api>>,
}

/// What came of a step, for those that come after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    Good,
    /// Not good, left out, or not there.
    Bad,
}

impl<'a> Run<'a> {
    fn new(settings: &'a Settings, probe: &Probe, seed: u64) -> Self {
        Self {
            settings,
            book: Book::new(settings),
            wire: Wire::new(probe.clone()),
            maker: Maker::new(seed),
            tried: HashSet::new(),
            tried_with: HashMap::new(),
        }
    }

    async fn all(&mut self) {
        let settings = self.settings;
        self.ping().await;
        self.empty().await;
        self.blobs(Algorithm::Sha256).await;
        if settings.data.sha512 {
            self.blobs(Algorithm::Sha512).await;
        } else {
            self.book.raise(DataSet::BlobsSha512, Status::Disabled);
        }
        if settings.data.image {
            if !settings.read_only.is_empty() {
                let mut content = read_only(settings, &mut self.maker);
                self.set("read-only", DataSet::ReadOnlyInputs, &mut content).await;
            }
            if settings.apis.push {
                for set in SETS {
                    self.own_set(set).await;
                }
            }
        }
        self.missing_manifest().await;
        self.invalid_digest_format().await;
    }

    async fn own_set(&mut self, set: &Set) {
        if !(set.wanted)(self.settings) {
            self.book.raise(set.label, Status::Disabled);
            return;
        }
        let mut content = set.content(&mut self.maker);
        self.set(set.name, set.label, &mut content).await;
    }

    /// Pushes, lists, reads and deletes a data set.
    async fn set(&mut self, name: &str, label: DataSet, content: &mut Content) {
        if !self.book.enter(name) {
            return;
        }
        self.wire.scene();
        self.push(label, content).await;
        self.tag_list(label, content).await;
        self.head(label, content).await;
        self.pull(label, content).await;
        self.referrers(label, content).await;
        // A read-only run deletes nothing: what it reads is somebody else's.
        if self.settings.apis.push {
            self.delete(label, content).await;
        }
        self.book.leave();
    }

    /// Asks whether there is a registry. Any answer is one, for the official suite.
    async fn ping(&mut self) {
        let Some(mut leaf) = self.begin("ping", Subject::default()) else { return };
        if self.wanted(&mut leaf, &[Api::Ping]) {
            let outcome = self.wire.send(&mut leaf.tape, self.wire.ask(Method::GET, "/v2/")).await;
            self.close(&mut leaf, outcome.map(|_| ()), &[Api::Ping]);
        }
        self.book.end(leaf);
    }

    async fn missing_manifest(&mut self) {
        if !self.book.enter("missing-manifest") {
            return;
        }
        let digest = self.maker.digest(Algorithm::Sha256).to_string();
        let tag = format!("missing-{}", self.maker.word());
        for (name, reference, api) in
            [("by-digest", digest, Api::ManifestGetByDigest), ("by-tag", tag, Api::ManifestGetByTag)]
        {
            let Some(mut leaf) = self.begin(name, Subject::default()) else { continue };
            if self.wanted(&mut leaf, &[api]) {
                let outcome = self.get_manifest(&mut leaf.tape, &reference).await;
                let outcome = outcome.and_then(|answer| Verdict::on(&answer).status(&[404]).end());
                self.close(&mut leaf, outcome, &[api]);
            }
            self.book.end(leaf);
        }
        self.book.leave();
    }

    async fn invalid_digest_format(&mut self) {
        if !self.book.enter("invalid-digest-format") {
            return;
        }
        let label = DataSet::InvalidManifestDigest;
        let mut content = invalid_digest(&mut self.maker);
        for n in 0..content.blobs.len() {
            let digest = content.blobs[n].digest;
            self.push_any(label, &content, &self.settings.repo1, &digest).await;
        }
        self.put_invalid(label, &content).await;
        let subject = Subject { data: Some(label), ..Subject::default() };
        if let Some(mut leaf) = self.begin("manifest-get", subject) {
            if self.wanted_strictly(&mut leaf, &[Api::ManifestGetByDigest], label) {
                let outcome = self.get_manifest(&mut leaf.tape, INVALID).await;
                let outcome = outcome.and_then(|answer| Verdict::on(&answer).status(&[404, 400]).end());
                self.close(&mut leaf, outcome, &[Api::ManifestGetByDigest]);
            }
            self.book.end(leaf);
        }
        if self.settings.apis.push {
            self.delete(label, &mut content).await;
        }
        self.book.leave();
    }

    /// Begins a step; `None` where it is left out, or where nobody answers any more.
    pub(super) fn begin(&mut self, name: &str, subject: Subject) -> Option<Leaf> {
        if self.wire.given_up().is_some() {
            return None;
        }
        self.book.begin(name, subject)
    }

    /// Says whether the settings want all of these APIs; the step is disabled otherwise.
    pub(super) fn wanted(&mut self, leaf: &mut Leaf, apis: &[Api]) -> bool {
        let wanted = apis.iter().all(|api| self.settings.wants(*api));
        if !wanted {
            self.book.disable(leaf, apis);
        }
        wanted
    }

    /// Says the same, where the data set is at least skipped otherwise.
    pub(super) fn wanted_strictly(&mut self, leaf: &mut Leaf, apis: &[Api], data: DataSet) -> bool {
        let unwanted = apis.iter().find(|api| !self.settings.wants(**api));
        if let Some(api) = unwanted {
            self.book.raise(data, Status::Skip);
            self.book.disable(leaf, &[*api]);
        }
        unwanted.is_none()
    }

    /// Enters what came of a step.
    pub(super) fn close(&mut self, leaf: &mut Leaf, outcome: Result<(), Fault>, apis: &[Api]) -> Came {
        match outcome {
            Ok(()) => {
                self.book.pass(leaf, apis);
                Came::Good
            }
            Err(fault) => {
                self.book.fault(leaf, fault, apis);
                Came::Bad
            }
        }
    }
}

/// Returns the key of something in a repository, for the causes of failures.
pub(super) fn key(name: &Name, what: impl std::fmt::Display) -> String {
    format!("{name}@{what}")
}

/// What went over the wire in a step.
pub(super) type Tape = Vec<Exchange>;

/// A digest that is none.
pub(super) const INVALID: &str = "sha256:baddigeststring";
