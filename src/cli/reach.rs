//! The way to a registry for commands that look at it with their own eyes, without the client.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::{Request, Response, Uri};

use super::context::Ways;
use super::failure::Problem;
use super::options::Connection;
use super::output;
use super::serve_gc::age;
use super::server;
use crate::auth::{Authorizer, Exposure, Keychain};
use crate::error::{Error, UnreachableKind};
use crate::model::Registry;
use crate::registry::Protection;
use crate::transport::{Payload, Policy, Scheme, Transport, Verification};

/// How long is waited for a registry.
#[derive(Args, Clone, Copy)]
pub(super) struct Patience {
    /// Give up a connection, an answer, or a transfer that brings nothing, after this long: `5s` or `2m` [default: what the
    /// configuration file says, or else a minute, and ten seconds for a connection].
    #[arg(long, value_name = "TIME", value_parser = wait)]
    timeout: Option<Duration>,
}

impl Patience {
    fn settle(self, policy: &mut Policy) {
        if let Some(timeout) = self.timeout {
            (policy.connect, policy.headers, policy.stall) = (timeout, timeout, timeout);
        }
    }
}

/// Reads a time in which something can happen.
fn wait(text: &str) -> Result<Duration, &'static str> {
    let wait = age(text)?;
    if wait.is_zero() { Err("nothing happens in no time") } else { Ok(wait) }
}

/// A registry that has answered.
pub(super) struct Reached {
    /// Sends requests with what credentials there are.
    pub(super) authorizer: Authorizer,
    /// How it speaks.
    pub(super) scheme: Scheme,
    /// Its API, `…/v2/`.
    pub(super) base: Uri,
    /// What it answered there to nobody.
    pub(super) ping: Response<()>,
    /// How the connection is protected, for people.
    pub(super) protection: &'static str,
}

/// Finds out how `registry` speaks. Like every command, takes plain HTTP for an answer on loopback, and elsewhere only with
/// `--plain-http` or after `--insecure`.
///
/// **Requests**: one `GET /v2/` without credentials, whose status does not matter; a second one where plain HTTP answers the
/// first.
///
/// # Errors
///
/// Where there is no answer, and where the configuration file or a certificate file cannot be used.
pub(super) async fn reach(
    registry: &Registry,
    connection: &Connection,
    typed: server::Scheme,
    exposure: Exposure,
    keychain: Arc<dyn Keychain>,
    patience: Patience,
) -> Result<Reached, Problem> {
    let warn = |text: &str| output::remark(&format!("warning: {text}"));
    let mut ways = Ways::towards(registry, connection, typed, &warn)?;
    patience.settle(&mut ways.options.policy);
    let special = ways.hosts.get(registry).and_then(|host| host.protection);
    let protection = special.unwrap_or(ways.protection);
    if protection == Protection::Unverified {
        ways.options.tls.verification = Verification::None;
    }
    let connections = ways.hosts.connections(&ways.options.tls);
    ways.options.hosts.extend(connections);
    let transport = Transport::new(ways.options)?;
    let scheme = match protection {
        Protection::Plain => Scheme::Http,
        Protection::Verified | Protection::Unverified => Scheme::Https,
    };
    let (scheme, ping) = match ping(&transport, &base(registry, scheme)).await {
        Ok(answer) => (scheme, answer),
        Err(error) if falls_back(protection, registry, &error) => {
            let answer = ping(&transport, &base(registry, Scheme::Http)).await?;
            if protection == Protection::Unverified {
                warn(&format!("`{registry}` speaks plain HTTP, and so do we, because of `-k`: nothing is encrypted"));
            }
            (Scheme::Http, answer)
        }
        Err(error) => return Err(error.into()),
    };
    let exposure = if exposure == Exposure::Allowed { exposure } else { ways.exposure };
    Ok(Reached {
        authorizer: Authorizer::new(transport, keychain, exposure),
        scheme,
        base: base(registry, scheme),
        ping,
        protection: match (scheme, protection) {
            (Scheme::Http, _) => "plain HTTP: nothing is encrypted",
            (Scheme::Https, Protection::Unverified) => "the certificate is not verified",
            (Scheme::Https, _) => "the certificate is verified",
        },
    })
}

async fn ping(transport: &Transport, base: &Uri) -> Result<Response<()>, Error> {
    let mut request = Request::new(Payload::Empty);
    *request.uri_mut() = base.clone();
    // Only the head counts: a body that is not read must not hold a permit.
    Ok(transport.send(request, &mut transport.budget()).await?.map(drop))
}

/// Says whether plain HTTP may be spoken to a registry that answers the TLS handshake with it.
fn falls_back(protection: Protection, registry: &Registry, error: &Error) -> bool {
    let is_plain = matches!(error, Error::Unreachable(failure) if failure.kind == UnreachableKind::PlainHttp);
    is_plain && (protection == Protection::Unverified || registry.is_loopback())
}

fn base(registry: &Registry, scheme: Scheme) -> Uri {
    let scheme = if scheme == Scheme::Https { "https" } else { "http" };
    format!("{scheme}://{}/v2/", registry.api_host()).parse().expect("Registry was parsed as host and port")
}
