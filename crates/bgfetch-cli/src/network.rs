//! The options of the engine: they apply to all fetches of a process, and are not stored.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bgfetch::{
    Builder, CookieJar, FetchError, FetchRequest, FetchResponse, Fetcher, HyperFetcher, Limits,
    Principal, Proxies, Proxy,
};
use futures_util::future::BoxFuture;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::exit::Failure;
use crate::secret::Secret;

const NETWORK: &str = "Network";

/// How a process reaches servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub(crate) struct NetworkOptions {
    /// Connections at a time [default: 6 per server and 17 in all]
    #[arg(long, value_name = "N", value_parser = connections, help_heading = NETWORK)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_connections: Option<NonZeroU32>,
    /// Bytes per second for everything together, such as 500k or 2M
    #[arg(long, value_name = "RATE", value_parser = bytes_per_second, help_heading = NETWORK)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit_rate: Option<u64>,
    /// Use this proxy (http, https or socks5), whatever http_proxy and the like say
    #[arg(short = 'x', long, value_name = "URL", help_heading = NETWORK)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proxy: Option<Secret>,
    /// Use no proxy, whatever http_proxy and the like say
    #[arg(long, conflicts_with = "proxy", help_heading = NETWORK)]
    #[serde(default)]
    no_proxy: bool,
    /// Trust the certificates in this file (PEM) instead of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure", help_heading = NETWORK)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cacert: Option<PathBuf>,
    /// Do not verify the certificates of servers: anybody may read and change what is sent
    #[arg(short = 'k', long, help_heading = NETWORK)]
    #[serde(default)]
    pub(crate) insecure: bool,
}

impl NetworkOptions {
    /// A fetcher with these options. `insecure` applies only to `urls`, and not to what other
    /// commands have left in the store.
    ///
    /// # Errors
    ///
    /// A proxy or a certificate is not one.
    pub(crate) fn fetcher(&self, urls: HashSet<Url>) -> Result<impl Fetcher + use<>, Failure> {
        let proxies = self.proxies()?;
        let build = |tls: Option<ClientConfig>| {
            // Some servers require the cookie that their own redirect has set.
            let builder = HyperFetcher::builder().cookies(CookieJar::new());
            let builder = match tls {
                Some(tls) => builder.tls(tls),
                None => builder,
            };
            match proxies.clone() {
                None => builder.build(),
                Some(Way::One(proxy)) => {
                    builder.proxy(move |_| std::future::ready(vec![proxy.clone()])).build()
                }
                Some(Way::Environment(proxies)) => {
                    builder.proxy(move |url| proxies.of(url)).build()
                }
            }
        };
        let tls = self.cacert.as_deref().map(trusting).transpose()?;
        let unverified = match self.insecure {
            true => Some((build(Some(trusting_all()?))?, urls)),
            false => None,
        };
        Ok(Fetchers { verified: build(tls)?, unverified })
    }

    /// The builder with these options.
    pub(crate) fn apply(&self, builder: Builder) -> Builder {
        let builder = builder.rate(self.limit_rate);
        let Some(most) = self.max_connections.map(NonZeroU32::get) else {
            return builder;
        };
        builder.limits(Limits::default().with(|it| {
            // Beside the first one, which every site may have.
            it.total = most - 1;
            it.per_host = most;
        }))
    }

    fn proxies(&self) -> Result<Option<Way>, Failure> {
        Ok(match &self.proxy {
            _ if self.no_proxy => None,
            Some(Secret(url)) => Some(Way::One(
                url.parse().map_err(|error: bgfetch::BadProxy| Failure(format!("--{error}")))?,
            )),
            None => Some(Way::Environment(Proxies::from_environment()?)),
        })
    }
}

#[derive(Clone)]
enum Way {
    One(Proxy),
    Environment(Proxies),
}

/// Fetches with verified certificates, except for some URLs.
struct Fetchers {
    verified: HyperFetcher,
    unverified: Option<(HyperFetcher, HashSet<Url>)>,
}

impl Fetcher for Fetchers {
    fn fetch(
        &self,
        request: FetchRequest,
    ) -> BoxFuture<'static, Result<FetchResponse, FetchError>> {
        let is_for_user = matches!(*request.principal, Principal::User);
        match &self.unverified {
            Some((fetcher, urls)) if is_for_user && urls.contains(&request.request.url) => {
                fetcher.fetch(request)
            }
            _ => self.verified.fetch(request),
        }
    }

    fn network_changed(&self) {
        self.verified.network_changed();
        if let Some((fetcher, _)) = &self.unverified {
            fetcher.network_changed();
        }
    }
}

/// A TLS configuration that trusts the certificates of a file.
fn trusting(path: &Path) -> Result<ClientConfig, Failure> {
    let refuse = |why: String| Failure(format!("--cacert {}: {why}", path.display()));
    let text = std::fs::read(path).map_err(|error| refuse(Failure::from(error).0))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|_| refuse("not a PEM file".into()))?;
        roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refuse("no certificate in it (PEM)".into()));
    }
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// A TLS configuration that trusts everybody.
fn trusting_all() -> Result<ClientConfig, Failure> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.dangerous().set_certificate_verifier(Arc::new(Unverified(provider())));
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Accepts every certificate.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn connections(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| "that is no number of connections, 1 or more".into())
}

/// Parses a rate like curl's and wget's: bytes, or with a suffix of powers of 1024.
fn bytes_per_second(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !matches!(c, '0'..='9' | '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(split).unwrap_or((text, ""));
    let unit = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" => Some(1 << 10),
        "m" => Some(1 << 20),
        "g" => Some(1 << 30),
        _ => None,
    };
    let rate = unit.zip(number.parse::<f64>().ok()).map(|(unit, number)| number * f64::from(unit));
    // The conversion saturates.
    match rate.map(|rate| rate as u64) {
        Some(0) => Err("with no bytes per second, it would never end".into()),
        Some(rate) => Ok(rate),
        None => Err("a rate is a number of bytes per second, with k, M or G after it".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_the_suffixes_of_other_downloaders() {
        for (text, expected) in [
            ("1000", Some(1000)),
            ("500k", Some(500 << 10)),
            ("1.5M", Some(3 << 19)),
            ("2G", Some(2 << 30)),
            ("99999999999999999999G", Some(u64::MAX)),
            ("0", None),
            ("0.5", None),
            ("", None),
            ("k", None),
            ("1.2.3", None),
            ("-1", None),
            ("10 MB", None),
            ("1é", None),
        ] {
            assert_eq!(bytes_per_second(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn options_of_the_engine_can_be_compared_and_show_no_password() {
        let proxy = Some(Secret("http://me:pw@proxy.test".into()));
        let options = NetworkOptions { proxy, ..NetworkOptions::default() };
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<NetworkOptions>(&text).unwrap(), options);
        assert!(!format!("{options:?}").contains("pw"));
    }
}
