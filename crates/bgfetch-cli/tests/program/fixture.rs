//! The program under test: it is spawned, its output is read, and it never outlives its test.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use bgfetch_testkit::{DEADLINE, Gate, MIB, Resource};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_bgfetch");

/// The store and the output directory of a test.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// In memory, if the system has a folder for that: for very many files, whose syncs would take
    /// long on a busy disk.
    pub(crate) fn in_memory() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self { dir: dir.unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    pub(crate) fn out(&self, file: &str) -> PathBuf {
        self.path("out").join(file)
    }

    /// The names in the output directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("out")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// `get` with this place's directories, with JSON events.
    pub(crate) fn get<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.get_plain(arguments);
        command.arg("--json");
        command
    }

    /// `get` without a terminal and without JSON.
    pub(crate) fn get_plain<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        self.get_by(Command::new(PROGRAM), arguments)
    }

    /// `get`, started by a command that runs the program in another environment.
    pub(crate) fn get_by<S: AsRef<OsStr>>(
        &self,
        mut command: Command,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        command.arg("get").args(arguments);
        command.arg("--out").arg(self.path("out"));
        command.arg("--store").arg(self.store());
        command
    }

    /// Another command on this place's store.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).arg("--store").arg(self.store());
        command
    }

    /// The same, run to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Running::spawn(self.command(arguments)).end()
    }

    /// The only stored response body, by its file.
    pub(crate) fn body(&self) -> PathBuf {
        let mut found = self.bodies();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    /// The files of all bodies in the store.
    pub(crate) fn bodies(&self) -> Vec<PathBuf> {
        let files = |path: &Path| -> Vec<PathBuf> {
            let entries = std::fs::read_dir(path).unwrap();
            entries.map(|entry| entry.unwrap().path()).collect()
        };
        files(&self.store().join("bodies")).iter().flat_map(|fetch| files(fetch)).collect()
    }
}

/// Asks again and again until it holds.
///
/// # Panics
///
/// If it takes too long.
pub(crate) fn wait_until(mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "waited in vain");
    }
}

/// A resource that can be resumed; its first response stops in the middle until the gate opens.
pub(crate) fn held_film(seed: u64) -> (Resource, Gate) {
    let film = Resource::new(seed, 2 * MIB).etag(format!("\"{seed}\""));
    (film, Gate::new())
}

/// A running program whose lines are kept.
pub(crate) struct Running {
    child: Child,
    lines: Arc<Lines>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Lines {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Debug, Default)]
struct State {
    stdout: Vec<String>,
    stderr: Vec<String>,
    ended: usize,
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

impl Running {
    pub(crate) fn spawn(mut command: Command) -> Self {
        // The tests' servers are on this machine, whatever proxies it uses.
        for name in ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            if command.get_envs().all(|(set, _)| set != name) {
                command.env_remove(name);
            }
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::<Lines>::default();
        let readers = vec![
            read(child.stdout.take().unwrap(), &lines, |state| &mut state.stdout),
            read(child.stderr.take().unwrap(), &lines, |state| &mut state.stderr),
        ];
        Self { child, lines, readers }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn child(&self) -> &Child {
        &self.child
    }

    /// Waits for a line on standard output.
    pub(crate) fn line(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.wait(|state| state.stdout.iter().find(|line| wanted(line)).cloned())
    }

    /// Waits for a JSON event.
    pub(crate) fn event(&self, name: &str) -> Value {
        let is_wanted = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap();
            event["event"] == name
        };
        serde_json::from_str(&self.line(is_wanted)).unwrap()
    }

    /// Waits until bytes have arrived, according to the JSON events.
    pub(crate) fn downloading(&self) {
        self.line(|line| {
            let event: Value = serde_json::from_str(line).unwrap();
            event["downloaded"].as_u64().unwrap() > 0
        });
    }

    fn wait<T>(&self, look: impl Fn(&State) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.lines.state.lock().unwrap();
        loop {
            if let Some(found) = look(&state) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain: {state:#?}");
            assert!(state.ended < 2, "the program ended before: {state:#?}");
            state = self.lines.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Sends the signal with that name.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success());
    }

    /// Takes the lines on standard output that have come so far.
    #[cfg(all(feature = "js", target_os = "linux"))]
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.state.lock().unwrap().stdout)
    }

    /// Waits until it has ended, but not longer than this. Returns whether it has.
    #[cfg(all(feature = "js", target_os = "linux"))]
    pub(crate) fn ends_within(&self, time: std::time::Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.lines.state.lock().unwrap();
        while state.ended < 2 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.lines.changed.wait_timeout(state, left).unwrap().0;
        }
        true
    }

    /// Kills it without warning.
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.end()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        // Both streams end with the process.
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.lines.state.lock().unwrap();
        while state.ended < 2 {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the program does not end: {state:#?}");
            state = self.lines.changed.wait_timeout(state, left).unwrap().0;
        }
        let State { stdout, stderr, .. } = state.clone();
        drop(state);
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let code = self.child.wait().unwrap().code();
        Ended { code, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Ended {
    /// The only line on standard error of a program that failed with this code.
    pub(crate) fn refusal(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert_eq!(self.stderr.len(), 1, "{self:#?}");
        let line = self.stderr[0].strip_prefix("bgfetch: ");
        line.unwrap_or_else(|| panic!("{self:#?}"))
    }

    /// The standard output of a program that succeeded.
    pub(crate) fn success(&self) -> &[String] {
        assert_eq!((self.code, self.stderr.len()), (Some(0), 0), "{self:#?}");
        &self.stdout
    }

    /// The JSON events with that name.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        let events = self.stdout.iter().map(|line| serde_json::from_str(line).unwrap());
        events.filter(|event: &Value| event["event"] == name).collect()
    }
}

fn read(
    pipe: impl Read + Send + 'static,
    lines: &Arc<Lines>,
    stream: fn(&mut State) -> &mut Vec<String>,
) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        let change = |change: &dyn Fn(&mut State)| {
            change(&mut lines.state.lock().unwrap());
            lines.changed.notify_all();
        };
        for line in BufReader::new(pipe).lines() {
            let line = line.unwrap();
            change(&|state| stream(state).push(line.clone()));
        }
        change(&|state| state.ended += 1);
    })
}
