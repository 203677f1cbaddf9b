//! Classifies errors of the HTTP stack.

use std::error::Error;
use std::io;

use bgfetch_model::attempt::FaultKind;
use bgfetch_model::ip_address_space::LocalNetworkDenied;
use hyper_util::client::legacy;

use super::causes::causes;
use super::exchange::Exchange;
use super::lookups::NotResolved;
use super::tunnel::ProxyError;
use super::{tls_error, words};
use crate::fetcher::FetchError;

/// The error if the server violated HTTP or a limit.
pub(super) fn protocol(cause: impl Into<Box<dyn Error + Send + Sync>>) -> FetchError {
    FetchError::new(FaultKind::Protocol, true, cause)
}

/// The error if the host of a request has no address.
pub(super) fn not_resolved(cause: NotResolved) -> FetchError {
    FetchError::new(FaultKind::NoRoute, false, cause)
}

/// A failure before the response's head.
///
/// TLS can fail before there is a connection, and also after: a server that does not accept the
/// client's certificate may say so while the client waits for the response.
pub(super) fn from_client(error: legacy::Error) -> FetchError {
    if let Some(told) = causes(&error).find_map(tls_error::message) {
        return FetchError::new(FaultKind::Tls, !error.is_connect(), told);
    }
    if error.is_connect() {
        let kind = classify(&error, FaultKind::Unreachable);
        return FetchError::new(kind, false, format!("could not connect: {}", words::of(&error)));
    }
    let Some(h2) = h2_error(&error) else {
        // Once there is a connection, only hyper knows how much of the request was sent.
        return FetchError::new(classify(&error, FaultKind::Interrupted), true, words::of(&error));
    };
    if is_unprocessed(h2) {
        return FetchError::new(FaultKind::Interrupted, false, words::of(&error));
    }
    // If this side reset the stream before there was a head, the head violated HTTP or a limit.
    let reset_here = h2.is_reset() && h2.is_library();
    let otherwise = if reset_here { FaultKind::Protocol } else { FaultKind::Interrupted };
    FetchError::new(classify(&error, otherwise), true, words::of(&error))
}

/// Whether the server says that it did not process the request, so that it may be sent again
/// whatever its method ([RFC 9113 section
/// 8.7](https://www.rfc-editor.org/rfc/rfc9113#section-8.7)). The HTTP/2 library reports GOAWAY
/// only for streams that it does not cover.
fn is_unprocessed(error: &h2::Error) -> bool {
    let refused =
        matches!(error.reason(), Some(h2::Reason::REFUSED_STREAM | h2::Reason::HTTP_1_1_REQUIRED));
    error.is_remote() && (refused || error.is_go_away())
}

/// The space of the address that the request may not be sent to, if that is why it failed.
pub(super) fn local_network_denied(error: &legacy::Error) -> Option<LocalNetworkDenied> {
    causes(error).find_map(|cause| cause.downcast_ref().copied())
}

/// Another exchange by which the request may get a response, if there is one.
pub(super) fn remedy(error: &legacy::Error) -> Option<Exchange> {
    causes(error).find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<::hyper::Error>() {
            return error.is_parse().then_some(Exchange::Tolerant);
        }
        is_http1_required(cause).then_some(Exchange::Http1)
    })
}

/// Whether a body ended because the server requires HTTP/1.1.
pub(super) fn requires_http1(error: &::hyper::Error) -> bool {
    causes(error).any(is_http1_required)
}

fn is_http1_required(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<h2::Error>().is_some_and(|error| {
        error.is_remote() && error.reason() == Some(h2::Reason::HTTP_1_1_REQUIRED)
    })
}

/// A failure in the middle of the response's body.
pub(super) fn from_body(error: ::hyper::Error) -> FetchError {
    // The TLS handshake is complete by then, so this is a failure of the connection.
    if let Some(told) = causes(&error).find_map(tls_error::message) {
        return FetchError::new(FaultKind::Interrupted, true, told);
    }
    // What follows is no part of the body. Often the server failed in the middle, and something
    // else appended a message; the bytes before are sound.
    if causes(&error).any(is_malformed_chunk) {
        let told = "the response's chunks are malformed";
        return FetchError::new(FaultKind::Interrupted, true, told);
    }
    FetchError::new(classify(&error, FaultKind::Interrupted), true, words::of(&error))
}

/// Whether hyper could not parse a chunk or a trailer. If a limit on them is exceeded, it uses
/// another kind.
fn is_malformed_chunk(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::InvalidInput)
}

/// The class of the first known cause of `error`; otherwise `otherwise`.
pub(super) fn classify(error: &(dyn Error + 'static), otherwise: FaultKind) -> FaultKind {
    causes(error).find_map(kind_of).unwrap_or(otherwise)
}

/// The class of an error of the HTTP/2 library.
fn h2_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a h2::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn kind_of(error: &(dyn Error + 'static)) -> Option<FaultKind> {
    if let Some(error) = error.downcast_ref::<::hyper::Error>() {
        return error.is_parse().then_some(FaultKind::Protocol);
    }
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        // An error of the connection, which is not its source.
        if let Some(error) = error.get_io() {
            return kind_of(error);
        }
        // This side closed the connection because of what it received.
        return (error.is_go_away() && error.is_library()).then_some(FaultKind::Protocol);
    }
    if error.is::<NotResolved>() {
        return Some(FaultKind::NoRoute);
    }
    if let Some(error) = error.downcast_ref::<ProxyError>() {
        return Some(error.kind);
    }
    let error = error.downcast_ref::<io::Error>()?;
    match error.kind() {
        // Our kind for a malformed head, and hyper's for a limit on chunks.
        io::ErrorKind::InvalidData => Some(FaultKind::Protocol),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => {
            Some(FaultKind::NoRoute)
        }
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Some(FaultKind::Interrupted),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(error: io::Error) -> FaultKind {
        // Wrapped twice, as by connectors.
        let wrapped = io::Error::other(io::Error::other(error));
        classify(&wrapped, FaultKind::Unreachable)
    }

    #[test]
    fn the_innermost_cause_decides() {
        for (kind, expected) in [
            (io::ErrorKind::ConnectionRefused, FaultKind::Unreachable),
            (io::ErrorKind::HostUnreachable, FaultKind::Unreachable),
            (io::ErrorKind::NetworkUnreachable, FaultKind::NoRoute),
            (io::ErrorKind::AddrNotAvailable, FaultKind::NoRoute),
            (io::ErrorKind::TimedOut, FaultKind::Unreachable),
            (io::ErrorKind::NotFound, FaultKind::Unreachable),
            (io::ErrorKind::ConnectionReset, FaultKind::Interrupted),
            (io::ErrorKind::UnexpectedEof, FaultKind::Interrupted),
            (io::ErrorKind::InvalidData, FaultKind::Protocol),
        ] {
            assert_eq!(class(kind.into()), expected, "{kind}");
        }
        let tls = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError);
        let wrapped = io::Error::other(tls);
        assert!(causes(&wrapped).find_map(tls_error::message).is_some());
    }
}
