//! HTML's [origin](https://html.spec.whatwg.org/multipage/browsers.html#concept-origin), in a form
//! that can be persisted.

use alloc::string::String;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

/// An origin. An opaque one is equal only to its own clones, so after being persisted and read back
/// it is equal to nothing: a page without a lasting origin never gains access that way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(url::Origin);

impl Origin {
    /// The origin of `url`.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        Self(url.origin())
    }

    /// A new opaque origin.
    #[must_use]
    pub fn opaque() -> Self {
        Self(url::Origin::new_opaque())
    }

    /// Whether `url` has this origin:
    /// [same origin](https://html.spec.whatwg.org/multipage/browsers.html#same-origin).
    #[must_use]
    pub fn is_same_origin(&self, url: &Url) -> bool {
        self.0 == url.origin()
    }

    /// Its [serialization](https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin),
    /// `null` for an opaque one.
    #[must_use]
    pub fn serialize(&self) -> String {
        self.0.ascii_serialization()
    }

    /// The parts of a tuple origin, for uses that this type does not cover.
    #[must_use]
    pub fn as_url_origin(&self) -> &url::Origin {
        &self.0
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.ascii_serialization())
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Url::parse(&text).map_or_else(|_| Self::opaque(), |url| Self::of(&url)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::of(&url.parse().unwrap())
    }

    fn read_back(origin: &Origin) -> Origin {
        serde_json::from_str(&serde_json::to_string(origin).unwrap()).unwrap()
    }

    #[test]
    fn scheme_host_and_port_make_an_origin() {
        let page = origin("https://a.test/x");
        assert!(page.is_same_origin(&"https://a.test:443/y?z".parse().unwrap()));
        for other in ["http://a.test/", "https://b.test/", "https://a.test:8443/", "data:,x"] {
            assert!(!page.is_same_origin(&other.parse().unwrap()), "{other}");
        }
        assert_eq!(page.serialize(), "https://a.test");
    }

    #[test]
    fn an_origin_is_the_same_after_it_was_stored_unless_it_is_opaque() {
        let page = origin("http://a.test:8080/x");
        assert_eq!(read_back(&page), page);
        let opaque = Origin::opaque();
        assert_eq!(opaque.serialize(), "null");
        assert_eq!(opaque, opaque.clone());
        assert_ne!(read_back(&opaque), opaque);
        assert_ne!(read_back(&opaque), read_back(&opaque));
    }
}
