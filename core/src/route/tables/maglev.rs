//! Consistent hashing with a table that endpoints take turns to fill: one load a look-up, and the evenest
//! shares.
//!
//! Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4.
//! Each endpoint has a preference list, a permutation of the table's entries that follows from its id alone,
//! and when its turn comes takes the first entry on its list that is free.
//!
//! # Preferences and turns
//!
//! With XXH3-64 (seed 0) of the id's eight bytes, little end first, its high 32 bits scaled to `0..SIZE` are
//! the first entry on the list, and its low 32 bits scaled to `1..SIZE` are the step from one to the next.
//! Scaling is `bits * range >> 32`, where the paper takes a remainder. `SIZE` is prime, so that every step
//! makes a permutation.
//!
//! An endpoint's quota of entries is `SIZE × weight / sum of weights`, to an integer in this way: the quotas
//! of the first *n* endpoints, by slot, add up to what is due to the sum of their weights, rounded up. So
//! shares are exact to one entry, whatever the weights, and a share below one entry may get none. There are
//! `⌈SIZE / endpoints⌉` rounds; by the end of round *t* of *R* an endpoint has taken `⌈quota × t / R⌉` turns.
//! With equal weights these are the paper's: one each round.
//!
//! # When an endpoint goes
//!
//! Its keys move, evenly to all others, and so do a few keys of others. Of those, with equal weights, at the
//! most (the worst of five endpoints, `cargo test -p trilane-tests --test route_tables few_keys`; the paper's
//! own turns move as many):
//!
//! | endpoints | `SIZE` | entries of each | moved |
//! | --- | --- | --- | --- |
//! | 16 | 1,021 | 64 | 5.6 % |
//! | 16 | 16,381 | 1,024 | 0.9 % |
//! | 100 | 8,191 | 82 | 2.2 % |
//! | 1,000 | 65,521 | 66 | 1.0 % |
//!
//! Where these must stay, use a [`Ring`](crate::route::Ring), which moves none.
//!
//! # Memory and time
//!
//! `4 × SIZE + 12 × ENDPOINTS` bytes: both halves of the table share words. A look-up is a multiplication and
//! one load. A build takes 32 steps for each slot, `SIZE` to clear, one for each turn's end, and one for each
//! entry that is looked at. Entries fill up at random, so that while *n* are free a turn looks at `SIZE / n`
//! of them: `SIZE × ln SIZE` in all. Therefore the last `SIZE / 512` turns look at the free entries instead,
//! and choose the one that comes first on the list: entry *e* is on place `(e - first) / step mod SIZE`. With
//! 65,521 entries that spares two fifths of all looks.

mod build;

use self::build::{Build, Place, Slice, scale};
use crate::bitmap::{MAX_BANKS, MAX_PER_BANK};
use crate::route::tables::table::{HashTable, Members, Progress, Registers, SizedTable, Version};
use crate::sync::{AtomicU32, Ordering, array_of, const_fn};

/// A table of `SIZE` entries, a prime below 2^16, for up to `ENDPOINTS` endpoints, whatever their slots.
///
/// A size of a hundred times the endpoints keeps shares within 1 % of what weights say. Primes to choose
/// from: 251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521.
///
/// # Examples
///
/// ```
/// use trilane::route::{HashTable, Maglev, Member, Progress, RoutingKey};
///
/// static TABLE: Maglev<1021, 32> = Maglev::new();
///
/// let members = |slot: u16| (slot < 3).then_some(Member { id: 100 + u64::from(slot), weight: 1 });
/// TABLE.begin(16);
/// while TABLE.step(64, &members) == Progress::Pending {
///     // Something else has its turn.
/// }
/// assert_eq!(TABLE.find(RoutingKey::new(b"device 4711").place()), Some(1));
/// ```
pub struct Maglev<const SIZE: usize, const ENDPOINTS: usize> {
    version: Version,
    /// An entry of half 0 in the low 16 bits, of half 1 in the high 16: 0 if there is none, else the slot and
    /// 1. The builder stores a word with the active half's bits as they were.
    entries: [AtomicU32; SIZE],
    /// The endpoints that take turns, without gaps, for the builder.
    queue: [Place; ENDPOINTS],
    build: Registers<10>,
}

impl<const SIZE: usize, const ENDPOINTS: usize> Maglev<SIZE, ENDPOINTS> {
    const_fn! {
        /// A table without members.
        pub const fn new() -> Self {
            const {
                assert!(SIZE < 1 << 16 && is_prime(SIZE as u32), "a table's size is a prime below 2^16");
                assert!(ENDPOINTS >= 1 && ENDPOINTS <= MAX_BANKS * MAX_PER_BANK, "there are 1 to 1,024 endpoints");
            };
            Self {
                version: Version::new(),
                entries: array_of!(AtomicU32::new(0); SIZE),
                queue: array_of!(array_of!(AtomicU32::new(0); 3); ENDPOINTS),
                build: Registers::new(),
            }
        }
    }
}

impl<const SIZE: usize, const ENDPOINTS: usize> Default for Maglev<SIZE, ENDPOINTS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const SIZE: usize, const ENDPOINTS: usize> SizedTable for Maglev<SIZE, ENDPOINTS> {
    const ENDPOINTS: usize = ENDPOINTS;
}

impl<const SIZE: usize, const ENDPOINTS: usize> HashTable for Maglev<SIZE, ENDPOINTS> {
    /// As [`HashTable::begin`] says; of more than `ENDPOINTS` members, those in the highest slots have no
    /// keys.
    fn begin(&self, slots: u16) {
        self.build.store(Build::weigh(u32::from(slots).min((MAX_BANKS * MAX_PER_BANK) as u32)).save());
    }

    fn step(&self, steps: u32, members: &dyn Members) -> Progress {
        let half = self.version.begin_slice();
        let mut build = Build::load(self.build.load());
        if !build.is_idle() {
            let slice =
                Slice { entries: &self.entries, shift: half as u32 * 16, queue: &self.queue, members };
            let exchange = slice.run(&mut build, steps);
            self.build.store(build.save());
            if exchange {
                self.version.exchange();
            }
        }
        if build.is_idle() { Progress::Done } else { Progress::Pending }
    }

    #[inline]
    fn find(&self, hash: u32) -> Option<u16> {
        let word = &self.entries[scale(hash, SIZE as u32) as usize];
        self.version.read(|half| ((word.load(Ordering::Relaxed) >> (half as u32 * 16)) as u16).checked_sub(1))
    }
}

/// Whether `number` is prime, by trial division.
const fn is_prime(number: u32) -> bool {
    let mut divisor = 2;
    while divisor * divisor <= number {
        if number.is_multiple_of(divisor) {
            return false;
        }
        divisor += 1;
    }
    number >= 2
}
