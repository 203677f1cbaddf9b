//! Bodies for media elements, players and servers: read at any offset, while they arrive.

use std::io::{ErrorKind, SeekFrom};
use std::ops::Bound;

use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    BackgroundFetchRegistration, Engine, FetchKey, FetchOptions, RecordError, RecordIndex,
    RecordKey, Response, ResponseBody, StorageKey, What,
};
use bgfetch_testkit::{Gate, MIB, Origin, Resource, Script, Serve};
use futures_util::{FutureExt, TryStreamExt};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::common::{Agent, records_of, total, until};

/// The film of most tests, of which half arrives at first.
fn film() -> Resource {
    Resource::new(1, 2 * MIB).etag("\"1\"")
}

struct Playing {
    origin: Origin,
    agent: Agent,
    engine: Engine,
    fetch: BackgroundFetchRegistration,
    response: Response,
}

/// Starts to fetch `/film`, and waits for its response.
async fn play(film: impl Into<Script>, download_total: u64) -> Playing {
    let (origin, agent) = (Origin::start(), Agent::start());
    origin.serve("/film", film);
    let engine = agent.open(ScriptedHost::new([Behaviour::Succeed]));
    let manager = agent.manager(&engine).await;
    let fetch = manager.fetch("film", [origin.url("/film")], total(download_total)).await.unwrap();
    let response = records_of(&fetch).await.remove(0).response_ready().await.unwrap();
    Playing { origin, agent, engine, fetch, response }
}

async fn bytes_of(body: ResponseBody) -> Vec<u8> {
    body.bytes().await.unwrap()
}

#[tokio::test]
async fn a_body_is_read_at_any_offset_and_waits_for_the_bytes_to_come() {
    let gate = Gate::new();
    let playing = play(film().hold_at(MIB, &gate), 0).await;
    let body = &playing.response.body;
    assert_eq!(body.length(), Some(2 * MIB), "the head announced it");
    // A player looks at the end of the film first, and then at its beginning.
    let last = 2 * MIB - 100;
    let mut end = Box::pin(body.read_at(last, vec![0; 200]));
    assert!((&mut end).now_or_never().is_none());
    let mut buffer = [7; 5000];
    assert_eq!(body.try_read_at(last, &mut buffer).unwrap(), None, "not yet");
    let (read, start) = body.read_at(0, [0; 300]).await.unwrap();
    assert!((1..=300).contains(&read));
    film().verify(0, &start[..read]).unwrap();
    body.readable(MIB - 1).await.unwrap();
    let read = body.try_read_at(MIB - 5000, &mut buffer).unwrap().unwrap();
    film().verify(MIB - 5000, &buffer[..read]).unwrap();
    let across = MIB - 10..MIB + 10;
    let mut slice = body.body_at(across.clone());
    let first = slice.chunk().await.unwrap().unwrap();
    assert_eq!(first, film().slice(MIB - 10..MIB));
    assert!(slice.chunk().now_or_never().is_none());

    gate.open();
    let (read, end) = end.await.unwrap();
    assert!(read <= 100, "there are no more");
    film().verify(last, &end[..read]).unwrap();
    assert_eq!(bytes_of(slice).await, film().slice(MIB..MIB + 10));
    assert_eq!(bytes_of(body.body_at(across.clone())).await, film().slice(across));
    assert_eq!(bytes_of(body.body_at(last..)).await, film().slice(last..2 * MIB));
    assert_eq!(bytes_of(body.body_at(..=8)).await, film().slice(0..9));
    let after = (Bound::Excluded(8), Bound::Included(9));
    assert_eq!(bytes_of(body.body_at(after)).await, film().slice(9..10));
    // What is not in the body is its end.
    for nothing in [5..5, 2 * MIB..3 * MIB, u64::MAX - 1..u64::MAX] {
        assert!(bytes_of(body.body_at(nothing)).await.is_empty());
    }
    assert_eq!(body.readable(u64::MAX).await.unwrap(), 0);
    assert_eq!(body.try_read_at(2 * MIB, &mut buffer).unwrap(), Some(0));
    assert_eq!(body.read_at(2 * MIB, vec![1]).await.unwrap(), (0, vec![1]));
    // The stream that script reads is another one.
    assert!(playing.response.body.bytes().await.unwrap() == film().bytes());
}

#[tokio::test]
async fn a_reader_seeks_while_the_body_arrives() {
    let gate = Gate::new();
    // Without a length.
    let playing = play(film().chunked().hold_at(MIB, &gate), 0).await;
    let body = &playing.response.body;
    let mut reader = body.reader();
    assert_eq!(body.length(), None);
    let unknown = reader.seek(SeekFrom::End(-8)).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Unsupported);
    // In small pieces, as a demultiplexer reads.
    let mut bytes = [0; 1000];
    for offset in (0..100_000).step_by(1000) {
        reader.read_exact(&mut bytes).await.unwrap();
        film().verify(offset, &bytes).unwrap();
    }
    assert_eq!(reader.stream_position().await.unwrap(), 100_000);
    assert_eq!(reader.seek(SeekFrom::Current(-500)).await.unwrap(), 99_500);
    let negative = reader.seek(SeekFrom::Current(-100_000)).await.unwrap_err();
    assert_eq!(negative.kind(), ErrorKind::InvalidInput);
    reader.read_exact(&mut bytes).await.unwrap();
    film().verify(99_500, &bytes).unwrap();
    // A seek gives up the read that waits, and the bytes that were read ahead.
    reader.seek(SeekFrom::Start(MIB + 7)).await.unwrap();
    assert!(reader.read(&mut bytes).now_or_never().is_none());
    reader.seek(SeekFrom::Start(3)).await.unwrap();
    reader.read_exact(&mut bytes).await.unwrap();
    film().verify(3, &bytes).unwrap();
    reader.seek(SeekFrom::Start(MIB - 1)).await.unwrap();
    let mut rest = Vec::new();
    let mut reading = Box::pin(reader.read_to_end(&mut rest));
    assert!((&mut reading).now_or_never().is_none());

    gate.open();
    reading.await.unwrap();
    assert!(rest == film().slice(MIB - 1..2 * MIB));
    assert_eq!(playing.fetch.settled().await.unwrap(), Ok(()));
    assert_eq!(body.length(), Some(2 * MIB));
    assert_eq!(reader.seek(SeekFrom::End(-8)).await.unwrap(), 2 * MIB - 8);
    rest.clear();
    reader.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, film().slice(2 * MIB - 8..2 * MIB));
    reader.seek(SeekFrom::End(100)).await.unwrap();
    assert_eq!(reader.read(&mut bytes).await.unwrap(), 0, "beyond the end there is nothing");
}

/// All ways of reading a body at an offset that has no bytes yet, and their errors.
async fn errors_of(body: &ResponseBody, offset: u64) -> [RecordError; 5] {
    let mut reader = body.reader();
    reader.seek(SeekFrom::Start(offset)).await.unwrap();
    let error = reader.read(&mut [0; 9]).await.unwrap_err();
    let inner = error.into_inner().unwrap().downcast::<RecordError>().unwrap();
    [
        *inner,
        body.readable(offset).await.unwrap_err(),
        body.read_at(offset, [0; 9]).await.unwrap_err(),
        body.try_read_at(offset, &mut [0; 9]).unwrap_err(),
        body.body_at(offset..).try_next().await.unwrap_err(),
    ]
}

#[tokio::test]
async fn a_response_that_was_replaced_says_so_and_the_new_one_is_read_by_a_new_reader() {
    let gate = Gate::new();
    let second = Resource::new(2, 2 * MIB).etag("\"2\"");
    let first = film().hold_at(MIB, &gate).cut_after(MIB);
    let playing = play(first.then(second.clone()), 0).await;
    let body = &playing.response.body;
    body.readable(MIB - 1).await.unwrap();
    let mut early = body.body_at(MIB - 1..);
    early.chunk().await.unwrap().unwrap();
    let mut late = Box::pin(body.read_at(MIB, [0; 9]));
    assert!((&mut late).now_or_never().is_none());

    gate.open();
    assert!(matches!(late.await, Err(RecordError::Replaced)));
    assert!(matches!(early.chunk().await, Some(Err(RecordError::Replaced))));
    assert_eq!(playing.fetch.settled().await.unwrap(), Ok(()));
    // Bytes that the first response had are not taken from the second one either.
    for offset in [0, MIB - 1, 2 * MIB] {
        for error in errors_of(body, offset).await {
            assert!(matches!(error, RecordError::Replaced), "{error:?}");
            assert_eq!(error.code(), "replaced");
            assert_eq!(error.to_string(), "the response was replaced by another one");
        }
    }
    assert_eq!(body.length(), None);
    assert_eq!(playing.origin.requests_to("/film").len(), 2);
}

#[tokio::test]
async fn a_download_that_ends_badly_ends_what_reads_it() {
    for is_aborted in [true, false] {
        let gate = Gate::new();
        let film = film().chunked().hold_at(MIB, &gate);
        let playing = play(film, if is_aborted { 0 } else { MIB }).await;
        let body = &playing.response.body;
        body.readable(MIB - 1).await.unwrap();
        let mut waits = Box::pin(body.read_at(MIB, [0; 9]));
        assert!((&mut waits).now_or_never().is_none());
        if is_aborted {
            playing.fetch.abort().await.unwrap();
        } else {
            gate.open();
        }
        let like = |error: &RecordError| match error {
            RecordError::Aborted => is_aborted,
            RecordError::Failed => !is_aborted,
            _ => false,
        };
        let error = waits.await.unwrap_err();
        assert!(like(&error), "{error:?}");
        for offset in [0, MIB, 2 * MIB] {
            for error in errors_of(body, offset).await {
                assert!(like(&error), "{error:?}");
            }
        }
        assert_eq!(body.length(), None);
    }
}

#[tokio::test]
async fn what_is_open_stays_readable_when_the_records_are_gone_and_waits_for_nothing_afterwards() {
    let gate = Gate::new();
    let whole = play(film(), 0).await;
    let mut observer = whole.engine.observe().await.unwrap();
    let gone = |what: &What| matches!(what, What::EventEnded { .. });
    if whole.engine.record(key(&whole.fetch)).await.unwrap().is_some() {
        until(&mut observer, gone).await;
    }
    let body = &whole.response.body;
    assert_eq!(body.readable(5).await.unwrap(), 2 * MIB - 5);
    let mut buffer = vec![0; 2 * MIB as usize];
    assert_eq!(body.try_read_at(0, &mut buffer).unwrap(), Some(2 * MIB as usize));
    assert!(buffer == film().bytes());

    let half = play(film().hold_at(MIB, &gate), 0).await;
    let body = &half.response.body;
    half.agent.crash(half.engine);
    for error in errors_of(body, MIB).await {
        assert!(matches!(error, RecordError::Aborted), "{error:?}");
    }
}

fn key(fetch: &BackgroundFetchRegistration) -> RecordKey {
    RecordKey { fetch: fetch.key(), index: RecordIndex(0) }
}

#[tokio::test]
async fn a_record_is_found_by_its_key_in_its_own_site_alone() {
    let gate = Gate::new();
    let playing = play(film().hold_at(MIB, &gate), 0).await;
    let Playing { origin, agent, engine, fetch, .. } = &playing;
    let mut observer = engine.observe().await.unwrap();
    let own = engine.registration(fetch.registration().clone());
    let other = engine.register(StorageKey("other".into()), origin.url("/")).await.unwrap();
    origin.serve("/held", film().hold_at(1, &Gate::new()));
    let (manager, urls) = (other.background_fetch(), [origin.url("/held")]);
    let others = manager.fetch("x", urls, FetchOptions::default()).await.unwrap();

    // A process of the first site got the key, and passes on what it got.
    let record = own.record(key(fetch)).await.unwrap().unwrap();
    assert_eq!((record.key(), &record.request().url), (key(fetch), &origin.url("/film")));
    gate.open();
    let body = record.response_ready().await.unwrap().body;
    assert!(body.bytes().await.unwrap() == film().bytes());
    assert!(other.record(key(&others)).await.unwrap().is_some());
    // It guesses the other one.
    assert!(own.record(key(&others)).await.unwrap().is_none());
    assert!(other.record(key(fetch)).await.unwrap().is_none());
    // The embedder itself may see both.
    assert!(engine.record(key(&others)).await.unwrap().is_some());
    for missing in [
        RecordKey { index: RecordIndex(1), ..key(fetch) },
        RecordKey { fetch: FetchKey(u64::MAX), ..key(fetch) },
    ] {
        assert!(engine.record(missing).await.unwrap().is_none());
    }
    // The records of a fetch are gone when its event has ended.
    let ended = |what: &What| matches!(what, What::EventEnded { .. });
    while engine.record(key(fetch)).await.unwrap().is_some() {
        until(&mut observer, ended).await;
    }
    assert!(own.record(key(fetch)).await.unwrap().is_none());
    agent.close(engine.clone()).await;
    assert!(engine.record(key(fetch)).await.unwrap_err().is_closed());
}

#[tokio::test]
async fn random_reads_of_a_body_that_arrives_get_the_right_bytes() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let gates: [Gate; 3] = std::array::from_fn(|_| Gate::new());
    // In four connections, of which each breaks off.
    let part = MIB / 2;
    let cut = |gate| film().hold_at(part, gate).cut_after(part);
    let script = cut(&gates[0]).then(cut(&gates[1])).then(cut(&gates[2])).then(film());
    let playing = play(script, 0).await;
    let body = &playing.response.body;
    let mut reader = body.reader();
    let mut arrived = 0;
    for gate in gates.iter().map(Some).chain([None]) {
        arrived += part;
        body.readable(arrived - 1).await.unwrap();
        for _ in 0..50 {
            let offset = random.u64(0..arrived);
            let mut buffer = vec![0; random.usize(1..3 * part as usize)];
            let read = match random.u8(0..4) {
                0 => body.try_read_at(offset, &mut buffer).unwrap().unwrap(),
                1 => {
                    let (read, filled) = body.read_at(offset, buffer).await.unwrap();
                    buffer = filled;
                    read
                }
                2 => {
                    reader.seek(SeekFrom::Start(offset)).await.unwrap();
                    reader.read(&mut buffer).await.unwrap()
                }
                _ => {
                    let end = arrived.min(offset + buffer.len() as u64);
                    buffer = bytes_of(body.body_at(offset..end)).await;
                    assert_eq!(buffer.len() as u64, end - offset);
                    buffer.len()
                }
            };
            assert!(read > 0, "there are bytes at {offset}");
            film().verify(offset, &buffer[..read]).unwrap();
        }
        if let Some(gate) = gate {
            gate.open();
        }
    }
}
