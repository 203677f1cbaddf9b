//! Why a record has no response, or why its body cannot be read.

use std::fmt;
use std::io;

use bgfetch_model::error::DomException;
use bgfetch_store::StoreError;

/// Why a record has no response, or why its body was cut short.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecordError {
    /// The fetch was aborted, or the record is gone: an `AbortError`.
    Aborted,
    /// The record failed: a `TypeError`.
    Failed,
    /// The bytes of this response were replaced by those of another representation, because the
    /// server no longer has the first one: a `TypeError`. The record's new response can be read.
    Replaced,
    /// The stored bytes could not be read: script gets an `AbortError`.
    Store(StoreError),
}

impl RecordError {
    /// A name for programs: lower-case words with hyphens. It never changes, unlike the text.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Failed => "record-failed",
            Self::Replaced => "replaced",
            Self::Store(error) => error.code(),
        }
    }

    /// The exception that script gets.
    #[must_use]
    pub const fn dom_exception(&self) -> DomException {
        match self {
            Self::Failed | Self::Replaced => DomException::TypeError,
            Self::Aborted | Self::Store(_) => DomException::AbortError,
        }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted => f.write_str("the background fetch was aborted"),
            Self::Failed => f.write_str("the record could not be fetched"),
            Self::Replaced => f.write_str("the response was replaced by another one"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RecordError {}

/// The error of the store, or an error of the kind [`Other`](io::ErrorKind::Other) whose
/// [source](io::Error::get_ref) is this one.
impl From<RecordError> for io::Error {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Store(error) => error.into(),
            error => Self::other(error),
        }
    }
}
