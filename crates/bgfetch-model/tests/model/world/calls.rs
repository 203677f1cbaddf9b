//! The calls that a test makes into the world.

use std::sync::Arc;

use bgfetch_model::action::Reply;
use bgfetch_model::attempt::AttemptSpec;
use bgfetch_model::connectivity::Connectivity;
use bgfetch_model::ids::{CallId, FetchKey, RegistrationKey, StorageKey};
use bgfetch_model::input::Input;
use bgfetch_model::input::{FetchCall, FetchOptions};
use bgfetch_model::request::Request;

use super::origin::{Plan, Resource};
use super::{Hold, World, get, registration};

impl World {
    /// Serves a resource at a path; `plans` are what it does next.
    pub(crate) fn serve(&mut self, path: &str, resource: Resource) -> Request {
        let request = get(path);
        self.origin.0.insert(request.url.clone(), resource);
        request
    }

    /// A well-behaved resource of 100 bytes, except for what happens to its first attempts.
    pub(crate) fn serve_planned(
        &mut self,
        path: &str,
        plans: impl IntoIterator<Item = Plan>,
    ) -> Request {
        let plans = plans.into_iter().collect();
        self.serve(path, Resource { plans, ..Resource::default() })
    }

    pub(crate) fn resource(&mut self, path: &str) -> &mut Resource {
        self.origin.0.get_mut(&get(path).url).unwrap()
    }

    /// The requests that attempts made for a path.
    pub(crate) fn seen(&mut self, path: &str) -> Vec<AttemptSpec> {
        self.resource(path).seen.clone()
    }

    /// The offsets from which attempts requested a path, 0 for the whole.
    pub(crate) fn starts(&mut self, path: &str) -> Vec<u64> {
        let starts = |spec: AttemptSpec| spec.resume.map_or(0, |resume| resume.start);
        self.seen(path).into_iter().map(starts).collect()
    }

    pub(crate) fn hold(&mut self, hold: Hold) {
        self.held.insert(hold);
    }

    pub(crate) fn let_go(&mut self, hold: Hold) {
        self.held.remove(&hold);
    }

    fn new_call(&mut self) -> CallId {
        self.next_call += 1;
        let call = CallId(self.next_call);
        self.oracle.called(call);
        call
    }

    fn call(&mut self, input: impl FnOnce(CallId) -> Input) -> CallId {
        let call = self.new_call();
        self.input(input(call));
        call
    }

    pub(crate) fn register(
        &mut self,
        registration: RegistrationKey,
        active_worker: bool,
    ) -> CallId {
        self.call(|call| Input::Register { call, registration, active_worker })
    }

    pub(crate) fn hold_records(&mut self, fetch: FetchKey, hold: bool) -> CallId {
        self.call(|call| Input::HoldRecords { call, fetch, hold })
    }

    pub(crate) fn deliver_pending(&mut self, registration: RegistrationKey) -> CallId {
        self.call(|call| Input::DeliverPending { call, registration })
    }

    pub(crate) fn unregister(&mut self, registration: RegistrationKey) -> CallId {
        self.call(|call| Input::Unregister { call, registration })
    }

    pub(crate) fn clear(&mut self, storage_key: StorageKey) -> CallId {
        self.call(|call| Input::Clear { call, storage_key })
    }

    pub(crate) fn revoke_permission(&mut self, storage_key: StorageKey) -> CallId {
        self.call(|call| Input::RevokePermission { call, storage_key })
    }

    /// Calls `fetch()`.
    pub(crate) fn call_fetch(
        &mut self,
        id: &str,
        requests: Vec<Request>,
        options: FetchOptions,
    ) -> CallId {
        self.call_fetch_of(registration(), id, requests, options)
    }

    pub(crate) fn call_fetch_of(
        &mut self,
        registration: RegistrationKey,
        id: &str,
        requests: Vec<Request>,
        options: FetchOptions,
    ) -> CallId {
        let lengths = requests.iter().filter_map(|request| request.body_length).collect();
        let call = self.new_call();
        self.bodies.insert(call, lengths);
        self.input(Input::Fetch(Box::new(FetchCall {
            call,
            registration,
            principal: Arc::new(self.principal.clone()),
            id: id.into(),
            requests,
            options,
            sees_active_worker: self.sees_active_worker,
        })));
        call
    }

    /// Calls `fetch()`, which must succeed, and does everything that needs no time.
    pub(crate) fn fetch(&mut self, requests: impl IntoIterator<Item = Request>) -> FetchKey {
        self.fetch_total(requests, 0)
    }

    pub(crate) fn fetch_total(
        &mut self,
        requests: impl IntoIterator<Item = Request>,
        download_total: u64,
    ) -> FetchKey {
        let id = format!("fetch {}", self.next_call);
        let options = FetchOptions::default().with(|it| it.download_total = download_total);
        let call = self.call_fetch(&id, requests.into_iter().collect(), options);
        self.run_now();
        match self.reply(call) {
            Some(Ok(Reply::Fetch(fetch))) => fetch.info.key,
            other => panic!("fetch() gave {other:?}"),
        }
    }

    pub(crate) fn abort(&mut self, fetch: FetchKey) -> CallId {
        let call = self.new_call();
        let active = self
            .model
            .fetch(fetch)
            .is_some_and(|it| self.model.get(it.registration(), it.id()) == Ok(Some(fetch)));
        self.oracle.aborting(call, fetch, active);
        self.input(Input::Abort { call, fetch });
        call
    }

    pub(crate) fn set_paused(&mut self, fetch: FetchKey, paused: bool) -> CallId {
        self.call(|call| Input::SetPaused { call, fetch, paused })
    }

    pub(crate) fn click(&mut self, fetch: FetchKey) -> CallId {
        self.call(|call| Input::Click { call, fetch })
    }

    pub(crate) fn dismiss(&mut self, fetch: FetchKey) -> CallId {
        self.call(|call| Input::Dismiss { call, fetch })
    }

    pub(crate) fn set_title(&mut self, fetch: FetchKey, title: &str) -> CallId {
        let title = Some(title.into());
        self.call(|call| Input::UpdateUi { call, fetch, title, icons: None })
    }

    pub(crate) fn drop_call(&mut self, call: CallId) {
        self.oracle.dropped(call);
        self.input(Input::CallDropped(call));
    }

    pub(crate) fn set_quota(&mut self, quota: u64) {
        self.quota = quota;
        self.input(Input::Quota(registration().storage_key, quota));
    }

    pub(crate) fn set_connectivity(&mut self, connectivity: Connectivity) {
        self.connectivity = connectivity.clone();
        self.input(Input::Connectivity(connectivity));
    }

    /// The network goes away, and the model is told.
    pub(crate) fn go_offline(&mut self) {
        self.network = false;
        self.set_connectivity(Connectivity::Offline(Default::default()));
    }

    pub(crate) fn go_online(&mut self) {
        self.network = true;
        self.set_connectivity(Connectivity::Online);
    }
}
