//! How a member follows an ingress: A.4.2.

use super::machine::{Fault, Member};
use crate::causal::PushError;
use crate::daemon::Daemon;
use crate::group::message::{Ack, Deliver, LowerTerm};
use crate::group::rules::{Rule, lacks};

impl<D: Daemon, const BYTES: usize, const RECORDS: usize, const PRODUCERS: usize, const CUTS: usize>
    Member<D, BYTES, RECORDS, PRODUCERS, CUTS>
{
    /// Takes a record of the ingress, and what has become of those before. The answer, if there is one, goes
    /// to the ingress.
    ///
    /// O(length) for the next record of the generation that it has joined. Who joins another drops what that
    /// one's log doesn't have.
    ///
    /// # Errors
    ///
    /// [`LowerTerm`] from an ingress of a term that has ended.
    #[inline]
    pub fn deliver(&mut self, deliver: &Deliver<'_>) -> Result<Option<Ack>, LowerTerm> {
        if !self.has_a_log() || self.incarnation == 0 || deliver.generation < self.generation {
            return Ok(None);
        }
        self.take_term(deliver.term)?;
        self.is_behind = self.log.end() + 1 < deliver.base;
        let shared = if deliver.generation == self.generation {
            self.take_next(deliver);
            self.log.end()
        } else if let Some(shared) = self.take_of_newer(deliver) {
            shared
        } else {
            // Not this position: the one before it, or, if we don't have it, the end of ours.
            let before = deliver.before.index;
            let is_ours = (self.log.base() - 1..=self.log.end()).contains(&before);
            let wants = if is_ours { before } else { self.log.end() + 1 };
            return Ok(self.ack().map(|ack| Ack { wants, ..ack }));
        };
        self.take_commit(deliver, shared);
        Ok(self.ack())
    }

    #[inline]
    fn take_next(&mut self, deliver: &Deliver<'_>) {
        let Some(record) = &deliver.record else { return };
        let index = record.delivery.position.index;
        if index == self.log.end() + 1 {
            self.push(deliver);
        } else if self.log.get(index).is_some_and(|ours| {
            ours.delivery.position != record.delivery.position || ours.hash != record.hash
        }) {
            self.stop(Fault::Conflict { index });
        }
    }

    /// Without room the record is sent again: this member hasn't come as far as others.
    #[inline]
    fn push(&mut self, deliver: &Deliver<'_>) {
        let Some(record) = &deliver.record else { return };
        let room = self.log.push(record);
        if matches!(room, Err(PushError::NoBytes | PushError::NoRecords)) {
            // What is applied and no longer in the ingress's log is wanted by nobody.
            self.evict(deliver.base);
            let _ = self.log.push(record);
        }
    }

    /// Of a generation that it has not joined. Returns up to where both logs are the same, as far as this
    /// shows; `None` if the position before the record is not ours.
    #[cold]
    fn take_of_newer(&mut self, deliver: &Deliver<'_>) -> Option<u64> {
        let before = deliver.before;
        if !self.log.has(before) {
            // The lowest index that both logs know of.
            let lowest = self.log.base().max(deliver.base) - 1;
            let is_ingress_shorter = deliver.record.is_none() && before.index < lowest;
            if lowest <= self.log.end() && (before.index == lowest || is_ingress_shorter) {
                // Nothing that the ingress has goes on from what is here.
                self.become_empty();
            }
            return None;
        }
        let mut last = before.index;
        if let Some(record) = deliver.record {
            let position = record.delivery.position;
            if self.log.end() > last && !self.log.has(position) {
                self.drop_behind(last);
            }
            if self.has_log && self.log.end() == last {
                self.push(deliver);
            }
            last = last.max(self.log.end().min(position.index));
        }
        if self.has_log && (last >= deliver.start || lacks(Rule::JoinAtStart)) {
            if !lacks(Rule::DropBehindStart) {
                self.drop_behind(last);
            }
            if self.has_log {
                self.generation = deliver.generation;
            }
        }
        Some(last)
    }

    fn drop_behind(&mut self, index: u64) {
        if self.applied.index > index {
            self.become_empty();
        } else {
            self.log.truncate_behind(index);
        }
    }

    /// Of a log that has not joined only what is known to be the ingress's counts as committed: behind that
    /// it may end in records that never were.
    #[inline]
    fn take_commit(&mut self, deliver: &Deliver<'_>, shared: u64) {
        if !self.has_log {
            return;
        }
        let has_joined = self.generation == deliver.generation;
        let is_known = has_joined || lacks(Rule::CommitOfJoined);
        let committed = if is_known { deliver.commit } else { deliver.commit.min(shared) };
        self.commit = self.commit.max(committed);
        self.evict(deliver.base);
        // What was sent before this life was heard of may tell of too low a commit.
        let is_of_this_life = deliver.incarnation == self.incarnation;
        self.is_counted |= has_joined && self.log.end() >= deliver.commit && is_of_this_life;
    }

    /// A.3.5, of the member's log.
    #[inline]
    fn evict(&mut self, base: u64) {
        let through = base.saturating_sub(1).min(self.applied.index);
        if through >= self.log.base() {
            self.log.evict_through(through);
        }
    }
}
