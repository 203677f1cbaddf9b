//! Known failures, each with its reason.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use thiserror::Error;

use crate::report::{Cause, PageResult, Status};

/// The expected results of pages and sub-tests that do not pass; all others are expected to pass.
///
/// A JSON object: the ids of pages, each with `subtests` by name, and for each of those `expected`
/// (its status, or a list where it varies), `cause` and `reason`. A page whose harness fails has these
/// three itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Expectations(BTreeMap<String, Page>);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    expected: Option<Expected>,
    cause: Option<Cause>,
    reason: Option<String>,
    #[serde(default)]
    subtests: BTreeMap<String, Subtest>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subtest {
    expected: Expected,
    cause: Cause,
    reason: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Expected {
    Always(Status),
    /// One run ends like this and another like that.
    OneOf(Vec<Status>),
}

impl Expected {
    fn statuses(&self) -> &[Status] {
        match self {
            Self::Always(status) => std::slice::from_ref(status),
            Self::OneOf(statuses) => statuses,
        }
    }

    fn includes(&self, status: Status) -> bool {
        self.statuses().contains(&status)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.statuses().iter().map(Status::to_string).collect();
        f.write_str(&names.join(" or "))
    }
}

/// An expectations file is not valid.
#[derive(Debug, Error)]
pub enum ExpectationsError {
    /// It has the wrong format.
    #[error("the expectations cannot be read: {0}")]
    Form(#[from] serde_json::Error),
    /// An entry has no cause or no reason.
    #[error("the expectation for {0} has no cause or no reason")]
    NoReason(String),
}

impl Expectations {
    /// Reads an expectations file.
    ///
    /// # Errors
    ///
    /// When it has the wrong format, or an entry has no cause or no reason.
    pub fn parse(text: &str) -> Result<Self, ExpectationsError> {
        let expectations: Self = serde_json::from_str(text)?;
        for (test, page) in &expectations.0 {
            let unreasoned =
                |reason: Option<&str>| reason.is_none_or(|text| text.trim().is_empty());
            let is_named = page.cause.is_some() && !unreasoned(page.reason.as_deref());
            if page.expected.is_some() && !is_named {
                return Err(ExpectationsError::NoReason(test.clone()));
            }
            for (name, subtest) in &page.subtests {
                if unreasoned(Some(&subtest.reason)) {
                    return Err(ExpectationsError::NoReason(format!("{test}: {name}")));
                }
            }
        }
        Ok(expectations)
    }

    /// The unexpected results: a failure that is not listed, a result other than the listed one, or
    /// a listed test that did not run although its page was requested.
    pub(crate) fn surprises(
        &self,
        results: &[PageResult],
        was_asked_for: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let mut surprises = Vec::new();
        for result in results {
            self.compare(result, &mut surprises);
        }
        for test in self.0.keys() {
            if was_asked_for(test) && !results.iter().any(|result| result.test == *test) {
                surprises.push(format!("{test} did not run"));
            }
        }
        surprises
    }

    /// How many sub-tests failed as listed, by cause.
    pub(crate) fn known(&self, results: &[PageResult]) -> BTreeMap<Cause, usize> {
        let mut known = BTreeMap::new();
        for result in results {
            let listed = self.0.get(&result.test).map(|page| &page.subtests);
            for subtest in &result.subtests {
                let expectation = listed.and_then(|listed| listed.get(&subtest.name));
                if let Some(expectation) = expectation
                    && subtest.status != Status::Pass
                    && expectation.expected.includes(subtest.status)
                {
                    *known.entry(expectation.cause).or_default() += 1;
                }
            }
        }
        known
    }

    fn compare(&self, result: &PageResult, surprises: &mut Vec<String>) {
        let test = &result.test;
        let page = self.0.get(test);
        let ok = Expected::Always(Status::Ok);
        let expected = page.and_then(|page| page.expected.as_ref()).unwrap_or(&ok);
        if !expected.includes(result.status) {
            surprises.push(format!("{test} is {}, not {expected}", result.status));
        }
        let listed = page.map(|page| &page.subtests);
        let pass = Expected::Always(Status::Pass);
        for subtest in &result.subtests {
            let known = listed.and_then(|listed| listed.get(&subtest.name));
            let expected = known.map_or(&pass, |known| &known.expected);
            if !expected.includes(subtest.status) {
                let (name, status) = (&subtest.name, subtest.status);
                surprises.push(format!("{test}: \"{name}\" is {status}, not {expected}"));
            }
        }
        for name in listed.into_iter().flat_map(BTreeMap::keys) {
            if !result.subtests.iter().any(|subtest| subtest.name == *name) {
                surprises.push(format!("{test}: \"{name}\" did not run"));
            }
        }
        if result.status == Status::Ok && result.subtests.is_empty() {
            surprises.push(format!("{test} has no sub-tests"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report;
    use std::time::Duration;

    const KNOWN: &str = r#"{
        "/a.window.html": {
            "subtests": { "fails": { "expected": "FAIL", "cause": "bug", "reason": "It cannot pass." } }
        }
    }"#;

    fn page(test: &str, subtests: &[(&str, Status)]) -> PageResult {
        let subtest = |(name, status): &(&str, Status)| report::Subtest {
            name: (*name).into(),
            status: *status,
            message: None,
        };
        PageResult {
            test: test.into(),
            status: Status::Ok,
            message: None,
            duration: Duration::ZERO,
            subtests: subtests.iter().map(subtest).collect(),
            errors: Vec::new(),
        }
    }

    fn surprises(results: &[PageResult]) -> Vec<String> {
        Expectations::parse(KNOWN).unwrap().surprises(results, |_| true)
    }

    #[test]
    fn known_failures_are_no_surprise() {
        let results =
            [page("/a.window.html", &[("passes", Status::Pass), ("fails", Status::Fail)])];
        assert_eq!(surprises(&results), [] as [String; 0]);
    }

    #[test]
    fn known_failures_are_counted_by_their_cause() {
        let known = Expectations::parse(KNOWN).unwrap();
        let of = |status| known.known(&[page("/a.window.html", &[("fails", status)])]);
        assert_eq!(of(Status::Fail), BTreeMap::from([(Cause::Bug, 1)]));
        assert_eq!(of(Status::Timeout), BTreeMap::new());
    }

    #[test]
    fn a_result_that_varies_is_one_of_those_listed() {
        let varies =
            Expectations::parse(&KNOWN.replace("\"FAIL\"", "[\"PASS\", \"FAIL\"]")).unwrap();
        let end = |status| {
            let results = [page("/a.window.html", &[("fails", status)])];
            (varies.surprises(&results, |_| true), varies.known(&results))
        };
        assert_eq!(end(Status::Pass), (vec![], BTreeMap::new()));
        assert_eq!(end(Status::Fail), (vec![], BTreeMap::from([(Cause::Bug, 1)])));
        let surprise = "/a.window.html: \"fails\" is TIMEOUT, not PASS or FAIL";
        assert_eq!(end(Status::Timeout), (vec![surprise.to_owned()], BTreeMap::new()));
    }

    #[test]
    fn what_is_not_as_listed_is_a_surprise() {
        for (subtests, expected) in [
            (&[("fails", Status::Pass)][..], "\"fails\" is PASS, not FAIL"),
            (&[("fails", Status::Timeout)], "\"fails\" is TIMEOUT, not FAIL"),
            (
                &[("fails", Status::Fail), ("other", Status::NotRun)],
                "\"other\" is NOTRUN, not PASS",
            ),
            (&[("other", Status::Pass)], "\"fails\" did not run"),
        ] {
            let found = surprises(&[page("/a.window.html", subtests)]);
            assert_eq!(found, [format!("/a.window.html: {expected}")]);
        }
    }

    #[test]
    fn a_harness_that_fails_is_a_surprise() {
        let mut failed = page("/b.html", &[]);
        failed.status = Status::Error;
        let found = Expectations::default().surprises(&[failed.clone()], |_| true);
        assert_eq!(found, ["/b.html is ERROR, not OK"]);
        let known = r#"{"/b.html": {"expected": "ERROR", "cause": "policy", "reason": "It has no scripts."}}"#;
        let known = Expectations::parse(known).unwrap();
        assert_eq!(known.surprises(&[failed], |_| true), [] as [String; 0]);
    }

    #[test]
    fn a_page_without_results_is_a_surprise() {
        let found = Expectations::default().surprises(&[page("/b.html", &[])], |_| true);
        assert_eq!(found, ["/b.html has no sub-tests"]);
    }

    #[test]
    fn a_listed_page_must_run_where_it_was_asked_for() {
        assert_eq!(surprises(&[]), ["/a.window.html did not run"]);
        let other = Expectations::parse(KNOWN).unwrap().surprises(&[], |_| false);
        assert_eq!(other, [] as [String; 0]);
    }

    #[test]
    fn each_expectation_has_a_cause_and_a_reason() {
        let known = |subtest| format!(r#"{{"/a": {{"subtests": {{"b": {subtest}}}}}}}"#);
        let blank = known(r#"{"expected": "FAIL", "cause": "bug", "reason": " "}"#);
        let failed = Expectations::parse(&blank).unwrap_err().to_string();
        assert_eq!(failed, "the expectation for /a: b has no cause or no reason");
        let uncaused = known(r#"{"expected": "FAIL", "reason": "It fails."}"#);
        assert!(Expectations::parse(&uncaused).is_err());
        assert!(Expectations::parse(r#"{"/a": {"expected": "ERROR"}}"#).is_err());
        let uncaused = r#"{"/a": {"expected": "ERROR", "reason": "It has no scripts."}}"#;
        assert!(Expectations::parse(uncaused).is_err());
        assert!(Expectations::parse(r#"{"/a": {"unknown": 1}}"#).is_err());
    }
}
