//! Why a call is refused, and the table that maps the reasons to what scripts see.

/// Why a call is refused. The first group is the caller's fault, the second the environment's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// `fetch()` or `get()` with an empty id.
    #[error("the id must not be empty")]
    EmptyId,
    /// `fetch()` without requests.
    #[error("at least one request is needed")]
    NoRequests,
    /// More requests than the embedder allows in one fetch.
    #[error("too many requests in one background fetch")]
    TooManyRequests,
    /// More active fetches than the embedder allows for one registration.
    #[error("too many background fetches are active")]
    TooManyFetches,
    /// An id, a title, icons or a request longer than the embedder allows.
    #[error("the id, the title, the icons or a request are too long")]
    TooLong,
    /// A request in mode `no-cors`.
    #[error("requests in mode 'no-cors' cannot be fetched in the background")]
    NoCors,
    /// A request whose method Fetch forbids.
    #[error("the methods CONNECT, TRACE and TRACK are forbidden")]
    ForbiddenMethod,
    /// A request with cache mode `only-if-cached` and a mode other than `same-origin`.
    #[error("the cache mode 'only-if-cached' needs the mode 'same-origin'")]
    OnlyIfCached,
    /// A request whose URL includes credentials.
    #[error("the URL must not include credentials")]
    CredentialsInUrl,
    /// A request to a port that Fetch blocks.
    #[error("the URL's port is blocked")]
    BlockedPort,
    /// The id is in use by an active fetch of the registration.
    #[error("a background fetch with that id is already active")]
    IdInUse,
    /// A request's body could not be read.
    #[error("a request's body could not be read")]
    BodyUnreadable,
    /// A fetch with requests other than `GET` cannot be paused.
    #[error("only a background fetch whose requests are all GET can be paused")]
    NotPausable,
    /// The fetch has not finished and cannot be dismissed, or a worker is handling its event.
    #[error("a background fetch that is active must be aborted, not dismissed")]
    StillActive,
    /// The records are gone, because the settling event ended.
    #[error("the records are no longer available")]
    RecordsUnavailable,

    /// The permission is denied.
    #[error("permission for background fetch was denied")]
    PermissionDenied,
    /// The registration has no active worker, or is gone.
    #[error("the service worker registration has no active worker")]
    NoActiveWorker,
    /// The request bodies, `downloadTotal`, or what the store keeps besides bodies, do not fit the
    /// quota.
    #[error("the quota does not allow for that many bytes")]
    QuotaExceeded,
    /// The site has more fetches, or larger ones, than the embedder allows.
    #[error("the site's background fetches are too many or too large")]
    SiteLimit,
    /// The fetch is gone.
    #[error("there is no such background fetch")]
    NotFound,
}

/// The exceptions of the web platform that calls reject with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DomException {
    /// A JavaScript `TypeError`.
    TypeError,
    /// `NotAllowedError`.
    NotAllowedError,
    /// `QuotaExceededError`.
    QuotaExceededError,
    /// `InvalidStateError`.
    InvalidStateError,
    /// `AbortError`.
    AbortError,
}

impl DomException {
    /// Its name, as scripts see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TypeError => "TypeError",
            Self::NotAllowedError => "NotAllowedError",
            Self::QuotaExceededError => "QuotaExceededError",
            Self::InvalidStateError => "InvalidStateError",
            Self::AbortError => "AbortError",
        }
    }
}

impl CallError {
    /// A name for programs. It never changes, unlike the text.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::EmptyId => "empty-id",
            Self::NoRequests => "no-requests",
            Self::TooManyRequests => "too-many-requests",
            Self::TooManyFetches => "too-many-fetches",
            Self::TooLong => "too-long",
            Self::NoCors => "no-cors",
            Self::ForbiddenMethod => "forbidden-method",
            Self::OnlyIfCached => "only-if-cached",
            Self::CredentialsInUrl => "credentials-in-url",
            Self::BlockedPort => "blocked-port",
            Self::IdInUse => "id-in-use",
            Self::BodyUnreadable => "body-unreadable",
            Self::NotPausable => "not-pausable",
            Self::StillActive => "still-active",
            Self::RecordsUnavailable => "records-unavailable",
            Self::PermissionDenied => "permission-denied",
            Self::NoActiveWorker => "no-active-worker",
            Self::QuotaExceeded => "quota-exceeded",
            Self::SiteLimit => "site-limit",
            Self::NotFound => "not-found",
        }
    }

    /// The exception that a script gets for this error.
    #[must_use]
    pub const fn dom_exception(self) -> DomException {
        match self {
            Self::PermissionDenied => DomException::NotAllowedError,
            Self::QuotaExceeded | Self::SiteLimit => DomException::QuotaExceededError,
            Self::RecordsUnavailable | Self::StillActive | Self::NotPausable | Self::NotFound => {
                DomException::InvalidStateError
            }
            Self::EmptyId
            | Self::NoRequests
            | Self::TooManyRequests
            | Self::TooManyFetches
            | Self::TooLong
            | Self::NoCors
            | Self::ForbiddenMethod
            | Self::OnlyIfCached
            | Self::CredentialsInUrl
            | Self::BlockedPort
            | Self::IdInUse
            | Self::BodyUnreadable
            | Self::NoActiveWorker => DomException::TypeError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_codes_and_exceptions_have_names() {
        for (error, code, exception) in [
            (CallError::EmptyId, "empty-id", "TypeError"),
            (CallError::PermissionDenied, "permission-denied", "NotAllowedError"),
            (CallError::QuotaExceeded, "quota-exceeded", "QuotaExceededError"),
            (CallError::NotFound, "not-found", "InvalidStateError"),
        ] {
            assert_eq!((error.code(), error.dom_exception().name()), (code, exception));
        }
        assert_eq!(DomException::AbortError.name(), "AbortError");
    }
}
