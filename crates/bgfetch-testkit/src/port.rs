//! Ports that stay reserved while nothing listens on them.

use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// A system-chosen TCP port, bound but not listening.
///
/// While it exists, connections are refused unless a socket with `SO_REUSEADDR` listens, and the
/// system gives the port to no other process: a server can stop and come back on the same port.
#[derive(Debug)]
pub(crate) struct ReservedPort {
    _socket: TcpSocket,
    address: SocketAddr,
}

impl ReservedPort {
    pub(crate) fn new(ip: IpAddr) -> Self {
        let socket = reusable(SocketAddr::new(ip, 0));
        let address = socket.local_addr().expect("the socket is bound");
        Self { _socket: socket, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Listens on an address whose port is reserved.
pub(crate) fn listen(address: SocketAddr) -> TcpListener {
    reusable(address).listen(1024).expect("nobody else can listen on a reserved port")
}

fn reusable(address: SocketAddr) -> TcpSocket {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
        .expect("the system has sockets");
    socket.set_reuseaddr(true).expect("SO_REUSEADDR is supported");
    socket.bind(address).unwrap_or_else(|error| panic!("cannot bind {address}: {error}"));
    socket
}
