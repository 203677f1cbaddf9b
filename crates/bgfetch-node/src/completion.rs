//! Completions as JavaScript gets them.

use std::collections::HashMap;
use std::time::Duration;

use bgfetch_binding::bgfetch::{EventInterface, Outcome};
use bgfetch_binding::{Completion, Error, Guard, Value, queue};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use parking_lot::Mutex;
use serde_json::json;

use crate::error::{Result, code, json, thrown};
use crate::{handle, number};

/// Guards that JavaScript has not released yet, by number.
static GUARDS: Mutex<(f64, Option<HashMap<u64, Guard>>)> = Mutex::new((0.0, None));

fn keep(guard: Guard) -> f64 {
    let mut guards = GUARDS.lock();
    guards.0 += 1.0;
    let number = guards.0;
    guards.1.get_or_insert_default().insert(number as u64, guard);
    number
}

/// Says that what came with the guard is known, applied or shown.
#[napi]
pub fn release(guard: f64) {
    let guard = GUARDS.lock().1.get_or_insert_default().remove(&(guard as u64));
    drop(guard);
}

/// Something that happened.
#[napi(object)]
#[derive(Default)]
pub struct JsCompletion {
    /// What has happened: the name of a completion, `failed` for a call that failed.
    pub kind: String,
    /// The token of a call, or the handle of what it is about.
    pub token: f64,
    /// Other values, in JSON.
    pub value: Option<String>,
    /// The answer to a read.
    pub bytes: Option<Uint8Array>,
    /// The number of a guard.
    pub guard: Option<f64>,
}

/// The next completion, or null.
#[napi]
pub fn next_completion(queue: f64) -> Result<Option<JsCompletion>> {
    let next = thrown(queue::next(handle(queue), Some(Duration::ZERO)))?;
    next.map(of).transpose()
}

fn of(completion: Completion) -> Result<JsCompletion> {
    let about = |kind: &str, token: bgfetch_binding::Handle, value: serde_json::Value| {
        let value = Some(value.to_string());
        Ok(JsCompletion { kind: kind.into(), token: number(token), value, ..Default::default() })
    };
    match completion {
        Completion::CallDone { token, result: Ok(value) } => done(token, value),
        Completion::CallDone { token, result: Err(error) } => Ok(JsCompletion {
            kind: "failed".into(),
            token: token as f64,
            value: Some(described(&error).to_string()),
            ..Default::default()
        }),
        Completion::Update { fetch, progress, applied, .. } => {
            let update = about("update", fetch, json!({ "progress": progress }))?;
            Ok(JsCompletion { guard: Some(keep(applied)), ..update })
        }
        Completion::Job { engine, change, shown } => {
            let job = about("job", engine, json!(change))?;
            Ok(JsCompletion { guard: Some(keep(shown)), ..job })
        }
        Completion::Event { registration, event, fetch, kind } => {
            let key = thrown(bgfetch_binding::fetch::attributes(fetch))?.key;
            let interface = kind.interface();
            let updates_ui = interface == EventInterface::BackgroundFetchUpdateUiEvent;
            about(
                "event",
                registration,
                json!({
                    "event": number(event),
                    "fetch": number(fetch),
                    "key": key,
                    "type": kind.name(),
                    "updatesUi": updates_ui,
                }),
            )
        }
        Completion::EventEnded { event, outcome } => {
            let handled = matches!(outcome, Outcome::Handled { .. });
            about("event-ended", event, json!({ "handled": handled }))
        }
        Completion::BodyReady { body, .. } => about("body-ready", body, json!(null)),
        Completion::Permission { token, engine, request } => about(
            "permission",
            engine,
            json!({ "question": number(token), "request": {
                "scope": request.registration.scope,
                "id": request.id,
                "title": request.title,
                "downloadTotal": request.download_total,
                "urls": request.requests.iter().map(|request| request.url.as_str()).collect::<Vec<_>>(),
            } }),
        ),
        Completion::Quota { token, engine, storage_key } => {
            about("quota", engine, json!({ "question": number(token), "storageKey": storage_key }))
        }
        Completion::Credit { token, bytes } => about("credit", token, json!(bytes)),
        Completion::Closed { engine, error } => {
            about("closed", engine, error.as_ref().map_or_else(|| json!(null), described))
        }
        // Those that no option of this package asks for.
        other => Ok(JsCompletion { kind: format!("{other:?}"), ..Default::default() }),
    }
}

fn described(error: &Error) -> serde_json::Value {
    json!({ "code": code(error), "message": error.message() })
}

fn done(token: u64, value: Value) -> Result<JsCompletion> {
    let done = JsCompletion { kind: "done".into(), token: token as f64, ..Default::default() };
    let with = |value: serde_json::Value| Some(value.to_string());
    Ok(match value {
        Value::Handle(handle) => JsCompletion { value: with(json!(number(handle))), ..done },
        Value::Handles(handles) => {
            let records = handles.into_iter().map(|record| {
                let request = thrown(bgfetch_binding::record::info(record))?.request;
                Ok(json!({ "record": number(record), "request": request }))
            });
            JsCompletion { value: with(records.collect::<Result<_>>()?), ..done }
        }
        Value::Fetch { handle, key, known } => JsCompletion {
            value: with(json!({ "fetch": number(handle), "key": key })),
            guard: Some(keep(known)),
            ..done
        },
        Value::Response { head, body } => {
            JsCompletion { value: with(json!({ "head": head, "body": number(body) })), ..done }
        }
        Value::Bytes(bytes) => JsCompletion { bytes: Some(bytes.into()), ..done },
        Value::Bool(answer) => JsCompletion { value: with(json!(answer)), ..done },
        Value::Ids(ids) => JsCompletion { value: with(json!(ids)), ..done },
        Value::Jobs(jobs) => JsCompletion { value: Some(json(&jobs)?), ..done },
        _ => done,
    })
}
