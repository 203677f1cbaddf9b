//! A transport without a network: the script answers. It does only what [`Transport`] asks for.

use std::sync::Arc;

use bgfetch_net::fetch::{Transport, TransportRequest, TransportResponse};
use bgfetch_net::fetcher::FetchError;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use url::Position;

use super::server::{Script, Seen};

/// The script instead of servers.
pub(crate) struct Raw(pub(crate) Arc<Mutex<Script>>);

impl Transport for Raw {
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'static, Result<TransportResponse, FetchError>> {
        let script = Arc::clone(&self.0);
        Box::pin(async move {
            let body: Vec<Bytes> = match &request.body {
                Some(body) => body.open().try_collect().await.unwrap(),
                None => Vec::new(),
            };
            let text =
                |value: &HeaderValue| value.as_bytes().iter().copied().map(char::from).collect();
            let mut headers: Vec<_> = request
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect();
            // The framing is the transport's.
            if let Some(body) = &request.body {
                headers.push(("content-length".into(), body.length().to_string()));
            }
            let mut script = script.lock();
            script.seen.push(Seen {
                method: request.method.to_string(),
                url: request.url[..Position::AfterQuery].to_owned(),
                headers,
                body: String::from_utf8(body.concat()).unwrap(),
            });
            // An unexpected request gets a 418 without approval.
            let Some(answer) = script.answers.pop_front() else {
                return Ok(TransportResponse::new(418, HeaderMap::new(), stream::empty().boxed()));
            };
            let mut headers = HeaderMap::new();
            for (name, value) in &answer.headers {
                let value: Vec<u8> = value.chars().map(|it| u8::try_from(it).unwrap()).collect();
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                headers.append(name, HeaderValue::from_bytes(&value).unwrap());
            }
            let body = stream::iter([Ok(Bytes::from(answer.body))]).boxed();
            Ok(TransportResponse::new(answer.status, headers, body))
        })
    }
}
