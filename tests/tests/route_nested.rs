//! Selects that are interrupted by a select which is interrupted itself, by a change of the members.
//!
//! On the host a strategy stands in for the interrupts: whenever it is asked whether leases are to be
//! counted, the next one comes.

use std::sync::{Mutex, mpsc};

use trilane::route::{
    Balancer, Endpoint, EndpointId, Needs, Options, Pool, Request, Selector, Strategy, Turn,
};
use trilane::time::Instant;

const NOW: Instant = Instant::ZERO;

type Router = Balancer<Lowest, 1, 2, 2>;
type Select = Selector<&'static Router, Lowest, 1, 2, 2, 1>;
type Interrupt = Box<dyn FnOnce() + Send>;

/// The lowest slot that isn't barred.
struct Lowest {
    /// The last one comes first.
    interrupts: Mutex<Vec<Interrupt>>,
}

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Strategy<BANKS, PER_BANK, STRIPES>
    for Lowest
{
    type Cache = ();
    const EMPTY: () = ();

    fn needs(&self) -> Needs {
        let interrupt = self.interrupts.lock().unwrap().pop();
        if let Some(interrupt) = interrupt {
            interrupt();
        }
        Needs { lists: true, exact_counts: true, ..Needs::default() }
    }

    fn pick(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        _cache: &mut (),
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        pool.candidates.as_slice().iter().copied().find(|&slot| !turn.barred.contains(slot))
    }
}

/// How many leases a request gets that was tried elsewhere, and so goes the careful way; they stay out.
fn leases(selector: &mut Select, tried: EndpointId) -> usize {
    let lease = selector.select(&Request::ANY.excluding(&[tried]), NOW);
    lease.map(core::mem::forget).is_ok() as usize
}

#[test]
fn two_leases_that_were_counted_before_their_endpoint_came_are_within_its_cap() {
    let strategy = Lowest { interrupts: Mutex::new(Vec::new()) };
    let balancer: &'static Router = Box::leak(Box::new(Balancer::new(strategy, Options::new())));
    let old = balancer.add(&Endpoint::new(1), NOW).unwrap();
    let tried = balancer.add(&Endpoint::new(2), NOW).unwrap();
    let (mut low, mut high) = (balancer.selector::<1>(1).unwrap(), balancer.selector::<1>(2).unwrap());
    let (result, of_high) = mpsc::channel();
    let exchange: Interrupt = Box::new(move || {
        assert_eq!(balancer.remove(old, NOW), Ok(0));
        assert_eq!(balancer.add(&Endpoint::new(3).cap(1), NOW).unwrap().slot(), old.slot());
    });
    let select: Interrupt = Box::new(move || result.send(leases(&mut high, tried)).unwrap());
    balancer.strategy().interrupts.lock().unwrap().extend([exchange, select]);
    let of_low = leases(&mut low, tried);
    let next = balancer.find(3).unwrap();
    assert_eq!(of_low + of_high.recv().unwrap(), 1, "leases of an endpoint with room for one");
    assert_eq!(balancer.stats(next).unwrap().in_flight, 1);
}
