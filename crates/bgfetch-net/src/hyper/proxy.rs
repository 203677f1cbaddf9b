//! Proxies, and the choice of one for a URL.

use std::fmt;
use std::future::{Ready, ready};
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use percent_encoding::percent_decode_str;
use thiserror::Error;
use url::{Host, Url};

/// A way to a server: direct, or through a proxy.
///
/// A proxy is parsed from a URL: `http://HOST:PORT` for one that is asked for a tunnel
/// (`CONNECT`), `https://HOST:PORT` for the same over TLS, `socks5://HOST:PORT` (or `socks5h`) for
/// SOCKS5. Without a scheme, it is `http`. The default ports are 80, 443 and 1080. The name and the
/// password of a user come before the host, percent-encoded: `http://USER:PASSWORD@HOST`.
///
/// The proxy resolves the host of a URL, so no name is looked up on this machine. All requests, also
/// those for `http` URLs, go through a tunnel, so the proxy sees the host and the port, and of `http`
/// all the rest.
///
/// `Debug` and `Display` omit the user and the password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy(pub(super) Option<ProxyServer>);

/// A proxy's address and protocol.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct ProxyServer {
    pub(super) protocol: ProxyProtocol,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: Option<User>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ProxyProtocol {
    Http,
    Https,
    Socks5,
}

/// Who uses a proxy.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password: String,
}

/// A text is not the URL of a proxy. The error does not repeat it, because it may contain a
/// password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {reason}")]
pub struct BadProxy {
    place: String,
    reason: &'static str,
}

impl Proxy {
    /// No proxy.
    pub const DIRECT: Self = Self(None);

    /// The same proxy with these credentials: `Basic` authentication, or those of SOCKS5.
    ///
    /// # Errors
    /// They cannot be sent: a name that contains a colon; over SOCKS5, one of the two that is empty
    /// or longer than 255 bytes.
    pub fn with_user(
        mut self,
        name: impl Into<String>,
        password: impl Into<String>,
    ) -> Result<Self, BadProxy> {
        let user = User { name: name.into(), password: password.into() };
        if let Some(server) = &mut self.0 {
            let fits = |text: &str| (1..=255).contains(&text.len());
            let can_be_sent = match server.protocol {
                ProxyProtocol::Http | ProxyProtocol::Https => !user.name.contains(':'),
                ProxyProtocol::Socks5 => fits(&user.name) && fits(&user.password),
            };
            if !can_be_sent {
                return Err(bad("the user and password of a proxy cannot be sent"));
            }
            server.user = Some(user);
        }
        Ok(self)
    }
}

fn bad(reason: &'static str) -> BadProxy {
    BadProxy { place: "proxy".into(), reason }
}

impl FromStr for Proxy {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<Self, BadProxy> {
        let with_scheme =
            if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&with_scheme).map_err(|_| bad("not a URL"))?;
        let (protocol, default_port) = match url.scheme() {
            "http" => (ProxyProtocol::Http, 80),
            "https" => (ProxyProtocol::Https, 443),
            "socks5" | "socks5h" => (ProxyProtocol::Socks5, 1080),
            _ => return Err(bad("the scheme is not http, https or socks5")),
        };
        let host = match url.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(host) => host.to_string(),
            None => return Err(bad("no host")),
        };
        let port = url.port().unwrap_or(default_port);
        let proxy = Self(Some(ProxyServer { protocol, host, port, user: None }));
        if url.username().is_empty() && url.password().is_none() {
            return Ok(proxy);
        }
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        proxy.with_user(decode(url.username()), decode(url.password().unwrap_or_default()))
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(server) = &self.0 else { return f.write_str("direct") };
        let scheme = match server.protocol {
            ProxyProtocol::Http => "http",
            ProxyProtocol::Https => "https",
            ProxyProtocol::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}", authority(&server.host, server.port))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// `HOST:PORT`, with brackets around an IPv6 address.
pub(super) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl User {
    /// The value of `Proxy-Authorization`.
    pub(super) fn basic(&self) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
        let token = STANDARD.encode(format!("{}:{}", self.name, self.password));
        let mut value = HeaderValue::try_from(format!("Basic {token}"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// The proxies that environment variables name, by the rules of curl.
///
/// `http_proxy` and `https_proxy` are for URLs of these schemes, `all_proxy` for those of both that
/// have none of their own. `no_proxy` is a list of hosts, domains with their subdomains, addresses
/// and subnets that are reached directly; `*` stands for all. The names may be in upper case, except
/// `HTTP_PROXY`, which the requests of a CGI script could set. Lower case is preferred. An empty
/// variable is as good as none.
///
/// ```no_run
/// # use bgfetch_net::hyper::{HyperFetcher, Proxies};
/// let proxies = Proxies::from_environment()?;
/// let fetcher = HyperFetcher::builder().proxy(move |url| proxies.of(url)).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    /// Intercepts what goes through a proxy.
    exceptions: Arc<Matcher>,
}

impl Proxies {
    /// Reads the variables of this process.
    ///
    /// # Errors
    /// One of them is not the URL of a proxy.
    pub fn from_environment() -> Result<Self, BadProxy> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// Reads the variables from `variable`.
    ///
    /// # Errors
    /// See [`from_environment`](Self::from_environment).
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, BadProxy> {
        let first = |names: &[&'static str]| {
            let mut set = names.iter().filter_map(|name| Some((*name, variable(name)?)));
            set.find(|(_, value)| !value.is_empty())
        };
        let proxy = |names: &[&'static str]| match first(names) {
            Some((name, value)) => match value.parse() {
                Ok(proxy) => Ok(Some(proxy)),
                Err(BadProxy { reason, .. }) => Err(BadProxy { place: name.into(), reason }),
            },
            None => Ok(None),
        };
        let all: Option<Proxy> = proxy(&["all_proxy", "ALL_PROXY"])?;
        let no = first(&["no_proxy", "NO_PROXY"]).map(|(_, list)| list).unwrap_or_default();
        Ok(Self {
            http: proxy(&["http_proxy"])?.or_else(|| all.clone()),
            https: proxy(&["https_proxy", "HTTPS_PROXY"])?.or(all),
            exceptions: Arc::new(Matcher::builder().all("http://any").no(no).build()),
        })
    }

    /// The proxy for `url`, as [`HyperFetcherBuilder::proxy`] takes it.
    ///
    /// [`HyperFetcherBuilder::proxy`]: super::HyperFetcherBuilder::proxy
    pub fn of(&self, url: &Url) -> Ready<Vec<Proxy>> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        let is_proxied = |uri: Uri| self.exceptions.intercept(&uri).is_some();
        let proxy = proxy.iter().filter(|_| url.as_str().parse().is_ok_and(is_proxied));
        ready(proxy.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn shown(text: &str) -> String {
        match text.parse::<Proxy>() {
            Ok(proxy) => {
                let shown = format!("{proxy} {proxy:?}");
                format!("{shown} {:?}", proxy.0.unwrap().user.map(|it| it.name))
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_proxy_is_parsed_and_shown_without_its_password() {
        for (text, expected) in [
            ("proxy.test", "http://proxy.test:80 Proxy(http://proxy.test:80) None"),
            (
                "http://proxy.test:3128/",
                "http://proxy.test:3128 Proxy(http://proxy.test:3128) None",
            ),
            ("https://[::1]", "https://[::1]:443 Proxy(https://[::1]:443) None"),
            (
                "socks5h://u:p@10.0.0.1",
                "socks5://10.0.0.1:1080 Proxy(socks5://10.0.0.1:1080) Some(\"u\")",
            ),
            (
                "u%40x:p%3Aw@proxy.test:1",
                "http://proxy.test:1 Proxy(http://proxy.test:1) Some(\"u@x\")",
            ),
            ("ftp://u:secret@proxy.test", "proxy: the scheme is not http, https or socks5"),
            (
                "http://u%3A:secret@proxy.test",
                "proxy: the user and password of a proxy cannot be sent",
            ),
            ("socks5://u@proxy.test", "proxy: the user and password of a proxy cannot be sent"),
            ("http://u:secret@:1", "proxy: not a URL"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        let user = "u:p%3Aw@x".parse::<Proxy>().unwrap().0.unwrap().user.unwrap();
        assert_eq!(user.password, "p:w");
        let basic = user.basic().unwrap();
        assert_eq!(basic, "Basic dTpwOnc=");
        assert!(basic.is_sensitive());
    }

    fn chosen(variables: &[(&str, &str)], url: &str) -> String {
        let variable = |name: &str| {
            let set = variables.iter().find(|(known, _)| *known == name);
            set.map(|(_, value)| String::from(*value))
        };
        match Proxies::from_variables(variable) {
            Ok(proxies) => {
                let chosen = proxies.of(&url.parse().unwrap()).now_or_never().unwrap();
                chosen.iter().map(ToString::to_string).collect()
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_environment_is_read_as_curl_does() {
        let (plain, tls) = ("http://a.test/x", "https://a.test/x");
        for (variables, url, expected) in [
            (&[][..], plain, ""),
            (&[("http_proxy", "p:1")], plain, "http://p:1"),
            (&[("http_proxy", "p:1")], tls, ""),
            (&[("HTTP_PROXY", "p:1")], plain, ""),
            (&[("HTTPS_PROXY", "p:1")], tls, "http://p:1"),
            (&[("HTTPS_PROXY", "p:1"), ("https_proxy", "q:1")], tls, "http://q:1"),
            (&[("ALL_PROXY", "socks5://p")], tls, "socks5://p:1080"),
            (&[("all_proxy", "p:1"), ("http_proxy", "q:1")], plain, "http://q:1"),
            (&[("all_proxy", "p:1"), ("http_proxy", "")], plain, "http://p:1"),
            (&[("all_proxy", "p:1"), ("no_proxy", "*")], tls, ""),
            (&[("all_proxy", "p:1"), ("NO_PROXY", "b.test, .a.test")], tls, ""),
            (&[("all_proxy", "p:1"), ("no_proxy", "a.test")], "https://x.a.test/", ""),
            (&[("all_proxy", "p:1"), ("no_proxy", "a.test")], "https://xa.test/", "http://p:1"),
            (&[("all_proxy", "p:1"), ("no_proxy", "10.0.0.0/8,::1")], "http://10.1.2.3/", ""),
            (&[("all_proxy", "p:1"), ("no_proxy", "10.0.0.0/8,::1")], "http://[::1]:8/", ""),
            (
                &[("https_proxy", "gopher://u:secret@p")],
                plain,
                "https_proxy: the scheme is not http, https or socks5",
            ),
        ] {
            assert_eq!(chosen(variables, url), expected, "{variables:?} {url}");
        }
    }
}
