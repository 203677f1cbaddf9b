//! The [CORS protocol](https://fetch.spec.whatwg.org/#http-cors-protocol): whether a server lets a
//! page of another origin ask it, and read its answer.
//!
//! - [`safelist`]: which methods and headers need no permission.
//! - [`preflight`]: asking for it, and the [`PreflightCache`] of what was answered.
//! - [`check`](check()): whether the page may read a response.
//! - [`exposed_header_names`]: which of its headers.

mod check;
mod exposed;
pub mod preflight;
mod preflight_cache;
pub mod safelist;

pub use self::check::{BadCors, check};
pub use self::exposed::exposed_header_names;
pub use self::preflight_cache::{CacheKey, PreflightCache};
