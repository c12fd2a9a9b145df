//! TLS alerts that come when a connection is already in use.
//!
//! In TLS 1.3 a client is done before the server has looked at its certificate, so a refusal arrives at the first read. What
//! reports it to us differs with the version of HTTP and with who fails first, and HTTP/2 keeps only its words: so it is
//! noted where it is read.

use std::io;
use std::sync::{Arc, OnceLock};

use http::Extensions;
use hyper_util::client::legacy::Error;

use super::failure::tls_error;

/// The alert that has ended a connection, known to whoever holds a clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Alert(Arc<OnceLock<rustls::Error>>);

impl Alert {
    /// Takes note of an error of the connection, where it is an alert.
    pub(super) fn note(&self, error: &io::Error) {
        if let Some(alert @ rustls::Error::AlertReceived(_)) = tls_error(error) {
            // The first one counts.
            let _ = self.0.set(alert.clone());
        }
    }

    /// Returns the alert that ended the connection on which an exchange failed.
    pub(super) fn behind(error: &Error) -> Option<rustls::Error> {
        let mut extras = Extensions::new();
        error.connect_info()?.get_extras(&mut extras);
        extras.get::<Self>()?.0.get().cloned()
    }
}
