use bgfetch_binding::{Code, Completion, Value, fetch, registration, source};
use bgfetch_testkit::{Origin, Resource};

use crate::world::Host;

#[test]
fn a_body_from_the_host_is_read_as_the_engine_takes_it() {
    let origin = Origin::start();
    origin.serve("POST /up", Resource::new(1, 10));
    let mut host = Host::with("");
    let upload = source::new(host.queue).unwrap();
    assert_eq!(source::write(upload, &b"early"[..]).unwrap_err().code(), Code::NoCredit);
    let call = format!(
        r#"{{ "id": "x", "requests": [{{ "url": "{}", "method": "POST", "body": {} }}] }}"#,
        origin.url("/up"),
        upload.raw()
    );
    let registration = host.registration;
    let token = host.begin(|token| registration::fetch(registration, token, &call)).unwrap();
    for _ in 0..8 {
        while source::credit(upload).unwrap() < 100_000 {
            host.wait(|completion| match completion {
                Completion::Credit { .. } => Ok(()),
                other => Err(other),
            });
        }
        source::write(upload, vec![b'x'; 100_000]).unwrap();
    }
    source::end(upload, None).unwrap();
    assert_eq!(source::write(upload, &b"x"[..]).unwrap_err().code(), Code::WrongState);
    let Value::Fetch { handle, .. } = host.answer(token).unwrap() else { panic!() };
    assert_eq!(fetch::attributes(handle).unwrap().upload_total, 800_000);
    let again = registration::fetch(registration, 1, &call).unwrap_err();
    assert_eq!(again.code(), Code::WrongState);
    source::free(upload).unwrap();
    let requests = origin.blocking_wait_for_requests(1);
    assert_eq!(requests[0].path, "/up");
}

#[test]
fn a_body_that_is_given_up_fails_the_call() {
    let mut host = Host::with("");
    for freed in [false, true] {
        let upload = source::new(host.queue).unwrap();
        let call = format!(
            r#"{{ "id": "x", "requests": [{{ "url": "https://a.test/", "method": "POST", "body": {} }}] }}"#,
            upload.raw()
        );
        let registration = host.registration;
        let token = host.begin(|token| registration::fetch(registration, token, &call)).unwrap();
        if freed {
            source::free(upload).unwrap();
        } else {
            source::end(upload, Some("the camera is gone")).unwrap();
        }
        assert_eq!(host.answer(token).map(drop).unwrap_err().code(), Code::BodyUnreadable);
    }
}

#[test]
fn a_held_fetch_begins_when_it_is_started() {
    let origin = Origin::start();
    origin.serve("/x", Resource::new(1, 10));
    let mut host = Host::with("");
    let url = origin.url("/x");
    let fetch = host.fetch(&format!(r#"{{ "id": "x", "requests": ["{url}"], "held": true }}"#));
    let registration = host.registration;
    assert!(matches!(
        host.call(|token| registration::get_ids(registration, token)).unwrap(),
        Value::Ids(ids) if ids == ["x"]
    ));
    assert!(origin.requests().is_empty());
    fetch::start(fetch).unwrap();
    origin.blocking_wait_for_requests(1);
}

#[test]
fn calls_are_refused_with_the_numbers_of_their_reasons() {
    let mut host = Host::with("");
    let registration = host.registration;
    for (call, code) in [
        (r#"{ "id": "", "requests": ["https://a.test/"] }"#, Code::EmptyId),
        (r#"{ "id": "x", "requests": [] }"#, Code::NoRequests),
        (r#"{ "id": "x", "requests": ["http://a.test:25/"] }"#, Code::BlockedPort),
        (r#"{ "id": "x", "requests": ["https://u:p@a.test/"] }"#, Code::CredentialsInUrl),
        (
            r#"{ "id": "x", "requests": ["https://a.test/"], "seesActiveWorker": false }"#,
            Code::NoActiveWorker,
        ),
    ] {
        let error = host.call(|token| registration::fetch(registration, token, call)).unwrap_err();
        assert_eq!((error.code(), error.exception()), (code, Some("TypeError")), "{call}");
    }
    for (call, code) in [
        ("", Code::InvalidArgument),
        (r#"{ "id": "x" }"#, Code::InvalidArgument),
        (r#"{ "id": "x", "requests": ["https://a.test/"], "titel": "" }"#, Code::InvalidArgument),
        (r#"{ "id": "x", "requests": ["nowhere"] }"#, Code::InvalidUrl),
    ] {
        assert_eq!(registration::fetch(registration, 1, call).unwrap_err().code(), code, "{call}");
    }
    let trace = r#"{ "url": "https://a.test/", "method": "TRACE" }"#;
    assert_eq!(registration::check_request(trace).unwrap_err().code(), Code::ForbiddenMethod);
    registration::check_request(r#""https://a.test/""#).unwrap();
}
