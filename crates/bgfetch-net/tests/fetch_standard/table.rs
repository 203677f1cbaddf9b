//! The notation of the tables.
//!
//! ```text
//! # A comment.
//! == the name of the row
//! only h2 tls                      (optional: h1, h2, tls, plain; what the row runs over)
//! track referer accept             (optional: headers to compare in addition to the usual ones)
//! page {page}/dir/page?q           (optional: the page's URL, `opaque` or `user`; {page}/ by default)
//! top {b}                          (optional: the top-level page; the page itself by default)
//! policy no-referrer               (optional: the page's referrer policy)
//! wait 600                         (optional: the seconds that pass before the next fetch)
//! fetch PUT {a}/x credentials=include mode=cors redirect=follow body=text | x-own: 1
//! seen OPTIONS {a}/x | origin: {page} | acrm: PUT | acrh: x-own
//! send 204 | acao: {page} | acam: PUT
//! seen PUT {a}/x | origin: {page} | x-own: 1 | body: text
//! send 200 | acao: {page} | location: {b}/y
//! = cors 200 {a}/x > {b}/y | content-type: text/plain
//! ```
//!
//! A row may fetch more than once, also from another page; cookies and the preflight cache are
//! kept. Each `seen` and `send` is one exchange, in order; no other request may be received. Of the
//! headers, exactly those of [`run::TRACKED`] and those that begin with `x-` are compared. After
//! `=` comes `network error`, or the response's type, status and URL list. If a `|` follows, it
//! lists all headers that scripts may see (`| -`: none) except `date` and `content-length`.
//!
//! Origins: `{page}` and `{sib}` (page.test, sub.page.test), `{a}` and `{sub}` (a.test, sub.a.test),
//! `{b}` (b.test), `{alt}` (a.test at another port). `times 20` before a `seen` repeats the exchange;
//! `{page}/r x21` in a URL list stands for 21 entries.
//!
//! [`run::TRACKED`]: super::run::TRACKED

use bgfetch_model::request::{
    CacheMode, CredentialsMode, RedirectMode, ReferrerPolicy, RequestMode,
};

use super::run::Protocol;

/// Headers, in order, with names in lower case.
pub(crate) type Headers = Vec<(String, String)>;

/// A row. Texts still contain placeholders.
pub(crate) struct Case {
    /// Prefixed with the subject.
    pub(crate) name: String,
    only: Vec<String>,
    pub(crate) track: Vec<String>,
    page: Page,
    wait: u64,
    pub(crate) fetches: Vec<Fetch>,
}

/// The page that fetches.
#[derive(Clone)]
pub(crate) struct Page {
    /// The page's URL, `opaque` or `user`.
    pub(crate) url: String,
    pub(crate) top: Option<String>,
    pub(crate) policy: ReferrerPolicy,
}

/// A request of the page and its result.
pub(crate) struct Fetch {
    pub(crate) page: Page,
    /// How many seconds pass before the fetch.
    pub(crate) wait: u64,
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) mode: RequestMode,
    pub(crate) credentials: CredentialsMode,
    pub(crate) redirect: RedirectMode,
    pub(crate) cache: CacheMode,
    pub(crate) referrer_policy: ReferrerPolicy,
    pub(crate) body: Option<String>,
    pub(crate) headers: Headers,
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) outcome: Outcome,
}

/// A request that a server must receive, and its response.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    pub(crate) url: String,
    /// The tracked headers, and `body`.
    pub(crate) seen: Headers,
    pub(crate) status: u16,
    pub(crate) headers: Headers,
}

/// The expected result of a fetch.
pub(crate) enum Outcome {
    /// The row has not given it yet.
    Unsaid,
    NetworkError,
    Response(Expected),
}

/// The parts of a response that a page sees.
pub(crate) struct Expected {
    pub(crate) kind: String,
    pub(crate) status: u16,
    pub(crate) urls: Vec<String>,
    pub(crate) headers: Option<Headers>,
}

impl Case {
    pub(crate) fn runs_over(&self, protocol: Protocol) -> bool {
        self.only.iter().all(|word| protocol.is(word))
    }
}

/// Parses a table.
pub(crate) fn parse(subject: &str, rows: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut times = 1;
    for (number, line) in rows.lines().enumerate() {
        let line = line.trim();
        let bad = |why: &str| -> ! { panic!("{subject}.txt:{}: {why}: {line}", number + 1) };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or_else(|| bad("one word"));
        let rest = rest.trim();
        if word == "==" {
            cases.push(Case {
                name: format!("{subject}: {rest}"),
                only: Vec::new(),
                track: Vec::new(),
                page: Page { url: "{page}/".into(), top: None, policy: ReferrerPolicy::default() },
                wait: 0,
                fetches: Vec::new(),
            });
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| bad("no row has begun"));
        match word {
            "only" => case.only = words(rest),
            "track" => case.track = words(rest),
            "page" => case.page.url = rest.into(),
            "top" => case.page.top = Some(rest.into()),
            "policy" => case.page.policy = referrer_policy(rest),
            "wait" => case.wait = rest.parse().unwrap_or_else(|_| bad("not a number")),
            "fetch" => {
                let wait = std::mem::take(&mut case.wait);
                case.fetches.push(fetch(case.page.clone(), wait, rest));
            }
            "times" => times = rest.parse().unwrap_or_else(|_| bad("not a number")),
            "seen" | "send" | "=" => {
                let fetch = case.fetches.last_mut().unwrap_or_else(|| bad("no fetch has begun"));
                match word {
                    "seen" => fetch.exchanges.push(seen(rest)),
                    "send" => {
                        let exchange =
                            fetch.exchanges.last_mut().unwrap_or_else(|| bad("nothing was seen"));
                        let (status, headers) = parts(rest);
                        exchange.status = status.parse().unwrap_or_else(|_| bad("not a status"));
                        exchange.headers = headers;
                        let exchange = exchange.clone();
                        let more = std::mem::replace(&mut times, 1) - 1;
                        fetch.exchanges.extend(std::iter::repeat_n(exchange, more));
                    }
                    _ => fetch.outcome = outcome(rest),
                }
            }
            _ => bad("not a keyword"),
        }
    }
    for case in &cases {
        let said = |fetch: &Fetch| !matches!(fetch.outcome, Outcome::Unsaid);
        let whole = !case.fetches.is_empty() && case.fetches.iter().all(said);
        assert!(whole, "{} does not say what it comes to", case.name);
    }
    cases
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(Into::into).collect()
}

/// The text before the first `|`, and the headers after it.
fn parts(text: &str) -> (&str, Headers) {
    let mut parts = text.split('|').map(str::trim);
    let first = parts.next().unwrap_or_default();
    (first, parts.filter(|part| *part != "-").map(header).collect())
}

fn header(text: &str) -> (String, String) {
    let (name, value) = text.split_once(':').unwrap_or_else(|| panic!("not a header: {text}"));
    let name = match name.trim() {
        "acao" => "access-control-allow-origin",
        "acac" => "access-control-allow-credentials",
        "acam" => "access-control-allow-methods",
        "acah" => "access-control-allow-headers",
        "acma" => "access-control-max-age",
        "aceh" => "access-control-expose-headers",
        "acrm" => "access-control-request-method",
        "acrh" => "access-control-request-headers",
        name => name,
    };
    let value = value.trim();
    // Quoted if spaces at the ends matter.
    let value = value.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).unwrap_or(value);
    (name.into(), long(value))
}

/// Expands `<a*129>` to 129 times `a`.
fn long(value: &str) -> String {
    let Some((before, rest)) = value.split_once('<') else {
        return value.into();
    };
    let Some((inner, after)) = rest.split_once('>') else {
        return value.into();
    };
    let (text, times) = inner.split_once('*').unwrap_or_else(|| panic!("no number: {value}"));
    format!("{before}{}{after}", text.repeat(times.parse().unwrap()))
}

fn fetch(page: Page, wait: u64, text: &str) -> Fetch {
    let (line, headers) = parts(text);
    let mut words = line.split_whitespace();
    let mut fetch = Fetch {
        page,
        wait,
        method: words.next().unwrap().into(),
        url: words.next().unwrap().into(),
        mode: RequestMode::default(),
        credentials: CredentialsMode::default(),
        redirect: RedirectMode::default(),
        cache: CacheMode::default(),
        referrer_policy: ReferrerPolicy::default(),
        body: None,
        headers,
        exchanges: Vec::new(),
        outcome: Outcome::Unsaid,
    };
    for word in words {
        match word.split_once('=').unwrap() {
            ("mode", "same-origin") => fetch.mode = RequestMode::SameOrigin,
            ("mode", "no-cors") => fetch.mode = RequestMode::NoCors,
            ("mode", "cors") => fetch.mode = RequestMode::Cors,
            ("credentials", "omit") => fetch.credentials = CredentialsMode::Omit,
            ("credentials", "same-origin") => fetch.credentials = CredentialsMode::SameOrigin,
            ("credentials", "include") => fetch.credentials = CredentialsMode::Include,
            ("redirect", "follow") => fetch.redirect = RedirectMode::Follow,
            ("redirect", "error") => fetch.redirect = RedirectMode::Error,
            ("redirect", "manual") => fetch.redirect = RedirectMode::Manual,
            ("cache", "no-store") => fetch.cache = CacheMode::NoStore,
            ("cache", "no-cache") => fetch.cache = CacheMode::NoCache,
            ("cache", "reload") => fetch.cache = CacheMode::Reload,
            ("cache", "force-cache") => fetch.cache = CacheMode::ForceCache,
            ("cache", "only-if-cached") => fetch.cache = CacheMode::OnlyIfCached,
            ("referrer-policy", policy) => fetch.referrer_policy = referrer_policy(policy),
            ("body", body) => fetch.body = Some(body.into()),
            other => panic!("no such option: {other:?}"),
        }
    }
    fetch
}

fn referrer_policy(text: &str) -> ReferrerPolicy {
    ReferrerPolicy::from_token(text).unwrap_or_else(|| panic!("no such referrer policy: {text}"))
}

fn seen(text: &str) -> Exchange {
    let (line, seen) = parts(text);
    let (method, url) = line.split_once(' ').unwrap_or_else(|| panic!("no URL: {text}"));
    Exchange {
        method: method.into(),
        url: url.trim().into(),
        seen,
        status: 0,
        headers: Headers::new(),
    }
}

fn outcome(text: &str) -> Outcome {
    if text == "network error" {
        return Outcome::NetworkError;
    }
    let (line, headers) = parts(text);
    let mut words = line.splitn(3, ' ');
    let kind = words.next().unwrap().into();
    let status = words.next().unwrap().parse().unwrap_or_else(|_| panic!("no status: {text}"));
    let mut urls = Vec::new();
    for url in words.next().unwrap().split('>') {
        let (url, times) = url.trim().split_once(' ').unwrap_or((url.trim(), "x1"));
        let times = times.strip_prefix('x').unwrap().parse().unwrap();
        urls.extend(std::iter::repeat_n(url.to_owned(), times));
    }
    let headers = text.contains('|').then_some(headers);
    Outcome::Response(Expected { kind, status, urls, headers })
}
