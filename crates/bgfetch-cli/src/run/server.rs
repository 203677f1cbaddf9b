//! The folder server, on loopback.
//!
//! Other users of the machine can connect to it, too. So each connection must begin with a token
//! that only this process knows, and gets no answer without it.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
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
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tower_http::services::ServeDir;
use tower_service::Service as _;

use super::beneath::Beneath;
use super::folders::Folders;

type BoxBody = UnsyncBoxBody<Bytes, io::Error>;

/// How many times a second a slowed response sends data.
const SENDS_PER_SECOND: u64 = 20;

/// How many bytes are read from a file at once.
const CHUNK: usize = 64 << 10;

/// The length of the token, in bytes.
const TOKEN: usize = 32;

/// How long a connection may take to send the token.
const TOKEN_TIME: Duration = Duration::from_secs(5);

/// How many connections may be waiting for their token at the same time. Others are closed.
const WITHOUT_TOKEN: usize = 64;

/// Where the server is, and the token with which each connection must begin.
#[derive(Clone, Copy)]
pub(super) struct ServerAddress {
    pub(super) port: u16,
    pub(super) token: [u8; TOKEN],
}

/// Serves until it is dropped. Each request is answered from the folder that its host represents.
pub(super) struct Server {
    address: ServerAddress,
    accepting: AbortHandle,
}

impl Server {
    /// Starts on a port that the system chooses. `slow` limits each body to that many bytes per
    /// second.
    ///
    /// # Errors
    ///
    /// The system assigned no port, or has no random numbers.
    pub(super) async fn start(folders: Arc<Folders>, slow: Option<u64>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let mut token = [0; TOKEN];
        getrandom::fill(&mut token).map_err(io::Error::other)?;
        let address = ServerAddress { port: listener.local_addr()?.port(), token };
        let accepting = tokio::spawn(accept(listener, token, folders, slow)).abort_handle();
        Ok(Self { address, accepting })
    }

    pub(super) fn address(&self) -> ServerAddress {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    token: [u8; TOKEN],
    folders: Arc<Folders>,
    slow: Option<u64>,
) {
    let strangers = Arc::new(Semaphore::new(WITHOUT_TOKEN));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(stranger) = Arc::clone(&strangers).try_acquire_owned() else { continue };
                let folders = Arc::clone(&folders);
                tokio::spawn(async move {
                    if let Some(stream) = with_token(stream, token).await {
                        drop(stranger);
                        serve(stream, folders, slow).await;
                    }
                });
            }
            // For example too many open files, which is temporary.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// The connection after its token. `None` if it has none.
async fn with_token(mut stream: TcpStream, token: [u8; TOKEN]) -> Option<TcpStream> {
    let mut given = [0; TOKEN];
    let read = tokio::time::timeout(TOKEN_TIME, stream.read_exact(&mut given)).await;
    // The time of the comparison does not tell how many bytes are right.
    let differs = given.iter().zip(token).fold(0, |differs, (a, b)| differs | (a ^ b));
    (matches!(read, Ok(Ok(_))) && differs == 0).then_some(stream)
}

async fn serve(stream: TcpStream, folders: Arc<Folders>, slow: Option<u64>) {
    let service = service_fn(|request| {
        let folders = Arc::clone(&folders);
        async move { Ok::<_, Infallible>(answer(&folders, slow, request).await) }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    let served = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    // A client that disconnects is not an error of the server.
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
        Method::GET | Method::HEAD => file(folder, slow, request).await,
        Method::POST | Method::PUT => take(request.into_body()).await,
        _ => {
            let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "");
            let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT");
            refusal.headers_mut().insert(ALLOW, allowed);
            refusal
        }
    }
}

/// A file of the folder, or the requested range, with a strong validator.
async fn file(folder: PathBuf, slow: Option<u64>, request: Request<Incoming>) -> Response<BoxBody> {
    let each = slow.map(|bytes| (bytes / SENDS_PER_SECOND).max(1));
    let chunk = each.and_then(|each| usize::try_from(each).ok()).unwrap_or(CHUNK).min(CHUNK);
    let files = ServeDir::with_backend("", Beneath::new(folder)).with_buf_chunk_size(chunk);
    let Ok(response) = { files }.call(request).await;
    response.map(|body| match slow {
        Some(bytes_per_second) => slowed(body, bytes_per_second),
        None => body.boxed_unsync(),
    })
}

/// The body, with each part delayed by the time it takes to send.
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

/// Accepts an upload, discards it and returns its length, which is enough for trying out a page.
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

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    const CONTENT: &[u8] = b"0123456789";

    /// A server for one folder that contains a file `x.mp3`.
    async fn start(slow: Option<u64>) -> (TempDir, Server) {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("app")).unwrap();
        std::fs::write(place.path().join("app/x.mp3"), CONTENT).unwrap();
        std::fs::write(place.path().join("app/.hidden"), "hidden").unwrap();
        std::fs::write(place.path().join("secret"), "secret").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("../secret", place.path().join("app/link")).unwrap();
        let folders = Folders::open(place.path()).unwrap();
        assert_eq!(folders.host_of(&place.path().join("app")).unwrap(), "app.localhost");
        let server = Server::start(Arc::new(folders), slow).await.unwrap();
        (place, server)
    }

    /// The head, in lower case, and the body of the response to a request.
    async fn ask(server: &Server, request: &str) -> (String, Vec<u8>) {
        let ServerAddress { port, token } = server.address();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        stream.write_all(&token).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase();
        (head, answer.split_off(end + 4))
    }

    fn request(line: &str, headers: &str) -> String {
        format!("{line} HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n{headers}\r\n")
    }

    #[tokio::test]
    async fn a_part_of_a_file_comes_with_the_strong_validator_of_the_whole() {
        let (_place, server) = start(None).await;
        let (whole, body) = ask(&server, &request("GET /x.mp3", "")).await;
        assert!(whole.starts_with("http/1.1 200") && whole.contains("content-type: audio/mpeg"));
        assert_eq!(body, CONTENT);
        let etag = whole.lines().find(|line| line.starts_with("etag: \"")).unwrap();
        let (part, body) = ask(&server, &request("GET /x.mp3", "Range: bytes=4-\r\n")).await;
        assert!(part.starts_with("http/1.1 206"), "{part}");
        assert!(part.contains("content-range: bytes 4-9/10") && part.contains(etag), "{part}");
        assert_eq!(body, b"456789");
    }

    #[tokio::test]
    async fn nothing_but_the_folder_of_the_host_is_served() {
        let (_place, server) = start(None).await;
        for (line, status) in [
            ("GET /y.mp3", "404"),
            ("GET /../secret", "404"),
            ("GET /%2e%2e/secret", "404"),
            ("GET /.hidden", "404"),
            ("GET /%2ehidden", "404"),
            ("GET /link", "404"),
            ("DELETE /x.mp3", "405"),
        ] {
            let (head, _) = ask(&server, &request(line, "")).await;
            assert!(head.starts_with(&format!("http/1.1 {status}")), "{line}: {head}");
        }
        let other = request("GET /x.mp3", "").replace("app.localhost", "evil.test");
        let (head, _) = ask(&server, &other).await;
        assert!(head.starts_with("http/1.1 421"), "{head}");
    }

    #[tokio::test]
    async fn who_does_not_know_the_token_gets_no_answer() {
        let (_place, server) = start(None).await;
        let ServerAddress { port, token } = server.address();
        let mut wrong = token;
        wrong[TOKEN - 1] ^= 1;
        let request = request("GET /x.mp3", "");
        for given in [&[][..], &wrong, &token[1..]] {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
            stream.write_all(&[given, request.as_bytes()].concat()).await.unwrap();
            let mut answer = Vec::new();
            // The server closes the connection, which may reset it.
            drop(stream.read_to_end(&mut answer).await);
            assert_eq!(answer, b"", "{} bytes", given.len());
        }
    }

    #[tokio::test]
    async fn an_upload_is_answered_with_its_length() {
        let (_place, server) = start(None).await;
        for method in ["POST", "PUT"] {
            let upload = request(&format!("{method} /any"), "Content-Length: 3\r\n") + "abc";
            let (head, body) = ask(&server, &upload).await;
            assert!(head.starts_with("http/1.1 200") && head.contains("application/json"));
            assert_eq!(body, b"{\"received\":3}\n");
        }
    }

    #[tokio::test]
    async fn a_slowed_file_is_whole() {
        let (_place, server) = start(Some(1000)).await;
        let (_, body) = ask(&server, &request("GET /x.mp3", "")).await;
        assert_eq!(body, CONTENT);
    }
}
