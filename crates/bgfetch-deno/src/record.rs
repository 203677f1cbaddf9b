//! [BackgroundFetchRecord](https://wicg.github.io/background-fetch/#background-fetch-record-interface).

use std::cell::RefCell;
use std::rc::Rc;

use bgfetch::{DomException, ResponseHead};
use deno_core::{OpState, ResourceId, op2};
use deno_error::JsErrorBox;
use futures_util::StreamExt;
use serde::Serialize;

use crate::body::BodyResource;
use crate::exceptions::{exception, record_failed};
use crate::realm::{Realm, with_realm};

/// A response, with its body as a resource.
#[derive(Serialize)]
pub(crate) struct JsResponse {
    head: ResponseHead,
    body: ResourceId,
}

/// Waits for the response of a record.
#[op2]
#[serde]
pub(crate) async fn op_bgfetch_response_ready(
    state: Rc<RefCell<OpState>>,
    #[smi] record: u32,
) -> Result<JsResponse, JsErrorBox> {
    let record = with_realm(&state, |realm| realm.record(record).cloned())?;
    let response = record.response_ready().await.map_err(record_failed)?;
    let body = BodyResource::of_record(response.body);
    Ok(JsResponse { head: response.head, body: state.borrow_mut().resource_table.add(body) })
}

/// The body of a record's request as a resource, if it has one.
#[op2]
#[smi]
pub(crate) fn op_bgfetch_request_body(
    state: &mut OpState,
    #[smi] record: u32,
) -> Result<Option<ResourceId>, JsErrorBox> {
    let body = state.borrow::<Realm>().record(record)?.request_body();
    let unreadable = |error| exception(DomException::AbortError, error);
    let resource =
        body.map(|body| BodyResource::new(body.map(move |chunk| chunk.map_err(unreadable))));
    Ok(resource.map(|resource| state.resource_table.add(resource)))
}

/// The record's object was garbage collected.
#[op2(fast)]
pub(crate) fn op_bgfetch_close_record(state: &mut OpState, #[smi] record: u32) {
    state.borrow_mut::<Realm>().close_record(record);
}
