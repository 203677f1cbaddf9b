//! [Background Fetch](https://wicg.github.io/background-fetch/) as pure state machines.
//!
//! [`Model`](model::Model) takes inputs (a call of a page, a report of the network, an
//! acknowledgement of the store) with the time at which they happen, and returns actions. It reads
//! no clock, opens no file or socket, starts no thread and depends on no async runtime: outside its
//! tests this crate is `no_std`.
//!
//! # Where the spec's algorithms are
//!
//! | algorithm | decided in | made into objects in |
//! |---|---|---|
//! | queue a bgfetch task | | `bgfetch::clients` |
//! | stored body bytes total | [`background_fetch`] | |
//! | display | [`background_fetch::display`] | `bgfetch::engine` |
//! | perform a background fetch | [`algorithms::perform_a_background_fetch`] | |
//! | complete a record | [`algorithms::complete_a_record`] | |
//! | update background fetch instances | [`algorithms::update_background_fetch_instances`] | `bgfetch::clients` |
//! | fire a background fetch click event | [`algorithms::fire_a_background_fetch_click_event`] | |
//! | get a BackgroundFetchRegistration instance | | `bgfetch::background_fetch_registration` |
//! | validate a partial response | [`algorithms::validate_a_partial_response`] | |
//! | extract content-range values | [`algorithms::extract_content_range_values`] | |
//! | create record objects | | `bgfetch::background_fetch_record` |
//! | contains background fetch | [`algorithms::contains_background_fetch`] | |
//! | does not contain background fetch | [`algorithms::contains_background_fetch`] | |
//! | BackgroundFetchManager fetch() | [`background_fetch_manager::fetch`] | `bgfetch::background_fetch_manager` |
//! | BackgroundFetchManager get() | [`background_fetch_manager::get`] | `bgfetch::background_fetch_manager` |
//! | BackgroundFetchManager getIds() | [`background_fetch_manager::get_ids`] | `bgfetch::background_fetch_manager` |
//! | BackgroundFetchRegistration abort() | [`background_fetch_registration::abort`] | `bgfetch::background_fetch_registration` |
//! | BackgroundFetchRegistration match() | [`background_fetch_registration::match_all`] | `bgfetch::background_fetch_registration` |
//! | BackgroundFetchRegistration matchAll() | [`background_fetch_registration::match_all`] | `bgfetch::background_fetch_registration` |
//! | BackgroundFetchUpdateUIEvent updateUI() | [`background_fetch_update_ui_event::update_ui`] | `bgfetch_sw::update_ui` |
//! | background fetch click (WebDriver) | [`automation::click`] | |
#![cfg_attr(not(test), no_std)]

extern crate alloc;

/// Its code has to compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod action;
pub mod algorithms;
pub mod attempt;
pub mod automation;
pub mod background_fetch;
pub mod background_fetch_manager;
pub mod background_fetch_registration;
pub mod background_fetch_update_ui_event;
pub mod bad_port;
pub mod budget;
pub mod complete;
pub mod config;
pub mod connectivity;
mod context;
pub mod dangling_markup;
pub mod delivery;
pub mod error;
pub mod event;
pub mod fetch_info;
pub mod filtered_response;
pub mod forbidden_header;
pub mod header_list;
mod held_records;
pub mod ids;
pub mod input;
pub mod ip_address_space;
pub mod metadata;
pub mod model;
pub mod origin;
pub mod policy;
pub mod record;
mod records;
mod recover;
mod registration;
pub mod request;
pub mod response;
mod running_time;
mod serialize;
mod site;
pub mod source;
pub mod store_op;
pub mod time;
mod timers;
pub mod validator;
pub mod vary;
mod with;
