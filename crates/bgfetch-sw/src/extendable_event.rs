//! The lifetime of an [`ExtendableEvent`](https://w3c.github.io/ServiceWorker/#extendableevent-interface)
//! as a state machine: no clock, no task, no promise.
//!
//! The spec keeps three values: the dispatch flag, the pending promises count and the timed out
//! flag. An event is active while the timed out flag is unset and the dispatch flag is set or the
//! count is not zero. This state machine also keeps how the event ended, because at-least-once
//! delivery depends on it.

use bgfetch_model::delivery::{NotHandledReason, Outcome, Rejection};
use thiserror::Error;

/// The event is no longer active, so nothing can extend its lifetime. Scripts see an
/// `InvalidStateError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the event is no longer active")]
pub struct NotActive;

/// How an extension of the lifetime ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    Fulfilled,
    Rejected(Rejection),
    /// The promise can never settle: it was dropped, or its executor panicked.
    Abandoned,
}

/// The state of an event's lifetime.
#[derive(Debug)]
pub(crate) enum ExtendableEvent {
    Active {
        /// The dispatch flag.
        dispatching: bool,
        /// The pending promises count.
        pending: usize,
        rejection: Option<Rejection>,
        abandoned: bool,
    },
    Ended(Outcome),
}

impl ExtendableEvent {
    /// An event whose dispatch begins.
    pub(crate) const fn new() -> Self {
        Self::Active { dispatching: true, pending: 0, rejection: None, abandoned: false }
    }

    /// Whether the event is [active](https://w3c.github.io/ServiceWorker/#extendableevent-active).
    pub(crate) const fn is_active(&self) -> bool {
        matches!(self, Self::Active { .. })
    }

    /// How the event ended, or none while it is active.
    pub(crate) const fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Active { .. } => None,
            Self::Ended(outcome) => Some(outcome),
        }
    }

    /// [Add lifetime
    /// promise](https://w3c.github.io/ServiceWorker/#extendableevent-add-lifetime-promise):
    /// increments the pending promises count.
    pub(crate) const fn extend(&mut self) -> Result<(), NotActive> {
        match self {
            Self::Active { pending, .. } => {
                *pending += 1;
                Ok(())
            }
            Self::Ended(_) => Err(NotActive),
        }
    }

    /// A promise that [`extend`](Self::extend) counted is no longer pending.
    pub(crate) fn settle(&mut self, settlement: Settlement) {
        if let Self::Active { pending, rejection, abandoned, .. } = self {
            *pending = pending.saturating_sub(1);
            match settlement {
                Settlement::Fulfilled => {}
                Settlement::Rejected(reason) => {
                    rejection.get_or_insert(reason);
                }
                Settlement::Abandoned => *abandoned = true,
            }
        }
        self.end_when_idle();
    }

    /// The listeners have run: the dispatch flag is unset.
    pub(crate) fn end_dispatch(&mut self) {
        if let Self::Active { dispatching, .. } = self {
            *dispatching = false;
        }
        self.end_when_idle();
    }

    /// The event ends now, even with pending promises: a time limit passed or the worker is gone.
    pub(crate) fn end_unhandled(&mut self, reason: NotHandledReason) {
        if self.is_active() {
            *self = Self::Ended(Outcome::NotHandled(reason));
        }
    }

    fn end_when_idle(&mut self) {
        if let Self::Active { dispatching: false, pending: 0, rejection, abandoned } = self {
            *self = Self::Ended(if *abandoned {
                // Abandoned work is not handled, although the other promises settled.
                let reason = String::from("a lifetime promise was abandoned");
                Outcome::NotHandled(NotHandledReason::Crashed(reason))
            } else {
                Outcome::Handled { rejection: rejection.take() }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Debug)]
    enum Op {
        Extend,
        /// Settles the pending promise that this number selects, if any is pending.
        Settle(prop::sample::Index, Settlement),
        EndDispatch,
        EndUnhandled(NotHandledReason),
    }

    fn op() -> impl Strategy<Value = Op> {
        let settlement = prop_oneof![
            6 => Just(Settlement::Fulfilled),
            2 => "[a-c]".prop_map(|reason| Settlement::Rejected(Rejection(reason))),
            1 => Just(Settlement::Abandoned),
        ];
        let reason = prop_oneof![
            Just(NotHandledReason::TimedOut),
            Just(NotHandledReason::NoActiveWorker),
            "[x-z]".prop_map(NotHandledReason::Crashed),
        ];
        prop_oneof![
            8 => Just(Op::Extend),
            12 => (any::<prop::sample::Index>(), settlement)
                .prop_map(|(which, settlement)| Op::Settle(which, settlement)),
            2 => Just(Op::EndDispatch),
            1 => reason.prop_map(Op::EndUnhandled),
        ]
    }

    /// The spec's wording over a set of named promises, with the whole history kept.
    #[derive(Default)]
    struct Oracle {
        added: usize,
        pending: BTreeSet<usize>,
        settlements: Vec<Settlement>,
        dispatched: bool,
        cut_short: Option<NotHandledReason>,
    }

    impl Oracle {
        fn is_active(&self) -> bool {
            self.cut_short.is_none() && (!self.pending.is_empty() || !self.dispatched)
        }

        fn outcome(&self) -> Option<Outcome> {
            if self.is_active() {
                return None;
            }
            if let Some(reason) = &self.cut_short {
                return Some(Outcome::NotHandled(reason.clone()));
            }
            if self.settlements.contains(&Settlement::Abandoned) {
                let reason = "a lifetime promise was abandoned".into();
                return Some(Outcome::NotHandled(NotHandledReason::Crashed(reason)));
            }
            let rejection = self.settlements.iter().find_map(|settlement| match settlement {
                Settlement::Rejected(reason) => Some(reason.clone()),
                _ => None,
            });
            Some(Outcome::Handled { rejection })
        }
    }

    proptest! {
        #[test]
        fn an_event_is_active_exactly_while_the_spec_says_so(
            ops in prop::collection::vec(op(), 0..40),
        ) {
            let mut event = ExtendableEvent::new();
            let mut oracle = Oracle::default();
            let mut first_outcome = None;
            for op in ops {
                let was_active = oracle.is_active();
                match op {
                    Op::Extend => {
                        prop_assert_eq!(event.extend().is_ok(), was_active);
                        if was_active {
                            oracle.pending.insert(oracle.added);
                            oracle.added += 1;
                        }
                    }
                    Op::Settle(which, settlement) => {
                        if oracle.pending.is_empty() {
                            continue;
                        }
                        let promises: Vec<_> = oracle.pending.iter().copied().collect();
                        oracle.pending.remove(which.get(&promises));
                        oracle.settlements.push(settlement.clone());
                        event.settle(settlement);
                    }
                    Op::EndDispatch => {
                        oracle.dispatched = true;
                        event.end_dispatch();
                    }
                    Op::EndUnhandled(reason) => {
                        if was_active {
                            oracle.cut_short = Some(reason.clone());
                        }
                        event.end_unhandled(reason);
                    }
                }
                prop_assert_eq!(event.is_active(), oracle.is_active());
                prop_assert_eq!(event.outcome().cloned(), oracle.outcome());
                if first_outcome.is_none() {
                    first_outcome = event.outcome().cloned();
                } else {
                    prop_assert_eq!(event.outcome(), first_outcome.as_ref());
                }
            }
        }
    }

    #[test]
    fn without_promises_the_end_of_the_dispatch_is_the_end() {
        let mut event = ExtendableEvent::new();
        assert!(event.is_active());
        event.end_dispatch();
        assert_eq!(event.outcome(), Some(&Outcome::Handled { rejection: None }));
        assert_eq!(event.extend(), Err(NotActive));
    }

    #[test]
    fn a_promise_added_while_another_is_pending_extends_after_the_dispatch() {
        let mut event = ExtendableEvent::new();
        event.extend().unwrap();
        event.end_dispatch();
        event.extend().unwrap();
        event.settle(Settlement::Fulfilled);
        assert!(event.is_active());
        event.settle(Settlement::Fulfilled);
        assert!(!event.is_active());
    }

    #[test]
    fn the_first_rejection_is_told_and_all_promises_are_awaited() {
        let mut event = ExtendableEvent::new();
        event.extend().unwrap();
        event.extend().unwrap();
        event.end_dispatch();
        event.settle(Settlement::Rejected(Rejection("first".into())));
        assert!(event.is_active());
        event.settle(Settlement::Rejected(Rejection("second".into())));
        let rejection = Some(Rejection("first".into()));
        assert_eq!(event.outcome(), Some(&Outcome::Handled { rejection }));
    }
}
