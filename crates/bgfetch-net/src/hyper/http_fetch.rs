//! [HTTP fetch](https://fetch.spec.whatwg.org/#concept-http-fetch) over hyper: sends preflights and
//! requests, checks responses and follows redirects until there is a final response.

use std::sync::Arc;
use std::time::SystemTime;

use bgfetch_model::attempt::FaultKind;
use bgfetch_model::filtered_response::FORBIDDEN_RESPONSE_HEADER_NAMES;
use bgfetch_model::header_list::HeaderList;
use bgfetch_model::ip_address_space::LocalNetworkDenied;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::{CredentialsMode, RequestMode};
use bgfetch_model::response::{ResponseHead, ResponseType};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use http::Request;
use http::header::SET_COOKIE;
use hyper_util::client::legacy;
use parking_lot::Mutex;
use tokio::time::Instant;
use url::Host;

use super::coding::Coding;
use super::decode::Claim;
use super::decoder_memory::{DecoderMemory, Memory};
use super::exchange::Exchange;
use super::limits::ServerLimits;
use super::lookups::Lookups;
use super::network_fetch::{NoResponse, Received, network_fetch};
use super::pools::Pools;
use super::upload::UploadBody;
use super::{decode, error, headers};
use crate::fetch::cookies::{self, CookieContext, CookieStore};
use crate::fetch::cors::preflight::Preflight;
use crate::fetch::cors::{self, CacheKey, PreflightCache};
use crate::fetch::local_network_access::{self, Reach};
use crate::fetch::redirect::{self, BadRedirect, Next};
use crate::fetch::{
    Blocked, Hop, ResponseTainting, credentials, cross_origin_resource_policy, main_fetch,
    own_format, referrer, retry_after,
};
use crate::fetcher::{FetchError, FetchRequest, FetchResponse};

/// The state that all fetches share.
pub(super) struct Network {
    pub(super) lookups: Arc<Lookups>,
    pub(super) pools: Pools,
    pub(super) cookies: Option<Arc<dyn CookieStore>>,
    pub(super) preflights: Mutex<PreflightCache>,
    pub(super) decoder_memory: Arc<DecoderMemory>,
    pub(super) user_agent: String,
    pub(super) limits: ServerLimits,
}

/// Performs one fetch.
pub(super) async fn http_fetch(
    network: Arc<Network>,
    request: FetchRequest,
) -> Result<FetchResponse, FetchError> {
    let destination = request.destination.clone();
    let mut hop = Hop { destination, ..Hop::first(&request.request) };
    let fetch = HttpFetch { network, request };
    let fetched = fetch.follow(&mut hop).await;
    if fetched.is_err()
        && let Some(Host::Domain(name)) = hop.url.host()
    {
        // The addresses may be the cause of the failure.
        fetch.network.lookups.forget(&fetch.request.partition(), name);
    }
    // Main fetch: after a network error, the cached preflight results of the URL are dropped.
    if fetched.is_err()
        && let Principal::Page(page) = &*fetch.request.principal
    {
        fetch.network.preflights.lock().clear(&fetch.cache_key(&hop, page));
    }
    fetched
}

struct HttpFetch {
    network: Arc<Network>,
    request: FetchRequest,
}

impl HttpFetch {
    /// The loop over redirects. On return, `hop` is the last request that was sent.
    async fn follow(&self, hop: &mut Hop) -> Result<FetchResponse, FetchError> {
        let mut lost_cookie = None;
        let mut reach = self.request.principal.policies().map_or(Reach::ALL, Reach::of);
        loop {
            let sent = hop.redirect_count() > 0;
            main_fetch::check(&self.request.request, &self.request.principal, hop)
                .map_err(|cause| error::blocked(sent, cause))?;
            self.look_up(hop, sent).await?;
            let approved = self.preflight(hop, &mut reach).await?;
            // The progress of an upload would reveal something about a server that has not approved
            // yet.
            match hop.tainting {
                ResponseTainting::Cors if approved => self.request.uploaded.approve(),
                ResponseTainting::Cors | ResponseTainting::Opaque => {
                    self.request.uploaded.withhold();
                }
                ResponseTainting::Basic => {}
            }
            let memory = self.set_memory_aside();
            let mut received =
                self.network_or_cache_fetch(hop, &mut reach, sent, memory.is_some()).await?;
            let next = self.next(hop, &received);
            let storing = self.store_cookies(hop, &received);
            self.note_approval(hop, self.includes_credentials(hop), next.is_ok());
            if next.is_ok() {
                received.approve();
            }
            match storing {
                Some(storing) if next.is_ok() => storing.await,
                Some(storing) => cookies::continue_storing(storing),
                None => {}
            }
            match next {
                Ok(Next::Response) => return self.response(received, hop, memory),
                Ok(Next::OpaqueRedirect) => return Ok(opaque_redirect(&received, hop)),
                Ok(Next::Follow(next)) => {
                    lost_cookie = lost_cookie.or_else(|| self.lost_cookie(hop, &received));
                    *hop = next;
                    referrer::set_policy_on_redirect(hop, &received.headers());
                }
                Err(Blocked::Redirect(BadRedirect::TooMany)) if lost_cookie.is_some() => {
                    let name = lost_cookie.unwrap_or_default();
                    return Err(received.refuse(Blocked::LostCookie(name)));
                }
                Err(cause) => return Err(received.refuse(cause)),
            }
        }
    }

    /// Memory to decode the response, if the request accepts codings.
    fn set_memory_aside(&self) -> Option<Memory> {
        let fetch = &self.request;
        let memory = &self.network.decoder_memory;
        headers::accepts_codings(fetch).then(|| memory.set_aside(&fetch.storage_key)).flatten()
    }

    /// The name of a cookie that a redirect sets but that is not stored, because there is no store
    /// or the request has no credentials.
    fn lost_cookie(&self, hop: &Hop, received: &Received) -> Option<String> {
        let is_kept = self.network.cookies.is_some() && self.includes_credentials(hop);
        headers::first_cookie_name(received.header_map()).filter(|_| !is_kept)
    }

    /// [Resolves](https://fetch.spec.whatwg.org/#resolve-an-origin) the host of `hop`.
    async fn look_up(&self, hop: &Hop, sent: bool) -> Result<(), FetchError> {
        let Some(Host::Domain(name)) = hop.url.host() else { return Ok(()) };
        let look_up = self.network.lookups.look_up(self.request.partition(), name);
        let found = self.request.slot.look_up(&hop.url, look_up).await;
        found.map_err(|cause| error::not_resolved(cause, sent))
    }

    /// [HTTP-network-or-cache
    /// fetch](https://fetch.spec.whatwg.org/#concept-http-network-or-cache-fetch) without a cache:
    /// adds credentials to the request.
    async fn network_or_cache_fetch(
        &self,
        hop: &Hop,
        reach: &mut Reach,
        sent: bool,
        has_memory: bool,
    ) -> Result<Received, FetchError> {
        let fetch = &self.request;
        let credentials = self.includes_credentials(hop);
        let cookies = match &self.network.cookies {
            Some(store) if credentials => {
                let failed = |cause| FetchError::new(FaultKind::Interrupted, sent, cause);
                store.cookies(self.cookie_context(hop)).await.map_err(failed)?
            }
            _ => None,
        };
        let prepare = || {
            let (mut message, upload) =
                headers::request(hop, fetch, &self.network.user_agent, has_memory)
                    .map_err(|cause| error::blocked(sent, cause))?;
            headers::add_cookies(message.headers_mut(), cookies.clone());
            headers::add_range(message.headers_mut(), fetch, hop)
                .map_err(|cause| error::blocked(sent, cause))?;
            let failed =
                move |cause| upload.failure().unwrap_or_else(|| error::from_client(cause, sent));
            Ok::<_, FetchError>((message, failed))
        };
        self.exchange(hop, credentials, reach, prepare).await
    }

    /// Stores the cookies that came with the response to `hop`, if there are any. They are stored
    /// even if the response is refused.
    fn store_cookies(&self, hop: &Hop, received: &Received) -> Option<BoxFuture<'static, ()>> {
        let store = self.network.cookies.as_ref().filter(|_| self.includes_credentials(hop))?;
        let values: Vec<_> = received.header_map().get_all(SET_COOKIE).iter().cloned().collect();
        (!values.is_empty()).then(|| store.set_cookies(self.cookie_context(hop), values))
    }

    fn cookie_context(&self, hop: &Hop) -> CookieContext {
        CookieContext::new(&self.request.storage_key, &self.request.principal, hop)
    }

    /// Sends the message that `prepare` makes, and once more if another exchange may get a
    /// response. An upload is only repeated if the server requires HTTP/1.1, because then it did
    /// not process any of it. If the page needs the server's approval, nothing else is repeated:
    /// the time that this takes would reveal something about a response that the page may not read.
    ///
    /// For the same reason, such a request has a connection for itself, unless the host has
    /// approved all responses so far or there are many at once: the body of a response that is then
    /// refused would delay all others on the connection.
    async fn exchange<F>(
        &self,
        hop: &Hop,
        credentials: bool,
        reach: &mut Reach,
        prepare: impl Fn() -> Result<(Request<UploadBody>, F), FetchError>,
    ) -> Result<Received, FetchError>
    where
        F: FnOnce(legacy::Error) -> FetchError,
    {
        let (pools, fetch) = (&self.network.pools, &self.request);
        let is_exempt = local_network_access::is_exempt(&fetch.principal, &hop.url);
        let may_reach = |reach: &Reach| if is_exempt { Reach::ALL } else { *reach };
        let mut exchange = pools.exchange(fetch, &hop.url);
        let needs_approval = self.cors_page(hop).is_some();
        let alone = needs_approval.then(|| pools.alone(fetch, &hop.url, credentials)).flatten();
        let usual_client = |reach: &Reach, exchange| {
            if alone.is_some() {
                pools.fresh_client(fetch, credentials, may_reach(reach), exchange)
            } else {
                pools.client(fetch, credentials, may_reach(reach), exchange)
            }
        };
        let mut client = usual_client(reach, exchange);
        let may_repeat = hop.method == "GET" && !needs_approval;
        let mut is_fresh = false;
        loop {
            let (message, failed) = prepare()?;
            let limits = &self.network.limits;
            match network_fetch(&client, limits, message, needs_approval, failed).await {
                // HTTP-network-or-cache fetch, status 421: the connection does not serve this host,
                // although its certificate covers it. DEVIATION(D34): Fetch repeats uploads, too.
                Ok(received) if received.status() == 421 && may_repeat && !is_fresh => {
                    received.give_up();
                    is_fresh = true;
                    client = pools.fresh_client(fetch, credentials, may_reach(reach), exchange);
                }
                Ok(mut received) => {
                    received.is_alone(alone);
                    return Ok(received);
                }
                Err(NoResponse { denied: Some(denied), .. }) => {
                    self.permission(hop, denied).await?;
                    *reach = reach.and(denied.0);
                    client = if is_fresh || exchange == Exchange::Tolerant {
                        pools.fresh_client(fetch, credentials, may_reach(reach), exchange)
                    } else {
                        usual_client(reach, exchange)
                    };
                }
                Err(NoResponse { remedy: Some(next), .. })
                    if next > exchange && (next == Exchange::Http1 || may_repeat) =>
                {
                    exchange = next;
                    client = if exchange == Exchange::Http1 {
                        pools.require_http1(fetch, &hop.url);
                        usual_client(reach, exchange)
                    } else {
                        pools.fresh_client(fetch, credentials, may_reach(reach), exchange)
                    };
                }
                Err(NoResponse { error, .. }) => return Err(error),
            }
        }
    }

    /// Asks for the permission to send `hop` to an address that is less public than the page.
    async fn permission(&self, hop: &Hop, denied: LocalNetworkDenied) -> Result<(), FetchError> {
        let may_ask = self.request.principal.policies().is_some_and(local_network_access::may_ask);
        let answer = match may_ask {
            true => self.request.slot.permission(&hop.url, denied.0).await,
            false => Err(denied),
        };
        answer.map_err(|denied| error::blocked(hop.redirect_count() > 0, Blocked::from(denied)))
    }

    /// Step 4.1, a preflight before a request that a form could not send. Returns whether the
    /// request needed one and was approved, now or earlier.
    async fn preflight(&self, hop: &Hop, reach: &mut Reach) -> Result<bool, FetchError> {
        let Some(page) = self.cors_page(hop) else {
            return Ok(false);
        };
        let Some(preflight) = Preflight::of(hop) else {
            return Ok(false);
        };
        let (key, credentials) = (self.cache_key(hop, page), self.credentials());
        let now = Instant::now().into_std();
        if self.network.preflights.lock().covers(&key, credentials, &preflight, now) {
            return Ok(true);
        }
        // Whatever happens here, nothing of this hop's request was sent.
        let sent = hop.redirect_count() > 0;
        let user_agent = &self.network.user_agent;
        let prepare = || {
            let message = headers::preflight(&preflight, hop, &self.request, user_agent)
                .map_err(|cause| error::blocked(sent, cause))?;
            Ok::<_, FetchError>((message, move |cause| error::from_preflight(cause, sent)))
        };
        let mut received = self.exchange(hop, false, reach, prepare).await?;
        match preflight.judge(&key.origin, credentials, received.status(), &received.headers()) {
            Ok(permission) => {
                self.note_approval(hop, false, true);
                received.approve();
                let now = Instant::now().into_std();
                self.network.preflights.lock().store(&key, credentials, &permission, now);
                Ok(true)
            }
            Err(cause) => {
                self.note_approval(hop, false, false);
                Err(received.refuse(cause))
            }
        }
    }

    /// Notes whether the host of `hop` approved a response that needs it.
    fn note_approval(&self, hop: &Hop, credentials: bool, approved: bool) {
        if self.cors_page(hop).is_some() {
            self.network.pools.note_approval(&self.request, &hop.url, credentials, approved);
        }
    }

    /// Whether requests of `hop` include credentials.
    fn includes_credentials(&self, hop: &Hop) -> bool {
        credentials::included(&self.request.request, &self.request.principal, hop)
    }

    /// Whether the page may see the response, and if so, what follows it.
    fn next(&self, hop: &Hop, received: &Received) -> Result<Next, Blocked> {
        // HTTP-network-or-cache fetch, status 407: there is no user to prompt.
        if received.status() == 407 && self.request.principal.policies().is_some() {
            return Err(Blocked::ProxyAuthentication);
        }
        // Step 4.4, before a redirect is followed and before any byte counts (D40).
        if let Some(page) = self.cors_page(hop) {
            let origin = hop.serialize_origin(&page.origin);
            cors::check(&origin, self.credentials(), &received.headers())?;
        }
        // Step 4.5, a server can keep its responses from pages that do not ask for approval.
        if let Some(page) = self.request.principal.policies()
            && self.request.request.mode == RequestMode::NoCors
        {
            cross_origin_resource_policy::check(page, &hop.url, &received.headers())?;
        }
        // Step 6.
        let location = headers::location(received.header_map());
        let mode = self.request.request.redirect;
        Ok(redirect::next(hop, mode, received.status(), location.as_deref())?)
    }

    /// The response, with its body unread. Its header list is complete except for cookies, because
    /// the model needs validators and ranges that scripts may not see.
    fn response(
        &self,
        received: Received,
        hop: &Hop,
        memory: Option<Memory>,
    ) -> Result<FetchResponse, FetchError> {
        let limits = &self.network.limits;
        let mut codings = decode::codings(received.header_map(), limits.codings)?;
        let mut headers = received.headers();
        if matches!(*self.request.principal, Principal::User) {
            codings = keep_own_format(codings, hop, &mut headers);
        }
        let (response_type, cors_exposed_header_names) =
            match (&*self.request.principal, hop.tainting) {
                (Principal::User, _) => (ResponseType::Default, Vec::new()),
                (Principal::Page(_), ResponseTainting::Basic) => (ResponseType::Basic, Vec::new()),
                (Principal::Page(_), ResponseTainting::Opaque) => {
                    (ResponseType::Opaque, Vec::new())
                }
                (Principal::Page(_), ResponseTainting::Cors) => {
                    (ResponseType::Cors, cors::exposed_header_names(&headers, self.credentials()))
                }
            };
        FORBIDDEN_RESPONSE_HEADER_NAMES.iter().for_each(|name| headers.delete(name));
        let has_null_body = has_null_body(&hop.method, received.status());
        Ok(FetchResponse {
            retry_after: retry_after::delay(&headers, SystemTime::now()),
            multiplexed: received.is_multiplexed(),
            request_headers: Some(received.request_headers()),
            address: received.address(),
            head: ResponseHead {
                status: received.status(),
                status_text: received.status_text(),
                headers,
                url_list: hop.url_list().cloned().collect(),
                response_type,
                cors_exposed_header_names,
                selecting_headers: None,
            },
            body: if has_null_body {
                stream::empty().boxed()
            } else {
                let (network, fetch) = (Arc::clone(&self.network), self.request.clone());
                let url = hop.url.clone();
                let http1_required = move || network.pools.require_http1(&fetch, &url);
                let claim = Claim::new(&self.network.decoder_memory, &self.request, memory);
                decode::decode(received.into_body(http1_required), codings, limits, claim)
            },
        })
    }

    /// The page that needs the server's approval for `hop`, if any.
    fn cors_page(&self, hop: &Hop) -> Option<&PolicySnapshot> {
        self.request.principal.policies().filter(|_| hop.tainting == ResponseTainting::Cors)
    }

    fn credentials(&self) -> CredentialsMode {
        self.request.request.credentials
    }

    fn cache_key(&self, hop: &Hop, page: &PolicySnapshot) -> CacheKey {
        CacheKey {
            partition: self.request.partition(),
            origin: hop.serialize_origin(&page.origin),
            url: hop.url.clone(),
        }
    }
}

/// The codings to decode of the user's download: all except one that is the format of the file
/// itself. The `Content-Encoding` header is removed with the last of them, because it would
/// describe the contents of the file and not the file.
fn keep_own_format(mut codings: Vec<Coding>, hop: &Hop, headers: &mut HeaderList) -> Vec<Coding> {
    let content_type = headers.get("content-type");
    let is_own = |coding: &Coding| {
        hop.url_list().any(|url| own_format::is_own(coding.name(), url, content_type.as_deref()))
    };
    if codings.first().is_some_and(is_own) {
        codings.remove(0);
    }
    if codings.is_empty() {
        headers.delete("content-encoding");
    }
    codings
}

fn opaque_redirect(received: &Received, hop: &Hop) -> FetchResponse {
    FetchResponse {
        head: ResponseHead {
            status: 0,
            status_text: String::new(),
            headers: HeaderList::default(),
            url_list: hop.url_list().cloned().collect(),
            response_type: ResponseType::OpaqueRedirect,
            cors_exposed_header_names: Vec::new(),
            selecting_headers: None,
        },
        request_headers: Some(received.request_headers()),
        retry_after: None,
        multiplexed: received.is_multiplexed(),
        address: received.address(),
        body: stream::empty().boxed(),
    }
}

/// Main fetch, step 22: these statuses have no body. The other
/// [null body statuses](https://fetch.spec.whatwg.org/#null-body-status) never end a fetch.
fn has_null_body(method: &str, status: u16) -> bool {
    method == "HEAD" || matches!(status, 204 | 205 | 304)
}
