//! The request headers by which a server selected a representation: `Vary` (RFC 9110, section
//! 12.5.5).
//!
//! A stored head keeps keyed hashes of these headers. By them a later request for the same URL is
//! compared with the first one, so that bytes of two users are not joined.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::header_list::HeaderList;
use crate::response::ResponseHead;

/// The headers that tell users apart. They are hashed for every response, because a server may
/// name them only in a later `Vary`.
const CREDENTIALS: [&str; 2] = ["authorization", "cookie"];

/// A store's own random key for hashes of request headers. Without it, a stored hash does not tell
/// whether a guessed cookie is the right one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct HashKey([u8; 16]);

impl HashKey {
    /// A key of 16 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    fn hash(&self, name: &str, value: &str) -> u128 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        for part in [name.as_bytes(), b":", value.as_bytes()] {
            core::hash::Hasher::write(&mut hasher, part);
        }
        hasher.finish128().as_u128()
    }
}

/// Keeps the key out of logs.
impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey")
    }
}

/// Keyed hashes of the headers of a request that may have selected the representation of its
/// response: its credentials, and what the response's `Vary` names. Headers that were not sent are
/// not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SelectingHeaders(BTreeMap<String, u128>);

impl SelectingHeaders {
    /// The hashes for a request that was sent with the headers `sent` and answered with the headers
    /// `response`.
    #[must_use]
    pub fn of(key: &HashKey, sent: &HeaderList, response: &HeaderList) -> Self {
        let vary = Vary::of(response);
        let mut hashes = BTreeMap::new();
        for (name, _) in sent.iter() {
            let name = name.to_ascii_lowercase();
            if (is_credential(&name) || vary.names(&name))
                && let Some(value) = sent.get(&name)
            {
                let hash = key.hash(&name, &value);
                hashes.insert(name, hash);
            }
        }
        Self(hashes)
    }

    /// The names of the headers.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Whether the bytes of `held` may be joined with those of a response with the headers `response`
/// to a request with the `selecting` headers, as far as `Vary` tells. Headers that are unknown
/// count as different.
///
/// An entity tag identifies the bytes among all that one user can get, but perhaps not among those
/// of all users, so credentials are compared if the server selects by them. A date says only when
/// the bytes changed: it identifies nothing if the server selects by credentials, and all other
/// headers that it selects by must be the same.
pub(crate) fn is_selected_alike(
    held: &ResponseHead,
    selecting: Option<&SelectingHeaders>,
    response: &HeaderList,
) -> bool {
    let (before, now) = (Vary::of(&held.headers), Vary::of(response));
    let is_same = |name: &str| match (&held.selecting_headers, selecting) {
        (Some(before), Some(now)) => before.0.get(name) == now.0.get(name),
        _ => false,
    };
    let mut credentials =
        CREDENTIALS.into_iter().filter(|name| before.names(name) || now.names(name));
    if held.headers.contains("etag") {
        return credentials.all(is_same);
    }
    credentials.next().is_none()
        && before.others(held).all(is_same)
        && now.others(held).all(|name| before.names(name))
}

/// Whether the server selects by credentials, so that a date does not identify the bytes.
pub(crate) fn varies_by_user(head: &ResponseHead) -> bool {
    let vary = Vary::of(&head.headers);
    CREDENTIALS.into_iter().any(|name| vary.names(name))
}

fn is_credential(name: &str) -> bool {
    CREDENTIALS.contains(&name)
}

/// A response's `Vary`.
struct Vary(String);

impl Vary {
    fn of(headers: &HeaderList) -> Self {
        Self(headers.get("vary").unwrap_or_default().to_ascii_lowercase())
    }

    fn members(&self) -> impl Iterator<Item = &str> {
        self.0.split(',').map(str::trim).filter(|member| !member.is_empty())
    }

    /// Whether `name`, in lower case, may have selected the representation. `*` names every header.
    fn names(&self, name: &str) -> bool {
        self.members().any(|member| member == name || member == "*")
    }

    /// The named headers that are no credentials. A resume asks for the identity coding, so
    /// `Accept-Encoding` selected the same if `held` is not coded.
    fn others(&self, held: &ResponseHead) -> impl Iterator<Item = &str> {
        let is_coded = held.is_content_coded();
        self.members()
            .filter(move |name| !is_credential(name) && (is_coded || *name != "accept-encoding"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::ResponseHead;

    const TAG: (&str, &str) = ("ETag", "\"1\"");
    const KEY: HashKey = HashKey::new([7; 16]);

    fn selecting(sent: &[(&str, &str)], response: &[(&str, &str)]) -> SelectingHeaders {
        let [sent, response] = [sent, response].map(|list| list.iter().copied().collect());
        SelectingHeaders::of(&KEY, &sent, &response)
    }

    type Headers<'a> = &'a [(&'a str, &'a str)];

    /// Whether a response to a request may be joined with another; each is given by the headers of
    /// the request and of the response.
    fn is_alike(before: (Headers<'_>, Headers<'_>), now: (Headers<'_>, Headers<'_>)) -> bool {
        let held = ResponseHead {
            status: 200,
            status_text: String::new(),
            headers: before.1.iter().copied().collect(),
            url_list: alloc::vec![],
            response_type: Default::default(),
            cors_exposed_header_names: alloc::vec![],
            selecting_headers: Some(selecting(before.0, before.1)),
        };
        let headers = now.1.iter().copied().collect();
        let alike = is_selected_alike(&held, Some(&selecting(now.0, now.1)), &headers);
        let known = is_selected_alike(&held, None, &headers);
        assert!(alike || !known, "what is unknown is no better than what is known");
        alike
    }

    #[test]
    fn credentials_count_where_vary_names_them() {
        let (alice, bob) = ([("Cookie", "a")], [("cookie", "b")]);
        for (vary, counts) in [
            (&[][..], false),
            (&[("Vary", "Accept, COOKIE")], true),
            (&[("Vary", "Accept"), ("vary", "cookie")], true),
            (&[("Vary", " * ")], true),
            (&[("Vary", "Cookies")], false),
            (&[("Vary", "Authorization")], false),
        ] {
            let with_tag = [vary, &[TAG]].concat();
            let nothing = [TAG];
            for (before, now) in
                [(&with_tag[..], &nothing[..]), (&nothing, &with_tag), (&with_tag, &with_tag)]
            {
                assert_eq!(is_alike((&alice, before), (&bob, now)), !counts, "{vary:?}");
                assert_eq!(is_alike((&[], before), (&bob, now)), !counts, "{vary:?}");
                assert!(is_alike((&alice, before), (&alice, now)), "{vary:?}");
                assert!(is_alike((&[], before), (&[], now)), "{vary:?}");
            }
        }
    }

    #[test]
    fn a_date_needs_the_same_headers_and_knows_no_users() {
        let (german, english) = ([("Accept-Language", "de")], [("Accept-Language", "en")]);
        let language = [("Vary", "accept-language")];
        let coding = [("Vary", "Accept-Encoding")];
        assert!(is_alike((&german, &language), (&german, &language)));
        assert!(!is_alike((&german, &language), (&english, &language)));
        assert!(!is_alike((&german, &language), (&[], &language)));
        assert!(!is_alike((&german, &[]), (&german, &language)), "it was not hashed");
        assert!(is_alike((&german, &[]), (&english, &[])));
        let (gzip, identity) = ([("Accept-Encoding", "gzip")], [("Accept-Encoding", "identity")]);
        assert!(is_alike((&gzip, &coding), (&identity, &coding)));
        let coded = [("Vary", "Accept-Encoding"), ("Content-Encoding", "gzip")];
        assert!(!is_alike((&gzip, &coded), (&identity, &coded)));
        // A tag identifies one of several representations, a date does not.
        let [tagged_language, tagged_user] =
            ["Accept-Language", "Cookie"].map(|it| [("Vary", it), TAG]);
        assert!(is_alike((&german, &tagged_language), (&english, &tagged_language)));
        for user in ["Cookie", "authorization", "*"] {
            let vary = [("Vary", user)];
            assert!(!is_alike((&[], &vary), (&[], &vary)));
            assert!(!is_alike((&[], &[]), (&[], &vary)));
        }
        assert!(is_alike((&[], &tagged_user), (&[], &tagged_user)));
    }

    #[test]
    fn hashes_need_the_stores_key() {
        let sent = HeaderList::from_iter([("Cookie", "a"), ("X", "secret"), ("Accept", "*/*")]);
        let response = HeaderList::from_iter([("Vary", "Accept")]);
        let hashes = SelectingHeaders::of(&KEY, &sent, &response);
        let names: alloc::vec::Vec<_> = hashes.0.keys().collect();
        assert_eq!(names, ["accept", "cookie"]);
        assert_ne!(SelectingHeaders::of(&HashKey::default(), &sent, &response), hashes);
        let swapped = HeaderList::from_iter([("Authorization", "a"), ("Accept", "*/*")]);
        let swapped = SelectingHeaders::of(&KEY, &swapped, &response);
        assert_ne!(hashes.0.get("cookie"), swapped.0.get("authorization"));
        assert!(!alloc::format!("{KEY:?}").contains('7'));
    }
}
