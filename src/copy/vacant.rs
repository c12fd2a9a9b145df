//! A place where nothing is.

use std::io;

use crate::content::{Blob, Pushed, Source, Target};
use crate::error::{Details, Error, Missing, Place};
use crate::model::{Descriptor, Identifier, Manifest, Tag};

/// A place where nothing is and nothing will be: what a [`Plan`](super::Plan) is made for that is only shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vacant;

impl Source for Vacant {
    async fn resolve(&self, id: &Identifier) -> Result<Descriptor, Error> {
        Err(absent(id))
    }

    async fn manifest(&self, id: &Identifier) -> Result<Manifest, Error> {
        Err(absent(id))
    }

    fn blob(&self, descriptor: &Descriptor) -> Blob {
        Blob::file(descriptor.clone(), "")
    }
}

impl Target for Vacant {
    async fn exists(&self, _: &Descriptor) -> Result<bool, Error> {
        Ok(false)
    }

    async fn push_blob(&self, _: &Blob) -> Result<Pushed, Error> {
        Err(refused())
    }

    async fn push_manifest(&self, _: &Manifest, _: Option<&Tag>) -> Result<(), Error> {
        Err(refused())
    }
}

fn absent(id: &Identifier) -> Error {
    let (what, place) = (format!("manifest `{id}`"), Place::Unknown);
    Error::NotFound(Box::new(Missing { what, place, errors: Vec::new(), details: Details::default() }))
}

fn refused() -> Error {
    Error::io("write", "nowhere", io::ErrorKind::Unsupported.into())
}
