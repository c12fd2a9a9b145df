//! The matrix API × data, in `report.html`.

use std::fmt::Write as _;

use super::html::{class, escaped_line};
use super::matrix::{Cell, Matrix};
use crate::conformance::{DataSet, Report, Status};

/// Writes the matrix, with the official verdicts at its edges and sha512 in a column of its own.
pub(super) fn matrix(report: &Report, out: &mut String) {
    let matrix = Matrix::of(report);
    out.push_str(
        "<section>\n<h2 id=\"matrix\">Verdicts</h2>\n<div class=\"scroll\"><table class=\"matrix\">\n<thead>\n<tr>",
    );
    out.push_str(
        "<th scope=\"col\" class=\"corner\">API</th><th scope=\"col\">verdict</th><th scope=\"col\">sha256</th>",
    );
    out.push_str("<th scope=\"col\" class=\"edge\">sha512</th>");
    for set in &matrix.columns {
        let _ = write!(out, "<th scope=\"col\" class=\"turned\"><span>{}</span></th>", escaped_line(set.label()));
    }
    out.push_str(
        "</tr>\n<tr class=\"verdicts\"><th scope=\"row\">data set</th><td></td><td></td><td class=\"edge\"></td>",
    );
    for set in &matrix.columns {
        let status = report.data.get(set).copied().unwrap_or_default();
        word(status, set.label(), out);
    }
    out.push_str("</tr>\n</thead>\n<tbody>\n");
    for row in &matrix.rows {
        let label = row.api.label();
        let _ = write!(out, "<tr><th scope=\"row\">{label}</th>");
        let _ = write!(out, "<td class=\"verdict {}\">{}</td>", class(row.verdict), spelled(row.verdict));
        cell(row.sha256, &format!("{label}, sha256"), "", out);
        cell(row.sha512, &format!("{label}, sha512"), " edge", out);
        for (set, found) in matrix.columns.iter().zip(&row.cells) {
            cell(*found, &title(label, *set), "", out);
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table></div>\n<p class=\"legend faint\">");
    for status in Status::ALL {
        if !matches!(status, Status::Unknown) {
            let _ = write!(out, "<span class=\"{}\">{}</span> {status} ", class(*status), sign(*status));
        }
    }
    out.push_str("— sha256 includes what has no digest; a sign leads to the step that says so.</p>\n</section>\n");
}

fn title(label: &str, set: DataSet) -> String {
    format!("{label}, {}", set.label())
}

fn word(status: Status, label: &str, out: &mut String) {
    let _ = write!(out, "<td class=\"{}\" title=\"{label}: {status}\">{}</td>", class(status), sign(status));
}

fn cell(cell: Cell, title: &str, edge: &str, out: &mut String) {
    let (class, status) = (class(cell.status), cell.status);
    let _ = match cell.step {
        Some(step) => write!(
            out,
            "<td class=\"{class}{edge}\"><a href=\"#step-{step}\" title=\"{title}: {status}\">{}</a></td>",
            sign(status)
        ),
        None => write!(out, "<td class=\"{class}{edge}\"></td>"),
    };
}

fn spelled(status: Status) -> &'static str {
    if status == Status::Unknown { "" } else { status.as_str() }
}

fn sign(status: Status) -> &'static str {
    match status {
        Status::Unknown => "",
        Status::Disabled => "·",
        Status::Skip => "–",
        Status::Pass => "✓",
        Status::Fail => "✗",
        Status::Error => "!",
    }
}
