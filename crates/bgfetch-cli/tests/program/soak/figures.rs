//! What a soak measures once a second, and which figures are flat.

use std::path::Path;
use std::time::Duration;

use crate::app::files;

/// A figure of the running program or of its store.
pub(super) struct Figure {
    pub(super) name: &'static str,
    /// How many of the measured units are one of the unit that is shown.
    scale: f64,
    /// The growth that counts as noise, in the unit that is shown.
    noise: f64,
    /// Whether it is one of the store, and not of the process.
    pub(super) is_of_store: bool,
}

const MIB: f64 = 1024.0 * 1024.0;

/// The index of the memory among the figures.
pub(super) const MEMORY: usize = 0;

/// The figures, in the order of [`Sample::values`].
pub(super) const FIGURES: [Figure; 7] = [
    // Without the pages of files, such as those of the program itself.
    of_process("memory, MiB", MIB, 2.0),
    // Idle connections stay open for a while: the faster the machine, the more of them.
    of_process("file descriptors", 1.0, 20.0),
    of_process("of them sockets", 1.0, 20.0),
    of_process("threads", 1.0, 5.0),
    of_store("store without bodies, MiB", MIB, 0.5),
    of_store("bodies, MiB", MIB, 2.0),
    of_store("files of the store", 1.0, 10.0),
];

const fn of_process(name: &'static str, scale: f64, noise: f64) -> Figure {
    Figure { name, scale, noise, is_of_store: false }
}

const fn of_store(name: &'static str, scale: f64, noise: f64) -> Figure {
    Figure { name, scale, noise, is_of_store: true }
}

/// The growth of a figure that counts as noise, as a share of the figure.
const NOISE: f64 = 0.1;

/// The share of the time at the beginning that does not count, because the load builds up.
const WARM_UP: f64 = 0.1;

/// All figures at one moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Duration,
    pub(super) values: [f64; FIGURES.len()],
}

impl Sample {
    /// Measures a process and its store; `None` if the process is just starting or ending.
    pub(super) fn take(at: Duration, pid: u32, store: &Path) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let number = |name: &str| -> Option<f64> {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            value.split_whitespace().next()?.parse().ok()
        };
        let mut descriptors = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).ok()? {
            // It may be closed meanwhile.
            descriptors.extend(std::fs::read_link(entry.ok()?.path()).ok());
        }
        let is_socket =
            |target: &&std::path::PathBuf| target.to_string_lossy().starts_with("socket:");
        let (bodies, others): (Vec<_>, Vec<_>) =
            files(store).into_iter().partition(|(path, _)| path.starts_with(store.join("bodies")));
        let sum = |files: &[(std::path::PathBuf, u64)]| {
            files.iter().map(|(_, length)| length).sum::<u64>()
        };
        let values = [
            number("RssAnon:")? * 1024.0,
            descriptors.len() as f64,
            descriptors.iter().filter(is_socket).count() as f64,
            number("Threads:")?,
            sum(&others) as f64,
            sum(&bodies) as f64,
            (bodies.len() + others.len()) as f64,
        ];
        let scaled = std::array::from_fn(|index| values[index] / FIGURES[index].scale);
        Some(Self { at, values: scaled })
    }
}

/// How a figure has developed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trend {
    /// The median of the first quarter of the time.
    pub(super) first: f64,
    /// The median of the last quarter.
    pub(super) last: f64,
    /// The slope of the line with the least squares, per hour.
    pub(super) slope: f64,
    /// The growth that is still flat, or none if the figure is not judged.
    allowed: Option<f64>,
}

impl Trend {
    /// The trend of the figure with that index, after the warm-up. `known` is a growth whose reason
    /// is known; without one, the figure is not judged.
    pub(super) fn of(samples: &[Sample], figure: usize, known: Option<f64>) -> Self {
        let end = samples.last().map_or(Duration::ZERO, |sample| sample.at);
        let start = end.mul_f64(WARM_UP);
        let quarter = (end - start) / 4;
        let points: Vec<(f64, f64)> = samples
            .iter()
            .filter(|sample| sample.at >= start)
            .map(|sample| (sample.at.as_secs_f64() / 3600.0, sample.values[figure]))
            .collect();
        let median_of = |from: Duration| {
            let range = from.as_secs_f64() / 3600.0..=(from + quarter).as_secs_f64() / 3600.0;
            let within = points.iter().filter(|(at, _)| range.contains(at));
            let mut values: Vec<f64> = within.map(|(_, value)| *value).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        let (first, last) = (median_of(start), median_of(end - quarter));
        let allowed = known.map(|known| known + FIGURES[figure].noise.max(first * NOISE));
        Self { first, last, slope: slope(&points), allowed }
    }

    /// Whether it has grown by no more than a tenth, or than noise, besides what is known.
    pub(super) fn is_flat(&self) -> Option<bool> {
        Some(self.last - self.first <= self.allowed?)
    }
}

fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let both: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let squares: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if squares > 0.0 { both / squares } else { 0.0 }
}

#[test]
fn noise_is_flat_and_growth_is_not() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut samples = |growth: f64| -> Vec<Sample> {
        let sample = |second: u64| {
            let value = 100.0 + 40.0 * (rng.f64() - 0.5) + growth * second as f64 / 3600.0;
            Sample { at: Duration::from_secs(second), values: [value; FIGURES.len()] }
        };
        (0..3600).map(sample).collect()
    };
    let flat = Trend::of(&samples(0.0), 0, Some(0.0));
    assert!(flat.is_flat() == Some(true) && flat.slope.abs() < 4.0, "{flat:?}");
    let growing = Trend::of(&samples(30.0), 0, Some(0.0));
    assert!(growing.is_flat() == Some(false) && (growing.slope - 30.0).abs() < 4.0, "{growing:?}");
    assert_eq!(Trend::of(&samples(30.0), 0, Some(30.0)).is_flat(), Some(true));
    assert_eq!(Trend::of(&samples(-30.0), 0, Some(0.0)).is_flat(), Some(true));
    assert_eq!(Trend::of(&samples(30.0), 0, None).is_flat(), None);
    assert_eq!(Trend::of(&[], 0, Some(0.0)).is_flat(), Some(true));
}
