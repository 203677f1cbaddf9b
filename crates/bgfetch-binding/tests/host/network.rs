use bgfetch_binding::bgfetch::{FaultKind, RecordResult};
use bgfetch_binding::network::{self, ResponseStart};
use bgfetch_binding::{
    Code, Completion, Handle, MessageHead, Value, fetch, record, registration, stream,
};

use crate::world::Host;

fn start(status: u16) -> ResponseStart {
    let mut start = ResponseStart::default();
    start.status = status;
    start
}

fn message(host: &mut Host) -> (Handle, MessageHead) {
    host.wait(|completion| match completion {
        Completion::FetchStart { token, message, .. } => Ok((token, message)),
        other => Err(other),
    })
}

fn credit(host: &mut Host, of: Handle) -> u64 {
    host.wait(|completion| match completion {
        Completion::Credit { token, bytes } if token == of => Ok(bytes),
        other => Err(other),
    })
}

fn host() -> Host {
    Host::with(r#""network": "host", "retryDelay": 1, "headers": [["X-Token", "1"]]"#)
}

#[test]
fn a_host_s_network_sends_messages_and_gives_bytes_against_credit() {
    let mut host = host();
    let fetch = host.download("x", "https://far.test/film#part");
    let (token, message) = message(&mut host);
    assert_eq!((&*message.method, &*message.url), ("GET", "https://far.test/film#part"));
    assert!(message.headers.contains(&("x-token".into(), "1".into())), "{message:?}");
    assert_eq!(network::bytes(token, vec![0; 1]).unwrap_err().code(), Code::NoCredit);
    assert_eq!(network::end(token).unwrap_err().code(), Code::WrongState);
    assert_eq!(network::head(token, start(99)).unwrap_err().code(), Code::InvalidArgument);
    network::head(token, start(200)).unwrap();
    assert_eq!(network::head(token, start(200)).unwrap_err().code(), Code::WrongState);
    let bytes = credit(&mut host, token);
    assert_eq!(network::credit(token).unwrap() as u64, bytes);
    let too_many = vec![0; usize::try_from(bytes).unwrap() + 1];
    assert_eq!(network::bytes(token, too_many).unwrap_err().code(), Code::NoCredit);
    let mut sent = 0;
    while sent < 1_000_000 {
        while network::credit(token).unwrap() < 100_000 {
            credit(&mut host, token);
        }
        network::bytes(token, vec![7; 100_000]).unwrap();
        sent += 100_000;
    }
    network::end(token).unwrap();
    assert_eq!(network::end(token).unwrap_err().code(), Code::InvalidHandle);
    let body = host.body(fetch);
    assert_eq!(host.read(body).unwrap(), vec![7; 1_000_000]);
}

#[test]
fn a_fault_in_the_middle_is_retried_from_there_and_one_that_lasts_fails_the_record() {
    let mut host = host();
    let fetch = host.download("x", "https://far.test/");
    let (first, _) = message(&mut host);
    let mut head = start(200);
    head.headers = vec![("etag".into(), "\"1\"".into()), ("content-length".into(), "10".into())];
    network::head(first, head).unwrap();
    credit(&mut host, first);
    network::bytes(first, &b"01234"[..]).unwrap();
    network::fault(first, FaultKind::Interrupted, true, "the line went dead").unwrap();
    let (second, message) = message(&mut host);
    assert!(message.headers.contains(&("range".into(), "bytes=5-".into())), "{message:?}");
    network::fault(second, FaultKind::Tls, false, "the certificate is not trusted").unwrap();
    let record = host.records(fetch)[0];
    let error = host.call(|token| record::response_ready(record, token));
    match error {
        Ok(Value::Response { body, .. }) => {
            assert_eq!(host.read(body).unwrap_err().code(), Code::RecordFailed);
        }
        other => assert_eq!(other.unwrap_err().code(), Code::RecordFailed),
    }
    assert!(matches!(record::info(record).unwrap().result, Some(RecordResult::Failure(_))));
}

#[test]
fn what_is_no_longer_wanted_is_cancelled() {
    let mut host = host();
    let fetch = host.download("x", "https://far.test/");
    let (token, _) = message(&mut host);
    network::head(token, start(200)).unwrap();
    let body = host.body(fetch);
    host.call(|token| fetch::abort(fetch, token)).unwrap();
    host.wait(|completion| match completion {
        Completion::FetchCancel { token: cancelled } if cancelled == token => Ok(()),
        other => Err(other),
    });
    assert_eq!(network::bytes(token, &b"x"[..]).unwrap_err().code(), Code::InvalidHandle);
    assert_eq!(host.read(body).unwrap_err().code(), Code::Aborted);
}

#[test]
fn the_body_of_a_request_goes_to_the_host_s_network() {
    let mut host = host();
    let registration = host.registration;
    let call = r#"{ "id": "x", "requests": [
        { "url": "https://far.test/", "method": "POST", "body": "photo" }
    ] }"#;
    host.handle(|token| registration::fetch(registration, token, call));
    let (token, message) = message(&mut host);
    assert_eq!((&*message.method, message.body_length), ("POST", Some(5)));
    let upload = network::body(token).unwrap().unwrap();
    let mut sent = Vec::new();
    loop {
        match host.call(|token| stream::read(upload, token)).unwrap() {
            Value::Bytes(bytes) if bytes.is_empty() => break,
            Value::Bytes(bytes) => sent.extend(bytes),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sent, b"photo");
    stream::free(upload).unwrap();
    network::head(token, start(200)).unwrap();
    network::end(token).unwrap();
}

#[test]
fn what_the_host_knows_of_a_response_counts() {
    let mut host = host();
    let fetch = host.download("x", "https://far.test/");
    let (token, _) = message(&mut host);
    let mut head = start(200);
    head.status_text = "Fine".into();
    head.headers = vec![("content-encoding".into(), "gzip".into())];
    head.decoded = true;
    network::head(token, head).unwrap();
    credit(&mut host, token);
    network::bytes(token, &b"plain"[..]).unwrap();
    network::end(token).unwrap();
    let record = host.records(fetch)[0];
    let answer = host.call(|token| record::response_ready(record, token)).unwrap();
    let Value::Response { head, body } = answer else { panic!("{answer:?}") };
    assert_eq!(head.status_text, "Fine");
    // A file that keeps its coding has no such header.
    assert_eq!(head.headers.get("content-encoding").as_deref(), Some("gzip"));
    assert_eq!(host.read(body).unwrap(), b"plain");
}

#[test]
fn more_messages_go_to_a_host_whose_connections_carry_several() {
    let mut host = host();
    let urls: Vec<_> = (0..8).map(|n| format!("\"https://far.test/{n}\"")).collect();
    host.fetch(&format!(r#"{{ "id": "x", "requests": [{}] }}"#, urls.join(",")));
    let (first, _) = message(&mut host);
    let mut head = start(200);
    head.multiplexed = true;
    network::head(first, head).unwrap();
    let others: Vec<_> = (1..8).map(|_| message(&mut host).0).collect();
    // None of them was given up for another.
    assert!(network::credit(first).is_ok());
    assert!(others.into_iter().all(|it| network::credit(it).is_ok()));
}

#[test]
fn an_upload_is_sent_again_only_if_it_was_not_sent() {
    let mut host = host();
    let call = r#"{ "id": "x", "requests": [
        { "url": "https://far.test/", "method": "POST", "body": "photo" }
    ] }"#;
    let fetch = host.fetch(call);
    let (first, _) = message(&mut host);
    network::fault(first, FaultKind::Interrupted, false, "the connection was closed").unwrap();
    let (second, _) = message(&mut host);
    network::fault(second, FaultKind::Interrupted, true, "the connection was lost").unwrap();
    let record = host.records(fetch)[0];
    let failed = host.call(|token| record::response_ready(record, token));
    assert_eq!(failed.map(drop).unwrap_err().code(), Code::RecordFailed);
}

#[test]
fn a_page_has_no_response_from_an_address_that_is_not_known_to_be_public() {
    let mut host = Host::with(r#""network": "host", "retryDelay": 1"#);
    host.registration = host.register("https://app.example/");
    for (id, address, code) in [
        ("public", Some([203, 0, 113, 1].into()), None),
        ("local", Some([127, 0, 0, 1].into()), Some(Code::RecordFailed)),
        ("unknown", None, Some(Code::RecordFailed)),
    ] {
        let fetch = host.download(id, "https://far.test/file");
        let (token, _) = message(&mut host);
        let mut head = start(200);
        head.headers = vec![("access-control-allow-origin".into(), "*".into())];
        head.address = address;
        network::head(token, head).unwrap();
        let record = host.records(fetch)[0];
        let answer = host.call(|token| record::response_ready(record, token));
        assert_eq!(answer.map(drop).err().map(|error| error.code()), code, "{id}");
    }
}
