//! A URI that cannot print a secret.

use std::fmt;

use http::Uri;

/// A URI for errors and logs. Printing it leaves out user information and fragments, and the values of all query
/// keys that are not known to be harmless: storage redirects carry signatures, sessions carry state.
#[derive(Clone, PartialEq, Eq)]
pub struct SafeUri(Uri);

impl SafeUri {
    /// Wraps a URI.
    pub fn new(uri: Uri) -> Self {
        Self(uri)
    }

    /// Returns the whole URI, secrets included, for sending.
    pub fn reveal(&self) -> &Uri {
        &self.0
    }
}

impl From<&Uri> for SafeUri {
    fn from(uri: &Uri) -> Self {
        Self(uri.clone())
    }
}

impl fmt::Display for SafeUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.0.scheme_str() {
            write!(f, "{scheme}://")?;
        }
        if let Some(authority) = self.0.authority() {
            let text = authority.as_str();
            f.write_str(text.rsplit_once('@').map_or(text, |(_, host)| host))?;
        }
        f.write_str(self.0.path())?;
        let Some(query) = self.0.query() else { return Ok(()) };
        for (n, pair) in query.split('&').enumerate() {
            f.write_str(if n == 0 { "?" } else { "&" })?;
            match pair.split_once('=') {
                Some((key, _)) if !HARMLESS.contains(&key) => write!(f, "{}=…", printable(key))?,
                Some((key, value)) => write!(f, "{key}={value}")?,
                None => f.write_str("…")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for SafeUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// A long key is more likely a secret in the wrong place than a key.
fn printable(key: &str) -> &str {
    if key.len() <= 32 { key } else { "…" }
}

/// Query keys of the distribution spec and of token requests whose values tell nothing secret.
const HARMLESS: [&str; 12] = [
    "artifactType",
    "digest",
    "digest-algorithm",
    "from",
    "last",
    "mount",
    "n",
    "ns",
    "scope",
    "service",
    "tag",
    "client_id",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_values_are_printed() {
        for (uri, printed) in [
            ("https://r.example/v2/", "https://r.example/v2/"),
            ("/v2/a/blobs/x", "/v2/a/blobs/x"),
            ("https://ada:pw@r.example/v2/", "https://r.example/v2/"),
            (
                "http://r/v2/a/blobs/uploads/?mount=sha256:00&from=b",
                "http://r/v2/a/blobs/uploads/?mount=sha256:00&from=b",
            ),
            ("http://s3/x?X-Amz-Signature=abc&n=5", "http://s3/x?X-Amz-Signature=…&n=5"),
            ("http://s3/x?abcdef", "http://s3/x?…"),
            ("http://r/u?_state=abc&digest=sha256:00", "http://r/u?_state=…&digest=sha256:00"),
        ] {
            assert_eq!(SafeUri::new(uri.parse().expect(uri)).to_string(), printed);
        }
    }
}
