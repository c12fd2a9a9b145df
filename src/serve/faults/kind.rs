//! What goes wrong.

use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

/// A fault without its place. [`super::catalogue`] says what each does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Cut(u64),
    Close,
    Reset(Option<u64>),
    Stall(Option<u64>),
    Corrupt(u64),
    Length(i64),
    Status { code: StatusCode, retry_after: Option<u32> },
    Header { name: HeaderName, value: Option<HeaderValue> },
    Json { member: String, value: Option<Value> },
    Errors(Form),
    Redirect(Option<String>),
    Warning(usize),
    Ignore(String),
    Limit(u64),
    ChunkMinimum(u64),
    Unproved,
    Sha256Only,
    SubjectRequired,
    OnlyImages,
    TagsUnsorted,
    TagsNull,
    ListLimit(usize),
    ListsEndless,
    ReferrersPage(usize),
    ReferrersWithout(String),
    ReferrersEmpty404,
    ReferrersStale,
    ReferrersLost,
    ReferrersTagTwice,
    TagsStick,
    TagParameters(usize),
    TagParametersLie,
    DeleteNothing,
    DeleteTagDeep,
    DeleteLeavesTags,
    DeleteEverywhere,
    MountLies,
    FragileSessions,
    UploadRace,
    ReversedRanges,
}

/// How errors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Html,
    Plain,
    LowerCase,
    Vague,
    Malformed,
    Nothing,
}

impl Kind {
    /// Says whether it changes answers only, so that it may depend on their status.
    pub(super) fn is_of_answers(&self) -> bool {
        matches!(
            self,
            Self::Cut(_)
                | Self::Close
                | Self::Reset(_)
                | Self::Stall(_)
                | Self::Corrupt(_)
                | Self::Length(_)
                | Self::Status { .. }
                | Self::Header { .. }
                | Self::Json { .. }
                | Self::Errors(_)
                | Self::Redirect(_)
                | Self::Warning(_)
        )
    }
}
