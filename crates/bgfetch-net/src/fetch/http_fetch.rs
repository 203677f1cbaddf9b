//! [HTTP fetch](https://fetch.spec.whatwg.org/#concept-http-fetch) over a [`Transport`]: sends
//! preflights and requests, checks responses and follows redirects until there is a final response.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use bgfetch_model::attempt::FaultKind;
use bgfetch_model::filtered_response::FORBIDDEN_RESPONSE_HEADER_NAMES;
use bgfetch_model::ip_address_space::LocalNetworkDenied;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::{CredentialsMode, RequestMode};
use bgfetch_model::response::{ResponseHead, ResponseType};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use http::header::SET_COOKIE;
use http::{HeaderMap, Method};
use tokio::time::Instant;

use super::cookies::{self, CookieContext};
use super::cors::preflight::Preflight;
use super::cors::{self, CacheKey};
use super::local_network_access::{self, Reach};
use super::redirect::{self, BadRedirect, Next};
use super::{
    Blocked, Hop, ResponseTainting, Transport, TransportRequest, TransportResponse, WithWebChecks,
    credentials, cross_origin_resource_policy, headers, main_fetch, referrer, retry_after,
};
use crate::fetcher::{FetchError, FetchRequest, FetchResponse, UploadProgress};

/// The error if a check refused the request or the response.
pub(super) fn blocked(sent: bool, cause: impl Into<Box<dyn Error + Send + Sync>>) -> FetchError {
    FetchError::new(FaultKind::Blocked, sent, cause)
}

/// Performs one fetch.
pub(super) async fn http_fetch<T: Transport>(
    checks: WithWebChecks<T>,
    request: FetchRequest,
) -> Result<FetchResponse, FetchError> {
    let destination = request.destination.clone();
    let mut hop = Hop { destination, ..Hop::first(&request.request) };
    let fetch = HttpFetch { checks, request };
    let fetched = fetch.follow(&mut hop).await;
    // Main fetch: after a network error, the cached preflight results of the URL are dropped.
    if fetched.is_err()
        && let Principal::Page(page) = &*fetch.request.principal
    {
        fetch.checks.preflights.lock().clear(&fetch.cache_key(&hop, page));
    }
    fetched
}

struct HttpFetch<T> {
    checks: WithWebChecks<T>,
    request: FetchRequest,
}

impl<T: Transport> HttpFetch<T> {
    /// The loop over redirects. On return, `hop` is the last request that was sent.
    async fn follow(&self, hop: &mut Hop) -> Result<FetchResponse, FetchError> {
        let mut lost_cookie = None;
        let mut reach = self.request.principal.policies().map_or(Reach::ALL, Reach::of);
        loop {
            let sent = hop.redirect_count() > 0;
            let before_hop = &*self.checks.before_hop;
            main_fetch::check_with(&self.request.request, &self.request.principal, hop, before_hop)
                .map_err(|cause| blocked(sent, cause))?;
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
            let (mut response, request_headers) =
                self.network_or_cache_fetch(hop, &mut reach, sent).await?;
            let next = self.next(hop, &response);
            let storing = self.store_cookies(hop, &response.headers);
            response.judge(next.is_ok());
            match storing {
                Some(storing) if next.is_ok() => storing.await,
                Some(storing) => cookies::continue_storing(storing),
                None => {}
            }
            match next {
                Ok(Next::Response) => return self.response(response, request_headers, hop),
                Ok(Next::OpaqueRedirect) => {
                    return Ok(opaque_redirect(&response, request_headers, hop));
                }
                Ok(Next::Follow(next)) => {
                    lost_cookie = lost_cookie.or_else(|| self.lost_cookie(hop, &response.headers));
                    *hop = next;
                    referrer::set_policy_on_redirect(hop, &headers::to_list(&response.headers));
                }
                Err(Blocked::Redirect(BadRedirect::TooMany)) if lost_cookie.is_some() => {
                    let name = lost_cookie.unwrap_or_default();
                    return Err(blocked(true, Blocked::LostCookie(name)));
                }
                Err(cause) => return Err(blocked(true, cause)),
            }
        }
    }

    /// The name of a cookie that a redirect sets but that is not stored, because there is no store
    /// or the request has no credentials.
    fn lost_cookie(&self, hop: &Hop, headers: &HeaderMap) -> Option<String> {
        let is_kept = self.checks.cookies.is_some() && self.includes_credentials(hop);
        headers::first_cookie_name(headers).filter(|_| !is_kept)
    }

    /// [HTTP-network-or-cache
    /// fetch](https://fetch.spec.whatwg.org/#concept-http-network-or-cache-fetch) without a cache:
    /// adds credentials to the request. Returns the response, and the headers of the request as
    /// sent.
    async fn network_or_cache_fetch(
        &self,
        hop: &Hop,
        reach: &mut Reach,
        sent: bool,
    ) -> Result<(TransportResponse, HeaderMap), FetchError> {
        let fetch = &self.request;
        let bad_request = |cause| blocked(sent, cause);
        let credentials = self.includes_credentials(hop);
        let mut headers =
            headers::request_headers(hop, fetch, &self.checks.user_agent).map_err(bad_request)?;
        if let Some(store) = self.checks.cookies.as_ref().filter(|_| credentials) {
            let failed = |cause| FetchError::new(FaultKind::Interrupted, sent, cause);
            let cookies = store.cookies(self.cookie_context(hop)).await.map_err(failed)?;
            headers::add_cookies(&mut headers, cookies);
        }
        headers::add_range(&mut headers, fetch, hop).map_err(bad_request)?;
        let method = headers::method(&hop.method).map_err(bad_request)?;
        let mut request = self.message(hop, method, headers);
        request.credentials = credentials;
        request.accepts_codings = headers::accepts_codings(hop, fetch);
        if hop.sends_body {
            let body = fetch.body.clone().ok_or(headers::BadRequest::Body).map_err(bad_request)?;
            (request.body, request.uploaded) = (Some(body), fetch.uploaded.clone());
        }
        let own_headers = request.headers.clone();
        let response = self.exchange(hop, request, reach).await;
        let mut response = response.map_err(|error| error.after(sent))?;
        let request_headers = response.request_headers.take().unwrap_or(own_headers);
        Ok((response, request_headers))
    }

    /// A message for `hop`, without credentials and a body.
    fn message(&self, hop: &Hop, method: Method, headers: HeaderMap) -> TransportRequest {
        let for_user = matches!(*self.request.principal, Principal::User);
        TransportRequest {
            partition: self.request.partition(),
            method,
            url: hop.url.clone(),
            headers,
            body: None,
            uploaded: UploadProgress::default(),
            credentials: false,
            reach: Reach::ALL,
            needs_approval: self.cors_page(hop).is_some(),
            accepts_codings: false,
            slot: self.request.slot.clone(),
            file: for_user.then(|| hop.url_list().cloned().collect()),
        }
    }

    /// Sends `request`, and once more for each address space that it needs a permission for.
    async fn exchange(
        &self,
        hop: &Hop,
        mut request: TransportRequest,
        reach: &mut Reach,
    ) -> Result<TransportResponse, FetchError> {
        let is_exempt = local_network_access::is_exempt(&self.request.principal, &hop.url);
        loop {
            request.reach = if is_exempt { Reach::ALL } else { *reach };
            match self.checks.transport.send(request.clone()).await {
                Ok(mut response) => {
                    let unknown = IpAddr::from(Ipv4Addr::LOCALHOST);
                    let address = response.address.or(response.unchecked.then_some(unknown));
                    let checked = address.map(|address| request.reach.check(address));
                    let Some(Err(denied)) = checked else { return Ok(response) };
                    // Only a transport that cannot check before it connects comes here.
                    if let Err(error) = self.permission(hop, denied).await {
                        response.judge(false);
                        return Err(error.after(true));
                    }
                    *reach = reach.and(denied.0);
                    return Ok(response);
                }
                Err(error) => match error.local_network_denied() {
                    Some(denied) if !request.reach.includes(denied.0) => {
                        self.permission(hop, denied).await?;
                        *reach = reach.and(denied.0);
                    }
                    _ => return Err(error),
                },
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
        answer.map_err(|denied| blocked(false, Blocked::from(denied)))
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
        if self.checks.preflights.lock().covers(&key, credentials, &preflight, now) {
            return Ok(true);
        }
        // Whatever happens here, nothing of this hop's request was sent.
        let sent = hop.redirect_count() > 0;
        let headers =
            headers::preflight_headers(&preflight, hop, &self.request, &self.checks.user_agent)
                .map_err(|cause| blocked(sent, cause))?;
        let message = self.message(hop, Method::OPTIONS, headers);
        let exchanged = self.exchange(hop, message, reach).await;
        let mut response = exchanged.map_err(|error| error.before_request(sent))?;
        let list = headers::to_list(&response.headers);
        let judgement = preflight.judge(&key.origin, credentials, response.status, &list);
        response.judge(judgement.is_ok());
        let permission = judgement.map_err(|cause| blocked(sent, Blocked::from(cause)))?;
        let now = Instant::now().into_std();
        self.checks.preflights.lock().store(&key, credentials, &permission, now);
        Ok(true)
    }

    /// Whether requests of `hop` include credentials.
    fn includes_credentials(&self, hop: &Hop) -> bool {
        credentials::included(&self.request.request, &self.request.principal, hop)
    }

    /// Stores the cookies that came with the response to `hop`, if there are any. They are stored
    /// even if the response is refused.
    fn store_cookies(&self, hop: &Hop, headers: &HeaderMap) -> Option<BoxFuture<'static, ()>> {
        let store = self.checks.cookies.as_ref().filter(|_| self.includes_credentials(hop))?;
        let values: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
        (!values.is_empty()).then(|| store.set_cookies(self.cookie_context(hop), values))
    }

    fn cookie_context(&self, hop: &Hop) -> CookieContext {
        CookieContext::new(&self.request.storage_key, &self.request.principal, hop)
    }

    /// Whether the page may see the response, and if so, what follows it.
    fn next(&self, hop: &Hop, response: &TransportResponse) -> Result<Next, Blocked> {
        // HTTP-network-or-cache fetch, status 407: there is no user to prompt.
        if response.status == 407 && self.request.principal.policies().is_some() {
            return Err(Blocked::ProxyAuthentication);
        }
        let list = headers::to_list(&response.headers);
        // Step 4.4, before a redirect is followed and before any byte counts (D40).
        if let Some(page) = self.cors_page(hop) {
            let origin = hop.serialize_origin(&page.origin);
            cors::check(&origin, self.credentials(), &list)?;
        }
        // Step 4.5, a server can keep its responses from pages that do not ask for approval.
        if let Some(page) = self.request.principal.policies()
            && self.request.request.mode == RequestMode::NoCors
        {
            cross_origin_resource_policy::check(page, &hop.url, &list)?;
        }
        // Step 6.
        let location = headers::location(&response.headers);
        let mode = self.request.request.redirect;
        Ok(redirect::next(hop, mode, response.status, location.as_deref())?)
    }

    /// The response, with its body unread. Its header list is complete except for cookies, because
    /// the model needs validators and ranges that scripts may not see.
    fn response(
        &self,
        response: TransportResponse,
        request_headers: HeaderMap,
        hop: &Hop,
    ) -> Result<FetchResponse, FetchError> {
        let body = response.body?;
        let mut headers = headers::to_list(&response.headers);
        // It would describe the contents of the user's file and not the file.
        if matches!(*self.request.principal, Principal::User) && !response.decoded {
            headers.delete("content-encoding");
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
        Ok(FetchResponse {
            retry_after: retry_after::delay(&headers, SystemTime::now()),
            multiplexed: response.multiplexed,
            request_headers: Some(headers::to_list(&request_headers)),
            address: response.address,
            head: ResponseHead::new(response.status, hop.url_list().cloned().collect()).with(
                |it| {
                    it.status_text = response.status_text;
                    it.headers = headers;
                    it.response_type = response_type;
                    it.cors_exposed_header_names = cors_exposed_header_names;
                },
            ),
            body: match has_null_body(&hop.method, response.status) {
                true => stream::empty().boxed(),
                false => body,
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

fn opaque_redirect(
    response: &TransportResponse,
    request_headers: HeaderMap,
    hop: &Hop,
) -> FetchResponse {
    FetchResponse {
        head: ResponseHead::new(0, hop.url_list().cloned().collect())
            .with(|it| it.response_type = ResponseType::OpaqueRedirect),
        request_headers: Some(headers::to_list(&request_headers)),
        retry_after: None,
        multiplexed: response.multiplexed,
        address: response.address,
        body: stream::empty().boxed(),
    }
}

/// Main fetch, step 22: these statuses have no body. The other
/// [null body statuses](https://fetch.spec.whatwg.org/#null-body-status) never end a fetch.
fn has_null_body(method: &str, status: u16) -> bool {
    method == "HEAD" || matches!(status, 204 | 205 | 304)
}
