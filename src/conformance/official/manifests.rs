//! Steps with manifests: pushing them with all they name, and reading them.

use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE};

use super::book::Subject;
use super::content::{Content, Manner, Packed};
use super::judge::{Fault, Presence, Verdict};
use super::run::{INVALID, Run, Tape, key};
use super::wire::{encoded, manifest_path};
use crate::conformance::answer::Answer;
use crate::conformance::probe::Asking;
use crate::conformance::verdict::{Api, DataSet, Status};
use crate::model::MediaType;

impl Run<'_> {
    /// Pushes a data set: blobs, then manifests by digest, then by tag.
    pub(super) async fn push(&mut self, label: DataSet, content: &mut Content) {
        if !self.book.enter("push") {
            return;
        }
        let settings = self.settings;
        for n in 0..content.blobs.len() {
            let digest = content.blobs[n].digest;
            self.push_any(label, content, &settings.repo1, &digest).await;
        }
        for n in 0..content.manifests.len() {
            let manifest = content.manifests[n].clone();
            self.push_by_digest(label, content, &manifest).await;
        }
        for n in 0..content.tags.len() {
            if !content.tags[n].pushed {
                self.push_by_tag(label, content, n).await;
            }
        }
        self.book.leave();
    }

    async fn push_by_digest(&mut self, label: DataSet, content: &mut Content, manifest: &Packed) {
        // Where the registry keeps no referrers, no answer names a subject.
        let way = if manifest.subject.is_some() { Api::Referrers } else { Api::ManifestPutByDigest };
        let subject = self.subject(label, content, Some(manifest), Some(way));
        let Some(mut leaf) = self.begin("manifest-by-digest", subject) else { return };
        let mut apis = vec![Api::ManifestPutByDigest];
        apis.extend(manifest.subject.map(|_| Api::ManifestPutWithSubject));
        let mut tags = Vec::new();
        if content.manner == Manner::WithTags {
            apis.push(Api::ManifestPutWithTagParams);
            tags.extend(
                content.tags.iter().filter(|tag| tag.digest == Some(manifest.digest)).map(|tag| tag.tag.clone()),
            );
        }
        if !self.wanted_strictly(&mut leaf, &apis, label) {
            self.book.end(leaf);
            return;
        }
        let parameters: Vec<String> = tags.iter().map(|tag| format!("tag={}", encoded(tag))).collect();
        let mut reference = manifest.digest.to_string();
        if !parameters.is_empty() {
            reference = format!("{reference}?{}", parameters.join("&"));
        }
        let (answer, outcome) = self.put_manifest(&mut leaf.tape, &reference, manifest, content.manner).await;
        let stored = outcome.is_ok();
        let missing: Vec<Fault> = if stored { self.tags_missing(content, &tags, answer.as_ref()) } else { Vec::new() };
        match Fault::join(missing) {
            Err(fault) => self.book.fault(&mut leaf, fault, &[Api::ManifestPutWithTagParams]),
            Ok(()) => {
                self.close(&mut leaf, outcome, &apis);
            }
        }
        let cause = self.book.end(leaf);
        let key = key(&self.settings.repo1, manifest.digest);
        if stored { self.book.mended(&key) } else { self.book.broke(key, cause) }
    }

    /// Marks the tags that an answer confirms as pushed, and says which it does not.
    fn tags_missing(&self, content: &mut Content, tags: &[String], answer: Option<&Answer>) -> Vec<Fault> {
        let lines = answer.into_iter().flat_map(|answer| answer.headers.get_all("oci-tag"));
        let confirmed: Vec<&str> =
            lines.filter_map(|value| value.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim).collect();
        let mut missing = Vec::new();
        for tag in content.tags.iter_mut().filter(|tag| tags.contains(&tag.tag)) {
            if confirmed.contains(&tag.tag.as_str()) {
                tag.pushed = true;
            } else {
                missing.push(Fault::unsupported(format!("no `oci-tag` confirms the tag `{}`", tag.tag)));
            }
        }
        missing
    }

    async fn push_by_tag(&mut self, label: DataSet, content: &mut Content, n: usize) {
        let tag = content.tags[n].clone();
        let manifest = content.manifests.iter().find(|manifest| Some(manifest.digest) == tag.digest).cloned();
        let has_subject = manifest.as_ref().is_some_and(|manifest| manifest.subject.is_some());
        let way = if has_subject { Api::Referrers } else { Api::ManifestPutByTag };
        let subject = self.subject(label, content, manifest.as_ref(), Some(way));
        let Some(mut leaf) = self.begin("manifest-by-tag", subject) else { return };
        let mut apis: Vec<Api> = has_subject.then_some(Api::ManifestPutWithSubject).into_iter().collect();
        if self.wanted_strictly(&mut leaf, &[Api::ManifestPutByTag], label) {
            apis.push(Api::ManifestPutByTag);
            let manifest = manifest.as_ref().expect("what is pushed was made here");
            let (_, outcome) = self.put_manifest(&mut leaf.tape, &tag.tag, manifest, content.manner).await;
            content.tags[n].pushed = outcome.is_ok();
            self.close(&mut leaf, outcome, &apis);
        }
        let failed = leaf.status() >= Status::Fail;
        let cause = self.book.end(leaf);
        if failed {
            self.book.broke(key(&self.settings.repo1, &tag.tag), cause);
        }
    }

    /// Puts a manifest, and fetches what the answer's `Location` names. Returns the answer to the `PUT` as well.
    async fn put_manifest(
        &mut self,
        tape: &mut Tape,
        reference: &str,
        manifest: &Packed,
        manner: Manner,
    ) -> (Option<Answer>, Result<(), Fault>) {
        let bytes = manifest.bytes.as_ref().expect("what is pushed was made here");
        let path = manifest_path(&self.settings.repo1, reference);
        let asking = self.wire.ask(Method::PUT, &path).header(CONTENT_TYPE, manifest.media_type.as_str());
        // In chunks, as the official tool sends it.
        let asking = asking.body(bytes.clone()).chunked();
        let (bare, parameters) = path.split_once('?').unwrap_or((&path, ""));
        let tags = parameters.split('&').filter_map(|parameter| parameter.strip_prefix("tag="));
        let tags = tags.map(|tag| manifest_path(&self.settings.repo1, tag));
        let paths = std::iter::once(bare.to_owned()).chain(tags).collect();
        let answer = match self.wire.push(tape, paths, asking).await {
            Ok(answer) => answer,
            Err(fault) => return (None, Err(fault)),
        };
        let mut verdict = Verdict::on(&answer);
        verdict = verdict.status(if manner == Manner::Wrongly { &[400] } else { &[201] });
        if let Some(subject) = manifest.subject.filter(|_| self.settings.apis.referrer) {
            verdict = verdict.header("oci-subject", &subject.to_string());
        }
        if manner == Manner::Wrongly {
            let outcome = verdict.end();
            return (Some(answer), outcome);
        }
        let mut faults: Vec<Fault> = verdict
            .digest(&manifest.digest.to_string(), Presence::Optional)
            .present("location")
            .end()
            .err()
            .into_iter()
            .collect();
        if answer.location().is_some() {
            faults.extend(self.fetch_place(tape, &answer, manifest).await.err());
        }
        (Some(answer), Fault::join(faults))
    }

    async fn fetch_place(&mut self, tape: &mut Tape, answer: &Answer, manifest: &Packed) -> Result<(), Fault> {
        let place = answer.place().map_err(Fault::fail)?;
        let asking = accepting(self.wire.ask(Method::GET, &place).within(&self.settings.repo1));
        let answer = self.wire.send(tape, asking).await?;
        let bytes = manifest.bytes.as_ref().expect("what is pushed was made here");
        let verdict = Verdict::on(&answer).status(&[200]).header("content-type", manifest.media_type.as_str());
        verdict.length(bytes).body(bytes).end()
    }

    /// Puts a manifest under a digest that is none.
    pub(super) async fn put_invalid(&mut self, label: DataSet, content: &Content) {
        let subject = Subject { data: Some(label), ..Subject::default() };
        let Some(mut leaf) = self.begin("manifest-put", subject) else { return };
        if self.wanted_strictly(&mut leaf, &[Api::ManifestPutByDigest], label) {
            let manifest = content.manifests[0].clone();
            let (_, outcome) = self.put_manifest(&mut leaf.tape, INVALID, &manifest, Manner::Wrongly).await;
            self.close(&mut leaf, outcome, &[Api::ManifestPutByDigest]);
        }
        self.book.end(leaf);
    }

    /// Gets a manifest.
    pub(super) async fn get_manifest(&mut self, tape: &mut Tape, reference: &str) -> Result<Answer, Fault> {
        let path = manifest_path(&self.settings.repo1, reference);
        self.wire.send(tape, accepting(self.wire.ask(Method::GET, &path))).await
    }

    /// Asks for the headers of a data set.
    pub(super) async fn head(&mut self, label: DataSet, content: &Content) {
        self.read_all(label, content, &HEAD).await;
    }

    /// Reads a data set.
    pub(super) async fn pull(&mut self, label: DataSet, content: &Content) {
        self.read_all(label, content, &PULL).await;
    }

    async fn read_all(&mut self, label: DataSet, content: &Content, reading: &Reading) {
        if !self.book.enter(reading.group) {
            return;
        }
        // What was pushed to be refused is not there.
        let there = content.manner != Manner::Wrongly;
        for tag in content.tags.iter().filter(|_| there) {
            let manifest = content.manifests.iter().find(|manifest| Some(manifest.digest) == tag.digest);
            self.read_manifest(label, content, &tag.tag, manifest, reading.by_tag, reading).await;
        }
        for manifest in content.manifests.iter().filter(|_| there) {
            let reference = manifest.digest.to_string();
            self.read_manifest(label, content, &reference, Some(manifest), reading.by_digest, reading).await;
        }
        let repo = &self.settings.repo1;
        for blob in &content.blobs {
            if reading.method == Method::HEAD {
                self.head_blob(label, content, repo, &blob.digest).await;
            } else {
                self.get_blob(label, content, repo, &blob.digest).await;
            }
        }
        self.book.leave();
    }

    async fn read_manifest(
        &mut self,
        label: DataSet,
        content: &Content,
        reference: &str,
        manifest: Option<&Packed>,
        (name, api): (&str, Api),
        reading: &Reading,
    ) {
        let mut subject = self.subject(label, content, manifest, None);
        // A tag that was not pushed is the nearer cause.
        subject.about.insert(0, key(&self.settings.repo1, reference));
        let Some(mut leaf) = self.begin(name, subject) else { return };
        if self.wanted_strictly(&mut leaf, &[api], label) {
            let path = manifest_path(&self.settings.repo1, reference);
            let asking = accepting(self.wire.ask(reading.method.clone(), &path));
            let presence =
                if self.settings.apis.manifests.digest_header { Presence::Required } else { Presence::Optional };
            let outcome = self.wire.send(&mut leaf.tape, asking).await.and_then(|answer| {
                let mut verdict = Verdict::on(&answer).status(&[200]);
                match manifest {
                    Some(manifest) => verdict = verdict.digest(&manifest.digest.to_string(), presence),
                    // What a tag points to is not known in a read-only run.
                    None if presence == Presence::Required => verdict = verdict.present("docker-content-digest"),
                    None => {}
                }
                let bytes = manifest.and_then(|manifest| Some((manifest, manifest.bytes.as_ref()?)));
                if let Some((manifest, bytes)) = bytes {
                    verdict = verdict.header("content-type", manifest.media_type.as_str()).length(bytes);
                    if reading.method == Method::GET {
                        verdict = verdict.body(bytes);
                    }
                }
                verdict.end()
            });
            self.close(&mut leaf, outcome, &[api]);
        }
        self.book.end(leaf);
    }

    /// Returns what a step with a manifest depends on: the manifest, and what that names.
    pub(super) fn subject(
        &self,
        label: DataSet,
        content: &Content,
        manifest: Option<&Packed>,
        way: Option<Api>,
    ) -> Subject {
        let mut about = Vec::new();
        if let Some(manifest) = manifest {
            about.push(key(&self.settings.repo1, manifest.digest));
            about.extend(manifest.needs.iter().map(|digest| key(&self.settings.repo1, digest)));
        }
        Subject { data: Some(label), algorithm: Some(content.algorithm), about, way }
    }
}

/// A way to read a data set.
struct Reading {
    group: &'static str,
    method: Method,
    by_tag: (&'static str, Api),
    by_digest: (&'static str, Api),
}

const HEAD: Reading = Reading {
    group: "head",
    method: Method::HEAD,
    by_tag: ("manifest-head-by-tag", Api::ManifestHeadByTag),
    by_digest: ("manifest-head-by-digest", Api::ManifestHeadByDigest),
};

const PULL: Reading = Reading {
    group: "pull",
    method: Method::GET,
    by_tag: ("manifest-by-tag", Api::ManifestGetByTag),
    by_digest: ("manifest-by-digest", Api::ManifestGetByDigest),
};

/// Says which manifests are understood, as the official tool does: in two lines.
fn accepting(asking: Asking) -> Asking {
    asking.header(ACCEPT, MediaType::IMAGE_INDEX.as_str()).header(ACCEPT, MediaType::IMAGE_MANIFEST.as_str())
}
