//! What is held for the user after an event, and what the next fetch of the same adopts.

use bgfetch::RecordResult;

use super::facts::Facts;
use super::oracle::Oracle;
use super::plan::Wanted;

impl Oracle {
    /// The worker was told that the records are held, if their event ends well. Their bodies have
    /// these lengths.
    pub(crate) fn holds(&mut self, number: usize, lengths: &[u64]) {
        let life = self.life;
        let fetch = self.fetch(number);
        fetch.holds = Some(life);
        for (record, length) in fetch.records.iter_mut().zip(lengths) {
            record.length = *length;
        }
    }

    /// The user asks for the same again, perhaps. Returns how many bytes need not be downloaded.
    pub(crate) fn adopts(&mut self, number: usize) -> u64 {
        let mut bytes = 0;
        for index in 0..self.fetches()[number].records.len() {
            let tag = self.tag(number, index);
            let before = &self.fetches()[..number];
            let adopts = before.iter().enumerate().any(|(before, fetch)| {
                fetch.holds.is_some()
                    && (0..fetch.records.len()).any(|it| self.tag(before, it) == tag)
            });
            self.fetch(number).records[index].served |= adopts;
            let giver = self.fetches().iter().enumerate().rev().find_map(|(before, fetch)| {
                let held = (0..fetch.records.len()).find(|it| {
                    fetch.is_held_whole(*it)
                        && self.tag(before, *it) == tag
                        && !self.is_personal(&fetch.call.records[*it])
                });
                Some((before, held?))
            });
            if let Some((before, held)) = giver {
                let record = &mut self.fetch(before).records[held];
                record.given_away = true;
                bytes += record.length;
            }
        }
        bytes
    }

    /// Nobody knows whether another user would get the same.
    fn is_personal(&self, wanted: &Wanted) -> bool {
        self.plan().resources[wanted.resource()].personal
    }

    fn tag(&self, number: usize, index: usize) -> String {
        self.fetches()[number].call.tag(self.plan(), index)
    }
}

impl Facts {
    /// Whether the record is held, with every byte.
    fn is_held_whole(&self, index: usize) -> bool {
        let record = &self.records[index];
        self.is_held
            && !self.may_be_gone
            && !record.given_away
            && record.result == Some(RecordResult::Success)
    }
}
