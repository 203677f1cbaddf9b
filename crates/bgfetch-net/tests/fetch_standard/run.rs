//! Runs a row and checks its results.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bgfetch_model::attempt::{AttemptSpec, FaultKind};
use bgfetch_model::header_list::HeaderList;
use bgfetch_model::ids::StorageKey;
use bgfetch_model::ip_address_space::IpAddressSpace;
use bgfetch_model::origin::Origin;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::Request;
use bgfetch_model::response::{ResponseHead, ResponseType};
use bgfetch_net::fetch::WithWebChecks;
use bgfetch_net::fetch::cookie_jar::CookieJar;
use bgfetch_net::fetcher::{BodySource, FetchRequest, FetchResponse, Fetcher};
use bgfetch_net::hyper::{HyperFetcher, Resolve};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::raw::Raw;
use super::server::{Answer, Seen, Servers};
use super::table::{Case, Exchange, Expected, Fetch, Headers, Outcome, Page};

/// The request headers that are compared in every row, in addition to those that begin with `x-`.
pub(crate) const TRACKED: [&str; 9] = [
    "origin",
    "cookie",
    "authorization",
    "access-control-request-method",
    "access-control-request-headers",
    "content-type",
    "content-language",
    "range",
    "if-none-match",
];

/// The protocol that a row runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http1Tls,
    Http2,
    /// No protocol, but the layer of the checks over a transport of the test's own.
    Raw,
}

impl Protocol {
    pub(crate) const ALL: [Self; 4] = [Self::Http1, Self::Http1Tls, Self::Http2, Self::Raw];

    /// Whether a row with `word` after `only` runs over this.
    pub(crate) fn is(self, word: &str) -> bool {
        match word {
            "h1" => matches!(self, Self::Http1 | Self::Http1Tls),
            "h2" => self == Self::Http2,
            "tls" => self != Self::Http1,
            "plain" => self == Self::Http1,
            other => panic!("no such protocol: {other}"),
        }
    }
}

/// State shared by all rows: the certificate for the hosts, and a client that trusts it.
pub(crate) struct Bench {
    http1: TlsAcceptor,
    http2: TlsAcceptor,
    client: ClientConfig,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let hosts = ["page.test", "sub.page.test", "a.test", "sub.a.test", "b.test"];
        let made = rcgen::generate_simple_self_signed(hosts.map(String::from)).unwrap();
        let acceptor = |protocol: &[u8]| {
            let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let mut config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key)
                .unwrap();
            config.alpn_protocols = vec![protocol.to_vec()];
            TlsAcceptor::from(Arc::new(config))
        };
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { http1: acceptor(b"http/1.1"), http2: acceptor(b"h2"), client }
    }

    /// Runs a row; a failure lists all differences.
    pub(crate) async fn run(&self, case: &Case, protocol: Protocol) -> Result<(), String> {
        let tls = match protocol {
            Protocol::Http1 | Protocol::Raw => None,
            Protocol::Http1Tls => Some(self.http1.clone()),
            Protocol::Http2 => Some(self.http2.clone()),
        };
        let servers = Servers::start(tls).await;
        let fetcher = self.fetcher(protocol, &servers);
        let places = Places { protocol, port: servers.port, other_port: servers.other_port };
        let mut report = String::new();
        for (index, fetch) in case.fetches.iter().enumerate() {
            if fetch.wait > 0 {
                // Time jumps, and then continues in real time, so that nothing that waits for a
                // socket times out.
                tokio::time::pause();
                tokio::time::advance(Duration::from_secs(fetch.wait)).await;
                tokio::time::resume();
            }
            let mut script = std::mem::take(&mut *servers.script.lock());
            script.seen.clear();
            script.answers = fetch.exchanges.iter().map(|one| answer(one, &places)).collect();
            let last_body = script.answers.back().map(|answer| answer.body.clone());
            *servers.script.lock() = script;

            let outcome = fetcher.fetch(request(fetch, &places)).await;
            let came = match outcome {
                Ok(response) => response_text(response, fetch, protocol, last_body).await,
                Err(error) if error.kind() == FaultKind::Blocked => String::from("network error"),
                Err(error) => format!("{:?} instead of a network error: {error}", error.kind()),
            };
            let should = expected_text(&fetch.outcome, &places);
            let seen = std::mem::take(&mut servers.script.lock().seen);
            let seen: Vec<_> = seen.iter().map(|one| seen_text(one, case)).collect();
            let expected: Vec<_> =
                fetch.exchanges.iter().map(|one| exchange_text(one, &places)).collect();
            if came != should {
                let nth = index + 1;
                write!(report, "\n  fetch {nth}\n    expected {should}\n    came     {came}")
                    .unwrap();
            }
            if seen != expected {
                let (seen, expected) = (seen.join("\n      "), expected.join("\n      "));
                write!(report, "\n    the servers expected\n      {expected}").unwrap();
                write!(report, "\n    and saw\n      {seen}").unwrap();
            }
        }
        if report.is_empty() {
            return Ok(());
        }
        let report = places.shorten(&report);
        Err(format!("{} ({protocol:?}){report}", case.name))
    }

    fn fetcher(&self, protocol: Protocol, servers: &Servers) -> Box<dyn Fetcher> {
        if protocol == Protocol::Raw {
            let raw = Raw(Arc::clone(&servers.script));
            return Box::new(WithWebChecks::new(raw).cookies(CookieJar::new()));
        }
        let builder = HyperFetcher::builder().tls(self.client.clone()).resolver(Loopback);
        Box::new(builder.cookies(CookieJar::new()).build().unwrap())
    }
}

/// Every host is this machine.
struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, _host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Ok(vec![Ipv4Addr::LOCALHOST.into()]) })
    }
}

/// Replaces the placeholders.
struct Places {
    protocol: Protocol,
    port: u16,
    other_port: u16,
}

impl Places {
    fn origins(&self) -> [(&'static str, String); 6] {
        let scheme = if self.protocol == Protocol::Http1 { "http" } else { "https" };
        let at = |host: &str, port: u16| format!("{scheme}://{host}:{port}");
        [
            ("{page}", at("page.test", self.port)),
            ("{sib}", at("sub.page.test", self.port)),
            ("{a}", at("a.test", self.port)),
            ("{sub}", at("sub.a.test", self.port)),
            ("{b}", at("b.test", self.port)),
            ("{alt}", at("a.test", self.other_port)),
        ]
    }

    fn fill(&self, text: &str) -> String {
        let mut text = text.replace("{port}", &self.port.to_string());
        for (place, origin) in self.origins() {
            text = text.replace(place, &origin);
        }
        text
    }

    fn shorten(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (place, origin) in self.origins() {
            text = text.replace(&origin, place);
        }
        text
    }

    fn headers(&self, headers: &Headers) -> Headers {
        headers.iter().map(|(name, value)| (name.clone(), self.fill(value))).collect()
    }
}

fn policies(page: &Page, places: &Places) -> PolicySnapshot {
    let url = |text: &str| Url::parse(&places.fill(text)).unwrap();
    let mut policies = match page.url.as_str() {
        "opaque" => {
            let mut policies = PolicySnapshot::of(&url("{page}/"));
            policies.origin = Origin::opaque();
            policies.referrer = None;
            policies
        }
        page => PolicySnapshot::of(&url(page)),
    };
    if let Some(top) = &page.top {
        policies.top_level_origin = Origin::of(&url(top));
    }
    policies.policy_container.referrer_policy = page.policy;
    policies.policy_container.ip_address_space = Some(IpAddressSpace::Loopback);
    policies.secure_context = places.protocol != Protocol::Http1;
    policies
}

fn request(fetch: &Fetch, places: &Places) -> FetchRequest {
    let mut request = Request::get(Url::parse(&places.fill(&fetch.url)).unwrap());
    request.method.clone_from(&fetch.method);
    request.headers = places.headers(&fetch.headers).into_iter().collect();
    request.mode = fetch.mode;
    request.credentials = fetch.credentials;
    request.redirect = fetch.redirect;
    request.cache = fetch.cache;
    request.referrer_policy = fetch.referrer_policy;
    let body = fetch.body.as_ref().map(|text| Bytes::copy_from_slice(text.as_bytes()));
    request.body_length = body.as_ref().map(|bytes| bytes.len() as u64);
    let body = body.map(|bytes| Arc::new(Stored(bytes)) as Arc<dyn BodySource>);
    let (key, principal) = match fetch.page.url.as_str() {
        "user" => (String::from("user"), Principal::User),
        _ => {
            let page = policies(&fetch.page, places);
            let key =
                format!("{} in {}", page.origin.serialize(), page.top_level_origin.serialize());
            (key, Principal::Page(page))
        }
    };
    let (request, principal) = (Arc::new(request), Arc::new(principal));
    FetchRequest::new(StorageKey(key), principal, request, AttemptSpec::default(), body)
}

struct Stored(Bytes);

impl BodySource for Stored {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn open(&self) -> BoxStream<'static, io::Result<Bytes>> {
        stream::iter([Ok(self.0.clone())]).boxed()
    }
}

fn answer(exchange: &Exchange, places: &Places) -> Answer {
    let has_body = !is_null_body_status(exchange.status);
    let body = has_body.then(|| format!("the body of {} {}", exchange.method, exchange.url));
    Answer {
        status: exchange.status,
        headers: places.headers(&exchange.headers),
        body: body.unwrap_or_default(),
    }
}

fn is_null_body_status(status: u16) -> bool {
    matches!(status, 204 | 205 | 304)
}

/// The headers of a response that a page may see.
fn exposed(head: &ResponseHead) -> HeaderList {
    head.filtered().headers
}

async fn response_text(
    response: FetchResponse,
    fetch: &Fetch,
    protocol: Protocol,
    last_body: Option<String>,
) -> String {
    let FetchResponse { head, body, multiplexed, .. } = response;
    let kind = match head.response_type {
        ResponseType::Basic => "basic",
        ResponseType::Cors => "cors",
        ResponseType::Opaque => "opaque",
        ResponseType::OpaqueRedirect => "opaqueredirect",
        ResponseType::Default => "default",
    };
    let urls: Vec<_> = head.url_list.iter().map(Url::as_str).collect();
    let mut text = format!("{kind} {} {}", head.status, urls.join(" > "));
    if matches!(&fetch.outcome, Outcome::Response(expected) if expected.headers.is_some()) {
        text += &headers_text(exposed(&head).iter().filter(|(name, _)| {
            !["date", "content-length"].iter().any(|own| name.eq_ignore_ascii_case(own))
        }));
    }
    if multiplexed != (protocol == Protocol::Http2) {
        text += " over the wrong protocol";
    }
    let body = body.try_fold(Vec::new(), |mut all, bytes| async move {
        all.extend_from_slice(&bytes);
        Ok(all)
    });
    let null = head.status == 0 || fetch.method == "HEAD";
    let should = if null { String::new() } else { last_body.unwrap_or_default() };
    match body.await {
        Ok(bytes) if bytes == should.as_bytes() => {}
        Ok(bytes) => write!(text, " with the body {:?}", String::from_utf8_lossy(&bytes)).unwrap(),
        Err(error) => write!(text, " whose body failed: {error}").unwrap(),
    }
    text
}

fn expected_text(outcome: &Outcome, places: &Places) -> String {
    let Outcome::Response(Expected { kind, status, urls, headers }) = outcome else {
        return String::from("network error");
    };
    let urls: Vec<_> = urls.iter().map(|url| Url::parse(&places.fill(url)).unwrap()).collect();
    let urls: Vec<_> = urls.iter().map(Url::as_str).collect();
    let mut text = format!("{kind} {status} {}", urls.join(" > "));
    if let Some(headers) = headers {
        let headers = places.headers(headers);
        text += &headers_text(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    }
    text
}

fn exchange_text(exchange: &Exchange, places: &Places) -> String {
    let url = Url::parse(&places.fill(&exchange.url)).unwrap();
    let seen = places.headers(&exchange.seen);
    let headers = headers_text(seen.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    format!("{} {url}{headers}", exchange.method)
}

fn seen_text(seen: &Seen, case: &Case) -> String {
    let tracked = seen.headers.iter().filter(|(name, _)| {
        TRACKED.contains(&name.as_str()) || name.starts_with("x-") || case.track.contains(name)
    });
    let body = (!seen.body.is_empty()).then_some(("body", seen.body.as_str()));
    let headers =
        headers_text(tracked.map(|(name, value)| (name.as_str(), value.as_str())).chain(body));
    format!("{} {}{headers}", seen.method, seen.url)
}

/// Sorted, so that their order on the wire does not matter.
fn headers_text<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut lines: Vec<_> =
        headers.map(|(name, value)| format!(" | {}: {value}", name.to_ascii_lowercase())).collect();
    lines.sort();
    lines.concat()
}
