//! `LeastLoad` beside a walk of all endpoints, and what it owes to those that report nothing, or report no
//! more.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::route::{
    Balancer, Class, Endpoint, EndpointId, Filter, Health, Lease, LeastLoad, Metrics, Options, Request,
    SelectError, Selector, Tag, Tags,
};
use trilane::time::{Duration, Instant};
use trilane_tests::leak;

type Loads<const BANKS: usize, const PER_BANK: usize> = Balancer<LeastLoad, BANKS, PER_BANK, 3>;
type Chooser<const BANKS: usize, const PER_BANK: usize> =
    Selector<&'static Loads<BANKS, PER_BANK>, LeastLoad, BANKS, PER_BANK, 3, 2>;

/// After so many ticks a report is stale.
const STALE: u64 = 100;

const fn ticks(count: u64) -> Duration {
    Duration::from_micros(count * 1_024)
}

/// A report whose score is 3 / 10 of `load`, rounded.
fn load(load: u16) -> Metrics {
    Metrics::new(load, 0, 0, 0, 0).unwrap_or_default()
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Report(usize, u16),
    Pass(u64),
    /// By which selector, in which class, and whether the lease is kept.
    Select(usize, bool, bool),
    EndLease(usize),
    Health(usize, bool),
    Add(Option<u32>),
    Remove(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (any::<usize>(), 0u16..40).prop_map(|(at, load)| Step::Report(at, load * 25)),
        1 => (0u64..80).prop_map(Step::Pass),
        8 => (0usize..20, any::<bool>(), any::<bool>())
            .prop_map(|(who, tagged, keep)| Step::Select((who == 0) as usize, tagged, keep)),
        3 => any::<usize>().prop_map(Step::EndLease),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(at, well)| Step::Health(at, well)),
        3 => prop_oneof![Just(None), (1u32..3).prop_map(Some)].prop_map(Step::Add),
        1 => any::<usize>().prop_map(Step::Remove),
    ];
    vec(step, 1..400)
}

/// An endpoint as a walk would see it.
#[derive(Clone, Copy, Debug)]
struct Known {
    id: EndpointId,
    tagged: bool,
    healthy: bool,
    cap: u32,
    leases: u32,
    /// The score, and when it was reported.
    report: Option<(u16, u64)>,
}

/// What must be picked.
#[derive(Debug, PartialEq)]
enum Expected {
    This(u16),
    OneOf(Vec<u16>),
    Nobody,
}

/// `last`: who of those without a report this selector has picked last in this class.
fn expect(known: &[Known], tagged: bool, now: u64, last: Option<u16>) -> Expected {
    let may = || {
        known.iter().filter(|known| known.healthy && known.leases < known.cap && (known.tagged || !tagged))
    };
    let least = |stale: bool| {
        let reports = may().filter_map(|known| known.report.map(|report| (report, known.id.slot())));
        let those = reports.filter(|((_, at), _)| (now - at >= STALE) == stale);
        those.map(|((score, _), slot)| (score, slot)).min().map(|(_, slot)| Expected::This(slot))
    };
    let mut silent: Vec<u16> =
        may().filter(|known| known.report.is_none()).map(|known| known.id.slot()).collect();
    silent.sort_unstable();
    let silent = match last {
        _ if silent.is_empty() => None,
        Some(last) => {
            silent.iter().find(|&&slot| slot > last).or(silent.first()).map(|&slot| Expected::This(slot))
        }
        None => Some(Expected::OneOf(silent)),
    };
    least(false).or(silent).or_else(|| least(true)).unwrap_or(Expected::Nobody)
}

fn run<const BANKS: usize, const PER_BANK: usize>(steps: Vec<Step>) {
    let options = Options::new().stale_after(ticks(STALE));
    let balancer: &Loads<BANKS, PER_BANK> = leak(Balancer::new(LeastLoad::exploring(0), options));
    let mut choosers: [Chooser<BANKS, PER_BANK>; 2] =
        [1, 2].map(|seed| Selector::new(balancer, seed).unwrap());
    let tag = Tag::of::<1>();
    let classes = choosers.each_mut().map(|it| it.class(Filter::ANY.tags(Tags::NONE.with(tag))).unwrap());
    let mut known: Vec<Known> = Vec::new();
    let mut leases: Vec<Lease<_>> = Vec::new();
    let mut lasts = BTreeMap::new();
    let (mut tick, mut number) = (0, 0);
    for step in steps {
        let now = Instant::ZERO + ticks(tick);
        match step {
            Step::Report(at, amount) if !known.is_empty() => {
                let at = at % known.len();
                balancer.report(known[at].id, load(amount), now).unwrap();
                known[at].report = Some((load(amount).score(), tick));
            }
            Step::Pass(span) => {
                tick += span;
                // A tick sees to one bank.
                (0..BANKS).for_each(|_| balancer.tick(Instant::ZERO + ticks(tick)));
            }
            Step::Select(who, tagged, keep) => {
                let class = if tagged { classes[who] } else { Class::ANY };
                let expected = expect(&known, tagged, tick, lasts.get(&(who, tagged)).copied());
                match choosers[who].select(&Request::new(class), now) {
                    Ok(lease) => {
                        let slot = lease.endpoint().slot();
                        let right = match &expected {
                            Expected::This(this) => *this == slot,
                            Expected::OneOf(those) => those.contains(&slot),
                            Expected::Nobody => false,
                        };
                        assert!(right, "{slot} instead of {expected:?} at {tick} of {known:#?}");
                        let it = known.iter_mut().find(|known| known.id == lease.endpoint()).unwrap();
                        if it.report.is_none() {
                            lasts.insert((who, tagged), slot);
                        }
                        if keep {
                            it.leases += 1;
                            leases.push(lease);
                        }
                    }
                    Err(error) => assert_eq!(expected, Expected::Nobody, "{error}"),
                }
            }
            Step::EndLease(at) if !leases.is_empty() => {
                let lease = leases.swap_remove(at % leases.len());
                if let Some(it) = known.iter_mut().find(|known| known.id == lease.endpoint()) {
                    it.leases -= 1;
                }
            }
            Step::Health(at, healthy) if !known.is_empty() => {
                let at = at % known.len();
                let health = if healthy { Health::Healthy } else { Health::Unhealthy };
                balancer.set_health(known[at].id, health, now).unwrap();
                known[at].healthy = healthy;
            }
            Step::Add(cap) => {
                number += 1;
                let tagged = number % 2 == 0;
                let tags = if tagged { Tags::NONE.with(tag) } else { Tags::NONE };
                let endpoint = Endpoint::new(number).tags(tags);
                let endpoint = cap.map_or(endpoint, |cap| endpoint.cap(cap));
                if let Ok(id) = balancer.add(&endpoint, now) {
                    let cap = cap.unwrap_or(u32::MAX);
                    known.push(Known { id, tagged, healthy: true, cap, leases: 0, report: None });
                }
            }
            Step::Remove(at) if !known.is_empty() => {
                let gone = known.swap_remove(at % known.len());
                balancer.remove(gone.id, now).unwrap();
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn the_least_load_is_picked_among_a_few(steps in steps()) {
        run::<1, 4>(steps);
    }

    #[test]
    fn the_least_load_is_picked_over_banks_of_no_round_number(steps in steps()) {
        run::<3, 5>(steps);
    }

    #[test]
    fn the_least_load_is_picked_over_many_banks(steps in steps()) {
        run::<8, 2>(steps);
    }
}

/// A balancer with `count` endpoints, the first `reporting` of which have reported the same load.
fn world(strategy: LeastLoad, count: u64, reporting: usize) -> (&'static Loads<2, 32>, Vec<EndpointId>) {
    let balancer: &Loads<2, 32> = leak(Balancer::new(strategy, Options::new()));
    let ids: Vec<_> =
        (0..count).map(|number| balancer.add(&Endpoint::new(number), Instant::ZERO).unwrap()).collect();
    for &id in &ids[..reporting] {
        balancer.report(id, load(500), Instant::ZERO).unwrap();
    }
    (balancer, ids)
}

fn picks(chooser: &mut Chooser<2, 32>, selects: usize) -> Vec<EndpointId> {
    (0..selects).map(|_| chooser.select(&Request::ANY, Instant::ZERO).unwrap().endpoint()).collect()
}

/// L7.
#[test]
fn a_new_endpoint_gets_one_select_in_32_before_it_has_reported() {
    let (balancer, ids) = world(LeastLoad::new(), 40, 39);
    let mut chooser = Selector::new(balancer, 7).unwrap();
    let picks = picks(&mut chooser, 320);
    for (at, pick) in picks.iter().enumerate() {
        assert_eq!(*pick, if at % 32 == 31 { ids[39] } else { ids[0] }, "select {at}");
    }
}

#[test]
fn endpoints_without_reports_take_turns() {
    let (balancer, ids) = world(LeastLoad::new(), 40, 0);
    let mut chooser = Selector::new(balancer, 7).unwrap();
    let picks = picks(&mut chooser, 120);
    let first = ids.iter().position(|id| *id == picks[0]).unwrap();
    for (at, pick) in picks.iter().enumerate() {
        assert_eq!(*pick, ids[(first + at) % 40]);
    }
    // L3: many that start together don't all begin with the same one.
    let firsts: Vec<_> = (0..20)
        .map(|seed| {
            Chooser::new(balancer, seed).unwrap().select(&Request::ANY, Instant::ZERO).unwrap().endpoint()
        })
        .collect();
    assert!(firsts.iter().any(|first| *first != firsts[0]));
}

#[test]
fn a_retry_gets_the_next_least() {
    let (balancer, ids) = world(LeastLoad::exploring(0), 40, 40);
    let mut chooser = Chooser::new(balancer, 7).unwrap();
    for (at, &id) in ids.iter().enumerate() {
        balancer.report(id, load(1_000 - 20 * at as u16), Instant::ZERO).unwrap();
    }
    let mut tried = Vec::new();
    for &id in ids.iter().rev().take(12) {
        let lease = chooser.select(&Request::ANY.excluding(&tried), Instant::ZERO).unwrap();
        assert_eq!(lease.endpoint(), id);
        tried.push(id);
    }
}

#[test]
fn all_at_their_cap_is_an_error_and_not_a_pick() {
    let balancer: &Loads<1, 4> = leak(Balancer::new(LeastLoad::new(), Options::new()));
    let mut chooser = Chooser::new(balancer, 7).unwrap();
    for number in 0..3 {
        let id = balancer.add(&Endpoint::new(number).cap(1), Instant::ZERO).unwrap();
        if number != 0 {
            balancer.report(id, load(100), Instant::ZERO).unwrap();
        }
    }
    let leases: Vec<_> = (0..3).map(|_| chooser.select(&Request::ANY, Instant::ZERO).unwrap()).collect();
    assert_eq!(chooser.select(&Request::ANY, Instant::ZERO).unwrap_err(), SelectError::AllAtCapacity);
    drop(leases);
    assert!(chooser.select(&Request::ANY, Instant::ZERO).is_ok());
}

#[test]
fn no_report_is_missed_however_many_threads_report() {
    let (balancer, ids) = world(LeastLoad::exploring(0), 64, 64);
    let mut chooser = Chooser::new(balancer, 7).unwrap();
    for round in 0..200u32 {
        let all = Barrier::new(4);
        thread::scope(|scope| {
            for part in 0..3 {
                let (ids, all) = (&ids, &all);
                scope.spawn(move || {
                    all.wait();
                    for (at, id) in ids.iter().enumerate().filter(|(at, _)| at % 3 == part) {
                        let random =
                            (at as u32 + 1).wrapping_mul(0x9E37_79B9 ^ round.wrapping_mul(0x85EB_CA6B));
                        balancer.report(*id, load((random >> 8) as u16 % 1_001), Instant::ZERO).unwrap();
                    }
                });
            }
            all.wait();
            picks(&mut chooser, 20);
        });
        let least = ids.iter().min_by_key(|id| (balancer.stats(**id).unwrap().score, id.slot())).unwrap();
        assert_eq!(picks(&mut chooser, 1), [*least]);
    }
}
