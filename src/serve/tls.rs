//! Who we are to those who connect over TLS.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, ServerConfig};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::model::ParseError;

/// The certificate of a [`Server`](super::Server), read from files, which can be read again while it serves; cheap to
/// clone. Clients choose HTTP/2 or HTTP/1.1 by ALPN, over TLS 1.2 or 1.3.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    provider: Arc<CryptoProvider>,
    certificate: PathBuf,
    key: PathBuf,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads a certificate, and those that lead from it to the authority, and its private key: two PEM files. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a file cannot be read, [`Error::Parse`] where it holds something else, or the key of another
    /// certificate.
    #[cfg(any(feature = "tls-aws-lc", feature = "tls-ring"))]
    pub fn load(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, Error> {
        // With both features on, which cargo's unification can bring about, it is the default one.
        #[cfg(feature = "tls-aws-lc")]
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        #[cfg(not(feature = "tls-aws-lc"))]
        let provider = rustls::crypto::ring::default_provider();
        Self::with_provider(Arc::new(provider), certificate, key)
    }

    /// Does the same with a provider of cryptography of the program's own choice.
    ///
    /// # Errors
    ///
    /// As for [`Self::load`], without the features that it needs.
    pub fn with_provider(
        provider: Arc<CryptoProvider>,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, Error> {
        let (certificate, key) = (certificate.into(), key.into());
        let config = RwLock::new(Arc::new(read(&provider, &certificate, &key)?));
        Ok(Self(Arc::new(Inner { provider, certificate, key, config })))
    }

    /// Reads the files again: connections from here on get what is in them now. Blocks.
    ///
    /// # Errors
    ///
    /// As for [`Self::load`]; the certificate stays what it was then.
    pub fn reload(&self) -> Result<(), Error> {
        let Inner { provider, certificate, key, config } = &*self.0;
        let fresh = Arc::new(read(provider, certificate, key)?);
        *config.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.0.config.read().unwrap_or_else(PoisonError::into_inner).clone().into()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.0.certificate).finish_non_exhaustive()
    }
}

fn read(provider: &Arc<CryptoProvider>, certificate: &Path, key: &Path) -> Result<ServerConfig, Error> {
    let (chain_file, key_file) = (certificate.to_string_lossy(), key.to_string_lossy());
    let no_chain = || ParseError::new("TLS certificate", &chain_file, "certificates in PEM form");
    let no_key = || ParseError::new("TLS key", &key_file, "a private key in PEM form, not encrypted");
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|error| no_chain().because(&error))?;
    if chain.is_empty() {
        return Err(no_chain().into());
    }
    let pem = Zeroizing::new(bytes(key)?);
    // What the parser says could quote the key.
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| no_key())?;
    let key = provider.key_provider.load_private_key(key).map_err(|_| no_key())?;
    let identity = CertifiedKey::new(chain, key);
    match identity.keys_match() {
        // Some keys do not tell.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(rustls::Error::InconsistentKeys(_)) => {
            return Err(ParseError::new("TLS key", &key_file, "the key of the certificate").into());
        }
        Err(error) => return Err(no_chain().because(&error).into()),
    }
    // Passed on explicitly: a process-wide default is the program's choice.
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| no_chain().because(&error))?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::io("read", path, error))
}
