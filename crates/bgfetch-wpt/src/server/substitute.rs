//! `{{...}}`: values of the server and the request, for tests.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use thiserror::Error;

use super::message::Request;
use super::site::{ALTERNATE_HOST, HOST, Site, domain};

/// How values are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    Html,
    Nothing,
}

#[derive(Debug, Error)]
#[error("nothing stands for {{{{{0}}}}}")]
pub(super) struct Unknown(String);

/// Replaces every `{{...}}` in a text.
pub(super) fn substitute(
    text: &str,
    request: &Request,
    site: &Site,
    escape: Escape,
) -> Result<String, Unknown> {
    let mut values = Values { request, site, variables: HashMap::new() };
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        // An unclosed placeholder, or one that contains a brace, is plain text.
        let Some((expression, after)) =
            after.split_once("}}").filter(|(expression, _)| !expression.contains(['{', '}']))
        else {
            result.push_str(before);
            result.push_str("{{");
            rest = after;
            continue;
        };
        let value = values.evaluate(expression).ok_or_else(|| Unknown(expression.to_owned()))?;
        result.push_str(before);
        match escape {
            Escape::Html => result.push_str(&escape_html(&value)),
            Escape::Nothing => result.push_str(&value),
        }
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

pub(super) fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#x27;"),
            other => escaped.push(other),
        }
    }
    escaped
}

struct Values<'a> {
    request: &'a Request,
    site: &'a Site,
    variables: HashMap<String, String>,
}

impl Values<'_> {
    /// `name[index]...`, optionally after `$variable:`, which keeps the value for later.
    fn evaluate(&mut self, expression: &str) -> Option<String> {
        static FORM: LazyLock<Option<Regex>> = LazyLock::new(|| {
            Regex::new(r"^(?:(\$[A-Za-z0-9_]+):)?(\$?[A-Za-z0-9_]+(?:\(\))?)((?:\[[^\]]*\])*)$")
                .ok()
        });
        let form: Captures<'_> = FORM.as_ref()?.captures(expression)?;
        let name = form.get(2)?.as_str();
        let indexes = form.get(3).map_or("", |indexes| indexes.as_str());
        let indexes: Vec<&str> = indexes
            .strip_prefix('[')
            .and_then(|indexes| indexes.strip_suffix(']'))
            .map_or_else(Vec::new, |indexes| indexes.split("][").collect());
        let value = self.value(name, &indexes)?;
        if let Some(variable) = form.get(1) {
            self.variables.insert(variable.as_str().to_owned(), value.clone());
        }
        Some(value)
    }

    fn value(&self, name: &str, indexes: &[&str]) -> Option<String> {
        match (name, indexes) {
            ("host", []) => Some(HOST.to_owned()),
            ("domains", [subdomain]) | ("hosts", ["", subdomain]) => domain(HOST, subdomain),
            ("hosts", ["alt", subdomain]) => domain(ALTERNATE_HOST, subdomain),
            ("ports", [protocol, index]) => {
                let port = self.site.port(protocol, index.parse().ok()?)?;
                Some(port.to_string())
            }
            ("headers", [header]) => {
                Some(self.request.headers.get(*header)?.to_str().ok()?.to_owned())
            }
            ("GET", [parameter]) => Some(self.request.query(parameter).unwrap_or_default()),
            ("location", [part]) => self.location(part),
            ("url_base", []) => Some("/".to_owned()),
            ("uuid()", []) => Some(uuid::Uuid::new_v4().to_string()),
            (variable, []) => self.variables.get(variable).cloned(),
            _ => None,
        }
    }

    /// A part of the request's URL.
    fn location(&self, part: &str) -> Option<String> {
        let url = &self.request.url;
        let hostname = url.host_str()?;
        let port = url.port_or_known_default()?;
        Some(match part {
            "server" => format!("{}://{hostname}:{port}", url.scheme()),
            "scheme" => url.scheme().to_owned(),
            "host" => format!("{hostname}:{port}"),
            "hostname" => hostname.to_owned(),
            "port" => port.to_string(),
            "path" | "pathname" => url.path().to_owned(),
            "query" => format!("?{}", url.query().unwrap_or_default()),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::{HeaderMap, Method};

    const SITE: Site = Site { http: [8000, 8001], https: [8443, 8444] };

    fn request() -> Request {
        let mut headers = HeaderMap::new();
        headers.insert("x-test", "a<b".parse().unwrap());
        let url = "https://www.web-platform.test:8443/a/b.sub.js?x=1&y=%26".parse().unwrap();
        Request { method: Method::GET, url, headers, body: Bytes::new() }
    }

    fn of(text: &str) -> String {
        substitute(text, &request(), &SITE, Escape::Nothing).unwrap()
    }

    #[test]
    fn names_and_ports_of_the_server_are_told() {
        assert_eq!(of("'{{host}}'"), "'web-platform.test'");
        assert_eq!(
            of("{{domains[www1]}} {{domains[]}}"),
            "www1.web-platform.test web-platform.test"
        );
        assert_eq!(of("{{domains[天気の良い日]}}"), "xn--n8j6ds53lwwkrqhv28a.web-platform.test");
        assert_eq!(
            of("{{hosts[alt][]}} {{hosts[][www]}}"),
            "not-web-platform.test www.web-platform.test"
        );
        assert_eq!(of("{{ports[https][0]}} {{ports[http][1]}}"), "8443 8001");
        // There is no WebSocket server, but helpers that are loaded everywhere refer to its port.
        assert_eq!(of("{{ports[wss][0]}}"), "0");
    }

    #[test]
    fn the_request_is_told() {
        assert_eq!(of("{{GET[y]}}{{GET[z]}}{{headers[X-Test]}}"), "&a<b");
        let location =
            "{{location[server]}}|{{location[host]}}|{{location[path]}}|{{location[query]}}";
        assert_eq!(
            of(location),
            "https://www.web-platform.test:8443|www.web-platform.test:8443|/a/b.sub.js|?x=1&y=%26"
        );
    }

    #[test]
    fn values_are_escaped_where_markup_is_asked_for() {
        let escaped = substitute("{{headers[x-test]}}", &request(), &SITE, Escape::Html).unwrap();
        assert_eq!(escaped, "a&lt;b");
    }

    #[test]
    fn a_variable_keeps_its_value() {
        let text = of("{{$id:uuid()}} {{$id}}");
        let (first, second) = text.split_once(' ').unwrap();
        assert_eq!(first, second);
        assert_eq!(first.len(), 36);
    }

    #[test]
    fn braces_that_are_no_expression_stay() {
        assert_eq!(
            of("a {{ b: { c: 1 } }} {{host}} {{"),
            "a {{ b: { c: 1 } }} web-platform.test {{"
        );
    }

    #[test]
    fn what_nothing_stands_for_is_an_error() {
        for text in ["{{nothing}}", "{{ports[gopher][0]}}", "{{domains[nowhere]}}", "{{host[0]}}"] {
            let failed = substitute(text, &request(), &SITE, Escape::Nothing).unwrap_err();
            assert_eq!(failed.to_string(), format!("nothing stands for {text}"));
        }
    }
}
