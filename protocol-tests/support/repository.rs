//! Repositories at scripted servers.

use std::net::SocketAddr;
use std::sync::Arc;

use spinreg::auth::{Credential, Found, Given, Secret};
use spinreg::registry::{Client, ClientBuilder, Protection, Repository};
use spinreg::transport::{Options, Proxies, Roots};

use super::client::PAUSE;

/// Returns options for loopback: nothing in between, no pauses worth mentioning.
pub(crate) fn options() -> Options {
    let mut options = Options { proxies: Proxies::none(), ..Options::default() };
    options.tls.roots = Roots::OnlyGiven;
    (options.policy.backoff_min, options.policy.backoff_max) = (PAUSE, PAUSE);
    options
}

/// Starts a client that speaks plain HTTP.
pub(crate) fn plain() -> ClientBuilder {
    Client::builder().transport(options()).protection(Protection::Plain)
}

/// Returns the repository `app` of a registry at `address`, for pushing.
pub(crate) fn app(client: &Client, address: SocketAddr) -> Repository {
    let reference = format!("{address}/app").parse().expect("a reference");
    client.repository(&reference).for_push()
}

/// Returns the repository `app` at `address`, as an anonymous client sees it.
pub(crate) fn anonymous(address: SocketAddr) -> Repository {
    app(&plain().build().expect("options that fit"), address)
}

/// Returns the repository `app` at `address`, as `ada` with the password `lovelace` sees it.
pub(crate) fn known(address: SocketAddr) -> Repository {
    let registry = address.to_string().parse().expect("a registry");
    let credential = Credential::Password { username: "ada".to_owned(), secret: Secret::new("lovelace") };
    let found = Found { credential, source: "the test".to_owned() };
    app(&plain().keychain(Arc::new(Given::new(registry, found))).build().expect("options that fit"), address)
}
