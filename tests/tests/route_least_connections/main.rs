//! Least connections, with and without weights, against naive oracles; ties; and two threads.

mod model;
mod threads;
mod ties;

use trilane::route::{
    Balancer, EndpointId, Lease, LeastConnections, Options, Selector, Strategy, WeightedLeastConnections,
};
use trilane_tests::leak;

/// A balancer of this strategy that is never freed, with up to four selectors.
type Static<S, const BANKS: usize, const PER_BANK: usize> = &'static Balancer<S, BANKS, PER_BANK, 4>;
type Held<S, const BANKS: usize, const PER_BANK: usize> = Lease<Static<S, BANKS, PER_BANK>>;
type Select<S, const BANKS: usize, const PER_BANK: usize> =
    Selector<Static<S, BANKS, PER_BANK>, S, BANKS, PER_BANK, 4, 2>;

/// What these tests know of a strategy besides.
trait Least<const BANKS: usize, const PER_BANK: usize>: Strategy<BANKS, PER_BANK, 4> + Sized + 'static {
    fn make() -> Self;

    /// At which level of load it says that the slot stands.
    fn standing(&self, slot: u16) -> Option<u32>;

    /// The level of a count at a weight in 64ths.
    fn naive(count: u32, weight: u32) -> u32;

    /// Whether the first, a count at a weight in 64ths, is less loaded than the second by more than what may
    /// be equal.
    fn is_less(one: (u32, u32), other: (u32, u32)) -> bool {
        Self::naive(one.0, one.1) < Self::naive(other.0, other.1)
    }
}

impl<const BANKS: usize, const PER_BANK: usize> Least<BANKS, PER_BANK> for LeastConnections<BANKS> {
    fn make() -> Self {
        Self::new()
    }

    fn standing(&self, slot: u16) -> Option<u32> {
        self.standing(slot)
    }

    fn naive(count: u32, _: u32) -> u32 {
        if count < 8 {
            return count;
        }
        let mut low = 8;
        let mut level = 8;
        while low * 2 <= count {
            low *= 2;
            level += 4;
        }
        level + (count - low) / (low / 4)
    }
}

impl<const BANKS: usize, const PER_BANK: usize> Least<BANKS, PER_BANK> for WeightedLeastConnections<BANKS> {
    fn make() -> Self {
        Self::new()
    }

    fn standing(&self, slot: u16) -> Option<u32> {
        self.standing(slot)
    }

    fn naive(count: u32, weight: u32) -> u32 {
        let sixteenths = |number: u32| {
            let octave = (number as f64).log2().floor();
            (16.0 * (octave + number as f64 / octave.exp2() - 1.0)).floor()
        };
        if count == 0 {
            return 0;
        }
        let octaves = sixteenths(count) - sixteenths(weight.max(1)) + sixteenths(1024 * 64);
        1 + (octaves.max(0.0) / 4.0).floor().min(94.0) as u32
    }

    /// By levels, or to within 1 in 256 among few: some pairs are in one order by these, and in the other by
    /// those.
    fn is_less(one: (u32, u32), other: (u32, u32)) -> bool {
        let load = |(count, weight): (u32, u32)| count as f64 / weight as f64;
        <Self as Least<BANKS, PER_BANK>>::naive(one.0, one.1)
            < <Self as Least<BANKS, PER_BANK>>::naive(other.0, other.1)
            && load(one) * 257.0 / 256.0 < load(other)
    }
}

fn balancer<S: Least<BANKS, PER_BANK>, const BANKS: usize, const PER_BANK: usize>()
-> Static<S, BANKS, PER_BANK> {
    leak(Balancer::new(S::make(), Options::new().failures(0)))
}

fn select<S: Least<BANKS, PER_BANK>, const BANKS: usize, const PER_BANK: usize>(
    balancer: Static<S, BANKS, PER_BANK>,
    seed: u64,
) -> Select<S, BANKS, PER_BANK> {
    Selector::new(balancer, seed).unwrap_or_else(|error| panic!("{error}"))
}

/// At rest no endpoint stands above the level of its load, and each stands somewhere.
fn assert_rest<S: Least<BANKS, PER_BANK>, const BANKS: usize, const PER_BANK: usize>(
    balancer: Static<S, BANKS, PER_BANK>,
    loads: impl IntoIterator<Item = (u16, u32)>,
) {
    for (slot, level) in loads {
        let standing = balancer.strategy().standing(slot);
        assert!(standing.is_some_and(|at| at <= level), "slot {slot} stands at {standing:?} of {level}");
    }
}

fn out<S: Least<BANKS, PER_BANK>, const BANKS: usize, const PER_BANK: usize>(
    balancer: Static<S, BANKS, PER_BANK>,
    id: EndpointId,
) -> u32 {
    balancer.stats(id).unwrap_or_else(|error| panic!("{error:?}")).in_flight
}
