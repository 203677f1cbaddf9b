//! Servers with faults, for this project's own tests: a page specifies the answers in the URL, and
//! queries the requests afterwards. Upstream's pipes cannot cut a body, change a validator between
//! two requests, or hold an answer until the page releases it.
//!
//! - `/bgfetch/faults?token=T&script=JSON`: the n-th request with a token gets the n-th [`Reply`]
//!   of the script, later requests get the last one. Any path below it does the same, so that
//!   records of one token can have different URLs. With `preflight=JSON`, requests with the method
//!   `OPTIONS` get that reply and do not count.
//! - `/bgfetch/log?token=T&requests=N&ended=M`: waits for N requests, M of which have ended because
//!   the answer was complete or the client disconnected, and lists all of them as JSON.
//! - `/bgfetch/release?token=T`: releases one answer that is held.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::sync::{Arc, LazyLock};

use async_compression::tokio::write::GzipEncoder;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, watch};

use super::message::Body;

/// The prefix of the paths that [`respond`] answers.
pub(super) const PREFIX: &str = "/bgfetch/";

/// The answer to one request.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Reply {
    status: u16,
    /// Names and values, repeated ones included.
    headers: Vec<(String, String)>,
    /// The body, unless it is a pattern.
    text: Option<String>,
    /// The length of a body that is the pattern of `seed`: see resources/bytes.js.
    size: usize,
    seed: usize,
    /// Whether `Range` is honoured (if `If-Range` is absent or equals the reply's validator),
    ranges: bool,
    /// with at most this many bytes,
    part: Option<usize>,
    /// and without the complete length.
    unknown_length: bool,
    /// Whether the body is sent without `Content-Length`.
    chunked: bool,
    /// Whether the body is sent with `Content-Encoding: gzip`.
    gzip: bool,
    /// After how many bytes of the body the connection is cut.
    cut: Option<usize>,
    /// After how many bytes of the body the answer waits to be released.
    hold: Option<usize>,
    /// Whether the answer waits before it sends anything.
    hold_head: bool,
}

impl Default for Reply {
    fn default() -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            text: None,
            size: 0,
            seed: 0,
            ranges: false,
            part: None,
            unknown_length: false,
            chunked: false,
            gzip: false,
            cut: None,
            hold: None,
            hold_head: false,
        }
    }
}

/// A request in the log.
#[derive(Clone, Debug, Serialize)]
struct Logged {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: String,
    #[serde(rename = "bodyLength")]
    body_length: usize,
    /// How its answer ended; `None` while it is being sent.
    ended: Option<Ending>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Ending {
    /// The complete answer was sent.
    Sent,
    /// The client disconnected before that.
    GivenUp,
}

/// The state of one token.
#[derive(Debug)]
struct Token {
    log: watch::Sender<Vec<Logged>>,
    releases: Semaphore,
}

/// All tokens of this process. Pages choose unique names.
static TOKENS: LazyLock<Mutex<HashMap<String, Arc<Token>>>> = LazyLock::new(Mutex::default);

fn token(name: &str) -> Arc<Token> {
    let new = || Arc::new(Token { log: watch::Sender::default(), releases: Semaphore::new(0) });
    Arc::clone(TOKENS.lock().entry(name.to_owned()).or_insert_with(new))
}

/// Answers a request whose path begins with [`PREFIX`].
pub(super) async fn respond(request: &Parts, body: Bytes) -> Response<Body> {
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let Some(name) = query.get("token") else { return text(400, "no token") };
    let token = token(name);
    let number = |name: &str| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
    match request.uri.path().trim_start_matches(PREFIX) {
        "log" => log(&token, number("requests"), number("ended")).await,
        "release" => {
            token.releases.add_permits(1);
            text(200, "")
        }
        path if path.starts_with("faults") => {
            match scripted(&query, &token, request.method == Method::OPTIONS) {
                Ok(reply) => faulty(reply, token, request, body).await,
                Err(error) => text(400, &error),
            }
        }
        _ => text(404, ""),
    }
}

/// The next reply for the token.
fn scripted(
    query: &HashMap<String, String>,
    token: &Token,
    is_preflight: bool,
) -> Result<Reply, String> {
    if let (true, Some(preflight)) = (is_preflight, query.get("preflight")) {
        return serde_json::from_str(preflight).map_err(|error| error.to_string());
    }
    let script = query.get("script").ok_or("no script")?;
    let mut script: Vec<Reply> = serde_json::from_str(script).map_err(|error| error.to_string())?;
    let asked = token.log.borrow().iter().filter(|logged| logged.method != "OPTIONS").count();
    let last = script.len().checked_sub(1).ok_or("an empty script")?;
    Ok(script.swap_remove(asked.min(last)))
}

async fn log(token: &Token, requests: usize, ended: usize) -> Response<Body> {
    let enough = |log: &Vec<Logged>| {
        log.len() >= requests && log.iter().filter(|logged| logged.ended.is_some()).count() >= ended
    };
    let mut log = token.log.subscribe();
    match log.wait_for(enough).await {
        Ok(log) => match serde_json::to_string(&*log) {
            Ok(json) => text(200, &json),
            Err(error) => text(500, &error.to_string()),
        },
        Err(error) => text(500, &error.to_string()),
    }
}

/// Records how an answer ended when it is dropped.
struct Watch {
    token: Arc<Token>,
    index: usize,
    ending: Ending,
}

impl Watch {
    fn sent(&mut self) {
        self.ending = Ending::Sent;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.token.log.send_modify(|log| {
            if let Some(logged) = log.get_mut(self.index) {
                logged.ended = Some(self.ending);
            }
        });
    }
}

async fn faulty(reply: Reply, token: Arc<Token>, request: &Parts, body: Bytes) -> Response<Body> {
    let mut index = 0;
    token.log.send_modify(|log| {
        index = log.len();
        log.push(logged(request, &body));
    });
    let watch = Watch { token, index, ending: Ending::GivenUp };
    if reply.hold_head {
        released(&watch.token).await;
    }
    let whole = match &reply.text {
        Some(text) => text.clone().into_bytes(),
        None => pattern(reply.seed, reply.size),
    };
    let (status, range, mut bytes) = select(&reply, &request.headers, whole);
    let mut response = Response::builder().status(status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    if let Some(range) = range {
        response = response.header(header::CONTENT_RANGE, range);
    }
    if reply.gzip {
        response = response.header(header::CONTENT_ENCODING, "gzip");
        bytes = match gzip(&bytes).await {
            Ok(bytes) => bytes,
            Err(error) => return text(500, &error.to_string()),
        };
    }
    let has_length =
        reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    if !reply.chunked && !has_length {
        response = response.header(header::CONTENT_LENGTH, bytes.len());
    }
    let sent = response.body(sending(&reply, bytes.into(), watch));
    sent.unwrap_or_else(|error| text(400, &error.to_string()))
}

fn logged(request: &Parts, body: &Bytes) -> Logged {
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in &request.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        headers
            .entry(name.as_str().to_owned())
            .and_modify(|values| *values = format!("{values}, {value}"))
            .or_insert_with(|| value.clone().into_owned());
    }
    Logged {
        method: request.method.to_string(),
        path: request.uri.path().to_owned(),
        headers,
        body: String::from_utf8_lossy(body).into_owned(),
        body_length: body.len(),
        ended: None,
    }
}

/// Waits to be released.
async fn released(token: &Token) {
    // The semaphore is never closed, so acquiring succeeds eventually.
    if let Ok(permit) = token.releases.acquire().await {
        permit.forget();
    }
}

/// The part of the body for a request, with its status and `Content-Range`.
fn select(reply: &Reply, headers: &HeaderMap, whole: Vec<u8>) -> (u16, Option<String>, Vec<u8>) {
    let value = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let validator = |name: &str| {
        let mut found = reply.headers.iter().filter(|(it, _)| it.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    };
    let is_current = value(header::IF_RANGE)
        .is_none_or(|it| Some(it) == validator("etag") || Some(it) == validator("last-modified"));
    let asked =
        value(header::RANGE).and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let (true, true, Some((first, last))) = (reply.ranges, is_current, asked) else {
        return (reply.status, None, whole);
    };
    let length = whole.len();
    let complete = if reply.unknown_length { String::from("*") } else { length.to_string() };
    let first = first.parse().unwrap_or(0);
    let end = last.parse().map_or(length, |last: usize| length.min(last + 1));
    let end = reply.part.map_or(end, |part| end.min(first + part));
    match whole.get(first..end) {
        Some(part) if !part.is_empty() => {
            let range = format!("bytes {first}-{}/{complete}", end - 1);
            (206, Some(range), part.to_vec())
        }
        _ => (416, Some(format!("bytes */{length}")), Vec::new()),
    }
}

/// Byte i of the pattern; resources/bytes.js generates the same.
fn pattern(seed: usize, size: usize) -> Vec<u8> {
    (0..size).map(|i| ((i * 7 + (i >> 8) * 13 + seed * 101) % 251) as u8).collect()
}

async fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzipEncoder::new(Vec::new());
    encoder.write_all(bytes).await?;
    encoder.shutdown().await?;
    Ok(encoder.into_inner())
}

/// The body: the part sent at once, the part after a release, and then possibly a cut.
fn sending(reply: &Reply, mut rest: Bytes, mut watch: Watch) -> Body {
    let is_cut = reply.cut.is_some_and(|cut| cut < rest.len());
    rest.truncate(reply.cut.unwrap_or(rest.len()));
    let hold = reply.hold.filter(|hold| *hold < rest.len());
    let first = rest.split_to(hold.unwrap_or(0));
    let later = async move {
        if hold.is_some() {
            released(&watch.token).await;
        }
        watch.sent();
        rest
    };
    let pieces = stream::iter([first]).chain(stream::once(later)).map(Ok);
    let end = is_cut.then_some(async {
        // The bytes before it are flushed while the body has nothing more to send.
        tokio::task::yield_now().await;
        Err(io::Error::other("cut as the script says"))
    });
    // Empty frames are left out: some servers end a body at one.
    let frames = pieces
        .chain(stream::iter(end).then(|end| end))
        .try_filter(|bytes| ready(!bytes.is_empty()))
        .map_ok(Frame::data);
    StreamBody::new(frames).boxed_unsync()
}

fn text(status: u16, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(text.to_owned())).map_err(|never: Infallible| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests a path with the token `name` and the rest of the query as its script.
    async fn ask(path: &str, name: &str, query: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let uri = format!("/bgfetch/{path}?token={name}&{query}");
        let mut request = http::Request::get(uri);
        for (header, value) in headers {
            request = request.header(*header, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        respond(&head, Bytes::new()).await
    }

    fn script(replies: serde_json::Value) -> String {
        let query = [("script", replies.to_string())];
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish()
    }

    async fn bytes(response: Response<Body>) -> Bytes {
        response.into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn each_request_gets_its_reply_and_those_after_the_last_get_the_last() {
        let script = script(serde_json::json!([{ "status": 503 }, { "text": "found" }]));
        assert_eq!(ask("faults/a", "replies", &script, &[]).await.status(), 503);
        for _ in 0..2 {
            let response = ask("faults/b", "replies", &script, &[]).await;
            assert_eq!(response.status(), 200);
            assert_eq!(bytes(response).await, "found");
        }
    }

    #[tokio::test]
    async fn ranges_are_honoured_for_the_current_representation_alone() {
        let reply = serde_json::json!({ "text": "0123456789", "ranges": true, "headers": [["ETag", "\"a\""]] });
        let script = script(serde_json::json!([reply]));
        let range = ("range", "bytes=4-");
        let response = ask("faults", "ranges", &script, &[range, ("if-range", "\"a\"")]).await;
        assert_eq!(response.status(), 206);
        assert_eq!(response.headers()["content-range"], "bytes 4-9/10");
        assert_eq!(bytes(response).await, "456789");
        let response = ask("faults", "ranges", &script, &[range, ("if-range", "\"b\"")]).await;
        assert_eq!(response.status(), 200);
        let response = ask("faults", "ranges", &script, &[("range", "bytes=10-")]).await;
        assert_eq!(response.status(), 416);
        assert_eq!(response.headers()["content-range"], "bytes */10");
    }

    #[tokio::test]
    async fn a_cut_body_breaks_after_so_many_bytes_of_its_length() {
        let script = script(serde_json::json!([{ "text": "0123456789", "cut": 4 }]));
        let response = ask("faults", "cut", &script, &[]).await;
        assert_eq!(response.headers()["content-length"], "10");
        let mut body = response.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "0123");
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_held_body_waits_for_its_release_and_the_log_tells_how_it_ended() {
        let script = script(serde_json::json!([{ "text": "0123456789", "hold": 4 }]));
        let mut held = ask("faults", "held", &script, &[]).await.into_body();
        assert_eq!(held.frame().await.unwrap().unwrap().into_data().unwrap(), "0123");
        let given_up = ask("faults", "held", &script, &[]).await;
        drop(given_up);
        ask("release", "held", "", &[]).await;
        assert_eq!(held.collect().await.unwrap().to_bytes(), "456789");
        let log = bytes(ask("log", "held", "requests=2&ended=2", &[]).await).await;
        let log: Vec<serde_json::Value> = serde_json::from_slice(&log).unwrap();
        let ended: Vec<_> = log.iter().map(|logged| logged["ended"].as_str().unwrap()).collect();
        assert_eq!(ended, ["sent", "given-up"]);
    }

    #[tokio::test]
    async fn what_is_no_script_is_refused() {
        for query in ["", "script=[]", "script=x", "script=%5B%7B%22oops%22%3A1%7D%5D"] {
            assert_eq!(ask("faults", "refused", query, &[]).await.status(), 400, "{query}");
        }
    }
}
