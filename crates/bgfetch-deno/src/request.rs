//! The requests of a call to `fetch()`, whose bodies are streams of the script's realm.

use std::convert::Infallible;
use std::io;
use std::rc::Rc;

use bgfetch::{Request, RequestInfo};
use bytes::Bytes;
use deno_core::{OpState, Resource, ResourceId, op2};
use deno_error::JsErrorBox;
use futures_util::future::{LocalBoxFuture, join_all, pending};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use tokio::sync::mpsc;
use url::Url;

use crate::exceptions::misuse;

/// How many bytes of a body are taken from the script at once, at most.
const CHUNK: usize = 64 << 10;

/// A request as the binding converted it.
#[derive(Deserialize)]
pub(crate) struct FetchRequest {
    request: Request,
    /// The resource of the body's stream, or `None` without a body.
    body: Option<ResourceId>,
}

/// Parses and serializes a URL. The interface `URL` uses Deno's own parser.
#[op2]
#[string]
pub(crate) fn op_bgfetch_parse_url(
    #[string] text: &str,
    #[string] base: Option<String>,
) -> Option<String> {
    let base = base.and_then(|base| Url::parse(&base).ok());
    Url::options().base_url(base.as_ref()).parse(text).ok().map(String::from)
}

/// Sends the bodies from the script's thread to the engine, each as fast as the engine takes it.
pub(crate) struct Pump(Vec<LocalBoxFuture<'static, ()>>);

impl Pump {
    /// Runs until it is dropped.
    pub(crate) async fn run(self) -> Infallible {
        join_all(self.0).await;
        pending().await
    }
}

pub(crate) fn into_request_infos(
    state: &mut OpState,
    requests: Vec<FetchRequest>,
) -> Result<(Vec<RequestInfo>, Pump), JsErrorBox> {
    let mut pumps = Vec::new();
    let mut infos = Vec::new();
    for FetchRequest { request, body } in requests {
        let mut info = RequestInfo::from(request);
        if let Some(body) = body {
            let body = state
                .resource_table
                .take_any(body)
                .map_err(|_| misuse("a request's body is gone"))?;
            let (sender, receiver) = mpsc::channel(1);
            pumps.push(Box::pin(pump(ScriptBody(body), sender)) as LocalBoxFuture<'static, ()>);
            info = info.body_stream(pumped(receiver));
        }
        infos.push(info);
    }
    Ok((infos, Pump(pumps)))
}

/// The resource of a script's stream. Dropping it cancels the stream.
struct ScriptBody(Rc<dyn Resource>);

impl Drop for ScriptBody {
    fn drop(&mut self) {
        Rc::clone(&self.0).close();
    }
}

/// The chunks that a pump sends, up to an empty one. If a pump ends before that, its realm has
/// ended, and the body is incomplete.
fn pumped(
    receiver: mpsc::Receiver<io::Result<Bytes>>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::try_unfold(receiver, |mut receiver| async {
        let cut = || Err(io::Error::other("the script that created it has ended"));
        let chunk = receiver.recv().await.unwrap_or_else(cut)?;
        Ok((!chunk.is_empty()).then_some((chunk, receiver)))
    })
}

async fn pump(body: ScriptBody, engine: mpsc::Sender<io::Result<Bytes>>) {
    // Reserve room first: a script's stream is not read before there is room for its bytes.
    while let Ok(room) = engine.reserve().await {
        match Rc::clone(&body.0).read(CHUNK).await {
            Ok(chunk) => {
                let is_end = chunk.is_empty();
                room.send(Ok(Bytes::copy_from_slice(&chunk)));
                if is_end {
                    break;
                }
            }
            Err(error) => {
                room.send(Err(io::Error::other(error.to_string())));
                break;
            }
        }
    }
}
