//! CORS between the default fetcher and a real server: what is sent, in which order, and the
//! results of the responses. The individual checks are tested in their own files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod server;

use std::collections::HashSet;
use std::sync::Arc;

use bgfetch_model::attempt::{AttemptSpec, FaultKind, Resume};
use bgfetch_model::ids::StorageKey;
use bgfetch_model::ip_address_space::IpAddressSpace;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::{CredentialsMode, RedirectMode, Request, RequestMode};
use bgfetch_model::response::ResponseType;
use bgfetch_model::source::Source;
use bgfetch_model::vary::HashKey;
use bgfetch_net::fetcher::{FetchError, FetchRequest, FetchResponse, Fetcher};
use bgfetch_net::hyper::HyperFetcher;
use futures_util::TryStreamExt;
use server::Server;
use tokio::io::AsyncReadExt;
use url::Url;

const ANY: &str = "Access-Control-Allow-Origin: *";

fn fetcher(server: &Server) -> HyperFetcher {
    HyperFetcher::builder().tls(Server::client(&[server])).build().unwrap()
}

/// A page at `localhost`, whose requests to `127.0.0.1` are cross-origin.
struct Page {
    server: Server,
    fetcher: HyperFetcher,
}

impl Page {
    async fn open(alpn: &str) -> Self {
        let server = Server::start(alpn).await;
        let fetcher = fetcher(&server);
        Self { server, fetcher }
    }

    /// As if nothing had been fetched.
    fn forget_all(&mut self) {
        self.fetcher = fetcher(&self.server);
        self.server.take();
    }

    fn own(&self, path: &str, answer: &[(&str, &str)]) -> Url {
        self.server.url("localhost", path, answer)
    }

    fn foreign(&self, path: &str, answer: &[(&str, &str)]) -> Url {
        self.server.url("127.0.0.1", path, answer)
    }

    fn origin(&self) -> String {
        self.own("/", &[]).origin().ascii_serialization()
    }

    fn request(&self, url: Url, change: impl FnOnce(&mut Request)) -> FetchRequest {
        let mut request = Request::get(url);
        change(&mut request);
        let mut page = PolicySnapshot::of(&self.own("/page", &[]));
        page.policy_container.ip_address_space = Some(IpAddressSpace::Loopback);
        let principal = Principal::Page(page);
        let key = StorageKey("site".into());
        FetchRequest::new(key, Arc::new(principal), Arc::new(request), AttemptSpec::default(), None)
    }

    async fn fetch(
        &self,
        url: Url,
        change: impl FnOnce(&mut Request),
    ) -> Result<FetchResponse, FetchError> {
        self.fetcher.fetch(self.request(url, change)).await
    }

    async fn get(&self, url: Url) -> Result<FetchResponse, FetchError> {
        self.fetch(url, |_| {}).await
    }

    /// Fetches what must be refused, and returns the human-readable reason.
    async fn refused(&self, url: Url, change: impl FnOnce(&mut Request)) -> String {
        let error = self.fetch(url, change).await.expect_err("the page got the response");
        assert_eq!(error.kind(), FaultKind::Blocked, "{error}");
        error.to_string()
    }
}

/// Connections return to the pool in separate tasks, which are ready to run.
async fn settled() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// Runs each of these tests over HTTP/1.1 and over HTTP/2.
macro_rules! over_both {
    ($($test:ident,)*) => {
        mod http1 {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Page::open("http/1.1").await).await;
            })*
        }
        mod http2 {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Page::open("h2").await).await;
            })*
        }
    };
}

over_both! {
    the_page_reads_its_own_origin_freely_and_another_only_with_approval,
    without_approval_every_answer_is_refused_alike,
    no_request_meets_the_connection_of_a_refused_response,
    no_request_meets_the_connection_of_a_response_that_the_page_never_had,
    a_host_shares_connections_once_it_approves_and_until_it_refuses,
    a_preflight_is_sent_once_and_with_nothing_of_the_request,
    a_preflight_that_fails_stops_the_request,
    a_refused_response_forgets_what_the_preflight_allowed,
    each_hop_is_asked_and_checked_anew,
    modes_limit_where_a_request_may_go,
    credentials_need_a_second_yes_and_a_407_nobody_can_answer,
    our_own_range_causes_no_preflight,
    a_body_where_there_must_be_none_is_dropped,
    the_user_needs_nobodys_approval,
}

async fn the_page_reads_its_own_origin_freely_and_another_only_with_approval(page: Page) {
    let own = page.get(page.own("/", &[("h", "Set-Cookie: a=b"), ("h", "X: 1")])).await.unwrap();
    assert_eq!(own.head.response_type, ResponseType::Basic);
    assert!(own.head.headers.contains("x") && !own.head.headers.contains("set-cookie"));
    let approved = [
        ("h", ANY),
        ("h", "ETag: \"1\""),
        ("h", "X: 1"),
        ("h", "Access-Control-Expose-Headers: X, Y"),
    ];
    let foreign = page.get(page.foreign("/", &approved)).await.unwrap();
    assert_eq!(foreign.head.response_type, ResponseType::Cors);
    assert_eq!(foreign.head.cors_exposed_header_names, ["x"]);
    assert!(foreign.head.headers.contains("etag"), "a resume needs it");
    assert!(!foreign.head.filtered().headers.contains("etag"));
    page.refused(page.foreign("/", &[]), |_| {}).await;
    let origins: Vec<_> =
        page.server.seen().iter().map(|seen| seen.header("origin").map(String::from)).collect();
    assert_eq!(origins, [None, Some(page.origin()), Some(page.origin())]);
}

async fn without_approval_every_answer_is_refused_alike(page: Page) {
    let mut messages = Vec::new();
    for answer in [
        &[("status", "200"), ("body", "100000")][..],
        &[("status", "404")],
        &[("status", "401"), ("h", "WWW-Authenticate: Basic")],
        &[("status", "503"), ("h", "Retry-After: 9")],
        &[("status", "302"), ("h", "Location: /next")],
        &[("status", "302"), ("h", "Location: ftp://x/")],
        &[("h", "Content-Encoding: gzip, gzip, gzip, gzip, gzip")],
    ] {
        messages.push(page.refused(page.foreign("/", answer), |_| {}).await);
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(page.server.seen().len(), 7, "no redirect was followed");
}

async fn no_request_meets_the_connection_of_a_refused_response(page: Page) {
    for (number, body) in ["0", "1", "100000"].into_iter().enumerate() {
        page.refused(page.foreign("/refused", &[("body", body)]), |_| {}).await;
        settled().await;
        page.get(page.foreign("/next", &[("h", ANY)])).await.unwrap();
        let seen = page.server.seen();
        let (refused, next) = (&seen[2 * number], &seen[2 * number + 1]);
        assert_ne!(refused.connection, next.connection, "a body of {body} bytes");
    }
}

async fn no_request_meets_the_connection_of_a_response_that_the_page_never_had(mut page: Page) {
    let headers = vec![("h", "X: 1"); 300];
    let elsewhere = page.own("/elsewhere", &[]).to_string();
    let elsewhere = format!("Location: {elsewhere}");
    for (name, method, answer) in [
        ("too many headers", "GET", &headers[..]),
        ("no such protocol", "GET", &[("status", "101")]),
        ("never", "GET", &[("wait", "")]),
        ("a redirect", "GET", &[("status", "302"), ("h", &elsewhere)]),
        ("a refused preflight", "PUT", &[("pstatus", "404"), ("ph", ANY)]),
        ("no preflight", "PUT", &[("pwait", "")]),
    ] {
        page.forget_all();
        for _ in 0..2 {
            page.get(page.foreign("/approved", &[("h", ANY)])).await.unwrap();
        }
        let shared = page.server.seen()[1].connection;
        page.server.take();
        let change = |request: &mut Request| request.method = method.into();
        let fetch = page.fetch(page.foreign("/secret", answer), change);
        if answer.iter().any(|(key, _)| key.ends_with("wait")) {
            // Cancelled once the server knows of it.
            tokio::select! {
                _ = fetch => panic!("{name}: there was a response"),
                () = page.server.asked() => {}
            }
        } else {
            fetch.await.expect_err(name);
        }
        settled().await;
        page.get(page.foreign("/next", &[("h", ANY)])).await.unwrap();
        let seen = page.server.seen();
        let [secret, next] = seen.as_slice() else { panic!("{name}: {seen:?}") };
        assert_eq!(secret.connection, shared, "{name}");
        assert_ne!(secret.connection, next.connection, "{name}");
    }
}

async fn a_host_shares_connections_once_it_approves_and_until_it_refuses(page: Page) {
    let approved = || page.get(page.foreign("/approved", &[("h", ANY)]));
    let refused = || page.refused(page.foreign("/refused", &[]), |_| {});
    let connections = || page.server.seen().iter().map(|seen| seen.connection).collect::<Vec<_>>();
    for _ in 0..4 {
        approved().await.unwrap();
        settled().await;
    }
    assert_eq!(connections(), [0, 1, 1, 1]);
    refused().await;
    for _ in 0..2 {
        settled().await;
        approved().await.unwrap();
    }
    assert_eq!(connections(), [0, 1, 1, 1, 1, 2, 3]);
}

#[tokio::test]
async fn a_page_gets_few_connections_to_a_host_that_has_not_approved() {
    let page = Page::open("h2").await;
    let waiting = (0..20).map(|_| page.get(page.foreign("/slow", &[("wait", "")])));
    let all_came = async {
        while page.server.seen().len() < 20 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = futures_util::future::join_all(waiting) => panic!("there was a response"),
        () = all_came => {}
    }
    let connections: HashSet<_> = page.server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections.len(), 7);
}

async fn a_preflight_is_sent_once_and_with_nothing_of_the_request(page: Page) {
    let url = page.foreign(
        "/put",
        &[
            ("ph", ANY),
            ("ph", "Access-Control-Allow-Methods: PUT"),
            ("ph", "Access-Control-Allow-Headers: x-b, X-A, Authorization"),
            ("h", ANY),
        ],
    );
    let put = |request: &mut Request| {
        request.method = "PUT".into();
        for header in [("X-B", "1"), ("Authorization", "secret"), ("X-A", "2"), ("Accept", "a/b")] {
            request.headers.append(header.0, header.1);
        }
    };
    for _ in 0..2 {
        page.fetch(url.clone(), put).await.unwrap();
    }
    let seen = page.server.seen();
    assert_eq!(page.server.take(), ["OPTIONS /put", "PUT /put", "PUT /put"]);
    let asked = &seen[0];
    assert_eq!(asked.header("origin").unwrap(), page.origin());
    assert_eq!(asked.header("access-control-request-method"), Some("PUT"));
    assert_eq!(asked.header("access-control-request-headers"), Some("authorization,x-a,x-b"));
    assert_eq!(asked.header("accept"), Some("*/*"));
    for own in ["authorization", "x-a", "range", "cookie"] {
        assert_eq!(asked.header(own), None, "{own}");
    }
    assert_eq!(seen[1].header("authorization"), Some("secret"));
    assert_eq!(seen[1].header("origin").unwrap(), page.origin());
}

async fn a_preflight_that_fails_stops_the_request(page: Page) {
    let allow = ("ph", "Access-Control-Allow-Methods: PUT");
    for answer in [
        &[allow][..],
        &[("ph", ANY)],
        &[("ph", ANY), allow, ("pstatus", "404")],
        &[("ph", ANY), allow, ("pstatus", "307"), ("ph", "Location: /elsewhere")],
        &[("ph", ANY), ("ph", "Access-Control-Allow-Methods: put")],
    ] {
        let mut answer = answer.to_vec();
        answer.push(("h", ANY));
        page.refused(page.foreign("/put", &answer), |request| request.method = "PUT".into()).await;
        assert_eq!(page.server.take(), ["OPTIONS /put"], "{answer:?}");
    }
}

async fn a_refused_response_forgets_what_the_preflight_allowed(page: Page) {
    let url = page.foreign("/put", &[("ph", ANY), ("ph", "Access-Control-Allow-Methods: *")]);
    for _ in 0..2 {
        page.refused(url.clone(), |request| request.method = "PUT".into()).await;
        assert_eq!(page.server.take(), ["OPTIONS /put", "PUT /put"]);
    }
}

async fn each_hop_is_asked_and_checked_anew(page: Page) {
    let asks = |request: &mut Request| request.headers.append("X-A", "1");
    let allow = ("ph", "Access-Control-Allow-Headers: x-a");
    // From the page's own server to another, which gets a preflight; the origin is still the
    // page's.
    let target = page.foreign("/there", &[("h", ANY), ("ph", ANY), allow]);
    let location = format!("Location: {target}");
    let start = page.own("/here", &[("status", "302"), ("h", &location)]);
    let response = page.fetch(start.clone(), asks).await.unwrap();
    assert_eq!(response.head.response_type, ResponseType::Cors);
    assert_eq!(response.head.url_list, [start, target]);
    let seen = page.server.seen();
    assert_eq!(seen[2].header("origin").unwrap(), page.origin());
    assert_eq!(page.server.take(), ["GET /here", "OPTIONS /there", "GET /there"]);

    // A cross-origin server redirects back to the page's own: the origin is `null`, and approval is
    // still required.
    for (answer, readable) in
        [(&[("h", "Access-Control-Allow-Origin: null")][..], true), (&[], false)]
    {
        let location = format!("Location: {}", page.own("/back", answer));
        let start = page.foreign("/away", &[("status", "302"), ("h", ANY), ("h", &location)]);
        assert_eq!(page.get(start).await.is_ok(), readable);
        let seen = page.server.seen();
        assert_eq!(seen[0].header("origin").unwrap(), page.origin());
        assert_eq!(seen[1].header("origin"), Some("null"));
        assert_eq!(page.server.take(), ["GET /away", "GET /back"]);
    }
}

async fn modes_limit_where_a_request_may_go(page: Page) {
    let location = format!("Location: {}", page.foreign("/there", &[("h", ANY)]));
    let redirect = page.own("/here", &[("status", "302"), ("h", &location)]);
    let same_origin = |request: &mut Request| request.mode = RequestMode::SameOrigin;
    page.refused(page.foreign("/there", &[("h", ANY)]), same_origin).await;
    assert!(page.server.take().is_empty());
    page.refused(redirect.clone(), same_origin).await;
    page.refused(redirect.clone(), |request| request.redirect = RedirectMode::Error).await;
    let manual = page.fetch(redirect, |request| request.redirect = RedirectMode::Manual).await;
    assert_eq!(manual.unwrap().head.response_type, ResponseType::OpaqueRedirect);
    assert_eq!(page.server.take(), ["GET /here"; 3]);
}

async fn credentials_need_a_second_yes_and_a_407_nobody_can_answer(page: Page) {
    let include = |request: &mut Request| request.credentials = CredentialsMode::Include;
    let named = format!("Access-Control-Allow-Origin: {}", page.origin());
    let credits = "Access-Control-Allow-Credentials: true";
    page.refused(page.foreign("/", &[("h", ANY), ("h", credits)]), include).await;
    page.refused(page.foreign("/", &[("h", &named)]), include).await;
    page.fetch(page.foreign("/", &[("h", &named), ("h", credits)]), include).await.unwrap();
    page.refused(page.own("/", &[("status", "407")]), |_| {}).await;
    let unauthorized = page.get(page.own("/", &[("status", "401")])).await.unwrap();
    assert_eq!(unauthorized.head.status, 401);
}

async fn our_own_range_causes_no_preflight(page: Page) {
    let mut request = page.request(page.foreign("/film", &[("h", ANY)]), |_| {});
    let source = Source::new(
        Arc::new(page.get(request.request.url.clone()).await.unwrap().head),
        HashKey::default(),
    );
    page.server.take();
    request.resume = Some(Resume::new(7, "\"v\"", source));
    page.fetcher.fetch(request).await.unwrap();
    let seen = page.server.seen();
    assert_eq!(page.server.take(), ["GET /film"]);
    assert_eq!(seen[0].header("range"), Some("bytes=7-"));
    // The page's own `Range` does if it is not a simple range.
    let own = page.foreign("/film", &[("h", ANY)]);
    page.refused(own, |request| request.headers.append("Range", "bytes=-7")).await;
    assert_eq!(page.server.take(), ["OPTIONS /film"]);
}

async fn a_body_where_there_must_be_none_is_dropped(page: Page) {
    let reset = page.own("/", &[("status", "205"), ("body", "9")]);
    let body: Vec<_> = page.get(reset).await.unwrap().body.try_collect().await.unwrap();
    assert!(body.is_empty());
}

async fn the_user_needs_nobodys_approval(page: Page) {
    let mut request = page.request(page.foreign("/", &[]), |request| request.method = "PUT".into());
    request.principal = Arc::new(Principal::User);
    let response = page.fetcher.fetch(request).await.unwrap();
    assert_eq!(response.head.response_type, ResponseType::Default);
    assert_eq!(page.server.seen()[0].header("origin"), None);
    assert_eq!(page.server.take(), ["PUT /"]);
}

#[tokio::test]
async fn a_preflight_that_the_network_cuts_off_has_sent_nothing_of_the_request() {
    let page = Page::open("h2").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut first = [0; 7];
        socket.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"OPTIONS");
    });
    let put = |request: &mut Request| request.method = "PUT".into();
    let error = page.fetch(url.parse().unwrap(), put).await.expect_err("there was no response");
    assert_eq!(error.kind(), FaultKind::Interrupted);
    assert!(!error.sent(), "so the record may be tried again");
}
