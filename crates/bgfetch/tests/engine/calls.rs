//! D11, D19, D12: what `fetch()` refuses, and what a failed call leaves behind.

use std::future::{pending, ready};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use bgfetch::embedder::{BoxFuture, Permissions, Quota};
use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    CallError, DomException, Error, FetchKey, FetchOptions, Permission, PermissionRequest,
    RegistrationKey, RequestInfo, RequestMode, StorageKey, What,
};
use bgfetch_testkit::{Origin, Reply, Resource};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};

use crate::common::{Agent, total, until};

struct Answer(Permission);

impl Permissions for Answer {
    fn query(&self, _: &PermissionRequest) -> BoxFuture<'static, Permission> {
        Box::pin(ready(self.0))
    }
}

struct Limit(u64);

impl Quota for Limit {
    fn limit(&self, _: &StorageKey) -> BoxFuture<'static, u64> {
        Box::pin(ready(self.0))
    }
}

fn seen(error: Error) -> (Option<CallError>, DomException) {
    (error.call_error(), error.dom_exception())
}

const FILM: &str = "https://app.test/film";

#[tokio::test]
async fn each_refusal_has_its_exception() {
    use DomException::TypeError;
    let agent = Agent::start();
    let builder = agent.builder(ScriptedHost::new([]));
    let engine = agent.open_with(builder.configure(|config| config.max_requests = 2));
    let manager = agent.manager(&engine).await;
    let refused = async |id: &str, urls: &[&str]| {
        let urls = urls.iter().map(|url| String::from(*url));
        let call = manager.fetch(id, urls, FetchOptions::default());
        seen(call.await.unwrap_err())
    };
    assert_eq!(refused("", &[FILM]).await, (Some(CallError::EmptyId), TypeError));
    assert_eq!(refused("a", &[]).await, (Some(CallError::NoRequests), TypeError));
    assert_eq!(refused("a", &[FILM; 3]).await, (Some(CallError::TooManyRequests), TypeError));
    assert_eq!(refused("a", &["no scheme"]).await, (None, TypeError));
    assert_eq!(
        refused("a", &["https://user:secret@app.test/"]).await,
        (Some(CallError::CredentialsInUrl), TypeError)
    );
    assert_eq!(
        refused("a", &["https://app.test:25/"]).await,
        (Some(CallError::BlockedPort), TypeError)
    );
    let opaque = RequestInfo::try_from(FILM).unwrap().mode(RequestMode::NoCors);
    let call = manager.fetch("a", [opaque], FetchOptions::default()).await;
    assert_eq!(seen(call.unwrap_err()), (Some(CallError::NoCors), TypeError));
    let unknown = manager.fetch("a", ["no scheme"], FetchOptions::default()).await.unwrap_err();
    assert_eq!(unknown.code(), "invalid-url");
    let empty = manager.get("").await.unwrap_err();
    assert_eq!(empty.code(), "empty-id");
    assert_eq!(seen(empty), (Some(CallError::EmptyId), TypeError));
    assert!(manager.get("a").await.unwrap().is_none());

    let registration = agent.register(&engine).await;
    registration.set_active_worker(false).await.unwrap();
    assert_eq!(refused("a", &[FILM]).await, (Some(CallError::NoActiveWorker), TypeError));
    assert!(manager.get_ids().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_denied_permission_is_not_allowed_and_a_panicking_one_too() {
    struct Broken;
    impl Permissions for Broken {
        fn query(&self, _: &PermissionRequest) -> BoxFuture<'static, Permission> {
            panic!("the embedder's part is broken")
        }
    }
    let denied = (Some(CallError::PermissionDenied), DomException::NotAllowedError);
    let agent = Agent::start();
    let builders = [
        agent.builder(ScriptedHost::new([])).permissions(Answer(Permission::Denied)),
        agent.builder(ScriptedHost::new([])).permissions(Broken),
    ];
    for builder in builders {
        let engine = builder.open().unwrap();
        let manager = agent.manager(&engine).await;
        let call = manager.fetch("a", [FILM], FetchOptions::default()).await;
        assert_eq!(seen(call.unwrap_err()), denied);
    }
}

#[tokio::test]
async fn a_registration_is_found_by_its_key_and_refuses_where_it_was_not_registered() {
    let agent = Agent::start();
    let engine = agent.open(ScriptedHost::new([]));
    let key = agent.register(&engine).await.key().clone();
    let known = engine.registration(key.clone()).background_fetch();
    known.fetch("a", [FILM], FetchOptions::default()).await.unwrap();
    assert_eq!(known.get_ids().await.unwrap(), ["a"]);
    let scope = "https://other.test/".parse().unwrap();
    let other = engine.registration(RegistrationKey { scope, ..key }).background_fetch();
    let call = other.fetch("a", [FILM], FetchOptions::default()).await;
    let refused = (Some(CallError::NoActiveWorker), DomException::TypeError);
    assert_eq!(seen(call.unwrap_err()), refused);
    assert!(other.get_ids().await.unwrap().is_empty());
}

#[tokio::test]
async fn of_five_calls_at_once_with_one_id_one_succeeds() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/photos", Reply::status(200));
    let engine = agent.open(ScriptedHost::new([]));
    let manager = agent.manager(&engine).await;
    let calls = (0..5).map(|_| {
        let request = RequestInfo::new("POST", origin.url("/photos")).body("photo");
        manager.fetch("id", [request], FetchOptions::default())
    });
    let answers = futures_util::future::join_all(calls).await;
    let (ok, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.is_ok());
    assert_eq!((ok.len(), refused.len()), (1, 4));
    for answer in refused {
        let in_use = (Some(CallError::IdInUse), DomException::TypeError);
        assert_eq!(seen(answer.unwrap_err()), in_use);
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_no_fetch_or_a_whole_one() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/photos", Reply::status(200));
    let engine = agent.open(ScriptedHost::new([]));
    let mut observer = engine.observe().await.unwrap();
    let manager = agent.manager(&engine).await;
    // The number of polls moves the drop across every point at which the call waits; the last call
    // is not dropped.
    let mut whole = 0;
    for polls in 0.. {
        let id = format!("{polls} polls");
        let body = stream::iter([Ok(Bytes::from("photo"))]);
        let request = RequestInfo::new("POST", origin.url("/photos")).body_stream(body);
        let mut call = Box::pin(manager.fetch(id.clone(), [request], FetchOptions::default()));
        let mut ended = false;
        for _ in 0..polls {
            ended = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
            if ended {
                break;
            }
            // The loop runs on another thread: each of these calls gives it more time.
            engine.registrations().await.unwrap();
        }
        drop(call);
        if manager.get(id.clone()).await.unwrap().is_some() {
            whole += 1;
        }
        // In either case the id is free once the fetch, if there is one, has ended.
        let again = loop {
            let request = RequestInfo::new("POST", origin.url("/photos")).body("photo");
            match manager.fetch(id.clone(), [request], FetchOptions::default()).await {
                Ok(fetch) => break fetch,
                Err(error) => assert_eq!(error.call_error(), Some(CallError::IdInUse)),
            }
            until(&mut observer, |what| matches!(what, What::Settled(Ok(())))).await;
        };
        assert_eq!(again.settled().await.unwrap(), Ok(()), "{id}");
        if ended {
            break;
        }
    }
    println!("{whole} calls were whole when they were dropped");
}

#[tokio::test]
async fn a_body_that_never_ends_blocks_nobody_and_frees_its_id_when_it_is_given_up() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    let engine = agent.open(ScriptedHost::new([]));
    let manager = agent.manager(&engine).await;
    let begun = Arc::new(AtomicUsize::new(0));
    let reading = Arc::clone(&begun);
    let endless = stream::once(async move {
        reading.fetch_add(1, Ordering::Relaxed);
        pending::<io::Result<Bytes>>().await
    });
    let request = RequestInfo::new("POST", origin.url("/film")).body_stream(endless);
    let mut call = Box::pin(manager.fetch("endless", [request], FetchOptions::default()));
    assert!((&mut call).now_or_never().is_none());

    let url = origin.url("/film");
    let other = manager.fetch("other", [url.clone()], FetchOptions::default());
    assert_eq!(other.await.unwrap().settled().await.unwrap(), Ok(()));
    assert_eq!(begun.load(Ordering::Relaxed), 1, "the body is being read");
    let taken = manager.fetch("endless", [url.clone()], FetchOptions::default());
    let in_use = Some(CallError::IdInUse);
    assert_eq!(taken.await.unwrap_err().call_error(), in_use);
    assert!(manager.get("endless").await.unwrap().is_none());

    drop(call);
    let again = manager.fetch("endless", [url], FetchOptions::default()).await;
    assert_eq!(again.unwrap().settled().await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_body_that_errors_or_panics_rejects_the_call() {
    let agent = Agent::start();
    let engine = agent.open(ScriptedHost::new([]));
    let manager = agent.manager(&engine).await;
    let unreadable = (Some(CallError::BodyUnreadable), DomException::TypeError);
    let errors = stream::iter([Ok(Bytes::from("a")), Err(io::Error::other("torn"))]).boxed();
    let panics = stream::once(async { panic!("the page's stream is broken") }).boxed();
    for body in [errors, panics] {
        let request = RequestInfo::new("POST", FILM.parse().unwrap()).body_stream(body);
        let call = manager.fetch("a", [request], FetchOptions::default()).await;
        assert_eq!(seen(call.unwrap_err()), unreadable);
    }
    assert!(manager.get_ids().await.unwrap().is_empty());
    // Stored parts of the bodies are deleted without waiting for the next start.
    engine.shutdown().await.unwrap();
    assert!(agent.body_files().is_empty());
}

#[tokio::test]
async fn bodies_and_promises_must_fit_the_quota() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 100));
    let builder = agent.builder(ScriptedHost::new([Behaviour::Succeed])).quota(Limit(150));
    let engine = agent.open_with(builder);
    let mut observer = engine.observe().await.unwrap();
    let manager = agent.manager(&engine).await;
    let exceeded = (Some(CallError::QuotaExceeded), DomException::QuotaExceededError);
    let upload = RequestInfo::new("POST", origin.url("/film")).body(vec![0; 151]);
    let call = manager.fetch("upload", [upload], FetchOptions::default()).await;
    assert_eq!(seen(call.unwrap_err()), exceeded);

    // 100 of the 150 bytes are promised, so the second fetch cannot be promised as many.
    let promised = manager.fetch_held("first", [origin.url("/film")], total(100)).await;
    let (first, hold) = promised.unwrap();
    let second = async || manager.fetch("second", [origin.url("/film")], total(100)).await;
    assert_eq!(seen(second().await.unwrap_err()), exceeded);
    drop(hold);
    assert_eq!(first.settled().await.unwrap(), Ok(()));
    until(&mut observer, |what| matches!(what, What::EventEnded { .. })).await;
    assert_eq!(second().await.unwrap().settled().await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_registration_finds_no_fetch_of_another_whoever_knows_its_key() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let own = agent.register(&engine).await;
    let manager = own.background_fetch();
    let fetch = manager.fetch("film", [origin.url("/film")], total(0)).await.unwrap();
    assert_eq!(fetch.registration(), own.key());
    assert!(own.fetch(fetch.key()).await.unwrap().is_some());
    let key = |storage_key: &str, scope: &str| RegistrationKey {
        storage_key: StorageKey(storage_key.into()),
        scope: scope.parse().unwrap(),
    };
    let RegistrationKey { storage_key, scope } = own.key();
    for other in
        [key("https://evil.test", scope.as_str()), key(&storage_key.0, "https://app.test/b/")]
    {
        let registered = engine.register(other.storage_key.clone(), other.scope.clone()).await;
        for other in [registered.unwrap(), engine.registration(other)] {
            assert!(other.fetch(fetch.key()).await.unwrap().is_none(), "{:?}", other.key());
        }
    }
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn keys_begin_at_0_and_are_never_used_again() {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", Resource::new(1, 10));
    for expected in [0, 1] {
        let engine = agent.open(ScriptedHost::new([Behaviour::Succeed]));
        let mut observer = engine.observe().await.unwrap();
        let manager = agent.manager(&engine).await;
        let fetch = manager.fetch("film", [origin.url("/film")], total(0)).await.unwrap();
        assert_eq!(fetch.key(), FetchKey(expected));
        until(&mut observer, |what| matches!(what, What::EventEnded { .. })).await;
        engine.ui().dismiss(fetch.key()).await.unwrap();
        engine.shutdown().await.unwrap();
    }
}
