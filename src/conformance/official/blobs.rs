//! Steps with blobs: every way to push them, reading, ranges, and lies about digests.

use bytes::Bytes;
use http::Method;
use http::header::RANGE;

use super::book::{Leaf, Subject};
use super::content::{Blob, Content, Embedding};
use super::judge::{Fault, Presence, Verdict};
use super::run::{Came, Run, Tape, key};
use super::uploads::{Chunks, LEAST, Last, Order, Truth, Upload, room};
use super::wire::blob_path;
use crate::conformance::verdict::{Api, DataSet, Status};
use crate::model::{Algorithm, Digest, MediaType, Name};

/// A way to push one blob.
#[derive(Clone, Copy)]
enum Way {
    PostOnly,
    PostPut,
    Chunked(Chunks),
    Stream,
    Mount,
    AnonymousMount,
    MissingMount,
    Cancel,
}

impl Run<'_> {
    /// Takes all steps with blobs of an algorithm.
    pub(super) async fn blobs(&mut self, algorithm: Algorithm) {
        let label = match algorithm {
            Algorithm::Sha256 => DataSet::BlobsSha256,
            Algorithm::Sha512 => DataSet::BlobsSha512,
        };
        let group = format!("{algorithm} blobs");
        if !self.settings.apis.push {
            self.switched_off(&group, label, Api::BlobPush);
            return;
        }
        if !self.book.enter(&group) {
            return;
        }
        let mut content = self.maker.content(algorithm);
        self.get_missing(label, algorithm).await;
        let mut least = LEAST;
        for (name, way) in WAYS {
            let length = match way {
                Way::Chunked(_) if *name != SINGLE => least * 3 - 5,
                _ => 512,
            };
            if self.book.enter(name) {
                let digest = self.random(&mut content, length);
                let asked = self.one_way(label, &content, &digest, *way).await;
                least = least.max(asked.filter(|_| *name == SINGLE).unwrap_or_default());
                self.book.leave();
            }
        }
        self.ranges(label, &mut content).await;
        let known: [(&str, &'static [u8]); 2] = [("empty", b""), ("emptyJSON", b"{}")];
        for (name, bytes) in known {
            if name == "empty" && !self.settings.data.empty_blob || !self.book.enter(name) {
                continue;
            }
            let digest = add(&mut content, Bytes::from_static(bytes));
            let repo = self.settings.repo1.clone();
            self.push_any(label, &content, &repo, &digest).await;
            self.head_blob(label, &content, &repo, &digest).await;
            self.get_blob(label, &content, &repo, &digest).await;
            self.delete_blob(label, &repo, &digest).await;
            self.book.leave();
        }
        for (name, way) in LIES {
            if self.book.enter(name) {
                self.lie(label, algorithm, least * 3 - 5, *way).await;
                self.book.leave();
            }
        }
        self.book.leave();
    }

    /// Writes a group down as one step that the settings leave out.
    fn switched_off(&mut self, group: &str, label: DataSet, api: Api) {
        let subject = Subject { data: Some(label), ..Subject::default() };
        if let Some(mut leaf) = self.begin(group, subject) {
            self.book.disable(&mut leaf, &[api]);
            self.book.end(leaf);
        }
    }

    async fn get_missing(&mut self, label: DataSet, algorithm: Algorithm) {
        let subject = Subject { data: Some(label), algorithm: Some(algorithm), about: Vec::new(), way: None };
        let Some(mut leaf) = self.begin("get-missing", subject) else { return };
        if self.wanted(&mut leaf, &[Api::BlobGet]) {
            let path = blob_path(&self.settings.repo1, self.maker.digest(algorithm));
            let outcome = self.wire.send(&mut leaf.tape, self.wire.ask(Method::GET, &path)).await;
            let outcome = outcome.and_then(|answer| Verdict::on(&answer).status(&[404]).end());
            self.close(&mut leaf, outcome, &[Api::BlobGet]);
        }
        self.book.end(leaf);
    }

    /// Pushes a blob in one way, reads it and deletes it. Returns how long the registry wants chunks to be.
    async fn one_way(&mut self, label: DataSet, content: &Content, digest: &Digest, way: Way) -> Option<usize> {
        let (repo1, repo2) = (self.settings.repo1.clone(), self.settings.repo2.clone());
        let mut asked = None;
        let (came, api) = match way {
            Way::PostOnly => {
                (self.upload(label, content, &repo1, digest, Api::BlobPostOnly).await, Some(Api::BlobPostOnly))
            }
            Way::PostPut => {
                (self.upload(label, content, &repo1, digest, Api::BlobPostPut).await, Some(Api::BlobPostPut))
            }
            Way::Stream => {
                (self.upload(label, content, &repo1, digest, Api::BlobStreaming).await, Some(Api::BlobStreaming))
            }
            Way::Chunked(chunks) => {
                let came;
                (came, asked) = self.upload_chunks(label, content, &repo1, digest, chunks, Truth::Honest).await;
                (came, Some(Api::BlobChunked))
            }
            Way::Mount => {
                self.push_any(label, content, &repo2, digest).await;
                (self.mount(label, content, digest, way).await, None)
            }
            Way::AnonymousMount => {
                self.push_any(label, content, &repo2, digest).await;
                (self.mount(label, content, digest, way).await, None)
            }
            Way::MissingMount => (self.mount(label, content, digest, way).await, None),
            Way::Cancel => {
                self.cancel(label, content, digest).await;
                // There is no blob to be read.
                (Came::Bad, Some(Api::BlobPostPut))
            }
        };
        if let Some(api) = api {
            self.note_tried(api, digest.algorithm());
        }
        if came == Came::Good {
            self.head_blob(label, content, &repo1, digest).await;
            self.get_blob(label, content, &repo1, digest).await;
        }
        self.delete_blob(label, &repo1, digest).await;
        if matches!(way, Way::Mount | Way::AnonymousMount) {
            self.delete_blob(label, &repo2, digest).await;
        }
        asked
    }

    async fn mount(&mut self, label: DataSet, content: &Content, digest: &Digest, way: Way) -> Came {
        let repo2 = self.settings.repo2.clone();
        let (name, api, from) = match way {
            Way::AnonymousMount => ("blob-mount-anonymous", Api::BlobAnonymousMount, None),
            _ => ("blob-mount", Api::BlobMount, Some(&repo2)),
        };
        let about = if matches!(way, Way::MissingMount) { Vec::new() } else { vec![key(&repo2, digest)] };
        let subject = Subject { data: Some(label), algorithm: Some(digest.algorithm()), about, way: Some(api) };
        let Some(mut leaf) = self.begin(name, subject) else { return Came::Bad };
        let mut came = Came::Bad;
        if self.wanted(&mut leaf, &[api]) {
            let bytes = content.blob(digest).expect("made before");
            let upload = self.honest(&self.settings.repo1, digest, bytes);
            let mut outcome = upload.mount(&mut self.wire, &mut leaf.tape, from).await;
            if matches!(way, Way::MissingMount) {
                outcome = match outcome {
                    Err(fault) if fault.status == Status::Skip => Ok(()),
                    Err(fault) => Err(fault),
                    Ok(()) => Err(Fault::fail("a blob that is not there was mounted")),
                };
            }
            came = self.close(&mut leaf, outcome, &[api]);
        }
        self.book.end(leaf);
        came
    }

    async fn cancel(&mut self, label: DataSet, content: &Content, digest: &Digest) {
        let subject = Subject { data: Some(label), algorithm: Some(digest.algorithm()), about: Vec::new(), way: None };
        let Some(mut leaf) = self.begin("blob-post-cancel", subject) else { return };
        let apis = [Api::BlobPush, Api::BlobUploadCancel];
        if self.wanted(&mut leaf, &apis) {
            let bytes = content.blob(digest).expect("made before");
            let upload = self.honest(&self.settings.repo1, digest, bytes);
            let outcome = upload.cancel(&mut self.wire, &mut leaf.tape).await;
            self.close(&mut leaf, outcome, &apis);
        }
        self.book.end(leaf);
    }

    /// Pushes a blob in the first way that works: those not tried yet come first, then those known to work.
    pub(super) async fn push_any(&mut self, label: DataSet, content: &Content, repo: &Name, digest: &Digest) -> Came {
        if !self.settings.apis.push || content.blob(digest).is_none() {
            return Came::Bad;
        }
        let mut ways: Vec<Api> = UPLOADS.iter().filter(|api| !self.tried.contains(api)).copied().collect();
        let tried = self.tried_with.entry(digest.algorithm()).or_default();
        let fresh = UPLOADS.iter().filter(|api| !tried.contains(api));
        let working = UPLOADS.iter().filter(|api| self.book.apis.get(api) == Some(&Status::Pass));
        for api in fresh.chain(working).chain(&UPLOADS) {
            if !ways.contains(api) {
                ways.push(*api);
            }
        }
        for api in ways {
            let came = self.upload(label, content, repo, digest, api).await;
            self.note_tried(api, digest.algorithm());
            if came == Came::Good {
                return Came::Good;
            }
        }
        Came::Bad
    }

    /// Pushes a blob in one of the four ways that need no other repository.
    async fn upload(&mut self, label: DataSet, content: &Content, repo: &Name, digest: &Digest, api: Api) -> Came {
        if api == Api::BlobChunked {
            return self.upload_chunks(label, content, repo, digest, Chunks::default(), Truth::Honest).await.0;
        }
        let bytes = content.blob(digest).expect("made before");
        self.upload_bytes(label, repo, digest, bytes, api, Truth::Honest).await
    }

    async fn upload_bytes(
        &mut self,
        label: DataSet,
        repo: &Name,
        digest: &Digest,
        bytes: &Bytes,
        api: Api,
        truth: Truth,
    ) -> Came {
        let way = Some(api).filter(|_| truth == Truth::Honest);
        let subject = Subject { data: Some(label), algorithm: Some(digest.algorithm()), about: Vec::new(), way };
        let name = match api {
            Api::BlobPostOnly => "blob-post-only",
            Api::BlobStreaming => "blob-patch-stream",
            _ => "blob-post-put",
        };
        let Some(mut leaf) = self.begin(name, subject) else { return Came::Bad };
        if !self.wanted(&mut leaf, &[api]) {
            self.book.end(leaf);
            return Came::Bad;
        }
        let upload = Upload { truth, ..self.honest(repo, digest, bytes) };
        let (wire, tape) = (&mut self.wire, &mut leaf.tape);
        let outcome = match api {
            Api::BlobPostOnly => upload.post_only(wire, tape).await,
            Api::BlobStreaming => upload.stream(wire, tape).await,
            _ => upload.post_put(wire, tape).await,
        };
        self.uploaded(leaf, outcome, api, upload)
    }

    async fn upload_chunks(
        &mut self,
        label: DataSet,
        content: &Content,
        repo: &Name,
        digest: &Digest,
        chunks: Chunks,
        truth: Truth,
    ) -> (Came, Option<usize>) {
        let way = Some(Api::BlobChunked).filter(|_| truth == Truth::Honest);
        let subject = Subject { data: Some(label), algorithm: Some(digest.algorithm()), about: Vec::new(), way };
        let Some(mut leaf) = self.begin("blob-patch-chunked", subject) else { return (Came::Bad, None) };
        if !self.wanted(&mut leaf, &[Api::BlobChunked]) {
            self.book.end(leaf);
            return (Came::Bad, None);
        }
        let bytes = content.blob(digest).expect("made before");
        let upload = Upload { truth, ..self.honest(repo, digest, bytes) };
        let mut asked = None;
        let outcome = upload.chunked(&mut self.wire, &mut leaf.tape, chunks, &mut asked).await;
        (self.uploaded(leaf, outcome, Api::BlobChunked, upload), asked)
    }

    /// Ends the step of an upload, and takes note of what is there now.
    fn uploaded(&mut self, mut leaf: Leaf, outcome: Result<(), Fault>, api: Api, upload: Upload<'_>) -> Came {
        // A push that works in any way is a push.
        let apis: &[Api] = if outcome.is_ok() { &[api, Api::BlobPush] } else { &[api] };
        let came = self.close(&mut leaf, outcome, apis);
        let failed = leaf.status() >= Status::Fail;
        let cause = self.book.end(leaf);
        if upload.truth == Truth::Honest {
            let (key, algorithm) = (key(upload.name, upload.digest), upload.digest.algorithm());
            if failed {
                self.book.broke(key, cause.clone());
                self.book.uploaded(algorithm, Some(cause));
            } else {
                self.book.mended(&key);
                if came == Came::Good {
                    self.book.uploaded(algorithm, None);
                }
            }
        }
        came
    }

    /// Reads parts of a blob.
    async fn ranges(&mut self, label: DataSet, content: &mut Content) {
        let group = "range requests";
        if !self.settings.wants(Api::BlobGetRange) {
            self.switched_off(group, label, Api::BlobGetRange);
            return;
        }
        if !self.book.enter(group) {
            return;
        }
        let repo = self.settings.repo1.clone();
        let digest = self.random(content, 2048);
        let bytes = content.blob(&digest).cloned().expect("made just now");
        if self.push_any(label, content, &repo, &digest).await == Came::Good {
            for (asked, part) in RANGES {
                let name = format!("range {asked}");
                let about = vec![key(&repo, digest)];
                let subject = Subject { data: Some(label), algorithm: Some(digest.algorithm()), about, way: None };
                let Some(mut leaf) = self.begin(&name, subject) else { continue };
                let outcome = self.range(&mut leaf.tape, &digest, &bytes, asked, *part).await;
                self.close(&mut leaf, outcome, &[Api::BlobGetRange]);
                self.book.end(leaf);
            }
            self.delete_blob(label, &repo, &digest).await;
        } else if self.wire.given_up().is_none() {
            // Nothing could be read: the official suite blames the ranges.
            self.book.condemn(label, Api::BlobGetRange);
        }
        self.book.leave();
    }

    async fn range(
        &mut self,
        tape: &mut Tape,
        digest: &Digest,
        bytes: &Bytes,
        asked: &str,
        part: Option<(usize, usize)>,
    ) -> Result<(), Fault> {
        let path = blob_path(&self.settings.repo1, digest);
        let asking = self.wire.ask(Method::GET, &path).header(RANGE, &format!("bytes={asked}"));
        let answer = self.wire.send(tape, asking).await?;
        let verdict = match part {
            Some((first, last)) => {
                let (total, part) = (bytes.len(), bytes.slice(first..=last));
                let ranges = [format!("bytes {first}-{last}/{total}"), format!("bytes {first}-{last}/*")];
                let ranges = [ranges[0].as_str(), ranges[1].as_str()];
                Verdict::on(&answer).status(&[206]).length(&part).header_among("content-range", &ranges).body(&part)
            }
            None => Verdict::on(&answer).status(&[416]),
        };
        let fault = match verdict.end() {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
        match Verdict::on(&answer).status(&[200]).length(bytes).body(bytes).end() {
            Ok(()) => Err(Fault::unsupported("the range is ignored; the whole blob came")),
            Err(_) => Err(fault),
        }
    }

    /// Pushes bytes under a digest that is not theirs.
    async fn lie(&mut self, label: DataSet, algorithm: Algorithm, length: usize, way: Way) {
        let honest = self.maker.bytes(length);
        let digest = Digest::of_with(algorithm, &honest);
        let bytes = Bytes::from([&honest[..], b"oh no"].concat());
        let repo = self.settings.repo1.clone();
        let api = match way {
            Way::PostOnly => Api::BlobPostOnly,
            Way::Stream => Api::BlobStreaming,
            Way::Chunked(chunks) => {
                let mut content = self.maker.content(algorithm);
                content.blobs.push(Blob { digest, bytes: Some(bytes) });
                self.upload_chunks(label, &content, &repo, &digest, chunks, Truth::Lie).await;
                return;
            }
            _ => Api::BlobPostPut,
        };
        self.upload_bytes(label, &repo, &digest, &bytes, api, Truth::Lie).await;
    }

    /// Asks for the headers of a blob.
    pub(super) async fn head_blob(&mut self, label: DataSet, content: &Content, repo: &Name, digest: &Digest) {
        self.read_blob(label, content, repo, digest, Method::HEAD, "blob-head", Api::BlobHead).await;
    }

    /// Reads a blob.
    pub(super) async fn get_blob(&mut self, label: DataSet, content: &Content, repo: &Name, digest: &Digest) {
        self.read_blob(label, content, repo, digest, Method::GET, "blob-get", Api::BlobGet).await;
    }

    #[expect(clippy::too_many_arguments, reason = "two steps that differ in the last three")]
    async fn read_blob(
        &mut self,
        label: DataSet,
        content: &Content,
        repo: &Name,
        digest: &Digest,
        method: Method,
        name: &str,
        api: Api,
    ) {
        let about = vec![key(repo, digest)];
        let subject = Subject { data: Some(label), algorithm: Some(digest.algorithm()), about, way: None };
        let Some(mut leaf) = self.begin(name, subject) else { return };
        if self.wanted(&mut leaf, &[api]) {
            let mut asking = self.wire.ask(method.clone(), &blob_path(repo, digest));
            if let Some(bytes) = content.blob(digest) {
                asking = asking.at_most(room(bytes));
            }
            let outcome = self.wire.send(&mut leaf.tape, asking).await.and_then(|answer| {
                let mut verdict = Verdict::on(&answer).status(&[200]).digest(&digest.to_string(), self.presence());
                if method == Method::HEAD {
                    verdict = verdict.body(b"");
                }
                // The official suite leaves the empty blob of sha512 out here.
                let known = |bytes: &&Bytes| !bytes.is_empty() || digest.algorithm() == Algorithm::Sha256;
                if let Some(bytes) = content.blob(digest).filter(known) {
                    verdict = verdict.length(bytes);
                    if method == Method::GET {
                        verdict = verdict.body(bytes);
                    }
                }
                verdict.end()
            });
            self.close(&mut leaf, outcome, &[api]);
        }
        self.book.end(leaf);
    }

    /// Makes a blob of random bytes.
    fn random(&mut self, content: &mut Content, length: usize) -> Digest {
        let bytes = self.maker.bytes(length);
        add(content, bytes)
    }

    fn honest<'a>(&self, name: &'a Name, digest: &'a Digest, bytes: &'a Bytes) -> Upload<'a> {
        Upload { name, digest, bytes, truth: Truth::Honest, presence: self.presence() }
    }

    /// Says whether answers about blobs have to name the digest.
    fn presence(&self) -> Presence {
        if self.settings.apis.blobs.digest_header { Presence::Required } else { Presence::Optional }
    }

    fn note_tried(&mut self, api: Api, algorithm: Algorithm) {
        self.tried.insert(api);
        self.tried_with.entry(algorithm).or_default().insert(api);
    }
}

fn add(content: &mut Content, bytes: Bytes) -> Digest {
    content.add(MediaType::OCTET_STREAM, bytes, Embedding::Outside).digest
}

/// The ways to push a blob that are judged by themselves.
const WAYS: &[(&str, Way)] = &[
    ("post only", Way::PostOnly),
    ("post+put", Way::PostPut),
    (SINGLE, Way::Chunked(IN_ORDER)),
    ("stream", Way::Stream),
    ("mount", Way::Mount),
    ("mount anonymous", Way::AnonymousMount),
    ("mount missing", Way::MissingMount),
    ("post cancel", Way::Cancel),
    ("chunked multi", Way::Chunked(IN_ORDER)),
    ("chunked multi and put chunk", Way::Chunked(Chunks { order: Order::Right, last: Last::Put })),
    ("chunked out-of-order", Way::Chunked(Chunks { order: Order::WrongFirst, last: Last::Patch })),
    ("chunked out-of-order and put chunk", Way::Chunked(Chunks { order: Order::WrongFirst, last: Last::Put })),
];

const SINGLE: &str = "chunked single";

const IN_ORDER: Chunks = Chunks { order: Order::Right, last: Last::Patch };

/// The ways in which the registry is lied to. The fourth does the same as the third, in the official suite as well.
const LIES: &[(&str, Way)] = &[
    ("bad digest post only", Way::PostOnly),
    ("bad digest post+put", Way::PostPut),
    ("bad digest chunked", Way::Chunked(IN_ORDER)),
    ("bad digest chunked and put chunk", Way::Chunked(IN_ORDER)),
    ("bad digest stream", Way::Stream),
];

/// The ways to push a blob that is only needed, the preferred one first.
const UPLOADS: [Api; 4] = [Api::BlobPostPut, Api::BlobPostOnly, Api::BlobStreaming, Api::BlobChunked];

/// What is asked for of 2048 bytes, and which of them should come; none for a 416.
const RANGES: &[(&str, Option<(usize, usize)>)] = &[
    ("500-1499", Some((500, 1499))),
    ("500-", Some((500, 2047))),
    ("-500", Some((1548, 2047))),
    ("2000-5000", Some((2000, 2047))),
    ("500-0", None),
    ("5000-10000", None),
];
