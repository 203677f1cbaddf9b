//! The connection beneath hyper, which can be cut at an exact byte, and can send bytes that hyper
//! would not send.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::Shared;
use super::reply::CutKind;

/// A plain or encrypted socket.
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_mut().0,
        }
    }
}

/// A handle that sends bytes past hyper, and cuts the connection.
#[derive(Clone, Default)]
pub(super) struct Plug(Arc<Mutex<Pull>>);

#[derive(Default)]
struct Pull {
    raw: Bytes,
    requested: Option<CutKind>,
    connection: Option<Waker>,
}

impl Plug {
    /// Ends the connection as soon as hyper has flushed its buffers. The caller must give hyper
    /// nothing more.
    pub(super) fn pull(&self, how: CutKind) {
        self.send(Bytes::new(), Some(how));
    }

    /// Sends `bytes` as soon as hyper has flushed its buffers, then ends the connection if that is
    /// wanted. Over HTTP/1.1, the caller must give hyper nothing more.
    pub(super) fn send(&self, bytes: Bytes, end: Option<CutKind>) {
        let mut pull = self.0.lock();
        pull.raw = bytes;
        pull.requested = end;
        if let Some(connection) = pull.connection.take() {
            connection.wake();
        }
    }
}

/// What hyper reads from and writes to.
pub(super) struct Wire {
    socket: Socket,
    plug: Plug,
    /// The rest of the bytes that do not come from hyper. None of hyper's may come between them.
    raw: Bytes,
    shared: Arc<Shared>,
}

impl Wire {
    pub(super) fn new(socket: Socket, plug: Plug, shared: Arc<Shared>) -> Self {
        Self { socket, plug, raw: Bytes::new(), shared }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(match &mut self.socket {
            Socket::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Socket::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        })?;
        self.shared.written.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_send_raw(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.raw.is_empty() {
            let rest = self.raw.clone();
            let written = ready!(self.poll_send(cx, &rest))?;
            self.raw.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.plug.0.lock().connection = Some(cx.waker().clone());
        match &mut this.socket {
            Socket::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Socket::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send_raw(cx))?;
        this.poll_send(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let requested = loop {
            ready!(this.poll_send_raw(cx))?;
            match &mut this.socket {
                Socket::Plain(tcp) => ready!(Pin::new(tcp).poll_flush(cx))?,
                Socket::Tls(tls) => ready!(Pin::new(tls).poll_flush(cx))?,
            }
            let mut pull = this.plug.0.lock();
            if pull.raw.is_empty() {
                break pull.requested;
            }
            this.raw = std::mem::take(&mut pull.raw);
        };
        match requested {
            None => Poll::Ready(Ok(())),
            // Only our half ends, beneath TLS (a truncation, not a close_notify). hyper keeps
            // reading until the client is gone: closing a socket with unread bytes would turn the
            // FIN into a reset.
            Some(CutKind::Fin) => Pin::new(this.socket.tcp()).poll_shutdown(cx),
            Some(CutKind::Reset) => {
                this.socket.tcp().set_zero_linger()?;
                // hyper drops the connection, and closing it now sends RST.
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Socket::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
