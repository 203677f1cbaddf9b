//! Human-readable descriptions of TLS failures.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// The description of `error` if it is an error of TLS itself, not one that wraps it.
pub(super) fn message(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<Error>() {
        return Some(of(error));
    }
    // HTTP/2 keeps only the text of a connection's error. Once there is a connection, errors of TLS
    // are alerts, for example that a client certificate was not accepted.
    let text = match error.downcast_ref::<h2::Error>() {
        Some(error) => error.get_io()?.to_string(),
        None => error.downcast_ref::<io::Error>()?.to_string(),
    };
    let alert = text.strip_prefix("received fatal alert: ")?;
    Some(match alert {
        "CertificateRequired" => of(&Error::AlertReceived(AlertDescription::CertificateRequired)),
        _ => format!("{REFUSED}{alert}"),
    })
}

const REFUSED: &str = "the server refused TLS: ";

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
        Error::AlertReceived(alert) => format!("{REFUSED}{alert:?}"),
        Error::PeerIncompatible(cause) => {
            format!("no TLS version or cipher suite in common with the server: {cause:?}")
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
        // A self-signed certificate often is both. The verifier's own error has no type here.
        Cause::Other(error) if error.to_string().contains("CaUsedAsEndEntity") => {
            "it is an authority's, not a server's"
        }
        other => return other.to_string(),
    };
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_signed_authority_is_named() {
        #[derive(Debug, thiserror::Error)]
        #[error("CaUsedAsEndEntity")]
        struct OfTheVerifier;
        let other = rustls::OtherError(std::sync::Arc::new(OfTheVerifier));
        let told = message(&Error::InvalidCertificate(CertificateError::Other(other))).unwrap();
        assert_eq!(
            told,
            "the server's certificate is not trusted: it is an authority's, not a server's"
        );
    }

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
        let other = io::Error::new(io::ErrorKind::InvalidData, "a bad chunk");
        assert_eq!(message(&other), None);
        for alert in [AlertDescription::CertificateRequired, AlertDescription::UnknownCA] {
            let whole = Error::AlertReceived(alert);
            let text = io::Error::new(io::ErrorKind::InvalidData, whole.to_string());
            assert_eq!(message(&text), message(&whole));
        }
    }
}
