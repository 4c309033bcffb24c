//! Selects, verdicts and membership changes on several threads at once: nothing is lost or counted twice.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use trilane::route::{
    Balancer, BreakerState, Endpoint, Health, Options, Random, Request, RoundRobin, Selector,
};
use trilane::time::{Duration, Instant};

type Router = Balancer<RoundRobin, 2, 4, 2>;

const TURNS: usize = if cfg!(debug_assertions) { 150_000 } else { 2_000_000 };

#[test]
fn failing_leases_beside_removals_leave_nobody_ejected_who_is_gone() {
    let options = Options::new().failures(1).max_ejected(1_000).probe_window(Duration::from_millis(2));
    let balancer = Router::new(RoundRobin, options.open_for(Duration::from_millis(2)));
    let (done, clock) = (AtomicBool::new(false), AtomicU64::new(1));
    let now = || Instant::from_micros(clock.load(Ordering::Relaxed));
    let all = Barrier::new(3);
    thread::scope(|scope| {
        let workers = [1, 2].map(|seed| {
            let (balancer, clock, all) = (&balancer, &clock, &all);
            scope.spawn(move || {
                all.wait();
                let mut selector: Selector<_, _, 2, 4, 2, 1> = Selector::new(balancer, seed).unwrap();
                let mut random = Random::new(seed);
                for _ in 0..TURNS {
                    let now = Instant::from_micros(clock.fetch_add(50, Ordering::Relaxed));
                    let Ok(lease) = selector.select(&Request::ANY, now) else { continue };
                    match random.below(3) {
                        0 => lease.fail(Duration::ZERO, now),
                        1 => lease.succeed(Duration::ZERO, now),
                        _ => drop(lease),
                    }
                }
            })
        });
        scope.spawn(|| {
            all.wait();
            let mut random = Random::new(3);
            for number in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let members: Vec<_> = balancer.members().collect();
                let any = members.get(random.below(members.len() as u32) as usize);
                if let Some(&id) = any.filter(|_| members.len() > 2 || random.below(2) == 0) {
                    let _ = balancer.set_health(id, Health::Degraded, now());
                    let _ = balancer.remove(id, now());
                }
                let _ = balancer.add(&Endpoint::new(number), now());
                let ejected = balancer.totals().ejected;
                assert!(ejected <= 8, "{ejected} of 8 are out");
            }
        });
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
    let members: Vec<_> = balancer.members().map(|id| balancer.stats(id).unwrap()).collect();
    let out = members.iter().filter(|stats| stats.breaker != BreakerState::Closed).count();
    assert_eq!(balancer.totals().ejected as usize, out);
    for stats in members {
        assert_eq!(stats.in_flight, 0);
        assert_eq!(
            stats.routable,
            stats.breaker == BreakerState::Closed && stats.health != Health::Unhealthy
        );
    }
}

#[test]
fn l9_one_probe_is_out_at_a_time_whoever_selects() {
    let options = Options::new().failures(1).probes(2).max_ejected(1_000).open_for(Duration::ZERO);
    let balancer = Router::new(RoundRobin, options.probe_window(Duration::from_secs(1_000_000)));
    let now = Instant::from_secs(1);
    (0..2).for_each(|id| assert!(balancer.add(&Endpoint::new(id), now).is_ok()));
    let out = [AtomicU64::new(0), AtomicU64::new(0)];
    let both = Barrier::new(2);
    let probes: usize = thread::scope(|scope| {
        let workers = [1, 2].map(|seed| {
            let (balancer, out, both) = (&balancer, &out, &both);
            scope.spawn(move || {
                both.wait();
                let mut selector: Selector<_, _, 2, 4, 2, 1> = Selector::new(balancer, seed).unwrap();
                let mut probes = 0;
                for turn in 0..TURNS {
                    let Ok(lease) = selector.select(&Request::ANY, now) else { continue };
                    if lease.is_probe() {
                        let probing = &out[lease.endpoint().slot() as usize];
                        assert_eq!(probing.fetch_add(1, Ordering::SeqCst), 0, "a second probe is out");
                        std::hint::spin_loop();
                        probing.fetch_sub(1, Ordering::SeqCst);
                        probes += 1;
                    }
                    if turn % 3 == 0 {
                        lease.fail(Duration::ZERO, now)
                    } else {
                        lease.succeed(Duration::ZERO, now)
                    }
                }
                probes
            })
        });
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert!(probes > TURNS / 10, "{probes}");
}
