//! What the user sees of background fetches, and what the user may do. Fetches are named by their keys.

use std::sync::Arc;

use bgfetch::{FetchKey, Ui};
use tokio::sync::oneshot;

use crate::completion::{Completion, Guard, Value};
use crate::engine::Engine;
use crate::error::Result;
use crate::handle::{self, Handle};

/// A call on the user's view, which is answered with what `run` returns.
fn call<F>(engine: Handle, token: u64, run: impl FnOnce(Ui) -> F) -> Result<()>
where
    F: Future<Output = bgfetch::Result<Value>> + Send + 'static,
{
    let object = handle::get::<Engine>(engine)?;
    let answer = run(object.open()?.ui());
    object.queue.call(token, async move { Ok(answer.await?) });
    Ok(())
}

/// All fetches that are active, or finished and not dismissed: answered by [`Value::Jobs`].
///
/// # Errors
///
/// A bad handle; a closed engine.
pub fn jobs(engine: Handle, token: u64) -> Result<()> {
    call(engine, token, |ui| async move { Ok(Value::Jobs(ui.jobs().await?)) })
}

/// Sends all jobs as [`Completion::Job`], and then each that changes, until the engine ends: answered by
/// [`Value::None`] when that has begun.
///
/// # Errors
///
/// A bad handle; a closed engine.
pub fn watch(engine: Handle, token: u64) -> Result<()> {
    let object = handle::get::<Engine>(engine)?;
    let (queue, ui) = (Arc::clone(&object.queue), object.open()?.ui());
    object.queue.call(token, async move {
        let mut changes = ui.watch().await?;
        let to = Arc::clone(&queue);
        queue.spawn(async move {
            while let Some(change) = changes.next().await {
                let (dropped, shown) = oneshot::channel::<()>();
                to.push(Completion::Job { engine, change, shown: Guard::new(dropped) });
                // The sender is only ever dropped.
                shown.await.unwrap_or_default();
            }
        });
        Ok(Value::None)
    });
    Ok(())
}

/// Pauses a fetch: answered by [`Value::None`].
///
/// # Errors
///
/// A bad handle; a closed engine. The call fails as [`Code::NotPausable`](crate::Code::NotPausable) or
/// [`Code::NotFound`](crate::Code::NotFound).
pub fn pause(engine: Handle, token: u64, fetch: FetchKey) -> Result<()> {
    call(engine, token, move |ui| async move { ui.pause(fetch).await.map(|()| Value::None) })
}

/// Resumes a fetch, or accepts one that was started paused: answered by [`Value::None`].
///
/// # Errors
///
/// A bad handle; a closed engine. The call fails as [`Code::NotFound`](crate::Code::NotFound).
pub fn resume(engine: Handle, token: u64, fetch: FetchKey) -> Result<()> {
    call(engine, token, move |ui| async move { ui.resume(fetch).await.map(|()| Value::None) })
}

/// Aborts a fetch: answered by [`Value::Bool`], whether it was still active.
///
/// # Errors
///
/// A bad handle; a closed engine.
pub fn abort(engine: Handle, token: u64, fetch: FetchKey) -> Result<()> {
    call(engine, token, move |ui| async move { Ok(Value::Bool(ui.abort(fetch).await?)) })
}

/// Activates a fetch: its worker gets `backgroundfetchclick`. Answered by [`Value::None`].
///
/// # Errors
///
/// As [`resume`].
pub fn click(engine: Handle, token: u64, fetch: FetchKey) -> Result<()> {
    call(engine, token, move |ui| async move { ui.click(fetch).await.map(|()| Value::None) })
}

/// Removes a finished fetch from the list, or gives up one whose event waits for a worker: answered by
/// [`Value::None`].
///
/// # Errors
///
/// A bad handle; a closed engine. The call fails as [`Code::StillActive`](crate::Code::StillActive) or
/// [`Code::NotFound`](crate::Code::NotFound).
pub fn dismiss(engine: Handle, token: u64, fetch: FetchKey) -> Result<()> {
    call(engine, token, move |ui| async move { ui.dismiss(fetch).await.map(|()| Value::None) })
}

/// Caps the bytes per second of a fetch, or removes the cap: answered by [`Value::None`].
///
/// # Errors
///
/// As [`resume`].
pub fn set_rate(engine: Handle, token: u64, fetch: FetchKey, rate: Option<u64>) -> Result<()> {
    call(
        engine,
        token,
        move |ui| async move { ui.set_rate(fetch, rate).await.map(|()| Value::None) },
    )
}
