//! Collecting garbage: what is needed stays, beside whatever else goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use spinreg::content::{Body, Source as _};
use spinreg::model::{Digest, Identifier, Manifest};
use spinreg::store::{Action, Collected, Garbage, Layout, Untagged};

use super::{Served, bytes, temporary};
use crate::support::chance::chance;
use crate::support::cli::Cli;
use crate::support::files_below;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn at_once(untagged: Untagged) -> Garbage {
    let mut garbage = Garbage::default();
    (garbage.keep_recent, garbage.untagged) = (Duration::ZERO, untagged);
    garbage
}

/// What was pushed, and how it hangs together.
#[derive(Default)]
struct Model {
    blobs: BTreeMap<Digest, Vec<u8>>,
    manifests: BTreeMap<Digest, (String, BTreeSet<Digest>, Option<Digest>)>,
    tags: BTreeMap<String, Digest>,
}

impl Model {
    async fn blob(&mut self, served: &Served, name: &str, content: Vec<u8>) -> Digest {
        let digest = Digest::of(&content);
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        assert_eq!(served.send("POST", &path, &[], Body::from_bytes(content.clone())).await.status, 201);
        self.blobs.insert(digest, content);
        digest
    }

    /// Pushes an image of these blobs, or an index of these manifests; under a tag or by its digest.
    async fn manifest(
        &mut self,
        served: &Served,
        media_type: &str,
        needs: &[Digest],
        subject: Option<Digest>,
        tag: Option<&str>,
    ) -> Digest {
        let of = if media_type == IMAGE { "application/octet-stream" } else { IMAGE };
        let described: Vec<_> =
            needs.iter().map(|digest| format!(r#"{{"mediaType":"{of}","digest":"{digest}","size":1}}"#)).collect();
        let subject_json = subject
            .map(|digest| format!(r#""subject":{{"mediaType":"{IMAGE}","digest":"{digest}","size":1}},"#))
            .unwrap_or_default();
        let content = match media_type {
            IMAGE => format!(r#""config":{},"layers":[{}]"#, described[0], described[1..].join(",")),
            _ => format!(r#""manifests":[{}]"#, described.join(",")),
        };
        let text = format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}",{subject_json}{content}}}"#);
        let digest = Digest::of(text.as_bytes());
        let reference = tag.map_or(digest.to_string(), str::to_owned);
        let path = format!("/v2/app/manifests/{reference}");
        let body = Body::from_bytes(text.clone());
        assert_eq!(served.send("PUT", &path, &[("content-type", media_type)], body).await.status, 201);
        self.manifests.insert(digest, (text, needs.iter().copied().collect(), subject));
        if let Some(tag) = tag {
            self.tags.insert(tag.to_owned(), digest);
        }
        digest
    }

    /// Returns what has to stay.
    fn needed(&self, untagged: Untagged) -> BTreeSet<Digest> {
        let mut left: Vec<Digest> = match untagged {
            Untagged::Keep => self.manifests.keys().copied().collect(),
            Untagged::Remove => self.tags.values().copied().collect(),
        };
        let mut needed = BTreeSet::new();
        while let Some(digest) = left.pop() {
            if !needed.insert(digest) {
                continue;
            }
            if let Some((_, needs, subject)) = self.manifests.get(&digest) {
                left.extend(needs);
                left.extend(subject);
            }
            left.extend(self.manifests.iter().filter(|(_, entry)| entry.2 == Some(digest)).map(|(digest, _)| digest));
        }
        needed
    }

    /// Holds the registry to the model: what is needed is there with its bytes, and nothing else is.
    async fn assert_kept(&self, served: &Served, needed: &BTreeSet<Digest>) {
        for (digest, content) in &self.blobs {
            let found = served.ask("GET", &format!("/v2/app/blobs/{digest}")).await;
            assert_eq!(found.status, if needed.contains(digest) { 200 } else { 404 }, "blob {digest}");
            assert!(found.status == 404 || found.body == *content);
        }
        for (digest, (text, ..)) in &self.manifests {
            let found = served.ask("GET", &format!("/v2/app/manifests/{digest}")).await;
            assert_eq!(found.status, if needed.contains(digest) { 200 } else { 404 }, "manifest {digest}");
            assert!(found.status == 404 || found.body == *text);
        }
        let tags = served.ask("GET", "/v2/app/tags/list").await.json()["tags"].clone();
        assert_eq!(tags, serde_json::json!(self.tags.keys().collect::<Vec<_>>()));
    }
}

#[tokio::test]
async fn a_random_repository_keeps_what_is_needed() {
    let mut random = chance("garbage");
    for untagged in [Untagged::Keep, Untagged::Remove, Untagged::Keep, Untagged::Remove] {
        let root = temporary();
        let served = Served::over(root.path()).await;
        let mut model = Model::default();
        let mut blobs = Vec::new();
        for n in 0..20u32 {
            blobs.push(model.blob(&served, "app", n.to_be_bytes().repeat(random.usize(1..50))).await);
        }
        for n in 0..25 {
            let tag = random.bool().then(|| format!("t{}", random.u8(..6)));
            let known: Vec<Digest> = model.manifests.keys().copied().collect();
            let missing = Digest::of(&[n]);
            let subject = match random.u8(..4) {
                0 if !known.is_empty() => Some(known[random.usize(..known.len())]),
                1 => Some(missing),
                _ => None,
            };
            let is_index = random.u8(..3) == 0 && !known.is_empty();
            let (media_type, from) = if is_index { (INDEX, &known) } else { (IMAGE, &blobs) };
            let needs: Vec<Digest> = (0..random.usize(1..4)).map(|_| from[random.usize(..from.len())]).collect();
            model.manifest(&served, media_type, &needs, subject, tag.as_deref()).await;
        }
        let layout = Layout::open(root.path().join("app")).await.expect("a layout");
        let mut report = at_once(untagged);
        report.action = Action::Report;
        let before = files_below(root.path());
        let told = layout.collect(&report).await.expect("it reads");
        assert_eq!(files_below(root.path()), before, "a report changes nothing");
        let mut recent = at_once(untagged);
        recent.keep_recent = Duration::from_secs(3_600);
        assert_eq!(layout.collect(&recent).await.expect("it reads"), Collected::default(), "everything is recent");

        let collected = layout.collect(&at_once(untagged)).await.expect("it collects");
        assert_eq!(collected, told);
        let needed = model.needed(untagged);
        let lost = |digests: Vec<&Digest>| digests.into_iter().filter(|digest| !needed.contains(digest)).count() as u64;
        assert_eq!(collected.blobs.files, lost(model.blobs.keys().collect()));
        assert_eq!(collected.manifests.files, lost(model.manifests.keys().collect()));
        model.assert_kept(&served, &needed).await;
        assert_eq!(layout.collect(&at_once(untagged)).await.expect("it collects"), Collected::default());
    }
}

#[tokio::test]
async fn a_push_beside_a_collection_loses_nothing() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let mut model = Model::default();
    let shared = model.blob(&served, "app", bytes(1000)).await;
    let layout = Layout::open(root.path().join("app")).await.expect("a layout");
    // What nobody needs yet is old; a client asks whether it is there, and relies on the answer.
    let mut garbage = at_once(Untagged::Remove);
    garbage.keep_recent = Duration::from_secs(600);
    let mut random = chance("a push beside a collection");
    for round in 0..30u32 {
        age(&layout.blob_path(&shared), garbage.keep_recent * 2);
        let collecting = async {
            for _ in 0..3 {
                layout.collect(&garbage).await.expect("it collects");
            }
        };
        let pushing = async {
            for _ in 0..random.u32(..200) {
                tokio::task::yield_now().await;
            }
            let there = served.ask("HEAD", &format!("/v2/app/blobs/{shared}")).await.status;
            if there == 404 {
                model.blob(&served, "app", bytes(1000)).await;
            }
            let own = model.blob(&served, "app", round.to_be_bytes().to_vec()).await;
            model.manifest(&served, IMAGE, &[shared, own], None, Some("v1")).await
        };
        let ((), pushed) = tokio::join!(collecting, pushing);
        layout.collect(&garbage).await.expect("it collects");
        for path in [format!("manifests/{pushed}"), "manifests/v1".to_owned(), format!("blobs/{shared}")] {
            assert_eq!(served.ask("GET", &format!("/v2/app/{path}")).await.status, 200, "{path} in round {round}");
        }
        // The next round begins with a blob that nobody needs.
        assert_eq!(served.ask("DELETE", &format!("/v2/app/manifests/{pushed}")).await.status, 202);
    }
}

#[tokio::test]
async fn sessions_expire_and_others_go_on() {
    let root = temporary();
    let expiry = Duration::from_secs(600);
    let registry = spinreg::serve::Registry::open(root.path()).await.expect("a directory").with_upload_expiry(expiry);
    let served = Served::serving(registry.clone()).await;
    let mut open = Vec::new();
    for n in 0..4 {
        let at = served.ask("POST", "/v2/app/blobs/uploads/").await.header("location").to_owned();
        if n % 2 == 0 {
            assert_eq!(served.send("PATCH", &at, &[], Body::from_bytes("abc")).await.status, 202);
        }
        open.push(at);
    }
    assert_eq!(registry.sweep().await.expect("it sweeps").files, 0);
    let partial = |at: &str| root.path().join("app/.spinreg/partial").join(format!("session-{}", &at[at.len() - 32..]));
    for at in &open[..2] {
        age(&partial(at), expiry * 2);
    }
    // The first one has a writer, who may go on any moment: it is not swept by this process, or another one, as long as
    // it is at hand.
    assert_eq!(registry.sweep().await.expect("it sweeps").files, 1);
    let status = async |at: &str| served.ask("GET", at).await.status;
    assert_eq!((status(&open[0]).await, status(&open[1]).await, status(&open[3]).await), (204, 404, 204));
    let restarted = spinreg::serve::Registry::open(root.path()).await.expect("a directory").with_upload_expiry(expiry);
    served.stop().await;
    drop(registry);
    assert_eq!(restarted.sweep().await.expect("it sweeps").files, 1);
    let served = Served::serving(restarted).await;
    let status = async |at: &str| served.ask("GET", at).await.status;
    assert_eq!((status(&open[0]).await, status(&open[2]).await, status(&open[3]).await), (404, 204, 204));
    let closing = format!("{}?digest={}", open[2], Digest::of(b"abc"));
    assert_eq!(served.ask("PUT", &closing).await.status, 201);
}

#[tokio::test]
async fn what_killed_processes_leave_is_collected() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let mut model = Model::default();
    let config = model.blob(&served, "app", b"{}".to_vec()).await;
    model.manifest(&served, IMAGE, &[config], None, Some("v1")).await;
    let app = root.path().join("app");
    std::fs::write(app.join(".spinreg-Xyz123"), "half an index").expect("a file");
    let partials = app.join(".spinreg/partial");
    for name in [format!("sha256-{}", Digest::of(b"x").hex()), "session-old".to_owned()] {
        std::fs::write(partials.join(&name), "half").expect("a file");
        age(&partials.join(name), Duration::from_secs(100_000));
    }
    std::fs::write(app.join("README"), "not ours").expect("a file");
    std::fs::write(app.join("blobs/sha256/notes.txt"), "not ours").expect("a file");
    let layout = Layout::open(&app).await.expect("a layout");
    let collected = layout.collect(&Garbage::default()).await.expect("it collects");
    assert_eq!((collected.partials.files, collected.partials.bytes, collected.blobs.files), (3, 21, 0));
    assert!(files_below(&partials).is_empty());
    assert!(app.join("README").is_file() && app.join("blobs/sha256/notes.txt").is_file());
    model.assert_kept(&served, &model.needed(Untagged::Keep)).await;
}

#[tokio::test]
async fn a_damaged_manifest_stops_the_collection() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let mut model = Model::default();
    let config = model.blob(&served, "app", b"{}".to_vec()).await;
    let unneeded = model.blob(&served, "app", b"unneeded".to_vec()).await;
    let manifest = model.manifest(&served, IMAGE, &[config], None, Some("v1")).await;
    let layout = Layout::open(root.path().join("app")).await.expect("a layout");
    let path = layout.blob_path(&manifest);
    let damaged = std::fs::read_to_string(&path).expect("the manifest").replace("2", "3");
    std::fs::remove_file(&path).expect("the manifest");
    std::fs::write(&path, damaged).expect("a file");
    let error = layout.collect(&at_once(Untagged::Keep)).await.expect_err("nobody knows what it needs");
    assert!(matches!(error, spinreg::Error::Mismatch(_)), "{error}");
    assert_eq!(served.ask("HEAD", &format!("/v2/app/blobs/{unneeded}")).await.status, 200);
}

#[tokio::test]
async fn the_tool_collects_in_every_repository() {
    let cli = Cli::new();
    let root = cli.path("data/registry");
    let served = Served::over(&root).await;
    let mut model = Model::default();
    let config = model.blob(&served, "app", b"{}".to_vec()).await;
    let kept = model.manifest(&served, IMAGE, &[config], None, Some("v1")).await;
    let lost = model.manifest(&served, IMAGE, &[config, config], None, None).await;
    for name in ["app", "deep/er"] {
        let unneeded = model.blob(&served, name, vec![b'x'; 2048]).await;
        assert_eq!(served.ask("HEAD", &format!("/v2/{name}/blobs/{unneeded}")).await.status, 200);
    }
    let path = root.to_str().expect("UTF-8");
    let gc = async |more: &[&str]| {
        let arguments = ["serve", "gc", path].into_iter().chain(more.iter().copied());
        cli.run(arguments).await.success()
    };
    assert_eq!(gc(&[]).await, "removed 0 manifests, 0 blobs, 0 unfinished files: 0 B in 2 repositories\n");
    let told = gc(&["--keep-recent", "0s", "--dry-run"]).await;
    assert_eq!(
        told,
        "app: 0 manifests, 1 blob, 0 unfinished files: 2.00 KiB\n\
         deep/er: 0 manifests, 1 blob, 0 unfinished files: 2.00 KiB\n\
         would remove 0 manifests, 2 blobs, 0 unfinished files: 4.00 KiB in 2 repositories\n"
    );
    gc(&["--keep-recent", "0s", "--untagged", "-q"]).await;
    for (digest, status) in [(kept, 200), (lost, 404)] {
        assert_eq!(served.ask("GET", &format!("/v2/app/manifests/{digest}")).await.status, status);
    }
    // A layout that no registry has is collected, too.
    let layout = root.join("app");
    let alone = cli.run(["serve", "gc", layout.to_str().expect("UTF-8")]).await.success();
    assert!(alone.ends_with("in 1 repository\n"), "{alone}");
    let complaint = cli.run(["serve", "gc", "nowhere"]).await.failure(3);
    assert!(complaint.contains("nowhere"), "{complaint}");
    let complaint = cli.run(["serve", "gc", path, "--keep-recent", "1 week"]).await.failure(2);
    assert!(complaint.contains("an age is a number"), "{complaint}");
    let complaint = cli.run(["serve"]).await.failure(2);
    assert!(complaint.contains("--dir"), "{complaint}");
    let layout = Layout::open(layout).await.expect("a layout");
    let tag = Identifier::Tag("v1".parse().expect("a tag"));
    let manifest: Manifest = layout.manifest(&tag).await.expect("it is kept");
    assert_eq!(manifest.digest(), kept);
}

#[tokio::test]
async fn the_tool_collects_uploads_of_repositories_that_were_never_made() {
    let cli = Cli::new();
    let root = cli.path("data/registry");
    let served = Served::over(&root).await;
    let mut model = Model::default();
    model.blob(&served, "made", b"{}".to_vec()).await;
    let mut sessions = Vec::new();
    for name in ["made/below", "never/made", "young"] {
        let at = served.ask("POST", &format!("/v2/{name}/blobs/uploads/")).await.header("location").to_owned();
        assert_eq!(served.send("PATCH", &at, &[], Body::from_bytes("ten bytes.")).await.status, 202);
        sessions.push(at);
    }
    for name in ["made/below", "never/made"] {
        let [partial] = &files_below(&root.join(name).join(".spinreg/partial"))[..] else { panic!("one upload") };
        age(partial, Duration::from_secs(100_000));
    }
    // The registry that goes on with an upload holds its file.
    served.stop().await;
    let path = root.to_str().expect("UTF-8");
    let lines = "made/below: 0 manifests, 0 blobs, 1 unfinished file: 10 B\n\
         never/made: 0 manifests, 0 blobs, 1 unfinished file: 10 B\n";
    let told = cli.run(["serve", "gc", path, "--dry-run"]).await.success();
    assert_eq!(told, format!("{lines}would remove 0 manifests, 0 blobs, 2 unfinished files: 20 B in 1 repository\n"));
    let told = cli.run(["serve", "gc", path]).await.success();
    assert_eq!(told, format!("{lines}removed 0 manifests, 0 blobs, 2 unfinished files: 20 B in 1 repository\n"));
    assert!(!root.join("never").exists() && !root.join("made/below").exists());
    let served = Served::over(&root).await;
    let mut statuses = Vec::new();
    for at in &sessions {
        statuses.push(served.ask("GET", at).await.status);
    }
    assert_eq!(statuses, [404, 404, 204]);
}

/// Makes a file as old as that.
fn age(path: &Path, age: Duration) {
    let file = std::fs::File::open(path).expect("a file of the test");
    file.set_modified(SystemTime::now() - age).expect("our own file");
}
