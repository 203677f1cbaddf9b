//! Human-readable descriptions of connection failures. The texts of the libraries name their own
//! layers, and change with their versions.

use std::error::Error;
use std::io;

use super::causes::causes;

/// Describes the innermost cause that has a description here; otherwise the innermost cause.
pub(super) fn of(error: &(dyn Error + 'static)) -> String {
    let told = causes(error).filter_map(of_cause).last();
    told.unwrap_or_else(|| {
        let innermost = causes(error).last().unwrap_or(error).to_string();
        // The standard library appends the error number to the system's text.
        innermost.split(" (os error ").next().unwrap_or(&innermost).to_owned()
    })
}

fn of_cause(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<::hyper::Error>() {
        return of_hyper(error).map(String::from);
    }
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        return of_h2(error);
    }
    let error = error.downcast_ref::<io::Error>()?;
    // An error that wraps another only adds its kind, except that hyper and rustls put words of
    // their own into the end of a connection.
    if error.get_ref().is_some() && error.kind() != io::ErrorKind::UnexpectedEof {
        return None;
    }
    Some(String::from(match error.kind() {
        io::ErrorKind::ConnectionRefused => "the server refused the connection",
        io::ErrorKind::ConnectionReset => "the connection was reset",
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof => "the connection was closed too early",
        io::ErrorKind::TimedOut => "the server did not answer in time",
        io::ErrorKind::HostUnreachable => "the host cannot be reached",
        io::ErrorKind::NetworkUnreachable => "the network cannot be reached",
        io::ErrorKind::NetworkDown => "the network is down",
        io::ErrorKind::AddrNotAvailable => "this machine has no address for it",
        io::ErrorKind::PermissionDenied => "the system does not allow the connection",
        _ => return None,
    }))
}

fn of_hyper(error: &::hyper::Error) -> Option<&'static str> {
    if error.is_parse() {
        // Only hyper's servers distinguish the two.
        Some("the head of the response is too large or not valid HTTP")
    } else if error.is_incomplete_message() {
        Some("the connection was closed before the response was complete")
    } else if error.is_canceled() || error.is_closed() {
        Some("the connection was closed before the request was sent")
    } else if error.is_timeout() {
        Some("the server did not answer in time")
    } else {
        None
    }
}

fn of_h2(error: &h2::Error) -> Option<String> {
    let reason = error.reason()?;
    let what = if error.is_remote() {
        match reason {
            h2::Reason::NO_ERROR | h2::Reason::CANCEL => {
                return Some("the server ended the response too early".into());
            }
            h2::Reason::REFUSED_STREAM => return Some("the server refused the request".into()),
            h2::Reason::ENHANCE_YOUR_CALM => {
                return Some("the server wants fewer requests".into());
            }
            h2::Reason::HTTP_1_1_REQUIRED => {
                return Some("the server wants HTTP/1.1 for this".into());
            }
            _ if error.is_go_away() => "the server closed the HTTP/2 connection",
            _ => "the server ended the HTTP/2 stream",
        }
    } else {
        "the response is not valid HTTP/2"
    };
    Some(format!("{what} ({})", reason.description()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_cause_with_words_is_told() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(of(&refused()), "the server refused the connection");
        // Wrapped twice, as by connectors.
        let wrapped = io::Error::other(io::Error::other(refused()));
        assert_eq!(of(&wrapped), "the server refused the connection");
        let system = io::Error::from_raw_os_error(111);
        assert_eq!(of(&io::Error::other(system)), of(&refused()));
        // Our own texts are unchanged.
        let own = io::Error::new(io::ErrorKind::TimedOut, "no connection within 30 s");
        assert_eq!(of(&io::Error::other(own)), "no connection within 30 s");
    }

    #[test]
    fn an_early_end_is_told_in_our_words() {
        let expected = "the connection was closed too early";
        let early = |cause| io::Error::new(io::ErrorKind::UnexpectedEof, cause);
        assert_eq!(of(&early("no close_notify")), expected);
        assert_eq!(of(&io::Error::other(early("no close_notify"))), expected);
        assert_eq!(of(&io::Error::from(io::ErrorKind::UnexpectedEof)), expected);
    }

    #[test]
    fn failures_of_http_2_are_told_by_their_reason() {
        let broken = h2::Error::from(h2::Reason::FLOW_CONTROL_ERROR);
        let expected = format!("({})", h2::Reason::FLOW_CONTROL_ERROR.description());
        let told = of(&io::Error::other(broken));
        assert!(told.starts_with("the response is not valid HTTP/2 ("), "{told}");
        assert!(told.ends_with(&expected), "{told}");
    }
}
