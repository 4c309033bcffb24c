//! Another context changes members at every step of a sync: what is promised of one that fails stands.
use std::cell::Cell;
use trilane::route::*;
use trilane::time::{Duration, Instant};

/// Runs `act` when the `nth` element in all (over all clones) is taken: a stand-in for another context.
#[derive(Clone)]
struct Interrupted<'a, I> {
    inner: I,
    taken: &'a Cell<u32>,
    at: u32,
    act: &'a dyn Fn(),
}
impl<I: Iterator<Item = Endpoint>> Iterator for Interrupted<'_, I> {
    type Item = Endpoint;
    fn next(&mut self) -> Option<Endpoint> {
        self.taken.set(self.taken.get() + 1);
        if self.taken.get() == self.at {
            (self.act)();
        }
        self.inner.next()
    }
}

fn state(router: &Balancer<RoundRobin, 1, 3>) -> Vec<Endpoint> {
    router.members().map(|id| router.endpoint(id).unwrap()).collect()
}

#[test]
fn a_failed_sync_has_changed_nothing_whenever_another_context_comes() {
    let now = Instant::ZERO;
    let mut wrong = Vec::new();
    let mut failed = 0;
    for at in 1..60 {
        let router: Balancer<RoundRobin, 1, 3> = Balancer::new(RoundRobin, Options::new());
        router.sync([1, 2].map(Endpoint::new), now).unwrap();
        let taken = Cell::new(0);
        // Takes 2's slot and the free one.
        let act = || {
            let id = router.find(2).unwrap();
            router.remove(id, now).unwrap();
            let _ = router.add(&Endpoint::new(8), now);
            let _ = router.add(&Endpoint::new(9), now);
        };
        let list = [Endpoint::new(1).weight(5), Endpoint::new(2)];
        let list = Interrupted { inner: list.into_iter(), taken: &taken, at, act: &act };
        let outcome = router.sync(list, now);
        if let Err(error) = outcome {
            failed += 1;
            let weight = router.endpoint(router.find(1).unwrap()).unwrap().get_weight();
            if weight != 1 {
                wrong.push((at, error, state(&router)));
            }
        }
    }
    assert!(failed > 0);
    assert!(wrong.is_empty(), "{failed} failed; updated although it failed: {wrong:#?}");
}

#[test]
fn the_add_of_another_context_survives_a_failed_sync() {
    let now = Instant::ZERO;
    let mut lost = Vec::new();
    let mut failed = 0;
    for at in 1..80 {
        let router: Balancer<RoundRobin, 1, 3> = Balancer::new(RoundRobin, Options::new());
        router.sync([Endpoint::new(1)], now).unwrap();
        let taken = Cell::new(0);
        // An operator drops 2 if it is there, and adds it as he wants it; and fills the rest.
        let act = || {
            if let Some(id) = router.find(2) {
                router.remove(id, now).unwrap();
            }
            let _ = router.add(&Endpoint::new(2).weight(77), now);
            let _ = router.add(&Endpoint::new(9), now);
        };
        let list = [2, 3, 1].map(Endpoint::new);
        let list = Interrupted { inner: list.into_iter(), taken: &taken, at, act: &act };
        if let Err(error) = router.sync(list, now) {
            failed += 1;
            if taken.get() >= at && router.find(2).is_none() {
                lost.push((at, error, state(&router)));
            }
        }
    }
    assert!(failed > 0);
    assert!(lost.is_empty(), "{failed} failed; another context's member removed: {lost:#?}");
}

#[test]
fn traffic_has_somewhere_to_go_at_every_step() {
    let now = Instant::ZERO;
    for at in 1..60 {
        let router: Balancer<RoundRobin, 1, 8> = Balancer::new(RoundRobin, Options::new());
        router.sync([1, 2].map(Endpoint::new), now).unwrap();
        let selector = std::cell::RefCell::new(router.selector::<1>(1).unwrap());
        let taken = Cell::new(0);
        let act = || selector.borrow_mut().select(&Request::ANY, now).unwrap().succeed(Duration::ZERO, now);
        let list = [3, 4].map(Endpoint::new);
        let list = Interrupted { inner: list.into_iter(), taken: &taken, at, act: &act };
        router.sync(list, now).unwrap();
        assert_eq!(router.totals().members, 2);
    }
}
