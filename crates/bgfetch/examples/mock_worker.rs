//! The page closes right after `fetch()`, the process dies in the middle of the download and is
//! started again, and the service worker still gets its event. The worker is a scripted mock.
//!
//! `cargo run -p bgfetch --example mock_worker`

use std::error::Error;

use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    Engine, FetchOptions, FunctionalEvent, Rejection, StorageKey, UiUpdate, WeakEngine, What,
};
use bgfetch_testkit::{Gate, MIB, Origin, Resource, Serve};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The server stops after 1 MiB, until it is asked for the rest.
    let (origin, film) = (Origin::start(), Resource::new(1, 3 * MIB).etag("\"v1\""));
    origin.serve("/film.mp4", film.clone().hold_at(MIB, &Gate::new()).then(film));
    let directory = tempfile::tempdir()?;

    let engine = Engine::builder().directory(directory.path()).open()?;
    let registration = engine.register(StorageKey("films".into()), origin.url("/")).await?;
    let (manager, urls) = (registration.background_fetch(), [origin.url("/film.mp4")]);
    // The page keeps nothing: the handle that `fetch()` returned is dropped.
    drop(manager.fetch("film", urls, FetchOptions::default()).await?);
    let mut observer = engine.observe().await?;
    while observer.next().await.is_some_and(|event| event.downloaded < MIB) {}
    println!("the process dies with {MIB} bytes");
    drop(engine);

    // The next process. Its worker finds the fetch by the key in the event.
    let engine = Engine::builder().directory(directory.path()).worker_host_with(|engine| {
        ScriptedHost::new([Behaviour::run(move |event| success(event, engine.clone()))])
    });
    let engine = engine.open()?;
    let mut observer = engine.observe().await?;
    // Registrations are registered at each start. That fires the pending events.
    engine.register(StorageKey("films".into()), origin.url("/")).await?;
    let ended = |what: &What| matches!(what, What::EventEnded { .. });
    while observer.next().await.is_some_and(|event| !ended(&event.what)) {}
    for job in engine.ui().jobs().await? {
        println!("the UI shows {:?}", job.display.title);
    }
    for request in origin.requests() {
        println!("the server saw GET, range {:?}", request.range());
    }
    engine.shutdown().await?;
    Ok(())
}

/// The worker's `backgroundfetchsuccess` listener.
async fn success(event: FunctionalEvent, engine: WeakEngine) -> Result<(), Rejection> {
    let fetch = engine.background_fetch(&event).await.map_err(rejection)?;
    for record in fetch.records().await.map_err(rejection)? {
        let response = record.response_ready().await.map_err(rejection)?;
        let bytes = response.body.bytes().await.map_err(rejection)?;
        println!("{}: {} bytes", event.kind().name(), bytes.len());
    }
    let title = Some("A film, ready".into());
    let update = event.update_ui(UiUpdate::default().with(|it| it.title = title));
    update.await.map_err(rejection)
}

fn rejection(error: impl Error) -> Rejection {
    Rejection(error.to_string())
}
