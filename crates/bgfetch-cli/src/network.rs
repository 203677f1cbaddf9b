//! The options of the engine: they apply to all fetches of a process, and are not stored.

use std::cell::RefCell;
use std::collections::HashSet;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bgfetch::control::EngineOptions;
use bgfetch::{
    Builder, CookieJar, FaultKind, FetchError, FetchRequest, FetchResponse, Fetcher, HyperFetcher,
    Limits, Principal, Proxies, Proxy,
};
use futures_util::future::BoxFuture;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::Serialize;
use tokio::sync::mpsc;
use url::Url;

use crate::exit::Failure;
use crate::secret::Secret;

const NETWORK: &str = "Network";

/// How a process reaches servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, clap::Args)]
pub(crate) struct NetworkOptions {
    /// Connections at a time [default: 6 per server and 17 in all]
    #[arg(long, value_name = "N", value_parser = connections, allow_negative_numbers = true, help_heading = NETWORK)]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections: Option<NonZeroU32>,
    /// Bytes per second for everything together, such as 500k or 2M
    #[arg(long, value_name = "RATE", value_parser = bytes_per_second, allow_negative_numbers = true, help_heading = NETWORK)]
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_rate: Option<u64>,
    /// Use this proxy (http, https or socks5), whatever http_proxy and the like say
    #[arg(short = 'x', long, value_name = "URL", help_heading = NETWORK)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proxy: Option<Secret>,
    /// Use no proxy, whatever http_proxy and the like say
    #[arg(long, conflicts_with = "proxy", help_heading = NETWORK)]
    no_proxy: bool,
    /// Trust the certificates in this file (PEM) instead of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure", help_heading = NETWORK)]
    #[serde(skip_serializing_if = "Option::is_none")]
    cacert: Option<PathBuf>,
    /// Do not verify the certificates of servers: anybody may read and change what is sent
    #[arg(short = 'k', long, help_heading = NETWORK)]
    pub(crate) insecure: bool,
}

impl NetworkOptions {
    /// A fetcher with these options. `insecure` applies only to `urls`, and not to what other
    /// commands have left in the store. Those had other options: if a certificate is not trusted, they
    /// get no answer, and `untrusted` is told.
    ///
    /// # Errors
    ///
    /// A proxy or a certificate is not one.
    pub(crate) fn fetcher(
        &self,
        urls: UrlSet,
        untrusted: mpsc::UnboundedSender<Untrusted>,
    ) -> Result<impl Fetcher + use<>, Failure> {
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
            true => Some(build(Some(trusting_all()?))?),
            false => None,
        };
        Ok(Fetchers { verified: build(tls)?, unverified, urls, untrusted })
    }

    /// The options that were given, to be compared with those of the process that has the store open.
    /// The environment's proxies count as `--proxy`.
    ///
    /// # Errors
    ///
    /// The path of a file cannot be made absolute, or the environment names a wrong proxy.
    pub(crate) fn named(&self) -> Result<EngineOptions, Failure> {
        let cacert = self.cacert.as_ref().map(std::path::absolute).transpose()?;
        let given = serde_json::to_value(Self { cacert, ..self.clone() })?;
        let given = given.as_object().into_iter().flatten();
        let given = given.filter(|(_, value)| **value != serde_json::Value::Bool(false));
        let named = given.map(|(name, value)| (name.replace('_', "-"), value.to_string()));
        let mut named = EngineOptions(named.collect());
        if self.proxy.is_none() && !self.no_proxy {
            let read = RefCell::new(Vec::new());
            Proxies::from_variables(|name| {
                let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
                read.borrow_mut().push(format!("{name}={value}"));
                Some(value)
            })?;
            let read = read.into_inner();
            if !read.is_empty() {
                named.0.insert("proxy".into(), read.join("\n"));
            }
        }
        Ok(named)
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

/// URLs of commands that run now.
#[derive(Clone, Default)]
pub(crate) struct UrlSet(Arc<Mutex<HashSet<Url>>>);

impl UrlSet {
    pub(crate) fn add(&self, urls: impl Iterator<Item = Url>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(urls);
    }

    fn contains(&self, url: &Url) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(url)
    }
}

#[derive(Clone)]
enum Way {
    One(Proxy),
    Environment(Proxies),
}

/// A server that this process does not trust has what another command has left to be fetched.
#[derive(Debug)]
pub(crate) struct Untrusted {
    pub(crate) url: Url,
    /// Why, for the user.
    pub(crate) why: String,
}

/// Fetches with verified certificates, except for some URLs.
struct Fetchers {
    verified: HyperFetcher,
    unverified: Option<HyperFetcher>,
    /// Those of commands that run now.
    urls: UrlSet,
    untrusted: mpsc::UnboundedSender<Untrusted>,
}

impl Fetcher for Fetchers {
    fn fetch(
        &self,
        request: FetchRequest,
    ) -> BoxFuture<'static, Result<FetchResponse, FetchError>> {
        let url = request.request.url.clone();
        if !matches!(*request.principal, Principal::User) {
            return self.verified.fetch(request);
        }
        if self.urls.contains(&url) {
            return self.unverified.as_ref().unwrap_or(&self.verified).fetch(request);
        }
        let (fetching, untrusted) = (self.verified.fetch(request), self.untrusted.clone());
        Box::pin(async move {
            match fetching.await {
                Err(error) if error.kind() == FaultKind::Tls => {
                    // When the process ends, nobody listens.
                    untrusted.send(Untrusted { url, why: error.to_string() }).unwrap_or_default();
                    std::future::pending().await
                }
                fetched => fetched,
            }
        })
    }

    fn network_changed(&self) {
        self.verified.network_changed();
        if let Some(fetcher) = &self.unverified {
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
    text.parse().map_err(|_| "a number of connections is 1 or more".into())
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
        let named = options.named().unwrap();
        let same = |other: &NetworkOptions| named.difference(&other.named().unwrap()).is_none();
        assert!(same(&options) && !same(&NetworkOptions::default()));
        assert_eq!(NetworkOptions::default().named().unwrap(), EngineOptions::default());
        let many = NetworkOptions {
            max_connections: NonZeroU32::new(3),
            limit_rate: Some(5),
            no_proxy: true,
            cacert: Some("ca.pem".into()),
            insecure: true,
            ..NetworkOptions::default()
        };
        let names: Vec<_> = many.named().unwrap().0.into_keys().collect();
        assert_eq!(names, ["cacert", "insecure", "limit-rate", "max-connections", "no-proxy"]);
        let file = many.named().unwrap().0["cacert"].clone();
        let absolute = std::path::absolute("ca.pem").unwrap();
        assert!(file.contains(absolute.to_str().unwrap()), "{file}");
        assert!(!format!("{options:?} {named:?}").contains("pw"));
    }
}
