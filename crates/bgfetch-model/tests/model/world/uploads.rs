//! Simulated storing of request bodies, with one mailbox for commands and one for reports.

use std::collections::VecDeque;

use bgfetch_model::action::BodiesCommand;
use bgfetch_model::ids::{CallId, FetchKey};
use bgfetch_model::input::{BodyError, Input};

use super::store::Store;

#[derive(Debug)]
pub(crate) struct Bodies {
    pub(crate) call: CallId,
    pub(crate) fetch: FetchKey,
    pub(crate) commands: VecDeque<BodiesCommand>,
    pub(crate) reports: VecDeque<Input>,
    lengths: Vec<u64>,
    stored: u64,
    grant: u64,
    /// Whether a grant was requested and has not arrived.
    held_back: bool,
    over: bool,
}

impl Bodies {
    pub(crate) fn new(call: CallId, fetch: FetchKey, lengths: Vec<u64>, grant: u64) -> Self {
        let (commands, reports) = (VecDeque::new(), VecDeque::new());
        let (stored, held_back, over) = (0, false, false);
        Self { call, fetch, commands, reports, lengths, stored, grant, held_back, over }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether it can do something now.
    pub(crate) fn can_work(&self) -> bool {
        !(self.over || self.held_back && self.commands.is_empty())
    }

    /// Obeys the next command, or stores the next chunk if there is none.
    pub(crate) fn work(&mut self, chunk: u64, error: Option<BodyError>, store: &mut Store) {
        let (call, stored) = (self.call, self.stored);
        match self.commands.pop_front() {
            Some(BodiesCommand::Grant(grant)) => {
                (self.grant, self.held_back) = (grant, false);
                return;
            }
            Some(BodiesCommand::RecallGrant) => {
                self.grant = stored;
                return self.reports.push_back(Input::BodiesGrantReturned { call, stored });
            }
            None => {}
        }
        let left = self.lengths.iter().sum::<u64>() - stored;
        if let Some(error) = error {
            self.over = true;
            self.reports.push_back(Input::BodiesFailed { call, error });
        } else if left == 0 {
            self.over = true;
            let lengths = self.lengths.clone();
            self.reports.push_back(Input::BodiesStored { call, lengths });
        } else if self.grant == stored {
            self.held_back = true;
            self.reports.push_back(Input::BodiesNeedGrant { call, stored });
        } else {
            self.stored += left.min(chunk).min(self.grant - stored);
            store.uploads.insert(self.fetch, self.stored);
        }
    }
}
