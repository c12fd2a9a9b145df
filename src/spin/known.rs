//! Which digests files had when they were read last, so that unchanged ones are not read again.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::media;
use crate::content::hash_file;
use crate::disk::{self, Mode};
use crate::error::Error;
use crate::model::Digest;
use crate::store::blocking;

/// Which digests files had when they were read last; cheap to clone.
///
/// A file counts as unchanged while its path, device, inode and size are those of then, and the moments of the last change
/// of its bytes and of its inode as well, to the nanosecond. What was written within the last two seconds before it was
/// read is not remembered: another change could bear the same time, where clocks tick slowly. Whatever is sent by what
/// is remembered is compared with it on the way, and forgotten where it differs.
///
/// Kept in one file, of at most 16 384 files used last; one that is damaged, or of another version, says nothing. Systems
/// without inodes remember nothing.
#[derive(Clone, Debug, Default)]
pub struct KnownDigests {
    book: Option<Arc<Book>>,
}

#[derive(Debug)]
struct Book {
    file: PathBuf,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    entries: HashMap<Key, Entry>,
    /// Whether there is something to write down.
    changed: bool,
    /// Whether anything was recalled since the book was opened.
    recalled: bool,
}

/// The first half of the SHA-256 of a path.
type Key = [u8; 16];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    stamp: Stamp,
    known: Known,
    /// When it was used: `0` by this process, and then the more the longer ago.
    age: usize,
}

/// What a file looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What is known of the content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// The content itself where it is small.
    pub(super) inline: Option<Bytes>,
    pub(super) from: Origin,
}

/// What a file looked like before it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    begun: SystemTime,
    stamp: Option<Stamp>,
}

/// How something came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was read now.
    Read,
    /// It was read earlier, and the file looks the same.
    Memory,
}

impl KnownDigests {
    /// Knows nothing, and remembers nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads what is remembered in `file`, which does not have to exist.
    pub async fn open(file: PathBuf) -> Self {
        let read = blocking(move || {
            let text = disk::read_small(&file, MAX_FILE).unwrap_or_default();
            let entries = text.and_then(|text| parse(std::str::from_utf8(&text).ok()?)).unwrap_or_default();
            let pages = Mutex::new(Pages { entries, ..Pages::default() });
            Ok(Self { book: Some(Arc::new(Book { file, pages })) })
        });
        read.await.unwrap_or_default()
    }

    /// Writes down what was learnt since it was opened. Whoever cannot be remembered is read again, and nothing worse.
    pub async fn save(&self) {
        let Some(book) = self.book.clone() else { return };
        let saved = blocking(move || {
            let text = {
                let mut pages = book.pages();
                if !std::mem::take(&mut pages.changed) {
                    return Ok(());
                }
                print(&pages.entries)
            };
            // A power cut costs what was learnt: that it is whole, the last line tells.
            disk::replace_lightly(&book.file, text.as_bytes(), Mode::Private)
        });
        if let Err(error) = saved.await {
            tracing::debug!(%error, "the digests of files could not be noted");
        }
    }

    /// Forgets everything, because something that was recalled turned out to be wrong. Says whether anything was recalled
    /// at all: then it is worth to begin anew.
    pub fn distrust(&self) -> bool {
        let Some(book) = &self.book else { return false };
        let mut pages = book.pages();
        if !pages.recalled {
            return false;
        }
        *pages = Pages { changed: true, ..Pages::default() };
        true
    }

    /// Says how many bytes of `path` would have to be read to find out what it holds; `None` where that is remembered, or
    /// nobody can say. Blocks.
    pub(super) fn unread(&self, path: &Path) -> Option<u64> {
        let size = path.metadata().ok().filter(Metadata::is_file)?.len();
        self.recall(key(path), path).is_none().then_some(size)
    }

    /// Begins to watch a file that somebody else reads. Blocks.
    pub(super) fn watch(&self, path: &Path) -> Watch {
        Watch { begun: SystemTime::now(), stamp: path.metadata().ok().as_ref().and_then(stamp) }
    }

    /// Remembers what somebody else has read in `path`, unless it has changed since it is watched. Blocks.
    pub(super) fn note(&self, path: &Path, watch: &Watch, digest: Digest, size: u64) {
        let now = path.metadata().ok().as_ref().and_then(stamp);
        let known = Known { digest, size, inline: None, from: Origin::Memory };
        self.remember(key(path), watch, now, known);
    }

    fn remember(&self, key: Key, watch: &Watch, now: Option<Stamp>, known: Known) {
        if let (Some(book), Some(stamp)) = (&self.book, watch.stamp)
            && watch.stamp == now
            && stamp.size == known.size
            && stamp.is_settled(watch.begun)
        {
            let mut pages = book.pages();
            pages.entries.insert(key, Entry { stamp, known, age: 0 });
            pages.changed = true;
        }
    }

    /// Finds out what `path` holds: from memory where the file looks the same, else by reading it. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where it cannot be read.
    pub(super) fn of_file(&self, path: &Path) -> Result<Known, Error> {
        let failed = |error: io::Error| Error::io("read", path, error);
        let key = key(path);
        if let Some(known) = self.recall(key, path) {
            return Ok(known);
        }
        let begun = SystemTime::now();
        let mut file = File::open(path).map_err(failed)?;
        let before = stamp(&file.metadata().map_err(failed)?);
        let (digest, size, inline) = hash_file(&mut file, media::MAX_INLINE).map_err(failed)?;
        let known = Known { digest, size, inline, from: Origin::Read };
        let after = stamp(&file.metadata().map_err(failed)?);
        let memory = Known { from: Origin::Memory, ..known.clone() };
        self.remember(key, &Watch { begun, stamp: before }, after, memory);
        Ok(known)
    }

    fn recall(&self, key: Key, path: &Path) -> Option<Known> {
        let book = self.book.as_ref()?;
        let stamp = stamp(&path.metadata().ok()?)?;
        let mut pages = book.pages();
        let entry = pages.entries.get_mut(&key).filter(|entry| entry.stamp == stamp)?;
        entry.age = 0;
        let known = entry.known.clone();
        pages.recalled = true;
        Some(known)
    }
}

impl Book {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        // Nothing is left half-done under the lock.
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stamp {
    /// Says whether any change that comes after `begun` will show: the last one was long enough ago for every clock.
    fn is_settled(&self, begun: SystemTime) -> bool {
        let Ok(now) = begun.duration_since(SystemTime::UNIX_EPOCH) else { return false };
        let Some(latest) = now.checked_sub(GRANULARITY) else { return false };
        let latest = (i64::try_from(latest.as_secs()).unwrap_or(i64::MAX), i64::from(latest.subsec_nanos()));
        self.modified < latest && self.changed < latest
    }
}

#[cfg(unix)]
fn stamp(metadata: &Metadata) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(not(unix))]
fn stamp(_: &Metadata) -> Option<Stamp> {
    None
}

fn key(path: &Path) -> Key {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let Digest::Sha256(digest) = Digest::of(path.as_os_str().as_encoded_bytes()) else {
        return Key::default();
    };
    digest[..16].try_into().expect("16 of 32 bytes")
}

/// Prints a line for each file, those used last first, and a last line with the digest of all before it.
fn print(entries: &HashMap<Key, Entry>) -> String {
    let mut entries: Vec<(&Key, &Entry)> = entries.iter().collect();
    entries.sort_by_key(|(key, entry)| (entry.age, **key));
    let mut text = String::from(HEADING);
    for (key, Entry { stamp, known, .. }) in entries.into_iter().take(MAX_ENTRIES) {
        let Stamp { device, inode, size, modified, changed } = stamp;
        let key = u128::from_be_bytes(*key);
        let inline = known.inline.as_deref().map_or("-".to_owned(), hex);
        text += &format!(
            "{key:032x} {device} {inode} {size} {}.{} {}.{} {} {inline}\n",
            modified.0, modified.1, changed.0, changed.1, known.digest,
        );
    }
    let digest = Digest::of(text.as_bytes());
    text + &format!("{digest}\n")
}

/// Parses what [`print`] has printed; anything else says nothing.
fn parse(text: &str) -> Option<HashMap<Key, Entry>> {
    let end = text.strip_suffix('\n')?.rfind('\n')? + 1;
    let (lines, digest) = text.split_at(end);
    if digest.trim_end().parse() != Ok(Digest::of(lines.as_bytes())) {
        return None;
    }
    let lines = lines.strip_prefix(HEADING)?.lines().take(MAX_ENTRIES);
    lines.enumerate().map(|(age, line)| entry(line, age + 1)).collect()
}

fn entry(line: &str, age: usize) -> Option<(Key, Entry)> {
    let mut words = line.split(' ');
    let mut word = || words.next();
    let moment = |text: &str| {
        let (seconds, nanoseconds) = text.split_once('.')?;
        Some((seconds.parse().ok()?, nanoseconds.parse().ok()?))
    };
    let key = u128::from_str_radix(word()?, 16).ok()?.to_be_bytes();
    let (device, inode, size) = (word()?.parse().ok()?, word()?.parse().ok()?, word()?.parse().ok()?);
    let stamp = Stamp { device, inode, size, modified: moment(word()?)?, changed: moment(word()?)? };
    let digest = word()?.parse().ok()?;
    let inline = match word()? {
        "-" => None,
        text => Some(Bytes::from(unhex(text)?)),
    };
    let known = Known { digest, size, inline, from: Origin::Memory };
    word().is_none().then_some((key, Entry { stamp, known, age }))
}

/// Prints bytes in front of which nothing stands; the empty content is an empty word.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok())
        .collect()
}

/// The version of the form is part of it.
const HEADING: &str = "spinreg digests 1\n";

/// How many files are remembered: no application has more than a fraction of that, and it takes a few MiB.
const MAX_ENTRIES: usize = 16_384;

/// How long the file may be, in bytes: as many of the longest lines fit.
const MAX_FILE: u64 = 9 << 20;

/// How much older than its reading the last change of a file must be: the coarsest clock of a file system in use, FAT's.
const GRANULARITY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn example(age: usize) -> Entry {
        let stamp = Stamp { device: 1, inode: 2, size: 3, modified: (-4, 5), changed: (6, 999_999_999) };
        let known = Known { digest: Digest::of(b"abc"), size: 3, inline: None, from: Origin::Memory };
        Entry { stamp, known, age }
    }

    #[test]
    fn what_is_printed_is_parsed_and_nothing_else_is() {
        let small = Known { inline: Some(Bytes::from_static(b"\0a")), ..example(2).known };
        let empty = Known { inline: Some(Bytes::new()), ..example(3).known };
        let entries = HashMap::from([
            (key(Path::new("/a")), example(1)),
            (key(Path::new("/b")), Entry { known: small, ..example(2) }),
            (key(Path::new("/c")), Entry { known: empty, ..example(3) }),
        ]);
        let text = print(&entries);
        assert_eq!(parse(&text), Some(entries));
        for end in 0..text.len() {
            assert_eq!(parse(&text[..end]), None, "{end}");
        }
        for (from, to) in [("digests 1", "digests 2"), (" 1 2 3 ", " 1 2 4 "), ("-4.5", "x.5")] {
            assert_eq!(parse(&text.replacen(from, to, 1)), None, "{from}");
        }
        assert_eq!(parse(&print(&HashMap::new())), Some(HashMap::new()));
    }

    #[test]
    fn those_used_last_stay() {
        let path = |n: usize| key(Path::new(&format!("/{n}")));
        let entries: HashMap<Key, Entry> = (0..MAX_ENTRIES + 2).map(|n| (path(n), example(n))).collect();
        let text = print(&entries);
        assert!(text.len() as u64 <= MAX_FILE);
        let kept = parse(&text).expect("what was printed");
        assert_eq!(kept.len(), MAX_ENTRIES);
        assert!(kept.contains_key(&path(0)) && !kept.contains_key(&path(MAX_ENTRIES)));
    }

    #[test]
    fn what_others_have_read_is_remembered_where_it_stayed_the_same() {
        let stamp = Stamp { modified: (4, 0), changed: (4, 0), ..example(0).stamp };
        let begun = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let changed = Stamp { modified: (5, 0), ..stamp };
        for (before, after, size, seconds, remembered) in [
            (Some(stamp), Some(stamp), 3, 10, true),
            (Some(stamp), Some(changed), 3, 10, false),
            (Some(stamp), Some(stamp), 4, 10, false),
            (Some(stamp), Some(stamp), 3, 5, false),
            (Some(stamp), None, 3, 10, false),
            (None, None, 3, 10, false),
        ] {
            let known = KnownDigests { book: Some(Arc::new(Book { file: PathBuf::new(), pages: Mutex::default() })) };
            let watch = Watch { begun: begun(seconds), stamp: before };
            known.remember(Key::default(), &watch, after, Known { size, ..example(0).known });
            let pages = known.book.as_ref().expect("there is one").pages();
            assert_eq!(
                (pages.entries.len(), pages.changed),
                (usize::from(remembered), remembered),
                "{before:?} {after:?}"
            );
        }
    }

    #[test]
    fn what_was_just_written_is_not_settled() {
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for (modified, changed, begun, settled) in [
            ((10, 0), (10, 0), 13, true),
            ((10, 0), (10, 0), 12, false),
            ((10, 0), (11, 5), 13, false),
            ((11, 5), (10, 0), 13, false),
            ((20, 0), (10, 0), 13, false),
            ((0, 0), (0, 0), 1, false),
        ] {
            let stamp = Stamp { modified, changed, ..example(0).stamp };
            assert_eq!(stamp.is_settled(at(begun)), settled, "{modified:?} {changed:?} {begun}");
        }
    }
}
