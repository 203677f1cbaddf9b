//! The server of folders, on loopback.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tower_http::services::ServeDir;

use super::folders::Folders;

type BoxBody = UnsyncBoxBody<Bytes, io::Error>;

/// How often a slowed response sends something.
const SENDS_PER_SECOND: u64 = 20;

/// The size of what is read of a file at a time.
const CHUNK: usize = 64 << 10;

/// Serves until it is dropped. Each request is answered from the folder that its host stands for.
pub(super) struct Server {
    address: SocketAddr,
    accepting: AbortHandle,
}

impl Server {
    /// Starts on a port that the system chooses. `slow` is how many bytes of a body are sent each
    /// second.
    ///
    /// # Errors
    ///
    /// The system gives no port.
    pub(super) async fn start(folders: Arc<Folders>, slow: Option<u64>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, folders, slow)).abort_handle();
        Ok(Self { address, accepting })
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, folders: Arc<Folders>, slow: Option<u64>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, Arc::clone(&folders), slow));
            }
            // Too many open files, say: that passes.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve(stream: TcpStream, folders: Arc<Folders>, slow: Option<u64>) {
    let service = service_fn(|request| {
        let folders = Arc::clone(&folders);
        async move { Ok::<_, Infallible>(answer(&folders, slow, request).await) }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    let served = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    // A client that breaks off is not the server's concern.
    served.await.unwrap_or_default();
}

async fn answer(
    folders: &Folders,
    slow: Option<u64>,
    request: Request<Incoming>,
) -> Response<BoxBody> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let name = host.map(|host| host.split_once(':').map_or(host, |(name, _)| name));
    let Some(folder) = name.and_then(|name| folders.get(name)) else {
        return plain(StatusCode::MISDIRECTED_REQUEST, "no folder is served under this name\n");
    };
    match *request.method() {
        Method::GET | Method::HEAD => file(&folder, slow, request).await,
        Method::POST | Method::PUT => take(request.into_body()).await,
        _ => {
            let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "");
            let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT");
            refusal.headers_mut().insert(ALLOW, allowed);
            refusal
        }
    }
}

/// A file of the folder, or the part that is asked for, with a strong validator.
async fn file(folder: &Path, slow: Option<u64>, request: Request<Incoming>) -> Response<BoxBody> {
    let each = slow.map(|bytes| (bytes / SENDS_PER_SECOND).max(1));
    let chunk = each.and_then(|each| usize::try_from(each).ok()).unwrap_or(CHUNK).min(CHUNK);
    let served = ServeDir::new(folder).with_buf_chunk_size(chunk).try_call(request).await;
    match served {
        Ok(response) => response.map(|body| match slow {
            Some(bytes_per_second) => slowed(body, bytes_per_second),
            None => body.boxed_unsync(),
        }),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

/// The body, each part of it after the time that it takes.
fn slowed<B>(body: B, bytes_per_second: u64) -> BoxBody
where
    B: Body<Data = Bytes, Error = io::Error> + Send + 'static,
{
    let parts = body.into_data_stream().then(move |part| async move {
        let bytes = part.as_ref().map_or(0, Bytes::len);
        let seconds = bytes as f64 / bytes_per_second.max(1) as f64;
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        part
    });
    StreamBody::new(parts.map_ok(Frame::data)).boxed_unsync()
}

/// Takes an upload, keeps nothing of it, and tells its length: all that a page needs to try one.
async fn take(mut body: Incoming) -> Response<BoxBody> {
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return plain(StatusCode::BAD_REQUEST, "the body ended early\n");
        };
        received += frame.data_ref().map_or(0, Bytes::len);
    }
    let mut answer = plain(StatusCode::OK, &format!("{{\"received\":{received}}}\n"));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn plain(status: StatusCode, text: &str) -> Response<BoxBody> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain;charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}
