//! Servers: statuses, redirects, ranges that are answered rightly or wrongly, and bodies that break
//! off, stall, or have another length than announced.

use std::sync::Arc;
use std::time::Duration;

use bgfetch::{
    FetchError, FetchRequest, FetchResponse, HeaderList, ResponseHead, ResponseType, UnixTime,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::time::sleep;
use url::Url;

use super::body::{Body, Stop};
use super::network::Flight;
use super::plan::Wanted;
use super::resource::{Resource, Validator, http_date};

/// Statuses that say that it is better to ask later.
const BUSY: [u16; 6] = [408, 425, 429, 500, 502, 503];

/// The URL of a request.
pub(crate) fn url_of(wanted: &Wanted, site: usize) -> Url {
    let url = match wanted {
        // All sites use the same servers.
        Wanted::Download { resource, .. } => {
            format!("https://files{}.test/{resource}", resource % 2)
        }
        Wanted::Upload { .. } => format!("https://site{site}.test/upload"),
    };
    url.parse().unwrap()
}

/// An answer without its body.
struct Answer {
    status: u16,
    headers: HeaderList,
    retry_after: Option<Duration>,
}

/// What a request asks for.
#[derive(Clone, Copy)]
enum Asked {
    Whole,
    /// By the page.
    Part(u64, u64),
    /// What is missing from this byte on, and whether the validator is right.
    Rest(u64, bool),
}

/// What of a representation is sent.
#[derive(Clone, Copy)]
struct Part {
    /// Of the whole: the first byte, and that after the last.
    first: usize,
    end: usize,
    /// The length of the whole as it is announced.
    complete: usize,
}

/// Answers a request.
pub(crate) fn respond(flight: Flight, request: &FetchRequest) -> FetchResponse {
    let (world, wanted) = (flight.world.clone(), flight.wanted().clone());
    let resource = world.plan().resources[wanted.resource()].clone();
    let mut url_list = vec![request.request.url.clone()];
    let moved = redirect(&flight, &wanted, &resource, &mut url_list);
    let mut sent = request.request.headers.clone();
    let user = world.state().users[flight.site];
    sent.append("cookie", format!("user={user}"));
    let resume = request.resume.as_ref();
    let resume = resume.filter(|it| it.source.may_continue(url_list.last().unwrap(), &sent));
    if let Some(resume) = resume {
        sent.append("range", format!("bytes={}-", resume.start));
        sent.append("if-range", resume.if_range.clone());
    }
    let date = http_date(UnixTime(world.true_time().0 + resource.ahead));
    let mut headers = HeaderList::from_iter([("content-type", "a/b"), ("date", &*date)]);
    let response_type = match wanted {
        _ if request.principal.policies().is_none() => ResponseType::Default,
        Wanted::Upload { .. } => ResponseType::Basic,
        Wanted::Download { .. } => ResponseType::Cors,
    };
    let (answer, body) = match status(&flight, &wanted, &resource, resume.is_some()) {
        Some((status, retry_after)) => {
            let answer = Answer { status, headers, retry_after };
            (answer, stream::iter([Ok(Bytes::from_static(b"no"))]).boxed())
        }
        None => {
            let bytes = make(&flight, wanted.resource(), moved, user);
            let validator = world.resources().validator(wanted.resource());
            if resource.personal {
                headers.append("vary", "Cookie");
            }
            if let Some((name, value)) = &validator {
                headers.append(*name, value.clone());
            }
            let rest = resume.map(|resume| {
                // A careless server compares weak validators as if they were strong.
                let strong = resource.validator != Validator::Weak || resource.lies;
                let same = validator.is_some_and(|(_, value)| value == resume.if_range);
                Asked::Rest(resume.start, same && strong)
            });
            let asked = match (rest, &wanted) {
                (Some(rest), _) => rest,
                (_, Wanted::Download { range: Some((first, last)), .. }) => {
                    Asked::Part(*first, *last)
                }
                _ => Asked::Whole,
            };
            let coded = resource.coded && !request.identity && matches!(asked, Asked::Whole);
            content(flight, &resource, headers, &bytes, asked, coded)
        }
    };
    let head = ResponseHead::new(answer.status, url_list).with(|it| {
        it.headers = answer.headers;
        it.response_type = response_type;
    });
    FetchResponse::new(head, body).with(|it| {
        it.request_headers = Some(sent);
        it.retry_after = answer.retry_after;
        it.multiplexed = wanted.is_multiplexed();
    })
}

/// The present bytes of a resource. Some are made when they are asked for, and again soon after.
fn make(flight: &Flight, resource: usize, moved: bool, user: u8) -> Arc<[u8]> {
    let world = &flight.world;
    let now = world.true_time();
    if flight.trouble(world.plan().faults.changes, 6) {
        world.resources().change(resource, now);
        let world = world.clone();
        world.clone().spawn(async move {
            sleep(world.time(1000)).await;
            let now = world.true_time();
            world.resources().change(resource, now);
        });
    }
    let mut resources = world.resources();
    let representation = resources.present(resource, moved, user);
    resources.bytes(representation)
}

/// Redirects a download, perhaps. Returns whether other bytes are there.
fn redirect(
    flight: &Flight,
    wanted: &Wanted,
    resource: &Resource,
    url_list: &mut Vec<Url>,
) -> bool {
    if !resource.moves || wanted.is_upload() {
        return false;
    }
    let mut url = url_list[0].clone();
    let kind = if flight.trouble(true, 2) { flight.world.draw(|rng| rng.u8(0..2)) } else { 2 };
    match kind {
        0 => url.set_path(&format!("/moved{}", url.path())),
        1 => url.set_query(Some(&format!("signature={}", flight.world.draw(|rng| rng.u16(..))))),
        _ => return false,
    }
    url_list.push(url);
    kind == 0
}

/// The status of an answer without the resource.
fn status(
    flight: &Flight,
    wanted: &Wanted,
    resource: &Resource,
    ranged: bool,
) -> Option<(u16, Option<Duration>)> {
    let (world, statuses) = (&flight.world, flight.world.plan().faults.statuses);
    if flight.trouble(statuses, 4) {
        let status = BUSY[world.draw(|rng| rng.usize(0..BUSY.len()))];
        // To an upload, it is the answer. The others may be the last of too many.
        let mut stands = wanted.is_upload();
        flight.note(|record| {
            record.busy += 1;
            record.bad_status |= wanted.is_upload();
            stands |= record.busy + record.failures > 1;
        });
        if stands {
            flight.replaces();
        }
        flight.trace(|| format!("is answered with {status}"));
        let retry_after = world.once_in(3).then(|| world.time(150_000));
        return Some((status, retry_after));
    }
    if ranged && flight.trouble(statuses, 5) {
        flight.note(|record| record.refusals += 1);
        flight.trace(|| String::from("is answered with 403 to a range"));
        return Some((403, None));
    }
    if resource.missing && !wanted.is_upload() {
        flight.note(|record| record.bad_status = true);
        flight.replaces();
        flight.trace(|| String::from("is answered with 404"));
        return Some((404, None));
    }
    None
}

/// The resource, or a part of it.
fn content(
    flight: Flight,
    resource: &Resource,
    mut headers: HeaderList,
    bytes: &Arc<[u8]>,
    asked: Asked,
    coded: bool,
) -> (Answer, BoxStream<'static, Result<Bytes, FetchError>>) {
    let complete = bytes.len();
    let (right, is_rest) = match asked {
        Asked::Whole => (None, false),
        Asked::Part(first, last) => {
            let (first, end) = (first as usize, complete.min(last as usize + 1));
            (Some(Part { first, end, complete }), false)
        }
        Asked::Rest(first, is_same) => {
            let rest = Part { first: first as usize, end: complete, complete };
            (is_same.then_some(rest), true)
        }
    };
    let part = match asked {
        Asked::Whole => None,
        Asked::Part(first, _) | Asked::Rest(first, _) => {
            let rest = Part { first: first as usize, end: complete, complete };
            lie(&flight, resource, right.unwrap_or(rest), is_rest).unwrap_or(right)
        }
    };
    let retry_after = None;
    if let Some(part) = &part
        && part.first >= part.end
    {
        flight.note(|record| {
            record.refusals += 1;
            record.bad_status |= !is_rest;
        });
        if !is_rest {
            flight.replaces();
        }
        flight.trace(|| format!("is answered with 416 and {}", part.complete));
        headers.append("content-range", format!("bytes */{}", part.complete));
        return (Answer { status: 416, headers, retry_after }, stream::empty().boxed());
    }
    let faults = flight.world.plan().faults;
    let announced = part.is_some() || !(resource.chunked || coded);
    let is_reset = resource.framed && !coded && flight.wanted().is_multiplexed();
    let stop = [
        (faults.cuts, 3, Stop::Cut),
        // Only HTTP/2 has other ends than one that belongs to the body, or an error.
        (faults.lengths && (announced || is_reset), 4, Stop::Short),
        (faults.lengths && announced, 12, Stop::Long),
        (faults.stalls, 5, Stop::Stall),
    ];
    let stop = stop.into_iter().find(|(may, once_in, _)| flight.trouble(*may, *once_in));
    let stop = stop.map(|(.., stop)| stop);
    let status = if part.is_some() { 206 } else { 200 };
    let (first, mut end) = part.as_ref().map_or((0, bytes.len()), |part| (part.first, part.end));
    if let Some(part) = &part {
        // Some servers send less than they were asked for.
        if is_rest && flight.trouble(faults.lengths, 4) {
            end = flight.world.draw(|rng| rng.usize(first + 1..=end));
        }
        let complete = if resource.chunked { "*".into() } else { part.complete.to_string() };
        headers.append("content-range", format!("bytes {first}-{}/{complete}", end - 1));
    }
    if !is_rest || part.is_none() {
        flight.note(|record| record.heads += 1);
        flight.replaces();
    }
    if coded {
        headers.append("content-encoding", "gzip");
        headers.append("content-length", (bytes.len() / 2).to_string());
    } else if announced {
        headers.append("content-length", (end - first).to_string());
    }
    let at = match stop {
        Some(Stop::Long) | None => end,
        Some(_) => flight.world.draw(|rng| rng.usize(first..=end)),
    };
    flight.note(|record| match stop {
        Some(Stop::Long) => {
            record.too_long |= part.is_none();
            record.refusals += u32::from(part.is_some());
        }
        Some(Stop::Short | Stop::Stall) if at < end || !announced => record.failures += 1,
        _ => {}
    });
    flight.trace(|| format!("is answered with {status}, {first} to {end}, {stop:?} at {at}"));
    let framed = resource.framed.then(|| (!coded && announced).then_some((end - first) as u64));
    let body = Body { flight, bytes: Arc::clone(bytes), at: first, end: at, stop };
    (Answer { status, headers, retry_after }, body.stream(framed))
}

/// A wrong answer to a range, perhaps; nothing in it is to be sent if it is the whole.
fn lie(flight: &Flight, resource: &Resource, part: Part, is_rest: bool) -> Option<Option<Part>> {
    if !resource.lies || !flight.trouble(true, 2) {
        return None;
    }
    let Part { first, end, complete } = part;
    let kind = flight.world.draw(|rng| rng.u8(0..5));
    flight.note(|record| {
        record.refusals += 1;
        // The page that asked for a part gets another one or none.
        record.permanent |= !is_rest && kind == 0 && first > 0;
        record.bad_status |= !is_rest && kind == 1;
    });
    Some(match kind {
        0 => Some(Part { first: first / 2, ..part }),
        1 => Some(Part { first, end: first, complete: first + 7 }),
        2 => Some(Part { first, end, complete: complete + 1 }),
        // Whatever the validator was: this one is honest about its own.
        3 => Some(Part { first, end, complete }),
        _ => None,
    })
}
