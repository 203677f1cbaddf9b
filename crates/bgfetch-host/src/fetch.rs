//! The [`fetch()` method](https://fetch.spec.whatwg.org/#fetch-method): one plain fetch within the
//! realm's policies.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use bgfetch::embedder::BodySource;
use bgfetch::{
    FetchResponse, Fetcher as _, Principal, Request, RequestMode, ResponseHead, ResponseType,
    remove_forbidden_request_headers,
};
use bgfetch_deno::BodyResource;
use bytes::Bytes;
use deno_core::{CancelFuture, CancelHandle, OpState, RcRef, Resource, ResourceId, op2};
use deno_error::JsErrorBox;
use futures_util::stream::{self, BoxStream, StreamExt};
use serde::Serialize;

use crate::console::ConsoleLevel;
use crate::host_state::{FetchClient, HostState};
use crate::network::to_fetch;

/// The maximum length of a request's body, which is read before it is sent.
const BODY_LIMIT: usize = 64 << 20;

/// How many bytes of the body are taken from the script at once, at most.
const CHUNK: usize = 64 << 10;

/// Lets a script abort a fetch before its response has arrived.
struct FetchHandle(CancelHandle);

impl Resource for FetchHandle {
    fn name(&self) -> Cow<'_, str> {
        "fetch".into()
    }

    fn close(self: Rc<Self>) {
        self.0.cancel();
    }
}

/// A response, with its body as a resource if it has one.
#[derive(Serialize)]
pub(crate) struct Fetched {
    head: ResponseHead,
    body: Option<ResourceId>,
}

/// Creates the handle for [`op_host_fetch`]. Closing the handle aborts the fetch.
#[op2(fast)]
#[smi]
pub(crate) fn op_host_fetch_handle(state: &mut OpState) -> ResourceId {
    state.resource_table.add(FetchHandle(CancelHandle::default()))
}

#[op2]
#[serde]
pub(crate) async fn op_host_fetch(
    state: Rc<RefCell<OpState>>,
    #[smi] handle: ResourceId,
    #[serde] request: Request,
    #[smi] body: Option<ResourceId>,
) -> Result<Fetched, JsErrorBox> {
    let (handle, body, client) = {
        let mut state = state.borrow_mut();
        let handle = state.resource_table.get::<FetchHandle>(handle);
        let body = body.map(|body| state.resource_table.take_any(body)).transpose();
        let client = state.borrow::<HostState>().fetch.clone();
        let gone = |_| JsErrorBox::type_error("The fetch was aborted");
        (handle.map_err(gone)?, body.map_err(gone)?, client)
    };
    let client = client.ok_or_else(|| JsErrorBox::type_error("There is no network"))?;
    let (url, is_head) = (request.url.clone(), request.method == "HEAD");
    let fetched = run(client, request, body);
    let fetched = fetched.or_cancel(RcRef::map(&handle, |handle| &handle.0)).await;
    let fetched = fetched.map_err(|_| JsErrorBox::type_error("The fetch was aborted"))?;
    let FetchResponse { head, body, .. } = fetched.map_err(|reason| {
        // Scripts must not learn the reason, because it could reveal something about other origins.
        let message = format!("Failed to fetch {url}: {reason}");
        state.borrow().borrow::<HostState>().write(ConsoleLevel::Error, &message);
        JsErrorBox::type_error("Failed to fetch")
    })?;
    let no_body = is_head || head.response_type == ResponseType::OpaqueRedirect;
    let body = (!no_body).then(|| {
        let failed = |_| JsErrorBox::type_error("The response's body ended early");
        let body = BodyResource::new(body.map(move |chunk| chunk.map_err(failed)));
        state.borrow_mut().resource_table.add(body)
    });
    Ok(Fetched { head: head.filtered(), body })
}

async fn run(
    client: FetchClient,
    mut request: Request,
    body: Option<Rc<dyn Resource>>,
) -> Result<FetchResponse, String> {
    let FetchClient { network, storage_key, policies } = client;
    let policies = policies();
    // The header guard of the Request interface.
    remove_forbidden_request_headers(&mut request.headers);
    if !request.integrity.is_empty() {
        return Err("fetch() does not verify integrity metadata".into());
    }
    if request.mode == RequestMode::NoCors {
        // Opaque responses are not supported.
        if !policies.origin.is_same_origin(&request.url) {
            return Err("the mode no-cors is supported for the page's own origin only".into());
        }
        request.mode = RequestMode::SameOrigin;
    }
    let body = match body {
        Some(body) => Some(read(body).await?),
        None => None,
    };
    request.body_length = body.as_ref().map(BodySource::length);
    let request = to_fetch(storage_key, Principal::Page(policies), request)
        .with(|it| it.body = body.map(|body| Arc::new(body) as Arc<dyn BodySource>));
    network.fetch(request).await.map_err(|error| error.to_string())
}

/// The body of a request in memory.
struct Body(Vec<Bytes>);

impl BodySource for Body {
    fn length(&self) -> u64 {
        self.0.iter().map(|chunk| chunk.len() as u64).sum()
    }

    fn open(&self) -> BoxStream<'static, io::Result<Bytes>> {
        stream::iter(self.0.clone()).map(Ok).boxed()
    }
}

/// The resource of a script's stream. Dropping it cancels the stream.
struct ScriptBody(Rc<dyn Resource>);

impl Drop for ScriptBody {
    fn drop(&mut self) {
        Rc::clone(&self.0).close();
    }
}

async fn read(body: Rc<dyn Resource>) -> Result<Body, String> {
    let body = ScriptBody(body);
    let mut chunks = Vec::new();
    let mut length = 0;
    loop {
        let chunk = Rc::clone(&body.0).read(CHUNK).await.map_err(|error| error.to_string())?;
        if chunk.is_empty() {
            return Ok(Body(chunks));
        }
        length += chunk.len();
        if length > BODY_LIMIT {
            return Err(format!("the request's body is larger than {} MiB", BODY_LIMIT >> 20));
        }
        chunks.push(Bytes::copy_from_slice(&chunk));
    }
}
