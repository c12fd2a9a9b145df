//! An archive that grows beside its name until it is whole.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::archive_contents::{Enclosed, INDEX_FILE, Opened, Stand, blob_name, digest_of};
use super::index::Index;
use super::layout::{VERSION, VERSION_FILE};
use super::tar::{BLOCK, Kind, Member, Members, header, padded};
use crate::content::{Blob, Body, Pushed, Verifier};
use crate::disk::{self, Mode};
use crate::error::{Actual, Error, Place};
use crate::model::{Descriptor, Digest, Digester};

/// The file to be, under another name and an exclusive lock.
///
/// A member gets its room in the file when it begins to arrive, because its size is known then; several fill theirs at a
/// time, each hashed on its way. What an earlier attempt has left is read and hashed when this begins: what is right is
/// not fetched again, and the room of what is not is used again or closed.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
    opened: Arc<Opened>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where the next member begins.
    end: u64,
    /// Every blob that has room.
    rooms: HashMap<Digest, Room>,
    /// Room of lengths that nobody asks for any more.
    stray: Vec<Room>,
    /// One at a time fills a room.
    turns: HashMap<Digest, Arc<tokio::sync::Mutex<()>>>,
}

#[derive(Clone, Copy, Debug)]
struct Room {
    digest: Digest,
    /// Where its header begins.
    start: u64,
    stand: Stand,
    /// Whether the content is there, and is what the digest says.
    is_right: bool,
}

impl Draft {
    /// Begins beside `path`, or goes on with what an earlier attempt has left. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; one of its kinds is that another process writes the same archive.
    pub(super) fn begin(path: &Path) -> Result<Self, Error> {
        let directory = directory(path);
        disk::create_dirs_durably(directory)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let partial = directory.join(format!("{}{name}.partial", disk::TEMPORARY));
        let failed = |error| Error::io("write", &partial, error);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&partial);
        let file = file.map_err(failed)?;
        let busy = || io::Error::new(io::ErrorKind::WouldBlock, "another process writes the same archive");
        // Whoever had the lock until now may have given the file its name.
        if file.try_lock().is_err() || !disk::is_at(&file, &partial) {
            return Err(failed(busy()));
        }
        let first = member(VERSION_FILE, VERSION);
        let mut state = State::of(&file, first.len() as u64).map_err(failed)?;
        state.end = state.end.max(first.len() as u64);
        file.set_len(state.end).and_then(|()| disk::write_at(&file, &first, 0)).map_err(failed)?;
        let opened = Arc::new(Opened { path: partial, file });
        Ok(Self { path: path.to_owned(), opened, state: Mutex::new(state) })
    }

    /// Returns where a blob stands that is there and right.
    pub(super) fn stand(&self, digest: &Digest) -> Option<Stand> {
        self.state().rooms.get(digest).filter(|room| room.is_right).map(|room| room.stand)
    }

    /// Says where the content is that a descriptor is of; `None` where it is not there.
    pub(super) fn open(&self, descriptor: Descriptor) -> Option<Enclosed> {
        let place = (self.opened.clone(), self.stand(&descriptor.digest)?);
        Some(Enclosed { descriptor, path: self.opened.path.clone(), place: Some(place) })
    }

    /// Takes a blob, unless it is there; `place` is where it comes from, as far as that is known.
    ///
    /// # Errors
    ///
    /// As [`Target::push_blob`](crate::content::Target::push_blob).
    pub(super) async fn take(&self, blob: &Blob, place: Place) -> Result<Pushed, Error> {
        let descriptor = blob.descriptor();
        let turn = self.state().turns.entry(descriptor.digest).or_default().clone();
        let _turn = turn.lock().await;
        match self.stand(&descriptor.digest) {
            Some(stand) if stand.size == descriptor.size => return Ok(Pushed::Existed),
            Some(stand) => {
                let actual = if stand.size < descriptor.size { Actual::Short(stand.size) } else { Actual::Long };
                return Err(Verifier::blame(descriptor, actual, Place::file(&self.opened.path)));
            }
            None => {}
        }
        let stand = self.room(descriptor)?;
        // What is empty has come already.
        let mut body = if descriptor.size == 0 { Body::empty() } else { blob.open(0).await? };
        let seams = body.seams();
        let mut filled = self.fill(descriptor, stand, body, &place).await;
        if matches!(filled, Err(Error::Mismatch(_))) && seams.any() {
            // Pieces that do not fit: all of them anew is worth one try.
            body = blob.open(0).await?;
            filled = self.fill(descriptor, stand, body, &place).await;
        }
        if let Err(Error::Mismatch(_)) = filled {
            self.give_up(&descriptor.digest);
        }
        filled?;
        self.state().rooms.entry(descriptor.digest).and_modify(|room| room.is_right = true);
        Ok(Pushed::Uploaded)
    }

    /// Writes `index.json` and the end, makes everything durable, and gives the file its name. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; what is there stays for the next attempt.
    pub(super) fn publish(&self, index: &Index) -> Result<(), Error> {
        let partial = &self.opened.path;
        let failed = |error| Error::io("write", partial, error);
        self.close_gaps().map_err(failed)?;
        let start = self.state().end;
        let mut last = member(INDEX_FILE, &index.to_bytes());
        last.extend([0; 2 * BLOCK as usize]);
        let whole = disk::write_at(&self.opened.file, &last, start)
            .and_then(|()| self.opened.file.set_len(start + last.len() as u64))
            .and_then(|()| self.opened.file.sync_all());
        whole.map_err(failed)?;
        disk::publish(partial, &self.path, Mode::Shared)?;
        disk::sync_dir(directory(&self.path))
    }

    /// Finds room for a blob: where an earlier attempt has left some, else at the end.
    fn room(&self, descriptor: &Descriptor) -> Result<Stand, Error> {
        let mut state = self.state();
        let left = state.rooms.remove(&descriptor.digest);
        if let Some(room) = left {
            if room.stand.size == descriptor.size {
                state.rooms.insert(descriptor.digest, room);
                return Ok(room.stand);
            }
            state.stray.push(room);
        }
        let start = state.end;
        let header = header(&blob_name(&descriptor.digest), descriptor.size);
        let offset = start + header.len() as u64;
        let failed = |error| Error::io("write", &self.opened.path, error);
        let end = offset.checked_add(descriptor.size).and_then(|end| end.checked_next_multiple_of(BLOCK));
        let end = end.ok_or_else(|| failed(io::ErrorKind::FileTooLarge.into()))?;
        // The length first: whatever the moment of a kill, the member is whole, if not right.
        let grown = self.opened.file.set_len(end);
        grown.and_then(|()| disk::write_at(&self.opened.file, &header, start)).map_err(failed)?;
        let stand = Stand { offset, size: descriptor.size };
        state.rooms.insert(descriptor.digest, Room { digest: descriptor.digest, start, stand, is_right: false });
        state.end = end;
        Ok(stand)
    }

    /// Takes room back for which there is no content, if it is the last: its size may be a lie as well.
    fn give_up(&self, digest: &Digest) {
        let mut state = self.state();
        let end = state.end;
        if let Some(last) = state.rooms.remove(digest) {
            if last.end() == end {
                state.end = last.start;
                // Whether that succeeds does not matter: what is written next begins there.
                let _ = self.opened.file.set_len(last.start);
            } else {
                state.stray.push(last);
            }
        }
    }

    /// Writes and hashes what a body brings; while one batch is written the next gathers.
    async fn fill(&self, descriptor: &Descriptor, stand: Stand, mut body: Body, place: &Place) -> Result<(), Error> {
        let blame = |actual| Verifier::blame(descriptor, actual, place.clone());
        let mut verifier = Box::new(Verifier::new(descriptor));
        let mut writing: Option<JoinHandle<Written>> = None;
        let mut is_over = false;
        loop {
            let batch = if is_over { Ok(Vec::new()) } else { gather(&mut body, &mut is_over).await };
            if let Some(task) = writing.take() {
                verifier = joined(task.await)?.map_err(blame)?;
            }
            let batch = batch?;
            if batch.is_empty() {
                return verifier.finish().map(drop).map_err(blame);
            }
            let (opened, mut begun) = (self.opened.clone(), verifier.clone());
            writing = Some(tokio::task::spawn_blocking(move || {
                for chunk in batch {
                    let offset = stand.offset + begun.seen();
                    // First what it may be: nothing is written beyond its room.
                    if let Err(actual) = begun.update(&chunk) {
                        return Ok(Err(actual));
                    }
                    disk::write_at(&opened.file, &chunk, offset)
                        .map_err(|error| Error::io("write", &opened.path, error))?;
                }
                Ok(Ok(begun))
            }));
        }
    }

    /// Moves what is right to where rooms are that nobody has filled, so that no wrong byte gets a final name.
    fn close_gaps(&self) -> io::Result<()> {
        let mut state = self.state();
        let stray = std::mem::take(&mut state.stray);
        let mut rooms: Vec<Room> = state.rooms.values().copied().chain(stray).collect();
        if rooms.iter().all(|room| room.is_right) {
            return Ok(());
        }
        rooms.sort_by_key(|room| room.start);
        let mut end = rooms[0].start;
        state.rooms.clear();
        for mut room in rooms.into_iter().filter(|room| room.is_right) {
            let (start, length) = (room.start, room.end() - room.start);
            if start > end {
                shift(&self.opened.file, start, end, length)?;
                room.stand.offset -= start - end;
                room.start = end;
            }
            end += length;
            state.rooms.insert(room.digest, room);
        }
        state.end = end;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked has left a room that is not right, and nothing else.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Returns where the next one begins.
    fn end(&self) -> u64 {
        self.stand.offset + padded(self.stand.size)
    }
}

impl State {
    /// Looks at what an earlier attempt has left, up to where it makes no sense.
    fn of(file: &File, first: u64) -> io::Result<Self> {
        let mut state = Self::default();
        let mut members = Members::of(file)?;
        while let Ok(Some(member)) = members.next() {
            match digest_of(&member.path).filter(|_| member.kind == Kind::File && state.end > 0) {
                Some(digest) if !state.rooms.contains_key(&digest) => {
                    let room = room(file, digest, &member)?;
                    state.rooms.insert(digest, room);
                }
                None if state.end == 0 && member.path == VERSION_FILE && member.end() == first => {}
                // The list comes last, and is written anew.
                _ => break,
            }
            state.end = member.end();
        }
        Ok(state)
    }
}

type Written = Result<Result<Box<Verifier>, Actual>, Error>;

fn joined(outcome: Result<Written, tokio::task::JoinError>) -> Written {
    match outcome {
        Ok(written) => written,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::io("finish writing", "", io::Error::other("the runtime is shutting down"))),
        },
    }
}

/// Returns a small member as it stands in the file.
fn member(path: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = header(path, content.len() as u64);
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
    bytes
}

/// Gathers what comes next, about a batch of it, and says whether that was all.
async fn gather(body: &mut Body, is_over: &mut bool) -> Result<Vec<Bytes>, Error> {
    let (mut batch, mut length) = (Vec::new(), 0);
    while length < BATCH {
        let Some(chunk) = body.chunk().await else {
            *is_over = true;
            break;
        };
        let chunk = chunk?;
        length += chunk.len();
        batch.push(chunk);
    }
    Ok(batch)
}

/// Describes what an earlier attempt has left, hashing it.
fn room(mut file: &File, digest: Digest, member: &Member) -> io::Result<Room> {
    let stand = Stand { offset: member.offset, size: member.size };
    let mut digester = Digester::new(digest.algorithm());
    let mut left = member.size;
    let mut buffer = vec![0; BATCH];
    let mut at = member.offset;
    while left > 0 {
        // Whoever reads the headers has a place of its own in mind, and goes there itself.
        file.seek(SeekFrom::Start(at))?;
        let most = usize::try_from(left).unwrap_or(BATCH).min(BATCH);
        let n = file.read(&mut buffer[..most])?;
        if n == 0 {
            break;
        }
        digester.update(&buffer[..n]);
        (left, at) = (left - n as u64, at + n as u64);
    }
    file.seek(SeekFrom::Start(member.end()))?;
    let is_right = left == 0 && digester.finish() == digest;
    Ok(Room { digest, start: member.start, stand, is_right })
}

/// Moves `length` bytes towards the start of a file.
fn shift(mut file: &File, from: u64, to: u64, length: u64) -> io::Result<()> {
    let mut buffer = vec![0; BATCH];
    let mut done = 0;
    while done < length {
        let most = usize::try_from(length - done).unwrap_or(BATCH).min(BATCH);
        file.seek(SeekFrom::Start(from + done))?;
        file.read_exact(&mut buffer[..most])?;
        disk::write_at(file, &buffer[..most], to + done)?;
        done += most as u64;
    }
    Ok(())
}

/// Returns the directory of a file.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// How much is hashed and written at once, in bytes; two of these for each transfer are in memory.
const BATCH: usize = 128 << 10;
