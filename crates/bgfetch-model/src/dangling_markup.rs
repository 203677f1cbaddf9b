//! Dangling markup: an injected open tag swallows the text that follows as its URL, and the request
//! leaks that text. The URL then contains a line break and a `<`.
//!
//! The URL parser drops line breaks, so the check is made where a URL's text is parsed, and its
//! result is kept in [`Request::dangling_markup`](crate::request::Request::dangling_markup). The
//! rule is a [proposal for Fetch](https://github.com/whatwg/fetch/pull/519) that Chromium and
//! upstream's tests follow.

/// Whether the text of a URL may be swallowed markup: it contains `<` and a tab or line break that
/// the parser drops. Characters that the parser strips at both ends first do not count.
#[must_use]
pub fn is_potentially_dangling_markup(url: &str) -> bool {
    let inner = url.trim_matches(|char| char <= ' ');
    inner.contains(['\t', '\n', '\r']) && inner.contains('<')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_both_a_dropped_character_and_a_less_than_sign() {
        for url in ["https://a.test/?\n<", "https://a.test/<\ta", "/x?a=\r\n<p>", "<\n/x"] {
            assert!(is_potentially_dangling_markup(url), "{url:?}");
        }
        for url in [
            "https://a.test/?<",
            "https://a.test/?\nb",
            "\n https://a.test/?<\n",
            "https://a.test/?%0A%3C",
            "https://a.test/?\n%3C",
            "",
        ] {
            assert!(!is_potentially_dangling_markup(url), "{url:?}");
        }
    }
}
