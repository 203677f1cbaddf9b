//! A page's fetch from a server of another origin: what the page may read, and that resumes require
//! no more of the server.

use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    BackgroundFetchManager, Engine, FailureReason, FetchOptions, IpAddressSpace, MatchOptions,
    PolicySnapshot, Principal, RecordError, RequestInfo, ResponseType,
};
use bgfetch_testkit::{MIB, Origin, Reply, Resource, Serve};

use crate::common::{Agent, bodies_of, records_of};

const APPROVAL: (&str, &str) = ("access-control-allow-origin", "https://app.test");

/// The manager of a page that was loaded from this machine, as the servers here are.
async fn page(agent: &Agent, engine: &Engine) -> BackgroundFetchManager {
    let registration = agent.register(engine).await;
    let mut page = PolicySnapshot::of(&registration.key().scope);
    page.policy_container.ip_address_space = Some(IpAddressSpace::Loopback);
    registration.background_fetch().acting_for(Principal::Page(page))
}

#[tokio::test]
async fn a_download_resumes_by_range_although_nothing_is_exposed() {
    const CUT: u64 = 300_000;
    let film = Resource::new(1, MIB).etag("\"a\"");
    let origin = Origin::start();
    let approved = || film.clone().header(APPROVAL.0, APPROVAL.1);
    origin.serve("/film", approved().cut_after(CUT).then(approved()));
    let agent = Agent::start();
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let manager = page(&agent, &engine).await;
    let fetch = manager.fetch("film", [origin.url("/film")], FetchOptions::default()).await;
    let fetch = fetch.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    assert!(bodies_of(&fetch).await == [film.bytes()]);
    let requests = origin.requests();
    assert_eq!(requests.len(), 2, "no preflight for a range of ours");
    assert_eq!(requests[1].range_start(), Some(CUT));
    assert_eq!(requests[1].header("if-range"), Some("\"a\""));
    let head = records_of(&fetch).await.remove(0).response_ready().await.unwrap().head;
    assert_eq!(head.response_type, ResponseType::Cors);
    for hidden in ["etag", "accept-ranges", "content-range", APPROVAL.0] {
        assert!(!head.headers.contains(hidden), "{hidden}");
    }
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_download_does_not_go_on_without_the_approval_it_began_with() {
    let film = Resource::new(1, MIB).etag("\"a\"");
    let origin = Origin::start();
    let approved = film.clone().header(APPROVAL.0, APPROVAL.1);
    origin.serve("/film", approved.cut_after(300_000).then(film));
    let agent = Agent::start();
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let manager = page(&agent, &engine).await;
    let fetch = manager.fetch("film", [origin.url("/film")], FetchOptions::default()).await;
    let fetch = fetch.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Err(FailureReason::FetchError));
    let record = records_of(&fetch).await.remove(0);
    assert!(matches!(record.response_ready().await, Err(RecordError::Failed)));
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_unapproved_response_is_a_fetch_error_whatever_it_is() {
    let origin = Origin::start();
    origin.serve("/film", Resource::new(1, MIB));
    origin.serve("/gone", Reply::status(404));
    origin.serve("/busy", Reply::status(503).header("retry-after", "100"));
    let agent = Agent::start();
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let manager = page(&agent, &engine).await;
    for path in ["/film", "/gone", "/busy", "/unknown"] {
        let fetch = manager.fetch(path, [origin.url(path)], FetchOptions::default()).await;
        let fetch = fetch.unwrap();
        assert_eq!(fetch.settled().await.unwrap(), Err(FailureReason::FetchError), "{path}");
        assert_eq!(fetch.downloaded(), 0, "{path}");
        let record = records_of(&fetch).await.remove(0);
        assert_eq!((record.status(), record.stored()), (None, 0), "{path}");
        assert!(matches!(record.response_ready().await, Err(RecordError::Failed)), "{path}");
        assert_eq!(origin.requests_to(path).len(), 1, "{path} is not tried again");
    }
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_vary_that_is_not_exposed_does_not_show_in_what_matches() {
    let origin = Origin::start();
    let varying = || Reply::text("text/plain", "x").header("vary", "accept-language");
    let approved = || varying().header(APPROVAL.0, APPROVAL.1);
    origin.serve("/hidden", approved());
    origin.serve("/exposed", approved().header("access-control-expose-headers", "vary"));
    let agent = Agent::start();
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let manager = page(&agent, &engine).await;
    let request = |path: &str, language: &str| {
        RequestInfo::new("GET", origin.url(path)).header("accept-language", language).unwrap()
    };
    let paths = ["/hidden", "/exposed"];
    let requests = paths.map(|path| request(path, "de"));
    let fetch = manager.fetch("film", requests, FetchOptions::default()).await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    for (path, language, found) in [
        ("/hidden", "de", true),
        ("/hidden", "en", true),
        ("/exposed", "de", true),
        ("/exposed", "en", false),
    ] {
        let matched = fetch.match_first(request(path, language), MatchOptions::default()).await;
        assert_eq!(matched.unwrap().is_some(), found, "{path} {language}");
    }
    engine.shutdown().await.unwrap();
}
