//! A page's policies, enforced by the whole engine: a violation fails the record and not `fetch()`
//! (D36), also after a redirect and after a restart.

// A panic in a helper is a failed test, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use bgfetch::embedder::{BoxFuture, Permissions};
use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    BackgroundFetchManager, BackgroundFetchRegistration, CacheMode, ClientUpdate, Connectivity,
    Endpoint, Engine, FailureReason, FetchInfo, FetchKey, FetchOptions, IpAddressSpace,
    LocalNetworkRequest, ManualConnectivity, Observer, Permission, PermissionRequest,
    PolicySnapshot, Principal, Reach, Reachable, RecordError, ReferrerPolicy, RegistrationKey,
    Request, RequestInfo, RequestMode, StorageKey, Update, What,
};
use bgfetch_testkit::{Origin, Reply, Resource, Serve};
use tempfile::TempDir;
use url::Url;

struct Agent {
    directory: TempDir,
    connectivity: Arc<ManualConnectivity>,
}

impl Agent {
    fn new() -> Self {
        Self { directory: TempDir::new().unwrap(), connectivity: Arc::default() }
    }

    /// The records stay readable, because the settling event does not end.
    fn open(&self) -> Engine {
        Engine::builder()
            .directory(self.directory.path())
            .worker_host(ScriptedHost::new([Behaviour::NeverSettle]))
            .connectivity(Arc::clone(&self.connectivity))
            .open()
            .unwrap()
    }
}

async fn manager(engine: &Engine, principal: Principal) -> BackgroundFetchManager {
    let scope = "https://app.test/".parse().unwrap();
    let registration = engine.register(StorageKey("app".into()), scope).await.unwrap();
    registration.background_fetch().acting_for(principal)
}

fn page(url: &Url, csp: &str) -> PolicySnapshot {
    let mut policies = PolicySnapshot::of(url);
    policies.policy_container.csp_list = vec![csp.into()];
    policies
}

fn secure_page() -> PolicySnapshot {
    let mut page = PolicySnapshot::of(&"https://app.test/".parse().unwrap());
    page.policy_container.ip_address_space = Some(IpAddressSpace::Loopback);
    page
}

async fn fetch(
    manager: &BackgroundFetchManager,
    request: RequestInfo,
) -> BackgroundFetchRegistration {
    manager.fetch("id", [request], FetchOptions::default()).await.expect("fetch() resolves")
}

/// The error of the next record that ends.
async fn failure(observer: &mut Observer) -> String {
    loop {
        let event = observer.next().await.expect("the engine is open");
        if let What::RecordSettled { message, .. } = event.what {
            return message.expect("the record failed");
        }
    }
}

/// `fetch()` resolves for the page. Then its record fails, with this message for the user and
/// without one for scripts.
async fn fails(policies: PolicySnapshot, request: RequestInfo, message: &str) {
    let agent = Agent::new();
    let engine = agent.open();
    let mut observer = engine.observe().await.unwrap();
    let manager = manager(&engine, Principal::Page(policies)).await;
    let fetch = fetch(&manager, request).await;
    let records = fetch.records().await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Err(FailureReason::FetchError), "{message}");
    let error = records[0].response_ready().await.unwrap_err();
    assert!(matches!(error, RecordError::Failed), "{error:?}");
    let told = failure(&mut observer).await;
    assert!(told.contains(message), "{message:?} in {told:?}");
}

fn request(url: &Url) -> RequestInfo {
    RequestInfo::from(url.clone())
}

#[tokio::test]
async fn what_a_policy_forbids_fails_the_record_after_fetch_resolved() {
    let origin = Origin::start();
    origin.serve("/a", Resource::new(1, 10));
    let url = origin.url("/a");
    let own = PolicySnapshot::of(&url);
    let elsewhere = "http://192.0.2.1/a".parse().unwrap();
    let dangling = RequestInfo::parse("GET", "/a?\n<", &url).unwrap();
    let cached = request(&url).mode(RequestMode::SameOrigin).cache(CacheMode::OnlyIfCached);
    fails(page(&url, "connect-src 'none'"), request(&url), "security policy").await;
    fails(page(&url, "default-src https://a.test"), request(&url), "security policy").await;
    fails(secure_page(), request(&elsewhere), "mixed content").await;
    fails(own.clone(), dangling, "dangling markup").await;
    fails(own.clone(), cached, "only-if-cached").await;
    for other in ["ftp://a.test/", "data:text/plain,x", "file:///etc/passwd", "ws://a.test/"] {
        fails(own.clone(), request(&other.parse().unwrap()), "scheme").await;
    }
    assert_eq!(origin.requests().len(), 0);
}

#[tokio::test]
async fn the_same_holds_after_a_redirect() {
    let (origin, other) = (Origin::start(), Origin::start());
    other.serve("/b", Resource::new(1, 10).header("access-control-allow-origin", "*"));
    let url = origin.url("/a");
    for (policies, location, message) in [
        (page(&url, "connect-src 'self'"), other.url("/b").as_str(), "security policy"),
        (secure_page(), "http://192.0.2.1/b", "mixed content"),
        (PolicySnapshot::of(&url), "/a?\t<", "dangling markup"),
        (PolicySnapshot::of(&url), "ftp://a.test/", "scheme"),
    ] {
        let reply = Reply::redirect(302, location).header("access-control-allow-origin", "*");
        origin.serve("/a", reply);
        fails(policies, request(&url), message).await;
    }
    assert_eq!(origin.requests().len(), 4);
    assert_eq!(other.requests().len(), 0);
}

#[tokio::test]
async fn a_policy_still_holds_after_the_store_was_opened_again() {
    let origin = Origin::start();
    origin.serve("/a", Resource::new(1, 10));
    let url = origin.url("/a");
    let agent = Agent::new();
    agent.connectivity.set(Connectivity::Offline(Reachable::default()));
    let engine = agent.open();
    let policies = page(&url, "connect-src https://a.test");
    fetch(&manager(&engine, Principal::Page(policies)).await, request(&url)).await;
    engine.shutdown().await.unwrap();

    let engine = agent.open();
    let mut observer = engine.observe().await.unwrap();
    agent.connectivity.set(Connectivity::Online);
    assert!(failure(&mut observer).await.contains("security policy"));
    assert_eq!(origin.requests().len(), 0);
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_a_policy_allows_is_fetched_with_the_headers_that_it_gives() {
    let origin = Origin::start();
    origin.serve("/a", Reply::redirect(302, "/b").header("referrer-policy", "origin"));
    origin.serve("/b", Resource::new(1, 10));
    let policies = page(&origin.url("/page?q#top"), "default-src 'none'; connect-src 'self'");
    let agent = Agent::new();
    let engine = agent.open();
    let manager = manager(&engine, Principal::Page(policies)).await;
    let request = request(&origin.url("/a"))
        .referrer_policy(ReferrerPolicy::UnsafeUrl)
        .cache(CacheMode::NoCache)
        .header("Sec-Fetch-Site", "none")
        .and_then(|request| request.header("Referer", "https://a.test/"))
        .unwrap();
    let fetch = fetch(&manager, request).await;
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    let requests = origin.requests();
    let referers = requests.iter().map(|request| request.header("referer").unwrap());
    let expected = ["/page?q", "/"].map(|path| origin.url(path).to_string());
    assert!(referers.eq(expected.iter().map(String::as_str)));
    for (name, value) in [
        ("sec-fetch-dest", "empty"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "same-origin"),
        ("cache-control", "max-age=0"),
    ] {
        for request in &requests {
            assert_eq!(request.header(name), Some(value), "{name}");
        }
    }
}

#[tokio::test]
async fn the_user_is_bound_by_no_page() {
    let origin = Origin::start();
    origin.serve("/a", Resource::new(1, 10));
    let agent = Agent::new();
    let engine = agent.open();
    let manager = manager(&engine, Principal::User).await;
    let dangling = RequestInfo::parse("GET", "/a?\n<", &origin.url("/")).unwrap();
    let fetch = fetch(&manager, dangling).await;
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    let requests = origin.requests();
    for name in ["referer", "sec-fetch-site", "origin"] {
        assert_eq!(requests[0].header(name), None);
    }
}

/// What a browser's own parts may look like.
struct Prompt;

impl Permissions for Prompt {
    fn query(&self, request: &PermissionRequest) -> BoxFuture<'static, Permission> {
        let is_small = request.download_total < 1000;
        let granted = if is_small { Permission::Granted } else { Permission::StartPaused };
        Box::pin(async move { granted })
    }

    fn local_network(&self, request: &LocalNetworkRequest) -> BoxFuture<'static, bool> {
        let allowed = request.space == IpAddressSpace::Local && request.fetch.id.starts_with("lan");
        Box::pin(async move { allowed })
    }
}

#[tokio::test]
async fn the_parts_of_an_embedder_can_be_tested_without_an_engine() {
    let (storage_key, scope) = (StorageKey("app".into()), "https://app.test/".parse().unwrap());
    let registration = RegistrationKey { storage_key, scope };
    let (page, url) = (Arc::new(Principal::Page(secure_page())), "http://10.0.0.1/");
    let url: Url = url.parse().unwrap();
    let requests = vec![Arc::new(Request::get(url.clone()))];
    let asked = PermissionRequest::new(registration.clone(), Arc::clone(&page), "film", requests);
    assert_eq!(Prompt.query(&asked).await, Permission::Granted);
    let larger = asked.with(|it| it.download_total = 5000);
    assert_eq!(Prompt.query(&larger).await, Permission::StartPaused);

    for (id, space, allowed) in [
        ("lan-film", IpAddressSpace::Local, true),
        ("lan-film", IpAddressSpace::Loopback, false),
        ("film", IpAddressSpace::Local, false),
    ] {
        let fetch = FetchInfo::new(FetchKey(0), registration.clone(), Arc::clone(&page), id);
        let asked = LocalNetworkRequest::new(Arc::new(fetch), url.clone(), space);
        assert_eq!(Prompt.local_network(&asked).await, allowed, "{id} {space:?}");
    }

    let key = FetchKey(3);
    let update = ClientUpdate::new(key, Update::default().with(|it| it.downloaded = 7));
    assert_eq!((update.fetch, update.update.downloaded), (key, 7));
    assert!(update.update.records_available && update.update.result.is_none());
    let to = Endpoint::new("printer.local", 631, Reach::ALL);
    assert_eq!((&*to.host, to.port, to.reach), ("printer.local", 631, Reach::ALL));
}
