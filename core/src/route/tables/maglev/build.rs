//! How a Maglev table is built.

use crate::bitmap::MAX_BANKS;
use crate::route::config::random::product;
use crate::route::tables::table::{MEMBER_STEPS, Member, Members};
use crate::sync::{AtomicU32, Ordering};
use xxhash_rust::xxh3::xxh3_64;

/// An endpoint in the queue: where on its list it is and the step from one entry to the next, 16 bits each;
/// its quota and its slot; what it has taken in advance, in parts of a turn, of which a turn has as many as
/// there are rounds.
pub(in crate::route) type Place = [AtomicU32; 3];

/// `bits` of 2^32 as as much of `range`.
#[inline(always)]
pub(in crate::route) const fn scale(bits: u32, range: u32) -> u32 {
    product(bits, range).0
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
/// Making a list of the entries that are free still.
const LIST: u32 = 5;
/// Rounds of turns with that list.
const CHOOSE: u32 = 6;

/// How many entries are left to the list, as a shift of their number. A turn without it looks at
/// `SIZE / free` entries, one with it at all that are free, each of which takes about four times as long, and
/// divides once: measured, 512 is best.
const LISTED: u32 = 9;
/// A division modulo `SIZE` in steps.
const INVERSE_STEPS: u32 = 32;

/// How far a build is.
#[derive(Clone, Copy)]
pub(in crate::route) struct Build {
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
    /// While the free entries are linked: the entry that is next.
    entry: u32,
    /// The first entry on the list of those that are free, and one.
    free: u32,
}

impl Build {
    /// The beginning.
    pub(in crate::route) const fn weigh(slots: u32) -> Self {
        Self {
            phase: WEIGH,
            slots,
            members: 0,
            weights: 0,
            next: 0,
            round: 0,
            turns: 0,
            filled: 0,
            entry: 0,
            free: 0,
        }
    }

    pub(in crate::route) fn load(
        [phase, slots, members, weights, next, round, turns, filled, entry, free]: [u32; 10],
    ) -> Self {
        Self { phase, slots, members, weights, next, round, turns, filled, entry, free }
    }

    pub(in crate::route) fn save(self) -> [u32; 10] {
        let Self { phase, slots, members, weights, next, round, turns, filled, entry, free } = self;
        [phase, slots, members, weights, next, round, turns, filled, entry, free]
    }

    /// Whether there is nothing to do.
    pub(in crate::route) const fn is_idle(&self) -> bool {
        self.phase == IDLE
    }

    /// The beginning of the next phase.
    const fn enter(&mut self, phase: u32) {
        *self = Self { phase, next: 0, round: 0, turns: 0, filled: 0, ..*self };
    }
}

/// What a slice works on: the spare half, without the capacities in its type.
pub(in crate::route) struct Slice<'a> {
    pub(in crate::route) entries: &'a [AtomicU32],
    /// Where the spare half is in an entry's word.
    pub(in crate::route) shift: u32,
    pub(in crate::route) queue: &'a [Place],
    pub(in crate::route) members: &'a dyn Members,
}

impl Slice<'_> {
    /// Does so many steps, or until the build is done; returns whether the spare half is to become the active
    /// one.
    pub(in crate::route) fn run(&self, build: &mut Build, mut steps: u32) -> bool {
        while steps > 0 {
            let phase = build.phase;
            let taken = match build.phase {
                WEIGH => self.weigh(build),
                ENLIST => self.enlist(build),
                CLEAR => self.clear(build, steps),
                FILL => self.fill(build, steps),
                LIST => self.list(build, steps),
                _ => self.choose(build),
            };
            if build.is_idle() {
                return phase != WEIGH;
            }
            steps = steps.saturating_sub(taken);
        }
        false
    }

    /// The member in slot `slot`, unless it weighs nothing.
    fn member(&self, slot: u32) -> Option<Member> {
        self.members.member(slot as u16).filter(|member| member.weight != 0)
    }

    /// The spare half's part of an entry.
    #[inline(always)]
    fn get(&self, entry: &AtomicU32) -> u16 {
        (entry.load(Ordering::Relaxed) >> self.shift) as u16
    }

    /// Writes the spare half's part of an entry: a load and a store will do, for nobody else writes.
    #[inline(always)]
    fn put(&self, entry: &AtomicU32, value: u16) {
        let others = entry.load(Ordering::Relaxed) & !(0xFFFF << self.shift);
        entry.store(others | (u32::from(value) << self.shift), Ordering::Relaxed);
    }

    fn weigh(&self, build: &mut Build) -> u32 {
        if build.next == 0 && (0..MAX_BANKS).all(|bank| self.members.changed(bank) == 0) {
            build.enter(IDLE);
        } else if build.next == build.slots {
            build.enter(ENLIST);
        } else {
            if let Some(member) = self.member(build.next)
                && (build.members as usize) < self.queue.len()
            {
                build.members += 1;
                build.weights = build.weights.saturating_add(member.counted());
            }
            build.next += 1;
        }
        MEMBER_STEPS
    }

    fn enlist(&self, build: &mut Build) -> u32 {
        if build.next == build.slots {
            if build.round == build.members && build.turns == build.weights {
                build.enter(CLEAR);
            } else {
                // Members have changed between the two passes.
                *build = Build::weigh(build.slots);
            }
            return 1;
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
            place[2].store(0, Ordering::Relaxed);
        }
        build.next += 1;
        MEMBER_STEPS
    }

    fn clear(&self, build: &mut Build, steps: u32) -> u32 {
        let some = self.entries.iter().skip(build.next as usize).take(steps as usize);
        let taken = some.inspect(|entry| self.put(entry, 0)).count() as u32;
        build.next += taken;
        if build.next as usize == self.entries.len() {
            if build.members == 0 {
                build.enter(IDLE);
            } else {
                build.enter(FILL);
                self.begin_turn(build);
            }
        }
        taken
    }

    /// How many turns the endpoint at the head of the queue has in this round: of `rounds` it has its quota.
    fn begin_turn(&self, build: &mut Build) {
        let rounds = (self.entries.len() as u32).div_ceil(build.members.max(1));
        build.turns = 0;
        if let Some([_, endpoint, advance]) = self.queue.get(build.next as usize) {
            let quota = endpoint.load(Ordering::Relaxed) >> 16;
            let before = advance.load(Ordering::Relaxed);
            // Most have none or one, and a division is long.
            build.turns = match quota.saturating_sub(before) {
                0 => 0,
                due if due <= rounds => 1,
                due => due.div_ceil(rounds),
            };
            advance.store(before + build.turns * rounds - quota, Ordering::Relaxed);
        }
    }

    /// The next in the queue has its turns.
    fn end_turns(&self, build: &mut Build) {
        build.next += 1;
        if build.next == build.members {
            build.next = 0;
            build.round += 1;
        }
        self.begin_turn(build);
    }

    /// Looks at entries for the endpoints at the head of the queue.
    fn fill(&self, build: &mut Build, steps: u32) -> u32 {
        let size = self.entries.len() as u32;
        // So many are given away by looking.
        let looked_for = size - (size >> LISTED);
        let mut left = steps;
        while left > 0 && build.filled < looked_for {
            if build.turns == 0 {
                self.end_turns(build);
                left -= 1;
                continue;
            }
            let Some([list, endpoint, _]) = self.queue.get(build.next as usize) else {
                // Two builders at once, which there must not be.
                *build = Build::weigh(build.slots);
                return steps;
            };
            let word = list.load(Ordering::Relaxed);
            let (mut position, step) = (word >> 16, word & 0xFFFF);
            let value = endpoint.load(Ordering::Relaxed) as u16 + 1;
            while left > 0 {
                left -= 1;
                let entry = &self.entries[position as usize];
                position = following(position, step, size);
                if self.get(entry) == 0 {
                    self.put(entry, value);
                    build.turns -= 1;
                    build.filled += 1;
                    if build.turns == 0 || build.filled == looked_for {
                        break;
                    }
                }
            }
            list.store(position << 16 | step, Ordering::Relaxed);
        }
        if build.filled == size {
            build.enter(IDLE);
        } else if build.filled == looked_for {
            *build = Build { phase: LIST, entry: 0, free: 0, ..*build };
        }
        steps - left
    }

    /// Links the free entries: each holds the next, and one.
    fn list(&self, build: &mut Build, steps: u32) -> u32 {
        let some = (build.entry..).zip(self.entries.iter().skip(build.entry as usize)).take(steps as usize);
        for (index, entry) in some {
            if self.get(entry) == 0 {
                self.put(entry, build.free as u16);
                build.free = index + 1;
            }
        }
        build.entry += steps;
        if build.entry as usize >= self.entries.len() {
            build.phase = CHOOSE;
        }
        steps
    }

    /// Gives the endpoint at the head of the queue the free entry that comes first on its list.
    fn choose(&self, build: &mut Build) -> u32 {
        if build.turns == 0 {
            self.end_turns(build);
            return 1;
        }
        let size = self.entries.len() as u32;
        let linked = |link: u32| self.entries.get((link as usize).wrapping_sub(1));
        let Some([list, endpoint, _]) = self.queue.get(build.next as usize) else {
            *build = Build::weigh(build.slots);
            return 1;
        };
        let word = list.load(Ordering::Relaxed);
        let (position, step) = (word >> 16, word & 0xFFFF);
        let inverse = inverse(step, size);
        // Of the first one on the preference list: how far ahead, where it is linked, and by which.
        let mut first = (u32::MAX, 0, 0);
        let (mut link, mut by) = (build.free, 0);
        for _ in build.filled..size {
            let Some(entry) = linked(link) else { break };
            let ahead = (link - 1 + size - position) % size * inverse % size;
            first = first.min((ahead, link, by));
            (link, by) = (u32::from(self.get(entry)), link);
        }
        let (_, link, by) = first;
        let Some(entry) = linked(link) else {
            *build = Build::weigh(build.slots);
            return 1;
        };
        let next = self.get(entry);
        match linked(by) {
            Some(entry) => self.put(entry, next),
            None => build.free = u32::from(next),
        }
        self.put(entry, endpoint.load(Ordering::Relaxed) as u16 + 1);
        list.store(following(link - 1, step, size) << 16 | step, Ordering::Relaxed);
        let looked = size - build.filled;
        build.turns -= 1;
        build.filled += 1;
        if build.filled == size {
            build.enter(IDLE);
        }
        INVERSE_STEPS + looked
    }
}

/// The entry that follows on a preference list.
#[inline(always)]
const fn following(position: u32, step: u32, size: u32) -> u32 {
    let sum = position + step;
    if sum >= size { sum - size } else { sum }
}

/// By what `step`, 1 to `size - 1`, is to be multiplied to give 1 modulo `size`, a prime below 2^16: Euclid's
/// algorithm.
const fn inverse(step: u32, size: u32) -> u32 {
    let (mut larger, mut smaller) = (size, step);
    // What times `step` gives these; of changing signs, so that sums of magnitudes will do. All are at most
    // `size`.
    let (mut of_larger, mut of_smaller) = (0, 1);
    let mut negative = false;
    while smaller > 1 {
        let quotient = larger / smaller;
        (larger, smaller) = (smaller, larger - quotient * smaller);
        (of_larger, of_smaller) = (of_smaller, of_larger + quotient * of_smaller);
        negative = !negative;
    }
    if negative { size - of_smaller } else { of_smaller }
}

/// `⌈size × part / whole⌉`, for a part of 0 to `whole` and a size below 2^16.
fn share(part: u32, whole: u32, size: u32) -> u32 {
    if cfg!(target_pointer_width = "64") {
        (u64::from(size) * u64::from(part)).div_ceil(u64::from(whole)) as u32
    } else {
        share_bit_by_bit(part, whole, size)
    }
}

/// The same for processors to which a 64-bit division is 900 bytes of code.
fn share_bit_by_bit(part: u32, whole: u32, size: u32) -> u32 {
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

#[cfg(all(test, not(trilane_loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_inverse_times_its_step_is_one() {
        for size in [2, 3, 5, 251, 4_093] {
            assert!((1..size).all(|step| step * inverse(step, size) % size == 1), "{size}");
        }
        for step in (1..65_521).step_by(7) {
            assert_eq!(u64::from(step) * u64::from(inverse(step, 65_521)) % 65_521, 1, "{step}");
        }
    }

    #[test]
    fn a_share_is_the_same_on_all_processors() {
        let mut random = crate::route::Random::new(1);
        for _ in 0..10_000 {
            let whole = 1 + random.below(u32::MAX - 1);
            let part = random.below(whole);
            let size = 2 + random.below(65_520);
            assert_eq!(
                share(part, whole, size),
                share_bit_by_bit(part, whole, size),
                "{part} {whole} {size}"
            );
        }
    }
}
