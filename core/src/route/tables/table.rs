//! Hash tables which are looked up while they are built anew: two halves and a version.
//!
//! A table that places keys on endpoints is read for every event, also by interrupts, and changes when an
//! endpoint comes, goes or weighs otherwise. A reader must not wait for the builder, whom an interrupt may
//! have stopped half-way. So a [`HashTable`] has two halves: readers look into the *active* one, one builder
//! at a time writes the *spare* one in slices as small as it likes, and one store of the version exchanges
//! the two.
//!
//! # Table Invariant
//!
//! The active half is the one that the lowest bit of the version names. Nobody writes it. Only the builder
//! writes the spare half and the version, and there is one builder at a time, each of whose slices happens
//! after the one before.
//!
//! Halves are made of relaxed atomics, so a reader who is overtaken may load nonsense, but never loads into a
//! data race. It must come to an end on any contents, within the table's bounds, and it must not believe what
//! it found unless the version is the same before and after. That this is enough follows from three
//! orderings:
//!
//! 1. The version is stored with release and first loaded with acquire: a reader that sees version *v* sees
//!    all of build *v*, which ended before that store.
//! 2. Each slice of a build begins with a release fence, and a reader's second load of the version comes
//!    after an acquire fence. If any of the reader's loads saw a store of build *v + 2*, which is the next
//!    one to write the half of *v*, then the builder's fence before that store synchronises with the reader's
//!    fence after that load. Version *v + 1* was stored before that build began, so the reader's second load
//!    sees *v + 1* or later, and the reader tries again.
//! 3. The second load may be relaxed because of that fence; an acquire load instead would order what comes
//!    *after* it, and let the look-up's loads sink below it (Boehm, "Can Seqlocks Get Along with Programming
//!    Language Memory Models?", MSPC 2012).
//!
//! A reader that is overtaken by two exchanges, so that its half is active once more, sees a version two
//! higher. Only 2^32 exchanges within one look-up would deceive it.

use crate::bitmap::rolled;
use crate::sync::{AtomicU32, Ordering, array_of, const_fn, fence};

/// A look-up under which the table is exchanged so many times is given up.
const EXCHANGES: u32 = 4;

/// The greatest weight that tables tell apart. Sums of 1,024 such weights fit 32 bits.
pub const MAX_WEIGHT: u32 = (1 << 22) - 1;

/// An endpoint as the tables see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Member {
    /// What its place on the table depends on, and nothing else does: not its slot, nor when it was added.
    pub id: u64,
    /// Its share of the keys is this over the sum of all members' weights. 0: not on the table. More than
    /// [`MAX_WEIGHT`] counts as that.
    pub weight: u32,
}

impl Member {
    /// The weight that counts.
    #[inline]
    pub(in crate::route) const fn counted(self) -> u32 {
        if self.weight > MAX_WEIGHT { MAX_WEIGHT } else { self.weight }
    }
}

/// Who is on a table: what a build asks. A function from slots to members is one, of which a table is built
/// anew as a whole.
pub trait Members {
    /// The member in slot `slot`, if there is one.
    fn member(&self, slot: u16) -> Option<Member>;

    /// The slots of a bank of 32 in which there is, or may be, another member than when the last build ended,
    /// or one of another weight: a bit each. A table may spare itself the others. The same during all of a
    /// build, from its beginning to its end; also what builds that were given up have begun for is not on the
    /// table yet.
    fn changed(&self, bank: usize) -> u32 {
        let _ = bank;
        u32::MAX
    }
}

impl<F: Fn(u16) -> Option<Member>> Members for F {
    fn member(&self, slot: u16) -> Option<Member> {
        self(slot)
    }
}

/// How many steps it counts to ask for a member: about as long as so many of the others.
pub(in crate::route) const MEMBER_STEPS: u32 = 16;

/// How far a build is.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Progress {
    /// There is more to do; readers have the table of before.
    Pending,
    /// Readers have the newest table, and there is nothing to do.
    Done,
}

/// A [`HashTable`] that says when it is compiled for how many endpoints it has room: a balancer of more is
/// then an error of the compiler.
pub trait SizedTable: HashTable {
    /// So many.
    const ENDPOINTS: usize;

    /// How much of the mean load an endpoint may have, in permille, before keys pass it by; 0: any number.
    /// See [`Bounded`](crate::route::Bounded).
    const BOUND: u16 = 0;
}

/// A table that places 32-bit hashes on slots: [`Ring`](crate::route::Ring) or
/// [`Maglev`](crate::route::Maglev).
///
/// One builder at a time calls [`begin`](Self::begin) and [`step`](Self::step), and what one of them did
/// happens before what the next one does: the caller holds a try-lock. Calls from two at once leave a table
/// of wrong slots, nothing worse. Any number of readers call [`find`](Self::find) at any time, from threads
/// and interrupts.
pub trait HashTable {
    /// Starts a build over the members in slots below `slots`. O(1). A build that is under way is given up.
    /// To be called whenever membership or a weight has changed, also in the middle of a build.
    fn begin(&self, slots: u16);

    /// Does about `steps` steps of the build: one point, entry or comparison each, while a slot counts as 16.
    /// What is begun is brought to its end, so a few more may be done than that, up to the free entries of a
    /// [`Maglev`](crate::route::Maglev) table's list. The same table comes of any slicing.
    ///
    /// `members` says who is in a slot. It is asked about each slot more than once. Should the answers of one
    /// build contradict each other, the build begins again, or its table is one of members that were there at
    /// some time during it.
    fn step(&self, steps: u32, members: &dyn Members) -> Progress;

    /// The slot on which `hash` lies; `None` when no member is on the table, or when it was exchanged four
    /// times during the call. Neither waits nor writes.
    ///
    /// The answer was right at some instant during the call. The slot may have lost its endpoint since, or be
    /// about to.
    fn find(&self, hash: u32) -> Option<u16>;
}

/// The version of a table: which half is active, and whether it still is.
pub(in crate::route) struct Version(AtomicU32);

impl Version {
    const_fn! {
        /// Half 0 is active, half 1 the spare one.
        pub(in crate::route) const fn new() -> Self {
            Self(AtomicU32::new(0))
        }
    }

    /// What `look` finds in the active half, whose number it is given; `None` when the halves were exchanged
    /// four times meanwhile. `look` copes with any contents (Table Invariant).
    ///
    /// Counting exchanges bounds the tries to four.
    #[inline(always)]
    pub(in crate::route) fn read<T>(&self, look: impl Fn(usize) -> Option<T>) -> Option<T> {
        let mut version = self.0.load(Ordering::Acquire);
        let last = version.wrapping_add(EXCHANGES);
        loop {
            rolled();
            let found = look(version as usize & 1);
            fence(Ordering::Acquire);
            if self.0.load(Ordering::Relaxed) == version {
                return found;
            }
            version = self.0.load(Ordering::Acquire);
            // Not yet `last`, as a difference that wraps around.
            if last.wrapping_sub(version).wrapping_sub(1) >= EXCHANGES {
                return None;
            }
        }
    }

    /// The number of the spare half. A slice begins with this, and writes to that half only afterwards.
    pub(in crate::route) fn begin_slice(&self) -> usize {
        let spare = (self.0.load(Ordering::Relaxed) as usize & 1) ^ 1;
        // The second ordering of the Table Invariant.
        fence(Ordering::Release);
        spare
    }

    /// Makes the spare half the active one. The last act of a slice.
    pub(in crate::route) fn exchange(&self) {
        let version = self.0.load(Ordering::Relaxed);
        self.0.store(version.wrapping_add(1), Ordering::Release);
    }
}

/// Where a builder keeps what it needs from slice to slice. Nobody else reads it.
pub(in crate::route) struct Registers<const N: usize>([AtomicU32; N]);

impl<const N: usize> Registers<N> {
    const_fn! {
        /// All zeros, so that a static table takes no flash.
        pub(in crate::route) const fn new() -> Self {
            Self(array_of!(AtomicU32::new(0); N))
        }
    }

    /// The values as the last slice left them.
    #[inline]
    pub(in crate::route) fn load(&self) -> [u32; N] {
        core::array::from_fn(|register| self.0[register].load(Ordering::Relaxed))
    }

    /// Leaves `values` to the next slice.
    #[inline]
    pub(in crate::route) fn store(&self, values: [u32; N]) {
        for (register, value) in self.0.iter().zip(values) {
            register.store(value, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(trilane_loom)))]
mod tests {
    use core::cell::Cell;

    use super::*;

    /// What a look-up gives, and how many tries it makes, when the halves are exchanged under the first
    /// `tries` of them, each time so often.
    fn read_under(first: u32, tries: u32, exchanges: u32) -> (Option<usize>, u32) {
        let version = Version(AtomicU32::new(first));
        let tried = Cell::new(0);
        let found = version.read(|half| {
            tried.set(tried.get() + 1);
            if tried.get() <= tries {
                (0..exchanges).for_each(|_| version.exchange());
            }
            Some(half)
        });
        (found, tried.get())
    }

    #[test]
    fn a_look_up_is_tried_again_until_four_exchanges_have_come_between() {
        // Also where the version wraps around.
        for first in [0, u32::MAX - 1, u32::MAX - 3] {
            assert_eq!(read_under(first, 0, 0), (Some(0), 1));
            assert_eq!(read_under(first, 1, 1), (Some(1), 2));
            assert_eq!(read_under(first, 3, 1), (Some(1), 4));
            assert_eq!(read_under(first, 4, 1), (None, 4));
            // The same half again, and yet not the same table.
            assert_eq!(read_under(first, 1, 2), (Some(0), 2));
            assert_eq!(read_under(first, 1, 3), (Some(1), 2));
            assert_eq!(read_under(first, 1, 4), (None, 1));
            assert_eq!(read_under(first, 1, 1_000), (None, 1));
        }
    }
}
