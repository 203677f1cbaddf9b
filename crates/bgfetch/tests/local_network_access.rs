//! Local Network Access (D46) with the whole engine: pages that are said to be public or local, and
//! servers on this machine.

// A panic in a helper is a failed test, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::VecDeque;
use std::future::{pending, ready};
use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bgfetch::IpAddressSpace::{self, Local, Loopback, Public};
use bgfetch::embedder::{BoxFuture, Permissions};
use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    BackgroundFetchRegistration, Connectivity, Engine, FailureReason, FetchOptions, Fetcher,
    HyperFetcher, LocalNetworkRequest, ManualConnectivity, Observer, Permission, PermissionRequest,
    PolicySnapshot, Principal, Reachable, RequestInfo, Resolve, StorageKey, What,
};
use bgfetch_testkit::{Gate, Origin, Reply, Resource, Serve};
use parking_lot::Mutex;
use tempfile::TempDir;
use url::Url;

/// Answers each look-up of a name with the next address; the last one stays.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<VecDeque<&'static str>>>);

impl Script {
    fn new<const N: usize>(addresses: [&'static str; N]) -> Self {
        Self(Arc::new(Mutex::new(addresses.into())))
    }
}

impl Resolve for Script {
    fn resolve(&self, _host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut script = self.0.lock();
        let next = if script.len() > 1 { script.pop_front() } else { script.front().copied() };
        let addresses = next.unwrap_or_default().split(' ').map(|it| it.parse().unwrap()).collect();
        // The attempt leaves its slot for the look-up, and again for the permission.
        Box::pin(async {
            tokio::task::yield_now().await;
            Ok(addresses)
        })
    }
}

/// Grants these spaces, and remembers for which URLs it was asked.
#[derive(Clone, Default)]
struct Grants {
    spaces: Arc<Mutex<Vec<IpAddressSpace>>>,
    asked: Arc<Mutex<Vec<(Url, IpAddressSpace)>>>,
    never_answers: bool,
}

impl Permissions for Grants {
    fn query(&self, _: &PermissionRequest) -> BoxFuture<'static, Permission> {
        Box::pin(ready(Permission::Granted))
    }

    fn local_network(&self, request: &LocalNetworkRequest) -> BoxFuture<'static, bool> {
        assert_eq!(&*request.fetch.id, "id");
        assert!(request.fetch.principal.policies().is_some());
        self.asked.lock().push((request.url.clone(), request.space));
        if self.never_answers {
            return Box::pin(pending());
        }
        Box::pin(ready(self.spaces.lock().contains(&request.space)))
    }
}

#[derive(Default)]
struct Agent {
    directory: Option<TempDir>,
    names: Script,
    /// `None` leaves the default.
    grants: Option<Grants>,
    connectivity: Arc<ManualConnectivity>,
    fetcher: Option<Arc<HyperFetcher>>,
}

impl Agent {
    fn granting<const N: usize>(spaces: [IpAddressSpace; N]) -> Self {
        let spaces = Arc::new(Mutex::new(spaces.to_vec()));
        Self { grants: Some(Grants { spaces, ..Grants::default() }), ..Self::default() }
    }

    fn open(&mut self) -> Engine {
        let directory = self.directory.get_or_insert_with(|| TempDir::new().unwrap());
        let fetcher = HyperFetcher::builder().resolver(self.names.clone()).build().unwrap();
        let fetcher = Arc::clone(self.fetcher.insert(Arc::new(fetcher)));
        let builder = Engine::builder()
            .directory(directory.path())
            .worker_host(ScriptedHost::new([Behaviour::NeverSettle]))
            .connectivity(Arc::clone(&self.connectivity))
            .fetcher(fetcher)
            .configure(|config| config.retry.interrupted.base = Duration::ZERO);
        match self.grants.clone() {
            Some(grants) => builder.permissions(grants).open().unwrap(),
            None => builder.open().unwrap(),
        }
    }

    fn asked(&self) -> Vec<(Url, IpAddressSpace)> {
        self.grants.as_ref().unwrap().asked.lock().clone()
    }
}

/// A page at this address space.
fn page(space: IpAddressSpace) -> PolicySnapshot {
    let mut page = PolicySnapshot::of(&"http://app.test/".parse().unwrap());
    page.policy_container.ip_address_space = Some(space);
    page
}

async fn fetch(engine: &Engine, page: PolicySnapshot, url: Url) -> BackgroundFetchRegistration {
    let scope = "https://app.test/".parse().unwrap();
    let registration = engine.register(StorageKey("app".into()), scope).await.unwrap();
    let manager = registration.background_fetch().acting_for(Principal::Page(page));
    manager.fetch("id", [RequestInfo::from(url)], FetchOptions::default()).await.unwrap()
}

/// What a page and its user see of a fetch: each event, and the record's message.
async fn seen(observer: &mut Observer) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let event = observer.next().await.expect("the engine is open");
        let numbers = (event.downloaded, event.uploaded);
        match event.what {
            What::RecordSettled { result, status, stored, message, .. } => {
                seen.push(format!("{result:?} {status:?} {stored} {message:?} {numbers:?}"));
            }
            What::Settled(result) => {
                seen.push(format!("{result:?} {numbers:?}"));
                return seen;
            }
            other => seen.push(format!("{other:?} {numbers:?}")),
        }
    }
}

fn film() -> Reply {
    Resource::new(1, 300_000).etag("\"a\"").header("access-control-allow-origin", "*")
}

fn at(host: &str, url: Url) -> Url {
    let mut url = url;
    url.set_host(Some(host)).unwrap();
    url
}

const FETCH_ERROR: Result<(), FailureReason> = Err(FailureReason::FetchError);

#[tokio::test]
async fn by_default_nothing_less_public_is_reached_and_nobody_is_asked_about_the_rest() {
    let origin = Origin::start();
    origin.serve("/film", film());
    for (space, expected) in [(Public, FETCH_ERROR), (Local, FETCH_ERROR), (Loopback, Ok(()))] {
        let engine = Agent::default().open();
        let fetch = fetch(&engine, page(space), origin.url("/film")).await;
        assert_eq!(fetch.settled().await.unwrap(), expected, "{space}");
        assert_eq!(origin.requests().len(), usize::from(expected.is_ok()));
        engine.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_denial_does_not_tell_whether_something_listens() {
    let origin = Origin::start();
    origin.serve("/film", film());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut all = Vec::new();
    for url in [origin.url("/film"), format!("http://{closed}/film").parse().unwrap()] {
        let mut agent = Agent::granting([]);
        let engine = agent.open();
        let mut observer = engine.observe().await.unwrap();
        fetch(&engine, page(Public), url.clone()).await;
        let mut lines = seen(&mut observer).await;
        lines.iter_mut().for_each(|line| *line = line.replace(url.as_str(), "URL"));
        assert!(lines.iter().all(|line| !line.contains("Retry")), "{lines:?}");
        all.push(lines);
        assert_eq!(agent.asked(), [(url, Loopback)]);
        engine.shutdown().await.unwrap();
    }
    assert_eq!(all[0], all[1]);
    assert_eq!(origin.requests().len(), 0);
}

#[tokio::test]
async fn a_permission_is_for_its_space_and_only_a_secure_page_can_have_it() {
    let origin = Origin::start();
    origin.serve("/film", film());
    for (grants, secure, expected) in [
        (vec![Loopback], true, Ok(())),
        (vec![Local, Public], true, FETCH_ERROR),
        (vec![Loopback], false, FETCH_ERROR),
    ] {
        let mut agent = Agent::granting([]);
        agent.grants = Some(Grants { spaces: Arc::new(Mutex::new(grants)), ..Grants::default() });
        let engine = agent.open();
        let page = page(Public).with(|it| it.secure_context = secure);
        let fetch = fetch(&engine, page, origin.url("/film")).await;
        assert_eq!(fetch.settled().await.unwrap(), expected);
        assert_eq!(agent.asked().len(), usize::from(secure));
        engine.shutdown().await.unwrap();
    }
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_judged_by_its_own_address() {
    let (outside, inside) = (Origin::start(), Origin::start());
    inside.serve("/film", film());
    let to = inside.url("/film");
    let reply = Reply::redirect(302, to.as_str()).header("access-control-allow-origin", "*");
    outside.serve("/film", reply);
    for (grants, expected) in [(vec![], FETCH_ERROR), (vec![Loopback], Ok(()))] {
        let mut agent = Agent::granting([]);
        agent.grants = Some(Grants { spaces: Arc::new(Mutex::new(grants)), ..Grants::default() });
        let engine = agent.open();
        // Its own origin is exempt.
        let mut page = page(Public);
        page.origin = bgfetch::Origin::of(&outside.url("/"));
        let fetch = fetch(&engine, page, outside.url("/film")).await;
        assert_eq!(fetch.settled().await.unwrap(), expected);
        assert_eq!(agent.asked(), [(to.clone(), Loopback)]);
        assert_eq!(inside.requests().len(), usize::from(expected.is_ok()));
        engine.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_resume_is_judged_again_by_the_address_that_its_name_has_then() {
    for (then, grants, expected) in [
        ("127.0.0.1", vec![Loopback], Ok(())),
        // The name moves into the local network after the first part.
        ("192.168.1.1", vec![Loopback], FETCH_ERROR),
        ("0.0.0.0", vec![], FETCH_ERROR),
        // Of several addresses, those that may be reached are used, and the first one is asked for.
        ("127.0.0.1 192.168.1.1", vec![Loopback], Ok(())),
        ("192.168.1.1 127.0.0.1", vec![Loopback], FETCH_ERROR),
    ] {
        let (origin, gate) = (Origin::start(), Gate::new());
        origin.serve("/film", film().hold_at(100_000, &gate).then(film()));
        let mut agent = Agent::granting([Loopback]);
        agent.names = Script::new(["127.0.0.1", then]);
        let engine = agent.open();
        let fetch = fetch(&engine, page(Public), at("film.test", origin.url("/film"))).await;
        let record = fetch.records().await.unwrap().remove(0);
        record.response_ready().await.unwrap();
        engine.ui().pause(fetch.key()).await.unwrap();
        // Forgets the name's address, as it is after a minute.
        agent.fetcher.as_ref().unwrap().network_changed();
        *agent.grants.as_ref().unwrap().spaces.lock() = grants;
        engine.ui().resume(fetch.key()).await.unwrap();
        assert_eq!(fetch.settled().await.unwrap(), expected, "{then}");
        assert_eq!(origin.requests().len(), 1 + usize::from(expected.is_ok()), "{then}");
        engine.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn the_page_s_space_and_the_question_outlive_the_process() {
    let origin = Origin::start();
    origin.serve("/film", film());
    let mut agent = Agent::granting([Loopback]);
    agent.connectivity.set(Connectivity::Offline(Reachable::default()));
    let engine = agent.open();
    fetch(&engine, page(Public), origin.url("/film")).await;
    engine.shutdown().await.unwrap();
    assert_eq!(agent.asked(), []);
    // The permission was revoked meanwhile.
    agent.grants.as_ref().unwrap().spaces.lock().clear();
    let engine = agent.open();
    let mut observer = engine.observe().await.unwrap();
    agent.connectivity.set(Connectivity::Online);
    let lines = seen(&mut observer).await;
    assert!(lines.iter().any(|line| line.contains("no permission to access this machine")));
    assert_eq!(agent.asked(), [(origin.url("/film"), Loopback)]);
    assert_eq!(origin.requests().len(), 0);
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_question_without_an_answer_ends() {
    let origin = Origin::start();
    let mut agent = Agent::granting([]);
    agent.grants = Some(Grants { never_answers: true, ..Grants::default() });
    let engine = agent.open();
    let waiting = fetch(&engine, page(Public), origin.url("/film")).await;
    let aborted = waiting.abort().await.unwrap();
    assert!(aborted);
    assert_eq!(waiting.settled().await.unwrap(), Err(FailureReason::Aborted));
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_user_s_downloads_are_exempt() {
    let origin = Origin::start();
    origin.serve("/film", film());
    let engine = Agent::default().open();
    let scope = "https://app.test/".parse().unwrap();
    let registration = engine.register(StorageKey("app".into()), scope).await.unwrap();
    let manager = registration.background_fetch().acting_for(Principal::User);
    let fetch = manager.fetch("id", [origin.url("/film")], FetchOptions::default()).await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    engine.shutdown().await.unwrap();
}
