//! Host names whose look-up never ends.

use std::future::{pending, ready};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bgfetch::embedder::BoxFuture;
use bgfetch::mock::ScriptedHost;
use bgfetch::{Engine, FetchOptions, HyperFetcher, Limits, MatchOptions, Resolve};
use bgfetch_testkit::{Origin, Reply, Resource};
use url::Url;

use crate::common::Agent;

/// Resolves names that begin with `good`; look-ups of others never end.
struct Names;

impl Resolve for Names {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        if host.starts_with("good") {
            return Box::pin(ready(Ok(vec![Ipv4Addr::LOCALHOST.into()])));
        }
        Box::pin(pending())
    }
}

/// An engine whose look-ups of dead names never end by themselves.
fn open(agent: &Agent) -> Engine {
    let never = Duration::from_secs(1 << 30);
    let fetcher = HyperFetcher::builder().resolver(Names).connect_timeout(never).build().unwrap();
    let builder = agent.builder(ScriptedHost::new([])).fetcher(fetcher);
    agent.open_with(builder.limits(Limits::default().with(|it| it.total = 1)))
}

fn at(origin: &Origin, host: &str, path: &str) -> Url {
    let mut url = origin.url(path);
    url.set_host(Some(host)).unwrap();
    url
}

#[tokio::test]
async fn sixteen_names_that_nobody_answers_for_hold_back_no_download_and_no_end() {
    let (origin, agent) = (Origin::start(), Agent::start());
    let film = Resource::new(1, 100_000);
    origin.serve("/film", film.clone());
    let engine = open(&agent);
    let manager = agent.manager(&engine).await;
    // Before a good name in the same fetch, and before another fetch.
    let dead = (0..16).map(|n| at(&origin, &format!("dead{n}.test"), "/film"));
    let good = at(&origin, "good.test", "/film");
    let requests = dead.chain([good.clone()]);
    let mixed = manager.fetch("mixed", requests, FetchOptions::default()).await.unwrap();
    let other = manager.fetch("other", [good.clone()], FetchOptions::default()).await.unwrap();
    assert_eq!(other.settled().await.unwrap(), Ok(()));
    let record = mixed.match_first(good, MatchOptions::default()).await.unwrap().unwrap();
    let response = record.response_ready().await.unwrap();
    assert!(response.body.bytes().await.unwrap() == film.bytes());
    agent.close(engine).await;
}

#[tokio::test]
async fn redirects_to_a_name_that_nobody_answers_for_hold_back_nobody_at_their_own_host() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 100_000));
    let engine = open(&agent);
    let manager = agent.manager(&engine).await;
    let lost = (0..16).map(|n| {
        let path = format!("/lost{n}");
        origin.serve(&path, Reply::redirect(302, format!("http://dead{n}.test/film")));
        at(&origin, "good.test", &path)
    });
    let lost: Vec<_> = lost.collect();
    let lost = manager.fetch("lost", lost, FetchOptions::default()).await.unwrap();
    origin.wait_for_requests(16).await;
    let good = manager.fetch("good", [at(&origin, "good.test", "/film")], FetchOptions::default());
    assert_eq!(good.await.unwrap().settled().await.unwrap(), Ok(()));
    assert_eq!(lost.result(), None);
    agent.close(engine).await;
}
