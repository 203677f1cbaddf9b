//! Calls, which are answered by a completion with their token.

use bgfetch_binding::bgfetch::{FetchKey, Handover};
use bgfetch_binding::{engine, event, fetch, record, registration, stream, ui};
use napi_derive::napi;

use crate::error::{Result, thrown};
use crate::handle;

macro_rules! calls {
    ($($(#[$documentation:meta])* fn $name:ident($object:ident, $token:ident $(, $argument:ident: $type:ty)*) { $($call:tt)* })*) => {
        $(
            $(#[$documentation])*
            #[napi]
            pub fn $name($object: f64, $token: f64 $(, $argument: $type)*) -> Result<()> {
                let ($object, $token) = (handle($object), $token as u64);
                let called = { $($call)* };
                thrown(called)
            }
        )*
    };
}

calls! {
    /// See [`engine::open`].
    fn open_engine(queue, token, options: String) { engine::open(queue, token, &options) }
    /// See [`engine::close`].
    fn close_engine(engine, token) { engine::close(engine, token) }
    /// See [`engine::set_rate`].
    fn set_rate(engine, token, rate: Option<f64>) {
        engine::set_rate(engine, token, rate.map(|rate| rate as u64))
    }
    /// See [`engine::clear`].
    fn clear(engine, token, storage_key: String) { engine::clear(engine, token, &storage_key) }
    /// See [`registration::register`].
    fn register(engine, token, storage_key: String, scope: String) {
        registration::register(engine, token, &storage_key, &scope)
    }
    /// See [`registration::start`].
    fn start_registration(registration, token) { registration::start(registration, token) }
    /// See [`registration::unregister`].
    fn unregister(registration, token) { registration::unregister(registration, token) }
    /// See [`registration::fetch`].
    fn fetch(registration, token, call: String) { registration::fetch(registration, token, &call) }
    /// See [`registration::get`].
    fn get(registration, token, id: String) { registration::get(registration, token, &id) }
    /// See [`registration::get_ids`].
    fn get_ids(registration, token) { registration::get_ids(registration, token) }
    /// See [`fetch::abort`].
    fn abort(fetch, token) { fetch::abort(fetch, token) }
    /// See [`fetch::match_all`].
    fn match_all(fetch, token, query: String, options: String, first: bool) {
        fetch::match_all(fetch, token, &query, &options, first)
    }
    /// See [`record::response_ready`].
    fn response_ready(record, token) { record::response_ready(record, token) }
    /// See [`record::export`].
    fn export_record(record, token, path: String, link: bool) {
        let how = if link { Handover::Link } else { Handover::Copy };
        record::export(record, token, path.into(), how)
    }
    /// See [`record::is_exported_at`].
    fn is_exported_at(record, token, path: String) {
        record::is_exported_at(record, token, path.into())
    }
    /// See [`stream::read`].
    fn read_stream(stream, token) { stream::read(stream, token) }
    /// See [`event::update_ui`].
    fn update_ui(event, token, options: String) { event::update_ui(event, token, &options) }
    /// See [`ui::jobs`].
    fn jobs(engine, token) { ui::jobs(engine, token) }
    /// See [`ui::watch`].
    fn watch(engine, token) { ui::watch(engine, token) }
    /// See [`ui::pause`].
    fn pause(engine, token, key: f64) { ui::pause(engine, token, FetchKey(key as u64)) }
    /// See [`ui::resume`].
    fn resume(engine, token, key: f64) { ui::resume(engine, token, FetchKey(key as u64)) }
    /// See [`ui::abort`].
    fn abort_job(engine, token, key: f64) { ui::abort(engine, token, FetchKey(key as u64)) }
    /// See [`ui::click`].
    fn click(engine, token, key: f64) { ui::click(engine, token, FetchKey(key as u64)) }
    /// See [`ui::dismiss`].
    fn dismiss(engine, token, key: f64) { ui::dismiss(engine, token, FetchKey(key as u64)) }
}
