//! The selector: one worker's view of a balancer, in which nothing is computed twice.

use core::ops::Deref;

use super::config::options::tick;
use super::lease::{Lease, Ticket};
use super::select::class::{Ask, ClassCache, OfStrategy};
use super::select::refresh::refresh;
use super::select::search::{Attempt, Search};
use super::select::spill::draw;
use super::state::bank::Sets;
use super::state::view::View;
use super::strategies::Barred;
use super::{
    Balancer, Class, Filter, Random, Request, SelectError, Strategy, TooManyClasses, TooManySelectors,
};
use crate::sync::with_lock;
use crate::time::Instant;

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
    random: Random,
    _whole: Whole,
    classes: [ClassCache<S::Cache, BANKS, PER_BANK>; CLASSES],
}

/// Where an `Option` of a selector keeps whether there is one: a word of its own. Otherwise the compiler
/// takes some `bool` for it, and copies the selector in pieces around that.
#[repr(u32)]
enum Whole {
    Zero = 0,
}

impl<S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Balancer<S, BANKS, PER_BANK, STRIPES>
where
    S: Strategy<BANKS, PER_BANK, STRIPES>,
{
    /// A selector of this balancer, with its own stripe and room for `CLASSES` filters
    /// ([`Filter::ANY`](super::Filter::ANY) is one); see [`Selector::new`].
    ///
    /// # Errors
    ///
    /// [`TooManySelectors`]: each stripe has one.
    pub fn selector<const CLASSES: usize>(
        &self,
        seed: u64,
    ) -> Result<Selector<&Self, S, BANKS, PER_BANK, STRIPES, CLASSES>, TooManySelectors> {
        Selector::new(self, seed)
    }
}

/// How many classes there have been. Nothing but the validity of classes depends on it.
#[cfg(not(trilane_loom))]
static CLASSES_MADE: crate::sync::AtomicU32 = crate::sync::AtomicU32::new(0);

/// Another number than those of the last 2^32 - 1 classes; never 0.
#[cfg(not(trilane_loom))]
fn next_key() -> u32 {
    CLASSES_MADE.fetch_add(1, crate::sync::Ordering::Relaxed).checked_add(1).unwrap_or(1)
}

#[cfg(trilane_loom)]
fn next_key() -> u32 {
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
        let free = balancer.endpoints.view().stripes().position(|stripe| stripe.claim());
        Ok(Self {
            stripe: free.ok_or(TooManySelectors)? as u8,
            classes: [const { ClassCache::new(S::EMPTY, S::EMPTY) }; CLASSES],
            random: Random::new(seed),
            _whole: Whole::Zero,
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
        let filters = || self.classes.iter().map(|class| class.state.filter);
        let old = filters().position(|other| other == filter);
        let new = || filters().skip(1).position(|other| other == Filter::ANY).map(|at| at + 1);
        let index = old.or_else(new).ok_or(TooManyClasses)?;
        if old.is_none() {
            if !with_lock(|_| self.balancer.endpoints.view().filters.enter(&filter)) {
                return Err(TooManyClasses);
            }
            self.classes[index].renew(filter, next_key(), [S::EMPTY; 2]);
        }
        Ok(Class { key: self.classes[index].state.key, index: index as u8 })
    }

    /// Forgets a class, so that there is room for another; requests of it are errors from now on. The class
    /// of [`Filter::ANY`] stays. O(filters).
    ///
    /// # Errors
    ///
    /// [`SelectError::ForeignClass`] when it isn't a class of this selector.
    pub fn free_class(&mut self, class: Class) -> Result<(), SelectError> {
        let index = self.index_of(class).ok_or(SelectError::ForeignClass)?;
        if class != Class::ANY {
            let state = &mut self.classes[index].state;
            with_lock(|_| self.balancer.endpoints.view().filters.leave(&state.filter));
            // Its key stays, so that it is nobody's.
            (state.filter, state.key) = (Filter::ANY, next_key());
        }
        Ok(())
    }

    /// The filter that the class was made of. O(1).
    ///
    /// # Errors
    ///
    /// [`SelectError::ForeignClass`] when it isn't a class of this selector.
    pub fn filter(&self, class: Class) -> Result<Filter, SelectError> {
        self.index_of(class).map(|index| self.classes[index].state.filter).ok_or(SelectError::ForeignClass)
    }

    /// Where the class is if it is one of this selector: one instruction for the usual numbers of classes.
    #[inline(always)]
    fn place_of(class: Class) -> usize {
        let index = class.index as usize;
        if CLASSES.is_power_of_two() { index % CLASSES } else { index.min(CLASSES - 1) }
    }

    fn index_of(&self, class: Class) -> Option<usize> {
        let index = Self::place_of(class);
        (self.classes[index].state.key == class.key).then_some(index)
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
        let (balancer, index) = (self.balancer.clone(), Self::place_of(request.class));
        let (view, class) = (balancer.endpoints.view(), &self.classes[index]);
        // One branch instead of five.
        let unusual =
            (class.state.key ^ request.class.key) as usize | request.tried.len() | view.overdue(now) as usize;
        let search = 'usual: {
            if unusual | class.departure(view) as usize != 0
                && (unusual != 0 || !class.is_usual_by_load(view))
                && let Some(attempt) = self.prepare(request, now)
            {
                break 'usual attempt;
            }
            let Balancer { strategy, endpoints } = &*balancer;
            let (view, class) = (endpoints.view(), &mut self.classes[index]);
            let (random, key, tick, barred) = (&mut self.random, request.key, tick(now), &Barred::NONE);
            let ask = Ask { random, key, tick, attempt: 0, barred };
            let Some(slot) = class.pick_primary(strategy, endpoints, ask) else {
                break 'usual Attempt::Nothing;
            };
            let (state, stripe) = (&class.state, self.stripe);
            let exact = state.counts && strategy.needs().exact_counts;
            let ticket = if state.counts && !exact && view.has(Sets::capped, slot) {
                view.lease_exactly(slot, state.epoch, stripe)
            } else if exact && endpoints.reserve(slot).is_none() {
                None
            } else {
                let ticket = Ticket::of(endpoints.record(slot), slot, stripe, exact);
                if view.is_of(state.epoch) {
                    endpoints.take(stripe, slot);
                    return Ok(Lease::new(balancer, ticket));
                }
                if exact {
                    view.unreserve(slot);
                }
                None
            };
            if let Some(ticket) = ticket {
                return Ok(Lease::new(balancer, ticket));
            }
            Attempt::Picked(slot)
        };
        self.search(request, now, search)
    }

    /// What comes before a select's usual step where something is due or has changed, or the class isn't as
    /// usual; returns how the search begins, if there has to be one.
    #[cold]
    #[inline(never)]
    fn prepare(&mut self, request: &Request<'_>, now: Instant) -> Option<Attempt> {
        if self.balancer.endpoints.view().is_due(now) {
            self.balancer.advance(now);
        }
        let Some(index) = self.index_of(request.class) else { return Some(Attempt::Foreign) };
        let stripe = self.stripe;
        let (mut cached, view, random) = self.parts(index);
        if cached.class.state.is_outdated(view) {
            refresh(&mut cached, view, stripe, random);
        }
        if !request.tried.is_empty() || cached.class.state.probes {
            return Some(Attempt::Nothing);
        }
        let usual = cached.class.state.is_usual() || cached.class.has_room(view);
        (!usual && draw(&mut cached, view, random)).then_some(Attempt::Spilled)
    }

    /// The class as code sees it that isn't on the path of every select.
    #[inline(always)]
    fn parts(
        &mut self,
        index: usize,
    ) -> (OfStrategy<'_, S, BANKS, PER_BANK, STRIPES>, View<'_>, &mut Random) {
        let Balancer { endpoints, strategy } = &*self.balancer;
        (
            OfStrategy { class: &mut self.classes[index], strategy, endpoints },
            endpoints.view(),
            &mut self.random,
        )
    }

    /// Everything that isn't the common case.
    #[cold]
    #[inline(never)]
    fn search(
        &mut self,
        request: &Request<'_>,
        now: Instant,
        attempt: Attempt,
    ) -> Result<Lease<R>, SelectError> {
        let stripe = self.stripe;
        let (mut cached, view, random) = self.parts(Self::place_of(request.class));
        let cached = &mut cached;
        let ticket = Search { view, cached, random, stripe, request, now, spilled: false }.run(attempt)?;
        Ok(Lease::new(self.balancer.clone(), ticket))
    }
}

impl<R, S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize, const CLASSES: usize> Drop
    for Selector<R, S, BANKS, PER_BANK, STRIPES, CLASSES>
where
    R: Deref<Target = Balancer<S, BANKS, PER_BANK, STRIPES>>,
    S: Strategy<BANKS, PER_BANK, STRIPES>,
{
    fn drop(&mut self) {
        let view = self.balancer.endpoints.view();
        with_lock(|_| {
            self.classes.iter().for_each(|class| view.filters.leave(&class.state.filter));
        });
        if let Some(stripe) = view.stripe(self.stripe) {
            stripe.unclaim();
        }
    }
}
