//! The one writer: nothing wrong under a final name, whoever interrupts it, and nothing fetched twice.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use spinreg::Error;
use spinreg::content::{Blob, Body, Open, Pushed};
use spinreg::disk::Mode;
use spinreg::error::Actual;
use spinreg::model::{Algorithm, Descriptor, Digest, MediaType};
use spinreg::store::{self, Ingest, Naming, SessionId, Shelf, Started};
use tempfile::TempDir;
use tokio::sync::Notify;

const CONTENT: &[u8] = b"the quick brown fox jumps over the lazy dog";

fn shelf(root: &TempDir) -> Shelf {
    shelf_at(root.path())
}

fn shelf_at(root: &Path) -> Shelf {
    Shelf::new(root.join("blobs"), root.join("partial"), Naming::Folders, Mode::ReadOnly)
}

fn root() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn described() -> Descriptor {
    Descriptor::of(MediaType::OCTET_STREAM, CONTENT)
}

fn partial(root: &TempDir) -> PathBuf {
    root.path().join("partial").join(format!("sha256-{}", described().digest.hex()))
}

fn leave_partial(root: &TempDir, bytes: &[u8]) {
    fs::create_dir_all(root.path().join("partial")).expect("a folder");
    fs::write(partial(root), bytes).expect("a partial");
}

/// Names of everything below the root that is no directory.
fn files(root: &TempDir) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![root.path().to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.push(path.strip_prefix(root.path()).expect("below the root").display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// A source that tells where it was opened.
#[derive(Clone)]
struct Served {
    bytes: Bytes,
    opened: Arc<Mutex<Vec<u64>>>,
}

impl Served {
    fn new(bytes: &'static [u8]) -> Self {
        Self { bytes: Bytes::from_static(bytes), opened: Arc::default() }
    }

    fn blob(&self, descriptor: Descriptor) -> Blob {
        Blob::new(descriptor, self.clone())
    }

    fn opened(&self) -> Vec<u64> {
        self.opened.lock().expect("no test panics while it is opened").clone()
    }
}

impl Open for Served {
    fn open(&self, offset: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        self.opened.lock().expect("no test panics while it is opened").push(offset);
        Box::pin(async move { Ok(Body::from_bytes(self.bytes.clone()).skip(offset)) })
    }
}

async fn begin(shelf: &Shelf, descriptor: &Descriptor) -> Ingest {
    match Ingest::start(shelf, descriptor).await.expect("a writable shelf") {
        Started::Ingest(ingest) => ingest,
        Started::Exists => panic!("nobody has put it there"),
    }
}

#[tokio::test]
async fn what_is_fetched_stands_under_its_digest() {
    let root = root();
    let shelf = shelf(&root);
    let source = Served::new(CONTENT);
    let blob = source.blob(described());
    assert_eq!(store::fetch(&shelf, &blob).await.expect("good content"), Pushed::Uploaded);
    assert_eq!(store::fetch(&shelf, &blob).await.expect("good content"), Pushed::Existed);
    assert_eq!(source.opened(), [0]);
    let path = shelf.path(&described().digest);
    assert_eq!(fs::read(&path).expect("a file"), CONTENT);
    assert!(fs::metadata(&path).expect("a file").permissions().readonly());
    assert_eq!(files(&root), [format!("blobs/sha256/{}", described().digest.hex())]);
    store::flush(vec![path.clone(), path]).await.expect("it is there");
    let copy = shelf.blob(&described()).read(1000).await.expect("it is there");
    assert_eq!(copy, CONTENT);
}

#[tokio::test]
async fn as_many_files_as_there_are_become_durable_or_are_named() {
    let root = root();
    let path = |n: usize| root.path().join(n.to_string());
    for n in 0..300 {
        fs::write(path(n), n.to_string()).expect("a file");
    }
    for many in [1, 10, 300] {
        store::flush((0..many).map(path).collect()).await.expect("they are there");
        let error = store::flush((300 - many..301).map(path).collect()).await.expect_err("one is missing");
        assert!(error.to_string().contains(path(300).to_str().expect("a path")), "{error}");
    }
}

#[tokio::test]
async fn many_chunks_keep_their_order() {
    let root = root();
    let chunks: Vec<Bytes> = (0..2000_u32).map(|n| Bytes::from(n.to_le_bytes().repeat(n as usize % 97))).collect();
    let whole = chunks.concat();
    let descriptor = Descriptor::of(MediaType::OCTET_STREAM, &whole);
    let mut ingest = begin(&shelf(&root), &descriptor).await;
    for (n, chunk) in chunks.into_iter().enumerate() {
        ingest.write(chunk).await.expect("space");
        if n % 500 == 0 {
            let offset = ingest.settle().await.expect("space");
            let partial = root.path().join("partial").join(format!("sha256-{}", descriptor.digest.hex()));
            assert_eq!(fs::metadata(partial).expect("a partial").len(), offset);
        }
    }
    assert_eq!(ingest.offset(), whole.len() as u64);
    ingest.commit().await.expect("good content");
    assert_eq!(fs::read(shelf(&root).path(&descriptor.digest)).expect("a file"), whole);
}

#[tokio::test]
async fn what_has_come_of_a_broken_transfer_is_kept() {
    struct Breaking;
    impl Open for Breaking {
        fn open(&self, _: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
            let broken = || Error::io("read", "elsewhere", std::io::ErrorKind::BrokenPipe.into());
            let chunks = (0..12).map(|n| Ok(Bytes::from_static(&CONTENT[n..=n])));
            let body = Body::from_stream(stream::iter(chunks.chain([Err(broken())]).collect::<Vec<_>>()), None);
            Box::pin(async move { Ok(body) })
        }
    }
    let root = root();
    let error = store::fetch(&shelf(&root), &Blob::new(described(), Breaking)).await.expect_err("it breaks");
    assert!(matches!(&error, Error::Io(failure) if failure.path == Path::new("elsewhere")), "{error:?}");
    let source = Served::new(CONTENT);
    store::fetch(&shelf(&root), &source.blob(described())).await.expect("good content");
    assert_eq!(source.opened(), [12]);
}

#[tokio::test]
async fn an_earlier_attempt_is_gone_on_with() {
    for (left, opened) in [(&CONTENT[..10], vec![10]), (CONTENT, vec![])] {
        let root = root();
        leave_partial(&root, left);
        let source = Served::new(CONTENT);
        store::fetch(&shelf(&root), &source.blob(described())).await.expect("good content");
        assert_eq!(source.opened(), opened);
        assert_eq!(fs::read(shelf(&root).path(&described().digest)).expect("a file"), CONTENT);
    }
}

#[tokio::test]
async fn a_partial_that_nobody_may_write_is_gone_on_with() {
    // A process can end between setting the final mode and renaming.
    let root = root();
    leave_partial(&root, &CONTENT[..7]);
    let mut mode = fs::metadata(partial(&root)).expect("a partial").permissions();
    mode.set_readonly(true);
    fs::set_permissions(partial(&root), mode).expect("a mode");
    let source = Served::new(CONTENT);
    store::fetch(&shelf(&root), &source.blob(described())).await.expect("good content");
    assert_eq!(source.opened(), [7]);
}

#[tokio::test]
async fn a_poisoned_partial_is_thrown_away_once() {
    for (left, opened) in [
        (b"XXX".to_vec(), vec![3, 0]),
        (vec![b'X'; CONTENT.len()], vec![0]),
        // More than there can be is nothing to go on with.
        (vec![b'X'; CONTENT.len() + 1], vec![0]),
    ] {
        let root = root();
        leave_partial(&root, &left);
        let source = Served::new(CONTENT);
        assert_eq!(
            store::fetch(&shelf(&root), &source.blob(described())).await.expect("good content"),
            Pushed::Uploaded
        );
        assert_eq!(source.opened(), opened);
        assert_eq!(files(&root).len(), 1);
    }
}

#[tokio::test]
async fn wrong_content_leaves_no_trace() {
    let end = CONTENT.len() as u64;
    for (served, actual) in [
        (&b"the quick brown fox jumps over the lazy cat"[..], None),
        (&CONTENT[..9], Some(Actual::Short(9))),
        (b"", Some(Actual::Short(0))),
        (b"the quick brown fox jumps over the lazy dog, twice", Some(Actual::Long)),
    ] {
        // Fresh, and resumed: a source that lies twice has lied.
        for left in [0, 4] {
            let root = root();
            if left > 0 {
                leave_partial(&root, &CONTENT[..left]);
            }
            let outcome = store::fetch(&shelf(&root), &Served::new(served).blob(described())).await;
            let Err(Error::Mismatch(mismatch)) = outcome else { panic!("{outcome:?}") };
            assert_eq!(mismatch.expected.size, end);
            let actual = actual.unwrap_or(Actual::Digest(Digest::of(served)));
            assert_eq!(mismatch.actual, actual);
            assert_eq!(files(&root), <[String; 0]>::default());
        }
    }
}

#[tokio::test]
async fn empty_content_needs_no_source() {
    let root = root();
    let source = Served::new(b"");
    let empty = Descriptor::of(MediaType::OCTET_STREAM, b"");
    store::fetch(&shelf(&root), &source.blob(empty.clone())).await.expect("nothing to go wrong");
    assert_eq!(source.opened(), <[u64; 0]>::default());
    assert!(shelf(&root).has(&empty).await.expect("a readable shelf"));
}

#[tokio::test]
async fn a_file_of_another_length_is_replaced() {
    let root = root();
    let path = shelf(&root).path(&described().digest);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, &CONTENT[..5]).expect("a damaged blob");
    let opened = shelf(&root).blob(&described()).open(0).await;
    assert!(matches!(opened, Err(Error::Mismatch(_))), "{opened:?}");
    let source = Served::new(CONTENT);
    store::fetch(&shelf(&root), &source.blob(described())).await.expect("good content");
    assert_eq!(fs::read(&path).expect("a file"), CONTENT);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let root = root();
    let opened = shelf(&root).blob(&described()).open(0).await;
    assert!(matches!(&opened, Err(error) if error.is_not_found()), "{opened:?}");
    assert_eq!(shelf(&root).size(&described().digest).await.expect("an empty shelf"), None);
}

#[tokio::test]
async fn concurrent_fetches_open_the_source_once() {
    let root = root();
    let source = Served::new(CONTENT);
    let fetches: Vec<_> = (0..8)
        .map(|_| {
            let (shelf, blob) = (shelf(&root), source.blob(described()));
            tokio::spawn(async move { store::fetch(&shelf, &blob).await })
        })
        .collect();
    let mut uploaded = 0;
    for fetch in fetches {
        if fetch.await.expect("no panic").expect("good content") == Pushed::Uploaded {
            uploaded += 1;
        }
    }
    assert_eq!((uploaded, source.opened()), (1, vec![0]));
}

#[tokio::test]
async fn dropping_keeps_what_was_written() {
    let root = root();
    let mut ingest = begin(&shelf(&root), &described()).await;
    ingest.write(Bytes::from_static(&CONTENT[..10])).await.expect("space");
    // Not even settled: what was accepted is still written, and the lock is kept until then.
    drop(ingest);
    let ingest = begin(&shelf(&root), &described()).await;
    assert_eq!(ingest.offset(), 10);
    let ingest = ingest.restart().await.expect("its own partial");
    assert_eq!(ingest.offset(), 0);
    ingest.abort().await.expect("its own partial");
    assert_eq!(files(&root), <[String; 0]>::default());
}

#[tokio::test]
async fn a_dropped_fetch_is_gone_on_with() {
    /// Yields twenty bytes, says so when it is asked for more, and then nothing.
    struct Stalling(Arc<Notify>);
    impl Open for Stalling {
        fn open(&self, _: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
            let taken = self.0.clone();
            let first = stream::iter([Ok(Bytes::from_static(&CONTENT[..20]))]);
            let stalled = first.chain(stream::once(async move {
                taken.notify_one();
                std::future::pending().await
            }));
            Box::pin(async move { Ok(Body::from_stream(stalled, None)) })
        }
    }
    let root = root();
    let taken = Arc::new(Notify::new());
    let (here, blob) = (shelf(&root), Blob::new(described(), Stalling(taken.clone())));
    let fetch = tokio::spawn(async move { store::fetch(&here, &blob).await });
    taken.notified().await;
    fetch.abort();
    let source = Served::new(CONTENT);
    store::fetch(&shelf(&root), &source.blob(described())).await.expect("good content");
    assert_eq!(source.opened(), [20]);
}

#[tokio::test]
async fn patience_with_a_writer_that_makes_no_progress_ends() {
    let root = root();
    let mut ingest = begin(&shelf(&root), &described()).await;
    ingest.write(Bytes::from_static(&CONTENT[..1])).await.expect("space");
    ingest.settle().await.expect("space");
    let impatient = shelf(&root).with_patience(Duration::ZERO);
    let error = Ingest::start(&impatient, &described()).await.expect_err("it is locked");
    assert!(matches!(&error, Error::Io(failure) if failure.doing == "lock"), "{error:?}");
    // It can be cancelled, too.
    let waiting = shelf(&root);
    let waiter = tokio::spawn(async move { Ingest::start(&waiting, &described()).await });
    waiter.abort();
    assert!(waiter.await.expect_err("it was cancelled").is_cancelled());
    ingest.write(Bytes::from_static(&CONTENT[1..])).await.expect("space");
    assert_eq!(ingest.commit().await.expect("good content"), described());
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_full_disk_names_the_file_and_keeps_the_partial() {
    let root = root();
    fs::create_dir_all(root.path().join("partial")).expect("a folder");
    std::os::unix::fs::symlink("/dev/full", partial(&root)).expect("a link");
    let outcome = store::fetch(&shelf(&root), &Served::new(CONTENT).blob(described())).await;
    let Err(Error::Io(failure)) = outcome else { panic!("{outcome:?}") };
    assert_eq!((failure.doing, failure.path), ("write", partial(&root)));
    assert_eq!(failure.source.kind(), std::io::ErrorKind::StorageFull);
    assert!(!shelf(&root).path(&described().digest).exists());
}

#[tokio::test]
async fn sessions_learn_their_digest_late() {
    for digest in [Digest::of(CONTENT), Digest::of_with(Algorithm::Sha512, CONTENT)] {
        let root = root();
        let id: SessionId = "0b9d3c1e-7f4e".parse().expect("a safe name");
        let missing = Ingest::resume(&shelf(&root), &id).await.expect_err("nobody has begun it");
        assert!(missing.is_not_found(), "{missing:?}");
        let mut session = Ingest::session(&shelf(&root), &id).await.expect("a writable shelf");
        assert_eq!(shelf(&root).session_size(&id).await.expect("a session"), Some(0));
        session.write(Bytes::from_static(&CONTENT[..4])).await.expect("space");
        assert_eq!(session.settle().await.expect("space"), 4);
        assert_eq!(shelf(&root).session_size(&id).await.expect("a session"), Some(4));
        // As after a restart.
        drop(session);
        let mut session = Ingest::resume(&shelf(&root), &id).await.expect("it was begun");
        assert_eq!(session.offset(), 4);
        session.write(Bytes::from_static(&CONTENT[4..])).await.expect("space");
        session.expect(digest).await.expect("space");
        let descriptor = session.commit().await.expect("good content");
        assert_eq!((descriptor.digest, descriptor.size), (digest, CONTENT.len() as u64));
        assert_eq!(fs::read(shelf(&root).path(&digest)).expect("a file"), CONTENT);
        assert_eq!(shelf(&root).session_size(&id).await.expect("no session"), None);
    }
}

#[tokio::test]
async fn a_session_with_other_content_leaves_no_trace() {
    let root = root();
    let id: SessionId = "a".parse().expect("a safe name");
    let mut session = Ingest::session(&shelf(&root), &id).await.expect("a writable shelf");
    session.write(Bytes::from_static(b"other")).await.expect("space");
    session.expect(described().digest).await.expect("space");
    let error = session.commit().await.expect_err("other content");
    assert!(matches!(error, Error::Mismatch(_)), "{error:?}");
    assert_eq!(files(&root), <[String; 0]>::default());
}

/// Not a test: what [`Other`] runs in a process of its own. It writes ten bytes, says so, and commits the rest when it
/// is told to.
#[tokio::test]
async fn in_another_process() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let mut ingest = begin(&shelf_at(Path::new(&root)), &described()).await;
    ingest.write(Bytes::from_static(&CONTENT[..10])).await.expect("space");
    ingest.settle().await.expect("space");
    eprintln!("{WRITTEN}");
    let mut told = String::new();
    std::io::stdin().read_line(&mut told).expect("a pipe");
    ingest.write(Bytes::from_static(&CONTENT[10..])).await.expect("space");
    ingest.commit().await.expect("good content");
}

/// Another process in the middle of writing.
struct Other(Child);

impl Other {
    fn start(root: &TempDir) -> Self {
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "ingest::in_another_process", "--nocapture"])
            .env(ROOT, root.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this test runs");
        let mut other = Self(child);
        let mut lines = BufReader::new(other.0.stderr.take().expect("a pipe")).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line.contains(WRITTEN))), "the other process has failed");
        other
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_killed_process_leaves_a_partial_that_is_gone_on_with() {
    let root = root();
    drop(Other::start(&root));
    assert!(!shelf(&root).path(&described().digest).exists());
    let source = Served::new(CONTENT);
    store::fetch(&shelf(&root), &source.blob(described())).await.expect("good content");
    assert_eq!(source.opened(), [10]);
}

#[tokio::test]
async fn a_second_process_waits_and_finds_it_there() {
    let root = root();
    let mut other = Other::start(&root);
    let source = Served::new(CONTENT);
    let (here, blob) = (shelf(&root), source.blob(described()));
    let fetch = tokio::spawn(async move { store::fetch(&here, &blob).await });
    other.0.stdin.take().expect("a pipe").write_all(b"go on\n").expect("it listens");
    assert_eq!(fetch.await.expect("no panic").expect("good content"), Pushed::Existed);
    assert_eq!(source.opened(), <[u64; 0]>::default());
}

const ROOT: &str = "SPINREG_TEST_INGEST_ROOT";
const WRITTEN: &str = "ten bytes are written";
