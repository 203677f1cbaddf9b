//! The results that the harness in a page reports.

use std::time::Duration;

use serde::Deserialize;

use crate::report::{PageResult, Status, Subtest};

/// The report of testharnessreport.js.
#[derive(Debug, Deserialize)]
pub(super) struct Results {
    status: u64,
    message: Option<String>,
    subtests: Vec<SubtestResult>,
}

#[derive(Debug, Deserialize)]
struct SubtestResult {
    name: String,
    status: u64,
    message: Option<String>,
}

impl Results {
    pub(super) fn into_page(self, test: String) -> PageResult {
        let subtest = |subtest: SubtestResult| Subtest {
            name: subtest.name,
            status: Status::of_subtest(subtest.status),
            message: subtest.message,
        };
        PageResult {
            test,
            status: Status::of_harness(self.status),
            message: self.message,
            duration: Duration::ZERO,
            subtests: self.subtests.into_iter().map(subtest).collect(),
            errors: Vec::new(),
        }
    }
}

/// Why there are no results, for the user.
pub(super) type NoResults = (Status, String);

pub(super) fn failed(error: impl ToString) -> NoResults {
    (Status::Error, error.to_string())
}

pub(super) fn timed_out(limit: Duration) -> NoResults {
    (Status::Timeout, format!("there were no results within {} s", limit.as_secs()))
}

/// The result of a page, with results or without.
pub(super) fn page_result(test: &str, results: Result<Results, NoResults>) -> PageResult {
    match results {
        Ok(results) => results.into_page(test.to_owned()),
        Err((status, message)) => PageResult::without_results(test.to_owned(), status, message),
    }
}
