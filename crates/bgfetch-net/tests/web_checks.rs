//! The layer of the web's checks over a transport of an embedder's own: what the transport is asked
//! for and told. `fetch_standard` has the rules themselves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bgfetch_model::attempt::{AttemptCommand, AttemptEnd, AttemptEvent, AttemptSpec, FaultKind};
use bgfetch_model::ids::{FetchKey, StorageKey};
use bgfetch_model::ip_address_space::{IpAddressSpace, LocalNetworkDenied};
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::{CredentialsMode, Destination, Request};
use bgfetch_net::attempt::{self, Timeouts};
use bgfetch_net::fetch::cookie_jar::CookieJar;
use bgfetch_net::fetch::{Hop, Transport, TransportRequest, TransportResponse, WithWebChecks};
use bgfetch_net::fetcher::{BodySource, FetchError, FetchRequest, FetchResponse, Fetcher};
use bgfetch_net::partition::Partition;
use bgfetch_net::throttle::Throttle;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use tokio::sync::mpsc::unbounded_channel;

type Answer = Box<dyn FnMut(&TransportRequest) -> Result<TransportResponse, FetchError> + Send>;

/// Answers as the test says, and records what it was asked for and told.
#[derive(Clone)]
struct Scripted {
    answer: Arc<Mutex<Answer>>,
    asked: Arc<Mutex<Vec<TransportRequest>>>,
    judged: Arc<Mutex<Vec<bool>>>,
    /// How often the network has changed.
    changes: Arc<Mutex<u32>>,
}

impl Scripted {
    fn new(
        answer: impl FnMut(&TransportRequest) -> Result<TransportResponse, FetchError> + Send + 'static,
    ) -> Self {
        let answer: Answer = Box::new(answer);
        let answer = Arc::new(Mutex::new(answer));
        Self { answer, asked: Arc::default(), judged: Arc::default(), changes: Arc::default() }
    }

    fn asked(&self) -> Vec<String> {
        let text = |request: &TransportRequest| format!("{} {}", request.method, request.url);
        self.asked.lock().iter().map(text).collect()
    }
}

impl Transport for Scripted {
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'static, Result<TransportResponse, FetchError>> {
        let mut answer = (self.answer.lock())(&request);
        self.asked.lock().push(request);
        if let Ok(response) = &mut answer {
            let judged = Arc::clone(&self.judged);
            response.judged = Some(Box::new(move |allowed| judged.lock().push(allowed)));
        }
        Box::pin(std::future::ready(answer))
    }

    fn network_changed(&self) {
        *self.changes.lock() += 1;
    }
}

fn response(status: u16, headers: &[(&'static str, &'static str)]) -> TransportResponse {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let headers: HeaderMap = headers.iter().map(pair).collect();
    TransportResponse::new(status, headers, stream::empty().boxed())
}

const APPROVED: (&str, &str) = ("access-control-allow-origin", "https://page.test");

fn page() -> Principal {
    let mut page = PolicySnapshot::of(&"https://page.test/app".parse().unwrap());
    page.policy_container.ip_address_space = Some(IpAddressSpace::Public);
    Principal::Page(page)
}

fn fetch_of(principal: Principal, request: Request) -> FetchRequest {
    let key = StorageKey("site".into());
    let spec = AttemptSpec::default();
    FetchRequest::new(key, Arc::new(principal), Arc::new(request), spec, None)
}

fn get(url: &str) -> Request {
    Request::get(url.parse().unwrap())
}

fn fetch(
    checks: &WithWebChecks<Scripted>,
    principal: Principal,
    request: Request,
) -> Result<FetchResponse, FetchError> {
    checks.fetch(fetch_of(principal, request)).now_or_never().unwrap()
}

#[test]
fn a_transport_is_told_what_a_request_shares_and_needs() {
    let scripted = Scripted::new(|_| Ok(response(200, &[APPROVED])));
    let checks = WithWebChecks::new(scripted.clone());
    let mut with_header = get("https://a.test/x#f");
    with_header.headers.append("X-Own", "1");
    with_header.credentials = CredentialsMode::Omit;
    let refused = fetch(&checks, page(), with_header).unwrap_err();
    assert_eq!((refused.kind(), refused.sent()), (FaultKind::Blocked, false));
    fetch(&checks, page(), get("https://page.test/")).unwrap();
    fetch(&checks, Principal::User, get("https://a.test/x.tar.gz")).unwrap();
    let asked = scripted.asked.lock();
    let [preflight, own, users] = &asked[..] else { panic!("{} requests", asked.len()) };
    let site = Partition::Site(StorageKey("site".into()));

    assert_eq!((&preflight.partition, preflight.method.as_str()), (&site, "OPTIONS"));
    assert!(preflight.needs_approval && !preflight.credentials && !preflight.accepts_codings);
    assert!(!preflight.reach.includes(IpAddressSpace::Local));
    assert_eq!(preflight.headers["origin"], "https://page.test");

    assert!(!own.needs_approval && own.credentials && own.accepts_codings);
    assert!(own.reach.includes(IpAddressSpace::Loopback), "its own authenticated origin");
    assert!(!own.headers.contains_key("accept-encoding"), "it is the transport's");

    assert_eq!(users.partition, Partition::User);
    assert!(!users.needs_approval && users.credentials && !users.accepts_codings);
    assert_eq!(users.headers["accept-encoding"], "identity");
    assert!(users.keeps_coding("gzip", None) && !users.keeps_coding("br", None));
    assert!(!own.keeps_coding("gzip", Some("application/gzip")), "a page sees the contents");
}

#[test]
fn a_transport_is_told_whether_the_page_may_have_each_response() {
    for (second, judged) in [(200, vec![true, true]), (404, vec![true, true])] {
        let mut count = 0;
        let scripted = Scripted::new(move |_| {
            count += 1;
            match count {
                1 => Ok(response(302, &[APPROVED, ("location", "/y")])),
                _ => Ok(response(second, &[APPROVED])),
            }
        });
        fetch(&WithWebChecks::new(scripted.clone()), page(), get("https://a.test/")).unwrap();
        assert_eq!(*scripted.judged.lock(), judged);
    }
    let scripted = Scripted::new(|_| Ok(response(200, &[])));
    let checks = WithWebChecks::new(scripted.clone());
    assert!(fetch(&checks, page(), get("https://a.test/")).is_err());
    assert_eq!(*scripted.judged.lock(), [false]);
    fetch(&checks, Principal::User, get("https://a.test/")).unwrap();
    assert_eq!(*scripted.judged.lock(), [false, true]);
}

#[test]
fn a_body_that_cannot_be_read_fails_only_a_response_that_the_page_may_have() {
    for (headers, kind) in [(&[APPROVED][..], FaultKind::Protocol), (&[], FaultKind::Blocked)] {
        let scripted = Scripted::new(move |_| {
            let mut response = response(200, headers);
            response.body = Err(FetchError::new(FaultKind::Protocol, true, "a strange coding"));
            Ok(response)
        });
        let fetched = fetch(&WithWebChecks::new(scripted), page(), get("https://a.test/"));
        assert_eq!(fetched.unwrap_err().kind(), kind);
    }
}

#[test]
fn an_address_out_of_reach_is_refused_whether_it_is_checked_before_or_reported_after() {
    let address: IpAddr = "192.168.1.1".parse().unwrap();
    let before = |request: &TransportRequest| {
        request.reach.check("192.168.1.1".parse().unwrap())?;
        Ok(response(200, &[APPROVED]))
    };
    let after = move |_: &TransportRequest| {
        let mut response = response(200, &[APPROVED]);
        response.address = Some(address);
        Ok(response)
    };
    for (scripted, sent, judged) in
        [(Scripted::new(before), false, &[][..]), (Scripted::new(after), true, &[false])]
    {
        let checks = WithWebChecks::new(scripted.clone());
        let error = fetch(&checks, page(), get("https://a.test/")).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (FaultKind::Blocked, sent));
        assert_eq!(error.to_string(), LocalNetworkDenied(IpAddressSpace::Local).to_string());
        assert_eq!(*scripted.judged.lock(), judged);
        assert_eq!(scripted.asked.lock().len(), 1);
        // The user is not a page.
        fetch(&checks, Principal::User, get("https://a.test/")).unwrap();
    }
}

#[test]
fn an_address_that_nobody_has_checked_or_knows_counts_as_this_machines() {
    for (unchecked, address, principal, allowed) in [
        (true, None, page(), false),
        (true, None, Principal::User, true),
        (true, Some([203, 0, 113, 1].into()), page(), true),
        (false, None, page(), true),
    ] {
        let transport = Scripted::new(move |_| {
            let mut response = response(200, &[APPROVED]);
            (response.unchecked, response.address) = (unchecked, address);
            Ok(response)
        });
        let checks = WithWebChecks::new(transport);
        let fetched = fetch(&checks, principal, get("https://a.test/"));
        let denied = fetched.map(drop).err().map(|error| error.to_string());
        let loopback = LocalNetworkDenied(IpAddressSpace::Loopback).to_string();
        assert_eq!(denied, (!allowed).then_some(loopback), "{unchecked} {address:?}");
    }
}

#[test]
fn an_error_says_whether_any_request_of_the_chain_was_sent() {
    let refused = || FetchError::new(FaultKind::Unreachable, false, "refused");
    let scripted = Scripted::new(move |_| Err(refused()));
    let error = fetch(&WithWebChecks::new(scripted), page(), get("https://a.test/")).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (FaultKind::Unreachable, false));

    let redirected = Scripted::new(move |request| match request.url.path() {
        "/" => Ok(response(302, &[APPROVED, ("location", "/y")])),
        _ => Err(refused()),
    });
    let error = fetch(&WithWebChecks::new(redirected), page(), get("https://a.test/")).unwrap_err();
    assert!(error.sent());

    // Nothing of the request was sent, whatever happens to its preflight.
    let interrupted = || FetchError::new(FaultKind::Interrupted, true, "reset");
    let scripted = Scripted::new(move |_| Err(interrupted()));
    let mut request = get("https://a.test/");
    request.method = "PUT".into();
    let error = fetch(&WithWebChecks::new(scripted), page(), request).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (FaultKind::Interrupted, false));

    // Unless a redirect came before it.
    for refusal in [Ok(403), Err(false)] {
        let scripted = Scripted::new(move |request| match request.url.path() {
            "/" => Ok(response(307, &[("location", "https://b.test/y")])),
            _ => refusal.map(|status| response(status, &[])).map_err(|_| refused()),
        });
        let mut request = get("https://page.test/");
        request.method = "PUT".into();
        let error = fetch(&WithWebChecks::new(scripted.clone()), page(), request).unwrap_err();
        assert_eq!(scripted.asked(), ["PUT https://page.test/", "OPTIONS https://b.test/y"]);
        assert!(error.sent(), "{error}");
    }
}

#[test]
fn a_transport_is_told_the_destination_and_that_the_network_changed() {
    let scripted = Scripted::new(|_| Ok(response(200, &[])));
    let checks = WithWebChecks::new(scripted.clone());
    for (destination, name) in
        [(Destination::Empty, "empty"), (Destination::ServiceWorker, "serviceworker")]
    {
        let request = fetch_of(page(), get("https://page.test/"));
        let request = request.with(|it| it.destination = destination);
        checks.fetch(request).now_or_never().unwrap().unwrap();
        assert_eq!(scripted.asked.lock().pop().unwrap().headers["sec-fetch-dest"], name);
    }
    assert_eq!(*scripted.changes.lock(), 0);
    checks.network_changed();
    assert_eq!(*scripted.changes.lock(), 1);
}

#[test]
fn a_redirect_loop_that_waits_for_its_cookie_is_named() {
    let set_cookie = ("set-cookie", "session=1");
    let lost = "too many redirects: the server sets the cookie session on the way, and cookies are \
        not kept";
    let there_is = |cookies| match cookies {
        true => WithWebChecks::new(redirecting(&[set_cookie])).cookies(CookieJar::default()),
        false => WithWebChecks::new(redirecting(&[set_cookie])),
    };
    for (cookies, credentials, message) in [
        (false, CredentialsMode::Include, lost),
        (true, CredentialsMode::Omit, lost),
        (true, CredentialsMode::Include, "more than 20 redirects"),
    ] {
        let mut request = get("https://page.test/");
        request.credentials = credentials;
        let error = fetch(&there_is(cookies), page(), request).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (FaultKind::Blocked, message));
    }
    let without_cookies = WithWebChecks::new(redirecting(&[]));
    let error = fetch(&without_cookies, page(), get("https://page.test/")).unwrap_err();
    assert_eq!(error.to_string(), "more than 20 redirects");
}

/// Redirects every request to the same URL.
fn redirecting(headers: &[(&'static str, &'static str)]) -> Scripted {
    let headers = [headers, &[("location", "/")]].concat();
    Scripted::new(move |_| Ok(response(302, &headers)))
}

#[tokio::test]
async fn a_permission_is_asked_for_once_and_lets_the_request_go_on() {
    let address: IpAddr = "192.168.1.1".parse().unwrap();
    let asks = AttemptEvent::NeedPermission {
        url: "https://a.test/".parse().unwrap(),
        space: IpAddressSpace::Local,
    };
    // The second transport refuses even what it may do.
    for is_broken in [false, true] {
        let scripted = Scripted::new(move |request| {
            match is_broken {
                true => Err(LocalNetworkDenied(IpAddressSpace::Local)),
                false => request.reach.check(address),
            }?;
            Ok(response(200, &[APPROVED]))
        });
        let checks = WithWebChecks::new(scripted.clone());
        let (tell, commands) = unbounded_channel();
        let mut events = Vec::new();
        let report = |event| {
            let command = match &event {
                AttemptEvent::NeedPermission { .. } => Some(AttemptCommand::TakeSlot),
                AttemptEvent::Head { .. } => Some(AttemptCommand::Cancel),
                _ => None,
            };
            if let Some(command) = command {
                tell.send(command).unwrap();
            }
            events.push(event);
        };
        let open = |_, _| panic!("no body is received");
        let share = Throttle::new(None).share(Partition::User, FetchKey(1));
        let request = fetch_of(page(), get("https://a.test/"));
        attempt::run(&checks, request, Timeouts::default(), share, open, commands, report).await;
        assert_eq!(events.iter().filter(|event| **event == asks).count(), 1, "{events:?}");
        let Some(AttemptEvent::Ended { end, .. }) = events.last() else { panic!("{events:?}") };
        assert_eq!(*end == AttemptEnd::Cancelled, !is_broken, "{end:?}");
        assert_eq!(scripted.asked.lock().len(), 2);
    }
}

#[test]
fn a_file_of_the_user_keeps_its_coding_unless_the_transport_undid_it() {
    for (principal, decoded, header) in [
        (Principal::User, false, None),
        (Principal::User, true, Some("gzip")),
        (page(), false, Some("gzip")),
        (page(), true, Some("gzip")),
    ] {
        let scripted = Scripted::new(move |_| {
            let mut response = response(200, &[APPROVED, ("content-encoding", "gzip")]);
            response.decoded = decoded;
            Ok(response)
        });
        let fetched = fetch(&WithWebChecks::new(scripted), principal, get("https://a.test/"));
        let head = fetched.unwrap().head;
        assert_eq!(head.headers.get("content-encoding").as_deref(), header, "{decoded}");
    }
}

/// A body that claims to have this many bytes.
struct Body(u64, Vec<&'static str>);

impl BodySource for Body {
    fn length(&self) -> u64 {
        self.0
    }

    fn open(&self) -> BoxStream<'static, io::Result<Bytes>> {
        stream::iter(self.1.clone()).map(|chunk| Ok(Bytes::from(chunk))).boxed()
    }
}

fn post(url: &str, body: Body) -> FetchRequest {
    let request = get(url).with(|it| {
        it.method = "POST".into();
        it.body_length = Some(body.length());
    });
    fetch_of(Principal::User, request).with(|it| it.body = Some(Arc::new(body)))
}

#[test]
fn what_a_transport_takes_of_a_body_counts_as_uploaded_and_each_byte_once() {
    let scripted = Scripted::new(|request| {
        let mut body = request.upload().unwrap();
        let mut take = || body.try_next().now_or_never().unwrap().unwrap();
        let before = request.uploaded.get();
        assert_eq!(take().unwrap(), "many");
        assert_eq!(request.uploaded.get(), before.max(4));
        if request.url.path() == "/" {
            return Ok(response(307, &[("location", "/again")]));
        }
        assert_eq!(take().unwrap(), " bytes");
        assert_eq!(take(), None);
        Ok(response(200, &[]))
    });
    let request = post("https://a.test/", Body(10, vec!["many", " bytes"]));
    let uploaded = request.uploaded.clone();
    WithWebChecks::new(scripted.clone()).fetch(request).now_or_never().unwrap().unwrap();
    assert_eq!(scripted.asked(), ["POST https://a.test/", "POST https://a.test/again"]);
    assert_eq!((uploaded.get(), uploaded.shown()), (10, 10));
}

#[test]
fn a_page_sees_what_it_uploads_to_another_origin_only_if_the_server_has_approved() {
    for (method, visible) in [("POST", 0), ("PUT", 10)] {
        let scripted = Scripted::new(move |request| {
            if let Some(mut body) = request.upload() {
                while body.try_next().now_or_never().unwrap().unwrap().is_some() {}
                assert_eq!((request.uploaded.get(), request.uploaded.shown()), (10, visible));
            }
            Ok(response(200, &[APPROVED, ("access-control-allow-methods", "PUT")]))
        });
        let request = post("https://a.test/", Body(10, vec!["many", " bytes"])).with(|it| {
            it.principal = Arc::new(page());
            it.request = Arc::new(it.request.as_ref().clone().with(|it| it.method = method.into()));
        });
        WithWebChecks::new(scripted).fetch(request).now_or_never().unwrap().unwrap();
    }
}

#[test]
fn a_body_of_another_length_than_it_claims_cannot_be_uploaded() {
    use io::ErrorKind::{InvalidData, UnexpectedEof};
    for (length, counted, kind) in [(11, 10, UnexpectedEof), (9, 4, InvalidData)] {
        let request = post("https://a.test/", Body(length, vec!["many", " bytes"]));
        let taken = request.upload().unwrap().try_collect::<Vec<_>>().now_or_never().unwrap();
        assert_eq!(taken.unwrap_err().kind(), kind);
        assert_eq!(request.uploaded.get(), counted);
    }
    assert!(fetch_of(Principal::User, get("https://a.test/")).upload().is_none());
}

#[test]
fn the_headers_that_the_transport_reports_are_those_that_were_sent() {
    let scripted = Scripted::new(|request| {
        let mut response = response(200, &[APPROVED]);
        if request.url.path() == "/reported" {
            let mut headers = request.headers.clone();
            headers.insert("accept-encoding", HeaderValue::from_static("gzip"));
            response.request_headers = Some(headers);
        }
        Ok(response)
    });
    let checks = WithWebChecks::new(scripted).user_agent("agent");
    for (url, codings) in [("https://a.test/reported", Some("gzip")), ("https://a.test/", None)] {
        let sent = fetch(&checks, page(), get(url)).unwrap().request_headers.unwrap();
        assert_eq!(sent.get("accept-encoding").as_deref(), codings);
        assert_eq!(sent.get("user-agent").as_deref(), Some("agent"));
        assert_eq!(sent.get("origin").as_deref(), Some("https://page.test"));
    }
}

/// What an embedder with HSTS and a language of the user does.
fn adapt(hop: &mut Hop) {
    if hop.url.host_str() == Some("hsts.test") {
        hop.url.set_scheme("https").unwrap();
    }
    hop.headers.delete("Accept-Language");
    hop.headers.append("Accept-Language", "eo");
}

#[test]
fn an_embedder_upgrades_urls_and_sets_headers_of_every_hop() {
    let scripted = Scripted::new(|request| match request.url.path() {
        "/" => Ok(response(302, &[APPROVED, ("location", "http://hsts.test/y")])),
        _ => Ok(response(200, &[("access-control-allow-origin", "null")])),
    });
    let checks = WithWebChecks::new(scripted.clone()).before_hop(adapt);
    for principal in [
        Principal::User,
        Principal::Page(PolicySnapshot::of(&"http://page.test/".parse().unwrap())),
    ] {
        scripted.asked.lock().clear();
        let is_user = matches!(principal, Principal::User);
        let fetched = fetch(&checks, principal, get("http://hsts.test/"));
        if is_user {
            let urls = fetched.unwrap().head.url_list;
            let urls: Vec<_> = urls.iter().map(url::Url::as_str).collect();
            assert_eq!(urls, ["https://hsts.test/", "https://hsts.test/y"]);
            assert_eq!(scripted.asked(), ["GET https://hsts.test/", "GET https://hsts.test/y"]);
        } else {
            // The approval names another origin.
            assert!(fetched.is_err());
        }
        for request in &*scripted.asked.lock() {
            let languages: Vec<_> = request.headers.get_all("accept-language").iter().collect();
            assert_eq!(languages, ["eo"], "safelisted, so without a preflight");
        }
    }
}

#[test]
fn hsts_comes_after_mixed_content_and_before_the_comparison_of_origins() {
    let scripted = Scripted::new(|_| Ok(response(200, &[])));
    let to_https = |hop: &mut Hop| hop.url.set_scheme("https").unwrap();
    let checks = WithWebChecks::new(scripted.clone()).before_hop(to_https);
    // As in browsers: the check has seen the URL as it was.
    let error = fetch(&checks, page(), get("http://page.test/x")).unwrap_err();
    assert!(error.to_string().contains("mixed content"), "{error}");
    assert!(scripted.asked().is_empty());
    // The page's own origin, once it is upgraded: no approval is needed.
    let plain = PolicySnapshot::of(&"http://page.test/".parse().unwrap());
    let mut upgraded = plain.clone();
    upgraded.origin = bgfetch_model::origin::Origin::of(&"https://page.test/".parse().unwrap());
    upgraded.secure_context = false;
    fetch(&checks, Principal::Page(upgraded), get("https://page.test/x")).unwrap();
    let error = fetch(&checks, Principal::Page(plain), get("http://page.test/x")).unwrap_err();
    assert!(error.to_string().starts_with("CORS"), "{error}");
}

#[test]
fn a_changed_url_is_checked_again_and_a_header_that_needs_approval_is_asked_for() {
    let scripted = Scripted::new(|_| Ok(response(200, &[APPROVED])));
    let bad_port = |hop: &mut Hop| hop.url.set_port(Some(25)).unwrap();
    let checks = WithWebChecks::new(scripted.clone()).before_hop(bad_port);
    for principal in [page(), Principal::User] {
        let error = fetch(&checks, principal, get("https://a.test/")).unwrap_err();
        assert_eq!(error.to_string(), "port 25 is blocked");
    }
    assert!(scripted.asked().is_empty());
    let header = |hop: &mut Hop| hop.headers.append("X-Embedder", "1");
    let checks = WithWebChecks::new(scripted.clone()).before_hop(header);
    assert!(fetch(&checks, page(), get("https://a.test/")).is_err());
    assert_eq!(scripted.asked(), ["OPTIONS https://a.test/"]);
}
