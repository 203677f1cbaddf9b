//! What a page's window and its holder share.

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
use crate::policies::{parse_referrer_policy, upgrades_insecure_requests};

/// See [`Prelude::hook`](crate::Prelude::hook).
pub type Hook = Arc<dyn Fn(Value) -> Result<Value, String> + Send + Sync>;

/// Opens the page of a frame. Resolves when its `load` event was fired; dropping what it gives
/// closes the page.
pub(crate) type OpenFrame =
    Arc<dyn Fn(Url) -> BoxFuture<'static, Result<Box<dyn Any + Send>, String>> + Send + Sync>;

pub(crate) struct PageState {
    policies: Mutex<PolicySnapshot>,
    title: watch::Sender<String>,
    /// The document, once it is to be parsed. Taken by the window.
    document: Mutex<Option<oneshot::Receiver<Vec<Part>>>>,
    stage: watch::Sender<Stage>,
    pub(crate) online: watch::Receiver<bool>,
    wants_click: mpsc::UnboundedSender<WantedClick>,
    wanted_clicks: AsyncMutex<mpsc::UnboundedReceiver<WantedClick>>,
    /// Who waits for the answer to the click that the window has taken.
    asker: Mutex<Option<oneshot::Sender<ClickAnswer>>>,
    /// The rest, which a window without a page lacks.
    pub(crate) loaded: LoadedPage,
}

/// What the window is asked for on behalf of the user.
#[derive(Serialize)]
pub(crate) struct WantedClick {
    /// Which element to click; none asks which elements wait for it.
    selector: Option<String>,
    /// Whether to click an element without a listener, too.
    unheard: bool,
    #[serde(skip)]
    asker: Option<oneshot::Sender<ClickAnswer>>,
}

/// What the window says to that.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ClickAnswer {
    pub(crate) outcome: Option<Click>,
    pub(crate) clickable: Vec<String>,
    /// What is wrong with the selector.
    pub(crate) error: Option<String>,
}

/// What came of a click.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Click {
    /// The element's listeners, or those of elements around it, were told.
    Clicked,
    /// Nothing listens for clicks there. The click was not made.
    Unheard,
    /// No element matches.
    Missing,
}

/// What a page has that was loaded from a URL.
#[derive(Default)]
pub(crate) struct LoadedPage {
    /// None where it can have no frames.
    pub(crate) open_frame: Option<OpenFrame>,
    /// The hook of the embedder's prelude.
    pub(crate) hook: Option<Hook>,
    /// Whether it is the page of a frame.
    pub(crate) is_frame: bool,
}

/// How far a page has come.
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
    // A window that is gone by now needs none.
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

    /// A page whose document is told by [`start`].
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

    /// Adds a policy that a `meta` element has.
    pub(crate) fn add_csp(&self, policy: String) {
        let mut policies = self.policies.lock();
        policies.upgrade_insecure_requests |= upgrades_insecure_requests(&policy);
        policies.policy_container.csp_list.push(policy);
    }

    /// Sets what a `meta` element says, where it is a policy that is known.
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

    /// Asks the window for a click, or which elements wait for one. The default where the window is
    /// gone.
    pub(crate) async fn ask_for_click(
        &self,
        selector: Option<String>,
        unheard: bool,
    ) -> ClickAnswer {
        let (asker, answer) = oneshot::channel();
        // The receiver is here.
        drop(self.wants_click.send(WantedClick { selector, unheard, asker: Some(asker) }));
        tokio::select! {
            answer = answer => answer.unwrap_or_default(),
            () = self.reached(Stage::Closed) => ClickAnswer::default(),
        }
    }

    /// The next click that the window is to make.
    pub(crate) async fn next_click(&self) -> Option<WantedClick> {
        let mut wanted = self.wanted_clicks.lock().await.recv().await?;
        *self.asker.lock() = wanted.asker.take();
        Some(wanted)
    }

    pub(crate) fn answer_click(&self, answer: ClickAnswer) {
        if let Some(asker) = self.asker.lock().take() {
            // Whoever asked may have gone.
            drop(asker.send(answer));
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.stage.borrow() == Stage::Closed
    }

    /// A page only ever gets further.
    pub(crate) fn reach(&self, stage: Stage) {
        self.stage.send_if_modified(|current| {
            let further = *current < stage;
            if further {
                *current = stage;
            }
            further
        });
    }

    /// Waits until the page has come that far.
    pub(crate) async fn reached(&self, stage: Stage) {
        // The sender is here, so that waiting does not fail.
        drop(self.stage.subscribe().wait_for(|current| *current >= stage).await);
    }
}
