//! Blobs on their way up, to registries that do as the specification says and to others.

use std::num::NonZeroU64;

use bytes::Bytes;
use spinreg::Error;
use spinreg::content::{Blob, Pushed, Source as _, Tagged, Target as _};
use spinreg::model::{Algorithm, Descriptor, Digest, Identifier, MediaType};
use spinreg::registry::{Mounts, Repository, Uploads};

use crate::support::cli::Cli;
use crate::support::front::{Front, Meddle};
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::repository::{anonymous, known};
use crate::support::scenario;
use crate::support::script::{Script, Scripted};

/// The smallest chunk.
const CHUNK: usize = 64 << 10;

/// Makes `n` bytes that are nowhere the same.
fn bytes(n: usize) -> Bytes {
    (0..n).map(|n| (n / 3 + n / 256) as u8).collect()
}

fn blob(bytes: &Bytes) -> Blob {
    Blob::from_bytes(MediaType::OCTET_STREAM, bytes.clone())
}

fn chunked(repository: Repository) -> Repository {
    let chunk = NonZeroU64::new(CHUNK as u64).expect("not zero");
    repository.uploading(Uploads::default().in_chunks_of(chunk))
}

/// A registry that has nothing and opens the session `/u`.
fn script() -> Script {
    Script::new().on("POST /v2/app/blobs/uploads/*", open())
}

/// The same, which has `size` bytes of the blob in the end.
fn keeping(size: usize) -> Script {
    Script::new().on("HEAD /v2/app/blobs/*", head(size)).on("POST /v2/app/blobs/uploads/*", open())
}

fn open() -> Reply {
    Reply::status(202).header("location", "/u")
}

fn created(bytes: &Bytes) -> Reply {
    Reply::status(201).header("docker-content-digest", Digest::of(bytes).to_string())
}

/// A mount that names the place of the blob and nothing else, as olareg does it.
fn there(bytes: &Bytes) -> Reply {
    Reply::status(201).header("location", format!("/v2/app/blobs/{}", Digest::of(bytes)))
}

fn status(range: impl std::fmt::Display) -> Reply {
    Reply::status(204).header("range", range.to_string())
}

fn head(size: usize) -> Reply {
    Reply::status(200).header("content-length", size.to_string())
}

/// Pushes `bytes` and returns what went over the wire, without digests.
async fn push(repository: &Repository, bytes: &Bytes) -> Result<Pushed, Error> {
    repository.push_blob(&blob(bytes)).await
}

fn wire(script: &Scripted, bytes: &Bytes) -> Vec<String> {
    script.requests().iter().map(|line| line.replace(&Digest::of(bytes).to_string(), "D")).collect()
}

#[tokio::test]
async fn a_blob_goes_up_in_two_requests() {
    for bytes in [bytes(0), bytes(1), bytes(300 << 10)] {
        let script = script()
            .on("PUT /u?digest=*", created(&bytes))
            .with("content-type", "application/octet-stream")
            .with("content-length", bytes.len().to_string())
            .with_body(bytes.clone())
            .start()
            .await;
        assert_eq!(push(&anonymous(script.address()), &bytes).await.expect("a push"), Pushed::Uploaded);
        let expected = ["POST /v2/app/blobs/uploads/?mount=D&from=app", "PUT /u?digest=D"];
        assert_eq!(wire(&script, &bytes), expected);
        assert_eq!(script.seen()[0].header("content-length"), "0");
        script.finish();
    }
}

#[tokio::test]
async fn what_is_there_is_not_sent_and_what_is_nearby_is_mounted() {
    let bytes = bytes(10);
    let script = Script::new()
        .on("POST /v2/app/blobs/uploads/?mount=*&from=app", there(&bytes))
        .on_each("POST /v2/app/blobs/uploads/?mount=*&from=other/app", [created(&bytes), Reply::status(405)])
        .on("POST /v2/app/blobs/uploads/*", open())
        .on("PUT /u?digest=*", created(&bytes))
        .start()
        .await;
    let repository = anonymous(script.address());
    let origin = blob(&bytes).from_repository(repository.registry().clone(), "other/app".parse().expect("a name"));
    assert_eq!(push(&repository, &bytes).await.expect("a push"), Pushed::Existed);
    for how in [Pushed::Mounted, Pushed::Uploaded] {
        assert_eq!(repository.push_blob(&origin).await.expect("a push"), how);
    }
    script.finish();

    // No right to the other repository: that is no reason not to send the blob.
    let denied = Reply::status(401).header("www-authenticate", "Basic realm=\"r\"");
    let script = Script::new()
        .on("POST /v2/app/blobs/uploads/?mount=*&from=other/app", denied)
        .on("POST /v2/app/blobs/uploads/*", open())
        .on("PUT /u?digest=*", created(&bytes))
        .start()
        .await;
    let repository = anonymous(script.address());
    let origin = blob(&bytes).from_repository(repository.registry().clone(), "other/app".parse().expect("a name"));
    assert_eq!(repository.push_blob(&origin).await.expect("a push"), Pushed::Uploaded);
    script.finish();

    let script = Script::new()
        .on("HEAD /v2/app/blobs/*", Reply::status(404))
        .on("POST /v2/app/blobs/uploads/?mount=*", created(&bytes))
        .start()
        .await;
    let repository = anonymous(script.address()).uploading(Uploads::default().mounting(Mounts::Anywhere));
    assert_eq!(push(&repository, &bytes).await.expect("a push"), Pushed::Mounted);
    script.finish();
}

#[tokio::test]
async fn a_blob_that_only_seemed_to_be_there_is_sent_without_asking() {
    let bytes = bytes(10);
    let script =
        Script::new().on("POST /v2/app/blobs/uploads/*", open()).on("PUT /u?digest=*", created(&bytes)).start().await;
    let repository = anonymous(script.address());
    let origin = blob(&bytes).from_repository(repository.registry().clone(), "other/app".parse().expect("a name"));
    assert_eq!(repository.repush_blob(&origin).await.expect("a push"), Pushed::Uploaded);
    script.finish();
}

#[tokio::test]
async fn chunks_follow_the_newest_location() {
    let bytes = bytes(2 * CHUNK + 5);
    let range = |first: usize, end: usize| format!("{first}-{}", end - 1);
    let script = script()
        .on("PATCH /u", Reply::status(202).header("location", "{origin}/1?s=a%2F").header("range", range(0, CHUNK)))
        .with("content-range", range(0, CHUNK))
        .with("content-length", CHUNK.to_string())
        .with_body(bytes.slice(..CHUNK))
        .on("PATCH /1?s=a%2F", Reply::status(202).header("location", "/2"))
        .with("content-range", range(CHUNK, 2 * CHUNK))
        .with_body(bytes.slice(CHUNK..2 * CHUNK))
        .on("PATCH /2", Reply::status(202))
        .with("content-range", range(2 * CHUNK, 2 * CHUNK + 5))
        .with_body(bytes.slice(2 * CHUNK..))
        .on("PUT /2?digest=*", created(&bytes))
        .with("content-length", "0")
        .on("HEAD /v2/app/blobs/*", head(bytes.len()))
        .start()
        .await;
    assert_eq!(push(&chunked(anonymous(script.address())), &bytes).await.expect("a push"), Pushed::Uploaded);
    script.finish();
}

#[tokio::test]
async fn a_registry_that_asks_for_chunks_gets_them() {
    let bytes = bytes(CHUNK + 1);
    let open =
        open().header("oci-chunk-min-length", CHUNK.to_string()).header("oci-chunk-max-length", CHUNK.to_string());
    let script = Script::new()
        .on("HEAD /v2/app/blobs/*", head(bytes.len()))
        .on("POST /v2/app/blobs/uploads/*", open)
        .on_each("PATCH /u", [Reply::status(202), Reply::status(202)])
        .on("PUT /u?digest=*", Reply::status(201))
        .start()
        .await;
    assert_eq!(push(&anonymous(script.address()), &bytes).await.expect("a push"), Pushed::Uploaded);
    let lengths: Vec<_> = script.seen().iter().map(|seen| seen.body.len()).collect();
    assert_eq!(lengths, [0, CHUNK, 1, 0, 0]);
    script.finish();
}

#[tokio::test]
async fn too_large_a_blob_goes_up_in_chunks() {
    let bytes = bytes(4 * CHUNK);
    for refusal in [413, 416] {
        let script = Script::new()
            .on("HEAD /v2/app/blobs/*", head(bytes.len()))
            .on_each("POST /v2/app/blobs/uploads/*", [open(), open()])
            .on("PUT /u?digest=*", Reply::status(refusal).unread())
            .on("DELETE /u", Reply::status(204))
            .on_each("PATCH /u", (0..4).map(|_| Reply::status(202)))
            .on("PUT /u?digest=*", created(&bytes))
            .start()
            .await;
        assert_eq!(push(&anonymous(script.address()), &bytes).await.expect("a push"), Pushed::Uploaded, "{refusal}");
        script.finish();
    }
}

#[tokio::test]
async fn a_registry_that_takes_chunks_alone_gets_chunks() {
    let bytes = bytes(10);
    for refusal in [405, 501] {
        let script = Script::new()
            .on("HEAD /v2/app/blobs/*", head(bytes.len()))
            .on_each("POST /v2/app/blobs/uploads/*", [open(), open()])
            .on("PUT /u?digest=*", Reply::status(refusal))
            .on("DELETE /u", Reply::status(204))
            .on("PATCH /u", Reply::status(202))
            .with_body(bytes.clone())
            .on("PUT /u?digest=*", Reply::status(201))
            .with_body("")
            .start()
            .await;
        assert_eq!(push(&anonymous(script.address()), &bytes).await.expect("a push"), Pushed::Uploaded, "{refusal}");
        script.finish();
    }
}

#[tokio::test]
async fn a_conflict_is_settled_by_the_status() {
    let bytes = bytes(2 * CHUNK);
    let script = keeping(bytes.len())
        .on("PATCH /u", Reply::status(202).header("range", format!("0-{}", CHUNK - 1)))
        .on("PATCH /u", Reply::refusal(416, "RANGE_INVALID", "no"))
        .on("GET /u", status(format_args!("0-{}", CHUNK - 6)).header("location", "/v"))
        .on("PATCH /v", Reply::status(202))
        .with("content-range", format!("{}-{}", CHUNK - 5, 2 * CHUNK - 6))
        .with_body(bytes.slice(CHUNK - 5..2 * CHUNK - 5))
        .on("PATCH /v", Reply::status(202))
        .with_body(bytes.slice(2 * CHUNK - 5..))
        .on("PUT /v?digest=*", created(&bytes))
        .start()
        .await;
    assert_eq!(push(&chunked(anonymous(script.address())), &bytes).await.expect("a push"), Pushed::Uploaded);
    script.finish();
}

#[tokio::test]
async fn a_broken_upload_goes_on_where_it_broke() {
    let bytes = bytes(CHUNK);
    for broken in [Reply::reset(), Reply::close(), Reply::status(503), Reply::status(429).header("retry-after", "0")] {
        let script = keeping(bytes.len())
            .on("PUT /u?digest=*", broken)
            .on("GET /u", status("0-999"))
            .on("PATCH /u", Reply::status(202))
            .with("content-range", format!("1000-{}", CHUNK - 1))
            .with_body(bytes.slice(1000..))
            .on("PUT /u?digest=*", created(&bytes))
            .with_body("")
            .start()
            .await;
        assert_eq!(push(&anonymous(script.address()), &bytes).await.expect("a push"), Pushed::Uploaded);
        script.finish();
    }
}

#[tokio::test]
async fn a_lost_answer_is_not_a_lost_blob() {
    let bytes = bytes(CHUNK);
    let script = keeping(bytes.len())
        .on("PUT /u?digest=*", Reply::close())
        .on("GET /u", Reply::refusal(404, "BLOB_UPLOAD_UNKNOWN", "it is closed"))
        .start()
        .await;
    assert_eq!(push(&anonymous(script.address()), &bytes).await.expect("a push"), Pushed::Uploaded);
    script.finish();
}

#[tokio::test]
async fn breaks_without_progress_end_and_the_session_is_cancelled() {
    let bytes = bytes(CHUNK);
    let script = script()
        .on_each("PUT /u?digest=*", (0..5).map(|_| Reply::status(503)))
        .on_each("GET /u", (0..4).map(|_| status("0-0")))
        .on("DELETE /u", Reply::status(204))
        .start()
        .await;
    let error = push(&anonymous(script.address()), &bytes).await.expect_err("an end");
    assert!(matches!(&error, Error::Refused(refused) if refused.status == 503), "{error}");
    script.finish();
}

#[tokio::test]
async fn a_refusal_cancels_the_session() {
    let bytes = bytes(10);
    let script = script()
        .on("PUT /u?digest=*", Reply::refusal(403, "DENIED", "read only").header("location", "/other"))
        .on_each("DELETE /u", (0..3).map(|_| Reply::status(500)))
        .start()
        .await;
    let error = push(&anonymous(script.address()), &bytes).await.expect_err("a refusal");
    assert!(error.to_string().contains("403 Forbidden: DENIED: read only"), "{error}");
    assert!(error.is_denied());
    script.finish();
}

/// One hiccup was enough to leave a session behind.
#[tokio::test]
async fn r3_a_session_is_cancelled_at_the_second_attempt() {
    let bytes = bytes(10);
    for hiccup in [Reply::close(), Reply::reset(), Reply::status(503)] {
        let script = script()
            .on("PUT /u?digest=*", Reply::refusal(403, "DENIED", "read only"))
            .on_each("DELETE /u", [hiccup, Reply::status(204)])
            .start()
            .await;
        let error = push(&anonymous(script.address()), &bytes).await.expect_err("a refusal");
        assert!(error.is_denied(), "{error}");
        script.finish();
    }
}

#[tokio::test]
async fn what_was_stored_is_proved() {
    let bytes = bytes(10);
    let other = Digest::of_with(Algorithm::Sha512, &bytes).to_string();
    for (closed, heads, rule) in [
        (Reply::status(201), vec![head(9)], "another number of bytes"),
        (Reply::status(201), vec![Reply::status(404)], "does not have it"),
        (Reply::status(201).header("docker-content-digest", other), vec![], "another digest"),
    ] {
        let script = script().on("PUT /u?digest=*", closed).on_each("HEAD /v2/app/blobs/*", heads).start().await;
        let error = push(&anonymous(script.address()), &bytes).await.expect_err("a lie");
        assert!(matches!(error, Error::Protocol(_)) && error.to_string().contains(rule), "{error}");
        script.finish();
    }
}

#[tokio::test]
async fn other_algorithms_are_pushed_by_their_names() {
    let bytes = bytes(10);
    let digest = Digest::of_with(Algorithm::Sha512, &bytes);
    let script = Script::new()
        .on("POST /v2/app/blobs/uploads/?mount=sha512:*&from=app&digest-algorithm=sha512", open())
        .on("PUT /u?digest=sha512:*", Reply::status(201).header("docker-content-digest", digest.to_string()))
        .start()
        .await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("blob");
    std::fs::write(&path, &bytes).expect("a file");
    let blob = Blob::file(Descriptor::new(MediaType::OCTET_STREAM, digest, 10), path);
    let pushed = anonymous(script.address()).push_blob(&blob).await;
    assert_eq!(pushed.expect("a push"), Pushed::Uploaded);
    script.finish();
}

#[tokio::test]
async fn another_host_gets_the_bytes_and_no_credentials() {
    let bytes = bytes(CHUNK);
    let storage =
        Script::new().on("PUT /up?sig=a%2Fb&digest=*", created(&bytes)).without("authorization").start().await;
    let location = storage.uri("/up?sig=a%2Fb").to_string();
    let script = Script::new()
        .on("POST /v2/app/blobs/uploads/*", Reply::status(401).header("www-authenticate", "Basic realm=\"r\""))
        .on("POST /v2/app/blobs/uploads/*", Reply::status(202).header("location", location))
        // `ada:lovelace`
        .with("authorization", "Basic YWRhOmxvdmVsYWNl")
        .start()
        .await;
    assert_eq!(push(&known(script.address()), &bytes).await.expect("a push"), Pushed::Uploaded);
    script.finish();
    storage.finish();
}

#[tokio::test]
async fn a_source_that_changes_is_blamed_and_the_session_cancelled() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("blob");
    let bytes = bytes(CHUNK);
    std::fs::write(&path, &bytes[..10]).expect("a file");
    let blob = Blob::file(Descriptor::of(MediaType::OCTET_STREAM, &bytes), path);
    let script =
        script().always("PUT /u?digest=*", Reply::status(500)).on("DELETE /u", Reply::status(204)).start().await;
    let error = anonymous(script.address()).push_blob(&blob).await.expect_err("too short a file");
    assert!(matches!(error, Error::Io(_)), "{error}");
    script.finish();
}

#[tokio::test]
async fn a_dropped_upload_is_tidied_up() {
    let bytes = bytes(CHUNK);
    let script = script().on("PUT /u?digest=*", Reply::stall()).on("DELETE /u", Reply::status(204)).start().await;
    let repository = anonymous(script.address());
    let seen = async {
        while script.seen().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        outcome = push(&repository, &bytes) => panic!("the registry never answers: {outcome:?}"),
        () = seen => {}
    }
    repository.tidy().await;
    repository.tidy().await;
    script.finish();
}

#[tokio::test]
async fn what_a_registry_only_seems_to_have_is_pushed_again() {
    let upstream = Embedded::start().await;
    let lies = |status| (0..100).map(move |_| Meddle::Instead(Reply::status(status)));
    let refusal = Reply::refusal(400, "MANIFEST_BLOB_UNKNOWN", "no such blob");
    let front = Front::before(upstream.address())
        .meddle("POST /v2/apps/site/blobs/uploads/?mount=*", lies(201))
        .meddle("HEAD /v2/apps/site/blobs/*", lies(200))
        .meddle("PUT /v2/apps/site/manifests/*", [Meddle::Instead(refusal)])
        .start()
        .await;
    let cli = Cli::new();
    scenario::push(&cli, &scenario::app("static-site"), &format!("{}/apps/site:v1", front.registry()), &[]).await;
    let wire = front.wire();
    assert_eq!(wire.count("PUT /v2/apps/site/manifests/v1"), 2, "{:?}", wire.lines());
    scenario::pull(&cli, &upstream.reference("apps/site:v1"), &[]).await;
}

/// Virtual repositories of Artifactory answered so to every first push, which ended there.
#[tokio::test]
async fn r3_what_is_forbidden_to_know_counts_as_absent_for_a_push() {
    let forbidden = || Reply::refusal(403, "DENIED", "forbidden");
    let script = Script::new()
        .always("HEAD /v2/app/manifests/*", forbidden())
        .always("GET /v2/app/manifests/*", forbidden())
        .start()
        .await;
    let repository = anonymous(script.address());
    let descriptor = Descriptor::of(MediaType::IMAGE_MANIFEST, b"{}");
    let tagged = repository.tagged(&"v1".parse().expect("a tag"), &descriptor).await.expect("no error");
    assert!(matches!(tagged, Tagged::Unknown), "{tagged:?}");
    assert!(!repository.exists(&descriptor).await.expect("no error"));
    let error = repository.manifest(&Identifier::Digest(descriptor.digest)).await.expect_err("a pull says why");
    assert!(error.is_denied(), "{error}");
    script.finish();
}

#[tokio::test]
async fn errors_say_what_was_refused() {
    let bytes = bytes(10);
    let name_unknown = Reply::refusal(404, "NAME_UNKNOWN", "create it first");
    // As a mount, and as what it is.
    let script = Script::new().always("POST /v2/app/blobs/uploads/*", name_unknown).start().await;
    let error = push(&anonymous(script.address()), &bytes).await.expect_err("no repository");
    assert!(matches!(&error, Error::NotFound(missing) if missing.what == "repository `app`"), "{error}");
    assert_eq!(error.code(), Some(&spinreg::model::ErrorCode::NameUnknown));
    script.finish();
    let script = Script::new()
        .always("POST /v2/app/blobs/uploads/*", Reply::status(202).header("location", "ftp://127.0.0.1/?secret"))
        .start()
        .await;
    let error = push(&anonymous(script.address()), &bytes).await.expect_err("no way");
    assert!(matches!(error, Error::Protocol(_)), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    script.finish();
}
