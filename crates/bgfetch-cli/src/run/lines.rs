//! The output of `run` as lines, both on the screen and in logs and pipes.

use bgfetch::{Event, ImageResource, What};
use bgfetch_host::ConsoleLevel;
use indicatif::HumanBytes;

use super::console::{Said, Saying};
use crate::failure::why;
use crate::output::per_fetch::PerFetch;
use crate::output::plain::Pace;

/// Formats the events of fetches, each line prefixed with the id of its fetch.
#[derive(Default)]
pub(super) struct Lines {
    paces: PerFetch<Pace>,
}

impl Lines {
    pub(super) fn line_of(&mut self, event: &Event, handled: Option<&str>) -> Option<String> {
        let pace = self.paces.of(event);
        let line = match &event.what {
            What::Registered => "registered".into(),
            What::Settled(Ok(())) => format!("success, {}", HumanBytes(event.downloaded)),
            What::Settled(Err(reason)) => {
                format!("failed: {} ({})", why(*reason), reason.as_str())
            }
            What::UiUpdated { title, icons } => format!("shown as {}", shown(title, icons)),
            What::EventEnded { handled: true, .. } => {
                format!("the service worker handled {}", handled?)
            }
            What::EventNotHandled { reason, .. } => {
                // An exception includes its stack, which the console has already shown.
                let reason = reason.to_string();
                let reason = reason.lines().next().unwrap_or_default();
                format!("the service worker did not handle {}: {reason}", handled?)
            }
            What::EventEnded { handled: false, .. } => {
                format!("no service worker handled {}, and it will not be retried", handled?)
            }
            _ => pace?.line_of(event)?,
        };
        Some(format!("{}: {line}", event.id))
    }
}

/// A title as it is shown, with the alternative text of its icon in place of the icon.
pub(super) fn shown(title: &str, icons: &[ImageResource]) -> String {
    let label = icons.iter().map(|icon| icon.label.as_str()).find(|label| !label.is_empty());
    label.map_or_else(|| title.to_owned(), |label| format!("[{label}] {title}"))
}

/// The lines of a script's output, each prefixed with its source.
pub(super) fn lines_of(said: &Said) -> Vec<String> {
    let (kind, text) = match &said.what {
        Saying::Message(ConsoleLevel::Debug | ConsoleLevel::Info, text) => ("", text.clone()),
        Saying::Message(ConsoleLevel::Warn, text) => ("warning: ", text.clone()),
        Saying::Message(ConsoleLevel::Error | ConsoleLevel::Uncaught, text) => {
            ("error: ", text.clone())
        }
        Saying::Notification(notification) => {
            ("showNotification: ", format!("{}\n{}", notification.title, notification.body))
        }
    };
    text.lines().map(|line| format!("{}: {kind}{line}", said.by)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::per_fetch::tests::events_of_ended_fetches;

    #[test]
    fn nothing_is_kept_of_fetches_that_are_over() {
        let mut lines = Lines::default();
        for event in events_of_ended_fetches() {
            lines.line_of(&event, None);
        }
        assert!(lines.paces.is_empty(), "{:?}", lines.paces);
    }
}
