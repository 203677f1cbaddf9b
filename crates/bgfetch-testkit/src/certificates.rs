//! Certificates for loopback servers.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate authority made for one server, and the server's certificate for `localhost` and
/// the address that it listens on.
#[derive(Debug)]
pub struct Certificates {
    root_pem: String,
    root_der: CertificateDer<'static>,
    pub(crate) server_pem: String,
    pub(crate) server_key_pem: String,
    server_der: CertificateDer<'static>,
    server_key_der: PrivateKeyDer<'static>,
}

impl Certificates {
    pub(crate) fn for_server(ip: IpAddr) -> Self {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // Clients look for a root by its name.
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("bgfetch test root {}", MADE.fetch_add(1, Ordering::Relaxed));
        root.distinguished_name.push(DnType::CommonName, name);
        let root_key = KeyPair::generate().unwrap();
        let root_certificate = root.self_signed(&root_key).unwrap();

        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new([String::from("localhost"), ip.to_string()])
            .unwrap()
            .signed_by(&key, &Issuer::new(root, root_key))
            .unwrap();
        Self {
            root_pem: root_certificate.pem(),
            root_der: root_certificate.der().clone(),
            server_pem: server.pem(),
            server_key_pem: key.serialize_pem(),
            server_der: server.der().clone(),
            server_key_der: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        }
    }

    /// The root certificate to trust, as PEM.
    #[must_use]
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The root certificate to trust, in rustls's type.
    #[must_use]
    pub fn root_der(&self) -> CertificateDer<'static> {
        self.root_der.clone()
    }

    /// A configuration that offers these protocols.
    pub(crate) fn server_config(&self, protocols: &[&str]) -> ServerConfig {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.server_der.clone()], self.server_key_der.clone_key())
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}
