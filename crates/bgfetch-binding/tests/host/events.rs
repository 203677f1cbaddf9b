use bgfetch_binding::bgfetch::{DispatchError, EventKind, NotHandledReason, Outcome, Rejection};
use bgfetch_binding::{
    Code, Completion, Handle, Value, engine, event, fetch, queue, registration, ui,
};
use bgfetch_testkit::{Gate, Origin, Resource, Serve};

use crate::world::Host;

/// A host whose fetch succeeds, and then its event with the fetch.
fn settled(origin: &Origin) -> (Host, Handle, Handle) {
    origin.serve("/x", Resource::new(1, 1000));
    let mut host = Host::with(r#""retryDelay": 1"#);
    host.start();
    host.download("x", origin.url("/x"));
    let (kind, event, fetch) = host.event();
    assert_eq!(kind, EventKind::Success);
    (host, event, fetch)
}

fn outcome(host: &mut Host, of: Handle) -> Outcome {
    host.wait(|completion| match completion {
        Completion::EventEnded { event, outcome } if event == of => Ok(outcome),
        other => Err(other),
    })
}

#[test]
fn an_event_lasts_until_its_listeners_have_run_and_its_extensions_are_settled() {
    let (mut host, event, fetch) = settled(&Origin::start());
    let (first, second) = (event::extend(event).unwrap(), event::extend(event).unwrap());
    event::end_dispatch(event).unwrap();
    assert_eq!(event::end_dispatch(event).unwrap_err().code(), Code::WrongState);
    assert!(event::is_active(event).unwrap());
    event::settle(first, None).unwrap();
    assert!(event::is_active(event).unwrap());
    assert_eq!(event::settle(first, None).unwrap_err().code(), Code::InvalidHandle);
    assert_eq!(host.records(fetch).len(), 1);
    event::settle(second, Some("no room")).unwrap();
    assert!(!event::is_active(event).unwrap());
    let rejection = Some(Rejection("no room".into()));
    assert_eq!(outcome(&mut host, event), Outcome::Handled { rejection });
    assert_eq!(event::extend(event).unwrap_err().exception(), Some("InvalidStateError"));
    event::free(event).unwrap();
}

#[test]
fn an_event_that_was_not_handled_or_whose_promise_was_lost_is_fired_again() {
    let origin = Origin::start();
    let (mut host, lost, _) = settled(&origin);
    let extension = event::extend(lost).unwrap();
    event::end_dispatch(lost).unwrap();
    event::free_extension(extension).unwrap();
    assert!(matches!(outcome(&mut host, lost), Outcome::NotHandled(NotHandledReason::Crashed(_))));
    let (_, again, _) = host.event();
    event::end_dispatch(again).unwrap();
    assert!(!event::is_active(again).unwrap());
    assert!(outcome(&mut host, again).is_handled());

    let (mut host, event, _) = settled(&origin);
    event::not_handled(event, DispatchError::Crashed("out of memory".into())).unwrap();
    assert!(!outcome(&mut host, event).is_handled());
    let (mut host, event, _) = settled(&origin);
    event::free(event).unwrap();
    assert!(!outcome(&mut host, event).is_handled());
    let (mut host, event, _) = settled(&origin);
    event::worker_terminated(event, "it hung").unwrap();
    let hung = NotHandledReason::Crashed("it hung".into());
    assert_eq!(outcome(&mut host, event), Outcome::NotHandled(hung));
}

#[test]
fn events_are_held_until_their_registration_is_started_and_again_when_it_is_freed() {
    let origin = Origin::start();
    origin.serve("/x", Resource::new(1, 1000));
    let mut host = Host::with("");
    let fetch = host.download("x", origin.url("/x"));
    while fetch::attributes(fetch).unwrap().result.is_none() {
        host.wait(|completion| match completion {
            Completion::Update { .. } => Ok(()),
            Completion::Event { .. } => panic!("it was not held"),
            other => Err(other),
        });
    }
    host.start();
    let (_, event, _) = host.event();
    event::not_handled(event, DispatchError::NotYet).unwrap();
    outcome(&mut host, event);
    registration::free(host.registration).unwrap();
    host.registration = host.register("https://app.test/");
    // It waits again, until the other handle starts.
    host.start();
    let (_, event, _) = host.event();
    event::end_dispatch(event).unwrap();
    assert!(outcome(&mut host, event).is_handled());
}

#[test]
fn events_go_to_the_handle_that_was_started_last_even_if_the_other_is_freed() {
    let origin = Origin::start();
    origin.serve("/x", Resource::new(1, 1000));
    let mut host = Host::with("");
    let first = host.register("https://app.test/");
    host.call(|token| registration::start(first, token)).unwrap();
    host.start();
    registration::free(first).unwrap();
    host.download("x", origin.url("/x"));
    let to = host.wait(|completion| match completion {
        Completion::Event { registration, .. } => Ok(registration),
        other => Err(other),
    });
    assert_eq!(to, host.registration);
}

#[test]
fn a_handler_updates_the_ui_once_and_a_click_is_an_event_of_its_own() {
    let (mut host, event, fetch) = settled(&Origin::start());
    let title = r#"{ "title": "Done", "icons": [{ "src": "https://app.test/done.png" }] }"#;
    host.call(|token| event::update_ui(event, token, title)).unwrap();
    let again = host.call(|token| event::update_ui(event, token, title)).unwrap_err();
    assert_eq!(
        (again.code(), again.exception()),
        (Code::AlreadyUpdated, Some("InvalidStateError"))
    );
    let bad = event::update_ui(event, 1, r#"{ "titel": "Done" }"#).unwrap_err();
    assert_eq!(bad.code(), Code::InvalidArgument);
    event::end_dispatch(event).unwrap();
    outcome(&mut host, event);
    let key = fetch::attributes(fetch).unwrap().key;
    let engine = host.engine;
    let Value::Jobs(jobs) = host.call(|token| ui::jobs(engine, token)).unwrap() else { panic!() };
    assert_eq!(jobs[0].display.title, "Done");
    assert_eq!(jobs[0].display.icons[0].src.as_str(), "https://app.test/done.png");
    host.call(|token| ui::click(engine, token, key)).unwrap();
    let (kind, click, _) = host.event();
    assert_eq!(kind, EventKind::Click);
    let refused = host.call(|token| event::update_ui(click, token, title)).unwrap_err();
    assert_eq!(refused.code(), Code::NotUpdateUiEvent);
    event::end_dispatch(click).unwrap();
    outcome(&mut host, click);
    // The engine learns a little later that the event has ended.
    while let Err(error) = host.call(|token| ui::dismiss(engine, token, key)) {
        assert_eq!(error.code(), Code::StillActive);
    }
    let gone = host.call(|token| ui::click(engine, token, key)).unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
}

#[test]
fn the_next_host_continues_the_download_and_is_told_once() {
    let (origin, folder) = (Origin::start(), tempfile::tempdir().unwrap());
    let film = Resource::new(1, 100_000).etag("\"1\"");
    let gate = Gate::new();
    origin.serve("/film", film.clone().hold_at(50_000, &gate).then(film));
    let options = format!(r#"{{ "directory": {:?} }}"#, folder.path().join("state"));
    let mut host = Host::open(&options);
    let fetch = host.download("film", origin.url("/film"));
    let body = host.body(fetch);
    host.call(|token| bgfetch_binding::body::read_later(body, token, 49_999, 1)).unwrap();
    // As if the process had been killed.
    queue::close(host.queue).unwrap();
    drop(host);
    gate.open();
    let mut next = Host::open(&options);
    next.start();
    let (kind, event, fetch) = next.event();
    assert_eq!(kind, EventKind::Success);
    assert_eq!(fetch::attributes(fetch).unwrap().downloaded, 100_000);
    assert_eq!(origin.requests()[1].header("range"), Some("bytes=50000-"));
    event::end_dispatch(event).unwrap();
    assert!(outcome(&mut next, event).is_handled());
    let engine = next.engine;
    next.call(|token| engine::close(engine, token)).unwrap();
    next.wait(|completion| match completion {
        Completion::Closed { error: None, .. } => Ok(()),
        Completion::Event { .. } => panic!("it was told again"),
        other => Err(other),
    });
}
