//! What the model counts for rows is an upper bound of what the database takes for them.

use std::sync::Arc;

use bgfetch_model::ids::FetchKey;
use bgfetch_model::request::Request;
use bgfetch_model::response::ResponseHead;
use bgfetch_model::store_op::{StoreOp, StoredFetch};
use bgfetch_store::Store;
use proptest::prelude::*;

use crate::fixture::{body, commit, head, new_fetch, open, registration};

/// What a database takes besides rows: its schema and the pages of small tables.
const EMPTY: u64 = 64 << 10;

/// Commits a fetch whose requests, and then some of its heads, have headers of these lengths.
/// Returns the length of the database and what is counted.
fn store(requests: &[usize], heads: &[(usize, usize)], character: char) -> (u64, u64) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let value = |length| character.to_string().repeat(length);
    let mut fetch: StoredFetch = new_fetch(0, 0, u32::try_from(requests.len()).unwrap());
    for (record, length) in fetch.records.iter_mut().zip(requests) {
        let mut request = Request::clone(&record.request);
        request.headers.append("x-a", value(*length));
        record.request = Arc::new(request);
    }
    let ops = [StoreOp::PutRegistration(registration(0)), StoreOp::InsertFetch(Box::new(fetch))];
    commit(&mut store, ops);
    for (index, length) in heads {
        let mut head = ResponseHead::clone(&head(200));
        head.headers.append("x-b", value(*length));
        let index = u32::try_from(index % requests.len()).unwrap();
        commit(&mut store, [StoreOp::OpenGeneration(body(0, index, 1), Arc::new(head))]);
    }
    store.close().unwrap();
    drop(store);
    let database = std::fs::metadata(directory.path().join("store.sqlite3")).unwrap().len();
    let snapshot = open(directory.path()).load().unwrap();
    (database, snapshot.fetches.iter().map(StoredFetch::metadata).sum())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn rows_take_no_more_than_what_is_counted(
        requests in prop::collection::vec(
            prop_oneof![3 => 0..900_usize, 1 => 0..9000_usize],
            1..150,
        ),
        heads in prop::collection::vec(
            (0..150_usize, prop_oneof![3 => 0..1500_usize, 1 => 0..20_000_usize]),
            0..150,
        ),
        character in prop::sample::select(vec!['x', '"', '\\', '\t', '\u{1}', '\u{e9}']),
    ) {
        let (database, counted) = store(&requests, &heads, character);
        prop_assert!(database <= counted + EMPTY, "{database} bytes, {counted} counted");
    }
}

#[test]
fn a_database_shrinks_when_rows_are_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let mut fetch = new_fetch(0, 0, 1);
    fetch.title = "x".repeat(4 << 20);
    let ops = [StoreOp::PutRegistration(registration(0)), StoreOp::InsertFetch(Box::new(fetch))];
    commit(&mut store, ops);
    commit(&mut store, [StoreOp::Forget(FetchKey(0))]);
    store.close().unwrap();
    drop(store);
    let database = std::fs::metadata(directory.path().join("store.sqlite3")).unwrap().len();
    assert!(database <= EMPTY, "{database} bytes");
}
