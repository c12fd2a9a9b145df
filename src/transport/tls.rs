//! Whom we trust.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::sync::OnceCell;

use super::transport::Protocol;
use crate::error::{Cause, Error, ParseError};

/// Whom to trust as a server.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// Files with PEM certificates that are trusted as roots, besides `roots`.
    pub ca_files: Vec<PathBuf>,
    /// Whether certificates are verified.
    pub verification: Verification,
    /// Which roots are trusted besides `ca_files`.
    pub roots: Roots,
}

/// Whether certificates are verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// The chain must end at a root, the name and the dates must fit.
    #[default]
    Full,
    /// Any certificate will do, as long as the server has its key. Whoever stands between can read and change all.
    None,
}

/// Which roots are trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// Those of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR` where one of them is set. Mozilla's where the
    /// system has none, as in an empty container.
    #[default]
    System,
    /// None but those given as files.
    OnlyGiven,
}

/// The options with the files read; the rest is made for the first connection that needs it.
pub(super) struct Tls {
    given: RootCertStore,
    verification: Verification,
    roots: Roots,
    protocol: Protocol,
    configs: OnceCell<Configs>,
}

/// What a handshake needs.
#[derive(Clone)]
pub(super) struct Configs {
    /// For servers: offers versions of HTTP.
    pub(super) server: Arc<ClientConfig>,
    /// For proxies, which we speak HTTP/1.1 to without negotiation.
    pub(super) proxy: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the files.
    pub(super) fn new(options: &TlsOptions, protocol: Protocol) -> Result<Self, Error> {
        let mut given = RootCertStore::empty();
        for path in &options.ca_files {
            add_file(&mut given, path)?;
        }
        let &TlsOptions { verification, roots, .. } = options;
        Ok(Self { given, verification, roots, protocol, configs: OnceCell::new() })
    }

    /// Makes the configurations, once. Reading the system's store takes some milliseconds and blocks; a program that
    /// speaks plain HTTP never does it.
    pub(super) async fn configs(&self) -> Result<&Configs, Cause> {
        let make = || async {
            let (given, verification, roots, protocol) =
                (self.given.clone(), self.verification, self.roots, self.protocol);
            tokio::task::spawn_blocking(move || configs(given, verification, roots, protocol)).await?
        };
        self.configs.get_or_try_init(make).await
    }
}

fn add_file(store: &mut RootCertStore, path: &Path) -> Result<(), Error> {
    let pem = fs::read(path).map_err(|error| Error::io("read", path, error))?;
    let name = path.to_string_lossy();
    let wrong = || ParseError::new("CA file", &name, "certificates in PEM form");
    let mut found = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong().because(&error))?;
        store.add(certificate).map_err(|error| wrong().because(&error))?;
        found += 1;
    }
    if found == 0 { Err(wrong().into()) } else { Ok(()) }
}

fn configs(
    given: RootCertStore,
    verification: Verification,
    roots: Roots,
    protocol: Protocol,
) -> Result<Configs, Cause> {
    // Passed on explicitly: a process-wide default is the program's choice, and the builder without an argument panics
    // where two providers are compiled in.
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let proxy = match verification {
        Verification::Full => {
            let mut store = given;
            if roots == Roots::System {
                add_system(&mut store);
            }
            builder.with_root_certificates(store)
        }
        Verification::None => builder.dangerous().with_custom_certificate_verifier(Arc::new(SignatureOnly(provider))),
    }
    .with_no_client_auth();
    let mut server = proxy.clone();
    server.alpn_protocols = match protocol {
        Protocol::Negotiate => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Protocol::Http1Only => vec![b"http/1.1".to_vec()],
    };
    Ok(Configs { server: Arc::new(server), proxy: Arc::new(proxy) })
}

fn add_system(store: &mut RootCertStore) {
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "a part of the system's certificates cannot be read");
    }
    let (added, ignored) = store.add_parsable_certificates(system.certs);
    tracing::debug!(added, ignored, "read the system's certificates");
    // Who names the roots by a variable means these and no others.
    let chosen = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| env::var_os(name).is_some());
    if added == 0 && !chosen {
        tracing::debug!("the system has no certificates, taking Mozilla's");
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
}

/// With both features on, which cargo's unification can bring about, it is the default one.
fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "tls-aws-lc")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "tls-aws-lc"))]
    let provider = rustls::crypto::ring::default_provider();
    Arc::new(provider)
}

/// Takes any certificate, but still has the server prove that it holds the key: without that, not even a listener
/// who replays a handshake would be kept out.
#[derive(Debug)]
struct SignatureOnly(Arc<CryptoProvider>);

impl ServerCertVerifier for SignatureOnly {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
