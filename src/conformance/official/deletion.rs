//! Steps that delete, and look at once whether it is gone.

use http::Method;
use http::header::ACCEPT;

use super::book::{Leaf, Subject};
use super::content::Content;
use super::judge::{Fault, Verdict};
use super::run::{Run, key};
use super::wire::{blob_path, manifest_path};
use crate::conformance::verdict::{Api, DataSet, Status};
use crate::model::{Digest, MediaType, Name};

/// What is deleted, and how that is judged.
struct Deletion {
    path: String,
    /// The API of deletion, and that of deletion at once.
    apis: [Api; 2],
    /// Statuses that mean that the registry does without.
    unsupported: &'static [u16],
}

impl Run<'_> {
    /// Deletes a data set: tags, then manifests, those pushed last first, then blobs.
    pub(super) async fn delete(&mut self, label: DataSet, content: &mut Content) {
        if !self.book.enter("delete") {
            return;
        }
        let repo = &self.settings.repo1;
        for tag in content.tags.iter().filter(|tag| tag.pushed) {
            let manifest = content.manifests.iter().find(|manifest| Some(manifest.digest) == tag.digest);
            let subject = self.subject(label, content, manifest, Some(Api::TagDelete));
            let Some(mut leaf) = self.begin("tag-delete", subject) else { continue };
            let apis = [Api::TagDelete, Api::TagDeleteAtomic];
            let deletion = Deletion { path: manifest_path(repo, &tag.tag), apis, unsupported: &[400, 405] };
            self.raise_unless_wanted(label, apis[0]);
            self.delete_one(&mut leaf, deletion).await;
            self.book.end(leaf);
        }
        for manifest in content.manifests.iter().rev() {
            let subject = self.subject(label, content, Some(manifest), Some(Api::ManifestDelete));
            let Some(mut leaf) = self.begin("manifest-delete", subject) else { continue };
            let apis = [Api::ManifestDelete, Api::ManifestDeleteAtomic];
            let deletion = Deletion { path: manifest_path(repo, manifest.digest), apis, unsupported: &[400, 405] };
            self.raise_unless_wanted(label, apis[0]);
            self.delete_one(&mut leaf, deletion).await;
            self.book.end(leaf);
        }
        for blob in &content.blobs {
            self.delete_blob(label, repo, &blob.digest).await;
        }
        self.book.leave();
    }

    /// Deletes a blob.
    pub(super) async fn delete_blob(&mut self, label: DataSet, repo: &Name, digest: &Digest) {
        let about = vec![key(repo, digest)];
        let subject =
            Subject { data: Some(label), algorithm: Some(digest.algorithm()), about, way: Some(Api::BlobDelete) };
        let Some(mut leaf) = self.begin("blob-delete", subject) else { return };
        let apis = [Api::BlobDelete, Api::BlobDeleteAtomic];
        // The specification allows 400 as well; the official suite takes it for a failure.
        let deletion = Deletion { path: blob_path(repo, digest), apis, unsupported: &[405] };
        self.delete_one(&mut leaf, deletion).await;
        self.book.end(leaf);
    }

    /// Has a data set skipped at least where its manifests and tags are not to be deleted.
    fn raise_unless_wanted(&mut self, label: DataSet, api: Api) {
        if !self.settings.wants(api) {
            self.book.raise(label, Status::Skip);
        }
    }

    async fn delete_one(&mut self, leaf: &mut Leaf, deletion: Deletion) {
        let Deletion { path, apis: [api, at_once], unsupported } = deletion;
        if !self.settings.wants(api) {
            self.book.disable(leaf, &[api, at_once]);
            return;
        }
        let outcome = self.delete_path(leaf, &path, unsupported).await;
        if outcome.is_err() {
            self.close(leaf, outcome, &[api]);
            self.book.skip(leaf, &[at_once]);
            return;
        }
        self.close(leaf, outcome, &[api]);
        if !self.wanted(leaf, &[at_once]) {
            return;
        }
        let mut asking = self.wire.ask(Method::HEAD, &path);
        if path.contains("/manifests/") {
            for media_type in [MediaType::IMAGE_INDEX, MediaType::IMAGE_MANIFEST] {
                asking = asking.header(ACCEPT, media_type.as_str());
            }
        }
        let outcome = self.wire.send(&mut leaf.tape, asking).await;
        let outcome = outcome.and_then(|answer| Verdict::on(&answer).status(&[404]).end());
        self.close(leaf, outcome, &[at_once]);
    }

    async fn delete_path(&mut self, leaf: &mut Leaf, path: &str, unsupported: &[u16]) -> Result<(), Fault> {
        let answer = self.wire.send(&mut leaf.tape, self.wire.ask(Method::DELETE, path)).await?;
        self.wire.deleted(path, &answer);
        let status = answer.status.map(|status| status.as_u16()).unwrap_or_default();
        if unsupported.contains(&status) {
            return Err(Fault::unsupported(format!("the registry does not delete this: it answers {status}")));
        }
        Verdict::on(&answer).status(&[202, 404]).end()
    }
}
