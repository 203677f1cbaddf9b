//! Fetch's [connection pool](https://fetch.spec.whatwg.org/#concept-connection-pool), divided into
//! parts that share no connections.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::sign::CertifiedKey;
use url::{Origin, Url};

use super::connect::Connector;
use super::exchange::Exchange;
use super::limits::ServerLimits;
use super::lookups::Lookups;
use super::partition::Partition;
use super::upload::UploadBody;
use crate::fetcher::FetchRequest;

/// Sends requests over the connections of one part.
pub(super) type HttpClient = Client<Connector, UploadBody>;

/// Idle connections are closed after this time. Servers usually wait a little longer, so a request
/// rarely uses a connection that the server is about to close.
const IDLE: Duration = Duration::from_secs(50);

/// The HTTP/2 flow-control windows of a stream and of a connection. They are large enough for fast
/// links with high latency (2 MiB every 20 ms is 100 MB/s), and small enough to bound memory.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// If an HTTP/2 connection with open streams is silent for this long, a ping is sent, and if there
/// is no answer for as long again, the connection is closed. This happens before the idle timeout
/// of its streams, so a retry does not use the dead connection again.
const PING: Duration = Duration::from_secs(12);

/// The most parts at a time. A part costs little except for its idle connections, which are closed
/// after a while. The limit only prevents unbounded growth with many sites.
const MAX_POOLS: usize = 64;

/// The number of servers for which a part stores TLS sessions.
const TLS_SESSIONS: usize = 32;

/// The most origins that are remembered to require HTTP/1.1.
const MAX_HTTP1: usize = 256;

/// What two requests to the same host must have in common to share a connection or a TLS session:
/// the partition, and whether credentials are included.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PoolKey {
    partition: Partition,
    credentials: bool,
    exchange: Exchange,
}

/// The connections of all fetches.
pub(super) struct Pools {
    lookups: Arc<Lookups>,
    tls: ClientConfig,
    connect_limit: Duration,
    limits: ServerLimits,
    /// Ordered by last use; the most recent is last.
    pools: Mutex<Vec<(PoolKey, HttpClient)>>,
    /// The origins that require HTTP/1.1, each with its partition; the most recent is last.
    http1: Mutex<Vec<(Partition, Origin)>>,
}

impl Pools {
    /// `connect_limit` is the time limit for opening a connection, without the look-up.
    pub(super) fn new(
        lookups: Arc<Lookups>,
        tls: ClientConfig,
        connect_limit: Duration,
        limits: ServerLimits,
    ) -> Self {
        Self {
            lookups,
            tls,
            connect_limit,
            limits,
            pools: Mutex::default(),
            http1: Mutex::default(),
        }
    }

    /// The client for one request of a fetch. Requests without credentials, including preflights,
    /// use connections without a client certificate.
    pub(super) fn client(
        &self,
        fetch: &FetchRequest,
        credentials: bool,
        exchange: Exchange,
    ) -> HttpClient {
        self.get(PoolKey { partition: Partition::of(fetch), credentials, exchange })
    }

    /// Like [`client`](Self::client), but it starts without connections and keeps none.
    pub(super) fn fresh_client(
        &self,
        fetch: &FetchRequest,
        credentials: bool,
        exchange: Exchange,
    ) -> HttpClient {
        self.make(&PoolKey { partition: Partition::of(fetch), credentials, exchange }, 0)
    }

    /// The exchange to try first with the host of `url`.
    pub(super) fn exchange(&self, fetch: &FetchRequest, url: &Url) -> Exchange {
        let host = (Partition::of(fetch), url.origin());
        if self.http1.lock().contains(&host) { Exchange::Http1 } else { Exchange::Usual }
    }

    /// Notes that the host of `url` requires HTTP/1.1.
    pub(super) fn require_http1(&self, fetch: &FetchRequest, url: &Url) {
        let host = (Partition::of(fetch), url.origin());
        let mut http1 = self.http1.lock();
        // Concurrent requests may all report it.
        if !http1.contains(&host) {
            http1.push(host);
        }
        if http1.len() > MAX_HTTP1 {
            http1.remove(0);
        }
    }

    fn get(&self, key: PoolKey) -> HttpClient {
        let mut pools = self.pools.lock();
        let entry = match pools.iter().position(|(other, _)| *other == key) {
            Some(at) => pools.remove(at),
            None => {
                let client = self.make(&key, usize::MAX);
                (key, client)
            }
        };
        let client = entry.1.clone();
        pools.push(entry);
        if pools.len() > MAX_POOLS {
            // Its running fetches keep it; only its idle connections are closed.
            pools.remove(0);
        }
        client
    }

    /// A client without connections, which keeps at most `idle` idle ones per host.
    fn make(&self, key: &PoolKey, idle: usize) -> HttpClient {
        let connector = Connector::new(
            self.tls_for(key),
            Arc::clone(&self.lookups),
            key.partition.clone(),
            self.connect_limit,
            self.limits.informational,
            key.exchange,
        );
        client(connector, &self.limits, key.exchange == Exchange::Tolerant, idle)
    }

    /// Drops all connections, and what is known about hosts. Running fetches keep their
    /// connections.
    pub(super) fn clear(&self) {
        self.pools.lock().clear();
        self.http1.lock().clear();
    }

    fn tls_for(&self, key: &PoolKey) -> ClientConfig {
        let mut tls = self.tls.clone();
        // Clones would share the session cache, and a resumed session lets the server recognise the
        // client.
        tls.resumption = Resumption::in_memory_sessions(TLS_SESSIONS);
        if !key.credentials {
            tls.client_auth_cert_resolver = Arc::new(NoCertificate);
        }
        tls
    }
}

fn client(
    connector: Connector,
    limits: &ServerLimits,
    is_tolerant: bool,
    idle: usize,
) -> HttpClient {
    /// hyper panics below this value.
    const LEAST_BUFFER: usize = 8 << 10;
    let head_size = limits.head_size as usize;
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(idle)
        .http1_allow_obsolete_multiline_headers_in_responses(is_tolerant)
        .http1_allow_spaces_after_header_name_in_responses(is_tolerant)
        .http1_ignore_invalid_headers_in_responses(is_tolerant)
        .http1_max_buf_size(head_size.max(LEAST_BUFFER))
        .http1_max_headers(limits.headers)
        .http2_max_header_list_size(limits.head_size)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING)
        // hyper only retries requests that were not written, because their pooled connection had
        // just been closed. So nothing is ever sent twice.
        .retry_canceled_requests(true)
        .build(connector)
}

/// Removes the client certificate.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _schemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use bgfetch_model::ids::StorageKey;

    use super::*;
    use crate::hyper::connect;
    use crate::hyper::resolve::SystemResolver;

    fn key(partition: usize, credentials: bool) -> PoolKey {
        PoolKey {
            partition: Partition::Site(StorageKey(partition.to_string())),
            credentials,
            exchange: Exchange::Usual,
        }
    }

    #[tokio::test]
    async fn the_parts_are_bounded_and_the_longest_unused_goes() {
        let (tls, limit) = (connect::default_tls().unwrap(), Duration::from_secs(1));
        let lookups = Arc::new(Lookups::new(Arc::new(SystemResolver), limit));
        let pools = Pools::new(lookups, tls, limit, ServerLimits::default());
        for n in 0..MAX_POOLS {
            pools.get(key(n, true));
        }
        pools.get(key(0, true));
        pools.get(key(MAX_POOLS, true));
        let held: Vec<_> = pools.pools.lock().iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(held.len(), MAX_POOLS);
        assert!(held.contains(&key(0, true)) && !held.contains(&key(1, true)));
        pools.clear();
        assert!(pools.pools.lock().is_empty());
    }
}
