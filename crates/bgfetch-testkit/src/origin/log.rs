//! What the origin saw.

use std::sync::Arc;

use bytes::BytesMut;
use http::header::{HeaderMap, RANGE};
use http::{Method, StatusCode, Version};

use crate::resource::{Checksum, Resource};
use crate::watched::Watched;

/// Request bodies up to this length are kept.
const KEPT: u64 = 1024 * 1024;

/// A request as the origin saw it, and the progress of its response.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Logged {
    /// The method.
    pub method: Method,
    /// The path with its query.
    pub path: String,
    /// The HTTP version.
    pub version: Version,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The number of its connection, counted from 0 in the order in which they were accepted.
    pub connection: usize,
    /// The part of the request's body that was read.
    pub body: Received,
    /// The response's status, once decided.
    pub status: Option<StatusCode>,
    /// How many bytes of the response's body were handed to the connection.
    pub sent: u64,
    /// How the response ended, or none while it is in progress.
    pub ended: Option<Ending>,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All of it was handed to the connection.
    Complete,
    /// The script ended the connection.
    Cut,
    /// The client disconnected, or the origin was stopped, before the end.
    Abandoned,
}

/// A request's body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Received {
    /// How many of its bytes were read.
    pub length: u64,
    /// Whether its end was read.
    pub complete: bool,
    kept: Option<BytesMut>,
    checksum: Checksum,
}

impl Default for Received {
    fn default() -> Self {
        Self { length: 0, complete: false, kept: Some(BytesMut::new()), checksum: Checksum::EMPTY }
    }
}

impl Received {
    /// The bytes that were read, or none if there are more than 1 MiB.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        self.kept.as_deref()
    }

    /// Whether exactly the whole of `resource` was received, whatever its length.
    #[must_use]
    pub fn is(&self, resource: &Resource) -> bool {
        self.complete && self.length == resource.length() && self.checksum == Checksum::of(resource)
    }

    fn append(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.checksum.update(bytes);
        self.kept = self.kept.take().filter(|_| self.length <= KEPT);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
    }
}

impl Logged {
    /// A request header's first value, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The `Range` header.
    #[must_use]
    pub fn range(&self) -> Option<&str> {
        self.header(RANGE.as_str())
    }

    /// The first byte of a `Range: bytes=FIRST-`.
    #[must_use]
    pub fn range_start(&self) -> Option<u64> {
        let (first, _) = self.range()?.strip_prefix("bytes=")?.split_once('-')?;
        first.parse().ok()
    }

    /// Method, path and range on one line, for panic messages.
    fn line(&self) -> String {
        format!(
            "#{} {:?} {} {} range {:?}, {} bytes in, status {:?}, {} bytes out, {:?}",
            self.connection,
            self.version,
            self.method,
            self.path,
            self.range(),
            self.body.length,
            self.status.map(|status| status.as_u16()),
            self.sent,
            self.ended,
        )
    }
}

/// Everything that the origin recorded.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) requests: Vec<Logged>,
    pub(crate) accepted: usize,
    pub(crate) open_connections: usize,
}

impl Log {
    /// The panic message of a wait that timed out.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!(
            "the origin waited in vain; {} connections are open, the requests were:",
            self.open_connections
        );
        for request in &self.requests {
            text.push_str("\n  ");
            text.push_str(&request.line());
        }
        text
    }
}

/// A handle to the log entry of one request.
#[derive(Clone)]
pub(super) struct Line {
    log: Arc<Watched<Log>>,
    index: usize,
}

impl Line {
    pub(super) fn new(log: &Arc<Watched<Log>>, request: Logged) -> Self {
        let index = log.update(|log| {
            log.requests.push(request);
            log.requests.len() - 1
        });
        Self { log: Arc::clone(log), index }
    }

    fn update<R>(&self, change: impl FnOnce(&mut Logged) -> R) -> R {
        self.log.update(|log| change(&mut log.requests[self.index]))
    }

    /// Returns how many bytes of the request's body were received in total.
    pub(super) fn received(&self, bytes: &[u8]) -> u64 {
        self.update(|request| {
            request.body.append(bytes);
            request.body.length
        })
    }

    pub(super) fn received_all(&self) {
        self.update(|request| request.body.complete = true);
    }

    pub(super) fn answered(&self, status: StatusCode) {
        self.update(|request| request.status = Some(status));
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.update(|request| request.sent += bytes as u64);
    }

    /// Only the first ending counts.
    pub(super) fn ended(&self, how: Ending) {
        self.update(|request| {
            request.ended.get_or_insert(how);
        });
    }
}

/// Lives while a request is served. If it is dropped before the response ended, the response was
/// abandoned.
pub(super) struct Serving(pub(super) Line);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.ended(Ending::Abandoned);
    }
}
