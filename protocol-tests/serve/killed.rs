//! SIGKILL at random moments: whatever was acknowledged is there after a restart, with the right bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use spinreg::content::Body;
use spinreg::model::{Algorithm, Digest};
use tokio::sync::Notify;

use super::http::{Answer, send};
use crate::support::chance::chance;
use crate::support::cli::Cli;
use crate::support::files_below;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// How often the registry is killed.
const ROUNDS: usize = 6;
/// How many clients push at a time, each into a repository of its own, so that it knows what has to be there.
const WRITERS: usize = 6;
/// How many acknowledgements there are at most before it is killed.
const ACKNOWLEDGED: usize = 90;

/// What a client was told.
#[derive(Default)]
struct Book {
    /// `blobs/sha256:…` and `manifests/sha256:…`, and what is there.
    content: BTreeMap<String, Vec<u8>>,
    deleted: BTreeSet<String>,
    tags: BTreeMap<String, String>,
    /// Upload sessions, and how many bytes of them were taken.
    sessions: BTreeMap<String, usize>,
    /// What the answer was not heard about: it may be so or not.
    unsure: BTreeSet<String>,
}

/// Counts what is acknowledged; at some moment somebody waits for it.
struct Moment {
    left: AtomicUsize,
    come: Notify,
}

impl Moment {
    fn count(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.come.notify_one();
        }
    }
}

struct Writer {
    name: String,
    address: SocketAddr,
    random: fastrand::Rng,
    book: Book,
    moment: Arc<Moment>,
}

impl Writer {
    /// Pushes and deletes until the registry is gone.
    async fn work(mut self) -> Self {
        while self.step().await.is_some() {
            self.moment.count();
        }
        self
    }

    async fn step(&mut self) -> Option<()> {
        let length = self.random.usize(..60_000);
        match self.random.u8(..10) {
            0..5 => self.blob(length).await.map(drop),
            5..8 => self.manifest().await,
            8 => self.delete().await,
            _ => self.session(length).await,
        }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Option<Answer> {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/v2/{}/{path}", self.name) };
        send(self.address, method, &path, headers, Body::from_bytes(body)).await.ok()
    }

    async fn blob(&mut self, length: usize) -> Option<Digest> {
        let content: Vec<u8> = std::iter::repeat_with(|| self.random.u8(..)).take(length).collect();
        let algorithm = if self.random.bool() { Algorithm::Sha256 } else { Algorithm::Sha512 };
        let digest = Digest::of_with(algorithm, &content);
        let answer = if self.random.bool() {
            self.ask("POST", &format!("blobs/uploads/?digest={digest}"), &[], content.clone()).await?
        } else {
            let at = self.ask("POST", "blobs/uploads/", &[], Vec::new()).await?.header("location").to_owned();
            let (first, last) = content.split_at(length / 2);
            assert_eq!(self.ask("PATCH", &at, &[], first.to_vec()).await?.status, 202);
            self.ask("PUT", &format!("{at}?digest={digest}"), &[], last.to_vec()).await?
        };
        assert_eq!(answer.status, 201);
        self.book.content.insert(format!("blobs/{digest}"), content);
        Some(digest)
    }

    async fn manifest(&mut self) -> Option<()> {
        let mut needs = Vec::new();
        for length in [2, 300] {
            needs.push(self.blob(length).await?);
        }
        let [config, layer] =
            [0, 1].map(|n| format!(r#"{{"mediaType":"a/b","digest":"{}","size":{}}}"#, needs[n], [2, 300][n]));
        let text = format!(r#"{{"schemaVersion":2,"mediaType":"{IMAGE}","config":{config},"layers":[{layer}]}}"#);
        let digest = Digest::of(text.as_bytes());
        let tag = format!("manifests/t{}", self.random.u8(..5));
        self.book.unsure.insert(tag.clone());
        let answer = self.ask("PUT", &tag, &[("content-type", IMAGE)], text.clone().into_bytes()).await?;
        assert_eq!(answer.status, 201);
        self.book.unsure.remove(&tag);
        self.book.content.insert(format!("manifests/{digest}"), text.into_bytes());
        self.book.tags.insert(tag, digest.to_string());
        Some(())
    }

    /// Deletes a manifest, or a tag; blobs are needed by manifests.
    async fn delete(&mut self) -> Option<()> {
        let manifests: Vec<String> =
            self.book.content.keys().filter(|path| path.starts_with("manifests/")).cloned().collect();
        let (Some(manifest), Some(tag)) =
            (self.random.choice(&manifests), self.random.choice(self.book.tags.keys().cloned().collect::<Vec<_>>()))
        else {
            return self.blob(10).await.map(drop);
        };
        if self.random.bool() {
            self.book.unsure.insert(tag.clone());
            assert_eq!(self.ask("DELETE", &tag, &[], Vec::new()).await?.status, 202);
            self.book.unsure.remove(&tag);
            self.book.tags.remove(&tag);
            return Some(());
        }
        let digest = manifest.trim_start_matches("manifests/").to_owned();
        let gone: Vec<String> =
            self.book.tags.iter().filter(|(_, named)| **named == digest).map(|(tag, _)| tag.clone()).collect();
        self.book.unsure.extend(gone.iter().chain([manifest]).cloned());
        assert_eq!(self.ask("DELETE", manifest, &[], Vec::new()).await?.status, 202);
        for path in gone.iter().chain([manifest]) {
            self.book.unsure.remove(path);
            self.book.tags.remove(path);
        }
        self.book.content.remove(manifest);
        self.book.deleted.insert(manifest.clone());
        Some(())
    }

    async fn session(&mut self, length: usize) -> Option<()> {
        let at = self.ask("POST", "blobs/uploads/", &[], Vec::new()).await?.header("location").to_owned();
        self.book.sessions.insert(at.clone(), 0);
        assert_eq!(self.ask("PATCH", &at, &[], vec![7; length.max(1)]).await?.status, 202);
        self.book.sessions.insert(at, length.max(1));
        Some(())
    }

    /// Compares what the registry says now with what it has said before.
    async fn check(&mut self, address: SocketAddr) {
        self.address = address;
        let ask = async |path: &str| self.ask("GET", path, &[], Vec::new()).await.expect("the registry is back");
        for (path, content) in &self.book.content {
            let found = ask(path).await;
            if !self.book.unsure.contains(path) {
                assert!(found.status == 200 && found.body == *content, "{}/{path}: {}", self.name, found.status);
            }
        }
        for path in &self.book.deleted {
            assert_eq!(ask(path).await.status, 404, "{}/{path} was deleted", self.name);
        }
        for (tag, digest) in &self.book.tags {
            let found = ask(tag).await;
            if !self.book.unsure.contains(tag) {
                assert_eq!(found.header("docker-content-digest"), digest, "{}/{tag}", self.name);
            }
        }
        for (at, taken) in &self.book.sessions {
            let status = ask(at).await;
            let range = status.header("range");
            let last: usize = range.trim_start_matches("0-").parse().expect("a range");
            assert!(status.status == 204 && last + 1 >= *taken, "{range}, where {taken} bytes were taken");
        }
        // What nobody is sure about is one or the other from now on.
        let unsure = std::mem::take(&mut self.book.unsure);
        for path in unsure {
            let found = self.ask("GET", &path, &[], Vec::new()).await.expect("the registry is back");
            if path.starts_with("manifests/t") {
                let digest = found.header("docker-content-digest").to_owned();
                match found.status {
                    200 => {
                        self.book.content.insert(format!("manifests/{digest}"), found.body.to_vec());
                        self.book.tags.insert(path, digest);
                    }
                    status => {
                        assert_eq!(status, 404);
                        self.book.tags.remove(&path);
                    }
                }
            } else if found.status == 404 {
                self.book.content.remove(&path);
            }
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives() {
    let mut random = chance("killed registry");
    let cli = Cli::new();
    let mut serving = cli.serve().await;
    let mut books: Vec<Book> = (0..WRITERS).map(|_| Book::default()).collect();
    for round in 0..ROUNDS {
        let count = random.usize(1..ACKNOWLEDGED);
        eprintln!("round {round}: killed after {count} acknowledgements");
        let moment = Arc::new(Moment { left: AtomicUsize::new(count), come: Notify::new() });
        let address = serving.registry().parse().expect("an address");
        let working = books.drain(..).enumerate().map(|(n, book)| {
            let (random, moment) = (random.fork(), moment.clone());
            tokio::spawn(Writer { name: format!("team/app{n}"), address, random, book, moment }.work())
        });
        let working: Vec<_> = working.collect();
        moment.come.notified().await;
        serving.kill().await;
        serving = cli.serve().await;
        let address = serving.registry().parse().expect("an address");
        for writer in working {
            let mut writer = writer.await.expect("a client that was refused nothing");
            writer.check(address).await;
            books.push(writer.book);
        }
    }
    assert!(books.iter().map(|book| book.content.len()).sum::<usize>() > ROUNDS, "hardly anything was pushed");
    // Nothing is left of what was under way, but for what it takes to go on; and that goes too.
    serving.kill().await;
    let root = cli.path("data/registry");
    let directory = root.to_str().expect("UTF-8");
    cli.run(["serve", "gc", directory, "--keep-recent", "0s"]).await.success();
    assert_clean(&root);
    let serving = cli.serve().await;
    let address = serving.registry().parse().expect("an address");
    for (n, mut book) in books.into_iter().enumerate() {
        book.sessions.clear();
        book.content.retain(|path, _| path.starts_with("manifests/"));
        let needed: Vec<String> = book.content.values().flat_map(|text| digests(text)).collect();
        let moment = Arc::new(Moment { left: AtomicUsize::new(0), come: Notify::new() });
        let mut writer = Writer { name: format!("team/app{n}"), address, random: random.fork(), book, moment };
        writer.check(address).await;
        for digest in needed {
            let found = writer.ask("GET", &format!("blobs/{digest}"), &[], Vec::new()).await.expect("it runs");
            let digest: Digest = digest.parse().expect("a digest");
            assert_eq!(Digest::of_with(digest.algorithm(), &found.body), digest);
        }
    }
}

/// Returns what a manifest needs.
fn digests(manifest: &[u8]) -> Vec<String> {
    let manifest: serde_json::Value = serde_json::from_slice(manifest).expect("a manifest");
    let layers = manifest["layers"].as_array().expect("layers");
    let needs = layers.iter().chain([&manifest["config"]]);
    needs.map(|needed| needed["digest"].as_str().expect("a digest").to_owned()).collect()
}

/// Holds every blob to its name; there is nothing else than what a layout has.
fn assert_clean(root: &Path) {
    for path in files_below(root) {
        let below = path.strip_prefix(root).expect("it is below").to_str().expect("UTF-8").to_owned();
        match below.split_once("/blobs/") {
            Some((_, blob)) => {
                let bytes = std::fs::read(&path).expect("a blob");
                let digest: Digest = blob.replace('/', ":").parse().expect("a digest");
                assert_eq!(Digest::of_with(digest.algorithm(), &bytes), digest);
            }
            None => {
                let name = below.rsplit('/').next().expect("a name");
                assert!(matches!(name, "index.json" | "oci-layout") || name.ends_with(".lock"), "`{below}` is left");
            }
        }
    }
}
