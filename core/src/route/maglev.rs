//! Consistent hashing with a table that endpoints take turns to fill: one load a look-up, and the evenest shares.
//!
//! Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4. Each endpoint has
//! a preference list, a permutation of the table's entries that follows from its id alone, and when its turn comes takes
//! the first entry on its list that is free.
//!
//! # Preferences and turns
//!
//! With XXH3-64 (seed 0) of the id's eight bytes, little end first, its high 32 bits scaled to `0..SIZE` are the first entry
//! on the list, and its low 32 bits scaled to `1..SIZE` are the step from one to the next. Scaling is `bits * range >> 32`,
//! where the paper takes a remainder. `SIZE` is prime, so that every step makes a permutation.
//!
//! An endpoint's quota of entries is `SIZE × weight / sum of weights`, to an integer in this way: the quotas of the first *n*
//! endpoints, by slot, add up to what is due to the sum of their weights, rounded up. So shares are exact to one entry,
//! whatever the weights, and a share below one entry may get none. There are `⌈SIZE / endpoints⌉` rounds; by the end of
//! round *t* of *R* an endpoint has taken `⌈quota × t / R⌉` turns. With equal weights these are the paper's: one each round.
//!
//! # When an endpoint goes
//!
//! Its keys move, evenly to all others, and so do a few keys of others. Of those, with equal weights, at the most (the
//! worst of five endpoints, `cargo test -p trilane-tests --test route_tables few_keys`; the paper's own turns move as many):
//!
//! | endpoints | `SIZE` | entries of each | moved |
//! | --- | --- | --- | --- |
//! | 16 | 1,021 | 64 | 5.6 % |
//! | 16 | 16,381 | 1,024 | 0.9 % |
//! | 100 | 8,191 | 82 | 2.2 % |
//! | 1,000 | 65,521 | 66 | 1.0 % |
//!
//! Where these must stay, use a [`Ring`](super::Ring), which moves none.
//!
//! # Memory and time
//!
//! `4 × SIZE + 8 × SLOTS` bytes: both halves of the table share words. A look-up is a multiplication and one load. A build
//! takes two steps for each slot, `SIZE` to clear, one for each turn's end, and one for each entry that is looked at: about
//! `SIZE × ln SIZE` of these.

use super::random::product;
use super::table::{HashTable, Member, Progress, Registers, Version};
use crate::bitmap::{MAX_BANKS, MAX_PER_BANK};
use crate::sync::{AtomicU32, Ordering, array_of, const_fn};
use xxhash_rust::xxh3::xxh3_64;

/// A table of `SIZE` entries, a prime below 2^16, for endpoints in slots below `SLOTS`.
///
/// A size of a hundred times the endpoints keeps shares within 1 % of what weights say. Primes to choose from: 251, 509,
/// 1021, 2039, 4093, 8191, 16381, 32749, 65521.
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
pub struct Maglev<const SIZE: usize, const SLOTS: usize> {
    version: Version,
    /// An entry of half 0 in the low 16 bits, of half 1 in the high 16: 0 if there is none, else the slot and 1. The
    /// builder stores a word with the active half's bits as they were.
    entries: [AtomicU32; SIZE],
    /// The endpoints that take turns, without gaps, for the builder.
    queue: [[AtomicU32; 2]; SLOTS],
    build: Registers<8>,
}

impl<const SIZE: usize, const SLOTS: usize> Maglev<SIZE, SLOTS> {
    const_fn! {
        /// A table without members.
        pub const fn new() -> Self {
            const {
                assert!(SIZE < 1 << 16 && is_prime(SIZE as u32), "a table's size is a prime below 2^16");
                assert!(SLOTS >= 1 && SLOTS <= MAX_BANKS * MAX_PER_BANK, "there are 1 to 1,024 slots");
            };
            Self {
                version: Version::new(),
                entries: array_of!(AtomicU32::new(0); SIZE),
                queue: array_of!(array_of!(AtomicU32::new(0); 2); SLOTS),
                build: Registers::new(),
            }
        }
    }
}

impl<const SIZE: usize, const SLOTS: usize> Default for Maglev<SIZE, SLOTS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const SIZE: usize, const SLOTS: usize> HashTable for Maglev<SIZE, SLOTS> {
    /// As [`HashTable::begin`] says; slots from `SLOTS` on are not looked at.
    fn begin(&self, slots: u16) {
        self.build.store(Build::weigh(u32::from(slots).min(SLOTS as u32)).save());
    }

    fn step(&self, steps: u32, members: &dyn Fn(u16) -> Option<Member>) -> Progress {
        let half = self.version.begin_slice();
        let mut build = Build::load(self.build.load());
        let slice = Slice { entries: &self.entries, shift: half as u32 * 16, queue: &self.queue, members };
        for _ in 0..steps {
            if build.phase == IDLE {
                break;
            }
            slice.step(&mut build);
            if build.phase == IDLE {
                self.version.exchange();
            }
        }
        self.build.store(build.save());
        if build.phase == IDLE { Progress::Done } else { Progress::Pending }
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

/// `bits` of 2^32 as as much of `range`.
#[inline(always)]
const fn scale(bits: u32, range: u32) -> u32 {
    product(bits, range).0
}

/// `⌈size × part / whole⌉`, for a part of 0 to `whole` and a size below 2^16, bit by bit: the 64-bit division that it takes
/// otherwise is 900 bytes of a Cortex-M3's flash.
fn share(part: u32, whole: u32, size: u32) -> u32 {
    let (mut quotient, mut rest) = (0, 0u64);
    for bit in (0..16).rev() {
        quotient *= 2;
        rest *= 2;
        if size >> bit & 1 != 0 {
            rest += u64::from(part);
        }
        while rest >= u64::from(whole) {
            rest -= u64::from(whole);
            quotient += 1;
        }
    }
    quotient + u32::from(rest != 0)
}

/// Nothing to do.
const IDLE: u32 = 0;
/// Counting members and summing their weights.
const WEIGH: u32 = 1;
/// Giving each member its quota and its place in the queue.
const ENLIST: u32 = 2;
/// Emptying the entries.
const CLEAR: u32 = 3;
/// Rounds of turns.
const FILL: u32 = 4;

/// How far a build is.
#[derive(Clone, Copy)]
struct Build {
    phase: u32,
    /// The members are in slots below this.
    slots: u32,
    /// How many members there are, and the sum of their weights.
    members: u32,
    weights: u32,
    /// The slot, the entry, or the place in the queue that is next.
    next: u32,
    /// How many members are in the queue; after that, the number of rounds begun.
    round: u32,
    /// The sum of the weights in the queue; after that, the turns which the endpoint has in this round.
    turns: u32,
    /// The entries given away, as quotas and then in turns.
    filled: u32,
}

impl Build {
    /// The beginning.
    const fn weigh(slots: u32) -> Self {
        Self { phase: WEIGH, slots, members: 0, weights: 0, next: 0, round: 0, turns: 0, filled: 0 }
    }

    fn load([phase, slots, members, weights, next, round, turns, filled]: [u32; 8]) -> Self {
        Self { phase, slots, members, weights, next, round, turns, filled }
    }

    fn save(self) -> [u32; 8] {
        [self.phase, self.slots, self.members, self.weights, self.next, self.round, self.turns, self.filled]
    }

    /// The beginning of the next phase.
    const fn enter(&mut self, phase: u32) {
        *self = Self { phase, next: 0, round: 0, turns: 0, filled: 0, ..*self };
    }
}

/// What a slice works on: the spare half, without the capacities in its type.
struct Slice<'a> {
    entries: &'a [AtomicU32],
    /// Where the spare half is in an entry's word.
    shift: u32,
    queue: &'a [[AtomicU32; 2]],
    members: &'a dyn Fn(u16) -> Option<Member>,
}

impl Slice<'_> {
    /// One step of the build, O(1).
    fn step(&self, build: &mut Build) {
        match build.phase {
            WEIGH if build.next == build.slots => build.enter(ENLIST),
            WEIGH => {
                if let Some(member) = self.member(build.next) {
                    build.members += 1;
                    build.weights = build.weights.saturating_add(member.counted());
                }
                build.next += 1;
            }
            ENLIST => self.enlist(build),
            CLEAR => match self.entries.get(build.next as usize) {
                Some(entry) => {
                    self.put(entry, 0);
                    build.next += 1;
                }
                None if build.members == 0 => build.enter(IDLE),
                None => {
                    build.enter(FILL);
                    self.begin_turn(build);
                }
            },
            _ => self.fill(build),
        }
    }

    /// The member in slot `slot`, unless it weighs nothing.
    fn member(&self, slot: u32) -> Option<Member> {
        (self.members)(slot as u16).filter(|member| member.weight != 0)
    }

    /// The spare half's part of an entry.
    fn get(&self, entry: &AtomicU32) -> u16 {
        (entry.load(Ordering::Relaxed) >> self.shift) as u16
    }

    /// Writes the spare half's part of an entry: a load and a store will do, for nobody else writes.
    fn put(&self, entry: &AtomicU32, value: u16) {
        let others = entry.load(Ordering::Relaxed) & !(0xFFFF << self.shift);
        entry.store(others | (u32::from(value) << self.shift), Ordering::Relaxed);
    }

    fn enlist(&self, build: &mut Build) {
        if build.next == build.slots {
            if build.round == build.members && build.turns == build.weights {
                build.enter(CLEAR);
            } else {
                // Members have changed between the two passes.
                *build = Build::weigh(build.slots);
            }
            return;
        }
        if let Some(member) = self.member(build.next)
            && build.weights != 0
            && let Some(place) = self.queue.get(build.round as usize)
        {
            let size = self.entries.len() as u32;
            let upper = build.turns.saturating_add(member.counted());
            // Not more than the sum, even should members have changed.
            let filled = share(upper.min(build.weights), build.weights, size);
            let quota = filled - build.filled;
            build.filled = filled;
            build.turns = upper;
            build.round += 1;
            let hash = xxh3_64(&member.id.to_le_bytes());
            let first = scale((hash >> 32) as u32, size);
            let step = 1 + scale(hash as u32, size - 1);
            place[0].store(first << 16 | step, Ordering::Relaxed);
            place[1].store(quota << 16 | build.next, Ordering::Relaxed);
        }
        build.next += 1;
    }

    /// How many turns the endpoint at the head of the queue has in this round.
    fn begin_turn(&self, build: &mut Build) {
        let rounds = (self.entries.len() as u32).div_ceil(build.members.max(1));
        let quota = self
            .queue
            .get(build.next as usize)
            .map_or(0, |[_, endpoint]| endpoint.load(Ordering::Relaxed) >> 16);
        // Both factors are at most 65,521.
        let due = |round: u32| quota.wrapping_mul(round).div_ceil(rounds);
        build.turns = due(build.round + 1).wrapping_sub(due(build.round));
    }

    /// Looks at one entry for the endpoint at the head of the queue, or lets the next have its turn.
    fn fill(&self, build: &mut Build) {
        let Some([list, endpoint]) = self.queue.get(build.next as usize) else {
            // Two builders at once, which there must not be.
            *build = Build::weigh(build.slots);
            return;
        };
        if build.turns == 0 {
            build.next += 1;
            if build.next == build.members {
                build.next = 0;
                build.round += 1;
            }
            return self.begin_turn(build);
        }
        let size = self.entries.len() as u32;
        let word = list.load(Ordering::Relaxed);
        let (position, step) = (word >> 16, word & 0xFFFF);
        let entry = &self.entries[position as usize];
        let following = position + step;
        let following = if following >= size { following - size } else { following };
        list.store(following << 16 | step, Ordering::Relaxed);
        if self.get(entry) != 0 {
            return;
        }
        self.put(entry, endpoint.load(Ordering::Relaxed) as u16 + 1);
        build.turns -= 1;
        build.filled += 1;
        if build.filled == size {
            build.enter(IDLE);
        }
    }
}
