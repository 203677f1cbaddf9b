//! A page: a window whose scripts come from an HTML document.

use std::any::Any;
use std::io;
use std::sync::Arc;

use bgfetch::embedder::BoxFuture;
use bgfetch::{PolicySnapshot, Principal, Request, RequestMode};
use thiserror::Error;
use tokio::sync::watch;
use url::Url;

use crate::html::{self, Part};
use crate::network::{LoadError, Loaded, Network, to_fetch};
use crate::page_state::{Click, Hook, LoadedPage, PageState, Stage, start};
use crate::policies;
use crate::realm::{Realm, ScriptError};
use crate::script_loader::{decode, mime_type};
use crate::service_worker::{ServiceWorkers, WeakServiceWorkers};

/// A script of the embedder that runs in each window before the page's scripts.
#[derive(Clone)]
pub struct Prelude {
    /// The script's name in error messages.
    pub name: String,
    /// The source. A global function `hook` exists while the script runs; the script may keep a
    /// reference to it.
    pub source: String,
    /// Implements `hook(value)`: it gets the value and returns the result, both as JSON. An error
    /// is thrown as an `Error`. Scripts block until it returns.
    pub hook: Hook,
}

impl std::fmt::Debug for Prelude {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prelude").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An open page. Dropping it closes it.
pub struct Page {
    url: Url,
    realm: Realm,
    state: Arc<PageState>,
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Page").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Why a page was not opened.
#[derive(Debug, Error)]
pub enum PageError {
    /// The page was not loaded.
    #[error("the page {url} was not loaded: {error}")]
    NotLoaded {
        /// Its URL.
        url: Url,
        /// The reason.
        error: LoadError,
    },
    /// Its window could not be started.
    #[error("the page's window could not be started: {0}")]
    Window(#[from] io::Error),
    /// The embedder's prelude failed.
    #[error("the prelude failed: {0}")]
    Prelude(ScriptError),
}

/// The parts of the user agent that a page needs.
#[derive(Clone)]
pub(crate) struct Navigation {
    pub(crate) network: Network,
    pub(crate) service_workers: WeakServiceWorkers,
    pub(crate) online: watch::Receiver<bool>,
    pub(crate) prelude: Option<Prelude>,
    /// The policies of the parent page, if this is a frame.
    pub(crate) parent: Option<PolicySnapshot>,
}

impl Page {
    /// [Navigates](https://html.spec.whatwg.org/multipage/browsing-the-web.html#navigate) a new
    /// window.
    pub(crate) async fn open(navigation: Navigation, url: Url) -> Result<Self, PageError> {
        let loaded = load(&navigation, url.clone()).await;
        let document = loaded.map_err(|error| PageError::NotLoaded { url, error })?;
        let snapshot = policies::snapshot(&document.url, document.policies);
        let service_workers = navigation.service_workers.upgrade();
        let prelude = navigation.prelude.clone();
        let online = navigation.online.clone();
        let loaded = LoadedPage {
            hook: prelude.as_ref().map(|prelude| Arc::clone(&prelude.hook)),
            is_frame: navigation.parent.is_some(),
            open_frame: Some({
                let parent = Some(snapshot.clone());
                let navigation = Navigation { parent, ..navigation };
                Arc::new(move |url| open_frame(navigation.clone(), url))
            }),
        };
        let (state, begin) = PageState::new(snapshot, online, loaded);
        let state = Arc::new(state);
        let ended = || io::Error::other("the user agent has ended");
        let realm = service_workers
            .ok_or_else(ended)?
            .open_page_window(document.url.clone(), Arc::clone(&state))?;
        if let Some(prelude) = prelude {
            let run = realm.evaluate(&prelude.name, &prelude.source);
            run.await.map_err(PageError::Prelude)?;
        }
        // This also waits until the realm is running: its scripts can be interrupted only then.
        let forgotten = realm.evaluate("after the prelude", "delete globalThis.hook");
        forgotten.await.map_err(PageError::Prelude)?;
        start(begin, document.parts);
        Ok(Self { url: document.url, realm, state })
    }

    /// Its window.
    #[must_use]
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// Its URL, after redirects.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The document's current title.
    #[must_use]
    pub fn title(&self) -> String {
        self.state.title()
    }

    /// Clicks the first element that matches a selector, as a user would. If nothing listens for
    /// the click, it is made only if it may go `unheard`.
    ///
    /// # Errors
    ///
    /// A description of the error in the selector.
    pub async fn click(&self, selector: &str, unheard: bool) -> Result<Click, String> {
        let answer = self.state.ask_for_click(Some(selector.to_owned()), unheard).await;
        match answer.error {
            Some(error) => Err(error),
            None => Ok(answer.outcome.unwrap_or(Click::Missing)),
        }
    }

    /// Selectors of the elements that listen for clicks, in tree order. Elements that no short
    /// selector distinguishes from earlier ones are omitted.
    pub async fn clickable(&self) -> Vec<String> {
        self.state.ask_for_click(None, false).await.clickable
    }

    /// Resolves when the `load` event was fired, or a script closed the window.
    pub async fn loaded(&self) {
        self.state.reached(Stage::Loaded).await;
    }

    /// Resolves when a script closed the window.
    pub async fn closed(&self) {
        self.state.reached(Stage::Closed).await;
    }
}

/// Opens the page of a frame and waits for its `load` event.
fn open_frame(
    navigation: Navigation,
    url: Url,
) -> BoxFuture<'static, Result<Box<dyn Any + Send>, String>> {
    Box::pin(async move {
        let page = Page::open(navigation, url).await.map_err(|error| error.to_string())?;
        page.loaded().await;
        Ok(Box::new(page) as Box<dyn Any + Send>)
    })
}

/// The document at a URL.
struct Document {
    url: Url,
    policies: bgfetch::PolicyContainer,
    parts: Vec<Part>,
}

/// Loads a page for the user.
async fn load(navigation: &Navigation, url: Url) -> Result<Document, LoadError> {
    let Navigation { network, parent, .. } = navigation;
    let mut request = Request::get(url.clone());
    request.headers.append("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
    let storage_key = ServiceWorkers::storage_key(&url);
    let principal = match parent {
        None => Principal::User,
        Some(parent) if !parent.origin.is_same_origin(&url) => return Err(LoadError::OtherOrigin),
        // Redirects must not lead to another origin either.
        Some(parent) => {
            request.mode = RequestMode::SameOrigin;
            let mut policies = PolicySnapshot::of(&url).with(|it| it.referrer = None);
            policies.policy_container.ip_address_space = Some(parent.ip_address_space());
            Principal::Page(policies)
        }
    };
    let loaded = network.load(to_fetch(storage_key, principal, request)).await?;
    let Loaded { head, body, .. } = &loaded;
    let mime = mime_type(&head.headers);
    let is_html = mime.as_ref().is_some_and(|m| m.type_ == "text" && m.subtype == "html");
    if !is_html {
        return Err(LoadError::MimeType(mime.map(|mime| mime.to_string()).unwrap_or_default()));
    }
    let mut last = head.url().unwrap_or(&url).clone();
    if last.fragment().is_none() {
        last.set_fragment(url.fragment());
    }
    let policies = policies::of_response(&loaded);
    if policies::is_sandboxed(&policies) {
        return Err(LoadError::Sandboxed);
    }
    Ok(Document { url: last, policies, parts: html::parse(&decode(&head.headers, body)) })
}
