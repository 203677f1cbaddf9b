use bgfetch_binding::bgfetch::FetchKey;
use bgfetch_binding::{
    Code, Completion, Handle, Value, body, count, engine, fetch, queue, registration, ui,
};
use bgfetch_testkit::{MIB, Origin, Resource, Serve};
use std::time::Duration;

use crate::world::Host;

#[test]
fn handles_of_the_wrong_kind_and_freed_ones_are_errors() {
    let host = Host::with("");
    let (queue, engine, registration) = (host.queue, host.engine, host.registration);
    let code = |result: bgfetch_binding::Result<()>| result.unwrap_err().code();
    assert_eq!(code(engine::close(registration, 1)), Code::WrongKind);
    assert_eq!(code(registration::start(engine, 1)), Code::WrongKind);
    assert_eq!(code(fetch::start(queue)), Code::WrongKind);
    assert_eq!(code(queue::next(registration, None).map(drop)), Code::WrongKind);
    assert_eq!(code(body::free(Handle::NONE)), Code::InvalidHandle);
    registration::free(registration).unwrap();
    assert_eq!(code(registration::free(registration)), Code::InvalidHandle);
    assert_eq!(code(registration::get_ids(registration, 1)), Code::InvalidHandle);
}

#[test]
fn an_engine_that_was_closed_refuses_calls_and_its_store_can_be_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let options = format!(r#"{{ "directory": {:?} }}"#, folder.path().join("state"));
    let mut host = Host::open(&options);
    let (queue, engine) = (host.queue, host.engine);
    let in_use = host.call(|token| engine::open(queue, token, &options)).unwrap_err();
    assert_eq!(in_use.code(), Code::StoreInUse);
    host.call(|token| engine::close(engine, token)).unwrap();
    assert_eq!(engine::close(engine, 1).unwrap_err().code(), Code::Closed);
    assert_eq!(ui::jobs(engine, 1).unwrap_err().code(), Code::Closed);
    let registration = host.registration;
    let late = host.call(|token| registration::get(registration, token, "x")).unwrap_err();
    assert_eq!((late.code(), late.exception()), (Code::Closed, Some("AbortError")));
    host.engine = host.handle(|token| engine::open(queue, token, &options));
    // Freed without a close, it ends as in a crash.
    let freed = host.engine;
    engine::free(freed).unwrap();
    host.wait(|completion| match completion {
        Completion::Closed { engine, .. } if engine == freed => Ok(()),
        other => Err(other),
    });
    host.handle(|token| engine::open(queue, token, &options));
}

#[test]
fn a_queue_takes_all_its_handles_with_it() {
    let origin = Origin::start();
    origin.serve("/x", Resource::new(1, 10));
    let mut host = Host::with("");
    let fetch = host.download("x", origin.url("/x"));
    let body = host.body(fetch);
    assert!(count(host.queue) >= 5);
    queue::close(host.queue).unwrap();
    assert_eq!(count(host.queue), 0);
    for error in [
        queue::next(host.queue, Some(Duration::ZERO)).map(drop),
        queue::close(host.queue),
        body::free(body),
        fetch::free(fetch),
        registration::free(host.registration),
        engine::free(host.engine),
    ] {
        assert_eq!(error.unwrap_err().code(), Code::InvalidHandle);
    }
}

#[test]
fn two_engines_share_a_queue_and_know_nothing_of_each_other() {
    let mut host = Host::with("");
    let queue = host.queue;
    let other = host.handle(|token| engine::open(queue, token, r#"{ "ephemeral": true }"#));
    let theirs = host.handle(|token| {
        registration::register(other, token, "https://app.test/", "https://app.test/")
    });
    host.download("x", "https://a.test/");
    let none = host.call(|token| registration::find(theirs, token, FetchKey(0))).unwrap();
    assert!(matches!(none, Value::None));
    let ours = host.registration;
    let found = host.call(|token| registration::find(ours, token, FetchKey(0))).unwrap();
    assert!(matches!(found, Value::Fetch { key: FetchKey(0), .. }));
    host.call(|token| engine::close(other, token)).unwrap();
    host.call(|token| registration::get_ids(ours, token)).unwrap();
}

#[test]
fn a_fetch_has_one_update_in_the_queue_and_the_next_once_that_was_applied() {
    let origin = Origin::start();
    origin.serve("/x", Resource::new(1, 20 * MIB).chunked());
    let mut host = Host::with(r#""progressInterval": 1"#);
    let fetch = host.download("x", origin.url("/x"));
    let (mut updates, mut applied_bytes) = (0, 0);
    loop {
        let next = queue::next(host.queue, None).unwrap().unwrap();
        let Completion::Update { fetch: of, applied, .. } = next else { continue };
        assert_eq!(of, fetch);
        updates += 1;
        // No second one comes while the first is being applied.
        let more = queue::next(host.queue, Some(Duration::from_millis(1))).unwrap();
        assert!(!matches!(more, Some(Completion::Update { .. })));
        let attributes = fetch::attributes(fetch).unwrap();
        assert!(attributes.downloaded >= applied_bytes);
        applied_bytes = attributes.downloaded;
        drop(applied);
        if attributes.result.is_some() {
            break;
        }
    }
    assert!(updates > 1);
    assert_eq!(applied_bytes, 20 * MIB);
}

#[test]
fn bad_options_are_named() {
    let queue = queue::open(|| {}).unwrap();
    for options in ["", "{", r#"{ "ephemeral": true, "directroy": "x" }"#, r#"{ "quota": "big" }"#]
    {
        let error = engine::open(queue, 1, options).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{options}");
    }
    let mut codes = Vec::new();
    for options in [
        "{}",
        r#"{ "ephemeral": true, "directory": "x" }"#,
        r#"{ "ephemeral": true, "proxy": ["ftp://x"] }"#,
        r#"{ "ephemeral": true, "network": "host", "proxy": "environment" }"#,
    ] {
        engine::open(queue, 1, options).unwrap();
        match queue::next(queue, None).unwrap() {
            Some(Completion::CallDone { result, .. }) => {
                codes.push(result.map(drop).unwrap_err().code())
            }
            other => panic!("{other:?}"),
        }
    }
    let invalid = Code::InvalidArgument;
    assert_eq!(codes, [Code::NoStore, invalid, invalid, invalid]);
    assert_eq!(count(queue), 1);
    queue::close(queue).unwrap();
}
