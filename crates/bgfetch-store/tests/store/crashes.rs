//! Crashes at every point: images of the directory taken between any two steps, logs truncated by a
//! power loss, and a process that is killed.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use bgfetch_model::ids::{CommitId, FetchKey};
use bgfetch_model::store_op::{StoreOp, Transaction};
use bgfetch_store::{Ack, Options, SqliteStore, Store, StoreThread};
use proptest::prelude::*;

use crate::fixture::*;
use crate::oracle::Oracle;

const BYTES: &[u8] = b"0123456789";

/// A moment of a history: what is in the directory, and what it must contain at least.
struct Moment {
    image: tempfile::TempDir,
    /// How many transactions were acknowledged.
    acknowledged: usize,
    /// How many were acknowledged up to the last one that asked to survive a power loss.
    synced: usize,
}

/// The life of a fetch of three records, one transaction per step; bytes are written between them.
fn history() -> Vec<Transaction> {
    let open = |n, generation| StoreOp::OpenGeneration(body(0, n, generation), head(200));
    vec![
        transaction(insert(0, 3)),
        transaction([open(0, 1), open(1, 1)]),
        transaction([open(2, 1)]),
        transaction([open(1, 2)]),
        transaction([settle_record(record(0, 0), 10)]),
        transaction([settle_record(record(0, 1), 10)]),
        transaction([settle_record(record(0, 2), 10), settle(0, Ok(()))]),
        transaction(insert(1, 1)),
        transaction([StoreOp::SetDeliveryAttempts(FetchKey(0), 1)]),
        transaction([StoreOp::EndDelivery(FetchKey(0))]),
        transaction([StoreOp::Forget(FetchKey(0))]),
    ]
}

/// Runs the history and takes an image after every write and every acknowledgement. Also returns
/// the state of the oracle after each transaction.
fn run() -> (Vec<Moment>, Vec<Oracle>) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let bodies = store.bodies();
    let mut oracle = Oracle::default();
    let mut oracles = vec![oracle.clone()];
    let mut moments = Vec::new();
    let mut synced = 0;
    for (acknowledged, transaction) in (1..).zip(history()) {
        let mut take = |synced, acknowledged| {
            let to = tempfile::tempdir().unwrap();
            image(directory.path(), to.path());
            moments.push(Moment { image: to, acknowledged, synced });
        };
        if acknowledged == 1 {
            bodies.create_request_body(record(0, 0)).unwrap().write(b"upload").unwrap();
            take(0, 0);
        }
        oracle.commit(&transaction);
        store.commit(std::slice::from_ref(&transaction)).unwrap();
        oracles.push(oracle.clone());
        if !transaction.syncs.is_empty() {
            synced = acknowledged;
        }
        take(synced, acknowledged);
        for op in &transaction.ops {
            if let StoreOp::OpenGeneration(key, _) = op {
                write(&*bodies, *key, 0, &BYTES[..4]);
                take(synced, acknowledged);
                write(&*bodies, *key, 4, &BYTES[4..]);
                take(synced, acknowledged);
            }
        }
    }
    (moments, oracles)
}

#[test]
fn an_image_of_any_moment_holds_all_that_was_acknowledged() {
    let (moments, mut oracles) = run();
    assert!(moments.len() > 15);
    for moment in moments {
        let mut store = open(moment.image.path());
        let snapshot = store.load().unwrap();
        let bodies = store.bodies();
        let oracle = &mut oracles[moment.acknowledged];
        // The body has the length that it had at that moment, and is always a prefix.
        for (key, record) in oracle.current() {
            let bytes = read(&*bodies, key);
            assert!(BYTES.starts_with(&bytes));
            assert!(record.result.is_none() || bytes == BYTES);
            oracle.bodies.insert(key, bytes);
        }
        oracle.check(&snapshot);
    }
}

/// Simulates a power loss: the log ends somewhere after the last sync, and only the synced bytes of
/// each body are certain; others are zeros or missing.
fn lose_power(directory: &Path, log_kept: u64, zeros: bool, synced_bytes: bool) {
    let log = directory.join("store.sqlite3-wal");
    let file = fs::File::options().write(true).open(log).unwrap();
    file.set_len(log_kept).unwrap();
    if synced_bytes {
        return;
    }
    for name in body_files(directory) {
        let path = directory.join("bodies").join(name);
        if path.is_file() && path.extension().is_none_or(|kind| kind != "request") {
            let length = fs::metadata(&path).unwrap().len() as usize;
            let bytes = if zeros { vec![0; length] } else { Vec::new() };
            fs::write(path, bytes).unwrap();
        }
    }
}

fn log_length(directory: &Path) -> u64 {
    fs::metadata(directory.join("store.sqlite3-wal")).unwrap().len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn after_a_power_loss_the_store_is_a_prefix_that_holds_all_that_was_synced(
        cut in 0.0..=1.0f64,
        zeros in any::<bool>(),
    ) {
        let (moments, oracles) = run();
        // Opening syncs what it commits.
        let mut synced_log = log_length(moments[0].image.path());
        let mut last_synced = 0;
        for moment in moments {
            let directory = moment.image.path();
            let log = log_length(directory);
            if moment.synced > last_synced {
                (last_synced, synced_log) = (moment.synced, log);
            }
            let kept = synced_log + ((log - synced_log) as f64 * cut) as u64;
            // Once the fetch has settled, its bodies are on disk.
            lose_power(directory, kept, zeros, moment.synced >= 7);
            let mut store = open_after_boot(directory, "boot-2");
            let snapshot = store.load().unwrap();
            let bodies = store.bodies();
            let candidates = moment.synced..=moment.acknowledged;
            let found = candidates.into_iter().any(|committed| {
                let mut oracle = oracles[committed].clone();
                for (key, _) in oracle.current() {
                    if committed >= 7 {
                        oracle.bodies.insert(key, BYTES.to_vec());
                    }
                }
                oracle.reboot();
                let check = std::panic::AssertUnwindSafe(|| oracle.check(&snapshot));
                std::panic::catch_unwind(check).is_ok()
            });
            prop_assert!(found, "{:?} is no prefix", snapshot.fetches);
            for fetch in &snapshot.fetches {
                for (index, record) in (0..).zip(&fetch.records) {
                    let bytes = read(&*bodies, body(fetch.key.0, index, record.generation.0));
                    prop_assert_eq!(bytes.len() as u64, record.stored);
                    prop_assert!(BYTES.starts_with(&bytes), "bytes that were never written");
                }
            }
        }
    }
}

const CHILD: &str = "BGFETCH_STORE_TEST_CHILD";

/// Not a test by itself: the test below runs it as the process to kill.
#[test]
fn child_that_commits_until_it_is_killed() {
    let Some(directory) = env::var_os(CHILD) else {
        return;
    };
    let store = SqliteStore::open(directory.as_ref(), Options::default().boot_id(BOOT)).unwrap();
    let bodies = store.bodies();
    let thread = StoreThread::start(Box::new(store), |ack| match ack {
        Ack::Committed(id) => {
            let mut out = std::io::stdout().lock();
            // Fails once the parent is gone; then there is nothing left to test.
            writeln!(out, "acknowledged {}", id.0).unwrap();
        }
        Ack::Failed(error) => panic!("{error}"),
    })
    .unwrap();
    for fetch in 0.. {
        let begun = transaction(
            insert(fetch, 1)
                .into_iter()
                .chain([StoreOp::OpenGeneration(body(fetch, 0, 1), head(200))]),
        );
        thread.commit(CommitId(2 * fetch), begun).unwrap();
        write(&*bodies, body(fetch, 0, 1), 0, BYTES);
        let ended = transaction([settle_record(record(fetch, 0), 10), settle(fetch, Ok(()))]);
        thread.commit(CommitId(2 * fetch + 1), ended).unwrap();
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged() {
    for kill_after in [1, 7, 200] {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["crashes::child_that_commits_until_it_is_killed", "--exact"])
            .args(["--nocapture", "--test-threads=1"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut acknowledged = Vec::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut take = |line: String| {
            if let Some((_, id)) = line.split_once("acknowledged ") {
                acknowledged.push(id.parse::<u64>().unwrap());
            }
            acknowledged.len()
        };
        for line in &mut lines {
            if take(line.unwrap()) >= kill_after {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // The last line may lack its end because of the kill; the lines before it are complete.
        for line in lines.map_while(Result::ok).filter(|line| !line.is_empty()) {
            take(line);
        }

        // The last number may be truncated, which can only make it smaller.
        let in_order = acknowledged.iter().zip(0..).take(kill_after);
        assert!(in_order.into_iter().all(|(id, expected)| *id == expected));
        let snapshot = open(directory.path()).load().unwrap();
        for id in acknowledged {
            let fetch = &snapshot.fetches[(id / 2) as usize];
            assert_eq!(fetch.key, FetchKey(id / 2));
            if id % 2 == 1 {
                assert_eq!(fetch.result, Some(Ok(())));
                assert_eq!(fetch.records[0].stored, 10);
            }
        }
    }
}
