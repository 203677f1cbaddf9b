//! Real proxies: tinyproxy and microsocks.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::ProxyProtocol;
use crate::watched::DEADLINE;

/// A running proxy. It is killed on drop.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    _directory: TempDir,
}

impl Process {
    pub(super) fn try_start(
        protocol: ProxyProtocol,
        user: Option<&str>,
        address: SocketAddr,
    ) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let (name, password) = user.and_then(|user| user.split_once(':')).unzip();
        let mut command = match protocol {
            ProxyProtocol::Http => {
                let mut config = format!(
                    "Port {}\nListen {}\nTimeout 600\nMaxClients 100\n",
                    address.port(),
                    address.ip()
                );
                if let (Some(name), Some(password)) = (name, password) {
                    config += &format!("BasicAuth {name} {password}\n");
                }
                let path = directory.path().join("tinyproxy.conf");
                std::fs::write(&path, config).expect("a file can be written");
                let mut command = Command::new("tinyproxy");
                command.arg("-d").arg("-c").arg(path);
                command
            }
            ProxyProtocol::Socks5 => {
                let mut command = Command::new("microsocks");
                command.args(["-i", &address.ip().to_string(), "-p", &address.port().to_string()]);
                if let (Some(name), Some(password)) = (name, password) {
                    command.args(["-u", name, "-P", password]);
                }
                command
            }
            ProxyProtocol::Https => return None,
        };
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = child.spawn().ok()?;
        let since = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = child.try_wait().expect("its own child");
            assert!(ended.is_none(), "the proxy has ended: {ended:?}");
            assert!(since.elapsed() < DEADLINE, "the proxy does not listen");
            #[expect(
                clippy::disallowed_methods,
                reason = "the proxy does not say when it listens"
            )]
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(Self { child, _directory: directory })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
