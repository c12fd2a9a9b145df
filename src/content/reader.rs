//! Files, read piece by piece without holding up the network.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;

use super::Verifier;
use crate::error::{Error, Place};

/// Reads a file piece by piece: what the system has in memory at once, the rest on the blocking pool, one piece ahead of
/// what was taken.
///
/// The file travels to the pool and back, so that dropping the reader never waits and at most one read is under way.
pub(super) struct Reader {
    path: Arc<Path>,
    state: State,
    /// Where the next piece begins.
    offset: u64,
    /// How much nobody has begun to read.
    left: u64,
    spares: Spares,
    _counted: Counted,
}

enum State {
    /// There is nothing more to read, or it cannot be read.
    Done,
    Idle(Opened),
    Reading(JoinHandle<(Opened, Result<Bytes, Error>)>),
}

/// What travels.
struct Opened {
    file: File,
    /// What the content has to be, where that is to be found out.
    check: Option<Box<Verifier>>,
}

/// How many files are being read: what each may take at a time depends on that.
static READERS: AtomicU64 = AtomicU64::new(0);

/// One of those that read.
struct Counted;

impl Reader {
    /// Reads `left` bytes from `offset` on; where there is a `check`, all of them are compared.
    pub(super) fn new(file: File, path: &Path, offset: u64, left: u64, check: Option<Box<Verifier>>) -> Self {
        let state = State::Idle(Opened { file, check });
        Self { path: path.into(), state, offset, left, spares: Spares::default(), _counted: Counted::new() }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Done => return Poll::Ready(None),
                State::Idle(opened) => match self.at_hand(&opened) {
                    Some(bytes) => {
                        self.state = State::Idle(opened);
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                    None => self.read_on(opened),
                },
                State::Reading(mut task) => {
                    let Poll::Ready(outcome) = Pin::new(&mut task).poll(context) else {
                        self.state = State::Reading(task);
                        return Poll::Pending;
                    };
                    let lost = |error| Error::io("read", &*self.path, io::Error::other(error));
                    let read = outcome.map_err(lost).and_then(|(opened, read)| {
                        let bytes = read?;
                        // While these are on their way the next ones come.
                        self.read_on(opened);
                        Ok(bytes)
                    });
                    return Poll::Ready(Some(read));
                }
            }
        }
    }

    /// Returns the next bytes where the system has them in memory, and nobody has to hash them. A trip to the pool costs as
    /// much as they do.
    fn at_hand(&mut self, opened: &Opened) -> Option<Bytes> {
        let wanted = self.share();
        if opened.check.is_some() || wanted == 0 {
            return None;
        }
        // At most `MOST`.
        let mut buffer = self.spares.take(wanted as usize);
        let read = read_at_hand(&opened.file, &mut buffer, self.offset).filter(|read| *read > 0)?;
        buffer.truncate(read);
        self.offset += read as u64;
        self.left -= read as u64;
        Some(self.spares.lend(buffer))
    }

    /// Begins to read the next piece on the blocking pool, if there is one.
    fn read_on(&mut self, mut opened: Opened) {
        let wanted = self.share();
        if wanted > 0 {
            let (path, offset) = (self.path.clone(), self.offset);
            self.left -= wanted;
            self.offset += wanted;
            let last = self.left == 0;
            self.state = State::Reading(tokio::task::spawn_blocking(move || {
                let read = opened.read(&path, offset, wanted).and_then(|bytes| opened.compare(&path, bytes, last));
                (opened, read)
            }));
        }
    }

    /// Says how much to read next.
    fn share(&self) -> u64 {
        let share = (TOGETHER / READERS.load(Ordering::Relaxed).max(1)).clamp(LEAST, MOST);
        self.left.min(share)
    }
}

impl Opened {
    fn read(&mut self, path: &Path, offset: u64, wanted: u64) -> Result<Bytes, Error> {
        // At most `MOST`.
        let mut buffer = Vec::with_capacity(wanted as usize);
        let read = self.file.seek(SeekFrom::Start(offset));
        let read = read.and_then(|_| (&self.file).take(wanted).read_to_end(&mut buffer)).and_then(|read| {
            match read as u64 == wanted {
                true => Ok(buffer.into()),
                false => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was read")),
            }
        });
        read.map_err(|error| Error::io("read", path, error))
    }

    /// Returns what was read, unless it is the last of something wrong.
    fn compare(&mut self, path: &Path, bytes: Bytes, last: bool) -> Result<Bytes, Error> {
        let Some(verifier) = &mut self.check else { return Ok(bytes) };
        let expected = verifier.expected().clone();
        let compared = verifier.update(&bytes).and_then(|()| match self.check.take_if(|_| last) {
            Some(verifier) => verifier.finish().map(|_| ()),
            None => Ok(()),
        });
        let blame = |actual| Verifier::blame(&expected, actual, Place::File(path.to_owned()));
        compared.map(|()| bytes).map_err(blame)
    }
}

/// The memory of pieces that are on their way, to be used again when they have arrived: new memory has to be cleared first.
#[derive(Default)]
struct Spares([Bytes; 2]);

impl Spares {
    /// Returns memory of this size with anything in it.
    fn take(&mut self, size: usize) -> BytesMut {
        for spare in &mut self.0 {
            match std::mem::take(spare).try_into_mut() {
                Ok(mut memory) if memory.capacity() >= size && size > 0 => {
                    memory.resize(size, 0);
                    return memory;
                }
                Ok(_) => {}
                Err(lent) => *spare = lent,
            }
        }
        BytesMut::zeroed(size)
    }

    /// Hands out what is in `memory`, and remembers where that is.
    fn lend(&mut self, memory: BytesMut) -> Bytes {
        let bytes = memory.freeze();
        if let Some(place) = self.0.iter_mut().find(|spare| spare.is_empty()) {
            *place = bytes.clone();
        }
        bytes
    }
}

impl Counted {
    fn new() -> Self {
        READERS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        READERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads what can be had without waiting for the disk; `None` where nothing can.
#[cfg(all(target_os = "linux", feature = "client"))]
fn read_at_hand(file: &File, buffer: &mut [u8], offset: u64) -> Option<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};
    preadv2(file, &mut [io::IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT).ok()
}

#[cfg(not(all(target_os = "linux", feature = "client")))]
fn read_at_hand(_: &File, _: &mut [u8], _: u64) -> Option<usize> {
    None
}

/// How much all files that are being read may take at once, in bytes.
const TOGETHER: u64 = 1 << 20;
/// How much of one file is read at once, at the least and at the most: large enough that the trip to the blocking pool does
/// not show.
const LEAST: u64 = 32 << 10;
const MOST: u64 = 256 << 10;
