//! Completions as C sees them.

use std::mem::size_of;
use std::sync::Arc;

use bgfetch_binding::bgfetch::{
    CookieContext, HeaderList, JobChange, LocalNetworkRequest, Outcome,
};
use bgfetch_binding::{Completion, Error, Guard, Handle, MessageHead, Value, fetch};
use serde_json::{Value as Json, json};

use crate::error::bgfetch_error;
use crate::ffi::{bgfetch_handle, bgfetch_str};

/// What a completion is about.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub enum bgfetch_completion_kind {
    /// Nothing.
    BGFETCH_NONE = 0,
    /// The call with this `token` is done. It failed if `error` is not NULL; otherwise `value` says what there is.
    BGFETCH_CALL_DONE = 1,
    /// `fetch` has new attributes. `flag`: `progress` must be fired.
    BGFETCH_UPDATE = 2,
    /// A job of `engine` has changed: `key`, and `json` as it is now, or an empty text if it is gone.
    BGFETCH_JOB = 3,
    /// `event` is to be fired at the worker of `registration`. `number` is its kind, `text` its name, and `fetch` what it
    /// is about, with the id `id`. The host frees `event` and `fetch`.
    BGFETCH_EVENT = 4,
    /// `event` is no longer active. `flag`: it was handled. `text`: why not, or why a promise was rejected.
    BGFETCH_EVENT_ENDED = 5,
    /// Reading `body` at the offset `number` will not be in vain any more.
    BGFETCH_BODY_READY = 6,
    /// A page calls `fetch()` of `engine`, with the id `id` and the title `text`, for `storage_key`; all of it is in `json`. Answer with
    /// `bgfetch_answer_permission(token, …)`.
    BGFETCH_PERMISSION = 7,
    /// A page needs an address that is less public than its own, for the URL `text`: see `json`. Answer with
    /// `bgfetch_answer_local_network(token, …)`.
    BGFETCH_LOCAL_NETWORK = 8,
    /// How many bytes may `storage_key` use? Answer with `bgfetch_answer_quota(token, …)`.
    BGFETCH_QUOTA = 9,
    /// A request to the URL `text` needs its cookies, or, with `flag`, its response has set those in `headers`. Answer
    /// with `bgfetch_answer_cookies(token, …)`.
    BGFETCH_COOKIES = 10,
    /// A message is to be sent by the host's network stack: `method`, `text` is the URL, `headers`; if `flag` is set, a
    /// body of `number` bytes. The rest is in `json`. Answer with `bgfetch_network_…(token, …)`.
    BGFETCH_FETCH_START = 11,
    /// The message `token`, or its response, is no longer wanted. It is freed.
    BGFETCH_FETCH_CANCEL = 12,
    /// `number` more bytes can be given to the message or source `token`.
    BGFETCH_CREDIT = 13,
    /// The network of `engine` has changed. Open connections of the host's network stack may be dead.
    BGFETCH_NETWORK_CHANGED = 14,
    /// `engine` has ended, because of `error` if that is not NULL. The host frees it.
    BGFETCH_CLOSED = 15,
}

/// What a call was answered with.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub enum bgfetch_value_kind {
    /// Nothing: it is done, or there is no such thing.
    BGFETCH_VALUE_NONE = 0,
    /// The object `handle`, which the host frees.
    BGFETCH_VALUE_HANDLE = 1,
    /// The objects `handles`, each of which the host frees.
    BGFETCH_VALUE_HANDLES = 2,
    /// The background fetch `handle` with the identity `key` and the id `id`. The host frees it. A new fetch starts when the completion
    /// is cleared.
    BGFETCH_VALUE_FETCH = 3,
    /// A response: its status is `number`, its URL `text`, its headers are `headers`, all of it is in `json`, and its
    /// body is `handle`, which the host frees.
    BGFETCH_VALUE_RESPONSE = 4,
    /// The bytes `data`. None are the end.
    BGFETCH_VALUE_BYTES = 5,
    /// Yes or no: `flag`.
    BGFETCH_VALUE_BOOL = 6,
    /// Several things, as `json`.
    BGFETCH_VALUE_JSON = 7,
    /// A request: its `method`, its URL `text`, its headers are `headers`, and all of it is in `json`.
    BGFETCH_VALUE_REQUEST = 8,
}

use bgfetch_completion_kind as Kind;
use bgfetch_value_kind as ValueKind;

/// A header of a request or a response.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct bgfetch_header {
    /// Its name.
    pub(crate) name: bgfetch_str,
    /// Its value, which need not be UTF-8.
    pub(crate) value: bgfetch_str,
}

/// Something that happened. Initialize it with BGFETCH_COMPLETION_INIT. All pointers in it live until it is cleared or
/// used for the next completion. The kind says which members are set; the others are 0.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct bgfetch_completion {
    /// The size of this struct.
    size: usize,
    /// What it is about.
    kind: bgfetch_completion_kind,
    /// What a call was answered with.
    value: bgfetch_value_kind,
    /// The number of a call, a question, a message or a source.
    token: u64,
    /// An engine.
    engine: bgfetch_handle,
    /// A registration.
    registration: bgfetch_handle,
    /// A fetch.
    fetch: bgfetch_handle,
    /// An event.
    event: bgfetch_handle,
    /// A body.
    body: bgfetch_handle,
    /// The object of an answer.
    handle: bgfetch_handle,
    /// The objects of an answer.
    handles: *const bgfetch_handle,
    /// How many they are.
    handle_count: usize,
    /// The identity of a fetch in its store.
    key: u64,
    /// A number.
    number: u64,
    /// Yes or no.
    flag: bool,
    /// A text.
    text: bgfetch_str,
    /// The id of a fetch.
    id: bgfetch_str,
    /// The method of a message or a request.
    method: bgfetch_str,
    /// A storage key.
    storage_key: bgfetch_str,
    /// Details in JSON.
    json: bgfetch_str,
    /// Bytes.
    data: *const u8,
    /// How many they are.
    data_length: usize,
    /// Headers.
    headers: *const bgfetch_header,
    /// How many they are.
    header_count: usize,
    /// Why a call failed or an engine ended, or NULL. It is part of the completion.
    error: *const bgfetch_error,
    /// What the pointers point to. Not for the host.
    kept: Option<Box<bgfetch_kept>>,
}

/// What a completion owns. The parts are shared or vectors that do not change, so pointers to them stay valid.
#[derive(Default)]
#[allow(non_camel_case_types)]
pub struct bgfetch_kept {
    texts: Vec<Arc<[u8]>>,
    handles: Vec<u64>,
    data: Vec<u8>,
    headers: Vec<bgfetch_header>,
    error: Option<Arc<bgfetch_error>>,
    guard: Option<Guard>,
}

impl bgfetch_kept {
    fn text(&mut self, text: impl AsRef<str>) -> bgfetch_str {
        self.bytes(text.as_ref().as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> bgfetch_str {
        // Programs in C like texts that end with a zero byte.
        let shared: Arc<[u8]> = bytes.iter().copied().chain([0]).collect();
        let borrowed = bgfetch_str::of_bytes(shared.get(..bytes.len()).unwrap_or_default());
        self.texts.push(shared);
        borrowed
    }

    fn json(&mut self, json: &Json) -> bgfetch_str {
        self.text(json.to_string())
    }
}

impl bgfetch_completion {
    const fn empty() -> Self {
        Self {
            size: size_of::<Self>(),
            kind: Kind::BGFETCH_NONE,
            value: ValueKind::BGFETCH_VALUE_NONE,
            token: 0,
            engine: 0,
            registration: 0,
            fetch: 0,
            event: 0,
            body: 0,
            handle: 0,
            handles: std::ptr::null(),
            handle_count: 0,
            key: 0,
            number: 0,
            flag: false,
            text: bgfetch_str::EMPTY,
            id: bgfetch_str::EMPTY,
            method: bgfetch_str::EMPTY,
            storage_key: bgfetch_str::EMPTY,
            json: bgfetch_str::EMPTY,
            data: std::ptr::null(),
            data_length: 0,
            headers: std::ptr::null(),
            header_count: 0,
            error: std::ptr::null(),
            kept: None,
        }
    }

    /// Frees what it owns.
    pub(crate) fn clear(&mut self) {
        *self = Self::empty();
    }

    /// Fills an empty completion.
    pub(crate) fn set(&mut self, completion: Completion) {
        let mut kept = Box::<bgfetch_kept>::default();
        self.fill(completion, &mut kept);
        self.kept = Some(kept);
    }

    fn fill(&mut self, completion: Completion, kept: &mut bgfetch_kept) {
        match completion {
            Completion::CallDone { token, result } => {
                self.kind = Kind::BGFETCH_CALL_DONE;
                self.token = token;
                match result {
                    Ok(value) => self.fill_value(value, kept),
                    Err(error) => self.fill_error(error, kept),
                }
            }
            Completion::Update { fetch, progress, applied, .. } => {
                self.kind = Kind::BGFETCH_UPDATE;
                (self.fetch, self.flag) = (fetch.raw(), progress);
                kept.guard = Some(applied);
            }
            Completion::Job { engine, change, shown } => {
                self.kind = Kind::BGFETCH_JOB;
                self.engine = engine.raw();
                kept.guard = Some(shown);
                match change {
                    JobChange::Changed(job) => {
                        self.key = job.key.0;
                        self.json = kept.json(&json!(job));
                    }
                    JobChange::Removed(key) => self.key = key.0,
                    // Only the host can decide what to do about what it does not know.
                    _ => {}
                }
            }
            Completion::Event { registration, event, fetch, kind } => {
                self.kind = Kind::BGFETCH_EVENT;
                (self.registration, self.event) = (registration.raw(), event.raw());
                (self.fetch, self.number) = (fetch.raw(), crate::event::number(kind).into());
                self.text = kept.text(kind.name());
                self.fill_id(fetch, kept);
            }
            Completion::EventEnded { event, outcome } => {
                self.kind = Kind::BGFETCH_EVENT_ENDED;
                (self.event, self.flag) = (event.raw(), outcome.is_handled());
                self.text = match outcome {
                    Outcome::Handled { rejection: None } => bgfetch_str::EMPTY,
                    Outcome::Handled { rejection: Some(reason) } => kept.text(reason.0),
                    Outcome::NotHandled(reason) => kept.text(reason.to_string()),
                };
            }
            Completion::BodyReady { body, offset } => {
                self.kind = Kind::BGFETCH_BODY_READY;
                (self.body, self.number) = (body.raw(), offset);
            }
            Completion::Credit { token, bytes } => {
                self.kind = Kind::BGFETCH_CREDIT;
                (self.token, self.number) = (token.raw(), bytes);
            }
            Completion::FetchStart { token, engine, message } => {
                self.ask(Kind::BGFETCH_FETCH_START, token, engine);
                self.fill_message(&message, kept);
            }
            Completion::FetchCancel { token } => {
                self.ask(Kind::BGFETCH_FETCH_CANCEL, token, Handle::NONE);
            }
            Completion::NetworkChanged { engine } => {
                self.ask(Kind::BGFETCH_NETWORK_CHANGED, Handle::NONE, engine);
            }
            Completion::Closed { engine, error } => {
                self.ask(Kind::BGFETCH_CLOSED, Handle::NONE, engine);
                if let Some(error) = error {
                    self.fill_error(error, kept);
                }
            }
            question => self.fill_question(question, kept),
        }
    }

    fn ask(&mut self, kind: Kind, token: Handle, engine: Handle) {
        (self.kind, self.token, self.engine) = (kind, token.raw(), engine.raw());
    }

    fn fill_question(&mut self, completion: Completion, kept: &mut bgfetch_kept) {
        match completion {
            Completion::Permission { token, engine, request } => {
                self.ask(Kind::BGFETCH_PERMISSION, token, engine);
                (self.id, self.text) = (kept.text(&request.id), kept.text(&request.title));
                self.storage_key = kept.text(&request.registration.storage_key.0);
                self.json = kept.json(&json!({
                    "id": request.id,
                    "title": request.title,
                    "icons": request.icons,
                    "requests": request.requests.iter().map(|it| &**it).collect::<Vec<_>>(),
                    "downloadTotal": request.download_total,
                    "storageKey": request.registration.storage_key,
                    "scope": request.registration.scope,
                    "principal": *request.principal,
                }));
            }
            Completion::LocalNetwork { token, engine, request } => {
                self.ask(Kind::BGFETCH_LOCAL_NETWORK, token, engine);
                let LocalNetworkRequest { fetch, url, space, .. } = request;
                self.text = kept.text(url.as_str());
                self.storage_key = kept.text(&fetch.registration.storage_key.0);
                self.json = kept.json(&json!({
                    "url": url,
                    "space": space,
                    "id": *fetch.id,
                    "storageKey": fetch.registration.storage_key,
                    "scope": fetch.registration.scope,
                }));
            }
            Completion::Quota { token, engine, storage_key } => {
                self.ask(Kind::BGFETCH_QUOTA, token, engine);
                self.storage_key = kept.text(storage_key.0);
            }
            Completion::Cookies { token, engine, context, set } => {
                self.ask(Kind::BGFETCH_COOKIES, token, engine);
                let CookieContext { url, method, storage_key, top_level_origin, same_site, .. } =
                    context;
                self.text = kept.text(url.as_str());
                self.method = kept.text(&method);
                self.storage_key = kept.text(&storage_key.0);
                self.json = kept.json(&json!({
                    "url": url,
                    "method": method,
                    "storageKey": storage_key,
                    "topLevelOrigin": top_level_origin,
                    "sameSite": same_site,
                }));
                self.flag = set.is_some();
                let named = |value| ("set-cookie".to_owned(), value);
                self.fill_headers(set.into_iter().flatten().map(named), kept);
            }
            // A completion that this version of the header does not know.
            _ => {}
        }
    }

    fn fill_value(&mut self, value: Value, kept: &mut bgfetch_kept) {
        self.value = match value {
            Value::None => ValueKind::BGFETCH_VALUE_NONE,
            Value::Handle(handle) => {
                self.handle = handle.raw();
                ValueKind::BGFETCH_VALUE_HANDLE
            }
            Value::Handles(handles) => {
                kept.handles = handles.into_iter().map(Handle::raw).collect();
                (self.handles, self.handle_count) = (kept.handles.as_ptr(), kept.handles.len());
                ValueKind::BGFETCH_VALUE_HANDLES
            }
            Value::Fetch { handle, key, known } => {
                (self.handle, self.key) = (handle.raw(), key.0);
                self.fill_id(handle, kept);
                kept.guard = Some(known);
                ValueKind::BGFETCH_VALUE_FETCH
            }
            Value::Response { head, body } => {
                (self.handle, self.number) = (body.raw(), head.status.into());
                self.text = kept.text(head.url_list.last().map_or("", |url| url.as_str()));
                self.json = kept.json(&json!(head));
                self.fill_headers(owned(&head.headers), kept);
                ValueKind::BGFETCH_VALUE_RESPONSE
            }
            Value::Request(request) => {
                self.method = kept.text(&request.method);
                self.text = kept.text(request.url.as_str());
                self.json = kept.json(&json!(request));
                self.fill_headers(owned(&request.headers), kept);
                ValueKind::BGFETCH_VALUE_REQUEST
            }
            Value::Bytes(bytes) => {
                kept.data = bytes;
                (self.data, self.data_length) = (kept.data.as_ptr(), kept.data.len());
                ValueKind::BGFETCH_VALUE_BYTES
            }
            Value::Bool(yes) => {
                self.flag = yes;
                ValueKind::BGFETCH_VALUE_BOOL
            }
            Value::Ids(ids) => self.fill_json(json!(ids), kept),
            Value::Jobs(jobs) => self.fill_json(json!(jobs), kept),
            Value::Usage(usage) => self.fill_json(
                json!({
                    "total": usage.total,
                    "responseBodies": usage.response_bodies,
                    "requestBodies": usage.request_bodies,
                    "metadata": usage.metadata,
                    "setAside": usage.set_aside,
                    "quota": usage.quota,
                }),
                kept,
            ),
            Value::Registrations(all) => {
                let one = |it: &bgfetch_binding::bgfetch::RegistrationKey| json!({ "storageKey": it.storage_key, "scope": it.scope });
                self.fill_json(all.iter().map(one).collect(), kept)
            }
            _ => ValueKind::BGFETCH_VALUE_NONE,
        };
    }

    fn fill_id(&mut self, fetch: Handle, kept: &mut bgfetch_kept) {
        // A fetch that another thread has freed already has no id.
        self.id = fetch::attributes(fetch).map_or(bgfetch_str::EMPTY, |it| kept.text(it.id));
    }

    fn fill_json(&mut self, json: Json, kept: &mut bgfetch_kept) -> ValueKind {
        self.json = kept.json(&json);
        ValueKind::BGFETCH_VALUE_JSON
    }

    fn fill_error(&mut self, error: Error, kept: &mut bgfetch_kept) {
        let error = Arc::new(bgfetch_error::new(error));
        self.error = Arc::as_ptr(&error);
        kept.error = Some(error);
    }

    fn fill_message(&mut self, message: &MessageHead, kept: &mut bgfetch_kept) {
        self.method = kept.text(&message.method);
        self.text = kept.text(&message.url);
        self.flag = message.body_length.is_some();
        self.number = message.body_length.unwrap_or_default();
        self.json = kept.json(&json!({
            "credentials": message.credentials,
            "acceptsCodings": message.accepts_codings,
            "partition": message.partition,
        }));
        self.fill_headers(message.headers.iter().cloned(), kept);
    }

    fn fill_headers(
        &mut self,
        headers: impl Iterator<Item = (String, String)>,
        kept: &mut bgfetch_kept,
    ) {
        for (name, value) in headers {
            // The value is decoded isomorphically: each character stands for a byte.
            let value: Vec<u8> = value.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect();
            let header = bgfetch_header { name: kept.text(name), value: kept.bytes(&value) };
            kept.headers.push(header);
        }
        (self.headers, self.header_count) = (kept.headers.as_ptr(), kept.headers.len());
    }
}

fn owned(headers: &HeaderList) -> impl Iterator<Item = (String, String)> {
    headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned()))
}
