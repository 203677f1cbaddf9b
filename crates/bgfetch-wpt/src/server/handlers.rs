//! Replacements for the Python scripts that tests fetch from.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
};

use super::message::{Part, Reply, Request};

/// The maximum number of bytes that a trickle sends, each in a part of its own.
const LONGEST_TRICKLE: u64 = 100_000;

/// Answers in place of the script at the request's path, if there is a replacement. Replacements
/// answer every method.
pub(super) fn respond(request: &Request) -> Option<Reply> {
    let path = request.url.path();
    let is = |script: &str| path.ends_with(script);
    if is("/common/slow.py") {
        Some(slow(request))
    } else if is("/resources/upload.py") {
        Some(upload(request))
    } else if is("/resources/trickle.py") {
        Some(trickle(request, false))
    } else if is("/resources/trickle-range.py") {
        Some(trickle(request, true))
    } else if is(".py") {
        let message = format!("there is no replacement for {path}");
        Some(Reply::error(StatusCode::NOT_IMPLEMENTED, message))
    } else {
        None
    }
}

/// An empty response, after `delay` milliseconds.
fn slow(request: &Request) -> Reply {
    let mut reply = Reply::new(StatusCode::OK, "text/html", "");
    reply.wait(Duration::from_millis(request.number("delay", 2000)));
    reply
}

/// The request's own body.
fn upload(request: &Request) -> Reply {
    let reply = Reply::new(StatusCode::OK, "", request.body.clone());
    match request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) {
        Some(content_type) => reply.header(CONTENT_TYPE, content_type),
        None => reply,
    }
}

/// `count` bytes, with a pause of `ms` milliseconds before each. If it honours ranges, it has a
/// strong validator, so that a cut transfer can be resumed.
fn trickle(request: &Request, ranges: bool) -> Reply {
    let count = request.number("count", 50).min(LONGEST_TRICKLE);
    let wait = Duration::from_millis(request.number("ms", 500));
    let mut reply = Reply::new(StatusCode::OK, "text/plain", "");
    let mut start = 0;
    if ranges {
        let etag = format!("\"trickle-{count}\"");
        if let Some(first) = first_asked(request, &etag) {
            if first >= count {
                return Reply::error(StatusCode::RANGE_NOT_SATISFIABLE, "")
                    .header(CONTENT_RANGE, format!("bytes */{count}"));
            }
            start = first;
            reply.status = StatusCode::PARTIAL_CONTENT;
            let last = count.saturating_sub(1);
            reply = reply.header(CONTENT_RANGE, format!("bytes {start}-{last}/{count}"));
        }
        reply = reply.header(ACCEPT_RANGES, "bytes").header(ETAG, etag);
    }
    let byte = || [Part::Wait(wait), Part::Send(Bytes::from_static(b"T"))];
    reply.body = (start..count).flat_map(|_| byte()).collect();
    reply.header(CONTENT_LENGTH, count - start)
}

/// The start of the requested range, if the range may still be served.
fn first_asked(request: &Request, etag: &str) -> Option<u64> {
    let range = request.headers.get(RANGE)?.to_str().ok()?;
    let first = range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()?;
    let unchanged = request.headers.get(IF_RANGE).is_none_or(|validator| validator == etag);
    unchanged.then_some(first)
}
