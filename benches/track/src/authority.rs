//! A certificate authority of its own, for the races over TLS.

use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};

/// The files of a certificate for `127.0.0.1`.
#[derive(Clone, Debug)]
pub struct Papers {
    /// The authority, which clients are told to trust.
    pub authority: PathBuf,
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Makes an authority and a certificate.
pub fn issue(directory: &Path) -> Result<Papers> {
    let authority_key = KeyPair::generate().map_err(Error::other)?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // A certificate whose issuer has its own name counts as signed by itself, with OpenSSL.
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "the race's own authority");
    let authority = params.self_signed(&authority_key).map_err(Error::other)?;
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().map_err(Error::other)?;
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).map_err(Error::other)?;
    let leaf = leaf.signed_by(&key, &issuer).map_err(Error::other)?;
    let papers = Papers {
        authority: directory.join("authority.crt"),
        certificate: directory.join("server.crt"),
        key: directory.join("server.key"),
    };
    fs::write(&papers.authority, authority.pem())?;
    fs::write(&papers.certificate, leaf.pem())?;
    fs::write(&papers.key, key.serialize_pem())?;
    Ok(papers)
}
