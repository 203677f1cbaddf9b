//! The ways in which the servers of a soak behave.

use std::time::Duration;

use bgfetch_testkit::{Coding, Gate, KIB, Origin, Reply, Resource, Script, Serve};

use crate::app::{Outcome, Planned};

/// What a fault is made of.
struct Case {
    path: String,
    /// The right bytes, with a strong validator.
    film: Resource,
    /// The same bytes without one.
    bare: Resource,
    /// What replaces them.
    other: Resource,
    /// An offset in the middle of the film.
    cut: u64,
    /// Bytes per second.
    pace: u64,
}

/// A fault: what the server does, and what comes of it.
struct Fault {
    script: Script,
    /// A second path, and what is served there.
    elsewhere: Option<(String, Script)>,
    /// The length of the request's body, if it has one.
    upload: Option<u64>,
    sent: Vec<Resource>,
    outcomes: Vec<Outcome>,
}

/// Faults that pass within seconds.
const FAULTS: &[fn(&Case) -> Fault] = &[
    |c| c.right(c.film()),
    |c| c.right(c.film().chunked()),
    |c| c.right(c.film().paced(c.film.length().div_ceil(4))),
    |c| c.whole(Resource::new(0, 0)),
    |c| c.right(c.film().cut_after(c.cut).then(c.film())),
    |c| c.right(c.film().cut_after(0).then(c.film())),
    |c| c.right(c.film().cut_after(c.film.length() - 1).then(c.film())),
    |c| c.right(c.film().cut_after(c.cut).then(c.film().cut_after(1)).then(c.film())),
    |c| c.right(c.film().reset_after(c.cut).then(c.film())),
    |c| c.right(c.film().chunked().cut_after(c.cut).then(c.film())),
    |c| c.right(c.film().chunked().reset_after(c.cut).then(c.film().chunked())),
    |c| c.right(Reply::hang_up().then(c.film())),
    |c| c.right(c.film().cut_after(c.cut).then(Reply::hang_up()).then(c.film())),
    // Lengths.
    |c| c.right(c.longer().cut_after(c.film.length()).then(c.film())),
    |c| c.right(c.film().cut_after(c.cut).then(c.longer().cut_after(c.cut)).then(c.film())),
    // Validators.
    |c| c.right(c.without_validator().cut_after(c.cut).then(c.without_validator())),
    |c| c.right(c.with_weak().cut_after(c.cut).then(c.with_weak())),
    |c| c.replaced(c.film().cut_after(c.cut).then(c.other())),
    |c| c.replaced(c.film().cut_after(c.cut).then(c.other().ignoring_if_range()).then(c.other())),
    |c| c.replaced(c.film().reset_after(c.cut).then(c.other().cut_after(1)).then(c.other())),
    // Ranges.
    |c| c.right(c.film().cut_after(c.cut).then(c.film().ignoring_range())),
    |c| c.right(c.film().cut_after(c.cut).then(c.film().refusing_range())),
    |c| c.right(c.film().cut_after(c.cut).then(c.film().shifting_range(1)).then(c.film())),
    |c| c.right(c.film().cut_after(c.cut).then(c.film().shifting_range(-1)).then(c.film())),
    |c| c.right(c.film().cut_after(c.cut).then(c.film().hiding_complete_length())),
    |c| {
        let claim = c.film().claiming_complete_length(c.film.length() + 1);
        c.right(c.film().cut_after(c.cut).then(claim).then(c.film()))
    },
    |c| c.right(c.film().cut_after(c.cut).then(c.film().content_range("bytes x")).then(c.film())),
    |c| {
        let third = c.film.length().div_ceil(3);
        c.right(c.film().cut_after(c.cut).then(c.film().at_most_per_range(third)))
    },
    // Codings.
    |c| c.right(c.film().coded(Coding::Gzip)),
    |c| c.right(c.film().coded(Coding::Zstd).cut_after(1).then(c.film().coded(Coding::Zstd))),
    |c| c.right(c.film().coded(Coding::Brotli).reset_after(c.cut).then(c.film())),
    // Statuses.
    |c| c.right(c.status(503).then(c.film())),
    |c| c.right(c.film().cut_after(c.cut).then(c.status(500)).then(c.film())),
    |c| c.right(c.status(429).retry_after(Duration::from_secs(1)).then(c.film())),
    |c| c.bad_status(c.status(404), 404),
    |c| c.bad_status(c.film().cut_after(c.cut).then(c.status(410)), 410),
    // Redirects.
    |c| c.redirected("/film", c.film().cut_after(c.cut).then(c.film())),
    |c| c.error(c.allowing(Reply::redirect(302, &c.path))),
    // No approval.
    |c| c.error(c.film.clone()),
    // Uploads.
    |c| Fault { upload: Some(c.cut), ..c.right(c.film()) },
    |c| Fault { upload: Some(c.cut), ..c.error(c.film().reset_upload_after(c.cut)) },
];

/// Faults that pass when the program's patience ends, after 30 and 60 s.
const SLOW: &[fn(&Case) -> Fault] = &[
    |c| c.right(c.film().stall_after(c.cut).then(c.film())),
    |c| c.right(c.film().hold_head(&Gate::new()).then(c.film())),
];

/// How many files have one of the [`SLOW`] faults, in percent.
const SLOW_SHARE: f64 = 1.0;

/// How many of the other files have no fault, in percent.
const FAULTLESS_SHARE: f64 = 30.0;

impl Case {
    fn new(rng: &mut fastrand::Rng, path: &str) -> Self {
        // From some bytes to 512 KiB, small ones as often as large ones.
        let length = 2 << rng.u32(2..18);
        let length = rng.u64(length..2 * length);
        // A fifth of a second to two.
        let pace = (length as f64 / (0.2 + 1.8 * rng.f64())) as u64 + 1;
        let bare = Resource::new(rng.u64(..), length);
        Self {
            path: path.into(),
            film: bare.clone().etag("\"1\""),
            bare,
            other: Resource::new(rng.u64(..), length + 7).etag("\"2\""),
            cut: rng.u64(1..length),
            pace: pace.max(16 * KIB),
        }
    }

    /// A reply that the page may read although it is of another origin.
    fn allowing(&self, reply: impl Into<Reply>) -> Reply {
        let reply: Reply = reply.into();
        reply.header("access-control-allow-origin", "*")
    }

    fn film(&self) -> Reply {
        self.allowing(self.film.clone().paced(self.pace))
    }

    fn other(&self) -> Reply {
        self.allowing(self.other.clone().paced(self.pace))
    }

    fn without_validator(&self) -> Reply {
        self.allowing(self.bare.clone().paced(self.pace))
    }

    fn with_weak(&self) -> Reply {
        self.allowing(self.bare.clone().etag("W/\"1\"").paced(self.pace))
    }

    /// A reply that announces more than there is.
    fn longer(&self) -> Reply {
        self.film().header("content-length", (self.film.length() + 10).to_string())
    }

    fn status(&self, status: u16) -> Reply {
        self.allowing(Reply::status(status))
    }

    fn right(&self, script: impl Into<Script>) -> Fault {
        Fault {
            script: script.into(),
            elsewhere: None,
            upload: None,
            sent: vec![self.film.clone()],
            outcomes: vec![Outcome::Bytes(self.film.clone())],
        }
    }

    fn replaced(&self, script: impl Into<Script>) -> Fault {
        Fault {
            sent: vec![self.film.clone(), self.other.clone()],
            outcomes: vec![Outcome::Bytes(self.other.clone())],
            ..self.right(script)
        }
    }

    fn whole(&self, resource: Resource) -> Fault {
        let outcomes = vec![Outcome::Bytes(resource.clone())];
        Fault { outcomes, ..self.right(self.allowing(resource)) }
    }

    fn bad_status(&self, script: impl Into<Script>, status: u16) -> Fault {
        Fault { outcomes: vec![Outcome::Status(status)], ..self.right(script) }
    }

    fn error(&self, script: impl Into<Script>) -> Fault {
        Fault { sent: Vec::new(), outcomes: vec![Outcome::Error], ..self.right(script) }
    }

    fn redirected(&self, below: &str, script: impl Into<Script>) -> Fault {
        let target = format!("{}{below}", self.path);
        let redirect = self.allowing(Reply::redirect(307, &target));
        Fault { elsewhere: Some((target, script.into())), ..self.right(redirect) }
    }
}

/// What may happen to the files of a batch.
#[derive(Clone, Copy)]
pub(super) struct Conditions {
    /// Whether faults that take long are allowed.
    pub(super) slow: bool,
    /// Whether an upload may fail for another reason than its own fault.
    pub(super) uploads_may_fail: bool,
}

/// Serves a file with a random fault.
pub(super) fn file(
    rng: &mut fastrand::Rng,
    origin: &Origin,
    path: &str,
    conditions: Conditions,
) -> Planned {
    let case = Case::new(rng, path);
    let percent = 100.0 * rng.f64();
    let fault = if conditions.slow && percent < SLOW_SHARE {
        SLOW[rng.usize(..SLOW.len())](&case)
    } else if percent > 100.0 - FAULTLESS_SHARE {
        FAULTS[0](&case)
    } else {
        FAULTS[rng.usize(..FAULTS.len())](&case)
    };
    let Fault { script, elsewhere, upload, sent, mut outcomes } = fault;
    origin.serve(path, script);
    if let Some((path, script)) = elsewhere {
        origin.serve(path, script);
    }
    if upload.is_some() && conditions.uploads_may_fail {
        outcomes.push(Outcome::Error);
    }
    Planned { url: origin.url(path).into(), upload, sent, outcomes }
}
