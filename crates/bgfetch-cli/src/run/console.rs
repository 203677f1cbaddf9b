//! The console output and the notifications of scripts.

use std::sync::Arc;

use bgfetch_host::{
    Console, ConsoleLevel, ConsoleSource, Notification, RealmKind, ShowNotification,
};
use tokio::sync::mpsc;
use url::Url;

/// A script's console message or notification.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// `page` or `worker`.
    pub(super) by: &'static str,
    /// The URL of the page or of the worker's script.
    pub(super) url: Url,
    pub(super) what: Saying,
}

#[derive(Clone, Debug)]
pub(super) enum Saying {
    /// A message on its console.
    Message(ConsoleLevel, String),
    /// A notification.
    Notification(Notification),
}

impl Said {
    fn new(source: &ConsoleSource, what: Saying) -> Self {
        let by = match source.kind {
            RealmKind::Window => "page",
            _ => "worker",
        };
        Self { by, url: source.url.clone(), what }
    }

    /// Whether it reports a failure that no script handled.
    pub(super) fn is_uncaught(&self) -> bool {
        matches!(self.what, Saying::Message(ConsoleLevel::Uncaught, _))
    }
}

/// The callbacks for scripts, and the receiver of their output.
pub(super) fn console() -> (Console, ShowNotification, mpsc::UnboundedReceiver<Said>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let notifications = sender.clone();
    let console: Console = Arc::new(move |source, level, text| {
        let said = Said::new(source, Saying::Message(level, text.to_owned()));
        // The command may already be ending.
        sender.send(said).unwrap_or_default();
    });
    let show: ShowNotification = Arc::new(move |source, notification| {
        let said = Said::new(source, Saying::Notification(notification.clone()));
        notifications.send(said).unwrap_or_default();
    });
    (console, show, receiver)
}

/// The name of a level.
pub(super) fn level_name(level: ConsoleLevel) -> &'static str {
    match level {
        ConsoleLevel::Debug => "debug",
        ConsoleLevel::Info => "info",
        ConsoleLevel::Warn => "warn",
        ConsoleLevel::Error | ConsoleLevel::Uncaught => "error",
    }
}
