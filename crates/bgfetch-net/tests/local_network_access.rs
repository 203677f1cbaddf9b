//! Local Network Access without a permission: a page never connects to an address that is less
//! public than its own (D46).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod common;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bgfetch_model::attempt::FaultKind;
use bgfetch_model::ids::StorageKey;
use bgfetch_model::ip_address_space::IpAddressSpace::{self, Local, Loopback, Public};
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_net::fetcher::{FetchRequest, Fetcher};
use bgfetch_net::hyper::{HyperFetcher, Resolve};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use self::common::requests::{body, error, get, with};

/// A server on loopback that counts its connections and keeps them open.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(answer: impl Into<String>) -> Self {
        Self::on("127.0.0.1:0", answer).await
    }

    async fn on(address: &str, answer: impl Into<String>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (accepted, answer) = (Arc::clone(&connections), Arc::new(answer.into()));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(socket, Arc::clone(&answer)));
            }
        });
        Self { port, connections }
    }

    /// Answers every page.
    async fn open() -> Self {
        Self::start(OPEN).await
    }

    fn url(&self, host: &str) -> String {
        format!("http://{host}:{}/", self.port)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

const OPEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nAccess-Control-Allow-Origin: *\r\n\
    Access-Control-Allow-Headers: x-own\r\n\r\nopen";

async fn serve(mut socket: TcpStream, answer: Arc<String>) {
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = socket.read(&mut buffer).await {
        head.extend_from_slice(&buffer[..length]);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    }
}

/// Resolves each name to its addresses.
struct Names(HashMap<String, Vec<IpAddr>>);

impl Resolve for Names {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let found = self.0.get(host).cloned().ok_or(io::ErrorKind::NotFound.into());
        Box::pin(std::future::ready(found))
    }
}

fn fetcher(names: &[(&str, &[&str])]) -> HyperFetcher {
    let parse = |addresses: &[&str]| addresses.iter().map(|it| it.parse().unwrap()).collect();
    let names = names.iter().map(|(name, addresses)| (name.to_string(), parse(addresses)));
    HyperFetcher::builder().resolver(Names(names.collect())).build().unwrap()
}

fn page(url: &str, space: IpAddressSpace) -> Principal {
    let mut page = PolicySnapshot::of(&Url::parse(url).unwrap());
    page.policy_container.ip_address_space = Some(space);
    Principal::Page(page)
}

fn by(principal: Principal, request: FetchRequest) -> FetchRequest {
    let storage_key = StorageKey("site".into());
    request.with(|it| {
        it.principal = Arc::new(principal);
        it.storage_key = storage_key;
    })
}

async fn denied(fetcher: &HyperFetcher, request: FetchRequest, space: IpAddressSpace) {
    let url = request.request.url.clone();
    let error = error(fetcher, request).await;
    assert_eq!(error.kind(), FaultKind::Blocked, "{url}: {error}");
    let expected = format!("the page has no permission to access {space}");
    assert_eq!(error.to_string(), expected, "{url}");
}

const PAGE: &str = "http://page.test/";

#[tokio::test]
async fn no_spelling_of_this_machine_is_reached_and_nothing_connects() {
    let server = Server::on("[::]:0", OPEN).await;
    let names: &[(&str, &[&str])] = &[
        ("evil.test", &["127.0.0.1"]),
        ("localhost", &["127.0.0.1"]),
        ("zero.test", &["0.0.0.0"]),
        ("mapped.test", &["::ffff:127.0.0.1"]),
        ("any.test", &["::"]),
        ("both.test", &["::1", "127.0.0.1"]),
    ];
    let fetcher = fetcher(names);
    for host in [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",
        "2130706433",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "evil.test",
        "localhost",
        "zero.test",
        "mapped.test",
        "any.test",
        "both.test",
    ] {
        let url = server.url(host);
        for space in [Public, Local] {
            denied(&fetcher, by(page(PAGE, space), get(&url)), Loopback).await;
        }
        assert_eq!(server.connections(), 0, "{url}");
    }
    for principal in [page(PAGE, Loopback), Principal::User] {
        let response = fetcher.fetch(by(principal, get(&server.url("evil.test")))).await.unwrap();
        assert_eq!(response.address, Some("127.0.0.1".parse().unwrap()));
        assert_eq!(body(response).await.unwrap(), "open");
    }
}

#[tokio::test]
async fn whether_something_listens_makes_no_difference() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let fetcher = fetcher(&[("router.test", &["192.168.1.1"])]);
    // Nothing at all listens at the other addresses.
    for (url, space) in [
        (format!("http://{closed}/"), Loopback),
        ("http://192.168.1.1/".into(), Local),
        ("http://router.test/".into(), Local),
        ("http://[fe80::1]/".into(), Local),
    ] {
        denied(&fetcher, by(page(PAGE, Public), get(&url)), space).await;
    }
}

#[tokio::test]
async fn a_redirect_leads_to_nothing_less_public() {
    let inside = Server::open().await;
    let to = inside.url("127.0.0.1");
    let moved = format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\
         Access-Control-Allow-Origin: *\r\n\r\n"
    );
    let outside = Server::start(moved).await;
    // The page's own origin is exempt, but not the one after it.
    let own = outside.url("localhost");
    let fetcher = fetcher(&[("localhost", &["127.0.0.1"])]);
    let error = error(&fetcher, by(page(&own, Public), get(&own))).await;
    assert_eq!(error.to_string(), "the page has no permission to access this machine");
    assert!(error.sent());
    assert_eq!((outside.connections(), inside.connections()), (1, 0));
}

#[tokio::test]
async fn a_preflight_is_a_request_too() {
    let server = Server::open().await;
    let request = || with(&server.url("127.0.0.1"), |it| it.headers.append("X-Own", "1"));
    let fetcher = fetcher(&[]);
    denied(&fetcher, by(page(PAGE, Public), request()), Loopback).await;
    assert_eq!(server.connections(), 0);
    // A remembered preflight opens no way either.
    let response = fetcher.fetch(by(page(PAGE, Loopback), request())).await.unwrap();
    assert_eq!(body(response).await.unwrap(), "open");
    let connections = server.connections();
    denied(&fetcher, by(page(PAGE, Public), request()), Loopback).await;
    assert_eq!(server.connections(), connections);
}

#[tokio::test]
async fn a_pooled_connection_is_not_used_by_a_page_that_could_not_open_it() {
    let server = Server::open().await;
    let fetcher = fetcher(&[("evil.test", &["127.0.0.1"])]);
    for host in ["127.0.0.1", "evil.test"] {
        let mut connections = Vec::new();
        for _ in 0..3 {
            let request = by(page(PAGE, Loopback), get(&server.url(host)));
            let response = fetcher.fetch(request).await.unwrap();
            assert_eq!(body(response).await.unwrap(), "open");
            connections.push(server.connections());
        }
        // That of the first request is not kept, because the server had not approved anything yet.
        assert_eq!(connections[1], connections[2], "it is pooled");
        denied(&fetcher, by(page(PAGE, Public), get(&server.url(host))), Loopback).await;
    }
}

#[tokio::test]
async fn of_several_addresses_only_those_that_may_be_reached_are_tried() {
    let server = Server::open().await;
    // TEST-NET-1 is public, and nobody answers there.
    let addresses = ["192.0.2.1", "127.0.0.1"].map(|it| it.parse().unwrap()).to_vec();
    let fetcher = HyperFetcher::builder()
        .resolver(Names(HashMap::from([("evil.test".into(), addresses)])))
        .connect_timeout(std::time::Duration::from_millis(100))
        .build()
        .unwrap();
    let error = error(&fetcher, by(page(PAGE, Public), get(&server.url("evil.test")))).await;
    assert_ne!(error.kind(), FaultKind::Blocked);
    assert_eq!(server.connections(), 0);
}
