//! Runs [web-platform-tests](https://web-platform-tests.org/) of Background Fetch in the headless
//! user agent: those of an upstream checkout, unmodified, and this project's own.
//!
//! The test server and the user agent are one program, so nothing has to be set up: no hosts file,
//! no certificates, no browser. The same tests can be run in a browser, over WebDriver. [`run`] is
//! the entry point.

mod expectations;
mod metadata;
mod report;
mod runner;
mod server;
mod suite;

pub use expectations::{Expectations, ExpectationsError};
pub use report::{Cause, PageResult, Product, Report, Status, Subtest};
pub use runner::{Agent, RunError, RunOptions, UserPrelude, run};
pub use server::{Server, ServerOptions};
pub use suite::SuiteError;
