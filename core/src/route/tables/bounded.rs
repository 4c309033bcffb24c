//! Bounded load: keys pass by who has too much.

use super::table::{HashTable, Members, Progress, SizedTable};
use crate::route::config::options::PERMILLE;

/// A table that places keys as `T` does, unless that endpoint has `BOUND` permille of the mean or more, for
/// its weight: it is passed by then, as if it were out.
///
/// 1,250 keeps the busiest one within 1.25 times the mean, rounded up, and costs one counter an endpoint. The
/// mean is that of the candidates: of up to 64 of them, evenly spaced, which takes as many steps. Where all
/// are found too busy, the key goes where it would without a bound. Less than 1,001 is an error of the
/// compiler.
///
/// Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018. Selects that run
/// at once may exceed the bound by one each.
///
/// # Examples
///
/// ```
/// use trilane::route::{Balancer, Bounded, ConsistentHash, Maglev, Options};
///
/// type Table = Bounded<Maglev<251, 16>, 1_250>;
///
/// static BALANCER: Balancer<ConsistentHash<Table>, 1, 16> =
///     Balancer::new(ConsistentHash::new(Table::new(Maglev::new())), Options::new());
/// ```
#[derive(Default)]
pub struct Bounded<T, const BOUND: u16>(T);

impl<T, const BOUND: u16> Bounded<T, BOUND> {
    /// Places by `table`.
    pub const fn new(table: T) -> Self {
        const { assert!(BOUND as u32 > PERMILLE, "a bound is more than the mean: 1,001 permille or more") }
        Self(table)
    }
}

impl<T: SizedTable, const BOUND: u16> SizedTable for Bounded<T, BOUND> {
    const ENDPOINTS: usize = T::ENDPOINTS;
    const BOUND: u16 = BOUND;
}

impl<T: HashTable, const BOUND: u16> HashTable for Bounded<T, BOUND> {
    fn begin(&self, slots: u16) {
        self.0.begin(slots);
    }

    fn step(&self, steps: u32, members: &dyn Members) -> Progress {
        self.0.step(steps, members)
    }

    #[inline(always)]
    fn find(&self, hash: u32) -> Option<u16> {
        self.0.find(hash)
    }
}
