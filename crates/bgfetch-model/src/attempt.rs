//! The protocol between the model and one fetch attempt: what an attempt is told, and what it
//! reports. Each attempt ends with exactly one [`AttemptEvent::Ended`].

use alloc::string::String;
use core::time::Duration;

use crate::ids::{BodyKey, HostKey};
use crate::response::ResponseHead;

/// How an attempt asks for its record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptSpec {
    /// Ask only for the bytes that are missing.
    pub resume: Option<Resume>,
    /// Ask for the identity coding, because a resume by offset should be possible.
    pub identity: bool,
}

/// A resume by range: `Range: bytes=start-` with `If-Range` (D6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The spec's range start: how many bytes are stored.
    pub start: u64,
    /// The strong validator that the stored bytes belong to.
    pub if_range: String,
}

/// What the model tells a running attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptCommand {
    /// The head was judged: write the body from `offset` on, up to `grant` and no further.
    Receive {
        /// The body to write.
        body: BodyKey,
        /// Where the first byte of this response's body goes.
        offset: u64,
        /// The offset that must not be passed without another grant.
        grant: u64,
    },
    /// The grant was raised to this offset.
    Grant(u64),
    /// Give back what is not used: the grant falls to the bytes written, which
    /// [`AttemptEvent::GrantReturned`] reports. What waits for a grant is written when the grant
    /// comes, before a later recall is answered; or two siblings could pass the last bytes to and
    /// fro for ever.
    RecallGrant,
    /// The attempt holds a slot again and goes on; answers [`AttemptEvent::NeedSlot`].
    TakeSlot,
    /// Stop now.
    Cancel,
}

/// What an attempt reports. Offsets are lengths of the stored body, so they count from the
/// representation's first byte, not from the resume's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptEvent {
    /// So many bytes of the request body have been handed to the network, in all.
    Uploaded(u64),
    /// The name of this host is being looked up, which may take long: the attempt needs no slot until
    /// it says so.
    LookUp(HostKey),
    /// The look-up is over. The attempt waits for [`AttemptCommand::TakeSlot`].
    NeedSlot,
    /// The response's head is there; the attempt now waits for [`AttemptCommand::Receive`] or
    /// [`AttemptCommand::Cancel`] and reads no body before it.
    Head {
        /// The response without its body, with the whole URL list.
        head: ResponseHead,
        /// How long its `Retry-After` asks to wait; a date is turned into a duration by the shell.
        retry_after: Option<Duration>,
        /// Whether the connection that the response came over carries other requests at the same
        /// time. The server at its end is that of the last URL.
        multiplexes: bool,
    },
    /// The body's length is now this. Sent every so often (1 MiB or 50 ms), not for every chunk.
    Progress(u64),
    /// At least one byte is waiting that lies beyond the grant; so many are stored.
    NeedGrant(u64),
    /// Answers [`AttemptCommand::RecallGrant`]: the grant is now this, the length of the body.
    GrantReturned(u64),
    /// The attempt is over and holds nothing any more.
    Ended {
        /// The length of the stored body, or none when no [`AttemptCommand::Receive`] came.
        stored: Option<u64>,
        /// How it ended.
        end: AttemptEnd,
    },
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The response's body was received to its end, as its framing defines it.
    Complete,
    /// [`AttemptCommand::Cancel`] was obeyed.
    Cancelled,
    /// It failed.
    Failed(Fault),
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The class, from which the model decides.
    pub kind: FaultKind,
    /// Whether the server may have acted on the request: a byte of it may have left this machine, and
    /// nothing says that the server looked at none.
    pub sent: bool,
    /// A sentence for people; never shown to pages.
    pub message: String,
}

/// The classes of failure that lead to different decisions (D7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The host's name could not be resolved, or no route leads to its addresses. Without a default
    /// route that is the network's doing, and otherwise as [`Self::Unreachable`].
    NoRoute,
    /// The connection was refused or could not be made.
    Unreachable,
    /// The connection was reset, ended early, timed out or stalled.
    Interrupted,
    /// A check of the web platform refused the request or the response; the page's, its policies' or
    /// the server's doing, and no accident.
    Blocked,
    /// TLS failed: a certificate that is not trusted, no common version.
    Tls,
    /// The server broke HTTP or a limit: a malformed head, a broken content coding, too many headers.
    Protocol,
    /// The bytes could not be stored: the disk is full or failing.
    Storage,
}

impl FaultKind {
    /// Whether trying again would fail again.
    #[must_use]
    pub const fn is_permanent(self) -> bool {
        matches!(self, Self::Blocked | Self::Tls | Self::Protocol)
    }
}
