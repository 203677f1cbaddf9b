//! [Content Security Policy](https://www.w3.org/TR/CSP/): in each policy of the page, the directive for
//! the request's destination (`connect-src` for data) or the one that it falls back to.

use bgfetch_model::policy::PolicySnapshot;
use bgfetch_model::request::Destination;
use content_security_policy::{
    self as csp, CspList, Initiator, ParserMetadata, PolicyDisposition, PolicySource, Request,
    Violates,
};

use super::{Blocked, Hop};

/// [Should request be blocked by Content Security Policy?](https://www.w3.org/TR/CSP/#should-block-request)
///
/// After a redirect, paths in the policies are ignored. Otherwise they would reveal to a page where
/// another origin redirects to. The check of responses is the same for the response's URL, which
/// here is always the URL of the last request.
///
/// # Errors
/// [`Blocked::Csp`].
pub fn check(policies: &PolicySnapshot, hop: &Hop) -> Result<(), Blocked> {
    let csp_list = &policies.policy_container.csp_list;
    if csp_list.is_empty() {
        return Ok(());
    }
    let (destination, nonce, parser_metadata) = metadata(&hop.destination);
    let request = Request {
        url: hop.url_list().next().unwrap_or(&hop.url).clone(),
        current_url: hop.url.clone(),
        origin: policies.origin.as_url_origin().clone(),
        // It only matters whether this is 0.
        redirect_count: u32::from(hop.redirect_count() > 0),
        destination,
        initiator: Initiator::None,
        nonce,
        integrity_metadata: String::new(),
        parser_metadata,
    };
    // Each item should be one policy, but a header's value with several policies works too.
    for policy in csp_list.iter().flat_map(|text| parse(text).0) {
        if let Violates::Directive(directive) = policy.does_request_violate_policy(&request) {
            return Err(Blocked::Csp(directive.name));
        }
    }
    Ok(())
}

/// The destination, the nonce and the parser metadata of a request.
fn metadata(destination: &Destination) -> (csp::Destination, String, ParserMetadata) {
    let of = |destination| (destination, String::new(), ParserMetadata::None);
    match destination {
        Destination::Empty => of(csp::Destination::None),
        Destination::ServiceWorker => of(csp::Destination::ServiceWorker),
        Destination::SharedWorker => of(csp::Destination::SharedWorker),
        Destination::Worker => of(csp::Destination::Worker),
        Destination::Script { nonce, parser_inserted } => {
            let parser = match parser_inserted {
                None => ParserMetadata::None,
                Some(false) => ParserMetadata::NotParserInserted,
                Some(true) => ParserMetadata::ParserInserted,
            };
            (csp::Destination::Script, nonce.clone(), parser)
        }
    }
}

/// Parses as CSP does: malformed parts are ignored.
fn parse(serialized: &str) -> CspList {
    let mut list = CspList::parse(serialized, PolicySource::Header, PolicyDisposition::Enforce);
    // A port out of range matches no URL. The crate would treat it as the default port.
    for directive in list.0.iter_mut().flat_map(|policy| &mut policy.directive_set) {
        directive.value.retain(|source| !has_impossible_port(source));
    }
    list
}

fn has_impossible_port(source: &str) -> bool {
    let after_scheme = source.split_once("://").map_or(source, |(_, rest)| rest);
    let authority = after_scheme.split_once('/').map_or(after_scheme, |(authority, _)| authority);
    authority.rsplit_once(':').is_some_and(|(_, port)| {
        !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_err()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blocks_at(csp_list: &[&str], urls: &[&str]) -> bool {
        let mut policies = PolicySnapshot::of(&"https://page.test/".parse().unwrap());
        policies.policy_container.csp_list = csp_list.iter().map(|&text| text.into()).collect();
        let (last, before) = urls.split_last().unwrap();
        let url = last.parse().unwrap();
        let mut hop = Hop::first(&bgfetch_model::request::Request::get(url));
        hop.before = before.iter().map(|url| url.parse().unwrap()).collect();
        check(&policies, &hop).is_err()
    }

    fn blocks(policy: &str, url: &str) -> bool {
        blocks_at(&[policy], &[url])
    }

    #[test]
    fn connect_src_decides_and_default_src_only_where_there_is_none() {
        for (policy, blocked) in [
            ("connect-src 'none'", true),
            ("connect-src", true),
            ("default-src 'none'", true),
            ("default-src 'none'; connect-src *", false),
            ("default-src *; connect-src 'none'", true),
            ("default-src *", false),
            ("script-src 'none'; img-src 'none'; frame-src 'none'; worker-src 'none'", false),
            ("CONNECT-SRC 'NONE'", true),
            // Only the first of two directives counts.
            ("connect-src *; connect-src 'none'", false),
            ("upgrade-insecure-requests", false),
        ] {
            assert_eq!(blocks(policy, "https://a.test/x"), blocked, "{policy}");
        }
    }

    #[test]
    fn the_directive_is_that_of_the_destination() {
        let script = |nonce: &str, parser_inserted| Destination::Script {
            nonce: nonce.into(),
            parser_inserted,
        };
        for (policy, destination, blocked) in [
            ("script-src 'none'", script("", Some(true)), true),
            ("script-src 'none'; script-src-elem a.test", script("", None), false),
            ("default-src 'none'", script("", None), true),
            ("connect-src 'none'", script("", None), false),
            ("script-src 'nonce-YQ=='", script("YQ==", Some(true)), false),
            ("script-src 'nonce-YQ=='", script("Yg==", Some(true)), true),
            ("script-src 'strict-dynamic' 'nonce-YQ=='", script("", Some(false)), false),
            ("script-src 'strict-dynamic' 'nonce-YQ=='", script("", Some(true)), true),
            ("worker-src 'none'", script("", None), false),
            ("worker-src 'none'", Destination::ServiceWorker, true),
            ("script-src 'none'", Destination::ServiceWorker, true),
            ("child-src 'none'", Destination::SharedWorker, true),
            ("worker-src a.test; script-src 'none'", Destination::Worker, false),
        ] {
            let mut policies = PolicySnapshot::of(&"https://page.test/".parse().unwrap());
            policies.policy_container.csp_list = vec![policy.into()];
            let url = "https://a.test/x.js".parse().unwrap();
            let hop = Hop::first(&bgfetch_model::request::Request::get(url));
            let hop = Hop { destination: destination.clone(), ..hop };
            assert_eq!(check(&policies, &hop).is_err(), blocked, "{policy} {destination:?}");
        }
    }

    #[test]
    fn sources_match_by_scheme_host_port_and_path() {
        for (sources, url, blocked) in [
            ("'self'", "https://page.test/x", false),
            ("'self'", "https://page.test:8443/x", true),
            ("'self'", "https://a.test/", true),
            ("https:", "https://a.test/", false),
            ("http:", "https://a.test/", false),
            ("https:", "http://a.test/", true),
            ("data:", "https://a.test/", true),
            ("a.test", "https://a.test/x", false),
            ("A.TEST", "https://a.test/x", false),
            ("a.test", "https://b.a.test/x", true),
            ("a.test", "http://a.test/x", true),
            ("http://a.test", "http://a.test/x", false),
            ("*.a.test", "https://b.a.test/x", false),
            ("*.a.test", "https://a.test/x", true),
            ("a.test:8443", "https://a.test:8443/x", false),
            ("a.test:8443", "https://a.test/x", true),
            ("a.test", "https://a.test:8443/x", true),
            ("a.test:*", "https://a.test:8443/x", false),
            ("a.test/dir/", "https://a.test/dir/x", false),
            ("a.test/dir/", "https://a.test/x", true),
            ("a.test/file", "https://a.test/file", false),
            ("a.test/file", "https://a.test/file/x", true),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/x", false),
            ("b.test a.test", "https://a.test/", false),
            ("*", "https://a.test/", false),
        ] {
            assert_eq!(blocks(&format!("connect-src {sources}"), url), blocked, "{sources} {url}");
        }
    }

    #[test]
    fn paths_do_not_count_after_a_redirect_and_hosts_do() {
        let policy = &["connect-src a.test/here b.test"];
        assert!(blocks_at(policy, &["https://a.test/there"]));
        assert!(!blocks_at(policy, &["https://b.test/", "https://a.test/there"]));
        assert!(blocks_at(policy, &["https://b.test/", "https://c.test/here"]));
    }

    #[test]
    fn every_policy_must_allow() {
        let url = &["https://a.test/"];
        assert!(!blocks_at(&["connect-src a.test b.test", "connect-src a.test c.test"], url));
        assert!(blocks_at(&["connect-src a.test", "connect-src b.test"], url));
        assert!(blocks_at(&["connect-src a.test, connect-src b.test"], url));
        assert!(blocks_at(&["default-src *", "default-src 'none'"], url));
        assert!(!blocks_at(&[], url));
    }

    #[test]
    fn what_is_malformed_is_left_out_and_the_rest_counts() {
        for (policy, blocked) in [
            ("", false),
            (";;, ;", false),
            ("connect-src\u{e9} 'none'", false),
            ("\u{e9}; connect-src 'none'", true),
            ("nonsense", false),
            ("connect-src nonsense://? a.test", false),
            ("connect-src nonsense://?", true),
            // A port out of range does not match, not even a URL with the default port.
            ("connect-src a.test:99999", true),
            ("connect-src https://a.test:99999/x", true),
            ("connect-src a.test:00443", false),
        ] {
            assert_eq!(blocks(policy, "https://a.test/x"), blocked, "{policy}");
        }
    }

    #[test]
    fn a_page_without_an_origin_has_no_self() {
        let mut policies = PolicySnapshot::of(&"https://page.test/".parse().unwrap());
        policies.origin = bgfetch_model::origin::Origin::opaque();
        policies.policy_container.csp_list = vec!["connect-src 'self'".into()];
        let url = "https://page.test/".parse().unwrap();
        let hop = Hop::first(&bgfetch_model::request::Request::get(url));
        assert!(check(&policies, &hop).is_err());
    }

    proptest! {
        /// The crate has assertions that its own grammar can violate. None of them may be reached.
        #[test]
        fn any_policy_is_judged(
            sources in proptest::collection::vec(
                "(https?://)?([*][.])?a(:([*]|[0-9]{1,6}))?(/a?)?|'self'|[*a-z:/.@\\[,;]{0,6}",
                0..4,
            ),
            anything in ".{0,40}",
            url in "https?://(a|b.a|127.0.0.1|\\[::1\\])(:[0-9]{1,4})?/[ab%/]{0,4}",
        ) {
            prop_assume!(url.parse::<url::Url>().is_ok());
            let policy = format!("connect-src {}", sources.join(" "));
            let list = [policy.as_str(), anything.as_str()];
            // An additional policy never allows more.
            prop_assert!(!blocks_at(&list[..1], &[&url]) || blocks_at(&list, &[&url]));
        }
    }
}
