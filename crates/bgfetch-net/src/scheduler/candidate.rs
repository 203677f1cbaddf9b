//! The inputs of the scheduler: candidates and limits.

use bgfetch_model::ids::{HostKey, RecordKey, RegistrationKey};

use crate::partition::Partition;

/// A record that wants to start.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The record.
    pub record: RecordKey,
    /// The partition of its fetch.
    pub partition: &'a Partition,
    /// The service worker registration of its fetch.
    pub registration: &'a RegistrationKey,
    /// The priority of its fetch.
    pub priority: Priority,
    /// The server of its first request.
    pub host: &'a HostKey,
}

/// An embedder's hint of how urgent a fetch is, compared with others of its site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Priority {
    /// Before all others, for example because the user is looking at it.
    High,
    /// The default.
    #[default]
    Normal,
    /// Only if nothing else of the site can start.
    Low,
}

/// How much may run at once. A site is a network [partition](Partition): a storage key, or the user.
///
/// At most `sites + total` connections are in use at a time, 144 by default. If a host with many
/// streams on one connection turns out not to multiplex, each stream counts as a connection until it
/// ends, so the sum can be larger for a while. Then only first connections of sites are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Sites with a connection; 128 by default. Below this bound, the first connection of a site
    /// never waits for another site. Further sites wait for their turn in order of arrival.
    pub sites: u32,
    /// The total of the connections for which sites compete, which are those beyond the first one
    /// of each site; 16 by default. This is enough to fill a fast line from three hosts, and leaves
    /// bandwidth for the page in the foreground.
    ///
    /// A host that multiplexes counts as one connection, however many streams it carries.
    pub total: u32,
    /// Records of one site in flight at one host; 6 by default, as browsers do for HTTP/1.1.
    ///
    /// It also applies to a host whose protocol is not known yet. Its first requests may then open
    /// connections that HTTP/2 would not need, which costs less than waiting for the first response
    /// of every HTTP/1.1 host.
    pub per_host: u32,
    /// Records of one site in flight at one host that multiplexes; 100 by default, the least number
    /// of concurrent streams that servers should allow ([RFC 9113,
    /// 6.5.2](https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2)).
    pub per_host_multiplexed: u32,
    /// Records of one site that are looking up a host name; 32 by default. They hold no slot. While
    /// there are this many, no other record of the site starts.
    pub look_ups: u32,
}

bgfetch_model::impl_with!(Limits);

impl Default for Limits {
    fn default() -> Self {
        Self { sites: 128, total: 16, per_host: 6, per_host_multiplexed: 100, look_ups: 32 }
    }
}
