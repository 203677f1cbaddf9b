//! Loads the scripts of pages and service workers: from the network, unless the embedder supplies
//! its own loader.

use std::str::FromStr as _;

use bgfetch::embedder::BoxFuture;
use bgfetch::{
    CredentialsMode, Destination, HeaderList, PolicyContainer, PolicySnapshot, Principal,
    RedirectMode, Request, RequestMode, ResponseHead, ResponseType, StorageKey,
};
use data_url::mime::Mime;
use encoding_rs::{Encoding, UTF_8};
use thiserror::Error;
use url::Url;

use crate::network::{LoadError, Loaded, Network, to_fetch};
use crate::policies;

/// Loads the scripts of service workers.
pub trait ScriptLoader: Send + Sync + 'static {
    /// Loads a script. This happens once, while the worker is being installed; the script is stored
    /// for the worker's later starts.
    ///
    /// The loader must check what the standards require of the response: an ok status, a JavaScript
    /// MIME type, and no redirect for the worker's own script. It should complete in bounded time,
    /// because `importScripts()` blocks until then. The request must be made within the policies of
    /// the client.
    ///
    /// # Errors
    ///
    /// Why the script was not loaded. `register()` rejects then, or `importScripts()` throws.
    fn load(
        &self,
        kind: ScriptKind,
        url: Url,
        client: ScriptClient,
    ) -> BoxFuture<'static, Result<LoadedScript, ScriptNotLoaded>>;
}

/// The client on whose behalf a script is loaded: the page that registers a service worker, or the
/// worker that imports the script.
#[derive(Clone, Debug)]
pub struct ScriptClient {
    /// Its storage key.
    pub storage_key: StorageKey,
    /// Its policies.
    pub policies: PolicySnapshot,
}

/// The role of a script in a service worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptKind {
    /// Its own script.
    ServiceWorker,
    /// A script imported with `importScripts()`.
    Imported,
}

/// A loaded script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedScript {
    /// The source.
    pub source: String,
    /// The value of the header
    /// [`Service-Worker-Allowed`](https://w3c.github.io/ServiceWorker/#service-worker-allowed), for
    /// a worker's own script.
    pub service_worker_allowed: Option<String>,
    /// The policies in the response of a worker's own script.
    pub policies: PolicyContainer,
    /// Whether the response is [opaque](https://fetch.spec.whatwg.org/#concept-filtered-response-opaque),
    /// as that of another origin: its [errors are
    /// muted](https://html.spec.whatwg.org/multipage/webappapis.html#muted-errors) then, because they
    /// would tell its contents.
    pub has_muted_errors: bool,
}

impl From<String> for LoadedScript {
    fn from(source: String) -> Self {
        Self { source, ..Self::default() }
    }
}

/// A script could not be loaded; the text describes the error.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the script was not loaded: {0}")]
pub struct ScriptNotLoaded(pub String);

/// Loads the scripts of service workers: the fetching steps of
/// [Update](https://w3c.github.io/ServiceWorker/#update-algorithm).
pub(crate) struct HttpScriptLoader(pub(crate) Network);

impl ScriptLoader for HttpScriptLoader {
    fn load(
        &self,
        kind: ScriptKind,
        url: Url,
        client: ScriptClient,
    ) -> BoxFuture<'static, Result<LoadedScript, ScriptNotLoaded>> {
        let network = self.0.clone();
        Box::pin(async move {
            let loaded = match kind {
                ScriptKind::ServiceWorker => {
                    let destination = Destination::ServiceWorker;
                    load_worker(&network, url, client, destination).await
                }
                ScriptKind::Imported => import_script(&network, url, client).await,
            };
            loaded.map_err(|error| ScriptNotLoaded(error.to_string()))
        })
    }
}

/// Loads a worker's own script, which must have the client's origin.
pub(crate) async fn load_worker(
    network: &Network,
    url: Url,
    ScriptClient { storage_key, policies }: ScriptClient,
    destination: Destination,
) -> Result<LoadedScript, LoadError> {
    let mut request = Request::get(url);
    request.mode = RequestMode::SameOrigin;
    if destination == Destination::ServiceWorker {
        request.headers.append("Service-Worker", "script");
        request.redirect = RedirectMode::Error;
    }
    let request = to_fetch(storage_key, Principal::Page(policies), request);
    let loaded = network.load(request.with(|it| it.destination = destination)).await?;
    require_javascript(&loaded.head.headers)?;
    let policies = policies::of_response(&loaded);
    if policies::is_sandboxed(&policies) {
        return Err(LoadError::Sandboxed);
    }
    Ok(LoadedScript {
        // Always UTF-8, whatever the response says.
        source: UTF_8.decode(&loaded.body).0.into_owned(),
        service_worker_allowed: loaded.head.headers.get("service-worker-allowed"),
        policies,
        has_muted_errors: false,
    })
}

/// [Fetch a classic worker-imported
/// script](https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-classic-worker-imported-script)
pub(crate) async fn import_script(
    network: &Network,
    url: Url,
    client: ScriptClient,
) -> Result<LoadedScript, LoadError> {
    let destination = Destination::Script { nonce: String::new(), parser_inserted: None };
    let Loaded { head, body, .. } = load_classic(network, url, client, destination).await?;
    require_javascript(&head.headers)?;
    Ok(classic(&head, &body))
}

/// [Fetch a classic
/// script](https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-classic-script) of an
/// element. It may have any MIME type except those that the standard blocks.
pub(crate) async fn load_script(
    network: &Network,
    url: Url,
    client: ScriptClient,
    nonce: String,
    parser_inserted: bool,
) -> Result<LoadedScript, LoadError> {
    let destination = Destination::Script { nonce, parser_inserted: Some(parser_inserted) };
    let Loaded { head, body, .. } = load_classic(network, url, client, destination).await?;
    refuse_other_types(&head.headers)?;
    Ok(classic(&head, &body))
}

/// Requests a script in mode `no-cors`: those of other origins may run, with their credentials.
async fn load_classic(
    network: &Network,
    url: Url,
    ScriptClient { storage_key, policies }: ScriptClient,
    destination: Destination,
) -> Result<Loaded, LoadError> {
    let mut request = Request::get(url);
    request.mode = RequestMode::NoCors;
    request.credentials = CredentialsMode::Include;
    let request = to_fetch(storage_key, Principal::Page(policies), request);
    network.load(request.with(|it| it.destination = destination)).await
}

fn classic(head: &ResponseHead, body: &[u8]) -> LoadedScript {
    LoadedScript {
        source: decode(&head.headers, body),
        has_muted_errors: head.response_type == ResponseType::Opaque,
        ..LoadedScript::default()
    }
}

/// A hint for a script that failed, if it looks like a module.
pub(crate) fn module_hint(source: &str) -> Option<&'static str> {
    let is_statement = |line: &str| {
        let rest = line.strip_prefix("import").or_else(|| line.strip_prefix("export"));
        rest.is_some_and(|rest| rest.starts_with([' ', '\t', '"', '\'', '{', '*']))
    };
    let mut lines = source.lines().map(str::trim_start);
    lines.any(is_statement).then_some("import and export need modules, which are not supported")
}

/// The text of a response, in the encoding that the response names, or else in UTF-8.
pub(crate) fn decode(headers: &HeaderList, body: &[u8]) -> String {
    let mime = mime_type(headers);
    let label = mime.as_ref().and_then(|mime| mime.get_parameter("charset"));
    let encoding = label.and_then(|label| Encoding::for_label(label.as_bytes()));
    encoding.unwrap_or(UTF_8).decode(body).0.into_owned()
}

/// The MIME type of a response, if it has one.
pub(crate) fn mime_type(headers: &HeaderList) -> Option<Mime> {
    Mime::from_str(&headers.get("content-type")?).ok()
}

fn require_javascript(headers: &HeaderList) -> Result<(), LoadError> {
    let mime = mime_type(headers);
    if mime.as_ref().is_some_and(is_javascript) {
        return Ok(());
    }
    Err(LoadError::MimeType(mime.map(|mime| mime.to_string()).unwrap_or_default()))
}

/// [Should response to request be blocked due to its MIME
/// type](https://fetch.spec.whatwg.org/#ref-for-should-response-to-request-be-blocked-due-to-mime-type?),
/// and [due to
/// nosniff](https://fetch.spec.whatwg.org/#should-response-to-request-be-blocked-due-to-nosniff?):
/// for compatibility, other types than these are accepted as scripts.
fn refuse_other_types(headers: &HeaderList) -> Result<(), LoadError> {
    let nosniff = headers.get("x-content-type-options");
    let nosniff = nosniff.as_deref().and_then(|value| value.split(',').next());
    if nosniff.is_some_and(|value| value.trim().eq_ignore_ascii_case("nosniff")) {
        return require_javascript(headers);
    }
    let Some(mime) = mime_type(headers) else { return Ok(()) };
    let media = matches!(mime.type_.as_str(), "audio" | "image" | "video");
    if media || (mime.type_ == "text" && mime.subtype == "csv") {
        return Err(LoadError::MimeType(mime.to_string()));
    }
    Ok(())
}

/// [JavaScript MIME type](https://mimesniff.spec.whatwg.org/#javascript-mime-type)
fn is_javascript(mime: &Mime) -> bool {
    let subtype = mime.subtype.as_str();
    match mime.type_.as_str() {
        "application" => {
            matches!(subtype, "ecmascript" | "javascript" | "x-ecmascript" | "x-javascript")
        }
        "text" => {
            let version = subtype.strip_prefix("javascript");
            let versions = ["", "1.0", "1.1", "1.2", "1.3", "1.4", "1.5"];
            version.is_some_and(|version| versions.contains(&version))
                || matches!(
                    subtype,
                    "ecmascript" | "jscript" | "livescript" | "x-ecmascript" | "x-javascript"
                )
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_scripts_are_javascript_and_pages_scripts_are_not_media() {
        for (content_type, nosniff, javascript, of_page) in [
            (Some("text/javascript; charset=utf-8"), false, true, true),
            (Some("Application/JavaScript"), true, true, true),
            (Some("text/javascript1.5"), true, true, true),
            (Some("text/javascript1.6"), false, false, true),
            (Some("text/plain"), false, false, true),
            (Some("text/plain"), true, false, false),
            (Some("text/html"), false, false, true),
            (Some("text/csv"), false, false, false),
            (Some("image/png"), false, false, false),
            (Some("nonsense"), false, false, true),
            (None, false, false, true),
            (None, true, false, false),
        ] {
            let mut headers = HeaderList::default();
            if let Some(content_type) = content_type {
                headers.append("Content-Type", content_type);
            }
            if nosniff {
                headers.append("X-Content-Type-Options", "NoSniff");
            }
            let what = format!("{content_type:?} {nosniff}");
            assert_eq!(require_javascript(&headers).is_ok(), javascript, "{what}");
            assert_eq!(refuse_other_types(&headers).is_ok(), of_page, "{what}");
        }
    }

    #[test]
    fn a_script_that_looks_like_a_module_is_told_so() {
        for module in ["import 'a';", "x;\n  import{a} from 'b'", "export default 1", "export {};"]
        {
            assert!(module_hint(module).is_some(), "{module}");
        }
        for classic in ["import('a')", "imports = 1", "// import 'a'", "exported()", "x.import"] {
            assert_eq!(module_hint(classic), None, "{classic}");
        }
    }

    #[test]
    fn text_is_decoded_as_its_response_says() {
        let body = b"\xe4";
        for (content_type, text) in [
            ("text/javascript; charset=latin1", "\u{e4}"),
            ("text/javascript; charset=nonsense", "\u{fffd}"),
            ("text/javascript", "\u{fffd}"),
        ] {
            let headers = HeaderList::from_iter([("content-type", content_type)]);
            assert_eq!(decode(&headers, body), text, "{content_type}");
        }
    }
}
