//! The process dies at every commit and every write of a scenario and is started again. Then the
//! outcome is compared with what must hold in any case.

use std::future::pending;
use std::sync::{Arc, Mutex};

use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{Engine, EventKind, FetchOptions, Principal, RequestInfo, Result, What};
use bgfetch_testkit::{Gate, KIB, Origin, Reply, Resource, Serve};

use crate::common::{Agent, records_of, until};
use crate::integrity::asking;
use crate::mortal::{Fate, Moment, Mortal};

/// The events that the workers of all lives received, with the bodies they read.
type Seen = Arc<Mutex<Vec<(EventKind, Vec<Vec<u8>>)>>>;

/// What the page learned before the process died.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    registered: bool,
    aborted: bool,
}

struct Scenario {
    agent: Agent,
    origin: Origin,
    film: Resource,
    art: Resource,
    /// Holds the film of a page that aborts, as long as that page lives.
    gate: Gate,
    aborts: bool,
    seen: Seen,
    told: Mutex<Told>,
}

impl Scenario {
    fn new(aborts: bool) -> Self {
        let (origin, gate) = (Origin::start(), Gate::new());
        let film = Resource::new(1, 600 * KIB).etag("\"a\"");
        let art = Resource::new(2, 70_000);
        if aborts {
            let held = film.clone().hold_at(100_000, &gate);
            origin.serve("/film", held.then(film.clone()));
        } else {
            let cut = film.clone().cut_after(100_000);
            origin.serve("/film", cut.then(film.clone()));
        }
        origin.serve("/art", art.clone());
        origin.serve("/upload", Reply::status(200));
        Self {
            agent: Agent::start(),
            origin,
            film,
            art,
            gate,
            aborts,
            seen: Seen::default(),
            told: Mutex::default(),
        }
    }

    /// A worker that reads what it can. If the process dies, it never ends.
    fn worker(&self) -> ScriptedHost {
        let (agent, seen) = (self.agent.clone(), Arc::clone(&self.seen));
        ScriptedHost::new([Behaviour::run(move |event| {
            let (agent, seen) = (agent.clone(), Arc::clone(&seen));
            async move {
                let Some(bodies) = agent.read(event.fetch()).await else {
                    return pending().await;
                };
                seen.lock().unwrap().push((event.kind(), bodies));
                Ok(())
            }
        })])
    }

    /// The page's life: it fetches, and may abort in the middle of the body.
    async fn live(&self, engine: &Engine) -> Result<()> {
        let mut observer = engine.observe().await?;
        let scope = "https://app.test/".parse().unwrap();
        let registration = engine.register(crate::common::site(), scope).await?;
        let manager = registration.background_fetch().acting_for(Principal::User);
        let upload = RequestInfo::new("POST", self.origin.url("/upload")).body("photo");
        let art = asking(self.origin.url("/art"), &self.art);
        let requests = [self.origin.url("/film").into(), art, upload];
        let fetch = manager.fetch("all", requests, FetchOptions::default()).await?;
        self.told.lock().unwrap().registered = true;
        if self.aborts {
            let record = records_of(&fetch).await.remove(0);
            if let Ok(mut response) = record.response_ready().await
                && response.body.chunk().await.is_some()
            {
                let aborted = fetch.abort().await?;
                self.told.lock().unwrap().aborted = aborted;
            }
        }
        fetch.settled().await.map(drop)?;
        loop {
            match observer.next().await.map(|event| event.what) {
                Some(What::EventEnded { .. }) => return Ok(()),
                Some(_) => {}
                // The engine is closed.
                None => return fetch.settled().await.map(drop),
            }
        }
    }

    /// The next process: it continues until the event was handled, if there is a fetch.
    async fn live_on(&self) {
        self.gate.open();
        let engine = self.agent.open(self.worker());
        let mut observer = engine.observe().await.unwrap();
        let jobs = engine.ui().jobs().await.unwrap();
        self.agent.register(&engine).await;
        let told = *self.told.lock().unwrap();
        assert!(!jobs.is_empty() || !told.registered, "a fetch was lost");
        if jobs.iter().any(|job| !job.records.is_empty()) {
            until(&mut observer, |what| matches!(what, What::EventEnded { .. })).await;
        }
        assert_eq!(jobs.is_empty(), self.seen.lock().unwrap().is_empty());
        engine.shutdown().await.unwrap();
    }

    /// Checks what must hold in the end.
    fn check(&self) {
        let uploads = self.origin.requests_to("/upload");
        assert!(uploads.len() <= 1, "an upload was sent twice");
        let seen = self.seen.lock().unwrap();
        let aborted = self.told.lock().unwrap().aborted;
        for (kind, bodies) in &*seen {
            assert_eq!(*kind, seen[0].0, "the result changed");
            assert!(!aborted || *kind == EventKind::Abort, "abort() had said true");
            if *kind == EventKind::Abort {
                continue;
            }
            assert!(bodies[0] == self.film.bytes(), "the film is wrong");
            assert!(bodies[1] == self.art.bytes(), "the art is wrong");
            if *kind == EventKind::Success {
                assert_eq!(uploads[0].body.bytes(), Some(&b"photo"[..]));
            }
        }
        assert!(self.agent.body_files().is_empty(), "bytes were left behind");
    }
}

/// Plays a scenario in which the process dies at this moment. Returns whether it reached the
/// moment.
async fn dies(moment: Moment, aborts: bool) -> bool {
    println!("{moment:?}, aborts: {aborts}");
    let scenario = Scenario::new(aborts);
    let fate = Fate::new(moment);
    let agent = &scenario.agent;
    let store = Mortal::open(agent.path(), &fate);
    let engine = agent.open_with(agent.builder(scenario.worker()).store(store));
    let lived = tokio::select! {
        lived = scenario.live(&engine) => lived.is_ok(),
        () = fate.died() => false,
    };
    agent.take_back();
    // A worker may be using another handle, so dropping this one would not be enough. A dead store
    // keeps later commits from the disk; it may also die only now.
    let died = engine.shutdown().await.is_err();
    assert!(lived || died);
    if died {
        scenario.live_on().await;
    }
    scenario.check();
    died
}

async fn die_at_each(moment: impl Fn(usize) -> Moment) {
    for aborts in [false, true] {
        let mut number = 0;
        while dies(moment(number), aborts).await {
            number += 1;
        }
        assert!(number > 2, "only {number} moments");
    }
}

#[tokio::test]
async fn death_before_each_commit_loses_nothing_that_was_said() {
    die_at_each(Moment::BeforeCommit).await;
}

#[tokio::test]
async fn death_after_each_commit_repeats_nothing_that_must_not_be() {
    die_at_each(Moment::AfterCommit).await;
}

#[tokio::test]
async fn death_in_each_write_splices_nothing() {
    die_at_each(Moment::InWrite).await;
}
