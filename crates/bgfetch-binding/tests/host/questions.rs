use bgfetch_binding::bgfetch::Permission;
use bgfetch_binding::{Code, Completion, Handle, fetch, question, registration, ui};
use bgfetch_testkit::{Origin, Resource, Serve};

use crate::world::Host;

fn begin(host: &mut Host, call: &str) -> u64 {
    let registration = host.registration;
    host.begin(|token| registration::fetch(registration, token, call)).unwrap()
}

#[test]
fn a_page_s_fetch_waits_for_the_user_who_answers_once() {
    let mut host = Host::with(r#""permission": "ask""#);
    let asked = |host: &mut Host| {
        host.wait(|completion| match completion {
            Completion::Permission { token, request, .. } => Ok((token, request)),
            other => Err(other),
        })
    };
    let call = r#"{ "id": "a", "requests": ["https://a.test/"], "title": "A film" }"#;
    let refused = begin(&mut host, call);
    let (token, request) = asked(&mut host);
    assert_eq!((&*request.id, &*request.title), ("a", "A film"));
    assert_eq!(question::quota(token, 1).unwrap_err().code(), Code::InvalidArgument);
    question::permission(token, Permission::Denied).unwrap();
    let again = question::permission(token, Permission::Granted).unwrap_err();
    assert_eq!(again.code(), Code::InvalidHandle);
    let error = host.answer(refused).map(drop).unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    assert_eq!(error.exception(), Some("NotAllowedError"));

    let paused = begin(&mut host, call);
    let (token, _) = asked(&mut host);
    question::permission(token, Permission::StartPaused).unwrap();
    let bgfetch_binding::Value::Fetch { key, .. } = host.answer(paused).unwrap() else { panic!() };
    let engine = host.engine;
    host.call(|token| ui::resume(engine, token, key)).unwrap();
}

#[test]
fn the_quota_is_the_host_s_and_a_number_needs_no_question() {
    let call = r#"{ "id": "a", "requests": ["https://a.test/"], "downloadTotal": 1000000 }"#;
    let mut host = Host::with(r#""quota": "ask""#);
    let token = begin(&mut host, call);
    let (question, storage_key) = host.wait(|completion| match completion {
        Completion::Quota { token, storage_key, .. } => Ok((token, storage_key)),
        other => Err(other),
    });
    assert_eq!(storage_key.0, "https://app.test/");
    question::quota(question, 1000).unwrap();
    assert_eq!(host.answer(token).map(drop).unwrap_err().code(), Code::QuotaExceeded);

    let mut host = Host::with(r#""quota": 1000"#);
    let token = begin(&mut host, call);
    assert_eq!(host.answer(token).map(drop).unwrap_err().code(), Code::QuotaExceeded);
}

#[test]
fn cookies_are_the_host_s_those_of_requests_and_those_of_responses() {
    let origin = Origin::start();
    origin.serve("/x", Resource::new(1, 10).header("set-cookie", "a=2"));
    let mut host = Host::with(r#""cookies": "ask""#);
    let fetch = host.download("x", origin.url("/x"));
    let mut asked = |expected: Option<&[&str]>| {
        let (token, set): (Handle, Option<Vec<String>>) =
            host.wait(|completion| match completion {
                Completion::Cookies { token, set, .. } => Ok((token, set)),
                other => Err(other),
            });
        let set = set.as_ref().map(|set| set.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(set.as_deref(), expected);
        assert_eq!(
            question::cookies(token, Some(b"a\n")).unwrap_err().code(),
            Code::InvalidArgument
        );
        question::cookies(token, Some(b"a=1")).unwrap();
    };
    asked(None);
    asked(Some(&["a=2"]));
    assert_eq!(origin.requests()[0].header("cookie"), Some("a=1"));
    let body = host.body(fetch);
    assert_eq!(host.read(body).unwrap().len(), 10);
    assert!(fetch::attributes(fetch).is_ok());
}

#[test]
fn a_question_that_nobody_waits_for_any_more_is_gone() {
    let mut host = Host::with(r#""permission": "ask""#);
    begin(&mut host, r#"{ "id": "a", "requests": ["https://a.test/"] }"#);
    let token = host.wait(|completion| match completion {
        Completion::Permission { token, .. } => Ok(token),
        other => Err(other),
    });
    bgfetch_binding::queue::close(host.queue).unwrap();
    let late = question::permission(token, Permission::Granted).unwrap_err();
    assert_eq!(late.code(), Code::InvalidHandle);
}
