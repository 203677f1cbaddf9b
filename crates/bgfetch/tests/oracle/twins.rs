//! Servers that differ only in their answers, and never approve.

use std::time::{Duration, SystemTime};

use bgfetch_testkit::{Coding, Gate, MIB, Reply, Resource, Serve};

use crate::world::World;

/// One server.
pub(crate) struct Twin {
    pub(crate) name: &'static str,
    pub(crate) script: Reply,
    /// Holds the server while a page looks; opened afterwards, so that an HTTP/2 connection does
    /// not run out of room for unread uploads.
    pub(crate) held: Gate,
}

impl Twin {
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.script = self.script.header(name, value);
        self
    }
}

/// Larger than anything that could be sent.
const ENDLESS: u64 = 1 << 50;

/// The possible answers to a download. None approves of any origin.
pub(crate) fn twins(world: &World) -> Vec<Twin> {
    let film = || Resource::new(1, 10 * MIB);
    // Encoding is slow in a debug build, and the origin has one thread.
    let text = || Resource::new(1, 10_000);
    let location = |url: &str| Reply::redirect(302, url);
    let home = world.home.url("/sibling");
    let replies: Vec<(&'static str, Reply)> = vec![
        ("0 bytes", Resource::new(1, 0).into()),
        ("1 byte", Resource::new(1, 1).into()),
        ("10 MiB", film().into()),
        ("endless, of unknown length", Resource::new(1, ENDLESS).chunked()),
        ("endless, of known length", Resource::new(1, ENDLESS).into()),
        ("10 MiB of unknown length", film().chunked()),
        ("held before its first byte", film().stall_after(0)),
        ("held after its first byte", film().stall_after(1)),
        ("slow", film().hold_at(0, &Gate::new()).hold_at(1, &Gate::new())),
        ("cut after its head", film().cut_after(0)),
        ("cut after a byte", film().cut_after(1)),
        ("with an ETag", film().etag("\"v\"").into()),
        ("with a date", film().last_modified(SystemTime::UNIX_EPOCH).into()),
        ("without ranges", film().ignoring_range()),
        ("too short", Resource::new(1, 10).header("content-length", "1000").cut_after(9)),
        ("gzip", text().coded(Coding::Gzip)),
        ("brotli", text().coded(Coding::Brotli)),
        ("zstd", text().coded(Coding::Zstd)),
        ("not the gzip that it says", film().header("content-encoding", "gzip")),
        ("an unknown coding", film().header("content-encoding", "x-unknown")),
        ("three codings", film().header("content-encoding", "gzip, br, gzip")),
        ("a type", film().header("content-type", "text/html")),
        ("a cookie", film().header("set-cookie", "c=1")),
        ("no sniffing", film().header("x-content-type-options", "nosniff")),
        ("exposed headers", film().header("access-control-expose-headers", "*")),
        ("only ACAC", film().header("access-control-allow-credentials", "true")),
        ("other methods", film().header("access-control-allow-methods", "DELETE")),
        ("401", Reply::status(401).header("www-authenticate", "Basic realm=\"x\"")),
        ("407", Reply::status(407).header("proxy-authenticate", "Basic realm=\"x\"")),
        ("404 with a body", film().with_status(404)),
        ("500 with a body", film().with_status(500)),
        ("206", film().with_status(206).header("content-range", "bytes 0-9/10")),
        ("206 of nonsense", film().with_status(206).header("content-range", "bytes 9-0/*")),
        ("416", Reply::status(416).header("content-range", "bytes */0")),
        ("429 for a second", Reply::status(429).retry_after(Duration::from_secs(1))),
        ("503 for no time", Reply::status(503).retry_after(Duration::ZERO)),
        ("503 for an hour", Reply::status(503).retry_after(Duration::from_secs(3600))),
        ("503 until a day", Reply::status(503).retry_after_date(SystemTime::UNIX_EPOCH)),
        ("a redirect to what is", location("/there")),
        ("a redirect to what is not", location("/nowhere")),
        ("a redirect to itself", location("/film")),
        ("a redirect to the page's origin", location(home.as_str())),
        ("a redirect to no URL", location("http://")),
        ("a redirect to data:", location("data:,x")),
        ("a redirect to a bad port", location("http://127.0.0.1:25/")),
        ("a redirect to credentials", location("//u:p@127.0.0.1/")),
        ("a redirect with 301", Reply::redirect(301, "/there")),
        ("a redirect with 303", Reply::redirect(303, "/there")),
        ("a redirect with 307", Reply::redirect(307, "/there")),
        ("a redirect with 308", Reply::redirect(308, "/there")),
        ("a redirect with a body", film().with_status(302).header("location", "/there")),
    ];
    world.cross.serve("/there", Resource::new(2, 10).header("access-control-allow-origin", "*"));
    let statuses = [
        ("status 201", 201),
        ("status 202", 202),
        ("status 204", 204),
        ("status 205", 205),
        ("status 206", 206),
        ("status 300", 300),
        ("status 302 without Location", 302),
        ("status 304", 304),
        ("status 400", 400),
        ("status 403", 403),
        ("status 404", 404),
        ("status 408", 408),
        ("status 410", 410),
        ("status 416", 416),
        ("status 421", 421),
        ("status 425", 425),
        ("status 429", 429),
        ("status 451", 451),
        ("status 500", 500),
        ("status 502", 502),
        ("status 503", 503),
        ("status 599", 599),
    ];
    let statuses = statuses.map(|(name, status)| (name, Reply::status(status)));
    let twin = |(name, script)| Twin { name, script, held: Gate::new() };
    replies.into_iter().chain(statuses).map(twin).collect()
}

/// The possible answers to an upload, and their timing.
pub(crate) fn upload_twins(world: &World) -> Vec<Twin> {
    let film = || Resource::new(1, 10 * MIB);
    let early =
        |name, reply: Reply| Twin { name, script: reply.answering_early(), held: Gate::new() };
    let unread = |name, reply: Reply| {
        let held = Gate::new();
        Twin { name, script: reply.answering_early().hold_upload_at(0, &held), held }
    };
    let early = [
        early("early: 0 bytes", Resource::new(1, 0).into()),
        early("early: 10 MiB", film().into()),
        early("early: 404", Reply::status(404)),
        early("early: 500", Reply::status(500)),
        early("early: a redirect", Reply::redirect(307, "/there")),
        unread("without reading it: 10 MiB", film().into()),
        unread("without reading it: 413", Reply::status(413)),
        unread("without reading it: 503", Reply::status(503).retry_after(Duration::ZERO)),
        unread("without reading it: a redirect", Reply::redirect(303, "/there")),
        unread("without reading it: held", film().stall_after(0)),
    ];
    twins(world).into_iter().chain(early).collect()
}
