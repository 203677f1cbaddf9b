//! A host's own network stack, below the checks of the Fetch standard: it sends messages and receives responses. It
//! follows no redirects, adds no cookies and uses no cache.
//!
//! A message comes as [`Completion::FetchStart`]. The host answers with [`head`], then with [`bytes`] as far as there
//! is [credit](Completion::Credit), then with [`end`]; or with [`fault`] at any time. After the last answer, and after
//! [`Completion::FetchCancel`], its handle is gone. A response whose body nobody needs is cancelled after its head: that
//! of a redirect, of a status without a body, or one that the page may not have.

use std::net::IpAddr;
use std::sync::Arc;

use bgfetch::bytes::Bytes;
use bgfetch::embedder::BoxFuture;
use bgfetch::http::{HeaderMap, HeaderName, HeaderValue};
use bgfetch::{FaultKind, FetchError, Transport, TransportRequest, TransportResponse};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::completion::{Completion, MessageHead};
use crate::error::{Error, Result};
use crate::handle::{self, Handle, Kind, Object};
use crate::question::Asker;
use crate::queue::Queue;
use crate::source::{Source, source};
use crate::stream;

/// What a host knows of a response besides its body.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ResponseStart {
    /// The status code.
    pub status: u16,
    /// The reason phrase; may be empty.
    pub status_text: String,
    /// The headers as received. Values are isomorphically decoded.
    pub headers: Vec<(String, String)>,
    /// Whether content codings of the body are undone.
    pub decoded: bool,
    /// Whether the connection can carry other requests at the same time (HTTP/2).
    pub multiplexed: bool,
    /// The address that the response came from, if it is known. Without it, it counts as this machine's: a page of a
    /// public site needs the permission for that.
    pub address: Option<IpAddr>,
}

pub(crate) struct Message {
    queue: Arc<Queue>,
    request: TransportRequest,
    started: Mutex<Option<oneshot::Sender<std::result::Result<TransportResponse, FetchError>>>>,
    source: Source<FetchError>,
}

impl Object for Message {
    const KIND: Kind = Kind::Message;
}

/// Sends messages through the queue of an engine.
pub(crate) struct HostNetwork(pub(crate) Asker);

impl Transport for HostNetwork {
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'static, std::result::Result<TransportResponse, FetchError>> {
        let Asker { queue, engine } = self.0.clone();
        Box::pin(async move {
            let message = describe(&request);
            let (started, response) = oneshot::channel();
            let (source, sink) = source();
            let started = Mutex::new(Some(started));
            let object = Message { queue: Arc::clone(&queue), request, started, source };
            let gone = || FetchError::new(FaultKind::Interrupted, true, "the host is gone");
            let (token, _) = handle::insert(queue.handle, |_| object).map_err(|_| gone())?;
            let wanted = Wanted { queue: Arc::clone(&queue), token };
            queue.push(Completion::FetchStart { token, engine, message });
            let mut response = response.await.map_err(|_| gone())??;
            // The body holds the message from now on.
            response.body = Ok(Box::pin(sink.stream(queue, token, wanted)));
            Ok(response)
        })
    }

    fn network_changed(&self) {
        self.0.queue.push(Completion::NetworkChanged { engine: self.0.engine });
    }
}

/// A message that the engine waits for.
struct Wanted {
    queue: Arc<Queue>,
    token: Handle,
}

impl Drop for Wanted {
    fn drop(&mut self) {
        if handle::take::<Message>(self.token).is_ok() {
            self.queue.push(Completion::FetchCancel { token: self.token });
        }
    }
}

fn describe(request: &TransportRequest) -> MessageHead {
    let text =
        |value: &HeaderValue| value.as_bytes().iter().map(|&byte| char::from(byte)).collect();
    let headers = request.headers.iter();
    MessageHead {
        method: request.method.to_string(),
        url: request.url.to_string(),
        headers: headers.map(|(name, value)| (name.to_string(), text(value))).collect(),
        body_length: request.body.as_ref().map(|body| body.length()),
        credentials: request.credentials,
        accepts_codings: request.accepts_codings,
        partition: format!("{:?}", request.partition),
    }
}

/// The body of a message: a [stream] that the host reads and frees. `None` if it has no body. It can be
/// opened again, to send the message on another connection.
///
/// # Errors
///
/// A bad handle.
pub fn body(message: Handle) -> Result<Option<Handle>> {
    let message = handle::get::<Message>(message)?;
    message.request.upload().map(|bytes| stream::new(&message.queue, bytes)).transpose()
}

/// The response's head has arrived.
///
/// # Errors
///
/// [`Code::WrongState`](crate::Code::WrongState) after the first head;
/// [`Code::InvalidArgument`](crate::Code::InvalidArgument) if HTTP does not allow the status or a header; a bad
/// handle.
pub fn head(message: Handle, start: ResponseStart) -> Result<()> {
    let message = handle::get::<Message>(message)?;
    let mut headers = HeaderMap::new();
    for (name, value) in &start.headers {
        let bad = || Error::argument(format!("the header {name:?} is not valid"));
        let value = value.chars().map(u8::try_from).collect::<std::result::Result<Vec<_>, _>>();
        let value = HeaderValue::from_bytes(&value.map_err(|_| bad())?).map_err(|_| bad())?;
        headers.append(name.parse::<HeaderName>().map_err(|_| bad())?, value);
    }
    if !(200..600).contains(&start.status) {
        return Err(Error::argument("the status is not that of a final response"));
    }
    let started = message.started.lock().take();
    let started = started.ok_or_else(|| Error::state("the message has a response already"))?;
    let nothing = Box::pin(futures_util::stream::empty());
    let response = TransportResponse::new(start.status, headers, nothing).with(|it| {
        it.status_text = start.status_text;
        it.decoded = start.decoded;
        it.multiplexed = start.multiplexed;
        it.address = start.address;
        it.unchecked = true;
    });
    started.send(Ok(response)).map_err(|_| Error::closed())
}

/// For how many bytes of the response's body there is credit. There is none before the engine has judged the head.
///
/// # Errors
///
/// A bad handle.
pub fn credit(message: Handle) -> Result<usize> {
    Ok(handle::get::<Message>(message)?.source.credit())
}

/// Bytes of the response's body: all of them are taken, or none. Up to 192 KiB always get their credit in the end.
///
/// # Errors
///
/// [`Code::NoCredit`](crate::Code::NoCredit); a bad handle.
pub fn bytes(message: Handle, bytes: impl Into<Bytes>) -> Result<()> {
    handle::get::<Message>(message)?.source.write(bytes)
}

/// The response is complete.
///
/// # Errors
///
/// [`Code::WrongState`](crate::Code::WrongState) before its head; a bad handle.
pub fn end(message: Handle) -> Result<()> {
    let object = handle::get::<Message>(message)?;
    if object.started.lock().is_some() {
        return Err(Error::state("the response has no head yet"));
    }
    drop(handle::take::<Message>(message));
    object.source.end(None)
}

/// There is no response, or no more of it. `sent` is whether the server may have acted on the request; if that is not
/// known, pass true.
///
/// # Errors
///
/// A bad handle.
pub fn fault(message: Handle, kind: FaultKind, sent: bool, reason: &str) -> Result<()> {
    let object = handle::take::<Message>(message)?;
    let error = FetchError::new(kind, sent, reason.to_owned());
    let started = object.started.lock().take();
    match started {
        Some(started) => started.send(Err(error)).map_err(|_| Error::closed()),
        None => object.source.end(Some(error)),
    }
}
