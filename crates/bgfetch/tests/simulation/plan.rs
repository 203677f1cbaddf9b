//! What is decided before a run begins: the sites and their pages, the servers, the user, and when
//! the process crashes or the power is lost.

use std::time::Duration;

use bgfetch::RegistrationKey;
use fastrand::Rng;

use super::resource::Resource;

/// How long pages and users are active.
pub(crate) const ACTIVE: Duration = Duration::from_secs(300);

/// What goes wrong in a run. Runs with few kinds of faults reach states that others do not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) look_ups: bool,
    pub(crate) unreachable: bool,
    /// Servers say that they did not process a request.
    pub(crate) refusals: bool,
    pub(crate) stalls: bool,
    pub(crate) cuts: bool,
    /// Bodies end without an error before the announced length, or later.
    pub(crate) lengths: bool,
    pub(crate) statuses: bool,
    pub(crate) changes: bool,
    pub(crate) offline: bool,
    pub(crate) disk: bool,
    pub(crate) workers: bool,
    pub(crate) clock: bool,
    pub(crate) crashes: bool,
    pub(crate) slow_store: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) registration: RegistrationKey,
    pub(crate) quota: u64,
    /// The most bytes that its fetches can take together.
    pub(crate) needs: u64,
    /// Its fetches are made for the user.
    pub(crate) for_user: bool,
    /// How often its worker is started for an event in vain.
    pub(crate) failures: u32,
    /// How often its worker is not to be started yet.
    pub(crate) not_yets: u32,
    /// It saves what it fetched.
    pub(crate) saves: bool,
    /// Its worker holds the records after the event.
    pub(crate) holds: bool,
}

/// A call of `fetch()`.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) site: usize,
    pub(crate) id: String,
    pub(crate) records: Vec<Wanted>,
    pub(crate) download_total: u64,
    /// The page is closed after this time, if the promise was not resolved by then.
    pub(crate) patience: Option<Duration>,
    /// The page reads bodies while they arrive.
    pub(crate) reads: bool,
    /// The page aborts the fetch as soon as one of its records fails.
    pub(crate) gives_up: bool,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Download {
        resource: usize,
        integrity: Integrity,
        /// The first and the last byte that the page itself asks for.
        range: Option<(u64, u64)>,
    },
    /// The answer to an upload is a resource too.
    Upload { resource: usize, length: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Integrity {
    None,
    /// That of the first version.
    Right,
    Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Online,
    Offline,
    /// Nothing can be reached, but nobody says so.
    Dead,
    CaptivePortal,
    Metered,
}

/// Something that somebody does.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Fetch(Call),
    Abort(usize),
    UserAborts(usize),
    Pause(usize),
    Resume(usize),
    Click(usize),
    Dismiss(usize),
    Unregister(usize),
    OpenPage(usize, Duration),
    /// Whether the site has an active worker.
    Worker(usize, bool),
    Line(Line),
    DiskFull(bool),
    /// The next sync of a body fails.
    SyncFails,
    ServerChanges(usize),
    /// Somebody else logs in to all servers.
    UserChanges(usize),
    ClockJumps(i64),
}

impl Deed {
    /// Whether somebody waits for an answer.
    pub(crate) fn is_asked(&self) -> bool {
        match self {
            Self::Fetch(_)
            | Self::Abort(_)
            | Self::UserAborts(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Dismiss(_)
            | Self::Unregister(_) => true,
            Self::Click(_)
            | Self::OpenPage(..)
            | Self::Worker(..)
            | Self::Line(_)
            | Self::DiskFull(_)
            | Self::SyncFails
            | Self::ServerChanges(_)
            | Self::UserChanges(_)
            | Self::ClockJumps(_) => false,
        }
    }
}

impl Call {
    /// By this, the network knows for which record a request is. Only equal requests of the user
    /// have the same, because others could not adopt what is held of them.
    pub(crate) fn tag(&self, plan: &Plan, index: usize) -> String {
        match &self.records[index] {
            Wanted::Download { resource, integrity, range } if plan.sites[self.site].for_user => {
                format!("{}: {resource} {integrity:?} {range:?}", self.site)
            }
            _ => format!("{}/{index}", self.id),
        }
    }
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) at: Duration,
    /// How many operations on files there are after that time, or how many `answers` to calls.
    pub(crate) operations: u64,
    pub(crate) answers: bool,
    pub(crate) how: How,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Shutdown,
    Crash,
    /// The engine stopped because a commit failed.
    Failure,
    /// Which share of what was not synced is left, in 256ths.
    PowerLoss {
        kept: u16,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) faults: Faults,
    pub(crate) sites: Vec<Site>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) deeds: Vec<(Duration, Deed)>,
    /// The ends of all lives but the last.
    pub(crate) ends: Vec<End>,
    /// The connections beyond the first of each site.
    pub(crate) connections: u32,
}

impl Wanted {
    pub(crate) fn resource(&self) -> usize {
        match self {
            Self::Download { resource, .. } | Self::Upload { resource, .. } => *resource,
        }
    }

    pub(crate) fn length(&self, resources: &[Resource]) -> u64 {
        resources[self.resource()].length
    }

    /// Whether the server speaks HTTP/2.
    pub(crate) fn is_multiplexed(&self) -> bool {
        self.resource().is_multiple_of(2)
    }

    pub(crate) fn is_upload(&self) -> bool {
        matches!(self, Self::Upload { .. })
    }

    /// The part of a representation that a page asks for.
    pub(crate) fn part<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let Self::Download { range: Some((first, last)), .. } = self else { return bytes };
        let [first, end] = [*first, last + 1].map(|at| bytes.len().min(at as usize));
        &bytes[first..end]
    }

    /// The bytes of the request's body.
    pub(crate) fn body(&self) -> Option<Vec<u8>> {
        let Self::Upload { resource, length } = self else { return None };
        let mut bytes = vec![0; *length];
        Rng::with_seed((*length as u64) << 8 | *resource as u64).fill(&mut bytes);
        Some(bytes)
    }
}
