//! Fetch's [connection pool](https://fetch.spec.whatwg.org/#concept-connection-pool), divided into
//! parts that share no connections.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::sign::CertifiedKey;
use url::{Origin, Url};

use super::connect::Connector;
use super::dialer::{Dialer, OpenStream};
use super::exchange::Exchange;
use super::limits::ServerLimits;
use super::lookups::Lookups;
use super::proxy::Proxy;
use super::upload::UploadBody;
use crate::fetch::TransportRequest;
use crate::fetch::local_network_access::Reach;
use crate::partition::{Partition, Partitioned};

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

/// The number of servers for which a part stores TLS sessions.
const TLS_SESSIONS: usize = 32;

/// The most combinations of what a connection may be shared by, of one partition. Only an embedder
/// that chooses very many proxies has more; then all idle connections of the partition are closed.
const MAX_CLIENTS: usize = 64;

/// The most origins of a partition that are remembered to require HTTP/1.1.
const MAX_HTTP1: usize = 64;

/// The most requests of a partition to one host with connections for themselves. Further ones share
/// a connection, so that no page opens many to one host.
const MAX_ALONE: usize = 6;

/// The most origins of a partition whose approvals are remembered. A forgotten one has to approve
/// again.
const MAX_APPROVALS: usize = 256;

/// What two requests of a partition to the same host must have in common to share a connection or a
/// TLS session: whether credentials are included, which addresses they may reach, the exchange, and
/// the proxies. So no request uses a connection to an address that its page may not reach, or
/// through a proxy that was not chosen for it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct PoolKey {
    credentials: bool,
    reach: Reach,
    exchange: Exchange,
    routes: Arc<[Proxy]>,
}

impl PoolKey {
    fn new(request: &TransportRequest, routes: &Arc<[Proxy]>, exchange: Exchange) -> Self {
        let (credentials, reach) = (request.credentials, request.reach);
        Self { credentials, reach, exchange, routes: Arc::clone(routes) }
    }
}

/// The connections of one partition, and what is known about its hosts.
#[derive(Default)]
struct Pool {
    clients: HashMap<PoolKey, HttpClient>,
    /// The origins that require HTTP/1.1; the most recent is last.
    http1: VecDeque<Origin>,
    approvals: Approvals,
    /// The hosts with requests that have connections for themselves.
    alone: HashMap<Origin, Weak<Origin>>,
}

/// A request that has a connection for itself, until this is dropped.
#[derive(Clone)]
pub(super) struct Alone(#[expect(dead_code, reason = "its owners are counted")] Arc<Origin>);

/// Whether the responses of origins that need approval, with or without credentials, were all
/// approved so far; the most recent origin is last.
#[derive(Default)]
struct Approvals(VecDeque<((Origin, bool), bool)>);

impl Approvals {
    fn note(&mut self, host: (Origin, bool), approved: bool) {
        if let Some((_, all)) = self.0.iter_mut().find(|(known, _)| *known == host) {
            *all &= approved;
            return;
        }
        self.0.push_back((host, approved));
        if self.0.len() > MAX_APPROVALS {
            self.0.pop_front();
        }
    }

    /// Whether there was one, and no refusal.
    fn are_all(&self, host: (Origin, bool)) -> bool {
        self.0.contains(&(host, true))
    }
}

/// The connections of all fetches.
pub(super) struct Pools {
    lookups: Arc<Lookups>,
    tls: ClientConfig,
    connect_limit: Duration,
    limits: ServerLimits,
    connector: Option<Arc<OpenStream>>,
    /// If one is dropped, its running fetches keep their connections, and idle ones are closed.
    pools: Mutex<Partitioned<Pool>>,
}

impl Pools {
    /// `connect_limit` is the time limit for opening a connection, without the look-up.
    pub(super) fn new(
        lookups: Arc<Lookups>,
        tls: ClientConfig,
        connect_limit: Duration,
        limits: ServerLimits,
        connector: Option<Arc<OpenStream>>,
    ) -> Self {
        Self { lookups, tls, connect_limit, limits, connector, pools: Mutex::default() }
    }

    /// The client for one request. Requests without credentials, including preflights,
    /// use connections without a client certificate.
    pub(super) fn client(
        &self,
        request: &TransportRequest,
        routes: &Arc<[Proxy]>,
        exchange: Exchange,
    ) -> HttpClient {
        let key = PoolKey::new(request, routes, exchange);
        let mut pools = self.pools.lock();
        let clients = &mut pools.entry(&request.partition).clients;
        if clients.len() >= MAX_CLIENTS && !clients.contains_key(&key) {
            clients.clear();
        }
        let new = || self.make(&request.partition, &key, usize::MAX);
        clients.entry(key.clone()).or_insert_with(new).clone()
    }

    /// Like [`client`](Self::client), but it starts without connections and keeps none.
    pub(super) fn fresh_client(
        &self,
        request: &TransportRequest,
        routes: &Arc<[Proxy]>,
        exchange: Exchange,
    ) -> HttpClient {
        self.make(&request.partition, &PoolKey::new(request, routes, exchange), 0)
    }

    /// The exchange to try first with the host of `url`.
    pub(super) fn exchange(&self, partition: &Partition, url: &Url) -> Exchange {
        let mut pools = self.pools.lock();
        let is_http1 = pools.get(partition).map(|pool| pool.http1.contains(&url.origin()));
        if is_http1 == Some(true) { Exchange::Http1 } else { Exchange::Usual }
    }

    /// Notes that the host of `url` requires HTTP/1.1.
    pub(super) fn require_http1(&self, partition: &Partition, url: &Url) {
        let mut pools = self.pools.lock();
        let http1 = &mut pools.entry(partition).http1;
        // Concurrent requests may all report it.
        if !http1.contains(&url.origin()) {
            http1.push_back(url.origin());
        }
        if http1.len() > MAX_HTTP1 {
            http1.pop_front();
        }
    }

    /// Decides whether a request that needs approval has a connection for itself. It does
    /// not if the host has approved a response, and every one so far.
    pub(super) fn alone(&self, request: &TransportRequest) -> Option<Alone> {
        let url = &request.url;
        let mut pools = self.pools.lock();
        let Pool { approvals, alone, .. } = pools.entry(&request.partition);
        if approvals.are_all((url.origin(), request.credentials)) {
            return None;
        }
        let known = alone.get(&url.origin()).and_then(Weak::upgrade);
        let host = known.unwrap_or_else(|| {
            alone.retain(|_, host| host.strong_count() > 0);
            let host = Arc::new(url.origin());
            alone.insert(url.origin(), Arc::downgrade(&host));
            host
        });
        (Arc::strong_count(&host) <= MAX_ALONE).then_some(Alone(host))
    }

    /// Notes whether the host of a request has approved its response.
    pub(super) fn note_approval(&self, request: &TransportRequest, approved: bool) {
        let mut pools = self.pools.lock();
        let approvals = &mut pools.entry(&request.partition).approvals;
        approvals.note((request.url.origin(), request.credentials), approved);
    }

    /// A client without connections, which keeps at most `idle` idle ones per host.
    fn make(&self, partition: &Partition, key: &PoolKey, idle: usize) -> HttpClient {
        let dialer = Dialer::new(
            Arc::clone(&key.routes),
            self.connector.clone(),
            &self.lookups,
            partition,
            key.reach,
            // A proxy is not the server that a client certificate is for.
            self.tls_for(false),
            self.connect_limit,
        );
        let connector = Connector::new(
            self.tls_for(key.credentials),
            dialer,
            Arc::clone(&self.lookups),
            key.reach,
            self.connect_limit,
            self.limits,
            key.exchange,
        );
        client(connector, &self.limits, key.exchange == Exchange::Tolerant, idle)
    }

    /// Drops all connections, and what is known about hosts. Running fetches keep their
    /// connections.
    pub(super) fn clear(&self) {
        self.pools.lock().clear();
    }

    fn tls_for(&self, credentials: bool) -> ClientConfig {
        let mut tls = self.tls.clone();
        // Clones would share the session cache, and a resumed session lets the server recognise the
        // client.
        tls.resumption = Resumption::in_memory_sessions(TLS_SESSIONS);
        if !credentials {
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
    use super::*;

    fn host(number: usize) -> (Origin, bool) {
        (Url::parse(&format!("https://{number}.test/")).unwrap().origin(), false)
    }

    #[test]
    fn a_refusal_outweighs_approvals_and_a_forgotten_host_has_to_approve_again() {
        let mut approvals = Approvals::default();
        assert!(!approvals.are_all(host(0)));
        for (approved, all) in [(true, true), (false, false), (true, false)] {
            approvals.note(host(0), approved);
            assert_eq!(approvals.are_all(host(0)), all);
        }
        approvals.note(host(1), true);
        assert!(!approvals.are_all((host(1).0, true)), "with credentials it is another matter");
        for number in 2..2 + MAX_APPROVALS {
            approvals.note(host(number), true);
        }
        assert!(!approvals.are_all(host(1)) && approvals.are_all(host(2)));
        assert_eq!(approvals.0.len(), MAX_APPROVALS);
    }
}
