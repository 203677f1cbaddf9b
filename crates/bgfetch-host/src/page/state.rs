//! What a page's window and its holder share.

use bgfetch::PolicySnapshot;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::Navigation;
use super::html::Part;
use crate::policies::{parse_referrer_policy, upgrades_insecure_requests};
use crate::user_agent::Hook;

pub(crate) struct PageState {
    policies: Mutex<PolicySnapshot>,
    title: watch::Sender<String>,
    /// The document, once it is to be parsed. Taken by the window.
    document: Mutex<Option<oneshot::Receiver<Vec<Part>>>>,
    stage: watch::Sender<Stage>,
    pub(crate) online: watch::Receiver<bool>,
    /// How it came about, where it was loaded. Its frames are opened likewise.
    pub(crate) navigation: Option<Navigation>,
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

impl PageState {
    /// A page whose document is still to be told.
    pub(crate) fn of(
        policies: PolicySnapshot,
        navigation: Navigation,
    ) -> (Self, oneshot::Sender<Vec<Part>>) {
        let (state, begin) = Self::new(policies, navigation.online.clone());
        (Self { navigation: Some(navigation), ..state }, begin)
    }

    /// A window without a page.
    pub(crate) fn new(
        policies: PolicySnapshot,
        online: watch::Receiver<bool>,
    ) -> (Self, oneshot::Sender<Vec<Part>>) {
        let (begin, document) = oneshot::channel();
        let state = Self {
            policies: Mutex::new(policies),
            title: watch::Sender::default(),
            document: Mutex::new(Some(document)),
            stage: watch::Sender::new(Stage::Loading),
            online,
            navigation: None,
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

    /// The hook of the embedder's prelude.
    pub(crate) fn hook(&self) -> Option<&Hook> {
        Some(&self.navigation.as_ref()?.prelude.as_ref()?.hook)
    }

    /// Whether it is the page of a frame.
    pub(crate) fn is_frame(&self) -> bool {
        self.navigation.as_ref().is_some_and(|navigation| navigation.parent.is_some())
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
