//! What went wrong on the way, found out by walking an error's causes.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Cause, UnreachableKind};

/// Why there is no answer. Can be cloned out of the errors that the client wraps it in.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) kind: UnreachableKind,
    cause: Arc<dyn StdError + Send + Sync>,
}

impl Failure {
    pub(super) fn new(kind: UnreachableKind, cause: impl Into<Cause>) -> Self {
        Self { kind, cause: Arc::from(cause.into()) }
    }

    /// Says what took too long.
    pub(super) fn late(what: &'static str, limit: Duration) -> Self {
        Self::new(UnreachableKind::TimedOut, Late { what, limit })
    }

    /// Judges what stopped a connection from being made.
    pub(super) fn connecting(cause: impl Into<Cause>) -> Self {
        Self::judge(cause.into(), UnreachableKind::Connect)
    }

    /// Judges what broke an exchange.
    pub(super) fn exchanging(cause: impl Into<Cause>) -> Self {
        Self::judge(cause.into(), UnreachableKind::Broken)
    }

    /// Says something else of the same cause.
    pub(super) fn with_kind(self, kind: UnreachableKind) -> Self {
        Self { kind, ..self }
    }

    /// Blames TLS.
    pub(super) fn tls(error: rustls::Error) -> Self {
        use rustls::AlertDescription as Alert;
        let kind = match error {
            // A server talks about no other certificate than the one that we have shown, or have not.
            rustls::Error::AlertReceived(
                Alert::CertificateRequired
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::DecryptError,
            ) => UnreachableKind::ClientCertificate,
            _ => UnreachableKind::Tls,
        };
        Self::new(kind, error)
    }

    fn judge(cause: Cause, otherwise: UnreachableKind) -> Self {
        let mut kind = otherwise;
        for error in causes(&*cause) {
            if let Some(failure) = error.downcast_ref::<Self>() {
                return failure.clone();
            }
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                // Without the layers around it, which say nothing.
                return Self::tls(error.clone());
            }
            if error.is::<NameFailure>() || error.is::<rustls::pki_types::InvalidDnsNameError>() {
                kind = UnreachableKind::Name;
            } else if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
                kind = UnreachableKind::TimedOut;
            }
        }
        Self::new(kind, cause)
    }
}

// It prints as its cause: the kind is said by whoever reports it.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.source()
    }
}

/// Marks what a resolver says, among the other failures of a connection.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct NameFailure(pub(super) io::Error);

#[derive(Debug, thiserror::Error)]
#[error("no {what} within {}", seconds(*limit))]
struct Late {
    what: &'static str,
    limit: Duration,
}

fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}

/// Returns what TLS says below an error.
pub(super) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// Walks from an error to its causes. An `io::Error` hides what it was made of from `source`, so it is asked for it.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let below = |error: &&'a (dyn StdError + 'static)| {
        let error: &'a (dyn StdError + 'static) = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    };
    std::iter::successors(Some(error), below).take(DEPTH)
}

/// No chain is this long; a cycle would be.
const DEPTH: usize = 32;

#[cfg(test)]
mod tests {
    use rustls::AlertDescription as Alert;

    use super::*;

    fn wrapped(error: impl Into<Cause>) -> Cause {
        // As hyper-rustls does: an `io::Error` around an `io::Error` around the cause.
        io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error)).into()
    }

    #[test]
    fn kinds_are_found_below_other_errors() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let alert = |alert: Alert| rustls::Error::AlertReceived(alert);
        let certificate = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        for (failure, kind) in [
            (Failure::connecting(refused()), UnreachableKind::Connect),
            (Failure::exchanging(refused()), UnreachableKind::Broken),
            (Failure::connecting(io::Error::from(io::ErrorKind::TimedOut)), UnreachableKind::TimedOut),
            (Failure::exchanging(wrapped(io::Error::from(io::ErrorKind::TimedOut))), UnreachableKind::TimedOut),
            (Failure::connecting(wrapped(NameFailure(io::Error::other("no such name")))), UnreachableKind::Name),
            (Failure::connecting(wrapped(certificate())), UnreachableKind::Tls),
            (Failure::exchanging(wrapped(certificate())), UnreachableKind::Tls),
            (Failure::connecting(wrapped(alert(Alert::HandshakeFailure))), UnreachableKind::Tls),
            (Failure::connecting(wrapped(alert(Alert::BadCertificate))), UnreachableKind::ClientCertificate),
            (Failure::exchanging(wrapped(alert(Alert::CertificateRequired))), UnreachableKind::ClientCertificate),
            (Failure::exchanging(wrapped(alert(Alert::UnknownCA))), UnreachableKind::ClientCertificate),
            (Failure::exchanging(wrapped(Failure::late("connection", Duration::ZERO))), UnreachableKind::TimedOut),
        ] {
            assert_eq!(failure.kind, kind, "{failure:?}");
        }
        assert_eq!(
            Failure::connecting(wrapped(certificate())).to_string(),
            "invalid peer certificate: UnknownIssuer",
            "the message is the cause's own"
        );
    }

    #[test]
    fn waits_are_told_with_their_limit() {
        for (millis, text) in [(10_000, "no connection within 10 s"), (50, "no connection within 0.05 s")] {
            assert_eq!(Failure::late("connection", Duration::from_millis(millis)).to_string(), text);
        }
    }
}
