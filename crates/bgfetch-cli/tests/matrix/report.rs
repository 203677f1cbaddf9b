//! The results as a table.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::clients::Client;
use crate::fault::Fault;
use crate::run::{Bytes, Verdict};

/// The commands and the table, in Markdown.
pub(crate) fn markdown(
    faults: &[Fault],
    clients: &[Client],
    results: &[Vec<Option<Outcome>>],
) -> String {
    let mut text = String::new();
    for client in clients {
        writeln!(text, "- {} {}: `{}`", client.name, client.version(), client.shown()).unwrap();
    }
    let names: Vec<&str> = clients.iter().map(|client| client.name).collect();
    writeln!(text, "\n| The server | {} |", names.join(" | ")).unwrap();
    writeln!(text, "|---|{}", "---|".repeat(clients.len())).unwrap();
    for (fault, results) in faults.iter().zip(results) {
        let cells: Vec<String> = results.iter().map(|it| cell(it.as_ref())).collect();
        writeln!(text, "| {} | {} |", fault.name, cells.join(" | ")).unwrap();
    }
    let column = |column: usize| results.iter().filter_map(move |row| row[column].as_ref());
    let mut total = |name: &str, value: &dyn Fn(usize) -> String| {
        let values: Vec<String> = (0..clients.len()).map(value).collect();
        writeln!(text, "| **{name}** | {} |", values.join(" | ")).unwrap();
    };
    let count = |index, holds: fn(&Verdict) -> bool| {
        let right = column(index).filter(|result| holds(&result.verdict)).count();
        format!("{right} of {}", column(index).count())
    };
    total("right bytes", &|index| count(index, |it| it.bytes == Bytes::Right));
    total("wrong bytes", &|index| count(index, |it| it.bytes == Bytes::Wrong));
    total("true exit code and reason", &|index| count(index, |it| it.tells_truth));
    total("sent", &|index| kilobytes(column(index).map(|result| result.run.sent).sum()));
    text
}

fn cell(result: Option<&Outcome>) -> String {
    let Some(Outcome { run, verdict }) = result else { return String::new() };
    let bytes = match verdict.bytes {
        Bytes::Right => "✓",
        Bytes::Missing => "–",
        Bytes::Wrong => "✗",
    };
    let reason = if verdict.tells_truth { "✓" } else { "✗" };
    format!("{bytes} {reason} {}", kilobytes(run.sent))
}

fn kilobytes(bytes: u64) -> String {
    format!("{} kB", bytes.div_ceil(1000))
}

/// Names the faults that the document does not contain, and returns their number.
pub(crate) fn undocumented(faults: &[Fault]) -> usize {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fault-matrix.md");
    let document = fs::read_to_string(document).unwrap();
    let is_missing = |fault: &&Fault| !document.contains(&format!("| {} |", fault.name));
    let missing = faults.iter().filter(is_missing);
    missing.inspect(|fault| eprintln!("not in docs/fault-matrix.md: {}", fault.name)).count()
}
