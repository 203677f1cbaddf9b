//! The integrity of a completely stored body: the part of [main
//! fetch](https://fetch.spec.whatwg.org/#main-fetch) that waits for the last byte. Here it follows
//! all attempts, because a body may be assembled from several.

use alloc::string::ToString;
use alloc::sync::Arc;

use crate::action::Action;
use crate::background_fetch::BackgroundFetch;
use crate::context::Context;
use crate::ids::{BodyKey, RecordIndex};
use crate::input::Verification;
use crate::record::{Record, RecordState};
use crate::response::{FailureReason, RecordResult};

const FETCH_ERROR: RecordResult = RecordResult::Failure(FailureReason::FetchError);

const MISMATCH: &str = "the body does not have the checksum that the request asks for";

impl BackgroundFetch {
    /// Every byte of a usable response is stored: the record succeeds, after verification if its
    /// request has integrity metadata.
    pub(crate) fn body_stored(&mut self, ctx: &mut Context, index: RecordIndex) {
        let Some(record) = self.record(index) else {
            return;
        };
        if record.request.integrity.is_empty() {
            return self.settle_record(ctx, index, RecordResult::Success, None);
        }
        // Main fetch, integrity metadata and a response without a body: a network error.
        if has_null_body(record) {
            return self.settle_record(ctx, index, FETCH_ERROR, Some(MISMATCH.to_string()));
        }
        let body = BodyKey { record: self.record_key(index), generation: record.data.generation };
        let (request, data) = (Arc::clone(&record.request), record.data);
        self.change(index, |record| {
            record.whole = true;
            record.state = RecordState::Verifying;
        });
        let (fetch, length) = (Arc::clone(&self.info), data.stored);
        ctx.act(Action::VerifyIntegrity { fetch, body, length, request, data });
    }

    /// The stored body was compared with the integrity metadata.
    pub(crate) fn integrity_verified(
        &mut self,
        ctx: &mut Context,
        body: BodyKey,
        verification: Verification,
    ) {
        let index = body.record.index;
        let waits = self.record(index).is_some_and(|record| {
            matches!(record.state, RecordState::Verifying)
                && record.data.generation == body.generation
        });
        if !waits {
            // The record was aborted meanwhile.
            return;
        }
        match verification {
            Verification::Matches => self.settle_record(ctx, index, RecordResult::Success, None),
            // Main fetch, the bytes do not match: a network error. The same request would get the
            // same bytes, so it is not repeated.
            Verification::Mismatch => {
                self.settle_record(ctx, index, FETCH_ERROR, Some(MISMATCH.to_string()));
            }
            Verification::Unreadable => self.wait_for_storage(ctx, index),
        }
    }
}

/// Whether Fetch gives the response a null body, which differs from an empty one.
fn has_null_body(record: &Record) -> bool {
    let status = record.data.response.map(|head| head.status);
    record.request.method == "HEAD" || matches!(status, Some(204 | 205))
}
