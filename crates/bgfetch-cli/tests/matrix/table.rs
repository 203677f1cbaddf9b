//! The table of faults: the name says what the server does, the script does it, and the rest says
//! which end is right. If nothing is said, only the whole film is right.
//!
//! What no client can know is not in the table, for example that a part has other bytes although it
//! has the right validator.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use bgfetch_testkit::{Coding, Frames, Reply, Resource, Script, Serve};

use crate::fault::Transport::{Http2, Tls, Untrusted};
use crate::fault::{Fault, fault};

/// The path of the film.
pub(crate) const FILM: &str = "/film.bin";

const LENGTH: u64 = 400_000;

/// Where most responses are cut.
const CUT: u64 = 100_000;

/// Where responses in frames are cut: less than clients accept from the start.
const FRAMES_CUT: u64 = 30_000;

// The words of the clients for what happened.

pub(crate) const CUT_SHORT: &[&str] = &[
    "closed",
    "ended",
    "reset",
    "end of response with",
    "empty reply",
    "got eof",
    "non-properly terminated",
    "too slow",
    "timeout",
    "timed out",
    "no byte came",
];
const REFUSED: &[&str] = &["refused", "failed to connect", "could not connect"];
const NO_NAME: &[&str] = &["resolve", "resolution", "offline"];
const UNTRUSTED: &[&str] = &["certificate", "not trusted", "known authorities"];
const TOO_SHORT: &[&str] = &["closed", "ended", "got eof", "range"];
const CONTRADICTION: &[&str] = &["not valid HTTP", "malformed", "content-length", "invalid"];
const BAD_CHUNK: &[&str] = &["chunk", "malformed", "hexadecimal"];
const BAD_HEADER: &[&str] = &["header without colon", "bad HTTP header", "not valid HTTP", "NUL"];
const TOO_LARGE: &[&str] = &["too large", "too long", "exceed"];
const SWITCHED: &[&str] = &["another protocol", "101", "upgrade"];
const NOT_HTTP: &[&str] = &["not valid HTTP", "HTTP/0.9", "bad status-line", "weird server reply"];
const NOT_FOUND: &[&str] = &["404", "not found"];
const UNAUTHORIZED: &[&str] = &["401", "authorization failed"];
const WRONG_PART: &[&str] = &["part", "range", "closed", "ended", "got eof"];
const CHANGES: &[&str] = &["changed", "another representation", "closed", "ended", "got eof"];
const WEB_PAGE: &[&str] = &["web page", "text/html", "range"];
const LOOP: &[&str] = &["redirect"];
const BAD_LOCATION: &[&str] = &["Location", "bad redirect", "protocol", "URL", "valid URI"];
const NOT_CODED: &[&str] = &["gzip", "coding", "decode", "deflate", "uncompress"];

/// The film, with a validator.
pub(crate) fn film() -> Resource {
    bare().etag("\"a\"")
}

/// The film without a validator.
fn bare() -> Resource {
    Resource::new(1, LENGTH)
}

/// Another film of the same length.
fn other() -> Resource {
    Resource::new(2, LENGTH).etag("\"b\"")
}

/// What an unfinished file may be the beginning of.
pub(crate) fn representations() -> &'static [Vec<u8>] {
    static ALL: LazyLock<[Vec<u8>; 3]> =
        LazyLock::new(|| [film().bytes(), other().bytes(), gzip()]);
    &*ALL
}

/// The film with the coding `gzip`.
fn gzip() -> Vec<u8> {
    Coding::Gzip.encode(&film().bytes())
}

/// The film, cut off.
fn cut() -> Reply {
    film().cut_after(CUT)
}

/// A head over HTTP/1.1 with these lines, and a body; the connection is closed after it.
fn raw(lines: &str, body: impl AsRef<[u8]>) -> Reply {
    let bytes = [lines.as_bytes(), b"\r\n\r\n", body.as_ref()].concat();
    let length = bytes.len() as u64;
    Reply::raw(bytes).cut_after(length)
}

/// The film with additional lines in its head.
fn with_lines(lines: &str) -> Reply {
    raw(&format!("HTTP/1.1 200 OK\r\n{lines}\r\nContent-Length: {LENGTH}"), film().bytes())
}

/// The beginning of a head with a validator.
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nETag: \"a\"";

const TYPE: (&str, &str) = ("content-type", "application/octet-stream");
const ETAG: (&str, &str) = ("etag", "\"a\"");

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// The beginning of the film in a chunk, and then these bytes.
fn chunked(then: impl AsRef<[u8]>) -> Reply {
    let begin = chunk(&film().slice(0..CUT));
    raw(&format!("{OK}\r\nTransfer-Encoding: chunked"), [&begin, then.as_ref()].concat())
}

/// The head and the beginning of the film in frames.
fn framed() -> Frames {
    let length = LENGTH.to_string();
    let headers = [("content-length", length.as_str()), TYPE, ETAG];
    Frames::new().head(200, &headers).data(&film().slice(0..FRAMES_CUT))
}

/// All rows.
pub(crate) fn table() -> Vec<Fault> {
    let parts = [
        connections(),
        lengths(),
        chunks(),
        heads(),
        statuses(),
        parts(),
        changes(),
        redirects(),
        codings(),
        frames(),
    ];
    parts.into_iter().flatten().collect()
}

fn connections() -> Vec<Fault> {
    vec![
        fault("stalls in the middle, then serves", |_| film().stall_after(CUT).then(film())),
        fault("refuses connections, always", |site| {
            site.origin.stop();
            film()
        })
        .lasts(REFUSED),
        fault("refuses connections for 2 s, then serves", |_| film())
            .outage_after(0)
            .blamed_on(REFUSED),
        fault("goes away in the middle for 2 s, then serves", |_| {
            film().stall_after(CUT).then(film())
        })
        .outage_after(CUT)
        .blamed_on(REFUSED),
        fault("has a name that does not exist", |_| film())
            .at_host("nowhere.invalid")
            .lasts(NO_NAME),
        fault("sends 100 kB per second", |_| film().paced(CUT)),
        fault("closes without a response, then serves", |_| Reply::hang_up().then(film())),
        fault("closes without a response, always", |_| Reply::hang_up()).lasts(CUT_SHORT),
        fault("resets without a response, then serves", |_| {
            Reply::raw("").reset_after(0).then(film())
        }),
        fault("closes in the head, then serves", |_| {
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Le").cut_after(27).then(film())
        }),
        fault("closes after 100 Continue, then serves", |_| {
            raw("HTTP/1.1 100 Continue", "").then(film())
        }),
        fault("closes after the head, then serves", |_| film().cut_after(0).then(film())),
        fault("closes in the middle, then serves", |_| cut().then(film())),
        fault("closes one byte before the end, then serves", |_| {
            film().cut_after(LENGTH - 1).then(film())
        }),
        fault("closes after each 100 kB", |_| film().cut_after(CUT)),
        fault("resets in the middle, then serves", |_| film().reset_after(CUT).then(film())),
        fault("HTTPS: closes in the middle, then serves", |_| cut().then(film())).over(Tls),
        fault("HTTPS: closes in the middle without length or close_notify, then serves", |_| {
            raw(&format!("{OK}\r\nConnection: close"), film().slice(0..CUT)).then(film())
        })
        .over(Tls),
        fault("HTTPS: closes without a response or close_notify, always", |_| Reply::hang_up())
            .over(Tls)
            .lasts(CUT_SHORT),
        fault("HTTPS: has a certificate of an unknown authority", |_| film())
            .over(Untrusted)
            .fails(UNTRUSTED),
    ]
}

fn lengths() -> Vec<Fault> {
    vec![
        fault("sends no length and closes at the end", |_| raw(OK, film().bytes())),
        fault("HTTP/1.0: sends no length and closes at the end", |_| {
            raw("HTTP/1.0 200 OK", film().bytes())
        }),
        fault("announces 100 bytes more than it has, always", |_| {
            raw(&format!("{OK}\r\nContent-Length: {}", LENGTH + 100), film().bytes())
        })
        .lasts(TOO_SHORT),
        fault("sends 100 bytes more than it announces", |_| {
            raw(&format!("{OK}\r\nContent-Length: {}", LENGTH - 100), film().bytes())
        })
        .right([film().slice(0..LENGTH - 100)]),
        fault("announces the same length twice", |_| {
            with_lines(&format!("Content-Length: {LENGTH}"))
        }),
        fault("announces the same length twice in one line", |_| {
            raw(&format!("{OK}\r\nContent-Length: {LENGTH}, {LENGTH}"), film().bytes())
        })
        .or_fails(CONTRADICTION),
        fault("announces two lengths", |_| with_lines("Content-Length: 1000")).fails(CONTRADICTION),
        fault("announces a length that is not a number", |_| {
            raw("HTTP/1.1 200 OK\r\nContent-Length: many", film().bytes())
        })
        .or_fails(CONTRADICTION),
        fault("announces a negative length", |_| {
            raw("HTTP/1.1 200 OK\r\nContent-Length: -1", film().bytes())
        })
        .or_fails(CONTRADICTION),
        fault("announces no bytes and sends some", |_| {
            raw(&format!("{OK}\r\nContent-Length: 0"), film().bytes())
        })
        .right([""]),
        fault("has an empty file", |_| Resource::new(1, 0)).right([""]),
        fault("announces a length and sends chunks, and stays open", |_| {
            let body = [chunk(&film().bytes()), b"0\r\n\r\n".to_vec()].concat();
            let lines = format!("{OK}\r\nContent-Length: {LENGTH}\r\nTransfer-Encoding: chunked");
            Reply::raw([format!("{lines}\r\n\r\n").as_bytes(), &body].concat())
        }),
    ]
}

fn chunks() -> Vec<Fault> {
    let rest = chunk(&film().slice(CUT..LENGTH));
    let last = [&rest[..], b"0\r\n"].concat();
    vec![
        fault("closes between two chunks, then serves", |_| chunked("").then(film())),
        fault("closes in a chunk, then serves", |_| {
            let begin = film().slice(CUT..CUT + 1000);
            chunked([b"9999\r\n", &begin[..]].concat()).then(film())
        }),
        fault("closes before the last chunk, then serves", move |_| chunked(&rest).then(film())),
        fault("sends a chunk without a size in the middle, then serves", |_| {
            chunked("this is no size\r\n").then(film())
        })
        .blamed_on(BAD_CHUNK),
        fault("sends a chunk with an endless size in the middle, then serves", |_| {
            chunked("ffffffffffffffffff\r\n").then(film())
        })
        .or_fails(BAD_CHUNK),
        fault("closes in the trailers, then serves", {
            let body = [&last[..], b"X-A"].concat();
            move |_| chunked(&body).then(film())
        }),
        fault("sends a trailer without a colon, then serves", {
            let body = [&last[..], b"this is no trailer\r\n\r\n"].concat();
            move |_| chunked(&body).then(film())
        })
        .blamed_on(BAD_CHUNK),
        fault("HTTP/1.0: sends chunks", {
            let body = [&chunk(&film().bytes())[..], b"0\r\n\r\n"].concat();
            move |_| raw("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked", &body)
        })
        .or_fails(NOT_HTTP),
        fault("applies gzip as a transfer coding, although nothing was asked", |_| {
            let body = [&chunk(&gzip())[..], b"0\r\n\r\n"].concat();
            raw(&format!("{OK}\r\nTransfer-Encoding: gzip, chunked"), body)
        })
        .or_fails(NOT_CODED),
        fault("sends trailers", {
            let body = [&last[..], b"X-Checksum: 1\r\nETag: \"b\"\r\n\r\n"].concat();
            move |_| chunked(&body)
        }),
        fault("sends chunks with extensions", {
            let first = format!("{CUT:x};name=\"value\"\r\n");
            let first = [first.as_bytes(), &film().slice(0..CUT), b"\r\n"].concat();
            let body = [&first[..], &last, b"\r\n"].concat();
            move |_| raw(&format!("{OK}\r\nTransfer-Encoding: chunked"), &body)
        }),
    ]
}

fn heads() -> Vec<Fault> {
    vec![
        fault("sends a header line without a colon", |_| with_lines("this is no header"))
            .blamed_on(BAD_HEADER),
        fault("sends a header without a name", |_| with_lines(": 1")).blamed_on(BAD_HEADER),
        fault("sends a NUL in a header", |_| with_lines("X-A: a\0b")).or_fails(BAD_HEADER),
        fault("sends a header with a space before the colon", |_| with_lines("X-A : 1"))
            .blamed_on(BAD_HEADER),
        fault("folds a header line", |_| with_lines("X-A: 1\r\n  2")).blamed_on(BAD_HEADER),
        fault("ends its lines with LF alone", |_| {
            let head = format!("HTTP/1.1 200 OK\nContent-Length: {LENGTH}\n\n");
            let bytes = [head.as_bytes(), &film().bytes()].concat();
            let length = bytes.len() as u64;
            Reply::raw(bytes).cut_after(length)
        }),
        fault("sends no reason phrase", |_| {
            raw(&format!("HTTP/1.1 200\r\nContent-Length: {LENGTH}"), film().bytes())
        }),
        fault("sends a header that is not UTF-8", |_| {
            let head = b"HTTP/1.1 200 OK\r\nX-A: \xe9\xff\r\nContent-Length: 400000\r\n\r\n";
            let bytes = [head, &film().bytes()[..]].concat();
            let length = bytes.len() as u64;
            Reply::raw(bytes).cut_after(length)
        }),
        fault("sends informational responses before its own", |_| {
            let early = "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n";
            let lines = format!("{}{OK}\r\nContent-Length: {LENGTH}", early.repeat(3));
            raw(&format!("HTTP/1.1 100 Continue\r\n\r\n{lines}"), film().bytes())
        }),
        fault("sends 80 kB of headers", |_| {
            let line = format!("X-A: {}\r\n", "a".repeat(7992));
            with_lines(line.repeat(10).trim_end())
        }),
        fault("sends a header of 1 MB", |_| with_lines(&format!("X-A: {}", "a".repeat(1_000_000))))
            .or_fails(TOO_LARGE),
        fault("switches to another protocol", |_| {
            raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade", "hello")
        })
        .fails(SWITCHED),
        fault("does not speak HTTP", |_| raw("SSH-2.0-OpenSSH_9.2", "")).fails(NOT_HTTP),
    ]
}

fn statuses() -> Vec<Fault> {
    let second = Duration::from_secs(1);
    vec![
        fault("answers 503 twice, then serves", |_| Reply::status(503).times(2).then(film()))
            .blamed_on(&["503"]),
        fault("answers 500 in the middle, then serves", |_| {
            cut().then(Reply::status(500)).then(film())
        })
        .blamed_on(&["500"]),
        fault("answers 502 with a web page, then serves", |_| {
            Reply::text("text/html", "Bad Gateway").with_status(502).then(film())
        })
        .blamed_on(&["502"]),
        fault("answers 503 and stalls, then serves", |_| {
            Reply::text("text/html", "busy").with_status(503).stall_after(2).then(film())
        })
        .blamed_on(&["503"]),
        fault("answers 503, always", |_| Reply::status(503)).lasts(&["503"]),
        fault("answers 429 with Retry-After, then serves", move |_| {
            Reply::status(429).retry_after(second).then(film())
        })
        .blamed_on(&["429"]),
        fault("answers 503 with a date as Retry-After, then serves", move |_| {
            Reply::status(503).retry_after_date(SystemTime::now() + 2 * second).then(film())
        })
        .blamed_on(&["503"]),
        fault("answers 408, then serves", |_| Reply::status(408).then(film())).blamed_on(&["408"]),
        fault("answers 425, then serves", |_| Reply::status(425).then(film())).blamed_on(&["425"]),
        fault("answers 404", |_| Reply::text("text/html", "no").with_status(404)).fails(NOT_FOUND),
        fault("answers 404, then serves", |_| Reply::status(404).then(film())).or_fails(NOT_FOUND),
        fault("answers 401", |_| {
            Reply::status(401).header("WWW-Authenticate", "Basic realm=\"x\"")
        })
        .fails(UNAUTHORIZED),
        fault("answers 403 in the middle, then serves", |_| {
            cut().then(Reply::status(403)).then(film())
        })
        .blamed_on(&["403"]),
        fault("answers 204", |_| Reply::status(204)).right([""]).or_fails(&["204"]),
        fault("answers 204 with a body", |_| raw("HTTP/1.1 204 No Content", "surprise"))
            .right([""])
            .or_fails(&["204"]),
        fault("answers 205", |_| Reply::status(205)).right([""]).or_fails(&["205"]),
        fault("answers 304, although nothing was asked", |_| Reply::status(304)).fails(&["304"]),
        fault("answers 304 with a body", |_| raw("HTTP/1.1 304 Not Modified", film().bytes()))
            .fails(&["304"]),
        fault("answers 600", |_| Reply::status(600)).fails(&["600"]),
        fault("answers 416 in the middle, then serves", |_| {
            cut().then(film().refusing_range()).then(film())
        })
        .blamed_on(&["416"]),
        fault("closes after the last byte of an unknown length, then serves", |_| {
            film().chunked().cut_after(LENGTH).then(film())
        }),
    ]
}

/// Answers to requests for the rest of the film.
fn parts() -> Vec<Fault> {
    let cut_then = |reply: Reply| cut().then(reply).then(film());
    let table = vec![
        fault("ignores ranges", |_| cut().then(film().ignoring_range())),
        fault("says that it ignores ranges", |_| {
            let whole = || film().ignoring_range().header("Accept-Ranges", "none");
            whole().cut_after(CUT).then(whole())
        }),
        fault("sends another part than requested, then serves", move |_| {
            cut_then(film().shifting_range(1000))
        }),
        fault("sends an earlier part than requested, then serves", move |_| {
            cut_then(film().shifting_range(-1000))
        }),
        fault("sends at most 100 kB at a time", |_| cut().then(film().at_most_per_range(CUT))),
        fault("sends a part with another total length, then serves", move |_| {
            cut_then(film().claiming_complete_length(LENGTH + 1000))
        }),
        fault("sends a part without the total length", |_| {
            cut().then(film().hiding_complete_length())
        }),
        fault("sends a part without Content-Range, then serves", move |_| {
            cut_then(film().answering_ranges_with(film().with_status(206)))
        }),
        fault("sends more bytes than Content-Range says, then serves", move |_| {
            cut_then(film().content_range("bytes 100000-199999/400000"))
        }),
        fault("sends fewer bytes than Content-Range says, then serves", move |_| {
            let part = film().at_most_per_range(CUT / 2);
            cut_then(part.content_range("bytes 100000-399999/400000"))
        }),
        fault("sends Content-Range with another unit, then serves", move |_| {
            cut_then(film().content_range("items 100000-399999/400000"))
        }),
        fault("sends the parts as multipart/byteranges, then serves", move |_| {
            let part = "\r\n--x\r\nContent-Range: bytes 0-4/400000\r\n\r\nhello\r\n--x--\r\n";
            let parts = Reply::text("multipart/byteranges; boundary=x", part).with_status(206);
            cut_then(film().answering_ranges_with(parts))
        }),
        fault("sends a coded part, then serves", move |_| {
            cut_then(film().answering_ranges_with(film().header("Content-Encoding", "gzip")))
        }),
        fault("sends a part without its ETag, then serves", move |_| {
            cut_then(bare().ignoring_if_range())
        }),
        fault("sends a part with the ETag made weak, then serves", move |_| {
            cut_then(bare().etag("W/\"a\"").ignoring_if_range())
        }),
        fault("sends the whole as a part, although nothing was asked", |_| {
            film().with_status(206).header("Content-Range", "bytes 0-399999/400000")
        }),
        fault("sends only a part from the middle, although nothing was asked", |_| {
            let part = film().slice(CUT..LENGTH);
            let reply = Reply::text("application/octet-stream", part).with_status(206);
            reply.header("Content-Range", "bytes 100000-399999/400000")
        })
        .fails(&[]),
    ];
    table.into_iter().map(|fault| fault.blamed_on(WRONG_PART)).collect()
}

fn changes() -> Vec<Fault> {
    // Well before the response, as RFC 9110 wants it for a strong validator.
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    vec![
        fault("closes in the middle, has no validator", |_| bare().cut_after(CUT).then(bare())),
        fault("closes in the middle, has a weak ETag", |_| {
            let weak = bare().etag("W/\"a\"");
            weak.clone().cut_after(CUT).then(weak)
        }),
        fault("closes in the middle, has only Last-Modified", move |_| {
            let dated = bare().last_modified(old);
            dated.clone().cut_after(CUT).then(dated)
        }),
        fault("closes in the middle, then has another file", |_| cut().then(other()))
            .right([other().bytes()]),
        fault("has another file and ignores If-Range, then serves it", |_| {
            cut().then(other().ignoring_if_range()).then(other())
        })
        .right([other().bytes()]),
        fault("has another file, and none has a validator", |_| {
            bare().cut_after(CUT).then(Resource::new(2, LENGTH))
        })
        .right([other().bytes()]),
        fault("has another file with the same weak ETag", |_| {
            let weak = |seed| Resource::new(seed, LENGTH).etag("W/\"a\"");
            weak(1).cut_after(CUT).then(weak(2).ignoring_if_range()).then(weak(2))
        })
        .right([other().bytes()]),
        fault("has another file of the same second", |_| {
            let now = SystemTime::now();
            let dated = |seed| Resource::new(seed, LENGTH).last_modified(now);
            dated(1).cut_after(CUT).then(dated(2))
        })
        .right([other().bytes()]),
        fault(
            "has another file with another date, and ignores If-Range, then serves it",
            move |_| {
                let later = old + Duration::from_secs(1000);
                let new = Resource::new(2, LENGTH).last_modified(later);
                let first = bare().last_modified(old).cut_after(CUT);
                first.then(new.clone().ignoring_if_range()).then(new)
            },
        )
        .right([other().bytes()]),
        fault("has a shorter file", |_| cut().then(Resource::new(2, CUT / 2).etag("\"b\"")))
            .right([Resource::new(2, CUT / 2).bytes()])
            .blamed_on(&["416", "range"]),
        fault("has another ETag for the same file each time", |_| {
            let tagged = |tag: &str| bare().etag(tag);
            let first = tagged("\"1\"").cut_after(CUT).then(tagged("\"2\"").cut_after(2 * CUT));
            first.then(tagged("\"3\""))
        }),
        fault("has another file and closes in the middle, each time", |_| {
            let file = |tag: u64| Resource::new(1 + tag % 2, LENGTH).etag(format!("\"{tag}\""));
            let cut = |tag| file(tag).cut_after(CUT);
            (1..100).fold(Script::from(cut(0)), |script, tag| script.then(cut(tag)))
        })
        .lasts(CHANGES),
        fault("sends a web page of its own in the middle, then serves", |_| {
            cut().then(Reply::text("text/html", "please log in")).then(film())
        })
        .or_fails(WEB_PAGE),
    ]
}

fn redirects() -> Vec<Fault> {
    vec![
        fault("redirects ten times", |site| {
            for hop in 1..10 {
                let next = format!("/{}", hop + 1);
                site.origin.serve(format!("/{hop}"), Reply::redirect(302, next));
            }
            site.origin.serve("/10", film());
            Reply::redirect(302, "/1")
        }),
        fault("redirects and stalls in the body of the redirect", |site| {
            site.origin.serve("/1", film());
            let redirect = Reply::text("text/html", "elsewhere").with_status(302);
            redirect.header("Location", "/1").stall_after(2)
        }),
        fault("redirects to itself", |_| Reply::redirect(302, FILM)).fails(LOOP),
        fault("redirects to and fro", |site| {
            site.elsewhere.serve("/back", Reply::redirect(302, site.origin.url(FILM)));
            Reply::redirect(302, site.elsewhere.url("/back"))
        })
        .fails(LOOP),
        fault("redirects to another query each time, and closes twice", |site| {
            site.origin.serve("/signed", cut().then(film().cut_after(CUT)).then(film()));
            let signed = |number: u8| Reply::redirect(302, format!("/signed?sig={number}"));
            (1..9).fold(Script::from(signed(0)), |script, number| script.then(signed(number)))
        }),
        fault("redirects to another host with another file of the same ETag", |site| {
            site.elsewhere.serve(FILM, Resource::new(2, LENGTH).etag("\"a\""));
            cut().then(Reply::redirect(302, site.elsewhere.url(FILM)))
        })
        .right([other().bytes()]),
        fault("redirects to another path with another file of the same ETag", |site| {
            site.origin.serve("/other", Resource::new(2, LENGTH).etag("\"a\""));
            cut().then(Reply::redirect(302, "/other"))
        })
        .right([other().bytes()]),
        fault("redirects to a web page of another host in the middle, then serves", |site| {
            site.elsewhere.serve("/login", Reply::text("text/html", "please log in"));
            cut().then(Reply::redirect(302, site.elsewhere.url("/login"))).then(film())
        })
        .or_fails(WEB_PAGE),
        fault("redirects to an address that is not UTF-8", |site| {
            site.origin.serve("/f%E9lm.bin", film());
            site.origin.serve("/f%e9lm.bin", film());
            let bytes =
                b"HTTP/1.1 302 Found\r\nLocation: /f\xe9lm.bin\r\nContent-Length: 0\r\n\r\n";
            let length = bytes.len() as u64;
            Reply::raw(&bytes[..]).cut_after(length)
        }),
        fault("redirects without Location", |_| Reply::status(302)).fails(&["302", "Location"]),
        fault("redirects to something that is no URL", |_| Reply::redirect(302, "http://[x/"))
            .fails(BAD_LOCATION),
        fault("redirects to a local file", |_| Reply::redirect(302, "file:///etc/hostname"))
            .fails(BAD_LOCATION),
        fault("redirects to a server that refuses connections", |site| {
            site.elsewhere.stop();
            Reply::redirect(302, site.elsewhere.url(FILM))
        })
        .lasts(REFUSED),
    ]
}

fn codings() -> Vec<Fault> {
    let coded = || {
        let reply = Reply::text("application/octet-stream", gzip());
        reply.header("Content-Encoding", "gzip").header("ETag", "\"z\"")
    };
    // A client may decode what it did not ask for, or save it as it came.
    let both = || [film().bytes(), gzip()];
    vec![
        fault("applies gzip, although nothing was asked", move |_| coded())
            .right(both())
            .blamed_on(WRONG_PART),
        fault("applies gzip and closes in the middle, then serves", move |_| {
            coded().cut_after(CUT).then(coded())
        })
        .right(both())
        .blamed_on(WRONG_PART),
        fault("applies gzip and closes in the middle, then serves without", move |_| {
            coded().cut_after(CUT).then(film())
        })
        .right(both())
        .blamed_on(WRONG_PART),
        fault("applies gzip and ends the data too early, then serves", move |_| {
            let part = &gzip()[..CUT as usize];
            let lines = format!("{OK}\r\nContent-Encoding: gzip\r\nContent-Length: {CUT}");
            raw(&lines, part).then(coded())
        })
        .right([film().bytes(), gzip(), gzip()[..CUT as usize].to_vec()]),
        fault("says that an archive has the coding gzip", move |_| coded())
            .at("/film.tar.gz")
            .right([gzip()]),
        fault("says that an archive has the coding gzip, and closes, then serves", move |_| {
            coded().cut_after(CUT).then(coded())
        })
        .at("/film.tar.gz")
        .right([gzip()])
        .blamed_on(WRONG_PART),
        fault("says gzip and applies none", |_| film().header("Content-Encoding", "gzip"))
            .or_fails(NOT_CODED),
        fault("applies identity and closes in the middle, then serves", |_| {
            let reply = || film().header("Content-Encoding", "identity");
            reply().cut_after(CUT).then(reply())
        }),
        fault("applies an unknown coding", |_| film().header("Content-Encoding", "x-own")),
    ]
}

/// Faults of HTTP/2.
fn frames() -> Vec<Fault> {
    let then_serves =
        |name, frames: fn() -> Frames| fault(name, move |_| Reply::frames(frames()).then(film()));
    let table = vec![
        then_serves("HTTP/2: NO_ERROR in the middle, then serves", || framed().reset(0)),
        then_serves("HTTP/2: NO_ERROR in the middle of an unknown length, then serves", || {
            let head = Frames::new().head(200, &[TYPE, ETAG]);
            head.data(&film().slice(0..FRAMES_CUT)).reset(0)
        }),
        then_serves("HTTP/2: INTERNAL_ERROR in the middle, then serves", || framed().reset(2)),
        then_serves("HTTP/2: CANCEL in the middle, then serves", || framed().reset(8)),
        then_serves("HTTP/2: REFUSED_STREAM, then serves", || Frames::new().reset(7)),
        then_serves("HTTP/2: CANCEL without a response, then serves", || Frames::new().reset(8)),
        then_serves("HTTP/2: ends the stream too early, then serves", || framed().end()),
        then_serves("HTTP/2: sends more than it announces, then serves", || {
            let head = Frames::new().head(200, &[("content-length", "1000"), TYPE, ETAG]);
            head.data(&film().slice(0..2000)).end()
        }),
        then_serves("HTTP/2: GOAWAY without a response, then serves", || Frames::new().go_away(0)),
        then_serves("HTTP/2: GOAWAY in the middle, then serves", || framed().go_away(0)),
        then_serves("HTTP/2: ENHANCE_YOUR_CALM, then serves", || Frames::new().go_away(11)),
        then_serves("HTTP/2: HTTP_1_1_REQUIRED, then serves", || Frames::new().reset(13)),
        fault("HTTP/2: 421, then serves", |_| Reply::status(421).then(film())),
        fault("HTTP/2: stalls in the middle, then serves", |_| {
            film().stall_after(CUT).then(film())
        }),
        fault("HTTP/2: closes in the middle, then serves", |_| cut().then(film())),
        fault("HTTP/2: CANCEL, always", |_| Reply::frames(Frames::new().reset(8))).lasts(&[
            "too early",
            "closed",
            "reset",
            "CANCEL",
        ]),
    ];
    table.into_iter().map(|fault| fault.over(Http2)).collect()
}
