//! [HTTP-network fetch](https://fetch.spec.whatwg.org/#concept-http-network-fetch) over hyper:
//! chooses the connection and the exchange, and undoes content codings.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use url::{Host, Url};

use super::coding::Coding;
use super::decode::{self, Claim};
use super::decoder_memory::DecoderMemory;
use super::error;
use super::exchange::Exchange;
use super::limits::ServerLimits;
use super::lookups::Lookups;
use super::network_fetch::{NoResponse, Received, message, network_fetch};
use super::pools::Pools;
use super::proxy::Proxy;
use crate::fetch::headers::isomorphic_decode;
use crate::fetch::{Transport, TransportRequest, TransportResponse};
use crate::fetcher::FetchError;

/// The codings that requests accept; [`decode`] supports the same ones.
const CODINGS: HeaderValue = HeaderValue::from_static("gzip, deflate, br, zstd");
/// Those that need little memory.
const SMALL_CODINGS: HeaderValue = HeaderValue::from_static("gzip, deflate");

/// Sends messages over hyper and rustls.
pub(super) struct HyperTransport(pub(super) Arc<Network>);

/// Chooses the proxies for a URL, in order of preference.
pub(super) type ChooseProxies = dyn Fn(&Url) -> BoxFuture<'static, Vec<Proxy>> + Send + Sync;

/// The state that all requests share.
pub(super) struct Network {
    pub(super) lookups: Arc<Lookups>,
    pub(super) pools: Pools,
    /// Whether names are looked up here, and not by an embedder's connector.
    pub(super) looks_up: bool,
    pub(super) choose_proxies: Option<Arc<ChooseProxies>>,
    pub(super) decoder_memory: Arc<DecoderMemory>,
    pub(super) limits: ServerLimits,
}

impl Transport for HyperTransport {
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'static, Result<TransportResponse, FetchError>> {
        let network = Arc::clone(&self.0);
        Box::pin(async move {
            let sent = network.send(&request).await;
            // If the user allows it, the request comes again for the same address.
            if sent.as_ref().is_err_and(|error| error.local_network_denied().is_none()) {
                network.forget_addresses(&request);
            }
            sent
        })
    }

    /// Drops connections and the answers of look-ups. Running requests keep their connections until
    /// they end.
    fn network_changed(&self) {
        self.0.lookups.clear();
        self.0.pools.clear();
    }
}

impl Network {
    async fn send(
        self: &Arc<Self>,
        request: &TransportRequest,
    ) -> Result<TransportResponse, FetchError> {
        let routes = self.routes(&request.url).await;
        if self.looks_up && routes.first().is_none_or(|first| *first == Proxy::DIRECT) {
            self.look_up(request).await?;
        }
        let set_aside = || self.decoder_memory.set_aside(&request.partition);
        let memory = request.accepts_codings.then(set_aside).flatten();
        let mut headers = request.headers.clone();
        if request.accepts_codings {
            let codings = if memory.is_some() { CODINGS } else { SMALL_CODINGS };
            headers.insert(ACCEPT_ENCODING, codings);
        }
        let received = self.exchange(request, &routes, &headers).await?;
        let codings = decode::codings(received.header_map(), self.limits.codings);
        let content_type = received.header_map().get(CONTENT_TYPE);
        let content_type = content_type.map(|value| isomorphic_decode(value.as_bytes()));
        let is_own = |it: &Coding| request.keeps_coding(it.name(), content_type.as_deref());
        // The file's own format stays, whatever was applied to it besides.
        let codings = codings.map(|mut codings| {
            if codings.first().is_some_and(is_own) {
                codings.remove(0);
            }
            codings
        });
        let (status, status_text) = (received.status(), received.status_text());
        let (address, multiplexed) = (received.address(), received.is_multiplexed());
        let (network, of) = (Arc::clone(self), request.clone());
        let http1_required = move || network.pools.require_http1(&of.partition, &of.url);
        let (exchanged, response_headers, body) = received.into_parts(http1_required);
        let decoded = codings.as_ref().is_ok_and(|codings| !codings.is_empty());
        let claim = Claim::new(&self.decoder_memory, request, memory);
        let body = codings.map(|codings| decode::decode(body, codings, &self.limits, claim));
        let (network, of) = (Arc::clone(self), request.clone());
        let judged = move |allowed| {
            if of.needs_approval {
                network.pools.note_approval(&of, allowed);
            }
            if !allowed {
                network.forget_addresses(&of);
            }
            exchanged.judge(allowed);
        };
        Ok(TransportResponse {
            judged: Some(Box::new(judged)),
            status_text,
            decoded,
            request_headers: Some(headers),
            address,
            unchecked: false,
            multiplexed,
            status,
            headers: response_headers,
            body,
        })
    }

    /// The proxies for a URL. Empty if there is only the direct way.
    async fn routes(&self, url: &Url) -> Arc<[Proxy]> {
        let Some(choose) = &self.choose_proxies else { return Arc::default() };
        let chosen = choose(url).await;
        match chosen.iter().all(|way| *way == Proxy::DIRECT) {
            true => Arc::default(),
            false => chosen.into(),
        }
    }

    /// [Resolves](https://fetch.spec.whatwg.org/#resolve-an-origin) the host of a request.
    async fn look_up(&self, request: &TransportRequest) -> Result<(), FetchError> {
        let Some(Host::Domain(name)) = request.url.host() else { return Ok(()) };
        let look_up = self.lookups.look_up(request.partition.clone(), name);
        request.slot.look_up(&request.url, look_up).await.map_err(error::not_resolved)
    }

    /// Forgets the addresses of a request's host, because they may be the cause of its failure.
    fn forget_addresses(&self, request: &TransportRequest) {
        if let Some(Host::Domain(name)) = request.url.host() {
            self.lookups.forget(&request.partition, name);
        }
    }

    /// Sends `request` with `headers`, and once more if another exchange may get a response. An
    /// upload is only repeated if the server requires HTTP/1.1, because then it did not process any
    /// of it. If the page needs the server's approval, nothing else is repeated: the time that this
    /// takes would reveal something about a response that the page may not read.
    ///
    /// For the same reason, such a request has a connection for itself, unless the host has
    /// approved all responses so far or there are many at once: the body of a response that is then
    /// refused would delay all others on the connection.
    async fn exchange(
        &self,
        request: &TransportRequest,
        routes: &Arc<[Proxy]>,
        headers: &HeaderMap,
    ) -> Result<Received, FetchError> {
        let pools = &self.pools;
        let mut exchange = pools.exchange(&request.partition, &request.url);
        let alone = request.needs_approval.then(|| pools.alone(request)).flatten();
        let usual_client = |exchange| match alone {
            Some(_) => pools.fresh_client(request, routes, exchange),
            None => pools.client(request, routes, exchange),
        };
        let mut client = usual_client(exchange);
        let may_repeat = request.method == Method::GET && !request.needs_approval;
        let mut is_fresh = false;
        loop {
            let (message, upload) = message(request, headers)?;
            let failed = |cause| upload.failure().unwrap_or_else(|| error::from_client(cause));
            let needs_approval = request.needs_approval;
            match network_fetch(&client, &self.limits, message, needs_approval, failed).await {
                // HTTP-network-or-cache fetch, status 421: the connection does not serve this host,
                // although its certificate covers it. DEVIATION(D34): Fetch repeats uploads, too.
                Ok(received) if received.status() == 421 && may_repeat && !is_fresh => {
                    received.give_up();
                    is_fresh = true;
                    client = pools.fresh_client(request, routes, exchange);
                }
                Ok(mut received) => {
                    received.is_alone(alone);
                    return Ok(received);
                }
                Err(NoResponse { remedy: Some(next), .. })
                    if next > exchange && (next == Exchange::Http1 || may_repeat) =>
                {
                    exchange = next;
                    client = if exchange == Exchange::Http1 {
                        pools.require_http1(&request.partition, &request.url);
                        usual_client(exchange)
                    } else {
                        pools.fresh_client(request, routes, exchange)
                    };
                }
                Err(NoResponse { error, .. }) => return Err(error),
            }
        }
    }
}
