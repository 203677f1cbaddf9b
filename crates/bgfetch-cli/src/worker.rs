//! The program's service worker, which handles settled fetches.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bgfetch::control::{Delivered, Delivery, FailedFile, Report, SavedFile};
use bgfetch::{
    BackgroundFetchRecord, DispatchError, Engine, EventKind, FailureReason, FunctionalEvent,
    Handover, RecordError, RecordResult, RegistrationKey, StoreError, WorkerHost,
};
use futures_util::future::BoxFuture;
use tokio::sync::{SetOnce, broadcast};
use tokio::task::spawn_blocking;

use crate::file_names::{FileNames, file_name, suggested_name};
use crate::saving::{Saving, is_of_get};

/// What the worker shares with the owner of the store.
pub(crate) struct Shared {
    /// The worker handles events once it is set.
    pub(crate) engine: SetOnce<Engine>,
    /// The events that it has handled.
    pub(crate) deliveries: broadcast::Sender<Delivery>,
    /// The fetches whose records are held even if all of them succeed, by registration and id.
    held: Mutex<HashSet<(RegistrationKey, String)>>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        let deliveries = broadcast::Sender::new(DELIVERIES);
        Self { engine: SetOnce::new(), deliveries, held: Mutex::default() }
    }

    /// Holds the records of this fetch when it has ended, for the next fetch of the same requests.
    pub(crate) fn hold(&self, registration: RegistrationKey, id: String) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert((registration, id));
    }

    fn holds(&self, event: &FunctionalEvent) -> bool {
        let fetch = (event.registration().clone(), event.id().to_owned());
        self.held.lock().unwrap_or_else(PoisonError::into_inner).contains(&fetch)
    }
}

/// How many deliveries wait for each listener.
const DELIVERIES: usize = 1024;

/// Writes the successful bodies of settled fetches to the directory that their registration
/// represents.
///
/// A body that cannot be written leaves the event unhandled: the engine keeps everything until the
/// user frees disk space or repairs the directory.
#[derive(Clone)]
pub(crate) struct Worker(pub(crate) Arc<Shared>);

impl WorkerHost for Worker {
    fn dispatch(&self, event: FunctionalEvent) -> BoxFuture<'static, Result<(), DispatchError>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let (what, result) = if event.kind() == EventKind::Click {
                (Delivered::Clicked, Ok(()))
            } else {
                let engine = shared.engine.wait().await;
                match write_bodies(engine, &event, shared.holds(&event)).await {
                    Ok(report) => (Delivered::Written(report), Ok(())),
                    Err(reason) => (Delivered::NotWritten(reason), Err(DispatchError::NotYet)),
                }
            };
            let (fetch, id) = (event.fetch(), event.id().to_owned());
            // The command may already be ending; the event counts all the same.
            shared.deliveries.send(Delivery { fetch, id, what }).unwrap_or_default();
            result
        })
    }
}

/// The worker of the commands that fetch nothing: it releases aborted fetches, and leaves the other
/// events to `get` and to pages.
pub(crate) struct ReleasingWorker;

impl WorkerHost for ReleasingWorker {
    fn dispatch(&self, event: FunctionalEvent) -> BoxFuture<'static, Result<(), DispatchError>> {
        let given_up = event.kind() == EventKind::Abort && is_of_get(event.registration());
        Box::pin(async move { if given_up { Ok(()) } else { Err(DispatchError::NotYet) } })
    }
}

/// The whole handler: the event is active until every file is written.
async fn write_bodies(
    engine: &Engine,
    event: &FunctionalEvent,
    holds: bool,
) -> Result<Report, String> {
    let saving = Saving::of(event.registration()).ok_or_else(|| {
        format!("{} is not a directory of this system", event.registration().scope)
    })?;
    let sentence = |error: bgfetch::Error| error.to_string();
    let gone = || String::from("the fetch is gone");
    let fetch = engine.registration(event.registration().clone()).fetch(event.fetch()).await;
    let fetch = fetch.map_err(sentence)?.ok_or_else(gone)?;
    let result = fetch.result().ok_or_else(gone)?;
    let all = fetch.records().await;
    let records = all.map_err(sentence)?;
    let scope = event.registration().scope.clone();
    let failure = result.err();
    let mut report = Report { failure, scope, saved: Vec::new(), failed: Vec::new() };
    // An aborted fetch is no longer wanted.
    if result == Err(FailureReason::Aborted) {
        return Ok(report);
    }
    let out = saving.out.clone();
    let removed = spawn_blocking(move || bgfetch::remove_interrupted_copies(&out)).await;
    removed.map_err(|error| error.to_string())?;
    let mut names = FileNames::default();
    for record in &records {
        match record.result() {
            Some(RecordResult::Success) => {
                report.saved.push(save(record, &saving, &mut names).await?);
            }
            Some(RecordResult::Failure(reason)) => report.failed.push(failed(record, reason)),
            None => {}
        }
    }
    // A file that was reported as saved must survive a power loss.
    let synced = fetch.sync_exports().await;
    synced.map_err(|error| format!("the files may not be on the disk: {error}"))?;
    if holds || !report.failed.is_empty() {
        // The same command resumes from these bytes.
        fetch.hold_records().await.map_err(sentence)?;
    }
    Ok(report)
}

/// Saves the body to the directory, under the first of its names that is free. A file of that name
/// with the same bytes is the one that an earlier run wrote.
async fn save(
    record: &BackgroundFetchRecord,
    saving: &Saving,
    names: &mut FileNames,
) -> Result<SavedFile, String> {
    let url = &record.request().url;
    let own = own_name(record, saving).await;
    loop {
        let name = names.next(&own);
        let path = saving.out.join(&name);
        // Nothing reads the record after this, so the file can be the body itself.
        let saved = match record.export(&path, Handover::Link).await {
            Err(RecordError::Store(StoreError::Io { source, .. }))
                if source.kind() == io::ErrorKind::AlreadyExists =>
            {
                match record.is_exported_at(&path).await {
                    Ok(false) if saving.overwrite => replace(record, &path).await.map(|()| true),
                    compared => compared,
                }
            }
            exported => exported.map(|()| true),
        };
        match saved {
            Ok(true) => return Ok(SavedFile { url: url.clone(), name }),
            Ok(false) => {}
            Err(error) => return Err(format!("{name} was not saved: {error}")),
        }
    }
}

/// The name of the record's file, if it is free: the user's, the server's or the URL's.
async fn own_name(record: &BackgroundFetchRecord, saving: &Saving) -> String {
    if let Some(name) = &saving.name {
        return name.clone();
    }
    let mut suggested = None;
    // Without a response, there is nothing to save either.
    if saving.content_disposition
        && let Ok(response) = record.response_ready().await
    {
        let header = response.head.headers.get("content-disposition");
        suggested = header.and_then(|header| suggested_name(&header));
    }
    suggested.unwrap_or_else(|| file_name(&record.request().url))
}

/// Saves the body in place of the file at `path`, in one step. The export is recorded in the same
/// folder, so its sync makes the new name durable, too.
async fn replace(record: &BackgroundFetchRecord, path: &Path) -> Result<(), RecordError> {
    let failed = |error| RecordError::Store(StoreError::io(path, error));
    let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
    let free_name = || {
        let file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
        let name = file.path().to_owned();
        file.close().map(|()| name)
    };
    let temporary = blocking(free_name).await.map_err(failed)?;
    record.export(&temporary, Handover::Link).await?;
    let to = path.to_owned();
    let rename = move || {
        let renamed = std::fs::rename(&temporary, to);
        if renamed.is_err() {
            std::fs::remove_file(&temporary)?;
        }
        renamed
    };
    blocking(rename).await.map_err(failed)
}

/// The prefix of names that the next run removes if this one is killed
/// ([`bgfetch::remove_interrupted_copies`]).
const TEMPORARY: &str = ".bgfetch-";

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

fn failed(record: &BackgroundFetchRecord, reason: FailureReason) -> FailedFile {
    FailedFile {
        index: record.key().index,
        url: record.request().url.clone(),
        status: record.status(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use bgfetch::mock::{Behaviour, ScriptedHost};
    use bgfetch::{FetchOptions, Principal, StorageKey, StoreOptions};
    use bgfetch_store::recording::{Loss, Recorder};
    use bgfetch_testkit::{Origin, Resource};

    use tokio::sync::mpsc;
    use url::Url;

    use super::*;
    use crate::saving::STORAGE_KEY;

    #[tokio::test]
    async fn what_is_told_as_saved_is_left_by_a_loss_of_power() {
        let (base, origin) = (tempfile::tempdir().unwrap(), Origin::start());
        let out = base.path().join("out");
        std::fs::create_dir(&out).unwrap();
        let files = [("a", Resource::new(1, 50_000)), ("b", Resource::new(2, 10))];
        for (name, resource) in &files {
            origin.serve(format!("/{name}"), resource.clone());
        }

        let recorder = Recorder::new(base.path());
        let shared = Arc::new(Shared::new());
        let (worker, mut told) = (Worker(Arc::clone(&shared)), shared.deliveries.subscribe());
        let options = StoreOptions::default().file_system(recorder.clone());
        let engine = Engine::builder().directory_with(base.path().join("store"), options);
        // The moment at which the handler is about to end: the store's copy is deleted later.
        let (moments, mut ended) = mpsc::unbounded_channel();
        let moment = recorder.clone();
        let host = ScriptedHost::new([Behaviour::run(move |event| {
            let (worker, moments, moment) = (worker.clone(), moments.clone(), moment.clone());
            async move {
                worker.dispatch(event).await.unwrap();
                moments.send(moment.now()).unwrap();
                Ok(())
            }
        })]);
        let engine = engine.worker_host(host).open().unwrap();
        shared.engine.set(engine.clone()).unwrap();
        let scope = Url::from_directory_path(&out).unwrap();
        let registration = engine.register(StorageKey(STORAGE_KEY.into()), scope).await.unwrap();
        let manager = registration.background_fetch().acting_for(Principal::User);
        let urls = ["/a", "/b"].map(|path| origin.url(path));
        manager.fetch("files", urls, FetchOptions::default()).await.unwrap();

        let delivery = told.recv().await.unwrap();
        assert!(matches!(delivery.what, Delivered::Written(_)), "{:?}", delivery.what);
        let image = tempfile::tempdir().unwrap();
        let moment = ended.recv().await.unwrap();
        recorder.image(moment, image.path(), Loss::UnsyncedAndNames);
        for (name, resource) in files {
            resource.matches_file(image.path().join("out").join(name)).unwrap();
        }
        engine.shutdown().await.unwrap();
    }
}
