//! API × data, from the steps.

use std::collections::BTreeMap;

use crate::conformance::{Api, DataSet, Report, Status};
use crate::model::Algorithm;

/// What the steps say of each API, for each kind of data.
pub(super) struct Matrix {
    /// The data sets that have a column, in the order of the reports.
    pub(super) columns: Vec<DataSet>,
    /// All APIs, in the order of the reports.
    pub(super) rows: Vec<Row>,
}

/// One API.
pub(super) struct Row {
    pub(super) api: Api,
    /// The official verdict.
    pub(super) verdict: Status,
    /// What came of the steps with content of SHA-256, and of those without digests.
    pub(super) sha256: Cell,
    /// What came of the steps with content of SHA-512.
    pub(super) sha512: Cell,
    /// What came of the steps of each column's data set.
    pub(super) cells: Vec<Cell>,
}

/// What came of some steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) status: Status,
    /// The first step that says so, one that nothing blocks if there is one.
    pub(super) step: Option<usize>,
}

impl Matrix {
    pub(super) fn of(report: &Report) -> Self {
        let seen = |set: &DataSet| report.steps.iter().any(|step| step.data == Some(*set));
        let has_verdict = |set: &DataSet| report.data.get(set).is_some_and(|status| *status > Status::Disabled);
        let columns: Vec<_> = DataSet::ALL.iter().copied().filter(|set| seen(set) || has_verdict(set)).collect();
        let mut by_data: BTreeMap<(Api, Option<DataSet>), Cell> = BTreeMap::new();
        let mut by_algorithm: BTreeMap<(Api, Algorithm), Cell> = BTreeMap::new();
        for (index, step) in report.steps.iter().enumerate() {
            for api in &step.apis {
                let algorithm = step.algorithm.unwrap_or(Algorithm::Sha256);
                let cells = [by_data.entry((*api, step.data)).or_default()];
                for cell in cells.into_iter().chain([by_algorithm.entry((*api, algorithm)).or_default()]) {
                    cell.rise(report, index);
                }
            }
        }
        let rows = Api::ALL.iter().map(|api| Row {
            api: *api,
            verdict: report.apis.get(api).copied().unwrap_or_default(),
            sha256: by_algorithm.get(&(*api, Algorithm::Sha256)).copied().unwrap_or_default(),
            sha512: by_algorithm.get(&(*api, Algorithm::Sha512)).copied().unwrap_or_default(),
            cells: columns.iter().map(|set| by_data.get(&(*api, Some(*set))).copied().unwrap_or_default()).collect(),
        });
        Self { rows: rows.collect(), columns }
    }
}

impl Cell {
    /// Takes in a step: the worse status counts, and of two that are as bad the one that is no consequence.
    fn rise(&mut self, report: &Report, index: usize) {
        let step = &report.steps[index];
        let is_consequence = |index: usize| report.steps[index].blocked_by.is_some();
        let is_cause = || self.step.is_some_and(is_consequence) && !is_consequence(index);
        if step.status > self.status || (step.status == self.status && is_cause()) {
            *self = Self { status: step.status, step: Some(index) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Step;

    #[test]
    fn sha512_is_a_column_of_its_own() {
        use Status::{Fail, Pass, Skip, Unknown};
        let step = |api, data, algorithm, status, blocked: bool| Step {
            apis: vec![api],
            data,
            algorithm,
            status,
            blocked_by: blocked.then(|| vec!["x".to_owned()]),
            ..Step::default()
        };
        let steps = vec![
            step(Api::Ping, None, None, Pass, false),
            step(Api::BlobGet, Some(DataSet::BlobsSha256), Some(Algorithm::Sha256), Pass, false),
            step(Api::BlobGet, Some(DataSet::BlobsSha512), Some(Algorithm::Sha512), Fail, true),
            step(Api::BlobGet, Some(DataSet::BlobsSha512), Some(Algorithm::Sha512), Fail, false),
            step(Api::BlobGet, Some(DataSet::Image), Some(Algorithm::Sha256), Skip, false),
        ];
        let report = Report { steps, apis: [(Api::BlobGet, Fail)].into(), ..Report::default() };
        let matrix = Matrix::of(&report);
        assert_eq!(matrix.columns, [DataSet::BlobsSha256, DataSet::BlobsSha512, DataSet::Image]);
        let row = |api: Api| matrix.rows.iter().find(|row| row.api == api).expect("every API has a row");
        let cell = |status, step| Cell { status, step };
        let ping = row(Api::Ping);
        assert_eq!((ping.verdict, ping.sha256, ping.sha512), (Unknown, cell(Pass, Some(0)), Cell::default()));
        let get = row(Api::BlobGet);
        assert_eq!((get.verdict, get.sha256, get.sha512), (Fail, cell(Pass, Some(1)), cell(Fail, Some(3))));
        assert_eq!(get.cells, [cell(Pass, Some(1)), cell(Fail, Some(3)), cell(Skip, Some(4))]);
    }
}
