//! A simulated origin: one resource per URL, well-behaved or not. Its bytes identify their origin.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use bgfetch_model::attempt::{AttemptSpec, Fault, FaultKind, Resume};
use bgfetch_model::header_list::HeaderList;
use bgfetch_model::request::Request;
use bgfetch_model::response::{ResponseHead, ResponseType};
use url::Url;

use super::site::Site;

/// The resource at a URL.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    /// Identifies the representation; its bytes carry this number.
    pub(crate) representation: u32,
    pub(crate) length: u64,
    /// Whether its responses have a strong `ETag`.
    pub(crate) etag: bool,
    /// Whether its responses have a `Content-Length`.
    pub(crate) content_length: bool,
    /// Whether its full responses are content-coded, unless identity is requested.
    pub(crate) coded: bool,
    /// The value of a header that its responses have, if it is not empty.
    pub(crate) header: String,
    pub(crate) ranges: Ranges,
    pub(crate) name: Name,
    /// The address that its responses come from, if it is reported.
    pub(crate) address: Option<IpAddr>,
    /// Each request gets another, slightly longer representation.
    pub(crate) restless: bool,
    /// What happens to the next attempts, one plan each. The last plan repeats.
    pub(crate) plans: VecDeque<Plan>,
    pub(crate) always: Plan,
    /// The requests that arrived.
    pub(crate) seen: Vec<AttemptSpec>,
}

/// How the name of a resource's host is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// The name is known.
    Known,
    /// The look-up takes a while.
    Slow,
    /// The look-up never ends.
    Dead,
    /// It leads to the local network, which the page may not access without permission.
    Nearby,
}

/// How a resource answers a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ranges {
    Honoured,
    Ignored,
    /// Honoured even if `If-Range` names another representation.
    Unconditional,
    /// The part starts a byte early.
    WrongStart,
    /// Parts of at most this many bytes, even if none was requested; the complete length is given
    /// or `*`.
    Parts {
        most: u64,
        star: bool,
    },
}

/// What happens to one attempt.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    Serve,
    /// The connection breaks after this many bytes of the body.
    Cut(u64),
    /// No more bytes arrive after this many bytes of the body.
    Stall(u64),
    /// The connection breaks while the head is being judged.
    LoseHead,
    Unreachable,
    /// The name cannot be resolved, or its addresses have no route.
    NoRoute,
    /// The connection breaks before the head, with the request in progress.
    Reset,
    Permanent,
    Status(u16, Option<Duration>),
    /// The disk is full after this many bytes.
    DiskFull(u64),
    /// These headers, and this many bytes of the representation from an offset on.
    Raw(u16, Vec<(&'static str, String)>, u64, u64),
}

/// A response in progress.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) head: ResponseHead,
    pub(crate) request_headers: Option<HeaderList>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) representation: u32,
    /// The offset in the representation at which the body starts, and its length.
    pub(crate) first: u64,
    pub(crate) length: u64,
    pub(crate) end: BodyEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    Complete,
    Cut(u64),
    Stall(u64),
    LoseHead,
    DiskFull(u64),
}

impl Default for Resource {
    fn default() -> Self {
        Self {
            representation: 1,
            length: 100,
            etag: true,
            content_length: true,
            coded: false,
            header: String::new(),
            ranges: Ranges::Honoured,
            name: Name::Known,
            address: None,
            restless: false,
            plans: VecDeque::new(),
            always: Plan::Serve,
            seen: Vec::new(),
        }
    }
}

pub(crate) fn fault(kind: FaultKind, sent: bool) -> Fault {
    Fault { kind, sent, message: format!("{kind:?}") }
}

/// All resources, and the site at [`Site::entry`].
#[derive(Debug, Default)]
pub(crate) struct Origin(pub(crate) BTreeMap<Url, Resource>, pub(crate) Option<Site>);

impl Origin {
    pub(crate) fn name(&self, request: &Request) -> Name {
        self.0.get(&request.url).map_or(Name::Known, |resource| resource.name)
    }

    pub(crate) fn respond(
        &mut self,
        request: &Request,
        spec: &AttemptSpec,
    ) -> Result<Answer, Fault> {
        let url = &request.url;
        if let Some(site) = self.1.as_mut().filter(|_| *url == Site::entry()) {
            return Ok(site.respond(request, spec));
        }
        let Some(resource) = self.0.get_mut(url) else {
            return Err(fault(FaultKind::Unreachable, false));
        };
        resource.seen.push(spec.clone());
        if resource.restless {
            resource.representation += 1;
            resource.length += 1;
        }
        let end = match resource.plans.pop_front().unwrap_or(resource.always.clone()) {
            Plan::Serve => BodyEnd::Complete,
            Plan::Cut(after) => BodyEnd::Cut(after),
            Plan::Stall(after) => BodyEnd::Stall(after),
            Plan::LoseHead => BodyEnd::LoseHead,
            Plan::DiskFull(after) => BodyEnd::DiskFull(after),
            Plan::Unreachable => return Err(fault(FaultKind::Unreachable, false)),
            Plan::NoRoute => return Err(fault(FaultKind::NoRoute, false)),
            Plan::Reset => return Err(fault(FaultKind::Interrupted, true)),
            Plan::Permanent => return Err(fault(FaultKind::Tls, true)),
            Plan::Status(status, retry_after) => {
                let mut answer = resource.answer(url, status, HeaderList::default(), 0, 7);
                answer.retry_after = retry_after;
                return Ok(answer);
            }
            Plan::Raw(status, headers, first, length) => {
                let headers = headers.into_iter().collect();
                return Ok(resource.answer(url, status, headers, first, length));
            }
        };
        let mut answer = resource.serve(request, spec);
        answer.end = end;
        Ok(answer)
    }
}

impl Resource {
    fn serve(&self, request: &Request, spec: &AttemptSpec) -> Answer {
        let url = &request.url;
        let mut headers = HeaderList::default();
        if self.etag {
            headers.append("ETag", self.entity_tag());
        }
        if !self.header.is_empty() {
            headers.append("X-Header", self.header.clone());
        }
        let own = request.headers.get("range").and_then(|range| {
            let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
            Some((first.parse().ok()?, last.parse().ok()?))
        });
        let resume = spec.resume.as_ref();
        let unconditional = self.ranges == Ranges::Unconditional;
        let matches = |resume: &&Resume| self.etag && resume.if_range == self.entity_tag();
        let asked = resume.filter(|resume| unconditional || matches(resume));
        let start = asked.map(|resume| resume.start);
        let range = match (self.ranges, start) {
            _ if own.is_some() => own,
            (Ranges::Ignored, _) => None,
            (Ranges::Honoured | Ranges::Unconditional | Ranges::WrongStart, None) => None,
            (Ranges::Honoured | Ranges::Unconditional | Ranges::Parts { .. }, Some(start))
                if start >= self.length =>
            {
                headers.append("Content-Range", format!("bytes */{}", self.length));
                return self.answer(url, 416, headers, 0, 0);
            }
            (Ranges::Honoured | Ranges::Unconditional, Some(start)) => {
                Some((start, self.length - 1))
            }
            (Ranges::WrongStart, Some(start)) => Some((start.saturating_sub(1), self.length - 1)),
            (Ranges::Parts { most, .. }, start) => {
                let start = start.unwrap_or(0);
                Some((start, (start + most).min(self.length).saturating_sub(1)))
            }
        };
        match range {
            Some((first, last)) if self.length > 0 => {
                let complete = match self.ranges {
                    Ranges::Parts { star: true, .. } => "*".into(),
                    _ => self.length.to_string(),
                };
                headers.append("Content-Range", format!("bytes {first}-{last}/{complete}"));
                self.answer(url, 206, headers, first, last + 1 - first)
            }
            _ => {
                if self.coded && !spec.identity && resume.is_none() {
                    headers.append("Content-Encoding", "gzip");
                } else if self.content_length {
                    headers.append("Content-Length", self.length.to_string());
                }
                self.answer(url, 200, headers, 0, self.length)
            }
        }
    }

    pub(crate) fn entity_tag(&self) -> String {
        format!("\"{}\"", self.representation)
    }

    fn answer(
        &self,
        url: &Url,
        status: u16,
        headers: HeaderList,
        first: u64,
        length: u64,
    ) -> Answer {
        Answer {
            head: ResponseHead::new(status, vec![url.clone()]).with(|it| {
                it.headers = headers;
                it.response_type = ResponseType::Cors;
            }),
            request_headers: None,
            address: self.address,
            retry_after: None,
            representation: self.representation,
            first,
            length,
            end: BodyEnd::Complete,
        }
    }
}
