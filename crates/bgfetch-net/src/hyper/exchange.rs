//! The ways to exchange a request and its response with a server.

/// How a request and its response are exchanged. One that fails may be followed by the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exchange {
    /// By HTTP/2 where the server offers it.
    Usual,
    /// By HTTP/1.1, because the server requires it.
    Http1,
    /// By HTTP/1.1, and the response's head is read as browsers do where it breaks the syntax: lines
    /// are joined or passed over. Never by a connection that serves another request, as what follows
    /// such a response need not be what it seems.
    Tolerant,
}
