//! Fetches behind proxies: our own, and with `BGFETCH_REAL_PROXIES=1` (`make proxies`) also tinyproxy
//! and microsocks.

// A panic in a helper is a failed test, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "proxies/log.rs"]
mod log;

use std::future::ready;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use bgfetch::embedder::BoxFuture;
use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    BackgroundFetchRegistration, Endpoint, Engine, FetchOptions, HyperFetcher, HyperFetcherBuilder,
    IpAddressSpace, Observer, PolicySnapshot, Principal, Proxy, RequestInfo, Resolve, StorageKey,
    What,
};
use bgfetch_testkit::{
    ForwardProxy, Gate, MIB, Origin, ProxyProtocol, Reply, Resource, Script, Serve,
};
use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use url::{Host, Url};

const PASSWORD: &str = "sesame-7531";
const USER: &str = "downloader:sesame-7531";
const CUT: u64 = 100_000;

/// Every proxy there is, with a user and a password or without.
fn proxies(user: Option<&str>) -> Vec<ForwardProxy> {
    use ProxyProtocol::{Http, Https, Socks5};
    let own = [Http, Https, Socks5].map(|protocol| ForwardProxy::start(protocol, user));
    let real = match std::env::var_os("BGFETCH_REAL_PROXIES") {
        None => Vec::new(),
        Some(_) => Vec::from([Http, Socks5].map(|protocol| {
            ForwardProxy::try_start_real(protocol, user).expect("`make proxies` installs it")
        })),
    };
    own.into_iter().chain(real).collect()
}

/// A resolver for fetchers that have nothing to look up.
struct NoNames;

impl Resolve for NoNames {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        panic!("the name {host} leaked")
    }
}

/// A fetcher that trusts these origins and proxies.
fn builder(origins: &[&Origin], proxy: &ForwardProxy) -> HyperFetcherBuilder {
    let mut roots = RootCertStore::empty();
    for origin in origins {
        roots.add(origin.certificates().root_der()).unwrap();
    }
    if let Some(certificates) = proxy.certificates() {
        roots.add(certificates.root_der()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    HyperFetcher::builder().tls(tls).resolver(NoNames)
}

/// A builder whose requests all use these proxies.
fn through(builder: HyperFetcherBuilder, proxies: &[String]) -> HyperFetcherBuilder {
    let proxies: Vec<Proxy> = proxies.iter().map(|url| url.parse().unwrap()).collect();
    builder.proxy(move |_| ready(proxies.clone()))
}

/// A user agent, and everything that it put out.
struct Agent {
    directory: TempDir,
    engine: Engine,
    observer: Observer,
    fetch: Option<BackgroundFetchRegistration>,
    output: String,
}

/// What became of a fetch.
struct Ended {
    body: Option<Vec<u8>>,
    message: Option<String>,
    retries: usize,
}

impl Agent {
    async fn open(fetcher: HyperFetcherBuilder) -> Self {
        log::collect();
        let directory = TempDir::new().unwrap();
        let engine = Engine::builder()
            .directory(directory.path())
            .worker_host(ScriptedHost::new([Behaviour::NeverSettle]))
            .fetcher(fetcher.build().unwrap())
            .configure(|config| {
                config.retry.interrupted.base = Duration::ZERO;
                config.retry.never_reached.base = Duration::ZERO;
            })
            .open()
            .unwrap();
        let observer = engine.observe().await.unwrap();
        Self { directory, engine, observer, fetch: None, output: String::new() }
    }

    async fn start(&mut self, principal: Principal, request: RequestInfo) {
        let scope = "https://app.test/".parse().unwrap();
        let registration = self.engine.register(StorageKey("app".into()), scope).await.unwrap();
        let manager = registration.background_fetch().acting_for(principal);
        let fetch = manager.fetch("id", [request], FetchOptions::default()).await;
        self.fetch = Some(fetch.unwrap());
    }

    /// Waits for the end of the fetch.
    async fn ended(&mut self) -> Ended {
        let (mut message, mut retries) = (None, 0);
        loop {
            let event = self.observer.next().await.expect("the engine is open");
            self.output += &format!("{event:?}\n");
            match event.what {
                What::Retry { .. } => retries += 1,
                What::RecordSettled { message: told, .. } => message = told,
                What::Settled(result) => {
                    let body = if result.is_ok() { Some(self.body().await) } else { None };
                    return Ended { body, message, retries };
                }
                _ => {}
            }
        }
    }

    async fn body(&self) -> Vec<u8> {
        let records = self.fetch.as_ref().unwrap().records().await.unwrap();
        records[0].response_ready().await.unwrap().body.bytes().await.unwrap()
    }

    async fn get(fetcher: HyperFetcherBuilder, url: Url) -> Ended {
        let mut agent = Self::open(fetcher).await;
        agent.start(Principal::User, RequestInfo::from(url)).await;
        let ended = agent.ended().await;
        agent.close().await;
        ended
    }

    /// Ends the engine, and checks that no password is in what it put out or left.
    async fn close(mut self) {
        self.output += &format!("{:?}", self.engine.ui().jobs().await);
        self.engine.shutdown().await.unwrap();
        let in_base64 = "c2VzYW1lLTc1Mz";
        for secret in [PASSWORD, in_base64] {
            assert!(!self.output.contains(secret), "an output tells the password: {}", self.output);
            assert!(!log::text().is_empty() && !log::text().contains(secret), "the log tells it");
            let mut folders = vec![self.directory.path().to_owned()];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders.push(path);
                        continue;
                    }
                    let bytes = std::fs::read(&path).unwrap();
                    let is_in = bytes.windows(secret.len()).any(|it| it == secret.as_bytes());
                    assert!(!is_in, "{} has the password", path.display());
                }
            }
        }
    }
}

fn at(host: &str, mut url: Url) -> Url {
    url.set_host(Some(host)).unwrap();
    url
}

fn starts(origin: &Origin) -> Vec<Option<u64>> {
    origin.requests().iter().map(|request| request.range_start()).collect()
}

#[tokio::test]
async fn a_download_arrives_and_resumes_behind_every_proxy() {
    let film = Resource::new(1, MIB).etag("\"1\"");
    for user in [None, Some(USER)] {
        for proxy in proxies(user) {
            let name = proxy.url_with(None);
            let v6 = Origin::start_on(Ipv6Addr::LOCALHOST.into());
            for (origin, host) in
                [(Origin::start(), "localhost"), (Origin::start_tls(), "localhost"), (v6, "[::1]")]
            {
                let url = at(host, origin.url("/film"));
                origin.serve("/film", film.clone().cut_after(CUT).then(film.clone()));
                let trusted: &[&Origin] = if url.scheme() == "https" { &[&origin] } else { &[] };
                let fetcher = through(builder(trusted, &proxy), &[proxy.url()]);
                let ended = Agent::get(fetcher, url.clone()).await;
                assert!(ended.body == Some(film.bytes()), "{name} {url}: {:?}", ended.message);
                // What was on the way when the server cut the connection may be lost with it.
                let starts = starts(&origin);
                assert!(matches!(starts[..], [None, Some(1..=CUT)]), "{starts:?} {url}");
                let target = format!("{host}:{}", origin.address().port());
                assert!(proxy.targets().iter().all(|it| !it.contains("127.0.0.1")));
                assert!(proxy.targets().is_empty() || proxy.targets().contains(&target));
            }
        }
    }
}

#[tokio::test]
async fn an_upload_is_sent_once_behind_every_proxy() {
    for proxy in proxies(Some(USER)) {
        let name = proxy.url_with(None);
        let origin = Origin::start();
        origin.serve("POST /up", Reply::text("text/plain", "thanks"));
        let url = at("localhost", origin.url("/up"));
        let mut agent = Agent::open(through(builder(&[], &proxy), &[proxy.url()])).await;
        let request = RequestInfo::new("POST", url).body(vec![7; 300_000]);
        agent.start(Principal::User, request).await;
        assert_eq!(agent.ended().await.body.as_deref(), Some(&b"thanks"[..]), "{name}");
        assert_eq!(origin.requests().len(), 1);
        agent.close().await;
    }
}

#[tokio::test]
async fn a_download_survives_a_proxy_that_dies_in_the_middle() {
    let film = Resource::new(1, MIB).etag("\"1\"");
    for mut proxy in proxies(Some(USER)) {
        let name = proxy.url_with(None);
        let (origin, gate) = (Origin::start(), Gate::new());
        origin.serve("/film", film.clone().hold_at(CUT, &gate).then(film.clone()));
        let url = at("localhost", origin.url("/film"));
        let mut agent = Agent::open(through(builder(&[], &proxy), &[proxy.url()])).await;
        agent.start(Principal::User, RequestInfo::from(url)).await;
        while agent.observer.next().await.unwrap().downloaded < CUT {}
        proxy.restart();
        let ended = agent.ended().await;
        assert!(ended.body == Some(film.bytes()), "{name}: {:?}", ended.message);
        assert_eq!(starts(&origin), [None, Some(CUT)], "{name}");
        agent.close().await;
        gate.open();
    }
}

#[tokio::test]
async fn a_user_that_a_proxy_does_not_accept_fails_at_once_and_for_that_reason() {
    for proxy in proxies(Some(USER)) {
        let name = proxy.url_with(None);
        for user in [None, Some("downloader:wrong"), Some("other:sesame-7531")] {
            let origin = Origin::start();
            origin.serve("/film", Resource::new(1, 10));
            let spare = ForwardProxy::start(ProxyProtocol::Http, None);
            let fetcher = through(builder(&[], &proxy), &[proxy.url_with(user), spare.url()]);
            let ended = Agent::get(fetcher, at("localhost", origin.url("/film"))).await;
            assert!(spare.targets().is_empty());
            let message = ended.message.unwrap();
            let shown = proxy.url_with(None);
            let expected = match user {
                None => format!("the proxy {shown} asks for a user and password"),
                Some(_) => format!("the proxy {shown} does not accept the user and password"),
            };
            assert!(message.ends_with(&expected), "{message}");
            assert_eq!((ended.retries, origin.requests().len()), (0, 0), "{name}");
        }
    }
}

/// The URL of a proxy whose port refuses connections, and what reserves it.
fn dead() -> (String, ForwardProxy) {
    let mut proxy = ForwardProxy::start(ProxyProtocol::Http, None);
    proxy.stop();
    (proxy.url(), proxy)
}

#[tokio::test]
async fn the_next_proxy_is_tried_if_one_is_dead_and_not_if_one_refuses() {
    let origin = Origin::start();
    let film = Resource::new(1, 1000).etag("\"1\"");
    origin.serve("/film", film.clone());
    let url = at("localhost", origin.url("/film"));
    let (closed, _closed) = dead();
    let closed = at("localhost", closed.parse().unwrap());
    for live in proxies(Some(USER)) {
        let (first, _reserved) = dead();
        let fetcher = through(builder(&[], &live), &[first.clone(), live.url()]);
        let ended = Agent::get(fetcher, url.clone()).await;
        assert!(ended.body == Some(film.bytes()), "{:?}", ended.message);
        assert_eq!(ended.retries, 0);

        let spare = ForwardProxy::start(ProxyProtocol::Http, None);
        let fetcher = through(builder(&[], &live), &[live.url(), spare.url()]);
        let ended = Agent::get(fetcher, closed.clone()).await;
        let message = ended.message.unwrap();
        assert!(message.contains("does not connect to the server"), "{message}");
        assert!(ended.retries > 0, "like a connection that was refused");
        assert!(spare.targets().is_empty(), "it was asked for what another one refused");
    }
    let (first, proxy) = dead();
    let fetcher = through(builder(&[], &proxy), &[first.clone(), first.clone()]);
    let ended = Agent::get(fetcher, url.clone()).await;
    let message = ended.message.unwrap();
    assert!(message.contains(&format!("the proxy {first} cannot be used")), "{message}");
    assert!(ended.retries > 0);

    // The direct way, whose name is looked up then.
    let direct = HyperFetcher::builder().proxy(move |_| {
        let dead: Proxy = first.parse().unwrap();
        async { vec![dead, Proxy::DIRECT] }
    });
    assert!(Agent::get(direct, url).await.body == Some(film.bytes()));
}

#[tokio::test]
async fn no_connection_is_shared_through_different_proxies_or_by_different_users() {
    let origin = Origin::start();
    origin.serve("/a", Reply::redirect(302, "/b"));
    origin.serve("/b", Reply::redirect(302, "/c"));
    origin.serve("/c", Reply::redirect(302, "/d"));
    origin.serve("/d", Reply::text("text/plain", "end"));
    let (one, two) = (
        ForwardProxy::start(ProxyProtocol::Http, None),
        ForwardProxy::start(ProxyProtocol::Http, None),
    );
    // A proxy that wants nobody's name takes every name.
    let ways = [one.url(), two.url(), one.url_with(Some("x:y")), one.url()];
    let ways: Vec<Proxy> = ways.iter().map(|url| url.parse().unwrap()).collect();
    let choose = move |url: &Url| match url.path() {
        "/a" => ready(vec![ways[0].clone()]),
        "/b" => ready(vec![ways[1].clone()]),
        "/c" => ready(vec![ways[2].clone()]),
        _ => ready(vec![ways[3].clone()]),
    };
    let fetcher = builder(&[], &one).proxy(choose);
    let ended = Agent::get(fetcher, at("localhost", origin.url("/a"))).await;
    assert_eq!(ended.body.as_deref(), Some(&b"end"[..]));
    assert_eq!((one.targets().len(), two.targets().len()), (2, 1));
}

/// A page with a public address.
fn public_page() -> Principal {
    let mut page = PolicySnapshot::of(&"http://app.test/".parse().unwrap());
    page.policy_container.ip_address_space = Some(IpAddressSpace::Public);
    Principal::Page(page)
}

#[tokio::test]
async fn a_page_names_no_local_address_to_a_proxy_and_the_proxy_decides_about_names() {
    let origin = Origin::start();
    let film = Resource::new(1, 10).header("access-control-allow-origin", "*");
    origin.serve("/film", film);
    for proxy in proxies(None) {
        for (host, denied) in [
            ("127.0.0.1", true),
            ("[::1]", true),
            ("192.168.1.1", true),
            ("localhost", true),
            ("a.localhost", true),
            ("name.test", false),
        ] {
            let before = proxy.targets().len();
            let mut agent = Agent::open(through(builder(&[], &proxy), &[proxy.url()])).await;
            let url = at(host, origin.url("/film"));
            agent.start(public_page(), RequestInfo::from(url)).await;
            let ended = agent.ended().await;
            // A real proxy does not know the name.
            let is_own = proxy.targets().len() > before;
            assert_eq!(ended.body.is_none(), denied || !is_own, "{host}: {:?}", ended.message);
            assert!(!denied || !is_own, "{host} was named to the proxy");
            agent.close().await;
        }
    }
}

#[tokio::test]
async fn an_embedder_opens_connections_itself_also_those_to_proxies() {
    let film = Resource::new(1, MIB).etag("\"1\"");
    let proxy = ForwardProxy::start(ProxyProtocol::Socks5, Some(USER));
    let origin = Origin::start_tls();
    origin.serve("/film", Script::from(film.clone()).then(film.clone()));
    let opened = Arc::new(Mutex::new(Vec::new()));
    for proxied in [false, true] {
        let noted = Arc::clone(&opened);
        let connector = move |to: Endpoint| {
            noted.lock().push(format!("{}:{}", to.host, to.port));
            async move {
                let address = if to.host == "name.test" { "127.0.0.1" } else { &*to.host };
                to.reach
                    .check(address.parse().map_err(io::Error::other)?)
                    .map_err(io::Error::other)?;
                tokio::net::TcpStream::connect((address, to.port)).await
            }
        };
        // The certificate is for the address.
        let url = origin.url("/film");
        assert!(matches!(url.host(), Some(Host::Ipv4(_))));
        let mut fetcher = builder(&[&origin], &proxy).connector(connector);
        if proxied {
            fetcher = through(fetcher, &[proxy.url()]);
        }
        assert!(Agent::get(fetcher, url.clone()).await.body == Some(film.bytes()));
        let expected = if proxied { proxy.address() } else { origin.address() };
        assert_eq!(std::mem::take(&mut *opened.lock()), [expected.to_string()]);
    }
    // It gets names as they are, and what it may not reach is denied to the page.
    for (principal, fine) in [(Principal::User, true), (public_page(), false)] {
        let plain = Origin::start();
        let film = film.clone().header("access-control-allow-origin", "*");
        plain.serve("/film", film);
        let noted = Arc::clone(&opened);
        let fetcher = builder(&[], &proxy).connector(move |to: Endpoint| {
            noted.lock().push(to.host.clone());
            async move {
                to.reach.check([127, 0, 0, 1].into()).map_err(io::Error::other)?;
                tokio::net::TcpStream::connect(("127.0.0.1", to.port)).await
            }
        });
        let mut agent = Agent::open(fetcher).await;
        agent.start(principal, RequestInfo::from(at("name.test", plain.url("/film")))).await;
        let ended = agent.ended().await;
        assert_eq!(ended.body.is_some(), fine, "{:?}", ended.message);
        assert_eq!(std::mem::take(&mut *opened.lock()), ["name.test"]);
        agent.close().await;
    }
}
