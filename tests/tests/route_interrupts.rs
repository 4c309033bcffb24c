//! Selects, verdicts and changes of members that come in the middle of a select, as from an interrupt.
//!
//! On the host nothing interrupts a thread, so a strategy stands in for it: whatever it is asked, it runs the
//! "interrupt" first or afterwards, on the same thread and with the select that asks half done. The places
//! between two instructions that no strategy sees are the router example's, on the emulated chips.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use trilane::route::{
    AddError, Balancer, BreakerState, Endpoint, EndpointId, Endpoints, Health, Needs, Options, Pool, Random,
    Request, RoundRobin, SelectError, Selector, Strategy, Tag, Tags, Turn,
};
use trilane::time::{Duration, Instant};

/// Round robin that is interrupted.
struct Interrupted {
    inner: RoundRobin,
    /// Where: see [`Place`].
    places: AtomicU32,
}

/// Where the interrupt comes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// When the candidates of a class have been looked up anew.
    Refilled,
    /// Before the strategy picks.
    BeforePick,
    /// When it has picked, before the selector looks whether that may be.
    Picked,
    /// When the strategy is asked for its needs: at the beginning of a select, before a lease is counted, and
    /// before its verdict.
    Asked,
    /// When a table is to be built.
    Building,
}

type Handler = Box<dyn FnMut(Place)>;

thread_local! {
    /// What the interrupt does; taken out while it runs, since it doesn't interrupt itself.
    static HANDLER: RefCell<Option<Handler>> = const { RefCell::new(None) };
}

impl Interrupted {
    const fn new() -> Self {
        Self { inner: RoundRobin, places: AtomicU32::new(0) }
    }

    fn interrupt(&self, place: Place) {
        let handler = HANDLER.with(|handler| handler.borrow_mut().take());
        if let Some(mut handler) = handler {
            self.places.fetch_or(1 << place as u32, Relaxed);
            handler(place);
            HANDLER.with(|empty| *empty.borrow_mut() = Some(handler));
        }
    }
}

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Strategy<BANKS, PER_BANK, STRIPES>
    for Interrupted
{
    type Cache = <RoundRobin as Strategy<BANKS, PER_BANK, STRIPES>>::Cache;
    const EMPTY: Self::Cache = <RoundRobin as Strategy<BANKS, PER_BANK, STRIPES>>::EMPTY;

    fn needs(&self) -> Needs {
        self.interrupt(Place::Asked);
        Needs { lists: true, exact_counts: true, builds: true, ..Needs::default() }
    }

    fn refill(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Self::Cache,
        random: &mut Random,
    ) {
        self.inner.refill(pool, cache, random);
        self.interrupt(Place::Refilled);
    }

    fn pick(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Self::Cache,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        self.interrupt(Place::BeforePick);
        let picked = self.inner.pick(pool, cache, turn);
        self.interrupt(Place::Picked);
        picked
    }

    fn build(&self, _endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>, _steps: u32) -> bool {
        self.interrupt(Place::Building);
        true
    }
}

type Router = Balancer<Interrupted, 2, 2, 2>;
type Select = Selector<&'static Router, Interrupted, 2, 2, 2, 2>;

const NOW: Instant = Instant::from_secs(1);
const TAG: Tags = Tags::NONE.with(Tag::of::<0>());

fn router(options: Options) -> &'static Router {
    Box::leak(Box::new(Balancer::new(Interrupted::new(), options)))
}

/// Runs `program` with interrupts that run `handler`.
fn interrupted<R>(handler: impl FnMut(Place) + 'static, program: impl FnOnce() -> R) -> R {
    HANDLER.with(|empty| *empty.borrow_mut() = Some(Box::new(handler)));
    let result = program();
    drop(HANDLER.with(|handler| handler.borrow_mut().take()));
    result
}

/// Runs `handler` at the first interrupt of `program` at `place`.
fn interrupted_once(place: Place, handler: impl FnOnce() + 'static, program: impl FnOnce()) {
    let mut handler = Some(handler);
    let once = move |here| {
        if here == place
            && let Some(handler) = handler.take()
        {
            handler();
        }
    };
    interrupted(once, program);
}

const IN_A_SELECT: [Place; 4] = [Place::Refilled, Place::BeforePick, Place::Picked, Place::Asked];

/// Two endpoints; what `change` does to both in the middle of a select is what the select goes by.
fn nobody_is_selected_after(change: fn(&Router, EndpointId), expected: SelectError) {
    for place in IN_A_SELECT {
        let router = router(Options::new());
        let ids = [1, 2].map(|number| router.add(&Endpoint::new(number).tags(TAG), NOW).unwrap());
        let mut selector = Select::new(router, 1).unwrap();
        let class = selector.class(trilane::route::Filter::ANY.tags(TAG)).unwrap();
        interrupted_once(
            place,
            move || ids.into_iter().for_each(|id| change(router, id)),
            || {
                let error = selector.select(&Request::new(class), NOW).unwrap_err();
                assert_eq!(error, expected, "{place:?}");
            },
        );
        assert_eq!(router.totals().errors.total(), 1);
        // Whatever was counted on the way is taken back: each has room for just one.
        for (id, number) in ids.into_iter().zip(1..) {
            if router.update(id, &Endpoint::new(number).cap(1), NOW).is_err() {
                router.add(&Endpoint::new(number).cap(1), NOW).unwrap();
            } else {
                router.set_health(id, Health::Healthy, NOW).unwrap();
            }
        }
        let leases = [(); 2].map(|()| selector.select(&Request::ANY, NOW).unwrap());
        assert_eq!(selector.select(&Request::ANY, NOW).unwrap_err(), SelectError::AllAtCapacity);
        drop(leases);
    }
}

#[test]
fn an_endpoint_removed_in_the_middle_of_a_select_is_not_selected() {
    nobody_is_selected_after(|router, id| _ = router.remove(id, NOW).unwrap(), SelectError::Empty);
}

#[test]
fn an_endpoint_that_becomes_unhealthy_in_the_middle_of_a_select_is_not_selected() {
    let change = |router: &Router, id| _ = router.set_health(id, Health::Unhealthy, NOW).unwrap();
    nobody_is_selected_after(change, SelectError::AllUnhealthy);
}

#[test]
fn an_endpoint_that_loses_its_tag_in_the_middle_of_a_select_is_not_selected() {
    let change = |router: &Router, id| {
        let endpoint = router.endpoint(id).unwrap();
        router.update(id, &endpoint.tags(Tags::NONE), NOW).unwrap();
    };
    nobody_is_selected_after(change, SelectError::NoTagMatch);
}

#[test]
fn the_next_endpoint_in_a_slot_is_not_selected_for_the_one_that_was_picked() {
    for place in IN_A_SELECT {
        let router = router(Options::new());
        let ids = [1, 2].map(|number| router.add(&Endpoint::new(number).tags(TAG), NOW).unwrap());
        // No other slot is free.
        while router.add(&Endpoint::new(100 + u64::from(router.totals().members)), NOW).is_ok() {}
        let mut selector = Select::new(router, 1).unwrap();
        let class = selector.class(trilane::route::Filter::ANY.tags(TAG)).unwrap();
        let replace = move || {
            for id in ids {
                router.remove(id, NOW).unwrap();
                let next = router.add(&Endpoint::new(10 + u64::from(id.slot())), NOW).unwrap();
                assert_eq!(next.slot(), id.slot());
            }
        };
        interrupted_once(place, replace, || {
            let error = selector.select(&Request::new(class), NOW).unwrap_err();
            assert_eq!(error, SelectError::NoTagMatch, "{place:?}");
        });
    }
}

#[test]
fn the_last_room_goes_to_the_select_that_interrupts_and_the_other_is_told() {
    for place in [Place::Refilled, Place::BeforePick, Place::Picked] {
        let router = router(Options::new());
        router.add(&Endpoint::new(1).cap(1), NOW).unwrap();
        let mut selector = Select::new(router, 1).unwrap();
        let mut other = Select::new(router, 2).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let take = move || sender.send(other.select(&Request::ANY, NOW).unwrap()).unwrap();
        interrupted_once(place, take, || {
            assert_eq!(
                selector.select(&Request::ANY, NOW).unwrap_err(),
                SelectError::AllAtCapacity,
                "{place:?}"
            );
        });
        drop(receiver.recv().unwrap());
        assert!(selector.select(&Request::ANY, NOW).is_ok());
    }
}

#[test]
fn interrupts_that_do_anything_anywhere_leave_nothing_behind() {
    let turns = if cfg!(debug_assertions) { 20_000 } else { 400_000 };
    let options = Options::new().failures(2).max_ejected(1_000).open_for(Duration::from_millis(2));
    let router = router(options.probe_window(Duration::from_millis(3)));
    let mut selector = Select::new(router, 1).unwrap();
    let mut other = Select::new(router, 2).unwrap();
    let mut random = Random::new(3);
    let mut clock = NOW;
    let mut held = Vec::new();
    let mut number = 0;
    let handler = move |_place| {
        if random.below(3) != 0 {
            return;
        }
        clock += Duration::from_micros(random.below(300).into());
        let members: Vec<_> = router.members().collect();
        let any = members.get(random.below(members.len() as u32) as usize).copied();
        match (random.below(10), any) {
            (0..3, _) => held.extend(other.select(&Request::ANY, clock)),
            (3..6, _) if !held.is_empty() => {
                let lease = held.swap_remove(random.below(held.len() as u32) as usize);
                match random.below(3) {
                    0 => lease.succeed(Duration::ZERO, clock),
                    1 => lease.fail(Duration::ZERO, clock),
                    _ => drop(lease),
                }
            }
            (6, _) | (_, None) => {
                number += 1;
                let endpoint = Endpoint::new(number);
                let endpoint = if number % 2 == 0 { endpoint.cap(2) } else { endpoint };
                match router.add(&endpoint, clock) {
                    Ok(_) => {}
                    Err(error) => assert_eq!(error, AddError::Full),
                }
            }
            (7, Some(id)) => _ = router.remove(id, clock).unwrap(),
            (_, Some(id)) => {
                let health = if random.below(3) == 0 { Health::Unhealthy } else { Health::Healthy };
                router.set_health(id, health, clock).unwrap();
            }
        }
    };
    let mut leases = 0;
    interrupted(handler, || {
        let mut random = Random::new(4);
        let mut clock = NOW;
        for _ in 0..turns {
            clock += Duration::from_micros(random.below(300).into());
            let Ok(lease) = selector.select(&Request::ANY, clock) else { continue };
            leases += 1;
            match random.below(3) {
                0 => lease.succeed(Duration::ZERO, clock),
                1 => lease.fail(Duration::ZERO, clock),
                _ => drop(lease),
            }
        }
    });
    // The handler is gone, and the leases that it held with it.
    assert!(leases > turns / 20, "{leases}");
    assert_eq!(router.strategy().places.load(Relaxed), 0b1_1111, "interrupted everywhere");
    let (mut out, mut members) = (0, 0);
    for id in router.members() {
        let stats = router.stats(id).unwrap();
        assert_eq!(stats.in_flight, 0, "{stats:?}");
        let keeps_out = matches!(stats.breaker, BreakerState::Open | BreakerState::Probing);
        out += u32::from(keeps_out && stats.health == Health::Healthy);
        members += 1;
    }
    assert_eq!((router.totals().ejected, router.totals().members), (out, members));
    router.members().for_each(|id| assert_eq!(router.remove(id, NOW), Ok(0)));
    for number in 0..4 {
        router.add(&Endpoint::new(u64::MAX - number).cap(1), NOW).unwrap();
    }
    let all = [(); 4].map(|()| selector.select(&Request::ANY, NOW).unwrap());
    assert_eq!(selector.select(&Request::ANY, NOW).unwrap_err(), SelectError::AllAtCapacity);
    drop(all);
}
