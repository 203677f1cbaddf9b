//! The decisions behind the interface
//! [BackgroundFetchRegistration](https://wicg.github.io/background-fetch/#background-fetch-registration).

pub mod abort;
pub mod match_all;
