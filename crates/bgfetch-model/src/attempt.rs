//! The protocol between the model and one fetch attempt: the commands to an attempt and its
//! reports. Each attempt ends with exactly one [`AttemptEvent::Ended`].

use alloc::string::String;
use core::net::IpAddr;
use core::time::Duration;

use url::Url;

use crate::header_list::HeaderList;
use crate::ids::{BodyKey, HostKey};
use crate::ip_address_space::IpAddressSpace;
use crate::response::ResponseHead;
use crate::source::Source;

/// How an attempt makes its request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptSpec {
    /// Ask only for the bytes that are missing.
    pub resume: Option<Resume>,
    /// Ask for the identity coding, so that the download can be resumed by offset later.
    pub identity: bool,
}

/// A resume by range: `Range: bytes=start-` with `If-Range` (D6).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resume {
    /// The spec's range start: how many bytes are stored.
    pub start: u64,
    /// The strong validator that the stored bytes belong to.
    pub if_range: String,
    /// Where the stored bytes came from. The range is sent only where this allows it, which each
    /// URL of a redirect chain is asked for.
    pub source: Source,
}

impl Resume {
    /// A resume after `start` bytes that belong to this validator and this source.
    #[must_use]
    pub fn new(start: u64, if_range: impl Into<String>, source: Source) -> Self {
        Self { start, if_range: if_range.into(), source }
    }
}

/// A command to a running attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptCommand {
    /// The head was judged: write the body from `offset` on, up to `grant` and no further.
    Receive {
        /// The body to write.
        body: BodyKey,
        /// Where the first byte of this response's body goes.
        offset: u64,
        /// The offset that the body must not pass without another grant.
        grant: u64,
    },
    /// The grant was raised to this offset.
    Grant(u64),
    /// Return the unused part of the grant: the grant falls to the bytes written, which
    /// [`AttemptEvent::GrantReturned`] reports. Bytes that wait for a grant are written when the
    /// grant arrives, before a later recall is answered; otherwise two siblings could pass the last
    /// bytes back and forth for ever.
    RecallGrant,
    /// The attempt holds a slot again and continues; answers [`AttemptEvent::NeedSlot`], and
    /// [`AttemptEvent::NeedPermission`] if it is granted.
    TakeSlot,
    /// Stop now.
    Cancel,
}

/// A report of an attempt. Offsets are lengths of the stored body: they count from the first byte
/// of the representation, not of the resumed part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptEvent {
    /// The total number of bytes of the request body handed to the network so far.
    Uploaded(u64),
    /// The attempt looks up the name of this host, which may take long: it needs no slot until it
    /// sends [`Self::NeedSlot`].
    LookUp(HostKey),
    /// The look-up is over. The attempt waits for [`AttemptCommand::TakeSlot`].
    NeedSlot,
    /// The page needs the user's permission to reach this URL, because the address to connect to is
    /// in a less public space. The attempt gives back its slot and waits for
    /// [`AttemptCommand::TakeSlot`] or [`AttemptCommand::Cancel`]. Nothing was sent to that address.
    NeedPermission {
        /// The URL, that of the request or of a redirect.
        url: Url,
        /// The space of the address.
        space: IpAddressSpace,
    },
    /// The response's head arrived. The attempt waits for [`AttemptCommand::Receive`] or
    /// [`AttemptCommand::Cancel`] and reads no body before that.
    Head {
        /// The response without its body, with the whole URL list.
        head: ResponseHead,
        /// The headers of the request to the last URL as it was sent, with cookies; none if
        /// unknown.
        request_headers: Option<HeaderList>,
        /// The address that the response came from; none if unknown.
        address: Option<IpAddr>,
        /// The delay that `Retry-After` asks for; the shell turns a date into a duration.
        retry_after: Option<Duration>,
        /// Whether the response's connection carries other requests at the same time. It leads to
        /// the server of the last URL.
        multiplexes: bool,
    },
    /// The body now has this length. Sent at intervals (1 MiB or 50 ms), not for every chunk.
    Progress(u64),
    /// At least one byte beyond the grant is waiting; this many bytes are stored.
    NeedGrant(u64),
    /// Answers [`AttemptCommand::RecallGrant`]: the grant is now this, the length of the stored
    /// body.
    GrantReturned(u64),
    /// The attempt is over and holds no resources any more.
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
    /// The response's body was received completely, as defined by its framing.
    Complete,
    /// The attempt obeyed [`AttemptCommand::Cancel`].
    Cancelled,
    /// The attempt failed.
    Failed(Fault),
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The class, on which the model's decision is based.
    pub kind: FaultKind,
    /// Whether the server may have processed the request: bytes of it may have left this machine,
    /// and nothing shows that the server ignored them.
    pub sent: bool,
    /// A sentence for people; never shown to pages.
    pub message: String,
}

/// The classes of failure that the model treats differently (D7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The host's name could not be resolved, or no route leads to its addresses. Without a default
    /// route the network is the cause; otherwise this is treated as [`Self::Unreachable`].
    NoRoute,
    /// The connection was refused or could not be made.
    Unreachable,
    /// The connection was reset, ended early, timed out or stalled.
    Interrupted,
    /// A check of the web platform refused the request or the response. The cause is the page, its
    /// policies or the server, so it will not pass.
    Blocked,
    /// TLS failed: a certificate that is not trusted, no common version.
    Tls,
    /// The server violated HTTP or a limit: a malformed head, a broken content coding, too many
    /// headers.
    Protocol,
    /// The bytes could not be stored: the disk is full or failing.
    Storage,
    /// A proxy does not let this user connect. The cause is neither the page nor the server, and it
    /// stays until the embedder has other credentials for the proxy.
    ProxyAuthentication,
}

impl FaultKind {
    /// Whether another try would fail as well.
    #[must_use]
    pub const fn is_permanent(self) -> bool {
        matches!(self, Self::Blocked | Self::Tls | Self::Protocol | Self::ProxyAuthentication)
    }
}
