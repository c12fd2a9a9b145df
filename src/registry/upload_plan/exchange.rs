//! What goes out in an upload, and what the answers mean.

use std::fmt;
use std::ops::Range;

use http::Uri;

use super::super::upload_answer::Unusable;
use crate::content::Pushed;
use crate::model::Name;

/// Where to look for the blob before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Mount {
    /// Nowhere.
    No,
    /// In the repository itself, which has this name: the answer says that the blob is there, or opens the session that
    /// would have been opened next.
    Here(Name),
    /// In another repository of the same registry.
    From(Name),
    /// In whatever repository the registry knows it from ("anonymous mount").
    Anywhere,
}

/// The next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Next {
    /// `POST` to the repository's uploads with this query, which may be empty; with the rights to pull from `from`.
    Post { query: String, from: Option<Name> },
    /// `PUT` of these bytes, which may be none.
    Put { uri: Uri, bytes: Range<u64> },
    /// `PATCH` of all bytes, which says nothing of a range: so Docker sends a layer whose digest it does not know.
    Stream { uri: Uri, bytes: Range<u64> },
    /// `PATCH` of these bytes.
    Patch { uri: Uri, bytes: Range<u64> },
    /// `GET` of the session.
    Status { uri: Uri },
    /// `DELETE` of the session; how that goes does not matter.
    Cancel { uri: Uri },
    /// `HEAD` of the blob.
    Head,
    /// Nothing: the registry has the blob.
    Done(Pushed),
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Verdict {
    /// The plan has moved on.
    Go,
    /// The plan has moved on, and the registry needs a moment.
    Wait,
    /// There is no way on: the answer says why, or the last one before it that was no success.
    Refused,
    /// The answer breaks this rule of the protocol.
    Broken(&'static str),
    /// The answer leads nowhere.
    Misplaced(Unusable),
}

/// Prints what is sent, for the log.
impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Post { .. } => "POST",
            Self::Put { bytes, .. } => return write!(f, "PUT {}..{}", bytes.start, bytes.end),
            Self::Stream { bytes, .. } => return write!(f, "PATCH of all {} bytes", bytes.end),
            Self::Patch { bytes, .. } => return write!(f, "PATCH {}..{}", bytes.start, bytes.end),
            Self::Status { .. } => "GET",
            Self::Cancel { .. } => "DELETE",
            Self::Head => "HEAD",
            Self::Done(how) => return write!(f, "done: {how:?}"),
        };
        f.write_str(name)
    }
}
