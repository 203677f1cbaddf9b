//! Each scripted fault, as seen on the wire by a raw client.

use std::io::{Read, Write};
use std::time::{Duration, SystemTime};

use crate::raw::{get, read_to_end, send};
use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use bgfetch_testkit::{Coding, Ending, GIB, Gate, MIB, Origin, Reply, Resource, Script, Serve};
use tokio::io::{AsyncRead, AsyncReadExt};

fn serving(script: impl Into<Script>) -> Origin {
    let origin = Origin::start();
    origin.serve("/a.bin", script);
    origin
}

#[test]
fn a_plain_resource_comes_whole_with_its_validators() {
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let resource = Resource::new(1, MIB).etag("\"v1\"").last_modified(modified);
    let origin = serving(resource.clone());

    let answer = get(origin.address(), "/a.bin?q=1", &[]);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("content-length"), Some("1048576"));
    assert_eq!(answer.header("accept-ranges"), Some("bytes"));
    assert_eq!(answer.header("etag"), Some("\"v1\""));
    assert_eq!(answer.header("last-modified"), Some("Tue, 14 Nov 2023 22:13:20 GMT"));
    assert_eq!(answer.body, resource.bytes());

    let log = origin.requests();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].path, "/a.bin?q=1");
    assert_eq!(log[0].header("host"), Some("origin.test"));
    assert_eq!((log[0].sent, log[0].ended), (MIB, Some(Ending::Complete)));
    assert_eq!(origin.requests_to("/a.bin").len(), 1);
    assert_eq!(get(origin.address(), "/other", &[]).status(), 404);
}

#[test]
fn a_range_near_the_end_of_four_gibibytes_is_right() {
    let resource = Resource::new(2, 4 * GIB + 10).etag("\"v1\"");
    let origin = serving(resource.clone());
    let answer = get(origin.address(), "/a.bin", &["Range: bytes=4294967290-", "If-Range: \"v1\""]);
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.header("content-range"), Some("bytes 4294967290-4294967305/4294967306"));
    assert_eq!(answer.header("content-length"), Some("16"));
    assert_eq!(answer.body, resource.slice(4 * GIB - 6..4 * GIB + 10));
    assert_eq!(origin.requests()[0].range_start(), Some(4_294_967_290));
}

#[test]
fn range_faults_reach_the_wire() {
    let resource = Resource::new(3, 100).etag("\"v1\"");
    let origin = serving(
        resource
            .clone()
            .shifting_range(-1)
            .then(resource.clone().at_most_per_range(5))
            .then(resource.clone().ignoring_range())
            .then(resource.clone().hiding_complete_length())
            .then(resource.clone().answering_ranges_with(Reply::status(403)))
            .then(Resource::new(4, 100).etag("\"v2\"")),
    );
    let ask = || get(origin.address(), "/a.bin", &["Range: bytes=50-", "If-Range: \"v1\""]);

    let shifted = ask();
    assert_eq!(shifted.header("content-range"), Some("bytes 49-99/100"));
    resource.verify(49, &shifted.body).unwrap();
    assert_eq!(ask().body, resource.slice(50..55));
    let ignored = ask();
    assert_eq!((ignored.status(), ignored.body.len()), (200, 100));
    assert_eq!(ignored.header("accept-ranges"), None);
    assert_eq!(ask().header("content-range"), Some("bytes 50-99/*"));
    assert_eq!(ask().status(), 403);
    let changed = ask();
    assert_eq!((changed.status(), changed.header("etag")), (200, Some("\"v2\"")));
    assert_eq!(changed.body, Resource::new(4, 100).bytes());
    let beyond = get(origin.address(), "/a.bin", &["Range: bytes=100-"]);
    assert_eq!((beyond.status(), beyond.header("content-range")), (416, Some("bytes */100")));
}

#[test]
fn a_cut_ends_in_order_after_exactly_that_many_bytes() {
    let resource = Resource::new(5, MIB);
    for cut in [0, 1, 65_536, 300_000, MIB - 1] {
        let origin = serving(resource.clone().cut_after(cut));
        let answer = get(origin.address(), "/a.bin", &[]);
        assert_eq!(answer.header("content-length"), Some("1048576"), "{cut}");
        assert_eq!(answer.body.len() as u64, cut);
        resource.verify(0, &answer.body).unwrap();
        assert!(!answer.reset, "{cut}");
        let log = origin.requests();
        assert_eq!((log[0].sent, log[0].ended), (cut, Some(Ending::Cut)));
    }
}

#[test]
fn a_reset_is_a_reset() {
    let resource = Resource::new(6, MIB);
    let origin = serving(resource.clone().reset_after(10_000));
    let answer = get(origin.address(), "/a.bin", &[]);
    assert!(answer.reset);
    assert!(answer.body.len() <= 10_000);
    resource.verify(0, &answer.body).unwrap();
}

#[test]
fn a_hang_up_sends_nothing() {
    let origin = serving(Reply::hang_up());
    let answer = get(origin.address(), "/a.bin", &[]);
    assert!(answer.body.is_empty() && !answer.reset);
    assert_eq!(origin.requests()[0].status, None);

    // Unread bytes of a request would turn the FIN into a reset.
    let length = format!("Content-Length: {}", 3 * MIB);
    let mut upload = send(origin.address(), "POST /a.bin", &[&length]);
    upload.write_all(&Resource::new(1, 2 * MIB).bytes()).unwrap();
    assert!(!read_to_end(upload).reset);
    origin.blocking_wait_for_connections(0);
    let log = origin.requests();
    assert_eq!((log[1].body.length, log[1].body.complete), (2 * MIB, false));
    assert_eq!((log[1].status, log[1].ended), (None, Some(Ending::Cut)));
}

#[test]
fn raw_bytes_are_all_that_is_sent() {
    let bytes = Resource::new(1, 2 * MIB).bytes();
    let length = bytes.len() as u64;
    let origin = serving(
        Reply::raw(bytes.clone())
            .cut_after(length)
            .then(Reply::raw(bytes.clone()).cut_after(1000))
            .then(Reply::raw(bytes.clone()).reset_after(0)),
    );
    for expected in [&bytes[..], &bytes[..1000]] {
        let mut socket = send(origin.address(), "GET /a.bin", &[]);
        let mut received = Vec::new();
        socket.read_to_end(&mut received).unwrap();
        assert!(received == expected);
    }
    assert!(read_to_end(send(origin.address(), "GET /a.bin", &[])).reset);
    assert_eq!(origin.bytes_written(), length + 1000);
    let log = origin.requests();
    assert_eq!((log[0].sent, log[0].ended), (length, Some(Ending::Cut)));
}

#[test]
fn a_connection_stays_open_after_raw_bytes() {
    let origin = serving(Reply::raw("hello"));
    let mut socket = send(origin.address(), "GET /a.bin", &[]);
    let mut received = [0; 5];
    socket.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"hello");
    assert_eq!(origin.open_connections(), 1);
}

#[test]
fn chunked_has_no_length_and_can_be_truncated() {
    let resource = Resource::new(7, 1000);
    let origin = serving(resource.clone().chunked().then(resource.clone().chunked().cut_after(10)));
    let whole = get(origin.address(), "/a.bin", &[]);
    assert_eq!(whole.header("content-length"), None);
    assert_eq!(whole.header("transfer-encoding"), Some("chunked"));
    assert!(whole.body.ends_with(b"\r\n0\r\n\r\n"));
    let truncated = get(origin.address(), "/a.bin", &[]);
    assert_eq!(truncated.body, [b"A\r\n", resource.slice(0..10).as_slice(), b"\r\n"].concat());
}

#[test]
fn a_gate_holds_a_body_at_its_byte() {
    let resource = Resource::new(8, 200_000);
    let (first, second) = (Gate::new(), Gate::new());
    let origin = serving(resource.clone().hold_at(150_000, &second).hold_at(70_000, &first));
    let mut socket = send(origin.address(), "GET /a.bin", &[]);

    first.blocking_reached();
    assert_eq!(origin.requests()[0].sent, 70_000);
    first.open();
    second.blocking_reached();
    assert_eq!(origin.requests()[0].sent, 150_000);

    // The bytes that were sent are on the wire, although no more follow.
    let mut received = Vec::new();
    while received.len() < 150_000 {
        let mut piece = vec![0; 150_000];
        let read = socket.read(&mut piece).unwrap();
        assert!(read > 0);
        received.extend_from_slice(&piece[..read]);
    }
    second.open();
    let rest = read_to_end(socket);
    let all = [received, rest.body].concat();
    let head = all.len() - 200_000;
    resource.verify(0, &all[head..]).unwrap();
}

#[test]
fn a_stall_shows_in_the_log_as_abandoned_once_the_client_is_gone() {
    let origin = serving(Resource::new(9, MIB).stall_after(1000));
    let socket = send(origin.address(), "GET /a.bin", &[]);
    origin.blocking_wait_until(|log| log.iter().any(|request| request.sent == 1000));
    assert_eq!(origin.requests()[0].ended, None);
    drop(socket);
    let log = origin.blocking_wait_until(|log| log[0].ended.is_some());
    assert_eq!((log[0].sent, log[0].ended), (1000, Some(Ending::Abandoned)));
    origin.blocking_wait_for_connections(0);
}

#[test]
fn a_paced_body_arrives_in_small_pieces() {
    let resource = Resource::new(10, 3000);
    let origin = serving(resource.clone().paced(20).then(resource.clone().paced(100_000)));
    let mut socket = send(origin.address(), "GET /a.bin", &[]);
    assert!(socket.read(&mut [0; 1000]).unwrap() > 0);
    origin.blocking_wait_until(|log| log[0].sent > 0);
    assert!(origin.requests()[0].sent < 3000, "the whole would have taken minutes");
    drop(socket);
    assert_eq!(get(origin.address(), "/a.bin", &[]).body, resource.bytes());
}

#[test]
fn a_head_is_held_too() {
    let gate = Gate::new();
    let origin = serving(Reply::status(204).hold_head(&gate));
    let socket = send(origin.address(), "GET /a.bin", &[]);
    gate.blocking_reached();
    assert_eq!(origin.requests()[0].status, None);
    gate.open();
    assert_eq!(read_to_end(socket).status(), 204);
}

#[test]
fn statuses_redirects_and_headers_are_as_scripted() {
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let origin = serving(
        Reply::status(503)
            .retry_after(Duration::from_secs(120))
            .then(Reply::status(429).retry_after_date(date))
            .then(Resource::new(1, 5).with_status(500))
            .then(
                Reply::redirect(302, "/b.bin")
                    .header("Date", "x")
                    .header("X", "1")
                    .header("X", "2"),
            ),
    );
    let ask = || get(origin.address(), "/a.bin", &["Range: bytes=1-"]);
    let busy = ask();
    assert_eq!((busy.status(), busy.header("retry-after")), (503, Some("120")));
    assert_eq!(ask().header("retry-after"), Some("Tue, 14 Nov 2023 22:13:20 GMT"));
    let broken = ask();
    assert_eq!((broken.status(), broken.body.len()), (500, 5));
    let redirect = ask();
    assert_eq!((redirect.status(), redirect.header("location")), (302, Some("/b.bin")));
    assert_eq!((redirect.header("date"), redirect.header("x")), (Some("x"), Some("1")));
    assert_eq!(redirect.header("content-length"), Some("0"));
}

#[test]
fn a_method_may_have_a_script_of_its_own() {
    let origin = serving(Resource::new(1, 5));
    origin.serve("OPTIONS /a.bin", Reply::status(204));
    assert_eq!(read_to_end(send(origin.address(), "OPTIONS /a.bin", &[])).status(), 204);
    assert_eq!(get(origin.address(), "/a.bin", &[]).status(), 200);
    let head = read_to_end(send(origin.address(), "HEAD /a.bin", &[]));
    assert_eq!((head.header("content-length"), head.body.len()), (Some("5"), 0));
}

#[tokio::test]
async fn codings_are_applied_where_accepted() {
    let resource = Resource::new(10, 300_000);
    for (coding, name) in [(Coding::Gzip, "gzip"), (Coding::Brotli, "br"), (Coding::Zstd, "zstd")] {
        let origin = serving(resource.clone().coded(coding));
        let accept = format!("Accept-Encoding: identity;q=0, {name}");
        let coded = get(origin.address(), "/a.bin", &[&accept, "Range: bytes=5-"]);
        assert_eq!(coded.status(), 200);
        assert_eq!(coded.header("content-encoding"), Some(name));
        assert_eq!(coded.header("content-length"), None);
        let body = unchunk(&coded.body);
        let mut decoder: Box<dyn AsyncRead + Unpin> = match coding {
            Coding::Gzip => Box::new(GzipDecoder::new(body.as_slice())),
            Coding::Brotli => Box::new(BrotliDecoder::new(body.as_slice())),
            Coding::Zstd => Box::new(ZstdDecoder::new(body.as_slice())),
        };
        let mut decoded = Vec::new();
        decoder.read_to_end(&mut decoded).await.unwrap();
        assert_eq!(decoded, resource.bytes());
        assert_eq!(origin.requests()[0].ended, Some(Ending::Complete));

        let identity = ["Accept-Encoding: identity", "Range: bytes=299999-"];
        let plain = get(origin.address(), "/a.bin", &identity);
        assert_eq!((plain.status(), plain.body), (206, resource.slice(299_999..300_000)));
    }
}

#[test]
fn request_bodies_are_recorded() {
    let origin = serving(Reply::status(201));
    let body = Resource::new(11, 2 * MIB);
    for length in [5, 2 * MIB] {
        let mut socket =
            send(origin.address(), "POST /a.bin", &[&format!("Content-Length: {length}")]);
        socket.write_all(&body.slice(0..length)).unwrap();
        assert_eq!(read_to_end(socket).status(), 201);
    }
    let log = origin.requests();
    assert_eq!(log[0].body.bytes(), Some(body.slice(0..5).as_slice()));
    assert!(log[0].body.is(&Resource::new(11, 5)));
    assert_eq!(log[1].body.bytes(), None);
    assert!(log[1].body.is(&body));
    assert!(!log[1].body.is(&Resource::new(12, 2 * MIB)));
}

#[test]
fn an_early_answer_does_not_wait_for_the_body() {
    let origin = serving(Reply::status(200).answering_early());
    let mut socket = send(origin.address(), "POST /a.bin", &["Content-Length: 5"]);
    let mut start = [0; 12];
    socket.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    assert_eq!(origin.requests()[0].body.length, 0);
    socket.write_all(b"hello").unwrap();
    let log = origin.blocking_wait_until(|log| log[0].body.complete);
    assert_eq!(log[0].body.bytes(), Some(b"hello".as_slice()));
}

#[test]
fn uploads_are_held_and_reset() {
    let gate = Gate::new();
    let origin = serving(
        Reply::status(200).hold_upload_at(3, &gate).then(Reply::status(200).reset_upload_after(3)),
    );
    let upload = || {
        let mut socket = send(origin.address(), "PUT /a.bin", &["Content-Length: 6"]);
        socket.write_all(b"abc").unwrap();
        socket
    };
    let mut held = upload();
    gate.blocking_reached();
    held.write_all(b"def").unwrap();
    assert_eq!(origin.requests()[0].body.length, 3);
    gate.open();
    assert_eq!(read_to_end(held).status(), 200);

    assert!(read_to_end(upload()).reset);
    let log = origin.requests();
    assert_eq!((log[1].body.length, log[1].ended), (3, Some(Ending::Cut)));
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let line = body.windows(2).position(|end| end == b"\r\n").unwrap();
        let size = std::str::from_utf8(&body[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&body[line + 2..line + 2 + size]);
        body = &body[line + size + 4..];
    }
}
