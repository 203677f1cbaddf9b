//! Opens a tunnel to a server through a proxy.

use std::error::Error;
use std::pin::pin;

use ::hyper::client::conn::http1;
use bgfetch_model::attempt::FaultKind;
use futures_util::future::{Either, select};
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_socks::tcp::Socks5Stream;

use super::byte_stream::ByteStream;
use super::causes::causes;
use super::proxy::{Proxy, ProxyProtocol, ProxyServer, authority};
use super::{error, tls_error, words};

/// The largest head of a proxy's response that is read, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// Why a proxy leads nowhere. Its text contains no credentials, and it has no source, so that all
/// errors name the proxy as the cause.
#[derive(Debug, Error)]
#[error("{text}")]
pub(super) struct ProxyError {
    text: String,
    pub(super) kind: FaultKind,
    /// Whether the proxy works and has answered. Another proxy is not tried then: it could be one
    /// that the answer was meant to prevent.
    pub(super) is_answer: bool,
}

impl ProxyError {
    /// `proxy` cannot be reached, or violates its protocol.
    pub(super) fn failed(proxy: &Proxy, error: &(dyn Error + 'static)) -> Self {
        let tls = causes(error).find_map(tls_error::message);
        let kind = match tls {
            Some(_) => FaultKind::Tls,
            None => error::classify(error, FaultKind::Unreachable),
        };
        let why = tls.unwrap_or_else(|| words::of(error));
        Self { text: format!("the proxy {proxy} cannot be used: {why}"), kind, is_answer: false }
    }

    /// `proxy` refuses to connect to the server.
    fn refused(proxy: &Proxy, why: &str) -> Self {
        let text = format!("the proxy {proxy} does not connect to the server: {why}");
        Self { text, kind: FaultKind::Unreachable, is_answer: true }
    }

    /// `proxy` does not accept the user.
    fn credentials(proxy: &Proxy, server: &ProxyServer) -> Self {
        let text = match server.user {
            Some(_) => format!("the proxy {proxy} does not accept the user and password"),
            None => format!("the proxy {proxy} asks for a user and password"),
        };
        Self { text, kind: FaultKind::ProxyAuthentication, is_answer: true }
    }
}

/// Makes a tunnel to `host` and `port` of the connection `stream` to `proxy`.
pub(super) async fn open(
    proxy: &Proxy,
    server: &ProxyServer,
    stream: ByteStream,
    tls: &TlsConnector,
    host: &str,
    port: u16,
) -> Result<ByteStream, ProxyError> {
    let failed = |cause: &(dyn Error + 'static)| ProxyError::failed(proxy, cause);
    match server.protocol {
        ProxyProtocol::Http => connect(proxy, server, stream, host, port).await,
        ProxyProtocol::Https => {
            let name = ServerName::try_from(server.host.clone()).map_err(|cause| failed(&cause))?;
            let stream = tls.connect(name, stream).await.map_err(|cause| failed(&cause))?;
            connect(proxy, server, stream, host, port).await
        }
        ProxyProtocol::Socks5 => socks5(proxy, server, stream, host, port).await,
    }
}

/// [CONNECT](https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6).
async fn connect(
    proxy: &Proxy,
    server: &ProxyServer,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    port: u16,
) -> Result<ByteStream, ProxyError> {
    let failed = |cause: &(dyn Error + 'static)| ProxyError::failed(proxy, cause);
    let target = authority(host, port);
    let mut request = Request::builder().method(Method::CONNECT).uri(&target).header(HOST, &target);
    if let Some(user) = &server.user {
        let value = user.basic().map_err(|cause| failed(&cause))?;
        request = request.header(PROXY_AUTHORIZATION, value);
    }
    let request = request.body(String::new()).map_err(|cause| failed(&cause))?;
    let mut http = http1::Builder::new();
    let handshake = http.max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|cause| failed(&cause))?;
    let connection = pin!(connection.without_shutdown());
    let (status, parts) = match select(pin!(sender.send_request(request)), connection).await {
        Either::Left((response, connection)) => {
            let status = response.map_err(|cause| failed(&cause))?.status();
            // Otherwise the connection has not ended: it may be in the middle of a body.
            let parts = if status.is_success() { Some(connection.await) } else { None };
            (status, parts)
        }
        Either::Right((parts, response)) => {
            (response.await.map_err(|cause| failed(&cause))?.status(), Some(parts))
        }
    };
    match (status, parts) {
        (status, Some(parts)) if status.is_success() => {
            let parts = parts.map_err(|cause| failed(&cause))?;
            if parts.read_buf.is_empty() {
                Ok(ByteStream::other(parts.io.into_inner()))
            } else {
                // Neither a server of TLS nor one of HTTP speaks first.
                Err(ProxyError::refused(proxy, "it sent something else than a tunnel"))
            }
        }
        // tinyproxy answers a wrong password with 401.
        (StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED, _) => {
            Err(ProxyError::credentials(proxy, server))
        }
        (status, _) => Err(ProxyError::refused(proxy, &format!("status {}", status.as_u16()))),
    }
}

/// [SOCKS5](https://www.rfc-editor.org/rfc/rfc1928) with
/// [a user and password](https://www.rfc-editor.org/rfc/rfc1929), if there are any.
async fn socks5(
    proxy: &Proxy,
    server: &ProxyServer,
    stream: ByteStream,
    host: &str,
    port: u16,
) -> Result<ByteStream, ProxyError> {
    use tokio_socks::Error as Socks;

    let tunnel = match &server.user {
        Some(user) => {
            let (name, password) = (&*user.name, &*user.password);
            Socks5Stream::connect_with_password_and_socket(stream, (host, port), name, password)
                .await
        }
        None => Socks5Stream::connect_with_socket(stream, (host, port)).await,
    };
    match tunnel {
        Ok(tunnel) => Ok(ByteStream::other(tunnel.into_inner())),
        Err(
            Socks::PasswordAuthFailure(_)
            | Socks::NoAcceptableAuthMethods
            | Socks::AuthorizationRequired,
        ) => Err(ProxyError::credentials(proxy, server)),
        Err(
            cause @ (Socks::Io(_)
            | Socks::InvalidResponseVersion
            | Socks::UnknownAuthMethod
            | Socks::InvalidReservedByte
            | Socks::UnknownAddressType),
        ) => Err(ProxyError::failed(proxy, &cause)),
        Err(cause) => Err(ProxyError::refused(proxy, &cause.to_string())),
    }
}
