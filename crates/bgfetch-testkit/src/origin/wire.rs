//! The connection beneath hyper, which can be cut at an exact byte.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

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

/// A handle that cuts the connection.
#[derive(Clone, Default)]
pub(super) struct Plug(Arc<Mutex<Pull>>);

#[derive(Default)]
struct Pull {
    requested: Option<CutKind>,
    connection: Option<Waker>,
}

impl Plug {
    /// Ends the connection as soon as hyper has flushed its buffers. The caller must give hyper
    /// nothing more.
    pub(super) fn pull(&self, how: CutKind) {
        let mut pull = self.0.lock();
        pull.requested = Some(how);
        if let Some(connection) = pull.connection.take() {
            connection.wake();
        }
    }
}

/// What hyper reads from and writes to.
pub(super) struct Wire {
    socket: Socket,
    plug: Plug,
}

impl Wire {
    pub(super) fn new(socket: Socket, plug: Plug) -> Self {
        Self { socket, plug }
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
        match &mut self.get_mut().socket {
            Socket::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Socket::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.socket {
            Socket::Plain(tcp) => ready!(Pin::new(tcp).poll_flush(cx))?,
            Socket::Tls(tls) => ready!(Pin::new(tls).poll_flush(cx))?,
        }
        let requested = this.plug.0.lock().requested;
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
