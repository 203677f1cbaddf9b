//! What a proxy and its client say before the tunnel is open.

use std::io;
use std::net::Ipv6Addr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection to a client.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// How a proxy opens tunnels.
#[derive(Clone, Debug)]
pub(super) struct Handshake {
    pub(super) is_socks: bool,
    /// `USER:PASSWORD`.
    pub(super) user: Option<String>,
    pub(super) targets: Arc<Mutex<Vec<String>>>,
}

impl Handshake {
    /// Opens the tunnel that the client wants, or returns none if it may not have it.
    pub(super) async fn open(&self, client: &mut Box<dyn Socket>) -> io::Result<Option<TcpStream>> {
        if self.is_socks { self.socks5(client).await } else { self.connect(client).await }
    }

    async fn connect(&self, client: &mut Box<dyn Socket>) -> io::Result<Option<TcpStream>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head);
        let mut words = head.split(' ');
        let (method, target) = (words.next(), words.next().unwrap_or_default());
        if method != Some("CONNECT") {
            client.write_all(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n").await?;
            return Ok(None);
        }
        if let Some(user) = &self.user {
            let expected = format!("proxy-authorization: basic {}", base64(user.as_bytes()));
            if !head.lines().any(|line| line.eq_ignore_ascii_case(&expected)) {
                // As tinyproxy does.
                let status = match head.to_ascii_lowercase().contains("proxy-authorization") {
                    true => "401 Unauthorized",
                    false => "407 Proxy Authentication Required",
                };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nsorry");
                client.write_all(answer.as_bytes()).await?;
                return Ok(None);
            }
        }
        match self.reach(target).await {
            Ok(server) => {
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                Ok(Some(server))
            }
            Err(_) => {
                client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await?;
                Ok(None)
            }
        }
    }

    async fn socks5(&self, client: &mut Box<dyn Socket>) -> io::Result<Option<TcpStream>> {
        assert_eq!(client.read_u8().await?, 5, "the version of SOCKS");
        let methods = text(client).await?;
        let method = if self.user.is_some() { 2 } else { 0 };
        if !methods.contains(&method) {
            client.write_all(&[5, 0xFF]).await?;
            return Ok(None);
        }
        client.write_all(&[5, method]).await?;
        if let Some(user) = &self.user {
            assert_eq!(client.read_u8().await?, 1, "the version of the sub-negotiation");
            let (name, password) = (text(client).await?, text(client).await?);
            let is_right = [name, password].join(&b':') == user.as_bytes();
            client.write_all(&[1, u8::from(!is_right)]).await?;
            if !is_right {
                return Ok(None);
            }
        }
        let mut request = [0; 4];
        client.read_exact(&mut request).await?;
        assert_eq!(request[..3], [5, 1, 0], "a request to connect");
        let host = match request[3] {
            1 => std::net::Ipv4Addr::from_bits(client.read_u32().await?).to_string(),
            3 => String::from_utf8(text(client).await?).unwrap(),
            _ => format!("[{}]", Ipv6Addr::from_bits(client.read_u128().await?)),
        };
        let port = client.read_u16().await?;
        let server = self.reach(&format!("{host}:{port}")).await;
        let status = if server.is_ok() { 0 } else { 5 };
        client.write_all(&[5, status, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        Ok(server.ok())
    }

    async fn reach(&self, target: &str) -> io::Result<TcpStream> {
        self.targets.lock().push(target.to_owned());
        match target.parse::<std::net::SocketAddr>() {
            Ok(address) => TcpStream::connect(address).await,
            Err(_) => {
                let port = target.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
                TcpStream::connect(("127.0.0.1", port.unwrap_or_default())).await
            }
        }
    }
}

/// Bytes after their length in one byte.
async fn text(client: &mut Box<dyn Socket>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let index = bits >> (18 - 6 * digit) & 63;
            text.push(if digit <= chunk.len() { DIGITS[index as usize].into() } else { '=' });
        }
    }
    text
}
