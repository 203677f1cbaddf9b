//! What is logged, at the level `debug`: what happens to fetches, and their attempts.
//!
//! Spans name fetches and records by number. URLs, ids, titles, and texts of servers and workers are
//! never logged here.

use bgfetch_model::action::{Observation, What};
use bgfetch_model::attempt::{AttemptEnd, AttemptSpec};
use bgfetch_model::delivery::Redelivery;
use bgfetch_model::ids::{AttemptId, RecordKey};
use bgfetch_model::response::FailureReason;
use tracing::{Span, debug, debug_span};

/// Logs what observers are told, except progress.
pub(crate) fn observation(observation: &Observation) {
    let span = debug_span!("fetch", fetch = observation.fetch.key.0);
    span.in_scope(|| match &observation.what {
        What::Registered => debug!("registered"),
        What::Progress => {}
        What::Paused(reason) => debug!(reason = reason.as_str(), "paused"),
        What::Resumed => debug!("resumed"),
        What::Retry { record, attempt, delay, .. } => {
            debug!(record = record.index.0, attempt, ?delay, "an attempt is retried");
        }
        What::RecordSettled { record, result, status, stored, .. } => {
            let result = result_text(result.failure());
            debug!(record = record.index.0, result, status, stored, "a record settled");
        }
        What::Settled(result) => debug!(result = result_text(result.err()), "settled"),
        What::EventFired { kind, attempt } => debug!(event = kind.name(), attempt, "event fired"),
        What::EventNotHandled { reason, next } => {
            let reason = reason.as_str();
            match next {
                Redelivery::After(delay) => debug!(reason, ?delay, "event not handled"),
                Redelivery::WhenAsked => debug!(reason, "event waits"),
                Redelivery::GiveUp => debug!(reason, "event given up"),
                _ => debug!(reason, ?next, "event not handled"),
            }
        }
        What::EventEnded { handled, rejection } => {
            debug!(handled, rejected = rejection.is_some(), "event ended");
        }
        What::UiUpdated { .. } => debug!("the title or the icons changed"),
        What::ClickEnded { handled } => debug!(handled, "click ended"),
        What::Dismissed => debug!("dismissed"),
        What::Removed => debug!("removed"),
        _ => {}
    });
}

fn result_text(failure: Option<FailureReason>) -> &'static str {
    failure.map_or("success", |reason| reason.as_str())
}

/// The span of an attempt, in which its start is logged.
pub(crate) fn attempt_started(attempt: AttemptId, key: RecordKey, spec: &AttemptSpec) -> Span {
    let (fetch, record) = (key.fetch.0, key.index.0);
    let span = debug_span!("attempt", fetch, record, attempt = attempt.0);
    let resume = spec.resume.as_ref().map(|resume| resume.start);
    span.in_scope(|| debug!(resume, "attempt started"));
    span
}

/// Logs the end of an attempt, in its span.
pub(crate) fn attempt_ended(stored: Option<u64>, end: &AttemptEnd) {
    match end {
        AttemptEnd::Complete => debug!(stored, "attempt complete"),
        AttemptEnd::Cancelled => debug!(stored, "attempt cancelled"),
        AttemptEnd::Failed(fault) => {
            debug!(stored, fault = ?fault.kind, sent = fault.sent, "attempt failed");
        }
    }
}
