//! Large files that are sent while they are hashed: to registries that do as the specification says and to others, and only
//! where they are likely to be new.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use spinreg::Error;
use spinreg::content::{Blob, Pushed, Tagged, Target as _, Unhashed, Vacancy};
use spinreg::model::{Descriptor, Digest, MediaType, Tag};
use spinreg::registry::{Mounts, Repository, Uploads};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::support::cli::Cli;
use crate::support::front::{Front, Meddle};
use crate::support::guard::Guard;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::repository::{anonymous, known};
use crate::support::scenario::{app_of, pull, push};
use crate::support::script::{Script, Scripted};
use crate::support::wire::{compare, settled};

/// Some pieces of 256 KiB, and a bit.
const SIZE: usize = (1 << 20) + 5;

fn bytes() -> Bytes {
    (0..SIZE).map(|n| (n / 3 + n / 256) as u8).collect()
}

fn tag() -> Tag {
    "v1".parse().expect("a tag")
}

/// A file of these bytes; it lasts as long as its directory.
fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    std::fs::write(&path, bytes).expect("a file");
    (directory, path)
}

fn unhashed(path: &Path) -> Unhashed {
    Unhashed::at(path, Arc::new(())).expect("a file")
}

async fn send(repository: &Repository, bytes: &[u8]) -> Result<Option<Digest>, Error> {
    let (_directory, path) = file(bytes);
    repository.push_unhashed(&unhashed(&path), &tag()).await
}

/// A registry that has nothing, and opens a session.
fn vacant() -> Script {
    Script::new()
        .on("GET /v2/app/manifests/v1", Reply::status(404))
        .on("GET /v2/app/tags/list?n=1", Reply::status(404))
        .on("POST /v2/app/blobs/uploads/", Reply::status(202).header("location", "/u"))
}

fn taken() -> Reply {
    Reply::status(202)
}

fn created() -> Reply {
    Reply::status(201).header("docker-content-digest", Digest::of(&bytes()).to_string())
}

fn kept() -> Reply {
    Reply::status(200).header("content-length", SIZE.to_string())
}

fn range(range: impl std::fmt::Display) -> Reply {
    Reply::status(204).header("range", range.to_string())
}

async fn sent(script: Scripted) {
    let bytes = bytes();
    let digest = send(&anonymous(script.address()), &bytes).await.expect("a push");
    assert_eq!(digest, Some(Digest::of(&bytes)));
    script.finish();
}

async fn left_to_others(script: Scripted) {
    assert_eq!(send(&anonymous(script.address()), &bytes()).await.expect("no error"), None);
    script.finish();
}

#[tokio::test]
async fn the_digest_comes_last_and_nothing_is_asked_again() {
    let bytes = bytes();
    let script = vacant()
        .on("PATCH /u", taken())
        .with("content-type", "application/octet-stream")
        .with("content-length", SIZE.to_string())
        .without("content-range")
        .with_body(bytes.clone())
        .on("PUT /u?digest=*", created())
        .with("content-length", "0")
        .start()
        .await;
    let repository = anonymous(script.address());
    let digest = send(&repository, &bytes).await.expect("a push").expect("it is new");
    // What is known by now costs nothing.
    let wanted = Descriptor::of(MediaType::IMAGE_MANIFEST, b"{}");
    let tagged = repository.tagged(&tag(), &wanted).await.expect("it is known");
    assert!(matches!(tagged, Tagged::Unknown), "{tagged:?}");
    let blob = Blob::from_bytes(MediaType::OCTET_STREAM, bytes);
    let vacancy = repository.vacancy(&[blob.descriptor().clone()]).await.expect("it is known");
    assert_eq!((vacancy, blob.descriptor().digest), (Vacancy::Vacant, digest));
    assert_eq!(repository.push_blob(&blob).await.expect("it is there"), Pushed::Uploaded);
    script.finish();
}

#[tokio::test]
async fn it_is_only_done_where_the_file_is_likely_to_be_new() {
    let image = |size: usize| {
        let layer = format!(r#"{{"mediaType":"x/y","digest":"{}","size":{size}}}"#, Digest::of(b"layer"));
        let text = format!(r#"{{"schemaVersion":2,"config":{layer},"layers":[{layer}]}}"#);
        Reply::ok(text).header("content-type", MediaType::IMAGE_MANIFEST.as_str())
    };
    let index = Reply::ok(r#"{"schemaVersion":2,"manifests":[]}"#);
    let index = index.header("content-type", MediaType::IMAGE_INDEX.as_str());
    for reply in [image(SIZE), index] {
        left_to_others(Script::new().on("GET /v2/app/manifests/v1", reply).start().await).await;
    }
    let page = Reply::ok(r#"{"name":"app","tags":["v0"]}"#).header("content-type", "application/json");
    for tags in [page, Reply::refusal(403, "DENIED", "no list")] {
        let script = Script::new()
            .on("GET /v2/app/manifests/v1", Reply::status(404))
            .on("GET /v2/app/tags/list?n=1", tags)
            .start()
            .await;
        left_to_others(script).await;
    }
    let script = Script::new()
        .on("GET /v2/app/manifests/v1", image(SIZE - 1))
        .on("POST /v2/app/blobs/uploads/", Reply::status(202).header("location", "/u"))
        .on("PATCH /u", taken())
        .on("PUT /u?digest=*", created())
        .start()
        .await;
    sent(script).await;
    // Whoever is to look everywhere has to know what for.
    let script = Script::new().start().await;
    let repository = anonymous(script.address()).uploading(Uploads::default().mounting(Mounts::Anywhere));
    assert_eq!(send(&repository, &bytes()).await.expect("no error"), None);
    script.finish();
}

#[tokio::test]
async fn what_breaks_goes_on_where_it_broke() {
    let bytes = bytes();
    for broken in [Reply::reset(), Reply::close(), Reply::status(503), Reply::status(429).header("retry-after", "0")] {
        let script = vacant()
            .on("PATCH /u", broken)
            .on("GET /u", range("0-299999"))
            .on("PATCH /u", taken())
            .with("content-range", format!("300000-{}", SIZE - 1))
            .with_body(bytes.slice(300_000..))
            .on("PUT /u?digest=*", created())
            .on("HEAD /v2/app/blobs/*", kept())
            .start()
            .await;
        sent(script).await;
    }
    // All of it arrived, and the answer did not.
    let script = vacant()
        .on("PATCH /u", Reply::close())
        .on("GET /u", range(format_args!("0-{}", SIZE - 1)))
        .on("PUT /u?digest=*", created())
        .on("HEAD /v2/app/blobs/*", kept())
        .start()
        .await;
    sent(script).await;
}

#[tokio::test]
async fn chunks_are_sent_where_they_are_wanted() {
    let bytes = bytes();
    let open = Reply::status(202).header("location", "/u").header("oci-chunk-max-length", "1048576");
    let script = Script::new()
        .on("GET /v2/app/manifests/v1", Reply::status(404))
        .on("GET /v2/app/tags/list?n=1", Reply::status(404))
        .on("POST /v2/app/blobs/uploads/", open)
        .on("PATCH /u", taken())
        .with("content-range", "0-1048575")
        .with_body(bytes.slice(..1 << 20))
        .on("PATCH /u", taken())
        .with_body(bytes.slice(1 << 20..))
        .on("PUT /u?digest=*", created())
        .on("HEAD /v2/app/blobs/*", kept())
        .start()
        .await;
    sent(script).await;
}

/// Whoever does not take it gets it as before: digest first. Nothing is left open.
#[tokio::test]
async fn other_registries_are_told_the_digest_first() {
    for refusal in [400, 404, 405, 411, 413, 415, 501] {
        let script = vacant().on("PATCH /u", Reply::status(refusal));
        // There is no session any more.
        let script = if refusal == 404 { script } else { script.on("DELETE /u", Reply::status(204)) };
        left_to_others(script.start().await).await;
    }
    let too_large =
        vacant().on("PATCH /u", Reply::status(416)).on("GET /u", range("0-0")).on("DELETE /u", Reply::status(204));
    left_to_others(too_large.start().await).await;
    let other = vacant()
        .on("PATCH /u", taken())
        .on("PUT /u?digest=*", Reply::refusal(400, "DIGEST_INVALID", "another one"))
        .on("DELETE /u", Reply::status(204));
    left_to_others(other.start().await).await;
    // It says that it has what nobody has sent.
    let liar = vacant()
        .on("PATCH /u", Reply::status(503).unread())
        .on("GET /u", range("0-99"))
        .on("PATCH /u", Reply::status(400))
        .on("DELETE /u", Reply::status(204));
    left_to_others(liar.start().await).await;
    let broken = vacant()
        .on_each("PATCH /u", (0..5).map(|_| Reply::close()))
        .on_each("GET /u", (0..4).map(|_| range("0-0")))
        .on("DELETE /u", Reply::status(204));
    left_to_others(broken.start().await).await;
    // Who may not push may not push a blob with a digest, either.
    let script = Script::new()
        .on("GET /v2/app/manifests/v1", Reply::status(404))
        .on("GET /v2/app/tags/list?n=1", Reply::status(404))
        .on("POST /v2/app/blobs/uploads/", Reply::refusal(403, "DENIED", "read only"))
        .start()
        .await;
    let error = send(&anonymous(script.address()), &bytes()).await.expect_err("a refusal");
    assert!(error.is_denied(), "{error}");
    script.finish();
}

/// Changes a file of `SIZE` bytes behind somebody's back.
fn change(path: &Path, how: &str) {
    let file = std::fs::File::options().write(true).open(path).expect("a file");
    match how {
        "shorter" => file.set_len(SIZE as u64 - 1).expect("a length"),
        "longer" => file.set_len(SIZE as u64 + 1).expect("a length"),
        "touched" => file.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("a time"),
        _ => std::fs::remove_file(path).expect("a file"),
    }
}

#[tokio::test]
async fn a_file_that_changes_is_noticed_and_the_session_cancelled() {
    let bytes = bytes();
    for name in ["shorter", "longer", "touched", "gone"] {
        let script = vacant()
            .always("PATCH /u", Reply::status(500))
            .always("GET /u", range("0-0"))
            .on("DELETE /u", Reply::status(204))
            .start()
            .await;
        let (_directory, path) = file(&bytes);
        let unhashed = unhashed(&path);
        change(&path, name);
        let error = anonymous(script.address()).push_unhashed(&unhashed, &tag()).await.expect_err(name);
        assert!(matches!(error, Error::Io(_)) && error.to_string().contains("file"), "{name}: {error}");
        assert_eq!(unhashed.digest(), None, "{name}");
        script.finish();
    }
}

#[tokio::test]
async fn a_dropped_file_is_tidied_up() {
    let script = vacant().on("PATCH /u", Reply::stall()).on("DELETE /u", Reply::status(204)).start().await;
    let repository = anonymous(script.address());
    let seen = async {
        while script.seen().len() < 4 {
            tokio::task::yield_now().await;
        }
    };
    let bytes = bytes();
    tokio::select! {
        outcome = send(&repository, &bytes) => panic!("the registry never answers: {outcome:?}"),
        () = seen => {}
    }
    repository.tidy().await;
    repository.tidy().await;
    script.finish();
}

/// A token that ends between two requests is renewed, and the bytes are sent again from where they began.
#[tokio::test]
async fn tokens_are_renewed_on_the_way() {
    let registry = Embedded::start().await;
    let guard = Guard::bearer("ada", "lovelace").good_for(1);
    let front = Front::before(registry.address()).guarded(&guard).start().await;
    let bytes = bytes();
    let digest = send(&known(front.address()), &bytes).await.expect("a push");
    assert_eq!(digest, Some(Digest::of(&bytes)));
    assert!(guard.token_requests().len() >= 5, "{:?}", guard.token_requests());
}

/// How large a file has to be.
const LARGE: u64 = 32 << 20;

/// Makes a file of the application that has so many bytes more.
fn enlarge(cli: &Cli, name: &str, more: u64) {
    let path = cli.path("work/static-site/assets").join(name);
    std::fs::write(&path, name.repeat(100)).expect("a file of ours");
    let file = std::fs::File::options().write(true).open(path).expect("a file of ours");
    file.set_len(LARGE + more).expect("a sparse file");
}

#[tokio::test]
async fn a_cold_push_sends_while_it_hashes() {
    let registry = Embedded::start().await;
    let front = Front::before(registry.address()).start().await;
    let (cli, wire) = (Cli::new(), front.wire());
    let (app, reference) = (app_of(&cli, "static-site"), format!("{}/app:v1", front.registry()));
    enlarge(&cli, "large.bin", 0);
    // What is only planned sends nothing, and a directory is no registry.
    cli.run(["push", "--dry-run", "-f", &app, &reference]).await.success();
    assert!(!wire.take().iter().any(|line| line.starts_with("POST")), "a dry run");
    let digest = push(&cli, &app, "oci:out:v1", &[]).await;

    assert_eq!(push(&cli, &app, &reference, &[]).await, digest);
    compare("push-ahead", &settled(wire.take()));
    push(&cli, &app, &reference, &[]).await;
    compare("push-unchanged", &wire.take().into_iter().map(|line| line.replace("200", "304")).collect::<Vec<_>>());
    enlarge(&cli, "large.bin", 1);
    push(&cli, &app, &reference, &[]).await;
    compare("push-ahead-changed", &settled(wire.take()));
    pull(&cli, &reference, &[]).await;
}

/// Of what a repository may have nothing is sent for nothing; what it turns out to have does no harm.
#[tokio::test]
async fn what_may_be_there_is_hashed_first() {
    let registry = Embedded::start().await;
    let refusal = vec![Meddle::Instead(Reply::refusal(403, "DENIED", "not yet")); 1];
    let front = Front::before(registry.address()).meddle("PUT /v2/app/manifests/*", refusal).start().await;
    let reference = |tag: &str| format!("{}/app:{tag}", front.registry());
    let first = Cli::new();
    let app = app_of(&first, "static-site");
    enlarge(&first, "large.bin", 0);
    first.run(["push", "-f", &app, &reference("v1")]).await.failure(4);
    // Somebody else, who knows nothing of it, finds a repository without tags.
    let second = Cli::new();
    let app = app_of(&second, "static-site");
    enlarge(&second, "large.bin", 0);
    front.wire().take();
    push(&second, &app, &reference("v1"), &[]).await;
    assert_eq!(front.wire().count("PATCH "), 1, "{:#?}", front.wire().lines());
    // And the third one finds a tag.
    let third = Cli::new();
    let app = app_of(&third, "static-site");
    enlarge(&third, "large.bin", 0);
    std::fs::write(third.path("work/static-site/single.cfg"), "changed ".repeat(100)).expect("a file of ours");
    front.wire().take();
    push(&third, &app, &reference("v2"), &[]).await;
    push(&third, &app, &reference("v1"), &[]).await;
    assert_eq!(front.wire().count("PATCH "), 0, "{:#?}", front.wire().lines());
    pull(&third, &reference("v2"), &[]).await;
}

#[tokio::test]
async fn an_interrupt_cancels_the_session() {
    let registry = Embedded::start().await;
    let held = Arc::new(Notify::new());
    let front = Front::before(registry.address())
        .meddle("PATCH /v2/app/blobs/uploads/*", [Meddle::Hold(held.clone())])
        .start()
        .await;
    let cli = Cli::new();
    let (app, reference) = (app_of(&cli, "static-site"), format!("{}/app:v1", front.registry()));
    enlarge(&cli, "large.bin", 0);
    let running = cli.start(["push", "-f", &app, &reference], None);
    held.notified().await;
    assert_eq!(running.interrupt().await.code(), Some(130));
    let lines = front.wire().lines();
    assert_eq!(lines.last().map(String::as_str), Some("DELETE /v2/app/blobs/uploads/{session} 204"), "{lines:#?}");
    assert_eq!(front.wire().count("PUT "), 0, "{lines:#?}");
}

/// Registries that take no such upload, in the tool's hands.
#[tokio::test]
async fn a_push_falls_back() {
    for fault in ["status=405,method=PATCH", "status=413,method=PATCH", "reset,method=PATCH"] {
        let cli = Cli::new();
        let serving = cli.serve_with(&["-q", "--fault", fault]).await;
        let (app, reference) = (app_of(&cli, "static-site"), format!("{}/app:v1", serving.registry()));
        enlarge(&cli, "large.bin", 0);
        push(&cli, &app, &reference, &[]).await;
        pull(&Cli::new(), &reference, &[]).await;
    }
}
