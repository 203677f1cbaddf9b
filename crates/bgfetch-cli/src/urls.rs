//! The URLs that the user names, on the command line or in a file.

use std::io::Read as _;
use std::path::Path;

use url::{ParseError, Url};

use crate::checksum;
use crate::exit::Failure;
use crate::secret::Secret;

/// A file to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) url: Url,
    /// Integrity metadata; empty if there is no checksum.
    pub(crate) integrity: String,
    /// The login for its host, as a value of `Authorization`.
    pub(crate) authorization: Option<Secret>,
}

impl Wanted {
    /// Parses a URL that a checksum may follow: `#sha256=HEX`.
    ///
    /// # Errors
    ///
    /// The URL cannot be fetched, or the checksum is not one.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let has_checksum = |(_, fragment): &(&str, &str)| {
            let name = fragment.split('=').next().unwrap_or_default();
            matches!(name, "sha256" | "sha384" | "sha512")
        };
        let (address, integrity) = match text.rsplit_once('#').filter(has_checksum) {
            None => (text, Ok(String::new())),
            Some((address, checksum)) => (address.trim_end(), checksum::integrity(checksum)),
        };
        let url = checked_url(address)?;
        let integrity = integrity.map_err(|why| Failure(format!("{address}: {why}")))?;
        Ok(Self { url, integrity, authorization: None })
    }
}

/// The lines of a file of URLs.
#[derive(Debug, Default)]
pub(crate) struct UrlList {
    pub(crate) wanted: Vec<Wanted>,
    /// Why the other lines were refused, with their numbers.
    pub(crate) refused: Vec<String>,
}

impl UrlList {
    /// Reads the lines of a file, or of standard input if that is `-`: a URL each. Empty lines and
    /// those that begin with `#` are ignored.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let mut text = Vec::new();
        let (name, read) = if path == Path::new("-") {
            (String::from("standard input"), std::io::stdin().read_to_end(&mut text).map(drop))
        } else {
            (path.display().to_string(), std::fs::read(path).map(|read| text = read))
        };
        read.map_err(|error| Failure(format!("-i {name}: {}", Failure::from(error).0)))?;
        Ok(Self::parse(&name, &text))
    }

    fn parse(name: &str, text: &[u8]) -> Self {
        let mut list = Self::default();
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let wanted = std::str::from_utf8(line)
                .map_err(|_| Failure("it is not UTF-8".into()))
                .and_then(Wanted::parse);
            match wanted {
                Ok(wanted) => list.wanted.push(wanted),
                Err(Failure(why)) => list.refused.push(format!("{name}, line {number}: {why}")),
            }
        }
        list
    }
}

/// Checks a URL by the engine's rules before the store is opened, so that the message can name the
/// URL.
pub(crate) fn checked_url(text: &str) -> Result<Url, Failure> {
    let shown = without_login(text);
    let refuse = |why: &str| Err(Failure(format!("{shown}: {why}")));
    let hint = || suggestion(text).map(|url| format!("; did you mean {url}?")).unwrap_or_default();
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(ParseError::RelativeUrlWithoutBase) => {
            return refuse(&format!("a URL begins with http:// or https://{}", hint()));
        }
        Err(error) => return refuse(&format!("not a URL ({})", defect(error))),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return refuse(&format!("only http and https URLs can be fetched{}", hint()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let host = url.host_str().unwrap_or_default();
        let why = format!(
            "the URL for {host} includes credentials, which is not allowed; write them into a \
             netrc file and use --netrc"
        );
        return Err(Failure(why));
    }
    match url.port_or_known_default() {
        Some(port) if bgfetch::is_bad_port(port) => {
            refuse(&format!("port {port} belongs to another protocol and is blocked"))
        }
        _ => Ok(url),
    }
}

/// The text without what may be a name and a password before a host.
fn without_login(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let login = authority.rsplit_once('@').map(|(login, _)| login);
    match login.and_then(|login| rest.strip_prefix(login)) {
        Some(rest) => format!("{scheme}***{rest}"),
        None => text.to_owned(),
    }
}

/// The URL that the user probably meant, for a text that begins with a host.
fn suggestion(text: &str) -> Option<Url> {
    let authority = text.split(['/', '\\', '?', '#']).next()?;
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_local = host == "localhost" || host.starts_with("127.");
    if !is_local && !is_port && (!authority.contains('.') || authority.starts_with('.')) {
        return None;
    }
    let scheme = if is_local { "http" } else { "https" };
    let url = Url::parse(&format!("{scheme}://{text}")).ok()?;
    url.username().is_empty().then_some(url)
}

/// The defect of a URL.
fn defect(error: ParseError) -> &'static str {
    match error {
        ParseError::EmptyHost => "it has no host",
        ParseError::InvalidPort => "its port is not valid",
        ParseError::InvalidIpv4Address | ParseError::InvalidIpv6Address => {
            "its address is not valid"
        }
        ParseError::IdnaError | ParseError::InvalidDomainCharacter => "its host is not valid",
        ParseError::Overflow => "it is too long",
        _ => "it is not valid",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_one_line_that_names_the_url() {
        for (text, expected) in [
            ("nothing", "nothing: a URL begins with http:// or https://"),
            ("http://", "http://: not a URL (it has no host)"),
            ("http://a.test:99999/", "http://a.test:99999/: not a URL (its port is not valid)"),
            ("ftp://a.test/x", "ftp://a.test/x: only http and https URLs can be fetched"),
            (
                "http://a.test:25/",
                "http://a.test:25/: port 25 belongs to another protocol and is blocked",
            ),
        ] {
            assert_eq!(checked_url(text).unwrap_err().0, expected);
        }
        let Failure(line) = checked_url("http://me:secret@a.test/").unwrap_err();
        assert!(line.contains("a.test") && !line.contains("secret"), "{line}");
    }

    #[test]
    fn a_url_without_its_scheme_is_recognized() {
        for (text, expected) in [
            ("example.com/x", Some("https://example.com/x")),
            ("example.com", Some("https://example.com/")),
            ("www.example.com:8443/x?y", Some("https://www.example.com:8443/x?y")),
            ("localhost/x", Some("http://localhost/x")),
            ("localhost:8000", Some("http://localhost:8000/")),
            ("127.0.0.1:8000/x", Some("http://127.0.0.1:8000/x")),
            ("nas:5000/film", Some("https://nas:5000/film")),
            ("grün.example/x", Some("https://xn--grn-ioa.example/x")),
            ("x", None),
            ("./film.mp4", None),
            ("../film.mp4", None),
            ("mailto:me@example.com", None),
            ("ftp://example.com/x", None),
            ("C:\\films\\x.mp4", None),
        ] {
            let Failure(line) = checked_url(text).unwrap_err();
            let suggested = line.split_once("; did you mean ").map(|(_, url)| url);
            assert_eq!(suggested, expected.map(|url| format!("{url}?")).as_deref(), "{line}");
        }
    }

    #[test]
    fn a_refused_url_is_shown_without_a_login() {
        for (text, expected) in [
            ("http://me:pw@a.test:x/", "http://***@a.test:x/: not a URL"),
            ("ftp://me:p@w@a.test/x@y", "ftp://***@a.test/x@y: only http"),
            ("me:pw@a.test/x", "***@a.test/x: only http"),
            ("http://a.test:x/@", "http://a.test:x/@: not a URL"),
        ] {
            let Failure(line) = checked_url(text).unwrap_err();
            assert!(line.starts_with(expected), "{line}");
        }
    }

    #[test]
    fn a_checksum_may_follow_a_url() {
        let hex = "00".repeat(32);
        let wanted = Wanted::parse(&format!("http://a.test/x#part#sha256={hex}")).unwrap();
        assert_eq!(wanted.url.as_str(), "http://a.test/x#part");
        assert_eq!(wanted.integrity, "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        let plain = Wanted::parse("http://a.test/x#sha=1").unwrap();
        assert_eq!((plain.url.fragment(), &*plain.integrity), (Some("sha=1"), ""));
        let Failure(line) = Wanted::parse("http://a.test/x#sha256=12").unwrap_err();
        assert_eq!(line, "http://a.test/x: a checksum of sha256 has 64 hexadecimal digits");
    }

    #[test]
    fn a_list_has_a_url_a_line_and_names_the_others() {
        let hex = "00".repeat(32);
        let text = format!(
            "\u{feff}# films\r\nhttp://a.test/1\r\n\n  http://a.test/2 #sha256={hex}\nhtp://x\n\
             http://me:secret@a.test/\nhttp://a.test/3"
        );
        let list = UrlList::parse("list", text.as_bytes());
        let urls: Vec<_> = list.wanted.iter().map(|wanted| wanted.url.path()).collect();
        assert_eq!(urls, ["/1", "/2", "/3"]);
        assert!(!list.wanted[1].integrity.is_empty());
        let [scheme, login] = list.refused.as_slice() else { panic!("{list:?}") };
        assert_eq!(scheme, "list, line 5: htp://x: only http and https URLs can be fetched");
        assert!(login.starts_with("list, line 6: ") && !login.contains("secret"), "{login}");
        let list = UrlList::parse("list", b"http://a.test/\xff\n");
        assert_eq!(list.refused, ["list, line 1: it is not UTF-8"]);
    }
}
