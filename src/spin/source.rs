//! Where WebAssembly comes from: a file, a download, a package.

use http::Uri;
use semver::{Version, VersionReq};
use serde_spanned::Spanned;

use super::dependency_name::PackageName;
use super::document::{Flaw, Item};
use super::error::Problem;
use crate::model::{Digest, Registry};

/// Where a component's WebAssembly comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A path, relative to the manifest.
    Local(String),
    /// A download; the digest is one of SHA-256.
    Url { url: Uri, digest: Digest },
    /// One version of a package; without a registry, from the one that the user's configuration says.
    Package { registry: Option<Registry>, package: PackageName, version: Version },
}

impl Source {
    /// Parses the `source` of a component.
    pub(super) fn parse(item: Item<'_>) -> Result<Spanned<Self>, Flaw> {
        let span = item.span();
        if item.is_text() {
            return Ok(Spanned::new(span, Self::Local(path("component source", item.text()?)?)));
        }
        let expected = "a path, `{ url, digest }` or `{ registry, package, version }`";
        if !item.is_table() {
            return Err(item.wrong(expected));
        }
        let mut table = item.table()?;
        let source = if table.has("url") || table.has("digest") {
            table.only(&["url", "digest"])?;
            let url = url(table.need("url")?.text()?)?;
            Self::Url { url, digest: digest(table.need("digest")?.text()?)? }
        } else if table.has("package") || table.has("version") || table.has("registry") {
            table.only(&["registry", "package", "version"])?;
            let package = package(table.need("package")?.text()?)?;
            let version = version(table.need("version")?.text()?)?;
            let registry = table.take("registry").map(|item| registry(item.text()?)).transpose()?;
            Self::Package { registry, package, version }
        } else {
            table.only(&["url", "digest", "registry", "package", "version"])?;
            return Err(invalid("component source", &Spanned::new(span, "{}".to_owned()), expected));
        };
        Ok(Spanned::new(span, source))
    }
}

/// Checks a path: it may lead anywhere, but somewhere.
pub(super) fn path(what: &'static str, text: Spanned<String>) -> Result<String, Flaw> {
    match text.get_ref().is_empty() || text.get_ref().contains('\0') {
        true => Err(invalid(what, &text, "a path")),
        false => Ok(text.into_inner()),
    }
}

/// Parses a URL of what can be downloaded. One with a password in it is not repeated: a manifest is no place for it.
pub(super) fn url(text: Spanned<String>) -> Result<Uri, Flaw> {
    let uri: Option<Uri> = text.get_ref().parse().ok();
    if let Some(authority) = uri.as_ref().and_then(Uri::authority)
        && authority.as_str().contains('@')
    {
        let (what, rule) =
            (format!("the url at `{}`", authority.host()), "has a user or a password in it; leave that out");
        // Without a place: the line that would be shown there has the password.
        return Err(Flaw { at: None, problem: Problem::Conflict { what, rule } });
    }
    match uri {
        Some(uri) if matches!(uri.scheme_str(), Some("http" | "https")) => Ok(uri),
        _ => Err(invalid("url", &text, "an address that begins with `https://` or `http://`")),
    }
}

/// Parses the digest of a download.
pub(super) fn digest(text: Spanned<String>) -> Result<Digest, Flaw> {
    match text.get_ref().parse() {
        Ok(digest @ Digest::Sha256(_)) => Ok(digest),
        _ => Err(invalid("digest", &text, "`sha256:` and 64 hexadecimal digits, small ones")),
    }
}

/// Parses the name of a package.
pub(super) fn package(text: Spanned<String>) -> Result<PackageName, Flaw> {
    text.get_ref().parse().map_err(|_| invalid("package", &text, PackageName::EXPECTED))
}

/// Returns the requirement that one version alone fits.
pub(super) fn exactly(version: &Version) -> VersionReq {
    format!("={version}").parse().expect("a version after `=` is a requirement")
}

/// Parses the host of a registry.
pub(super) fn registry(text: Spanned<String>) -> Result<Registry, Flaw> {
    text.get_ref().parse().map_err(|_| invalid("registry", &text, "a host, perhaps with a port, such as `ttl.sh`"))
}

fn version(text: Spanned<String>) -> Result<Version, Flaw> {
    text.get_ref().parse().map_err(|_| invalid("version", &text, "a whole version, such as `1.2.3`"))
}

fn invalid(what: &'static str, text: &Spanned<String>, expected: &'static str) -> Flaw {
    Flaw::at(text.span(), Problem::Invalid { what, value: text.get_ref().clone(), expected })
}
