//! What the scheduler is told: candidates and limits.

use bgfetch_model::ids::{HostKey, RecordKey, RegistrationKey};

/// A record that wants to start.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The record.
    pub record: RecordKey,
    /// The service worker registration of its fetch, and with it the storage key.
    pub registration: &'a RegistrationKey,
    /// The priority of its fetch.
    pub priority: Priority,
    /// The server that is asked first.
    pub host: &'a HostKey,
}

/// An embedder's hint how urgent a fetch is, compared with others of its storage key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Before all others: the user looks at it, say.
    High,
    /// The default.
    #[default]
    Normal,
    /// Only when nothing else of the storage key can start.
    Low,
}

/// How much may run at once. A limit of 0 lets nothing start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections in use over all hosts; 16 by default, which fills a fast line from three hosts
    /// and leaves the page in the foreground its share.
    ///
    /// A host that multiplexes counts as one connection, however many streams it carries.
    pub total: u32,
    /// Records of one storage key in flight at one host; 6 by default, as browsers do for HTTP/1.1.
    ///
    /// It also holds for a host whose protocol is not known yet: the first requests may then open
    /// connections that HTTP/2 would not have needed, which costs less than making every
    /// HTTP/1.1 host wait for its first response.
    pub per_host: u32,
    /// Records of one storage key in flight at one host that multiplexes; 100 by default, the number of concurrent
    /// streams that servers should at least allow
    /// ([RFC 9113, 6.5.2](https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2)).
    pub per_host_multiplexed: u32,
    /// Records of one storage key whose host's name is being looked up; 32 by default. They hold no
    /// slot, and while there are so many no other record of the storage key starts.
    pub look_ups: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: 16, per_host: 6, per_host_multiplexed: 100, look_ups: 32 }
    }
}
