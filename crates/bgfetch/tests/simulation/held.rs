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

    /// The user asks for the same again, perhaps. Returns how many bytes need not be downloaded, and
    /// the fetches that hold them.
    pub(crate) fn adopts(&mut self, number: usize) -> Vec<(usize, u64)> {
        let mut adopted = Vec::new();
        for index in 0..self.fetches()[number].records.len() {
            let givers = self.givers(number, index);
            for (before, _) in &givers {
                // What they give away, they no longer have.
                self.fetch(*before).replacements += 1;
                self.fetch(number).records[index].served = true;
            }
            let whole = givers.iter().rev().find(|(before, held)| {
                let fetch = &self.fetches()[*before];
                fetch.is_held_whole(*held) && !self.is_personal(&fetch.call.records[*held])
            });
            if let Some((before, held)) = whole {
                let record = &mut self.fetch(*before).records[*held];
                record.given_away = true;
                adopted.push((*before, record.length));
            }
        }
        adopted
    }

    /// How many bytes that is, without those of fetches that were removed meanwhile.
    pub(crate) fn still_held(&self, adopted: &[(usize, u64)]) -> u64 {
        let held = adopted.iter().filter(|(number, _)| !self.fetches()[*number].may_be_gone);
        held.map(|(_, bytes)| bytes).sum()
    }

    /// The records of equal requests that may be held.
    fn givers(&self, number: usize, index: usize) -> Vec<(usize, usize)> {
        let tag = self.tag(number, index);
        let before = self.fetches()[..number].iter().enumerate();
        let held = before.filter(|(_, fetch)| fetch.holds.is_some());
        let all = held.flat_map(|(it, fetch)| (0..fetch.records.len()).map(move |at| (it, at)));
        all.filter(|(it, at)| self.tag(*it, *at) == tag).collect()
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
