//! The decisions behind the interface
//! [BackgroundFetchUpdateUIEvent](https://wicg.github.io/background-fetch/#background-fetch-update-ui-event).

pub mod update_ui;
