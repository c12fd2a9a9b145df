//! The manual: what the definitions of the command line say, as pages for `man` and as one document.

mod markdown;
mod page;
mod roff;

pub(super) use self::markdown::markdown;
pub(super) use self::page::Page;
pub(super) use self::roff::roff;
