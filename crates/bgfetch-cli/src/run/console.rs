//! What scripts say.

use bgfetch_host::{Console, ConsoleLevel, ConsoleSource, RealmKind};
use tokio::sync::mpsc;
use url::Url;

/// A message of a console.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// `page` or `worker`.
    pub(super) by: &'static str,
    /// The URL of the page or of the worker's script.
    pub(super) url: Url,
    pub(super) level: ConsoleLevel,
    pub(super) text: String,
}

/// A console, and what is written to it.
pub(super) fn console() -> (Console, mpsc::UnboundedReceiver<Said>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let console = move |source: &ConsoleSource, level, text: &str| {
        let by = match source.kind {
            RealmKind::Window => "page",
            _ => "worker",
        };
        let said = Said { by, url: source.url.clone(), level, text: text.to_owned() };
        // The command may be on its way out.
        sender.send(said).unwrap_or_default();
    };
    (std::sync::Arc::new(console), receiver)
}

/// How a level is called.
pub(super) fn level_name(level: ConsoleLevel) -> &'static str {
    match level {
        ConsoleLevel::Debug => "debug",
        ConsoleLevel::Info => "info",
        ConsoleLevel::Warn => "warn",
        ConsoleLevel::Error => "error",
    }
}
