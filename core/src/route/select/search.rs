//! What a select does that isn't the common case: probes, endpoints at their cap or tried before, traffic
//! that spills, changes that come in the middle, errors.

use crate::bitmap::{Bits, rolled, slot};
use crate::route::config::options::tick;
use crate::route::health::breaker;
use crate::route::lease::Ticket;
use crate::route::select::class::{Ask, Cached};
use crate::route::select::refresh::refresh;
use crate::route::select::spill::{draw, fill_other};
use crate::route::state::bank::Sets;
use crate::route::state::view::View;
use crate::route::strategies::Barred;
use crate::route::{Random, Request, SelectError};
use crate::sync::{Ordering, with_lock};
use crate::time::Instant;

/// How often a strategy picks in one select before the selector looks through the candidates itself.
const TRIES: u8 = 4;
/// How often the selector looks itself before it gives up while endpoints come and go.
const LOOKS: u8 = 3;

/// How far a select has come that isn't the common case.
pub(in crate::route) enum Attempt {
    /// The class is none of the selector's.
    Foreign,
    Nothing,
    /// It goes to the other group.
    Spilled,
    /// The strategy has made its step in the primary group, and gave this slot.
    Picked(u16),
}

/// One select.
pub(in crate::route) struct Search<'a, 'b> {
    pub view: View<'b>,
    pub cached: &'a mut dyn Cached,
    pub random: &'a mut Random,
    pub stripe: u8,
    pub request: &'a Request<'a>,
    pub now: Instant,
    /// Whether it goes to the other group.
    pub spilled: bool,
}

impl Search<'_, '_> {
    /// The endpoint to go to; an error is counted.
    #[inline(never)]
    pub fn run(&mut self, from: Attempt) -> Result<Ticket, SelectError> {
        if let Attempt::Foreign = from {
            return Err(self.view.refuse(self.stripe, SelectError::ForeignClass));
        }
        let mut barred = Barred::NONE;
        for id in self.request.tried.iter().rev() {
            barred.add(id.slot());
        }
        let mut attempt = 0;
        match from {
            Attempt::Spilled => self.spilled = true,
            // It was not had because it is full, or because something has changed: it may be had still.
            Attempt::Picked(slot) => match self.lease(slot, None) {
                Some(ticket) => return Ok(ticket),
                None => {
                    attempt = 1;
                    barred.add(slot);
                }
            },
            Attempt::Nothing | Attempt::Foreign => {
                if let Some(ticket) = self.probe(false) {
                    return Ok(ticket);
                }
                self.spilled = draw(self.cached, self.view, self.random);
            }
        }
        while attempt < TRIES {
            rolled();
            if self.cached.class().is_outdated(self.view) {
                refresh(self.cached, self.view, self.stripe, self.random);
            }
            if self.spilled && !self.cached.class().spill.ready {
                fill_other(self.cached, 1, self.view, self.random);
            }
            let (random, key, tick) = (&mut *self.random, self.request.key, tick(self.now));
            let ask = Ask { random, key, tick, attempt, barred: &barred };
            let Some(slot) = self.cached.pick(self.spilled, ask) else { break };
            attempt += 1;
            if !barred.contains(slot) {
                if let Some(ticket) = self.lease(slot, None) {
                    return Ok(ticket);
                }
                barred.add(slot);
            }
        }
        // The strategy has had its tries.
        let mut looks = LOOKS;
        let error = loop {
            rolled();
            if let Some(ticket) = self.look() {
                return Ok(ticket);
            }
            looks -= 1;
            let (view, now, tried) = (self.view, self.now, self.request.tried);
            match self.cached.class().diagnose(view, now, tried) {
                Some(error) => break error,
                // Somebody can be had by now. Last, members are kept from changing meanwhile.
                None if looks == 0
                    && let Some(ticket) = with_lock(|_| self.sweep_from(0)) =>
                {
                    return Ok(ticket);
                }
                None if looks > 0 => refresh(self.cached, view, self.stripe, self.random),
                None if view.len(Sets::capped) == 0 => break SelectError::AllUnhealthy,
                None => break SelectError::AllAtCapacity,
            }
        };
        Err(self.view.refuse(self.stripe, error))
    }

    /// Whoever can be had: of the group drawn, of the primary one, of the steps after it, and last a probe,
    /// wherever one waits.
    #[inline(never)]
    fn look(&mut self) -> Option<Ticket> {
        if self.spilled
            && let Some(ticket) = self.sweep(&|cached, bank| cached.parts().2.candidates.word(bank))
        {
            return Some(ticket);
        }
        if let Some(ticket) = self.sweep(&|cached, bank| cached.parts().1.candidates.word(bank)) {
            return Some(ticket);
        }
        let first = self.cached.class().step.saturating_add(1);
        self.sweep_from(first).or_else(|| self.probe(true))
    }

    /// Whoever can be had of this step and those after it.
    #[inline(never)]
    fn sweep_from(&mut self, mut number: u8) -> Option<Ticket> {
        let view = self.view;
        while let Some(step) = self.cached.class().step(view, number) {
            let found = self.sweep(&|cached, bank| {
                view.bank(bank).map_or(0, |bank| cached.class().serving_in(step, bank))
            });
            if found.is_some() {
                return found;
            }
            number += 1;
        }
        None
    }

    /// A lease on `slot` if it can be had and is eligible after that.
    fn lease(&mut self, slot: u16, probe: Option<u32>) -> Option<Ticket> {
        let view = self.view;
        let exact = self.cached.needs().exact_counts || view.at(slot).has(Sets::capped);
        let before = if exact { Some(view.reserve(slot)?) } else { None };
        let term = breaker::term(view.slot(slot).breakers().get());
        let handle = self.cached.class().eligible(view, slot, probe);
        // It may have come with a cap since the looks above: then this lease isn't counted, or may be one too
        // many.
        let counts = || match before {
            Some(before) => view.is_within_cap(slot, before),
            None => !view.at(slot).has(Sets::capped),
        };
        match handle.filter(|id| !self.request.tried.contains(id)) {
            Some(endpoint) if counts() => {
                view.take(self.stripe, slot);
                let ticket = Ticket::new(endpoint, term, self.stripe, exact);
                Some(probe.map_or(ticket, |word| ticket.probing(word)))
            }
            _ => {
                if exact {
                    view.unreserve(slot);
                }
                None
            }
        }
    }

    /// A probe, if one of the class's endpoints waits for one and would have this request: in the steps that
    /// get traffic; or in `all`, since nobody else can serve. No retry is one.
    fn probe(&mut self, all: bool) -> Option<Ticket> {
        if !self.request.tried.is_empty() {
            return None;
        }
        let (view, key) = (self.view, if all { None } else { self.request.key });
        let mut after = None;
        while let Some(slot) = self.cached.class().next_probe(view, after, all) {
            after = Some(slot);
            let owns = |key| self.cached.owns(key, slot);
            if view.at(slot).has(Sets::full) || !key.is_none_or(owns) {
                continue;
            }
            let Some(word) = view.claim(slot, self.now) else { continue };
            match self.lease(slot, Some(word)) {
                Some(ticket) => return Some(ticket),
                // It is at its cap, or has just changed: the probe goes to somebody else.
                None => view.give_back(slot, word),
            }
        }
        None
    }

    /// The first of those that `bits` has, from a random one on, that can be had. O(banks + those).
    #[inline(never)]
    fn sweep(&mut self, bits: &dyn Fn(&mut dyn Cached, usize) -> u32) -> Option<Ticket> {
        let banks = self.view.banks();
        let first = self.random.below(banks as u32) as usize;
        for bank in (first..banks).chain(0..first) {
            let word = bits(self.cached, bank) & !self.view.bits(Sets::full, bank);
            let turn = self.random.next() % 32;
            for index in Bits(word.rotate_right(turn)) {
                let ticket = self.lease(slot(bank, (index + turn) % 32), None);
                if ticket.is_some() {
                    return ticket;
                }
            }
        }
        None
    }
}

impl View<'_> {
    /// Counts the error.
    #[cold]
    #[inline(never)]
    pub(in crate::route) fn refuse(self, stripe: u8, error: SelectError) -> SelectError {
        if let Some(stripe) = self.stripe(stripe) {
            let count = &stripe.errors[error.kind() % SelectError::KINDS];
            count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
        error
    }

    /// A lease on a slot that a select has picked in this epoch and that has a cap, if it can be had.
    #[inline(never)]
    pub(in crate::route) fn lease_exactly(self, slot: u16, epoch: u32, stripe: u8) -> Option<Ticket> {
        self.reserve(slot)?;
        let ticket = Ticket::of(self.slot(slot), slot, stripe, true);
        if !self.is_of(epoch) {
            self.unreserve(slot);
            return None;
        }
        self.take(stripe, slot);
        Some(ticket)
    }

    /// A selector has taken a lease.
    #[inline(always)]
    pub(in crate::route) fn take(self, stripe: u8, slot: u16) {
        if let Some(counts) = self.counts_of(stripe, slot) {
            counts.take();
        }
    }
}
