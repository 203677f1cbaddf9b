//! Requests and their results.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bgfetch_model::attempt::{AttemptSpec, Resume};
use bgfetch_model::header_list::HeaderList;
use bgfetch_model::request::Request;
use bgfetch_model::response::ResponseHead;
use bgfetch_model::source::Source;
use bgfetch_model::vary::{HashKey, SelectingHeaders};
use bgfetch_net::fetcher::{BodySource, FetchError, FetchRequest, FetchResponse, Fetcher};
use bgfetch_net::hyper::HyperFetcher;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use url::Url;

use super::{pattern, user_request};

/// A stored body, in chunks.
pub(crate) struct Stored {
    bytes: Bytes,
    chunk: usize,
    pub(crate) opened: AtomicUsize,
}

impl Stored {
    pub(crate) fn pattern(length: usize) -> Arc<Self> {
        Arc::new(Self { bytes: pattern(length), chunk: 16 << 10, opened: AtomicUsize::new(0) })
    }
}

impl BodySource for Stored {
    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn open(&self) -> BoxStream<'static, io::Result<Bytes>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let chunks: Vec<_> = self.bytes.chunks(self.chunk).map(Bytes::copy_from_slice).collect();
        stream::iter(chunks).map(Ok).boxed()
    }
}

pub(crate) fn get(url: &str) -> FetchRequest {
    with(url, |_| {})
}

pub(crate) fn with(url: &str, change: impl FnOnce(&mut Request)) -> FetchRequest {
    let mut request = Request::get(Url::parse(url).unwrap());
    change(&mut request);
    user_request(request, AttemptSpec::default())
}

pub(crate) fn post(url: &str, body: Arc<dyn BodySource>) -> FetchRequest {
    let mut fetch = with(url, |request| {
        request.method = "POST".into();
        request.body_length = Some(body.length());
    });
    fetch.body = Some(body);
    fetch
}

/// A resume of a body that came from `url`.
pub(crate) fn resume(url: &str, start: u64, entity_tag: &str) -> Resume {
    let head = ResponseHead::new(200, vec![Url::parse(url).unwrap()]).with(|it| {
        it.headers = HeaderList::from_iter([("ETag", entity_tag)]);
        it.selecting_headers = Some(SelectingHeaders::default());
    });
    let source = Source::new(Arc::new(head), HashKey::default());
    Resume::new(start, entity_tag, source)
}

pub(crate) fn fetcher() -> HyperFetcher {
    HyperFetcher::new().unwrap()
}

/// Reads the whole body.
pub(crate) async fn body(response: FetchResponse) -> Result<Bytes, FetchError> {
    let all = response
        .body
        .try_fold(Vec::new(), |mut all, bytes| async move {
            all.extend_from_slice(&bytes);
            Ok(all)
        })
        .await?;
    Ok(all.into())
}

pub(crate) async fn error(fetcher: &HyperFetcher, request: FetchRequest) -> FetchError {
    fetcher.fetch(request).await.expect_err("the fetch succeeded")
}
