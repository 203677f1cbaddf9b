//! Whatever a fetch or a call waits for gets an answer, even if the embedder's part panics: at
//! once, when its future is polled, or in the middle of a stream.

use std::sync::Arc;

use bgfetch::embedder::{Bodies, BoxFuture, Permissions, Quota, Snapshot, StoredHead, Transaction};
use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    Builder, CallError, Connectivity, FailureReason, FetchError, FetchOptions, FetchRequest,
    FetchResponse, FetchResult, Fetcher, Limits, Permission, PermissionRequest, Priority,
    RecordKey, RequestInfo, SqliteStore, StorageKey, Store, StoreError,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use crate::common::{Agent, Network, ok, registration_key, total};

const FILM: &str = "https://app.test/film";

/// Where a part breaks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Breaks {
    Never,
    AtOnce,
    Polled,
    Later,
}

impl Breaks {
    fn panic_if(self, now: Self) {
        assert_ne!(self, now, "the embedder's part is broken");
    }
}

struct Part(Breaks);

impl Part {
    fn answer<T: Send + 'static>(&self, answer: T) -> BoxFuture<'static, T> {
        let breaks = self.0;
        breaks.panic_if(Breaks::AtOnce);
        Box::pin(async move {
            breaks.panic_if(Breaks::Polled);
            tokio::task::yield_now().await;
            breaks.panic_if(Breaks::Later);
            answer
        })
    }
}

impl Permissions for Part {
    fn query(&self, _: &PermissionRequest) -> BoxFuture<'static, Permission> {
        self.answer(Permission::Granted)
    }
}

impl Quota for Part {
    fn limit(&self, _: &StorageKey) -> BoxFuture<'static, u64> {
        self.answer(u64::MAX)
    }
}

/// A network that breaks while it fetches, or in the middle of the body.
fn network(breaks: Breaks) -> impl bgfetch::Fetcher {
    Network(move |request: FetchRequest| {
        breaks.panic_if(Breaks::AtOnce);
        async move {
            breaks.panic_if(Breaks::Polled);
            let mut response = ok(&request, "film");
            let end = stream::once(async move {
                breaks.panic_if(Breaks::Later);
                Ok(Bytes::new())
            });
            response.body = response.body.chain(end).boxed();
            Ok(response)
        }
    })
}

/// How a fetch settles, or why it is refused.
type Outcome = Result<FetchResult, Option<CallError>>;

/// Gives an engine a part that breaks.
type Broken = fn(Builder, Breaks) -> Builder;

/// The outcome of a fetch of one film.
async fn outcome(agent: &Agent, builder: Builder) -> Outcome {
    let engine = agent.open_with(builder);
    let manager = agent.manager(&engine).await;
    let fetch = manager.fetch("film", [FILM], FetchOptions::default()).await;
    let result = match fetch {
        Ok(fetch) => fetch.settled().await.map_err(|error| error.call_error()),
        Err(error) => Err(error.call_error()),
    };
    agent.close(engine).await;
    result
}

#[tokio::test]
async fn a_part_that_panics_ends_what_waits_for_it_and_nothing_else() {
    let succeeds = Ok(Ok(()));
    let denied = Err(Some(CallError::PermissionDenied));
    let fails = Ok(Err(FailureReason::FetchError));
    for breaks in [Breaks::Never, Breaks::AtOnce, Breaks::Polled, Breaks::Later] {
        let works = breaks == Breaks::Never;
        let parts: [(&str, Broken, Outcome); 4] = [
            ("permissions", |builder, breaks| builder.permissions(Part(breaks)), denied),
            ("quota", |builder, breaks| builder.quota(Part(breaks)), denied),
            ("network", |builder, breaks| builder.fetcher(network(breaks)), fails),
            (
                "priorities",
                |builder, breaks| {
                    builder.prioritize(move |_, _| {
                        breaks.panic_if(Breaks::AtOnce);
                        Priority::Normal
                    })
                },
                succeeds,
            ),
        ];
        for (part, broken, expected) in parts {
            let agent = Agent::start();
            let host = ScriptedHost::new([Behaviour::Succeed]);
            let builder = agent.builder(host).fetcher(network(Breaks::Never));
            let builder = builder.limits(Limits::default().with(|it| it.per_host = 1));
            let expected = if works { succeeds } else { expected };
            assert_eq!(
                outcome(&agent, broken(builder, breaks)).await,
                expected,
                "{part} {breaks:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_fetcher_that_panics_when_the_network_changes_fetches_on() {
    struct Nervous;
    impl Fetcher for Nervous {
        fn fetch(
            &self,
            request: FetchRequest,
        ) -> BoxFuture<'static, Result<FetchResponse, FetchError>> {
            Box::pin(std::future::ready(Ok(ok(&request, "film"))))
        }
        fn network_changed(&self) {
            panic!("the embedder's part is broken")
        }
    }
    let agent = Agent::start();
    let host = ScriptedHost::new([Behaviour::Succeed]);
    let engine = agent.open_with(agent.builder(host).fetcher(Nervous));
    // The engine checks the network before it answers.
    let manager = agent.manager(&engine).await;
    agent.connectivity.set(Connectivity::Metered);
    let fetch = manager.fetch("film", [FILM], FetchOptions::default()).await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_request_body_that_panics_is_unreadable() {
    let agent = Agent::start();
    let engine = agent.open(ScriptedHost::new([]));
    let manager = agent.manager(&engine).await;
    let body = stream::once(async { panic!("the caller's part is broken") });
    let upload = RequestInfo::new("POST", FILM.parse().unwrap()).body_stream(body);
    let call = manager.fetch("upload", [upload], FetchOptions::default()).await;
    assert_eq!(call.unwrap_err().call_error(), Some(CallError::BodyUnreadable));
    assert!(manager.get_ids().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_store_that_panics_stops_the_engine_like_one_that_fails() {
    struct Broken(SqliteStore);
    impl Store for Broken {
        fn load(&mut self) -> Result<Snapshot, StoreError> {
            self.0.load()
        }
        fn commit(&mut self, _: &[Transaction]) -> Result<(), StoreError> {
            panic!("the embedder's part is broken")
        }
        fn head(&mut self, record: RecordKey) -> Result<Option<StoredHead>, StoreError> {
            self.0.head(record)
        }
        fn bodies(&self) -> Arc<dyn Bodies> {
            self.0.bodies()
        }
    }
    let agent = Agent::start();
    let store = Box::new(Broken(SqliteStore::ephemeral().unwrap()));
    let engine = agent.builder(ScriptedHost::new([])).store(store).open().unwrap();
    let scope = "https://app.test/".parse().unwrap();
    let error = engine.register(crate::common::site(), scope).await.unwrap_err();
    assert!(error.is_closed(), "{error}");
}

#[tokio::test]
async fn where_the_quota_cannot_be_told_after_a_restart_nothing_more_is_stored() {
    let agent = Agent::start();
    let pending = Network(|_| std::future::pending());
    let engine = agent.open_with(agent.builder(ScriptedHost::new([])).fetcher(pending));
    let manager = agent.manager(&engine).await;
    manager.fetch("film", [FILM], total(0)).await.unwrap();
    drop(manager);
    agent.close(engine).await;

    let builder = agent.builder(ScriptedHost::new([])).fetcher(network(Breaks::Never));
    let engine = agent.open_with(builder.quota(Part(Breaks::AtOnce)));
    let key = bgfetch::FetchKey(0);
    let fetch = engine.registration(registration_key()).fetch(key).await.unwrap();
    let fetch = fetch.expect("it is stored");
    assert_eq!(fetch.settled().await.unwrap(), Err(FailureReason::QuotaExceeded));
    assert_eq!(engine.usage(crate::common::site()).await.unwrap().response_bodies, 0);
}
