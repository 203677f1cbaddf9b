//! Servers with faults, and what downloaders make of them.
//!
//! Without arguments, this is a test: `bgfetch get` must end right with each fault of the
//! [table](table), which means with the right bytes, or with a failure that names the true reason.
//! `--beside` also runs curl, wget2 and aria2 with options for a download that has to succeed, and
//! prints the table of docs/fault-matrix.md; `--explain` shows what they printed where they are not
//! right. Other arguments select faults by parts of their names.
//!
//! It is not a test of [`libtest`](https://doc.rust-lang.org/rustc/tests/index.html) because the
//! table is its output.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod clients;
mod fault;
mod report;
mod run;
mod table;

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use self::clients::{Client, OTHERS, OURS};
use self::fault::Fault;
use self::run::{Run, Verdict, run};

/// How many downloads run at a time. Most of them wait most of the time.
const AT_A_TIME: usize = 16;

/// How one client got on with one fault.
pub(crate) struct Outcome {
    pub(crate) run: Run,
    pub(crate) verdict: Verdict,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (options, names): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|argument| argument.starts_with('-'));
    let mut faults = table::table();
    let is_all = names.is_empty();
    faults.retain(|fault| is_all || names.iter().any(|name| fault.name.contains(name.as_str())));
    let mut clients = vec![OURS];
    let beside = options.iter().any(|option| option.as_str() == "--beside");
    if beside {
        clients.extend(OTHERS);
    }
    let results = run_all(&faults, &clients);
    if beside {
        print!("{}", report::markdown(&faults, &clients, &results));
    }
    let explain = options.iter().any(|option| option.as_str() == "--explain");
    let mut wrong = 0;
    for (fault, results) in faults.iter().zip(&results) {
        for (client, outcome) in clients.iter().zip(results) {
            let Some(Outcome { run, verdict }) = outcome else { continue };
            let is_wrong = *verdict != Verdict::RIGHT;
            wrong += usize::from(is_wrong && client.name == OURS.name);
            if is_wrong && (explain || client.name == OURS.name) {
                eprintln!("{}: {}: {verdict:?}\n{run}", client.name, fault.name);
            }
        }
    }
    if is_all {
        wrong += report::undocumented(&faults);
    }
    eprintln!("{} faults of servers, {wrong} wrong", faults.len());
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The results by fault and client; none where the client cannot meet the fault.
fn run_all(faults: &[Fault], clients: &[Client]) -> Vec<Vec<Option<Outcome>>> {
    let mut results: Vec<Vec<Option<Outcome>>> = Vec::new();
    results.resize_with(faults.len(), || clients.iter().map(|_| None).collect());
    let next = AtomicUsize::new(0);
    let (report, reports) = channel();
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            let (report, next) = (report.clone(), &next);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let (row, column) = (number / clients.len(), number % clients.len());
                    let Some(fault) = faults.get(row) else { return };
                    let client = &clients[column];
                    if client.meets(fault) {
                        let run = run(fault, client);
                        let verdict = Verdict::of(fault, client, &run);
                        report.send((row, column, Outcome { run, verdict })).unwrap();
                    }
                }
            });
        }
        drop(report);
        for (row, column, result) in reports {
            results[row][column] = Some(result);
        }
    });
    results
}
