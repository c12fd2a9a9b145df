//! What a registry says about itself: where its packages are kept, and how they are asked for.

use serde_json::{Map, Value};

use crate::model::{ParseError, Registry};

/// What `/.well-known/wasm-pkg/registry.json` says; also written, as a table, into the configuration file. By default:
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::spin) struct Metadata {
    preferred: Option<String>,
    /// The protocols that have an object of their own.
    protocols: Vec<String>,
    /// The protocol that the old keys speak of.
    old: Option<&'static str>,
    /// The OCI registry.
    pub(super) registry: Option<Registry>,
    /// What the names of repositories begin with.
    pub(super) prefix: Option<String>,
}

impl Metadata {
    /// Parses the document. Keys that nobody knows are left alone.
    ///
    /// # Errors
    ///
    /// Where it is no JSON object, or where a key has a value of another type than it should.
    pub(in crate::spin) fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let refuse = |expected| ParseError::new("registry.json", &String::from_utf8_lossy(bytes), expected);
        let document: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|error| refuse("a JSON object").because(&error))?;
        Self::read(&document).map_err(refuse)
    }

    /// Reads the document; an error is what was expected.
    pub(super) fn read(document: &Map<String, Value>) -> Result<Self, &'static str> {
        let preferred = text(document, "preferredProtocol", "`preferredProtocol` as text")?;
        let is_protocol = |(key, value): &(&String, &Value)| value.is_object() && *key != "preferredProtocol";
        let protocols = document.iter().filter(is_protocol).map(|(key, _)| key.clone()).collect();
        let oci = match document.get("oci") {
            None | Some(Value::Null) => &Map::new(),
            Some(Value::Object(oci)) => oci,
            Some(_) => return Err("`oci` as an object"),
        };
        let old_registry = text(document, "ociRegistry", "`ociRegistry` as text")?;
        let old_prefix = text(document, "ociNamespacePrefix", "`ociNamespacePrefix` as text")?;
        let old_url = text(document, "wargUrl", "`wargUrl` as text")?;
        let old = match (&old_registry, &old_url) {
            (Some(_), None) => Some(OCI),
            (None, Some(_)) => Some("warg"),
            _ => None,
        };
        // Where both are there, the old keys win, as with other tools.
        let registry = old_registry.or(text(oci, "registry", "`oci.registry` as text")?);
        let prefix = old_prefix.or(text(oci, "namespacePrefix", "`oci.namespacePrefix` as text")?);
        let registry =
            registry.map(|text| text.parse().map_err(|_| "a host, perhaps with a port, as the OCI registry"));
        Ok(Self { preferred, protocols, old, registry: registry.transpose()?, prefix })
    }

    /// Returns the protocol that the registry wants to be asked by, where it says so or has only one.
    pub(super) fn protocol(&self) -> Option<&str> {
        match (&self.preferred, self.protocols.as_slice()) {
            (Some(preferred), _) => Some(preferred),
            (None, [only]) => Some(only),
            (None, []) => self.old,
            _ => None,
        }
    }
}

fn text(map: &Map<String, Value>, key: &str, expected: &'static str) -> Result<Option<String>, &'static str> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(expected),
    }
}

/// The protocol that this tool speaks.
pub(super) const OCI: &str = "oci";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_as_other_tools_read_them() {
        type Read<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>);
        for (text, expected) in [
            ("{}", Some((None, None, None))),
            (
                r#"{"oci":{"registry":"ghcr.io","namespacePrefix":"wasm/"}}"#,
                Some((Some("oci"), Some("ghcr.io"), Some("wasm/"))),
            ),
            (
                r#"{"preferredProtocol":"warg","warg":{"url":"https://w"},"oci":{"registry":"ghcr.io"}}"#,
                Some((Some("warg"), Some("ghcr.io"), None)),
            ),
            (r#"{"warg":{"url":"https://w"},"oci":{"registry":"ghcr.io"}}"#, Some((None, Some("ghcr.io"), None))),
            (
                r#"{"ociRegistry":"ghcr.io","ociNamespacePrefix":"p/"}"#,
                Some((Some("oci"), Some("ghcr.io"), Some("p/"))),
            ),
            (r#"{"wargUrl":"https://w"}"#, Some((Some("warg"), None, None))),
            (
                r#"{"oci":{"registry":"new.example"},"ociRegistry":"old.example"}"#,
                Some((Some("oci"), Some("old.example"), None)),
            ),
            (r#"{"oci":null,"preferredProtocol":null,"comment":"hello","version":1}"#, Some((None, None, None))),
            (r#"{"oci":{}}"#, Some((Some("oci"), None, None))),
            (r#"{"oci":{"registry":"https://ghcr.io/x"}}"#, None),
            (r#"{"oci":{"registry":1}}"#, None),
            (r#"{"oci":"ghcr.io"}"#, None),
            (r#"{"preferredProtocol":["oci"]}"#, None),
            ("[]", None),
            ("<html>", None),
            ("", None),
        ] as [(&str, Option<Read<'_>>); 16]
        {
            let read = Metadata::parse(text.as_bytes());
            let found = read
                .as_ref()
                .ok()
                .map(|read| (read.protocol(), read.registry.as_ref().map(Registry::as_str), read.prefix.as_deref()));
            assert_eq!(found, expected, "{text}: {read:?}");
        }
    }
}
