//! The requests of handlers, and their replies.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use url::Url;

/// A request with its complete body.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Request {
    /// `None` if the request has no URL.
    pub(super) fn new(scheme: &str, head: Parts, body: Bytes) -> Option<Self> {
        let host = head.headers.get(HOST)?.to_str().ok()?;
        let path = head.uri.path_and_query()?;
        let url = Url::parse(&format!("{scheme}://{host}{path}")).ok()?;
        Some(Self { method: head.method, url, headers: head.headers, body })
    }

    /// The first value with that name in the query.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        let mut pairs = self.url.query_pairs();
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// The first value with that name in the query as a number, or `default`.
    pub(super) fn number(&self, name: &str, default: u64) -> u64 {
        self.query(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    }
}

/// A response on its way through pipes.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<Part>,
}

/// A step in sending a body.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Send(Bytes),
    Wait(Duration),
}

impl Reply {
    pub(super) fn new(status: StatusCode, content_type: &str, content: impl Into<Bytes>) -> Self {
        let reply =
            Self { status, headers: HeaderMap::new(), body: vec![Part::Send(content.into())] };
        if content_type.is_empty() { reply } else { reply.header(CONTENT_TYPE, content_type) }
    }

    /// An error in the form of upstream's server: a message in JSON, so that it has a body.
    pub(super) fn error(status: StatusCode, message: impl ToString) -> Self {
        let error = serde_json::json!({
            "error": { "code": status.as_u16(), "message": message.to_string() },
        });
        Self::new(status, "application/json", error.to_string())
    }

    pub(super) fn not_found() -> Self {
        Self::error(StatusCode::NOT_FOUND, "")
    }

    /// Replaces all headers with that name. A value that is invalid in a header is omitted.
    pub(super) fn header(mut self, name: HeaderName, value: impl ToString) -> Self {
        if let Ok(value) = HeaderValue::try_from(value.to_string()) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The whole body, without its delays.
    pub(super) fn content(&self) -> Bytes {
        let sent = self.body.iter().filter_map(|part| match part {
            Part::Send(bytes) => Some(bytes),
            Part::Wait(_) => None,
        });
        match sent.collect::<Vec<_>>().as_slice() {
            [one] => Bytes::clone(one),
            several => several.iter().flat_map(|bytes| bytes.iter().copied()).collect(),
        }
    }

    /// Adds a delay before the body.
    pub(super) fn wait(&mut self, time: Duration) {
        self.body.insert(0, Part::Wait(time));
    }

    pub(super) fn set_content(&mut self, content: impl Into<Bytes>) {
        self.body = vec![Part::Send(content.into())];
    }

    /// The response to send. If there is a delay within the body, its length is omitted, unless a
    /// header has it.
    pub(super) fn into_response(self) -> Response<Body> {
        let Self { status, headers, body } = self;
        let waits = body.iter().any(|part| matches!(part, Part::Wait(_)));
        let sent = if waits {
            in_steps(body)
        } else {
            let content = Self { status, headers: HeaderMap::new(), body }.content();
            Full::new(content).map_err(|never: Infallible| match never {}).boxed_unsync()
        };
        let mut response = Response::new(sent);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        if status.is_informational() || status == StatusCode::NO_CONTENT {
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        response
    }
}

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

fn in_steps(body: Vec<Part>) -> Body {
    let steps = stream::unfold(body.into_iter(), async |mut steps| {
        loop {
            match steps.next()? {
                Part::Send(bytes) => return Some((Ok(Frame::data(bytes)), steps)),
                Part::Wait(time) => tokio::time::sleep(time).await,
            }
        }
    });
    StreamBody::new(steps).boxed_unsync()
}
