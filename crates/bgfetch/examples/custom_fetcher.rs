//! An embedder's own network stack. This one serves a few documents from memory, and its first
//! attempt at each breaks off in the middle.
//!
//! The duties of a [`Fetcher`], besides fetching:
//!
//! - Try once. The engine owns retries, resumes and their limits, and calls again.
//! - Check everything that the web platform requires (CORS, CSP, mixed content, redirects) before
//!   returning a head: no byte counts until then.
//! - Send [`FetchRequest::resume`] as `Range` and `If-Range`, below CORS, where its source allows it.
//!   The engine judges the response.
//! - Report the headers of the request to the last URL, with cookies. This one has none.
//! - Decode content codings, and produce the body only as fast as it is polled.
//! - Report with each error whether any byte of the request may have been sent. If none was, the
//!   engine sends a `POST` again.
//!
//! `cargo run -p bgfetch --example custom_fetcher`

use std::collections::HashSet;
use std::sync::Mutex;

use bgfetch::embedder::BoxFuture;
use bgfetch::{
    Engine, FaultKind, FetchError, FetchOptions, FetchRequest, FetchResponse, Fetcher, HeaderList,
    ResponseHead, ResponseType, StorageKey,
};
use bytes::Bytes;
use futures_util::stream;

#[derive(Default)]
struct ByHeart {
    tried: Mutex<HashSet<String>>,
}

const DOCUMENT: &[u8] = b"It is a truth universally acknowledged, that a download in progress";
const ETAG: &str = "\"1813\"";

impl Fetcher for ByHeart {
    fn fetch(
        &self,
        request: FetchRequest,
    ) -> BoxFuture<'static, Result<FetchResponse, FetchError>> {
        Box::pin(std::future::ready(self.answer(&request)))
    }
}

impl ByHeart {
    fn answer(&self, request: &FetchRequest) -> Result<FetchResponse, FetchError> {
        let url = &request.request.url;
        if url.host_str() != Some("library.example") {
            let cause = "no such host";
            return Err(FetchError::new(FaultKind::Unreachable, false, cause));
        }
        let resume = request.resume.as_ref();
        let resume = resume.filter(|resume| resume.if_range == ETAG);
        let start = resume.map_or(Ok(0), |resume| usize::try_from(resume.start));
        let start = start.unwrap_or(usize::MAX);
        let rest = DOCUMENT.get(start..).unwrap_or_default();
        let range = format!("bytes {start}-{}/{}", DOCUMENT.len() - 1, DOCUMENT.len());
        let (status, headers) = match start {
            0 => (200, HeaderList::from_iter([("etag", ETAG)])),
            _ => (206, HeaderList::from_iter([("etag", ETAG), ("content-range", &range)])),
        };
        println!("{} {url} from byte {start}", request.request.method);

        let mut tried = self.tried.lock().unwrap_or_else(|lock| lock.into_inner());
        let pieces = if tried.insert(url.to_string()) {
            let (first, _) = rest.split_at(rest.len() / 2);
            let broken = FetchError::new(FaultKind::Interrupted, true, "the line went dead");
            vec![Ok(Bytes::from_static(first)), Err(broken)]
        } else {
            vec![Ok(Bytes::from_static(rest))]
        };
        let mut head = ResponseHead::new(status, vec![url.clone()]);
        head.headers = headers;
        head.response_type = ResponseType::Basic;
        Ok(FetchResponse::new(head, Box::pin(stream::iter(pieces))))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let stack = ByHeart::default();
    let engine = Engine::builder().ephemeral().fetcher(stack).open()?;
    let (site, scope) = ("https://library.example", "https://library.example/".parse()?);
    let worker = engine.register(StorageKey(site.into()), scope).await?;
    let (manager, options) = (worker.background_fetch(), FetchOptions::default());
    let urls = ["https://library.example/1", "https://library.example/2"];
    let fetch = manager.fetch("book", urls, options).await?;
    let result = fetch.settled().await?;
    println!("{}: {result:?}, {} bytes", fetch.id(), fetch.downloaded());
    engine.shutdown().await?;
    Ok(())
}
