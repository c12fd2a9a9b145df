//! What went over the wire, in `report.html`.

use std::fmt::Write as _;

use super::html::{escaped, escaped_line};
use crate::conformance::{Exchange, Header, Sample};

/// Writes exchanges, folded but for their first lines; `unfolded` is the one that decided, if it is to be seen at once.
pub(super) fn exchanges(list: &[Exchange], unfolded: Option<usize>, out: &mut String) {
    for (at, exchange) in list.iter().enumerate() {
        let open = if unfolded == Some(at) { " open" } else { "" };
        let (class, status) = match exchange.status {
            Some(status) => (if status < 400 { "ok" } else { "refused" }, status.to_string()),
            None => ("refused", "no answer".to_owned()),
        };
        let _ = writeln!(
            out,
            "<details class=\"exchange\"{open}><summary><b>{}</b> <span class=\"url\">{}</span> \
             <span class=\"status {class}\">{status}</span> <span class=\"faint\">{} ms</span></summary>",
            escaped_line(&exchange.method),
            escaped_line(&exchange.url),
            exchange.elapsed.as_millis(),
        );
        out.push_str("<div class=\"wire\">");
        message("request", &exchange.request_headers, &exchange.request_body, None, out);
        message("answer", &exchange.headers, &exchange.body, exchange.failure.as_deref(), out);
        out.push_str("</div></details>\n");
    }
}

fn message(title: &str, headers: &[Header], body: &Sample, failure: Option<&str>, out: &mut String) {
    let _ = write!(out, "<pre aria-label=\"{title}\">");
    for header in headers {
        let _ = writeln!(
            out,
            "<span class=\"header\">{}:</span> {}",
            escaped_line(&header.name),
            escaped_line(&header.value)
        );
    }
    match &body.text {
        _ if body.length == 0 => {}
        Some(text) => {
            let _ = write!(out, "\n{}", escaped(text));
            let cut = body.length.saturating_sub(text.len() as u64);
            if cut > 0 {
                let _ = write!(out, "\n<span class=\"faint\">{cut} more bytes</span>");
            }
        }
        None => {
            let _ = write!(out, "\n<span class=\"faint\">{} bytes that are no text</span>", body.length);
        }
    }
    if let Some(failure) = failure {
        let _ = write!(out, "\n<span class=\"broken\">{}</span>", escaped_line(failure));
    }
    out.push_str("</pre>");
}
