//! The service worker of the program: what happens when a fetch has settled.

use std::path::PathBuf;
use std::sync::Arc;

use bgfetch::{
    BackgroundFetchRecord, DispatchError, Engine, EventKind, FailureReason, FetchKey, FetchResult,
    FunctionalEvent, Handover, MatchOptions, RecordIndex, RecordResult, WorkerHost,
};
use futures_util::future::BoxFuture;
use tokio::sync::{SetOnce, mpsc};
use url::Url;

use crate::file_names::file_names;
use crate::plan::directory_of;

/// Writes the good bodies of settled fetches to the directory that their registration stands for.
///
/// A body that cannot be written leaves the event unhandled, so that the engine keeps everything
/// and fires it again.
#[derive(Clone)]
pub(crate) struct Worker {
    engine: Arc<SetOnce<Engine>>,
    deliveries: mpsc::UnboundedSender<Delivery>,
}

/// An event that the worker got, and how it went.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) fetch: FetchKey,
    pub(crate) id: String,
    pub(crate) what: Delivered,
}

#[derive(Debug)]
pub(crate) enum Delivered {
    /// The fetch's good bodies were written.
    Written(Report),
    /// They could not be written, for this reason; it will be tried again.
    NotWritten(String),
    /// The user activated the fetch.
    Clicked,
}

/// What came of a fetch.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) result: FetchResult,
    /// Where the files are.
    pub(crate) out: PathBuf,
    pub(crate) written: usize,
    pub(crate) failed: Vec<FailedRecord>,
}

/// A record without a body to write.
#[derive(Debug)]
pub(crate) struct FailedRecord {
    pub(crate) index: RecordIndex,
    pub(crate) url: Url,
    /// The status of its response, where there was one.
    pub(crate) status: Option<u16>,
    pub(crate) reason: FailureReason,
}

impl Worker {
    /// A worker that handles events once it is given the engine, and tells of each.
    pub(crate) fn new(engine: Arc<SetOnce<Engine>>) -> (Self, mpsc::UnboundedReceiver<Delivery>) {
        let (deliveries, told) = mpsc::unbounded_channel();
        (Self { engine, deliveries }, told)
    }
}

impl WorkerHost for Worker {
    fn dispatch(&self, event: FunctionalEvent) -> BoxFuture<'static, Result<(), DispatchError>> {
        let (engine, deliveries) = (Arc::clone(&self.engine), self.deliveries.clone());
        Box::pin(async move {
            let (what, result) = if event.kind() == EventKind::Click {
                (Delivered::Clicked, Ok(()))
            } else {
                match write_bodies(engine.wait().await, &event).await {
                    Ok(report) => (Delivered::Written(report), Ok(())),
                    Err(reason) => {
                        let error = DispatchError::Crashed(reason.clone());
                        (Delivered::NotWritten(reason), Err(error))
                    }
                }
            };
            let (fetch, id) = (event.fetch(), event.id().to_owned());
            // The command may be on its way out; the event counts all the same.
            deliveries.send(Delivery { fetch, id, what }).unwrap_or_default();
            result
        })
    }
}

/// The whole of the handler: the event is active until every file is there.
async fn write_bodies(engine: &Engine, event: &FunctionalEvent) -> Result<Report, String> {
    let out = directory_of(event.registration())
        .ok_or_else(|| format!("{} is no directory of this system", event.registration().scope))?;
    let sentence = |error: bgfetch::Error| error.to_string();
    let gone = || String::from("the fetch is gone");
    let fetch = engine.fetch(event.fetch()).await.map_err(sentence)?.ok_or_else(gone)?;
    let result = fetch.result().ok_or_else(gone)?;
    let all = fetch.match_all(None, MatchOptions::default()).await;
    let records = all.map_err(sentence)?;
    let mut report = Report { result, out, written: 0, failed: Vec::new() };
    // What was given up is not wanted any more.
    if result == Err(FailureReason::Aborted) {
        return Ok(report);
    }
    let names = file_names(records.iter().map(|record| &record.request().url));
    for (record, name) in records.iter().zip(names) {
        match record.result() {
            Some(RecordResult::Success) => {
                // Nobody reads the record after this, so that the file can be the body itself.
                let written = record.export(&report.out.join(&name), Handover::Link).await;
                written.map_err(|error| format!("{name} was not saved: {error}"))?;
                report.written += 1;
            }
            Some(RecordResult::Failure(reason)) => report.failed.push(failed(record, reason)),
            None => {}
        }
    }
    Ok(report)
}

fn failed(record: &BackgroundFetchRecord, reason: FailureReason) -> FailedRecord {
    FailedRecord {
        index: record.key().index,
        url: record.request().url.clone(),
        status: record.status(),
        reason,
    }
}
