//! A user agent for tests: a store that outlives its engines, and a worker that keeps what it read.

// Each test binary uses its own part of this.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};

use bgfetch::mock::Behaviour;
use bgfetch::{
    BackgroundFetchManager, Builder, Engine, ManualConnectivity, MatchOptions, StorageKey,
    WorkerHost,
};
use tempfile::TempDir;
use tokio::sync::watch;

#[derive(Clone)]
pub struct Agent {
    directory: Arc<TempDir>,
    engine: Arc<Mutex<Option<Engine>>>,
    bodies: watch::Sender<Option<Vec<Vec<u8>>>>,
    pub connectivity: Arc<ManualConnectivity>,
}

impl Agent {
    pub fn start() -> Self {
        Self {
            directory: Arc::new(TempDir::new().unwrap()),
            engine: Arc::default(),
            bodies: watch::Sender::new(None),
            connectivity: Arc::default(),
        }
    }

    pub fn path(&self) -> &std::path::Path {
        self.directory.path()
    }

    pub fn builder(&self, host: impl WorkerHost) -> Builder {
        Engine::builder()
            .directory(self.directory.path())
            .worker_host(host)
            .connectivity(Arc::clone(&self.connectivity))
    }

    pub fn open(&self, host: impl WorkerHost) -> Engine {
        let engine = self.builder(host).open().unwrap();
        *self.engine.lock().unwrap() = Some(engine.clone());
        engine
    }

    /// Drops the engine as a crash would.
    pub fn crash(&self, engine: Engine) {
        drop(self.engine.lock().unwrap().take());
        drop(engine);
    }

    pub async fn manager(&self, engine: &Engine) -> BackgroundFetchManager {
        let scope = "https://app.test/".parse().unwrap();
        let registration = engine
            .register(StorageKey("https://app.test".into()), scope)
            .await;
        registration.unwrap().background_fetch()
    }

    /// What the worker of [`record_bodies`] read, once it has.
    pub async fn bodies(&self) -> Vec<Vec<u8>> {
        let mut bodies = self.bodies.subscribe();
        bodies
            .wait_for(Option::is_some)
            .await
            .unwrap()
            .clone()
            .unwrap()
    }
}

/// A worker that reads every record of the event's fetch; a record without a response reads as
/// empty.
pub fn record_bodies(agent: &Agent) -> Behaviour {
    let (engine, bodies) = (Arc::clone(&agent.engine), agent.bodies.clone());
    Behaviour::run(move |event| {
        let engine = engine.lock().unwrap().clone();
        let bodies = bodies.clone();
        async move {
            let engine = engine.expect("the engine is open while it fires events");
            let fetch = engine.fetch(event.fetch()).await.unwrap().unwrap();
            let mut read = Vec::new();
            for record in fetch
                .match_all(None, MatchOptions::default())
                .await
                .unwrap()
            {
                read.push(match record.response_ready().await {
                    Ok(response) => response.body.bytes().await.unwrap(),
                    Err(_) => Vec::new(),
                });
            }
            bodies.send_replace(Some(read));
            Ok(())
        }
    })
}
