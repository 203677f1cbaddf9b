//! Fetch's [connection pool](https://fetch.spec.whatwg.org/#concept-connection-pool), divided by what
//! must not share connections.

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

/// Sends requests by the connections of one part.
pub(super) type HttpClient = Client<Connector, UploadBody>;

/// Idle connections are closed after this time: servers commonly wait a little longer, so that a
/// request rarely meets a connection the server is about to close.
const IDLE: Duration = Duration::from_secs(50);

/// How much an HTTP/2 server may send ahead on one stream and on one connection. Large enough for
/// fast links with a long way (2 MiB every 20 ms is 100 MB/s), small enough for bounded memory.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// An HTTP/2 connection with streams on it that is silent for this long is asked for a sign of
/// life, and given up when none comes for as long again: before its streams' stall time-out, so
/// that a retry does not meet the dead connection again.
const PING: Duration = Duration::from_secs(12);

/// The most parts at a time. Each costs little but its idle connections, which close by themselves;
/// the number is there so that many sites cannot make it grow without end.
const MAX_POOLS: usize = 64;

/// How many servers' TLS sessions a part remembers.
const TLS_SESSIONS: usize = 32;

/// The most hosts that are known to require HTTP/1.1.
const MAX_HTTP1: usize = 256;

/// What two requests must have in common to share a connection or a TLS session, beside what is
/// requested: the partition, and whether credentials are included.
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
    /// The one used last at the end.
    pools: Mutex<Vec<(PoolKey, HttpClient)>>,
    /// The origins that require HTTP/1.1, each in its partition; the one noted last at the end.
    http1: Mutex<Vec<(Partition, Origin)>>,
}

impl Pools {
    /// A connection may take as long as `connect_limit`, the look-up not counted.
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

    /// The client for one request of a fetch. Those without credentials, preflights among them, go
    /// by connections that show no client certificate.
    pub(super) fn client(
        &self,
        fetch: &FetchRequest,
        credentials: bool,
        exchange: Exchange,
    ) -> HttpClient {
        self.get(PoolKey { partition: Partition::of(fetch), credentials, exchange })
    }

    /// As [`client`](Self::client), with no connection yet, and keeping none.
    pub(super) fn fresh_client(
        &self,
        fetch: &FetchRequest,
        credentials: bool,
        exchange: Exchange,
    ) -> HttpClient {
        self.make(&PoolKey { partition: Partition::of(fetch), credentials, exchange }, 0)
    }

    /// How to ask `url`'s host first.
    pub(super) fn exchange(&self, fetch: &FetchRequest, url: &Url) -> Exchange {
        let host = (Partition::of(fetch), url.origin());
        if self.http1.lock().contains(&host) { Exchange::Http1 } else { Exchange::Usual }
    }

    /// Notes that `url`'s host requires HTTP/1.1.
    pub(super) fn require_http1(&self, fetch: &FetchRequest, url: &Url) {
        let host = (Partition::of(fetch), url.origin());
        let mut http1 = self.http1.lock();
        // Requests that were sent at the same time all learn it.
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
            // Fetches that run in it keep it; only its idle connections close.
            pools.remove(0);
        }
        client
    }

    /// A client without connections, which keeps at most so many idle ones of each host.
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

    /// Forgets all connections, and what was learned of hosts. Fetches that run keep theirs.
    pub(super) fn clear(&self) {
        self.pools.lock().clear();
        self.http1.lock().clear();
    }

    fn tls_for(&self, key: &PoolKey) -> ClientConfig {
        let mut tls = self.tls.clone();
        // Clones share the session cache, and a resumed session tells the server who comes back.
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
    /// hyper panics below it.
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
        // The retry repeats only requests that hyper handed back unwritten from a pooled connection
        // that had just closed, so nothing is ever sent twice.
        .retry_canceled_requests(true)
        .build(connector)
}

/// Shows no client certificate.
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
