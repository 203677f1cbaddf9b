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

use thiserror::Error;

pub use self::check::check;
pub use self::exposed::exposed_header_names;
pub use self::preflight_cache::{CacheKey, PreflightCache};
use super::header_values::Malformed;

/// Why a server's answer does not allow what a page asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadCors {
    /// `Access-Control-Allow-Origin` is missing.
    #[error("CORS: the response has no Access-Control-Allow-Origin")]
    NoOrigin,
    /// It is there, and stands for somebody else.
    #[error("CORS: Access-Control-Allow-Origin does not name the page's origin")]
    OtherOrigin,
    /// The request's credentials mode is `include`, which the response does not allow.
    #[error("CORS: Access-Control-Allow-Credentials is not `true`")]
    Credentials,
    /// The preflight's response does not have an ok status.
    #[error("CORS: the preflight was answered with status {0}")]
    PreflightStatus(u16),
    /// A header of the preflight's response cannot be read.
    #[error("CORS: {0}")]
    Malformed(#[from] Malformed),
    /// The preflight's response does not allow the method.
    #[error("CORS: the preflight does not allow the method {0}")]
    Method(String),
    /// The preflight's response does not allow the header.
    #[error("CORS: the preflight does not allow the header {0}")]
    Header(String),
}
