//! What every host of [`bgfetch`] outside Rust needs once: [numbered handles](Handle), one
//! [completion queue](queue), and [errors with stable numbers](Code). Bindings for other languages are thin layers over
//! this crate, which has no unsafe code and calls nobody back.
//!
//! ```
//! use bgfetch_binding::{Completion, Value, engine, queue};
//!
//! // A host's event loop is woken up here.
//! let queue = queue::open(|| {})?;
//! engine::open(queue, 1, r#"{ "ephemeral": true }"#)?;
//! if let Some(Completion::CallDone { token: 1, result }) = queue::next(queue, None)? {
//!     println!("{:?}", result?);
//! }
//! queue::close(queue)?;
//! # Ok::<(), bgfetch_binding::Error>(())
//! ```
//!
//! # Calls
//!
//! A function with a `token` starts a call: its answer comes as [`Completion::CallDone`] with that number, which the
//! host chooses. An error that the function itself returns is the only answer. The other functions answer at once, and
//! never wait. All of them can be called from any thread.
//!
//! # Handles
//!
//! Every handle that a host gets is the host's to free. Freeing one ends nothing but what is said there. A handle that
//! was freed, or that is of another kind, is an error.
//!
//! # Where things are
//!
//! [`engine`] opens a store, [`registration`] has the manager's methods and the source of events, [`fetch`],
//! [`record`] and [`body`] what comes of them, and [`event`] the lifetime of events. [`question`] has the answers to
//! what the engine asks, [`network`] is for a network stack of the host, [`source`] and [`stream`] are the bodies of
//! requests, and [`ui`] is for the user.

mod completion;
mod error;
mod handle;
mod options;
mod request;

pub mod body;
pub mod engine;
pub mod event;
pub mod fetch;
pub mod network;
pub mod question;
pub mod queue;
pub mod record;
pub mod registration;
pub mod source;
pub mod stream;
pub mod ui;

pub use bgfetch;

pub use completion::{Completion, Guard, MessageHead, Value};
pub use error::{Code, Error, Result};
pub use handle::{Handle, Kind, count};
