//! The spec's [background fetch response](https://wicg.github.io/background-fetch/#background-fetch-response-concept)
//! and the failure reasons.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::algorithms::extract_content_range_values::extract_content_range_values;
use crate::header_list::HeaderList;
use crate::ids::Generation;
use crate::metadata;
use crate::request::Request;
use crate::validator::strong_validator;
use crate::vary::{SelectingHeaders, varies_by_user};

/// The spec's
/// [BackgroundFetchFailureReason](https://wicg.github.io/background-fetch/#enumdef-backgroundfetchfailurereason),
/// without its empty string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureReason {
    /// The user or `abort()` ended the fetch.
    Aborted,
    /// A response did not have an ok status.
    BadStatus,
    /// The network, or a check of the web platform, made the fetch fail.
    FetchError,
    /// Storage quota was reached.
    QuotaExceeded,
    /// There were more bytes than `downloadTotal` promised.
    DownloadTotalExceeded,
}

impl FailureReason {
    /// The enumeration value that scripts see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::BadStatus => "bad-status",
            Self::FetchError => "fetch-error",
            Self::QuotaExceeded => "quota-exceeded",
            Self::DownloadTotalExceeded => "download-total-exceeded",
        }
    }
}

/// How a record ended. (The spec's third value, `redundant`, is a generation older than the
/// record's current one.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordResult {
    /// The whole body arrived with an ok status.
    Success,
    /// The record failed, for this reason.
    Failure(FailureReason),
}

impl RecordResult {
    /// The reason, if the record failed.
    #[must_use]
    pub const fn failure(self) -> Option<FailureReason> {
        match self {
            Self::Success => None,
            Self::Failure(reason) => Some(reason),
        }
    }

    /// Whether a limit of the whole fetch was reached, which ends its other records too
    /// (spec issue 6).
    #[must_use]
    pub(crate) const fn is_immediate_failure(self) -> bool {
        matches!(
            self,
            Self::Failure(FailureReason::DownloadTotalExceeded | FailureReason::QuotaExceeded)
        )
    }

    /// Whether a response with this result may be
    /// [exposed](https://wicg.github.io/background-fetch/#background-fetch-response-exposed) to
    /// script.
    #[must_use]
    pub const fn exposes_response(self) -> bool {
        matches!(self, Self::Success | Self::Failure(FailureReason::BadStatus))
    }
}

/// A response's [type](https://fetch.spec.whatwg.org/#concept-response-type).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResponseType {
    /// Same-origin.
    Basic,
    /// Cross-origin, approved by CORS.
    Cors,
    /// Not filtered: the fetch was made for the user, not for a page.
    #[default]
    Default,
    /// Cross-origin, requested in mode `no-cors`: scripts see nothing of it.
    Opaque,
    /// A redirect under redirect mode `manual`.
    OpaqueRedirect,
}

/// A response without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// The [status message](https://fetch.spec.whatwg.org/#concept-response-status-message),
    /// isomorphically decoded like header values; empty if the server sent none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status_text: String,
    /// The header list, including headers that scripts may not see.
    #[serde(default)]
    pub headers: HeaderList,
    /// The response's [URL list](https://fetch.spec.whatwg.org/#concept-response-url-list): the
    /// request's URL and then every redirect's target; never empty.
    pub url_list: Vec<Url>,
    /// The response's type.
    #[serde(default)]
    pub response_type: ResponseType,
    /// The [CORS-exposed header-name
    /// list](https://fetch.spec.whatwg.org/#concept-response-cors-exposed-header-name-list), in any
    /// case; it may omit names of absent headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cors_exposed_header_names: Vec<String>,
    /// The headers of the request that may have selected the representation, or none if unknown.
    /// The model sets them from what the attempt reports; others leave them empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selecting_headers: Option<SelectingHeaders>,
}

crate::impl_with!(ResponseHead);

impl ResponseHead {
    /// A response of the type [`Default`](ResponseType::Default), without headers.
    #[must_use]
    pub fn new(status: u16, url_list: Vec<Url>) -> Self {
        Self {
            status,
            status_text: String::new(),
            headers: HeaderList::default(),
            url_list,
            response_type: ResponseType::default(),
            cors_exposed_header_names: Vec::new(),
            selecting_headers: None,
        }
    }

    /// Whether the status is an [ok status](https://fetch.spec.whatwg.org/#ok-status).
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        is_ok(self.status)
    }

    /// The length of the whole representation in stored bytes, if the head says it.
    pub(crate) fn complete_length(&self) -> Option<u64> {
        if self.status == 206 {
            return extract_content_range_values(&self.headers)?.complete_length;
        }
        // RFC 9112, section 6.3: a transfer coding overrides the length. The length of a response
        // without a body is that of the body it stands for.
        if self.is_content_coded()
            || self.headers.contains("transfer-encoding")
            || matches!(self.status, 204 | 205 | 304)
        {
            return None;
        }
        self.headers.get("content-length")?.parse().ok()
    }

    /// The URL the response came from.
    #[must_use]
    pub fn url(&self) -> Option<&Url> {
        self.url_list.last()
    }

    /// Whether a content coding was applied. Offsets in the stored (decoded) bytes are then
    /// unrelated to offsets on the wire (D4).
    #[must_use]
    pub fn is_content_coded(&self) -> bool {
        self.headers.get("content-encoding").is_some_and(|value| {
            !value.trim().is_empty() && !value.trim().eq_ignore_ascii_case("identity")
        })
    }
}

/// What the model knows of a response's head without reading it. Heads can be large, so they are in
/// memory only while an attempt needs them; the store has them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadSummary {
    /// The status code.
    pub status: u16,
    /// The final length of the stored body in bytes, if the head says it.
    pub announced: Option<u64>,
    /// Whether only the bytes that are missing can be requested (D4, D6).
    pub resumable: bool,
    /// Whether there is a `Vary` header.
    pub varies: bool,
    /// Whether that header names credentials or is `*`.
    pub varies_by_user: bool,
    /// What the head takes in the store, in bytes.
    pub size: u64,
}

impl HeadSummary {
    /// The summary of a response to `request`.
    #[must_use]
    pub fn of(request: &Request, head: &ResponseHead) -> Self {
        let announced = if request.method == "HEAD" {
            None
        } else if head.status == 206 && request.has_own_range() {
            extract_content_range_values(&head.headers).map(|range| range.stored_end(true))
        } else {
            head.complete_length()
        };
        Self {
            status: head.status,
            announced,
            resumable: !head.is_content_coded() && strong_validator(head).is_some(),
            varies: head.headers.contains("vary"),
            varies_by_user: varies_by_user(head),
            size: metadata::of_head(head),
        }
    }

    /// Whether the status is an [ok status](https://fetch.spec.whatwg.org/#ok-status).
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        is_ok(self.status)
    }
}

const fn is_ok(status: u16) -> bool {
    status >= 200 && status <= 299
}

/// A background fetch response: the state of a record's response so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseData {
    /// Which representation this is; see [`Generation`].
    pub generation: Generation,
    /// The response, or none before the first usable head.
    pub response: Option<HeadSummary>,
    /// The number of stored bytes.
    pub stored: u64,
    /// How the record ended, or none while it is active.
    pub result: Option<RecordResult>,
    /// Whether the request has integrity metadata: the response is not exposed before it was
    /// verified (D20).
    pub has_integrity: bool,
}

impl ResponseData {
    /// Whether the response may be exposed to script now.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        match self.result {
            None => !self.has_integrity,
            Some(result) => result.exposes_response(),
        }
    }

    /// The response, if there is one that may be exposed to script now.
    #[must_use]
    pub fn exposed_response(&self) -> Option<HeadSummary> {
        self.response.filter(|_| self.is_exposed())
    }

    /// Whether `responseReady` is settled: there is a response to expose, or there never will be.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.result.is_some() || self.exposed_response().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn head(status: u16, headers: &[(&str, &str)]) -> ResponseHead {
        ResponseHead {
            status,
            status_text: String::new(),
            headers: headers.iter().copied().collect(),
            url_list: vec![
                "https://a.test/1".parse().unwrap(),
                "https://b.test/2".parse().unwrap(),
            ],
            response_type: ResponseType::Basic,
            cors_exposed_header_names: Vec::new(),
            selecting_headers: None,
        }
    }

    fn summary(request: &Request, status: u16, headers: &[(&str, &str)]) -> HeadSummary {
        HeadSummary::of(request, &head(status, headers))
    }

    fn request(method: &str) -> Request {
        Request { method: method.into(), ..Request::get("https://a.test/1".parse().unwrap()) }
    }

    #[test]
    fn a_status_is_ok_from_200_to_299() {
        for (status, ok) in [(100, false), (199, false), (200, true), (299, true), (300, false)] {
            assert_eq!(head(status, &[]).is_ok(), ok, "{status}");
            assert_eq!(summary(&request("GET"), status, &[]).is_ok(), ok, "{status}");
        }
    }

    #[test]
    fn a_response_comes_from_the_last_url_of_its_list() {
        let mut head = head(200, &[]);
        assert_eq!(head.url().unwrap().as_str(), "https://b.test/2");
        head.url_list.clear();
        assert!(head.url().is_none());
    }

    #[test]
    fn the_length_is_announced_where_it_is_that_of_the_stored_bytes() {
        let length = ("Content-Length", "9");
        let part = ("Content-Range", "bytes 2-4/9");
        for (method, status, headers, announced) in [
            ("GET", 200, &[length][..], Some(9)),
            ("POST", 404, &[length], Some(9)),
            ("GET", 200, &[], None),
            ("GET", 200, &[("Content-Length", "9, 9")], None),
            ("HEAD", 200, &[length], None),
            ("GET", 204, &[length], None),
            ("GET", 205, &[length], None),
            ("GET", 304, &[length], None),
            ("GET", 200, &[length, ("Transfer-Encoding", "chunked")], None),
            ("GET", 200, &[length, ("Content-Encoding", "gzip")], None),
            ("GET", 200, &[length, ("Content-Encoding", " Identity ")], Some(9)),
            ("GET", 200, &[length, ("Content-Encoding", " ")], Some(9)),
            ("GET", 206, &[("Content-Length", "3"), part], Some(9)),
            ("GET", 206, &[length, ("Content-Range", "bytes 2-4/*")], None),
            ("GET", 200, &[("Content-Length", "3"), part], Some(3)),
        ] {
            let summary = summary(&request(method), status, headers);
            assert_eq!(summary.announced, announced, "{method} {status} {headers:?}");
        }
        let mut own_range = request("GET");
        own_range.headers.append("Range", "bytes=2-4");
        assert_eq!(summary(&own_range, 206, &[part]).announced, Some(3));
        assert_eq!(summary(&own_range, 200, &[length]).announced, Some(9));
    }

    #[test]
    fn what_may_be_resumed_is_uncoded_and_has_a_strong_validator() {
        let tag = ("ETag", "\"1\"");
        for (headers, resumable) in [
            (&[tag][..], true),
            (&[("ETag", "W/\"1\"")], false),
            (&[], false),
            (&[tag, ("Content-Encoding", "br")], false),
            (&[tag, ("Content-Encoding", "identity")], true),
        ] {
            assert_eq!(summary(&request("GET"), 200, headers).resumable, resumable, "{headers:?}");
        }
    }

    #[test]
    fn a_vary_counts_and_more_so_if_it_names_credentials() {
        for (headers, varies, by_user) in [
            (&[][..], false, false),
            (&[("Vary", "Accept")], true, false),
            (&[("Vary", "Accept, Cookie")], true, true),
        ] {
            let summary = summary(&request("GET"), 200, headers);
            assert_eq!((summary.varies, summary.varies_by_user), (varies, by_user), "{headers:?}");
        }
    }

    #[test]
    fn scripts_see_a_response_while_it_may_still_be_good_and_if_it_ended_so() {
        use FailureReason::{Aborted, BadStatus, DownloadTotalExceeded, FetchError, QuotaExceeded};
        let response = Some(summary(&request("GET"), 200, &[]));
        let data = |result, has_integrity| ResponseData {
            response,
            result,
            has_integrity,
            ..ResponseData::default()
        };
        for (result, has_integrity, exposed, ready) in [
            (None, false, true, true),
            (None, true, false, false),
            (Some(RecordResult::Success), true, true, true),
            (Some(RecordResult::Failure(BadStatus)), false, true, true),
            (Some(RecordResult::Failure(FetchError)), false, false, true),
            (Some(RecordResult::Failure(Aborted)), false, false, true),
            (Some(RecordResult::Failure(QuotaExceeded)), false, false, true),
            (Some(RecordResult::Failure(DownloadTotalExceeded)), false, false, true),
        ] {
            let data = data(result, has_integrity);
            assert_eq!(data.exposed_response(), response.filter(|_| exposed), "{result:?}");
            assert_eq!((data.is_exposed(), data.is_ready()), (exposed, ready), "{result:?}");
        }
        assert!(!ResponseData::default().is_ready(), "there is no response yet");
    }

    #[test]
    fn failures_have_the_names_that_scripts_see_and_the_store_keeps() {
        for (reason, name) in [
            (FailureReason::Aborted, "aborted"),
            (FailureReason::BadStatus, "bad-status"),
            (FailureReason::FetchError, "fetch-error"),
            (FailureReason::QuotaExceeded, "quota-exceeded"),
            (FailureReason::DownloadTotalExceeded, "download-total-exceeded"),
        ] {
            assert_eq!(reason.as_str(), name);
            assert_eq!(serde_json::to_value(reason).unwrap(), name);
            assert_eq!(RecordResult::Failure(reason).failure(), Some(reason));
        }
        assert_eq!(RecordResult::Success.failure(), None);
    }
}
