//! The state that a page's window and its holder share.

use std::any::Any;
use std::sync::Arc;

use bgfetch::PolicySnapshot;
use bgfetch::embedder::BoxFuture;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};
use url::Url;

use crate::html::{self, Part};
use crate::policies::{add_csp, parse_referrer_policy};

/// See [`Prelude::hook`](crate::Prelude::hook).
pub type Hook = Arc<dyn Fn(Value) -> Result<Value, String> + Send + Sync>;

/// Opens the page of a frame. Resolves when its `load` event was fired; dropping the result closes
/// the page.
pub(crate) type OpenFrame =
    Arc<dyn Fn(Url) -> BoxFuture<'static, Result<Box<dyn Any + Send>, String>> + Send + Sync>;

pub(crate) struct PageState {
    policies: Mutex<PolicySnapshot>,
    title: watch::Sender<String>,
    /// The document, once parsing may begin. Taken by the window.
    document: Mutex<Option<oneshot::Receiver<Vec<Part>>>>,
    stage: watch::Sender<Stage>,
    pub(crate) online: watch::Receiver<bool>,
    wants_click: mpsc::UnboundedSender<WantedClick>,
    wanted_clicks: AsyncMutex<mpsc::UnboundedReceiver<WantedClick>>,
    /// The receiver of the answer to the click that the window has taken.
    asker: Mutex<Option<oneshot::Sender<ClickAnswer>>>,
    /// The other properties, which a window without a page lacks.
    pub(crate) loaded: LoadedPage,
}

/// A request to the window on behalf of the user.
#[derive(Serialize)]
pub(crate) struct WantedClick {
    /// The element to click; `None` asks which elements listen for clicks.
    selector: Option<String>,
    /// Whether to click an element without a listener, too.
    unheard: bool,
    #[serde(skip)]
    asker: Option<oneshot::Sender<ClickAnswer>>,
}

/// The window's answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ClickAnswer {
    pub(crate) outcome: Option<Click>,
    pub(crate) clickable: Vec<String>,
    /// The error in the selector.
    pub(crate) error: Option<String>,
}

/// The outcome of a click.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Click {
    /// Listeners of the element, or of an ancestor, were called.
    Clicked,
    /// Nothing listens for clicks there, so none was made.
    Unheard,
    /// No element matches.
    Missing,
}

/// The properties of a page that was loaded from a URL.
#[derive(Default)]
pub(crate) struct LoadedPage {
    /// Opens frames; `None` if the page can have none.
    pub(crate) open_frame: Option<OpenFrame>,
    /// The hook of the embedder's prelude.
    pub(crate) hook: Option<Hook>,
    /// Whether it is the page of a frame.
    pub(crate) is_frame: bool,
}

/// The state of a page's loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Loading,
    /// Its `load` event was fired.
    Loaded,
    /// A script closed it.
    Closed,
}

/// Lets a window parse its document.
pub(crate) fn start(begin: oneshot::Sender<Vec<Part>>, parts: Vec<Part>) {
    // The window may already be gone.
    drop(begin.send(parts));
}

impl PageState {
    /// A window without a page: its document is empty.
    pub(crate) fn empty(policies: PolicySnapshot) -> Self {
        let online = watch::Sender::new(true).subscribe();
        let (state, begin) = Self::new(policies, online, LoadedPage::default());
        start(begin, html::parse(""));
        state
    }

    /// A page whose document follows with [`start`].
    pub(crate) fn new(
        policies: PolicySnapshot,
        online: watch::Receiver<bool>,
        loaded: LoadedPage,
    ) -> (Self, oneshot::Sender<Vec<Part>>) {
        let (begin, document) = oneshot::channel();
        let (wants_click, wanted_clicks) = mpsc::unbounded_channel();
        let state = Self {
            policies: Mutex::new(policies),
            title: watch::Sender::default(),
            document: Mutex::new(Some(document)),
            stage: watch::Sender::new(Stage::Loading),
            online,
            wants_click,
            wanted_clicks: AsyncMutex::new(wanted_clicks),
            asker: Mutex::new(None),
            loaded,
        };
        (state, begin)
    }

    pub(crate) fn policies(&self) -> PolicySnapshot {
        self.policies.lock().clone()
    }

    /// Adds a policy from a `meta` element.
    pub(crate) fn add_csp(&self, policy: String) {
        add_csp(&mut self.policies.lock(), policy);
    }

    /// Sets the referrer policy from a `meta` element, if it is a known one.
    pub(crate) fn set_referrer_policy(&self, value: &str) {
        if let Some(policy) = parse_referrer_policy(value) {
            self.policies.lock().policy_container.referrer_policy = policy;
        }
    }

    pub(crate) fn title(&self) -> String {
        self.title.borrow().clone()
    }

    pub(crate) fn set_title(&self, title: String) {
        self.title.send_replace(title);
    }

    pub(crate) fn take_document(&self) -> Option<oneshot::Receiver<Vec<Part>>> {
        self.document.lock().take()
    }

    /// Asks the window for a click, or for the elements that listen for clicks. Returns the default
    /// if the window is gone.
    pub(crate) async fn ask_for_click(
        &self,
        selector: Option<String>,
        unheard: bool,
    ) -> ClickAnswer {
        let (asker, answer) = oneshot::channel();
        // `self` holds the receiver, so sending does not fail.
        drop(self.wants_click.send(WantedClick { selector, unheard, asker: Some(asker) }));
        tokio::select! {
            answer = answer => answer.unwrap_or_default(),
            () = self.reached(Stage::Closed) => ClickAnswer::default(),
        }
    }

    /// The next click for the window to make.
    pub(crate) async fn next_click(&self) -> Option<WantedClick> {
        let mut wanted = self.wanted_clicks.lock().await.recv().await?;
        *self.asker.lock() = wanted.asker.take();
        Some(wanted)
    }

    pub(crate) fn answer_click(&self, answer: ClickAnswer) {
        if let Some(asker) = self.asker.lock().take() {
            // The asker may be gone.
            drop(asker.send(answer));
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.stage.borrow() == Stage::Closed
    }

    /// A page's stage never goes back.
    pub(crate) fn reach(&self, stage: Stage) {
        self.stage.send_if_modified(|current| {
            let further = *current < stage;
            if further {
                *current = stage;
            }
            further
        });
    }

    /// Waits until the page has reached that stage.
    pub(crate) async fn reached(&self, stage: Stage) {
        // `self` holds the sender, so waiting does not fail.
        drop(self.stage.subscribe().wait_for(|current| *current >= stage).await);
    }
}
