//! How a ring is built: anew, or from the one of before by taking away and adding some endpoints' points.

use crate::bitmap::{MAX_BANKS, MAX_PER_BANK, split};
use crate::route::tables::table::{MEMBER_STEPS, Members};
use crate::sync::{AtomicU32, Ordering};
use xxhash_rust::xxh3::xxh3_64;

/// The bits of a point's word that hold its slot; the others hold its hash.
pub(in crate::route) const SLOT_MASK: u32 = (MAX_BANKS * MAX_PER_BANK - 1) as u32;

/// After so many halvings every endpoint has one point.
const MOST_HALVINGS: u32 = 31;
/// Of all points, so many may belong to endpoints that have changed, for the others to be copied.
const COPIED: u32 = 4;

/// Nothing to do.
const IDLE: u32 = 0;
/// Halving until the points fit.
const FIT: u32 = 1;
/// Emptying the directory.
const CLEAR: u32 = 2;
/// Counting the new points of each entry.
const COUNT: u32 = 3;
/// From counts to starts.
const SUM: u32 = 4;
/// The same, when the old points that stay are copied: the new ones come behind them.
const COPY: u32 = 5;
/// Putting each new point into its entry; the starts become ends.
const PLACE: u32 = 6;
/// Sorting each entry's points.
const SORT: u32 = 7;
/// Sorting the points of the entries that have new ones.
const MEND: u32 = 8;

/// One of the two halves, without the capacities in its type.
#[derive(Clone, Copy)]
pub(in crate::route) struct Half<'a> {
    pub directory: &'a [AtomicU32],
    pub points: &'a [AtomicU32],
}

/// How far a build is.
#[derive(Clone, Copy)]
pub(in crate::route) struct Build {
    phase: u32,
    /// The members are in slots below this.
    slots: u32,
    /// How often the points are halved.
    halvings: u32,
    /// 1 if the points of slots that haven't changed are copied, else 0.
    copies: u32,
    /// The slot, the directory's entry or the point that is next.
    next: u32,
    /// Which point of the slot is next, where the point is that is copied next, or the one that is being
    /// sorted in.
    within: u32,
    /// The points so far; while sorting, which point is being sorted in.
    sum: u32,
    /// The points of slots that have changed; while mending, where the point is that is being sorted in.
    changed: u32,
    /// A digest of the new points so far, and what it was when they were counted.
    digest: u32,
    counted: u32,
}

impl Build {
    /// The beginning.
    pub(in crate::route) const fn fit(slots: u32) -> Self {
        Self {
            phase: FIT,
            slots,
            halvings: 0,
            copies: 0,
            next: 0,
            within: 0,
            sum: 0,
            changed: 0,
            digest: 0,
            counted: 0,
        }
    }

    pub(in crate::route) fn load(
        [phase, slots, halvings, copies, next, within, sum, changed, digest, counted]: [u32; 10],
    ) -> Self {
        Self { phase, slots, halvings, copies, next, within, sum, changed, digest, counted }
    }

    pub(in crate::route) fn save(self) -> [u32; 10] {
        let Self { phase, slots, halvings, copies, next, within, sum, changed, digest, counted } = self;
        [phase, slots, halvings, copies, next, within, sum, changed, digest, counted]
    }

    /// Whether there is nothing to do.
    pub(in crate::route) const fn is_idle(&self) -> bool {
        self.phase == IDLE
    }

    /// How often the points are halved.
    pub(in crate::route) const fn halvings(&self) -> u32 {
        self.halvings
    }

    /// The beginning of the next phase.
    const fn enter(&mut self, phase: u32) {
        *self = Self { phase, next: 0, within: 0, sum: 0, changed: 0, digest: 0, ..*self };
    }
}

/// What a slice works on.
pub(in crate::route) struct Slice<'a> {
    pub(in crate::route) spare: Half<'a>,
    pub(in crate::route) active: Half<'a>,
    /// How often the points of the active half are halved.
    pub(in crate::route) halvings: u32,
    pub(in crate::route) points_per_weight: u32,
    /// How many topmost bits of a hash the directory takes.
    pub(in crate::route) bits: u32,
    pub(in crate::route) members: &'a dyn Members,
    /// The member whose points are being made, and how many it has.
    pub(in crate::route) present: Option<(u64, u32)>,
}

impl Slice<'_> {
    /// Does so many steps, or until the build is done; returns whether the spare half is to become the active
    /// one.
    pub(in crate::route) fn run(&mut self, build: &mut Build, mut steps: u32) -> bool {
        while steps > 0 {
            let taken = match build.phase {
                FIT => {
                    self.fit(build);
                    if build.is_idle() {
                        return false;
                    }
                    MEMBER_STEPS
                }
                CLEAR => self.clear(build, steps),
                COUNT | PLACE => self.point(build),
                SUM => self.sum(build),
                COPY => self.copy(build, steps),
                SORT => self.sort(build),
                _ => self.mend(build),
            };
            if build.is_idle() {
                return true;
            }
            steps = steps.saturating_sub(taken);
        }
        false
    }

    fn has_changed(&self, slot: u32) -> bool {
        let (bank, index) = split(slot as u16);
        self.members.changed(bank) >> index & 1 == 1
    }

    /// The id in slot `slot` and how many points it has, 0 if there is no member.
    fn points_of(&self, slot: u32, halvings: u32) -> (u64, u32) {
        match self.members.member(slot as u16) {
            Some(member) if member.weight != 0 => {
                (member.id, ((member.counted() * self.points_per_weight) >> halvings).max(1))
            }
            _ => (0, 0),
        }
    }

    fn fit(&self, build: &mut Build) {
        if build.next == build.slots {
            // Where even one each doesn't fit, it depends on the others who has one.
            let fits = build.halvings == self.halvings && build.halvings < MOST_HALVINGS;
            let few = build.changed <= build.sum / COPIED;
            let copies = fits && few;
            // Nobody has changed.
            let none = (0..MAX_BANKS).all(|bank| self.members.changed(bank) == 0);
            build.copies = u32::from(copies);
            return build.enter(if copies && none { IDLE } else { CLEAR });
        }
        let points = self.points_of(build.next, build.halvings).1;
        build.sum = build.sum.saturating_add(points);
        if self.has_changed(build.next) {
            build.changed = build.changed.saturating_add(points);
        }
        build.next += 1;
        if build.sum as usize > self.spare.points.len() && build.halvings < MOST_HALVINGS {
            *build = Build { halvings: build.halvings + 1, ..Build::fit(build.slots) };
        }
    }

    fn clear(&self, build: &mut Build, steps: u32) -> u32 {
        let some = self.spare.directory.iter().skip(build.next as usize).take(steps as usize);
        let taken = some.inspect(|entry| entry.store(0, Ordering::Relaxed)).count() as u32;
        build.next += taken;
        if build.next as usize == self.spare.directory.len() {
            build.enter(COUNT);
        }
        taken
    }

    /// The end of a pass over the new points; members may have changed since the first.
    fn end_pass(&mut self, build: &mut Build, phase: u32) {
        self.present = None;
        if build.phase == COUNT {
            build.counted = build.digest;
        } else if build.digest != build.counted {
            *build = Build::fit(build.slots);
            return;
        }
        build.enter(phase);
    }

    /// The hash of the new point that is next, and how long it took to find none.
    fn new_point(&mut self, build: &mut Build) -> Result<u32, u32> {
        let (id, count) = match self.present {
            Some(present) => present,
            None => {
                let counts = build.copies == 0 || self.has_changed(build.next);
                let present = if counts { self.points_of(build.next, build.halvings) } else { (0, 0) };
                *self.present.insert(present)
            }
        };
        if build.within < count {
            return Ok(point_hash(id, build.within));
        }
        self.present = None;
        build.next += 1;
        build.within = 0;
        Err(if count > 0 || build.copies == 0 { MEMBER_STEPS } else { 1 })
    }

    /// That point has been seen to.
    fn advance(&self, build: &mut Build, hash: u32) {
        build.within += 1;
        build.digest = (build.digest ^ hash).wrapping_mul(0x9E37_79B1).wrapping_add(build.next);
    }

    /// Counts or places one point, or goes on to the next slot.
    fn point(&mut self, build: &mut Build) -> u32 {
        if build.next == build.slots {
            let phase = match (build.phase, build.copies) {
                (COUNT, 0) => SUM,
                (COUNT, _) => COPY,
                (_, 0) => SORT,
                _ => MEND,
            };
            self.end_pass(build, phase);
            return 1;
        }
        let hash = match self.new_point(build) {
            Ok(hash) => hash,
            Err(taken) => return taken,
        };
        if build.sum as usize == self.spare.points.len() {
            if build.halvings == MOST_HALVINGS {
                // The slots from here on have none.
                build.next = build.slots;
            } else {
                // Members have changed since it was found that all fit.
                *build = Build::fit(build.slots);
            }
            self.present = None;
            return 1;
        }
        build.sum += 1;
        let entry = &self.spare.directory[self.entry(hash)];
        let value = entry.load(Ordering::Relaxed);
        entry.store(value.wrapping_add(1), Ordering::Relaxed);
        if build.phase == PLACE
            && let Some(point) = self.spare.points.get(value as usize)
        {
            point.store(((hash << self.bits) & !SLOT_MASK) | build.next, Ordering::Relaxed);
        }
        self.advance(build, hash);
        1
    }

    /// The directory's entry for `hash`.
    fn entry(&self, hash: u32) -> usize {
        (hash >> (32 - self.bits)) as usize
    }

    fn sum(&self, build: &mut Build) -> u32 {
        match self.spare.directory.get(build.next as usize) {
            Some(entry) => {
                let count = entry.load(Ordering::Relaxed);
                entry.store(build.sum, Ordering::Relaxed);
                build.sum += count;
                build.next += 1;
            }
            None => build.enter(PLACE),
        }
        1
    }

    /// Copies points that stay, and leaves room for the new ones behind those of each entry. What has changed
    /// is looked up in an array, of which a slice makes one.
    fn copy(&self, build: &mut Build, steps: u32) -> u32 {
        let changed: [u32; MAX_BANKS] = core::array::from_fn(|bank| self.members.changed(bank));
        let Half { directory, points } = self.spare;
        let mut left = steps;
        let (mut from, mut to) = (build.within as usize, build.sum as usize);
        while left > 0 {
            let next = build.next as usize;
            let (Some(end), Some(entry)) = (self.active.directory.get(next), directory.get(next)) else {
                build.enter(PLACE);
                return steps;
            };
            let end = end.load(Ordering::Relaxed) as usize;
            let some = end.saturating_sub(from).min(left as usize);
            for point in self.active.points.iter().skip(from).take(some) {
                let point = point.load(Ordering::Relaxed);
                let (bank, index) = split((point & SLOT_MASK) as u16);
                if let Some(copy) = points.get(to) {
                    copy.store(point, Ordering::Relaxed);
                }
                to += usize::from(changed[bank % MAX_BANKS] >> index & 1 == 0);
            }
            from += some;
            left -= some as u32;
            if from >= end {
                let count = entry.load(Ordering::Relaxed) as usize;
                entry.store(to as u32, Ordering::Relaxed);
                to += count;
                build.next += 1;
                left = left.saturating_sub(1);
            }
            if to > points.len() {
                // Members have changed since it was found that all fit.
                *build = Build::fit(build.slots);
                return steps;
            }
        }
        (build.within, build.sum) = (from as u32, to as u32);
        steps
    }

    /// Where the points of a directory's entry begin.
    fn start(&self, entry: usize) -> u32 {
        match entry.checked_sub(1) {
            Some(before) => self.spare.directory[before].load(Ordering::Relaxed),
            None => 0,
        }
    }

    /// Exchanges point `within` with the one before it if they are in the wrong order, and if that is one of
    /// those from `start` on. Equal hashes are in the order of their slots, since these are the low bits.
    fn sift(&self, within: u32, start: u32) -> bool {
        let within = within as usize;
        if within > start as usize
            && let Some([lower, upper]) = self.spare.points.get(within - 1..=within)
        {
            let [low, up] = [lower, upper].map(|point| point.load(Ordering::Relaxed));
            if low > up {
                lower.store(up, Ordering::Relaxed);
                upper.store(low, Ordering::Relaxed);
                return true;
            }
        }
        false
    }

    /// One comparison of an insertion sort of each entry's points, or goes on to the next entry.
    fn sort(&self, build: &mut Build) -> u32 {
        let Some(entry) = self.spare.directory.get(build.next as usize) else {
            build.enter(IDLE);
            return 1;
        };
        let end = entry.load(Ordering::Relaxed);
        if build.sum >= end {
            // The point after the next entry's first.
            build.next += 1;
            build.sum = end + 1;
            build.within = build.sum;
        } else if self.sift(build.within, self.start(build.next as usize)) {
            build.within -= 1;
        } else {
            build.sum += 1;
            build.within = build.sum;
        }
        1
    }

    /// The same of the entry in which the new point is that is next, or goes on to the next point.
    fn mend(&mut self, build: &mut Build) -> u32 {
        if build.next == build.slots {
            self.end_pass(build, IDLE);
            return 1;
        }
        let hash = match self.new_point(build) {
            Ok(hash) => hash,
            Err(taken) => return taken,
        };
        let entry = self.entry(hash);
        let (start, end) = (self.start(entry), self.spare.directory[entry].load(Ordering::Relaxed));
        if build.sum == 0 {
            (build.sum, build.changed) = (start + 1, start + 1);
        }
        if build.sum >= end {
            build.sum = 0;
            self.advance(build, hash);
        } else if self.sift(build.changed, start) {
            build.changed -= 1;
        } else {
            build.sum += 1;
            build.changed = build.sum;
        }
        2
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
