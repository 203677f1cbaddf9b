//! An engine whose operations on files are recorded, and a server whose resources are known.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{Builder, Engine, StoreOptions, WorkerHost};
use bgfetch_store::recording::{BOOT, Loss, Promises, Recorder};
use bgfetch_testkit::{Gate, Origin, Resource, Script};
use tokio::sync::Notify;
use url::Url;

use super::left::Left;
use crate::common::{Agent, records_of};

/// The store's path below the agent's folder. Its parents are new, too.
pub(super) const STORE: &str = "new/folder/store";

/// The folder of exported files.
pub(super) const OUT: &str = "out";

#[derive(Clone)]
pub(super) struct Lab {
    pub(super) agent: Agent,
    pub(super) recorder: Recorder,
    pub(super) promises: Promises<Left>,
    /// The boot of the system that it runs on.
    pub(super) boot: &'static str,
    /// Notified once the result of a fetch was reported. Workers wait for it, so that the files are
    /// not deleted before.
    pub(super) reported: Arc<Notify>,
    pub(super) net: Net,
}

/// The server, which outlives crashes.
#[derive(Clone)]
pub(super) struct Net {
    pub(super) origin: Arc<Origin>,
    /// Holds back the rest of a film, until the crashes are checked.
    pub(super) gate: Gate,
    served: Arc<Mutex<BTreeMap<String, Resource>>>,
}

impl Lab {
    pub(super) fn new() -> Self {
        Self::with(Recorder::new)
    }

    pub(super) fn with(recorder: impl FnOnce(&Path) -> Recorder) -> Self {
        let (origin, gate) = (Arc::new(Origin::start()), Gate::new());
        let agent = Agent::start();
        std::fs::create_dir(agent.path().join(OUT)).unwrap();
        let recorder = recorder(agent.path());
        Self::over(agent, recorder, Net { origin, gate, served: Arc::default() })
    }

    /// What a crash now leaves.
    pub(super) fn after(&self, loss: Loss) -> Self {
        let agent = Agent::start();
        self.recorder.image(self.recorder.now(), agent.path(), loss);
        let recorder = Recorder::new(agent.path());
        Self::over(agent, recorder, self.net.clone())
    }

    fn over(agent: Agent, recorder: Recorder, net: Net) -> Self {
        let promises = Promises::<Left>::new(&recorder);
        let served = Arc::clone(&net.served);
        promises
            .always("no bytes are spliced", move |left| left.is_unspliced(&served.lock().unwrap()));
        Self { agent, recorder, promises, boot: BOOT, reported: Arc::default(), net }
    }

    /// A worker that handles the event once the result was reported.
    pub(super) fn worker(&self) -> ScriptedHost {
        let reported = Arc::clone(&self.reported);
        ScriptedHost::new([Behaviour::run(move |_| {
            let reported = Arc::clone(&reported);
            async move {
                reported.notified().await;
                Ok(())
            }
        })])
    }

    pub(super) fn builder(&self, host: impl WorkerHost) -> Builder {
        let options = StoreOptions::default().boot_id(self.boot).file_system(self.recorder.clone());
        self.agent.builder(host).directory_with(self.agent.path().join(STORE), options)
    }

    pub(super) fn open(&self, host: impl WorkerHost) -> Engine {
        self.agent.open_with(self.builder(host))
    }

    /// Serves a resource with faults, and returns its URL.
    pub(super) fn serve(&self, path: &str, resource: &Resource, script: impl Into<Script>) -> Url {
        self.net.served.lock().unwrap().insert(path.to_owned(), resource.clone());
        self.net.origin.serve(path, script);
        self.net.origin.url(path)
    }

    /// Notes that something is reported now.
    pub(super) fn tell(
        &self,
        what: impl Into<String>,
        is_left: impl Fn(&Left) -> bool + Send + 'static,
    ) {
        self.promises.tell(what, is_left);
    }

    /// Checks every crash, that each sync but those in `unneeded` is needed, and that some of the
    /// crashes let the engine end what it began.
    pub(super) async fn check(&self, scenario: &str, unneeded: &[&str]) {
        self.net.gate.open();
        self.promises.check(scenario);
        self.promises.check_syncs(scenario, unneeded);
        for (moment, loss) in self.promises.some_crashes(3) {
            println!("{scenario}: the engine goes on after {loss:?} at {moment}");
            let agent = Agent::start();
            self.recorder.image(moment, agent.path(), loss);
            self.go_on(&agent).await;
        }
    }

    /// Runs the engine on what is left until all events are over.
    async fn go_on(&self, agent: &Agent) {
        let wrong = Arc::new(Mutex::new(Vec::new()));
        let (reader, served, found) =
            (agent.clone(), Arc::clone(&self.net.served), Arc::clone(&wrong));
        let host = ScriptedHost::new([Behaviour::run(move |event| {
            let (reader, served, found) = (reader.clone(), Arc::clone(&served), Arc::clone(&found));
            async move {
                let fetch = reader.fetch(event.fetch()).await.unwrap();
                for record in records_of(&fetch).await {
                    let url = record.request().url.clone();
                    let resource = served.lock().unwrap().get(url.path()).cloned();
                    if let (Some(resource), Ok(response)) =
                        (resource, record.response_ready().await)
                        && response.body.bytes().await.is_ok_and(|read| read != resource.bytes())
                    {
                        found.lock().unwrap().push(url);
                    }
                }
                Ok(())
            }
        })]);
        let options = StoreOptions::default().boot_id("a boot after the crash");
        let builder = agent.builder(host).directory_with(agent.path().join(STORE), options);
        let engine = agent.open_with(builder);
        let mut observer = engine.observe().await.unwrap();
        agent.register(&engine).await;
        for job in engine.ui().jobs().await.unwrap() {
            if job.display.pause_reason.is_some() {
                engine.ui().resume(job.key).await.unwrap();
            }
        }
        while engine.ui().jobs().await.unwrap().iter().any(|job| !job.display.over) {
            observer.next().await.unwrap();
        }
        agent.close(engine).await;
        assert_eq!(*wrong.lock().unwrap(), []);
    }
}
