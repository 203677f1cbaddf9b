//! The decisions behind the interface
//! [BackgroundFetchManager](https://wicg.github.io/background-fetch/#background-fetch-manager).

pub mod fetch;
pub mod get;
pub mod get_ids;
