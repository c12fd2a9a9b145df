//! Downloads: what breaks, lies or is something else, blob by blob.

use std::path::Path;

use http::StatusCode;
use spinreg::content::{Pushed, Source as _};
use spinreg::copy::{CopyOptions, copy};
use spinreg::disk::Mode;
use spinreg::error::{Actual, Place, UnreachableKind};
use spinreg::model::{Descriptor, Digest, Identifier, MediaType, Platform};
use spinreg::registry::Repository;
use spinreg::store::{self, Layout, Naming, Shelf};
use spinreg::{Error, Manifest};
use tempfile::TempDir;

use crate::support::cli::Cli;
use crate::support::client::PATIENCE;
use crate::support::front::{Front, Meddle};
use crate::support::registry::Embedded;
use crate::support::reply::{End, Reply};
use crate::support::repository::{anonymous, app as repository_app, known, options, plain};
use crate::support::scenario::{app, assert_cached, pull, push};
use crate::support::script::{Script, Scripted};

const CONTENT: &str = "the quick brown fox jumps over the lazy dog";

fn described() -> Descriptor {
    Descriptor::of(MediaType::OCTET_STREAM, CONTENT.as_bytes())
}

fn blob() -> String {
    format!("GET /v2/app/blobs/{}", described().digest)
}

fn shelf(root: &Path) -> Shelf {
    Shelf::new(root.join("blobs"), root.join("partial"), Naming::Folders, Mode::ReadOnly)
}

fn root() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Downloads the blob into an empty folder; returns what became of it, and what is on file as a part of it.
async fn download(repository: &Repository) -> (Result<Pushed, Error>, Option<Vec<u8>>) {
    let root = root();
    let outcome = store::fetch(&shelf(root.path()), &repository.blob(&described())).await;
    let name = format!("sha256-{}", described().digest.hex());
    (outcome, std::fs::read(root.path().join("partial").join(name)).ok())
}

/// Answers with the rest from `first` on.
fn rest(first: usize) -> Reply {
    let range = format!("bytes {first}-{}/{}", CONTENT.len() - 1, CONTENT.len());
    Reply::status(206).header("content-range", range).body(&CONTENT.as_bytes()[first..])
}

fn ranges(script: &Scripted) -> Vec<String> {
    script.seen().iter().map(|seen| seen.header("range").to_owned()).collect()
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke_whatever_the_answer() {
    let cut = || Reply::ok(CONTENT).cut_after(10, End::Close);
    let wrong = Reply::status(206).header("content-range", "bytes 20-42/43").body(&CONTENT[20..]);
    for (case, replies, asked) in [
        ("the rest", vec![cut(), rest(10)], vec!["", "bytes=10-"]),
        ("more than the rest", vec![cut(), rest(4)], vec!["", "bytes=10-"]),
        ("the whole", vec![cut(), Reply::ok(CONTENT)], vec!["", "bytes=10-"]),
        ("another part", vec![cut(), wrong, Reply::ok(CONTENT)], vec!["", "bytes=10-", ""]),
        ("no part", vec![cut(), Reply::status(206).body("?"), Reply::ok(CONTENT)], vec!["", "bytes=10-", ""]),
        ("no range", vec![cut(), Reply::status(416), Reply::ok(CONTENT)], vec!["", "bytes=10-", ""]),
        ("a hiccup", vec![cut(), Reply::status(503), rest(10)], vec!["", "bytes=10-", "bytes=10-"]),
        ("another break", vec![cut(), rest(10).cut_after(5, End::Close), rest(15)], vec!["", "bytes=10-", "bytes=15-"]),
    ] {
        let script = Script::new().on_each(&blob(), replies).start().await;
        let (outcome, left) = download(&anonymous(script.address())).await;
        assert!(matches!(outcome, Ok(Pushed::Uploaded)), "{case}: {outcome:?}");
        assert_eq!(left, None, "{case}");
        assert_eq!(ranges(&script), asked, "{case}");
        script.finish();
    }
}

#[tokio::test]
async fn a_stalled_download_goes_on_where_it_stalled() {
    let replies = [Reply::ok(CONTENT).cut_after(10, End::Stall), rest(10)];
    let script = Script::new().on_each(&blob(), replies).start().await;
    let mut options = options();
    options.policy.stall = PATIENCE;
    let client = plain().transport(options).build().expect("options that fit");
    let (outcome, _) = download(&repository_app(&client, script.address())).await;
    assert!(matches!(outcome, Ok(Pushed::Uploaded)), "{outcome:?}");
    script.finish();
}

#[tokio::test]
async fn a_body_that_ends_early_in_good_order_is_gone_on_with() {
    let short = Reply::raw(format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\n{}\r\n0\r\n\r\n",
        &CONTENT[..10]
    ));
    let script = Script::new().on_each(&blob(), [short.clone(), rest(10)]).start().await;
    let (outcome, _) = download(&anonymous(script.address())).await;
    assert!(matches!(outcome, Ok(Pushed::Uploaded)), "{outcome:?}");
    assert_eq!(ranges(&script), ["", "bytes=10-"]);
    script.finish();

    // Ranges ignored, and the same end each time: that is not for ever.
    let script = Script::new().always(&blob(), short).start().await;
    let (outcome, left) = download(&anonymous(script.address())).await;
    let Err(Error::Unreachable(failure)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.kind, UnreachableKind::Broken);
    let cause = failure.cause.as_ref().expect("a cause").to_string();
    assert_eq!(cause, "the answer ended after 10 of 43 bytes");
    assert_eq!(left.as_deref(), Some(&CONTENT.as_bytes()[..10]), "what has come is kept");
    assert_eq!(script.seen().len(), 5, "failures without progress between them are counted");
    script.finish();
}

#[tokio::test]
async fn failures_without_progress_end_a_download_and_progress_pays_for_more() {
    // Each piece is progress, and then there is none.
    let large: Vec<u8> = (0..600_000_u32).map(|n| (n % 251) as u8).collect();
    let descriptor = Descriptor::of(MediaType::OCTET_STREAM, &large);
    let piece = |first: usize| {
        let range = format!("bytes {first}-{}/{}", large.len() - 1, large.len());
        let reply = Reply::status(206).header("content-range", range).body(large[first..].to_vec());
        reply.cut_after(70_000, End::Close)
    };
    let pieces = (1..8).map(|n| piece(n * 70_000));
    let replies = std::iter::once(Reply::ok(large.clone()).cut_after(70_000, End::Close)).chain(pieces);
    let path = format!("GET /v2/app/blobs/{}", descriptor.digest);
    let script = Script::new().on_each(&path, replies).always(&path, Reply::close()).start().await;
    let root = root();
    let outcome = store::fetch(&shelf(root.path()), &anonymous(script.address()).blob(&descriptor)).await;
    assert!(
        matches!(&outcome, Err(Error::Unreachable(failure)) if failure.kind == UnreachableKind::Broken),
        "{outcome:?}"
    );
    // Eight pieces; then five failures in a row, the last break included.
    assert_eq!(script.seen().len(), 8 + 4);
    script.finish();
}

#[tokio::test]
async fn pieces_that_do_not_fit_are_fetched_anew_once() {
    let spoilt = || Reply::ok(CONTENT.replace('t', "T")).cut_after(10, End::Close);
    let replies = vec![spoilt(), rest(10), Reply::ok(CONTENT)];
    let script = Script::new().on_each(&blob(), replies).start().await;
    let (outcome, _) = download(&anonymous(script.address())).await;
    assert!(matches!(outcome, Ok(Pushed::Uploaded)), "{outcome:?}");
    assert_eq!(ranges(&script), ["", "bytes=10-", ""]);
    script.finish();

    // Once: what is wrong again is wrong there.
    let script = Script::new().on_each(&blob(), [spoilt(), rest(10), spoilt(), rest(10)]).start().await;
    let (outcome, left) = download(&anonymous(script.address())).await;
    assert!(matches!(&outcome, Err(Error::Mismatch(_))), "{outcome:?}");
    assert_eq!(left, None, "wrong bytes leave nothing behind");
    script.finish();

    // In memory, too.
    let script = Script::new().on_each(&blob(), [spoilt(), rest(10), Reply::ok(CONTENT)]).start().await;
    let bytes = anonymous(script.address()).blob(&described()).read(100).await.expect("the right bytes in the end");
    assert_eq!(bytes, CONTENT);
    script.finish();
}

#[tokio::test]
async fn one_piece_that_is_wrong_is_not_asked_for_again() {
    let script = Script::new().on(&blob(), Reply::ok(CONTENT.replace('t', "T"))).start().await;
    let (outcome, left) = download(&anonymous(script.address())).await;
    assert!(matches!(&outcome, Err(Error::Mismatch(mismatch)) if matches!(mismatch.actual, Actual::Digest(_))));
    assert_eq!(left, None);
    script.finish();
}

#[tokio::test]
async fn content_of_another_length_is_refused_before_its_first_byte() {
    for (body, actual) in [(&CONTENT[1..], Actual::Short(42)), ("x".repeat(5_000).as_str(), Actual::Long)] {
        // The body never comes; nobody waits for it.
        let reply = Reply::ok(body.to_owned()).cut_after(0, End::Stall);
        let script = Script::new().on(&blob(), reply).start().await;
        let (outcome, left) = download(&anonymous(script.address())).await;
        let Err(Error::Mismatch(mismatch)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(mismatch.actual, actual);
        assert!(matches!(&mismatch.place, Place::Request(request) if request.uri.to_string().contains("/blobs/")));
        assert_eq!(left, None);
        script.finish();
    }
}

#[tokio::test]
async fn content_that_has_changed_meanwhile_is_refused() {
    let changed = Reply::status(416).header("content-range", "bytes */5");
    let cut = || Reply::ok(CONTENT).cut_after(10, End::Close);
    // Pieces of different things are thrown away; the whole is the other thing.
    let script = Script::new().on_each(&blob(), [cut(), changed, Reply::ok("other")]).start().await;
    let (outcome, left) = download(&anonymous(script.address())).await;
    assert!(matches!(&outcome, Err(Error::Mismatch(mismatch)) if mismatch.actual == Actual::Short(5)), "{outcome:?}");
    assert_eq!(left, None);
    script.finish();
}

#[tokio::test]
async fn a_blob_is_known_by_its_bytes_whatever_the_header_says() {
    let other = Digest::of(b"other").to_string();
    let script = Script::new().on(&blob(), Reply::ok(CONTENT).header("docker-content-digest", other)).start().await;
    let (outcome, _) = download(&anonymous(script.address())).await;
    assert!(matches!(outcome, Ok(Pushed::Uploaded)), "{outcome:?}");
    script.finish();
}

#[tokio::test]
async fn pages_are_neither_blobs_nor_manifests() {
    let page = || Reply::ok("<!DOCTYPE html>\n<html><head><title>Sign in</title>");
    let typed = || page().header("content-type", "text/html; charset=utf-8");
    let script = Script::new()
        .on(&blob(), typed())
        .on("GET /v2/app/manifests/typed", typed())
        .on(
            "GET /v2/app/manifests/untyped",
            page().header("content-type", "application/vnd.oci.image.manifest.v1+json"),
        )
        .start()
        .await;
    let repository = anonymous(script.address());
    let told = |error: Error, rule: &str| {
        let Error::Protocol(violation) = error else { panic!("{error:?}") };
        assert_eq!(violation.rule, rule);
        assert!(violation.request.to_string().starts_with("GET http://127.0.0.1:"), "{violation}");
        let cause = violation.cause.as_ref().expect("a cause").to_string();
        assert_eq!(cause, "it came with the status 200 OK and the title `Sign in`");
    };
    told(download(&repository).await.0.expect_err("a page"), "the answer is HTML, not a blob");
    for tag in ["typed", "untyped"] {
        let id = tag.parse().expect("a tag");
        told(repository.manifest(&id).await.expect_err("a page"), "the answer is HTML, not a manifest");
    }
    script.finish();
}

#[tokio::test]
async fn a_page_that_is_a_file_is_a_file() {
    let reply = Reply::ok(CONTENT).header("content-type", "text/html");
    let script = Script::new().on(&blob(), reply).start().await;
    let (outcome, _) = download(&anonymous(script.address())).await;
    assert!(matches!(outcome, Ok(Pushed::Uploaded)), "{outcome:?}");
    script.finish();
}

fn image(text: &str) -> String {
    let layer = serde_json::to_string(&Descriptor::of(MediaType::OCTET_STREAM, text.as_bytes())).expect("plain data");
    format!(r#"{{"schemaVersion":2,"mediaType":"{}","config":{layer},"layers":[{layer}]}}"#, MediaType::IMAGE_MANIFEST)
}

/// A layer may say that it is elsewhere as well: whoever wrote the manifest would choose where we go.
#[tokio::test]
async fn nobody_goes_where_a_manifest_points() {
    let elsewhere = Script::new().start().await;
    let script = Script::new().on("GET /v2/app/blobs/*", Reply::status(404)).start().await;
    let mut layer = Descriptor::of(MediaType::OCTET_STREAM, b"a layer of others");
    layer.urls = vec![elsewhere.uri("/layer").to_string()];
    let error = anonymous(script.address()).blob(&layer).read(99).await.expect_err("it is not there");
    assert!(error.is_not_found(), "{error}");
    assert!(elsewhere.seen().is_empty());
    elsewhere.finish();
    script.finish();
}

#[tokio::test]
async fn a_manifest_without_a_type_says_itself_what_it_is() {
    let text = image("a");
    for bare in [Reply::ok(text.clone()), Reply::ok(text.clone()).header("content-type", "application/json")] {
        let script = Script::new()
            .on("HEAD /v2/app/manifests/v1", Reply::status(200).header("content-length", text.len().to_string()))
            .on_each("GET /v2/app/manifests/v1", [bare.clone(), bare])
            .start()
            .await;
        let (repository, tag) = (anonymous(script.address()), "v1".parse().expect("a tag"));
        let described = repository.resolve(&tag).await.expect("a manifest");
        let manifest = repository.manifest(&tag).await.expect("a manifest");
        assert_eq!((&described, manifest.digest()), (manifest.descriptor(), Digest::of(text.as_bytes())));
        assert_eq!(described.media_type, MediaType::IMAGE_MANIFEST);
        script.finish();
    }
}

#[tokio::test]
async fn a_manifest_means_one_thing() {
    let script = Script::new()
        .on("GET /v2/app/manifests/v1", Reply::ok(image("a")).header("content-type", MediaType::IMAGE_INDEX.as_str()))
        .start()
        .await;
    let error = anonymous(script.address()).manifest(&"v1".parse().expect("a tag")).await.expect_err("two meanings");
    let Error::Protocol(violation) = &error else { panic!("{error:?}") };
    let cause = violation.cause.as_ref().expect("a cause").to_string();
    for media_type in [MediaType::IMAGE_MANIFEST, MediaType::IMAGE_INDEX] {
        assert!(cause.contains(media_type.as_str()), "{cause}");
    }
    script.finish();
}

#[tokio::test]
async fn of_an_index_comes_what_the_platform_needs() {
    let (wanted, other) = (image(CONTENT), image("other"));
    let child = |text: &str, platform: &str| {
        let manifest = Manifest::parse(text.to_owned(), None).expect("a manifest");
        let mut descriptor = manifest.descriptor().clone();
        descriptor.platform = Some(platform.parse().expect("a platform"));
        serde_json::to_string(&descriptor).expect("plain data")
    };
    let children = [child(&other, "linux/amd64"), child(&wanted, "wasip1/wasm")].join(",");
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{children}]}}"#, MediaType::IMAGE_INDEX);
    let digest = Digest::of(wanted.as_bytes());
    let script = Script::new()
        .on("GET /v2/app/manifests/v1", Reply::ok(index).header("content-type", MediaType::IMAGE_INDEX.as_str()))
        .on(
            &format!("GET /v2/app/manifests/{digest}"),
            Reply::ok(wanted).header("content-type", MediaType::IMAGE_MANIFEST.as_str()),
        )
        .on(&blob(), Reply::ok(CONTENT))
        .start()
        .await;
    let root = root();
    let layout = Layout::create(root.path()).await.expect("an empty directory");
    let options = CopyOptions { platforms: vec![Platform::new("wasip1", "wasm")], ..CopyOptions::default() };
    let id: Identifier = "v1".parse().expect("a tag");
    let summary = copy(&anonymous(script.address()), &id, &layout, None, &options).await.expect("a copy");
    assert_eq!(summary.root.digest, digest);
    script.finish();
}

#[tokio::test]
async fn storage_is_never_shown_a_credential_and_each_resume_asks_the_registry() {
    let registry = Script::new()
        .on(&blob(), Reply::status(401).header("www-authenticate", r#"Basic realm="r""#))
        .on_each(&blob(), [Reply::redirect(307, "{storage}/x?sig=1"), Reply::redirect(307, "{storage}/x?sig=2")])
        .with("authorization", "Basic YWRhOmxvdmVsYWNl")
        .start()
        .await;
    let storage = Script::new()
        .on("GET /x?sig=1", Reply::ok(CONTENT).cut_after(10, End::Close))
        .without("authorization")
        .on("GET /x?sig=2", rest(10))
        .without("authorization")
        .with("range", "bytes=10-")
        .start()
        .await;
    registry.knows("{storage}", storage.origin());
    let (outcome, _) = download(&known(registry.address())).await;
    assert!(matches!(outcome, Ok(Pushed::Uploaded)), "{outcome:?}");
    registry.finish();
    storage.finish();
}

#[tokio::test]
async fn a_storage_that_refuses_is_named() {
    let registry = Script::new().on(&blob(), Reply::redirect(307, "{storage}/x?sig=hidden")).start().await;
    let storage = Script::new().on("GET /x?sig=hidden", Reply::status(403)).start().await;
    registry.knows("{storage}", storage.origin());
    let (outcome, _) = download(&anonymous(registry.address())).await;
    let Err(Error::Refused(refused)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let text = refused.to_string();
    assert!(text.contains(&format!("{}/x", storage.origin())) && !text.contains("hidden"), "{text}");
    registry.finish();
    storage.finish();
}

/// The largest data layer of `static-site`, 300 000 bytes.
const LARGE: &str = "sha256:c2687f5e6422c353999b6cdc04eeaba16add1fed509c1fabf998212502a975c3";

#[tokio::test]
async fn a_killed_pull_is_gone_on_with_by_the_next() {
    let registry = Embedded::start().await;
    push(&Cli::new(), &app("static-site"), &registry.reference("app:v1"), &[]).await;
    let path = format!("GET /v2/app/blobs/{LARGE}");
    let front = Front::before(registry.address()).meddle(&path, [Meddle::Cut(200_000, End::Stall)]).start().await;
    let (cli, reference) = (Cli::new(), format!("{}/app:v1", front.registry()));
    let running = cli.start(["pull", &reference], None);
    let name = format!("cache/spin/registry/.spinreg/partial/sha256-{}", &LARGE["sha256:".len()..]);
    let partial = cli.path(name);
    // What is on its way arrives in its own time, and the front says nothing of it.
    let arrived = async {
        let mut looks = tokio::time::interval(PATIENCE);
        while std::fs::metadata(&partial).map_or(0, |file| file.len()) < 100_000 {
            looks.tick().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), arrived).await.expect("most of the blob");
    running.kill().await;
    let length = std::fs::metadata(&partial).expect("a partial").len();

    pull(&cli, &reference, &[]).await;
    assert_cached(&cli, &format!("{}/app/v1", front.registry()), "static-site");
    let lines = front.wire().lines();
    assert_eq!(lines.iter().filter(|line| **line == format!("{path} [bytes={length}-] 206")).count(), 1, "{lines:?}");
    let whole = lines.iter().filter(|line| **line == format!("{path} 200")).count();
    assert_eq!(whole, 1, "what has come is not asked for again: {lines:?}");
}
