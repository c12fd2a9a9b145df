//! A certificate authority of the test's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

/// Issues certificates; its own lies in a file.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, "The test's own authority");
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("a certificate");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let authority = Self { issuer, directory };
        std::fs::write(authority.file(), authority.issuer.pem()).expect("a file in a temporary directory");
        authority
    }

    /// Returns the file with the authority's certificate (PEM).
    pub(crate) fn file(&self) -> PathBuf {
        Path::join(self.directory.path(), "ca.pem")
    }

    /// Returns a server's configuration for `localhost`, `127.0.0.1` and `::1`; HTTP/2 and HTTP/1.1 by ALPN.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.server_named(&["localhost", "127.0.0.1", "::1"], &["h2", "http/1.1"])
    }

    /// Returns a server's configuration for these names and these protocols.
    pub(crate) fn server_named(&self, names: &[&str], protocols: &[&str]) -> Arc<ServerConfig> {
        self.issue(params(names), protocols, WebPkiClientVerifier::no_client_auth())
    }

    /// Returns a server's configuration for `names` that takes no client without a certificate of `clients`.
    pub(crate) fn server_for_clients_of(&self, clients: &Self, names: &[&str]) -> Arc<ServerConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(clients.issuer.der().clone()).expect("an authority's certificate");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        self.issue(params(names), &["h2", "http/1.1"], verifier.expect("roots"))
    }

    /// Writes the certificate and the key of a client into files (PEM).
    pub(crate) fn client_files(&self) -> (PathBuf, PathBuf) {
        self.files("client", params(&["client.test"]))
    }

    /// Returns the configuration of a server for `localhost` whose certificate is of another time.
    pub(crate) fn expired_server(&self) -> Arc<ServerConfig> {
        let mut params = params(&["localhost"]);
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.issue(params, &["h2", "http/1.1"], WebPkiClientVerifier::no_client_auth())
    }

    /// Writes the certificate and the key of a server for `localhost`, `127.0.0.1`, `::1` and `registry.test` into files (PEM).
    pub(crate) fn server_files(&self) -> (PathBuf, PathBuf) {
        self.files("server", params(&["localhost", "127.0.0.1", "::1", "registry.test"]))
    }

    fn files(&self, name: &str, params: CertificateParams) -> (PathBuf, PathBuf) {
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let file = |extension| self.directory.path().join(name).with_extension(extension);
        let (certificate_file, key_file) = (file("pem"), file("key"));
        std::fs::write(&certificate_file, certificate.pem()).expect("a file in a temporary directory");
        std::fs::write(&key_file, key.serialize_pem()).expect("a file in a temporary directory");
        (certificate_file, key_file)
    }

    fn issue(
        &self,
        params: CertificateParams,
        protocols: &[&str],
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Arc<ServerConfig> {
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider knows the default versions")
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a key that fits its certificate");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("names and addresses")
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

#[cfg(feature = "tls-aws-lc")]
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

#[cfg(not(feature = "tls-aws-lc"))]
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
