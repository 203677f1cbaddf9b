//! [HTTP fetch](https://fetch.spec.whatwg.org/#http-fetch) over hyper: requests are sent and
//! redirects followed until there is a response.

use std::sync::Arc;
use std::time::SystemTime;

use ::hyper::body::Incoming;
use bgfetch_model::response::{ResponseHead, ResponseType};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use http::{Response, Version};
use http_body_util::BodyExt;

use super::exchange::exchange;
use super::limits::ServerLimits;
use super::{HttpClient, decode, error, headers};
use crate::fetch::redirect::{self, Next};
use crate::fetch::{Blocked, Hop, ResponseTainting, main_fetch, retry_after};
use crate::fetcher::{FetchError, FetchRequest, FetchResponse};

/// Fetches once.
pub(super) async fn http_fetch(
    client: HttpClient,
    user_agent: Arc<str>,
    limits: ServerLimits,
    request: FetchRequest,
) -> Result<FetchResponse, FetchError> {
    let mut hop = Hop::first(&request.request);
    loop {
        let sent = hop.redirect_count() > 0;
        main_fetch::check(&request.request, &request.principal, &mut hop)
            .map_err(|cause| error::blocked(sent, cause))?;
        let (message, upload) = headers::request(&hop, &request, &user_agent)
            .map_err(|cause| error::blocked(sent, cause))?;
        // How far an upload comes tells of a server that has not approved yet.
        if hop.tainting == ResponseTainting::Cors {
            request.uploaded.withhold();
        }
        let response = exchange(&client, &limits, message, |cause| {
            upload.failure().unwrap_or_else(|| error::from_client(cause, sent))
        })
        .await?;

        let location = headers::location(response.headers());
        let mode = request.request.redirect;
        let status = response.status().as_u16();
        match redirect::next(&hop, mode, status, location.as_deref())
            .map_err(|cause| error::blocked(true, Blocked::from(cause)))?
        {
            Next::Response => return to_response(response, hop, &limits),
            Next::OpaqueRedirect => return Ok(opaque_redirect(&response, hop)),
            Next::Follow(next) => hop = next,
        }
    }
}

fn to_response(
    response: Response<Incoming>,
    hop: Hop,
    limits: &ServerLimits,
) -> Result<FetchResponse, FetchError> {
    let (parts, body) = response.into_parts();
    let codings = decode::codings(&parts.headers, limits.codings)?;
    let head = ResponseHead {
        status: parts.status.as_u16(),
        headers: headers::to_list(&parts.headers),
        url_list: hop.url_list().cloned().collect(),
        response_type: ResponseType::Default,
        cors_exposed_header_names: Vec::new(),
    };
    Ok(FetchResponse {
        retry_after: retry_after::delay(&head.headers, SystemTime::now()),
        multiplexed: is_multiplexed(parts.version),
        body: decode::decode(body_stream(body), codings, limits),
        head,
    })
}

fn opaque_redirect(response: &Response<Incoming>, hop: Hop) -> FetchResponse {
    FetchResponse {
        head: ResponseHead {
            status: 0,
            headers: bgfetch_model::header_list::HeaderList::default(),
            url_list: hop.url_list().cloned().collect(),
            response_type: ResponseType::OpaqueRedirect,
            cors_exposed_header_names: Vec::new(),
        },
        retry_after: None,
        multiplexed: is_multiplexed(response.version()),
        body: stream::empty().boxed(),
    }
}

fn body_stream(body: Incoming) -> BoxStream<'static, Result<Bytes, FetchError>> {
    body.into_data_stream().map_err(error::from_body).boxed()
}

fn is_multiplexed(version: Version) -> bool {
    version == Version::HTTP_2
}
