//! Commands at every point of an attempt.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bgfetch_model::attempt::AttemptCommand::{Cancel, Grant, RecallGrant, Receive, TakeSlot};
use bgfetch_model::attempt::AttemptEvent::{
    Ended, GrantReturned, Head, LookUp, NeedGrant, NeedPermission, NeedSlot, Progress, Uploaded,
};
use bgfetch_model::attempt::{AttemptCommand, AttemptEnd};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::script::{BODY, Script, Send, Step, Wait, chunk, start};

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0usize..3000).prop_map(Send),
        (0u64..40).prop_map(|ms| Wait(Duration::from_millis(ms))),
    ];
    prop::collection::vec(step, 0..20)
}

proptest! {
    /// Whatever the attempt is doing when it is cancelled or its grant is recalled, it never writes
    /// beyond the grant, ends exactly once and immediately, and reports exactly what it stored.
    #[test]
    fn a_cancel_is_obeyed_at_every_point(
        body in steps(),
        uploads in prop::collection::vec((0u64..20, 0u64..1000), 0..4),
        head_after in 0u64..40,
        look_up in 0u64..20,
        needs_permission: bool,
        verdict_after in 0u64..40,
        first_grant in 0u64..4000,
        more in 1u64..4000,
        grant_after in 0u64..40,
        recall_at in 0u64..500,
        cancel_at in 0u64..500,
    ) {
        let script = Script {
            look_up: Duration::from_millis(look_up),
            uploads: uploads.into_iter().map(|(ms, n)| (Duration::from_millis(ms), n)).collect(),
            head_after: Duration::from_millis(head_after),
            body,
            needs_permission,
            ..Script::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async move {
            let began = Instant::now();
            let cancel_at = began + Duration::from_millis(cancel_at);
            let recall_at = began + Duration::from_millis(recall_at);
            let mut run = start(script);
            let mut answer: Option<(Instant, AttemptCommand)> = None;
            let (mut cancelled, mut recalled) = (false, false);
            let (mut last_offset, mut granted) = (0, 0);
            let (stored, end) = loop {
                let answer_at = answer.map_or(cancel_at, |(at, _)| at);
                // An attempt that has ended takes no commands, and its end event is queued.
                let alive = !run.commands.as_ref().unwrap().is_closed();
                let event = tokio::select! {
                    biased;
                    event = run.hear() => event,
                    () = tokio::time::sleep_until(answer_at), if alive && answer.is_some() => {
                        let (_, command) = answer.take().unwrap();
                        if let Receive { grant, .. } | Grant(grant) = command {
                            granted = grant;
                        }
                        run.tell(command);
                        continue;
                    }
                    () = tokio::time::sleep_until(recall_at), if alive && !recalled => {
                        recalled = true;
                        run.tell(RecallGrant);
                        continue;
                    }
                    () = tokio::time::sleep_until(cancel_at), if alive && !cancelled => {
                        cancelled = true;
                        run.tell(Cancel);
                        continue;
                    }
                };
                let wait = |ms, command| Some((Instant::now() + Duration::from_millis(ms), command));
                match event {
                    Uploaded(_) | LookUp(_) => {}
                    NeedSlot | NeedPermission { .. } => answer = wait(grant_after, TakeSlot),
                    Head { .. } => {
                        let receive = Receive { body: BODY, offset: 0, grant: first_grant };
                        answer = wait(verdict_after, receive);
                    }
                    Progress(offset) => {
                        assert!(offset > last_offset, "progress falls or repeats");
                        last_offset = offset;
                    }
                    NeedGrant(offset) => {
                        assert!(offset >= last_offset);
                        assert_eq!(offset, granted);
                        last_offset = offset;
                        answer = wait(grant_after, Grant(offset + more));
                    }
                    GrantReturned(offset) => {
                        assert!(offset >= last_offset);
                        last_offset = offset;
                        granted = offset;
                        run.disk.limit.store(offset, Ordering::Relaxed);
                    }
                    Ended { stored, end } => break (stored, end),
                }
            };
            assert_eq!(run.events.recv().await, None, "an event after the end");
            assert_eq!(stored.unwrap_or(0), run.stored() as u64);
            let written = run.disk.bytes.lock().clone();
            assert_eq!(written, chunk(0, written.len()));
            match end {
                AttemptEnd::Complete => assert!(Instant::now() <= cancel_at),
                AttemptEnd::Cancelled => assert_eq!(Instant::now(), cancel_at),
                AttemptEnd::Failed(fault) => panic!("{fault:?}"),
            }
        });
    }
}
