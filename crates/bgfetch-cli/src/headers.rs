//! The headers that the user adds to requests.

use bgfetch::{HeaderList, RequestInfo};

use crate::checksum::base64;
use crate::exit::Failure;
use crate::netrc::Netrc;
use crate::secret::Secret;

/// Headers that are part of the protocol, or say how the bytes of a file are sent.
const OWN: [&str; 11] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Parses the values of `-H`, and those of the options that stand for a header.
///
/// # Errors
///
/// One of them is not a header, or cannot be set. The error does not repeat a value.
pub(crate) fn parse(
    headers: &[Secret],
    user_agent: Option<&str>,
    cookie: Option<&Secret>,
) -> Result<Vec<(String, Secret)>, Failure> {
    let mut list = Vec::new();
    for Secret(text) in headers {
        let Some((name, value)) = text.split_once(':') else {
            return Err(Failure("-H: a header is \"NAME: VALUE\"".into()));
        };
        let (name, value) = (name.trim(), value.trim());
        if OWN.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(Failure(format!("-H {name}: bgfetch sets this header itself")));
        }
        list.push((name.to_owned(), Secret(value.to_owned())));
    }
    if let Some(user_agent) = user_agent {
        list.push(("User-Agent".into(), Secret(user_agent.to_owned())));
    }
    if let Some(Secret(cookies)) = cookie {
        let is_pair =
            |pair: &str| pair.split_once('=').is_some_and(|(name, _)| !name.trim().is_empty());
        if !cookies.trim_end_matches([' ', ';']).split(';').all(is_pair) {
            return Err(Failure("--cookie: cookies are \"NAME=VALUE; NAME=VALUE\"".into()));
        }
        list.push(("Cookie".into(), Secret(cookies.to_owned())));
    }
    for (name, value) in &list {
        let request = RequestInfo::try_from("http://localhost/")?;
        if request.header(name, &isomorphic(value)).is_err() {
            return Err(Failure(format!("-H {name}: not a name and a value that HTTP can send")));
        }
    }
    Ok(list)
}

/// The header list of a request.
pub(crate) fn list(headers: &[(String, Secret)]) -> HeaderList {
    let values: Vec<_> = headers.iter().map(|(name, value)| (name, isomorphic(value))).collect();
    values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// The value of `Authorization` for a host.
pub(crate) fn authorization(netrc: &Netrc, host: &str) -> Option<Secret> {
    let (login, Secret(password)) = netrc.login(host)?;
    let token = base64(format!("{login}:{password}").as_bytes());
    Some(Secret(format!("Basic {token}")))
}

/// A value whose bytes are those of the text: header lists have a character for each byte.
fn isomorphic(Secret(text): &Secret) -> String {
    text.bytes().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(texts: &[&str]) -> Vec<Secret> {
        texts.iter().map(|text| Secret((*text).to_owned())).collect()
    }

    #[test]
    fn headers_are_sent_as_the_user_writes_them() {
        let cookie = Secret("a=b; c=d".into());
        let given = secrets(&["X-Key:  one two ", "accept: a:b", "X-Name: grün"]);
        let parsed = parse(&given, Some("me/1"), Some(&cookie)).unwrap();
        let list = list(&parsed);
        for (name, value) in [
            ("x-key", "one two"),
            ("accept", "a:b"),
            ("x-name", "gr\u{c3}\u{bc}n"),
            ("user-agent", "me/1"),
            ("cookie", "a=b; c=d"),
        ] {
            assert_eq!(list.get(name).as_deref(), Some(value));
        }
        assert!(!format!("{parsed:?}").contains("one two"));
    }

    #[test]
    fn what_is_refused_is_not_repeated() {
        let none = secrets(&[]);
        let secret = |text: &str| Some(Secret(text.into()));
        for (headers, cookie, expected) in [
            (secrets(&["Authorization Bearer pw"]), None, "-H: a header is \"NAME: VALUE\""),
            (secrets(&["Host: pw"]), None, "-H Host: bgfetch sets this header itself"),
            (secrets(&["X: a\npw"]), None, "-H X: not a name and a value that HTTP can send"),
            (secrets(&["a b: pw"]), None, "-H a b: not a name and a value that HTTP can send"),
            (none.clone(), secret("pw"), "--cookie: cookies are \"NAME=VALUE; NAME=VALUE\""),
            (none.clone(), secret("=pw"), "--cookie: cookies are \"NAME=VALUE; NAME=VALUE\""),
        ] {
            let Failure(line) = parse(&headers, None, cookie.as_ref()).unwrap_err();
            assert_eq!(line, expected);
        }
        assert!(parse(&none, None, secret("a=b;").as_ref()).is_ok());
    }
}
