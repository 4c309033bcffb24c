//! The balancer: what all selectors of a set of endpoints share.

use super::config::options::tick;
use super::health::breaker::{self, Rules};
use super::lease::{Leasing, Place, Ticket, sealed};
use super::select::refresh::PanicRules;
use super::state::endpoints::Endpoints;
use super::state::link::Table;
use super::state::membership::Tables;
use super::state::settings::{Packed, pack, unpack};
use super::state::stripe::Verdict;
use super::state::view::View;
use super::tables::builds::TABLES;
use super::{
    AddError, Endpoint, EndpointId, EndpointStats, Health, Metrics, Options, OptionsError, Source, Strategy,
    Totals, UpdateError,
};
use crate::bitmap::MAX_PER_BANK;
use crate::id::Stale;
use crate::sync::{Ordering, const_fn, fence, with_lock};
use crate::time::{Duration, Instant};

/// Up to `BANKS * PER_BANK` endpoints, and the rule `S` by which one of them is chosen.
///
/// A `static` of atomics: every function takes `&self`, from any thread and any interrupt. Selecting goes
/// through a [`Selector`](super::Selector), of which there may be `STRIPES`, one a worker or interrupt; each
/// counts on cache lines of its own.
///
/// Members, weights, health and the state of breakers change inside the critical section. Leases and selects
/// don't need it, but for a probe, and for a select that meets a change of the members half made by another
/// core: it waits for the end.
///
/// # Examples
///
/// ```
/// use trilane::route::{Balancer, Endpoint, Options, Request, RoundRobin};
/// use trilane::time::{Duration, Instant};
///
/// static BALANCER: Balancer<RoundRobin, 1, 4> = Balancer::new(RoundRobin, Options::new());
///
/// let now = Instant::ZERO;
/// let a = BALANCER.add(&Endpoint::new(1), now)?;
/// let b = BALANCER.add(&Endpoint::new(2), now)?;
///
/// let mut selector = BALANCER.selector::<1>(42)?;
/// let first = selector.select(&Request::ANY, now)?;
/// let second = selector.select(&Request::ANY, now)?;
/// assert_ne!(first.endpoint(), second.endpoint());
/// first.succeed(Duration::from_millis(3), now);
/// drop(second); // released without a verdict
/// assert_eq!(BALANCER.stats(a)?.in_flight + BALANCER.stats(b)?.in_flight, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Balancer<S, const BANKS: usize, const PER_BANK: usize = MAX_PER_BANK, const STRIPES: usize = 1> {
    pub(super) endpoints: Endpoints<BANKS, PER_BANK, STRIPES>,
    pub(super) strategy: S,
}

/// About so many build steps a select does when a table is to be built. The same everywhere: who is picked
/// beside a build depends on it.
const STEPS: u32 = 128;

/// The code that the options ask for.
#[inline(always)]
const fn rules(options: &Options) -> [Table; 2] {
    [Rules::of(options), PanicRules::of(options)]
}

impl<S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>
    Balancer<S, BANKS, PER_BANK, STRIPES>
{
    const_fn! {
    /// A balancer without endpoints.
    ///
    /// # Panics
    ///
    /// For options that [`Options::check`] refuses; in a static that is an error of the compiler.
    pub const fn new(strategy: S, options: Options) -> Self {
        match options.check() {
            Ok(options) => Self { endpoints: Endpoints::new(&options, rules(&options)), strategy },
            Err(_) => panic!("`Options::check` refuses these options: see there"),
        }
    }
    }

    /// Its strategy.
    pub fn strategy(&self) -> &S {
        &self.strategy
    }

    /// Its options.
    pub fn options(&self) -> Options {
        self.endpoints.view().settings.all()
    }

    /// Exchanges the options; returns the ones before. What begins from now on goes by the new ones: a
    /// breaker that is open stays so for as long as the old ones say.
    ///
    /// A static balancer that is made with the usual options is all zeros and takes no flash for its memory;
    /// one that is made with others is kept in flash as a whole. So a small firmware sets them here.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] for options that [`Options::check`] refuses; nothing has changed then.
    #[inline(always)]
    pub fn configure(&self, options: Options) -> Result<Options, OptionsError> {
        let options = options.check()?;
        // Inlined: where options are constants, no other rules are linked than they ask for.
        let before = self.endpoints.view().configure(&pack(&options), rules(&options));
        Ok(unpack(before))
    }

    /// The member with the caller's number `id`, if there is one. O(N).
    pub fn find(&self, id: u64) -> Option<EndpointId> {
        let view = self.endpoints.view();
        view.consistently(|| view.search(id).map(|slot| view.handle(slot)))
    }

    /// The caller's number of a member. O(1).
    ///
    /// # Errors
    ///
    /// [`Stale`] when it has been removed; a lease of it still knows its [number](super::Lease::number).
    pub fn number(&self, id: EndpointId) -> Result<u64, Stale> {
        let view = self.endpoints.view();
        view.consistently(|| view.find(id).map(|slot| view.number(slot)))
    }

    /// The endpoint as it stands: what was last said of it. O(1).
    ///
    /// # Errors
    ///
    /// [`Stale`] when it has been removed.
    pub fn endpoint(&self, id: EndpointId) -> Result<Endpoint, Stale> {
        let view = self.endpoints.view();
        view.consistently(|| view.find(id).map(|slot| view.describe(slot)))
    }

    /// Sets an endpoint's health, as source 0 sees it, which has said how it is when it was added; returns
    /// what that source said before. See [`set_health_from`](Self::set_health_from).
    ///
    /// # Errors
    ///
    /// [`Stale`] when it has been removed.
    #[inline]
    pub fn set_health(&self, id: EndpointId, health: Health, now: Instant) -> Result<Health, Stale> {
        self.set_health_from(id, Source::of::<0>(), health, now)
    }

    /// Sets an endpoint's health, as one of several sources sees it (a health check, an operator, the
    /// endpoint itself); returns what that source said before. The worst that any says counts; one that has
    /// said nothing says healthy. Any context, O(1), a short critical section. A select that begins after
    /// this goes by it, whatever other contexts are at.
    ///
    /// With slow start, one begins when an endpoint that its health kept out is let in.
    ///
    /// # Errors
    ///
    /// [`Stale`] when it has been removed.
    #[inline]
    pub fn set_health_from(
        &self,
        id: EndpointId,
        source: Source,
        health: Health,
        now: Instant,
    ) -> Result<Health, Stale> {
        self.endpoints.view().set_health(id, source, health, now)
    }

    /// Takes in what an endpoint reports of itself. Any context, O(stripes).
    ///
    /// # Errors
    ///
    /// [`Stale`] when it has been removed.
    pub fn report(&self, id: EndpointId, metrics: Metrics, now: Instant) -> Result<(), Stale> {
        self.endpoints.view().report(id, metrics, now)
    }

    /// The last report of an endpoint, coherent; `None` before the first. Any context; an interrupt that
    /// comes in the middle of a report on another core tries a few times, then takes the critical section
    /// once.
    ///
    /// # Errors
    ///
    /// [`Stale`] when it has been removed.
    pub fn metrics(&self, id: EndpointId) -> Result<Option<Metrics>, Stale> {
        let view = self.endpoints.view();
        let report = view.slot(view.find(id)?).gauges.read();
        // The slot may have another endpoint by now, whose report this is, or none.
        fence(Ordering::Acquire);
        view.find(id)?;
        Ok(report.map(|(metrics, _)| metrics))
    }

    /// How an endpoint does. O(stripes).
    ///
    /// # Errors
    ///
    /// [`Stale`] when it has been removed.
    pub fn stats(&self, id: EndpointId) -> Result<EndpointStats, Stale> {
        self.endpoints.view().stats(id)
    }

    /// How all of it does. O(banks + stripes).
    pub fn totals(&self) -> Totals {
        self.endpoints.view().totals()
    }

    /// The members, lowest slot first; those that come or go meanwhile may be missed or be stale.
    pub fn members(&self) -> impl Iterator<Item = EndpointId> + '_ {
        self.endpoints.view().member_ids()
    }
}

impl<S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Balancer<S, BANKS, PER_BANK, STRIPES>
where
    S: Strategy<BANKS, PER_BANK, STRIPES>,
{
    pub(super) const TABLES: Option<&'static Tables> = if S::BUILDS { Some(TABLES) } else { None };

    /// Adds an endpoint. O(N), of which O(banks) in the critical section.
    ///
    /// # Errors
    ///
    /// [`AddError`]; nothing has changed then. `Full` counts removed endpoints that still have leases out.
    pub fn add(&self, endpoint: &Endpoint, now: Instant) -> Result<EndpointId, AddError> {
        let id = self.endpoints.view().add(endpoint, Self::TABLES, now)?;
        self.want_table(now);
        Ok(id)
    }

    /// Changes an endpoint's weight, tier, zone, tags, cap, or whether it is enabled. Health, breaker,
    /// counts, latency and reports stay. O(1).
    ///
    /// With slow start, one begins when an endpoint that was switched off, or of weight 0, is let in.
    ///
    /// A cap counts the leases taken while there is one: those taken before it was set come on top.
    ///
    /// # Errors
    ///
    /// [`UpdateError`]; nothing has changed then.
    pub fn update(&self, id: EndpointId, endpoint: &Endpoint, now: Instant) -> Result<(), UpdateError> {
        self.endpoints.view().update(id, endpoint, self.strategy.needs().builds, now)?;
        self.want_table(now);
        Ok(())
    }

    /// Removes an endpoint; returns how many of its leases are still out. They may end as ever; the slot is
    /// used again when the last has. O(1).
    ///
    /// # Errors
    ///
    /// [`Stale`] when it has been removed.
    pub fn remove(&self, id: EndpointId, now: Instant) -> Result<u32, Stale> {
        let out = self.endpoints.view().remove(id, self.strategy.needs().builds, Self::TABLES)?;
        self.want_table(now);
        Ok(out)
    }

    /// Makes what is due by `now` so: half-open breakers, slow start, stale reports, and a slice of a table's
    /// build. Selects do the same; an idle balancer needs neither. Bounded: one bank and some 128 build steps
    /// a call.
    pub fn tick(&self, now: Instant) {
        if self.endpoints.view().is_due(now) {
            self.advance(now);
        }
    }

    /// Builds the strategy's table to its end, at once, instead of slice by slice beside the selects; also
    /// one that would be built [on demand](super::Needs::on_demand). Returns whether it is up to date: not
    /// when another context is building it right now.
    pub fn finish_build(&self) -> bool {
        let view = self.endpoints.view();
        let builds = &view.builds;
        if self.strategy.needs().builds && builds.is_outdated() {
            builds.want();
            // In case another context has to build it.
            self.endpoints.view().hasten_build_now();
        }
        while builds.is_wanted() {
            if !self.build(u32::MAX) {
                return false;
            }
        }
        self.endpoints.view().calm();
        true
    }

    #[cold]
    pub(super) fn advance(&self, now: Instant) {
        let view = self.endpoints.view();
        let builds_on = S::BUILDS && view.builds.is_wanted();
        if !builds_on || view.is_timed_due(now) {
            view.advance(now);
        }
        if builds_on {
            self.build(STEPS);
            if !view.builds.is_wanted() {
                view.calm();
            }
        }
    }

    /// The table, if the strategy looks at one, is to be brought up to date, unless that is done on demand.
    pub(super) fn want_table(&self, now: Instant) {
        let needs = self.strategy.needs();
        if needs.builds && !needs.on_demand && self.endpoints.view().builds.is_outdated() {
            self.endpoints.view().builds.want();
            self.endpoints.view().hasten_build(self.endpoints.view().tick(now));
        }
    }

    /// Builds on, unless another context does. Where it only begins, that is all: the select that finds a
    /// change has its classes to look at.
    fn build(&self, steps: u32) -> bool {
        self.endpoints.view().build(&mut |begins| {
            if begins {
                self.strategy.begin(&self.endpoints);
                if steps <= STEPS {
                    return false;
                }
            }
            self.strategy.build(&self.endpoints, steps)
        })
    }
}

impl<S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> sealed::Sealed
    for Balancer<S, BANKS, PER_BANK, STRIPES>
{
}

impl<S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Leasing
    for Balancer<S, BANKS, PER_BANK, STRIPES>
where
    S: Strategy<BANKS, PER_BANK, STRIPES>,
{
    fn number(&self, ticket: Ticket) -> Result<u64, Stale> {
        self.endpoints.view().last_number(ticket.endpoint())
    }

    #[inline(always)]
    fn release(&self, ticket: Ticket) {
        self.end(ticket, Verdict::Released);
    }

    #[inline]
    fn succeed(&self, ticket: Ticket, latency: Duration, now: Instant) {
        let (view, slot) = (self.endpoints.view(), ticket.slot());
        if view.is_current(ticket.endpoint()) {
            if self.strategy.needs().latencies {
                self.endpoints.record(slot).latency.record(micros(latency), tick(now));
            }
            match ticket.probe() {
                Some(probe) => view.judge(slot, probe, true, now),
                None if breaker::is_of_term(
                    self.endpoints.record(slot).breakers().get(),
                    ticket.breaker(),
                ) =>
                {
                    self.endpoints.count_success(slot, now);
                }
                None => {}
            }
        }
        self.end(ticket, Verdict::Succeeded);
    }

    fn fail(&self, ticket: Ticket, latency: Duration, now: Instant) {
        self.endpoints.view().fail(ticket, self.strategy.needs().latencies, latency, now);
        self.end(ticket, Verdict::Failed);
    }
}

fn micros(latency: Duration) -> u32 {
    u32::try_from(latency.as_micros()).unwrap_or(u32::MAX)
}

impl<S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Balancer<S, BANKS, PER_BANK, STRIPES>
where
    S: Strategy<BANKS, PER_BANK, STRIPES>,
{
    /// A lease is no longer in flight. What it tells of its endpoint has been recorded before: as long as it
    /// is in flight, its slot has no other endpoint.
    #[inline(always)]
    fn end(&self, ticket: Ticket, verdict: Verdict) {
        let exact = self.strategy.needs().exact_counts;
        let place = ticket.place();
        if !place.is_usual(exact) {
            return self.endpoints.view().end(place, ticket.breaker(), verdict);
        }
        self.endpoints.counts_of(place.stripe(), place.slot()).end(verdict);
        if exact {
            self.endpoints.unreserve(ticket.slot());
        }
    }
}

impl View<'_> {
    #[inline(never)]
    fn configure(self, options: &Packed, rules: [Table; 2]) -> Packed {
        with_lock(|_| {
            let before = self.settings.exchange(options, rules);
            self.touch();
            before
        })
    }

    /// A probe's lease, or one that has a cap, is no longer in flight.
    #[inline(never)]
    fn end(self, place: Place, breaker: u32, verdict: Verdict) {
        if place.is_probe() && verdict == Verdict::Released {
            self.give_back(place.slot(), breaker);
        }
        if let Some(counts) = self.counts_of(place.stripe(), place.slot()) {
            counts.end(verdict);
        }
        if place.is_exact() {
            self.unreserve(place.slot());
        }
    }

    #[inline(never)]
    fn fail(self, ticket: Ticket, latencies: bool, latency: Duration, now: Instant) {
        let Ok(slot) = self.find(ticket.endpoint()) else { return };
        let at = self.at(slot);
        if latencies {
            at.latency.record_failure(micros(latency), tick(now));
        }
        match ticket.probe() {
            Some(probe) => self.judge(slot, probe, false, now),
            None if breaker::is_of_term(at.breakers().get(), ticket.breaker()) => {
                self.count_failure(slot, now)
            }
            None => {}
        }
    }
}
