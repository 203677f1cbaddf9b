//! What TLS failures are called, for people.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// What went wrong with TLS, if `error` is where TLS failed. An error that wraps such a one is not.
pub(super) fn message(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<Error>() {
        return Some(of(error));
    }
    // HTTP/2 keeps of a transport's error only the kind and the text; TLS alone says "invalid data".
    let error = error.downcast_ref::<h2::Error>()?.get_io()?;
    (error.kind() == io::ErrorKind::InvalidData).then(|| format!("TLS failed: {error}"))
}

fn of(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(cause) => {
            format!("the server's certificate is not trusted: {}", untrusted(cause))
        }
        Error::InvalidMessage(_) => String::from("the server does not speak TLS"),
        Error::NoApplicationProtocol
        | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            String::from("the server speaks neither HTTP/1.1 nor HTTP/2")
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            String::from("the server wants a client certificate")
        }
        Error::AlertReceived(alert) => format!("the server refused TLS: {alert:?}"),
        Error::PeerIncompatible(cause) => {
            format!("there is no version or cipher of TLS in common with the server: {cause:?}")
        }
        other => format!("TLS failed: {other}"),
    }
}

fn untrusted(cause: &CertificateError) -> String {
    use CertificateError as Cause;
    let text = match cause {
        Cause::UnknownIssuer => "its issuer is unknown",
        Cause::NotValidForName | Cause::NotValidForNameContext { .. } => "it is for another host",
        Cause::Expired | Cause::ExpiredContext { .. } => "it has expired",
        Cause::NotValidYet | Cause::NotValidYetContext { .. } => "it is not valid yet",
        Cause::Revoked => "it was revoked",
        Cause::ApplicationVerificationFailure => "the verifier refused it",
        other => return other.to_string(),
    };
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_named() {
        let untrusted = |cause| Error::InvalidCertificate(cause);
        for (error, expected) in [
            (untrusted(CertificateError::UnknownIssuer), "not trusted: its issuer is unknown"),
            (untrusted(CertificateError::NotValidForName), "not trusted: it is for another host"),
            (untrusted(CertificateError::Expired), "not trusted: it has expired"),
            (untrusted(CertificateError::NotValidYet), "not trusted: it is not valid yet"),
            (untrusted(CertificateError::Revoked), "not trusted: it was revoked"),
            (untrusted(CertificateError::BadSignature), "not trusted: "),
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                "refused TLS: HandshakeFailure",
            ),
            (Error::DecryptError, "TLS failed: cannot decrypt"),
        ] {
            let told = message(&error).unwrap();
            assert!(told.contains(expected), "{told}");
        }
        assert_eq!(message(&io::Error::from(io::ErrorKind::InvalidData)), None);
    }
}
