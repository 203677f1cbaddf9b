//! The [CORS protocol](https://fetch.spec.whatwg.org/#http-cors-protocol): whether a server allows
//! a page of another origin to send a request and to read its response.
//!
//! - [`safelist`]: the methods and headers that need no permission.
//! - [`preflight`]: the request for permission, and the [`PreflightCache`] of the responses.
//! - [`check`](check()): whether a page may read a response.
//! - [`exposed_header_names`]: which of its headers the page may read.

mod check;
mod exposed;
pub mod preflight;
mod preflight_cache;
pub mod safelist;

pub use self::check::{BadCors, check};
pub use self::exposed::exposed_header_names;
pub use self::preflight_cache::{CacheKey, PreflightCache};
