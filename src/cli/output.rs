//! Results: standard output and nothing else.

use std::io::{self, Write as _};

use crate::error::Error;

/// Prints one line of result. A reader who has gone away has had enough: that is success.
///
/// # Errors
///
/// [`Error::Io`] where standard output cannot be written, as on a full disk.
pub(crate) fn line(text: &str) -> Result<(), Error> {
    page(text)
}

/// Prints a result of several lines; a line end is added where there is none.
///
/// # Errors
///
/// As for [`line`].
pub(crate) fn page(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    match write!(out, "{text}{end}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("write", STANDARD_OUTPUT, error)),
        _ => Ok(()),
    }
}

/// What stands for a path where standard output could not be written.
pub(crate) const STANDARD_OUTPUT: &str = "standard output";

/// Prints one line for people on standard error; where nobody listens, nothing is lost.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}
