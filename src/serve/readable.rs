//! Which repositories the one who asks may read.

use std::fmt;
use std::sync::Arc;

use http::Extensions;

use crate::model::Name;

/// Says of each repository whether the one who asks may read it; among the extensions of a request. A mount takes a blob
/// from no other.
#[derive(Clone)]
pub(super) struct Readable(Arc<dyn Fn(&Name) -> bool + Send + Sync>);

impl Readable {
    pub(super) fn new(readable: impl Fn(&Name) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(readable))
    }

    /// Returns what was said about the request; where nothing was, everything may be read.
    pub(super) fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_else(|| Self::new(|_| true))
    }

    pub(super) fn readable(&self, name: &Name) -> bool {
        (self.0)(name)
    }
}

impl fmt::Debug for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readable(…)")
    }
}
