//! A program that downloads for its user, without service workers: it saves the files of each fetch
//! in a folder, shows progress, and continues after a crash.
//!
//! `cargo run -p bgfetch --example app`

use std::error::Error;
use std::path::{Path, PathBuf};

use bgfetch::{
    Engine, FetchOptions, FunctionalEvent, Handover, JobChange, Principal, RecordResult,
    StorageKey, WeakEngine, worker_fn,
};
use bgfetch_testkit::{MIB, Origin, Resource};

/// Opens the engine. It continues at once with what an earlier process left.
fn open(state: &Path, folder: PathBuf) -> bgfetch::Result<Engine> {
    Engine::builder()
        .directory(state)
        .worker_host_with(move |engine| {
            worker_fn(move |event| {
                let (engine, folder) = (engine.clone(), folder.clone());
                // After an error the event is fired again later, also by the next process.
                async move { save(&engine, &event, &folder).await }
            })
        })
        .open()
}

/// Saves the files of a fetch that has settled. It may have done so before a crash.
async fn save(
    engine: &WeakEngine,
    event: &FunctionalEvent,
    folder: &Path,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let fetch = engine.background_fetch(event).await?;
    for record in fetch.records().await? {
        let name = record.request().url.path().rsplit('/').next().unwrap_or_default();
        let file = folder.join(name);
        if record.result() != Some(RecordResult::Success) {
            eprintln!("{name} could not be downloaded");
        } else if !file.exists() || !record.is_exported_at(&file).await? {
            // No copy where the file system can link.
            record.export(&file, Handover::Link).await?;
        }
    }
    // From here on, the files survive a loss of power. The store may delete its own.
    fetch.sync_exports().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start();
    origin.serve("/film.mp4", Resource::new(1, 3 * MIB));
    origin.serve("/film.srt", Resource::new(2, 50_000));
    let base = tempfile::tempdir()?;
    let folder = base.path().join("films");
    std::fs::create_dir(&folder)?;

    let engine = open(&base.path().join("state"), folder.clone())?;
    let mut jobs = engine.ui().watch().await?;
    // At each start. It fires the events that an earlier process did not handle.
    let site = StorageKey("my-app".into());
    let registration = engine.register(site, "https://my-app.example/".parse()?).await?;
    let manager = registration.background_fetch().acting_for(Principal::User);
    if manager.get("film").await?.is_none() {
        let urls = [origin.url("/film.mp4"), origin.url("/film.srt")];
        let options = FetchOptions::default().with(|it| it.title = "A film".into());
        manager.fetch("film", urls, options).await?;
    }
    while let Some(JobChange::Changed(job)) = jobs.next().await {
        println!("{}: {} bytes", job.display.title, job.display.downloaded);
        if job.display.over {
            break;
        }
    }
    for file in std::fs::read_dir(&folder)? {
        println!("saved {:?}", file?.file_name());
    }
    engine.shutdown().await?;
    Ok(())
}
