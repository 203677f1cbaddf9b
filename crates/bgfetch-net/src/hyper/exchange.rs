//! One request and its response:
//! [HTTP-network fetch](https://fetch.spec.whatwg.org/#concept-http-network-fetch) within
//! [`ServerLimits`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::hyper::body::Incoming;
use http::{Request, Response};
use hyper_util::client::legacy;
use tokio::sync::Notify;

use super::limits::ServerLimits;
use super::upload::UploadBody;
use super::{HttpClient, error};
use crate::fetcher::FetchError;

/// Sends `message` and waits for the head of its response. `failed` says what a failure of the HTTP
/// library means for this message.
pub(super) async fn exchange(
    client: &HttpClient,
    limits: &ServerLimits,
    mut message: Request<UploadBody>,
    failed: impl FnOnce(legacy::Error) -> FetchError,
) -> Result<Response<Incoming>, FetchError> {
    let flooded = count_informational(&mut message, limits.informational);
    let response = tokio::select! {
        biased;
        () = flooded.notified() => {
            return Err(error::protocol("too many informational responses"));
        }
        response = client.request(message) => response.map_err(failed)?,
    };
    limits.check_head(response.status(), response.headers())?;
    Ok(response)
}

/// Notifies when more than `most` informational responses came, over HTTP/1.1. hyper skips any
/// number of them; over HTTP/2 it tells nobody, so there [`super::frames`] counts.
fn count_informational(message: &mut Request<UploadBody>, most: usize) -> Arc<Notify> {
    let flooded = Arc::new(Notify::new());
    let (notify, came) = (Arc::clone(&flooded), AtomicUsize::new(0));
    ::hyper::ext::on_informational(message, move |_| {
        if came.fetch_add(1, Ordering::Relaxed) >= most {
            notify.notify_one();
        }
    });
    flooded
}
