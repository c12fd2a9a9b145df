//! What a repository is likely to have before a push knows what it will need.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::asking::Stock;
use super::{Repository, tagged, tags};
use crate::content::Tagged;
use crate::error::Error;
use crate::model::{Descriptor, Manifest, MediaType, Tag};

/// What was found out before a push knew what it will need, for all clones of a repository's handle. Found out once, and
/// told once to whoever asks for the same later: so it costs no request that would not have been made.
#[derive(Clone, Debug, Default)]
pub(super) struct Outlooks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    first: OnceCell<Outlook>,
    untold: Mutex<Untold>,
}

#[derive(Debug, Default)]
struct Untold {
    tagged: Option<(Tag, Tagged)>,
    stock: Option<Stock>,
}

/// What a push to a tag can expect.
#[derive(Debug)]
struct Outlook {
    tag: Tag,
    /// The sizes of the blobs that are probably there; absent where nobody can tell.
    sizes: Option<Vec<u64>>,
}

impl Outlooks {
    /// Says whether a blob of this size is likely to be new to the repository: nothing is there, or what the tag points to
    /// now has none of that size.
    ///
    /// **Requests**: those of [`tagged`](super::tagged::tagged), and one for the first tag where the tag is not there; none
    /// from the second time on.
    pub(super) async fn lacks(&self, repository: &Repository, tag: &Tag, size: u64) -> Result<bool, Error> {
        let outlook = self.0.first.get_or_try_init(|| self.look(repository, tag)).await?;
        let sizes = outlook.sizes.as_ref().filter(|_| outlook.tag == *tag);
        Ok(sizes.is_some_and(|sizes| !sizes.contains(&size)))
    }

    async fn look(&self, repository: &Repository, tag: &Tag) -> Result<Outlook, Error> {
        // Nobody has a manifest of no bytes.
        let nothing = Descriptor::of(MediaType::IMAGE_MANIFEST, b"");
        let tagged = tagged::tagged(repository, tag, &nothing).await?;
        let (sizes, stock) = match &tagged {
            Tagged::Other(manifest) => (sizes(manifest), None),
            Tagged::Unknown | Tagged::Wanted => {
                let stock = stock(repository).await?;
                (Some(Vec::new()).filter(|_| stock == Stock::Empty), Some(stock))
            }
        };
        *self.untold() = Untold { tagged: Some((tag.clone(), tagged)), stock };
        Ok(Outlook { tag: tag.clone(), sizes })
    }

    /// Returns what `tag` pointed to, where that was asked and not told yet.
    pub(super) fn tagged(&self, tag: &Tag, wanted: &Descriptor) -> Option<Tagged> {
        let (_, tagged) = self.untold().tagged.take_if(|(asked, _)| asked == tag)?;
        Some(match tagged {
            Tagged::Other(manifest) if manifest.digest() == wanted.digest => Tagged::Wanted,
            other => other,
        })
    }

    /// Returns what the repository had, where that was asked and not told yet.
    pub(super) fn stock(&self) -> Option<Stock> {
        self.untold().stock.take()
    }

    fn untold(&self) -> std::sync::MutexGuard<'_, Untold> {
        self.0.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says whether anything is in a repository: one `GET` of a page of one tag.
pub(super) async fn stock(repository: &Repository) -> Result<Stock, Error> {
    Ok(match tags::first(repository).await {
        Ok(Some(_)) => Stock::Unknown,
        Ok(None) => Stock::Empty,
        Err(error) if error.is_not_found() => Stock::Empty,
        // It need not say: what is there is asked for one by one.
        Err(error) => {
            tracing::debug!(%error, "the registry does not list tags");
            Stock::Unknown
        }
    })
}

/// Lists the sizes of what an image has. Of an index nobody can tell.
fn sizes(manifest: &Manifest) -> Option<Vec<u64>> {
    manifest.image().map(|_| manifest.blobs().map(|blob| blob.size).collect())
}
