//! A certificate authority of the test's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

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
        self.issue(params(names), protocols)
    }

    /// Returns the configuration of a server for `localhost` whose certificate is of another time.
    pub(crate) fn expired_server(&self) -> Arc<ServerConfig> {
        let mut params = params(&["localhost"]);
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.issue(params, &["h2", "http/1.1"])
    }

    /// Writes the certificate and the key of a server for `localhost` and `127.0.0.1` into files (PEM).
    pub(crate) fn server_files(&self) -> (PathBuf, PathBuf) {
        let key = key();
        let certificate = params(&["localhost", "127.0.0.1"]).signed_by(&key, &self.issuer).expect("a certificate");
        let (certificate_file, key_file) =
            (self.directory.path().join("server.pem"), self.directory.path().join("server.key"));
        std::fs::write(&certificate_file, certificate.pem()).expect("a file in a temporary directory");
        std::fs::write(&key_file, key.serialize_pem()).expect("a file in a temporary directory");
        (certificate_file, key_file)
    }

    fn issue(&self, params: CertificateParams, protocols: &[&str]) -> Arc<ServerConfig> {
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider knows the default versions")
            .with_no_client_auth()
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
