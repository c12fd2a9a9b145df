//! Definitions of environments: short documents that belong to nobody's content, and are kept all the same.

use std::path::{Path, PathBuf};

use bytes::BytesMut;
use http::Uri;

use super::super::document;
use super::obtain::Ways;
use super::{Ask, Wanted, Why};
use crate::disk::{self, Mode};
use crate::error::Error;
use crate::store::blocking;

impl Ways {
    /// Finds a definition; `None` where it is not here and may not be asked for.
    ///
    /// What has a version does not change, and is asked for once; everything else is asked for every time. Where nobody
    /// answers, what was kept has to do, or what Spin has kept.
    pub(super) async fn definition(&self, wanted: &Wanted) -> Result<Option<PathBuf>, Why> {
        let Some(url) = wanted.definition() else { return Ok(None) };
        let kept = self.cache.kept_definition(&url);
        let (of_spin, is_fixed) = match wanted {
            Wanted::Environment { name } => (Some(self.cache.spins_definition(name)), name.contains('@')),
            _ => (None, false),
        };
        let here = [Some(kept.clone()), of_spin].into_iter().flatten().find(|path| path.is_file());
        let will_do = is_fixed || self.ask == Ask::Missing;
        if self.ask == Ask::Never || (will_do && here.is_some()) {
            return Ok(here);
        }
        match self.read(&url).await {
            Ok(bytes) => {
                self.keep(kept.clone(), bytes).await?;
                Ok(Some(kept))
            }
            Err(Why::Transfer(Error::Unreachable(_))) if here.is_some() => Ok(here),
            Err(why) => Err(why),
        }
    }

    async fn read(&self, url: &Uri) -> Result<BytesMut, Why> {
        let mut body = self.fetch.download(url, 0).await?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = body.chunk().await {
            bytes.extend_from_slice(&chunk?);
            if bytes.len() as u64 > MAX_DEFINITION {
                return Err(Why::TooLong);
            }
        }
        // A page for people would be kept for ever otherwise.
        let is_toml = str::from_utf8(&bytes).is_ok_and(|text| document::parse(text).is_ok());
        if is_toml { Ok(bytes) } else { Err(Why::NoDefinition) }
    }

    async fn keep(&self, path: PathBuf, bytes: BytesMut) -> Result<(), Error> {
        blocking(move || {
            disk::create_dirs(path.parent().unwrap_or(Path::new("")))?;
            disk::replace(&path, &bytes, Mode::Shared)
        })
        .await
    }
}

/// How long a definition may be, in bytes: real ones have 1 KiB.
pub(in crate::spin) const MAX_DEFINITION: u64 = 1 << 20;
