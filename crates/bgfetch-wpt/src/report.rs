//! Test results: lines for the user, and wptreport's JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The status of a page or a sub-test, with upstream's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// A page whose harness completed, whatever its sub-tests did.
    Ok,
    /// A page whose harness did not complete.
    Error,
    /// A sub-test that passed.
    Pass,
    /// A sub-test that failed.
    Fail,
    /// It did not end in time.
    Timeout,
    /// A sub-test that did not run because another one timed out.
    #[serde(rename = "NOTRUN")]
    NotRun,
    /// It needs an optional feature that is not supported.
    PreconditionFailed,
}

impl Status {
    /// A page's status, from the harness's number.
    pub(crate) fn of_harness(number: u64) -> Self {
        match number {
            0 => Self::Ok,
            2 => Self::Timeout,
            3 => Self::PreconditionFailed,
            _ => Self::Error,
        }
    }

    /// A sub-test's status, from the harness's number.
    pub(crate) fn of_subtest(number: u64) -> Self {
        match number {
            0 => Self::Pass,
            2 => Self::Timeout,
            3 => Self::NotRun,
            4 => Self::PreconditionFailed,
            _ => Self::Fail,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "OK",
            Self::Error => "ERROR",
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Timeout => "TIMEOUT",
            Self::NotRun => "NOTRUN",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
        })
    }
}

/// Why a sub-test is known to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The user agent does something else than the standard says.
    Bug,
    /// The user agent lacks a feature.
    NotImplemented,
    /// The test expects what the standard leaves open, or what docs/spec-issues.md says instead of
    /// the standard.
    Policy,
    /// The test server cannot do what the test needs.
    Server,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bug => "a bug",
            Self::NotImplemented => "a feature that is not implemented",
            Self::Policy => "another policy",
            Self::Server => "the test server",
        })
    }
}

/// The results of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct PageResult {
    /// The path and query of its URL.
    pub test: String,
    /// The status of its harness.
    pub status: Status,
    /// The message of its harness.
    pub message: Option<String>,
    /// How long it took.
    pub duration: Duration,
    /// Its sub-tests, in order.
    pub subtests: Vec<Subtest>,
    /// The errors on the consoles of its realms.
    pub errors: Vec<String>,
}

/// The result of a sub-test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtest {
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: Status,
    /// The message, if it failed.
    pub message: Option<String>,
}

impl PageResult {
    /// A page without results.
    pub(crate) fn without_results(test: String, status: Status, message: String) -> Self {
        let (duration, subtests, errors) = (Duration::ZERO, Vec::new(), Vec::new());
        Self { test, status, message: Some(message), duration, subtests, errors }
    }

    /// How many of its sub-tests passed.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.subtests.iter().filter(|subtest| subtest.status == Status::Pass).count()
    }
}

/// The lines of a page: its own, one for each sub-test, and the messages of failures.
impl fmt::Display for PageResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.duration.as_secs_f64();
        writeln!(f, "{:8}{} ({seconds:.1} s)", self.status, self.test)?;
        write_message(f, self.message.as_deref())?;
        for subtest in &self.subtests {
            writeln!(f, "  {:8}{}", subtest.status, subtest.name)?;
            if subtest.status != Status::Pass {
                write_message(f, subtest.message.as_deref())?;
            }
        }
        let failed = self.status != Status::Ok || self.passed() < self.subtests.len();
        for error in self.errors.iter().filter(|_| failed) {
            write_message(f, Some(&format!("console: {error}")))?;
        }
        Ok(())
    }
}

fn write_message(f: &mut fmt::Formatter<'_>, message: Option<&str>) -> fmt::Result {
    message.into_iter().flat_map(str::lines).try_for_each(|line| writeln!(f, "          {line}"))
}

/// A user agent that ran tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its name.
    pub name: String,
    /// Its version; empty if it is unknown.
    pub version: String,
}

/// The results of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// What ran the tests.
    pub product: Product,
    pub(crate) started: SystemTime,
    pub(crate) ended: SystemTime,
    /// The pages, in the order in which they ran.
    pub pages: Vec<PageResult>,
    /// Requested tests that are not run, with the reason.
    pub not_run: Vec<String>,
    /// How many sub-tests failed as expected, by the cause that their expectations give.
    pub known: BTreeMap<Cause, usize>,
    /// Descriptions of unexpected results. If there are none, the run is a success.
    pub surprises: Vec<String>,
}

impl Report {
    /// The report in the format of
    /// [wptreport](https://github.com/web-platform-tests/wpt/tree/master/tools/wptrunner).
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Product { name, version } = &self.product;
        json!({
            "run_info": { "product": name, "browser_version": version, "os": std::env::consts::OS },
            "time_start": milliseconds(self.started),
            "time_end": milliseconds(self.ended),
            "results": self.pages.iter().map(page_json).collect::<Vec<_>>(),
        })
    }
}

/// The totals, and the unexpected results.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for not_run in &self.not_run {
            writeln!(f, "not run: {not_run}")?;
        }
        for surprise in &self.surprises {
            writeln!(f, "unexpected: {surprise}")?;
        }
        let all: usize = self.pages.iter().map(|page| page.subtests.len()).sum();
        let passed: usize = self.pages.iter().map(PageResult::passed).sum();
        let pages = self.pages.len();
        for (cause, count) in &self.known {
            writeln!(f, "failed as expected: {count} because of {cause}")?;
        }
        let surprises = self.surprises.len();
        writeln!(f, "{passed} of {all} sub-tests passed in {pages} pages; {surprises} unexpected")
    }
}

fn page_json(page: &PageResult) -> Value {
    let subtest = |subtest: &Subtest| {
        json!({
            "name": subtest.name,
            "status": subtest.status,
            "message": subtest.message,
            "known_intermittent": [],
        })
    };
    json!({
        "test": page.test,
        "status": page.status,
        "message": page.message,
        "duration": u64::try_from(page.duration.as_millis()).unwrap_or(u64::MAX),
        "known_intermittent": [],
        "subtests": page.subtests.iter().map(subtest).collect::<Vec<_>>(),
    })
}

fn milliseconds(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> PageResult {
        let subtest = |name: &str, status, message: Option<&str>| Subtest {
            name: name.into(),
            status,
            message: message.map(str::to_owned),
        };
        PageResult {
            test: "/a.window.html".into(),
            status: Status::Ok,
            message: None,
            duration: Duration::from_millis(1500),
            subtests: vec![
                subtest("first", Status::Pass, None),
                subtest("second", Status::Fail, Some("assert_true: no\ngot false")),
                subtest("third", Status::NotRun, None),
            ],
            errors: vec!["Uncaught Error".into()],
        }
    }

    #[test]
    fn each_page_and_subtest_has_a_line() {
        let expected = "OK      /a.window.html (1.5 s)\n  PASS    first\n  FAIL    second\n          \
                        assert_true: no\n          got false\n  NOTRUN  third\n          \
                        console: Uncaught Error\n";
        assert_eq!(page().to_string(), expected);
    }

    #[test]
    fn the_report_is_wptreports() {
        let report = Report {
            product: Product { name: "chrome".into(), version: "1.2".into() },
            started: UNIX_EPOCH + Duration::from_secs(1),
            ended: UNIX_EPOCH + Duration::from_secs(3),
            pages: vec![page()],
            not_run: Vec::new(),
            known: BTreeMap::from([(Cause::Bug, 1)]),
            surprises: vec!["one".into()],
        };
        let json = report.to_json();
        assert_eq!(
            (json["time_start"].as_u64(), json["time_end"].as_u64()),
            (Some(1000), Some(3000))
        );
        let result = &json["results"][0];
        assert_eq!(result["test"], "/a.window.html");
        assert_eq!((&result["status"], &result["duration"]), (&json!("OK"), &json!(1500)));
        let names: Vec<_> = (0..3).map(|i| &result["subtests"][i]["status"]).collect();
        assert_eq!(names, ["PASS", "FAIL", "NOTRUN"]);
        assert_eq!(json["run_info"]["browser_version"], "1.2");
        let text = report.to_string();
        assert!(text.contains("failed as expected: 1 because of a bug\n"), "{text}");
        assert!(text.contains("1 of 3 sub-tests passed in 1 pages; 1 unexpected"));
    }
}
