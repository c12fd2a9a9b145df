//! What the answer to a `GET` of a blob means: pure, so that a table can test it.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

use super::response::is_html;
use crate::error::Actual;
use crate::model::Descriptor;
use crate::transport::headers;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// The blob.
    pub(super) blob: &'a Descriptor,
    /// The first byte that is wanted.
    pub(super) offset: u64,
    /// How.
    pub(super) how: How,
}

/// How a part is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// With `Range`.
    Part,
    /// Without: what comes before is dropped here.
    Whole,
}

/// What to do with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Take the body, without so many bytes at its front.
    Take(u64),
    /// Ask again, without `Range`: what came makes no sense for one.
    AskWhole,
    /// Refuse the content: it is not what the descriptor says, and that is plain before the first byte.
    Differs(Actual),
    /// Refuse the answer: it is a page for people.
    Page,
    /// Refuse the answer: it breaks this rule.
    Broken(&'static str),
    /// Report the status.
    Refused,
}

/// Judges an answer by its status and headers.
///
/// A digest in the headers is not looked at: the bytes decide, and registries are known whose headers err.
pub(super) fn judge(asked: &Asked<'_>, status: StatusCode, headers: &HeaderMap) -> Verdict {
    let Asked { blob, offset, how } = *asked;
    match (status, how) {
        (StatusCode::OK, _) => match content_length(headers) {
            // Ranges are a courtesy: where they are ignored, the front is dropped here.
            Some(length) if length == blob.size => Verdict::Take(offset),
            _ if is_html(headers.get(CONTENT_TYPE)) && !blob.media_type.as_str().starts_with("text/html") => {
                Verdict::Page
            }
            Some(length) => Verdict::Differs(other_size(blob, length)),
            None => Verdict::Take(offset),
        },
        (StatusCode::PARTIAL_CONTENT, How::Whole) => Verdict::Broken("a partial answer to a request for the whole"),
        (StatusCode::PARTIAL_CONTENT, How::Part) => match headers::content_range(headers) {
            Some(range) if range.size.is_some_and(|size| size != blob.size) => {
                Verdict::Differs(other_size(blob, range.size.unwrap_or_default()))
            }
            Some(range) if range.last >= blob.size => Verdict::Differs(Actual::Long),
            // One that begins earlier is as good; one that ends earlier will be gone on with.
            Some(range) if range.first <= offset && range.last >= offset => Verdict::Take(offset - range.first),
            _ => Verdict::AskWhole,
        },
        // What is complete is not asked for. So the content has become shorter there, or ranges do not work.
        (StatusCode::RANGE_NOT_SATISFIABLE, How::Part) => match headers::unsatisfied_range(headers) {
            Some(size) if size != blob.size => Verdict::Differs(other_size(blob, size)),
            _ => Verdict::AskWhole,
        },
        _ => Verdict::Refused,
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

fn other_size(blob: &Descriptor, size: u64) -> Actual {
    if size < blob.size { Actual::Short(size) } else { Actual::Long }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use http::header::CONTENT_RANGE;

    use super::*;
    use crate::model::MediaType;

    #[test]
    fn answers_are_judged_before_the_first_byte() {
        use How::{Part, Whole};
        use Verdict::{AskWhole, Differs, Page, Refused, Take};
        let blob = Descriptor::of(MediaType::OCTET_STREAM, b"0123456789");
        let partial = Verdict::Broken("a partial answer to a request for the whole");
        let (length, range, html) = (CONTENT_LENGTH, CONTENT_RANGE, (CONTENT_TYPE, "text/html; charset=utf-8"));
        let of = |name: &HeaderName, value: &'static str| vec![(name.clone(), value)];
        for (status, offset, how, fields, expected) in [
            (200, 0, Whole, of(&length, "10"), Take(0)),
            (200, 0, Whole, vec![], Take(0)),
            (200, 4, Part, of(&length, "10"), Take(4)),
            (200, 4, Part, vec![], Take(4)),
            (200, 4, Whole, of(&length, "10"), Take(4)),
            (200, 0, Whole, of(&length, "9"), Differs(Actual::Short(9))),
            (200, 0, Whole, of(&length, "11"), Differs(Actual::Long)),
            (200, 4, Part, of(&length, "6"), Differs(Actual::Short(6))),
            (200, 0, Whole, of(&length, "ten"), Take(0)),
            (200, 0, Whole, vec![html.clone()], Page),
            (200, 0, Whole, [of(&length, "512"), vec![html.clone()]].concat(), Page),
            // A file may well be a page, and storage may know that.
            (200, 0, Whole, [of(&length, "10"), vec![html.clone()]].concat(), Take(0)),
            (206, 4, Part, of(&range, "bytes 4-9/10"), Take(0)),
            (206, 4, Part, of(&range, "bytes 4-9/*"), Take(0)),
            (206, 4, Part, of(&range, "bytes 4-6/10"), Take(0)),
            (206, 4, Part, of(&range, "bytes 0-9/10"), Take(4)),
            (206, 4, Part, of(&range, "bytes 0-3/10"), AskWhole),
            (206, 4, Part, of(&range, "bytes 5-9/10"), AskWhole),
            (206, 4, Part, of(&range, "items 4-9/10"), AskWhole),
            (206, 4, Part, vec![], AskWhole),
            (206, 4, Part, of(&range, "bytes 4-10/11"), Differs(Actual::Long)),
            (206, 4, Part, of(&range, "bytes 4-10/*"), Differs(Actual::Long)),
            (206, 4, Part, of(&range, "bytes 4-7/8"), Differs(Actual::Short(8))),
            (206, 0, Whole, of(&range, "bytes 0-9/10"), partial),
            (206, 4, Whole, of(&range, "bytes 4-9/10"), partial),
            (416, 4, Part, of(&range, "bytes */4"), Differs(Actual::Short(4))),
            (416, 4, Part, of(&range, "bytes */11"), Differs(Actual::Long)),
            (416, 4, Part, of(&range, "bytes */10"), AskWhole),
            (416, 4, Part, vec![], AskWhole),
            (416, 4, Whole, of(&range, "bytes */4"), Refused),
            (204, 0, Whole, vec![], Refused),
            (304, 4, Part, vec![], Refused),
            (403, 4, Part, vec![], Refused),
            (404, 0, Whole, vec![], Refused),
            (503, 0, Whole, vec![html.clone()], Refused),
        ] {
            let headers = fields.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect();
            let asked = Asked { blob: &blob, offset, how };
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(judge(&asked, status, &headers), expected, "{status} to {how:?} from {offset} with {fields:?}");
        }
    }
}
