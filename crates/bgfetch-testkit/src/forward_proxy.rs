//! Forward proxies: one of our own, and real ones.

mod handshake;
mod process;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc as blocking};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use self::handshake::{Handshake, Socket};
use self::process::Process;
use crate::certificates::Certificates;
use crate::port::{self, ReservedPort};

/// The protocol of a [`ForwardProxy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// HTTP with `CONNECT`.
    Http,
    /// HTTP with `CONNECT`, over TLS.
    Https,
    /// SOCKS5.
    Socks5,
}

/// A proxy on a system-chosen port of 127.0.0.1, which opens tunnels. It ends when it is dropped.
#[derive(Debug)]
pub struct ForwardProxy {
    protocol: ProxyProtocol,
    /// `USER:PASSWORD`.
    user: Option<String>,
    port: ReservedPort,
    certificates: Option<Arc<Certificates>>,
    targets: Arc<Mutex<Vec<String>>>,
    running: Option<Running>,
}

#[derive(Debug)]
enum Running {
    Own { end: mpsc::UnboundedSender<()>, thread: JoinHandle<()> },
    Real(Process),
}

impl ForwardProxy {
    /// Starts a proxy of our own. It needs `USER:PASSWORD`, if that is set. All names mean 127.0.0.1.
    #[must_use]
    pub fn start(protocol: ProxyProtocol, user: Option<&str>) -> Self {
        let mut proxy = Self::stopped(protocol, user);
        proxy.running = Some(proxy.run());
        proxy
    }

    /// Starts tinyproxy or microsocks, or returns none if it is not installed. There is none over TLS.
    ///
    /// # Panics
    ///
    /// If it is installed and does not start.
    #[must_use]
    pub fn try_start_real(protocol: ProxyProtocol, user: Option<&str>) -> Option<Self> {
        let mut proxy = Self::stopped(protocol, user);
        let process = Process::try_start(protocol, user, proxy.address())?;
        proxy.running = Some(Running::Real(process));
        Some(proxy)
    }

    fn stopped(protocol: ProxyProtocol, user: Option<&str>) -> Self {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let is_tls = protocol == ProxyProtocol::Https;
        Self {
            protocol,
            user: user.map(String::from),
            port: ReservedPort::new(ip),
            certificates: is_tls.then(|| Arc::new(Certificates::for_server(ip))),
            targets: Arc::default(),
            running: None,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its URL with its own user and password.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_with(self.user.as_deref())
    }

    /// Its URL with this `USER:PASSWORD`.
    #[must_use]
    pub fn url_with(&self, user: Option<&str>) -> String {
        let scheme = match self.protocol {
            ProxyProtocol::Http => "http",
            ProxyProtocol::Https => "https",
            ProxyProtocol::Socks5 => "socks5",
        };
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        format!("{scheme}://{user}{}", self.address())
    }

    /// Its certificate, if it uses TLS.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_deref()
    }

    /// The servers that it was asked for, as `HOST:PORT`. Real proxies do not tell.
    #[must_use]
    pub fn targets(&self) -> Vec<String> {
        self.targets.lock().clone()
    }

    /// Ends it and all its tunnels. Its port refuses connections.
    pub fn stop(&mut self) {
        match self.running.take() {
            Some(Running::Own { end, thread }) => {
                drop(end);
                thread.join().expect("the proxy has not panicked");
            }
            Some(Running::Real(process)) => drop(process),
            None => {}
        }
    }

    /// Ends it and all its tunnels, and starts it again on the same port.
    ///
    /// # Panics
    ///
    /// If a real one does not start again.
    pub fn restart(&mut self) {
        let is_real = matches!(self.running, Some(Running::Real(_)));
        self.stop();
        self.running = Some(if is_real {
            let process = Process::try_start(self.protocol, self.user.as_deref(), self.address());
            Running::Real(process.expect("it was installed"))
        } else {
            self.run()
        });
    }

    fn run(&self) -> Running {
        let handshake = Handshake {
            is_socks: self.protocol == ProxyProtocol::Socks5,
            user: self.user.clone(),
            targets: Arc::clone(&self.targets),
        };
        let tls = self.certificates.as_ref();
        let tls = tls.map(|it| TlsAcceptor::from(Arc::new(it.server_config(&["http/1.1"]))));
        let address = self.address();
        let (end, inbox) = mpsc::unbounded_channel();
        let (listens, listening) = blocking::channel();
        let thread = std::thread::Builder::new()
            .name("proxy".into())
            .spawn(move || {
                let runtime =
                    Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(serve(address, handshake, tls, listens, inbox));
            })
            .expect("a thread can be started");
        // Connections before this would be refused.
        listening.recv().expect("the proxy listens");
        Running::Own { end, thread }
    }
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(
    address: SocketAddr,
    handshake: Handshake,
    tls: Option<TlsAcceptor>,
    listens: blocking::Sender<()>,
    mut end: mpsc::UnboundedReceiver<()>,
) {
    let listener = port::listen(address);
    listens.send(()).expect("the test waits");
    let mut tunnels = JoinSet::new();
    loop {
        tokio::select! {
            _ = end.recv() => return,
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { return };
                tunnels.spawn(tunnel(socket, handshake.clone(), tls.clone()));
            }
        }
    }
}

async fn tunnel(socket: TcpStream, handshake: Handshake, tls: Option<TlsAcceptor>) {
    let mut socket: Box<dyn Socket> = match tls {
        None => Box::new(socket),
        Some(tls) => match tls.accept(socket).await {
            Ok(socket) => Box::new(socket),
            Err(_) => return,
        },
    };
    // A client may leave at any time, and a server may be gone; the test looks at its own side.
    if let Ok(Some(mut server)) = handshake.open(&mut socket).await {
        drop(copy_bidirectional(&mut socket, &mut server).await);
    }
}
