//! The pages and worker scripts that wrap `.window.js` and `.any.js` test scripts.

use http::StatusCode;

use super::message::Reply;
use super::substitute::escape_html;
use crate::metadata::Metadata;

/// A wrapper of a test script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrapper {
    /// The page of a `.window.js` script.
    Window,
    /// The page of an `.any.js` script.
    Any,
    /// The page that registers a service worker with an `.any.js` script.
    ServiceWorker,
    /// The page that starts a dedicated worker with an `.any.js` script.
    DedicatedWorker,
    /// The page that starts a shared worker with an `.any.js` script.
    SharedWorker,
    /// The script of a worker with an `.any.js` script.
    Worker,
}

/// The suffixes of URLs, the wrappers for them, and the suffixes of the scripts' URLs.
const WRAPPERS: [(&str, Wrapper, &str); 6] = [
    (".window.html", Wrapper::Window, ".window.js"),
    (".any.html", Wrapper::Any, ".any.js"),
    (".any.serviceworker.html", Wrapper::ServiceWorker, ".any.js"),
    (".any.worker.html", Wrapper::DedicatedWorker, ".any.js"),
    (".any.sharedworker.html", Wrapper::SharedWorker, ".any.js"),
    (".any.worker.js", Wrapper::Worker, ".any.js"),
];

/// The wrapper for the URL's path, and the path of the test script.
pub(super) fn wrapper(path: &str) -> Option<(Wrapper, String)> {
    WRAPPERS.iter().find_map(|(end, wrapper, script)| {
        let name = path.strip_suffix(end)?;
        Some((*wrapper, format!("{name}{script}")))
    })
}

/// Generates the wrapper of the script at `script`, whose text is `source`. The script gets the
/// query of the page's URL.
pub(super) fn wrap(wrapper: Wrapper, script: &str, source: &str) -> Reply {
    let metadata = Metadata::parse(source);
    match wrapper {
        Wrapper::Worker => Reply::new(StatusCode::OK, "text/javascript", worker(script, &metadata)),
        _ => {
            Reply::new(StatusCode::OK, "text/html; charset=utf-8", page(wrapper, script, &metadata))
        }
    }
}

fn page(wrapper: Wrapper, script: &str, metadata: &Metadata) -> String {
    let mut page = String::from("<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n");
    if let Some(title) = &metadata.title {
        page += &format!("<title>{}</title>\n", escape_html(title));
    }
    if metadata.long {
        page += "<meta name=\"timeout\" content=\"long\">\n";
    }
    page += "</head>\n<body>\n";
    let harness = ["/resources/testharness.js", "/resources/testharnessreport.js"];
    let worker = literal(&script.replace(".any.js", ".any.worker.js"));
    let start = match wrapper {
        Wrapper::ServiceWorker => Some(service_worker(&worker)),
        Wrapper::DedicatedWorker => Some(started_worker("Worker", &worker)),
        Wrapper::SharedWorker => Some(started_worker("SharedWorker", &worker)),
        Wrapper::Window | Wrapper::Any | Wrapper::Worker => None,
    };
    if wrapper == Wrapper::Any {
        page += &format!("<script>\n{}</script>\n", global(true));
    }
    page += &tags(harness);
    page += &match start {
        Some(start) => format!("<script>\n{start}</script>\n"),
        None => tags(metadata.scripts.iter().map(String::as_str).chain([script])),
    };
    page += "</body>\n</html>\n";
    page
}

fn tags<'a>(scripts: impl IntoIterator<Item = &'a str>) -> String {
    let tag = |url| format!("<script src=\"{}\"></script>\n", escape_html(url));
    scripts.into_iter().map(tag).collect()
}

/// Starts a worker with that constructor, and collects its results.
fn started_worker(constructor: &str, worker: &str) -> String {
    format!("fetch_tests_from_worker(new {constructor}({worker} + location.search));\n")
}

/// Registers the worker with a scope that contains no page, and collects its results. A page has a
/// user agent of its own, so there is no earlier registration.
fn service_worker(worker: &str) -> String {
    format!(
        "(async () => {{\n\
         const script = {worker} + location.search;\n\
         const options = {{ scope: \"no-page/\" }};\n\
         const registration = await navigator.serviceWorker.register(script, options);\n\
         fetch_tests_from_worker(registration.installing);\n\
         }})().catch((error) => {{ setup(() => {{ throw error; }}); }});\n"
    )
}

fn worker(script: &str, metadata: &Metadata) -> String {
    let mut worker = global(false);
    if let Some(title) = &metadata.title {
        worker += &format!("self.META_TITLE = {};\n", literal(title));
    }
    let harness = ["/resources/testharness.js", "/resources/testharnessreport.js"];
    let all =
        harness.into_iter().chain(metadata.scripts.iter().map(String::as_str)).chain([script]);
    for url in all {
        worker += &format!("importScripts({});\n", literal(url));
    }
    worker + "done();\n"
}

/// The functions with which `.any.js` scripts query the kind of their global object.
fn global(window: bool) -> String {
    let worker = !window;
    format!(
        "self.GLOBAL = {{\n\
         isWindow() {{ return {window}; }},\n\
         isWorker() {{ return {worker}; }},\n\
         isShadowRealm() {{ return false; }},\n\
         }};\n"
    )
}

/// A string of JavaScript that is also safe in a page.
fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_stand_for_wrappers_of_scripts() {
        let of = |path| wrapper(path).map(|(wrapper, script)| (wrapper, script.leak() as &str));
        assert_eq!(of("/a.https.window.html"), Some((Wrapper::Window, "/a.https.window.js")));
        assert_eq!(of("/a.any.html"), Some((Wrapper::Any, "/a.any.js")));
        assert_eq!(of("/a.any.serviceworker.html"), Some((Wrapper::ServiceWorker, "/a.any.js")));
        let worker = Some((Wrapper::DedicatedWorker, "/a.any.js"));
        assert_eq!(of("/a.any.worker.html"), worker);
        let worker = Some((Wrapper::SharedWorker, "/a.any.js"));
        assert_eq!(of("/a.any.sharedworker.html"), worker);
        assert_eq!(of("/a.any.worker.js"), Some((Wrapper::Worker, "/a.any.js")));
        assert_eq!(of("/a.html"), None);
    }

    #[test]
    fn a_page_has_the_scripts_in_their_order() {
        let metadata = Metadata::parse(
            "// META: script=b.js?a&b\n// META: title=1 < 2\n// META: timeout=long",
        );
        let page = page(Wrapper::Window, "/a.window.js", &metadata);
        assert!(page.contains("<title>1 &lt; 2</title>"), "{page}");
        assert!(page.contains("<meta name=\"timeout\" content=\"long\">"), "{page}");
        let sources: Vec<_> =
            page.split("src=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let harness = ["/resources/testharness.js", "/resources/testharnessreport.js"];
        assert_eq!(sources[..2], harness);
        assert_eq!(sources[2..], ["b.js?a&amp;b", "/a.window.js"]);
    }

    #[test]
    fn a_page_starts_its_worker() {
        for (wrapper, constructor) in
            [(Wrapper::DedicatedWorker, "Worker"), (Wrapper::SharedWorker, "SharedWorker")]
        {
            let page = page(wrapper, "/a.any.js", &Metadata::default());
            let start = format!("new {constructor}(\"/a.any.worker.js\" + location.search)");
            assert!(page.contains(&start), "{page}");
            assert!(!page.contains("src=\"/a.any.js"), "{page}");
        }
    }

    #[test]
    fn a_worker_imports_the_scripts_and_is_done() {
        let metadata = Metadata::parse("// META: script=b.js");
        let worker = worker("/a.any.js", &metadata);
        let end = "importScripts(\"b.js\");\nimportScripts(\"/a.any.js\");\ndone();\n";
        assert!(worker.ends_with(end), "{worker}");
        assert!(worker.contains("isWorker() { return true; }"), "{worker}");
    }
}
