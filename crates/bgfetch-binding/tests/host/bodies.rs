use bgfetch_binding::bgfetch::{Handover, RecordResult};
use bgfetch_binding::{Code, Completion, Value, body, fetch, record};
use bgfetch_testkit::{Gate, MIB, Origin, Reply, Resource, Serve};

use crate::world::Host;

#[test]
fn a_body_is_read_while_it_arrives_and_exported_in_the_end() {
    let (origin, film, gate) = (Origin::start(), Resource::new(1, MIB), Gate::new());
    origin.serve("/film", film.clone().hold_at(300_000, &gate));
    let mut host = Host::with("");
    let fetch = host.download("film", origin.url("/film"));
    let body = host.body(fetch);
    let mut buffer = vec![0; 2 << 20];
    let mut offset = 0;
    while offset < 300_000 {
        match body::read(body, offset, &mut buffer).unwrap() {
            body::Read::Ready(read) => offset += read as u64,
            body::Read::Again => host.wait(|completion| match completion {
                Completion::BodyReady { .. } => Ok(()),
                other => Err(other),
            }),
            body::Read::End => panic!("the download has not ended"),
        }
    }
    assert_eq!(body::read(body, offset, &mut buffer).unwrap(), body::Read::Again);
    assert_eq!(body::length(body).unwrap(), Some(MIB));
    gate.open();
    film.verify(0, &host.read(body).unwrap()).unwrap();
    let Value::Bytes(tail) =
        host.call(|token| body::read_later(body, token, MIB - 10, 100)).unwrap()
    else {
        panic!("no bytes")
    };
    film.verify(MIB - 10, &tail).unwrap();
    assert_eq!(tail.len(), 10);
    let few = host.call(|token| body::read_later(body, token, 0, 7)).unwrap();
    assert!(matches!(few, Value::Bytes(few) if few.len() == 7));

    let record = host.records(fetch)[0];
    while record::info(record).unwrap().result.is_none() {
        host.wait(|completion| match completion {
            Completion::Update { .. } => Ok(()),
            other => Err(other),
        });
    }
    let info = record::info(record).unwrap();
    assert_eq!((info.status, info.stored), (Some(200), MIB));
    assert_eq!(info.result, Some(RecordResult::Success));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("film");
    host.call(|token| record::export(record, token, file.clone(), Handover::Copy)).unwrap();
    film.matches_file(&file).unwrap();
    let same = host.call(|token| record::is_exported_at(record, token, file.clone())).unwrap();
    assert!(matches!(same, Value::Bool(true)));
    let again = host.call(|token| record::export(record, token, file, Handover::Copy));
    assert_eq!(again.unwrap_err().code(), Code::StoreIo);
    host.call(|token| fetch::sync_exports(fetch, token)).unwrap();
}

#[test]
fn a_record_that_fails_has_no_response_and_its_error_has_a_number() {
    let origin = Origin::start();
    origin.serve("/gone", Reply::status(404));
    let mut host = Host::with("");
    let fetch = host.download("x", origin.url("/gone"));
    let record = host.records(fetch)[0];
    let mut failed = host.call(|token| record::response_ready(record, token));
    if let Ok(Value::Response { body, .. }) = failed {
        failed = host.read(body).map(Value::Bytes);
    }
    // The response of a bad status may be read, unless its body is cut short.
    assert!(failed.is_ok_and(|value| matches!(value, Value::Bytes(_))));
    assert_eq!(body::read(record, 0, &mut [0]).unwrap_err().code(), Code::WrongKind);
    let body = host.body(fetch);
    assert_eq!(body::read(body, 0, &mut []).unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn an_aborted_fetch_ends_the_wait_for_its_body() {
    let (origin, film, gate) = (Origin::start(), Resource::new(1, MIB), Gate::new());
    origin.serve("/film", film.hold_at(1000, &gate));
    let mut host = Host::with("");
    let fetch = host.download("film", origin.url("/film"));
    let body = host.body(fetch);
    let token = host.begin(|token| body::read_later(body, token, 5000, 10)).unwrap();
    let aborted = host.call(|token| fetch::abort(fetch, token)).unwrap();
    assert!(matches!(aborted, Value::Bool(true)));
    let error = host.answer(token).map(drop).unwrap_err();
    assert_eq!((error.code(), error.exception()), (Code::Aborted, Some("AbortError")));
    let again = host.call(|token| fetch::abort(fetch, token)).unwrap();
    assert!(matches!(again, Value::Bool(false)));
}
