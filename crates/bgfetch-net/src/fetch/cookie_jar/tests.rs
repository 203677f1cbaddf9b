use bgfetch_model::ids::StorageKey;
use bgfetch_model::origin::Origin;
use proptest::prelude::*;

use super::*;

const A: &str = "https://www.a.test/dir/page";

/// A jar with calls from one page.
struct Page {
    jar: CookieJar,
    top_level: Option<Origin>,
    same_site: bool,
}

impl Page {
    fn new() -> Self {
        Self::under("https://a.test/", true)
    }

    fn under(top_level: &str, same_site: bool) -> Self {
        let top_level = Some(Origin::of(&top_level.parse().unwrap()));
        Self { jar: CookieJar::new(), top_level, same_site }
    }

    fn with<T>(&self, url: &str, call: impl FnOnce(&CookieContext) -> T) -> T {
        call(&CookieContext {
            url: url.parse().unwrap(),
            method: "GET".into(),
            storage_key: StorageKey("k".into()),
            top_level_origin: self.top_level.clone(),
            same_site: self.same_site,
        })
    }

    fn set(&self, url: &str, value: &str) {
        let values = [HeaderValue::from_bytes(value.as_bytes()).unwrap()];
        self.with(url, |context| self.jar.set(context, &values));
    }

    fn get(&self, url: &str) -> String {
        let value = self.with(url, |context| self.jar.get(context));
        value.map_or_else(String::new, |value| String::from_utf8(value.as_bytes().into()).unwrap())
    }
}

impl Page {
    /// The bytes that the cookies of its partition take.
    fn size(&self) -> usize {
        let partition = match &self.top_level {
            Some(origin) => Partition::Site(Site::of(origin).unwrap()),
            None => Partition::User,
        };
        self.jar.0.lock().partitions.entry(&partition).size()
    }
}

/// What a new jar sends to `to` after `from` has set one cookie.
fn after(from: &str, set_cookie: &str, to: &str) -> String {
    let page = Page::new();
    page.set(from, set_cookie);
    page.get(to)
}

#[test]
fn domains_and_paths_limit_where_a_cookie_goes() {
    for (set_cookie, to, expected) in [
        ("c=1", A, "c=1"),
        ("c=1", "https://www.a.test/dir/deep/er", "c=1"),
        ("c=1", "https://www.a.test/dir", "c=1"),
        ("c=1", "https://www.a.test/directory", ""),
        ("c=1", "https://www.a.test/", ""),
        ("c=1; Path=/", "https://www.a.test/other", "c=1"),
        ("c=1; Path=/", "https://sub.www.a.test/", ""),
        ("c=1; Path=/", "https://a.test/", ""),
        ("c=1; Path=/", "http://www.a.test:81/", "c=1"),
        ("c=1; Path=/; Domain=www.a.test", "https://sub.www.a.test/", "c=1"),
        ("c=1; Path=/; Domain=.A.Test", "https://a.test/", "c=1"),
        ("c=1; Path=/; Domain=a.test", "https://nota.test/", ""),
        ("c=1; Path=/; Domain=other.a.test", "https://other.a.test/", ""),
        ("c=1; Path=/; Domain=sub.www.a.test", A, ""),
        ("c=1; Path=/; Domain=test", "https://b.test/", ""),
        ("c=1; Path=/; Domain=test", A, ""),
        ("c=1; Path=/; HttpOnly", A, "c=1"),
        ("c=1; Path=/; Secure", A, "c=1"),
        ("c=1; Path=/; Secure", "http://www.a.test/", ""),
        ("c=v\u{e0}", A, "c=v\u{e0}"),
        ("nameless", A, ""),
        ("=nameless", A, ""),
        ("", A, ""),
    ] {
        assert_eq!(after(A, set_cookie, to), expected, "{set_cookie} to {to}");
    }
}

#[test]
fn a_public_suffix_is_no_domain_but_may_be_a_host() {
    for (from, domain, to, expected) in [
        ("https://me.github.io/", "github.io", "https://you.github.io/", ""),
        ("https://me.github.io/", "github.io", "https://me.github.io/", ""),
        ("https://github.io/", "github.io", "https://github.io/", "c=1"),
        ("https://github.io/", "github.io", "https://me.github.io/", ""),
        ("https://a.co.uk/", "co.uk", "https://b.co.uk/", ""),
        ("http://localhost/", "localhost", "http://localhost/", "c=1"),
        ("http://127.0.0.1/", "127.0.0.1", "http://127.0.0.1:81/", "c=1"),
        ("http://127.0.0.1/", "0.0.1", "http://127.0.0.1/", ""),
        ("http://127.0.0.1/", "1", "http://127.0.0.1/", ""),
    ] {
        let seen = after(from, &format!("c=1; Domain={domain}"), to);
        assert_eq!(seen, expected, "{from} {domain} {to}");
    }
}

#[test]
fn prefixes_hold_what_they_promise() {
    for (from, set_cookie, kept) in [
        (A, "__Secure-c=1; Path=/", false),
        (A, "__Secure-c=1; Path=/; Secure", true),
        (A, "__secure-c=1; Path=/", false),
        ("http://www.a.test/", "__Secure-c=1; Path=/; Secure", false),
        (A, "__Host-c=1; Path=/; Secure", true),
        (A, "__Host-c=1; Path=/", false),
        (A, "__Host-c=1; Secure", false),
        (A, "__Host-c=1; Path=/dir; Secure", false),
        (A, "__Host-c=1; Path=/; Secure; Domain=www.a.test", false),
        (A, "__HOST-c=1; Path=/; Secure; Domain=a.test", false),
        ("https://github.io/", "__Host-c=1; Path=/; Secure; Domain=github.io", false),
    ] {
        let seen = after(from, set_cookie, if from == A { A } else { from });
        assert_eq!(!seen.is_empty(), kept, "{from} {set_cookie}");
    }
}

#[test]
fn only_cookies_that_say_so_cross_sites() {
    for (set_cookie, same, cross) in [
        ("c=1", true, false),
        ("c=1; SameSite=Strict", true, false),
        ("c=1; SameSite=Lax", true, false),
        ("c=1; SameSite=Bogus", true, false),
        ("c=1; SameSite=None", false, false),
        ("c=1; SameSite=None; Secure", true, true),
    ] {
        for (set_same, get_same) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut page = Page::new();
            page.same_site = set_same;
            page.set(A, set_cookie);
            page.same_site = get_same;
            let expected = if set_same && get_same { same } else { cross };
            assert_eq!(!page.get(A).is_empty(), expected, "{set_cookie} {set_same} {get_same}");
        }
    }
}

#[test]
fn partitions_do_not_see_each_other() {
    let mut page = Page::under("https://a.test/", false);
    let set = "c=1; Secure; SameSite=None; Path=/";
    page.set("https://cdn.test/", set);
    for (top_level, expected) in [
        (Some("https://a.test:444/"), "c=1"),
        (Some("https://www.a.test/"), "c=1"),
        (Some("https://b.test/"), ""),
        (Some("http://a.test/"), ""),
        (None, ""),
    ] {
        page.top_level = top_level.map(|url| Origin::of(&url.parse().unwrap()));
        assert_eq!(page.get("https://cdn.test/"), expected, "{top_level:?}");
    }
    page.top_level = Some(Origin::opaque());
    page.set("https://cdn.test/", set);
    assert_eq!(page.get("https://cdn.test/"), "");
    page.top_level = None;
    page.set("https://cdn.test/", "c=2; Secure; SameSite=None; Path=/");
    assert_eq!(page.get("https://cdn.test/"), "c=2");
    page.jar.clear();
    assert_eq!(page.get("https://cdn.test/"), "");
}

#[test]
fn longer_paths_come_first_and_then_older_cookies() {
    let page = Page::new();
    for set in ["a=1; Path=/", "b=2; Path=/dir", "c=3; Path=/", "d=4; Path=/dir", "a=5; Path=/"] {
        page.set(A, set);
    }
    assert_eq!(page.get(A), "b=2; d=4; a=5; c=3");
}

#[test]
fn cookies_are_replaced_and_deleted_by_name_domain_and_path() {
    let page = Page::new();
    page.set(A, "c=1; Path=/; Max-Age=1000");
    page.set(A, "c=2; Path=/dir");
    page.set(A, "c=3; Path=/; Domain=www.a.test");
    assert_eq!(page.get(A), "c=2; c=1; c=3");
    page.set(A, "c=; Path=/; Max-Age=0");
    assert_eq!(page.get(A), "c=2; c=3");
    page.set(A, "c=; Path=/dir; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
    page.set(A, "c=; Path=/; Domain=www.a.test; Max-Age=-1; Expires=Fri, 31 Dec 9999 23:59:59 GMT");
    assert_eq!(page.get(A), "");
    assert_eq!(page.size(), 0);
}

#[test]
fn without_tls_no_secure_cookie_is_set_replaced_or_shadowed() {
    let insecure = "http://www.a.test/";
    let page = Page::new();
    page.set(A, "c=1; Path=/; Secure; Domain=a.test");
    for set in ["c=2; Path=/; Domain=a.test", "c=2; Path=/x", "c=2; Path=/; Secure"] {
        page.set(insecure, set);
        assert_eq!(page.get("https://www.a.test/x"), "c=1", "{set}");
    }
    page.set(insecure, "d=3; Path=/");
    assert_eq!(page.get(A), "c=1; d=3");
    // With a path above that of the secure cookie, it is a different cookie.
    page.set(A, "e=4; Path=/dir; Secure");
    page.set(insecure, "e=5; Path=/");
    assert_eq!(page.get(A), "e=4; c=1; d=3; e=5");
    // Loopback counts as secure.
    page.set("http://localhost/", "f=6; Secure");
    assert_eq!(page.get("http://localhost/"), "f=6");
}

#[test]
fn without_tls_a_cookie_shadows_none_of_other_paths_and_hosts() {
    let page = Page::new();
    page.set("https://www.a.test/", "c=1; Path=/dir; Secure");
    for path in ["/dir", "/dir/", "/dir/below", "/directory", "/other"] {
        page.set("http://www.a.test/", &format!("c=2; Path={path}"));
    }
    assert_eq!(page.get("https://www.a.test/dir/below"), "c=1");
    assert_eq!(page.get("https://www.a.test/directory"), "c=2");
    assert_eq!(page.get("https://www.a.test/other"), "c=2");
    // Neither host is within the other.
    page.set("https://b.a.test/", "d=3; Path=/; Secure");
    page.set("http://www.a.test/", "d=4; Path=/");
    assert_eq!(page.get("https://www.a.test/"), "d=4");
    assert_eq!(page.get("https://b.a.test/"), "d=3");
}

#[test]
fn sizes_and_numbers_are_limited() {
    let fits = format!("c={}", "x".repeat(MAX_PAIR - 1));
    assert_eq!(after(A, &fits, A), fits);
    assert_eq!(after(A, &format!("{fits}x"), A), "");
    let long = format!("c=1; Path=/{}", "x".repeat(MAX_ATTRIBUTE));
    assert_eq!(after(A, &long, A), "c=1", "too long a path is none");

    let page = Page::new();
    page.set(A, "kept=1; Secure");
    for n in 0..MAX_OF_DOMAIN {
        page.set(A, &format!("c{n}=1"));
    }
    let seen = page.get(A);
    assert_eq!(seen.split("; ").count(), MAX_OF_DOMAIN);
    assert!(seen.contains("kept=1") && !seen.contains("c0=1") && seen.contains("c1=1"), "{seen}");
}

#[test]
fn of_too_many_cookies_the_longest_unused_goes_and_no_other_partition_loses_any() {
    let mut page = Page::under("https://a.test/", true);
    let mut under = |top_level: Option<&str>| {
        page.top_level = top_level.map(|url| Origin::of(&url.parse().unwrap()));
        page.set("https://other.test/", "c=1");
        assert_eq!(page.get("https://other.test/"), "c=1");
    };
    under(Some("https://b.test/"));
    under(None);
    under(Some("https://a.test/"));
    let host = |n: usize| format!("https://h{n}.test/");
    let value = "x".repeat(4000);
    let most = MAX_OF_PARTITION / (4000 + OVERHEAD);
    for n in 0..=most {
        page.set(&host(n), &format!("c={value}"));
        assert!(!page.get(&host(0)).is_empty());
    }
    assert!(page.size() <= MAX_OF_PARTITION);
    assert_eq!(page.get("https://other.test/"), "", "it was unused for the longest time");
    assert!(page.get(&host(1)).is_empty() && !page.get(&host(most)).is_empty());
    for top_level in [Some("https://b.test/"), None] {
        page.top_level = top_level.map(|url| Origin::of(&url.parse().unwrap()));
        assert_eq!(page.get("https://other.test/"), "c=1");
    }
}

/// A cookie takes 4096 bytes here: its texts, and what keeping it costs.
#[test]
fn a_partition_keeps_exactly_as_many_cookies_as_fit() {
    let page = Page::new();
    let host = |n: usize| format!("https://h{n}.test/");
    let value = "x".repeat(4096 - OVERHEAD - "name".len() - "/".len() - "h10.test".len());
    for n in 10..10 + MAX_OF_PARTITION / 4096 {
        page.set(&host(n), &format!("name={value}"));
    }
    assert_eq!(page.size(), MAX_OF_PARTITION);
    assert!(!page.get(&host(10)).is_empty());
    page.set(&host(74), &format!("name={value}"));
    assert!(page.get(&host(11)).is_empty() && !page.get(&host(12)).is_empty());
    page.set("https://h9.test/", "name=");
    assert!(page.get(&host(13)).is_empty() && !page.get(&host(14)).is_empty());
}

#[test]
fn a_cookie_that_was_just_sent_is_more_recently_used_than_one_that_was_just_set() {
    let page = Page::new();
    page.set(A, "sent=1; Path=/sent");
    page.set(A, "set=1; Path=/set");
    assert_eq!(page.get("https://www.a.test/sent"), "sent=1");
    (2..=MAX_OF_DOMAIN).for_each(|n| page.set(A, &format!("c{n}=1; Path=/")));
    assert_eq!(page.get("https://www.a.test/set").matches("set=1").count(), 0);
    assert!(page.get("https://www.a.test/sent").starts_with("sent=1; "));
}

proptest! {
    #[test]
    fn whatever_servers_send_is_kept_out_of_other_sites(
        values in prop::collection::vec(
            "(__Host-|__Secure-)?[a-c]{0,2}=?[ -~\u{80}-\u{200}]{0,8}(; ?(Path|Domain|Max-Age|Expires|Secure|SameSite)(=[ -~\u{80}-\u{200}]{0,9}|=/|=a[.]test|=None)?){0,4}",
            0..8,
        ),
    ) {
        let page = Page::new();
        for value in &values {
            page.set(A, value);
        }
        let sent = page.get(A);
        prop_assert!(sent.is_empty() || sent.split("; ").all(|pair| pair.contains('=')));
        prop_assert_eq!(page.get("https://b.test/dir/page"), "");
        prop_assert!(!page.get("http://www.a.test/dir/page").contains("__Secure-"));
    }
}
