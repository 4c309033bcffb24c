//! Consistent hashing on a ring: each endpoint has points on a circle of 2^32 places, a key goes to the next
//! point.
//!
//! Karger et al., "Consistent Hashing and Random Trees", STOC 1997; the points of an endpoint follow from its
//! id alone. So when an endpoint goes, its keys move and no others do. [`Maglev`](crate::route::Maglev)
//! spreads keys more evenly and is looked up faster, but moves a few keys of others.
//!
//! # Points
//!
//! Point *r* of endpoint *id* lies at the high 32 bits of XXH3-64 (seed 0) of the id's eight bytes followed
//! by the four of *r*, each little end first. An endpoint of weight *w* has *w × points* of them, `points`
//! being 160 unless said otherwise. Where the sum of these exceeds the ring's capacity, every endpoint has
//! half as many, or a quarter, and so on, until they fit, but one at least. Should even one each not fit, the
//! highest slots have none.
//!
//! Shares follow weights as far as chance allows: with *p* points each, the standard deviation of a share is
//! about 1/√*p* of it: 8 % at 160.
//!
//! Removing an endpoint moves the keys of others only if the points are no longer halved as often. It never
//! does when the capacity is at least `points` times the greatest sum of weights there will be.
//!
//! # Memory and time
//!
//! `8 × POINTS + 8 × DIRECTORY` bytes. A look-up takes two loads of the directory, by the topmost bits of the
//! hash, and then a binary search of the points which share those bits: O(log `POINTS`) at worst, constant
//! when `DIRECTORY` is `POINTS / 4` or so. Besides its slot, a point keeps the 22 bits of its hash that
//! follow those of the directory. Places that differ only below are one, and the lowest slot there has it.
//!
//! A build takes 16 steps for each slot and halving and as many again, two for each point, three for each
//! entry of the directory, and the exchanges of an insertion sort within the entries:
//! `POINTS × POINTS / DIRECTORY / 4` for ids that weren't chosen to collide, `POINTS` squared at the very
//! worst.
//!
//! Where the points of a few endpoints change, at most a quarter of all, and they are halved as often as
//! before, the others are copied in their order: one step for each point, two for each entry, and all of the
//! above for the new points alone.

mod build;

use self::build::{Build, Half, SLOT_MASK, Slice};
use crate::bitmap::{MAX_BANKS, MAX_PER_BANK};
use crate::route::tables::table::{HashTable, Members, Progress, Registers, SizedTable, Version};
use crate::sync::{AtomicU32, Ordering, array_of, const_fn};

/// The most points for each unit of weight. Times [`MAX_WEIGHT`](crate::route::MAX_WEIGHT), this fits 32
/// bits.
const MOST_POINTS: u16 = 1023;

/// A ring of up to `POINTS` points, with a directory of `DIRECTORY` entries, a power of two.
///
/// Each unit of weight has `PER_WEIGHT` points, 1 to 1,023; if nothing is said, as many as most
/// implementations of the Ketama ring have.
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
pub struct Ring<const POINTS: usize, const DIRECTORY: usize, const PER_WEIGHT: u16 = 160> {
    version: Version,
    /// Of each half: where in `points` the points end whose topmost bits are the index. During a build also
    /// how many these are, and then where the next of them goes.
    directory: [[AtomicU32; DIRECTORY]; 2],
    /// Of each half: hash bits and slot, in the order of hashes.
    points: [[AtomicU32; POINTS]; 2],
    /// How often the points of the active half are halved. The builder's.
    halvings: AtomicU32,
    build: Registers<10>,
}

impl<const POINTS: usize, const DIRECTORY: usize, const PER_WEIGHT: u16> Ring<POINTS, DIRECTORY, PER_WEIGHT> {
    /// How many topmost bits of a hash the directory takes.
    const DIRECTORY_BITS: u32 = DIRECTORY.ilog2();

    const_fn! {
        /// A ring without members.
        pub const fn new() -> Self {
            const {
                assert!(DIRECTORY.is_power_of_two(), "a directory's size is a power of two");
                assert!(DIRECTORY >= 2 && DIRECTORY <= 1 << 22, "a directory has 2 to 2^22 entries");
                assert!(POINTS >= 1 && POINTS <= 1 << 30, "a ring has 1 to 2^30 points");
                assert!(PER_WEIGHT >= 1 && PER_WEIGHT <= MOST_POINTS, "a unit of weight has 1 to 1,023 points");
            };
            Self {
                version: Version::new(),
                directory: array_of!(array_of!(AtomicU32::new(0); DIRECTORY); 2),
                points: array_of!(array_of!(AtomicU32::new(0); POINTS); 2),
                halvings: AtomicU32::new(0),
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

impl<const POINTS: usize, const DIRECTORY: usize, const PER_WEIGHT: u16> Default
    for Ring<POINTS, DIRECTORY, PER_WEIGHT>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<const POINTS: usize, const DIRECTORY: usize, const PER_WEIGHT: u16> SizedTable
    for Ring<POINTS, DIRECTORY, PER_WEIGHT>
{
    const ENDPOINTS: usize = MAX_BANKS * MAX_PER_BANK;
}

impl<const POINTS: usize, const DIRECTORY: usize, const PER_WEIGHT: u16> HashTable
    for Ring<POINTS, DIRECTORY, PER_WEIGHT>
{
    fn begin(&self, slots: u16) {
        self.build.store(Build::fit(u32::from(slots).min(SLOT_MASK + 1)).save());
    }

    fn step(&self, steps: u32, members: &dyn Members) -> Progress {
        let half = self.version.begin_slice();
        let mut build = Build::load(self.build.load());
        if !build.is_idle() {
            let mut slice = Slice {
                spare: Half { directory: &self.directory[half], points: &self.points[half] },
                active: Half { directory: &self.directory[half ^ 1], points: &self.points[half ^ 1] },
                halvings: self.halvings.load(Ordering::Relaxed),
                points_per_weight: u32::from(PER_WEIGHT),
                bits: Self::DIRECTORY_BITS,
                members,
                present: None,
            };
            let exchange = slice.run(&mut build, steps);
            self.build.store(build.save());
            if exchange {
                self.halvings.store(build.halvings(), Ordering::Relaxed);
                self.version.exchange();
            }
        }
        if build.is_idle() { Progress::Done } else { Progress::Pending }
    }

    #[inline]
    fn find(&self, hash: u32) -> Option<u16> {
        self.version.read(|half| self.successor(half, hash))
    }
}
