//! The seam to name look-ups, and the system's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::thread::Builder;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

/// Looks host names up.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `host`, the preferred ones first.
    ///
    /// It must not block. The fetcher limits its time, and how many run at once; dropping the future
    /// gives the look-up up.
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;

    /// The port where `host` is reached by URLs that name none, as an
    /// [HTTPS record](https://www.rfc-editor.org/rfc/rfc9460) of the DNS can tell. By default, and
    /// where there is none, the port of the URL's scheme.
    fn port(&self, _host: &str) -> Option<u16> {
        None
    }
}

/// The system's resolver, except that
/// [`localhost`](https://www.w3.org/TR/secure-contexts/#localhost) always means this machine.
///
/// Each look-up has a thread of its own, because the system's function blocks and cannot be stopped.
/// One that is given up ends when the system does, and nothing waits for it, the end of the process
/// included.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        if is_localhost(host) {
            let addresses = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return Box::pin(std::future::ready(Ok(addresses)));
        }
        let (sender, found) = oneshot::channel();
        let host = host.to_owned();
        let look_up = move || {
            let addresses = (host.as_str(), 0).to_socket_addrs();
            let addresses = addresses.map(|all| all.map(|address| address.ip()).collect());
            // Whoever asked may have given up.
            drop(sender.send(addresses));
        };
        let started = Builder::new().name("bgfetch-resolver".into()).spawn(look_up);
        Box::pin(async move {
            started?;
            found.await.map_err(io::Error::other)?
        })
    }
}

fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || host.rsplit_once('.').is_some_and(|(_, last)| last.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::is_localhost;

    #[test]
    fn localhost_and_its_subdomains_are_this_machine() {
        for host in ["localhost", "LOCALHOST.", "a.localhost", "a.b.localhost."] {
            assert!(is_localhost(host), "{host}");
        }
        for host in ["localhost.test", "notlocalhost", "localhost..", ""] {
            assert!(!is_localhost(host), "{host}");
        }
    }
}
