//! The origin's thread: its listener and its connections.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc as blocking};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::log::Log;
use super::respond::respond;
use super::wire::{Plug, Socket, Wire};
use crate::port::listen;
use crate::watched::Watched;

/// A request of the handle to the thread, which answers when it is done.
#[derive(Debug)]
pub(super) enum Command {
    Stop(blocking::Sender<()>),
    Listen(blocking::Sender<()>),
}

/// Accepts and serves connections on the origin's own thread.
pub(super) struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
}

impl Server {
    pub(super) fn new(shared: Arc<Shared>, address: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        Self { shared, address, tls }
    }

    pub(super) fn run(self, inbox: mpsc::UnboundedReceiver<Command>) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be built")
            .block_on(self.obey(inbox));
    }

    async fn obey(self, mut inbox: mpsc::UnboundedReceiver<Command>) {
        let mut listener = None;
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                command = inbox.recv() => {
                    let done = match command {
                        None => return,
                        Some(Command::Stop(done)) => {
                            listener = None;
                            connections.shutdown().await;
                            done
                        }
                        Some(Command::Listen(done)) => {
                            listener.get_or_insert_with(|| listen(self.address));
                            done
                        }
                    };
                    done.send(()).expect("the handle waits");
                }
                tcp = accept(listener.as_ref()) => {
                    connections.spawn(self.connection(tcp));
                }
                Some(ended) = connections.join_next() => {
                    if let Err(failed) = ended {
                        std::panic::resume_unwind(failed.into_panic());
                    }
                }
            }
        }
    }

    fn connection(&self, tcp: TcpStream) -> impl Future<Output = ()> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        let tls = self.tls.clone();
        let open = OpenConnection::new(&shared.log);
        async move {
            let number = open.number;
            // Small writes must be sent at once: tests count bytes, not packets.
            if tcp.set_nodelay(true).is_err() {
                return;
            }
            let socket = match tls {
                None => Socket::Plain(tcp),
                Some(tls) => match tls.accept(tcp).await {
                    Ok(stream) => Socket::Tls(Box::new(stream)),
                    // The client did not trust the certificate, or disconnected.
                    Err(_) => return,
                },
            };
            let plug = Plug::default();
            let wire = Wire::new(socket, plug.clone(), Arc::clone(&shared));
            // Clients number the streams of HTTP/2 with odd numbers.
            let streams = AtomicU32::new(1);
            let service = service_fn(move |request| {
                let stream = streams.fetch_add(2, Ordering::Relaxed);
                let reply = respond(Arc::clone(&shared), number, stream, plug.clone(), request);
                async { Ok::<_, Infallible>(reply.await) }
            });
            // The log of its requests records how a connection ended.
            auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(wire), service)
                .await
                .ok();
            drop(open);
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        None => std::future::pending().await,
        Some(listener) => listener.accept().await.expect("a listening socket accepts").0,
    }
}

/// Counts a connection while it is open.
struct OpenConnection {
    log: Arc<Watched<Log>>,
    number: usize,
}

impl OpenConnection {
    fn new(log: &Arc<Watched<Log>>) -> Self {
        let number = log.update(|log| {
            log.open_connections += 1;
            log.accepted += 1;
            log.accepted - 1
        });
        Self { log: Arc::clone(log), number }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.log.update(|log| log.open_connections -= 1);
    }
}
