//! Errors with numbers that never change.

use bgfetch::{DomException, NotActive, RecordError, StoreError, UpdateUiError};

/// A result whose error is an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed: a number for programs, a sentence for people, and the exception that a script would get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    code: Code,
    message: String,
    exception: Option<DomException>,
}

macro_rules! codes {
    ($($(#[$documentation:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// The number of an error. Numbers and names never change, and one that is no longer used is not given to
        /// another error.
        ///
        /// Below 100 are errors of this interface, from 100 on those of calls, from 200 on those of records, and from
        /// 300 on those of the store.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u32)]
        pub enum Code {
            $($(#[$documentation])* $name = $number,)*
        }

        impl Code {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name: lower-case words with hyphens.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    /// An error that has no number yet. Its message says what happened.
    Other = 1, "other";
    /// The handle is 0, was freed, or never existed.
    InvalidHandle = 2, "invalid-handle";
    /// The handle names an object of another kind.
    WrongKind = 3, "wrong-kind";
    /// An argument is not valid; the message says which.
    InvalidArgument = 4, "invalid-argument";
    /// There are more handles than numbers for them.
    TooManyHandles = 5, "too-many-handles";
    /// Another thread is waiting for the queue's next completion.
    QueueBusy = 6, "queue-busy";
    /// The library panicked, which is a bug in it. The call may have had a part of its effect.
    Panic = 7, "panic";
    /// The call was dropped because its engine or queue ended.
    Interrupted = 8, "interrupted";
    /// There is no credit for these bytes yet.
    NoCredit = 9, "no-credit";
    /// The operation was done before, or not in this order.
    WrongState = 10, "wrong-state";
    /// The system has no more threads, descriptors or memory for this.
    NoResources = 11, "no-resources";

    /// The id is empty.
    EmptyId = 100, "empty-id";
    /// There are no requests.
    NoRequests = 101, "no-requests";
    /// There are more requests than one fetch may have.
    TooManyRequests = 102, "too-many-requests";
    /// The registration has too many active fetches.
    TooManyFetches = 103, "too-many-fetches";
    /// An id, a title, icons or a request are too long.
    TooLong = 104, "too-long";
    /// A request in mode `no-cors`.
    NoCors = 105, "no-cors";
    /// A method that Fetch forbids.
    ForbiddenMethod = 106, "forbidden-method";
    /// The cache mode `only-if-cached` without the mode `same-origin`.
    OnlyIfCached = 107, "only-if-cached";
    /// A URL with credentials.
    CredentialsInUrl = 108, "credentials-in-url";
    /// A port that Fetch blocks.
    BlockedPort = 109, "blocked-port";
    /// The id is in use by an active fetch of the registration.
    IdInUse = 110, "id-in-use";
    /// A request's body could not be read.
    BodyUnreadable = 111, "body-unreadable";
    /// A fetch with requests other than `GET` cannot be paused.
    NotPausable = 112, "not-pausable";
    /// The fetch is active and cannot be dismissed.
    StillActive = 113, "still-active";
    /// The records are gone, because the settling event ended.
    RecordsUnavailable = 114, "records-unavailable";
    /// The permission was denied.
    PermissionDenied = 115, "permission-denied";
    /// The registration has no active worker, or is gone.
    NoActiveWorker = 116, "no-active-worker";
    /// The bytes do not fit the quota.
    QuotaExceeded = 117, "quota-exceeded";
    /// The site has too many or too large fetches.
    SiteLimit = 118, "site-limit";
    /// There is no such fetch.
    NotFound = 119, "not-found";
    /// A URL is not valid.
    InvalidUrl = 120, "invalid-url";
    /// A header is not valid.
    InvalidHeader = 121, "invalid-header";
    /// TLS could not be set up.
    TlsUnavailable = 122, "tls-unavailable";
    /// A thread could not be started.
    NoThread = 123, "no-thread";
    /// The engine needs a directory, or to be ephemeral.
    NoStore = 124, "no-store";
    /// The engine or the queue was closed.
    Closed = 125, "closed";
    /// The engine stopped because of a failure.
    Stopped = 126, "stopped";
    /// The event is no longer active.
    NotActive = 127, "not-active";
    /// The event has updated the UI already.
    AlreadyUpdated = 128, "already-updated";
    /// The event is not one that updates the UI.
    NotUpdateUiEvent = 129, "not-update-ui-event";
    /// The update of the UI could not be kept.
    UpdateUiFailed = 130, "update-ui-failed";

    /// The fetch was aborted, or the record is gone.
    Aborted = 200, "aborted";
    /// The record failed.
    RecordFailed = 201, "record-failed";
    /// Another response has taken the place of this one.
    Replaced = 202, "replaced";

    /// The store is in use by another engine or process.
    StoreInUse = 300, "store-in-use";
    /// A newer version wrote the store.
    StoreNewerVersion = 301, "store-newer-version";
    /// The store is damaged.
    StoreDamaged = 302, "store-damaged";
    /// Other users of the machine could have changed the store.
    StoreUntrusted = 303, "store-untrusted";
    /// The disk is full.
    DiskFull = 304, "disk-full";
    /// Another error of the file system.
    StoreIo = 305, "store-io";
    /// The database failed.
    StoreDatabase = 306, "store-database";
    /// The store was misused, which is a bug.
    StoreMisuse = 307, "store-misuse";
    /// The store has stopped.
    StoreStopped = 308, "store-stopped";
}

impl Code {
    /// The code with this number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.number() == number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    fn named(name: &str) -> Self {
        Self::ALL.iter().copied().find(|code| code.name() == name).unwrap_or(Self::Other)
    }
}

impl Error {
    /// An error that no script would see.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), exception: None }
    }

    pub(crate) fn argument(message: impl std::fmt::Display) -> Self {
        Self::new(Code::InvalidArgument, message.to_string())
    }

    pub(crate) fn state(message: &str) -> Self {
        Self::new(Code::WrongState, message)
    }

    pub(crate) fn closed() -> Self {
        let message = "the engine or its queue was closed".into();
        Self { code: Code::Closed, message, exception: Some(DomException::AbortError) }
    }

    /// Its number.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// A sentence for people. It may change.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The name of the exception that a script gets: that of a `DOMException`, or `TypeError`. `None` if no script
    /// could have caused the error.
    #[must_use]
    pub fn exception(&self) -> Option<&'static str> {
        match self.code {
            Code::UpdateUiFailed => Some("OperationError"),
            _ => self.exception.map(DomException::name),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<bgfetch::Error> for Error {
    fn from(error: bgfetch::Error) -> Self {
        let exception = Some(error.dom_exception());
        Self { code: Code::named(error.code()), message: error.to_string(), exception }
    }
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        let exception = Some(error.dom_exception());
        Self { code: Code::named(error.code()), message: error.to_string(), exception }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::from(bgfetch::Error::from(error))
    }
}

impl From<NotActive> for Error {
    fn from(error: NotActive) -> Self {
        let exception = Some(DomException::InvalidStateError);
        Self { code: Code::NotActive, message: error.to_string(), exception }
    }
}

impl From<UpdateUiError> for Error {
    fn from(error: UpdateUiError) -> Self {
        let code = match &error {
            UpdateUiError::NotActive(_) => Code::NotActive,
            UpdateUiError::AlreadyUpdated => Code::AlreadyUpdated,
            UpdateUiError::NotUpdateUiEvent => Code::NotUpdateUiEvent,
            _ => Code::UpdateUiFailed,
        };
        let exception = error.is_invalid_state().then_some(DomException::InvalidStateError);
        Self { code, message: error.to_string(), exception }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgfetch::CallError;
    use std::collections::HashSet;

    #[test]
    fn numbers_and_names_are_unique_and_a_number_tells_its_code() {
        let numbers: HashSet<_> = Code::ALL.iter().map(|code| code.number()).collect();
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!((numbers.len(), names.len()), (Code::ALL.len(), Code::ALL.len()));
        assert!(Code::ALL.is_sorted());
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Some(*code));
        }
        assert_eq!(Code::from_number(0), None);
    }

    #[test]
    fn errors_of_the_engine_keep_their_names_and_exceptions() {
        let error = Error::from(bgfetch::Error::from(CallError::QuotaExceeded));
        assert_eq!(
            (error.code(), error.exception()),
            (Code::QuotaExceeded, Some("QuotaExceededError"))
        );
        assert_eq!(error.code().name(), CallError::QuotaExceeded.code());
        let error = Error::from(RecordError::Replaced);
        assert_eq!((error.code().number(), error.exception()), (202, Some("TypeError")));
        let error = Error::from(StoreError::Stopped);
        assert_eq!((error.code().number(), error.exception()), (308, Some("AbortError")));
        let full = UpdateUiError::Sink(bgfetch::UiSinkError("full".into()));
        assert_eq!(Error::from(full).exception(), Some("OperationError"));
        assert_eq!(Error::argument("x").exception(), None);
    }
}
