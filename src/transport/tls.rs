//! Whom we trust.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::transport::Protocol;
use crate::error::{Cause, Error, ParseError};

/// Whom to trust as a server, and who to be as a client.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// Files with PEM certificates that are trusted as roots, besides `roots`. A directory stands for all files in it
    /// whose names end in `.crt` or `.pem`.
    pub ca_files: Vec<PathBuf>,
    /// Texts with PEM certificates that are trusted as well.
    pub ca_texts: Vec<String>,
    /// The certificate that is shown to servers that ask for one; never to proxies.
    pub identity: Option<Identity>,
    /// Whether certificates are verified.
    pub verification: Verification,
    /// Which roots are trusted besides `ca_files`.
    pub roots: Roots,
}

/// Who we are to servers that want a certificate from their clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// A file with the certificate, and those that lead from it to the authority, as PEM.
    pub certificate: PathBuf,
    /// A file with its private key, as PEM and not encrypted.
    pub key: PathBuf,
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
    identity: Option<Arc<CertifiedKey>>,
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
            add(&mut given, path)?;
        }
        for text in &options.ca_texts {
            add_pem(&mut given, text.as_bytes(), "given as text")?;
        }
        let identity = options.identity.as_ref().map(read_identity).transpose()?.map(Arc::new);
        let &TlsOptions { verification, roots, .. } = options;
        Ok(Self { given, identity, verification, roots, protocol, configs: OnceCell::new() })
    }

    /// Makes the configurations, once. Reading the system's store takes some milliseconds and blocks; a program that
    /// speaks plain HTTP never does it.
    pub(super) async fn configs(&self) -> Result<&Configs, Cause> {
        let make = || async {
            let (given, verification, roots) = (self.given.clone(), self.verification, self.roots);
            let (identity, protocol) = (self.identity.clone(), self.protocol);
            tokio::task::spawn_blocking(move || configs(given, verification, roots, identity, protocol)).await?
        };
        self.configs.get_or_try_init(make).await
    }
}

/// Adds the certificates of a file, or of all files of a directory.
fn add(store: &mut RootCertStore, path: &Path) -> Result<(), Error> {
    if !path.is_dir() {
        return add_file(store, path);
    }
    let unreadable = |error| Error::io(READ_CERTIFICATES, path, error);
    let mut found = false;
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension == "crt" || extension == "pem") && file.is_file() {
            add_file(store, &file)?;
            found = true;
        }
    }
    let wrong = || ParseError::new("CA directory", &path.to_string_lossy(), "files that end in `.crt` or `.pem`");
    if found { Ok(()) } else { Err(wrong().into()) }
}

fn add_file(store: &mut RootCertStore, path: &Path) -> Result<(), Error> {
    add_pem(store, &read(path)?, &path.to_string_lossy())
}

fn add_pem(store: &mut RootCertStore, pem: &[u8], name: &str) -> Result<(), Error> {
    let wrong = || ParseError::new("CA file", name, "certificates in PEM form");
    let certificates = certificates(pem).map_err(|error| wrong().because(&error))?;
    if certificates.is_empty() {
        return Err(wrong().into());
    }
    for certificate in certificates {
        store.add(certificate).map_err(|error| wrong().because(&error))?;
    }
    Ok(())
}

fn read_identity(identity: &Identity) -> Result<CertifiedKey, Error> {
    let (chain, key) = (identity.certificate.to_string_lossy(), identity.key.to_string_lossy());
    let no_chain = || ParseError::new("client certificate", &chain, "certificates in PEM form");
    let no_key = || ParseError::new("client key", &key, "a private key in PEM form, not encrypted");
    let certificates = certificates(&read(&identity.certificate)?).map_err(|error| no_chain().because(&error))?;
    if certificates.is_empty() {
        return Err(no_chain().into());
    }
    let pem = Zeroizing::new(read(&identity.key)?);
    // What the parser says could quote the key.
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| no_key())?;
    CertifiedKey::from_der(certificates, key, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            ParseError::new("client key", &identity.key.to_string_lossy(), "the key of the client certificate").into()
        }
        error => no_chain().because(&error).into(),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::io(READ_CERTIFICATES, path, error))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    CertificateDer::pem_slice_iter(pem).collect()
}

fn configs(
    given: RootCertStore,
    verification: Verification,
    roots: Roots,
    identity: Option<Arc<CertifiedKey>>,
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
    if let Some(identity) = identity {
        server.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity));
    }
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

/// What could not be done where a file of authorities, a client certificate or its key cannot be read.
pub(crate) const READ_CERTIFICATES: &str = "read the certificate or key";

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
