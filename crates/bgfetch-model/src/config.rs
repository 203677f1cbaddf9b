//! What an embedder may configure.

use core::time::Duration;

use crate::complete::retry::RetryPolicy;
use crate::delivery::DeliveryPolicy;

/// The model's configuration; the defaults suit a desktop browser.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// When failed attempts are tried again.
    pub retry: RetryPolicy,
    /// When unhandled events are delivered again, and for how long.
    pub delivery: DeliveryPolicy,
    /// Whether settling events wait until their registration's pending events are asked for, even
    /// if the registration has an active worker; off by default.
    pub hold_events: bool,
    /// The shortest time between two progress updates of a fetch; 50 ms by default (D26).
    pub progress_interval: Duration,
    /// How long clients may take to apply that a fetch settled before the event is fired at the
    /// worker; 1 s by default (D18).
    pub clients_apply_within: Duration,
    /// How often a record may start again from byte 0 because its representation changed; 8 by
    /// default.
    pub max_restarts: u32,
    /// Whether the body of a response without an ok status is kept; off by default (D10).
    pub keep_bad_status_bodies: bool,
    /// Whether fetches pause on a metered connection; off by default.
    pub pause_on_metered: bool,
    /// How long attempts of a fetch may run in total; no limit by default. Then all its records
    /// that have not ended fail as `fetch-error` (D48). Only time in which at least one attempt is
    /// running and holds a slot or looks up a name counts, not time in pauses, back-offs and queues.
    /// It is counted across restarts; a crash loses up to a minute of it.
    pub max_running_time: Option<Duration>,
    /// How long to wait before retrying a record after the disk was full; 30 s by default.
    pub storage_retry: Duration,
    /// How long to wait before looking up a host name again that was out of reach while there was
    /// no default route; 1 minute by default. A change of the network ends the wait early.
    pub resolve_retry: Duration,
    /// How long an attempt waits for the answer whether its page may access the local network; 5
    /// minutes by default. Then the answer is no.
    pub local_network_limit: Duration,
    /// The most requests in one fetch; 100 000 by default.
    pub max_requests: usize,
    /// The most active fetches of one registration; no limit by default.
    pub max_active_fetches: usize,
    /// The most fetches of one storage key that have not settled, calls of `fetch()` in progress
    /// included; 1000 by default (D47).
    pub max_site_fetches: usize,
    /// The most requests of these fetches together; no limit by default, except that of memory.
    pub max_site_requests: usize,
    /// What all fetches of one storage key may take in memory: their requests, ids, titles, icons
    /// and policies, each of them with 1 KiB besides its text; 128 MiB by default (D47).
    pub max_site_memory: u64,
    /// The longest id of a fetch, in bytes of UTF-8; 4 KiB by default (D47).
    pub max_id: usize,
    /// The longest title of a fetch, in bytes of UTF-8; 16 KiB by default (D47).
    pub max_title: usize,
    /// The most icons of a fetch; 64 by default (D47).
    pub max_icons: usize,
    /// What all icons of a fetch may take in JSON, in bytes; 1 MiB by default, because their URLs
    /// may be `data:` URLs (D47).
    pub max_icons_size: u64,
    /// What a request may take in JSON, in bytes: its URL, method, headers, referrer and integrity
    /// metadata together, with some 300 bytes for their names; 256 KiB by default (D47).
    pub max_request_size: u64,
    /// Whether what the store keeps besides bodies counts to the quota: requests, heads of
    /// responses, ids, titles, icons and policies; on by default (D12). Without it, only the limits
    /// above bound them.
    pub count_metadata: bool,
    /// The most finished fetches that a registration keeps for the UI; 20 by default (D17).
    pub max_finished: usize,
    /// How long a finished fetch is kept for the UI; 30 days by default.
    pub finished_age: Duration,
    /// The most finished fetches of a registration whose records are held; 10 by default. The
    /// oldest are released first.
    pub max_held: usize,
    /// How long held records are kept, counted from when their fetch settled; 7 days by default.
    pub held_age: Duration,
    /// Seeds the jitter; 0 by default. Use the system's randomness, as the engine's builder does.
    pub seed: u64,
}

crate::impl_with!(Config);

impl Default for Config {
    fn default() -> Self {
        Self {
            retry: RetryPolicy::default(),
            delivery: DeliveryPolicy::default(),
            hold_events: false,
            progress_interval: Duration::from_millis(50),
            clients_apply_within: Duration::from_secs(1),
            max_restarts: 8,
            keep_bad_status_bodies: false,
            pause_on_metered: false,
            max_running_time: None,
            storage_retry: Duration::from_secs(30),
            resolve_retry: Duration::from_secs(60),
            local_network_limit: Duration::from_secs(300),
            max_requests: 100_000,
            max_active_fetches: usize::MAX,
            max_site_fetches: 1000,
            max_site_requests: usize::MAX,
            max_site_memory: 128 << 20,
            max_id: 4 << 10,
            max_title: 16 << 10,
            max_icons: 64,
            max_icons_size: 1 << 20,
            max_request_size: 256 << 10,
            count_metadata: true,
            max_finished: 20,
            finished_age: Duration::from_secs(30 * 24 * 3600),
            max_held: 10,
            held_age: Duration::from_secs(7 * 24 * 3600),
            seed: 0,
        }
    }
}
