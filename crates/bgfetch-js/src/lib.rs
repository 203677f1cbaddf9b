//! The JavaScript interfaces of [Background Fetch](https://wicg.github.io/background-fetch/) as
//! modules for any host: the texts of the files in `js`.
//!
//! They import each other and two modules that a host provides: `./engine.js` has the engine's
//! operations, and `./platform.js` what hosts differ in, such as `EventTarget` and how a `Response`
//! is made of a stream. Beyond `import { … } from`, `import * as … from` and one `export { … }` at
//! the end they use no syntax of modules, so that a host without modules can turn them into scripts.

#![no_std]

/// A module.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// The name of its file, such as `webidl.js`.
    pub name: &'static str,
    /// Its text, which is ASCII.
    pub source: &'static str,
}

macro_rules! modules {
    ($($name:literal),* $(,)?) => {
        &[$(Module { name: $name, source: include_str!(concat!("../js/", $name)) }),*]
    };
}

/// All modules, in order of their names.
pub const MODULES: &[Module] = modules![
    "background_fetch_event.js",
    "background_fetch_manager.js",
    "background_fetch_record.js",
    "background_fetch_registration.js",
    "dangling_markup.js",
    "dom_string.js",
    "event_handler.js",
    "extendable_event.js",
    "primordials.js",
    "service_worker.js",
    "webidl.js",
];
