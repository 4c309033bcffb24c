//! The selector: one worker's view of a balancer, in which nothing is computed twice.

use core::ops::Deref;

use super::class::{Ask, ClassCache};
use super::column::within;
use super::lease::{Lease, Ticket};
use super::options::tick;
use super::strategies::Barred;
use super::{
    Balancer, Class, Filter, Random, Request, SelectError, Strategy, TooManyClasses, TooManySelectors,
    breaker,
};
use crate::sync::{Ordering, with_lock};
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
    /// Tells its classes from those of others.
    number: u32,
    random: Random,
    classes: [ClassCache<S::Cache, BANKS, PER_BANK>; CLASSES],
}

/// How many selectors there have been. Nothing but the validity of classes depends on it.
#[cfg(not(trilane_loom))]
static SELECTORS: crate::sync::AtomicU32 = crate::sync::AtomicU32::new(0);

/// Another number than those of the last 2^32 - 1 selectors; never 0.
#[cfg(not(trilane_loom))]
fn next_number() -> u32 {
    SELECTORS.fetch_add(1, Ordering::Relaxed).checked_add(1).unwrap_or(1)
}

#[cfg(trilane_loom)]
fn next_number() -> u32 {
    1
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
            number: next_number(),
            random: Random::new(seed),
            balancer,
        })
    }

    /// The class of a filter: a new one, or the one there is for an equal filter. O(classes + filters), a
    /// short critical section.
    ///
    /// # Errors
    ///
    /// [`TooManyClasses`] when all are in use.
    pub fn class(&mut self, filter: Filter) -> Result<Class, TooManyClasses> {
        if filter == Filter::ANY {
            return Ok(Class::ANY);
        }
        let same = |class: &ClassCache<_, BANKS, PER_BANK>| class.filter == filter;
        let free = |class: &ClassCache<_, BANKS, PER_BANK>| class.filter == Filter::ANY;
        let old = self.classes.iter().position(same);
        let new = || self.classes.iter().skip(1).position(free).map(|at| at + 1);
        let index = old.or_else(new).ok_or(TooManyClasses)?;
        let class = &mut self.classes[index];
        if old.is_none() {
            if !with_lock(|_| self.balancer.endpoints.filters.enter(&filter)) {
                return Err(TooManyClasses);
            }
            let generation = class.generation;
            *class = ClassCache::new(filter, &self.balancer.strategy);
            class.generation = generation;
        }
        Ok(Class { owner: self.number, index: index as u8, generation: class.generation })
    }

    /// Forgets a class, so that there is room for another; requests of it are errors from now on. The class
    /// of
    /// [`Filter::ANY`] stays. O(filters).
    ///
    /// # Errors
    ///
    /// [`SelectError::ForeignClass`] when it isn't a class of this selector.
    pub fn free_class(&mut self, class: Class) -> Result<(), SelectError> {
        let index = self.index_of(class).ok_or(SelectError::ForeignClass)?;
        if class != Class::ANY {
            let class = &mut self.classes[index];
            with_lock(|_| self.balancer.endpoints.filters.leave(&class.filter));
            class.filter = Filter::ANY;
            class.generation = class.generation.wrapping_add(1);
        }
        Ok(())
    }

    /// Where the class is, if it is one of this selector.
    #[inline(always)]
    fn index_of(&self, class: Class) -> Option<usize> {
        let index = within(class.index as usize, CLASSES);
        let own = class.owner == self.number && class.generation == self.classes[index].generation;
        (own || class == Class::ANY).then_some(index)
    }

    /// The balancer.
    pub fn balancer(&self) -> &R {
        &self.balancer
    }

    /// One endpoint for the request. O(1) beside the strategy's step while nothing changes; see the type for
    /// what a change costs.
    ///
    /// When an endpoint is half-open, the first request whose class it belongs to is its probe, unless it is
    /// a retry, or has a key that belongs to another endpoint.
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
        let Some(index) = self.index_of(request.class) else {
            return Err(self.refuse(SelectError::ForeignClass));
        };
        let class = &mut self.classes[index];
        if class.epoch != endpoints.epoch() {
            class.refresh(&balancer.strategy, endpoints, self.stripe, &mut self.random);
        }
        let (strategy, random) = (&balancer.strategy, &mut self.random);
        if !class.is_simple() || !request.tried.is_empty() {
            if class.has_probes() || !request.tried.is_empty() {
                return self.select_again(index, request, now, From::Nothing);
            }
            if class.draw(strategy, endpoints, random) {
                return self.select_again(index, request, now, From::Spilled);
            }
        }
        let (key, tick, barred) = (request.key, tick(now), &Barred::NONE);
        let ask = Ask { random, key, tick, attempt: 0, barred };
        let Some(slot) = class.pick_primary(strategy, endpoints, ask) else {
            return self.select_again(index, request, now, From::Nothing);
        };
        let exact = needs.exact_counts || class.is_capped(endpoints, slot);
        if !exact || endpoints.reserve(slot).is_some() {
            // The handle's generation is loaded before the epoch, which it acquires: were the slot another
            // endpoint's by now, the epoch would have advanced before.
            let endpoint = endpoints.handle(slot);
            let term = breaker::term(endpoints.breakers.get(slot));
            if endpoints.signals.changes.peek() == class.epoch {
                endpoints.stripe(self.stripe).take(slot);
                let ticket = Ticket::new(endpoint, term, self.stripe, exact);
                return Ok(Lease::new(self.balancer.clone(), ticket));
            }
            if exact {
                endpoints.unreserve(slot);
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
                spilled = self.classes[index].draw(&balancer.strategy, &balancer.endpoints, &mut self.random);
            }
        }
        while attempt < TRIES {
            let balancer = &*self.balancer;
            let class = &mut self.classes[index];
            if class.epoch != balancer.endpoints.epoch() {
                class.refresh(&balancer.strategy, &balancer.endpoints, self.stripe, &mut self.random);
            }
            let (random, key) = (&mut self.random, request.key);
            let ask = Ask { random, key, tick: tick(now), attempt, barred: &barred };
            let Some(slot) = class.pick(spilled, &balancer.strategy, &balancer.endpoints, ask) else {
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
        Err(self.refuse(error))
    }

    /// Counts the error.
    #[cold]
    fn refuse(&self, error: SelectError) -> SelectError {
        let count = &self.balancer.endpoints.stripe(self.stripe).errors[error.kind() % SelectError::KINDS];
        count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        error
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
        let before = if exact { Some(endpoints.reserve(slot)?) } else { None };
        let term = breaker::term(endpoints.breakers.get(slot));
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
                let ticket = Ticket::new(endpoint, probe.unwrap_or(term), self.stripe, exact);
                Some(Lease::new(self.balancer.clone(), ticket))
            }
            _ => {
                if exact {
                    endpoints.unreserve(slot);
                }
                None
            }
        }
    }

    /// A probe, if one of the class's endpoints waits for one and would have this request: in the steps that
    /// get traffic; or in `all`, since nobody else can serve. No retry is one.
    fn probe(&mut self, index: usize, request: &Request<'_>, now: Instant, all: bool) -> Option<Lease<R>> {
        if !request.tried.is_empty() {
            return None;
        }
        let mut after = None;
        while let Some(slot) = self.classes[index].next_probe(&self.balancer.endpoints, after, all) {
            after = Some(slot);
            let (endpoints, strategy) = (&self.balancer.endpoints, &self.balancer.strategy);
            let owns = |key| self.classes[index].owns(strategy, endpoints, key, slot);
            if endpoints.full.contains(slot) || !all && !request.key.is_none_or(owns) {
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
        with_lock(|_| {
            self.classes.iter().for_each(|class| self.balancer.endpoints.filters.leave(&class.filter));
        });
        self.balancer.endpoints.stripe(self.stripe).unclaim();
    }
}
