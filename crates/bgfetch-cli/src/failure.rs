//! Why a file or a fetch failed, in plain words, and what the user can do about it.

use bgfetch::{Event, FailureReason, RecordResult, What};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::text::{cells, printable, shortened, shortened_inside};

/// Names do not shrink below this to make room for the reason.
const MIN_NAME: usize = 8;

/// Nor do reasons, to make room for what to do.
const MIN_WHY: usize = 20;

/// The failure of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileFailure<'a> {
    pub(crate) url: &'a Url,
    pub(crate) reason: FailureReason,
    /// The status of its response, if there was one.
    pub(crate) status: Option<u16>,
    /// The engine's description. It is not stored, so it is unknown for failures of earlier runs.
    pub(crate) message: Option<&'a str>,
}

impl<'a> FileFailure<'a> {
    /// The failure that an event tells, if it tells one.
    pub(crate) fn of(event: &'a Event) -> Option<Self> {
        let What::RecordSettled { url, result, status, message, .. } = &event.what else {
            return None;
        };
        let RecordResult::Failure(reason) = *result else {
            return None;
        };
        Some(Self { url, reason, status: *status, message: message.as_deref() })
    }

    /// Why it failed.
    pub(crate) fn why(&self) -> String {
        match self.message {
            Some(message) if self.reason != FailureReason::BadStatus => message.to_owned(),
            _ => why_file(self.reason, self.status),
        }
    }

    /// What the user can do, if anything helps.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        match self.reason {
            FailureReason::Aborted => None,
            FailureReason::BadStatus => self.status.and_then(advice_for_status),
            FailureReason::FetchError => self.message.map_or(Some(AGAIN), advice_for_message),
            FailureReason::QuotaExceeded => {
                Some("free space on the disk, or dismiss fetches that bgfetch list shows")
            }
            FailureReason::DownloadTotalExceeded => Some("raise --download-total, or leave it out"),
        }
    }

    /// The line about this file: its URL, why it failed and what to do. On a terminal with so many
    /// cells in a line, the URL is cut first, and then the reason if there is room for its beginning.
    pub(crate) fn line(&self, width: Option<usize>) -> String {
        let why = printable(&self.why());
        let advice = self.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
        let Some(width) = width else {
            return format!("{}: {why}{advice}", self.url);
        };
        let room = width.saturating_sub(MIN_NAME + cells(": ") + cells(&advice));
        let why = if room < MIN_WHY { why } else { shortened(&why, room) };
        fitted(&readable(self.url), &format!(": {why}{advice}"), width)
    }
}

/// How a fetch failed, of which so many files failed and were saved.
pub(crate) fn ending(reason: FailureReason, failed: usize, saved: usize) -> String {
    match (reason, failed, saved) {
        (FailureReason::Aborted, ..) => String::from("was aborted"),
        (_, 0, _) => format!("failed: {}", why(reason)),
        (_, 1, 0) => String::from("failed"),
        (_, failed, 0) => format!("failed: {failed} of {failed} files"),
        (_, failed, saved) => format!(
            "failed: {failed} of {} files; the same command fetches only what is missing",
            failed + saved
        ),
    }
}

/// Why a file failed, if the engine's description is not known.
pub(crate) fn why_file(reason: FailureReason, status: Option<u16>) -> String {
    match (reason, status) {
        (FailureReason::BadStatus, Some(status)) => match meaning(status) {
            "" => format!("the server answered {status}"),
            meaning => format!("{status}, {meaning}"),
        },
        _ => why(reason).to_owned(),
    }
}

/// Why a fetch or a file failed, in plain words.
pub(crate) fn why(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::Aborted => "it was aborted",
        FailureReason::BadStatus => "the server refused a file",
        FailureReason::FetchError => "a file could not be fetched",
        FailureReason::QuotaExceeded => "the store has no room for it",
        FailureReason::DownloadTotalExceeded => "it is larger than its download total",
    }
}

const AGAIN: &str = "run the same command again";
const LATER: &str = "run the same command again later";
const LOGIN: &str = "log in with -H, --cookie or --netrc";
const ADDRESS: &str = "check the address";

/// What a status means to somebody who downloads; empty if its number says as much.
fn meaning(status: u16) -> &'static str {
    match status {
        401 => "a login is needed",
        403 => "not allowed",
        404 => "no such file",
        407 => "the proxy wants a login",
        410 => "the file is gone",
        429 => "too many requests",
        451 => "blocked for legal reasons",
        500..=599 => "a problem of the server",
        _ => "",
    }
}

fn advice_for_status(status: u16) -> Option<&'static str> {
    match status {
        401 => Some(LOGIN),
        403 => Some("log in, or get a new link if this one has expired"),
        400 | 404 | 410 | 414 => Some(ADDRESS),
        407 => Some(PROXY_LOGIN),
        408 | 425 | 500..=599 => Some(LATER),
        429 => Some("try later, with --max-connections 1"),
        _ => None,
    }
}

const PROXY_LOGIN: &str = "use --proxy http://USER:PASSWORD@HOST";

/// Parts of the engine's descriptions, and what to do about them.
const ADVICE: [(&str, &str); 10] = [
    ("asks for a user and password", PROXY_LOGIN),
    ("the proxy ", "check --proxy and the variables like http_proxy"),
    ("certificate is not trusted: its issuer", "if it is yours, use --cacert"),
    ("certificate is not trusted: it is for", ADDRESS),
    ("certificate is not trusted: it is an authority", "if it is yours, use --insecure"),
    ("certificate is not trusted", "tell the owner of the server, and check this clock"),
    ("does not speak TLS", "try http:// instead of https://"),
    ("wants a client certificate", "bgfetch cannot send one"),
    ("does not have the checksum", "check the checksum, or ask for the right file elsewhere"),
    ("name could not be resolved", "check the address and the network"),
];

fn advice_for_message(message: &str) -> Option<&'static str> {
    let found = ADVICE.iter().find(|(part, _)| message.contains(part));
    Some(found.map_or(LATER, |(_, advice)| advice))
}

/// A name and what is said about it, cut to `width` cells: first the name, then the rest.
pub(crate) fn fitted(name: &str, rest: &str, width: usize) -> String {
    let room = width.saturating_sub(cells(rest)).max(MIN_NAME);
    shortened(&format!("{}{rest}", shortened_inside(name, room)), width)
}

/// The URL as people read it: with the characters that its path encodes.
pub(crate) fn readable(url: &Url) -> String {
    let decoded = percent_decode_str(url.as_str()).decode_utf8();
    printable(&decoded.unwrap_or(url.as_str().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn each_reason_has_plain_words_and_says_what_to_do() {
        let url = url("http://a.test/x");
        let sentence = |reason, status, message| {
            let line = FileFailure { url: &url, reason, status, message }.line(None);
            assert!(!line.contains(reason.as_str()), "{line}");
            line.strip_prefix("http://a.test/x: ").unwrap().to_owned()
        };
        for (status, expected) in [
            (401, "401, a login is needed; log in with -H, --cookie or --netrc"),
            (404, "404, no such file; check the address"),
            (503, "503, a problem of the server; run the same command again later"),
            (418, "the server answered 418"),
        ] {
            let message = Some("not shown");
            assert_eq!(sentence(FailureReason::BadStatus, Some(status), message), expected);
        }
        for (message, expected) in [
            (None, "a file could not be fetched; run the same command again"),
            (
                Some("the proxy http://a cannot be used: the host's name could not be resolved"),
                "the proxy http://a cannot be used: the host's name could not be resolved; check \
                 --proxy and the variables like http_proxy",
            ),
            (
                Some("the connection was lost"),
                "the connection was lost; run the same command again later",
            ),
            (
                Some("the server's certificate is not trusted: its issuer is unknown"),
                "the server's certificate is not trusted: its issuer is unknown; if it is yours, \
                 use --cacert",
            ),
        ] {
            assert_eq!(sentence(FailureReason::FetchError, None, message), expected);
        }
        for (reason, part) in [
            (FailureReason::QuotaExceeded, "free space"),
            (FailureReason::DownloadTotalExceeded, "raise --download-total"),
        ] {
            assert!(sentence(reason, Some(200), None).contains(part));
        }
    }

    #[test]
    fn a_line_fits_the_terminal_and_the_reason_is_kept() {
        let name = "文件名e\u{301}".repeat(50) + "\u{1b}[2J.bin";
        let url = url(&format!("http://a.test/{name}"));
        let failure = FileFailure {
            url: &url,
            reason: FailureReason::BadStatus,
            status: Some(404),
            message: None,
        };
        for width in [1, 8, 20, 39, 79, 199] {
            let line = failure.line(Some(width));
            assert!(cells(&line) <= width, "{line}");
            assert!(!line.contains(char::is_control), "{line:?}");
            assert!(width < 39 || line.contains(": 404, no such file"), "{line}");
            assert!(width < 79 || line.ends_with("; check the address"), "{line}");
        }
        assert!(failure.line(Some(79)).starts_with("http://a.te"), "{}", failure.line(Some(79)));
        let message = Some("the server's certificate is not trusted: its issuer is unknown");
        let reason = FailureReason::FetchError;
        let line = FileFailure { reason, message, ..failure }.line(Some(79));
        assert!(
            line.ends_with(
                ": the server's certificate is not truste…; if it is yours, use --cacert"
            )
        );
        // For programs, and to be copied.
        assert!(failure.line(None).starts_with(url.as_str()));
    }
}
