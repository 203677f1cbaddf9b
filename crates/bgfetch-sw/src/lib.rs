//! Service worker functional events as background fetch needs them.
//!
//! One of four [functional events](https://w3c.github.io/ServiceWorker/#dfn-functional-events)
//! tells a service worker that its background fetch settled or was clicked. This crate defines
//! which one ([`EventKind`]), how long it lives ([`FunctionalEvent`]: `waitUntil()`, time limits,
//! crashes) and how a script responds to it (`updateUI()`). An embedder runs the worker behind the
//! trait [`WorkerHost`]; a [`Dispatcher`] fires one event there and reports whether it was
//! [handled](Outcome).
//!
//! This crate stores nothing, keeps no list of registrations or workers, and does not decide about
//! redelivery. The model does, with `bgfetch_model::delivery`.
//!
//! ```
//! use std::sync::Arc;
//! use bgfetch_model::ids::{FetchKey, RegistrationKey, StorageKey};
//! use bgfetch_sw::{
//!     BoxFuture, DispatchError, Dispatcher, EventKind, FunctionalEvent, FunctionalEventInit,
//!     Outcome, Timeouts, UiSink, WorkerHost,
//! };
//!
//! /// A worker written in Rust: it always runs, and handles each event at once.
//! struct Worker;
//!
//! impl WorkerHost for Worker {
//!     fn dispatch(&self, event: FunctionalEvent) -> BoxFuture<'static, Result<(), DispatchError>> {
//!         Box::pin(async move {
//!             println!("{} of {}", event.kind().name(), event.id());
//!             Ok(())
//!         })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ui = UiSink::new(|_fetch, _update| async { Ok(()) });
//! let dispatcher = Dispatcher::new(Arc::new(Worker), ui, Timeouts::default());
//! let outcome = dispatcher
//!     .fire(FunctionalEventInit {
//!         kind: EventKind::Success,
//!         fetch: FetchKey(1),
//!         registration: RegistrationKey {
//!             storage_key: StorageKey("https://app.example".into()),
//!             scope: "https://app.example/".parse()?,
//!         },
//!         id: "episode-5".into(),
//!     })
//!     .await;
//! assert_eq!(outcome, Outcome::Handled { rejection: None });
//! # Ok(())
//! # }
//! ```

/// Its code has to compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod dispatcher;
mod extendable_event;
mod functional_event;
pub mod mock;
mod update_ui;
mod worker_host;

pub use bgfetch_model::delivery::{NotHandledReason, Outcome, Rejection};
pub use futures_util::future::BoxFuture;

pub use bgfetch_model::event::{EventInterface, EventKind};
pub use dispatcher::{Dispatcher, Firing, Timeouts};
pub use extendable_event::NotActive;
pub use functional_event::{FunctionalEvent, FunctionalEventInit, LifetimeExtension};
pub use update_ui::{UiSink, UiSinkError, UiUpdate, UpdateUiError};
pub use worker_host::{DispatchError, WorkerHost, worker_fn};
