//! What scripts ask for: `background-fetch.js` sends the calls, and the engine answers.

use axum::BoxError;
use bgfetch::DomException::{InvalidStateError, TypeError};
use bgfetch::{
    BackgroundFetchRegistration, CallError, Client, Engine, FetchOptions, MatchOptions, Origin,
    PolicySnapshot, Principal, RecordError, RegistrationKey, Rejection, Request, Response,
    StartHold, StorageKey, UiUpdate,
};
use serde_json::{Value, from_value, json};
use url::Url;

use crate::worker_host::Events;

/// A method, the scope of the service worker registration, and the arguments.
pub(crate) type Call = (String, Url, Value);

pub(crate) enum Answer {
    /// When the script's promise has been resolved, the requests of a new fetch may start.
    Value(Value, Option<StartHold>),
    /// For pages.
    Updates(BackgroundFetchRegistration, Client),
    /// For those who ask the proxy.
    Response(Box<Response>),
}

#[derive(Clone)]
pub(crate) struct Shell {
    pub(crate) engine: Engine,
    pub(crate) events: Events,
}

impl Shell {
    /// Makes a call for a page or worker with these policies.
    pub(crate) async fn call(&self, realm: PolicySnapshot, call: Call) -> Result<Answer, BoxError> {
        let (method, scope, args) = call;
        let not_found = || bgfetch::Error::from(CallError::NotFound);
        if Origin::of(&scope) != realm.origin {
            return Err(not_found().into());
        }
        let key = RegistrationKey { storage_key: StorageKey(realm.origin.serialize()), scope };
        let worker = self.engine.registration(key.clone());
        let find = async |fetch| worker.fetch(fetch).await?.ok_or_else(not_found);
        let manager = worker.background_fetch().acting_for(Principal::Page(realm));
        let value = match method.as_str() {
            "fetch" => {
                let (id, requests): (String, Vec<Request>);
                let mut given = FetchOptions::default();
                (id, requests, given.title, given.icons, given.download_total) = from_value(args)?;
                // The script has seen an active worker.
                self.engine.register(key.storage_key, key.scope).await?;
                let (fetch, hold) = manager.fetch_held(id, requests, given).await?;
                return Ok(Answer::Value(state(&fetch), Some(hold)));
            }
            "get" => json!(manager.get(from_value::<String>(args)?).await?.as_ref().map(state)),
            "getIds" => json!(manager.get_ids().await?),
            "abort" => json!(find(from_value(args)?).await?.abort().await?),
            "match" => {
                let (key, request, flags): (_, Option<Request>, _) = from_value(args)?;
                let mut options = MatchOptions::default();
                (options.ignore_search, options.ignore_method, options.ignore_vary) = flags;
                let found = match request {
                    Some(request) => find(key).await?.match_all(request, options).await?,
                    None => find(key).await?.records().await?,
                };
                found.iter().map(|it| json!({ "key": it.key(), "request": it.request() })).collect()
            }
            "responseReady" => {
                let record = worker.record(from_value(args)?).await?.ok_or_else(not_found)?;
                return Ok(Answer::Response(record.response_ready().await?.into()));
            }
            "follow" => {
                let key = from_value(args)?;
                let updates = find(key).await?.updates().await?;
                // Found again, because it may have changed before the updates began.
                return Ok(Answer::Updates(find(key).await?, updates));
            }
            "unregister" => json!(worker.unregister().await?),
            "hasRun" => {
                let (event, worker): (String, _) = from_value(args)?;
                let has_run = self.events.lock().get_mut(&event).and_then(|it| it.has_run.take());
                json!(has_run.is_some_and(|has_run| has_run.send(worker).is_ok()))
            }
            "settled" => {
                let (event, rejection): (String, Option<String>) = from_value(args)?;
                let result = rejection.map_or(Ok(()), |reason| Err(Rejection(reason)));
                json!(self.events.lock().remove(&event).map(|event| event.promises.settle(result)))
            }
            "updateUI" => {
                let (event, title, icons): (String, _, _) = from_value(args)?;
                let event = self.events.lock().get(&event).map(|event| event.event.clone());
                let update = UiUpdate::default().with(|it| (it.title, it.icons) = (title, icons));
                json!(event.ok_or("the event is over")?.update_ui(update).await?)
            }
            _ => return Err("no such method".into()),
        };
        Ok(Answer::Value(value, None))
    }
}

/// What a promise is rejected with.
pub(crate) fn exception(error: &BoxError) -> Value {
    let of_call = error.downcast_ref().map(bgfetch::Error::dom_exception);
    let of_record = error.downcast_ref().map(RecordError::dom_exception);
    let other = if error.is::<serde_json::Error>() { TypeError } else { InvalidStateError };
    let name = of_call.or(of_record).unwrap_or(other).name();
    json!({ "name": name, "message": error.to_string() })
}

/// The attributes of a `BackgroundFetchRegistration`, and its key.
pub(crate) fn state(fetch: &BackgroundFetchRegistration) -> Value {
    json!({
        "key": fetch.key(), "id": fetch.id(), "result": fetch.result(),
        "downloadTotal": fetch.download_total(), "downloaded": fetch.downloaded(),
        "recordsAvailable": fetch.records_available(),
    })
}
