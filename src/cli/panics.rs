//! What is printed of a panic.

use std::panic;
use std::thread;

use crate::spin::compose;

/// Has panics printed as before, but for those of the thread on which components are read: what a reader says before it
/// gives up is told as the reason of an error. It changes the whole process, so it is for a program and not for a library.
pub fn hush_readers() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if thread::current().name() != Some(compose::THREAD) {
            print(panic);
        }
    }));
}
