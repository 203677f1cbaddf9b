//! The test server, as seen by a plain HTTP client.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use bgfetch::embedder::BoxFuture;
use bgfetch::{Fetcher, HeaderList, HyperFetcher, Principal, Request, StorageKey};
use bgfetch_model::attempt::AttemptSpec;
use bgfetch_net::fetcher::{BodySource, FetchRequest};
use bgfetch_wpt::{Server, ServerOptions};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tempfile::TempDir;
use url::Url;

struct Client {
    server: Server,
    fetcher: HyperFetcher,
    root: TempDir,
}

struct Answer {
    status: u16,
    headers: HeaderList,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name)
    }
}

struct Body(&'static str);

impl BodySource for Body {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn open(&self) -> BoxStream<'static, std::io::Result<Bytes>> {
        stream::iter([Ok(Bytes::from_static(self.0.as_bytes()))]).boxed()
    }
}

impl Client {
    async fn with(files: &[(&str, &str)]) -> Self {
        Self::start(files, false).await
    }

    async fn start(files: &[(&str, &str)], pipe_any_method: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let options =
            ServerOptions { root: root.path().to_owned(), pipe_any_method, timeout_multiplier: 1 };
        let server = Server::start(options).await.unwrap();
        let fetcher = server.fetcher().unwrap();
        Self { server, fetcher, root }
    }

    fn url(&self, path: &str) -> Url {
        self.server.url(path).unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.fetch(Request::get(self.url(path)), None).await.unwrap()
    }

    async fn method(&self, method: &str, path: &str) -> Answer {
        let mut request = Request::get(self.url(path));
        request.method = method.into();
        self.fetch(request, None).await.unwrap()
    }

    fn fetch(
        &self,
        request: Request,
        body: Option<Body>,
    ) -> BoxFuture<'_, Result<Answer, bgfetch::FetchError>> {
        let body = body.map(|body| Arc::new(body) as Arc<dyn BodySource>);
        let (user, request) = (Arc::new(Principal::User), Arc::new(request));
        let key = StorageKey("tests".into());
        let request = FetchRequest::new(key, user, request, AttemptSpec::default(), body);
        Box::pin(async move {
            let response = self.fetcher.fetch(request).await?;
            let head = response.head;
            let parts: Vec<Bytes> = response.body.try_collect().await?;
            let text = String::from_utf8(parts.concat()).unwrap();
            Ok(Answer { status: head.status, headers: head.headers, text })
        })
    }
}

#[tokio::test]
async fn files_are_served_with_their_types() {
    let client = Client::with(&[("a/b c.js", "1;"), ("a/b.bin", "x")]).await;
    let answer = client.get("/a/b%20c.js").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "1;"));
    assert_eq!(answer.header("content-type").unwrap(), "text/javascript");
    assert_eq!(answer.header("content-length").unwrap(), "2");
    let other = client.get("/a/b.bin").await;
    assert_eq!(other.header("content-type").unwrap(), "application/octet-stream");
}

#[tokio::test]
async fn a_missing_file_is_told_in_json() {
    let client = Client::with(&[]).await;
    for path in ["/missing.txt", "/a/../../missing", "/%2e%2e/%2e%2e/etc/passwd"] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type").unwrap(), "application/json");
        let error: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(error["error"]["code"], 404);
    }
}

#[tokio::test]
async fn a_folder_is_ok() {
    let client = Client::with(&[("a/b.txt", "x")]).await;
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(client.get("/a/").await.status, 200);
    // Through a redirect.
    assert_eq!(client.get("/a").await.status, 200);
}

#[tokio::test]
async fn all_names_and_ports_lead_to_the_server() {
    let ports = "{{ports[http][0]}} {{ports[http][1]}} {{ports[https][0]}} {{ports[https][1]}}";
    let client = Client::with(&[("ports.sub.txt", ports)]).await;
    let told = client.get("/ports.sub.txt").await.text;
    let ports: Vec<&str> = told.split(' ').collect();
    for (scheme, port) in [("http", 0), ("http", 1), ("https", 2), ("https", 3)] {
        for host in ["web-platform.test", "www1.www.web-platform.test", "not-web-platform.test"] {
            let url = format!("{scheme}://{host}:{}/ports.sub.txt", ports[port]);
            let answer = client.fetch(Request::get(url.parse().unwrap()), None).await.unwrap();
            assert_eq!(answer.text, told, "{url}");
        }
    }
    let elsewhere = format!("http://nonexistent.web-platform.test:{}/", ports[0]);
    assert!(client.fetch(Request::get(elsewhere.parse().unwrap()), None).await.is_err());
}

#[tokio::test]
async fn substitution_is_by_name_and_by_pipe() {
    let files = [("a.sub.html", "{{GET[x]}}"), ("a.sub.js", "{{GET[x]}}"), ("b.txt", "{{host}}")];
    let client = Client::with(&files).await;
    assert_eq!(client.get("/a.sub.html?x=<").await.text, "&lt;");
    assert_eq!(client.get("/a.sub.js?x=<").await.text, "<");
    assert_eq!(client.get("/b.txt").await.text, "{{host}}");
    assert_eq!(client.get("/b.txt?pipe=sub").await.text, "web-platform.test");
}

#[tokio::test]
async fn a_wrong_substitution_or_pipe_is_the_servers_error() {
    let client = Client::with(&[("a.sub.js", "{{nothing}}"), ("b.txt", "")]).await;
    let answer = client.get("/a.sub.js").await;
    assert_eq!(answer.status, 500);
    assert!(answer.text.contains("nothing stands for {{nothing}}"), "{}", answer.text);
    assert_eq!(client.get("/b.txt?pipe=gopher(1)").await.status, 500);
}

#[tokio::test]
async fn headers_stand_in_files_beside() {
    let client = Client::with(&[
        ("a/__dir__.headers", "X-Folder: 1\n"),
        ("a/b.txt", ""),
        (
            "a/b.txt.sub.headers",
            "X-Host: {{host}}\nContent-Type: text/x-b\n\nX-Twice: 1\nX-Twice: 2\n",
        ),
        ("a/c.any.js", ""),
        ("a/c.any.js.headers", "X-Script: 1"),
    ])
    .await;
    let answer = client.get("/a/b.txt").await;
    assert_eq!(answer.header("x-folder").unwrap(), "1");
    assert_eq!(answer.header("x-host").unwrap(), "web-platform.test");
    assert_eq!(answer.header("content-type").unwrap(), "text/x-b");
    assert_eq!(answer.header("x-twice").unwrap(), "1, 2");
    let wrapper = client.get("/a/c.any.html").await;
    assert_eq!(wrapper.header("x-script").unwrap(), "1");
    assert!(wrapper.header("content-type").unwrap().starts_with("text/html"));
}

#[tokio::test]
async fn pipes_change_the_response() {
    let client = Client::with(&[("a.txt", "abcdef")]).await;
    let answer = client.get("/a.txt?pipe=status(418)|header(X-A, 1)|slice(1,3)").await;
    assert_eq!((answer.status, answer.text.as_str()), (418, "bc"));
    assert_eq!(answer.header("x-a").unwrap(), "1");
    let trickled = client.get("/a.txt?pipe=trickle(2:d0.001:r2)").await;
    assert_eq!(trickled.text, "abcdef");
    assert_eq!(trickled.header("content-length"), None);
}

#[tokio::test]
async fn a_range_is_served() {
    let client = Client::with(&[("a.txt", "abcdef")]).await;
    let range = async |value: &str| {
        let mut request = Request::get(client.url("/a.txt"));
        request.headers.append("Range", value);
        client.fetch(request, None).await.unwrap()
    };
    let answer = range("bytes=2-3").await;
    assert_eq!((answer.status, answer.text.as_str()), (206, "cd"));
    assert_eq!(answer.header("content-range").unwrap(), "bytes 2-3/6");
    let beyond = range("bytes=6-").await;
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range").unwrap(), "bytes */6");
}

#[tokio::test]
async fn a_file_answers_other_methods_only_where_a_pipe_may() {
    let files = [("a.txt", "abc")];
    let stock = Client::with(&files).await;
    let piped = Client::start(&files, true).await;
    let pipe = "/a.txt?pipe=header(Access-Control-Allow-Methods,PUT)";
    for method in ["OPTIONS", "PUT", "POST"] {
        assert_eq!(stock.method(method, "/a.txt").await.status, 404);
        assert_eq!(stock.method(method, pipe).await.status, 404);
        assert_eq!(piped.method(method, "/a.txt").await.status, 404);
        let answer = piped.method(method, pipe).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-methods").unwrap(), "PUT");
    }
}

#[tokio::test]
async fn scripts_have_wrappers() {
    let script = "// META: title=Of a script\n// META: script=helper.js\ntest(() => {}, 'a');\n";
    let files = [("a/b.https.any.js", script), ("a/c.window.js", script)];
    let client = Client::with(&files).await;
    for (path, script) in [
        ("/a/b.https.any.html", "/a/b.https.any.js"),
        ("/a/b.https.any.serviceworker.html", "/a/b.https.any.worker.js"),
        ("/a/b.https.any.worker.js", "/a/b.https.any.js"),
        ("/a/c.window.html", "/a/c.window.js"),
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.text.contains(&format!("\"{script}\"")), "{path}: {}", answer.text);
        assert!(answer.text.contains("/resources/testharness.js"), "{path}: {}", answer.text);
    }
    assert_eq!(client.get("/a/missing.any.html").await.status, 404);
}

#[tokio::test]
async fn the_harness_is_the_roots_or_the_packages() {
    let package = "node_modules/wpt-runner/testharness";
    let harness = format!("{package}/testharness.js");
    let parser = format!("{package}/webidl2.js");
    let idl = "node_modules/@webref/idl/fetch.idl";
    let client = Client::with(&[(&harness, "package"), (&parser, "parser"), (idl, "idl")]).await;
    assert_eq!(client.get("/resources/testharness.js").await.text, "package");
    assert_eq!(client.get("/resources/WebIDLParser.js").await.text, "parser");
    assert_eq!(client.get("/interfaces/fetch.idl").await.text, "idl");
    let folder = client.root.path().join("resources");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("testharness.js"), "root").unwrap();
    assert_eq!(client.get("/resources/testharness.js").await.text, "root");
    // The script that reports to the runner is this program's own.
    std::fs::write(folder.join("testharnessreport.js"), "root").unwrap();
    let report = client.get("/resources/testharnessreport.js").await.text;
    assert!(report.contains("testResults"), "{report}");
    assert!(report.contains("setup({ timeout_multiplier: 1 });"), "{report}");
}

#[tokio::test]
async fn the_parser_of_idl_is_served_where_upstreams_server_rewrites_its_path() {
    let parser = "resources/webidl2/lib/webidl2.js";
    let headers = "Content-Type: text/javascript; charset=utf-8\nX-Of: the parser\n";
    let client = Client::with(&[(parser, "parser"), (&format!("{parser}.headers"), headers)]).await;
    let answer = client.get("/resources/WebIDLParser.js").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "parser"));
    assert_eq!(answer.header("content-type").unwrap(), "text/javascript; charset=utf-8");
    assert_eq!(answer.header("x-of").unwrap(), "the parser");
    assert_eq!(client.get("/resources/webidl2/lib/webidl2.js").await.text, "parser");
}

#[tokio::test]
async fn scripts_in_python_have_stand_ins() {
    let client = Client::with(&[]).await;
    assert_eq!(client.get("/common/slow.py?delay=1").await.text, "");
    assert_eq!(client.get("/a/other.py").await.status, 501);

    let mut upload = Request::get(client.url("/background-fetch/resources/upload.py"));
    upload.method = "POST".into();
    upload.headers.append("Content-Type", "text/x-a");
    upload.body_length = Some(5);
    let answer = client.fetch(upload, Some(Body("hello"))).await.unwrap();
    assert_eq!(answer.text, "hello");
    assert_eq!(answer.header("content-type").unwrap(), "text/x-a");

    let plain = client.get("/a/resources/trickle.py?ms=0&count=5").await;
    assert_eq!((plain.text.as_str(), plain.header("etag")), ("TTTTT", None));
}

#[tokio::test]
async fn a_trickle_is_resumed_by_its_validator() {
    let client = Client::with(&[]).await;
    let path = "/a/resources/trickle-range.py?ms=0&count=5";
    let etag = client.get(path).await.header("etag").unwrap();
    let from = async |first: u32, validator: &str| {
        let mut request = Request::get(client.url(path));
        request.headers.append("Range", format!("bytes={first}-"));
        request.headers.append("If-Range", validator);
        client.fetch(request, None).await.unwrap()
    };
    let rest = from(3, &etag).await;
    assert_eq!((rest.status, rest.text.as_str()), (206, "TT"));
    assert_eq!(rest.header("content-range").unwrap(), "bytes 3-4/5");
    let changed = from(3, "\"other\"").await;
    assert_eq!((changed.status, changed.text.as_str()), (200, "TTTTT"));
    assert_eq!(from(5, &etag).await.status, 416);
}
