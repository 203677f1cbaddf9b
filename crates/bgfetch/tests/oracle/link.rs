//! A link between the engine and a server that is slow without a clock.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

/// How many bytes each connection delivers to the engine: enough for a handshake and some heads. A
/// response behind a larger body never arrives, so waiting for such a body is a test that hangs.
const DELIVERED: u64 = 64 << 10;

/// Forwards connections to a server, and delivers the first bytes of each alone.
pub(crate) struct Link {
    address: SocketAddr,
    _connections: JoinSet<()>,
}

impl Link {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut forwarded = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                forwarded.spawn(forward(near, server));
            }
        });
        Self { address, _connections: connections }
    }

    /// The URL of the server's resource by way of this link.
    pub(crate) fn url(&self, of: &Url) -> Url {
        let mut url = of.clone();
        url.set_port(Some(self.address.port())).unwrap();
        url
    }
}

async fn forward(mut near: TcpStream, server: SocketAddr) {
    let mut far = TcpStream::connect(server).await.unwrap();
    for socket in [&near, &far] {
        socket.set_nodelay(true).unwrap();
    }
    let (mut from_near, mut to_near) = near.split();
    let (from_far, mut to_far) = far.split();
    let up = async {
        // Either side may disconnect at any time.
        drop(copy(&mut from_near, &mut to_far).await);
        drop(to_far.shutdown().await);
    };
    let down = async {
        let delivered = copy(&mut from_far.take(DELIVERED), &mut to_near).await;
        if delivered.is_ok_and(|length| length < DELIVERED) {
            drop(to_near.shutdown().await);
        }
    };
    tokio::join!(up, down);
}
