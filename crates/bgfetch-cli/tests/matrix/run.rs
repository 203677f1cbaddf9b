//! One download from one server, and whether it ended right.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::io::{Read as _, pipe};
use std::path::Path;
use std::process::Stdio;
use std::sync::LazyLock;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use bgfetch_testkit::Origin;

use crate::clients::{Client, Place};
use crate::fault::{Fault, Site, Transport};
use crate::table::representations;

/// How long a client may run, in real time.
const LIMIT: Duration = Duration::from_secs(60);

/// How often the servers are looked at while a client runs.
const TICK: Duration = Duration::from_millis(50);

/// How long a server is away.
const OUTAGE: Duration = Duration::from_secs(2);

/// After this many requests with a fault that lasts, a client that goes on for minutes has shown
/// what it does.
const ENOUGH_REQUESTS: usize = 4;

/// How a download ended.
pub(crate) struct Run {
    /// The client's exit code, or none if it was stopped while it was still trying.
    code: Option<i32>,
    /// The file under its name.
    saved: Option<Vec<u8>>,
    /// All files that the client left, which includes unfinished ones.
    left: Vec<Vec<u8>>,
    /// What the client printed.
    output: String,
    /// How many bytes the servers sent.
    pub(crate) sent: u64,
    /// The requests, for people.
    requests: String,
}

impl Display for Run {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { code, saved, output, requests, .. } = self;
        let saved = saved.as_ref().map(Vec::len);
        write!(f, "exit code {code:?}, saved {saved:?} bytes\n{output}{requests}")
    }
}

/// Downloads from a server with the fault.
pub(crate) fn run(fault: &Fault, client: &Client) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let (out, state) = (folder.path().join("out"), folder.path().join("state"));
    let roots = folder.path().join("roots.pem");
    fs::create_dir(&out).unwrap();
    fs::create_dir(&state).unwrap();
    let site = fault.start();
    fs::write(&roots, trusted(fault, &site)).unwrap();
    let mut url = site.origin.url(fault.path);
    if let Some(host) = fault.host {
        url.set_host(Some(host)).unwrap();
    }
    let place = Place { out: &out, state: &state, roots: &roots };
    let mut command = client.command(url.as_str(), fault.file_name(), &place);

    let (mut reader, writer) = pipe().unwrap();
    let errors = writer.try_clone().unwrap();
    command.stdin(Stdio::null()).stdout(writer).stderr(errors);
    let mut outage = Outage::new(fault, &site);
    let mut child = command.spawn().unwrap();
    // The pipe ends when nobody else holds the end for writing.
    drop(command);
    let (printed, ended) = channel();
    std::thread::spawn(move || {
        let mut output = Vec::new();
        reader.read_to_end(&mut output).unwrap();
        // Nobody waits any more after a panic.
        printed.send(output).unwrap_or_default();
    });
    let deadline = Instant::now() + LIMIT;
    let mut stopped = false;
    let output = loop {
        match ended.recv_timeout(TICK) {
            Ok(output) => break output,
            Err(RecvTimeoutError::Disconnected) => panic!("the output cannot be read"),
            Err(RecvTimeoutError::Timeout) => {}
        }
        outage.update();
        let goes_on = fault.is_lasting && client.goes_on_for_minutes;
        let has_shown = goes_on && site.origin.requests().len() >= ENOUGH_REQUESTS;
        if !stopped && (has_shown || Instant::now() > deadline) {
            stopped = true;
            child.kill().unwrap();
        }
    };
    let code = child.wait().unwrap().code();
    // Only then have they counted all bytes.
    site.origin.stop();
    site.elsewhere.stop();
    let mut left = files(&out);
    left.extend(files(&state.join("store/bodies")));
    let lines: Vec<String> = site.origin.requests().iter().map(|it| format!("{it:?}\n")).collect();
    Run {
        code: if stopped { None } else { Some(code.unwrap_or(-1)) },
        saved: fs::read(out.join(fault.file_name())).ok(),
        left,
        // Numbers of ports could be taken for statuses.
        output: String::from_utf8_lossy(&output)
            .replace(&site.origin.address().to_string(), "HOST"),
        sent: site.origin.bytes_written() + site.elsewhere.bytes_written(),
        requests: lines.concat(),
    }
}

/// The root certificates that the client trusts.
fn trusted(fault: &Fault, site: &Site) -> String {
    // For clients that want at least one.
    static OTHER: LazyLock<String> =
        LazyLock::new(|| Origin::start_tls().certificates().root_pem().to_owned());
    match fault.transport {
        Transport::Plain | Transport::Untrusted => OTHER.clone(),
        Transport::Tls | Transport::Http2 => site.origin.certificates().root_pem().to_owned(),
    }
}

/// The contents of all files in a folder and below, if it exists; without aria2's notes of what is
/// missing.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut contents = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            contents.extend(files(&path));
        } else if path.extension().is_none_or(|extension| extension != "aria2") {
            contents.push(fs::read(&path).unwrap());
        }
    }
    contents
}

/// Some time in which the server has no connections and refuses new ones.
struct Outage<'a> {
    site: &'a Site,
    /// After how many bytes of bodies it begins, if it has not begun.
    after: Option<u64>,
    end: Option<Instant>,
}

impl<'a> Outage<'a> {
    fn new(fault: &Fault, site: &'a Site) -> Self {
        let mut outage = Self { site, after: fault.outage, end: None };
        outage.update();
        outage
    }

    fn update(&mut self) {
        let sent = || self.site.origin.requests().iter().map(|it| it.sent).sum::<u64>();
        if self.after.is_some_and(|after| sent() >= after) {
            self.site.origin.stop();
            self.after = None;
            self.end = Some(Instant::now() + OUTAGE);
        } else if self.end.is_some_and(|end| Instant::now() >= end) {
            self.site.origin.start_again();
            self.end = None;
        }
    }
}

/// What a run is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) bytes: Bytes,
    /// Whether its exit code and its words are true.
    pub(crate) tells_truth: bool,
}

/// The bytes that a run has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bytes {
    /// Those of the file, or rightly none.
    Right,
    /// None, although the client could have got them.
    Missing,
    /// Others than the server has, or the download is called complete and is not.
    Wrong,
}

impl Verdict {
    pub(crate) const RIGHT: Self = Self { bytes: Bytes::Right, tells_truth: true };

    pub(crate) fn of(fault: &Fault, client: &Client, run: &Run) -> Self {
        let claims_success = run.code == Some(0);
        if claims_success && fault.right.contains(&run.saved.clone().unwrap_or_default()) {
            return Self::RIGHT;
        }
        let is_part = |left: &Vec<u8>| representations().iter().any(|it| it.starts_with(left));
        let bytes = if claims_success && run.saved.is_some() || !run.left.iter().all(is_part) {
            Bytes::Wrong
        } else if fault.right.is_empty() || fault.may_fail {
            Bytes::Right
        } else {
            Bytes::Missing
        };
        if claims_success {
            return Self { bytes, tells_truth: false };
        }
        let reason = client.reason(&run.output).to_lowercase();
        let names_cause = fault.causes.iter().any(|word| reason.contains(&word.to_lowercase()));
        let may_go_on = run.code.is_some() || fault.is_lasting;
        Self { bytes, tells_truth: names_cause && may_go_on }
    }
}
