//! Errors of calls.

use std::convert::Infallible;
use std::fmt;

use bgfetch_model::error::{CallError, DomException};
use bgfetch_store::StoreError;

/// Why a call failed. [`Error::dom_exception`] is what scripts see; the `is_…` methods classify the
/// cause.
#[derive(Debug)]
pub struct Error(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    Call(CallError),
    Url(url::ParseError),
    Header(String),
    Store(StoreError),
    #[cfg(feature = "hyper")]
    Tls(Box<dyn std::error::Error + Send + Sync>),
    Thread(std::io::Error),
    #[cfg(not(feature = "hyper"))]
    NoFetcher,
    NoStore,
    Closed,
    Stopped(String),
}

/// A result whose error is an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The exception that a script's promise is rejected with.
    #[must_use]
    pub fn dom_exception(&self) -> DomException {
        match &self.0 {
            Kind::Call(error) => error.dom_exception(),
            // The `Request` constructor's exceptions.
            Kind::Url(_) | Kind::Header(_) => DomException::TypeError,
            // The engine is gone or failing. To a page this looks like an aborted fetch.
            _ => DomException::AbortError,
        }
    }

    /// A name for programs: lower-case words with hyphens. It never changes, unlike the text.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match &self.0 {
            Kind::Call(error) => error.code(),
            Kind::Url(_) => "invalid-url",
            Kind::Header(_) => "invalid-header",
            Kind::Store(error) => error.code(),
            #[cfg(feature = "hyper")]
            Kind::Tls(_) => "tls-unavailable",
            Kind::Thread(_) => "no-thread",
            #[cfg(not(feature = "hyper"))]
            Kind::NoFetcher => "no-fetcher",
            Kind::NoStore => "no-store",
            Kind::Closed => "closed",
            Kind::Stopped(_) => "stopped",
        }
    }

    /// The rule of the spec, or of this crate, that the call broke; `None` if something else
    /// failed.
    #[must_use]
    pub fn call_error(&self) -> Option<CallError> {
        match &self.0 {
            Kind::Call(error) => Some(*error),
            _ => None,
        }
    }

    /// The store's error, if the store failed.
    #[must_use]
    pub fn store_error(&self) -> Option<&StoreError> {
        match &self.0 {
            Kind::Store(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the engine was shut down, dropped, or stopped by a failure of its store.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.0, Kind::Closed | Kind::Stopped(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Call(error) => error.fmt(f),
            Kind::Url(error) => write!(f, "the URL is not valid: {error}"),
            Kind::Header(name) => write!(f, "the header {name:?} is not valid"),
            Kind::Store(error) => error.fmt(f),
            #[cfg(feature = "hyper")]
            Kind::Tls(error) => write!(f, "TLS could not be set up: {error}"),
            Kind::Thread(error) => write!(f, "the engine's thread could not be started: {error}"),
            #[cfg(not(feature = "hyper"))]
            Kind::NoFetcher => f.write_str("a fetcher is required without the feature `hyper`"),
            Kind::NoStore => f.write_str("the engine needs a directory, or to be ephemeral"),
            Kind::Closed => f.write_str("the background fetch engine was closed"),
            Kind::Stopped(reason) => write!(f, "the background fetch engine stopped: {reason}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Kind::Store(error) => std::error::Error::source(error),
            Kind::Thread(error) => Some(error),
            _ => None,
        }
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        Self(Kind::Call(error))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self(Kind::Store(error))
    }
}

impl From<url::ParseError> for Error {
    fn from(error: url::ParseError) -> Self {
        Self(Kind::Url(error))
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
