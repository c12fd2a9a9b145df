//! The source of a copy of many tags: what it lists is asked for once.

use tokio::sync::OnceCell;

use crate::content::{Blob, Source};
use crate::copy::Endpoint;
use crate::error::Error;
use crate::model::{Descriptor, Digest, Identifier, Manifest, Tag};

/// A source whose list of tags is kept: the tags that are copied are chosen from it, and each of them is then looked for
/// in it under the names of its signatures.
pub(super) struct Listed {
    end: Endpoint,
    tags: OnceCell<Vec<Tag>>,
}

impl Listed {
    /// Lists nothing yet.
    pub(super) fn of(end: Endpoint) -> Self {
        Self { end, tags: OnceCell::new() }
    }
}

impl Source for Listed {
    async fn resolve(&self, id: &Identifier) -> Result<Descriptor, Error> {
        self.end.resolve(id).await
    }

    async fn manifest(&self, id: &Identifier) -> Result<Manifest, Error> {
        self.end.manifest(id).await
    }

    fn counts_reads(&self) -> bool {
        self.end.counts_reads()
    }

    fn blob(&self, descriptor: &Descriptor) -> Blob {
        self.end.blob(descriptor)
    }

    async fn all_referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        self.end.all_referrers(subject).await
    }

    async fn all_tags(&self) -> Result<Vec<Tag>, Error> {
        self.tags.get_or_try_init(|| self.end.all_tags()).await.cloned()
    }
}
