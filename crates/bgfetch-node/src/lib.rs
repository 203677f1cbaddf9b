//! The addon of the npm package `@bgfetch/bgfetch`: the functions of [`bgfetch_binding`] for
//! JavaScript. Handles, keys and tokens are Numbers, and what is not hot is JSON.
//!
//! JavaScript drains the queue itself ([`next_completion`](completion::next_completion)); a
//! thread-safe function does nothing but wake its event loop up, and does not keep it alive.

pub mod calls;
pub mod completion;
mod error;
pub mod objects;

use bgfetch_binding::{Handle, queue};
use napi::Env;
use napi::bindgen_prelude::Function;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;

use crate::error::{Result, refused, thrown};

/// A handle that came from JavaScript.
pub(crate) fn handle(number: f64) -> Handle {
    Handle::from_raw(number as u64)
}

/// A handle for JavaScript. It has at most 53 bits.
pub(crate) fn number(handle: Handle) -> f64 {
    handle.raw() as f64
}

/// How many handles belong to a queue, itself included, for tests.
#[napi]
pub fn count_handles(queue: f64) -> f64 {
    bgfetch_binding::count(handle(queue)) as f64
}

/// Opens the queue of this environment, which is a main thread or a worker. `wake` is called
/// whenever the queue becomes non-empty. The queue is closed with the environment.
#[napi]
pub fn open_queue(env: Env, wake: Function<'_, (), ()>) -> Result<f64> {
    let wake = wake.build_threadsafe_function().weak::<true>().callee_handled::<false>();
    let wake = refused(wake.build())?;
    let queue = thrown(queue::open(move || {
        // Fails only when the environment ends.
        wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
    }))?;
    // Nobody is left whom an error could be told.
    let close = |queue| drop(queue::close(queue));
    refused(env.add_env_cleanup_hook(queue, close))?;
    Ok(number(queue))
}
