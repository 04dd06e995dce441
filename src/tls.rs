//! TLS as a client: rustls with ring, TLS 1.2 or later, the system's certificate authorities and those of a `ca_file`.
//!
//! There is no way to switch the verification off.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

/// A client that trusts the system's authorities and `extra` ones. Reads the system's certificates: some milliseconds.
///
/// # Errors
/// The system's certificates cannot be read.
pub fn client(extra: &[CertificateDer<'static>]) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(default_provider());
    let verifier = Verifier::new_with_extra_roots(extra.iter().cloned(), Arc::clone(&provider))?;
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// The certificates of a PEM file.
///
/// # Errors
/// A sentence for the administrator.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let text = std::fs::read(path).map_err(|error| format!("{shown}: {error}"))?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{shown} is not a valid file of PEM certificates: {error}"))?;
    if certificates.is_empty() {
        return Err(format!("{shown} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"));
    }
    // A certificate that nothing could be checked against is a mistake that should show now, not at the first mail.
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| format!("{shown} holds a broken certificate: {error}"))?;
    }
    Ok(certificates)
}
