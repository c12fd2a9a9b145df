//! Room for what calls itself as deep as a file says.

use std::any::Any;
use std::thread;

use super::THREAD;
use super::error::Discord;
use crate::model::excerpt;

/// Runs `work` on a thread with room for types that contain each other as deep as [`super::scan`] lets them: readers of
/// types call themselves for each. A reader that gives up on foreign bytes does not take the program with it: what it
/// says is the reason of the error.
pub(super) fn deep<T: Send>(work: impl FnOnce() -> Result<T, Discord> + Send) -> Result<T, Discord> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name(THREAD.to_owned()).stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| Discord::Unreadable { reason: error.into() })?;
        thread.join().unwrap_or_else(|panic| Err(Discord::Unreadable { reason: last_words(&*panic).into() }))
    })
}

/// Returns what a reader said when it gave up.
fn last_words(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a reader of components gave up: {}", excerpt(said.unwrap_or("nobody knows why")))
}

/// How much address space the stack gets, in bytes; memory is what is touched of it.
const STACK: usize = 256 << 20;
