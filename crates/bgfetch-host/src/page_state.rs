//! What a page's window and its holder share.

use std::any::Any;
use std::sync::Arc;

use bgfetch::PolicySnapshot;
use bgfetch::embedder::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{oneshot, watch};
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
    /// The rest, which a window without a page lacks.
    pub(crate) loaded: LoadedPage,
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
        let state = Self {
            policies: Mutex::new(policies),
            title: watch::Sender::default(),
            document: Mutex::new(Some(document)),
            stage: watch::Sender::new(Stage::Loading),
            online,
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
