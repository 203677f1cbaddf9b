//! The trait for name look-ups, and the system's resolver.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::thread::Builder;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

/// Looks up host names.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `host`, the preferred ones first.
    ///
    /// It must not block. The fetcher limits the time of each look-up and how many run at once.
    /// Dropping the future cancels the look-up.
    ///
    /// # Errors
    /// The name has no address, or nobody could be asked. The attempt then ends as
    /// [`FaultKind::NoRoute`](bgfetch_model::attempt::FaultKind::NoRoute).
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;

    /// The port to connect to for URLs of `host` that have no explicit port, for example from an
    /// [HTTPS record](https://www.rfc-editor.org/rfc/rfc9460) of the DNS. If `None`, as by default,
    /// the port of the URL's scheme is used.
    fn port(&self, _host: &str) -> Option<u16> {
        None
    }

    /// Bytes that are sent first on each connection for URLs of `host` that have no explicit port,
    /// before any request; inside TLS for `https` URLs. With them, a server on this machine can tell
    /// the embedder from other programs. None by default.
    fn preamble(&self, _host: &str) -> Option<Vec<u8>> {
        None
    }
}

/// The system's resolver, except that
/// [`localhost`](https://www.w3.org/TR/secure-contexts/#localhost) always means this machine.
///
/// Each look-up has a thread of its own, because the system's function blocks and cannot be
/// cancelled. The thread of a cancelled look-up ends when that function returns. Nothing waits for
/// it, not even the end of the process.
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
            // The look-up may have been cancelled.
            drop(sender.send(addresses));
        };
        let started = Builder::new().name("bgfetch-resolver".into()).spawn(look_up);
        Box::pin(async move {
            started?;
            found.await.map_err(io::Error::other)?
        })
    }
}

pub(super) fn is_localhost(host: &str) -> bool {
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
