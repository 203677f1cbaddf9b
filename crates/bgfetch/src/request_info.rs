//! The argument of `fetch()`: the spec's `RequestInfo`, a URL or a `Request`.

use std::fmt;
use std::io;

use bgfetch_model::dangling_markup::is_potentially_dangling_markup;
use bgfetch_model::header_list::HeaderList;
use bgfetch_model::request::{
    CacheMode, CredentialsMode, RedirectMode, Referrer, ReferrerPolicy, Request, RequestMode,
};
use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use url::Url;

use crate::error::{Error, Kind};

/// A request and its body.
///
/// ```
/// use bgfetch::RequestInfo;
///
/// let download = RequestInfo::try_from("https://example.com/ep-5.mp3")?;
/// let upload = RequestInfo::new("POST", "https://example.com/photos".parse()?)
///     .header("content-type", "image/jpeg")?
///     .body(&b"..."[..]);
/// # Ok::<(), bgfetch::Error>(())
/// ```
pub struct RequestInfo {
    pub(crate) request: Request,
    pub(crate) body: Option<RequestBody>,
}

/// The body of a request. It is read once, into the store, before `fetch()` resolves.
pub(crate) enum RequestBody {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A stream of bytes; an error rejects `fetch()`.
    Stream(BoxStream<'static, io::Result<Bytes>>),
}

impl RequestInfo {
    /// A request without a body. Methods that Fetch normalizes are normalized.
    #[must_use]
    pub fn new(method: &str, url: Url) -> Self {
        Self { request: Request::get(url).with(|it| it.method = normalize(method)), body: None }
    }

    /// Like [`new`](Self::new), with a URL as the page wrote it, relative to the page's base URL. Only
    /// the text shows whether the URL may be [dangling markup](Request::dangling_markup), so that is
    /// checked here and when a string is converted: a parsed URL no longer shows it.
    ///
    /// # Errors
    ///
    /// When it is not a valid URL.
    pub fn parse(method: &str, url: &str, base: &Url) -> Result<Self, Error> {
        Ok(Self::new(method, base.join(url)?).written_as(url))
    }

    fn written_as(mut self, url: &str) -> Self {
        self.request.dangling_markup = is_potentially_dangling_markup(url);
        self
    }

    /// Adds a header. When `fetch()` is called for a page, it drops headers that are
    /// [forbidden](https://fetch.spec.whatwg.org/#forbidden-request-header) to pages.
    ///
    /// # Errors
    ///
    /// When the name or the value is not valid in HTTP.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let valid = is_token(name)
            && value.chars().all(|c| c == '\t' || (c >= ' ' && c != '\u{7f}' && c <= '\u{ff}'));
        if !valid {
            return Err(Error(Kind::Header(name.into())));
        }
        self.request.headers.append(name, value.trim_matches([' ', '\t']));
        Ok(self)
    }

    /// Sets the mode; `cors` by default.
    #[must_use]
    pub fn mode(mut self, mode: RequestMode) -> Self {
        self.request.mode = mode;
        self
    }

    /// Sets the redirect mode; `follow` by default.
    #[must_use]
    pub fn redirect(mut self, redirect: RedirectMode) -> Self {
        self.request.redirect = redirect;
        self
    }

    /// Sets when cookies and other credentials are sent; `same-origin` by default.
    #[must_use]
    pub fn credentials(mut self, credentials: CredentialsMode) -> Self {
        self.request.credentials = credentials;
        self
    }

    /// Sets the cache mode; `default` by default. `only-if-cached` needs the mode `same-origin`,
    /// and fails the record because nothing is cached.
    #[must_use]
    pub fn cache(mut self, cache: CacheMode) -> Self {
        self.request.cache = cache;
        self
    }

    /// Sets the referrer; `client` by default. A URL whose origin is not the page's counts as
    /// `client`.
    #[must_use]
    pub fn referrer(mut self, referrer: Referrer) -> Self {
        self.request.referrer = referrer;
        self
    }

    /// Sets the referrer policy; the page's by default.
    #[must_use]
    pub fn referrer_policy(mut self, policy: ReferrerPolicy) -> Self {
        self.request.referrer_policy = policy;
        self
    }

    /// Sets the [integrity metadata](https://w3c.github.io/webappsec-subresource-integrity/#integrity-metadata),
    /// as in `sha256-...`; empty by default, which verifies nothing.
    #[must_use]
    pub fn integrity(mut self, metadata: impl Into<String>) -> Self {
        self.request.integrity = metadata.into();
        self
    }

    /// Sets a body from bytes in memory.
    #[must_use]
    pub fn body(self, bytes: impl Into<Bytes>) -> Self {
        self.with_body(RequestBody::Bytes(bytes.into()))
    }

    /// Sets a body that is read from a stream.
    #[must_use]
    pub fn body_stream(
        self,
        stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Self {
        self.with_body(RequestBody::Stream(stream.boxed()))
    }

    /// The request without its body.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The header list.
    #[must_use]
    pub fn headers(&self) -> &HeaderList {
        &self.request.headers
    }

    fn with_body(mut self, body: RequestBody) -> Self {
        // The length is known once the body was read.
        self.request.body_length = Some(0);
        self.body = Some(body);
        self
    }
}

impl fmt::Debug for RequestInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestInfo").field("request", &self.request).finish_non_exhaustive()
    }
}

impl From<Url> for RequestInfo {
    fn from(url: Url) -> Self {
        Self { request: Request::get(url), body: None }
    }
}

impl From<Request> for RequestInfo {
    fn from(request: Request) -> Self {
        Self { request: request.with(|it| it.body_length = None), body: None }
    }
}

impl TryFrom<&str> for RequestInfo {
    type Error = Error;

    fn try_from(url: &str) -> Result<Self, Error> {
        Ok(Self::from(Url::parse(url)?).written_as(url))
    }
}

impl TryFrom<&String> for RequestInfo {
    type Error = Error;

    fn try_from(url: &String) -> Result<Self, Error> {
        Self::try_from(url.as_str())
    }
}

impl From<&Url> for RequestInfo {
    fn from(url: &Url) -> Self {
        Self::from(url.clone())
    }
}

impl TryFrom<String> for RequestInfo {
    type Error = Error;

    fn try_from(url: String) -> Result<Self, Error> {
        Self::try_from(url.as_str())
    }
}

/// [Normalize](https://fetch.spec.whatwg.org/#concept-method-normalize) a method.
fn normalize(method: &str) -> String {
    const NORMALIZED: [&str; 6] = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];
    NORMALIZED
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(method))
        .unwrap_or(method)
        .to_owned()
}

fn is_token(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_normalized_as_fetch_does() {
        let method =
            |method| RequestInfo::new(method, "https://a.test".parse().unwrap()).request.method;
        assert_eq!(method("get"), "GET");
        assert_eq!(method("patch"), "patch");
    }

    #[test]
    fn dangling_markup_is_seen_in_the_text_of_a_url() {
        let base = "https://a.test/dir/".parse().unwrap();
        for (text, dangling) in [("x?\n<", true), ("x?<", false), ("x?\n", false)] {
            let relative = RequestInfo::parse("GET", text, &base).unwrap().request;
            assert_eq!(relative.dangling_markup, dangling, "{text:?}");
            let upload = RequestInfo::parse("post", text, &base).unwrap().body("photo").request;
            assert_eq!((&*upload.method, upload.dangling_markup), ("POST", dangling), "{text:?}");
            let absolute = RequestInfo::try_from(format!("https://a.test/dir/{text}"));
            assert_eq!(absolute.unwrap().request, relative);
        }
        assert!(RequestInfo::parse("GET", "http://", &base).is_err());
    }

    #[test]
    fn header_injection_is_refused() {
        let request = || RequestInfo::try_from("https://a.test").unwrap();
        assert!(request().header("a", "b\r\nc: d").is_err());
        assert!(request().header("a b", "c").is_err());
        assert!(request().header("", "c").is_err());
        assert_eq!(request().header("a", " b ").unwrap().headers().get("a").as_deref(), Some("b"));
    }
}
