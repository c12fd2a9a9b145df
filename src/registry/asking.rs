//! How a registry is asked whether it has a blob that is to be pushed. Pure.
//!
//! There are two ways. A `HEAD` says it and no more. A mount from the repository into itself says it as well, and where the
//! answer is no it has opened the upload: a blob that is not there then takes two requests instead of three. But some
//! registries open an upload whatever they have, and get a blob again that they had. So large blobs are asked for by `HEAD`
//! until the registry has shown that it does mount; and where nothing is there at all, nothing is asked for.

use http::StatusCode;

use super::Mounts;
use super::upload_plan::Mount;
use crate::content::{Blob, Effort};
use crate::model::{Descriptor, Name, Registry};

/// What is known of a registry's answers to mounts from a repository into itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SelfMounts {
    /// Nothing.
    #[default]
    Unknown,
    /// It says 201 where it has the blob.
    Honoured,
    /// It opens an upload whatever it has, or wants no such request.
    Ignored,
}

/// What is known of a repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stock {
    /// Something may be there.
    #[default]
    Unknown,
    /// It has no tags: nothing is there but what a push has left that broke.
    Empty,
}

/// How an upload begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Approach {
    pub(super) look: Look,
    pub(super) mount: Mount,
}

/// Whether the blob is looked for before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// By a `HEAD`.
    First,
    /// Not by itself: the `POST` says it, or nobody has to be asked.
    Never,
}

impl SelfMounts {
    /// Says what an answer to a mount from a repository into itself shows; `names_blob` is whether it names the blob's place.
    ///
    /// A 202 shows nothing: mostly the blob is not there.
    pub(super) fn shown_by(status: StatusCode, names_blob: bool) -> Option<Self> {
        match status {
            StatusCode::CREATED if names_blob => Some(Self::Honoured),
            StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                Some(Self::Ignored)
            }
            _ => None,
        }
    }
}

impl Approach {
    /// Decides how a blob is pushed to the repository `name` of `registry`.
    pub(super) fn to(
        (registry, name): (&Registry, &Name),
        blob: &Blob,
        mounts: Mounts,
        ways: SelfMounts,
        stock: Stock,
    ) -> Self {
        let size = blob.descriptor().size;
        let asks = match (ways, stock) {
            (SelfMounts::Honoured, _) => false,
            (_, Stock::Empty) => size >= HUGE,
            (SelfMounts::Unknown, Stock::Unknown) => size >= LARGE,
            (SelfMounts::Ignored, Stock::Unknown) => true,
        };
        let look = if asks { Look::First } else { Look::Never };
        let origin = blob.origin().filter(|(there, from)| *there == registry && *from != name);
        match (origin, mounts) {
            (Some((_, from)), Mounts::FromOrigin | Mounts::Anywhere) => Self { look, mount: Mount::From(from.clone()) },
            // Neither says that the blob is here.
            (_, Mounts::Anywhere) => Self { look: Look::First, mount: Mount::Anywhere },
            (_, Mounts::Never) => Self { look: Look::First, mount: Mount::No },
            (None, Mounts::FromOrigin) if asks || ways == SelfMounts::Ignored => Self { look, mount: Mount::No },
            (None, Mounts::FromOrigin) => Self { look, mount: Mount::Here(name.clone()) },
        }
    }

    /// Returns how many requests that takes.
    pub(super) fn effort(&self) -> Effort {
        let look = u64::from(self.look == Look::First);
        let there = if self.look == Look::First { 1 } else { self.unlooked() };
        let lacking = if matches!(self.mount, Mount::From(_)) { look + 1 } else { look + 2 };
        Effort { there, lacking }
    }

    /// What a blob costs that is there and is not looked for.
    fn unlooked(&self) -> u64 {
        if self.mount == Mount::No { 2 } else { 1 }
    }
}

/// Says whether it spares requests to find out first whether a repository has anything.
pub(super) fn is_worth_counting(blobs: &[Descriptor], ways: SelfMounts) -> bool {
    match ways {
        SelfMounts::Honoured => false,
        SelfMounts::Unknown => blobs.iter().any(|blob| (LARGE..HUGE).contains(&blob.size)),
        SelfMounts::Ignored => blobs.iter().filter(|blob| blob.size < HUGE).count() > 1,
    }
}

/// From which size on, in bytes, a blob is not sent twice to spare a request: at 20 Mbit/s it takes as long as a dozen.
const LARGE: u64 = 1 << 20;
/// From which size on, in bytes, it is worth a request to find what a push has left that broke.
const HUGE: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digest, MediaType};

    fn blob(size: u64) -> Blob {
        Blob::file(Descriptor::new(MediaType::OCTET_STREAM, Digest::of(b"x"), size), "")
    }

    #[test]
    fn small_blobs_begin_and_large_ones_are_looked_for() {
        use SelfMounts::{Honoured, Ignored, Unknown};
        let (registry, name): (Registry, Name) = ("r.example".parse().expect("a name"), "app".parse().expect("a name"));
        let other: Name = "other".parse().expect("a name");
        let (here, there) = (Mount::Here(name.clone()), Mount::From(other.clone()));
        for (size, from, mounts, ways, stock, look, mount, there, lacking) in [
            (1, None, Mounts::FromOrigin, Unknown, Stock::Unknown, Look::Never, &here, 1, 2),
            (LARGE - 1, None, Mounts::FromOrigin, Unknown, Stock::Unknown, Look::Never, &here, 1, 2),
            (LARGE, None, Mounts::FromOrigin, Unknown, Stock::Unknown, Look::First, &Mount::No, 1, 3),
            (u64::MAX, None, Mounts::FromOrigin, Honoured, Stock::Unknown, Look::Never, &here, 1, 2),
            (1, None, Mounts::FromOrigin, Ignored, Stock::Unknown, Look::First, &Mount::No, 1, 3),
            // Where nothing is, nobody is asked.
            (LARGE, None, Mounts::FromOrigin, Unknown, Stock::Empty, Look::Never, &here, 1, 2),
            (1, None, Mounts::FromOrigin, Ignored, Stock::Empty, Look::Never, &Mount::No, 2, 2),
            (HUGE, None, Mounts::FromOrigin, Unknown, Stock::Empty, Look::First, &Mount::No, 1, 3),
            (HUGE, None, Mounts::FromOrigin, Ignored, Stock::Empty, Look::First, &Mount::No, 1, 3),
            // From another repository.
            (1, Some(&other), Mounts::FromOrigin, Unknown, Stock::Unknown, Look::Never, &there, 1, 1),
            (LARGE, Some(&other), Mounts::FromOrigin, Unknown, Stock::Unknown, Look::First, &there, 1, 2),
            (1, Some(&other), Mounts::Anywhere, Ignored, Stock::Unknown, Look::First, &there, 1, 2),
            (1, Some(&name), Mounts::FromOrigin, Unknown, Stock::Unknown, Look::Never, &here, 1, 2),
            // As it is wished.
            (1, Some(&other), Mounts::Never, Honoured, Stock::Empty, Look::First, &Mount::No, 1, 3),
            (1, None, Mounts::Anywhere, Honoured, Stock::Empty, Look::First, &Mount::Anywhere, 1, 3),
        ] {
            let blob = match from {
                Some(from) => blob(size).from_repository(registry.clone(), from.clone()),
                None => blob(size),
            };
            let approach = Approach::to((&registry, &name), &blob, mounts, ways, stock);
            let case = format!("{size} {from:?} {mounts:?} {ways:?} {stock:?}");
            assert_eq!((approach.look, &approach.mount), (look, mount), "{case}");
            assert_eq!(approach.effort(), Effort { there, lacking }, "{case}");
        }
        let stranger = blob(1).from_repository("s.example".parse().expect("a name"), other);
        let approach = Approach::to((&registry, &name), &stranger, Mounts::FromOrigin, Unknown, Stock::Unknown);
        assert_eq!(approach.mount, here, "what is at another registry cannot be mounted");
    }

    #[test]
    fn what_an_answer_shows() {
        for (status, names_blob, shown) in [
            (201, true, Some(SelfMounts::Honoured)),
            (201, false, None),
            (202, false, None),
            (400, false, Some(SelfMounts::Ignored)),
            (405, false, Some(SelfMounts::Ignored)),
            (404, false, None),
            (429, false, None),
            (500, false, None),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(SelfMounts::shown_by(status, names_blob), shown, "{status}");
        }
    }

    #[test]
    fn the_stock_is_asked_for_where_that_spares_more() {
        let blobs = |sizes: &[u64]| sizes.iter().map(|size| blob(*size).descriptor().clone()).collect::<Vec<_>>();
        for (sizes, ways, worth) in [
            (&[1, 2, 3][..], SelfMounts::Unknown, false),
            (&[1, LARGE], SelfMounts::Unknown, true),
            (&[1, HUGE], SelfMounts::Unknown, false),
            (&[1, LARGE, LARGE], SelfMounts::Honoured, false),
            (&[1], SelfMounts::Ignored, false),
            (&[1, 2], SelfMounts::Ignored, true),
            (&[], SelfMounts::Ignored, false),
        ] {
            assert_eq!(is_worth_counting(&blobs(sizes), ways), worth, "{sizes:?} {ways:?}");
        }
    }
}
