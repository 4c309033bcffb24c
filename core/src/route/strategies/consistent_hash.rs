//! The same endpoint for the same key.

use super::round_robin::Cursor;
use super::spread::Spread;
use super::unbarred::Unbarred;
use super::{Barred, Needs, Pool, Strategy, Turn};
use crate::bitmap::split;
use crate::route::config::options::PERMILLE;
use crate::route::state::bank::Sets;
use crate::route::{Endpoints, Member, Members, Progress, Random, RoutingKey, SizedTable, rehash};
use crate::sync::const_fn;

/// Consistent hashing: requests with equal keys go to the same endpoint, whichever selector they come
/// through, and few keys move when an endpoint comes or goes. O(1).
///
/// `T` is the table that says where: [`Maglev`](crate::route::Maglev) or [`Ring`](crate::route::Ring), over
/// all members by weight, whatever their health. It is built in slices beside the selects; until then the
/// table of before serves. With a [`Bounded`](crate::route::Bounded) one, keys pass by who has too much.
///
/// A member that is removed or switched off needs no build: keys pass it by, as they do when it is unhealthy,
/// and if it comes back with the same number and weight, so do they. The next build takes it off the table:
/// one that begins because somebody joins or weighs otherwise, or because such places are more than a quarter
/// of the members.
///
/// A member with less than its full weight, by health, slow start or failures, keeps that part of its keys,
/// always the same ones; keys of others stay where they are.
///
/// # Where the table's answer can't serve
///
/// It may be out, or not in the request's class, or was tried before. Then the key is hashed again and looked
/// up again: so the keys of an endpoint that is out go to all others, by weight, and come back when it does.
/// It is looked up 5 times in all where half of the members are candidates, twice where a quarter are, and
/// not at all where a twelfth are: 12 times their share, less 1. (Where that isn't a whole number, some keys
/// are looked up once more than others, so that a change of the share moves few.) Keys for which that finds
/// nobody are placed on the candidates directly, each of which has the same chance, whatever its weight.
///
/// When a candidate comes or goes, its own keys move, and of others' not many more. Measured with 1,000
/// members, a `Maglev<65521, 1024>` and 400,000 keys; the busiest candidate has what chance explains and at
/// most 3 % more:
///
/// | candidates | moved when one goes, in shares of one |
/// | --- | --- |
/// | 1,000 | 1.0 |
/// | 500 | 1.2 |
/// | 250 | 2.5 |
/// | 110 | 2.7 |
/// | 22 | 1.7 |
///
/// A request without a key goes round robin.
///
/// # Examples
///
/// ```
/// use trilane::route::{Balancer, ConsistentHash, Endpoint, Maglev, Options, Request, RoutingKey, Selector};
/// use trilane::time::Instant;
///
/// type Hash = ConsistentHash<Maglev<251, 4>>;
/// static BALANCER: Balancer<Hash, 1, 4> = Balancer::new(Hash::new(Maglev::new()), Options::new());
///
/// let now = Instant::ZERO;
/// for id in 1..=3 {
///     BALANCER.add(&Endpoint::new(id), now)?;
/// }
/// BALANCER.finish_build();
/// let mut selector: Selector<_, _, 1, 4, 1, 1> = Selector::new(&BALANCER, 42)?;
/// let request = Request::ANY.key(RoutingKey::new(b"user 7"));
/// let first = selector.select(&request, now)?;
/// let again = selector.select(&request, now)?;
/// assert_eq!(first.endpoint(), again.endpoint());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ConsistentHash<T> {
    table: T,
}

/// How many look-ups a key gets if all members are candidates, and one more. For a share below a twelfth of
/// them a look-up is seldom worth its time.
const LOOK_UPS: u32 = 12;
/// The unit of look-ups as a shift.
const ONE: u32 = 16;
/// The bits of a place that say whether a part of a look-up is one.
const PART: u32 = (1 << ONE) - 1;
/// By how much those are shifted to be the topmost.
const PART_SHIFT: u32 = u32::BITS - ONE;
/// Numbers of draws that say whether an endpoint keeps a key: one a slot.
const KEEPS: u32 = 1 << 11;
/// How many candidates the mean load is of, at most.
const ASKED: u32 = 64;

impl<T> ConsistentHash<T> {
    const_fn! {
        /// Places keys by `table`.
        pub const fn new(table: T) -> Self {
            Self { table }
        }
    }

    /// Its table.
    pub const fn table(&self) -> &T {
        &self.table
    }
}

/// What a selector keeps for one class.
pub struct Placing<const BANKS: usize> {
    cursor: Cursor,
    spread: Spread<BANKS>,
    /// How often a key is looked up, on average, in 2^16ths.
    look_ups: u32,
    /// From which part of a place on, shifted to the top, whoever is found first takes the key; the greatest
    /// number where nobody does, since there is a bound, or some candidate has less than all of its weight.
    plain_from: u32,
}

/// How many leases are too many, for each unit of weight.
#[derive(Clone, Copy)]
struct Room {
    leases: u64,
    weights: u64,
}

impl Room {
    const ANY: Self = Self { leases: 0, weights: 0 };

    fn is_for<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        slot: u16,
    ) -> bool {
        self.weights == 0
            || endpoints.exact_count(slot) as u64 * self.weights
                < self.leases * endpoints.weight_left(slot) as u64
    }
}

impl<T: SizedTable> ConsistentHash<T> {
    /// The places that a key is looked up at.
    fn places<const BANKS: usize>(cache: &Placing<BANKS>, place: u32) -> impl Iterator<Item = u32> {
        let look_ups = (cache.look_ups + (place & PART)) >> ONE;
        (0..look_ups).map(move |again| if again == 0 { place } else { rehash(place, again) })
    }

    /// The one that the key's first look-up finds, mostly.
    #[inline(always)]
    fn place<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &Placing<BANKS>,
        key: RoutingKey,
        barred: &Barred,
    ) -> Option<u16> {
        let place = key.place();
        if barred.is_empty() && place << PART_SHIFT >= cache.plain_from {
            // A slot that there isn't stands for none: it is no candidate.
            let found = self.table.find(place).unwrap_or(u16::MAX);
            if pool.candidates.contains(found) {
                return Some(found);
            }
        }
        self.place_anywhere(pool, cache, place, barred)
    }

    #[inline(never)]
    fn place_anywhere<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &Placing<BANKS>,
        place: u32,
        barred: &Barred,
    ) -> Option<u16> {
        let room = if T::BOUND == 0 { Room::ANY } else { self.room(pool) };
        for at in Self::places(cache, place) {
            if let Some(found) = self.table.find(at)
                && pool.candidates.contains(found)
                && !barred.contains(found)
                && keeps(pool, at, found)
                && room.is_for(pool.endpoints, found)
            {
                return Some(found);
            }
        }
        self.place_otherwise(pool, cache, place, barred, room)
    }

    /// The candidate for `place` that isn't one by the table.
    #[inline(never)]
    fn place_otherwise<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &Placing<BANKS>,
        place: u32,
        barred: &Barred,
        room: Room,
    ) -> Option<u16> {
        let may = |slot| !barred.contains(slot) && room.is_for(pool.endpoints, slot);
        let found = cache.spread.find(pool, place, None, may);
        found.or_else(|| cache.spread.find(pool, place, None, |slot| !barred.contains(slot))).or_else(|| {
            // Nobody was found in many tries, as where one bank has all of the candidates but a few.
            let unbarred = Unbarred::new(pool.candidates, barred);
            unbarred.nth(Random::new(place as u64).below(unbarred.len()))
        })
    }

    /// By the mean of the candidates, the lease to come included. O(1).
    #[inline(never)]
    fn room<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
    ) -> Room {
        let count = pool.candidates.len();
        let asked = count.min(ASKED);
        let slots = (0..asked).filter_map(|at| pool.candidates.nth(at * count / asked));
        let (out, weights) = slots.fold((1, 0), |(out, weights), slot| {
            let weight = pool.endpoints.weight_left(slot) as u64;
            (out + pool.endpoints.exact_count(slot) as u64, weights + weight)
        });
        Room { leases: out * T::BOUND as u64, weights: weights * PERMILLE as u64 }
    }
}

/// Whether the endpoint keeps what lies at `place`, of all that it has with all of its weight.
#[inline(always)]
fn keeps<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
    pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
    place: u32,
    slot: u16,
) -> bool {
    let (bank, index) = split(slot);
    pool.endpoints.partial(bank) >> index & 1 == 0 || {
        let factor = pool.endpoints.factor(slot);
        factor == 0 || rehash(place, KEEPS + slot as u32) >> 26 < factor
    }
}

/// Whom the table is of.
struct Enabled<'a, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
    &'a Endpoints<BANKS, PER_BANK, STRIPES>,
);

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Members
    for Enabled<'_, BANKS, PER_BANK, STRIPES>
{
    fn member(&self, slot: u16) -> Option<Member> {
        let view = self.0.view();
        view.consistently(|| {
            let at = view.at(slot);
            let member = Member { id: at.number(), weight: at.weight() };
            (at.has(Sets::enabled) || at.has(Sets::gone)).then_some(member)
        })
    }

    fn changed(&self, bank: usize) -> u32 {
        self.0.changed_since_build(bank)
    }
}

impl<T, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Strategy<BANKS, PER_BANK, STRIPES>
    for ConsistentHash<T>
where
    T: SizedTable,
{
    type Cache = Placing<BANKS>;
    const EMPTY: Self::Cache = {
        assert!(
            T::ENDPOINTS >= BANKS * PER_BANK,
            "the table has no room for all of the balancer's endpoints"
        );
        Placing { cursor: Cursor::EMPTY, spread: Spread::EMPTY, look_ups: 0, plain_from: 0 }
    };

    #[inline(always)]
    fn needs(&self) -> Needs {
        Needs { lists: true, builds: true, exact_counts: T::BOUND != 0, ..Needs::default() }
    }

    fn refill(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Self::Cache,
        random: &mut Random,
    ) {
        cache.cursor.refill(pool, random);
        cache.spread.refill(pool);
        let (candidates, words) = (pool.candidates.len(), pool.candidates.words());
        let view = pool.endpoints.view();
        let partial = (0..BANKS).any(|bank| words[bank] & view.bits(Sets::partial, bank) != 0);
        // All that the table shows.
        let members = view.count(&|bank| bank.bits(Sets::members) | bank.bits(Sets::gone));
        // At most 1,024 × 12 × 2^16.
        let share = (candidates * (LOOK_UPS << ONE)).checked_div(members.max(candidates)).unwrap_or(0);
        cache.look_ups = share.saturating_sub(1 << ONE);
        cache.plain_from = match cache.look_ups {
            0 => u32::MAX,
            _ if partial || T::BOUND != 0 => u32::MAX,
            look_ups => (1u32 << ONE).saturating_sub(look_ups) << PART_SHIFT,
        };
    }

    #[inline(always)]
    fn pick(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Self::Cache,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        match turn.key {
            Some(key) => self.place(pool, cache, key, turn.barred),
            None => cache.cursor.pick(pool, turn),
        }
    }

    fn owns(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &Self::Cache,
        key: RoutingKey,
        slot: u16,
    ) -> bool {
        let place = key.place();
        let takes = |at, found| {
            let may = found == slot || pool.candidates.contains(found) && keeps(pool, at, found);
            may.then_some(found)
        };
        let first = Self::places(cache, place).find_map(|at| takes(at, self.table.find(at)?));
        first.or_else(|| cache.spread.find(pool, place, Some(slot), |_| true)) == Some(slot)
    }

    fn begin(&self, _endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>) {
        // Slots are numbered as if each bank had 32.
        self.table.begin((BANKS * crate::bitmap::MAX_PER_BANK) as u16);
    }

    fn build(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>, steps: u32) -> bool {
        self.table.step(steps, &Enabled(endpoints)) == Progress::Done
    }
}
