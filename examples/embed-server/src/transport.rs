//! A network stack of its own: hyper-util, with a connection for each request, so that nothing is shared.

use std::io;

use bgfetch::embedder::BoxFuture;
use bgfetch::{FaultKind, FetchError, Transport, TransportRequest, TransportResponse};
use futures_util::TryStreamExt;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderValue};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, Error, connect::HttpConnector, connect::HttpInfo};
use hyper_util::rt::TokioExecutor;

pub(crate) struct Stack(Client<HttpsConnector<HttpConnector>, UnsyncBoxBody<Bytes, io::Error>>);

impl Stack {
    pub(crate) fn new() -> io::Result<Self> {
        let ring = rustls::crypto::ring::default_provider();
        let connector = HttpsConnectorBuilder::new().with_provider_and_native_roots(ring)?;
        let connector = connector.https_or_http().enable_http1().build();
        Ok(Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)))
    }
}

impl Transport for Stack {
    fn send(
        &self,
        asked: TransportRequest,
    ) -> BoxFuture<'static, Result<TransportResponse, FetchError>> {
        let (client, upload) = (self.0.clone(), asked.upload());
        let mut headers = asked.headers;
        if asked.accepts_codings {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let request_headers = Some(headers.clone());
        if let Some(body) = asked.body {
            headers.insert(CONTENT_LENGTH, body.length().into());
        }
        let body = upload.map(|bytes| StreamBody::new(bytes.map_ok(Frame::data)).boxed_unsync());
        let mut request = hyper::Request::new(body.unwrap_or_default());
        *request.method_mut() = asked.method;
        *request.headers_mut() = headers;
        Box::pin(async move {
            let refused = |error| FetchError::new(FaultKind::Protocol, false, error);
            *request.uri_mut() = asked.url.as_str().parse().map_err(refused)?;
            let (head, body) = client.request(request).await.map_err(no_response)?.into_parts();
            let lost = |cause| FetchError::new(FaultKind::Interrupted, true, cause);
            let body = Box::pin(body.into_data_stream().map_err(lost));
            let mut response = TransportResponse::new(head.status.as_u16(), head.headers, body);
            response.request_headers = request_headers;
            response.address = head.extensions.get().map(|it: &HttpInfo| it.remote_addr().ip());
            Ok(response)
        })
    }
}

fn no_response(error: Error) -> FetchError {
    // Without a connection, nothing was sent.
    let sent = !error.is_connect();
    let kind = if sent { FaultKind::Interrupted } else { FaultKind::Unreachable };
    FetchError::new(kind, sent, error)
}
