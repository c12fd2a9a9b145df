//! The environments that an application is meant for, as its manifest names them.

use std::fmt;

use serde_spanned::Spanned;

use super::document::{Flaw, Item, Table};
use super::error::Place;
use crate::model::excerpt;

/// One entry of `targets`. It leaves no trace in an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum TargetRef {
    /// A name in Spin's catalogue, such as `spin-up@3.5`.
    Named(String),
    /// The URL of a definition.
    Url(String),
    /// The path of a definition, relative to the manifest.
    Path(String),
}

impl TargetRef {
    /// Returns the name, the URL or the path.
    pub(super) fn text(&self) -> &str {
        let (Self::Named(text) | Self::Url(text) | Self::Path(text)) = self;
        text
    }
}

impl fmt::Display for TargetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&excerpt(self.text()))
    }
}

/// An entry of `targets`, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) reference: TargetRef,
    pub(super) place: Place,
}

/// Takes `targets` out of a table.
pub(super) fn list(table: &mut Table<'_>) -> Result<Option<Vec<Spanned<TargetRef>>>, Flaw> {
    let Some(item) = table.take("targets") else { return Ok(None) };
    item.array()?.into_iter().map(parse).collect::<Result<_, _>>().map(Some)
}

fn parse(item: Item<'_>) -> Result<Spanned<TargetRef>, Flaw> {
    let span = item.span();
    if item.is_text() {
        return Ok(Spanned::new(span, TargetRef::Named(item.text()?.into_inner())));
    }
    if !item.is_table() {
        return Err(item.wrong("a name, `{ url }` or `{ path }`"));
    }
    let mut target = item.table()?;
    let reference = if target.has("path") {
        target.only(&["path"])?;
        TargetRef::Path(target.need("path")?.text()?.into_inner())
    } else {
        target.only(&["url", "path"])?;
        TargetRef::Url(target.need("url")?.text()?.into_inner())
    };
    Ok(Spanned::new(span, reference))
}
