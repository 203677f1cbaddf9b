//! What a site makes the engine keep besides bodies: requests, ids, titles, icons, policies and the
//! heads of responses. The store's rows of them count to the site's quota, and what stays in memory
//! has a limit of its own.
//!
//! The sizes are upper bounds: the length of each text in JSON, and constants for everything else.

use crate::config::Config;
use crate::error::CallError;
use crate::header_list::HeaderList;
use crate::input::FetchCall;
use crate::policy::Principal;
use crate::request::{Referrer, Request};
use crate::response::ResponseHead;
use crate::store_op::{ImageResource, StoredFetch, StoredRecord};
use crate::vary::SelectingHeaders;

/// What a row takes besides its text, in the store or in memory, in bytes.
pub const ROW: u64 = 1024;

/// A row with more text than this takes whole pages of the database.
const SMALL: u64 = 960;
const PAGE: u64 = 4096;

/// The names and the punctuation of a request, an icon, a response's head and a header in JSON.
const REQUEST_NAMES: u64 = 320;
const ICON_NAMES: u64 = 64;
const HEAD_NAMES: u64 = 224;
const HEADER_NAMES: u64 = 8;
/// The hash of a header's value.
const HASH: u64 = 40;

/// What a row with this much text takes in the store.
pub(crate) const fn row(text: u64) -> u64 {
    if text <= SMALL { ROW + text } else { ROW + text.next_multiple_of(PAGE) }
}

/// The length of a text in JSON, without the quotes.
fn text(text: &str) -> u64 {
    let length = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..=0x1F => 6,
        _ => 1,
    };
    text.bytes().map(length).sum()
}

fn headers(headers: &HeaderList) -> u64 {
    headers.iter().map(|(name, value)| text(name) + text(value) + HEADER_NAMES).sum()
}

/// The text of a request's row.
pub(crate) fn of_request(request: &Request) -> u64 {
    let referrer = match &request.referrer {
        Referrer::Url(url) => url.as_str(),
        Referrer::NoReferrer | Referrer::Client => "",
    };
    let texts = [&*request.method, request.url.as_str(), referrer, &*request.integrity];
    texts.into_iter().map(text).sum::<u64>() + headers(&request.headers) + REQUEST_NAMES
}

/// What the head of a response adds to the row of its request, in whole pages: a page can find out
/// how much of its quota is left, and must not learn from it how long the headers are that it may
/// not see.
pub(crate) fn of_head(head: &ResponseHead) -> u64 {
    let urls: u64 = head.url_list.iter().map(|url| text(url.as_str()) + HEADER_NAMES).sum();
    let names = head.cors_exposed_header_names.iter();
    let names: u64 = names.map(|name| text(name) + HEADER_NAMES).sum();
    let hashes = head.selecting_headers.iter().flat_map(SelectingHeaders::names);
    let hashes: u64 = hashes.map(|name| text(name) + HEADER_NAMES + HASH).sum();
    let text = text(&head.status_text) + headers(&head.headers) + urls + names + hashes;
    (text + HEAD_NAMES + SMALL).next_multiple_of(PAGE)
}

fn of_icons(icons: &[ImageResource]) -> u64 {
    let icon = |icon: &ImageResource| {
        let texts = [icon.src.as_str(), &icon.sizes, &icon.mime_type, &icon.label];
        texts.into_iter().map(text).sum::<u64>() + ICON_NAMES
    };
    icons.iter().map(icon).sum()
}

fn of_principal(principal: &Principal) -> u64 {
    principal.policies().map_or(0, |policies| {
        let referrer = policies.referrer.as_ref().map_or(0, |url| text(url.as_str()));
        let list = policies.policy_container.csp_list.iter();
        let list: u64 = list.map(|policy| text(policy) + HEADER_NAMES).sum();
        let origins = [&policies.origin, &policies.top_level_origin];
        let origins: u64 = origins.into_iter().map(|origin| text(&origin.serialize())).sum();
        referrer + list + origins + REQUEST_NAMES
    })
}

/// The text of a fetch's own row.
pub(crate) fn of_fetch(
    principal: &Principal,
    id: &str,
    title: &str,
    icons: &[ImageResource],
) -> u64 {
    of_principal(principal) + text(id) + text(title) + of_icons(icons)
}

impl StoredFetch {
    /// What the rows of the fetch and its records take in the store, in bytes.
    #[must_use]
    pub fn metadata(&self) -> u64 {
        let head = |record: &StoredRecord| record.response.map_or(0, |head| head.size);
        let records = self.records.iter();
        row(of_fetch(&self.principal, &self.id, &self.title, &self.icons))
            + records.map(|record| row(of_request(&record.request)) + head(record)).sum::<u64>()
    }
}

/// The sizes of a fetch and its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// In the store, without responses.
    pub(crate) rows: u64,
    /// In memory.
    pub(crate) memory: u64,
}

impl Size {
    pub(crate) fn of_call(call: &FetchCall) -> Self {
        let FetchCall { principal, id, options, requests, .. } = call;
        let fetch = of_fetch(principal, id, &options.title, &options.icons);
        let own = Self { rows: row(fetch), memory: ROW + fetch };
        requests.iter().map(of_request).fold(own, |sum, request| Self {
            rows: sum.rows + row(request),
            memory: sum.memory + memory(request),
        })
    }
}

/// What a request with this much text takes in memory: its names are not text there.
pub(crate) const fn memory(request: u64) -> u64 {
    ROW + request - REQUEST_NAMES
}

/// Checks what the user is shown of a fetch.
pub(crate) fn check_ui(
    title: &str,
    icons: &[ImageResource],
    config: &Config,
) -> Result<(), CallError> {
    let fits = title.len() <= config.max_title
        && icons.len() <= config.max_icons
        && of_icons(icons) <= config.max_icons_size;
    if fits { Ok(()) } else { Err(CallError::TooLong) }
}

/// Checks the length of an id.
pub(crate) fn check_id(id: &str, config: &Config) -> Result<(), CallError> {
    if id.len() <= config.max_id { Ok(()) } else { Err(CallError::TooLong) }
}

/// Checks the size of a request.
pub(crate) fn check_request(request: &Request, config: &Config) -> Result<(), CallError> {
    if of_request(request) <= config.max_request_size { Ok(()) } else { Err(CallError::TooLong) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CallId, RegistrationKey, StorageKey};
    use crate::input::FetchOptions;
    use crate::policy::PolicySnapshot;
    use crate::response::ResponseType;
    use crate::vary::HashKey;
    use alloc::string::String;
    use alloc::sync::Arc;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;
    use serde::Serialize;
    use url::Url;

    /// The text of a column in the store.
    fn json(value: &(impl Serialize + ?Sized)) -> u64 {
        serde_json::to_string(value).unwrap().len() as u64
    }

    fn url(path: &str) -> Url {
        Url::parse("https://a.test/").unwrap().join(path).unwrap()
    }

    /// A text of some size, some of whose characters are longer in JSON.
    fn texts() -> impl Strategy<Value = String> {
        ("[a-z\"\\\\\u{1}\u{e9}]{0,9}", 0..60_usize).prop_map(|(text, times)| text.repeat(times))
    }

    fn headers_of_some_size() -> impl Strategy<Value = HeaderList> {
        let header = ("[a-z]{1,60}", texts());
        prop::collection::vec(header, 0..40).prop_map(|list| list.into_iter().collect())
    }

    #[test]
    fn a_text_is_as_long_as_in_json() {
        for of_json in ["", "a b/c", "\"", "\\", "\u{0}\u{1}\u{1f}", "\u{7f}", "caf\u{e9}"] {
            assert_eq!(text(of_json) + 2, json(of_json), "{of_json:?}");
        }
    }

    #[test]
    fn a_small_row_takes_its_text_and_a_large_one_whole_pages() {
        for (text, takes) in [(0, 0), (960, 960), (961, 4096), (4096, 4096), (4097, 8192)] {
            assert_eq!(row(text), ROW + takes);
        }
    }

    #[test]
    fn a_head_counts_each_of_many_entries() {
        let many = |entry: &str| vec![String::from(entry); 2000];
        let head = ResponseHead {
            status: 200,
            status_text: String::new(),
            headers: many("a").into_iter().map(|name| (name, "")).collect(),
            url_list: vec![url("/"); 2000],
            response_type: ResponseType::Cors,
            cors_exposed_header_names: many("b"),
            selecting_headers: None,
        };
        let (counted, stored) = (of_head(&head), json(&head));
        let room = HEADER_NAMES * 3 * 2000 + HEAD_NAMES + SMALL + PAGE;
        assert!(stored <= counted && counted <= stored + room, "{counted} {stored}");
    }

    #[test]
    fn memory_counts_a_row_and_the_text_of_a_fetch_and_of_each_request() {
        let request = Request::get(url("/a"));
        let text = of_request(&request) - REQUEST_NAMES;
        assert_eq!(text, "GET".len() as u64 + url("/a").as_str().len() as u64);
        let call = FetchCall {
            call: CallId(1),
            registration: RegistrationKey {
                storage_key: StorageKey("https://a.test".into()),
                scope: url("/"),
            },
            principal: Arc::new(Principal::User),
            id: "id".into(),
            requests: vec![request.clone(), request],
            options: FetchOptions { title: "title".into(), ..FetchOptions::default() },
            sees_active_worker: true,
        };
        assert_eq!(Size::of_call(&call).memory, (ROW + 7) + 2 * (ROW + text));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_request_counts_as_what_is_stored_of_it_and_little_more(
            path in "[a-z]{0,300}",
            headers in headers_of_some_size(),
            integrity in texts(),
            referrer in prop::option::of("[a-z]{0,300}"),
            method in "[A-Z]{1,300}",
        ) {
            let referrer = referrer.map_or(Referrer::Client, |path| Referrer::Url(url(&path)));
            let request = Request { headers, integrity, referrer, method, ..Request::get(url(&path)) };
            let (counted, stored) = (of_request(&request), json(&request));
            prop_assert!(stored <= counted && counted <= stored + REQUEST_NAMES, "{counted} {stored}");
        }

        #[test]
        fn a_head_counts_as_the_pages_that_its_text_takes(
            status_text in texts(),
            headers in headers_of_some_size(),
            paths in prop::collection::vec("[a-z]{0,300}", 1..20),
            exposed in prop::collection::vec("[a-z]{1,60}", 0..100),
            sent in headers_of_some_size(),
        ) {
            let vary = HeaderList::from_iter([("Vary", "*")]);
            let head = ResponseHead {
                status: 200,
                status_text,
                headers,
                url_list: paths.iter().map(|path| url(path)).collect(),
                response_type: ResponseType::Cors,
                cors_exposed_header_names: exposed,
                selecting_headers: Some(SelectingHeaders::of(&HashKey::default(), &sent, &vary)),
            };
            let (counted, stored) = (of_head(&head), json(&head));
            prop_assert_eq!(counted % PAGE, 0);
            prop_assert!(stored <= counted, "{} {}", counted, stored);
            let listed = (head.url_list.len() + head.cors_exposed_header_names.len()) as u64;
            let more = HEADER_NAMES * listed + HASH * sent.len() as u64;
            prop_assert!(counted <= stored + HEAD_NAMES + SMALL + PAGE + more, "{} {}", counted, stored);
        }

        #[test]
        fn a_fetch_counts_as_what_is_stored_of_it_and_little_more(
            id in texts(),
            title in texts(),
            icons in prop::collection::vec([texts(), texts(), texts(), texts()], 0..6),
            policies in prop::collection::vec(texts(), 0..6),
            referrer in prop::option::of("[a-z]{0,300}"),
        ) {
            let icon = |[src, sizes, mime_type, label]: [String; 4]| ImageResource {
                sizes, mime_type, label, ..ImageResource::new(url(&format!("#{src}")))
            };
            let icons: Vec<_> = icons.into_iter().map(icon).collect();
            let more = ICON_NAMES * icons.len() as u64 + HEADER_NAMES * policies.len() as u64;
            let mut page = PolicySnapshot::of(&url("page"));
            page.referrer = referrer.map(|path| url(&path));
            page.policy_container.csp_list = policies;
            let page = Principal::Page(page);
            let counted = of_fetch(&page, &id, &title, &icons);
            let stored = json(&page) + json(&icons) + text(&id) + text(&title);
            prop_assert!(stored <= counted, "{} {}", counted, stored);
            prop_assert!(counted <= stored + REQUEST_NAMES + more, "{} {}", counted, stored);
            prop_assert!(of_fetch(&Principal::User, &id, &title, &icons) < counted);
        }
    }
}
