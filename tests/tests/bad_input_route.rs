//! What the router does with input that makes no sense: a typed error or a defined answer, and nothing has
//! changed.

use trilane::id::{Key, Stale};
use trilane::route::{
    AddError, Balancer, Class, Endpoint, EndpointId, Filter, Health, MAX_FILTERS, Metrics, Options,
    OptionsError, OutOfRange, Request, RoundRobin, SelectError, Selector, Tag, Tags, Tier, TooManyClasses,
    TooManySelectors, TooManyZones, Totals, UpdateError, Zone,
};
use trilane::time::{Duration, Instant};
use trilane_tests::routing::by_kind;

type Router = Balancer<RoundRobin, 3, 4, 2>;
type Chooser<'a> = Selector<&'a Router, RoundRobin, 3, 4, 2, 3>;

const NOW: Instant = Instant::from_secs(1_000);

fn chooser(balancer: &Router) -> Chooser<'_> {
    Selector::new(balancer, 3).unwrap()
}

/// Everything that a caller can see.
fn dump(balancer: &Router) -> String {
    let members: Vec<_> = balancer
        .members()
        .map(|id| (id, balancer.endpoint(id), balancer.stats(id), balancer.metrics(id)))
        .collect();
    format!("{members:#?} {:#?}", Totals { refills: 0, ..balancer.totals() })
}

/// Every function that takes a handle.
#[track_caller]
fn refuses(balancer: &Router, id: EndpointId) {
    let before = dump(balancer);
    assert_eq!(balancer.endpoint(id), Err(Stale));
    assert_eq!(balancer.stats(id), Err(Stale));
    assert_eq!(balancer.metrics(id), Err(Stale));
    for health in [Health::Healthy, Health::Unhealthy, Health::Unknown, Health::Degraded] {
        assert_eq!(balancer.set_health(id, health, NOW), Err(Stale));
    }
    assert_eq!(balancer.report(id, Metrics::default(), NOW), Err(Stale));
    assert_eq!(balancer.update(id, &Endpoint::new(1), NOW), Err(UpdateError::Stale));
    assert_eq!(balancer.remove(id, NOW), Err(Stale));
    assert_eq!(dump(balancer), before, "a refused call has changed something");
}

#[test]
fn l8_a_handle_across_a_removal_is_an_error_also_when_the_slot_has_another() {
    let balancer = Router::new(RoundRobin, Options::new());
    let old = balancer.add(&Endpoint::new(1), NOW).unwrap();
    assert_eq!(balancer.remove(old, NOW), Ok(0));
    refuses(&balancer, old);
    let new = balancer.add(&Endpoint::new(1), NOW).unwrap();
    assert!(new.slot() == old.slot() && new != old);
    refuses(&balancer, old);
    // As one that was tried it excludes nobody.
    let lease = chooser(&balancer).select(&Request::ANY.excluding(&[old]), NOW).unwrap();
    assert_eq!(lease.endpoint(), new);
}

#[test]
fn a_made_up_handle_is_at_worst_stale() {
    let balancer = Router::new(RoundRobin, Options::new());
    for id in 0..12 {
        balancer.add(&Endpoint::new(id), NOW).unwrap();
    }
    for slot in [4, 31, 36, 95, 96, 100, 1_023, 1_024, u16::MAX] {
        for generation in [0, 1, u32::MAX] {
            let made_up = EndpointId::from_key(Key::new(slot, generation));
            refuses(&balancer, made_up);
            assert!(chooser(&balancer).select(&Request::ANY.excluding(&[made_up; 40]), NOW).is_ok());
        }
    }
    refuses(&balancer, EndpointId::from_key(Key::new(0, 1)));
    assert!(balancer.stats(EndpointId::from_key(Key::new(0, 0))).is_ok());
}

#[test]
fn an_unknown_number_is_nobody() {
    let balancer = Router::new(RoundRobin, Options::new());
    assert_eq!(balancer.find(0), None);
    let id = balancer.add(&Endpoint::new(u64::MAX), NOW).unwrap();
    assert_eq!((balancer.find(u64::MAX), balancer.find(u32::MAX as u64)), (Some(id), None));
    balancer.remove(id, NOW).unwrap();
    assert_eq!(balancer.find(u64::MAX), None);
}

#[test]
fn a_number_twice_is_refused_with_the_handle_of_the_first() {
    let balancer = Router::new(RoundRobin, Options::new());
    let id = balancer.add(&Endpoint::new(7).weight(3), NOW).unwrap();
    let before = dump(&balancer);
    assert_eq!(balancer.add(&Endpoint::new(7), NOW), Err(AddError::Exists(id)));
    assert_eq!(balancer.update(id, &Endpoint::new(8), NOW), Err(UpdateError::OtherId));
    assert_eq!(dump(&balancer), before);
}

#[test]
fn a_cap_of_0_is_refused() {
    let balancer = Router::new(RoundRobin, Options::new());
    assert_eq!(balancer.add(&Endpoint::new(7).cap(0), NOW), Err(AddError::ZeroCap));
    let id = balancer.add(&Endpoint::new(7).cap(2), NOW).unwrap();
    let before = dump(&balancer);
    assert_eq!(balancer.update(id, &Endpoint::new(7).cap(0), NOW), Err(UpdateError::ZeroCap));
    assert_eq!(dump(&balancer), before);
}

#[test]
fn l1_weight_0_drains_and_what_is_out_goes_on() {
    let balancer = Router::new(RoundRobin, Options::new());
    let mut selector = chooser(&balancer);
    let id = balancer.add(&Endpoint::new(1), NOW).unwrap();
    let lease = selector.select(&Request::ANY, NOW).unwrap();
    balancer.update(id, &Endpoint::new(1).weight(0), NOW).unwrap();
    assert_eq!(selector.select(&Request::ANY, NOW).unwrap_err(), SelectError::AllUnhealthy);
    assert_eq!(balancer.stats(id).unwrap().in_flight, 1);
    lease.succeed(Duration::ZERO, NOW);
    assert_eq!((balancer.stats(id).unwrap().in_flight, balancer.stats(id).unwrap().succeeded), (0, 1));
    balancer.add(&Endpoint::new(2).weight(0), NOW).unwrap();
    assert!(selector.select(&Request::ANY, NOW).is_err());
    balancer.update(id, &Endpoint::new(1).weight(u16::MAX), NOW).unwrap();
    assert_eq!(selector.select(&Request::ANY, NOW).unwrap().endpoint(), id);
}

#[test]
fn one_endpoint_too_many_is_full_until_the_last_lease_of_a_removed_one_has_ended() {
    let balancer = Router::new(RoundRobin, Options::new());
    let mut selector = chooser(&balancer);
    let ids: Vec<_> = (0..12).map(|id| balancer.add(&Endpoint::new(id), NOW).unwrap()).collect();
    assert_eq!(balancer.add(&Endpoint::new(12), NOW), Err(AddError::Full));
    let mut leases: Vec<_> = (0..36).map(|_| selector.select(&Request::ANY, NOW).unwrap()).collect();
    assert_eq!(balancer.remove(ids[5], NOW), Ok(3));
    assert_eq!(balancer.totals().draining, 1);
    while let Some(at) = leases.iter().position(|lease| lease.endpoint() == ids[5]) {
        assert_eq!(balancer.add(&Endpoint::new(12), NOW), Err(AddError::Full));
        match leases.len() % 3 {
            0 => drop(leases.swap_remove(at)),
            1 => leases.swap_remove(at).fail(Duration::ZERO, NOW),
            _ => leases.swap_remove(at).succeed(Duration::ZERO, NOW),
        }
    }
    let new = balancer.add(&Endpoint::new(12), NOW).unwrap();
    assert!(new.slot() == ids[5].slot() && new != ids[5]);
    let stats = balancer.stats(new).unwrap();
    assert_eq!(
        (stats.selected, stats.failed, stats.succeeded, stats.released, stats.in_flight),
        (0, 0, 0, 0, 0)
    );
    assert_eq!(balancer.totals().draining, 0);
    assert_eq!(balancer.add(&Endpoint::new(13), NOW), Err(AddError::Full));
}

#[test]
fn tags_zones_and_tiers_have_an_end() {
    assert_eq!(Tag::new(32), Err(OutOfRange { given: 32, end: 32 }));
    assert_eq!(Zone::new(16), Err(OutOfRange { given: 16, end: 16 }));
    assert_eq!(Tier::new(8), Err(OutOfRange { given: 8, end: 8 }));
    let balancer = Router::new(RoundRobin, Options::new());
    let mut selector = chooser(&balancer);
    let (tag, zone, tier) = (Tag::new(31).unwrap(), Zone::new(15).unwrap(), Tier::new(7).unwrap());
    let all = Tags::NONE.with(tag).with(Tag::of::<0>());
    let endpoint =
        Endpoint::new(1).tags(all).zone(zone).tier(tier).enabled(true).cap(u32::MAX).weight(u16::MAX);
    let id = balancer.add(&endpoint, NOW).unwrap();
    assert_eq!(balancer.endpoint(id), Ok(endpoint));
    let filter = Filter::ANY.tags(all).tier(tier).prefer(zone).unwrap().confined();
    let class = selector.class(filter).unwrap();
    assert_eq!(selector.select(&Request::new(class), NOW).unwrap().endpoint(), id);
}

#[test]
fn a_fifth_zone_is_too_many_for_a_filter() {
    let filter = (0..4).fold(Filter::ANY, |filter, at| filter.prefer(Zone::new(at).unwrap()).unwrap());
    assert_eq!(filter.prefer(Zone::new(4).unwrap()), Err(TooManyZones));
    assert_eq!(filter.prefer(Zone::new(2).unwrap()), Ok(filter));
}

#[test]
fn a_class_too_many_is_refused_and_an_equal_filter_is_no_new_one() {
    let balancer = Router::new(RoundRobin, Options::new());
    let mut selector = chooser(&balancer);
    assert_eq!(selector.class(Filter::ANY), Ok(Class::ANY));
    let tier = |number| Filter::ANY.tier(Tier::new(number).unwrap());
    let (one, two) = (selector.class(tier(1)).unwrap(), selector.class(tier(2)).unwrap());
    assert_eq!(selector.class(tier(3)), Err(TooManyClasses));
    assert_eq!((selector.class(tier(1)), selector.class(tier(2))), (Ok(one), Ok(two)));
}

#[test]
fn l24_a_class_of_another_selector_or_that_was_freed_is_an_error() {
    let balancer = Router::new(RoundRobin, Options::new());
    let tier = |number| Filter::ANY.tier(Tier::new(number).unwrap());
    let ids: Vec<_> = (0..3)
        .map(|at| balancer.add(&Endpoint::new(at).tier(Tier::new(at as u8).unwrap()), NOW).unwrap())
        .collect();
    let mut many: Selector<_, _, 3, 4, 2, 8> = Selector::new(&balancer, 1).unwrap();
    let classes: Vec<_> = (1..8).map(|at| many.class(tier(at)).unwrap()).collect();
    let mut few = chooser(&balancer);
    let own = few.class(tier(2)).unwrap();
    for class in classes {
        assert_eq!(few.select(&Request::new(class), NOW).unwrap_err(), SelectError::ForeignClass);
        assert_eq!(few.free_class(class), Err(SelectError::ForeignClass));
    }
    // Nothing has changed, and all have the class of any.
    assert_eq!(few.select(&Request::new(own), NOW).unwrap().endpoint(), ids[2]);
    assert_eq!(few.select(&Request::new(Class::ANY), NOW).unwrap().endpoint(), ids[0]);
    // One that is freed makes room, and stays an error.
    few.class(tier(1)).unwrap();
    assert_eq!(few.class(tier(0)), Err(TooManyClasses));
    assert_eq!(few.free_class(own), Ok(()));
    let next = few.class(tier(0)).unwrap();
    assert_eq!(few.select(&Request::new(own), NOW).unwrap_err(), SelectError::ForeignClass);
    assert_eq!(few.select(&Request::new(next), NOW).unwrap().endpoint(), ids[0]);
    assert_eq!(few.free_class(Class::ANY), Ok(()));
    assert_eq!(few.select(&Request::ANY, NOW).unwrap().endpoint(), ids[0]);
}

#[test]
fn more_different_filters_than_a_balancer_keeps_are_refused_until_one_is_freed() {
    let balancer = Router::new(RoundRobin, Options::new());
    balancer.add(&Endpoint::new(1), NOW).unwrap();
    let tagged = |number| Filter::ANY.tags(Tags::NONE.with(Tag::new(number).unwrap()));
    let mut selector: Selector<_, _, 3, 4, 2, 32> = Selector::new(&balancer, 1).unwrap();
    let classes: Vec<_> = (0..MAX_FILTERS as u8).map(|at| selector.class(tagged(at)).unwrap()).collect();
    let mut other: Selector<_, _, 3, 4, 2, 32> = Selector::new(&balancer, 2).unwrap();
    for _ in 0..3 {
        assert_eq!(selector.class(tagged(31)), Err(TooManyClasses));
        assert_eq!(other.class(tagged(30)), Err(TooManyClasses));
    }
    // The same ones need no room, nor does that of any.
    assert_eq!(selector.class(tagged(3)), Ok(classes[3]));
    other.class(tagged(3)).unwrap();
    assert_eq!(other.class(Filter::ANY), Ok(Class::ANY));
    selector.free_class(classes[5]).unwrap();
    other.class(tagged(30)).unwrap();
    assert_eq!(selector.class(tagged(31)), Err(TooManyClasses));
    drop(other);
    selector.class(tagged(31)).unwrap();
}

#[test]
fn a_selector_too_many_is_refused_until_one_is_dropped() {
    let balancer = Router::new(RoundRobin, Options::new());
    let id = balancer.add(&Endpoint::new(1), NOW).unwrap();
    let (mut first, second) = (chooser(&balancer), chooser(&balancer));
    for _ in 0..5 {
        assert!(matches!(Chooser::new(&balancer, 1), Err(TooManySelectors)));
    }
    assert!(TooManySelectors.to_string().contains("raise STRIPES"));
    let lease = first.select(&Request::ANY, NOW).unwrap();
    drop(first);
    let mut third = chooser(&balancer);
    let other = third.select(&Request::ANY, NOW).unwrap();
    assert_eq!(balancer.stats(id).unwrap().in_flight, 2, "a lease outlives its selector");
    drop((lease, other, second, third));
    assert_eq!((balancer.stats(id).unwrap().in_flight, balancer.stats(id).unwrap().released), (0, 2));
}

#[test]
fn d16_each_reason_has_its_error_and_d11_each_is_counted() {
    let balancer = Router::new(RoundRobin, Options::new().failures(1));
    let mut selector = chooser(&balancer);
    let tag = Tags::NONE.with(Tag::of::<3>());
    let tagged = selector.class(Filter::ANY.tags(tag)).unwrap();
    let zone = Zone::of::<2>();
    let confined = selector.class(Filter::ANY.prefer(zone).unwrap().confined()).unwrap();
    let mut errors = Vec::new();
    let mut expect = |selector: &mut Chooser<'_>, request: &Request<'_>, error: SelectError| {
        assert_eq!(selector.select(request, NOW).unwrap_err(), error);
        errors.push(error.kind());
        let mut counts = [0; SelectError::KINDS];
        errors.iter().for_each(|&kind| counts[kind] += 1);
        assert_eq!(by_kind(balancer.totals().errors), counts);
    };
    expect(&mut selector, &Request::ANY, SelectError::Empty);
    expect(&mut selector, &Request::new(tagged), SelectError::Empty);
    let id = balancer.add(&Endpoint::new(1).enabled(false), NOW).unwrap();
    expect(&mut selector, &Request::new(tagged), SelectError::NoTagMatch);
    expect(&mut selector, &Request::new(confined), SelectError::NoZoneMatch);
    expect(&mut selector, &Request::ANY, SelectError::AllUnhealthy);
    for health in [Health::Unhealthy, Health::Unknown] {
        balancer.update(id, &Endpoint::new(1).cap(1), NOW).unwrap();
        balancer.set_health(id, health, NOW).unwrap();
        expect(&mut selector, &Request::ANY, SelectError::AllUnhealthy);
    }
    balancer.set_health(id, Health::Degraded, NOW).unwrap();
    expect(&mut selector, &Request::ANY.excluding(&[id]), SelectError::AllTried);
    let lease = selector.select(&Request::ANY, NOW).unwrap();
    expect(&mut selector, &Request::ANY, SelectError::AllAtCapacity);
    expect(&mut selector, &Request::ANY.excluding(&[id]), SelectError::AllTried);
    // The last one is never kept out.
    let spare = balancer.add(&Endpoint::new(2).tier(Tier::of::<7>()), NOW).unwrap();
    lease.fail(Duration::ZERO, NOW);
    balancer.remove(spare, NOW).unwrap();
    let open = selector.select(&Request::ANY, NOW).unwrap_err();
    assert!(matches!(open, SelectError::AllBreakersOpen { retry_at } if retry_at > NOW));
    assert_eq!(by_kind(balancer.totals().errors), [2, 1, 1, 3, 1, 1, 2, 0]);
    for error in [SelectError::Empty, open, SelectError::AllTried] {
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn more_tries_than_a_selector_keeps_are_told_from_a_lack_of_room() {
    let balancer = Router::new(RoundRobin, Options::new());
    let ids: Vec<_> = (0..12).map(|id| balancer.add(&Endpoint::new(id).cap(1), NOW).unwrap()).collect();
    let mut selector = chooser(&balancer);
    for left in 0..12 {
        let tried: Vec<_> = (0..40).map(|at| ids[at % 11]).chain(ids[..11].iter().copied()).collect();
        let request = Request::ANY.excluding(&tried);
        let lease = selector.select(&request, NOW).unwrap();
        assert_eq!(lease.endpoint(), ids[11], "round {left}");
        assert_eq!(selector.select(&request, NOW).unwrap_err(), SelectError::AllAtCapacity);
        let all: Vec<_> = tried.iter().copied().chain([ids[11]]).collect();
        assert_eq!(selector.select(&Request::ANY.excluding(&all), NOW).unwrap_err(), SelectError::AllTried);
    }
}

/// 32 endpoints, more than a selector's list of what is barred.
#[test]
fn all_of_many_tried_is_all_tried() {
    let balancer: Balancer<RoundRobin, 1, 32> = Balancer::new(RoundRobin, Options::new());
    let ids: Vec<_> = (0..32).map(|id| balancer.add(&Endpoint::new(id), NOW).unwrap()).collect();
    let mut selector: Selector<_, _, 1, 32, 1, 1> = Selector::new(&balancer, 1).unwrap();
    let request = Request::ANY.excluding(&ids);
    assert_eq!(selector.select(&request, NOW).unwrap_err(), SelectError::AllTried);
    for left_out in 0..32 {
        let most: Vec<_> = ids.iter().copied().filter(|id| *id != ids[left_out]).collect();
        let lease = selector.select(&Request::ANY.excluding(&most), NOW).unwrap();
        assert_eq!(lease.endpoint(), ids[left_out]);
    }
}

#[test]
fn verdicts_on_a_removed_endpoint_say_nothing_of_the_next() {
    let balancer = Router::new(RoundRobin, Options::new().failures(1).max_ejected(1_000));
    let mut selector = chooser(&balancer);
    let old = balancer.add(&Endpoint::new(1), NOW).unwrap();
    let leases: Vec<_> = (0..4).map(|_| selector.select(&Request::ANY, NOW).unwrap()).collect();
    assert_eq!(balancer.remove(old, NOW), Ok(4));
    let new = balancer.add(&Endpoint::new(1), NOW).unwrap();
    leases.into_iter().for_each(|lease| lease.fail(Duration::ZERO, NOW));
    let stats = balancer.stats(new).unwrap();
    assert!(stats.routable && stats.failed == 0, "{stats:?}");
    assert_eq!((balancer.totals().ejected, balancer.totals().breakers_opened), (0, 0));
}

#[test]
fn a_probe_window_of_zero_is_an_error() {
    let options = Options::new().probe_window(Duration::ZERO);
    assert_eq!(options.check(), Err(OptionsError::ZeroProbeWindow));
    assert!(std::panic::catch_unwind(|| Router::new(RoundRobin, options)).is_err());
    let least = Options::new().probe_window(Duration::from_micros(1));
    assert_eq!(least.check(), Ok(least));
}

#[test]
fn options_at_their_ends_are_defined() {
    let never = Duration::MAX;
    let cases = [
        Options::new().failures(0).probes(0).open_for(Duration::ZERO).probe_window(Duration::from_micros(1)),
        Options::new().failures(1).open_for(never).probe_window(never).slow_start(never).stale_after(never),
        Options::new().overprovisioning(0).panic_below(u16::MAX).spill_from(u16::MAX).max_ejected(u16::MAX),
        Options::new().overprovisioning(u16::MAX).spill_from(0).max_ejected(0).failures(1),
        Options::new()
            .slow_start(Duration::from_micros(1))
            .stale_after(Duration::from_micros(1))
            .probes(u8::MAX),
    ];
    for options in cases {
        let balancer = Router::new(RoundRobin, options);
        let mut selector = chooser(&balancer);
        for id in 0..12u64 {
            let endpoint = Endpoint::new(id).zone(Zone::new(id as u8 % 3).unwrap());
            let id = balancer.add(&endpoint.tier(Tier::new(id as u8 % 2).unwrap()), NOW).unwrap();
            balancer.report(id, Metrics::new(1_000, 1_000, u32::MAX, u32::MAX, 1_000).unwrap(), NOW).unwrap();
        }
        let class = selector.class(Filter::ANY.prefer(Zone::of::<1>()).unwrap()).unwrap();
        for turn in 0..1_000u64 {
            let now = NOW + Duration::from_micros(turn * 500);
            match selector.select(&Request::new(class), now) {
                Ok(lease) if turn % 3 == 0 => lease.fail(Duration::ZERO, now),
                Ok(lease) => lease.succeed(Duration::MAX, now),
                Err(error) => assert!(matches!(error, SelectError::AllBreakersOpen { .. }), "{error}"),
            }
        }
        assert!(balancer.members().all(|id| balancer.stats(id).unwrap().in_flight == 0));
    }
}

#[test]
fn clocks_at_their_ends_and_backwards_are_defined_in_every_call() {
    let options = Options::new().failures(1).max_ejected(1_000).stale_after(Duration::from_secs(1));
    let balancer = Router::new(RoundRobin, options.slow_start(Duration::from_secs(1)));
    let mut selector = chooser(&balancer);
    let clocks =
        [Instant::MAX, Instant::ZERO, NOW, Instant::from_micros(1), Instant::MAX, NOW, Instant::ZERO];
    for (turn, &now) in clocks.iter().cycle().take(70).enumerate() {
        let earlier = clocks[(turn + 1) % clocks.len()];
        let id = balancer.add(&Endpoint::new(turn as u64), now).unwrap();
        balancer.report(id, Metrics::default(), earlier).unwrap();
        balancer.set_health(id, Health::Unhealthy, now).unwrap();
        balancer.set_health(id, Health::Healthy, earlier).unwrap();
        balancer.update(id, &Endpoint::new(turn as u64).weight(2), earlier).unwrap();
        balancer.tick(earlier);
        let lease = selector.select(&Request::ANY, now).unwrap();
        lease.fail(Duration::ZERO, earlier);
        if let Err(SelectError::AllBreakersOpen { retry_at }) = selector.select(&Request::ANY, now) {
            assert!(retry_at >= now);
        }
        match selector.select(&Request::ANY, earlier) {
            Ok(lease) => lease.succeed(Duration::ZERO, now),
            Err(error) => assert!(matches!(error, SelectError::AllBreakersOpen { .. }), "{error}"),
        }
        assert_eq!(balancer.remove(id, earlier), Ok(0));
        assert_eq!(balancer.totals().ejected, 0);
    }
}
