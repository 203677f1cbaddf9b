//! The ways to exchange a request and its response with a server.

/// How a request and its response are exchanged. If one way fails, a later one may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Exchange {
    /// Over HTTP/2 if the server offers it.
    Usual,
    /// Over HTTP/1.1, because the server requires it.
    Http1,
    /// Over HTTP/1.1. A response's head that violates the syntax is parsed as browsers do: lines
    /// are joined or skipped. The connection never carries another request, because bytes after
    /// such a response cannot be trusted.
    Tolerant,
}
