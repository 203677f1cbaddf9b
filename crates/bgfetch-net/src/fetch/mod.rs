//! The parts of the [Fetch](https://fetch.spec.whatwg.org/) standard between a background fetch and
//! the network: the checks and headers before a request is sent, and the checks before a byte of
//! its response counts.
//!
//! Each check is a pure function in a file named after it. Its inputs are the request, the policies
//! at the time of the page's call ([`Principal`](bgfetch_model::policy::Principal)), the [`Hop`] of
//! the redirect chain and the response's head. [`main_fetch`] runs the checks that come before a
//! request, for the first URL and after every redirect. [`WithWebChecks`] applies them all over a
//! [`Transport`], which sends single messages; `http_fetch.rs` has its loop over preflights and
//! redirects.

mod blocked;
pub mod cache_mode;
pub mod cookie_jar;
pub mod cookies;
pub mod cors;
pub mod credentials;
pub mod cross_origin_resource_policy;
pub mod csp;
pub mod dangling_markup;
pub mod fetch_metadata;
pub mod header_values;
pub(crate) mod headers;
mod hop;
mod http_fetch;
pub mod local_network_access;
pub mod main_fetch;
pub mod mixed_content;
pub mod origin_header;
pub mod own_format;
pub mod redirect;
pub mod referrer;
pub mod retry_after;
pub mod site;
pub mod target;
mod transport;
pub mod trustworthy;
pub mod upgrade_insecure_requests;
mod with_web_checks;

pub use self::blocked::Blocked;
pub use self::hop::{Hop, ResponseTainting};
pub use self::transport::{Transport, TransportRequest, TransportResponse};
pub use self::with_web_checks::WithWebChecks;
