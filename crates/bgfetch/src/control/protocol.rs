//! The messages. Each is a line of JSON.

use std::collections::BTreeMap;
use std::fmt;

use bgfetch_model::header_list::HeaderList;
use bgfetch_model::ids::{FetchKey, RecordIndex};
use bgfetch_model::response::FailureReason;
use bgfetch_model::store_op::FetchResult;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::observer::Event;
use crate::ui::Job;

/// The version of the protocol. A request of another version is refused.
pub const VERSION: u32 = 1;

/// The member of a request that has the version.
const VERSION_MEMBER: &str = "version";

/// What a client asks of the store's owner; one for each connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Request {
    /// All fetches; answered by [`Response::Jobs`].
    List {},
    /// A command about one fetch; answered by [`Response::Done`], or [`Response::Job`] for
    /// [`Command::Show`].
    Command {
        /// What to do.
        name: Command,
        /// The fetch; `None` if there is only one that the command can be about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// Fetch these URLs, and report until the fetch has ended and its files are saved. Answered by
    /// [`Response::Accepted`], then by events and deliveries; or by [`Response::SavedBefore`] or
    /// [`Response::Over`].
    Get(Box<Get>),
    /// Report the events of all fetches; answered by [`Response::Jobs`], then by events.
    Watch {
        /// Whether [`Response::Jobs`] is to be repeated several times a second.
        jobs: bool,
    },
}

/// A command about one fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Command {
    /// Show it with its records.
    Show,
    /// Pause it until it is resumed.
    Pause,
    /// Resume it.
    Resume,
    /// Abort it and delete its bytes.
    Abort,
    /// Activate it, as a click on its notification does.
    Click,
    /// Remove it from the list, once it has ended.
    Dismiss,
}

impl Command {
    /// The command as a verb in a message.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Show => "show",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Click => "click",
            Self::Dismiss => "dismiss",
        }
    }
}

/// A fetch that is handed to the store's owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// The id of the fetch. If a fetch of this id, directory and URLs is active, it is reported on.
    pub id: String,
    /// Whether a fetch of this id that has ended is fetched again. If the id was made from the URLs
    /// and the directory, this is `false`, and [`Response::SavedBefore`] tells that its files are
    /// there.
    pub again: bool,
    /// What to fetch.
    pub files: Vec<File>,
    /// The title to show; may be empty.
    #[serde(default)]
    pub title: String,
    /// The limit of all bodies together in bytes; 0 sets none.
    #[serde(default)]
    pub download_total: u64,
    /// The `file:` URL of the directory for the files, which must exist. Its query says how they are
    /// saved: `name=NAME` of the only file, `overwrite`, `content-disposition`.
    pub scope: Url,
    /// Whether the records are held for the next fetch even if all of them succeed.
    #[serde(default)]
    pub hold: bool,
    /// The options that are those of a whole engine.
    #[serde(default)]
    pub engine: EngineOptions,
    /// Whether to report the state of the fetch several times a second ([`Response::Job`]).
    #[serde(default)]
    pub jobs: bool,
    /// The fetch that an earlier owner of the store has accepted for the same request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<FetchKey>,
}

/// A file to fetch, with `GET`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its URL.
    pub url: Url,
    /// Integrity metadata; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub integrity: String,
    /// Headers of the request. They may have secrets, so `Debug` omits them.
    #[serde(default)]
    pub headers: HeaderList,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// Options of the program that apply to all fetches of an engine, by their names without dashes. The
/// owner of a store keeps its own, so a [`Get`] must have the same.
///
/// They may have secrets, so `Debug` shows only their names.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EngineOptions(pub BTreeMap<String, String>);

impl fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl EngineOptions {
    /// The name of the first option that is not the same in both.
    #[must_use]
    pub fn difference<'a>(&'a self, other: &'a Self) -> Option<&'a str> {
        let names = self.0.keys().chain(other.0.keys());
        names.filter(|name| self.0.get(*name) != other.0.get(*name)).min().map(String::as_str)
    }
}

/// What the store's owner answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Response {
    /// All fetches.
    Jobs(Vec<Job>),
    /// One fetch, as it is now.
    Job(Box<Job>),
    /// A command was carried out on the fetch with this id.
    Done {
        /// The id.
        id: String,
    },
    /// The fetch is durable and is worked on.
    Accepted {
        /// Its identity.
        fetch: FetchKey,
        /// The process id of the owner.
        owner: u32,
        /// Whether the store had it already.
        found: Found,
    },
    /// The same fetch has ended, and its files are there.
    SavedBefore(Box<Job>),
    /// The fetch has ended, and nobody listened when its files were saved. Nothing else follows.
    Over(Box<Job>),
    /// Something happened to a fetch.
    Event(Event),
    /// A functional event was handled.
    Delivery(Delivery),
    /// The request was refused, or the work on it ended, for this reason.
    Failed(String),
}

/// How the owner came to a fetch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Found {
    /// It was registered for this request.
    New,
    /// It was active.
    Active {
        /// As it was.
        job: Box<Job>,
        /// Whether its requests have other headers than those that were asked for.
        other_headers: bool,
    },
}

/// A functional event and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// The fetch.
    pub fetch: FetchKey,
    /// Its id.
    pub id: String,
    /// What happened.
    pub what: Delivered,
}

/// See [`Delivery`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Delivered {
    /// The files of the fetch were saved.
    Written(Report),
    /// They could not be saved, for this reason; the bodies are kept.
    NotWritten(String),
    /// The user activated the fetch.
    Clicked,
    /// It is paused as long as this owner has the store, for this reason: its server's certificate is
    /// not trusted with the owner's options, but perhaps with those that it began with.
    SetAside(String),
}

/// The outcome of a fetch whose files were saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Why the fetch failed, if it did.
    pub failure: Option<FailureReason>,
    /// The `file:` URL of the directory.
    pub scope: Url,
    /// The saved files.
    pub saved: Vec<SavedFile>,
    /// The records without a body to save.
    pub failed: Vec<FailedFile>,
}

impl Report {
    /// How the fetch settled.
    ///
    /// # Errors
    ///
    /// The reason if it failed.
    pub fn result(&self) -> FetchResult {
        self.failure.map_or(Ok(()), Err)
    }
}

/// A record whose body was saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedFile {
    /// The URL of its request.
    pub url: Url,
    /// The file's name in the directory.
    pub name: String,
}

/// A record without a body to save.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedFile {
    /// Its place in the fetch.
    pub index: RecordIndex,
    /// The URL of its request.
    pub url: Url,
    /// The status of its response, if there was one.
    pub status: Option<u16>,
    /// Why it failed.
    pub reason: FailureReason,
}

impl Request {
    /// The request with the version of the protocol, as a line without its end.
    ///
    /// # Errors
    ///
    /// None for the requests that this crate makes.
    pub fn to_line(&self) -> serde_json::Result<String> {
        let mut message = match serde_json::to_value(self)? {
            Value::Object(message) => message,
            other => Map::from_iter([(String::from("request"), other)]),
        };
        message.insert(VERSION_MEMBER.into(), VERSION.into());
        serde_json::to_string(&message)
    }

    /// Reads a line.
    ///
    /// # Errors
    ///
    /// A sentence for people: the line is no request, or one of another version.
    pub fn from_line(line: &[u8]) -> Result<Self, String> {
        let not_understood =
            |why: &dyn std::fmt::Display| format!("the request is not understood: {why}");
        let mut message: Map<String, Value> =
            serde_json::from_slice(line).map_err(|error| not_understood(&error))?;
        match message.remove(VERSION_MEMBER) {
            Some(version) if version == VERSION => {}
            Some(version) => {
                return Err(format!(
                    "the process that owns the store speaks version {VERSION} of the control \
                     protocol, not {version}; both need the same version of bgfetch"
                ));
            }
            None => return Err(not_understood(&"it has no version")),
        }
        serde_json::from_value(message.into()).map_err(|error| not_understood(&error))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_one_readable_line() {
        let request = Request::Command { name: Command::Pause, id: Some("a\nb".into()) };
        let line = request.to_line().unwrap();
        assert!(!line.contains('\n'), "{line}");
        let expected = json!({ "version": 1, "command": { "name": "pause", "id": "a\nb" } });
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
        assert_eq!(Request::from_line(line.as_bytes()).unwrap(), request);
        assert_eq!(Request::List {}.to_line().unwrap(), r#"{"list":{},"version":1}"#);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "",
            "{}",
            "[]",
            r#"{"list":{}}"#,
            r#"{"version":1}"#,
            r#"{"version":1,"format":{}}"#,
            r#"{"version":1,"list":{"then":"x"}}"#,
            r#"{"version":1,"list":{},"watch":{"jobs":true}}"#,
            r#"{"version":1,"command":{"name":"format-disk"}}"#,
        ] {
            let refusal = Request::from_line(line.as_bytes()).unwrap_err();
            assert!(refusal.starts_with("the request is not understood"), "{line}: {refusal}");
        }
        let newer = Request::from_line(br#"{"version":2,"anything":[]}"#).unwrap_err();
        assert!(newer.contains("version 1 of the control protocol, not 2"), "{newer}");
    }

    #[test]
    fn the_option_that_differs_is_named_whoever_has_it() {
        let options = |pairs: &[(&str, &str)]| {
            let pairs =
                pairs.iter().map(|(name, value)| (String::from(*name), String::from(*value)));
            EngineOptions(pairs.collect())
        };
        let (none, insecure) = (options(&[]), options(&[("insecure", "true")]));
        assert_eq!(none.difference(&insecure), Some("insecure"));
        assert_eq!(insecure.difference(&none), Some("insecure"));
        assert_eq!(insecure.difference(&insecure), None);
        let (one, two) = (options(&[("proxy", "a")]), options(&[("proxy", "b")]));
        assert_eq!(one.difference(&two), Some("proxy"));
    }
}
