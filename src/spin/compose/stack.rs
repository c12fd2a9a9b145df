//! Room for what calls itself as deep as a file says.

use std::thread;

use super::error::Discord;

/// Runs `work` on a thread with room for types that contain each other as deep as [`super::scan`] lets them: readers of
/// types call themselves for each. A reader that gives up on foreign bytes does not take the program with it.
pub(super) fn deep<T: Send>(work: impl FnOnce() -> Result<T, Discord> + Send) -> Result<T, Discord> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("compose".to_owned()).stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| Discord::Unreadable { reason: error.into() })?;
        thread.join().unwrap_or_else(|_| Err(Discord::Unreadable { reason: "a reader of components gave up".into() }))
    })
}

/// How much address space the stack gets, in bytes; memory is what is touched of it.
const STACK: usize = 256 << 20;
