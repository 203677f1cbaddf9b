//! The browser's own proxy for `http` URLs. WebKitGTK injects scripts into pages only, so it puts
//! `background-fetch.js` before those of service workers, and answers their calls.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::{BoxError, Json, Router};
use bgfetch::{Origin, PolicySnapshot};
use futures_util::{StreamExt, future::ready, stream::once};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use url::{Url, form_urlencoded::byte_serialize};

use crate::calls::{Answer, Shell, exception, state};

pub(crate) const SCRIPT: &str = include_str!("background-fetch.js");

type HttpClient = Client<HttpConnector, Body>;

pub(crate) fn router(shell: Shell) -> Router {
    let client: HttpClient = Client::builder(TokioExecutor::new()).build_http();
    Router::new().fallback(answer).with_state((shell, client))
}

async fn answer(State((shell, client)): State<(Shell, HttpClient)>, request: Request) -> Response {
    let answer = match request.uri().path() {
        "/.background-fetch/deliver" => return Html(include_str!("deliver.html")).into_response(),
        "/.background-fetch/call" => call(&shell, request).await,
        _ => forward(&client, request).await,
    };
    answer.unwrap_or_else(|it| (StatusCode::BAD_GATEWAY, Json(exception(&it))).into_response())
}

/// A call of a script, which gets only what is of its own origin. The browser says whose it is.
async fn call(shell: &Shell, request: Request) -> Result<Response, BoxError> {
    let url: Url = request.uri().to_string().parse()?;
    let origin = Origin::of(&url).serialize();
    if request.headers().get(header::ORIGIN).is_none_or(|it| it != origin.as_str()) {
        return Ok(StatusCode::FORBIDDEN.into_response());
    }
    let call = serde_json::from_slice(&to_bytes(request.into_body(), usize::MAX).await?)?;
    Ok(match shell.call(PolicySnapshot::of(&url), call).await? {
        Answer::Value(value, _) => Json(value).into_response(),
        Answer::Updates(fetch, _) => Json(state(&fetch)).into_response(),
        Answer::Response(response) => {
            // As in a URL, because it may contain what no header may.
            let head = json!(response.head).to_string();
            let head: String = byte_serialize(head.as_bytes()).collect();
            // WebKit does not tell a lost connection from the end of a body, so the end is marked.
            let end = gtk::glib::uuid_string_random().to_string();
            let body = response.body.chain(once(ready(Ok(end.clone().into()))));
            ([("x-head", head), ("x-end", end)], Body::from_stream(body)).into_response()
        }
    })
}

async fn forward(client: &HttpClient, mut request: Request) -> Result<Response, BoxError> {
    let is_worker = request.headers().contains_key("service-worker");
    if is_worker {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    let mut response = client.request(request).await?.map(Body::new);
    if is_worker && response.status().is_success() {
        response.headers_mut().remove(header::CONTENT_LENGTH);
        let (head, body) = response.into_parts();
        let script = [SCRIPT.as_bytes(), &to_bytes(body, usize::MAX).await?].concat();
        response = Response::from_parts(head, script.into());
    }
    Ok(response)
}
