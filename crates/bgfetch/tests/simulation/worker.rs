//! Service workers: some are missing, do not start, hang or crash; the others read everything.

use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use bgfetch::embedder::BoxFuture;
use bgfetch::{
    BackgroundFetchRecord, BackgroundFetchRegistration, DispatchError, EventKind, FunctionalEvent,
    Handover, RecordError, RecordResult, Rejection, StoreError, UiUpdate, UpdateUiError,
    WorkerHost,
};
use tokio::time::sleep;

use super::disk::OUT;
use super::plan::Wanted;
use super::world::World;

pub(crate) struct Workers(pub(crate) World);

/// What is wrong with a worker.
#[derive(Clone, Copy, Debug)]
enum Failure {
    DoesNotStart,
    NeverStarts,
    CrashesBefore,
    CrashesAfter,
    NeverSettles,
}

impl WorkerHost for Workers {
    fn dispatch(&self, event: FunctionalEvent) -> BoxFuture<'static, Result<(), DispatchError>> {
        Box::pin(dispatch(self.0.clone(), event))
    }
}

async fn dispatch(world: World, event: FunctionalEvent) -> Result<(), DispatchError> {
    if event.kind() == EventKind::Click {
        return Ok(());
    }
    let registration = event.registration().clone();
    let sites = world.plan().sites.iter();
    let site = sites.map(|site| &site.registration).position(|it| *it == registration).unwrap();
    if !world.state().active_workers[site] {
        return Err(DispatchError::NoActiveWorker);
    }
    if !world.is_calm() && world.state().not_yets[site] > 0 {
        world.state().not_yets[site] -= 1;
        world.trace(|| format!("the worker is not to be started yet for {}", event.id()));
        let asked = world.clone();
        world.spawn(async move {
            sleep(asked.time(10_000)).await;
            let Some(engine) = asked.state().engine.clone() else { return };
            drop(engine.registration(registration).deliver_pending().await);
        });
        return Err(DispatchError::NotYet);
    }
    let failure = fails(&world, site);
    world.trace(|| format!("the worker is started for {}: {failure:?}", event.id()));
    match failure {
        Some(Failure::DoesNotStart) => return Err(DispatchError::StartFailed("so".into())),
        Some(Failure::CrashesBefore) => return Err(DispatchError::Crashed("so".into())),
        Some(Failure::NeverStarts) => return pending().await,
        Some(Failure::NeverSettles) => event.wait_until(pending()).unwrap_or_default(),
        Some(Failure::CrashesAfter) => {
            let (world, crashing) = (world.clone(), event.clone());
            let crash = async move {
                sleep(world.time(1000)).await;
                crashing.worker_terminated("so");
                pending().await
            };
            event.wait_until(crash).unwrap_or_default();
        }
        None => event.wait_until(handle(world, event.clone(), site)).unwrap_or_default(),
    }
    Ok(())
}

/// What goes wrong this time.
fn fails(world: &World, site: usize) -> Option<Failure> {
    let may = world.plan().faults.workers && !world.is_calm() && world.state().failures[site] > 0;
    if !may || world.once_in(3) {
        return None;
    }
    world.state().failures[site] -= 1;
    let all = [
        Failure::DoesNotStart,
        Failure::NeverStarts,
        Failure::CrashesBefore,
        Failure::CrashesAfter,
        Failure::NeverSettles,
    ];
    Some(all[world.draw(|rng| rng.usize(0..all.len()))])
}

/// A worker that reads all records, and perhaps saves them.
async fn handle(world: World, event: FunctionalEvent, site: usize) -> Result<(), Rejection> {
    let registration = event.registration().clone();
    let engine = loop {
        let engine = world.state().engine.clone();
        match engine {
            Some(engine) => break engine,
            None => sleep(Duration::from_millis(1)).await,
        }
    };
    let found = engine.registration(registration).fetch(event.fetch()).await;
    drop(engine);
    let Ok(Some(fetch)) = found else {
        // The process ends, or the fetch was removed in the meantime.
        return pending().await;
    };
    let number = world.oracle().number(fetch.id()).unwrap();
    world.note(|oracle| oracle.exists(number, fetch.key()));
    let Some(result) = fetch.result() else {
        world.violate(format!("the event of {} came before its result", fetch.id()));
        return Ok(());
    };
    if EventKind::for_result(result) != event.kind() {
        world.violate(format!("{:?} was fired for {result:?}", event.kind()));
    }
    let prompt = world.state().prompt_pages[site].clone();
    world.note(|oracle| oracle.dispatched(number, result, &prompt));
    let syncs = world.once_in(2);
    let exported = loop {
        let Ok(records) = fetch.records().await else {
            return pending().await;
        };
        match use_records(&world, number, &fetch, &records, syncs).await {
            Ok(exported) => break exported,
            // The process ends, or the fetch was removed.
            Err(RecordError::Aborted) => return pending().await,
            Err(error) if world.disk().is_full() || world.plan().faults.disk => {
                world.trace(|| format!("the worker of {} waits: {error}", fetch.id()));
                sleep(Duration::from_secs(10)).await;
            }
            Err(error) => {
                world.violate(format!("a record of {} cannot be read: {error}", fetch.id()));
                return Ok(());
            }
        }
    };
    if world.once_in(3) {
        update_title(&world, number, &event).await;
    }
    if world.plan().sites[site].holds && world.disk().has_power() {
        hold(&world, number, &fetch).await;
    }
    sleep(world.time(3000)).await;
    world.trace(|| format!("the worker has handled the event of {}", fetch.id()));
    world.learn(|oracle| {
        let fetch = oracle.fetch(number);
        let told = if syncs { &mut fetch.saved } else { &mut fetch.exported };
        told.extend(exported);
        oracle.handled(number);
    });
    match world.once_in(8) {
        true => Err(Rejection("so".into())),
        false => Ok(()),
    }
}

/// The worker updates the title, as it may do once.
async fn update_title(world: &World, number: usize, event: &FunctionalEvent) {
    let title = format!("{:x}", world.draw(|rng| rng.u64(..)));
    let update = UiUpdate::default().with(|it| it.title = Some(title.clone()));
    let before = world.oracle().fetch(number).title.take();
    let updated = event.update_ui(update).await;
    let title = match updated {
        Ok(()) => Some(title),
        Err(UpdateUiError::NotUpdateUiEvent) => before,
        // There is no room for it, or the process ends.
        Err(_) => return,
    };
    world.learn(|oracle| oracle.fetch(number).title = title);
}

/// The worker asks to hold the records after the event.
async fn hold(world: &World, number: usize, fetch: &BackgroundFetchRegistration) {
    let Ok(records) = fetch.records().await else { return };
    let lengths: Vec<_> = records.iter().map(BackgroundFetchRecord::stored).collect();
    if fetch.hold_records().await.is_ok() {
        world.learn(|oracle| oracle.holds(number, &lengths));
    }
}

/// Reads all records and saves them, if the worker does that. Returns which are saved.
async fn use_records(
    world: &World,
    number: usize,
    fetch: &BackgroundFetchRegistration,
    records: &[BackgroundFetchRecord],
    syncs: bool,
) -> Result<Vec<usize>, RecordError> {
    let call = world.oracle().fetch(number).call.clone();
    let saves = world.plan().sites[call.site].saves;
    let (mut stored, mut saved) = (0, Vec::new());
    for (index, (record, wanted)) in records.iter().zip(&call.records).enumerate() {
        read(world, &call.id, record, wanted).await?;
        stored += record.stored();
        if saves && record.result() == Some(RecordResult::Success) {
            let path = world.disk().path(OUT).join(format!("{}-{index}", call.id));
            save(world, record, path).await?;
            saved.push(index);
        }
    }
    if syncs {
        match fetch.sync_exports().await {
            Ok(()) => {}
            Err(error) if error.is_closed() => return Err(RecordError::Aborted),
            Err(error) => return Err(RecordError::Store(StoreError::Misuse(error.to_string()))),
        }
    }
    let told = fetch.downloaded();
    if told != stored && world.disk().has_power() {
        world.violate(format!("{} has {stored} bytes, and {told} were told", call.id));
    }
    Ok(saved)
}

async fn read(
    world: &World,
    id: &str,
    record: &BackgroundFetchRecord,
    wanted: &Wanted,
) -> Result<(), RecordError> {
    let result = record.result();
    let response = match record.response_ready().await {
        Ok(response) => response,
        Err(RecordError::Store(error)) => return Err(RecordError::Store(error)),
        Err(error) => {
            let exposed = result.is_none_or(RecordResult::exposes_response);
            return if exposed { Err(error) } else { Ok(()) };
        }
    };
    let bytes = response.body.bytes().await?;
    let right = match result {
        Some(RecordResult::Success) => world.find(wanted, &bytes, true),
        // The body of an error is not kept.
        _ => bytes.is_empty(),
    };
    if !right || bytes.len() as u64 != record.stored() {
        let length = bytes.len();
        world.violate(format!("a record of {id} ended with {result:?} and {length} wrong bytes"));
    }
    Ok(())
}

async fn save(
    world: &World,
    record: &BackgroundFetchRecord,
    path: PathBuf,
) -> Result<(), RecordError> {
    let how = if world.once_in(2) { Handover::Link } else { Handover::Copy };
    match record.export(&path, how).await {
        // By an earlier try.
        Err(RecordError::Store(error)) if path.exists() => {
            if record.is_exported_at(&path).await? {
                Ok(())
            } else {
                Err(RecordError::Store(error))
            }
        }
        exported => exported,
    }
}
