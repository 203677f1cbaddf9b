//! An HTTP/1.1 client that hides nothing: the bytes as they arrived, and how the connection ended.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use bgfetch_testkit::DEADLINE;

/// What arrived on a connection that was read to its end.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the connection was reset instead of closed.
    pub(crate) reset: bool,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends a request without a body, with additional header lines if any are given.
pub(crate) fn send(address: SocketAddr, target: &str, headers: &[&str]) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut request = format!("{target} HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    socket
}

/// Reads until the connection ends.
pub(crate) fn read_to_end(mut socket: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let reset = match socket.read_to_end(&mut bytes) {
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
        Err(error) => panic!("{error}"),
    };
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").map_or(0, |at| at + 4);
    Answer {
        head: String::from_utf8(bytes[..head].to_vec()).unwrap(),
        body: bytes[head..].to_vec(),
        reset,
    }
}

pub(crate) fn get(address: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    read_to_end(send(address, &format!("GET {path}"), headers))
}
