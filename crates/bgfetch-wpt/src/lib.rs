//! Runs [web-platform-tests](https://web-platform-tests.org/) of Background Fetch in the headless
//! user agent: those of an upstream checkout, unmodified, and this project's own.
//!
//! A test server and the user agent are one program, so nothing has to be set up: no hosts file, no
//! certificates, no browser.

mod metadata;
mod server;

pub use server::{Server, ServerOptions};
