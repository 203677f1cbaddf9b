//! The requests of a call of `fetch()`, whose bodies are streams of the script's realm.

use std::convert::Infallible;
use std::io;
use std::rc::Rc;

use bgfetch::{HeaderList, Request, RequestInfo};
use bytes::Bytes;
use deno_core::{OpState, Resource, ResourceId};
use deno_error::JsErrorBox;
use futures_util::future::{LocalBoxFuture, join_all, pending};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::exceptions::misuse;

/// How many bytes of a body are taken from the script at once, at most.
const CHUNK: usize = 64 << 10;

/// A request as the binding converted it.
#[derive(Deserialize)]
pub(crate) struct FetchRequest {
    request: Request,
    /// The resource behind which the body's stream is, or none without a body.
    body: Option<ResourceId>,
}

/// Carries the bodies from the script's thread to the engine, each as fast as the engine takes it.
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
    for FetchRequest { mut request, body } in requests {
        request.headers = without_forbidden(&request.headers);
        let mut info = RequestInfo::from(request);
        if let Some(body) = body {
            let body = state
                .resource_table
                .take_any(body)
                .map_err(|_| misuse("a request's body is gone"))?;
            let (sender, receiver) = mpsc::channel(1);
            pumps.push(Box::pin(pump(ScriptBody(body), sender)) as LocalBoxFuture<'static, ()>);
            info = info.body_stream(stream::unfold(receiver, |mut receiver| async {
                Some((receiver.recv().await?, receiver))
            }));
        }
        infos.push(info);
    }
    Ok((infos, Pump(pumps)))
}

/// The resource behind which a script's stream is. The stream is cancelled with it.
struct ScriptBody(Rc<dyn Resource>);

impl Drop for ScriptBody {
    fn drop(&mut self) {
        Rc::clone(&self.0).close();
    }
}

async fn pump(body: ScriptBody, engine: mpsc::Sender<io::Result<Bytes>>) {
    // Room first: a script's stream is not read before its bytes can go somewhere.
    while let Ok(room) = engine.reserve().await {
        match Rc::clone(&body.0).read(CHUNK).await {
            Ok(chunk) if chunk.is_empty() => break,
            Ok(chunk) => room.send(Ok(Bytes::copy_from_slice(&chunk))),
            Err(error) => {
                room.send(Err(io::Error::other(error.to_string())));
                break;
            }
        }
    }
}

/// What a script may not set. Deno's `Headers` do not refuse them, since its programs may.
fn without_forbidden(headers: &HeaderList) -> HeaderList {
    headers.iter().filter(|(name, value)| !is_forbidden(name, value)).collect()
}

/// [Forbidden request-header](https://fetch.spec.whatwg.org/#forbidden-request-header).
fn is_forbidden(name: &str, value: &str) -> bool {
    const NAMES: [&str; 21] = [
        "accept-charset",
        "accept-encoding",
        "access-control-request-headers",
        "access-control-request-method",
        "connection",
        "content-length",
        "cookie",
        "cookie2",
        "date",
        "dnt",
        "expect",
        "host",
        "keep-alive",
        "origin",
        "referer",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    const METHOD_OVERRIDES: [&str; 3] =
        ["x-http-method", "x-http-method-override", "x-method-override"];
    let name = name.to_ascii_lowercase();
    let forbidden_method = |method: &str| {
        let method = method.trim_matches([' ', '\t']);
        ["CONNECT", "TRACE", "TRACK"].iter().any(|other| other.eq_ignore_ascii_case(method))
    };
    NAMES.contains(&name.as_str())
        || name.starts_with("proxy-")
        || name.starts_with("sec-")
        || (METHOD_OVERRIDES.contains(&name.as_str()) && value.split(',').any(forbidden_method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_only_a_user_agent_sets_are_taken_out() {
        let headers = HeaderList::from_iter([
            ("Cookie", "a=b"),
            ("X-Kept", "1"),
            ("Sec-Fetch-Site", "none"),
            ("Proxy-Authorization", "x"),
            ("X-HTTP-Method-Override", "GET, trace"),
            ("X-Method-Override", "PATCH"),
            ("host", "other.test"),
            ("Range", "bytes=0-"),
        ]);
        let kept: Vec<_> = without_forbidden(&headers).iter().map(|(n, _)| n.to_owned()).collect();
        assert_eq!(kept, ["X-Kept", "X-Method-Override", "Range"]);
    }
}
