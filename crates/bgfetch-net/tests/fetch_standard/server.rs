//! The servers of one row: all hosts on two ports, with one script.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::table::Headers;

/// A request as received by a server.
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Headers,
    pub(crate) body: String,
}

/// A server's response.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: String,
}

/// The responses to send, and the requests received.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) answers: VecDeque<Answer>,
    pub(crate) seen: Vec<Seen>,
}

/// The servers. They end when this is dropped.
pub(crate) struct Servers {
    pub(crate) port: u16,
    pub(crate) other_port: u16,
    pub(crate) script: Arc<Mutex<Script>>,
    _tasks: JoinSet<()>,
}

impl Servers {
    pub(crate) async fn start(tls: Option<TlsAcceptor>) -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let mut tasks = JoinSet::new();
        let mut ports = [0; 2];
        for port in &mut ports {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            *port = listener.local_addr().unwrap().port();
            tasks.spawn(listen(listener, tls.clone(), Arc::clone(&script)));
        }
        Self { port: ports[0], other_port: ports[1], script, _tasks: tasks }
    }
}

async fn listen(listener: TcpListener, tls: Option<TlsAcceptor>, script: Arc<Mutex<Script>>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        connections.spawn(serve(socket, tls.clone(), Arc::clone(&script)));
    }
}

async fn serve(socket: TcpStream, tls: Option<TlsAcceptor>, script: Arc<Mutex<Script>>) {
    socket.set_nodelay(true).unwrap();
    let server = auto::Builder::new(TokioExecutor::new());
    let scheme = if tls.is_some() { "https" } else { "http" };
    let service = service_fn(move |request| answer(request, scheme, Arc::clone(&script)));
    let served = match tls {
        None => server.serve_connection(TokioIo::new(socket), service).await,
        Some(tls) => match tls.accept(socket).await {
            Ok(socket) => server.serve_connection(TokioIo::new(socket), service).await,
            Err(_) => return,
        },
    };
    // A client may disconnect in the middle of a response; only its side is tested.
    drop(served);
}

async fn answer(
    request: Request<Incoming>,
    scheme: &str,
    script: Arc<Mutex<Script>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let host = match parts.uri.authority() {
        Some(authority) => authority.to_string(),
        None => parts.headers["host"].to_str().unwrap().to_owned(),
    };
    let target = parts.uri.path_and_query().unwrap();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let seen = Seen {
        method: parts.method.to_string(),
        url: format!("{scheme}://{host}{target}"),
        headers: parts.headers.iter().map(text).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let answer = {
        let mut script = script.lock();
        script.seen.push(seen);
        script.answers.pop_front()
    };
    // An unexpected request gets a 418 without approval.
    let Some(answer) = answer else {
        return Ok(Response::builder().status(418).body(Full::default()).unwrap());
    };
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        let value: Vec<u8> = value.chars().map(|char| u8::try_from(char).unwrap()).collect();
        response = response.header(name, value);
    }
    Ok(response.body(answer.body.into()).unwrap())
}

fn text(
    (name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue),
) -> (String, String) {
    (name.to_string(), value.as_bytes().iter().copied().map(char::from).collect())
}
