//! Turns a request and its reply into a response.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderValue, LAST_MODIFIED, RANGE, VARY,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::Shared;
use super::body::{Body, Content, Faults, Sending};
use super::log::{Ending, Line, Logged, Received, Serving};
use super::range::{Part, part};
use super::reply::{Coding, CutKind, RangePolicy, Reply, Upload};
use super::wire::Plug;
use crate::resource::Resource;

/// Serves one request according to its script. Over HTTP/2, it is on that `stream`.
pub(super) async fn respond(
    shared: Arc<Shared>,
    connection: usize,
    stream: u32,
    plug: Plug,
    request: Request<Incoming>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let mut reply = shared.next_reply(&head.method, path);
    if let Some(other) = reply.for_ranges.take_if(|_| head.headers.contains_key(RANGE)) {
        reply = *other;
    }
    let serving = Serving(Line::new(
        &shared.log,
        Logged {
            method: head.method.clone(),
            path: head.uri.path_and_query().map_or(path, |target| target.as_str()).to_owned(),
            version: head.version,
            headers: head.headers.clone(),
            connection,
            body: Received::default(),
            status: None,
            sent: 0,
            ended: None,
        },
    ));

    if reply.hang_up {
        serving.0.ended(Ending::Cut);
        plug.pull(CutKind::Fin);
        if !receive(body, reply.upload, serving.0.clone(), plug.clone()).await {
            // The client disconnected in the middle of its body; hyper would keep the connection
            // for the response.
            plug.pull(CutKind::Reset);
        }
        return std::future::pending().await;
    }
    let upload = receive(body, reply.upload.clone(), serving.0.clone(), plug.clone());
    if reply.upload.early {
        tokio::spawn(upload);
    } else {
        upload.await;
    }
    if let Some(gate) = &reply.head_gate {
        gate.pass().await;
    }
    if let Some(raw) = reply.raw {
        let mut bytes = raw.on_stream(stream);
        if let Some(cut) = reply.cut {
            bytes.truncate(usize::try_from(cut.after).unwrap_or(usize::MAX));
        }
        serving.0.sent(bytes.len());
        serving.0.ended(if reply.cut.is_some() { Ending::Cut } else { Ending::Complete });
        plug.send(bytes, reply.cut.map(|cut| cut.how));
        return std::future::pending().await;
    }
    response(&head.method, &head.headers, reply, serving, plug)
}

/// Reads a request's body as far as it arrives, and returns whether its end was read.
async fn receive(mut body: Incoming, upload: Upload, line: Line, plug: Plug) -> bool {
    let mut hold = upload.hold;
    let mut received = 0;
    loop {
        if let Some((_, gate)) = hold.take_if(|(at, _)| received >= *at) {
            gate.pass().await;
        }
        if upload.reset_after.is_some_and(|after| received >= after) {
            line.ended(Ending::Cut);
            plug.pull(CutKind::Reset);
            return std::future::pending().await;
        }
        match body.frame().await {
            Some(Ok(frame)) => {
                received = line.received(frame.data_ref().unwrap_or(&Bytes::new()));
            }
            Some(Err(_)) => return false,
            None => {
                line.received_all();
                return true;
            }
        }
    }
}

fn response(
    method: &Method,
    asked: &HeaderMap,
    reply: Reply,
    serving: Serving,
    plug: Plug,
) -> Response<Body> {
    let mut headers = HeaderMap::new();
    let mut status = StatusCode::OK;
    let mut content = Content::default();
    let coding = reply.coding.filter(|coding| accepts(asked, *coding));
    if let Some(resource) = reply.resource {
        let mut ranges = reply.ranges;
        if coding.is_some() || reply.status.is_some() {
            ranges.policy = RangePolicy::Ignore;
        }
        if ranges.policy != RangePolicy::Ignore {
            headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        if reply.coding.is_some() {
            headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        validators(&resource, &mut headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let Part { status: decided, bytes, content_range } =
            part(&resource, &ranges, method, asked);
        status = decided;
        headers.extend(content_range.map(|value| (CONTENT_RANGE, value)));
        content = Content::new(resource, bytes);
    }
    if let Some(text) = reply.text {
        content = Content::text(text);
    }
    status = reply.status.unwrap_or(status);
    match coding {
        Some(coding) => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        }
        None if !reply.chunked && may_have_content(status) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(content.length()));
        }
        None => {}
    }
    for name in reply.headers.keys() {
        headers.remove(name);
    }
    for (name, value) in &reply.headers {
        headers.append(name, value.clone());
    }

    serving.0.answered(status);
    if method == Method::HEAD {
        content = Content::default();
    }
    let faults = Faults { holds: reply.holds.into(), cut: reply.cut, pace: reply.pace };
    let body = Sending::new(content, coding, faults, (serving, plug)).into_body();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn validators(resource: &Resource, headers: &mut HeaderMap) {
    let value = |text: &str| HeaderValue::from_str(text).expect("a header value");
    if let Some(etag) = &resource.etag {
        headers.insert(ETAG, value(etag));
    }
    if let Some(at) = resource.last_modified {
        headers.insert(LAST_MODIFIED, value(&httpdate::fmt_http_date(at)));
    }
}

fn accepts(headers: &HeaderMap, coding: Coding) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| {
            let (name, weight) = item.split_once(';').unwrap_or((item, ""));
            name.trim().eq_ignore_ascii_case(coding.name()) && weight.trim() != "q=0"
        })
}

fn may_have_content(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::RESET_CONTENT)
}
