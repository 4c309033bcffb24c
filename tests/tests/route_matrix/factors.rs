//! Weights, slow start, degradation, caps, tags and retries: factors and bounds wherever there is a choice.

use trilane::route::{Endpoint, Filter, Health, Options, Request, SelectError, Strategy, Tag, Tags};
use trilane::time::Duration;

use super::{World, cell, row, shares_are};

const TAG: Tags = Tags::NONE.with(Tag::of::<2>());
/// 16 steps of 10 s.
const RAMP: Duration = Duration::from_secs(160);

fn weighted(weights: &[u64]) -> impl Iterator<Item = Endpoint> {
    (0..).zip(weights).map(|(id, &weight)| Endpoint::new(id).weight(weight as u16))
}

#[test]
fn weight() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let weights = [1, 2, 3, 6];
        let mut world = World::new(strategy, Options::new(), weighted(&weights));
        shares_are(name, &mut world, &weights);
    }
    row!(check);
}

#[test]
fn weight_that_changes() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let mut world = World::new(strategy, Options::new(), weighted(&[1, 1, 1, 1]));
        world.routes.update(2, &Endpoint::new(2).weight(5), world.now);
        world.routes.balancer.finish_build();
        shares_are(name, &mut world, &[1, 1, 5, 1]);
        world.routes.update(0, &Endpoint::new(0).weight(0), world.now);
        world.routes.balancer.finish_build();
        shares_are(name, &mut world, &[0, 1, 5, 1]);
    }
    row!(check);
}

#[test]
fn slow_start() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let mut world = World::new(strategy, Options::new().slow_start(RAMP), weighted(&[1; 4]));
        world.routes.add(&Endpoint::new(4), world.now);
        world.routes.balancer.finish_build();
        shares_are(name, &mut world, &[16, 16, 16, 16, 1]);
        world.pass(Duration::from_secs(71));
        shares_are(name, &mut world, &[16, 16, 16, 16, 8]);
        world.pass(RAMP);
        shares_are(name, &mut world, &[16, 16, 16, 16, 16]);
        // And again with each recovery.
        world.routes.set_health(1, Health::Unhealthy, world.now);
        world.routes.set_health(1, Health::Healthy, world.now);
        shares_are(name, &mut world, &[16, 1, 16, 16, 16]);
    }
    row!(check);
}

#[test]
fn degradation() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let mut world = World::new(strategy, Options::new().route_unknown(true), weighted(&[2, 2, 2, 1]));
        world.routes.set_health(0, Health::Degraded, world.now);
        world.routes.set_health(1, Health::Unknown, world.now);
        shares_are(name, &mut world, &[4, 2, 8, 4]);
        world.routes.set_health(0, Health::Healthy, world.now);
        world.routes.set_health(2, Health::Unhealthy, world.now);
        shares_are(name, &mut world, &[8, 2, 0, 4]);
        // What all lack makes no difference.
        (0..4).for_each(|at| world.routes.set_health(at, Health::Degraded, world.now));
        shares_are(name, &mut world, &[2, 2, 2, 1]);
    }
    row!(check);
}

#[test]
fn weight_and_tags() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let endpoints = (0..14).map(|id| {
            let tags = if id < 3 { TAG } else { Tags::NONE };
            Endpoint::new(id).weight(1 + id as u16 % 3).tags(tags)
        });
        let mut world = World::new(strategy, Options::new(), endpoints);
        world.class = world.routes.selector.class(Filter::ANY.tags(TAG)).unwrap();
        let mut due = vec![0; 14];
        due[..3].copy_from_slice(&[1, 2, 3]);
        shares_are(name, &mut world, &due);
        world.routes.set_health(1, Health::Unhealthy, world.now);
        due[1] = 0;
        shares_are(name, &mut world, &due);
    }
    row!(check);
}

#[test]
fn cap() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let endpoints =
            [Endpoint::new(0).cap(3), Endpoint::new(1), Endpoint::new(2).cap(7), Endpoint::new(3)];
        let mut world = World::new(strategy, Options::new(), endpoints);
        for step in 0..600 {
            world.keyed = step >= 300;
            world.send().unwrap();
            let out = world.routes.in_flight();
            cell(name, out[0] <= 3 && out[2] <= 7, || format!("{out:?} out"));
        }
        let out = world.routes.in_flight();
        // Whoever has no cap takes what the others can't.
        cell(name, out.iter().sum::<u32>() == World::<S>::OUT as u32, || format!("{out:?} out"));
        for (at, cap) in [(1, 50), (3, 61)] {
            world.routes.update(at, &Endpoint::new(at as u64).cap(cap), world.now);
        }
        // Leases of before a cap come on top; these end.
        world.held.clear();
        let full: Vec<_> = (0..121).map(|_| world.routes.select(&Request::ANY, world.now)).collect();
        let refused = world.routes.select(&Request::ANY, world.now).map(|(at, _)| at);
        let right = full.iter().all(Result::is_ok) && refused == Err(SelectError::AllAtCapacity);
        cell(name, right, || format!("{:?} out, then {refused:?}", world.routes.in_flight()));
    }
    row!(check);
}

#[test]
fn retry_exclusion() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let mut world = World::new(strategy, Options::new(), weighted(&[1, 2, 3, 6, 2]));
        for step in 0..200 {
            world.keyed = step >= 100;
            let mut tried = Vec::new();
            for _ in 0..5 {
                let request = world.request();
                let got = world.routes.select(&request.excluding(&tried), world.now).map(|(at, _)| at);
                let new = got.is_ok_and(|at| !tried.contains(&world.routes.ids[at]));
                cell(name, new, || format!("{got:?} after {tried:?}"));
                got.iter().for_each(|&at| tried.push(world.routes.ids[at]));
            }
            let request = world.request();
            let all = world.routes.select(&request.excluding(&tried), world.now).map(|(at, _)| at);
            cell(name, all == Err(SelectError::AllTried), || format!("{all:?} after all"));
        }
    }
    row!(check);
}

#[test]
fn a_retry_goes_by_weight_too() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let mut world = World::new(strategy, Options::new(), weighted(&[6, 1, 3]));
        let tried = [world.routes.ids[0]];
        // As many out as in other cells, all of which are retries.
        let mut held = std::collections::VecDeque::new();
        let mut counts = [0u64; 3];
        for step in 0..4_000 {
            let lease = world.routes.select(&Request::ANY.excluding(&tried), world.now);
            let Ok((at, lease)) = lease else { return cell(name, false, || "an error".into()) };
            counts[at] += (step >= 240) as u64;
            held.push_back(lease);
            if held.len() > 120 {
                held.pop_front();
            }
        }
        let share = counts[2] * 1_000 / (counts[1] + counts[2]);
        cell(name, counts[0] == 0 && share.abs_diff(750) < 100, || format!("{counts:?} instead of 0, 1:3"));
    }
    row!(check);
}

#[test]
fn a_new_endpoint_gets_traffic_without_slow_start() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let mut world = World::new(strategy, Options::new(), weighted(&[1; 4]));
        world.shares(100);
        world.routes.add(&Endpoint::new(4), world.now);
        world.routes.balancer.finish_build();
        shares_are(name, &mut world, &[1; 5]);
    }
    row!(check);
}
