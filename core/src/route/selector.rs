//! The selector: one worker's view of a balancer, in which nothing is computed twice.

use core::ops::Deref;

use super::class::ClassCache;
use super::column::within;
use super::lease::{Lease, Ticket};
use super::strategies::Barred;
use super::{
    Balancer, Class, Filter, Random, Request, SelectError, Strategy, TooManyClasses, TooManySelectors,
};
use crate::sync::Ordering;
use crate::time::Instant;

/// How often a strategy picks in one select before the selector looks through the candidates itself.
const TRIES: u8 = 4;
/// How often the selector looks itself before it gives up while endpoints come and go.
const LOOKS: u8 = 3;

/// How far a select has come that isn't the common case.
enum From {
    Nothing,
    /// It goes to the other group.
    Spilled,
    /// The strategy has made its step in the primary group, and gave this slot.
    Picked(u16),
}

/// What one worker, or one interrupt, selects with.
///
/// It keeps the candidates of up to `CLASSES` filters, valid while the balancer's epoch stands, which is one
/// load: a select then costs one step of the strategy. The first select of a class after a change makes them
/// anew, O(banks + candidates).
///
/// `R` is what the balancer is reached by, and each lease gets a copy: `&'static` or a scoped reference costs
/// nothing, an `Arc` two atomic operations a lease.
///
/// Not shared: each context has its own, with its own stripe of the balancer's counts and its own generator.
/// Same seed, same calls: same decisions, on every target.
pub struct Selector<
    R,
    S,
    const BANKS: usize,
    const PER_BANK: usize,
    const STRIPES: usize,
    const CLASSES: usize,
> where
    R: Deref<Target = Balancer<S, BANKS, PER_BANK, STRIPES>>,
    S: Strategy<BANKS, PER_BANK, STRIPES>,
{
    balancer: R,
    stripe: u8,
    used: u8,
    random: Random,
    classes: [ClassCache<S::Cache, BANKS, PER_BANK>; CLASSES],
}

impl<R, S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize, const CLASSES: usize>
    Selector<R, S, BANKS, PER_BANK, STRIPES, CLASSES>
where
    R: Deref<Target = Balancer<S, BANKS, PER_BANK, STRIPES>> + Clone,
    S: Strategy<BANKS, PER_BANK, STRIPES>,
{
    /// A selector of the balancer, with its own stripe; it gives the stripe back when it is dropped.
    /// Selectors that start together should have different seeds, or they make the same choices.
    ///
    /// # Errors
    ///
    /// [`TooManySelectors`]: each stripe has one.
    pub fn new(balancer: R, seed: u64) -> Result<Self, TooManySelectors> {
        const { assert!(CLASSES >= 1 && CLASSES <= 255, "a selector has 1 to 255 classes") }
        let stripe =
            balancer.endpoints.stripes.iter().position(|stripe| stripe.claim()).ok_or(TooManySelectors)?;
        // The classes are made where they stay, so that they take their room on the stack once.
        Ok(Self {
            classes: core::array::from_fn(|_| ClassCache::new(Filter::ANY, &balancer.strategy)),
            stripe: stripe as u8,
            used: 1,
            random: Random::new(seed),
            balancer,
        })
    }

    /// The class of a filter: a new one, or the one there is for an equal filter. O(classes).
    ///
    /// # Errors
    ///
    /// [`TooManyClasses`] when all are in use.
    pub fn class(&mut self, filter: Filter) -> Result<Class, TooManyClasses> {
        let used = self.used as usize;
        if let Some(at) = self.classes.iter().take(used).position(|class| class.filter == filter) {
            return Ok(Class(at as u8));
        }
        let class = self.classes.get_mut(used).ok_or(TooManyClasses)?;
        *class = ClassCache::new(filter, &self.balancer.strategy);
        self.used += 1;
        Ok(Class(used as u8))
    }

    /// The balancer.
    pub fn balancer(&self) -> &R {
        &self.balancer
    }

    /// One endpoint for the request. O(1) beside the strategy's step while nothing changes; see the type for
    /// what a change costs.
    ///
    /// When an endpoint is half-open, the first select whose class it belongs to gets it, as its probe. A
    /// class of another selector stands for whatever filter has its number here, or for any of the classes
    /// here.
    ///
    /// # Errors
    ///
    /// [`SelectError`], each kind counted.
    #[inline]
    pub fn select(&mut self, request: &Request<'_>, now: Instant) -> Result<Lease<R>, SelectError> {
        let balancer = &*self.balancer;
        let endpoints = &balancer.endpoints;
        if endpoints.is_due(now) {
            balancer.advance(now);
        }
        let needs = balancer.strategy.needs();
        let index = within(request.class.0 as usize, CLASSES);
        let class = &mut self.classes[index];
        if class.epoch != endpoints.epoch() {
            class.refresh(&balancer.strategy, endpoints, self.stripe, &mut self.random);
        }
        let (strategy, random) = (&balancer.strategy, &mut self.random);
        if !class.is_simple() || !request.tried.is_empty() {
            if class.has_probes() || !request.tried.is_empty() {
                return self.select_again(index, request, now, From::Nothing);
            }
            if class.draw(strategy, endpoints, self.stripe, random) {
                return self.select_again(index, request, now, From::Spilled);
            }
        }
        let Some(slot) = class.pick_primary(strategy, endpoints, self.stripe, random, request.key) else {
            return self.select_again(index, request, now, From::Nothing);
        };
        let exact = needs.exact_counts || class.is_capped(endpoints, slot);
        if !exact || balancer.reserve(slot).is_some() {
            // The handle's generation is loaded before the epoch, which it acquires: were the slot another
            // endpoint's by now, the epoch would have advanced before.
            let endpoint = endpoints.handle(slot);
            if endpoints.signals.changes.peek() == class.epoch {
                endpoints.stripe(self.stripe).take(slot);
                let ticket = Ticket::new(endpoint, 0, self.stripe, exact);
                return Ok(Lease::new(self.balancer.clone(), ticket));
            }
            if exact {
                balancer.unreserve(slot);
            }
        }
        self.select_again(index, request, now, From::Picked(slot))
    }

    /// Everything that isn't the common case: probes, endpoints at their cap or tried before, traffic that
    /// spills, changes that come in the middle, errors.
    #[cold]
    fn select_again(
        &mut self,
        index: usize,
        request: &Request<'_>,
        now: Instant,
        from: From,
    ) -> Result<Lease<R>, SelectError> {
        let mut barred = Barred::NONE;
        for id in request.tried.iter().rev() {
            barred.add(id.slot());
        }
        let (mut attempt, mut spilled) = (0, false);
        match from {
            From::Spilled => spilled = true,
            // It was not had because it is full, or because something has changed: it may be had still.
            From::Picked(slot) => match self.lease(index, slot, None, request) {
                Some(lease) => return Ok(lease),
                None => {
                    attempt = 1;
                    barred.add(slot);
                }
            },
            From::Nothing => {
                if let Some(lease) = self.probe(index, request, now, false) {
                    return Ok(lease);
                }
                let balancer = &*self.balancer;
                spilled = self.classes[index].draw(
                    &balancer.strategy,
                    &balancer.endpoints,
                    self.stripe,
                    &mut self.random,
                );
            }
        }
        while attempt < TRIES {
            let balancer = &*self.balancer;
            let class = &mut self.classes[index];
            if class.epoch != balancer.endpoints.epoch() {
                class.refresh(&balancer.strategy, &balancer.endpoints, self.stripe, &mut self.random);
            }
            let Some(slot) = class.pick(
                spilled,
                &balancer.strategy,
                &balancer.endpoints,
                self.stripe,
                &mut self.random,
                request.key,
                attempt,
                &barred,
            ) else {
                break;
            };
            attempt += 1;
            if !barred.contains(slot) {
                if let Some(lease) = self.lease(index, slot, None, request) {
                    return Ok(lease);
                }
                barred.add(slot);
            }
        }
        // The strategy has had its tries.
        let mut looks = LOOKS;
        let error = loop {
            if let Some(lease) = self.look(index, spilled, request, now) {
                return Ok(lease);
            }
            let balancer = &*self.balancer;
            let class = &mut self.classes[index];
            looks -= 1;
            match class.diagnose(&balancer.endpoints, now, request.tried) {
                Some(error) => break error,
                // Somebody can be had by now.
                None if looks > 0 => {
                    class.refresh(&balancer.strategy, &balancer.endpoints, self.stripe, &mut self.random);
                }
                None if balancer.endpoints.capped.is_empty() => break SelectError::AllUnhealthy,
                None => break SelectError::AllAtCapacity,
            }
        };
        let count = &self.balancer.endpoints.stripe(self.stripe).errors[error.kind() % SelectError::KINDS];
        count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        Err(error)
    }

    /// Whoever can be had: of the group drawn, of the primary one, of the steps after it, and last a probe,
    /// wherever one waits.
    fn look(&mut self, index: usize, spilled: bool, request: &Request<'_>, now: Instant) -> Option<Lease<R>> {
        for other in [true, false].into_iter().skip(!spilled as usize) {
            let words = *self.classes[index].words(other);
            if let Some(lease) = self.sweep(index, &words, request) {
                return Some(lease);
            }
        }
        let mut step = self.classes[index].step.saturating_add(1);
        while let Some(words) = self.classes[index].step_words(&self.balancer.endpoints, step) {
            if let Some(lease) = self.sweep(index, &words, request) {
                return Some(lease);
            }
            step += 1;
        }
        self.probe(index, request, now, true)
    }

    /// A lease on `slot` if it can be had and is eligible after that.
    fn lease(
        &mut self,
        index: usize,
        slot: u16,
        probe: Option<u32>,
        request: &Request<'_>,
    ) -> Option<Lease<R>> {
        let endpoints = &self.balancer.endpoints;
        let exact = self.balancer.strategy.needs().exact_counts || endpoints.capped.contains(slot);
        let before = if exact { Some(self.balancer.reserve(slot)?) } else { None };
        let handle = self.classes[index].eligible(endpoints, slot, probe);
        // It may have come with a cap since the looks above: then this lease isn't counted, or may be one too
        // many.
        let counts = || match before {
            Some(before) => endpoints.is_within_cap(slot, before),
            None => !endpoints.capped.contains(slot),
        };
        match handle.filter(|id| !request.tried.contains(id)) {
            Some(endpoint) if counts() => {
                endpoints.stripe(self.stripe).take(slot);
                let ticket = Ticket::new(endpoint, probe.unwrap_or(0), self.stripe, exact);
                Some(Lease::new(self.balancer.clone(), ticket))
            }
            _ => {
                if exact {
                    self.balancer.unreserve(slot);
                }
                None
            }
        }
    }

    /// A probe, if one of the class's endpoints waits for one: in the steps that get traffic, or in `all`.
    fn probe(&mut self, index: usize, request: &Request<'_>, now: Instant, all: bool) -> Option<Lease<R>> {
        let tried = request.tried;
        let mut after = None;
        while let Some(slot) = self.classes[index].next_probe(&self.balancer.endpoints, after, all) {
            after = Some(slot);
            let endpoints = &self.balancer.endpoints;
            if tried.contains(&endpoints.handle(slot)) || endpoints.full.contains(slot) {
                continue;
            }
            let Some(word) = endpoints.claim(slot, now) else { continue };
            match self.lease(index, slot, Some(word), request) {
                Some(lease) => return Some(lease),
                // It is at its cap, or has just changed: the probe goes to somebody else.
                None => self.balancer.endpoints.give_back(slot, word),
            }
        }
        None
    }

    /// The first of these, from a random one on, that can be had. O(banks + those).
    fn sweep(&mut self, index: usize, words: &[u32; BANKS], request: &Request<'_>) -> Option<Lease<R>> {
        let first = self.random.below(BANKS as u32) as usize;
        for bank in (0..BANKS).map(|at| (first + at) % BANKS) {
            let word = words[bank] & !self.balancer.endpoints.full.bits(bank);
            let turn = self.random.next() % 32;
            for index_in_bank in crate::bitmap::Bits(word.rotate_right(turn)) {
                let slot = crate::bitmap::slot(bank, (index_in_bank + turn) % 32);
                if let Some(lease) = self.lease(index, slot, None, request) {
                    return Some(lease);
                }
            }
        }
        None
    }
}

impl<R, S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize, const CLASSES: usize> Drop
    for Selector<R, S, BANKS, PER_BANK, STRIPES, CLASSES>
where
    R: Deref<Target = Balancer<S, BANKS, PER_BANK, STRIPES>>,
    S: Strategy<BANKS, PER_BANK, STRIPES>,
{
    fn drop(&mut self) {
        self.balancer.endpoints.stripe(self.stripe).unclaim();
    }
}
