//! A server that downloads for its users, with a network stack of its own.
//!
//! - `POST /fetches/ID?total=BYTES` with one URL a line starts a fetch. The total is a promise, or 0.
//! - It waits for the user: `POST /fetches/ID/allow` or `POST /fetches/ID/refuse`.
//! - `GET /events` sends how each fetch is, now and after each change, as server-sent events.
//!
//! The files of a settled fetch appear in FOLDER. The server may be killed at any time: the next one continues.
//! It does not ask who its users are, so it listens on loopback alone.
//! `cargo run -p bgfetch-embed-server -- STATE FOLDER [PORT]`

mod transport;

use std::{collections::HashMap, future::ready, path::PathBuf, pin::pin};

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Sse, sse::Event};
use axum::{BoxError, Router, http::StatusCode, routing::get, routing::post};
use bgfetch::embedder::{BoxFuture, Permissions, Quota};
use bgfetch::{
    Engine, FetchOptions, FunctionalEvent, Handover, Permission, PermissionRequest, Principal,
    RecordResult, ServiceWorkerRegistration, StorageKey, Ui, WeakEngine, WithWebChecks, worker_fn,
};
use futures_util::{StreamExt, future::select};
use tokio::signal::unix::{SignalKind, signal};

struct Rules;

impl Permissions for Rules {
    /// The fetch is stored, and waits for the user also if the server is started again.
    fn query(&self, _: &PermissionRequest) -> BoxFuture<'static, Permission> {
        Box::pin(ready(Permission::StartPaused))
    }
}

impl Quota for Rules {
    fn limit(&self, _: &StorageKey) -> BoxFuture<'static, u64> {
        Box::pin(ready(10 << 30))
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().ok_or("usage: bgfetch-embed-server STATE FOLDER [PORT]");
    let (state, folder) = (argument()?, PathBuf::from(argument()?));
    let port = argument().unwrap_or("4000".into());
    std::fs::create_dir_all(&folder)?;
    // After an error the event is fired again later, also by the next process.
    let worker = move |engine: WeakEngine| {
        worker_fn(move |event| save(engine.clone(), event, folder.clone()))
    };
    let engine = Engine::builder()
        .directory(state)
        .runtime(tokio::runtime::Handle::current())
        .fetcher(WithWebChecks::new(transport::Stack::new()?))
        .worker_host_with(worker)
        .permissions(Rules)
        .quota(Rules)
        .open()?;
    let (site, scope) = (StorageKey("server".into()), "http://localhost/".parse()?);
    let registration = engine.register(site, scope).await?;
    let server = Router::new()
        .route("/fetches/{id}", post(start))
        .route("/fetches/{id}/allow", post(allow))
        .route("/fetches/{id}/refuse", post(refuse))
        .route("/events", get(events))
        .with_state((engine.ui(), registration));
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    println!("listening on {}", listener.local_addr()?);
    let stopped = engine.stopped();
    let interrupted = async move {
        select(pin!(interrupt.recv()), pin!(engine.stopped())).await;
        // The server waits for the streams of events, and this ends them.
        engine.shutdown().await.unwrap_or_else(|error| eprintln!("{error}"));
    };
    axum::serve(listener, server).with_graceful_shutdown(interrupted).await?;
    Ok(stopped.await?)
}

/// Saves the files of a settled fetch, perhaps once more. The end of the event makes them durable.
async fn save(engine: WeakEngine, event: FunctionalEvent, folder: PathBuf) -> Result<(), BoxError> {
    let records = engine.background_fetch(&event).await?.records().await?;
    for record in &records {
        let key = record.key();
        let file = folder.join(format!("{}-{}", key.fetch.0, key.index.0));
        if record.result() == Some(RecordResult::Success)
            && !(file.exists() && record.is_exported_at(&file).await?)
        {
            record.export(&file, Handover::Link).await?;
        }
    }
    println!("{} {}", event.kind().name(), event.id());
    Ok(())
}

type Shared = State<(Ui, ServiceWorkerRegistration)>;
type Answer<T = ()> = Result<T, (StatusCode, String)>;

async fn start(
    State((_, registration)): Shared,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, u64>>,
    urls: String,
) -> Answer {
    let download_total = query.get("total").copied().unwrap_or_default();
    let options = FetchOptions::default().with(|it| {
        it.title = id.clone();
        it.download_total = download_total;
    });
    // For the user, who is bound by no site's policies.
    let manager = registration.background_fetch().acting_for(Principal::User);
    manager.fetch(id, urls.lines(), options).await.map(drop).map_err(refused)
}

async fn allow(State((ui, registration)): Shared, Path(id): Path<String>) -> Answer {
    let fetch = ui.newest(registration.key(), &id).await.map_err(refused)?;
    ui.resume(fetch).await.map_err(refused)
}

async fn refuse(State((ui, registration)): Shared, Path(id): Path<String>) -> Answer {
    let fetch = ui.newest(registration.key(), &id).await.map_err(refused)?;
    ui.abort(fetch).await.map(drop).map_err(refused)
}

async fn events(State((ui, _)): Shared) -> Answer<impl IntoResponse> {
    let changes = ui.watch().await.map_err(refused)?;
    Ok(Sse::new(changes.map(|change| Event::default().json_data(change))))
}

fn refused(error: bgfetch::Error) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, error.to_string())
}
