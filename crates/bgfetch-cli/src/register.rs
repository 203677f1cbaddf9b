//! Finds the fetch that a `get` means in the store, or registers it.

use bgfetch::control::{Found, Get, Response};
use bgfetch::{
    BackgroundFetchManager, Engine, FailureReason, FetchOptions, Job, Principal, RegistrationKey,
    Request,
};
use url::Url;

use crate::exit::Failure;
use crate::file_names::{FileNames, file_name};
use crate::saving::{Saving, directory_of, registration_of};

/// Finds the fetch that an earlier run of the same command or another process left, or registers one.
/// The response is [`Response::Accepted`], [`Response::SavedBefore`] or [`Response::Over`].
///
/// # Errors
///
/// The id belongs to another fetch, or the engine refuses the fetch.
pub(crate) async fn find_or_register(engine: &Engine, get: &Get) -> Result<Response, Failure> {
    if directory_of(&get.scope).is_none() {
        return Err(Failure(format!("{} is not a directory of this system", get.scope)));
    }
    let key = registration_of(get.scope.clone());
    let accepted =
        |fetch, found| Ok(Response::Accepted { fetch, owner: std::process::id(), found });
    if let Some(fetch) = get.accepted {
        return match engine.ui().job(fetch).await? {
            Some(job) if job.display.over => Ok(Response::Over(Box::new(job))),
            Some(job) => {
                activate(engine, &key).await?;
                accepted(fetch, Found::Active { job: Box::new(job), other_headers: false })
            }
            None => Err(Failure(format!("{} was removed", get.id))),
        };
    }
    refuse_other_directory(engine, get, &key).await?;
    let manager = engine.registration(key.clone()).background_fetch().acting_for(Principal::User);
    // This comes first: once the registration is active, a fetch that was not saved may be at once.
    if let Some((job, other_headers)) = left_behind(engine, &manager, get, &key).await? {
        activate(engine, &key).await?;
        return accepted(job.key, Found::Active { job: Box::new(job), other_headers });
    }
    activate(engine, &key).await?;
    if let Some(job) = saved_before(engine, get, &key).await? {
        return Ok(Response::SavedBefore(Box::new(job)));
    }
    let options = FetchOptions::default().with(|it| {
        it.title = get.title.clone();
        it.download_total = get.download_total;
    });
    let fetch = manager.fetch(&get.id, requests(get), options).await?;
    accepted(fetch.key(), Found::New)
}

/// An id names one fetch to the user, whatever its output directory.
async fn refuse_other_directory(
    engine: &Engine,
    get: &Get,
    key: &RegistrationKey,
) -> Result<(), Failure> {
    for other in engine.registrations().await? {
        // A page's fetch is none of the user's.
        if let Some(saving) = Saving::of(other.key())
            && other.key() != key
            && other.background_fetch().get(&get.id).await?.is_some()
        {
            let own = Saving::of(key).map(|saving| saving.path());
            return Err(Failure(format!(
                "{} is already active and is saved to {}{}; choose another --id",
                get.id,
                saving.path().display(),
                if Some(saving.path()) == own { " in another way" } else { "" }
            )));
        }
    }
    Ok(())
}

/// Registers the worker for the directory. Files that other commands left unsaved are saved as well.
async fn activate(engine: &Engine, key: &RegistrationKey) -> Result<(), Failure> {
    engine.register(key.storage_key.clone(), key.scope.clone()).await?;
    for other in engine.registrations().await? {
        // The service workers of pages run in `bgfetch run`.
        if other.key() != key && directory_of(&other.key().scope).is_some() {
            other.set_active_worker(true).await?;
        }
    }
    Ok(())
}

/// The finished fetch of an earlier run of the same command, if its files still exist. An id chosen
/// by the user does not tell whether the URLs were the same.
///
/// If the files are missing, the fetch is dismissed: the list has one row per id.
async fn saved_before(
    engine: &Engine,
    get: &Get,
    key: &RegistrationKey,
) -> Result<Option<Job>, Failure> {
    let ui = engine.ui();
    let mut jobs = ui.jobs().await?;
    jobs.retain(|job| job.registration == *key && job.id == get.id);
    jobs.retain(|job| job.display.result == Some(Ok(())) && job.records.is_empty());
    let is_saved = |job: &Job| is_saved(get, key, job.display.downloaded);
    if let Some(newest) = jobs.pop_if(|job| is_saved(job)) {
        return Ok(Some(newest));
    }
    for job in jobs {
        ui.dismiss(job.key).await?;
    }
    Ok(None)
}

/// Whether an earlier run of the same command has saved everything: the output directory has a file
/// for each URL, with this number of bytes in total. Of names that only responses tell, and of files
/// that are to be replaced, nobody knows.
fn is_saved(get: &Get, key: &RegistrationKey, bytes: u64) -> bool {
    let Some(Saving { out, name, overwrite, content_disposition }) = Saving::of(key) else {
        return false;
    };
    // A name of the user's own may have meant another URL before.
    if get.again || overwrite || content_disposition {
        return false;
    }
    let mut names = FileNames::default();
    let size = |url| {
        let own = name.clone().unwrap_or_else(|| file_name(url));
        let file = std::fs::metadata(out.join(names.next(&own))).ok()?;
        file.is_file().then_some(file.len())
    };
    urls(get).map(size).sum::<Option<u64>>() == Some(bytes)
}

fn urls(get: &Get) -> impl Iterator<Item = &Url> {
    get.files.iter().map(|file| &file.url)
}

fn requests(get: &Get) -> impl Iterator<Item = Request> {
    get.files.iter().map(|file| {
        Request::get(file.url.clone()).with(|it| {
            it.integrity.clone_from(&file.integrity);
            it.headers.clone_from(&file.headers);
        })
    })
}

/// The fetch with that id that is not over, and whether its requests have other headers.
async fn left_behind(
    engine: &Engine,
    manager: &BackgroundFetchManager,
    get: &Get,
    key: &RegistrationKey,
) -> Result<Option<(Job, bool)>, Failure> {
    let same_urls = |job: &Job| job.records.iter().map(|record| &record.url).eq(urls(get));
    if let Some(fetch) = manager.get(&get.id).await? {
        let records = fetch.records().await?;
        let requests = || records.iter().map(|record| record.request());
        let other = if !requests().map(|it| &it.url).eq(urls(get)) {
            "other URLs"
        } else if !requests().map(|it| &it.integrity).eq(get.files.iter().map(|it| &it.integrity)) {
            "other checksums"
        } else {
            let mut pairs = requests().zip(&get.files);
            let other_headers = pairs.any(|(found, file)| found.headers != file.headers);
            let job = engine.ui().job(fetch.key()).await?;
            return Ok(job.map(|job| (job, other_headers)));
        };
        let hint = "choose another --id, or abort it";
        return Err(Failure(format!("{} is already active with {other}; {hint}", get.id)));
    }
    let mut jobs = engine.ui().jobs().await?;
    // It may have settled with its files still to be written: no process did that before this one.
    jobs.retain(|job| {
        let same = job.registration == *key && job.id == get.id && same_urls(job);
        same && !job.display.over
    });
    let Some(job) = jobs.pop() else {
        return Ok(None);
    };
    let Some(fetch) = engine.registration(job.registration.clone()).fetch(job.key).await? else {
        return Ok(None);
    };
    // After an abort, the same command starts over.
    let aborted = fetch.settled().await? == Err(FailureReason::Aborted);
    Ok((!aborted).then_some((job, false)))
}
