//! Consistent hashing on a ring: each endpoint has points on a circle of 2^32 places, a key goes to the next point.
//!
//! Karger et al., "Consistent Hashing and Random Trees", STOC 1997; the points of an endpoint follow from its id alone. So
//! when an endpoint goes, its keys move and no others do. [`Maglev`](super::Maglev) spreads keys more evenly and is looked
//! up faster, but moves a few keys of others.
//!
//! # Points
//!
//! Point *r* of endpoint *id* lies at the high 32 bits of XXH3-64 (seed 0) of the id's eight bytes followed by the four of
//! *r*, each little end first. An endpoint of weight *w* has *w × points* of them, `points` being 160 unless said
//! otherwise. Where the sum of these exceeds the ring's capacity, every endpoint has half as many, or a quarter, and so on,
//! until they fit, but one at least. Should even one each not fit, the highest slots have none.
//!
//! Shares follow weights as far as chance allows: with *p* points each, the standard deviation of a share is about
//! 1/√*p* of it: 8 % at 160.
//!
//! Removing an endpoint moves the keys of others only if the points are no longer halved as often. It never does when
//! the capacity is at least `points` times the greatest sum of weights there will be.
//!
//! # Memory and time
//!
//! `8 × POINTS + 8 × DIRECTORY` bytes. A look-up takes two loads of the directory, by the topmost bits of the hash, and then
//! a binary search of the points which share those bits: O(log `POINTS`) at worst, constant when `DIRECTORY` is `POINTS / 4`
//! or so. Besides its slot, a point keeps the 22 bits of its hash that follow those of the directory. Places that differ
//! only below are one, and the lowest slot there has it.
//!
//! A build takes `slots` steps for each halving, two for each slot and point, three for each entry of the directory, and
//! the exchanges of an insertion sort within the entries: `POINTS × POINTS / DIRECTORY / 4` for ids that weren't chosen to
//! collide, `POINTS` squared at the very worst.

use super::table::{HashTable, Member, Progress, Registers, Version};
use crate::bitmap::{MAX_BANKS, MAX_PER_BANK};
use crate::sync::{AtomicU32, Ordering, array_of, const_fn};
use xxhash_rust::xxh3::xxh3_64;

/// The bits of a point's word that hold its slot; the others hold its hash.
const SLOT_MASK: u32 = (MAX_BANKS * MAX_PER_BANK - 1) as u32;

/// The points of an endpoint of weight 1, unless said otherwise: as many as most implementations of the Ketama ring have.
const USUAL_POINTS: u16 = 160;

/// The most points for each unit of weight. Times [`MAX_WEIGHT`](super::MAX_WEIGHT), this fits 32 bits.
const MOST_POINTS: u16 = 1023;

/// After so many halvings every endpoint has one point.
const MOST_HALVINGS: u32 = 31;

/// A ring of up to `POINTS` points, with a directory of `DIRECTORY` entries, a power of two.
///
/// # Examples
///
/// ```
/// use trilane::route::{HashTable, Member, Progress, Ring, RoutingKey};
///
/// static RING: Ring<512, 128> = Ring::new();
///
/// let members = |slot: u16| (slot < 3).then_some(Member { id: 100 + u64::from(slot), weight: 1 });
/// RING.begin(16);
/// while RING.step(64, &members) == Progress::Pending {
///     // Something else has its turn.
/// }
/// assert_eq!(RING.find(RoutingKey::new(b"device 4711").place()), Some(2));
/// ```
pub struct Ring<const POINTS: usize, const DIRECTORY: usize> {
    version: Version,
    /// Of each half: where in `points` the points end whose topmost bits are the index. During a build also how many
    /// these are, and then where the next of them goes.
    directory: [[AtomicU32; DIRECTORY]; 2],
    /// Of each half: hash bits and slot, in the order of hashes.
    points: [[AtomicU32; POINTS]; 2],
    /// 0 for the usual ones, so that a static ring takes no flash.
    points_per_weight: u16,
    build: Registers<8>,
}

impl<const POINTS: usize, const DIRECTORY: usize> Ring<POINTS, DIRECTORY> {
    /// How many topmost bits of a hash the directory takes.
    const DIRECTORY_BITS: u32 = DIRECTORY.ilog2();

    const_fn! {
        /// A ring without members, with 160 points for each unit of weight.
        pub const fn new() -> Self {
            Self::with_points(USUAL_POINTS)
        }
    }

    const_fn! {
        /// A ring without members, with `points` points for each unit of weight. 0 counts as 1, and more than 1,023 as that.
        pub const fn with_points(points: u16) -> Self {
            const {
                assert!(DIRECTORY.is_power_of_two(), "a directory's size is a power of two");
                assert!(DIRECTORY >= 2 && DIRECTORY <= 1 << 22, "a directory has 2 to 2^22 entries");
                assert!(POINTS >= 1 && POINTS <= 1 << 30, "a ring has 1 to 2^30 points");
            };
            Self {
                version: Version::new(),
                directory: array_of!(array_of!(AtomicU32::new(0); DIRECTORY); 2),
                points: array_of!(array_of!(AtomicU32::new(0); POINTS); 2),
                points_per_weight: match points {
                    0 => 1,
                    USUAL_POINTS => 0,
                    MOST_POINTS.. => MOST_POINTS,
                    _ => points,
                },
                build: Registers::new(),
            }
        }
    }

    /// The directory's entry for `hash`.
    #[inline(always)]
    const fn entry(hash: u32) -> usize {
        (hash >> (32 - Self::DIRECTORY_BITS)) as usize
    }

    /// The part of a point's word that comes from `hash`.
    #[inline(always)]
    const fn word(hash: u32) -> u32 {
        (hash << Self::DIRECTORY_BITS) & !SLOT_MASK
    }

    /// The slot of the first point at or after `hash`; anything or nothing when the half is being written.
    #[inline(always)]
    fn successor(&self, half: usize, hash: u32) -> Option<u16> {
        let (directory, points) = (&self.directory[half], &self.points[half]);
        let entry = Self::entry(hash);
        let mut end = directory[entry].load(Ordering::Relaxed);
        let mut first = if entry == 0 { 0 } else { directory[entry - 1].load(Ordering::Relaxed) };
        let word = Self::word(hash);
        while first < end {
            let middle = first + (end - first) / 2;
            if points.get(middle as usize)?.load(Ordering::Relaxed) < word {
                first = middle + 1;
            } else {
                end = middle;
            }
        }
        // Behind the last point comes the first.
        if first >= directory[DIRECTORY - 1].load(Ordering::Relaxed) {
            if first == 0 {
                return None;
            }
            first = 0;
        }
        Some((points.get(first as usize)?.load(Ordering::Relaxed) & SLOT_MASK) as u16)
    }
}

impl<const POINTS: usize, const DIRECTORY: usize> Default for Ring<POINTS, DIRECTORY> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const POINTS: usize, const DIRECTORY: usize> HashTable for Ring<POINTS, DIRECTORY> {
    fn begin(&self, slots: u16) {
        self.build.store(Build::fit(u32::from(slots).min(SLOT_MASK + 1)).save());
    }

    fn step(&self, steps: u32, members: &dyn Fn(u16) -> Option<Member>) -> Progress {
        let half = self.version.begin_slice();
        let mut build = Build::load(self.build.load());
        let mut slice = Slice {
            directory: &self.directory[half],
            points: &self.points[half],
            points_per_weight: match self.points_per_weight {
                0 => u32::from(USUAL_POINTS),
                points => u32::from(points),
            },
            bits: Self::DIRECTORY_BITS,
            members,
            present: None,
        };
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
        self.version.read(|half| self.successor(half, hash))
    }
}

/// Nothing to do.
const IDLE: u32 = 0;
/// Halving until the points fit.
const FIT: u32 = 1;
/// Emptying the directory.
const CLEAR: u32 = 2;
/// Counting the points of each entry.
const COUNT: u32 = 3;
/// From counts to starts.
const SUM: u32 = 4;
/// Putting each point into its entry; the starts become ends.
const PLACE: u32 = 5;
/// Sorting each entry's points.
const SORT: u32 = 6;

/// How far a build is.
#[derive(Clone, Copy)]
struct Build {
    phase: u32,
    /// The members are in slots below this.
    slots: u32,
    /// How often the points are halved.
    halvings: u32,
    /// The slot, the directory's entry or the point that is next.
    next: u32,
    /// Which point of the slot is next, or where the point is that is being sorted in.
    within: u32,
    /// The points so far; while sorting, which point is being sorted in.
    sum: u32,
    /// A digest of the points so far, and what it was when they were counted.
    digest: u32,
    counted: u32,
}

impl Build {
    /// The beginning.
    const fn fit(slots: u32) -> Self {
        Self { phase: FIT, slots, halvings: 0, next: 0, within: 0, sum: 0, digest: 0, counted: 0 }
    }

    fn load([phase, slots, halvings, next, within, sum, digest, counted]: [u32; 8]) -> Self {
        Self { phase, slots, halvings, next, within, sum, digest, counted }
    }

    fn save(self) -> [u32; 8] {
        [self.phase, self.slots, self.halvings, self.next, self.within, self.sum, self.digest, self.counted]
    }

    /// The beginning of the next phase.
    const fn enter(&mut self, phase: u32) {
        *self = Self { phase, next: 0, within: 0, sum: 0, digest: 0, ..*self };
    }
}

/// What a slice works on: the spare half, without the capacities in its type.
struct Slice<'a> {
    directory: &'a [AtomicU32],
    points: &'a [AtomicU32],
    points_per_weight: u32,
    /// How many topmost bits of a hash the directory takes.
    bits: u32,
    members: &'a dyn Fn(u16) -> Option<Member>,
    /// The member whose points are being made, and how many it has.
    present: Option<(u64, u32)>,
}

impl Slice<'_> {
    /// One step of the build, O(1).
    fn step(&mut self, build: &mut Build) {
        match build.phase {
            FIT => self.fit(build),
            CLEAR => match self.directory.get(build.next as usize) {
                Some(entry) => {
                    entry.store(0, Ordering::Relaxed);
                    build.next += 1;
                }
                None => build.enter(COUNT),
            },
            COUNT | PLACE => self.point(build),
            SUM => match self.directory.get(build.next as usize) {
                Some(entry) => {
                    let count = entry.load(Ordering::Relaxed);
                    entry.store(build.sum, Ordering::Relaxed);
                    build.sum += count;
                    build.next += 1;
                }
                None => build.enter(PLACE),
            },
            _ => self.sort(build),
        }
    }

    /// The id in slot `slot` and how many points it has, 0 if there is no member.
    fn points_of(&self, slot: u32, halvings: u32) -> (u64, u32) {
        match (self.members)(slot as u16) {
            Some(member) if member.weight != 0 => {
                (member.id, ((member.counted() * self.points_per_weight) >> halvings).max(1))
            }
            _ => (0, 0),
        }
    }

    fn fit(&self, build: &mut Build) {
        if build.next == build.slots {
            return build.enter(CLEAR);
        }
        build.sum = build.sum.saturating_add(self.points_of(build.next, build.halvings).1);
        build.next += 1;
        if build.sum as usize > self.points.len() && build.halvings < MOST_HALVINGS {
            *build = Build { halvings: build.halvings + 1, ..Build::fit(build.slots) };
        }
    }

    /// Counts or places one point, or goes on to the next slot.
    fn point(&mut self, build: &mut Build) {
        if build.next == build.slots {
            self.present = None;
            if build.phase == COUNT {
                build.counted = build.digest;
                build.enter(SUM);
            } else if build.digest == build.counted {
                build.enter(SORT);
            } else {
                // Members have changed between the two passes.
                *build = Build::fit(build.slots);
            }
            return;
        }
        let (id, count) = match self.present {
            Some(present) => present,
            None => *self.present.insert(self.points_of(build.next, build.halvings)),
        };
        if build.within >= count {
            self.present = None;
            build.next += 1;
            build.within = 0;
            return;
        }
        if build.sum as usize == self.points.len() {
            if build.halvings == MOST_HALVINGS {
                // The slots from here on have none.
                build.next = build.slots;
            } else {
                // Members have changed since it was found that all fit.
                *build = Build::fit(build.slots);
                self.present = None;
            }
            return;
        }
        let hash = point_hash(id, build.within);
        build.within += 1;
        build.sum += 1;
        build.digest = (build.digest ^ hash).wrapping_mul(0x9E37_79B1).wrapping_add(build.next);
        let entry = &self.directory[(hash >> (32 - self.bits)) as usize];
        let value = entry.load(Ordering::Relaxed);
        entry.store(value.wrapping_add(1), Ordering::Relaxed);
        if build.phase == PLACE
            && let Some(point) = self.points.get(value as usize)
        {
            point.store(((hash << self.bits) & !SLOT_MASK) | build.next, Ordering::Relaxed);
        }
    }

    /// One comparison of an insertion sort of each entry's points, or goes on to the next entry. Equal hashes are in the
    /// order of their slots, since these are the low bits.
    fn sort(&self, build: &mut Build) {
        let Some(entry) = self.directory.get(build.next as usize) else {
            return build.enter(IDLE);
        };
        let end = entry.load(Ordering::Relaxed);
        let start = match build.next {
            0 => 0,
            next => self.directory[next as usize - 1].load(Ordering::Relaxed),
        };
        if build.sum >= end {
            // The point after the next entry's first.
            build.next += 1;
            build.sum = end + 1;
            build.within = build.sum;
            return;
        }
        let within = build.within as usize;
        if build.within > start
            && let Some([lower, upper]) = self.points.get(within - 1..=within)
        {
            let [low, up] = [lower, upper].map(|point| point.load(Ordering::Relaxed));
            if low > up {
                lower.store(up, Ordering::Relaxed);
                upper.store(low, Ordering::Relaxed);
                build.within -= 1;
                return;
            }
        }
        build.sum += 1;
        build.within = build.sum;
    }
}

/// Where point number `number` of endpoint `id` lies.
#[inline]
fn point_hash(id: u64, number: u32) -> u32 {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&id.to_le_bytes());
    bytes[8..].copy_from_slice(&number.to_le_bytes());
    (xxh3_64(&bytes) >> 32) as u32
}
