//! The messages of the control socket.

use serde::{Deserialize, Serialize};

use crate::jobs::JobInfo;

/// A request to the store's owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) command: Command,
    /// The fetch; `None` if there is only one, and for `list`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Command {
    List,
    Show,
    Pause,
    Resume,
    Abort,
    Click,
    Dismiss,
}

impl Command {
    /// The command as a verb in a message.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Show => "show",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Click => "click",
            Self::Dismiss => "dismiss",
        }
    }
}

/// The response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Response {
    /// To `list`.
    Jobs(Vec<JobInfo>),
    /// To `show`.
    Job(JobInfo),
    /// The command was carried out.
    Done {
        /// On this fetch.
        id: String,
        /// Whether its effect waits for the next process that runs the fetch.
        pending: bool,
    },
    /// The command was not carried out, for this reason.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_readable_line() {
        let request = Request { command: Command::Pause, id: Some("a\nb".into()) };
        let line = serde_json::to_string(&request).unwrap();
        assert_eq!(line, r#"{"command":"pause","id":"a\nb"}"#);
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in ["", "{}", r#"{"command":"format-disk"}"#, r#"{"command":"list","then":"x"}"#] {
            assert!(serde_json::from_str::<Request>(line).is_err(), "{line}");
        }
    }
}
