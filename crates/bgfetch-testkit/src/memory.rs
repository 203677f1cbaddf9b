//! The peak memory of a child process.

use std::process::Child;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the peak is read.
const INTERVAL: Duration = Duration::from_millis(2);

/// The peak resident memory so far of a running process in bytes (Linux's `VmHWM`), or none if it
/// has ended.
#[must_use]
pub fn peak_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Watches the peak memory of a child until it ends.
///
/// The kernel keeps the peak, so only what a process adds within its last 2 ms can be missed. (The
/// peak that `wait4` reports is not used: it includes the memory of the process that spawned the
/// child.)
///
/// ```
/// use bgfetch_testkit::{MIB, MemoryWatch};
/// use std::process::{Command, Stdio};
///
/// let mut child = Command::new("cat").stdin(Stdio::piped()).spawn()?;
/// let memory = MemoryWatch::of(&child);
/// drop(child.stdin.take());
/// assert!(child.wait()?.success());
/// assert!(memory.peak() < 48 * MIB);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct MemoryWatch {
    peak: u64,
    sampler: JoinHandle<u64>,
    stop: mpsc::Sender<()>,
}

impl MemoryWatch {
    /// Starts to watch a running child.
    #[must_use]
    pub fn of(child: &Child) -> Self {
        let pid = child.id();
        let (stop, stopped) = mpsc::channel();
        let sampler = std::thread::spawn(move || {
            let mut peak = 0;
            let mut last = false;
            while let Some(now) = peak_memory(pid) {
                peak = now;
                if last {
                    break;
                }
                last = stopped.recv_timeout(INTERVAL) != Err(mpsc::RecvTimeoutError::Timeout);
            }
            peak
        });
        Self { peak: peak_memory(pid).unwrap_or(0), sampler, stop }
    }

    /// The peak in bytes: of the child's whole life if it has ended, otherwise so far.
    #[must_use]
    pub fn peak(self) -> u64 {
        drop(self.stop);
        let sampled = self.sampler.join().expect("the sampler does not panic");
        self.peak.max(sampled)
    }
}
