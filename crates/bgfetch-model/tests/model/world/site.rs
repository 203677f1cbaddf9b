//! A simulated site that has a representation for each user, with validators that are the same for
//! all, and a fetcher that follows its redirects.

use std::collections::VecDeque;

use bgfetch_model::attempt::{AttemptSpec, Resume};
use bgfetch_model::header_list::HeaderList;
use bgfetch_model::request::Request;
use bgfetch_model::response::ResponseHead;
use url::Url;

use super::origin::{Answer, BodyEnd};

const MODIFIED: &str = "Mon, 01 Jan 2024 00:00:00 GMT";
const DATE: &str = "Tue, 25 Nov 2025 20:00:00 GMT";

/// How the responses to two users differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Apart {
    /// Each is redirected to a host of its own.
    Host,
    /// Each is redirected to a path of its own.
    Path,
    /// Each is redirected to a query of its own, where only a date identifies the bytes.
    Query,
    /// They send different values of this header, by which the site selects. A part's `Vary` names
    /// it, or the whole's, or both.
    RequestHeader(&'static str, VaryIn),
    /// This header of the whole, which parts repeat, has different values.
    ResponseHeader(&'static str),
    /// The bodies have different lengths.
    Length,
}

/// Which responses have a `Vary`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VaryIn {
    Whole,
    Part,
    Both,
    /// `*` instead of a name, in both.
    Any,
}

/// How the fetcher sends and reports its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fetcher {
    /// With the range only where it may help.
    Careful,
    /// With the range wherever the request goes.
    Blind,
    /// The same, without reporting what was sent.
    Mute,
}

#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) apart: Apart,
    pub(crate) fetcher: Fetcher,
    pub(crate) tag: bool,
    pub(crate) date: bool,
    /// Whether the request is redirected to a URL whose query is another one each time.
    pub(crate) signed: bool,
    /// Whether users also have bodies of different lengths.
    pub(crate) lengths_differ: bool,
    /// Whether whole responses tell their length.
    pub(crate) length_is_known: bool,
    /// Whether parts tell the complete length.
    pub(crate) complete_is_known: bool,
    /// Whether a range is honoured whatever `If-Range` says.
    pub(crate) unconditional: bool,
    /// For the next attempts, whose they are, and after how many bytes their bodies are cut. The
    /// user of the last one stays.
    pub(crate) visits: VecDeque<(u32, u64)>,
    pub(crate) user: u32,
    /// For each response, the offset from which it was requested.
    pub(crate) starts: Vec<u64>,
}

impl Site {
    /// The URL that every user requests.
    pub(crate) fn entry() -> Url {
        "https://site.test/me".parse().unwrap()
    }

    pub(crate) fn length(&self, user: u32) -> u64 {
        if self.lengths_differ { 60 - 7 * u64::from(user % 5) } else { 60 }
    }

    pub(crate) fn respond(&mut self, request: &Request, spec: &AttemptSpec) -> Answer {
        let mut cut = None;
        if let Some((user, after)) = self.visits.pop_front() {
            (self.user, cut) = (user, Some(after));
        }
        let mut url_list = vec![request.url.clone()];
        url_list.extend(self.redirect());
        let url = url_list.last().unwrap();
        let (sent, range) = self.request_headers(url, spec.resume.as_ref());
        self.starts.push(range.map_or(0, |resume| resume.start));
        let (status, headers, first) = self.response(range);
        let length = if status == 416 { 0 } else { self.length(self.user) - first };
        Answer {
            head: ResponseHead::new(status, url_list).with(|it| it.headers = headers),
            request_headers: (self.fetcher != Fetcher::Mute).then_some(sent),
            address: None,
            retry_after: None,
            representation: self.user,
            first,
            length,
            end: cut.map_or(BodyEnd::Complete, BodyEnd::Cut),
        }
    }

    fn redirect(&self) -> Option<Url> {
        let user = self.user;
        let (host, path) = match self.apart {
            Apart::Host => (format!("cdn{user}.test"), "file".into()),
            Apart::Path => ("cdn.test".into(), format!("file{user}")),
            Apart::Query => ("cdn.test".into(), "file".into()),
            _ if self.signed => ("cdn.test".into(), "file".into()),
            _ => return None,
        };
        let query = match self.apart {
            Apart::Query => format!("?user={user}"),
            _ if self.signed => format!("?sig={}", self.starts.len()),
            _ => String::new(),
        };
        Some(format!("https://{host}/{path}{query}").parse().unwrap())
    }

    /// The headers of the request to `url`, and the range among them.
    fn request_headers<'a>(
        &self,
        url: &Url,
        resume: Option<&'a Resume>,
    ) -> (HeaderList, Option<&'a Resume>) {
        let mut headers =
            HeaderList::from_iter([("Accept", "*/*"), ("Accept-Encoding", "identity")]);
        if let Apart::RequestHeader(name, _) = self.apart {
            headers.append(name, format!("user{}", self.user));
        }
        let range = resume.filter(|resume| {
            self.fetcher != Fetcher::Careful || resume.source.may_continue(url, &headers)
        });
        if let Some(resume) = range {
            headers.append("Range", format!("bytes={}-", resume.start));
        }
        (headers, range)
    }

    /// The status, the headers, and the offset of the first byte of the body.
    fn response(&self, resume: Option<&Resume>) -> (u16, HeaderList, u64) {
        let length = self.length(self.user);
        let mut headers = HeaderList::from_iter([("Content-Type", "text/plain")]);
        if let Apart::ResponseHeader(name) = self.apart {
            headers.delete(name);
            headers.append(name, self.value_of(name));
        }
        for (has, name, value) in [
            (self.tag, "ETag", "\"1\""),
            (self.date, "Last-Modified", MODIFIED),
            (true, "Date", DATE),
        ] {
            if has && !headers.contains(name) {
                headers.append(name, value);
            }
        }
        let matches = |resume: &&Resume| {
            let validator = Some(resume.if_range.clone());
            let is_own = |name: &str| headers.get(name) == validator;
            self.unconditional || is_own("etag") || is_own("last-modified")
        };
        let range = resume.filter(matches);
        if let Apart::RequestHeader(name, vary) = self.apart {
            match vary {
                VaryIn::Any => headers.append("Vary", "*"),
                VaryIn::Both => headers.append("Vary", format!("Accept-Encoding, {name}")),
                VaryIn::Whole if range.is_none() => headers.append("Vary", name),
                VaryIn::Part if range.is_some() => headers.append("Vary", name),
                _ => {}
            }
        }
        let Some(Resume { start, .. }) = range else {
            if self.length_is_known {
                headers.append("Content-Length", length.to_string());
            }
            return (200, headers, 0);
        };
        if *start >= length {
            headers.append("Content-Range", format!("bytes */{length}"));
            return (416, headers, 0);
        }
        let complete = if self.complete_is_known { length.to_string() } else { "*".into() };
        headers.append("Content-Range", format!("bytes {start}-{}/{complete}", length - 1));
        (206, headers, *start)
    }

    /// The current user's value of a header of the response.
    fn value_of(&self, name: &str) -> String {
        let user = self.user;
        match name {
            "ETag" => format!("\"{user}\""),
            "Last-Modified" => format!("Mon, 0{} Jan 2024 00:00:00 GMT", user + 1),
            _ => format!("x/{user}"),
        }
    }
}
