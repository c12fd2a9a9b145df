//! The book of a run: which step is next, what came of it, and which failure is the cause of which.

use std::collections::{BTreeMap, HashMap};

use tokio::time::Instant;

use super::judge::Fault;
use crate::conformance::record::{Exchange, Step};
use crate::conformance::settings::Settings;
use crate::conformance::verdict::{Api, DataSet, Status};
use crate::model::Algorithm;

/// Everything found out so far.
pub(super) struct Book {
    pub(super) steps: Vec<Step>,
    pub(super) apis: BTreeMap<Api, Status>,
    pub(super) data: BTreeMap<DataSet, Status>,
    /// The groups around the next step.
    path: Vec<String>,
    /// The whole path that a step has to begin with, or to lead to.
    filter: String,
    /// How many of the groups around are there for the sake of others alone.
    muted: usize,
    causes: Causes,
}

/// A step that is being taken.
pub(super) struct Leaf {
    step: Step,
    /// What went over the wire.
    pub(super) tape: Vec<Exchange>,
    about: Vec<String>,
    way: Option<Api>,
    muted: bool,
    started: Instant,
}

/// Of what a step is.
#[derive(Clone, Debug, Default)]
pub(super) struct Subject {
    pub(super) data: Option<DataSet>,
    pub(super) algorithm: Option<Algorithm>,
    /// What has to be there for it to hold, as keys of [`Book::broke`].
    pub(super) about: Vec<String>,
    /// The API without which it cannot hold: where that has failed and never held, one failure explains the others.
    pub(super) way: Option<Api>,
}

/// Whether a group is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// Its steps count.
    Counted,
    /// Others need its steps, which do not count.
    Muted,
    /// It is left out.
    Out,
}

/// The first failures, by what they left behind.
#[derive(Default)]
struct Causes {
    of: HashMap<String, Vec<String>>,
    /// The first upload that failed with content of this algorithm, while none has succeeded.
    algorithms: HashMap<Algorithm, Option<Vec<String>>>,
    /// The first failure of an API with content of an algorithm, while it has never held.
    ways: HashMap<(Api, Option<Algorithm>), Option<Vec<String>>>,
}

impl Book {
    /// Opens the book; what the settings switch off is disabled from the start.
    pub(super) fn new(settings: &Settings) -> Self {
        let disabled = Api::ALL.iter().filter(|api| !settings.wants(**api));
        let filter = match settings.filter.trim_start_matches('/') {
            "" => String::new(),
            whole if whole.starts_with(ROOT) || ROOT.starts_with(whole) => whole.to_owned(),
            part => format!("{ROOT}/{part}"),
        };
        Self {
            steps: Vec::new(),
            apis: disabled.map(|api| (*api, Status::Disabled)).collect(),
            data: BTreeMap::new(),
            path: Vec::new(),
            filter,
            muted: 0,
            causes: Causes::default(),
        }
    }

    /// Enters a group; `false` where it is left out, and there is nothing to leave.
    #[must_use]
    pub(super) fn enter(&mut self, name: &str) -> bool {
        let entry = self.entry(name);
        if entry == Entry::Out {
            return false;
        }
        self.muted += usize::from(self.muted > 0 || entry == Entry::Muted);
        self.path.push(name.to_owned());
        true
    }

    /// Leaves the group entered last.
    pub(super) fn leave(&mut self) {
        self.path.pop();
        self.muted = self.muted.saturating_sub(1);
    }

    /// Begins a step; `None` where it is left out.
    pub(super) fn begin(&mut self, name: &str, subject: Subject) -> Option<Leaf> {
        let entry = self.entry(name);
        if entry == Entry::Out {
            return None;
        }
        let Subject { data, algorithm, about, way } = subject;
        let mut path = self.path.clone();
        path.push(name.to_owned());
        let step = Step { path, data, algorithm, ..Step::default() };
        let muted = self.muted > 0 || entry == Entry::Muted;
        Some(Leaf { step, tape: Vec::new(), about, way, muted, started: Instant::now() })
    }

    /// Says that a step holds.
    pub(super) fn pass(&mut self, leaf: &mut Leaf, apis: &[Api]) {
        self.rule(leaf, Status::Pass, apis);
    }

    /// Says that a step does not hold.
    pub(super) fn fault(&mut self, leaf: &mut Leaf, fault: Fault, apis: &[Api]) {
        self.rule(leaf, fault.status, apis);
        leaf.step.reasons.extend(fault.reasons);
        let seen = |began| leaf.tape.iter().position(|exchange| exchange.trace.began == began);
        leaf.step.decisive = leaf.step.decisive.or(fault.seen.and_then(seen)).or(leaf.tape.len().checked_sub(1));
    }

    /// Says that a part of a step was not reached.
    pub(super) fn skip(&mut self, leaf: &mut Leaf, apis: &[Api]) {
        self.rule(leaf, Status::Skip, apis);
    }

    /// Says that the settings switch a step off.
    pub(super) fn disable(&mut self, leaf: &mut Leaf, apis: &[Api]) {
        self.rule(leaf, Status::Disabled, apis);
        leaf.step.reasons.push("switched off by the settings".to_owned());
    }

    /// Raises the verdict of a data set.
    pub(super) fn raise(&mut self, data: DataSet, status: Status) {
        if self.muted == 0 {
            raise(&mut self.data, data, status);
        }
    }

    /// Says that an API fails for want of what it needs, which steps of their own have found missing.
    pub(super) fn condemn(&mut self, data: DataSet, api: Api) {
        if self.muted == 0 {
            raise(&mut self.data, data, Status::Fail);
            raise(&mut self.apis, api, Status::Fail);
        }
    }

    /// Ends a step: finds out what blocked it, and writes it down. Returns its path, or that of its cause.
    pub(super) fn end(&mut self, mut leaf: Leaf) -> Vec<String> {
        leaf.step.elapsed = leaf.started.elapsed();
        leaf.step.exchanges = leaf.tape;
        let way = leaf.way.map(|api| (api, leaf.step.algorithm));
        let failed = leaf.step.status >= Status::Fail;
        if failed {
            let first = leaf.about.iter().find_map(|key| self.causes.of.get(key));
            let general = || self.causes.algorithms.get(&leaf.step.algorithm?)?.as_ref();
            let before = || self.causes.ways.get(&way?)?.as_ref();
            let cause = first.or_else(general).or_else(before);
            leaf.step.blocked_by = cause.filter(|path| **path != leaf.step.path).cloned();
        }
        let cause = leaf.step.blocked_by.clone().unwrap_or_else(|| leaf.step.path.clone());
        match way {
            Some(way) if failed => {
                self.causes.ways.entry(way).or_insert(Some(cause.clone()));
            }
            Some(way) if leaf.step.status == Status::Pass => {
                self.causes.ways.insert(way, None);
            }
            _ => {}
        }
        if !leaf.muted {
            self.steps.push(leaf.step);
        }
        cause
    }

    /// Takes note that something is not there as it should be, because of the step at `cause`.
    pub(super) fn broke(&mut self, key: String, cause: Vec<String>) {
        self.causes.of.entry(key).or_insert(cause);
    }

    /// Takes note that something is there after all.
    pub(super) fn mended(&mut self, key: &str) {
        self.causes.of.remove(key);
    }

    /// Takes note of whether content of an algorithm that registries need not know was taken; `failed` is where it was
    /// not. Once it was, its failures have causes of their own.
    pub(super) fn uploaded(&mut self, algorithm: Algorithm, failed: Option<Vec<String>>) {
        if algorithm == Algorithm::Sha256 {
            return;
        }
        match failed {
            None => {
                self.causes.algorithms.insert(algorithm, None);
            }
            failed => {
                self.causes.algorithms.entry(algorithm).or_insert(failed);
            }
        }
    }

    fn rule(&mut self, leaf: &mut Leaf, status: Status, apis: &[Api]) {
        leaf.step.status = leaf.step.status.max(status);
        for api in apis {
            if !leaf.step.apis.contains(api) {
                leaf.step.apis.push(*api);
            }
        }
        if leaf.muted {
            return;
        }
        for api in apis {
            raise(&mut self.apis, *api, status);
        }
        if let Some(data) = leaf.step.data {
            raise(&mut self.data, data, status);
        }
    }

    /// Says whether a part of the current group is taken. The filter is a prefix: what leads to it and what begins with
    /// it; besides, what those steps need to be there, and its removal.
    fn entry(&self, name: &str) -> Entry {
        let parts: Vec<&str> =
            std::iter::once(ROOT).chain(self.path.iter().map(String::as_str)).chain([name]).collect();
        let path = parts.join("/");
        if self.muted > 0 || path.starts_with(&self.filter) || self.filter.starts_with(&path) {
            Entry::Counted
        } else if NEEDED.iter().any(|needed| name.starts_with(needed)) || name.ends_with("delete") {
            Entry::Muted
        } else {
            Entry::Out
        }
    }
}

impl Leaf {
    /// Returns what came of it so far.
    pub(super) fn status(&self) -> Status {
        self.step.status
    }
}

fn raise<K: Ord>(verdicts: &mut BTreeMap<K, Status>, key: K, status: Status) {
    let verdict = verdicts.entry(key).or_default();
    *verdict = (*verdict).max(status);
}

/// What all paths begin with in the official reports.
pub(super) const ROOT: &str = "OCI Conformance Test";

/// How steps begin that others need.
const NEEDED: [&str; 4] = ["push", "blob-post", "blob-patch", "blob-mount"];

#[cfg(test)]
mod tests {
    use super::*;

    fn book(filter: &str) -> Book {
        Book::new(&Settings { filter: filter.to_owned(), ..Settings::default() })
    }

    fn take(book: &mut Book, name: &str, about: &str, fault: Option<Fault>) -> Option<Vec<String>> {
        let about = vec![about.to_owned()];
        let subject = Subject { algorithm: Some(Algorithm::Sha512), about, way: Some(Api::BlobGet), data: None };
        let mut leaf = book.begin(name, subject)?;
        match fault {
            None => book.pass(&mut leaf, &[Api::BlobGet]),
            Some(fault) => book.fault(&mut leaf, fault, &[Api::BlobGet]),
        }
        Some(book.end(leaf))
    }

    #[test]
    fn a_status_hides_those_below_it() {
        let mut book = book("");
        assert_eq!(book.apis.get(&Api::BlobUploadCancel), Some(&Status::Disabled));
        for (fault, status) in [
            (Some(Fault::unsupported("s")), Status::Skip),
            (None, Status::Pass),
            (Some(Fault::unsupported("s")), Status::Pass),
            (Some(Fault::fail("f")), Status::Fail),
            (None, Status::Fail),
        ] {
            take(&mut book, "step", "x", fault).expect("no filter");
            assert_eq!(book.apis[&Api::BlobGet], status);
        }
        assert!(!book.apis.contains_key(&Api::BlobHead));
    }

    #[test]
    fn a_filter_takes_what_leads_to_it_what_begins_with_it_and_what_that_needs() {
        for (filter, counted) in [
            (
                "",
                "ping image/push/blob-post-put image/push/manifest-by-tag image/pull/blob-get image/delete/blob-delete",
            ),
            ("image/pull", "image/pull/blob-get"),
            ("OCI Conformance Test/image/pull/blob", "image/pull/blob-get"),
            (
                "image",
                "image/push/blob-post-put image/push/manifest-by-tag image/pull/blob-get image/delete/blob-delete",
            ),
            ("pi", "ping"),
            (
                "OCI Conf",
                "ping image/push/blob-post-put image/push/manifest-by-tag image/pull/blob-get image/delete/blob-delete",
            ),
            ("nothing", ""),
        ] {
            let mut book = book(filter);
            let mut taken = 0;
            taken += usize::from(take(&mut book, "ping", "", None).is_some());
            if book.enter("image") {
                for (group, leaves) in [
                    ("push", ["blob-post-put", "manifest-by-tag"].as_slice()),
                    ("pull", &["blob-get"]),
                    ("delete", &["blob-delete"]),
                ] {
                    if book.enter(group) {
                        taken += leaves.iter().filter(|leaf| take(&mut book, leaf, "", None).is_some()).count();
                        book.leave();
                    }
                }
                book.leave();
            }
            let steps: Vec<String> = book.steps.iter().map(|step| step.path.join("/")).collect();
            assert_eq!(steps.join(" "), counted, "{filter}");
            let expected = if filter.contains("image/pull") { 4 } else { steps.len() };
            assert_eq!(taken, expected, "{filter}");
        }
    }

    #[test]
    fn the_first_failure_is_the_cause() {
        let mut book = book("");
        let fail = || Some(Fault::fail("f"));
        // The way works.
        take(&mut book, "before", "", None);
        let cause = take(&mut book, "push", "blob", fail()).expect("no filter");
        book.broke("blob".into(), cause);
        let cause = take(&mut book, "manifest", "blob", fail()).expect("no filter");
        book.broke("manifest".into(), cause);
        take(&mut book, "head", "manifest", fail());
        take(&mut book, "get", "manifest", None);
        take(&mut book, "list", "other", fail());
        book.mended("manifest");
        take(&mut book, "tag", "manifest", fail());
        let blocked = |book: &Book| book.steps.iter().map(|step| step.blocked_by.clone()).collect::<Vec<_>>();
        let push = Some(vec!["push".to_owned()]);
        assert_eq!(blocked(&book), [None, None, push.clone(), push, None, None, None]);
    }

    #[test]
    fn a_way_that_never_works_is_one_cause() {
        let mut book = book("");
        let fail = || Some(Fault::fail("f"));
        for (name, fault) in [
            ("a", fail()),
            ("b", fail()),
            ("c", Some(Fault::unsupported("s"))),
            ("d", fail()),
            ("e", None),
            ("f", fail()),
        ] {
            take(&mut book, name, name, fault);
        }
        let blocked: Vec<bool> = book.steps.iter().map(|step| step.blocked_by == Some(vec!["a".to_owned()])).collect();
        assert_eq!(blocked, [false, true, false, true, false, false]);
    }

    #[test]
    fn an_algorithm_that_is_never_taken_is_one_cause() {
        let mut book = book("");
        let fail = || Some(Fault::fail("f"));
        take(&mut book, "before", "", None);
        for name in ["first", "second"] {
            let cause = take(&mut book, name, name, fail()).expect("no filter");
            book.uploaded(Algorithm::Sha512, Some(cause));
        }
        assert_eq!(book.steps[2].blocked_by, Some(vec!["first".to_owned()]));
        book.uploaded(Algorithm::Sha512, None);
        take(&mut book, "third", "third", fail());
        assert_eq!(book.steps[3].blocked_by, None);
    }
}
