//! Compares the whole path with curl: the `bgfetch` program and curl fetch the same files from the
//! same nginx on loopback, in turns, and the medians are compared.
//!
//! `make compare` builds the program and runs this; it fails if a bound is exceeded. On a busy
//! machine, absolute times say little; the ratios of one run say more. Syncs are included: `bgfetch
//! get` promises them before it reports success.

// A panic here fails the run, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use bgfetch_testkit::{GIB, KIB, MIB, MemoryWatch, Nginx, Resource};

/// How often each program runs; medians are compared.
const RUNS: usize = 5;

/// The most memory in bytes that the program may use, whatever the size and number of files.
const MEMORY: u64 = 48_000_000;

struct Work {
    name: &'static str,
    files: u64,
    length: u64,
    /// The bound: how many times curl's wall time the program may take, or none if only memory
    /// counts.
    ratio: Option<f64>,
}

const WORKS: [Work; 3] = [
    Work { name: "1 x 1 GiB", files: 1, length: GIB, ratio: Some(1.5) },
    Work { name: "1000 x 16 KiB", files: 1000, length: 16 * KIB, ratio: Some(6.0) },
    Work { name: "1 x 4 GiB", files: 1, length: 4 * GIB, ratio: None },
];

fn main() -> ExitCode {
    let program = std::env::var_os("BGFETCH").map(PathBuf::from);
    let program = program.expect("BGFETCH names the program, built with --release");
    let mut kept = true;
    for work in &WORKS {
        kept &= compare(&program, work);
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs both programs in turns, prints the measurements and returns whether the bounds were kept.
fn compare(program: &Path, work: &Work) -> bool {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let nginx = Nginx::try_start(&root).expect("nginx is installed; `make setup` does that");
    let files: Vec<(String, Resource)> =
        (0..work.files).map(|n| (format!("f{n}.bin"), Resource::new(n, work.length))).collect();
    for (name, resource) in &files {
        nginx.put(name, resource);
    }
    let urls: Vec<String> =
        files.iter().map(|(name, _)| nginx.url(&format!("/{name}")).to_string()).collect();
    let runs = if work.ratio.is_some() { RUNS } else { 1 };
    let (mut ours, mut curls, mut memory) = (Vec::new(), Vec::new(), 0);
    for run in 0..runs {
        let folder = |who: &str| scratch.path().join(format!("{who}-{run}"));
        if work.ratio.is_some() {
            let out = folder("curl");
            std::fs::create_dir(&out).unwrap();
            curls.push(measure(curl(&scratch.path().join("curl.txt"), &urls, &out)).0);
            std::fs::remove_dir_all(out).unwrap();
        }
        let (out, store) = (folder("out"), folder("store"));
        std::fs::create_dir(&out).unwrap();
        let (time, peak) = measure(bgfetch(program, &urls, &out, &store));
        ours.push(time);
        memory = memory.max(peak);
        for (name, resource) in &files {
            resource.matches_file(out.join(name)).unwrap();
        }
        std::fs::remove_dir_all(out).unwrap();
        std::fs::remove_dir_all(store).unwrap();
    }
    let (ours, curls) = (median(ours), (!curls.is_empty()).then(|| median(curls)));
    let ratio = curls.map(|curl| ours.as_secs_f64() / curl.as_secs_f64());
    print!("{:14} bgfetch {:6.3} s", work.name, ours.as_secs_f64());
    if let (Some(curl), Some(ratio)) = (curls, ratio) {
        print!("   curl {:6.3} s   ratio {ratio:.2}", curl.as_secs_f64());
    }
    println!("   peak memory {:.1} MiB", memory as f64 / MIB as f64);
    let slow = matches!((ratio, work.ratio), (Some(ratio), Some(bound)) if ratio > bound);
    !slow && memory < MEMORY
}

fn curl(config: &Path, urls: &[String], out: &Path) -> Command {
    let lines = urls.iter().map(|url| {
        let name = url.rsplit('/').next().unwrap_or_default();
        format!("url = \"{url}\"\noutput = \"{}\"\n", out.join(name).display())
    });
    std::fs::write(config, lines.collect::<String>()).unwrap();
    let mut command = Command::new("curl");
    command.args(["--silent", "--fail", "--parallel", "--parallel-max", "6", "--config"]);
    command.arg(config);
    command
}

fn bgfetch(program: &Path, urls: &[String], out: &Path, store: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("get").args(urls);
    command.args([OsString::from("--out"), out.into(), "--store".into(), store.into()]);
    command
}

/// Runs a command until it succeeds: returns its wall time and its peak memory in bytes.
fn measure(mut command: Command) -> (Duration, u64) {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let memory = MemoryWatch::of(&child);
    let status = child.wait().unwrap();
    let time = started.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    (time, memory.peak())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
