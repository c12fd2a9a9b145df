//! Where to listen, as people write it: `127.0.0.1:5000`, `[::1]:0`, `localhost:5000`.

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use crate::model::ParseError;

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen(SocketAddr);

impl Listen {
    pub(crate) fn address(self) -> SocketAddr {
        self.0
    }
}

impl FromStr for Listen {
    type Err = ParseError;

    /// Parses `IP:PORT`. `localhost` is 127.0.0.1; no other name is looked up: it might mean another address tomorrow.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let local = || {
            let (host, port) = text.rsplit_once(':')?;
            let is_local = host.eq_ignore_ascii_case("localhost");
            is_local.then(|| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)))).flatten()
        };
        let refuse = || ParseError::new("listening address", text, "an IP address, a `:` and a port up to 65535");
        text.parse().ok().or_else(local).map(Self).ok_or_else(refuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_and_a_port() {
        for (text, expected) in [
            ("127.0.0.1:5000", Some("127.0.0.1:5000")),
            ("0.0.0.0:0", Some("0.0.0.0:0")),
            ("[::1]:5000", Some("[::1]:5000")),
            ("localhost:5000", Some("127.0.0.1:5000")),
            ("LocalHost:0", Some("127.0.0.1:0")),
            ("localhost", None),
            ("localhost:http", None),
            ("127.0.0.1", None),
            ("127.0.0.1:65536", None),
            (":5000", None),
            ("5000", None),
            ("::1:5000", None),
            ("registry.example:5000", None),
            ("http://127.0.0.1:5000", None),
            ("", None),
        ] {
            let parsed = text.parse::<Listen>().ok().map(|listen| listen.address().to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        }
    }
}
